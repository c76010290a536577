//! Spawning of tasks. In the simulation a task belongs to a node, which may pause or crash.

#[cfg(test)]
use super::simulation::node;
use tokio::task::JoinHandle;

/// Spawns a task on the current runtime, as [`tokio::spawn`].
///
/// # Panics
/// Outside a runtime.
pub fn spawn<F>(task: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    #[cfg(not(test))]
    return tokio::spawn(task);
    #[cfg(test)]
    node::spawn(task)
}
