use super::*;
use crate::serve::panics::catch_panics;
use axum::{
    Router,
    body::to_bytes,
    http::{Request as HttpRequest, StatusCode},
    middleware,
    routing::get,
};
use leptos::prelude::*;
use std::{
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
    time::Duration,
};
use tokio::time::timeout;
use tower::ServiceExt;

const READERS: usize = 20;
const PARTS: usize = 8;

fn app(router: Router) -> Router {
    install_executor();
    router
        .layer(middleware::from_fn(render_in_one_task))
        .layer(middleware::from_fn(catch_panics))
}

async fn read_page(app: Router) -> (StatusCode, String) {
    let request = HttpRequest::get("/").body(Body::empty()).unwrap();
    let reading = async {
        let (head, body) = app.oneshot(request).await.unwrap().into_parts();
        let body = to_bytes(body, 1 << 20).await.unwrap();
        (head.status, String::from_utf8(body.to_vec()).unwrap())
    };
    let read = timeout(Duration::from_secs(20), reading).await;
    read.expect("the page comes")
}

/// Parts wait for their data, then write and read a shared value.
#[component]
fn PageOfParts() -> impl IntoView {
    let shared = StoredValue::new(0_usize);
    let part = move |number: usize| {
        // Like a query: another thread wakes the page.
        let delay = Duration::from_micros(200) * u32::try_from(5 + number).unwrap();
        let query = move || thread::sleep(delay);
        let data = Resource::new_blocking(
            || (),
            move |()| async move { tokio::task::spawn_blocking(query).await.is_ok() },
        );
        let write = move |count: &mut usize| {
            // Long enough to meet the read of another part.
            thread::sleep(Duration::from_micros(300));
            *count += 1;
        };
        view! {
            <Suspense>
                {move || Suspend::new(async move {
                    data.await;
                    shared.update_value(write);
                    shared.with_value(|count| format!("part {count}"))
                })}
            </Suspense>
        }
    };
    view! {
        <html>
            <head></head>
            <body>{(0..PARTS).map(part).collect_view()}</body>
        </html>
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn parts_of_a_page_may_write_the_same_signal() {
    let handler = leptos_axum::render_app_async(|| view! { <PageOfParts /> });
    let app = app(Router::new().route("/", get(handler)));
    let readers = (0..READERS).map(|_| tokio::spawn(read_page(app.clone())));
    for reader in futures::future::join_all(readers).await {
        let (status, html) = reader.unwrap();
        assert_eq!(status, StatusCode::OK);
        assert_eq!(html.matches("part ").count(), PARTS, "{html}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn tasks_of_a_page_never_run_at_once() {
    static RUNNING: AtomicUsize = AtomicUsize::new(0);
    async fn step() {
        for _ in 0..20 {
            assert_eq!(RUNNING.fetch_add(1, Ordering::SeqCst), 0);
            thread::sleep(Duration::from_micros(100));
            RUNNING.fetch_sub(1, Ordering::SeqCst);
            tokio::task::yield_now().await;
        }
    }
    let handler = async || {
        for _ in 0..8 {
            Executor::spawn(async {
                Executor::spawn(step());
                step().await;
            });
        }
        step().await;
        let (done, is_done) = futures::channel::oneshot::channel();
        Executor::spawn(async { done.send("rendered").unwrap() });
        is_done.await.unwrap()
    };
    let app = app(Router::new().route("/", get(handler)));
    assert_eq!(
        read_page(app).await,
        (StatusCode::OK, "rendered".to_owned())
    );
}

#[tokio::test]
async fn the_tasks_of_a_page_end_with_its_reader() {
    struct Flag(Arc<AtomicBool>);
    impl Drop for Flag {
        fn drop(&mut self) {
            self.0.store(true, Ordering::SeqCst);
        }
    }
    let has_ended = Arc::new(AtomicBool::new(false));
    let flag = has_ended.clone();
    let handler = async move || {
        let flag = Flag(flag);
        Executor::spawn(async move {
            let _flag = flag;
            std::future::pending::<()>().await;
        });
        std::future::pending::<()>().await;
    };
    let app = app(Router::new().route("/", get(handler)));
    let reader = timeout(Duration::from_millis(50), read_page(app));
    assert!(reader.await.is_err(), "the page waits");
    assert!(has_ended.load(Ordering::SeqCst));
}

#[tokio::test]
async fn a_panic_in_a_task_of_a_page_answers_500() {
    let handler = async || {
        Executor::spawn(async { panic!("of the test") });
        std::future::pending::<()>().await;
    };
    let app = app(Router::new().route("/", get(handler)));
    let (status, text) = read_page(app).await;
    assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
    assert!(text.contains("cannot do that right now"), "{text}");
}
