//! What must hold at the end of a simulation.

use super::{
    group_call_checks::{self, StoredGroupCalls},
    history::{History, MessageRecord},
    observer::Observer,
    page::Page,
    reader::Reader,
    world::World,
};
use crate::{
    model::{
        CallId, MessageId, RoomId, Seq, StoryId, UserId,
        call::{Outcome, State},
        limits::MAX_UNREAD_COUNT,
        message::{Content, Message, RoomEvent},
        room::RoomSummary,
        story::Story,
        user::{Person, Presence},
    },
    server::{
        AppState, Result,
        store::{EventRow, Stream},
    },
};
use std::collections::{BTreeMap, BTreeSet};

/// More than a simulation makes.
const ALL_EVENTS: i64 = 1_000_000;

/// Something not done yet; none when all is quiet.
pub(super) fn find_unfinished(
    world: &World,
    pages: &[Page],
    readers: &[Reader],
    observers: &[Observer],
    history: &History,
) -> Option<String> {
    let clients = pages.len() + observers.len();
    for node in 0..world.node_count() {
        let Some(systems) = world.systems(node) else {
            return Some(format!("node {node} has not started"));
        };
        // A connection that died in silence is closed after some heartbeats.
        let connections = systems.app.connections.connections().len();
        if connections != clients {
            return Some(format!(
                "node {node} knows {connections} connections of {clients} clients"
            ));
        }
    }
    if let Some(number) = history.records().stories.iter().position(Option::is_none) {
        return Some(format!("story {number} has no answer"));
    }
    if let Some(reader) = readers.iter().find(|reader| !reader.known().is_connected) {
        return Some(format!("reader {} is not connected", reader.index));
    }
    if let Some(observer) = observers.iter().find(|one| !one.told().is_welcome) {
        return Some(format!(
            "the observer of node {} is not connected",
            observer.node
        ));
    }
    pages.iter().find_map(|page| {
        let shown = page.shown();
        let waiting = shown.chat.outbox().to_send().count();
        let what = if !shown.is_connected {
            "is not connected".to_owned()
        } else if waiting > 0 {
            format!("has {waiting} messages without an answer")
        } else if let Some(caller) = shown.caller.find_unsettled() {
            format!("has calls that are not settled: {caller}")
        } else if let Some(room) = shown.fetching.first() {
            format!("still fetches the room {room}")
        } else {
            return None;
        };
        Some(format!("page {} {what}", page.index))
    })
}

struct Stored {
    people: BTreeMap<UserId, Person>,
    rooms: BTreeMap<RoomId, Vec<Message>>,
    summaries: BTreeMap<UserId, Vec<RoomSummary>>,
    stories: BTreeMap<Seq, StoryId>,
    calls: BTreeMap<CallId, State>,
    group_calls: StoredGroupCalls,
    streams: Vec<(Stream, Seq, Vec<EventRow>)>,
}

/// Compares pages and nodes with the store; returns what does not hold.
pub(super) async fn check(
    world: &World,
    pages: &[Page],
    readers: &[Reader],
    observers: &[Observer],
    history: &History,
) -> Vec<String> {
    let users: BTreeSet<UserId> = pages.iter().map(|page| page.visitor.person.id).collect();
    let told: BTreeSet<CallId> = history.records().group_calls.keys().copied().collect();
    let loaded = world.request(0, |systems| async move {
        load(&systems.app, &users, &told).await
    });
    let stored = match loaded.await {
        Some(Ok(stored)) => stored,
        Some(Err(error)) => return vec![format!("the store cannot be read: {error}")],
        None => return vec!["node 0 does not answer".to_owned()],
    };
    let mut found = Vec::new();
    check_streams(&stored, &mut found);
    check_messages(&stored, history, &mut found);
    for page in pages {
        check_page(page, pages, &stored, &mut found);
    }
    check_news(&stored, readers, history, &mut found);
    check_calls(&stored, history, &mut found);
    let unfenced_writes = world.database.writes_of_former_leaders();
    if unfenced_writes > 0 {
        found.push(format!(
            "{unfenced_writes} writes of calls are of nodes that no longer led them"
        ));
    }
    let messages = stored.rooms.values().flatten();
    group_call_checks::check_ended(&stored.group_calls, messages, pages, &mut found);
    group_call_checks::check_leaders(world, &mut found);
    check_observers(observers, &pages[0], &stored, &mut found);
    check_nodes(world, &stored, &mut found);
    found
}

