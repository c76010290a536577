//! The operations behind the server functions of chat.

use super::permissions::{block_failure, check_may_write};
use crate::{
    chat::api::types::{RoomHistory, Sidebar},
    model::{
        MessageId, RoomId, Seq, UserId, limits,
        message::{Content, MessageText},
        room::RoomName,
        user::Person,
    },
    protocol::{failure::Failure, ws::ServerFrame},
    server::{
        AppState, Result, clock,
        event_log::NewMessage,
        random,
        rate_limit::{Bound, Charge, Key},
        slug::slugify,
        store::PostedMessage,
        task,
    },
};
use std::time::Duration;
use tokio::time::timeout;

/// A slow store delays a page no longer; marking goes on, and the next page shows it.
const MARK_AS_READ_TIMEOUT: Duration = Duration::from_millis(500);

/// The room list and the presence list of a user.
///
/// # Errors
///
/// When the store fails.
pub async fn sidebar(app: &AppState, me: Person) -> Result<Sidebar> {
    let rooms = app.store.list_rooms(me.id).await?;
    let people = app.connections.list_presence(me.id);
    Ok(Sidebar { me, rooms, people })
}

/// The page before a sequence, or the newest, marked as read if asked.
///
/// # Errors
///
/// [`Failure::NotFound`] when the room is not visible to the user.
pub async fn find_room_history(
    app: &AppState,
    user: &Person,
    slug: &str,
    before: Option<Seq>,
    mark_read: bool,
) -> Result<RoomHistory> {
    let missing = || Failure::not_found("That room");
    let id = app.store.find_room_id(slug).await?.ok_or_else(missing)?;
    let room = app
        .store
        .find_room(id, user.id)
        .await?
        .ok_or_else(missing)?;
    // The live stream continues at `room.head` without a gap or a duplicate.
    let before = before.unwrap_or(Seq::MAX).min(room.head + 1);
    let mut messages = app
        .store
        .list_messages(id, before, limits::HISTORY_PAGE_SIZE + 1)
        .await?;
    let has_older =
        i64::try_from(messages.len()).is_ok_and(|count| count > limits::HISTORY_PAGE_SIZE);
    if has_older {
        messages.remove(0);
    }
    let is_newest = before > room.head;
    if mark_read && is_newest && room.read_seq < room.head {
        mark_as_read(app, id, user.id, room.head).await;
    }
    Ok(RoomHistory {
        room,
        messages,
        has_older,
        is_newest,
        form_message_id: MessageId(random::new_id()),
    })
}

async fn mark_as_read(app: &AppState, room: RoomId, user: UserId, seq: Seq) {
    let (event_log, connections) = (app.event_log.clone(), app.connections.clone());
    let marked = task::spawn(async move {
        match event_log.update_read_cursor(room, user, seq).await {
            Ok(Some(cursor)) => {
                connections.send_to_user(user, &ServerFrame::read(room, cursor));
            }
            Ok(None) => {}
            Err(error) => tracing::warn!(%error, "a room could not be marked as read"),
        }
    });
    let _ = timeout(MARK_AS_READ_TIMEOUT, marked).await;
}

/// Posts a message from a plain HTML form.
///
/// # Errors
///
/// [`Failure::Invalid`], or [`Failure::NotFound`] for non-members.
pub async fn post_message(
    app: &AppState,
    author: &Person,
    id: MessageId,
    room: RoomId,
    text: &str,
) -> Result<PostedMessage> {
    let text = MessageText::new(text).map_err(Failure::invalid)?;
    if !app.store.is_member(room, author.id).await? {
        return Err(Failure::not_found("That room").into());
    }
    check_may_write(app, room, author.id, id).await?;
    let content = Content::Text { text };
    app.event_log
        .post_message(NewMessage {
            id,
            room,
            author: author.clone(),
            content,
            media_type: None,
        })
        .await
}

/// Creates a public room of all users, and returns its slug.
///
/// # Errors
///
/// [`Failure::NotAllowed`] for guests and members, [`Failure::Invalid`] for an invalid or taken name.
pub async fn create_room(app: &AppState, creator: &Person, name: &str) -> Result<String> {
    if !creator.role.can_create_rooms() {
        let reason = "Only editors and administrators can create rooms.".to_owned();
        return Err(Failure::NotAllowed { reason }.into());
    }
    let name = RoomName::new(name).map_err(Failure::invalid)?;
    let (id, slug) = (RoomId(random::new_id()), slugify(name.as_str(), "room"));
    let now = clock::now();
    if !app
        .event_log
        .create_room(id, slug.clone(), name, now)
        .await?
    {
        return Err(Failure::invalid(
            "A room with that name or a similar one already exists. Choose another name.",
        )
        .into());
    }
    Ok(slug)
}

/// The slug of two users' direct room, created if needed.
///
/// # Errors
///
/// [`Failure::Invalid`] for the user's own id, [`Failure::NotFound`] for an unknown one, [`Failure::RateLimited`] after too
/// many new ones.
pub async fn open_direct_room(app: &AppState, user: &Person, with: UserId) -> Result<String> {
    if user.id == with {
        return Err(Failure::invalid("You cannot message yourself. Choose another person.").into());
    }
    app.store
        .find_user(with)
        .await?
        .ok_or_else(|| Failure::not_found("That person"))?;
    let room = if let Some(room) = app.store.find_direct_room(user.id, with).await? {
        room
    } else {
        let (block, _) = app.store.find_acceptance(user.id, with).await?;
        if let Some(block) = block {
            return Err(block_failure(block).into());
        }
        let conversation = Charge::new(Bound::Conversations, Key::Person(user.id));
        app.limits.take([conversation]).map_err(Failure::from)?;
        app.event_log
            .find_or_create_direct_room(RoomId(random::new_id()), user.id, with, clock::now())
            .await?
    };
    let missing = || Failure::not_found("That room");
    let found = app.store.find_room(room, user.id).await?;
    let summary = found.ok_or_else(missing)?;
    if summary.is_hidden {
        app.store.show_room(room, user.id).await?;
        publish_room(app, user.id, room).await?;
    }
    Ok(summary.slug)
}

/// Hides a direct room until something is written in it.
///
/// # Errors
///
/// [`Failure::NotFound`] for other rooms.
pub async fn hide_room(app: &AppState, user: &Person, room: RoomId) -> Result<()> {
    if !app.store.hide_direct_room(room, user.id).await? {
        return Err(Failure::not_found("That conversation").into());
    }
    publish_room(app, user.id, room).await
}

/// To all pages of the user.
async fn publish_room(app: &AppState, user: UserId, room: RoomId) -> Result<()> {
    if let Some(room) = app.store.find_room(room, user).await? {
        app.connections
            .send_to_user(user, &ServerFrame::Room { room });
    }
    Ok(())
}
