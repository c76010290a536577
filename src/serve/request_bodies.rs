//! Bounds each request's body in bytes and time: a stalled one holds memory and a connection.

use super::refusals::refuse;
use crate::{
    model::limits::format_bytes, news::server::MAX_PUBLISH_REQUEST_BYTES,
    protocol::failure::Failure,
};
use axum::{
    body::{Body, Bytes, HttpBody, to_bytes},
    extract::Request,
    http::StatusCode,
    middleware::Next,
    response::Response,
};
use futures::StreamExt;
use hyper::body::{Frame, SizeHint};
use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::time::{Sleep, sleep, timeout};

/// The longest is a message of 4,000 characters, each of up to 12 bytes when percent-encoded.
pub(super) const MAX_FORM_BYTES: usize = 64 * 1024;
/// Of a form that is sent back to be shortened: a message of 20,000 characters, percent-encoded.
const MAX_KEPT_FORM_BYTES: usize = 4 * MAX_FORM_BYTES;
/// Publish a story: the routes with longer bodies.
const STORY_PATHS: [&str; 4] = [
    "/api/v1/stories",
    "/fn/publish-story",
    "/fn/preview-story",
    "/news/new",
];
/// At 20 kbit/s a form of 64 kB takes 26 s.
const FORM_TIMEOUT: Duration = Duration::from_secs(30);
const STORY_TIMEOUT: Duration = Duration::from_mins(2);
/// Of a body that is refused.
const MAX_DRAINED_BYTES: usize = 4 * 1024 * 1024;
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);

/// Refuses a body that is too long by its `Content-Length`, and ends one that becomes too long or takes too long.
pub(super) async fn bound_bodies(request: Request, next: Next) -> Response {
    let (most, deadline) = bounds(request.uri().path());
    let most_bytes = u64::try_from(most).unwrap_or(u64::MAX);
    if request.body().size_hint().lower() > most_bytes {
        let most = format_bytes(most_bytes);
        let failure = Failure::invalid(format!("That is too long. At most {most} can be sent."));
        let refused = refuse(&request, StatusCode::PAYLOAD_TOO_LARGE, failure);
        drain(request.into_body()).await;
        return refused;
    }
    if request.body().is_end_stream() {
        return next.run(request).await;
    }
    let bounded = request.map(|body| bound_body(body, most, deadline));
    next.run(bounded).await
}

fn bounds(path: &str) -> (usize, Duration) {
    if STORY_PATHS.contains(&path) {
        (MAX_PUBLISH_REQUEST_BYTES, STORY_TIMEOUT)
    } else {
        (MAX_FORM_BYTES, FORM_TIMEOUT)
    }
}

fn bound_body(body: Body, most: usize, deadline: Duration) -> Body {
    Body::new(BoundedBody {
        body,
        remaining: most,
        deadline: Box::pin(sleep(deadline)),
    })
}

/// A whole form, even one that is longer than its server function takes. `None` if it is much longer, takes too long or breaks off.
pub(super) async fn read_form(function: &str, body: Body) -> Option<Bytes> {
    let (most, deadline) = bounds(function);
    let most = most.max(MAX_KEPT_FORM_BYTES);
    if body.size_hint().lower() > u64::try_from(most).unwrap_or(u64::MAX) {
        drain(body).await;
        return None;
    }
    to_bytes(bound_body(body, most, deadline), most).await.ok()
}

/// Receives the body and keeps nothing: a client that still sends when the connection is closed gets no answer.
async fn drain(body: Body) {
    let mut body = body.into_data_stream();
    let received = async {
        let mut received = 0;
        while let Some(Ok(chunk)) = body.next().await {
            received += chunk.len();
            if received > MAX_DRAINED_BYTES {
                return;
            }
        }
    };
    let _ = timeout(DRAIN_TIMEOUT, received).await;
}

struct BoundedBody {
    body: Body,
    remaining: usize,
    deadline: Pin<Box<Sleep>>,
}

impl HttpBody for BoundedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let ended =
            |why, words| Poll::Ready(Some(Err(axum::Error::new(io::Error::new(why, words)))));
        let frame = match Pin::new(&mut self.body).poll_frame(context) {
            Poll::Ready(frame) => frame,
            Poll::Pending => {
                ready!(self.deadline.as_mut().poll(context));
                return ended(io::ErrorKind::TimedOut, "the body took too long");
            }
        };
        if let Some(Ok(frame)) = &frame {
            let length = frame.data_ref().map_or(0, Bytes::len);
            match self.remaining.checked_sub(length) {
                Some(remaining) => self.remaining = remaining,
                None => return ended(io::ErrorKind::FileTooLarge, "the body is too long"),
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::{Router, middleware, routing::post};
    use futures::stream;
    use tokio::time::Instant;
    use tower::ServiceExt;

    /// Answers how many bytes came, or why not all.
    async fn send(path: &str, body: Body) -> String {
        let read = async |body: Body| match to_bytes(body, usize::MAX).await {
            Ok(bytes) => bytes.len().to_string(),
            Err(why) => why.to_string(),
        };
        let router = Router::new()
            .route("/fn/pick-name", post(read))
            .route("/fn/publish-story", post(read))
            .layer(middleware::from_fn(bound_bodies));
        let request = Request::post(path).body(body).unwrap();
        let response = router.oneshot(request).await.unwrap();
        let bytes = to_bytes(response.into_body(), usize::MAX).await.unwrap();
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    fn chunks(count: usize) -> Body {
        let chunk = || Ok::<_, io::Error>(Bytes::from(vec![b'a'; 1_024]));
        Body::from_stream(stream::repeat_with(chunk).take(count))
    }

    #[tokio::test]
    async fn a_body_without_a_length_ends_where_it_becomes_too_long() {
        assert_eq!(send("/fn/pick-name", chunks(64)).await, "65536");
        assert_eq!(
            send("/fn/pick-name", chunks(65)).await,
            "the body is too long"
        );
        assert_eq!(send("/fn/publish-story", chunks(1_024)).await, "1048576");
        let words = send("/fn/publish-story", Body::from(vec![b'a'; 1_048_577])).await;
        assert!(words.contains("At most 1 MB can be sent."), "{words}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_stalls_ends_in_time() {
        for (path, seconds) in [("/fn/pick-name", 30), ("/fn/publish-story", 120)] {
            let began = Instant::now();
            let chunk = Ok::<_, io::Error>(Bytes::from_static(b"name="));
            let stalled = stream::iter([chunk]).chain(stream::pending());
            let words = send(path, Body::from_stream(stalled)).await;
            assert_eq!(words, "the body took too long");
            assert_eq!(began.elapsed().as_secs(), seconds);
        }
    }
}
