//! State that cannot be a signal because it holds browser handles.

use leptos::{prelude::*, reactive::send_wrapper_ext::SendOption};
use std::{cell::RefCell, rc::Rc};

/// A `Copy` handle to state that is created at its first use, never on the server.
pub struct BrowserState<T: 'static>(StoredValue<SendOption<Rc<RefCell<T>>>>);

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
    /// Calls `then` with the state; `None` once the owner is disposed. Browser only.
    ///
    /// # Panics
    ///
    /// If `then` uses this state.
    pub fn with<R>(self, then: impl FnOnce(&mut T) -> R) -> Option<R> {
        let state = self.state()?;
        Some(then(&mut state.borrow_mut()))
    }

    /// As [`Self::with`], with an empty state once disposed.
    ///
    /// # Panics
    ///
    /// If `then` uses this state.
    pub fn with_or_default<R>(self, then: impl FnOnce(&mut T) -> R) -> R {
        let state = self.state().unwrap_or_default();
        then(&mut state.borrow_mut())
    }

    fn state(self) -> Option<Rc<RefCell<T>>> {
        self.0
            .try_update_value(|state| state.get_or_insert_default().clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_owners_share_nothing_and_an_owner_that_is_gone_has_nothing() {
        let [one, other] = [Owner::new_root(None), Owner::new_root(None)];
        let states = [&one, &other].map(|owner| owner.with(BrowserState::<Vec<Rc<str>>>::default));
        let count = |owner: &Owner, state: BrowserState<Vec<Rc<str>>>| {
            owner.with(|| state.with(|handles| handles.len()))
        };
        one.with(|| states[0].with(|handles| handles.push("a handle".into())));
        assert_eq!(count(&one, states[0]), Some(1));
        assert_eq!(count(&other, states[1]), Some(0));
        one.cleanup();
        assert_eq!(count(&one, states[0]), None);
        let rest = one.with(|| states[0].with_or_default(|handles| handles.len()));
        assert_eq!(rest, 0);
    }

    #[test]
    fn an_unused_state_may_be_dropped_on_another_thread() {
        let owner = Owner::new_root(None);
        owner.with(BrowserState::<Vec<Rc<str>>>::default);
        std::thread::spawn(move || owner.cleanup()).join().unwrap();
    }
}
