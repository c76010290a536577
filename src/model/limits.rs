//! Every bound a user can meet, in one place, so that both sides enforce and tell the same numbers.

use serde::{Deserialize, Serialize};

/// Of so many people everybody is told whether they are here; of more, only how many there are.
pub const MAX_LISTED_PEOPLE: usize = 100;
/// A person's shown name: this many characters (Unicode scalar values) at most.
pub const MAX_NAME_CHARS: usize = 40;
/// A room's name: this many characters at most.
pub const MAX_ROOM_NAME_CHARS: usize = 60;
/// A message's text: this many characters at most.
pub const MAX_MESSAGE_CHARS: usize = 4_000;
/// A story's headline: this many characters at most.
pub const MAX_HEADLINE_CHARS: usize = 160;
/// A story's body in Markdown: this many characters at most.
pub const MAX_BODY_CHARS: usize = 40_000;
/// A topic: this many characters at most.
pub const MAX_TOPIC_CHARS: usize = 40;
/// A password: at least this many characters (NIST SP 800-63B asks for 8; nothing else is asked of it).
pub const MIN_PASSWORD_CHARS: usize = 8;
/// A password: at most this many bytes, so that hashing one stays cheap.
pub const MAX_PASSWORD_BYTES: usize = 1_024;
/// A file's name: this many characters at most.
pub const MAX_FILE_NAME_CHARS: usize = 200;
/// A WebSocket text frame from a client: this many bytes at most (SDP with many candidates stays below 20 kB).
pub const MAX_TEXT_FRAME_BYTES: usize = 64 * 1024;
/// The data in one binary frame of an upload: this many bytes at most.
pub const MAX_CHUNK_BYTES: usize = 64 * 1024;
/// How many chunks a client may have sent and not seen acknowledged.
pub const MAX_CHUNKS_IN_FLIGHT: usize = 8;
/// Links for guests into one call: so many at a time at most,
pub const MAX_GUEST_LINKS: usize = 20;
/// so many people by each at most, who need not be in it at once,
pub const MAX_GUESTS_PER_LINK: usize = 100;
/// and each for so many hours at most.
pub const MAX_GUEST_LINK_HOURS: u32 = 7 * 24;
/// A page of a room's history: this many messages.
pub const HISTORY_PAGE_SIZE: i64 = 50;
/// A page of news: this many stories.
pub const NEWS_PAGE_SIZE: i64 = 20;
/// So many unread messages of a room are counted when it is listed; of more, nobody wants to know how many more.
pub const MAX_UNREAD_COUNT: i64 = 100;
/// A resume replays this many events at most; past that the client fetches the state anew.
pub const MAX_REPLAY_EVENTS: i64 = 1_000;

/// The bounds that the person who runs Rialto may change; the browser is told them on connecting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// The largest file that may be sent into a room, in bytes.
    #[serde(rename = "upload_bytes")]
    pub max_upload_bytes: u64,
}

/// A number of bytes as people read it: `"512 bytes"`, `"1.5 MB"` (powers of 1,000).
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
