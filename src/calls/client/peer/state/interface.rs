//! What goes into the state of a connection, and what comes out: events, effects, operations and timers.

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

/// What the shell reads when an event happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::calls::client) struct Moment {
    /// The time, by this device's clock.
    pub(in crate::calls::client) now: Millis,
    /// Whether the page is visible.
    pub(in crate::calls::client) is_page_visible: bool,
}

/// An event for the state: of the client, the other page, the browser or a timer.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::calls::client) enum ConnectionEvent {
    /// The connection was created. Once, and first.
    Opened,
    /// The call was answered, on either side, with the ICE servers to use. Later ones change nothing.
    Answered(Vec<IceServer>),
    /// The server sent ICE servers with new credentials.
    IceServersReceived(Vec<IceServer>),
    /// The ringing page became visible.
    PageShown,
    /// The server is reachable again: signals may be lost, and the network may have changed.
    SignalingRestored,
    /// The other page sent a signaling message.
    SignalReceived(SignalingMessage),
    /// A local track was added, replaced or removed.
    LocalTrackChanged(TrackSlot),
    /// The local media state changed.
    LocalMediaStateChanged(MediaState),
    /// The number of peers changed, and with it the maximum quality of the camera's video.
    MaxVideoQualityChanged(VideoQuality),
    /// The client dropped the peer.
    Closed,
    /// The browser's `connectionState` changed.
    ConnectionStateChanged(ConnectionState),
    /// The browser gathered a local candidate.
    CandidateGathered(IceCandidate),
    /// The media state channel opened.
    MediaStateChannelOpened,
    /// A heartbeat of the other page arrived.
    HeartbeatReceived,
    /// The running operation succeeded. `CreateOffer` and `CreateAnswer` return a description.
    OperationDone(Option<String>),
    /// The running operation failed.
    OperationFailed,
    /// The age of the last received packet in milliseconds; `None` without browser support.
    PacketAgeRead(PathCheck, Option<f64>),
    /// The statistics were sampled; `None` without browser support.
    UplinkMeasured(Option<UplinkStats>),
    /// A timer expired.
    TimerFired(Timer),
}

/// What the browser reports of the path (W3C `RTCPeerConnectionState`).
///
/// `iceConnectionState` is not used, because it was observed to stay `disconnected` for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::calls::client) enum ConnectionState {
    /// `new`, `connecting` or `closed`, which need no action.
    Inactive,
    /// Media can flow.
    Connected,
    /// Nothing arrives, which often recovers by itself.
    Disconnected,
    /// No path was found, or all were lost.
    Failed,
}

/// Why the age of the last received packet is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::calls::client) enum PathCheck {
    /// A heartbeat is overdue.
    Overdue,
    /// The server connection was restored at this time, and the network may have changed.
    Probe { since: Millis },
}

/// A timer. A generation or a start time tells the latest one of its kind from earlier ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::calls::client) enum Timer {
    /// Explain a missing path.
    Diagnosis,
    /// The caller waits for the answer.
    Answer,
    /// The callee waits for an offer.
    Offer,
    /// Recovery waits for new credentials.
    Credentials,
    /// Check the result of a recovery step.
    Recovery { generation: u32 },
    /// The ramp-up of the video is over.
    RampUp { since: Millis },
    /// The next heartbeat is due.
    Heartbeat,
    /// A path had time to show activity.
    PathProbe { since: Millis },
    /// The next sample of the statistics is due.
    Stats,
}

/// The kind of a session description (W3C `RTCSdpType`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::calls::client) enum SdpKind {
    Offer,
    Pranswer,
    Answer,
}

/// An asynchronous operation of the browser. Only one runs at a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::calls::client) enum Operation {
    /// Creates an offer, with new ICE credentials if it restarts ICE.
    CreateOffer { ice_restart: bool },
    /// Creates an answer.
    CreateAnswer,
    /// Applies a local description.
    SetLocalDescription(SdpKind, String),
    /// Applies a description of the other page.
    SetRemoteDescription(SdpKind, String),
    /// Attaches all local tracks, or none while the call is unanswered.
    AttachTracks,
    /// Attaches or removes one local track.
    ReplaceTrack(TrackSlot),
    /// Configures the camera's encoder for the local track, which may not be attached yet.
    ConfigureCamera,
    /// Configures the encoders of camera and screen.
    ConfigureEncoders,
    /// Gives audio priority over video.
    PrioritizeAudio,
}

impl Operation {
    /// Whether it applies a provisional answer, which some browsers lack.
    pub(in crate::calls::client) fn is_provisional(&self) -> bool {
        matches!(
            self,
            Self::SetLocalDescription(SdpKind::Pranswer, _)
                | Self::SetRemoteDescription(SdpKind::Pranswer, _)
        )
    }
}

/// What the shell has to do.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::calls::client) enum PeerEffect {
    /// Start an operation, and report its end.
    Start(Operation),
    /// Start a timer of this many milliseconds.
    StartTimer(Timer, i32),
    /// Add one transceiver per track slot, as the caller does before the first offer.
    AddTransceivers,
    /// Let every transceiver of the applied offer send and receive.
    ActivateTransceivers,
    /// Add a candidate of the other page.
    AddCandidate(IceCandidate),
    /// Replace the ICE servers. They take effect at the next ICE restart (WebRTC 1.0 section 4.4.1.6).
    SetIceServers(Vec<IceServer>),
    /// Send the current local description, with the candidates gathered so far, as an offer or an answer.
    SendLocalDescription,
    /// Send a heartbeat, if the channel is open.
    SendHeartbeat,
    /// Send the local media state, if the channel is open.
    SendMediaState(MediaState),
    /// Read the age of the last received packet, and report it.
    ReadPacketAge(PathCheck),
    /// Sample the statistics, and report them.
    SampleStats,
    /// Pass an event to the client.
    Emit(PeerEvent),
    /// Close the connection.
    Close,
}
