//! How long a page waits for its server, and how soon it tries again: plain data, no browser in it.
//!
//! A path that is dead swallows the first packet of a try to connect, and the system sends it again after 1, 3 and 7 s (RFC 6298). Of a
//! path that comes back nobody is told: it is found by the next packet. So in a call, where everybody waits for it, tries are short and
//! follow each other closely; where pings took long, longer; and now and then one is long, for the path may be another one.

use crate::model::{Millis, backoff};

/// How long an unanswered ping may take before the path counts as dead, in milliseconds.
const PING: Millis = 10_000;
/// The same while a call is on.
const PING_IN_A_CALL: Millis = 5_000;
/// The same where the other side of the call is not heard either, by how long the last pings took: so many times as long, and
const IN_DOUBT: Millis = 4;
/// between so many milliseconds. A page that is short of time by less than that is not noticed by anybody.
const DOUBT: std::ops::RangeInclusive<Millis> = 1_500..=2_000;
/// How long the server may take to greet a page that has reached it while a call is on, in milliseconds, the first time; twice as long
/// after each time that it did not, up to the bound.
const GREETING_IN_A_CALL: Millis = 2_500;
const LONGEST_GREETING: Millis = 10_000;
/// How long a try may take while a call is on, in milliseconds, one after another,
const TRIES: [Millis; 6] = [1_200, 1_200, 2_500, 1_200, 1_200, 5_000];
/// and on a path where pings took long so many times as long as they did: there and back for TCP, TLS and the upgrade each, and room; up to
const ROUNDS: Millis = 5;
/// so long, for one of the last may have been slow because the path was about to be lost.
const SLOW_TRY: Millis = 2_500;
/// After so many of them, a page looks whether the server answers at all before it tries: Chromium makes a page that tried in vain about
/// fifteen times in some minutes wait for seconds at each further WebSocket.
const MOST_TRIES: usize = 2 * TRIES.len();
/// What it has found is given so long, in milliseconds.
const FOUND: Millis = 5_000;
/// So often it may look in vain before it tries all the same.
const LOOKS: u32 = 12;
/// How long a look may take, in milliseconds.
pub(super) const LOOK: u32 = 1_200;
/// The longest wait before the next try while a call is on, in milliseconds.
const WAIT_IN_A_CALL: u32 = 1_000;
/// How often to ping while a call is on, in milliseconds.
const EVERY_IN_A_CALL: Millis = 1_500;

/// Why there is no connection, or no longer one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Loss {
    /// Nothing comes by this path.
    Path,
    /// The server closed, refused, or did not greet in time: it is there, and may have many others to see to. Also where the browser says
    /// itself that it has no network: then there is nothing to hurry for.
    Server,
}

/// How far a connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reached {
    /// Nothing came yet.
    Nothing,
    /// The server, which has not greeted yet.
    Server,
    /// Greeted.
    Greeted,
}

impl Reached {
    /// What it means if nothing more comes.
    pub(super) fn silence_means(self) -> Loss {
        match self {
            Self::Nothing | Self::Greeted => Loss::Path,
            Self::Server => Loss::Server,
        }
    }
}

/// What the waiting goes by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Patience {
    /// A call is on.
    urgent: bool,
    /// The other side of the call is not heard.
    doubts: bool,
    /// How often a connection was lost or not made since the last greeting.
    failures: u32,
    /// How often the server was reached and did not greet in time since the last greeting.
    ungreeted: u32,
    /// Looks in vain since the last try.
    looks: u32,
    /// How long the last pings took to be answered, in milliseconds: the slow ones weigh more. None was before the first.
    round: Option<Millis>,
    /// How often the server wants to be pinged, in milliseconds.
    heartbeat: Millis,
}

impl Patience {
    pub(super) const fn new() -> Self {
        Self {
            urgent: false,
            doubts: false,
            failures: 0,
            ungreeted: 0,
            looks: 0,
            round: None,
            heartbeat: 15_000,
        }
    }

    pub(super) fn set_urgent(&mut self, urgent: bool) {
        self.urgent = urgent;
        self.doubts &= urgent;
    }

    /// Whether a call is on.
    pub(super) fn is_urgent(self) -> bool {
        self.urgent
    }

