//! The live stream in the browser: one `EventSource` a page, for the page's whole life, whatever is on screen.
//!
//! Written by hand on web-sys: a browser's own reconnect has a fixed delay and no jitter, leptos-use's hook loses the cursor with
//! it, and neither notices a path that died without a word. So the connection is never left to reconnect by itself: it is closed
//! and a new one is opened from the cursor, after a backoff. When that is and what counts as dead is decided in
//! [`super::watch`], what is shown and what waits in [`crate::model::headlines`].

mod wire;

use self::wire::{Connected, is_current, lost, wire};
use super::{api::find_now, watch::Due};
use crate::{
    model::{
        Cursor, Millis, StoryId,
        headlines::{BREAKING_FOR, Breaking, NewsNow, Recent},
        story::Story,
    },
    protocol::{
        failure::Failure,
        sse::{self, Beat, Hello},
    },
    ui::{browser, build::Build},
};
use leptos::{prelude::*, task::spawn_local};
use std::time::Duration;
use wasm_bindgen::{JsCast, prelude::Closure};
use web_sys::{Event, EventSource, MessageEvent};

/// How often the connection is looked after.
const TICK: Duration = Duration::from_millis(500);
/// Under this a tab keeps which breaking story its reader has dismissed.
const DISMISSED: &str = "rialto.news.dismissed";

/// The live news of a page. A handle: copy it freely. Provided once, by the app.
#[derive(Clone, Copy)]
pub struct NewsLive {
    now: Resource<Result<NewsNow, Failure>>,
    /// None until the stream has a cursor to go on from.
    recent: RwSignal<Option<Recent>>,
    breaking: RwSignal<Announced>,
    dismissed: RwSignal<Option<StoryId>>,
    /// Counts: each time, what a page shows may have a hole and is to be fetched anew.
    resyncs: RwSignal<u32>,
    interrupted: RwSignal<Option<Millis>>,
    started: RwSignal<bool>,
    writing: RwSignal<bool>,
    build: Option<Build>,
}

impl std::fmt::Debug for NewsLive {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewsLive").finish_non_exhaustive()
    }
}

/// What the banner says, before it is asked what was dismissed.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Announced {
    /// What the server rendered.
    AsRendered,
    /// What has come since.
    Now(Option<Breaking>),
}

impl Announced {
    fn now(&self) -> Option<&Breaking> {
        match self {
            Self::AsRendered => None,
            Self::Now(breaking) => breaking.as_ref(),
        }
    }
}

/// The live news of this page.
///
/// # Panics
/// Outside the app, which provides it.
#[must_use]
pub fn use_news() -> NewsLive {
    expect_context()
}

impl NewsLive {
    /// Makes it available to the whole app; connects to nothing yet.
    pub fn provide() -> Self {
        let live = Self {
            now: Resource::new(|| (), |()| find_now()),
            recent: RwSignal::new(None),
            breaking: RwSignal::new(Announced::AsRendered),
            dismissed: RwSignal::new(None),
            resyncs: RwSignal::new(0),
            interrupted: RwSignal::new(None),
            started: RwSignal::new(false),
            writing: RwSignal::new(false),
            build: use_context(),
        };
        if let Some(build) = live.build {
            build.hold(live.writing.into());
        }
        provide_context(live);
        live
    }

    /// Connects, and stays connected while the page is visible. Browser only, from an effect, once.
    pub fn start(self) {
        if self.started.get_untracked() {
            return;
        }
        self.dismissed
            .set(browser::session_get(DISMISSED).and_then(|id| id.parse().ok()));
        self.started.set(true);
        set_interval(move || self.look_after(), TICK);
        window_event_listener(leptos::ev::online, move |_| self.try_now());
        window_event_listener(leptos::ev::offline, move |_| lost());
        let visible = RwSignal::new(browser::is_visible());
        window_event_listener_untyped("visibilitychange", move |_| {
            visible.set(browser::is_visible());
        });
        Effect::new(move |begun: Option<bool>| {
            let Some(now) = self.now.get() else {
                return false;
            };
            if begun != Some(true) {
                self.begin(now);
            }
            // A browser allows six connections to a server over HTTP/1.1, all tabs together: a hidden one gives its own back and
            // goes on from its cursor when it is looked at again.
            if visible.get() {
                self.dial();
            } else {
                self.pause();
            }
            true
        });
    }

