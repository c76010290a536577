//! Who may write where.

use crate::{
    model::{MessageId, RoomId, UserId},
    protocol::failure::Failure,
    server::{AppState, Result, store::Block},
};

/// Whether a member may write in a room: in a direct room, unless one of the two has blocked the other.
///
/// A repeated message that was committed before passes, so that its author learns of it.
///
/// # Errors
///
/// [`Failure::Invalid`] after a block.
pub(super) async fn check_may_write(
    app: &AppState,
    room: RoomId,
    author: UserId,
    message: MessageId,
) -> Result<()> {
    let Some(block) = app.store.find_block_in_room(room, author).await? else {
        return Ok(());
    };
    let earlier = app.store.find_posted_message(message).await?;
    if earlier.is_some_and(|posted| posted.author == author) {
        return Ok(());
    }
    Err(block_failure(block).into())
}

/// Does not say whether a person has blocked the author.
pub(super) fn block_failure(block: Block) -> Failure {
    Failure::invalid(match block {
        Block::BySelf => "You have blocked this person. Unblock them to write.",
        Block::ByOther => "This person does not accept messages from you.",
    })
}
