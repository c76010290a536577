//! What must hold of the group calls of a simulation.

use super::{page::Page, world::World};
use crate::{
    model::{
        CallId, ClientId, UserId,
        call::{Seat, group::GroupCallView},
        message::{Content, Message},
    },
    server::{AppState, Result, store::GroupCallRow},
};
use std::collections::{BTreeMap, BTreeSet};

pub(super) struct StoredGroupCalls {
    /// By ids told to pages.
    told: BTreeMap<CallId, Option<GroupCallRow>>,
    open: Vec<GroupCallRow>,
    unposted: Vec<GroupCallRow>,
}

pub(super) async fn load(app: &AppState, told: &BTreeSet<CallId>) -> Result<StoredGroupCalls> {
    let mut rows = BTreeMap::new();
    for id in told {
        rows.insert(*id, app.store.find_group_call(*id).await?);
    }
    Ok(StoredGroupCalls {
        told: rows,
        open: app.store.list_open_group_calls().await?,
        unposted: app.store.list_unposted_group_calls(0).await?,
    })
}

/// Every page shows the open group calls of its rooms as stored, and is in one exactly if stored so.
pub(super) async fn check_ongoing(world: &World, pages: &[Page]) -> Vec<String> {
    let open = world.request(0, |systems| async move {
        systems.app.store.list_open_group_calls().await
    });
    let open = match open.await {
        Some(Ok(open)) => open,
        other => return vec![format!("the open group calls cannot be read: {other:?}")],
    };
    let mut found = Vec::new();
    for page in pages {
        check_shown(page, &open, &mut found);
    }
    let clients: BTreeSet<Option<ClientId>> =
        pages.iter().map(|page| page.shown().client).collect();
    for row in &open {
        for member in &row.members {
            if !clients.contains(&Some(member.client)) {
                found.push(format!("{member:?} of {} is no page", row.id));
            }
        }
    }
    found
}

fn check_shown(page: &Page, open: &[GroupCallRow], found: &mut Vec<String>) {
    let mut fail = |what: String| found.push(format!("page {}: {what}", page.index));
    let shown = page.shown();
    let mut stored_seat = None;
    for row in open {
        let member = row.members.iter();
        let mut member = member.filter(|member| Some(member.client) == shown.client);
        stored_seat = member
            .next()
            .map(|member| (row.id, member.seat))
            .or(stored_seat);
    }
    let active = shown.caller.active_group_call();
    let shown_seat = active.map(|active| (active.view.id, active.seat));
    if shown_seat != stored_seat {
        fail(format!(
            "it takes part as {shown_seat:?}, and stored is {stored_seat:?}"
        ));
    }
    for room in shown.chat.rooms() {
        let row = open.iter().find(|row| row.room == room.id);
        let stored = row.map(stored_participants);
        let known = shown.caller.group_call_in_room(room.id);
        let active = active.map(|active| &active.view);
        let active = active.filter(|view| view.room == room.id);
        let views = [known, active.or(known)].map(|view| view.map(shown_participants));
        if views.iter().any(|view| *view != stored) {
            let room = room.id;
            fail(format!(
                "of the group call in {room}, it shows {views:?}, and stored is {stored:?}"
            ));
        }
    }
}

type Participants = (CallId, Vec<(Seat, UserId, bool)>);

/// All are connected.
fn stored_participants(row: &GroupCallRow) -> Participants {
    let members = row.members.iter();
    let members = members.map(|member| (member.seat, member.user, false));
    (row.id, members.collect())
}

fn shown_participants(view: &GroupCallView) -> Participants {
    let participants = view.participants.iter();
    let participants = participants.map(|one| (one.seat, one.person.id, one.is_disconnected));
    (view.id, participants.collect())
}

/// Every group call has ended, its outcome is posted once in its room, and no page shows one.
pub(super) fn check_ended<'a>(
    stored: &StoredGroupCalls,
    messages: impl Iterator<Item = &'a Message>,
    pages: &[Page],
    found: &mut Vec<String>,
) {
    let mut posted: BTreeMap<CallId, Vec<&Message>> = BTreeMap::new();
    for message in messages {
        if let Content::GroupCall { call, .. } = message.content {
            posted.entry(call).or_default().push(message);
        }
    }
    for row in &stored.open {
        found.push(format!("a group call goes on: {row:?}"));
    }
    for row in &stored.unposted {
        found.push(format!(
            "the outcome of a group call is not posted: {row:?}"
        ));
    }
    for (call, row) in &stored.told {
        let posted = posted.remove(call).unwrap_or_default();
        let is_right = row.as_ref().is_some_and(|row| match posted[..] {
            [message] => is_outcome_of(message, row),
            _ => false,
        });
        if !is_right {
            found.push(format!("{row:?} has the outcomes {posted:?}"));
        }
    }
    if !posted.is_empty() {
        found.push(format!(
            "posted are group calls that no page was told of: {posted:?}"
        ));
    }
    for page in pages {
        let shown = page.shown();
        let index = page.index;
        if let Some(active) = shown.caller.active_group_call() {
            found.push(format!("page {index} is still in a group call: {active:?}"));
        }
        for room in shown.chat.rooms() {
            if let Some(view) = shown.caller.group_call_in_room(room.id) {
                found.push(format!("page {index} still shows a group call: {view:?}"));
            }
        }
    }
}

fn is_outcome_of(message: &Message, row: &GroupCallRow) -> bool {
    let Content::GroupCall { lasted, people, .. } = &message.content else {
        return false;
    };
    message.room == row.room
        && row.members.is_empty()
        && Some(*lasted) == row.ended_at.map(|at| (at - row.started_at).max(0))
        && people.len() == row.ever_joined.len()
}

/// No node has a call or an engaged person.
pub(super) fn check_leaders(world: &World, found: &mut Vec<String>) {
    for node in 0..world.node_count() {
        let Some(systems) = world.systems(node) else {
            continue;
        };
        let (calls, people) = (
            systems.calls.open_call_count(),
            systems.calls.engaged_user_count(),
        );
        if (calls, people) != (0, 0) {
            found.push(format!(
                "node {node} has {calls} open calls, with {people} people"
            ));
        }
    }
}
