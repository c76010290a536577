//! Whether the dock is expanded.

use leptos::prelude::*;

/// False while the call is minimized.
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

/// Whether the dock is expanded.
///
/// # Panics
/// Outside the dock.
#[must_use]
pub fn use_dock_expanded() -> RwSignal<bool> {
    let DockExpanded(is_expanded) = expect_context();
    is_expanded
}
