//! Redirects for forms that the browser submits without WASM.

use axum::http::{header, request::Parts};
use leptos::prelude::use_context;

/// Redirects a plain form, which accepts HTML. Of an `ActionForm` the page shows the answer: a redirect would be
/// followed even after the reader has left that page.
pub fn redirect_plain_form(path: &str) {
    let accepts_html = use_context::<Parts>().is_some_and(|request| {
        let accept = request.headers.get(header::ACCEPT);
        accept.is_some_and(|accept| {
            accept
                .to_str()
                .is_ok_and(|accept| accept.contains("text/html"))
        })
    });
    if accepts_html {
        leptos_axum::redirect(path);
    }
}
