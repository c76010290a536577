//! Events, effects, operations and timers of a connection's state.

use super::candidates::IceCandidate;
use crate::{
    calls::client::{
        peer::event::{MediaState, PeerEvent},
        state::video_adaptation::{UplinkStats, VideoQuality},
        track_slot::TrackSlot,
    },
    model::{
        Millis,
        call::{IceServer, SignalingMessage},
    },
};

/// Read by the shell when an event happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::calls::client) struct Moment {
    /// By this device's clock.
    pub(in crate::calls::client) now: Millis,
    pub(in crate::calls::client) is_page_visible: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub(in crate::calls::client) enum ConnectionEvent {
    /// Once, and first.
    Opened,
    /// Answered on either side, with the ICE servers to use. Repetitions change nothing.
    Answered(Vec<IceServer>),
    IceServersReceived(Vec<IceServer>),
    PageShown,
    /// Signals may be lost, and the network may have changed.
    SignalingRestored,
    SignalReceived(SignalingMessage),
    LocalTrackChanged(TrackSlot),
    LocalMediaStateChanged(MediaState),
    MaxVideoQualityChanged(VideoQuality),
    Closed,
    ConnectionStateChanged(ConnectionState),
    CandidateGathered(IceCandidate),
    MediaStateChannelOpened,
    HeartbeatReceived,
    /// `CreateOffer` and `CreateAnswer` return a description.
    OperationDone(Option<String>),
    OperationFailed,
    /// Milliseconds; `None` without browser support.
    PacketAgeRead(PathCheck, Option<f64>),
    /// `None` without browser support.
    UplinkMeasured(Option<UplinkStats>),
    TimerFired(Timer),
}

/// W3C `RTCPeerConnectionState`, because `iceConnectionState` was observed to stay `disconnected` for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::calls::client) enum ConnectionState {
    /// `new`, `connecting` or `closed`.
    Inactive,
    Connected,
    /// Often recovers by itself.
    Disconnected,
    Failed,
}

/// Why the age of the last packet is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::calls::client) enum PathCheck {
    /// A heartbeat is overdue.
    Overdue,
    /// The server connection was restored at this time.
    Probe { since: Millis },
}

/// A timer; a generation or a start time tells the latest of a kind from earlier ones.
///
/// The caller waits for an `Answer`, the callee for an `Offer`; `PathProbe` gives a path time to show activity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::calls::client) enum Timer {
    Diagnosis,
    Answer,
    Offer,
    Credentials,
    Recovery { generation: u32 },
    RampUp { since: Millis },
    Heartbeat,
    PathProbe { since: Millis },
    Stats,
}

/// W3C `RTCSdpType`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::calls::client) enum SdpKind {
    Offer,
    Pranswer,
    Answer,
}

/// Only one runs at a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::calls::client) enum Operation {
    /// A restart creates new ICE credentials.
    CreateOffer { ice_restart: bool },
    /// Creates an answer.
    CreateAnswer,
    /// Applies a local description.
    SetLocalDescription(SdpKind, String),
    /// Applies a remote description.
    SetRemoteDescription(SdpKind, String),
    /// Attaches nothing before the answer.
    AttachTracks,
    /// Attaches or removes one track.
    ReplaceTrack(TrackSlot),
    /// The local track may not be attached yet.
    ConfigureCamera,
    /// Camera and screen.
    ConfigureEncoders,
    /// Prefers audio over video.
    PrioritizeAudio,
}

impl Operation {
    /// Some browsers lack provisional answers.
    pub(in crate::calls::client) fn is_provisional(&self) -> bool {
        matches!(
            self,
            Self::SetLocalDescription(SdpKind::Pranswer, _)
                | Self::SetRemoteDescription(SdpKind::Pranswer, _)
        )
    }
}

#[derive(Debug, Clone, PartialEq)]
pub(in crate::calls::client) enum PeerEffect {
    Start(Operation),
    /// Milliseconds.
    StartTimer(Timer, i32),
    /// The caller adds one per track slot before the first offer.
    AddTransceivers,
    /// Sets every transceiver of the applied offer to `sendrecv`.
    ActivateTransceivers,
    AddCandidate(IceCandidate),
    /// Effective at the next ICE restart (WebRTC 1.0 section 4.4.1.6).
    SetIceServers(Vec<IceServer>),
    /// An offer or an answer, with the candidates gathered so far.
    SendLocalDescription,
    SendHeartbeat,
    SendMediaState(MediaState),
    ReadPacketAge(PathCheck),
    SampleStats,
    Emit(PeerEvent),
    Close,
}
