//! Whether the dock is expanded. Provided by the dock to the views of a call.

use leptos::prelude::*;

/// True while the call has the large view, false while it is minimised.
#[derive(Debug, Clone, Copy)]
pub struct DockExpanded(pub RwSignal<bool>);

impl DockExpanded {
    /// Provides the state to all descendants, initially expanded.
    pub fn provide() -> Self {
        let expanded = Self(RwSignal::new(true));
        provide_context(expanded);
        expanded
    }
}

/// The dock's size.
///
/// # Panics
/// Panics outside the dock, which provides it.
#[must_use]
pub fn use_dock_expanded() -> RwSignal<bool> {
    let DockExpanded(is_expanded) = expect_context();
    is_expanded
}
