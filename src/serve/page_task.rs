//! Each page is rendered by one task.
//!
//! Leptos spawns a page's resources and effects. On several threads they race: a signal whose lock another thread holds counts as disposed
//! (`try_read`, `try_write`). The reading task panics, and the page never comes
//! ([decision 27](../../docs/decisions/0027-render-a-page-in-one-task.md)).

use crate::server::sync::Mutex;
use any_spawner::{CustomExecutor, Executor, PinnedFuture, PinnedLocalFuture};
use axum::{
    body::{Body, HttpBody},
    extract::Request,
    middleware::Next,
    response::Response,
};
use futures::{
    StreamExt,
    stream::{self, FuturesUnordered},
};
use std::{
    cell::RefCell,
    future::poll_fn,
    mem,
    pin::pin,
    sync::Arc,
    task::{Context, Poll},
};

/// Spawned and not yet polled.
type Spawned = Arc<Mutex<Vec<PinnedFuture<()>>>>;

thread_local! {
    /// Of the page that this thread polls.
    static CURRENT: RefCell<Option<Spawned>> = const { RefCell::new(None) };
}

/// Gives the tasks that Leptos spawns to their page.
pub(super) fn install_executor() {
    // A second server in one process (tests) finds an executor.
    let _ = Executor::init_custom_executor(PageExecutor);
}

struct PageExecutor;

impl CustomExecutor for PageExecutor {
    fn spawn(&self, task: PinnedFuture<()>) {
        let page = CURRENT.with_borrow(Clone::clone);
        match page {
            Some(spawned) => spawned.lock().push(task),
            // Outside of a page: the list of routes at the start.
            None => drop(tokio::spawn(task)),
        }
    }

    fn spawn_local(&self, task: PinnedLocalFuture<()>) {
        tokio::task::spawn_local(task);
    }

    fn poll_local(&self) {}
}

/// Middleware that renders a page, with all that it spawns, in the task of its connection.
///
/// The spawned tasks run on while the body is sent, and are dropped with the response.
pub(super) async fn render_in_one_task(request: Request, next: Next) -> Response {
    let mut page = PageTask::default();
    let response = page.run(next.run(request)).await;
    // A body of known length is already rendered.
    if response.body().size_hint().exact().is_some() {
        return response;
    }
    let (head, body) = response.into_parts();
    let mut body = body.into_data_stream();
    let chunks =
        stream::poll_fn(move |context| page.poll(context, |context| body.poll_next_unpin(context)));
    Response::from_parts(head, Body::from_stream(chunks))
}

/// What a page spawned.
#[derive(Default)]
struct PageTask {
    spawned: Spawned,
    running: FuturesUnordered<PinnedFuture<()>>,
}

impl PageTask {
    async fn run<T>(&mut self, page: impl Future<Output = T>) -> T {
        let mut page = pin!(page);
        poll_fn(|context| self.poll(context, |context| page.as_mut().poll(context))).await
    }

    /// Polls the page, then the spawned tasks, until all wait.
    fn poll<T>(
        &mut self,
        context: &mut Context<'_>,
        poll_page: impl FnOnce(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        let _current = Current::enter(&self.spawned);
        let polled = poll_page(context);
        loop {
            self.running.extend(mem::take(&mut *self.spawned.lock()));
            let has_ended = self.running.poll_next_unpin(context);
            let has_spawned = !self.spawned.lock().is_empty();
            if !has_spawned && !matches!(has_ended, Poll::Ready(Some(()))) {
                return polled;
            }
        }
    }
}

/// Restores the page before it on drop, also after a panic.
struct Current(Option<Spawned>);

impl Current {
    fn enter(spawned: &Spawned) -> Self {
        Self(CURRENT.replace(Some(spawned.clone())))
    }
}

impl Drop for Current {
    fn drop(&mut self) {
        CURRENT.set(self.0.take());
    }
}

#[cfg(test)]
mod tests;
