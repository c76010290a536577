//! Hydrates the page in chunks instead of one long task.
//!
//! The browser compiles each function at its first call: in one task, a phone would ignore touch for half a second. Hydration yields at
//! every [`HydrationBoundary`]; futures spawned meanwhile run afterwards, one task each.
//!
//! `mount` builds the page instead, where the server's HTML was changed on its way or in the browser.

use leptos::{
    attr::{Attribute, any_attribute::AnyAttribute},
    prelude::*,
    tachys::{
        hydration::Cursor,
        ssr::StreamBuilder,
        view::{Position, PositionState},
    },
};

/// A subtree hydrated in a task of its own.
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
    /// Built when hydrated, under its owner.
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
pub use browser::{hydrate, mount};

#[cfg(feature = "hydrate")]
mod browser {
    use any_spawner::{CustomExecutor, Executor, PinnedFuture, PinnedLocalFuture};
    use futures::channel::oneshot;
    use hydration_context::{HydrateSharedContext, SharedContext};
    use js_sys::Function;
    use leptos::{
        IntoView,
        mount::hydrate_from_async,
        prelude::Owner,
        tachys::{
            dom::{body, document},
            view::{Mountable, Render},
        },
    };
    use std::{cell::RefCell, collections::VecDeque, mem, sync::Arc};
    use wasm_bindgen::{JsCast, JsValue, prelude::Closure};
    use wasm_bindgen_futures::spawn_local;
    use web_sys::{Element, MessageChannel, Node};

    thread_local! {
        /// `None` once hydration is complete. The executor has no context that could own the futures.
        static DEFERRED_FUTURES: RefCell<Option<VecDeque<PinnedLocalFuture<()>>>> = RefCell::default();
    }

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

    /// Hydrates the server-rendered page. Spawned futures run afterwards.
    pub async fn hydrate<V: IntoView>(app: impl FnOnce() -> V + 'static) {
        DEFERRED_FUTURES.set(Some(VecDeque::new()));
        // No other executor was set.
        let _ = Executor::init_custom_executor(DeferredExecutor);
        hydrate_from_async(body(), app).await.forget();
        spawn_local(run_deferred_futures());
    }

    /// Builds the page anew in place of the elements that `replaced` selects, with the data that the server rendered.
    ///
    /// The program must not have hydrated the page: a panic has left it unusable.
    pub async fn mount<V: IntoView>(app: impl FnOnce() -> V + 'static, replaced: &str) {
        // No other executor was set.
        let _ = Executor::init_custom_executor(DeferredExecutor);
        let context = Arc::new(HydrateSharedContext::new());
        let owner = Owner::new_root(Some(context.clone()));
        let mut root = owner.with(|| app().into_view().build());
        let (body, replaced) = (body(), select(replaced));
        let in_body = |element: &&Element| body.is_same_node(element.parent_node().as_ref());
        let place = replaced.iter().find(in_body).cloned().map(Node::from);
        root.mount(&body, place.or_else(|| body.first_child()).as_ref());
        for element in replaced {
            element.remove();
        }
        mem::forget((owner, root));
        // What is spawned, the content of a route included, runs before the next task: nothing is painted without it.
        yield_to_event_loop().await;
        context.hydration_complete();
    }

    fn select(selector: &str) -> Vec<Element> {
        let Ok(selected) = document().query_selector_all(selector) else {
            return Vec::new();
        };
        (0..selected.length())
            .filter_map(|at| selected.get(at)?.dyn_into().ok())
            .collect()
    }

    async fn run_deferred_futures() {
        loop {
            yield_to_event_loop().await;
            let next = DEFERRED_FUTURES.with_borrow_mut(|deferred| {
                let next = deferred.as_mut().and_then(VecDeque::pop_front);
                if next.is_none() {
                    *deferred = None;
                }
                next
            });
            let Some(next) = next else { break };
            spawn_local(next);
        }
    }

    /// A timer would be throttled in hidden pages, which may receive calls too.
    pub(super) async fn yield_to_event_loop() {
        let Ok(channel) = MessageChannel::new() else {
            return;
        };
        let (sender, closed) = oneshot::channel::<()>();
        let on_message = Closure::once_into_js(move || drop(sender));
        channel
            .port1()
            .set_onmessage(Some(on_message.unchecked_ref::<Function>()));
        // Nothing is transferred, so `postMessage` cannot fail.
        if channel.port2().post_message(&JsValue::NULL).is_ok() {
            let _ = closed.await;
        }
        channel.port1().close();
    }
}
