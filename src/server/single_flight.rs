//! What many ask for at the same moment, made once for all of them.

use quick_cache::{Weighter, sync::Cache};
use std::{hash::Hash, time::Duration};

/// Who waits longer than this for what somebody else makes makes it as well. When making fails, those who wait try one after the
/// other; that must not add up.
const WAIT_TIMEOUT: Duration = Duration::from_secs(1);

/// What a cache holds for a key. What is not there yet is made by the first who asks, and kept; the others wait for it.
///
/// # Errors
/// When it has to be made here and cannot be. A failure is not kept.
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
            // Only the cache itself could have taken the place away.
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

    /// Asks a hundred times at once for what takes `takes` and ends in `ends`. What they were answered, how often it was made, and
    /// how long all of it took.
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
