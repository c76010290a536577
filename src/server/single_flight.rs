//! Computes a cached value once for all concurrent requests.

use quick_cache::{Weighter, sync::Cache};
use std::{hash::Hash, time::Duration};

/// A waiter then computes the value itself: while computing fails, delays would add up.
const WAIT_TIMEOUT: Duration = Duration::from_secs(1);

/// Returns the cached value, or else computes it once while other callers wait.
///
/// # Errors
/// When computing fails. Errors are not cached.
pub async fn get_or_compute<K, V, W, E>(
    cache: &Cache<K, V, W>,
    key: &K,
    compute: impl Future<Output = Result<V, E>>,
) -> Result<V, E>
where
    K: Clone + Eq + Hash,
    V: Clone,
    W: Weighter<K, V> + Clone,
{
    let found = tokio::time::timeout(WAIT_TIMEOUT, cache.get_value_or_guard_async(key)).await;
    match found {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(place)) => {
            let value = compute.await?;
            // The cache may have removed the placeholder.
            let _ = place.insert(value.clone());
            Ok(value)
        }
        Err(_) => compute.await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };
    use tokio::time::{Instant, sleep};

    /// Returns answers, computations and total time.
    async fn request_concurrently(
        takes: Duration,
        ends: Result<u8, u8>,
    ) -> (Vec<Result<u8, u8>>, usize, Duration) {
        let cache = Arc::new(Cache::new(10));
        let times = Arc::new(AtomicUsize::new(0));
        let started = Instant::now();
        let askers = (0..100).map(|_| {
            let (cache, times) = (cache.clone(), times.clone());
            tokio::spawn(async move {
                let make = async {
                    times.fetch_add(1, Ordering::Relaxed);
                    sleep(takes).await;
                    ends
                };
                get_or_compute(&cache, &"key", make).await
            })
        });
        let mut answers = Vec::new();
        for asker in askers.collect::<Vec<_>>() {
            answers.push(asker.await.unwrap());
        }
        (answers, times.load(Ordering::Relaxed), started.elapsed())
    }

    #[tokio::test]
    async fn a_hundred_concurrent_requests_compute_the_value_once() {
        let (answers, made, _) = request_concurrently(Duration::from_millis(10), Ok(7)).await;
        assert_eq!((answers, made), (vec![Ok(7); 100], 1));
    }

    #[tokio::test]
    async fn failures_do_not_add_up() {
        let (answers, _, took) = request_concurrently(Duration::from_millis(100), Err(3)).await;
        assert_eq!(answers, vec![Err(3); 100]);
        assert!(took < Duration::from_secs(5), "{took:?}");
    }
}
