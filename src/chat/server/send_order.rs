//! What follows a refused message in its room is refused as well, so that messages sent again are posted in order.
//!
//! No clock decides: a frame that is read late is judged by what was sent before it.

use crate::{
    model::{MessageId, RoomId},
    protocol::ws::{ErrorCode, Refusal},
};
use std::time::Duration;
use tokio::time::Instant;

/// Beyond it, nothing is held back in further rooms.
const MAX_HELD_ROOMS: usize = 64;
/// Per room. Beyond it, only the newest follower is known.
const MAX_FOLLOWERS: usize = 64;
/// Of a message that follows one whose time to retry has come.
const OVERDUE_RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// Rooms of one connection in which a message was refused for now.
#[derive(Debug, Default)]
pub struct SendOrder {
    held: Vec<HeldRoom>,
}

#[derive(Debug)]
struct HeldRoom {
    room: RoomId,
    /// The room's other messages wait for it.
    first: MessageId,
    /// Refused because of `first`: a client sends one of them again only after it, or without it.
    followers: Vec<MessageId>,
    code: ErrorCode,
    retry_at: Instant,
    /// Of `first`.
    refusals: u32,
}

impl SendOrder {
    /// Returns how often the message was refused before.
    ///
    /// # Errors
    ///
    /// A [`Refusal`] if the message follows a refused one.
    pub(super) fn admit(&mut self, room: RoomId, id: MessageId) -> Result<u32, Refusal> {
        let Some(position) = self.held.iter().position(|held| held.room == room) else {
            return Ok(0);
        };
        let held = &mut self.held[position];
        if held.first == id {
            return Ok(self.held.swap_remove(position).refusals);
        }
        // The client has given up the first.
        if held.followers.contains(&id) {
            self.held.swap_remove(position);
            return Ok(0);
        }
        held.followers.truncate(MAX_FOLLOWERS - 1);
        held.followers.push(id);
        let wait = held.retry_at.checked_duration_since(Instant::now());
        let wait = wait.unwrap_or(OVERDUE_RETRY_INTERVAL);
        Err(following_refusal(held.code).with_retry_after(wait))
    }

    /// Holds back what follows a message that was refused for the `refusals`-th time.
    pub(super) fn hold(&mut self, room: RoomId, first: MessageId, why: &Refusal, refusals: u32) {
        let Some(retry_after_ms) = why.retry_after_ms else {
            return;
        };
        if self.held.len() < MAX_HELD_ROOMS {
            self.held.push(HeldRoom {
                room,
                first,
                followers: Vec::new(),
                code: why.code,
                retry_at: Instant::now() + Duration::from_millis(retry_after_ms.into()),
                refusals,
            });
        }
    }
}

fn following_refusal(code: ErrorCode) -> Refusal {
    let reason =
        "An earlier message in this room was refused. Send that one again first, then this one.";
    Refusal::new(code, reason)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::advance;
    use uuid::Uuid;

    fn room(n: u128) -> RoomId {
        RoomId(Uuid::from_u128(n))
    }

    fn id(n: u128) -> MessageId {
        MessageId(Uuid::from_u128(n))
    }

    fn refusal(code: ErrorCode, retry_after_ms: u64) -> Refusal {
        Refusal::new(code, "later").with_retry_after(Duration::from_millis(retry_after_ms))
    }

    fn wait(admitted: Result<u32, Refusal>) -> Option<(ErrorCode, u32)> {
        admitted
            .err()
            .map(|refusal| (refusal.code, refusal.retry_after_ms.unwrap()))
    }

    #[tokio::test(start_paused = true)]
    async fn what_follows_a_refused_message_waits_for_it_in_that_room_only() {
        let mut order = SendOrder::default();
        assert_eq!(order.admit(room(1), id(1)), Ok(0));
        order.hold(room(1), id(1), &refusal(ErrorCode::Unavailable, 700), 1);
        advance(Duration::from_millis(200)).await;
        let refused = order.admit(room(1), id(2));
        assert_eq!(wait(refused), Some((ErrorCode::Unavailable, 500)));
        assert_eq!(order.admit(room(2), id(3)), Ok(0));
        assert_eq!(order.admit(room(1), id(1)), Ok(1), "judged afresh");
        assert_eq!(order.admit(room(1), id(2)), Ok(0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_message_that_is_read_late_is_held_back_all_the_same() {
        let mut order = SendOrder::default();
        order.hold(room(1), id(1), &refusal(ErrorCode::Unavailable, 20), 1);
        advance(Duration::from_mins(1)).await;
        let refused = order.admit(room(1), id(2));
        assert_eq!(wait(refused), Some((ErrorCode::Unavailable, 1_000)));
        assert_eq!(order.admit(room(1), id(1)), Ok(1));
        assert_eq!(order.admit(room(1), id(2)), Ok(0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_message_that_is_sent_again_gives_up_the_one_before_it() {
        let mut order = SendOrder::default();
        order.hold(room(1), id(1), &refusal(ErrorCode::RateLimited, 20), 1);
        for n in 2..200 {
            let refused = order.admit(room(1), id(n));
            assert_eq!(wait(refused), Some((ErrorCode::RateLimited, 20)));
        }
        assert_eq!(order.held[0].followers.len(), MAX_FOLLOWERS);
        assert_eq!(order.admit(room(1), id(2)), Ok(0));
        assert!(order.held.is_empty());
        order.hold(room(1), id(1), &refusal(ErrorCode::RateLimited, 20), 1);
        for n in 2..200 {
            order.admit(room(1), id(n)).unwrap_err();
        }
        assert_eq!(order.admit(room(1), id(199)), Ok(0), "the newest is known");
    }

    #[tokio::test(start_paused = true)]
    async fn beyond_the_cap_nothing_is_held_back_until_a_room_is_free() {
        let mut order = SendOrder::default();
        let most = MAX_HELD_ROOMS as u128;
        for n in 0..=most {
            order.hold(room(n), id(n), &refusal(ErrorCode::RateLimited, 20), 1);
        }
        assert!(order.admit(room(most - 1), id(1_000)).is_err());
        assert!(order.admit(room(most), id(1_000)).is_ok());
        assert_eq!(order.admit(room(0), id(0)), Ok(1));
        order.hold(
            room(most),
            id(most),
            &refusal(ErrorCode::RateLimited, 20),
            1,
        );
        assert!(order.admit(room(most), id(1_000)).is_err());
        assert_eq!(order.held.len(), MAX_HELD_ROOMS);
    }
}
