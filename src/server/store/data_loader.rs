//! Batches concurrent lookups of one kind into shared queries.
//!
//! Requests that arrive during a query form the next one; a lone request never waits.

use crate::server::{
    error::{Error, Result},
    task,
};
use std::{collections::HashMap, fmt, hash::Hash, iter};
use tokio::sync::{mpsc, oneshot};

const MAX_QUERY_KEYS: usize = 128;
/// Further callers wait for a slot.
const CHANNEL_CAPACITY: usize = 1_024;

type LoadRequest<K, V> = (K, oneshot::Sender<Result<Option<V>>>);

/// Clones share their batches.
pub(super) struct DataLoader<K, V>(mpsc::Sender<LoadRequest<K, V>>);

impl<K, V> Clone for DataLoader<K, V> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<K, V> fmt::Debug for DataLoader<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DataLoader").finish_non_exhaustive()
    }
}

impl<K, V> DataLoader<K, V>
where
    K: Clone + Eq + Hash + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    /// Runs `load_many` in a task that ends with the last clone. Padding keys to a power of two keeps prepared
    /// statements few.
    pub(super) fn new<F>(load_many: impl Fn(Vec<K>) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<HashMap<K, V>>> + Send,
    {
        let (asks, mut asked) = mpsc::channel::<LoadRequest<K, V>>(CHANNEL_CAPACITY);
        task::spawn(async move {
            let mut requests = Vec::with_capacity(MAX_QUERY_KEYS);
            while asked.recv_many(&mut requests, MAX_QUERY_KEYS).await > 0 {
                let found = load_many(padded_keys(&requests)).await;
                for (key, answer) in requests.drain(..) {
                    let value = match &found {
                        Ok(found) => Ok(found.get(&key).cloned()),
                        Err(why) => Err(Error::Internal(why.to_string())),
                    };
                    let _ = answer.send(value);
                }
            }
        });
        Self(asks)
    }

    /// Looks up a key, as of some moment after the call.
    pub(super) async fn load(&self, key: K) -> Result<Option<V>> {
        let lost = || Error::Internal("the data loader has stopped".to_owned());
        let (answer, answered) = oneshot::channel();
        self.0.send((key, answer)).await.map_err(|_| lost())?;
        answered.await.map_err(|_| lost())?
    }
}

fn padded_keys<K: Clone, A>(batch: &[(K, A)]) -> Vec<K> {
    let asked = batch.iter().map(|(key, _)| key);
    let last = batch.last().map(|(key, _)| key);
    asked
        .chain(iter::repeat(last).flatten())
        .take(batch.len().next_power_of_two())
        .cloned()
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};
    use tokio::sync::Semaphore;

    #[test]
    fn keys_are_filled_up_to_a_power_of_two() {
        assert_eq!(padded_keys(&[(1, ()), (2, ()), (3, ())]), [1, 2, 3, 3]);
        assert_eq!(padded_keys(&[(1, ())]), [1]);
    }

    #[tokio::test]
    async fn keys_requested_while_a_query_runs_become_one_query() {
        let queries = Arc::new(Mutex::new(Vec::new()));
        let may_run = Arc::new(Semaphore::new(0));
        let batch = {
            let (queries, may_run) = (queries.clone(), may_run.clone());
            DataLoader::new(move |keys: Vec<u32>| {
                let (queries, may_run) = (queries.clone(), may_run.clone());
                async move {
                    queries.lock().unwrap().push(keys.len());
                    may_run.acquire().await.unwrap().forget();
                    Ok(keys
                        .iter()
                        .filter(|key| **key != 5)
                        .map(|key| (*key, key * 10))
                        .collect())
                }
            })
        };
        let ask = |key| {
            let batch = batch.clone();
            tokio::spawn(async move { batch.load(key).await.unwrap() })
        };
        let first = ask(1);
        while queries.lock().unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
        let others: Vec<_> = (2..=9).map(ask).collect();
        tokio::task::yield_now().await;
        may_run.add_permits(2);
        assert_eq!(first.await.unwrap(), Some(10));
        for (key, other) in (2..=9).zip(others) {
            assert_eq!(other.await.unwrap(), Some(key * 10).filter(|_| key != 5));
        }
        assert_eq!(*queries.lock().unwrap(), [1, 8]);
    }

    #[tokio::test]
    async fn a_query_that_fails_fails_all_its_requests_and_the_next_is_tried() {
        let calls = Arc::new(Mutex::new(0));
        let batch = DataLoader::new(move |keys: Vec<u32>| {
            *calls.lock().unwrap() += 1;
            let fails = *calls.lock().unwrap() == 1;
            async move {
                if fails {
                    Err(Error::Internal("the disk is full".to_owned()))
                } else {
                    Ok(keys.into_iter().map(|key| (key, key)).collect())
                }
            }
        });
        let why = batch.load(1).await.unwrap_err().to_string();
        assert!(why.contains("the disk is full"), "{why}");
        assert_eq!(batch.load(1).await.unwrap(), Some(1));
    }
}
