//! Limits that users can meet, enforced and shown by server and browser alike.

use serde::{Deserialize, Serialize};

/// People listed with their presence; a larger crowd is only counted.
pub const MAX_LISTED_PEOPLE: usize = 100;
/// Maximum length of a display name, in characters (Unicode scalar values).
pub const MAX_NAME_CHARS: usize = 40;
/// Maximum length of a room name, in characters.
pub const MAX_ROOM_NAME_CHARS: usize = 60;
/// Maximum length of a message's text, in characters.
pub const MAX_MESSAGE_CHARS: usize = 4_000;
/// Maximum length of a headline, in characters.
pub const MAX_HEADLINE_CHARS: usize = 160;
/// Maximum length of a story's Markdown body, in characters.
pub const MAX_BODY_CHARS: usize = 40_000;
/// Maximum length of a topic, in characters.
pub const MAX_TOPIC_CHARS: usize = 40;
/// Characters of a password (NIST SP 800-63B, without rules on its composition).
pub const MIN_PASSWORD_CHARS: usize = 8;
/// Bytes of a password, so that hashing stays cheap.
pub const MAX_PASSWORD_BYTES: usize = 1_024;
/// Maximum length of a file name, in characters.
pub const MAX_FILE_NAME_CHARS: usize = 200;
/// Bytes of a text frame from a client. SDP with many candidates stays below 20 kB.
pub const MAX_TEXT_FRAME_BYTES: usize = 64 * 1024;
/// Maximum data in one binary frame of an upload, in bytes.
pub const MAX_CHUNK_BYTES: usize = 64 * 1024;
/// Upload chunks that a client has sent and not seen acknowledged.
pub const MAX_CHUNKS_IN_FLIGHT: usize = 8;
/// Maximum number of unexpired guest links to one call.
pub const MAX_GUEST_LINKS: usize = 20;
/// Guests who join by one guest link, at the same time or not.
pub const MAX_GUESTS_PER_LINK: usize = 100;
/// Maximum lifetime of a guest link, in hours.
pub const MAX_GUEST_LINK_HOURS: u32 = 7 * 24;
/// Number of messages in a page of a room's history.
pub const HISTORY_PAGE_SIZE: i64 = 50;
/// Number of stories in a page of news.
pub const NEWS_PAGE_SIZE: i64 = 20;
/// Unread messages of a room are counted up to this; it means "this many or more".
pub const MAX_UNREAD_COUNT: i64 = 100;
/// Events replayed by a resume. A client further behind fetches the state anew.
pub const MAX_REPLAY_EVENTS: i64 = 1_000;

/// Limits that the operator configures; sent to the client in `welcome`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Maximum size of a file sent to a room, in bytes.
    #[serde(rename = "upload_bytes")]
    pub max_upload_bytes: u64,
}

/// Formats a number of bytes in decimal units (powers of 1,000): `512 bytes`, `1.5 MB`.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
pub fn format_bytes(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["kB", "MB", "GB", "TB"];
    if bytes < 1_000 {
        return format!("{bytes} bytes");
    }
    let mut value = bytes as f64 / 1_000.0;
    let mut unit = 0;
    while value >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1_000.0;
        unit += 1;
    }
    if value < 10.0 && (value * 10.0).round() % 10.0 != 0.0 {
        format!("{value:.1} {}", UNITS[unit])
    } else {
        format!("{value:.0} {}", UNITS[unit])
    }
}

#[cfg(test)]
mod tests {
    use super::format_bytes;

    #[test]
    fn sizes_read_as_people_write_them() {
        assert_eq!(format_bytes(0), "0 bytes");
        assert_eq!(format_bytes(999), "999 bytes");
        assert_eq!(format_bytes(1_500), "1.5 kB");
        assert_eq!(format_bytes(25_000_000), "25 MB");
        assert_eq!(format_bytes(999_900), "1 MB");
        assert_eq!(format_bytes(3_000_000_000), "3 GB");
    }
}
