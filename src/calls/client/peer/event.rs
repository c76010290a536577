//! What a peer connection reports to the client, and what pages report about their media.

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
    /// The connection cannot be made, for this reason.
    Error(&'static str),
}

/// What a page sends, reported over a data channel: faster and more reliable than inference from the media.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "what is on and what is not, each by itself"
)]
pub struct MediaState {
    /// The microphone is live.
    pub microphone: bool,
    /// The camera is on.
    pub camera: bool,
    /// A screen is shared.
    #[serde(default)]
    pub screen: bool,
    /// The camera is on, but paused to protect the audio.
    #[serde(default)]
    #[serde(rename = "held")]
    pub is_video_paused: bool,
}
