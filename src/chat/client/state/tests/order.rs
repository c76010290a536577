//! What the server refuses for now is sent again in order.

use super::fixture::{Page, event, id, mine, refused, room, send, sent, summary, welcome};
use crate::{
    model::{MessageId, outbox::Delivery},
    protocol::ws::{ClientFrame, ErrorCode, ServerFrame},
};
use std::collections::VecDeque;

#[test]
fn what_follows_a_refused_message_waits_with_it_and_is_sent_after_it() {
    for code in [ErrorCode::RateLimited, ErrorCode::Unavailable] {
        let mut page = Page::welcomed([room(1), room(2)]);
        for n in [1, 2, 3] {
            assert_eq!(page.send_message(n, room(1)), [send(n, room(1))]);
        }
        for n in [1, 2] {
            assert_eq!(page.receive(&refused(n, code, Some(100))), []);
        }
        assert_eq!(page.send_message(4, room(1)), [], "{code:?}");
        let elsewhere = [send(5, room(2))];
        assert_eq!(page.send_message(5, room(2)), elsewhere, "another room");
        assert_eq!(page.timers.len(), 1, "one wait for all");
        // The refusal of the third is on its way.
        let all = [1, 2, 3, 4].map(|n| send(n, room(1)));
        assert_eq!(page.fire_timers(), all);
        assert_eq!(page.send_message(6, room(1)), [send(6, room(1))]);
        assert_eq!(page.receive(&refused(3, code, Some(100))), []);
        assert!(page.timers.is_empty(), "it was sent again since");
        assert_eq!(page.receive(&refused(1, code, Some(100))), []);
        let all = [1, 2, 3, 4, 6].map(|n| send(n, room(1)));
        assert_eq!(page.fire_timers(), all);
    }
}

#[test]
fn a_rate_limit_is_no_failure_and_an_unavailable_server_is_shown() {
    let mut page = Page::welcomed([room(1)]);
    page.send_message(1, room(1));
    page.receive(&refused(1, ErrorCode::RateLimited, Some(20)));
    page.send_message(2, room(1));
    assert_eq!(page.delivery(1), Some(Delivery::Pending));
    assert_eq!(page.delivery(2), Some(Delivery::Pending));
    page.fire_timers();
    assert_eq!(
        page.changes(&refused(1, ErrorCode::Unavailable, None)),
        ["outbox"]
    );
    page.send_message(3, room(1));
    let states = [1, 2, 3].map(|n| page.delivery(n));
    let (pending, delayed) = (Some(Delivery::Pending), Some(Delivery::Delayed));
    assert_eq!(states, [delayed.clone(), pending, delayed]);
    page.state.on_open();
    page.receive(&welcome([room(1)].map(summary)));
    let again = refused(1, ErrorCode::Unavailable, None);
    assert_eq!(page.changes(&again), [""; 0], "it is shown already");
}

#[test]
fn the_wait_is_as_long_as_the_server_says_and_allows_all_that_wait() {
    let mut page = Page::welcomed([room(1)]);
    for n in 1..=10 {
        page.send_message(n, room(1));
    }
    page.receive(&refused(1, ErrorCode::RateLimited, Some(15)));
    // Nine more, one each 20 ms.
    assert_eq!(page.timers.pop().unwrap().1, 195);
    for n in 11..=400 {
        page.send_message(n, room(2));
    }
    page.receive(&refused(11, ErrorCode::RateLimited, Some(15)));
    assert_eq!(page.timers.pop().unwrap().1, 1_015);
}

#[test]
fn a_server_that_takes_messages_again_is_sent_those_of_all_rooms() {
    let mut page = Page::welcomed([room(1), room(2), room(3)]);
    for n in [1, 2, 3] {
        page.send_message(n, room(n));
    }
    page.send_message(4, room(1));
    for n in [1, 2] {
        page.receive(&refused(n, ErrorCode::Unavailable, None));
    }
    let sends = page.receive(&sent(3, room(3), 1));
    assert_eq!(
        sends,
        [(1, 1), (2, 2), (4, 1)].map(|(n, at)| send(n, room(at)))
    );
    assert_eq!(page.fire_timers(), [], "sent already");
}

#[test]
fn a_discarded_message_is_not_sent_and_those_behind_it_are() {
    let mut page = Page::welcomed([room(1)]);
    for n in [1, 2] {
        page.send_message(n, room(1));
        page.receive(&refused(n, ErrorCode::Unavailable, None));
    }
    assert_eq!(page.apply(|state| state.discard(id(1))), []);
    assert_eq!(page.send_message(3, room(1)), []);
    assert_eq!(page.fire_timers(), [2, 3].map(|n| send(n, room(1))));
}

#[test]
fn a_message_that_was_committed_nevertheless_is_not_sent_again() {
    let mut page = Page::welcomed([room(1)]);
    for n in [1, 2] {
        page.send_message(n, room(1));
        page.receive(&refused(n, ErrorCode::Unavailable, None));
    }
    page.receive(&event(mine(1, room(1), 1)));
    assert_eq!(page.fire_timers(), [send(2, room(1))]);
}

