//! The marker in every payload, and its scanner.
//!
//! Searching for bytes works with every framing and is cheaper than parsing.

use memchr::memmem;

/// Needs no escaping in JSON, HTML or an event stream.
const MARKER_PREFIX: &[u8] = b"@@BM";

/// `@@BM`, publisher, `:`, sequence, `:`, time, `;`.
pub const MARKER_BYTES: usize = 4 + 2 + 1 + 16 + 1 + 16 + 1;

/// Default payload size.
pub const PAYLOAD_BYTES: usize = 128;

/// Identifies a message and its due time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Marker {
    /// Order is checked per publisher.
    pub publisher: u8,
    /// Among the publisher's messages, from 0.
    pub sequence: u64,
    /// `CLOCK_MONOTONIC`, in nanoseconds.
    pub due_nanos: u64,
}

impl Marker {
    /// The marker as text, padded with `x` to `bytes`.
    pub fn payload(self, bytes: usize) -> String {
        let mut text = format!(
            "@@BM{:02x}:{:016x}:{:016x};",
            self.publisher, self.sequence, self.due_nanos
        );
        text.extend(std::iter::repeat_n('x', bytes.saturating_sub(text.len())));
        text
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let field = |from: usize, length: usize| {
            let digits = std::str::from_utf8(bytes.get(from..from + length)?).ok()?;
            u64::from_str_radix(digits, 16).ok()
        };
        let framed = bytes[6] == b':' && bytes[23] == b':' && bytes[40] == b';';
        framed.then_some(())?;
        Some(Self {
            publisher: u8::try_from(field(4, 2)?).ok()?,
            sequence: field(7, 16)?,
            due_nanos: field(24, 16)?,
        })
    }
}

/// The longest incomplete marker at the end of a read.
const MAX_HELD_BYTES: usize = MARKER_BYTES - 1;

/// Finds markers in bytes that are split anywhere.
#[derive(Debug, Clone)]
pub struct Scanner {
    held: [u8; MAX_HELD_BYTES],
    length: usize,
}

impl Default for Scanner {
    fn default() -> Self {
        Self {
            held: [0; MAX_HELD_BYTES],
            length: 0,
        }
    }
}

impl Scanner {
    /// Calls `found` for every marker that ends in `chunk`.
    pub fn feed(&mut self, chunk: &[u8], mut found: impl FnMut(Marker)) {
        let mut from = 0;
        if self.length > 0 {
            // A marker that began earlier ends within `MAX_HELD_BYTES`; `joint` is too short for a second
            // one.
            let taken = chunk.len().min(MAX_HELD_BYTES);
            let mut joint = [0; 2 * MAX_HELD_BYTES];
            joint[..self.length].copy_from_slice(&self.held[..self.length]);
            joint[self.length..self.length + taken].copy_from_slice(&chunk[..taken]);
            let joint = &joint[..self.length + taken];
            let end = scan_markers(joint, &mut found);
            if chunk.len() < MAX_HELD_BYTES {
                self.hold(&joint[end..]);
                return;
            }
            from = end.saturating_sub(self.length);
        }
        let end = from + scan_markers(&chunk[from..], &mut found);
        self.hold(&chunk[end..]);
    }

    fn hold(&mut self, rest: &[u8]) {
        let tail = &rest[rest.len().saturating_sub(MAX_HELD_BYTES)..];
        self.held[..tail.len()].copy_from_slice(tail);
        self.length = tail.len();
    }
}

/// Returns the end of the last marker, or 0.
fn scan_markers(bytes: &[u8], found: &mut impl FnMut(Marker)) -> usize {
    let (mut at, mut end) = (0, 0);
    while let Some(start) = memmem::find(&bytes[at..], MARKER_PREFIX) {
        at += start;
        let Some(candidate) = bytes.get(at..at + MARKER_BYTES) else {
            break;
        };
        if let Some(marker) = Marker::parse(candidate) {
            found(marker);
            at += MARKER_BYTES;
            end = at;
        } else {
            at += MARKER_PREFIX.len();
        }
    }
    end
}

/// Counts a text in bytes that are split anywhere.
#[derive(Debug, Clone)]
pub struct Needle {
    text: &'static [u8],
    held: Vec<u8>,
}

impl Needle {
    /// `text` must not be empty.
    pub fn new(text: &'static [u8]) -> Self {
        Self {
            text,
            held: Vec::new(),
        }
    }

    /// Occurrences that end in `chunk`.
    pub fn count(&mut self, chunk: &[u8]) -> usize {
        let tail_length = self.text.len() - 1;
        let mut count = 0;
        if !self.held.is_empty() {
            let before = self.held.len();
            self.held
                .extend_from_slice(&chunk[..chunk.len().min(tail_length)]);
            if memmem::find(&self.held, self.text).is_some() {
                count += 1;
                self.held.clear();
            } else if chunk.len() >= tail_length {
                self.held.truncate(before);
            }
        }
        count += memmem::find_iter(chunk, self.text).count();
        if chunk.len() >= tail_length {
            self.held.clear();
            self.held
                .extend_from_slice(&chunk[chunk.len() - tail_length..]);
        } else if self.held.is_empty() {
            self.held.extend_from_slice(chunk);
        } else {
            let surplus = self.held.len().saturating_sub(tail_length);
            self.held.drain(..surplus);
        }
        count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marker(sequence: u64) -> Marker {
        Marker {
            publisher: 11,
            sequence,
            due_nanos: 0x0123_4567_89ab_cdef,
        }
    }

    fn all(pieces: &[&[u8]]) -> Vec<Marker> {
        let (mut scanner, mut found) = (Scanner::default(), Vec::new());
        for piece in pieces {
            scanner.feed(piece, |marker| found.push(marker));
        }
        found
    }

    #[test]
    fn a_payload_has_the_length_asked_for() {
        assert_eq!(marker(1).payload(PAYLOAD_BYTES).len(), PAYLOAD_BYTES);
        assert_eq!(marker(1).payload(1).len(), MARKER_BYTES);
    }

    #[test]
    fn markers_are_found_wherever_the_stream_is_cut() {
        let mut stream = b"HTTP/1.1 200 OK\r\n\r\n@@B@@BM".to_vec();
        for sequence in 0..3 {
            stream.extend_from_slice(b"{\"text\":\"");
            stream.extend_from_slice(marker(sequence).payload(60).as_bytes());
        }
        stream.extend_from_slice(marker(3).payload(MARKER_BYTES).as_bytes());
        stream.extend_from_slice(marker(4).payload(MARKER_BYTES).as_bytes());
        let expected: Vec<_> = (0..5).map(marker).collect();
        for cut in 0..=stream.len() {
            assert_eq!(all(&[&stream[..cut], &stream[cut..]]), expected, "{cut}");
        }
        for size in 1..100 {
            let pieces: Vec<_> = stream.chunks(size).collect();
            assert_eq!(all(&pieces), expected, "pieces of {size}");
        }
    }

    #[test]
    fn what_only_looks_like_a_marker_is_passed_over() {
        let text = b"@@BMzz:0000000000000000:0000000000000000; @@BM";
        assert_eq!(all(&[text]), []);
    }

    #[test]
    fn a_needle_is_counted_wherever_the_stream_is_cut() {
        let stream = b"..sent...sentsent.";
        for size in 1..stream.len() {
            let mut needle = Needle::new(b"sent");
            let count: usize = stream.chunks(size).map(|piece| needle.count(piece)).sum();
            assert_eq!(count, 3, "pieces of {size}");
        }
    }
}
