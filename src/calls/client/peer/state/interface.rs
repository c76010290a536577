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
    pub(in crate::calls::client) now: Millis,
    pub(in crate::calls::client) is_page_visible: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub(in crate::calls::client) enum ConnectionEvent {
    /// Once, and first.
    Opened,
    /// On either side. Repetitions change nothing.
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

/// W3C `RTCPeerConnectionState`, because `iceConnectionState` may stay `disconnected` for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::calls::client) enum ConnectionState {
    /// `new`, `connecting` or `closed`.
    Inactive,
    Connected,
    Disconnected,
    Failed,
}

/// Why the last packet's age is read: a heartbeat is overdue, or the server connection was restored at `since`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::calls::client) enum PathCheck {
    Overdue,
    Probe { since: Millis },
}

/// A generation or a start time tells the latest timer of a kind from earlier ones.
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

/// Only one runs at a time; `ConfigureCamera` may run before the track is attached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::calls::client) enum Operation {
    CreateOffer { ice_restart: bool },
    CreateAnswer,
    SetLocalDescription(SdpKind, String),
    SetRemoteDescription(SdpKind, String),
    AttachTracks,
    ReplaceTrack(TrackSlot),
    ConfigureCamera,
    ConfigureEncoders,
    PrioritizeAudio,
}

impl Operation {
    /// Firefox lacks provisional answers.
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
    /// One per track slot.
    AddTransceivers,
    /// Sets the offer's transceivers to `sendrecv`.
    ActivateTransceivers,
    AddCandidate(IceCandidate),
    /// Effective at the next ICE restart (WebRTC 1.0 section 4.4.1.6).
    SetIceServers(Vec<IceServer>),
    /// With the candidates gathered so far.
    SendLocalDescription,
    SendHeartbeat,
    SendMediaState(MediaState),
    ReadPacketAge(PathCheck),
    SampleStats,
    Emit(PeerEvent),
    Close,
}
