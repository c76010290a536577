//! Limits of the relay per user and in total: allocations, and bytes per second.

use crate::model::UserId;
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct QuotaLimits {
    pub(super) max_allocations: u32,
    /// Both directions together.
    pub(super) max_bytes_per_second: u64,
}

#[derive(Debug)]
pub(super) struct Quota {
    per_user: QuotaLimits,
    total: QuotaLimits,
    usage: Mutex<Usage>,
    total_bandwidth: BandwidthBucket,
}

#[derive(Debug, Default)]
struct Usage {
    users: HashMap<UserId, (u32, Arc<BandwidthBucket>)>,
    allocations: u32,
}

/// Returned to the quota on drop.
#[derive(Debug)]
pub(super) struct AllocationPermit {
    quota: Arc<Quota>,
    user: UserId,
    bandwidth: Arc<BandwidthBucket>,
}

/// Token bucket for bytes, with a capacity of one second.
#[derive(Debug, Default)]
struct BandwidthBucket {
    /// When the bucket is full again, in nanoseconds since the relay started.
    full_at: AtomicU64,
}

const NANOS_PER_SECOND: u64 = 1_000_000_000;

impl BandwidthBucket {
    fn allow(&self, bytes: usize, most: u64, now: Duration) -> bool {
        let now = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX / 2);
        let cost = cost(bytes, most);
        let take = |full_at: u64| {
            let full_at = full_at.max(now).saturating_add(cost);
            (full_at - now <= NANOS_PER_SECOND).then_some(full_at)
        };
        let order = Ordering::Relaxed;
        self.full_at.fetch_update(order, order, take).is_ok()
    }

    /// Undoes an [`Self::allow`].
    fn give_back(&self, bytes: usize, most: u64) {
        self.full_at.fetch_sub(cost(bytes, most), Ordering::Relaxed);
    }
}

/// In nanoseconds until as many bytes may pass again.
fn cost(bytes: usize, most: u64) -> u64 {
    let bytes = u64::try_from(bytes).unwrap_or(u64::MAX / NANOS_PER_SECOND);
    bytes.saturating_mul(NANOS_PER_SECOND) / most.max(1)
}

impl Quota {
    pub(super) fn new(each: QuotaLimits, all: QuotaLimits) -> Arc<Self> {
        Arc::new(Self {
            per_user: each,
            total: all,
            usage: Mutex::default(),
            total_bandwidth: BandwidthBucket::default(),
        })
    }

    pub(super) fn is_reached(&self, user: UserId) -> bool {
        self.is_reached_by(&self.lock(), user)
    }

    fn is_reached_by(&self, open: &Usage, user: UserId) -> bool {
        let of_user = open.users.get(&user).map_or(0, |(relays, _)| *relays);
        open.allocations >= self.total.max_allocations || of_user >= self.per_user.max_allocations
    }

    pub(super) fn try_acquire(self: &Arc<Self>, user: UserId) -> Option<AllocationPermit> {
        let mut open = self.lock();
        if self.is_reached_by(&open, user) {
            return None;
        }
        let (relays, flow) = open.users.entry(user).or_default();
        *relays += 1;
        let flow = flow.clone();
        open.allocations += 1;
        Some(AllocationPermit {
            quota: self.clone(),
            user,
            bandwidth: flow,
        })
    }

    fn lock(&self) -> MutexGuard<'_, Usage> {
        self.usage.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AllocationPermit {
    /// Counts the bytes if they may pass.
    pub(super) fn allow(&self, bytes: usize, now: Duration) -> bool {
        let quota = &self.quota;
        let of_user = quota.per_user.max_bytes_per_second;
        if !self.bandwidth.allow(bytes, of_user, now) {
            return false;
        }
        let in_total = quota.total.max_bytes_per_second;
        let may_pass = quota.total_bandwidth.allow(bytes, in_total, now);
        if !may_pass {
            self.bandwidth.give_back(bytes, of_user);
        }
        may_pass
    }
}

impl Drop for AllocationPermit {
    fn drop(&mut self) {
        let mut open = self.quota.lock();
        open.allocations = open.allocations.saturating_sub(1);
        if let Some((relays, _)) = open.users.get_mut(&self.user) {
            *relays = relays.saturating_sub(1);
            if *relays == 0 {
                open.users.remove(&self.user);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn user(number: u128) -> UserId {
        UserId(Uuid::from_u128(number))
    }

    fn quota(each: u32, all: u32) -> Arc<Quota> {
        let bound = |relays, bytes| QuotaLimits {
            max_allocations: relays,
            max_bytes_per_second: bytes,
        };
        Quota::new(bound(each, 1_000), bound(all, 1_500))
    }

    #[test]
    fn nobody_has_more_allocations_than_one_may_and_all_together_not_more_than_all_may() {
        let quota = quota(2, 3);
        let first = quota.try_acquire(user(1)).unwrap();
        let _second = quota.try_acquire(user(1)).unwrap();
        assert!(quota.try_acquire(user(1)).is_none());
        let _third = quota.try_acquire(user(2)).unwrap();
        assert!(
            quota.try_acquire(user(2)).is_none(),
            "the total limit is reached"
        );
        drop(first);
        assert_eq!(quota.lock().allocations, 2);
        assert!(quota.try_acquire(user(1)).is_some());
    }

    #[test]
    fn who_has_none_left_is_forgotten() {
        let quota = quota(2, 3);
        drop(quota.try_acquire(user(1)));
        assert!(quota.lock().users.is_empty());
    }

    #[test]
    fn bytes_pass_as_fast_as_one_may_and_not_faster() {
        let quota = quota(2, 3);
        let one = quota.try_acquire(user(1)).unwrap();
        let same = quota.try_acquire(user(1)).unwrap();
        let other = quota.try_acquire(user(2)).unwrap();
        let at = Duration::from_millis;
        assert!(one.allow(900, at(0)));
        assert!(
            !same.allow(200, at(0)),
            "two allocations of one user share a limit"
        );
        assert!(same.allow(200, at(200)));
        assert!(other.allow(600, at(200)));
        assert!(!other.allow(300, at(200)), "the total bandwidth is used up");
        assert!(other.allow(850, at(700)), "refused bytes do not count");
    }
}
