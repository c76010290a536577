//! Loads the chunk, and holds what waits for it: call frames, and a call to start.

use super::chunk::CallsChunk;
use crate::{
    calls::client::{
        CallsClient,
        state::{CallRoom, CallTarget, ClientCallState},
    },
    model::{backoff, call::Media, user::Person},
    protocol::ws::{Refusal, ServerFrame},
    ui::{browser, lazy::LazyChunk, socket::Socket},
};
use leptos::{prelude::*, task::spawn_local};

/// Failed attempts before a person who requested no call is informed.
const MAX_HIDDEN_LOAD_FAILURES: u32 = 4;

/// Loading state of the chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ChunkState {
    #[default]
    NotRequested,
    Loading,
    /// The last attempt failed; another one follows.
    Failed,
    /// The client is active.
    Loaded,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct PendingCall {
    target: CallTarget,
    media: Media,
}

#[derive(Debug)]
struct FrameBuffer {
    /// Call frames of the current connection.
    frames: Vec<ServerFrame>,
    /// Owns what the client creates.
    owner: Owner,
}

/// Loads the chunk; provided once by the app.
#[derive(Debug, Clone, Copy)]
pub struct CallsLoader {
    client: CallsClient,
    chunk: &'static LazyChunk<CallsChunk>,
    state: RwSignal<ChunkState>,
    should_show_loading: RwSignal<bool>,
    pending_call: RwSignal<Option<PendingCall>>,
    /// `None` before [`Self::start_buffering`], and once the client has the frames.
    buffer: StoredValue<Option<FrameBuffer>>,
}

/// The loader of this page.
///
/// # Panics
/// Panics outside the app.
#[must_use]
pub fn use_calls_loader() -> CallsLoader {
    expect_context()
}

impl CallsLoader {
    /// Provides the loader to the whole app.
    pub fn provide(client: CallsClient, chunk: &'static LazyChunk<CallsChunk>) -> Self {
        let loader = Self {
            client,
            chunk,
            state: RwSignal::default(),
            should_show_loading: RwSignal::default(),
            pending_call: RwSignal::default(),
            buffer: StoredValue::new(None),
        };
        provide_context(loader);
        loader
    }

    /// Buffers call frames until the chunk is loaded. Browser only, once, before the socket connects.
    pub fn start_buffering(self, socket: Socket) {
        self.buffer.set_value(Some(FrameBuffer {
            frames: Vec::new(),
            owner: Owner::current().unwrap_or_default(),
        }));
        socket.on_frame(move |frame| {
            self.buffer.try_update_value(|buffer| {
                if let Some(buffer) = buffer {
                    buffer_frame(&mut buffer.frames, frame);
                }
            });
        });
        // A Call button may have been pressed already.
        if self.should_show_loading.get_untracked() {
            self.load();
        }
    }

    /// The chunk, once the client runs.
    #[must_use]
    pub fn chunk(&self) -> Option<CallsChunk> {
        (self.state.get() == ChunkState::Loaded)
            .then(|| self.chunk.get())
            .flatten()
    }

    /// The loading state.
    #[must_use]
    pub fn state(&self) -> Signal<ChunkState> {
        self.state.into()
    }

    /// Whether the page shows that the chunk is missing.
    #[must_use]
    pub fn should_show_loading(&self) -> Signal<bool> {
        self.should_show_loading.into()
    }

    /// Loads the chunk, with retries. Browser only.
    pub fn load(self) {
        let is_buffering = self.buffer.with_value(Option::is_some);
        if !is_buffering || self.state.get_untracked() != ChunkState::NotRequested {
            return;
        }
        self.state.set(ChunkState::Loading);
        spawn_local(async move {
            let mut failures = 0;
            while !self.try_load().await {
                failures += 1;
                if failures == MAX_HIDDEN_LOAD_FAILURES {
                    self.should_show_loading.set(true);
                }
                browser::sleep(backoff::retry_delay(failures, browser::random())).await;
            }
        });
    }

    /// Tries to load the chunk now. Browser only.
    pub fn retry(self) {
        self.state.set(ChunkState::Loading);
        spawn_local(async move {
            self.try_load().await;
        });
    }

