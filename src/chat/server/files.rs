//! `GET /files/{hash}/{name}`: a file, for members of a room it was posted in.

use crate::{
    protocol::failure::Failure,
    server::{AppState, Result, session},
};
use axum::{
    Router,
    body::Body,
    extract::{Path, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use std::{ops::Range, sync::Arc};

pub fn router() -> Router<Arc<AppState>> {
    Router::new().route("/files/{hash}/{name}", get(get_file))
}

async fn get_file(
    State(app): State<Arc<AppState>>,
    Path((hash, name)): Path<(String, String)>,
    request_headers: HeaderMap,
) -> Result<Response> {
    let user = session::authenticate_user(&app, &request_headers)
        .await?
        .ok_or(Failure::NotSignedIn)?;
    let found = app.store.find_file(&hash, user.person.id).await?;
    let found = found.ok_or_else(|| Failure::not_found("That file"))?;
    let tag = format!("\"{}\"", found.hash);
    let mut response = match select_response(&request_headers, &tag, found.size) {
        FileResponse::NotModified => StatusCode::NOT_MODIFIED.into_response(),
        FileResponse::RangeNotSatisfiable => {
            let range = format!("bytes */{}", found.size);
            (
                StatusCode::RANGE_NOT_SATISFIABLE,
                [(header::CONTENT_RANGE, range)],
            )
                .into_response()
        }
        FileResponse::Full => {
            let body = Body::from_stream(app.files.read(&found.hash, None).await?);
            ([(header::CONTENT_LENGTH, found.size)], body).into_response()
        }
        FileResponse::Partial(range) => {
            let Range { start, end } = range;
            let length = end - start;
            let content_range = format!("bytes {start}-{}/{}", end.saturating_sub(1), found.size);
            let body = Body::from_stream(app.files.read(&found.hash, Some(start..end)).await?);
            (
                StatusCode::PARTIAL_CONTENT,
                [(header::CONTENT_RANGE, content_range)],
                [(header::CONTENT_LENGTH, length)],
                body,
            )
                .into_response()
        }
    };
    let headers = response.headers_mut();
    let value = |text: &str| {
        HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static("application/octet-stream"))
    };
    headers.insert(header::CONTENT_TYPE, value(&found.media_type));
    headers.insert(header::ETAG, value(&tag));
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
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

#[derive(Debug, PartialEq, Eq)]
enum FileResponse {
    /// Status 304: a hash's content never changes.
    NotModified,
    /// Status 200.
    Full,
    /// Status 206.
    Partial(Range<u64>),
    /// Status 416.
    RangeNotSatisfiable,
}

/// Conditional and range requests (RFC 9110 sections 13 and 14). Several ranges get the whole file.
fn select_response(request_headers: &HeaderMap, tag: &str, size: u64) -> FileResponse {
    let text = |name| {
        request_headers
            .get(name)
            .and_then(|value: &HeaderValue| value.to_str().ok())
    };
    let is_known = text(header::IF_NONE_MATCH).is_some_and(|tags| {
        let mut tags = tags.split(',').map(str::trim);
        // Weak comparison.
        tags.any(|known| known == "*" || known.trim_start_matches("W/") == tag)
    });
    if is_known {
        return FileResponse::NotModified;
    }
    if text(header::IF_RANGE).is_some_and(|range_tag| range_tag != tag) {
        return FileResponse::Full;
    }
    let Some(Ok(ranges)) = text(header::RANGE).map(http_range_header::parse_range_header) else {
        return FileResponse::Full;
    };
    match ranges.validate(size).as_deref() {
        Ok([range]) => FileResponse::Partial(*range.start()..range.end() + 1),
        Ok(_) => FileResponse::Full,
        Err(_) => FileResponse::RangeNotSatisfiable,
    }
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

/// RFC 6266: recognized images are inline, other files attachments.
fn disposition(inline: bool, name: &str) -> HeaderValue {
    let disposition = if inline { "inline" } else { "attachment" };
    let name = utf8_percent_encode(name, ATTR_CHAR);
    // The encoded name is ASCII without quotes or line breaks.
    HeaderValue::from_str(&format!("{disposition}; filename*=UTF-8''{name}"))
        .unwrap_or(HeaderValue::from_static("attachment"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response_to(headers: &[(header::HeaderName, &str)]) -> FileResponse {
        let headers = headers.iter();
        let headers = headers.map(|(name, value)| (name.clone(), value.parse().unwrap()));
        select_response(&headers.collect(), "\"abc\"", 1_000)
    }

    #[test]
    fn a_part_is_given_to_who_has_the_rest_of_the_same() {
        let range = |value| response_to(&[(header::RANGE, value)]);
        assert_eq!(range("bytes=0-0"), FileResponse::Partial(0..1));
        assert_eq!(range("bytes=900-"), FileResponse::Partial(900..1_000));
        assert_eq!(range("bytes=-100"), FileResponse::Partial(900..1_000));
        assert_eq!(range("bytes=900-5000"), FileResponse::Partial(900..1_000));
        assert_eq!(range("bytes=1000-"), FileResponse::RangeNotSatisfiable);
        assert_eq!(range("bytes=0-0,5-9"), FileResponse::Full);
        assert_eq!(range("lines=0-0"), FileResponse::Full);
        let of = |tag| response_to(&[(header::RANGE, "bytes=0-0"), (header::IF_RANGE, tag)]);
        assert_eq!(of("\"abc\""), FileResponse::Partial(0..1));
        assert_eq!(of("\"old\""), FileResponse::Full);
    }

    #[test]
    fn who_has_it_is_not_sent_it_again() {
        let has = |tags| response_to(&[(header::IF_NONE_MATCH, tags)]);
        assert_eq!(has("\"abc\""), FileResponse::NotModified);
        assert_eq!(has("\"x\", W/\"abc\""), FileResponse::NotModified);
        assert_eq!(has("\"x\""), FileResponse::Full);
        assert_eq!(response_to(&[]), FileResponse::Full);
    }

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
