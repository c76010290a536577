//! Received data of a file, before and after verification.

use js_sys::{Array, Uint8Array};

pub(super) struct IncomingFile {
    pub(super) piece: Uint8Array,
    pub(super) filled_bytes: u32,
    pub(super) hash: String,
    /// Verified or not.
    pub(super) received_bytes: u64,
    pub(super) verified: VerifiedData,
}

/// Pieces whose hash matched.
#[derive(Default)]
pub(super) struct VerifiedData {
    pub(super) blobs: Array,
    pub(super) pieces: Array,
    pub(super) hashes: Vec<u8>,
    pub(super) bytes: u64,
}

pub(super) enum UnverifiedData {
    Piece {
        id: u32,
        piece: Uint8Array,
        hash: String,
    },
    End {
        id: u32,
        hash: String,
    },
}
