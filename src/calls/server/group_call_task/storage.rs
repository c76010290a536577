//! Storing a group call and posting its outcome.

use super::GroupCallTask;
use crate::{
    calls::server::{outcome_message, stored_call::group_call_row},
    model::{call::group::GroupCall, message::Content},
    server::error::Result,
};
use std::time::Duration;

const STORE_RETRY_DELAY: Duration = Duration::from_secs(1);

impl GroupCallTask {
    /// Retries while the term lasts. False if the stored call has ended.
    pub(super) async fn save_with_retries(&self, next: &GroupCall) -> bool {
        loop {
            match self.save(next).await {
                Ok(written) => return written,
                Err(error) => {
                    tracing::error!(call = %next.id, %error, "a group call could not be stored; trying again");
                    tokio::time::sleep(STORE_RETRY_DELAY).await;
                }
            }
        }
    }

    async fn save(&self, call: &GroupCall) -> Result<bool> {
        let (store, term) = (&self.table.app.store, self.term.term());
        let saved = store.save_group_call(term, &group_call_row(call)).await?;
        Ok(self.term.check(saved).await)
    }

    /// Retries while the term lasts; after that, the next leader posts the outcome.
    pub(super) async fn post_outcome_with_retries(&self, call: &GroupCall) {
        while let Err(error) = self.post_outcome(call).await {
            tracing::error!(call = %call.id, %error, "the outcome of a group call could not be posted; trying again");
            tokio::time::sleep(STORE_RETRY_DELAY).await;
        }
    }

    pub(in crate::calls::server) async fn post_outcome(&self, call: &GroupCall) -> Result<()> {
        let (Some(lasted), Some(author)) = (call.lasted(), self.people.get(&call.started_by))
        else {
            return Ok(());
        };
        let joined = call.ever_joined.iter();
        let people: Vec<_> = joined.filter_map(|user| self.people.get(user)).collect();
        let is_guest = |position: &usize| self.guests.contains(&people[*position].id);
        let content = Content::GroupCall {
            call: call.id,
            lasted,
            people: people
                .iter()
                .map(|person| person.name.to_string())
                .collect(),
            guests: (0..people.len()).filter(is_guest).collect(),
        };
        outcome_message::post_group_call(&self.table.app, call, author.clone(), content).await
    }
}
