//! Changes of the session, run one after another (WebRTC 1.0 section 4.4.1.2, "operations chain").

use super::interface::Operation;
use crate::model::call::SignalingMessage;

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Job {
    SendOffer,
    StartConnecting,
    SendPranswer,
    ApplySignal(SignalingMessage),
    Run(Operation),
    Recover(RecoveryReason),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RecoveryReason {
    /// The browser reports `failed`, or `disconnected` for a while.
    Disconnected,
    HeartbeatTimeout,
    RemoteRequest,
    SignalingRestored,
}

/// The running operation of a job; nothing follows `Last`.
///
/// The caller offers and applies answers; all other steps are the callee's. A final answer follows the provisional one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    Last,
    CreateOffer,
    SetOffer,
    ApplyPranswer,
    ApplyAnswer,
    ApplyOffer,
    AttachTracks,
    ConfigureCamera,
    PrepareAnswer,
    SetPranswer { sdp: String },
    CreateAnswer,
    SetAnswer,
    CreateFinalAnswer,
    SetFinalAnswer,
}
