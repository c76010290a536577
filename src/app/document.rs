//! The document around the app, and when what makes it live is loaded.

use super::App;
use crate::{people::settings::Theme, serve::Assets, ui::build};
use leptos::{nonce::use_nonce, prelude::*};
use leptos_meta::MetaTags;

/// A page is there to be read, so what makes it live begins when it has been shown. A page that nobody sees yet is made live at once:
/// somebody may call. (`requestIdleCallback`, which the library offers for this, comes before the first picture when the network is
/// fast.)
const MAKE_LIVE: &str = "\
    const shown = new Promise(done => { \
        if (document.hidden) done(); \
        requestAnimationFrame(() => setTimeout(done)); \
        setTimeout(done, 1000); \
    }); \
    shown.then(() => import(script)) \
        .then(async app => { await app.default({ module_or_path: wasm }); app.hydrate(); });";

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
                // Fetched early, and after what the first picture needs.
                <link rel="modulepreload" href=script.to_string() crossorigin="anonymous" fetchpriority="low" />
                <link
                    rel="preload"
                    href=wasm.to_string()
                    r#as="fetch"
                    r#type="application/wasm"
                    crossorigin="anonymous"
                    fetchpriority="low"
                />
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
