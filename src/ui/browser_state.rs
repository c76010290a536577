//! State that cannot be a signal because it holds browser handles.

use leptos::{prelude::*, reactive::send_wrapper_ext::SendOption};

/// A cheap `Copy` handle to state that belongs to the reactive owner it was created under. The state itself is created
/// at its first use, in the browser, so the server never holds any.
pub struct BrowserState<T: 'static>(StoredValue<SendOption<T>>);

impl<T> Clone for BrowserState<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for BrowserState<T> {}

impl<T> std::fmt::Debug for BrowserState<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BrowserState").finish_non_exhaustive()
    }
}

impl<T: Default> Default for BrowserState<T> {
    fn default() -> Self {
        Self(StoredValue::new(SendOption::new_local(None)))
    }
}

impl<T: Default> BrowserState<T> {
    /// Calls a function with the state; `None` once the owner is disposed. The function must not use this state again.
    /// Browser only.
    pub fn with<R>(self, then: impl FnOnce(&mut T) -> R) -> Option<R> {
        self.0
            .try_update_value(|state| then(state.get_or_insert_with(T::default)))
    }
}
