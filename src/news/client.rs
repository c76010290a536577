//! The live stream in the browser: one `EventSource` per page.
//!
//! A failed connection is replaced from the cursor: the browser reconnects without jitter, leptos-use's hook loses the cursor, and neither
//! detects a dead connection.

mod banner_state;
mod connection;

use self::{
    banner_state::BannerState,
    connection::{Connection, EventSourceHandle},
};
use super::{api::find_news_status, reconnect_policy::StreamPolicy};
use crate::{
    model::{
        Cursor, Millis, StoryId,
        headlines::{BREAKING_TTL, BreakingStory, NewsStatus, ReceiveOutcome, RecentStories},
        reconnect::{ConnectionEffect, ConnectionEvent, DisconnectCause, ReconnectState},
        story::Story,
    },
    protocol::{
        failure::Failure,
        sse::{self, Heartbeat, Hello},
    },
    ui::{
        browser,
        browser_state::BrowserState,
        build::BuildTracker,
        page_visibility::use_page_visibility,
        reconnect::{PageEvents, ReconnectingClient, page_now},
    },
};
use leptos::{prelude::*, task::spawn_local};
use wasm_bindgen::{JsCast, prelude::Closure};
use web_sys::{Event, EventSource, MessageEvent};

const DISMISSED_STORAGE_KEY: &str = "rialto.news.dismissed";

/// The live news of a page.
#[derive(Clone, Copy)]
pub struct NewsStream {
    status: Resource<Result<NewsStatus, Failure>>,
    /// `None` until a cursor is known.
    recent: RwSignal<Option<RecentStories>>,
    breaking: RwSignal<BannerState>,
    dismissed: RwSignal<Option<StoryId>>,
    resyncs: RwSignal<u32>,
    interrupted_since: RwSignal<Option<Millis>>,
    is_started: RwSignal<bool>,
    is_writing: RwSignal<bool>,
    build: Option<BuildTracker>,
    connection: BrowserState<Connection>,
}

impl std::fmt::Debug for NewsStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewsStream").finish_non_exhaustive()
    }
}

/// The live news of this page.
///
/// # Panics
///
/// Outside the app.
#[must_use]
pub fn use_news() -> NewsStream {
    expect_context()
}

impl NewsStream {
    /// Provides the context, unconnected.
    pub fn provide() -> Self {
        let client = Self {
            status: Resource::new(|| (), |()| find_news_status()),
            recent: RwSignal::new(None),
            breaking: RwSignal::new(BannerState::AsRendered),
            dismissed: RwSignal::new(None),
            resyncs: RwSignal::new(0),
            interrupted_since: RwSignal::new(None),
            is_started: RwSignal::new(false),
            is_writing: RwSignal::new(false),
            build: use_context(),
            connection: BrowserState::default(),
        };
        if let Some(build) = client.build {
            build.block_reload_while(client.is_writing.into());
        }
        provide_context(client);
        client
    }

    /// Stays connected while the page is visible. Browser only; call once, from an effect.
    pub fn start(self) {
        if self.is_started.get_untracked() {
            return;
        }
        self.dismissed.set(
            browser::session_storage_get(DISMISSED_STORAGE_KEY).and_then(|id| id.parse().ok()),
        );
        self.is_started.set(true);
        let page_events = PageEvents::report_to(self);
        self.connection
            .with(|connection| connection.page_events = Some(page_events));
        let is_visible = use_page_visibility();
        Effect::new(move |has_started: Option<bool>| {
            let Some(status) = self.status.get() else {
                return false;
            };
            if has_started != Some(true) {
                self.apply_status(status);
            }
            // Browsers allow six HTTP/1.1 connections per host across all tabs: a hidden tab closes its own.
            if is_visible.get() {
                self.dispatch(ConnectionEvent::Start);
            } else {
                self.dispatch(ConnectionEvent::Stop);
                self.interrupted_since.set(None);
            }
            true
        });
    }

    /// Without a status, the stream starts at the server's head.
    fn apply_status(self, status: Result<NewsStatus, Failure>) {
        if let Ok(status) = status {
            self.resume_from(&status.cursor);
            self.breaking.set(BannerState::Updated(status.breaking));
        }
    }

    /// The initial status, to read inside a `Suspense`.
    #[must_use]
    pub fn status(&self) -> Resource<Result<NewsStatus, Failure>> {
        self.status
    }

    /// Calls `visit` with each streamed story, oldest first. Tracks new stories.
    pub fn for_each_recent(&self, mut visit: impl FnMut(&Story)) {
        self.recent.with(|recent| {
            recent
                .iter()
                .flat_map(RecentStories::stories)
                .for_each(&mut visit);
        });
    }

