//! The dock: shows the call on every page and across navigation.
//!
//! In a wide window it is a card in the corner. On a phone, a minimized call is a bar in the flow of the page: it covers neither text nor
//! composer.

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
use crate::{
    calls::client::{state::ClientCallState, use_calls},
    ui::browser_state::BrowserState,
};
use leptos::{html, prelude::*};
use leptos_router::hooks::use_location;
use wasm_bindgen::JsCast;
use web_sys::HtmlElement;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum DockView {
    Empty,
    Preview,
    Incoming {
        /// A press meant for the preview may land on the card.
        replaces_preview: bool,
    },
    Stage,
    Group,
    Removed,
    Ended,
}

impl DockView {
    fn from_state(before: Option<&Self>, call_state: &ClientCallState) -> Self {
        match call_state {
            ClientCallState::Idle => Self::Empty,
            ClientCallState::Preview(_) => Self::Preview,
            ClientCallState::Ringing(_) => match before {
                Some(Self::Incoming { replaces_preview }) => Self::Incoming {
                    replaces_preview: *replaces_preview,
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

/// The dock; empty without a call.
#[component]
pub fn Dock() -> impl IntoView {
    let calls = use_calls();
    let call_state = calls.state();
    let shown = Memo::new(move |before: Option<&DockView>| {
        call_state.with(|call_state| DockView::from_state(before, call_state))
    });
    let DockExpanded(is_expanded) = DockExpanded::provide();
    let dock = NodeRef::<html::Div>::new();
    let focus_before = FocusBefore::default();

    // Navigation minimizes the call.
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
        // A call from before the chunk was loaded also moves the focus.
        if before.unwrap_or(DockView::Empty) != now {
            update_focus(dock, focus_before, now);
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

/// The text for screen readers.
pub fn status_text() -> Memo<String> {
    let calls = use_calls();
    let call_state = calls.state();
    Memo::new(move |_| {
        call_state
            .with(|call_state| state_text(call_state, calls.path_state().get(), calls.is_online()))
    })
}

type FocusBefore = BrowserState<Option<HtmlElement>>;

/// The focused element may be gone, and the focus would fall to the body. Typing is not interrupted; screen readers announce the change.
fn update_focus(dock: NodeRef<html::Div>, focus_before: FocusBefore, shown: DockView) {
    request_animation_frame(move || {
        let Some(document) = web_sys::window().and_then(|window| window.document()) else {
            return;
        };
        let focused = document
            .active_element()
            .and_then(|element| element.dyn_into::<HtmlElement>().ok());
        let has_no_focus = focused
            .as_ref()
            .is_none_or(|element| element.tag_name() == "BODY");
        if shown == DockView::Empty {
            let before = focus_before
                .with_or_default(Option::take)
                .filter(|element| element.is_connected());
            let main = || {
                document
                    .get_element_by_id("main")?
                    .dyn_into::<HtmlElement>()
                    .ok()
            };
            if let Some(element) = before.map(focusable).or_else(main).filter(|_| has_no_focus) {
                let _ = element.focus();
            }
            return;
        }
        let needs_answer = matches!(shown, DockView::Preview | DockView::Incoming { .. });
        let is_typing = focused.as_ref().is_some_and(is_text_field);
        if has_no_focus || (needs_answer && !is_typing) {
            if let Some(focused) = focused.filter(|_| !has_no_focus) {
                focus_before.with_or_default(|element| *element = Some(focused));
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

/// In a closed menu, its summary gets the focus.
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
