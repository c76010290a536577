//! Places that are taken and given back.

use super::BucketKey;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// How many places each key has taken.
#[derive(Debug, Default)]
pub(super) struct Places(Mutex<HashMap<BucketKey, u32>>);

/// Places that somebody has taken. Dropping it frees them.
#[derive(Debug)]
pub struct Place {
    places: Arc<Places>,
    keys: Vec<BucketKey>,
}

impl Places {
    /// Takes a place of each key, or none. The number is how many places the key has.
    ///
    /// The error is the key without a place.
    pub(super) fn open(
        places: &Arc<Self>,
        wanted: Vec<(BucketKey, u32)>,
    ) -> Result<Place, BucketKey> {
        let mut taken = places.lock();
        let is_full =
            |(key, most): &&(BucketKey, u32)| taken.get(key).copied().unwrap_or_default() >= *most;
        if let Some((key, _)) = wanted.iter().find(is_full) {
            return Err(*key);
        }
        let keys: Vec<BucketKey> = wanted.into_iter().map(|(key, _)| key).collect();
        for key in &keys {
            *taken.entry(*key).or_default() += 1;
        }
        drop(taken);
        let places = places.clone();
        Ok(Place { places, keys })
    }

    pub(super) fn taken(&self, key: &BucketKey) -> u32 {
        self.lock().get(key).copied().unwrap_or_default()
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<BucketKey, u32>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.lock();
        for key in &self.keys {
            match taken.get_mut(key) {
                Some(count) if *count > 1 => *count -= 1,
                _ => drop(taken.remove(key)),
            }
        }
    }
}
