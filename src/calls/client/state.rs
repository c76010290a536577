//! The state of calls on this page. Its modules do not access the browser.
//!
//! A page shows one [`ClientCallState`] at a time; the server keeps a person in at most one call.

pub mod active_speaker;
pub mod connection_quality;
pub mod machine;
pub mod path_diagnosis;
pub mod recovery;
pub mod retransmit_timers;
pub mod video_adaptation;

use crate::model::{
    CallId, Millis, RoomId,
    call::{CallView, Media, Outcome, Seat, Side, group::GroupCallView},
    user::{Person, PersonalSettings},
};

/// The call state of this page.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum ClientCallState {
    #[default]
    Idle,
    Preview(Preview),
    /// The server has not replied to the join.
    Joining {
        id: CallId,
        room: CallRoom,
    },
    InGroup(ActiveGroupCall),
    /// The person continued on another page, or this one did not reconnect in time.
    Removed(CallRoom),
    /// The server has not replied to the start.
    Starting {
        id: CallId,
        callee: Person,
        media: Media,
    },
    Ringing(CallView),
    /// Accepted here; not confirmed by the server.
    Answering(CallView),
    InCall(ActiveCall),
    Ended(EndedCall),
}

/// A room whose call this page joins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallRoom {
    pub id: RoomId,
    pub title: String,
    /// The only call that a guest may join; `None` for a member.
    pub guest_call_id: Option<CallId>,
}

/// A group call that this page is in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActiveGroupCall {
    pub view: GroupCallView,
    pub seat: Seat,
    pub room: CallRoom,
}

/// The other party of a call to start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallTarget {
    Person(Person),
    Room(CallRoom),
}

/// A call to start or join.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preview {
    pub target: CallTarget,
    pub media: Media,
    pub refusal: Option<String>,
}

/// A two-party call of this page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActiveCall {
    pub view: CallView,
    /// When it first connected, by the local clock.
    pub connected_since: Option<Millis>,
}

/// The summary of an ended call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndedCall {
    pub id: CallId,
    pub person: Person,
    /// Side of this page.
    pub side: Side,
    pub media: Media,
    pub outcome: Outcome,
    /// Connected time.
    pub duration: Option<Millis>,
}

impl ClientCallState {
    /// Id of the current call.
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

    /// Whether closing this page would end a call.
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

    /// The preview, if shown.
    #[must_use]
    pub fn preview(&self) -> Option<&Preview> {
        match self {
            Self::Preview(preview) => Some(preview),
            _ => None,
        }
    }

    /// The ringing call.
    #[must_use]
    pub fn ringing_call(&self) -> Option<&CallView> {
        match self {
            Self::Ringing(view) => Some(view),
            _ => None,
        }
    }

    /// The two-party call of this page.
    #[must_use]
    pub fn active_call(&self) -> Option<&ActiveCall> {
        match self {
            Self::InCall(active_call) => Some(active_call),
            _ => None,
        }
    }

    /// The group call of this page.
    #[must_use]
    pub fn active_group_call(&self) -> Option<&ActiveGroupCall> {
        match self {
            Self::InGroup(group_call) => Some(group_call),
            _ => None,
        }
    }

    /// Seats of blocked people in the group call.
    #[must_use]
    pub fn blocked_seats(&self, settings: &PersonalSettings) -> Vec<Seat> {
        let participants = self
            .active_group_call()
            .into_iter()
            .flat_map(|group_call| &group_call.view.participants);
        participants
            .filter(|participant| settings.has_blocked(participant.person.id))
            .map(|participant| participant.seat)
            .collect()
    }

    /// The room of the current or requested group call.
    #[must_use]
    pub fn room(&self) -> Option<&CallRoom> {
        match self {
            Self::Joining { room, .. } | Self::Removed(room) => Some(room),
            Self::InGroup(group_call) => Some(&group_call.room),
            _ => None,
        }
    }

    /// The summary, if shown.
    #[must_use]
    pub fn ended_call(&self) -> Option<&EndedCall> {
        match self {
            Self::Ended(ended_call) => Some(ended_call),
            _ => None,
        }
    }

    /// Whether microphone and camera should be open.
    #[must_use]
    pub fn needs_devices(&self) -> bool {
        matches!(self, Self::Preview(_)) || self.is_in_call()
    }

    /// The answered two-party call.
    #[must_use]
    pub fn answered_call(&self) -> Option<&CallView> {
        self.active_call()
            .map(|active_call| &active_call.view)
            .filter(|view| view.state.is_answered())
    }

    /// The two-party call to connect, also while it rings.
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
