//! The message about a call's outcome, in its room. Its id is the call's, so that posting is idempotent.

use super::view::Parties;
use crate::{
    model::{
        CallId, MessageId, RoomId, Seq,
        call::{Call, Outcome, Side, group::GroupCall},
        message::Content,
        user::Person,
    },
    protocol::ws::ServerFrame,
    server::{AppState, Error, error::Result, event_log::NewMessage},
};

pub(super) async fn post(
    app: &AppState,
    parties: &Parties,
    call: &Call,
    outcome: Outcome,
) -> Result<()> {
    let content = Content::Call {
        call: call.id,
        caller: call.caller,
        media: call.media,
        outcome,
        lasted: call.lasted(),
    };
    let author = parties.caller.clone();
    let posted = post_once(app, call.id, call.room, author, content).await?;
    match posted {
        Some(seq) if !outcome.is_missed(Side::Callee) => mark_read_by_callee(app, call, seq).await,
        Some(_) | None => Ok(()),
    }
}

pub(super) async fn post_group_call(
    app: &AppState,
    call: &GroupCall,
    author: Person,
    content: Content,
) -> Result<()> {
    post_once(app, call.id, call.room, author, content)
        .await
        .map(drop)
}

/// `None` if the event log refuses the message, as when another one has its id.
async fn post_once(
    app: &AppState,
    call: CallId,
    room: RoomId,
    author: Person,
    content: Content,
) -> Result<Option<Seq>> {
    let new = NewMessage {
        id: MessageId(call.0),
        room,
        author,
        content,
        media_type: None,
    };
    match app.event_log.post_message(new).await {
        Ok(posted) => Ok(Some(posted.seq)),
        Err(Error::User(failure)) => {
            tracing::warn!(%call, %failure, "the outcome of a call was not posted");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// The callee took part in the call. With other unread messages, nothing is marked.
async fn mark_read_by_callee(app: &AppState, call: &Call, seq: Seq) -> Result<()> {
    let room = app.store.find_room(call.room, call.callee).await?;
    if room.is_none_or(|room| room.unread != 1) {
        return Ok(());
    }
    if let Some(cursor) = app
        .event_log
        .update_read_cursor(call.room, call.callee, seq)
        .await?
    {
        let frame = ServerFrame::read(call.room, cursor);
        app.connections.send_to_user(call.callee, &frame);
    }
    Ok(())
}
