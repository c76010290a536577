//! What a peer connection reports to the client, and what two pages tell each other about their media.

use crate::{
    calls::client::{
        state::{connection_quality::ConnectionQuality, video_adaptation::VideoQuality},
        transfer::state::FileTransfer,
    },
    model::call::SignalingMessage,
};
use serde::{Deserialize, Serialize};

/// An event of a peer connection.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::calls::client) enum PeerEvent {
    /// A signaling message to send to the other page.
    SendSignal(SignalingMessage),
    /// The media path is connected.
    Connected,
    /// The media path is lost; recovery is under way.
    Lost,
    /// The browser changed to `disconnected`, which hints at a network change.
    Disconnected,
    /// A remote track was added.
    TrackAdded,
    /// The other page reported its media state.
    RemoteMediaState(MediaState),
    /// A new measurement of the connection quality.
    ConnectionQuality(ConnectionQuality),
    /// The quality of the sent camera video changed.
    VideoQuality(VideoQuality),
    /// The state of all file transfers.
    TransfersChanged(Vec<FileTransfer>),
    /// The connection cannot be made, with the reason as text.
    Error(&'static str),
}

/// What a page sends, reported to the peer over a data channel, which is faster and more reliable than inference from
/// the media.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "what is on and what is not, each by itself"
)]
pub struct MediaState {
    /// The microphone is open and not muted.
    pub microphone: bool,
    /// The camera is on.
    pub camera: bool,
    /// A screen is shared.
    #[serde(default)]
    pub screen: bool,
    /// The camera is on, but its video is paused to protect the audio.
    #[serde(default)]
    #[serde(rename = "held")]
    pub is_video_paused: bool,
}
