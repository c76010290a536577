//! Past calls of a person.

use crate::{
    calls::api::types::PastCall,
    model::{
        UserId,
        call::{Side, State},
        user::Person,
    },
    server::{
        error::Result,
        store::{CallRow, Store},
    },
};
use std::collections::HashMap;

const MAX_PAST_CALLS: i64 = 50;

/// The past calls of a person, newest first.
///
/// # Errors
/// When the store fails.
pub async fn list_past_calls(store: &Store, user: UserId) -> Result<Vec<PastCall>> {
    let mut people = HashMap::new();
    let mut past = Vec::new();
    for row in store.list_ended_calls(user, MAX_PAST_CALLS).await? {
        let (side, other) = if row.caller == user {
            (Side::Caller, row.callee)
        } else {
            (Side::Callee, row.caller)
        };
        if let Some(peer) = find_cached_user(store, &mut people, other).await? {
            past.extend(past_call_from_row(&row, side, peer));
        }
    }
    Ok(past)
}

async fn find_cached_user(
    store: &Store,
    known: &mut HashMap<UserId, Option<Person>>,
    user: UserId,
) -> Result<Option<Person>> {
    if let Some(person) = known.get(&user) {
        return Ok(person.clone());
    }
    let person = store.find_user(user).await?;
    known.insert(user, person.clone());
    Ok(person)
}

fn past_call_from_row(row: &CallRow, side: Side, peer: Person) -> Option<PastCall> {
    let State::Ended { outcome } = row.state else {
        return None;
    };
    let lasted = row.ended_at.zip(row.connected_at);
    Some(PastCall {
        id: row.id,
        peer,
        side,
        media: row.media,
        outcome,
        lasted: lasted.map(|(ended, connected)| (ended - connected).max(0)),
        started_at: row.started_at,
    })
}
