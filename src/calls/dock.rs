//! The dock: where a call is shown, on every page and across navigation.
//!
//! It stands at the end of the site's top and shows one thing at a time: a look at oneself before calling, somebody who calls,
//! the call, or how it ended. On a wide window it is a card in the corner below the header; on a phone a call that is made small
//! is a bar in the flow of the page, so that it covers neither the text nor the composer.

use super::{
    client::{board::Scene, use_calls},
    farewell::FarewellCard,
    group_stage::{GroupStage, OutCard},
    incoming::IncomingCard,
    preview::PreviewCard,
    stage::Stage,
    waiting::WaitingCard,
    words::state_text,
};
use leptos::{html, prelude::*};
use leptos_router::hooks::use_location;
use wasm_bindgen::JsCast;
use web_sys::HtmlElement;

/// Which of its views the dock shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shown {
    Nothing,
    Preview,
    Incoming {
        /// It took the place of a look at oneself, so that a press meant for that may land on it.
        hasty: bool,
    },
    Stage,
    Group,
    Out,
    Farewell,
}

impl Shown {
    fn next(before: Option<&Self>, scene: &Scene) -> Self {
        match scene {
            Scene::Quiet => Self::Nothing,
            Scene::Preview(_) => Self::Preview,
            Scene::Ringing(_) => match before {
                Some(Self::Incoming { hasty }) => Self::Incoming { hasty: *hasty },
                Some(Self::Preview) => Self::Incoming { hasty: true },
                _ => Self::Incoming { hasty: false },
            },
            Scene::Starting { .. } | Scene::Answering(_) | Scene::Holding(_) => Self::Stage,
            Scene::Joining { .. } | Scene::Gathered(_) => Self::Group,
            Scene::Out(_) => Self::Out,
            Scene::Ended(_) => Self::Farewell,
        }
    }
}

/// Whether the call is shown large. Provided to what the dock shows.
#[derive(Debug, Clone, Copy)]
pub struct Large(
    /// True: the card with the pictures. False: a small one, on a phone a bar.
    pub RwSignal<bool>,
);

/// Where a call is shown; empty while there is none.
#[component]
pub fn Dock() -> impl IntoView {
    let calls = use_calls();
    let scene = calls.scene();
    let shown =
        Memo::new(move |before: Option<&Shown>| scene.with(|scene| Shown::next(before, scene)));
    let large = RwSignal::new(true);
    provide_context(Large(large));
    let dock = NodeRef::<html::Div>::new();

    // Who goes to another page wants to see it.
    let path = use_location().pathname;
    Effect::new(move |before: Option<String>| {
        let now = path.get();
        if before.is_some_and(|before| before != now) {
            large.set(false);
        }
        now
    });
    Effect::new(move |before: Option<Shown>| {
        let now = shown.get();
        let is_call = |shown: Shown| matches!(shown, Shown::Stage | Shown::Group);
        if is_call(now) && !before.is_some_and(is_call) {
            large.set(true);
        }
        // A call that the code for it found here is news too.
        if before.unwrap_or(Shown::Nothing) != now {
            keep_focus(dock, now);
        }
        now
    });

    view! {
        <div class="call-dock" node_ref=dock>
            <WaitingCard />
            {move || match shown.get() {
                Shown::Nothing => ().into_any(),
                Shown::Preview => view! { <PreviewCard /> }.into_any(),
                Shown::Incoming { hasty } => view! { <IncomingCard hasty /> }.into_any(),
                Shown::Stage => view! { <Stage /> }.into_any(),
                Shown::Group => view! { <GroupStage /> }.into_any(),
                Shown::Out => view! { <OutCard /> }.into_any(),
                Shown::Farewell => view! { <FarewellCard /> }.into_any(),
            }}
        </div>
    }
}

/// What is read out of it.
pub(super) fn said() -> Memo<String> {
    let calls = use_calls();
    let scene = calls.scene();
    Memo::new(move |_| scene.with(|scene| state_text(scene, calls.path().get(), calls.is_online())))
}

thread_local! {
    /// What had the focus before the dock took it. Never touched on the server.
    static BEFORE: std::cell::RefCell<Option<HtmlElement>> = const { std::cell::RefCell::new(None) };
}

/// Keeps the focus somewhere sensible when the dock changes: what was pressed is gone, and without this the focus would fall to
/// the top of the page. Somebody who is writing is never interrupted; the change is read out to them.
fn keep_focus(dock: NodeRef<html::Div>, shown: Shown) {
    request_animation_frame(move || {
        let Some(document) = web_sys::window().and_then(|window| window.document()) else {
            return;
        };
        let focused = document
            .active_element()
            .and_then(|element| element.dyn_into::<HtmlElement>().ok());
        let nowhere = focused
            .as_ref()
            .is_none_or(|element| element.tag_name() == "BODY");
        if shown == Shown::Nothing {
            let before = BEFORE.take().filter(|element| element.is_connected());
            let main = || {
                document
                    .get_element_by_id("main")?
                    .dyn_into::<HtmlElement>()
                    .ok()
            };
            if let Some(element) = before.map(can_have_focus).or_else(main).filter(|_| nowhere) {
                // An element of the page that is shown can have the focus.
                let _ = element.focus();
            }
            return;
        }
        let asks = matches!(shown, Shown::Preview | Shown::Incoming { .. });
        let writing = focused.as_ref().is_some_and(is_text_field);
        if nowhere || (asks && !writing) {
            if let Some(focused) = focused.filter(|_| !nowhere) {
                BEFORE.set(Some(focused));
            }
            let card = dock
                .get_untracked()
                .and_then(|dock| dock.last_element_child());
            if let Some(card) = card.and_then(|card| card.dyn_into::<HtmlElement>().ok()) {
                let _ = card.focus();
            }
        }
    });
}

/// The element itself or, where it is in a menu that was closed since, what opens the menu.
fn can_have_focus(element: HtmlElement) -> HtmlElement {
    element
        .closest("details:not([open])")
        .ok()
        .flatten()
        .and_then(|details| details.first_element_child())
        .and_then(|summary| summary.dyn_into().ok())
        .unwrap_or(element)
}

fn is_text_field(element: &HtmlElement) -> bool {
    matches!(element.tag_name().as_str(), "INPUT" | "TEXTAREA" | "SELECT")
        || element.is_content_editable()
}
