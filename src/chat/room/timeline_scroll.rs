//! The scrolled view of a timeline: it follows the end while the reader is there, and stays where they are when not.

use leptos::{html, prelude::*};

/// This near to the end counts as being there, in pixels.
const NEAR_END_PX: i32 = 80;

/// The scrolled view of a timeline.
#[derive(Debug, Clone, Copy)]
pub(super) struct TimelineScroll {
    pub(super) view: NodeRef<html::Div>,
    pub(super) is_at_end: RwSignal<bool>,
    /// How far down it was when it last moved, in pixels.
    last_scroll_top: StoredValue<i32>,
}

impl TimelineScroll {
    /// At the end, where a room begins.
    pub(super) fn new() -> Self {
        Self {
            view: NodeRef::new(),
            is_at_end: RwSignal::new(true),
            last_scroll_top: StoredValue::new(0),
        }
    }

    /// The view moved, by the reader's doing or by ours. Being near the end is being there. Leaving it takes the reader: while
    /// rows are added the end runs away from a view that stands still, and following must not end by that.
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

    /// Shows the end, once what was just added has its place.
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

    /// Keeps what is being read where it is while something is put above it.
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
