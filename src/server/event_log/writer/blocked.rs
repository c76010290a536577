//! Appends that wait for another node's locks.

use super::request::{AppendRequest, LockKey};
use std::collections::{BTreeMap, HashSet, VecDeque};
use tokio::time::Instant;

/// Further ones fail at once.
const MAX_BLOCKED_APPENDS: usize = 1_024;

/// Appends of each lock in order of arrival, so that none overtakes another.
#[derive(Debug, Default)]
pub(super) struct BlockedAppends {
    by_lock: BTreeMap<LockKey, Queue>,
    count: usize,
}

#[derive(Debug)]
struct Queue {
    since: Instant,
    entries: VecDeque<AppendRequest>,
}

impl BlockedAppends {
    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub(super) fn contains(&self, lock: LockKey) -> bool {
        self.by_lock.contains_key(&lock)
    }

    pub(super) fn push(
        &mut self,
        entry: AppendRequest,
        now: Instant,
    ) -> Result<(), Box<AppendRequest>> {
        if self.count >= MAX_BLOCKED_APPENDS {
            return Err(Box::new(entry));
        }
        self.queue(entry.lock_key(), now).push_back(entry);
        self.count += 1;
        Ok(())
    }

    /// Removes up to `most` appends, none of locks in doubt. Their queues keep `since` until [`Self::end_attempt`].
    pub(super) fn begin_attempt(
        &mut self,
        most: usize,
        in_doubt: &HashSet<LockKey>,
    ) -> Vec<AppendRequest> {
        let mut taken = Vec::new();
        let queues = self.by_lock.iter_mut();
        for (_, queue) in queues.filter(|(lock, _)| !in_doubt.contains(lock)) {
            let count = queue.entries.len().min(most - taken.len());
            taken.extend(queue.entries.drain(..count));
        }
        self.count -= taken.len();
        taken
    }

    /// Puts appends that are still blocked back to the front, in order.
    pub(super) fn end_attempt(&mut self, blocked: Vec<AppendRequest>, now: Instant) {
        self.count += blocked.len();
        for entry in blocked.into_iter().rev() {
            self.queue(entry.lock_key(), now).push_front(entry);
        }
        self.by_lock.retain(|_, queue| !queue.entries.is_empty());
    }

    /// Removes the appends of locks awaited since earlier than `before`.
    pub(super) fn take_older(&mut self, before: Instant) -> Vec<AppendRequest> {
        let mut taken = Vec::new();
        self.by_lock.retain(|_, queue| {
            let is_old = queue.since < before;
            if is_old {
                taken.extend(queue.entries.drain(..));
            }
            !is_old
        });
        self.count -= taken.len();
        taken
    }

    pub(super) fn take_all(&mut self) -> Vec<AppendRequest> {
        self.count = 0;
        let queues = std::mem::take(&mut self.by_lock).into_values();
        queues.flat_map(|queue| queue.entries).collect()
    }

    fn queue(&mut self, lock: LockKey, now: Instant) -> &mut VecDeque<AppendRequest> {
        let queue = self.by_lock.entry(lock).or_insert_with(|| Queue {
            since: now,
            entries: VecDeque::new(),
        });
        &mut queue.entries
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::{RoomId, Seq, UserId},
        server::random,
    };
    use std::time::Duration;
    use tokio::sync::oneshot;

    fn cursor(user: UserId, seq: Seq) -> AppendRequest {
        AppendRequest::ReadCursor {
            room: RoomId(uuid::Uuid::nil()),
            user,
            seq,
            reply: oneshot::channel().0,
        }
    }

    fn seqs(entries: &[AppendRequest]) -> Vec<Seq> {
        entries
            .iter()
            .map(|entry| match entry {
                AppendRequest::ReadCursor { seq, .. } => *seq,
                other => panic!("{other:?}"),
            })
            .collect()
    }

    #[test]
    fn appends_of_one_lock_keep_their_order_over_attempts() {
        let (user, now) = (UserId(random::new_id()), Instant::now());
        let mut blocked = BlockedAppends::default();
        for seq in 1..=5 {
            blocked.push(cursor(user, seq), now).unwrap();
        }
        let tried = blocked.begin_attempt(3, &HashSet::new());
        assert_eq!(seqs(&tried), [1, 2, 3]);
        blocked.end_attempt(tried, now);
        let in_doubt = HashSet::from([cursor(user, 0).lock_key()]);
        assert!(blocked.begin_attempt(10, &in_doubt).is_empty());
        let tried = blocked.begin_attempt(10, &HashSet::new());
        assert_eq!(seqs(&tried), [1, 2, 3, 4, 5]);
        assert!(blocked.contains(cursor(user, 1).lock_key()));
        blocked.end_attempt(Vec::new(), now);
        assert!(blocked.is_empty() && !blocked.contains(cursor(user, 1).lock_key()));
    }

    #[test]
    fn a_lock_is_awaited_from_its_first_append_on() {
        let (early, late) = (UserId(random::new_id()), UserId(random::new_id()));
        let start = Instant::now();
        let later = start + Duration::from_secs(5);
        let mut blocked = BlockedAppends::default();
        blocked.push(cursor(early, 1), start).unwrap();
        let tried = blocked.begin_attempt(1, &HashSet::new());
        blocked.end_attempt(tried, later);
        blocked.push(cursor(early, 2), later).unwrap();
        blocked.push(cursor(late, 3), later).unwrap();
        assert_eq!(seqs(&blocked.take_older(later)), [1, 2]);
        assert_eq!(seqs(&blocked.begin_attempt(10, &HashSet::new())), [3]);
    }

    #[test]
    fn the_number_of_blocked_appends_is_bounded() {
        let (user, now) = (UserId(random::new_id()), Instant::now());
        let mut blocked = BlockedAppends::default();
        for seq in 0..1_024 {
            blocked.push(cursor(user, seq), now).unwrap();
        }
        blocked.push(cursor(user, 1_024), now).unwrap_err();
    }
}