    /// Cancels the call that waits for the chunk.
    pub fn cancel_pending_call(self) {
        self.pending_call.set(None);
        self.should_show_loading.set(false);
    }

    /// True if the chunk is loaded now.
    async fn try_load(self) -> bool {
        let loaded = self.chunk.load().await;
        // Another attempt may have succeeded meanwhile.
        if self.state.get_untracked() == ChunkState::Loaded {
            return true;
        }
        let Ok(chunk) = loaded else {
            self.state.set(ChunkState::Failed);
            return false;
        };
        let buffer = self.buffer.try_update_value(Option::take).flatten();
        if let Some(FrameBuffer { frames, owner }) = buffer {
            owner.with(|| (chunk.start_client)(self.client, frames));
            self.state.set(ChunkState::Loaded);
            let pending_call = self.pending_call.get_untracked();
            self.cancel_pending_call();
            // A call may have arrived first.
            if let Some(PendingCall { target, media }) = pending_call
                && self
                    .client
                    .state()
                    .with_untracked(|state| *state == ClientCallState::Idle)
            {
                (chunk.open_preview)(self.client, target, media);
            }
        }
        true
    }

    /// Opens the preview of a call.
    pub fn call_person(self, person: Person, media: Media) {
        let target = CallTarget::Person(person);
        self.request_call(PendingCall { target, media });
    }

    /// Opens the preview of a group call.
    pub fn join_group_call(self, room: CallRoom) {
        let (target, media) = (CallTarget::Room(room), Media::Video);
        self.request_call(PendingCall { target, media });
    }

    fn request_call(self, call: PendingCall) {
        if self.state.get_untracked() == ChunkState::Loaded
            && let Some(chunk) = self.chunk.get()
        {
            (chunk.open_preview)(self.client, call.target, call.media);
        } else {
            self.pending_call.set(Some(call));
            self.should_show_loading.set(true);
            self.load();
        }
    }
}

/// The server repeats all calls on a new connection; only the newest frame of a group call counts.
fn buffer_frame(frames: &mut Vec<ServerFrame>, frame: &ServerFrame) {
    let is_call_frame = match frame {
        ServerFrame::Welcome { .. } => {
            frames.clear();
            true
        }
        ServerFrame::GroupCall { group } => {
            let is_former = |buffered: &ServerFrame| matches!(buffered, ServerFrame::GroupCall { group: former } if former.id == group.id);
            frames.retain(|buffered| !is_former(buffered));
            true
        }
        ServerFrame::Call { .. }
        | ServerFrame::Signal { .. }
        | ServerFrame::Error(Refusal { call: Some(_), .. }) => true,
        _ => false,
    };
    if is_call_frame {
        frames.push(frame.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::{
            CallId, UserId,
            limits::Limits,
            user::{PersonalSettings, Role, UserName},
        },
        protocol::ws::ErrorCode,
    };
    use uuid::Uuid;

    fn error_frame(call: Option<CallId>) -> ServerFrame {
        ServerFrame::Error(Refusal {
            call,
            ..Refusal::new(ErrorCode::Unavailable, "busy")
        })
    }

    #[test]
    fn call_frames_are_buffered_and_those_of_a_former_connection_dropped() {
        let mut frames = Vec::new();
        let call = CallId(Uuid::from_u128(1));
        buffer_frame(&mut frames, &error_frame(Some(call)));
        buffer_frame(&mut frames, &error_frame(None));
        buffer_frame(&mut frames, &ServerFrame::Pong { n: 1 });
        assert_eq!(frames, [error_frame(Some(call))]);
        let welcome = ServerFrame::Welcome {
            user: Person {
                id: UserId(Uuid::from_u128(2)),
                name: UserName::new("Ada").unwrap(),
                role: Role::Guest,
            },
            rooms: Vec::new(),
            crowd: 0,
            settings: PersonalSettings::default(),
            limits: Limits::default(),
            heartbeat_ms: 5_000,
            build: String::new(),
        };
        buffer_frame(&mut frames, &welcome);
        assert_eq!(frames, [welcome]);
    }
}
