//! Types of calls in the protocol.

use crate::model::{CallId, Millis, RoomId, UserId, user::Person};
use serde::{Deserialize, Serialize};

/// Number of a participant, never reused within a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Seat(pub u32);

/// Media of a call at its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Media {
    Voice,
    Video,
}

/// State of a call between two people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum State {
    Dialing,
    /// A client of the callee rings.
    Ringing,
    /// Accepted; the peer connection is not yet established.
    Connecting,
    /// As both clients report.
    Connected,
    /// A client lost its peer connection or the server.
    Reconnecting,
    Ended {
        outcome: Outcome,
    },
}

/// Outcome of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    HungUp,
    Declined,
    /// The callee was in a call, with another already ringing.
    Busy,
    NoAnswer,
    /// The caller hung up or disappeared before the answer.
    Cancelled,
    /// Another client of the callee answered: only sent to clients.
    AnsweredElsewhere,
    /// A side disappeared, or no peer connection could be established.
    Failed,
}

/// Side of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// The impolite peer of perfect negotiation; makes all offers.
    Caller,
    /// The polite peer.
    Callee,
}

impl Side {
    /// The opposite side.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::Caller => Self::Callee,
            Self::Callee => Self::Caller,
        }
    }
}

impl State {
    #[must_use]
    pub fn is_ended(self) -> bool {
        matches!(self, Self::Ended { .. })
    }

    /// Whether the call waits for an answer.
    #[must_use]
    pub fn is_unanswered(self) -> bool {
        matches!(self, Self::Dialing | Self::Ringing)
    }

    /// From the answer to the end, when a client holds each side.
    #[must_use]
    pub fn is_answered(self) -> bool {
        matches!(
            self,
            Self::Connecting | Self::Connected | Self::Reconnecting
        )
    }
}

/// A call as one client sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallView {
    pub id: CallId,
    /// The direct room, where the outcome is posted.
    pub room: RoomId,
    pub caller: Person,
    pub callee: Person,
    pub side: Side,
    pub media: Media,
    #[serde(flatten)]
    pub state: State,
    /// For the client that holds the side.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[serde(rename = "leg")]
    pub rtc_config: Option<RtcConfig>,
    /// For an answer here, while it rings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ice_servers: Option<Vec<IceServer>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answered_at: Option<Millis>,
    /// This client's own call, merged because both people called at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[serde(rename = "instead_of")]
    pub merged_call: Option<CallId>,
    /// The callee is in another call: this one rings silently.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[serde(rename = "waiting")]
    pub is_waiting: bool,
    /// Only known where the call has just ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[serde(rename = "reason")]
    pub end_reason: Option<EndReason>,
}

/// Why a call could not take place, besides its [`Outcome`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndReason {
    /// No browser of the callee has WebRTC.
    CannotAnswer,
}

impl CallView {
    /// The person on the other side.
    #[must_use]
    pub fn peer(&self) -> &Person {
        match self.side {
            Side::Caller => &self.callee,
            Side::Callee => &self.caller,
        }
    }
}

/// Configuration of the peer connection: `RTCConfiguration` (WebRTC 1.0).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RtcConfig {
    pub ice_servers: Vec<IceServer>,
}

/// A STUN or TURN server: `RTCIceServer` (WebRTC 1.0 section 4.2.4).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IceServer {
    /// `stun:`, `turn:` and `turns:` URIs (RFC 7064, RFC 7065).
    pub urls: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<String>,
}

/// Request of a client about a call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum ClientAction {
    Start {
        to: UserId,
        media: Media,
    },
    Ringing,
    /// This client cannot make calls. The call ends unless another client of the callee may answer.
    CannotAnswer,
    /// The other clients stop ringing.
    Accept,
    /// For all clients of the callee.
    Decline,
    /// Before the answer: cancels (caller) or declines (callee).
    HangUp,
    Connected,
    /// The peer connection lost its path.
    #[serde(rename = "lost")]
    Disconnected,
    /// Relayed to the peer unchanged.
    Signal {
        signal: SignalingMessage,
        /// In a group call.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        to: Option<Seat>,
    },
    /// Joins the room's group call, or starts it with this call id.
    Join {
        room: RoomId,
    },
}

/// Signaling message between two clients (RFC 8829), relayed unread.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum SignalingMessage {
    Offer {
        /// RFC 8866.
        sdp: String,
    },
    Answer {
        /// RFC 8866.
        sdp: String,
    },
    /// A provisional answer (RFC 8829 section 4.1.10.1) while ringing, to set up media. It reveals no address.
    Pranswer {
        /// RFC 8866, without candidates.
        sdp: String,
    },
    /// A trickled ICE candidate (RFC 8838); an empty one is the last.
    Candidate {
        /// `candidate:…` (RFC 8839).
        candidate: String,
        /// Identification tag of the media section.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sdp_mid: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sdp_m_line_index: Option<u16>,
    },
    /// Asks the caller for an offer that restarts ICE.
    #[serde(rename = "restart")]
    RestartIce,
}
