//! The HTML document around the app, and the script that hydrates it.

use super::App;
use crate::{people::settings::Theme, server::assets::Assets, ui::build};
use leptos::{nonce::use_nonce, prelude::*};
use leptos_meta::MetaTags;

/// Loads and hydrates the WASM app. [`Assets::program_manifest`] precedes it as `const app`.
///
/// Fetching starts after the first paint, because the app is fifty times the page's size; on a hidden page at once, because a call may
/// arrive. Leptos' `requestIdleCallback` can fire earlier, and its preloads compete with the page.
///
/// Fetches are retried with backoff, before the import, because a failed import may be cached. After a 404 (another build) the page
/// reloads, at most once a minute, as `ui::build` does.
///
/// A page that cannot be hydrated is mounted by a second instance of the program (docs/decisions/0032-mount-where-hydration-fails.md).
const HYDRATE_SCRIPT: &str = include_str!("hydrate.js");

/// Keeps a live page working while a translator changes its text.
const TRANSLATION_SCRIPT: &str = include_str!("translation.js");

/// Renders the HTML document.
pub fn shell(options: LeptosOptions) -> impl IntoView {
    let theme = use_context::<Theme>()
        .map(|theme| theme.0)
        .filter(|theme| theme != "system");
    let Assets {
        build,
        stylesheet: style,
        program_manifest: program,
        ..
    } = expect_context();
    let hydrate_script = format!("const app = {program};\n{HYDRATE_SCRIPT}{TRANSLATION_SCRIPT}");
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
