//! State that holds browser handles, beside the reactive graph.

use leptos::{prelude::*, reactive::send_wrapper_ext::SendOption};
use std::{cell::RefCell, fmt, rc::Rc};

/// State that holds browser handles: a `Copy` handle, dropped with its reactive owner.
///
/// The value is created at the first use. So the server, where nothing uses it, has none to drop on another thread.
pub(in crate::calls) struct BrowserState<T: 'static>(StoredValue<SendOption<Rc<RefCell<T>>>>);

impl<T: Default> BrowserState<T> {
    pub(in crate::calls) fn new() -> Self {
        Self(StoredValue::new(SendOption::new_local(None)))
    }

    /// Borrows the value; an empty one once the owner is gone. Browser only.
    ///
    /// # Panics
    /// Panics if `then` borrows the same value again.
    pub(in crate::calls) fn with<U>(self, then: impl FnOnce(&mut T) -> U) -> U {
        let value = self
            .0
            .try_update_value(|value| value.get_or_insert_default().clone())
            .unwrap_or_default();
        then(&mut value.borrow_mut())
    }
}

impl<T> Copy for BrowserState<T> {}

impl<T> Clone for BrowserState<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> fmt::Debug for BrowserState<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("BrowserState")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_clients_share_nothing_and_a_client_that_is_gone_has_nothing() {
        let clients = [Owner::new_root(None), Owner::new_root(None)];
        let count = |client: &Owner, state: BrowserState<Vec<Rc<str>>>| {
            client.with(|| state.with(|handles| handles.len()))
        };
        let [one, other] = &clients;
        let states = [one, other].map(|client| client.with(BrowserState::<Vec<Rc<str>>>::new));
        one.with(|| states[0].with(|handles| handles.push("a handle".into())));
        assert_eq!((count(one, states[0]), count(other, states[1])), (1, 0));
        one.cleanup();
        assert_eq!(count(one, states[0]), 0);
    }

    #[test]
    fn an_unused_state_may_be_dropped_on_another_thread() {
        let owner = Owner::new();
        owner.with(BrowserState::<Vec<Rc<str>>>::new);
        std::thread::spawn(move || owner.cleanup()).join().unwrap();
    }
}
