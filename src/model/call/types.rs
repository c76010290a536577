//! What a call is made of, as both sides of the wire see it.

use crate::model::{CallId, Millis, RoomId, UserId, user::Person};
use serde::{Deserialize, Serialize};

/// Number of a participant, in the order of joining; never reused within a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Seat(pub u32);

/// Media of a call at its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Media {
    /// Audio only.
    Voice,
    /// Audio and video.
    Video,
}

/// State of a call between two people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum State {
    /// Started; no client rings yet.
    Dialing,
    /// At least one client of the callee rings.
    Ringing,
    /// Accepted; the peer connection is being established.
    Connecting,
    /// Both clients report that they are connected.
    Connected,
    /// A client lost its peer connection or the server, and is reconnecting.
    Reconnecting,
    /// Ended. This state is final.
    Ended { outcome: Outcome },
}

/// Outcome of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Either side hung up after the answer.
    HungUp,
    /// The callee declined.
    Declined,
    /// The callee was in a call, with another already ringing.
    Busy,
    /// The callee did not answer in time.
    NoAnswer,
    /// The caller hung up, or disappeared, before the answer.
    Cancelled,
    /// Another client of the callee answered. Only sent to clients; never the outcome of the call itself.
    AnsweredElsewhere,
    /// A side disappeared, or no peer connection could be established.
    Failed,
}

/// Side of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// The impolite peer of perfect negotiation, which makes all offers.
    Caller,
    /// The callee: the polite peer.
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

    /// Whether the call still waits for an answer.
    #[must_use]
    pub fn is_unanswered(self) -> bool {
        matches!(self, Self::Dialing | Self::Ringing)
    }

    /// Whether a client holds each side: from the answer to the end.
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
    /// The direct room of the two people, where the outcome is posted.
    pub room: RoomId,
    pub caller: Person,
    pub callee: Person,
    /// The side that the user of this client is on.
    pub side: Side,
    pub media: Media,
    #[serde(flatten)]
    pub state: State,
    /// Configuration of the peer connection, for the client that holds the side: the caller's at once, the callee's
    /// from `connecting` on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[serde(rename = "leg")]
    pub rtc_config: Option<RtcConfig>,
    /// ICE servers for an answer here. For every client of the callee while it rings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ice_servers: Option<Vec<IceServer>>,
    /// Time of the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answered_at: Option<Millis>,
    /// This client's own call, merged into this one because both people called at the same time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[serde(rename = "instead_of")]
    pub merged_call: Option<CallId>,
    /// The callee is in another call: this one rings silently, and they can switch.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[serde(rename = "waiting")]
    pub is_waiting: bool,
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

/// Configuration of the peer connection of a call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RtcConfig {
    /// `iceServers` of `RTCConfiguration` (WebRTC 1.0).
    pub ice_servers: Vec<IceServer>,
}

/// A STUN or TURN server: `RTCIceServer` (WebRTC 1.0 section 4.2.4).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IceServer {
    /// `stun:`, `turn:` and `turns:` URIs (RFC 7064, RFC 7065).
    pub urls: Vec<String>,
    /// User name for TURN.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// Password for TURN.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<String>,
}

/// Request of a client about a call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum ClientAction {
    /// Call a user.
    Start {
        /// The user to call.
        to: UserId,
        media: Media,
    },
    /// Report that this client rings.
    Ringing,
    /// Accept on this client; the others stop ringing.
    Accept,
    /// Decline for all clients of the callee.
    Decline,
    /// Hang up; before the answer, cancel (caller) or decline (callee).
    HangUp,
    /// This client's peer connection is connected.
    Connected,
    /// This client's peer connection lost its path and is reconnecting.
    #[serde(rename = "lost")]
    Disconnected,
    /// Relay a signaling message to the peer unchanged.
    Signal {
        signal: SignalingMessage,
        /// The recipient in a group call.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        to: Option<Seat>,
    },
    /// Join the group call of a room, or start it with this frame's call id.
    Join { room: RoomId },
}

/// Signaling message between two clients (RFC 8829), relayed by the server unread.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum SignalingMessage {
    /// An SDP offer.
    Offer {
        /// Session description (RFC 8866).
        sdp: String,
    },
    /// An SDP answer.
    Answer {
        /// Session description (RFC 8866).
        sdp: String,
    },
    /// A provisional answer (RFC 8829 section 4.1.10.1), sent while this client rings, so that both sides set up their
    /// media. It reveals no address.
    Pranswer {
        /// Session description (RFC 8866) without candidates.
        sdp: String,
    },
    /// A trickled ICE candidate (RFC 8838); an empty one is the last.
    Candidate {
        /// Candidate attribute, `candidate:…` (RFC 8839).
        candidate: String,
        /// Identification tag of the media section.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sdp_mid: Option<String>,
        /// Index of the media section.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sdp_m_line_index: Option<u16>,
    },
    /// Request of the callee for an offer that restarts ICE.
    #[serde(rename = "restart")]
    RestartIce,
}
