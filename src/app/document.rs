//! The document around the app, and when what makes it live is loaded.

use super::App;
use crate::{people::settings::Theme, server::assets::Assets, ui::build};
use leptos::{nonce::use_nonce, prelude::*};
use leptos_meta::MetaTags;

/// What makes a page live, after `const app = …` with the addresses of [`Assets::program`].
///
/// A page is there to be read, so what makes it live is not even fetched before it has been shown: it is fifty times as large as the page,
/// and on a slow network each byte of it would come before a byte of what is read. A page that nobody sees yet is made live at once:
/// somebody may call.
///
/// Whatever does not come is asked for again, for as long as the page is there: in a tunnel, or while a server is restarted. A module that failed
/// once may have failed for good, so scripts are fetched before they are imported, which then finds them in the browser's cache; and so are the
/// parts of the program that the page was rendered with. Where the server has none of it, it is of another build by now, and the page is
/// loaded anew, once a minute at most (as `ui::build` does).
///
/// (The library offers `requestIdleCallback` for this; that comes before the first picture when the network is fast, and its preloads come
/// before everything when it is slow.)
const HYDRATE_SCRIPT: &str = include_str!("hydrate.js");

/// The whole document.
pub fn shell(options: LeptosOptions) -> impl IntoView {
    let theme = use_context::<Theme>()
        .map(|theme| theme.0)
        .filter(|theme| theme != "system");
    let Assets {
        build,
        stylesheet: style,
        program_manifest: program,
    } = expect_context();
    let hydrate_script = format!("const app = {program};\n{HYDRATE_SCRIPT}");
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
                <meta name=build::BUILD_META_NAME content=build.to_string() />
                <link rel="icon" href="/favicon.svg" type="image/svg+xml" />
                <link rel="icon" href="/favicon.png" sizes="32x32" />
                <link rel="apple-touch-icon" href="/apple-touch-icon.png" />
                <link rel="manifest" href="/site.webmanifest" />
                <link rel="stylesheet" href=style.to_string() />
                <AutoReload options />
                <script type="module" nonce=use_nonce()>
                    {hydrate_script}
                </script>
                <MetaTags />
            </head>
            <body>
                <App />
            </body>
        </html>
    }
}