async fn load(app: &AppState, users: &BTreeSet<UserId>, told: &BTreeSet<CallId>) -> Result<Stored> {
    let mut stored = Stored {
        people: BTreeMap::new(),
        rooms: BTreeMap::new(),
        summaries: BTreeMap::new(),
        stories: BTreeMap::new(),
        calls: BTreeMap::new(),
        group_calls: group_call_checks::load(app, told).await?,
        streams: Vec::new(),
    };
    for call in app.store.list_open_calls().await? {
        stored.calls.insert(call.id, call.state);
    }
    let mut streams = BTreeSet::from([Stream::News, Stream::Memberships]);
    for user in users {
        let person = app.store.find_user(*user).await?;
        stored.people.extend(person.map(|person| (*user, person)));
        let rooms = app.store.list_rooms(*user).await?;
        for call in app.store.list_ended_calls(*user, ALL_EVENTS).await? {
            stored.calls.insert(call.id, call.state);
        }
        streams.extend(rooms.iter().map(|room| Stream::Room(room.id)));
        stored.summaries.insert(*user, rooms);
    }
    for stream in streams {
        let head = app.store.find_stream(stream).await?.head;
        let events = app.store.list_events(stream, 0, ALL_EVENTS).await?;
        if let Stream::Room(room) = stream {
            let messages = events.iter().map(|event| {
                let RoomEvent::Message { message } = serde_json::from_str(&event.payload)?;
                Ok(message)
            });
            let messages: serde_json::Result<Vec<_>> = messages.collect();
            stored.rooms.insert(room, messages?);
        }
        if stream == Stream::News {
            for event in &events {
                let story: Story = serde_json::from_str(&event.payload)?;
                stored.stories.insert(story.seq, story.id);
            }
        }
        stored.streams.push((stream, head, events));
    }
    Ok(stored)
}

/// Sequences are 1 to the head, without a hole.
fn check_streams(stored: &Stored, found: &mut Vec<String>) {
    for (stream, head, events) in &stored.streams {
        let seqs = events.iter().map(|event| event.seq);
        if !seqs.eq(1..=*head) {
            found.push(format!("{stream} has not the events 1 to {head}"));
        }
    }
}

/// What was acknowledged is stored once, as acknowledged. What was refused for good is not.
fn check_messages(stored: &Stored, history: &History, found: &mut Vec<String>) {
    let mut by_id: BTreeMap<MessageId, Vec<&Message>> = BTreeMap::new();
    let written = stored.rooms.values().flatten();
    for message in written.filter(|message| !message.content.is_system_message()) {
        by_id.entry(message.id).or_default().push(message);
    }
    let records = history.records();
    for (id, written) in &records.messages {
        let stored = by_id.get(id).map_or(&[][..], Vec::as_slice);
        let is_right = |message: &Message| {
            let is_same_text =
                matches!(&message.content, Content::Text { text } if *text == written.text);
            let is_same_seq = written.acknowledged.is_none_or(|seq| seq == message.seq);
            message.room == written.room && is_same_text && is_same_seq
        };
        let is_right = match stored {
            [] => written.acknowledged.is_none(),
            [message] => is_right(message) && !written.is_refused,
            _ => false,
        };
        if !is_right {
            found.push(format!("{written:?} is stored as {stored:?}"));
        }
        if stored.is_empty() && written.is_sent && !written.is_refused {
            found.push(format!("{written:?} is lost"));
        }
    }
    check_order(&records.messages, &by_id, found);
    for id in by_id.keys() {
        if !records.messages.contains_key(id) {
            found.push(format!("{id} is stored, and nobody wrote it"));
        }
    }
}

/// What a page wrote in a room is stored in the order of writing.
fn check_order(
    written: &BTreeMap<MessageId, MessageRecord>,
    stored: &BTreeMap<MessageId, Vec<&Message>>,
    found: &mut Vec<String>,
) {
    let mut by_page: BTreeMap<(usize, RoomId), BTreeMap<usize, Seq>> = BTreeMap::new();
    for (id, record) in written {
        if let Some([message]) = stored.get(id).map(Vec::as_slice) {
            let numbers = by_page.entry((record.page, record.room)).or_default();
            numbers.insert(record.number, message.seq);
        }
    }
    for ((page, room), numbers) in by_page {
        let seqs: Vec<_> = numbers.into_values().collect();
        if !seqs.is_sorted() {
            found.push(format!(
                "what page {page} wrote in {room} is stored as {seqs:?}"
            ));
        }
    }
}

/// Every call has ended, with one outcome: stored, posted once in its room, and shown by every page.
fn check_calls(stored: &Stored, history: &History, found: &mut Vec<String>) {
    let mut posted: BTreeMap<CallId, Vec<Outcome>> = BTreeMap::new();
    for message in stored.rooms.values().flatten() {
        if let Content::Call { call, outcome, .. } = message.content {
            posted.entry(call).or_default().push(outcome);
        }
    }
    for (call, state) in &stored.calls {
        let posted = posted.remove(call).unwrap_or_default();
        let is_right = match state {
            State::Ended { outcome } => posted == [*outcome],
            _ => false,
        };
        if !is_right {
            found.push(format!(
                "the call {call} is {state:?}, and posted {posted:?}"
            ));
        }
    }
    if !posted.is_empty() {
        found.push(format!("posted, and not stored: {posted:?}"));
    }
    for call in &history.records().answered_calls {
        let state = stored.calls.get(call);
        let is_right = matches!(
            state,
            Some(State::Ended {
                outcome: Outcome::HungUp | Outcome::Failed
            })
        );
        if !is_right {
            found.push(format!("the call {call} was answered, and is {state:?}"));
        }
    }
    for ((page, call), outcome) in &history.records().outcomes {
        // The other pages of who answered.
        let is_right = *outcome == Outcome::AnsweredElsewhere
            || stored.calls.get(call) == Some(&State::Ended { outcome: *outcome });
        if !is_right {
            let state = stored.calls.get(call);
            found.push(format!(
                "page {page} was told {outcome:?} of {call}, which is {state:?}"
            ));
        }
    }
}

