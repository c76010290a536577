//! A node's term as the call leader.

use crate::server::store::{Saved, Term};
use tokio_util::sync::CancellationToken;

/// Everything that decides or stores calls runs in a term and ends with it. Clones are the same term.
#[derive(Debug, Clone)]
pub struct LeaderTerm {
    term: Term,
    over: CancellationToken,
}

impl LeaderTerm {
    pub(super) fn new(term: Term) -> Self {
        Self {
            term,
            over: CancellationToken::new(),
        }
    }

    pub(super) fn term(&self) -> Term {
        self.term
    }

    /// Stops everything that runs in this term at its next await.
    pub fn end(&self) {
        self.over.cancel();
    }

    /// Whether another node may lead.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.over.is_cancelled()
    }

    /// Waits for the end of the term.
    pub async fn over(&self) {
        self.over.cancelled().await;
    }

    /// Runs a future; `None` if the term ends first.
    pub(super) async fn run<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            // After the end, the future is not polled again.
            biased;
            () = self.over.cancelled() => None,
            done = work => Some(done),
        }
    }

    /// False if the stored call has ended. After a write of a newer term, ends this one and never returns: the caller
    /// runs in [`Self::run`].
    pub(super) async fn check(&self, saved: Saved) -> bool {
        match saved {
            Saved::Written => true,
            Saved::AlreadyEnded => false,
            Saved::TermOver => {
                self.end();
                std::future::pending().await
            }
        }
    }
}