    /// Where the page begins. A failure leaves the stream without a cursor: it then begins where the server says.
    fn begin(self, now: Result<NewsNow, Failure>) {
        if let Ok(now) = now {
            self.go_on_from(&now.cursor);
            self.breaking.set(Announced::Now(now.breaking));
        }
    }

    /// What the page began with. To be read inside a `Suspense`.
    #[must_use]
    pub fn now(&self) -> Resource<Result<NewsNow, Failure>> {
        self.now
    }

    /// Looks through the stories that came over the stream, oldest first. Tracks their coming.
    pub fn each_recent(&self, mut look: impl FnMut(&Story)) {
        self.recent
            .with(|recent| recent.iter().flat_map(Recent::stories).for_each(&mut look));
    }

    /// Counts how often the stream could not be resumed. When it changes, what a page shows is to be fetched anew.
    #[must_use]
    pub fn resyncs(&self) -> Signal<u32> {
        self.resyncs.into()
    }

    /// Since when the stream has been interrupted, if it has been for longer than a moment.
    #[must_use]
    pub fn interrupted(&self) -> Signal<Option<Millis>> {
        self.interrupted.into()
    }

    /// Whether the page is live: what only works then is to be shown only then.
    #[must_use]
    pub fn is_started(&self) -> Signal<bool> {
        self.started.into()
    }

    /// Says whether somebody is in the middle of writing a story, so that the page is not reloaded under their hands.
    pub fn set_writing(&self, writing: bool) {
        self.writing.try_set(writing);
    }

    /// What is breaking and not dismissed, `rendered` being what the server said.
    #[must_use]
    pub fn breaking(&self, rendered: Option<&Breaking>) -> Option<Breaking> {
        let breaking = match self.breaking.get() {
            Announced::AsRendered => rendered.cloned(),
            Announced::Now(breaking) => breaking,
        };
        breaking.filter(|breaking| self.dismissed.get() != Some(breaking.id))
    }

    /// Takes the banner away, for this story and this tab.
    pub fn dismiss(&self, story: StoryId) {
        browser::session_set(DISMISSED, &story.to_string());
        self.dismissed.set(Some(story));
    }

    /// Makes sure that everything after a page's cursor comes or has come. Browser only.
    pub fn go_on_from(self, page: &Cursor) {
        let mut moved = false;
        self.recent.maybe_update(|recent| {
            moved = recent.as_mut().is_none_or(|recent| recent.rewind(page));
            recent.get_or_insert_with(|| Recent::new(page.clone()));
            moved
        });
        if moved && wire(|wire| wire.connected.is_some()) {
            self.dial();
        }
    }

    /// A page could not be fetched anew after a resync: begin with that once more. Browser only.
    pub fn resync(self) {
        wire(|wire| wire.fetch_first = true);
        lost();
    }

    /// Tries again at once, if there is no connection. Browser only.
    pub fn try_now(self) {
        let down = wire(|wire| wire.watch.is_wanted() && wire.connected.is_none());
        if down {
            self.dial();
        }
    }

    fn pause(self) {
        wire(|wire| {
            wire.hang_up();
            wire.watch.paused();
        });
        self.interrupted.set(None);
    }

    /// Every tick: notices a dead path, connects again when it is time, and says how it stands.
    fn look_after(self) {
        let now = browser::now();
        match wire(|wire| wire.watch.due(now)) {
            Due::Nothing => {}
            Due::Dial => self.dial(),
            Due::GiveUp => lost(),
        }
        let since = wire(|wire| wire.watch.interrupted_since(now));
        if self.interrupted.get_untracked() != since {
            self.interrupted.set(since);
        }
        let over = |breaking: &Breaking| now - breaking.at > BREAKING_FOR;
        if self
            .breaking
            .with_untracked(|said| said.now().is_some_and(over))
        {
            self.breaking.set(Announced::Now(None));
        }
    }

