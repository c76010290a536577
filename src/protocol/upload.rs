//! Binary WebSocket frames: chunks of a file that is uploaded to a room.
//!
//! ```text
//! byte  0        1: chunk of an upload
//! bytes 1..17    id of the upload: the 16 bytes of the UUID in network byte order
//! bytes 17..25   offset of the data in the file: unsigned, big-endian
//! bytes 25..     data: 1 to 65,536 bytes
//! ```

use crate::model::{MessageId, limits};
use uuid::Uuid;

/// The header before the data.
pub const HEADER_BYTES: usize = 25;
const CHUNK_FRAME_KIND: u8 = 1;

/// A chunk of an upload, borrowed from its frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chunk<'a> {
    /// Also the id of the resulting message.
    pub id: MessageId,
    /// Of the data in the file, in bytes.
    pub offset: u64,
    pub data: &'a [u8],
}

/// Why a binary frame is no chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ChunkError {
    /// Shorter than the header and one byte, or of an unknown kind.
    #[error("a binary frame must be an upload chunk: 1, id, offset, data")]
    Malformed,
    /// More than [`limits::MAX_CHUNK_BYTES`], in a chunk of this upload.
    #[error("a chunk can have at most 65,536 bytes of data")]
    TooLarge(MessageId),
}

impl<'a> Chunk<'a> {
    /// Parses a frame.
    ///
    /// # Errors
    ///
    /// [`ChunkError`] for an invalid chunk.
    pub fn decode(frame: &'a [u8]) -> Result<Self, ChunkError> {
        let (header, data) = frame
            .split_first_chunk::<HEADER_BYTES>()
            .ok_or(ChunkError::Malformed)?;
        let (kind, rest) = header.split_first().ok_or(ChunkError::Malformed)?;
        let (id, offset) = rest
            .split_first_chunk::<16>()
            .ok_or(ChunkError::Malformed)?;
        let offset = offset.first_chunk::<8>().ok_or(ChunkError::Malformed)?;
        if *kind != CHUNK_FRAME_KIND || data.is_empty() {
            return Err(ChunkError::Malformed);
        }
        let id = MessageId(Uuid::from_bytes(*id));
        if data.len() > limits::MAX_CHUNK_BYTES {
            return Err(ChunkError::TooLarge(id));
        }
        Ok(Self {
            id,
            offset: u64::from_be_bytes(*offset),
            data,
        })
    }

    /// Serializes the chunk to a frame.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut frame = Vec::with_capacity(HEADER_BYTES + self.data.len());
        frame.push(CHUNK_FRAME_KIND);
        frame.extend_from_slice(self.id.0.as_bytes());
        frame.extend_from_slice(&self.offset.to_be_bytes());
        frame.extend_from_slice(self.data);
        frame
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_survives_the_wire() {
        let chunk = Chunk {
            id: MessageId(Uuid::from_u128(7)),
            offset: 1 << 40,
            data: b"rialto",
        };
        assert_eq!(Chunk::decode(&chunk.encode()), Ok(chunk));
    }

    #[test]
    fn what_is_no_chunk_is_refused() {
        let frame = Chunk {
            id: MessageId(Uuid::from_u128(7)),
            offset: 0,
            data: b"a",
        }
        .encode();
        assert_eq!(
            Chunk::decode(&frame[..HEADER_BYTES]),
            Err(ChunkError::Malformed),
            "no data"
        );
        assert_eq!(
            Chunk::decode(&frame[..5]),
            Err(ChunkError::Malformed),
            "truncated"
        );
        assert_eq!(Chunk::decode(&[]), Err(ChunkError::Malformed));
        let other = [&[2], &frame[1..]].concat();
        assert_eq!(
            Chunk::decode(&other),
            Err(ChunkError::Malformed),
            "unknown kind"
        );
        let large = [
            &frame[..HEADER_BYTES],
            &vec![0; limits::MAX_CHUNK_BYTES + 1],
        ]
        .concat();
        let id = MessageId(Uuid::from_u128(7));
        assert_eq!(Chunk::decode(&large), Err(ChunkError::TooLarge(id)));
    }
}
