//! The code for calls comes when somebody can be called, or wants to call. A call that comes before it is kept until it is here.

use super::{
    super::lazy_chunk::CALLS_CHUNK,
    CallsClient,
    state::{CallRoom, CallTarget, ClientCallState},
};
use crate::{
    model::{backoff, call::Media, user::Person},
    protocol::ws::ServerFrame,
    ui::browser,
};
use leptos::prelude::*;
use std::cell::RefCell;
use wasm_bindgen_futures::spawn_local;

/// How many tries may fail before somebody who has not asked for calls is told that there are none.
const MAX_HIDDEN_LOAD_FAILURES: u32 = 4;

/// Whether the code for calls is here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ChunkState {
    /// Nobody needs it.
    #[default]
    NotRequested,
    /// It is being loaded.
    Loading,
    /// It could not be loaded. It is tried again.
    Failed,
    /// It is here.
    Loaded,
}

/// A call that somebody wants to begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingCall {
    /// With whom.
    pub target: CallTarget,
    /// Voice or video.
    pub media: Media,
}

/// What is there for the code that is to come.
struct FrameBuffer {
    /// What the server has said of calls on this connection.
    frames: Vec<ServerFrame>,
    /// What it is to belong to.
    owner: Owner,
}

thread_local! {
    /// None once it has been handed over. Never touched on the server.
    static FRAME_BUFFER: RefCell<Option<FrameBuffer>> = const { RefCell::new(None) };
}

impl CallsClient {
    /// Begins to listen. Browser only, once.
    pub fn start_buffering(self) {
        let owner = Owner::current().unwrap_or_default();
        FRAME_BUFFER.set(Some(FrameBuffer {
            frames: Vec::new(),
            owner,
        }));
        self.socket.on_frame(|frame| {
            FRAME_BUFFER.with_borrow_mut(|buffer| {
                if let Some(kept) = buffer {
                    buffer_frame(&mut kept.frames, frame);
                }
            });
        });
        // Whoever was quick has pressed Call already.
        if self.should_show_loading.get_untracked() {
            self.load_chunk();
        }
    }

    /// Whether the code for calls is here.
    #[must_use]
    pub fn chunk_state(&self) -> Signal<ChunkState> {
        self.chunk_state.into()
    }

    /// Whether somebody has to see that the code for calls is not here yet.
    #[must_use]
    pub fn should_show_loading(&self) -> Signal<bool> {
        self.should_show_loading.into()
    }

    /// Has the code for calls loaded, as long as it takes. Browser only.
    pub fn load_chunk(self) {
        let is_buffering = FRAME_BUFFER.with_borrow(Option::is_some);
        if !is_buffering || self.chunk_state.get_untracked() != ChunkState::NotRequested {
            return;
        }
        self.chunk_state.set(ChunkState::Loading);
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

    /// Tries to load it now. Browser only.
    pub fn retry_load(self) {
        self.chunk_state.set(ChunkState::Loading);
        spawn_local(async move {
            self.try_load().await;
        });
    }

    /// Does not want to call any more, before the code for it is here.
    pub fn cancel_pending_call(self) {
        self.pending_call.set(None);
        self.should_show_loading.set(false);
    }

    /// Whether it is here now.
    async fn try_load(self) -> bool {
        let loaded = CALLS_CHUNK.load().await;
        // Another try may have come first.
        if self.chunk_state.get_untracked() == ChunkState::Loaded {
            return true;
        }
        let Ok(calls) = loaded else {
            self.chunk_state.set(ChunkState::Failed);
            return false;
        };
        if let Some(FrameBuffer { frames, owner }) = FRAME_BUFFER.take() {
            owner.with(|| (calls.start_client)(self, frames));
            self.chunk_state.set(ChunkState::Loaded);
            let pending_call = self.pending_call.get_untracked();
            self.cancel_pending_call();
            // Somebody else may have called first.
            if let Some(PendingCall { target, media }) = pending_call
                && self
                    .state
                    .with_untracked(|scene| *scene == ClientCallState::Idle)
            {
                (calls.open_preview)(self, target, media);
            }
        }
        true
    }

    /// Opens a look at oneself before calling somebody: what a Call button does.
    pub fn call_person(self, person: Person, media: Media) {
        let target = CallTarget::Person(person);
        self.request_call(PendingCall { target, media });
    }

    /// Opens a look at oneself before joining the call of a room, or starting it.
    pub fn join_group_call(self, room: CallRoom) {
        let (target, media) = (CallTarget::Room(room), Media::Video);
        self.request_call(PendingCall { target, media });
    }

    fn request_call(self, pending_call: PendingCall) {
        if self.chunk_state.get_untracked() == ChunkState::Loaded
            && let Some(calls) = CALLS_CHUNK.get()
        {
            (calls.open_preview)(self, pending_call.target, pending_call.media);
        } else {
            self.pending_call.set(Some(pending_call));
            self.should_show_loading.set(true);
            self.load_chunk();
        }
    }
}

/// Keeps what the server said of calls. It says all of it again on a new connection, and of a room's call only the last word counts.
fn buffer_frame(frames: &mut Vec<ServerFrame>, frame: &ServerFrame) {
    let is_call_frame = match frame {
        ServerFrame::Welcome { .. } => {
            frames.clear();
            true
        }
        ServerFrame::GroupCall { group } => {
            let is_former = |buffered: &ServerFrame| matches!(buffered, ServerFrame::GroupCall { group: former } if former.id == group.id);
            frames.retain(|kept| !is_former(kept));
            true
        }
        ServerFrame::Call { .. }
        | ServerFrame::Signal { .. }
        | ServerFrame::Error { call: Some(_), .. } => true,
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
            user::{Role, UserName},
        },
        protocol::ws::ErrorCode,
    };
    use uuid::Uuid;

    fn error_frame(call: Option<CallId>) -> ServerFrame {
        ServerFrame::Error {
            code: ErrorCode::Unavailable,
            reason: "busy".to_owned(),
            call,
        }
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
            limits: Limits {
                max_upload_bytes: 1,
            },
            heartbeat_ms: 5_000,
            build: String::new(),
        };
        buffer_frame(&mut frames, &welcome);
        assert_eq!(frames, [welcome]);
    }
}
