//! The scrolled view of a timeline: it follows the end while the reader is there, and stays where they are when not.

use leptos::{html, prelude::*};

/// This near to the end counts as being there, in pixels.
const NEAR: i32 = 80;

/// The scrolled view of a timeline.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scroll {
    pub(super) view: NodeRef<html::Div>,
    pub(super) at_end: RwSignal<bool>,
    /// How far down it was when it last moved, in pixels.
    top: StoredValue<i32>,
}

impl Scroll {
    /// At the end, where a room begins.
    pub(super) fn new() -> Self {
        Self {
            view: NodeRef::new(),
            at_end: RwSignal::new(true),
            top: StoredValue::new(0),
        }
    }

    /// The view moved, by the reader's doing or by ours. Being near the end is being there. Leaving it takes the reader: while
    /// rows are added the end runs away from a view that stands still, and following must not end by that.
    pub(super) fn moved(self) {
        let Some(view) = self.view.get_untracked() else {
            return;
        };
        let (top, before) = (view.scroll_top(), self.top.get_value());
        self.top.set_value(top);
        let is_near = view.scroll_height() - top - view.client_height() < NEAR;
        let at_end = is_near || (self.at_end.get_untracked() && top >= before);
        if self.at_end.get_untracked() != at_end {
            self.at_end.set(at_end);
        }
    }

    /// Shows the end, once what was just added has its place.
    pub(super) fn to_end(self, mark: bool) {
        if mark {
            self.at_end.set(true);
        }
        request_animation_frame(move || {
            if let Some(view) = self.view.get_untracked() {
                view.set_scroll_top(view.scroll_height());
            }
        });
    }

    /// Keeps what is being read where it is while something is put above it.
    pub(super) fn keep_in_place(self, change: impl FnOnce()) {
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
