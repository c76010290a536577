//! `GET /files/{hash}/{name}`: the bytes of a file, for those who may see a message that carries it.

use super::upload::path_of;
use crate::{
    protocol::failure::Failure,
    server::{App, Result, session},
};
use axum::{
    Router,
    body::Body,
    extract::{Path, Request, State},
    http::{HeaderValue, header},
    response::Response,
    routing::get,
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use std::sync::Arc;
use tower::ServiceExt;
use tower_http::services::ServeFile;

/// What chat serves besides frames.
pub fn router() -> Router<Arc<App>> {
    Router::new().route("/files/{hash}/{name}", get(file))
}

async fn file(
    State(app): State<Arc<App>>,
    Path((hash, name)): Path<(String, String)>,
    request: Request,
) -> Result<Response> {
    let signed = session::signed(&app, request.headers())
        .await?
        .ok_or(Failure::NotSignedIn)?;
    let found = app.store.find_file(&hash, signed.person.id).await?;
    let found = found.ok_or_else(|| Failure::not_found("That file"))?;
    // Ranges and conditional requests (RFC 9110) are the library's.
    let Ok(served) = ServeFile::new(path_of(&app.files(), &found.hash))
        .oneshot(request)
        .await;
    let mut response = served.map(Body::new);
    let media_type = HeaderValue::from_str(&found.media_type)
        .unwrap_or(HeaderValue::from_static("application/octet-stream"));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, media_type);
    headers.insert(
        header::CONTENT_DISPOSITION,
        disposition(found.image.is_some(), &name),
    );
    headers.insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static("private, max-age=31536000, immutable"),
    );
    headers.insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("sandbox; default-src 'none'"),
    );
    Ok(response)
}

/// RFC 8187 `attr-char`.
const ATTR_CHAR: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'!')
    .remove(b'#')
    .remove(b'$')
    .remove(b'&')
    .remove(b'+')
    .remove(b'-')
    .remove(b'.')
    .remove(b'^')
    .remove(b'_')
    .remove(b'`')
    .remove(b'|')
    .remove(b'~');

/// Images that we recognised are shown, everything else is only ever saved (RFC 6266).
fn disposition(inline: bool, name: &str) -> HeaderValue {
    let how = if inline { "inline" } else { "attachment" };
    let name = utf8_percent_encode(name, ATTR_CHAR);
    // The encoded name is ASCII without quotes or line breaks.
    HeaderValue::from_str(&format!("{how}; filename*=UTF-8''{name}"))
        .unwrap_or(HeaderValue::from_static("attachment"))
}

#[cfg(test)]
mod tests {
    use super::disposition;

    #[test]
    fn a_name_cannot_break_out_of_its_header() {
        let header = disposition(false, "a\"; filename=\"b\r\nSet-Cookie: c=d.html");
        assert_eq!(
            header.to_str().unwrap(),
            "attachment; filename*=UTF-8''a%22%3B%20filename%3D%22b%0D%0ASet-Cookie%3A%20c%3Dd.html"
        );
        assert_eq!(
            disposition(true, "é.png").to_str().unwrap(),
            "inline; filename*=UTF-8''%C3%A9.png"
        );
    }
}
