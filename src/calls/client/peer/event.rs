//! What a peer connection reports, and what pages report about their media.

use crate::{
    calls::client::{
        state::{connection_quality::ConnectionQuality, video_adaptation::VideoQuality},
        transfer::state::FileTransfer,
    },
    model::call::SignalingMessage,
};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq)]
pub(in crate::calls::client) enum PeerEvent {
    SendSignal(SignalingMessage),
    Connected,
    Lost,
    /// Hints at a network change.
    Disconnected,
    TrackAdded,
    RemoteMediaState(MediaState),
    ConnectionQuality(ConnectionQuality),
    VideoQuality(VideoQuality),
    TransfersChanged(Vec<FileTransfer>),
    /// Why the connection cannot be made.
    Error(&'static str),
}

/// What a page sends, reported over a data channel: faster and more reliable than inference from the media.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "what is on and what is not, each by itself"
)]
pub struct MediaState {
    /// Open and not muted.
    pub microphone: bool,
    pub camera: bool,
    #[serde(default)]
    pub screen: bool,
    /// The camera is on, but paused to protect the audio.
    #[serde(default)]
    #[serde(rename = "held")]
    pub is_video_paused: bool,
}