    /// When this changes, displayed lists must be fetched again.
    #[must_use]
    pub fn resyncs(&self) -> Signal<u32> {
        self.resyncs.into()
    }

    /// Start of an interruption long enough to be shown.
    #[must_use]
    pub fn interrupted_since(&self) -> Signal<Option<Millis>> {
        self.interrupted_since.into()
    }

    /// Whether the page is hydrated.
    #[must_use]
    pub fn is_started(&self) -> Signal<bool> {
        self.is_started.into()
    }

    /// Blocks reloads for a new build while a story is written.
    pub fn set_writing(&self, writing: bool) {
        self.is_writing.try_set(writing);
    }

    /// The breaking story: `rendered` until an update is received.
    #[must_use]
    pub fn breaking(&self, rendered: Option<&BreakingStory>) -> Option<BreakingStory> {
        let breaking = match self.breaking.get() {
            BannerState::AsRendered => rendered.cloned(),
            BannerState::Updated(breaking) => breaking,
        };
        breaking.filter(|breaking| self.dismissed.get() != Some(breaking.id))
    }

    /// Hides this story's banner in this tab.
    pub fn dismiss(&self, story: StoryId) {
        browser::session_storage_set(DISMISSED_STORAGE_KEY, &story.to_string());
        self.dismissed.set(Some(story));
    }

    /// Rewinds the stream if needed, so that every story after `from` is received. Browser only.
    pub fn resume_from(self, from: &Cursor) {
        let mut moved = false;
        if self.is_of_other_epoch(from) {
            // The banner may be of another epoch too.
            self.connection
                .with(|connection| connection.needs_status = true);
        }
        self.recent.maybe_update(|recent| {
            moved = recent.as_mut().is_none_or(|recent| recent.rewind(from));
            recent.get_or_insert_with(|| RecentStories::new(from.clone()));
            moved
        });
        let is_open = self
            .connection
            .with(|connection| connection.event_source.is_some());
        if moved && is_open == Some(true) {
            self.dispatch(ConnectionEvent::Start);
        }
    }

    fn is_of_other_epoch(self, from: &Cursor) -> bool {
        self.recent.with_untracked(|recent| {
            recent
                .as_ref()
                .is_some_and(|recent| recent.cursor().epoch != from.epoch)
        })
    }

    /// Schedules another resync after a failed fetch. Browser only.
    pub fn retry_resync(self) {
        self.connection
            .with(|connection| connection.needs_status = true);
        self.reconnect_later();
    }

    fn reconnect_later(self) {
        self.dispatch(ConnectionEvent::Lost(DisconnectCause::ServerUnavailable));
    }

    fn open_event_source(self) -> Option<EventSourceHandle> {
        let source = EventSource::new(&self.stream_url()).ok()?;
        let on_error = Closure::new(move |_: Event| self.reconnect_later());
        source.set_onerror(Some(on_error.as_ref().unchecked_ref()));
        let on_event = [
            sse::HELLO_EVENT,
            sse::STORY_EVENT,
            sse::HEARTBEAT_EVENT,
            sse::RESYNC_EVENT,
        ]
        .map(|name| {
            let listener = Closure::new(move |event: MessageEvent| {
                self.on_event(name, &event.data().as_string().unwrap_or_default());
            });
            let _ =
                source.add_event_listener_with_callback(name, listener.as_ref().unchecked_ref());
            listener
        });
        Some(EventSourceHandle {
            source,
            _on_error: on_error,
            _on_event: on_event,
        })
    }

    fn stream_url(self) -> String {
        self.recent
            .with_untracked(|recent| match recent.as_ref().map(RecentStories::cursor) {
                Some(Cursor { epoch, seq }) => {
                    format!("/news/events?beat=true&epoch={}&after={seq}", epoch.0)
                }
                None => "/news/events?beat=true".to_owned(),
            })
    }

    fn on_event(self, name: &str, data: &str) {
        let now = browser::now();
        self.dispatch(ConnectionEvent::Received);
        let understood = match name {
            sse::HELLO_EVENT => serde_json::from_str(data).map(|hello| self.on_hello(hello)),
            sse::STORY_EVENT => serde_json::from_str(data).map(|story| self.on_story(now, story)),
            sse::HEARTBEAT_EVENT => serde_json::from_str(data).map(|heartbeat: Heartbeat| {
                self.with_reconnect(|reconnect| {
                    reconnect
                        .policy
                        .set_heartbeat_interval(heartbeat.interval_seconds);
                });
            }),
            _ => {
                self.retry_resync();
                Ok(())
            }
        };
        // A newer server may send unknown events.
        if let Err(error) = understood {
            browser::warn(&format!("invalid {name} event in the news stream: {error}"));
            if name == sse::STORY_EVENT {
                // Resuming before it would end here again.
                self.retry_resync();
            }
        }
    }

