//! Bounds on what one client takes, so that an abuser costs only themselves: tokens over time and places at a time, by
//! address, session, person and pair of people.
//!
//! [`Bound`] lists the bounds. [`entry_points`] says which of them each route, server function, frame and TURN method has;
//! `docs/operating.md` has both tables. Each node counts alone.

mod bound;
pub mod entry_points;
mod key;
mod places;
mod setting;
mod token_buckets;

pub use bound::{Amount, Bound, Spec};
pub use entry_points::EntryPoint;
pub use key::{Key, KeyKind};
pub use places::Place;
pub use setting::Overrides;
pub use token_buckets::Rate;

use crate::{
    protocol::failure::Failure,
    server::metrics::{LimitLabels, Metrics},
};
use places::Places;
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use token_buckets::TokenBuckets;
use tokio::time::Instant;

/// An IPv6 /48 network takes this many times as much as one of its /64 networks.
const SITE_FACTOR: u32 = 8;
/// Until a place may be free again.
const PLACE_RETRY_INTERVAL: Duration = Duration::from_secs(5);

/// What somebody wants to take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Charge {
    bound: Bound,
    key: Key,
    cost: u32,
}

impl Charge {
    /// One, for this key.
    #[must_use]
    pub fn new(bound: Bound, key: Key) -> Self {
        debug_assert_eq!(
            bound.spec().key,
            key.kind(),
            "{bound:?} counts by another key"
        );
        Self {
            bound,
            key,
            cost: 1,
        }
    }

    /// As many as `cost`.
    #[must_use]
    pub fn with_cost(self, cost: u32) -> Self {
        Self { cost, ..self }
    }

    /// With the larger network that shares the bound, and how many times as much that takes.
    fn buckets(self) -> impl Iterator<Item = (BucketKey, u32)> {
        let own = ((self.bound, self.key), 1);
        let site = self
            .key
            .site()
            .map(|site| ((self.bound, site), SITE_FACTOR));
        std::iter::once(own).chain(site)
    }
}

type BucketKey = (Bound, Key);

/// A bound is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the bound \"{}\" is reached for {wait:?}", bound.spec().name)]
pub struct Exceeded {
    pub bound: Bound,
    /// Until the same may be allowed, unless more is taken meanwhile.
    pub wait: Duration,
}

impl From<Exceeded> for Failure {
    fn from(exceeded: Exceeded) -> Self {
        Self::rate_limited(exceeded.wait)
    }
}

/// Counts what clients take, against the configured bounds.
#[derive(Debug)]
pub struct RateLimits {
    overrides: Overrides,
    buckets: Mutex<TokenBuckets<BucketKey>>,
    places: Arc<Places>,
    metrics: Arc<Metrics>,
}

impl RateLimits {
    /// Nothing has been taken yet.
    #[must_use]
    pub fn new(overrides: Overrides, metrics: Arc<Metrics>) -> Arc<Self> {
        for bound in Bound::ALL {
            metrics.limited.get_or_create(&labels(*bound)).inc_by(0);
        }
        Arc::new(Self {
            overrides,
            buckets: Mutex::default(),
            places: Arc::default(),
            metrics,
        })
    }

    /// Takes all charges, or none if one exceeds its bound.
    ///
    /// # Errors
    /// The bound with the longest wait.
    pub fn take(
        &self,
        charges: impl IntoIterator<Item = Charge, IntoIter: Clone>,
    ) -> Result<(), Exceeded> {
        self.take_at(Instant::now(), charges.into_iter())
    }

    fn take_at(
        &self,
        now: Instant,
        charges: impl Iterator<Item = Charge> + Clone,
    ) -> Result<(), Exceeded> {
        let each = || {
            charges.clone().flat_map(|charge| {
                let rate = self.overrides.rate(charge.bound);
                let buckets = charge.buckets();
                buckets.map(move |(key, factor)| (charge, key, rate.scaled(factor)))
            })
        };
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let waits = each().map(|(charge, key, rate)| Exceeded {
            bound: charge.bound,
            wait: buckets.wait(&key, now, charge.cost, rate),
        });
        match waits.max_by_key(|exceeded| exceeded.wait) {
            Some(exceeded) if !exceeded.wait.is_zero() => {
                drop(buckets);
                self.count(exceeded.bound);
                return Err(exceeded);
            }
            _ => {}
        }
        for (charge, key, rate) in each() {
            buckets.take(key, now, charge.cost, rate);
        }
        Ok(())
    }

    /// Takes charges even beyond their bounds: it takes longer until more is allowed.
    pub fn charge(&self, charges: impl IntoIterator<Item = Charge>) {
        let now = Instant::now();
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        for charge in charges {
            let rate = self.overrides.rate(charge.bound);
            for (key, factor) in charge.buckets() {
                buckets.take(key, now, charge.cost, rate.scaled(factor));
            }
        }
    }

    /// Gives back what [`Self::take`] took, because it turned out not to count.
    pub fn give_back(&self, charges: impl IntoIterator<Item = Charge>) {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        for charge in charges {
            let rate = self.overrides.rate(charge.bound);
            for (key, factor) in charge.buckets() {
                buckets.give_back(&key, charge.cost, rate.scaled(factor));
            }
        }
    }

    /// Takes a place of every key until the returned value is dropped, or none if one is missing.
    ///
    /// # Errors
    /// The bound without a place.
    pub fn open(&self, charges: impl IntoIterator<Item = Charge>) -> Result<Place, Exceeded> {
        let wanted = charges.into_iter().flat_map(|charge| {
            let most = self.overrides.places(charge.bound);
            let buckets = charge.buckets();
            buckets.map(move |(key, factor)| (key, most.saturating_mul(factor)))
        });
        Places::open(&self.places, wanted.collect()).map_err(|(bound, _)| {
            self.count(bound);
            Exceeded {
                bound,
                wait: PLACE_RETRY_INTERVAL,
            }
        })
    }

    /// How many places of a bound for everybody are taken, and how many there are.
    #[must_use]
    pub fn usage(&self, bound: Bound) -> (u32, u32) {
        let taken = self.places.taken(&(bound, Key::Total));
        (taken, self.overrides.places(bound))
    }

    fn count(&self, bound: Bound) {
        self.metrics.limited.get_or_create(&labels(bound)).inc();
    }
}

fn labels(bound: Bound) -> LimitLabels {
    LimitLabels {
        limit: bound.spec().name,
    }
}

#[cfg(test)]
mod tests;
