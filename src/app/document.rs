//! The document around the app, and when what makes it live is loaded.

use super::App;
use crate::{people::settings::Theme, serve::Assets, ui::build};
use leptos::{nonce::use_nonce, prelude::*};
use leptos_meta::MetaTags;

/// A page is there to be read, so what makes it live is not even fetched before it has been shown: it is fifty times as large as the page,
/// and on a slow network each byte of it would come before a byte of what is read. A page that nobody sees yet is made live at once:
/// somebody may call.
///
/// (The library offers `requestIdleCallback` for this; that comes before the first picture when the network is fast, and its preloads come
/// before everything when it is slow.)
const MAKE_LIVE: &str = "\
    const shown = new Promise(done => { \
        if (document.hidden) done(); \
        requestAnimationFrame(() => setTimeout(done)); \
        setTimeout(done, 1000); \
    }); \
    shown.then(() => Promise.all([import(script), fetch(wasm)])) \
        .then(([app, module_or_path]) => app.default({ module_or_path }).then(() => app.hydrate()));";

/// The whole document.
pub fn shell(options: LeptosOptions) -> impl IntoView {
    let theme = use_context::<Theme>()
        .map(|theme| theme.0)
        .filter(|theme| theme != "system");
    let Assets {
        build,
        style,
        script,
        wasm,
    } = expect_context();
    let make_live = format!("const script = {script:?}, wasm = {wasm:?}; {MAKE_LIVE}");
    view! {
        <!DOCTYPE html>
        <html lang="en" data-theme=theme>
            <head>
                <meta charset="utf-8" />
                <meta
                    name="viewport"
                    content="width=device-width, initial-scale=1, viewport-fit=cover, interactive-widget=resizes-content"
                />
                <meta name="color-scheme" content="light dark" />
                <meta name="theme-color" media="(prefers-color-scheme: light)" content="#f6f4ef" />
                <meta name="theme-color" media="(prefers-color-scheme: dark)" content="#171513" />
                <meta name=build::META content=build.to_string() />
                <link rel="icon" href="/favicon.svg" type="image/svg+xml" />
                <link rel="icon" href="/favicon.png" sizes="32x32" />
                <link rel="apple-touch-icon" href="/apple-touch-icon.png" />
                <link rel="manifest" href="/site.webmanifest" />
                <link rel="stylesheet" href=style.to_string() />
                <AutoReload options />
                <script type="module" nonce=use_nonce()>
                    {make_live}
                </script>
                <MetaTags />
            </head>
            <body>
                <App />
            </body>
        </html>
    }
}
