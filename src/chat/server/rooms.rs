//! What the pages of chat ask for.

use crate::{
    chat::api::{RoomPage, Sidebar},
    model::{
        MessageId, RoomId, Seq, UserId, limits,
        message::{Content, MessageText},
        room::{RoomKind, RoomName},
        user::Person,
    },
    protocol::{failure::Failure, ws::ServerFrame},
    server::{
        App, Result, clock,
        log::NewMessage,
        secret,
        slug::slug,
        store::{Posted, Stream},
    },
};

/// What stands beside every room.
///
/// # Errors
/// When the store fails.
pub async fn sidebar(app: &App, me: Person) -> Result<Sidebar> {
    let rooms = app.store.list_rooms(me.id).await?;
    let people = app.live.people(me.id);
    Ok(Sidebar { me, rooms, people })
}

/// A page of a room's history, the newest or the one before a sequence. Whoever reads the newest page has read the room.
///
/// # Errors
/// [`Failure::NotFound`] when the room is not there or not theirs to see.
pub async fn room_page(
    app: &App,
    user: &Person,
    slug: &str,
    before: Option<Seq>,
) -> Result<RoomPage> {
    let missing = || Failure::not_found("That room");
    let id = app.store.find_room_id(slug).await?.ok_or_else(missing)?;
    let room = app
        .store
        .find_room(id, user.id)
        .await?
        .ok_or_else(missing)?;
    // Nothing after the head that the page states, so that the live stream goes on without a gap or a double.
    let before = before.unwrap_or(Seq::MAX).min(room.head + 1);
    let mut messages = app
        .store
        .list_messages(id, before, limits::HISTORY_PAGE + 1)
        .await?;
    let has_older = i64::try_from(messages.len()).is_ok_and(|count| count > limits::HISTORY_PAGE);
    if has_older {
        messages.remove(0);
    }
    let newest = before > room.head;
    if newest
        && room.read < room.head
        && let Some((seq, unread)) = app.log.read(id, user.id, room.head).await?
    {
        app.live.to_user(
            user.id,
            &ServerFrame::Read {
                room: id,
                seq,
                unread,
            },
        );
    }
    Ok(RoomPage {
        room,
        messages,
        has_older,
        newest,
        post_id: MessageId(secret::id()),
    })
}

/// Posts a message that came by form.
///
/// # Errors
/// [`Failure`] in words when it cannot be posted.
pub async fn post(
    app: &App,
    author: &Person,
    id: MessageId,
    room: RoomId,
    text: &str,
) -> Result<Posted> {
    let text = MessageText::new(text).map_err(Failure::invalid)?;
    if !app.sends.allow(author.id) {
        return Err(Failure::TooFast.into());
    }
    if !app.store.is_member(room, author.id).await? {
        return Err(Failure::not_found("That room").into());
    }
    let content = Content::Text { text };
    app.log
        .post(NewMessage {
            id,
            room,
            author: author.clone(),
            content,
            media_type: None,
        })
        .await
}

/// Makes a public room that everybody is a member of, and returns its slug.
///
/// # Errors
/// [`Failure::NotAllowed`] for guests and members, [`Failure::Invalid`] when the name breaks a rule or is taken.
pub async fn create_room(app: &App, by: &Person, name: &str) -> Result<String> {
    if !by.role.may_make_rooms() {
        let reason = "Only editors and administrators may make rooms.".to_owned();
        return Err(Failure::NotAllowed { reason }.into());
    }
    let name = RoomName::new(name).map_err(Failure::invalid)?;
    let (id, slug) = (RoomId(secret::id()), slug(name.as_str(), "room"));
    let now = clock::now();
    if !app.store.create_room(id, &slug, &name, now).await? {
        return Err(Failure::invalid(
            "There is a room with that name, or one much like it. Choose another.",
        )
        .into());
    }
    app.store.create_memberships(id, now).await?;
    app.live.join_all(id, RoomKind::Public);
    app.log.watch(Stream::Room(id));
    // A new room is the same for all.
    if let Some(room) = app.store.find_room(id, by.id).await? {
        app.live.to_all(ServerFrame::Room { room });
    }
    Ok(slug)
}

/// The slug of the direct room of two people, which is made if it is not there.
///
/// # Errors
/// [`Failure::Invalid`] for oneself, [`Failure::NotFound`] for somebody who does not exist.
pub async fn open_direct(app: &App, by: &Person, with: UserId) -> Result<String> {
    if by.id == with {
        return Err(Failure::invalid("A direct room needs somebody else.").into());
    }
    app.store
        .find_user(with)
        .await?
        .ok_or_else(|| Failure::not_found("That person"))?;
    let (room, is_new) = app
        .store
        .find_or_create_direct(RoomId(secret::id()), by.id, with, clock::now())
        .await?;
    if is_new {
        announce(app, room, by.id).await?;
        announce(app, room, with).await?;
    }
    let summary = app
        .store
        .find_room(room, by.id)
        .await?
        .ok_or_else(|| Failure::not_found("That room"))?;
    Ok(summary.slug)
}

/// From now on a member's open pages show a new direct room and hear it.
async fn announce(app: &App, room: RoomId, user: UserId) -> Result<()> {
    app.live.join(user, room, RoomKind::Direct);
    app.log.watch(Stream::Room(room));
    if let Some(room) = app.store.find_room(room, user).await? {
        app.live.to_user(user, &ServerFrame::Room { room });
    }
    Ok(())
}