    fn dial(self) {
        let generation = wire(|wire| {
            wire.hang_up();
            wire.watch.dialed(browser::now());
            wire.generation
        });
        if wire(|wire| wire.fetch_first) {
            spawn_local(self.fetch(generation));
            return;
        }
        match self.connect(generation) {
            Some(connected) => wire(|wire| wire.connected = Some(connected)),
            None => lost(),
        }
    }

    fn connect(self, generation: u32) -> Option<Connected> {
        let source = EventSource::new(&self.address()).ok()?;
        let on_error = Closure::new(move |_: Event| {
            if is_current(generation) {
                lost();
            }
        });
        source.set_onerror(Some(on_error.as_ref().unchecked_ref()));
        let on_event = [sse::HELLO, sse::STORY, sse::BEAT, sse::RESYNC].map(|name| {
            let listener = Closure::new(move |event: MessageEvent| {
                if is_current(generation) {
                    self.heard(name, &event.data().as_string().unwrap_or_default());
                }
            });
            // An event's name and a function are never refused.
            let _ =
                source.add_event_listener_with_callback(name, listener.as_ref().unchecked_ref());
            listener
        });
        Some(Connected {
            source,
            _on_error: on_error,
            _on_event: on_event,
        })
    }

    fn address(self) -> String {
        self.recent
            .with_untracked(|recent| match recent.as_ref().map(Recent::cursor) {
                Some(Cursor { epoch, seq }) => {
                    format!("/news/events?beat=true&epoch={}&after={seq}", epoch.0)
                }
                None => "/news/events?beat=true".to_owned(),
            })
    }

    fn heard(self, name: &str, data: &str) {
        let now = browser::now();
        wire(|wire| wire.watch.heard(now));
        let understood = match name {
            sse::HELLO => serde_json::from_str(data).map(|hello| self.greeted(now, hello)),
            sse::STORY => serde_json::from_str(data).map(|story| self.hear(now, story)),
            sse::BEAT => serde_json::from_str(data)
                .map(|Beat { seconds }| wire(|wire| wire.watch.beat(now, seconds))),
            _ => {
                self.resync();
                Ok(())
            }
        };
        // A newer server may say things this page does not know; it reloads when it can.
        if let Err(error) = understood {
            browser::warn(&format!(
                "the news stream's {name} was not understood: {error}"
            ));
        }
    }

    fn greeted(self, now: Millis, hello: Hello) {
        if let Some(build) = self.build {
            build.heard(&hello.build);
        }
        if !hello.recovered {
            // A resync follows, and with it this connection ends.
            return;
        }
        wire(|wire| wire.watch.greeted(now));
        self.interrupted.set(None);
        if self.recent.with_untracked(Option::is_none) {
            self.recent.set(Some(Recent::new(Cursor {
                epoch: hello.epoch,
                seq: hello.head,
            })));
        }
    }

    fn hear(self, now: Millis, mut story: Story) {
        self.announce(Breaking::of(&story, now));
        // Lists show summaries, and what waits may wait for long.
        story.html = String::new();
        let heard =
            |recent: &mut Option<Recent>| recent.as_mut().is_some_and(|recent| recent.hear(story));
        self.recent.maybe_update(heard);
    }

    /// A replay may bring an older one after a newer one: the newest stands.
    fn announce(self, breaking: Option<Breaking>) {
        let Some(breaking) = breaking else { return };
        if self
            .breaking
            .with_untracked(|said| said.now().is_none_or(|said| said.at <= breaking.at))
        {
            self.breaking.set(Announced::Now(Some(breaking)));
        }
    }

    /// After a resync: finds out where the stream stands, goes on from there and lets the page catch up.
    async fn fetch(self, generation: u32) {
        let now = find_now().await;
        if !is_current(generation) {
            return;
        }
        let Ok(now) = now else { return lost() };
        wire(|wire| wire.fetch_first = false);
        self.recent.set(Some(Recent::new(now.cursor)));
        self.announce(now.breaking);
        self.resyncs
            .update(|resyncs| *resyncs = resyncs.wrapping_add(1));
        self.dial();
    }
}
