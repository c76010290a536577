//! The state of calls on this page: plain data, no browser in it.
//!
//! | module | contents |
//! |---|---|
//! | [`machine`] | the state machine, and what the server has not confirmed |
//! | [`recovery`] | when and how a lost path is restarted |
//! | [`video_adaptation`] | what video gives up on a narrow uplink |
//! | [`active_speaker`] | who speaks in a group call |
//! | [`path_diagnosis`] | why no path was found, in words |
//!
//! A page shows one [`ClientCallState`] at a time; the server makes sure that nobody is in two calls.

pub mod active_speaker;
pub mod machine;
pub mod path_diagnosis;
pub mod recovery;
pub mod video_adaptation;

use crate::model::{
    CallId, Millis, RoomId,
    call::{CallView, Media, Outcome, Seat, Side, group::GroupCallView},
    user::Person,
};

/// What a page shows of calls.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum ClientCallState {
    /// Nothing.
    #[default]
    Idle,
    /// About to call somebody, or to join the call of a room: a look at oneself first.
    Preview(Preview),
    /// The call of a room is being joined, and the server has not answered yet.
    Joining {
        /// The id it was said under.
        id: CallId,
        /// Which room.
        room: CallRoom,
    },
    /// This page is in the call of a room.
    InGroup(ActiveGroupCall),
    /// This page was in the call of a room, and is no more: its person went on with another page, or it did not come back in time.
    Removed(CallRoom),
    /// The start was said, and the server has not answered yet.
    Starting {
        /// The id it was said under.
        id: CallId,
        /// Whom.
        callee: Person,
        /// Voice or video.
        media: Media,
    },
    /// Somebody calls.
    Ringing(CallView),
    /// It was accepted here, and the server has not answered yet.
    Answering(CallView),
    /// This page holds a side of the call.
    InCall(ActiveCall),
    /// How the last call ended.
    Ended(EndedCall),
}

/// A room that has a call, or may have one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallRoom {
    /// Which room.
    pub id: RoomId,
    /// What it is called.
    pub title: String,
    /// The only call of it that this page may be in, for a guest. None for a member of the room, who joins whichever goes on.
    pub guest_call_id: Option<CallId>,
}

/// A group call that this page is in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActiveGroupCall {
    /// The call.
    pub view: GroupCallView,
    /// This page's place in it.
    pub seat: Seat,
    /// Where it is.
    pub room: CallRoom,
}

/// With whom a call is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallTarget {
    /// With one person.
    Person(Person),
    /// With whoever is in the call of a room.
    Room(CallRoom),
}

/// The call that this page is about to begin or to join.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preview {
    /// With whom.
    pub target: CallTarget,
    /// Voice or video.
    pub media: Media,
    /// Why the last try was refused.
    pub refusal: Option<String>,
}

/// A call that this page holds a side of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActiveCall {
    /// The call.
    pub view: CallView,
    /// When it was first connected, by this machine's clock.
    pub connected_since: Option<Millis>,
}

/// How a call ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndedCall {
    /// Which.
    pub id: CallId,
    /// With whom.
    pub person: Person,
    /// Which side this page was on.
    pub side: Side,
    /// Voice or video.
    pub media: Media,
    /// How.
    pub outcome: Outcome,
    /// How long the two were connected.
    pub duration: Option<Millis>,
}

impl ClientCallState {
    /// The call that is shown, unless it is over.
    #[must_use]
    pub fn call_id(&self) -> Option<CallId> {
        match self {
            Self::Idle | Self::Preview(_) | Self::Ended(_) | Self::Removed(_) => None,
            Self::Starting { id, .. } | Self::Joining { id, .. } => Some(*id),
            Self::Ringing(view) | Self::Answering(view) => Some(view.id),
            Self::InCall(active_call) => Some(active_call.view.id),
            Self::InGroup(group_call) => Some(group_call.view.id),
        }
    }

    /// Whether a call would end if this page were closed now.
    #[must_use]
    pub fn is_in_call(&self) -> bool {
        match self {
            Self::Starting { .. }
            | Self::Answering(_)
            | Self::InCall(_)
            | Self::Joining { .. }
            | Self::InGroup(_) => true,
            Self::Idle
            | Self::Preview(_)
            | Self::Ringing(_)
            | Self::Ended(_)
            | Self::Removed(_) => false,
        }
    }

    /// The look at oneself, while it is shown.
    #[must_use]
    pub fn preview(&self) -> Option<&Preview> {
        match self {
            Self::Preview(preview) => Some(preview),
            _ => None,
        }
    }

    /// The call that rings.
    #[must_use]
    pub fn ringing_call(&self) -> Option<&CallView> {
        match self {
            Self::Ringing(view) => Some(view),
            _ => None,
        }
    }

    /// The call with one person that this page holds a side of.
    #[must_use]
    pub fn active_call(&self) -> Option<&ActiveCall> {
        match self {
            Self::InCall(active_call) => Some(active_call),
            _ => None,
        }
    }

    /// The group call that this page is in.
    #[must_use]
    pub fn active_group_call(&self) -> Option<&ActiveGroupCall> {
        match self {
            Self::InGroup(group_call) => Some(group_call),
            _ => None,
        }
    }

    /// The room whose call this page is in, or about to be in.
    #[must_use]
    pub fn room(&self) -> Option<&CallRoom> {
        match self {
            Self::Joining { room, .. } | Self::Removed(room) => Some(room),
            Self::InGroup(group_call) => Some(&group_call.room),
            _ => None,
        }
    }

    /// How the last call ended, while that is shown.
    #[must_use]
    pub fn ended_call(&self) -> Option<&EndedCall> {
        match self {
            Self::Ended(ended_call) => Some(ended_call),
            _ => None,
        }
    }

    /// Whether microphone and camera are to be open.
    #[must_use]
    pub fn needs_devices(&self) -> bool {
        matches!(self, Self::Preview(_)) || self.is_in_call()
    }

    /// The call this page holds, once it was answered: when there is a peer to connect to.
    #[must_use]
    pub fn answered_call(&self) -> Option<&CallView> {
        self.active_call()
            .map(|active_call| &active_call.view)
            .filter(|view| view.state.is_answered())
    }

    /// The call that a path is got ready for: the caller offers as soon as the call exists, and a page that rings takes the offer in, so
    /// that an answer connects at once.
    #[must_use]
    pub fn call_to_connect(&self) -> Option<&CallView> {
        match self {
            Self::Ringing(view) | Self::Answering(view) => Some(view),
            Self::InCall(active_call) => Some(&active_call.view),
            _ => None,
        }
    }

    fn is_same_call(&self, view: &CallView) -> bool {
        self.call_id()
            .is_some_and(|id| id == view.id || view.merged_call == Some(id))
    }
}
