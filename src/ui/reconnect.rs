//! Runs a [`ReconnectState`] with the page's clock and events.

use super::browser;
use crate::model::{
    Millis,
    page_clock::PageClock,
    reconnect::{
        ConnectionEffect, ConnectionEvent, DisconnectCause, ReconnectPolicy, ReconnectState,
        TIMER_INTERVAL,
    },
};
use leptos::{
    ev,
    leptos_dom::helpers::{IntervalHandle, WindowListenerHandle},
    prelude::*,
};
use std::{cell::Cell, time::Duration};

thread_local! {
    static PAGE_CLOCK: Cell<PageClock> = const { Cell::new(PageClock::new()) };
}

/// Monotonic milliseconds, including the device's sleep. Browser only.
#[must_use]
pub fn page_now() -> Millis {
    let mut clock = PAGE_CLOCK.get();
    let now = clock.read(browser::monotonic_now(), browser::now());
    PAGE_CLOCK.set(clock);
    now
}

/// A client that keeps a connection open.
pub trait ReconnectingClient: Copy + 'static {
    type Policy: ReconnectPolicy;

    /// `None` once the client's owner is disposed.
    fn with_reconnect<T>(
        self,
        then: impl FnOnce(&mut ReconnectState<Self::Policy>) -> T,
    ) -> Option<T>;

    /// Opens or closes the connection.
    fn apply(self, effect: ConnectionEffect);

    /// Reports that time has passed; called often.
    fn on_timer(self) {
        self.dispatch(ConnectionEvent::Timer);
    }

    /// Reconnects without backoff.
    fn retry_now(self) {
        self.dispatch(ConnectionEvent::RetryNow);
    }

    /// Records an event and applies its effect.
    fn dispatch(self, event: ConnectionEvent) {
        let effect = self
            .with_reconnect(|state| state.on_event(event, page_now(), browser::random()))
            .flatten();
        if let Some(effect) = effect {
            self.apply(effect);
            self.set_timer();
        }
    }

    /// Starts a timer for the next deadline.
    fn set_timer(self) {
        if let Some(deadline) = self.with_reconnect(|state| state.deadline()).flatten() {
            let delay: Millis = (deadline - page_now()).max(0);
            let delay = i32::try_from(delay).unwrap_or(i32::MAX);
            browser::run_after(delay, move || self.on_timer());
        }
    }
}

/// Reports events to a client until dropped.
#[derive(Debug)]
pub struct PageEvents {
    interval: Option<IntervalHandle>,
    listeners: Vec<WindowListenerHandle>,
}

impl PageEvents {
    /// Starts reporting.
    pub fn report_to(client: impl ReconnectingClient) -> Self {
        let interval = Duration::from_millis(TIMER_INTERVAL.unsigned_abs());
        Self {
            interval: set_interval_with_handle(move || client.on_timer(), interval).ok(),
            listeners: vec![
                window_event_listener(ev::online, move |_| {
                    client.retry_now();
                }),
                window_event_listener(ev::offline, move |_| {
                    client.dispatch(ConnectionEvent::Lost(DisconnectCause::ServerUnavailable));
                }),
            ],
        }
    }
}

impl Drop for PageEvents {
    fn drop(&mut self) {
        if let Some(interval) = self.interval {
            interval.clear();
        }
        for listener in self.listeners.drain(..) {
            listener.remove();
        }
    }
}
