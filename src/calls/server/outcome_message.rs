//! The message about a call's outcome in the direct room of the two people.

use super::view::Parties;
use crate::{
    model::{
        MessageId,
        call::{Call, Outcome, Side},
        message::Content,
    },
    protocol::ws::ServerFrame,
    server::{AppState, Error, error::Result, event_log::NewMessage},
};

/// Posts the outcome, once, because the message id is the call id.
///
/// # Errors
/// Fails if the store fails.
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
    let new = NewMessage {
        id: MessageId(call.id.0),
        room: call.room,
        author: parties.caller.clone(),
        content,
        media_type: None,
    };
    match app.event_log.post_message(new).await {
        Ok(posted) if !outcome.is_missed(Side::Callee) => {
            mark_read_by_callee(app, call, posted.seq).await
        }
        Ok(_) => Ok(()),
        // A message of the caller has this id, so the room cannot show this one.
        Err(Error::User(failure)) => {
            tracing::warn!(call = %call.id, %failure, "a call's outcome was not posted");
            Ok(())
        }
        Err(error) => Err(error),
    }
}

/// Marks the message as read for the callee, unless they have other unread ones.
async fn mark_read_by_callee(app: &AppState, call: &Call, seq: crate::model::Seq) -> Result<()> {
    let room = app.store.find_room(call.room, call.callee).await?;
    if room.is_none_or(|room| room.unread != 1) {
        return Ok(());
    }
    if let Some((seq, unread)) = app
        .event_log
        .update_read_cursor(call.room, call.callee, seq)
        .await?
    {
        let frame = ServerFrame::Read {
            room: call.room,
            seq,
            unread,
        };
        app.connections.send_to_user(call.callee, &frame);
    }
    Ok(())
}
