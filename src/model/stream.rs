//! A log's sequence, its epoch, and the answer to "go on from here".

use serde::{Deserialize, Serialize};

/// An event's place in its stream: 1 for the first, then one more each, without holes. 0 is "before the first".
pub type Seq = i64;

/// Which incarnation of a stream a sequence belongs to: opaque text of at most 32 characters, made when the
/// stream is made. Two streams with the same name but different epochs are different logs (a store that was
/// replaced or restored), so a sequence of one says nothing about the other.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Epoch(pub String);

/// How far somebody has read a stream: everything up to and including `seq` of `epoch`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Cursor {
    /// The incarnation that `seq` belongs to.
    pub epoch: Epoch,
    /// The last sequence seen; 0 for none.
    pub seq: Seq,
}

/// What a resume is answered: all of it, or nothing of it. There is no partial yes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResumeDecision {
    /// Everything after the cursor is still in the log: replay from `after`, exclusive.
    Recovered {
        /// The first event to replay is the one after this.
        after: Seq,
    },
    /// The events between are not all there, or not to be replayed: fetch the current state instead.
    Resync,
}

/// Decides a resume.
///
/// `head` is the stream's newest sequence, `oldest` the oldest one still kept (`head + 1` when none is) and
/// `most` how many events a resume may replay before fetching the state anew is cheaper for both sides.
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
    // Asked only of a cursor in range: the sum of what a client may say could overflow.
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