    fn on_hello(self, hello: Hello) {
        if let Some(build) = self.build {
            build.set_server_build(&hello.build);
        }
        if !hello.recovered {
            // A resync event follows and ends this connection.
            return;
        }
        self.dispatch(ConnectionEvent::Welcomed);
        self.interrupted_since.set(None);
        if self.recent.with_untracked(Option::is_none) {
            self.recent.set(Some(RecentStories::new(Cursor {
                epoch: hello.epoch,
                seq: hello.head,
            })));
        }
    }

    /// A gap that the server cannot fill is answered with a resync.
    fn on_story(self, now: Millis, mut story: Story) {
        self.update_banner(BreakingStory::from_story(&story, now));
        // Lists show summaries; pending stories stay in memory for long.
        story.html = String::new();
        let mut outcome = ReceiveOutcome::Duplicate;
        self.recent.maybe_update(|recent| {
            if let Some(recent) = recent {
                outcome = recent.receive(story);
            }
            outcome == ReceiveOutcome::Added
        });
        match outcome {
            ReceiveOutcome::Added | ReceiveOutcome::Duplicate => {}
            ReceiveOutcome::Gap => self.reconnect_later(),
        }
    }

    fn update_banner(self, breaking: Option<BreakingStory>) {
        let Some(breaking) = breaking else { return };
        if self
            .breaking
            .with_untracked(|banner| banner.is_older_than(&breaking))
        {
            self.breaking.set(BannerState::Updated(Some(breaking)));
        }
    }

    /// The page's clock counts durations, `now` is shown: a start is converted once.
    fn update_interruption(self, now: Millis) {
        let age = self
            .with_reconnect(|reconnect| reconnect.policy.interruption_age(page_now()))
            .flatten();
        let is_shown = self
            .interrupted_since
            .try_with_untracked(Option::is_some)
            .unwrap_or_default();
        if is_shown != age.is_some() {
            self.interrupted_since.try_set(age.map(|age| now - age));
        }
    }

    /// Resumes from the current status and makes lists fetch again.
    async fn fetch_status(self, attempt: Option<u32>) {
        let status = find_news_status().await;
        if attempt.is_none() || self.with_reconnect(|reconnect| reconnect.attempt()) != attempt {
            return;
        }
        let Ok(status) = status else {
            return self.reconnect_later();
        };
        self.connection
            .with(|connection| connection.needs_status = false);
        self.recent.set(Some(RecentStories::new(status.cursor)));
        // Not compared: its epoch may be another.
        self.breaking.set(BannerState::Updated(status.breaking));
        self.resyncs
            .update(|resyncs| *resyncs = resyncs.wrapping_add(1));
        self.dispatch(ConnectionEvent::Start);
    }
}

impl ReconnectingClient for NewsStream {
    type Policy = StreamPolicy;

    fn with_reconnect<T>(
        self,
        then: impl FnOnce(&mut ReconnectState<StreamPolicy>) -> T,
    ) -> Option<T> {
        self.connection
            .with(|connection| then(&mut connection.reconnect))
    }

    /// Also restarts a status request, which may hang.
    fn retry_now(self) {
        let is_fetching_status = self.connection.with(|connection| {
            connection.event_source.is_none() && connection.reconnect.phase().is_some()
        });
        self.dispatch(if is_fetching_status == Some(true) {
            ConnectionEvent::Start
        } else {
            ConnectionEvent::RetryNow
        });
    }

    fn apply(self, effect: ConnectionEffect) {
        self.connection
            .with(|connection| connection.event_source = None);
        match effect {
            ConnectionEffect::Connect => {
                let needs_status = self.connection.with(|connection| connection.needs_status);
                if needs_status == Some(true) {
                    let attempt = self.with_reconnect(|reconnect| reconnect.attempt());
                    spawn_local(self.fetch_status(attempt));
                } else if let Some(handle) = self.open_event_source() {
                    self.connection
                        .with(|connection| connection.event_source = Some(handle));
                } else {
                    self.reconnect_later();
                }
            }
            ConnectionEffect::BackOff | ConnectionEffect::Close => {}
        }
    }

    fn on_timer(self) {
        self.dispatch(ConnectionEvent::Timer);
        let now = browser::now();
        self.update_interruption(now);
        let over = |breaking: &BreakingStory| now - breaking.at > BREAKING_TTL;
        if self
            .breaking
            .try_with_untracked(|banner| banner.updated().is_some_and(over))
            .unwrap_or_default()
        {
            self.breaking.try_set(BannerState::Updated(None));
        }
    }
}
