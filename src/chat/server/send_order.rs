//! Order of a connection's messages: what follows a refused message in its room is refused as well, so that a client
//! that sends them again in order never posts them in another.

use crate::{
    model::{MessageId, RoomId},
    protocol::ws::{ErrorCode, Refusal},
};
use std::time::Duration;
use tokio::time::Instant;

/// Beyond it, nothing is held back in further rooms.
const MAX_HELD_ROOMS: usize = 64;
/// After the time to retry, for a client that gave the message up.
const GIVE_UP_TIMEOUT: Duration = Duration::from_secs(10);
/// Between the retries of what follows a message that is overdue.
const OVERDUE_RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// Rooms of one connection in which a message was refused for now. A new connection starts without.
#[derive(Debug, Default)]
pub struct SendOrder {
    held: Vec<HeldRoom>,
}

#[derive(Debug)]
struct HeldRoom {
    room: RoomId,
    /// What the room's other messages wait for.
    first: MessageId,
    code: ErrorCode,
    retry_at: Instant,
    /// How often `first` was refused.
    refusals: u32,
}

impl SendOrder {
    /// Lets a message be judged, and returns how often it was refused before.
    ///
    /// # Errors
    ///
    /// A [`Refusal`] if the message follows a refused one.
    pub(super) fn admit(&mut self, room: RoomId, id: MessageId) -> Result<u32, Refusal> {
        let Some(position) = self.held.iter().position(|held| held.room == room) else {
            return Ok(0);
        };
        let held = &self.held[position];
        if held.first == id {
            return Ok(self.held.swap_remove(position).refusals);
        }
        if let Some(wait) = held.remaining(Instant::now()) {
            return Err(following_refusal(held.code).with_retry_after(wait));
        }
        self.held.swap_remove(position);
        Ok(0)
    }

    /// Holds back what follows a message that was refused for now, for the `refusals`-th time.
    pub(super) fn hold(&mut self, room: RoomId, first: MessageId, why: &Refusal, refusals: u32) {
        let Some(retry_after_ms) = why.retry_after_ms else {
            return;
        };
        let now = Instant::now();
        if self.held.len() >= MAX_HELD_ROOMS {
            self.held.retain(|held| held.remaining(now).is_some());
        }
        if self.held.len() < MAX_HELD_ROOMS {
            self.held.push(HeldRoom {
                room,
                first,
                code: why.code,
                retry_at: now + Duration::from_millis(retry_after_ms.into()),
                refusals,
            });
        }
    }
}

impl HeldRoom {
    /// How long the following messages wait; `None` once the client has given the first one up.
    fn remaining(&self, now: Instant) -> Option<Duration> {
        let gives_up_at = self.retry_at + GIVE_UP_TIMEOUT;
        if now < self.retry_at {
            Some(self.retry_at - now)
        } else if now < gives_up_at {
            Some((gives_up_at - now).min(OVERDUE_RETRY_INTERVAL))
        } else {
            None
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

    /// Code and milliseconds.
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
    async fn a_message_that_the_client_gave_up_delays_the_others_for_ten_seconds() {
        let mut order = SendOrder::default();
        order.hold(room(1), id(1), &refusal(ErrorCode::RateLimited, 20), 1);
        advance(Duration::from_millis(20)).await;
        let refused = order.admit(room(1), id(2));
        assert_eq!(wait(refused), Some((ErrorCode::RateLimited, 1_000)));
        advance(Duration::from_millis(9_600)).await;
        let refused = order.admit(room(1), id(2));
        assert_eq!(wait(refused), Some((ErrorCode::RateLimited, 400)));
        advance(Duration::from_millis(400)).await;
        assert_eq!(order.admit(room(1), id(2)), Ok(0));
        assert!(order.held.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn beyond_the_cap_nothing_is_held_back_until_a_room_is_free() {
        let mut order = SendOrder::default();
        let most = MAX_HELD_ROOMS as u128;
        for n in 0..=most {
            order.hold(room(n), id(n), &refusal(ErrorCode::RateLimited, 20), 1);
        }
        let mut is_held = |n| order.admit(room(n), id(1_000)).is_err();
        assert!(is_held(most - 1) && !is_held(most));
        advance(Duration::from_secs(11)).await;
        order.hold(
            room(most),
            id(most),
            &refusal(ErrorCode::RateLimited, 20),
            1,
        );
        assert!(order.admit(room(most), id(1_000)).is_err());
        assert_eq!(order.held.len(), 1);
    }
}
