//! Making a page live in several short turns instead of a long one.
//!
//! The browser compiles each function when it is first called, and a page's beginning calls most of them: done in one go, a phone does
//! not answer a touch for half a second. So what hydrates the page stops between its parts ([`Turn`]), and what has been started
//! meanwhile (effects, above all) runs afterwards, one after the other. Between two turns the browser does what it has to do; a part
//! that is not live yet works as plain HTML, as all of it did a moment before.

use leptos::{
    attr::{Attribute, any_attribute::AnyAttribute},
    prelude::*,
    tachys::{
        hydration::Cursor,
        ssr::StreamBuilder,
        view::{Position, PositionState},
    },
};

/// A part of the page that is made live in a turn of its own.
#[component]
pub fn HydrationBoundary(children: Children) -> impl IntoView {
    if cfg!(feature = "hydrate") {
        let owner = Owner::current().unwrap_or_default();
        Subtree::Deferred(owner, children)
    } else {
        Subtree::Eager(children())
    }
}

enum Subtree {
    Eager(AnyView),
    /// Built in its turn too, with what its owner provides.
    Deferred(Owner, Children),
}

impl Subtree {
    fn build_view(self) -> AnyView {
        match self {
            Self::Eager(view) => view,
            Self::Deferred(owner, children) => owner.with(children),
        }
    }
}

impl Render for Subtree {
    type State = <AnyView as Render>::State;

    fn build(self) -> Self::State {
        self.build_view().build()
    }

    fn rebuild(self, state: &mut Self::State) {
        self.build_view().rebuild(state);
    }
}

impl AddAnyAttr for Subtree {
    type Output<NewAttr: Attribute> = <AnyView as AddAnyAttr>::Output<NewAttr>;

    fn add_any_attr<NewAttr: Attribute>(self, attr: NewAttr) -> Self::Output<NewAttr>
    where
        Self::Output<NewAttr>: RenderHtml,
    {
        self.build_view().add_any_attr(attr)
    }
}

impl RenderHtml for Subtree {
    type AsyncOutput = AnyView;
    type Owned = Self;

    const MIN_LENGTH: usize = 0;

    fn dry_resolve(&mut self) {
        match self {
            Self::Eager(view) => view.dry_resolve(),
            Self::Deferred(..) => {}
        }
    }

    async fn resolve(self) -> Self::AsyncOutput {
        self.build_view().resolve().await
    }

    fn html_len(&self) -> usize {
        match self {
            Self::Eager(view) => view.html_len(),
            Self::Deferred(..) => 0,
        }
    }

    fn to_html_with_buf(
        self,
        buf: &mut String,
        position: &mut Position,
        escape: bool,
        mark_branches: bool,
        extra_attrs: Vec<AnyAttribute>,
    ) {
        self.build_view()
            .to_html_with_buf(buf, position, escape, mark_branches, extra_attrs);
    }

    fn to_html_async_with_buf<const OUT_OF_ORDER: bool>(
        self,
        buf: &mut StreamBuilder,
        position: &mut Position,
        escape: bool,
        mark_branches: bool,
        extra_attrs: Vec<AnyAttribute>,
    ) {
        self.build_view().to_html_async_with_buf::<OUT_OF_ORDER>(
            buf,
            position,
            escape,
            mark_branches,
            extra_attrs,
        );
    }

    fn hydrate<const FROM_SERVER: bool>(
        self,
        cursor: &Cursor,
        position: &PositionState,
    ) -> Self::State {
        self.build_view().hydrate::<FROM_SERVER>(cursor, position)
    }

    async fn hydrate_async(self, cursor: &Cursor, position: &PositionState) -> Self::State {
        #[cfg(feature = "hydrate")]
        browser::yield_to_event_loop().await;
        self.build_view().hydrate_async(cursor, position).await
    }

    fn into_owned(self) -> Self::Owned {
        self
    }
}

#[cfg(feature = "hydrate")]
pub use browser::hydrate;

#[cfg(feature = "hydrate")]
mod browser {
    use any_spawner::{CustomExecutor, Executor, PinnedFuture, PinnedLocalFuture};
    use futures::channel::oneshot;
    use js_sys::Function;
    use leptos::{IntoView, mount, tachys::dom::body};
    use std::{cell::RefCell, collections::VecDeque};
    use wasm_bindgen::{JsCast, JsValue, prelude::Closure};
    use wasm_bindgen_futures::spawn_local;
    use web_sys::MessageChannel;

    thread_local! {
        /// What was started since the page began to be made live. None once it is: then nothing waits.
        static DEFERRED_FUTURES: RefCell<Option<VecDeque<PinnedLocalFuture<()>>>> = RefCell::default();
    }

    /// Holds back what is started until the page is live.
    struct DeferredExecutor;

    impl CustomExecutor for DeferredExecutor {
        fn spawn(&self, future: PinnedFuture<()>) {
            self.spawn_local(future);
        }

        fn spawn_local(&self, future: PinnedLocalFuture<()>) {
            let at_once = DEFERRED_FUTURES.with_borrow_mut(|started| match started {
                Some(started) => {
                    started.push_back(future);
                    None
                }
                None => Some(future),
            });
            if let Some(future) = at_once {
                spawn_local(future);
            }
        }

        fn poll_local(&self) {}
    }

    /// Makes the page live that the server rendered, as soon as `ready`.
    pub fn hydrate<V: IntoView>(
        ready: impl Future<Output = ()> + 'static,
        app: impl FnOnce() -> V + 'static,
    ) {
        DEFERRED_FUTURES.set(Some(VecDeque::new()));
        // The page is loaded once, and nothing else has set one.
        let _ = Executor::init_custom_executor(DeferredExecutor);
        spawn_local(async move {
            ready.await;
            mount::hydrate_from_async(body(), app).await.forget();
            loop {
                yield_to_event_loop().await;
                let next = DEFERRED_FUTURES.with_borrow_mut(|started| {
                    let next = started.as_mut().and_then(VecDeque::pop_front);
                    if next.is_none() {
                        *started = None;
                    }
                    next
                });
                let Some(next) = next else { break };
                spawn_local(next);
            }
        });
    }

    /// Lets the browser do whatever waits, and goes on right after it. A message to oneself, since timers are slow in pages that
    /// nobody sees, and in such a page somebody may be called.
    pub(super) async fn yield_to_event_loop() {
        let Ok(channel) = MessageChannel::new() else {
            return;
        };
        let (go_on, turn) = oneshot::channel::<()>();
        let on_message = Closure::once_into_js(move || drop(go_on));
        channel
            .port1()
            .set_onmessage(Some(on_message.unchecked_ref::<Function>()));
        // Nothing is transferred that could be refused.
        if channel.port2().post_message(&JsValue::NULL).is_ok() {
            // Nothing is ever sent: it ends when the message has come.
            let _ = turn.await;
        }
        channel.port1().close();
    }
}
