//! The dock: where a call is shown, on every page and across navigation.
//!
//! It stands at the end of the site's top and shows one thing at a time: a look at oneself before calling, somebody who calls,
//! the call, or how it ended. On a wide window it is a card in the corner below the header; on a phone a call that is made small
//! is a bar in the flow of the page, so that it covers neither the text nor the composer.

use super::{
    dock_size::DockExpanded,
    ended::EndedCard,
    group_stage::{GroupStage, RemovedCard},
    incoming::IncomingCard,
    preview::PreviewCard,
    stage::Stage,
    text::state_text,
    waiting::WaitingCard,
};
use crate::calls::client::{state::ClientCallState, use_calls};
use leptos::{html, prelude::*};
use leptos_router::hooks::use_location;
use wasm_bindgen::JsCast;
use web_sys::HtmlElement;

/// Which of its views the dock shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum DockView {
    Empty,
    Preview,
    Incoming {
        /// It took the place of a look at oneself, so that a press meant for that may land on it.
        replaces_preview: bool,
    },
    Stage,
    Group,
    Removed,
    Ended,
}

impl DockView {
    fn from_state(before: Option<&Self>, scene: &ClientCallState) -> Self {
        match scene {
            ClientCallState::Idle => Self::Empty,
            ClientCallState::Preview(_) => Self::Preview,
            ClientCallState::Ringing(_) => match before {
                Some(Self::Incoming {
                    replaces_preview: hasty,
                }) => Self::Incoming {
                    replaces_preview: *hasty,
                },
                Some(Self::Preview) => Self::Incoming {
                    replaces_preview: true,
                },
                _ => Self::Incoming {
                    replaces_preview: false,
                },
            },
            ClientCallState::Starting { .. }
            | ClientCallState::Answering(_)
            | ClientCallState::InCall(_) => Self::Stage,
            ClientCallState::Joining { .. } | ClientCallState::InGroup(_) => Self::Group,
            ClientCallState::Removed(_) => Self::Removed,
            ClientCallState::Ended(_) => Self::Ended,
        }
    }
}

/// Where a call is shown; empty while there is none.
#[component]
pub fn Dock() -> impl IntoView {
    let calls = use_calls();
    let scene = calls.state();
    let shown = Memo::new(move |before: Option<&DockView>| {
        scene.with(|scene| DockView::from_state(before, scene))
    });
    let DockExpanded(is_expanded) = DockExpanded::provide();
    let dock = NodeRef::<html::Div>::new();

    // Who goes to another page wants to see it.
    let path = use_location().pathname;
    Effect::new(move |before: Option<String>| {
        let now = path.get();
        if before.is_some_and(|before| before != now) {
            is_expanded.set(false);
        }
        now
    });
    Effect::new(move |before: Option<DockView>| {
        let now = shown.get();
        let is_call = |shown: DockView| matches!(shown, DockView::Stage | DockView::Group);
        if is_call(now) && !before.is_some_and(is_call) {
            is_expanded.set(true);
        }
        // A call that the code for it found here is news too.
        if before.unwrap_or(DockView::Empty) != now {
            update_focus(dock, now);
        }
        now
    });

    view! {
        <div class="call-dock" node_ref=dock>
            <WaitingCard />
            {move || match shown.get() {
                DockView::Empty => ().into_any(),
                DockView::Preview => view! { <PreviewCard /> }.into_any(),
                DockView::Incoming { replaces_preview } => view! { <IncomingCard replaces_preview /> }.into_any(),
                DockView::Stage => view! { <Stage /> }.into_any(),
                DockView::Group => view! { <GroupStage /> }.into_any(),
                DockView::Removed => view! { <RemovedCard /> }.into_any(),
                DockView::Ended => view! { <EndedCard /> }.into_any(),
            }}
        </div>
    }
}

/// What is read out of it.
pub fn status_text() -> Memo<String> {
    let calls = use_calls();
    let scene = calls.state();
    Memo::new(move |_| {
        scene.with(|scene| state_text(scene, calls.path_state().get(), calls.is_online()))
    })
}

thread_local! {
    /// What had the focus before the dock took it. Never touched on the server.
    static FOCUS_BEFORE_DOCK: std::cell::RefCell<Option<HtmlElement>> = const { std::cell::RefCell::new(None) };
}

/// Keeps the focus somewhere sensible when the dock changes: what was pressed is gone, and without this the focus would fall to
/// the top of the page. Somebody who is writing is never interrupted; the change is read out to them.
fn update_focus(dock: NodeRef<html::Div>, shown: DockView) {
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
        if shown == DockView::Empty {
            let before = FOCUS_BEFORE_DOCK
                .take()
                .filter(|element| element.is_connected());
            let main = || {
                document
                    .get_element_by_id("main")?
                    .dyn_into::<HtmlElement>()
                    .ok()
            };
            if let Some(element) = before.map(focusable).or_else(main).filter(|_| nowhere) {
                // An element of the page that is shown can have the focus.
                let _ = element.focus();
            }
            return;
        }
        let asks = matches!(shown, DockView::Preview | DockView::Incoming { .. });
        let writing = focused.as_ref().is_some_and(is_text_field);
        if nowhere || (asks && !writing) {
            if let Some(focused) = focused.filter(|_| !nowhere) {
                FOCUS_BEFORE_DOCK.set(Some(focused));
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
fn focusable(element: HtmlElement) -> HtmlElement {
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