    /// The other side of a call is not heard: if the server is not either, it is the path.
    pub(super) fn doubt(&mut self) {
        self.doubts = self.urgent;
    }

    /// Something was heard.
    pub(super) fn heard(&mut self) {
        self.doubts = false;
    }

    /// The server has greeted, and wants to be pinged so often (in milliseconds).
    pub(super) fn greeted(&mut self, heartbeat: Millis) {
        self.failures = 0;
        self.ungreeted = 0;
        self.heartbeat = heartbeat;
    }

    /// A ping was answered after so many milliseconds.
    pub(super) fn took(&mut self, round: Millis) {
        let before = self.round.unwrap_or(0);
        let round = round.max((3 * before + round) / 4);
        self.round = Some(round.min(PING_IN_A_CALL));
    }

    /// The connection is lost, or there was none, and it was so far: how long to wait before the next try, in milliseconds. `random` is a
    /// number from 0 (included) to 1 (excluded).
    pub(super) fn lost(&mut self, loss: Loss, reached: Reached, random: f64) -> Millis {
        let wait = backoff::wait(self.failures, random);
        self.failures = self.failures.saturating_add(1);
        if reached == Reached::Server {
            self.ungreeted = self.ungreeted.saturating_add(1);
        }
        self.doubts = false;
        match (self.urgent, loss) {
            (false, _) => wait.into(),
            (true, Loss::Server) => wait.min(WAIT_IN_A_CALL).into(),
            // It took its time already.
            (true, Loss::Path) => 0,
        }
    }

    /// Whether to look if the server answers before the next try.
    pub(super) fn looks_first(self) -> bool {
        self.urgent && self.tries() >= MOST_TRIES
    }

    /// It was looked whether the server answers: true if it is time for a try.
    pub(super) fn looked(&mut self, answers: bool) -> bool {
        self.looks += 1;
        let tries = answers || self.looks >= LOOKS;
        if tries {
            self.looks = 0;
        }
        tries
    }

    /// A call is on from now on: how long there still is to wait, in milliseconds, if it was so long.
    pub(super) fn hurry(wait: Millis) -> Millis {
        wait.min(WAIT_IN_A_CALL.into())
    }

    /// How long nothing may be heard after something was asked for before the path counts as dead, in milliseconds.
    pub(super) fn silence(self, reached: Reached) -> Millis {
        let round = self.round.unwrap_or(0);
        match (self.urgent, reached) {
            (false, _) => PING,
            (true, Reached::Nothing) => {
                let tries = self.tries();
                let given = if tries < MOST_TRIES {
                    TRIES[tries % TRIES.len()]
                } else {
                    FOUND
                };
                given.max((ROUNDS * round).min(SLOW_TRY))
            }
            (true, Reached::Server) => (GREETING_IN_A_CALL << self.ungreeted.min(2))
                .max(round)
                .min(LONGEST_GREETING),
            (true, Reached::Greeted) if self.doubts => match self.round {
                Some(round) => (IN_DOUBT * round).clamp(*DOUBT.start(), *DOUBT.end()),
                None => *DOUBT.end(),
            },
            (true, Reached::Greeted) => PING_IN_A_CALL,
        }
    }

    /// How often to ping, in milliseconds.
    pub(super) fn every(self) -> Millis {
        if self.urgent {
            EVERY_IN_A_CALL
        } else {
            self.heartbeat
        }
    }

