//! Scrolling of a timeline: it follows the end, or keeps the reader's position.

use leptos::{html, prelude::*};
use web_sys::Element;

/// Distance that counts as the end, in CSS pixels.
const NEAR_END_PX: i32 = 80;

#[derive(Debug, Clone, Copy)]
pub(super) struct TimelineScroll {
    pub(super) view: NodeRef<html::Div>,
    pub(super) is_at_end: RwSignal<bool>,
    /// In CSS pixels, at the last scroll event.
    last_scroll_top: StoredValue<i32>,
}

impl TimelineScroll {
    pub(super) fn new() -> Self {
        Self {
            view: NodeRef::new(),
            is_at_end: RwSignal::new(true),
            last_scroll_top: StoredValue::new(0),
        }
    }

    /// `None` also once the room was left: events may come later.
    fn element(self) -> Option<Element> {
        self.view.try_get_untracked().flatten().map(Into::into)
    }

    fn is_at_end_untracked(self) -> bool {
        self.is_at_end.try_get_untracked().unwrap_or_default()
    }

    /// Only scrolling up leaves the end: added rows move the end, but not the container.
    pub(super) fn on_scroll(self) {
        let Some(view) = self.element() else {
            return;
        };
        let top = view.scroll_top();
        let before = self.last_scroll_top.try_get_value().unwrap_or_default();
        self.last_scroll_top.try_set_value(top);
        let is_near = view.scroll_height() - top - view.client_height() < NEAR_END_PX;
        let was_at_end = self.is_at_end_untracked();
        let is_at_end = is_near || (was_at_end && top >= before);
        if was_at_end != is_at_end {
            self.is_at_end.try_set(is_at_end);
        }
    }

    pub(super) fn jump_to_end(self) {
        self.is_at_end.try_set(true);
        self.scroll_to_end();
    }

    pub(super) fn follow_end(self) {
        if self.is_at_end_untracked() {
            self.scroll_to_end();
        }
    }

    /// Once new rows are laid out.
    fn scroll_to_end(self) {
        request_animation_frame(move || {
            if let Some(view) = self.element() {
                view.set_scroll_top(view.scroll_height());
            }
        });
    }

    /// Keeps the visible rows in place while `change` adds rows above them.
    pub(super) fn preserve_position(self, change: impl FnOnce()) {
        let before = self
            .element()
            .map(|view| view.scroll_height() - view.scroll_top());
        change();
        request_animation_frame(move || {
            if let (Some(view), Some(before)) = (self.element(), before) {
                view.set_scroll_top(view.scroll_height() - before);
            }
        });
    }
}