#[test]
fn a_new_connection_sends_everything_in_order_and_ends_the_wait() {
    let mut page = Page::welcomed([room(1)]);
    for n in [1, 2] {
        page.send_message(n, room(1));
    }
    page.receive(&refused(1, ErrorCode::RateLimited, Some(100)));
    page.send_message(3, room(1));
    page.state.on_open();
    assert_eq!(page.fire_timers(), [], "nothing before the welcome");
    let all = [1, 2, 3].map(|n| send(n, room(1)));
    assert_eq!(page.receive(&welcome([room(1)].map(summary))), all);
    assert_eq!(page.send_message(4, room(1)), [send(4, room(1))]);
}

/// Answers as `docs/protocol.md` says.
#[derive(Debug, Default)]
struct Peer {
    committed: Vec<MessageId>,
    allowed: u32,
    held: Option<(MessageId, ErrorCode)>,
}

impl Peer {
    fn answer(&mut self, n: u128, code: ErrorCode) -> ServerFrame {
        if let Some((first, code)) = self.held
            && first != id(n)
        {
            return refused(n, code, Some(20));
        }
        self.held = None;
        let known = self.committed.iter().position(|known| *known == id(n));
        let at = match known {
            Some(at) => at,
            None if self.allowed == 0 => {
                self.held = Some((id(n), code));
                return refused(n, code, Some(20));
            }
            None => {
                self.allowed -= 1;
                self.committed.push(id(n));
                self.committed.len() - 1
            }
        };
        sent(n, room(1), i64::try_from(at).unwrap() + 1)
    }
}

#[derive(Debug, Default)]
struct Conversation {
    page: Page,
    peer: Peer,
    to_peer: VecDeque<ClientFrame>,
    to_page: VecDeque<ServerFrame>,
    written: u128,
    discarded: Vec<MessageId>,
    random: u64,
}

impl Conversation {
    /// A linear congruential generator (Knuth's MMIX).
    fn random(&mut self, bound: u64) -> u64 {
        let (factor, increment) = (6_364_136_223_846_793_005, 1_442_695_040_888_963_407);
        self.random = self.random.wrapping_mul(factor).wrapping_add(increment);
        (self.random >> 33) % bound
    }

    fn reconnect(&mut self) {
        (self.to_peer, self.to_page) = (VecDeque::new(), VecDeque::new());
        self.peer.held = None;
        self.page.state.on_open();
        let sends = self.page.receive(&welcome([room(1)].map(summary)));
        self.to_peer.extend(sends);
    }

    fn deliver(&mut self) {
        if self.random(2) == 0 {
            let code = match self.random(2) {
                0 => ErrorCode::RateLimited,
                _ => ErrorCode::Unavailable,
            };
            if let Some(ClientFrame::Send { id, .. }) = self.to_peer.pop_front() {
                self.to_page
                    .push_back(self.peer.answer(id.0.as_u128(), code));
            }
        } else if let Some(frame) = self.to_page.pop_front() {
            let sends = self.page.receive(&frame);
            self.to_peer.extend(sends);
        }
    }

    fn step(&mut self) {
        match self.random(40) {
            0..8 => {
                self.written += 1;
                let sends = self.page.send_message(self.written, room(1));
                self.to_peer.extend(sends);
            }
            8..12 => {
                let sends = self.page.fire_timers();
                self.to_peer.extend(sends);
            }
            12..16 => self.peer.allowed += 1,
            16 => self.discard_first_delayed(),
            17 => self.reconnect(),
            _ => self.deliver(),
        }
        self.pass_deadline();
    }

    /// The peer stops waiting for a message that was given up, once nothing is on its way.
    fn pass_deadline(&mut self) {
        if let Some((first, _)) = self.peer.held
            && self.page.state.outbox().find(first).is_none()
            && self.to_peer.is_empty()
            && self.to_page.is_empty()
        {
            self.peer.held = None;
        }
    }

    fn discard_first_delayed(&mut self) {
        let first = {
            let mut waiting = self.page.state.outbox().to_send();
            waiting.find(|entry| entry.delivery == Delivery::Delayed)
        };
        if let Some(first) = first.map(|entry| entry.id) {
            self.page.apply(|state| state.discard(first));
            self.discarded.push(first);
        }
    }
}

#[test]
fn a_page_that_obeys_never_reorders_loses_or_repeats_messages() {
    for seed in 0..200 {
        let mut all = Conversation {
            random: seed,
            ..Conversation::default()
        };
        all.reconnect();
        for _ in 0..300 {
            all.step();
        }
        all.peer.allowed = u32::MAX;
        for _ in 0..10_000 {
            if all.to_peer.is_empty() && all.to_page.is_empty() {
                all.pass_deadline();
                let sends = all.page.fire_timers();
                all.to_peer.extend(sends);
            }
            all.deliver();
        }
        assert!(all.page.state.outbox().is_empty(), "seed {seed}");
        let committed = &all.peer.committed;
        assert!(committed.is_sorted(), "seed {seed}: {committed:?}");
        for written in (1..=all.written).map(id) {
            let count = committed.iter().filter(|known| **known == written).count();
            let is_discarded = all.discarded.contains(&written);
            assert!(count == 1 || (count == 0 && is_discarded), "seed {seed}");
        }
    }
}