    /// How many tries led to nothing: the first failure is the loss of the connection itself.
    fn tries(self) -> usize {
        usize::try_from(self.failures.saturating_sub(1)).unwrap_or(usize::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_a_call() -> Patience {
        let mut patience = Patience::new();
        patience.set_urgent(true);
        patience
    }

    /// A greeted connection is lost, and so many tries after it: how long each of those was given.
    fn tries(patience: &mut Patience, count: usize) -> Vec<Millis> {
        let mut reached = Reached::Greeted;
        (0..count)
            .map(|_| {
                assert_eq!(
                    patience.lost(reached.silence_means(), reached, 0.9),
                    0,
                    "it took its time"
                );
                reached = Reached::Nothing;
                patience.silence(reached)
            })
            .collect()
    }

    #[test]
    fn in_a_call_most_tries_are_short_and_one_follows_the_other() {
        let mut patience = in_a_call();
        let short = [1_200, 1_200, 2_500, 1_200, 1_200, 5_000];
        assert_eq!(tries(&mut patience, 6), short);
        let (mut again, greeted) = (patience, Reached::Greeted);
        assert_eq!(again.lost(Loss::Path, Reached::Nothing, 0.9), 0);
        assert_eq!(again.silence(Reached::Nothing), 1_200, "from the first");
        assert!(!again.looks_first() && again.silence(greeted) == 5_000);
        patience.greeted(15_000);
        assert_eq!(tries(&mut patience, 6), short, "each loss begins anew");
    }

    #[test]
    fn after_some_tries_the_server_is_looked_for_first() {
        let mut patience = in_a_call();
        assert_eq!(tries(&mut patience, 12).iter().sum::<Millis>(), 24_600);
        assert!(!patience.looks_first());
        assert_eq!(tries(&mut patience, 1), [5_000]);
        assert!(patience.looks_first());
        let vain: Vec<bool> = (0..13).map(|_| patience.looked(false)).collect();
        assert_eq!(vain.iter().position(|tries| *tries), Some(11));
        assert!(!vain[12], "and twelve more before the next");
        assert!(patience.looked(true));
        patience.set_urgent(false);
        assert!(!patience.looks_first(), "without a call there is time");
    }

    #[test]
    fn a_slow_path_is_given_more_time_up_to_a_bound() {
        let mut patience = in_a_call();
        patience.took(400);
        assert_eq!(
            tries(&mut patience, 6),
            [2_000, 2_000, 2_500, 2_000, 2_000, 5_000]
        );
        patience.greeted(15_000);
        patience.took(4_000);
        assert_eq!(
            tries(&mut patience, 6),
            [2_500, 2_500, 2_500, 2_500, 2_500, 5_000]
        );
        assert_eq!(patience.silence(Reached::Server), 4_000);
    }

    #[test]
    fn one_slow_answer_is_remembered_for_a_while() {
        let mut patience = in_a_call();
        patience.doubt();
        patience.took(450);
        assert_eq!(patience.silence(Reached::Greeted), 1_800);
        for _ in 0..10 {
            patience.took(20);
        }
        assert_eq!(patience.silence(Reached::Greeted), 1_500);
    }

    #[test]
    fn in_doubt_there_is_less_of_it_until_something_is_heard() {
        let mut patience = in_a_call();
        assert_eq!(patience.silence(Reached::Greeted), 5_000);
        patience.doubt();
        assert_eq!(
            patience.silence(Reached::Greeted),
            2_000,
            "no ping was answered yet"
        );
        patience.heard();
        assert_eq!(patience.silence(Reached::Greeted), 5_000);
        patience.doubt();
        patience.set_urgent(false);
        assert_eq!(patience.silence(Reached::Greeted), 10_000);
        patience.doubt();
        patience.set_urgent(true);
        assert_eq!(
            patience.silence(Reached::Greeted),
            5_000,
            "nobody doubts without a call"
        );
    }

    #[test]
    fn a_server_that_closes_refuses_or_is_slow_is_not_overrun() {
        let mut patience = in_a_call();
        let mut lose = |reached: Reached| {
            let loss = reached.silence_means();
            (
                patience.lost(loss, reached, 0.8),
                patience.silence(Reached::Server),
            )
        };
        let slow = [(); 4].map(|()| lose(Reached::Server));
        assert_eq!(
            slow,
            [
                (400, 5_000),
                (800, 10_000),
                (1_000, 10_000),
                (1_000, 10_000)
            ]
        );
        patience.greeted(20_000);
        assert_eq!(patience.silence(Reached::Server), 2_500);
        let closed = [(); 3].map(|()| patience.lost(Loss::Server, Reached::Greeted, 0.8));
        assert_eq!(closed, [400, 800, 1_000]);
        patience.set_urgent(false);
        patience.greeted(20_000);
        let waits = [Loss::Path, Loss::Server, Loss::Path]
            .map(|loss| patience.lost(loss, Reached::Nothing, 0.8));
        assert_eq!(waits, [400, 800, 1_600], "without a call");
        assert_eq!((patience.every(), Patience::hurry(30_000)), (20_000, 1_000));
    }
}
