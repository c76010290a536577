//! Calls between two people: their states, their outcomes, and the machine that goes from one to the next. And calls in rooms.
//!
//! | module | what it holds |
//! |---|---|
//! | here | the words in which server and pages speak of calls |
//! | [`machine`] | the state machine, driven by the server |
//! | [`group`] | calls in rooms: who is in one |
//! | [`rooms`] | which of them go on, as a page knows it |
//! | [`words`] | states and outcomes as people read them |

pub mod group;
pub mod known_group_calls;
pub mod state_machine;
pub mod text;

pub use group::Seat;
pub use state_machine::{Call, Input, Rejection, Request, Timeouts};
pub use text::{duration_text, outcome_text};

use super::{CallId, Millis, RoomId, UserId, user::Person};
use serde::{Deserialize, Serialize};

/// What a call carries from its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Media {
    /// Sound.
    Voice,
    /// Sound and pictures.
    Video,
}

/// Where a call stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum State {
    /// Started; no page of the callee rings yet.
    Dialing,
    /// At least one page of the callee rings.
    Ringing,
    /// Accepted; the two pages are looking for a path to each other.
    Connecting,
    /// Both pages say that they are connected.
    Connected,
    /// One of them lost the other, or the server lost one of them; they are trying to come back.
    Reconnecting,
    /// Over. Nothing follows.
    Ended {
        /// How.
        outcome: Outcome,
    },
}

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Somebody hung up after an answer.
    HungUp,
    /// The callee declined.
    Declined,
    /// The callee was in another call.
    Busy,
    /// Nobody answered in time.
    NoAnswer,
    /// The caller gave up before an answer.
    Cancelled,
    /// Another page of the callee answered: what the others are told. Never the outcome of the call itself.
    AnsweredElsewhere,
    /// A side vanished, or no path was found.
    Failed,
}

/// Which side of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// Who called. The impolite peer of perfect negotiation, and the one that makes offers.
    Caller,
    /// Who was called. The polite peer.
    Callee,
}

impl Side {
    /// The other one.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::Caller => Self::Callee,
            Self::Callee => Self::Caller,
        }
    }
}

impl State {
    /// Whether it is over.
    #[must_use]
    pub fn is_ended(self) -> bool {
        matches!(self, Self::Ended { .. })
    }

    /// Whether nobody has answered yet and somebody still may.
    #[must_use]
    pub fn is_unanswered(self) -> bool {
        matches!(self, Self::Dialing | Self::Ringing)
    }

    /// Whether two pages hold the call: from the answer to the end.
    #[must_use]
    pub fn is_answered(self) -> bool {
        matches!(
            self,
            Self::Connecting | Self::Connected | Self::Reconnecting
        )
    }
}

/// A call as one page sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallView {
    /// Which call.
    pub id: CallId,
    /// The direct room of the two, where the outcome will stand.
    pub room: RoomId,
    /// Who called.
    pub caller: Person,
    /// Who was called.
    pub callee: Person,
    /// Which of the two this page belongs to.
    pub side: Side,
    /// What it carries from its start.
    pub media: Media,
    /// Where it stands.
    #[serde(flatten)]
    pub state: State,
    /// What this page needs to hold its side: present only on the page that holds it, from `connecting` on (for the
    /// caller from the start).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[serde(rename = "leg")]
    pub rtc_config: Option<RtcConfig>,
    /// Where to find a path, should somebody answer on this page: present on every page of the callee while it rings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ice_servers: Option<Vec<IceServer>>,
    /// When it was answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answered_at: Option<Millis>,
    /// The id under which this page started the call, where the server merged it into another (both called at once).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[serde(rename = "instead_of")]
    pub merged_call: Option<CallId>,
    /// It rings for somebody who is in another call: silently, and they may switch to it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[serde(rename = "waiting")]
    pub is_waiting: bool,
}

impl CallView {
    /// The person at the other end.
    #[must_use]
    pub fn peer(&self) -> &Person {
        match self.side {
            Side::Caller => &self.callee,
            Side::Callee => &self.caller,
        }
    }
}

/// What a page needs to hold its side of a call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RtcConfig {
    /// Where to find a path (WebRTC 1.0 `RTCIceServer`).
    pub ice_servers: Vec<IceServer>,
}

/// A STUN or TURN server (WebRTC 1.0 section 4.2.4).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IceServer {
    /// Addresses: `stun:…`, `turn:…`, `turns:…` (RFC 7064, RFC 7065).
    pub urls: Vec<String>,
    /// The user name, for TURN.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// The password, for TURN.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<String>,
}

/// What a page asks of the server about a call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum ClientAction {
    /// Call somebody.
    Start {
        /// Whom.
        to: UserId,
        /// Voice or video.
        media: Media,
    },
    /// This page rings.
    Ringing,
    /// Accept here; every other page of the callee falls silent.
    Accept,
    /// Decline, on every page.
    Decline,
    /// Hang up; before an answer: cancel, by the caller, or decline, by the callee.
    HangUp,
    /// The peer connection of this page is connected.
    Connected,
    /// The peer connection of this page lost its path and is looking for another.
    #[serde(rename = "lost")]
    Disconnected,
    /// Something for the peer's page, handed on as it is.
    Signal {
        /// What.
        signal: SignalingMessage,
        /// In a group call: for whom.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        to: Option<Seat>,
    },
    /// Join the call of a room, or start it if there is none. The call's id is then the one of this frame.
    Join {
        /// Which room.
        room: RoomId,
    },
}

/// What one page says to the other through the server, which hands it on unread (RFC 8829).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum SignalingMessage {
    /// An SDP offer.
    Offer {
        /// RFC 8866.
        sdp: String,
    },
    /// An SDP answer.
    Answer {
        /// RFC 8866.
        sdp: String,
    },
    /// What the answer will be if somebody answers here (a `pranswer`, RFC 8829 section 4.1.10.1): said while it rings, so that both pages
    /// have done by then what takes time. It names no address.
    Pranswer {
        /// RFC 8866, without candidates.
        sdp: String,
    },
    /// An ICE candidate (RFC 8838 trickle). An empty candidate says that there are no more.
    Candidate {
        /// `candidate:…` (RFC 8839).
        candidate: String,
        /// The media section, by name.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sdp_mid: Option<String>,
        /// The media section, by place.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sdp_m_line_index: Option<u16>,
    },
    /// The callee asks the caller for an offer that restarts ICE: only one side makes such offers.
    #[serde(rename = "restart")]
    RestartIce,
}