/// Every story is stored once and known to every reader.
fn check_news(stored: &Stored, readers: &[Reader], history: &History, found: &mut Vec<String>) {
    let published = history.records().stories.clone();
    let published: BTreeMap<Seq, StoryId> = published
        .into_iter()
        .flatten()
        .map(|(id, seq)| (seq, id))
        .collect();
    if published != stored.stories {
        found.push(format!(
            "published are {published:?}, and stored {:?}",
            stored.stories
        ));
    }
    for reader in readers {
        let known = reader.known();
        if known.stories != stored.stories {
            let known: Vec<_> = known.stories.keys().collect();
            found.push(format!(
                "reader {} knows the stories {known:?} of {}",
                reader.index,
                stored.stories.len()
            ));
        }
    }
}

fn check_page(page: &Page, pages: &[Page], stored: &Stored, found: &mut Vec<String>) {
    let mut fail = |what: String| found.push(format!("page {}: {what}", page.index));
    let shown = page.shown();
    let rooms = &stored.summaries[&page.visitor.person.id];
    let ids =
        |rooms: &[RoomSummary]| -> BTreeSet<RoomId> { rooms.iter().map(|room| room.id).collect() };
    if ids(shown.chat.rooms()) != ids(rooms) {
        let (known, all) = (shown.chat.rooms().len(), rooms.len());
        fail(format!("it shows {known} of {all} rooms"));
    }
    for room in rooms {
        let Some(known) = shown.chat.room(room.id) else {
            continue;
        };
        let summary = |room: &RoomSummary| {
            let unread = room.unread.min(MAX_UNREAD_COUNT);
            (room.head, room.read_seq, unread, room.epoch.clone())
        };
        if summary(known) != summary(room) {
            fail(format!(
                "it shows (head, read, unread) {:?} of {}, and stored is {:?}",
                summary(known),
                room.id,
                summary(room)
            ));
        }
        let Some(timeline) = shown.chat.timeline(room.id) else {
            continue;
        };
        let without_names = |messages: &[Message]| -> Vec<_> {
            let messages = messages.iter();
            messages
                .map(|one| (one.seq, one.id, one.author.id, one.content.clone()))
                .collect()
        };
        let all = without_names(&stored.rooms[&room.id]);
        let messages = without_names(timeline.messages());
        let is_complete = timeline.has_older || messages.len() == all.len();
        if !all.ends_with(&messages) || !is_complete || timeline.cursor().seq != room.head {
            fail(format!(
                "it shows up to {:?} of the messages up to {} of {}",
                timeline.cursor(),
                room.head,
                room.id
            ));
        }
    }
    let people: BTreeMap<_, _> = pages
        .iter()
        .map(|page| page.visitor.person.id)
        .map(|user| (user, (stored.people[&user].clone(), Presence::Online)))
        .collect();
    if shown.people != people {
        fail(format!(
            "it shows {:?}, and present are {people:?}",
            shown.people
        ));
    }
}

/// Every observer was told every event of its rooms: those of the first page's user.
fn check_observers(observers: &[Observer], page: &Page, stored: &Stored, found: &mut Vec<String>) {
    for observer in observers {
        let told = observer.told();
        for room in &stored.summaries[&page.visitor.person.id] {
            let missing = match told.rooms.get(&room.id) {
                Some(told) => told.missing(room.head),
                None => (1..=room.head).collect(),
            };
            if !missing.is_empty() {
                found.push(format!(
                    "the observer of node {} was not told {missing:?} of {}",
                    observer.node, room.id
                ));
            }
        }
    }
}

/// Every node knows connections by the stored name and role, and queues nothing.
fn check_nodes(world: &World, stored: &Stored, found: &mut Vec<String>) {
    for node in 0..world.node_count() {
        let Some(systems) = world.systems(node) else {
            continue;
        };
        let connections = systems.app.connections.connections();
        for connection in &connections {
            let person = &connection.person;
            if stored.people.get(&person.id) != Some(person) {
                found.push(format!("node {node} takes a page for one of {person:?}"));
            }
        }
        let queued: usize = connections.iter().map(|one| one.queued_bytes()).sum();
        if queued > 0 {
            found.push(format!("node {node} has {queued} bytes that nobody reads"));
        }
    }
}
