//! Limits that users can meet, shared by server and browser.

use serde::{Deserialize, Serialize};

/// People listed with their presence; more are only counted.
pub const MAX_LISTED_PEOPLE: usize = 100;
/// In characters (Unicode scalar values).
pub const MAX_NAME_CHARS: usize = 40;
/// In characters.
pub const MAX_ROOM_NAME_CHARS: usize = 60;
/// In characters.
pub const MAX_MESSAGE_CHARS: usize = 4_000;
/// In characters.
pub const MAX_HEADLINE_CHARS: usize = 160;
/// Markdown, in characters.
pub const MAX_BODY_CHARS: usize = 40_000;
/// In characters.
pub const MAX_TOPIC_CHARS: usize = 40;
/// NIST SP 800-63B, without rules on composition.
pub const MIN_PASSWORD_CHARS: usize = 8;
/// Keeps hashing cheap.
pub const MAX_PASSWORD_BYTES: usize = 1_024;
/// In characters.
pub const MAX_FILE_NAME_CHARS: usize = 200;
/// From a client. SDP with many candidates stays below 20 kB.
pub const MAX_TEXT_FRAME_BYTES: usize = 64 * 1024;
/// Data in one binary frame of an upload.
pub const MAX_CHUNK_BYTES: usize = 64 * 1024;
/// Of an image that is shown; a browser takes 4 bytes of memory for each. A larger one is a download.
pub const MAX_SHOWN_PIXELS: u64 = 40_000_000;
/// Unacknowledged chunks.
pub const MAX_CHUNKS_IN_FLIGHT: usize = 8;
/// Whom one person can block.
pub const MAX_BLOCKED_PEOPLE: usize = 500;
/// Unexpired guest links to one call.
pub const MAX_GUEST_LINKS: usize = 20;
/// Guests per link, at the same time or not.
pub const MAX_GUESTS_PER_LINK: usize = 100;
/// Lifetime of a guest link.
pub const MAX_GUEST_LINK_HOURS: u32 = 7 * 24;
/// Messages in a page.
pub const HISTORY_PAGE_SIZE: i64 = 50;
/// Stories in a page.
pub const NEWS_PAGE_SIZE: i64 = 20;
/// Counted unread messages; stands for "this many or more".
pub const MAX_UNREAD_COUNT: i64 = 100;
/// Events replayed by a resume; a client further behind fetches the state.
pub const MAX_REPLAY_EVENTS: i64 = 1_000;

/// Of a file, unless configured otherwise.
pub const DEFAULT_UPLOAD_BYTES: u64 = 25_000_000;
/// Messages that a user can send at once, unless configured otherwise; a started or joined call counts as a message.
pub const DEFAULT_SEND_BURST: u32 = 200;
/// Milliseconds until a user can send one more.
pub const SEND_REFILL_MS: u32 = 20;
/// Uploads of a user in progress.
pub const MAX_UPLOADS: u32 = 8;
/// Signals of one side of a call, in bytes: several descriptions (about 10 kB each), but less than a send queue.
pub const SIGNAL_BURST_BYTES: u32 = 128 * 1_024;
/// Further signals, in bytes each second.
pub const SIGNAL_BYTES_PER_SECOND: u32 = 8 * 1_024;

/// Limits that a client keeps so that no frame is refused, sent in `welcome`.
///
/// A missing field has the value that earlier servers used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    #[serde(rename = "upload_bytes")]
    pub max_upload_bytes: u64,
    #[serde(rename = "uploads")]
    pub max_uploads: u32,
    #[serde(rename = "chunk_bytes")]
    pub max_chunk_bytes: u32,
    #[serde(rename = "message_chars")]
    pub max_message_chars: u32,
    pub send_burst: u32,
    pub send_refill_ms: u32,
    #[serde(rename = "frame_bytes")]
    pub max_text_frame_bytes: u32,
    #[serde(rename = "replay_events")]
    pub max_replay_events: u32,
    pub signal_burst_bytes: u32,
    pub signal_bytes_per_second: u32,
}

impl Default for Limits {
    #[expect(clippy::cast_possible_truncation, reason = "small constants")]
    fn default() -> Self {
        Self {
            max_upload_bytes: DEFAULT_UPLOAD_BYTES,
            max_uploads: MAX_UPLOADS,
            max_chunk_bytes: MAX_CHUNK_BYTES as u32,
            max_message_chars: MAX_MESSAGE_CHARS as u32,
            send_burst: DEFAULT_SEND_BURST,
            send_refill_ms: SEND_REFILL_MS,
            max_text_frame_bytes: MAX_TEXT_FRAME_BYTES as u32,
            max_replay_events: MAX_REPLAY_EVENTS as u32,
            signal_burst_bytes: SIGNAL_BURST_BYTES,
            signal_bytes_per_second: SIGNAL_BYTES_PER_SECOND,
        }
    }
}

/// How long to wait, rounded up, for a sentence: `a second`, `20 seconds`, `5 minutes`. A minute if it is unknown.
#[must_use]
pub fn format_wait(millis: Option<u32>) -> String {
    const UNKNOWN_WAIT_MS: u32 = 60_000;
    match millis.unwrap_or(UNKNOWN_WAIT_MS).div_ceil(1_000) {
        0 | 1 => "a second".to_owned(),
        60 => "a minute".to_owned(),
        seconds @ ..120 => format!("{seconds} seconds"),
        seconds => format!("{} minutes", seconds.div_ceil(60)),
    }
}

/// Groups the digits of a number: `16,000`.
#[must_use]
pub fn format_count(number: usize) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// Formats bytes in powers of 1,000: `512 bytes`, `1.5 MB`.
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
    use super::*;

    #[test]
    fn limits_of_an_earlier_server_are_those_that_it_used() {
        let earlier: Limits = serde_json::from_str(r#"{"upload_bytes":1000}"#).unwrap();
        let expected = Limits {
            max_upload_bytes: 1_000,
            ..Limits::default()
        };
        assert_eq!(earlier, expected);
        assert_eq!(
            (earlier.send_burst, earlier.max_message_chars),
            (200, 4_000)
        );
    }

    #[test]
    fn a_wait_is_never_understated() {
        assert_eq!(format_wait(Some(20)), "a second");
        assert_eq!(format_wait(Some(1_001)), "2 seconds");
        assert_eq!(format_wait(Some(60_000)), "a minute");
        assert_eq!(format_wait(Some(61_000)), "61 seconds");
        assert_eq!(format_wait(Some(121_000)), "3 minutes");
        assert_eq!(format_wait(None), "a minute");
    }

    #[test]
    fn long_numbers_are_grouped() {
        let shown = [0, 999, 1_000, 16_000, 1_234_567].map(format_count);
        assert_eq!(shown, ["0", "999", "1,000", "16,000", "1,234,567"]);
    }

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
