//! Scrolling of a timeline: it follows the end while the reader is there, and otherwise keeps their position.

use leptos::{html, prelude::*};

/// Maximum distance from the end that counts as being at the end, in CSS pixels.
const NEAR_END_PX: i32 = 80;

/// The scroll container of a timeline.
#[derive(Debug, Clone, Copy)]
pub(super) struct TimelineScroll {
    pub(super) view: NodeRef<html::Div>,
    pub(super) is_at_end: RwSignal<bool>,
    /// `scrollTop` at the last scroll event, in CSS pixels.
    last_scroll_top: StoredValue<i32>,
}

impl TimelineScroll {
    /// A container at its end, where a room opens.
    pub(super) fn new() -> Self {
        Self {
            view: NodeRef::new(),
            is_at_end: RwSignal::new(true),
            last_scroll_top: StoredValue::new(0),
        }
    }

    /// Updates `is_at_end` on a scroll event. Only scrolling up leaves the end: added rows move the end away from a
    /// container that has not moved, and it must keep following then.
    pub(super) fn on_scroll(self) {
        let Some(view) = self.view.get_untracked() else {
            return;
        };
        let (top, before) = (view.scroll_top(), self.last_scroll_top.get_value());
        self.last_scroll_top.set_value(top);
        let is_near = view.scroll_height() - top - view.client_height() < NEAR_END_PX;
        let at_end = is_near || (self.is_at_end.get_untracked() && top >= before);
        if self.is_at_end.get_untracked() != at_end {
            self.is_at_end.set(at_end);
        }
    }

    /// Scrolls to the end in the next animation frame, when new rows are laid out. `should_follow` also makes it follow
    /// the end.
    pub(super) fn scroll_to_end(self, should_follow: bool) {
        if should_follow {
            self.is_at_end.set(true);
        }
        request_animation_frame(move || {
            if let Some(view) = self.view.get_untracked() {
                view.set_scroll_top(view.scroll_height());
            }
        });
    }

    /// Keeps the visible rows in place while `change` adds rows above them.
    pub(super) fn preserve_position(self, change: impl FnOnce()) {
        let before = self
            .view
            .get_untracked()
            .map(|view| view.scroll_height() - view.scroll_top());
        change();
        request_animation_frame(move || {
            if let (Some(view), Some(before)) = (self.view.get_untracked(), before) {
                view.set_scroll_top(view.scroll_height() - before);
            }
        });
    }
}
