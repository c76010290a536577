//! Changes of the session. They run one after another (WebRTC 1.0 section 4.4.1.2, "operations chain").

use super::interface::Operation;
use crate::model::call::SignalingMessage;

/// A change of the session, as a chain of operations.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Job {
    /// Sends the first offer.
    SendOffer,
    /// Connects: the call was answered, on either side.
    StartConnecting,
    /// Sends the provisional answer: the ringing page became visible.
    SendPranswer,
    /// Applies a signaling message of the other page.
    ApplySignal(SignalingMessage),
    /// Runs one operation.
    Run(Operation),
    /// Recovers the path.
    Recover(RecoveryReason),
}

/// Why recovery of the path starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RecoveryReason {
    /// The browser reports `failed`, or reported `disconnected` a while ago.
    Disconnected,
    /// No heartbeat arrived for a while, whatever the browser reports.
    HeartbeatTimeout,
    /// The other page requested a restart.
    RemoteRequest,
    /// The server is reachable again: the network may have changed, even if the browser still reports a path.
    SignalingRestored,
}

/// The running operation of a job, as far as something follows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// The last operation of a job.
    Last,
    /// The caller creates an offer.
    CreateOffer,
    /// The caller applies its offer.
    SetOffer,
    /// The caller applies a provisional answer.
    ApplyPranswer,
    /// The caller applies the answer.
    ApplyAnswer,
    /// The callee applies an offer.
    ApplyOffer,
    /// The callee attaches its tracks to the transceivers of the offer.
    AttachTracks,
    /// The callee configures its camera's encoder.
    ConfigureCamera,
    /// The callee creates the answer that it sends now or on acceptance.
    PrepareAnswer,
    /// The callee applies its answer provisionally.
    SetPranswer { sdp: String },
    /// The callee creates the answer.
    CreateAnswer,
    /// The callee applies its answer, which it then sends.
    SetAnswer,
    /// The callee creates the answer once more, after it sent the one that it applied provisionally.
    CreateFinalAnswer,
    /// The callee applies the answer that follows a provisional one.
    SetFinalAnswer,
}
