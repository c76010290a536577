//! Limits of the relay per user and in total: allocations, and bytes per second.

use super::credentials::{RelayPurpose, RelayUser};
use crate::model::UserId;
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// Two connections over each transport and interface.
const MAX_TEST_ALLOCATIONS: u32 = 12;
/// This fraction of all allocations is for members: 1 of 4.
const MEMBER_SHARE: u32 = 4;

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
    /// Of guests and tests.
    shared_allocations: u32,
}

/// Returned to the quota on drop.
#[derive(Debug)]
pub(super) struct AllocationPermit {
    quota: Arc<Quota>,
    user: RelayUser,
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

fn is_shared(user: RelayUser) -> bool {
    match user.purpose {
        RelayPurpose::MemberCall(_) => false,
        RelayPurpose::GuestCall(_) | RelayPurpose::Test => true,
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

    pub(super) fn is_reached(&self, user: RelayUser) -> bool {
        self.is_reached_by(&self.lock(), user)
    }

    fn is_reached_by(&self, open: &Usage, user: RelayUser) -> bool {
        let of_user = open.users.get(&user.user).map_or(0, |(relays, _)| *relays);
        let (mut most_of_user, most) = (self.per_user.max_allocations, self.total.max_allocations);
        if user.purpose == RelayPurpose::Test {
            most_of_user = most_of_user.min(MAX_TEST_ALLOCATIONS);
        }
        open.allocations >= most
            || of_user >= most_of_user
            || is_shared(user) && open.shared_allocations >= most - most / MEMBER_SHARE
    }

    pub(super) fn try_acquire(self: &Arc<Self>, user: RelayUser) -> Option<AllocationPermit> {
        let mut open = self.lock();
        if self.is_reached_by(&open, user) {
            return None;
        }
        let (relays, flow) = open.users.entry(user.user).or_default();
        *relays += 1;
        let flow = flow.clone();
        open.allocations += 1;
        open.shared_allocations += u32::from(is_shared(user));
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
        let shared = u32::from(is_shared(self.user));
        open.shared_allocations = open.shared_allocations.saturating_sub(shared);
        if let Some((relays, _)) = open.users.get_mut(&self.user.user) {
            *relays = relays.saturating_sub(1);
            if *relays == 0 {
                open.users.remove(&self.user.user);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::CallId;
    use uuid::Uuid;

    fn user(number: u128) -> RelayUser {
        in_purpose(number, RelayPurpose::MemberCall(CallId(Uuid::nil())))
    }

    fn guest(number: u128) -> RelayUser {
        in_purpose(number, RelayPurpose::GuestCall(CallId(Uuid::nil())))
    }

    fn in_purpose(number: u128, purpose: RelayPurpose) -> RelayUser {
        let user = UserId(Uuid::from_u128(number));
        RelayUser { user, purpose }
    }

    #[test]
    fn guests_and_tests_leave_a_share_to_members() {
        let quota = quota(5, 8);
        let guests: Vec<_> = (0..8).map_while(|n| quota.try_acquire(guest(n))).collect();
        assert_eq!(guests.len(), 6);
        let test = in_purpose(9, RelayPurpose::Test);
        assert!(quota.is_reached(test));
        let _members = [user(1), user(2)].map(|user| quota.try_acquire(user).unwrap());
        assert!(quota.is_reached(user(3)), "the total limit is reached");
        drop(guests);
        assert!(!quota.is_reached(test), "the share is free again");
    }

    #[test]
    fn a_test_takes_fewer_relays_than_a_call() {
        let quota = quota(40, 2_000);
        let test = in_purpose(1, RelayPurpose::Test);
        let tests: Vec<_> = (0..40).map_while(|_| quota.try_acquire(test)).collect();
        assert_eq!(tests.len(), 12);
        let calls: Vec<_> = (0..40).map_while(|_| quota.try_acquire(user(1))).collect();
        assert_eq!(calls.len(), 28, "one person's limit holds for both");
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
