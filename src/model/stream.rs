//! Sequence, epoch and cursor of an event stream, and the resume decision.

use serde::{Deserialize, Serialize};

/// Sequence of an event, from 1 on without gaps. 0 is before the first.
pub type Seq = i64;

/// One incarnation of a stream, at most 32 characters.
///
/// A replaced or restored store has another; their sequences cannot be compared.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Epoch(pub String);

/// Every event up to and including `seq` was received.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Cursor {
    pub epoch: Epoch,
    pub seq: Seq,
}

/// A full replay or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResumeDecision {
    /// Every event after the cursor is in the log.
    Recovered {
        /// Exclusive start of the replay.
        after: Seq,
    },
    /// Events are missing or too many: the client fetches the state.
    Resync,
}

/// Decides whether a client can resume.
///
/// `oldest` is the oldest stored sequence, `head + 1` if none is; at most `max_replay` events are replayed.
#[must_use]
pub fn decide_resume(
    epoch: &Epoch,
    head: Seq,
    oldest: Seq,
    cursor: &Cursor,
    max_replay: Seq,
) -> ResumeDecision {
    let same_log = *epoch == cursor.epoch;
    let in_range = (0..=head).contains(&cursor.seq);
    // Lazy: `cursor.seq + 1` overflows for an arbitrary value from a client.
    let all_kept = || cursor.seq + 1 >= oldest || cursor.seq == head;
    if same_log && in_range && all_kept() && head - cursor.seq <= max_replay {
        ResumeDecision::Recovered { after: cursor.seq }
    } else {
        ResumeDecision::Resync
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(epoch: &str, seq: Seq) -> Cursor {
        Cursor {
            epoch: Epoch(epoch.into()),
            seq,
        }
    }

    fn decide(cursor: &Cursor, head: Seq, oldest: Seq) -> ResumeDecision {
        decide_resume(&Epoch("a".into()), head, oldest, cursor, 100)
    }

    #[test]
    fn a_cursor_within_the_log_is_recovered() {
        assert_eq!(
            decide(&at("a", 40), 50, 1),
            ResumeDecision::Recovered { after: 40 }
        );
        assert_eq!(
            decide(&at("a", 50), 50, 1),
            ResumeDecision::Recovered { after: 50 }
        );
        assert_eq!(
            decide(&at("a", 0), 0, 1),
            ResumeDecision::Recovered { after: 0 }
        );
    }

    #[test]
    fn another_epoch_is_never_recovered() {
        assert_eq!(decide(&at("b", 40), 50, 1), ResumeDecision::Resync);
    }

    #[test]
    fn a_cursor_from_the_future_or_below_zero_is_not_believed() {
        assert_eq!(decide(&at("a", 51), 50, 1), ResumeDecision::Resync);
        assert_eq!(decide(&at("a", -1), 50, 1), ResumeDecision::Resync);
        assert_eq!(decide(&at("a", Seq::MAX), 50, 1), ResumeDecision::Resync);
        assert_eq!(decide(&at("a", Seq::MIN), 50, 1), ResumeDecision::Resync);
    }

    #[test]
    fn a_gap_after_the_cursor_is_a_resync_and_never_skipped() {
        assert_eq!(decide(&at("a", 9), 50, 11), ResumeDecision::Resync);
        assert_eq!(
            decide(&at("a", 10), 50, 11),
            ResumeDecision::Recovered { after: 10 }
        );
    }

    #[test]
    fn a_reader_up_to_date_needs_nothing_that_was_pruned() {
        assert_eq!(
            decide(&at("a", 50), 50, 51),
            ResumeDecision::Recovered { after: 50 }
        );
    }

    #[test]
    fn a_replay_longer_than_the_bound_is_refused_whole() {
        assert_eq!(
            decide(&at("a", 0), 100, 1),
            ResumeDecision::Recovered { after: 0 }
        );
        assert_eq!(decide(&at("a", 0), 101, 1), ResumeDecision::Resync);
    }
}
