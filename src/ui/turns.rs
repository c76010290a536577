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
pub fn Turn(children: Children) -> impl IntoView {
    if cfg!(feature = "hydrate") {
        let owner = Owner::current().unwrap_or_default();
        Part::Later(owner, children)
    } else {
        Part::Now(children())
    }
}

enum Part {
    Now(AnyView),
    /// Built in its turn too, with what its owner provides.
    Later(Owner, Children),
}

impl Part {
    fn view(self) -> AnyView {
        match self {
            Self::Now(view) => view,
            Self::Later(owner, children) => owner.with(children),
        }
    }
}

impl Render for Part {
    type State = <AnyView as Render>::State;

    fn build(self) -> Self::State {
        self.view().build()
    }

    fn rebuild(self, state: &mut Self::State) {
        self.view().rebuild(state);
    }
}

impl AddAnyAttr for Part {
    type Output<NewAttr: Attribute> = <AnyView as AddAnyAttr>::Output<NewAttr>;

    fn add_any_attr<NewAttr: Attribute>(self, attr: NewAttr) -> Self::Output<NewAttr>
    where
        Self::Output<NewAttr>: RenderHtml,
    {
        self.view().add_any_attr(attr)
    }
}

impl RenderHtml for Part {
    type AsyncOutput = AnyView;
    type Owned = Self;

    const MIN_LENGTH: usize = 0;

    fn dry_resolve(&mut self) {
        match self {
            Self::Now(view) => view.dry_resolve(),
            Self::Later(..) => {}
        }
    }

    async fn resolve(self) -> Self::AsyncOutput {
        self.view().resolve().await
    }

    fn html_len(&self) -> usize {
        match self {
            Self::Now(view) => view.html_len(),
            Self::Later(..) => 0,
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
        self.view()
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
        self.view().to_html_async_with_buf::<OUT_OF_ORDER>(
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
        self.view().hydrate::<FROM_SERVER>(cursor, position)
    }

    async fn hydrate_async(self, cursor: &Cursor, position: &PositionState) -> Self::State {
        #[cfg(feature = "hydrate")]
        browser::next_turn().await;
        self.view().hydrate_async(cursor, position).await
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
        static STARTED: RefCell<Option<VecDeque<PinnedLocalFuture<()>>>> = RefCell::default();
    }

    /// Holds back what is started until the page is live.
    struct Patient;

    impl CustomExecutor for Patient {
        fn spawn(&self, future: PinnedFuture<()>) {
            self.spawn_local(future);
        }

        fn spawn_local(&self, future: PinnedLocalFuture<()>) {
            let at_once = STARTED.with_borrow_mut(|started| match started {
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
        STARTED.set(Some(VecDeque::new()));
        // The page is loaded once, and nothing else has set one.
        let _ = Executor::init_custom_executor(Patient);
        spawn_local(async move {
            ready.await;
            mount::hydrate_from_async(body(), app).await.forget();
            loop {
                next_turn().await;
                let next = STARTED.with_borrow_mut(|started| {
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
    pub(super) async fn next_turn() {
        let Ok(channel) = MessageChannel::new() else {
            return;
        };
        let (go_on, turn) = oneshot::channel::<()>();
        let heard = Closure::once_into_js(move || drop(go_on));
        channel
            .port1()
            .set_onmessage(Some(heard.unchecked_ref::<Function>()));
        // Nothing is transferred that could be refused.
        if channel.port2().post_message(&JsValue::NULL).is_ok() {
            // Nothing is ever sent: it ends when the message has come.
            let _ = turn.await;
        }
        channel.port1().close();
    }
}
