//! Cache of news pages for anonymous readers, rendered once per state of the news.
//!
//! Rendering takes a hundred times as long as copying. Only requests without cookies, credentials and query use it, each with a new nonce.

use crate::{
    model::{Cursor, StoryId},
    news::server::NewsService,
    server::{http, single_flight::get_or_compute},
};
use axum::{
    body::{Body, to_bytes},
    extract::{MatchedPath, Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use leptos::nonce::Nonce;
use quick_cache::{Weighter, sync::Cache};
use std::sync::Arc;

const CACHED_ROUTES: [&str; 2] = ["/", "/news/{slug}"];
const ESTIMATED_PAGES: usize = 500;
const MAX_CACHE_BYTES: u64 = 16 * 1024 * 1024;

#[derive(Debug)]
pub(super) struct PageCache {
    news: Arc<NewsService>,
    pages: Cache<PageKey, Arc<CachedPage>, PageWeighter>,
}

/// Everything a page depends on.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct PageKey {
    path: String,
    news_cursor: Cursor,
    /// In the banner; expires without a new story.
    breaking: Option<StoryId>,
}

#[derive(Debug)]
struct CachedPage {
    headers: HeaderMap,
    /// Split at the nonce.
    html_segments: Vec<String>,
}

#[derive(Debug, Clone)]
struct PageWeighter;

impl Weighter<PageKey, Arc<CachedPage>> for PageWeighter {
    fn weight(&self, asked: &PageKey, page: &Arc<CachedPage>) -> u64 {
        let parts = page.html_segments.iter().map(String::len);
        let bytes = asked.path.len() + parts.sum::<usize>();
        u64::try_from(bytes).unwrap_or(u64::MAX)
    }
}

impl PageCache {
    pub(super) fn new(news: Arc<NewsService>) -> Arc<Self> {
        Arc::new(Self {
            news,
            pages: Cache::with_weighter(ESTIMATED_PAGES, MAX_CACHE_BYTES, PageWeighter),
        })
    }

    async fn key_for(&self, path: &str) -> Option<PageKey> {
        // If the store fails, the page shows the error.
        let now = self.news.latest_snapshot().await.ok()?.news_now();
        Some(PageKey {
            path: path.to_owned(),
            news_cursor: now.cursor,
            breaking: now.breaking.map(|breaking| breaking.id),
        })
    }
}

fn is_cacheable(request: &Request) -> bool {
    let matched = request.extensions().get::<MatchedPath>();
    request.method() == Method::GET
        && request.uri().query().is_none()
        && matched.is_some_and(|path| CACHED_ROUTES.contains(&path.as_str()))
        && [header::COOKIE, header::AUTHORIZATION]
            .iter()
            .all(|header| !request.headers().contains_key(header))
}

/// Concurrent requests wait for one rendering.
pub(super) async fn serve_from_cache(
    State(cache): State<Arc<PageCache>>,
    request: Request,
    next: Next,
) -> Response {
    if !is_cacheable(&request) {
        return next.run(request).await;
    }
    let Some(key) = cache.key_for(request.uri().path()).await else {
        return next.run(request).await;
    };
    let page = get_or_compute(&cache.pages, &key, async {
        CachedPage::from_response(next.run(request).await)
            .await
            .map(Arc::new)
    });
    match page.await {
        Ok(page) => page.to_response(),
        Err(response) => *response,
    }
}

impl CachedPage {
    /// The error is a response that must not be cached.
    async fn from_response(response: Response) -> Result<Self, Box<Response>> {
        let Some(nonce) = nonce_of(&response) else {
            return Err(Box::new(response));
        };
        let (mut parts, body) = response.into_parts();
        let html = match to_bytes(body, usize::MAX).await {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(why) => {
                tracing::error!(%why, "a page could not be rendered completely");
                let failed = StatusCode::INTERNAL_SERVER_ERROR.into_response();
                return Err(Box::new(failed));
            }
        };
        parts.headers.remove(header::CONTENT_LENGTH);
        parts.headers.remove(header::CONTENT_SECURITY_POLICY);
        Ok(Self {
            headers: parts.headers,
            html_segments: html.split(&nonce).map(str::to_owned).collect(),
        })
    }

    fn to_response(&self) -> Response {
        let nonce = Nonce::new().to_string();
        let mut response = Body::from(self.html_segments.join(&nonce)).into_response();
        response.headers_mut().extend(self.headers.clone());
        if let Ok(policy) = HeaderValue::from_str(&http::content_security_policy(&nonce)) {
            let headers = response.headers_mut();
            headers.insert(header::CONTENT_SECURITY_POLICY, policy);
        }
        response
    }
}

/// None unless the status is 200 and no cookie is set.
fn nonce_of(response: &Response) -> Option<String> {
    let headers = response.headers();
    let is_cacheable =
        response.status() == StatusCode::OK && !headers.contains_key(header::SET_COOKIE);
    let policy = headers.get(header::CONTENT_SECURITY_POLICY)?;
    let (_, rest) = policy.to_str().ok()?.split_once("'nonce-")?;
    let (nonce, _) = rest.split_once('\'')?;
    (is_cacheable && !nonce.is_empty()).then(|| nonce.to_owned())
}
