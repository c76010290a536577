//! The call state machine: what may follow what, and when waiting ends.
//!
//! ```text
//! dialing → ringing → connecting → connected ⇄ reconnecting
//!    └─────────┴──────────┴────────────┴────────────┴──→ ended{outcome}
//! ```
//!
//! Plain data and plain functions. Whoever drives it (the server) hands in what pages ask, which pages come and go, and the
//! time; asks [`Call::deadline`] when to come back with [`Input::Time`]; and compares before with after to know what to store
//! and to tell.

use super::{Media, Outcome, Side, State};
use crate::model::{CallId, ClientId, Millis, RoomId, UserId};

/// How long each kind of waiting may take, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// From the start to an answer; then nobody answered.
    pub ring: Millis,
    /// From the answer until both pages are connected; then it failed.
    pub connect: Millis,
    /// For two pages that are both there to find each other again; then it failed.
    pub reconnect: Millis,
    /// For a page that vanished from an answered call to come back; then it failed.
    pub grace: Millis,
    /// For the caller's page that vanished before an answer to come back; then it is cancelled. Short, because somebody who
    /// answers would meet nobody.
    pub vanish: Millis,
}

/// What happens to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input {
    /// A page of one of the two asks for something.
    Asked {
        /// Whose page.
        side: Side,
        /// Which page.
        page: ClientId,
        /// What.
        ask: Ask,
    },
    /// The connection of a page is gone.
    Gone {
        /// Which page.
        page: ClientId,
    },
    /// A page is gone for good: it was closed, it crashed, or its browser went to another address.
    Left {
        /// Which page.
        page: ClientId,
    },
    /// A page is connected (again).
    Back {
        /// Which page.
        page: ClientId,
    },
    /// Time has passed.
    Time,
}

/// What a page may ask of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// This page rings.
    Ringing,
    /// Accept, here.
    Accept,
    /// Decline, everywhere.
    Decline,
    /// Hang up; before an answer: cancel, by the caller, or decline, by the callee.
    HangUp,
    /// This page is connected to the other one.
    Connected,
    /// This page lost the other one.
    Lost,
}

/// Why something was not done. The call is as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Wrong {
    /// The call has ended.
    #[error("That call is over.")]
    Over,
    /// The page does not hold a side of the call.
    #[error("This page has no part in that call.")]
    NoPart,
    /// Not from this side, or not in this state.
    #[error("That cannot be done at this point of the call.")]
    State,
}

/// What is known of the page that holds a side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Leg {
    /// It says that it is connected to the other one.
    connected: bool,
    /// Since when it is not connected to the server.
    gone_since: Option<Millis>,
}

/// A call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// Which call.
    pub id: CallId,
    /// The direct room of the two.
    pub room: RoomId,
    /// Who called.
    pub caller: UserId,
    /// Who was called.
    pub callee: UserId,
    /// What it carries from its start.
    pub media: Media,
    /// Where it stands.
    pub state: State,
    /// The page that holds the caller's side.
    pub caller_page: ClientId,
    /// The page that holds the callee's side, once it was answered.
    pub callee_page: Option<ClientId>,
    /// When it was started.
    pub started_at: Millis,
    /// When it was answered.
    pub answered_at: Option<Millis>,
    /// When both pages were connected for the first time.
    pub connected_at: Option<Millis>,
    /// When it ended.
    pub ended_at: Option<Millis>,
    caller_leg: Leg,
    callee_leg: Leg,
    /// When the present state has lasted too long.
    until: Option<Millis>,
    patience: Patience,
}

/// What a call begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Start {
    /// Which call.
    pub id: CallId,
    /// The direct room of the two.
    pub room: RoomId,
    /// Who calls.
    pub caller: UserId,
    /// From which page.
    pub page: ClientId,
    /// Whom.
    pub callee: UserId,
    /// Voice or video.
    pub media: Media,
}

/// What is stored of a call that had not ended when the server stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stored {
    /// Where it stood.
    pub state: State,
    /// The page that held the callee's side.
    pub callee_page: Option<ClientId>,
    /// When it was started.
    pub started_at: Millis,
    /// When it was answered.
    pub answered_at: Option<Millis>,
    /// When both pages were connected for the first time.
    pub connected_at: Option<Millis>,
}

impl Call {
    /// Starts a call: nobody rings yet.
    #[must_use]
    pub fn start(start: Start, patience: Patience, now: Millis) -> Self {
        Self {
            id: start.id,
            room: start.room,
            caller: start.caller,
            callee: start.callee,
            media: start.media,
            state: State::Dialing,
            caller_page: start.page,
            callee_page: None,
            started_at: now,
            answered_at: None,
            connected_at: None,
            ended_at: None,
            caller_leg: Leg::default(),
            callee_leg: Leg::default(),
            until: Some(now + patience.ring),
            patience,
        }
    }

    /// A call to somebody who is in another one: over before it rang.
    #[must_use]
    pub fn busy(start: Start, patience: Patience, now: Millis) -> Self {
        let mut call = Self::start(start, patience, now);
        call.end(Outcome::Busy, now);
        call
    }

    /// Goes on with a call after the server was away. Every page is, until it connects again: one that was not answered goes
    /// on ringing if the caller's page comes back in time; one that was connected is reconnecting.
    #[must_use]
    pub fn restore(start: Start, stored: Stored, patience: Patience, now: Millis) -> Self {
        let gone = Leg {
            connected: false,
            gone_since: Some(now),
        };
        let mut call = Self {
            state: stored.state,
            callee_page: stored.callee_page,
            answered_at: stored.answered_at,
            connected_at: stored.connected_at,
            caller_leg: gone,
            callee_leg: gone,
            ..Self::start(start, patience, stored.started_at)
        };
        match stored.state {
            State::Dialing | State::Ringing | State::Ended { .. } => {}
            State::Connecting => call.until = Some(now + patience.connect),
            State::Connected | State::Reconnecting => call.reconnect(now),
        }
        call
    }

    /// Takes something in.
    ///
    /// # Errors
    /// [`Wrong`] says why it was not done; the call is as it was.
    pub fn apply(&mut self, input: Input, now: Millis) -> Result<(), Wrong> {
        if self.state.is_ended() {
            return Err(Wrong::Over);
        }
        match input {
            Input::Asked { side, page, ask } => self.asked(side, page, ask, now),
            Input::Gone { page } => {
                self.gone(page, now);
                Ok(())
            }
            Input::Left { page } => match self.side_of(page) {
                Some(side) => {
                    self.hang_up(side, now);
                    Ok(())
                }
                None => Ok(()),
            },
            Input::Back { page } => {
                if let Some(leg) = self.side_of(page).map(|side| self.leg(side)) {
                    leg.gone_since = None;
                }
                Ok(())
            }
            Input::Time => {
                self.pass(now);
                Ok(())
            }
        }
    }

    fn asked(&mut self, side: Side, page: ClientId, ask: Ask, now: Millis) -> Result<(), Wrong> {
        match (ask, side) {
            (Ask::Ringing, Side::Callee) => self.ring(),
            (Ask::Accept, Side::Callee) => self.accept(page, now),
            (Ask::Decline, Side::Callee) => self.decline(page, now)?,
            (Ask::HangUp, side) => self.hang_up(side, now),
            (Ask::Connected, side) => self.report(side, page, true, now)?,
            (Ask::Lost, side) => self.report(side, page, false, now)?,
            (Ask::Ringing | Ask::Accept | Ask::Decline, Side::Caller) => return Err(Wrong::State),
        }
        Ok(())
    }

    /// A page that rings late, after an answer, changes nothing: it is about to be told.
    fn ring(&mut self) {
        if self.state == State::Dialing {
            self.state = State::Ringing;
        }
    }

    /// The first page that accepts has it; a later one changes nothing and is told what it sees.
    fn accept(&mut self, page: ClientId, now: Millis) {
        if self.state.is_unanswered() {
            self.state = State::Connecting;
            self.callee_page = Some(page);
            self.callee_leg = Leg::default();
            self.answered_at = Some(now);
            self.until = Some(now + self.patience.connect);
        }
    }

    fn decline(&mut self, page: ClientId, now: Millis) -> Result<(), Wrong> {
        if self.state.is_unanswered() {
            self.end(Outcome::Declined, now);
        } else if self.callee_page == Some(page) {
            return Err(Wrong::State);
        }
        Ok(())
    }

    /// Any page of the two may hang up: the call is the person's. The callee may do so before an answer: who accepts and hangs up at once
    /// has declined, if it is only heard that they hung up.
    fn hang_up(&mut self, side: Side, now: Millis) {
        let outcome = match side {
            _ if self.state.is_answered() => Outcome::HungUp,
            Side::Caller => Outcome::Cancelled,
            Side::Callee => Outcome::Declined,
        };
        self.end(outcome, now);
    }

    fn report(
        &mut self,
        side: Side,
        page: ClientId,
        connected: bool,
        now: Millis,
    ) -> Result<(), Wrong> {
        if self.side_of(page) != Some(side) {
            return Err(Wrong::NoPart);
        }
        if !self.state.is_answered() {
            return Err(Wrong::State);
        }
        // Who reports is there, whatever was thought before.
        *self.leg(side) = Leg {
            connected,
            gone_since: None,
        };
        if self.caller_leg.connected && self.callee_leg.connected {
            self.state = State::Connected;
            self.connected_at.get_or_insert(now);
            self.until = None;
        } else if self.state == State::Connected {
            self.reconnect(now);
        }
        Ok(())
    }

    fn gone(&mut self, page: ClientId, now: Millis) {
        let Some(side) = self.side_of(page) else {
            return;
        };
        *self.leg(side) = Leg {
            connected: false,
            gone_since: Some(now),
        };
        if self.state == State::Connected {
            self.reconnect(now);
        }
    }

    fn reconnect(&mut self, now: Millis) {
        self.state = State::Reconnecting;
        self.until = Some(now + self.patience.reconnect);
    }

    /// When to come back with [`Input::Time`]; none while nothing is waited for.
    #[must_use]
    pub fn deadline(&self) -> Option<Millis> {
        let waits = [
            self.until,
            self.leg_deadline(Side::Caller),
            self.leg_deadline(Side::Callee),
        ];
        waits.into_iter().flatten().min()
    }

    /// Until when the page that holds a side has to be back, if it is gone.
    fn leg_deadline(&self, side: Side) -> Option<Millis> {
        let (leg, held) = match side {
            Side::Caller => (&self.caller_leg, true),
            Side::Callee => (&self.callee_leg, self.callee_page.is_some()),
        };
        let patience = if self.state.is_unanswered() {
            self.patience.vanish
        } else {
            self.patience.grace
        };
        leg.gone_since
            .filter(|_| held && !self.state.is_ended())
            .map(|since| since + patience)
    }

    fn pass(&mut self, now: Millis) {
        let Some(first) = self.deadline().filter(|deadline| *deadline <= now) else {
            return;
        };
        let outcome = match self.state {
            State::Dialing | State::Ringing if self.until == Some(first) => Outcome::NoAnswer,
            State::Dialing | State::Ringing => Outcome::Cancelled,
            State::Connecting | State::Connected | State::Reconnecting => Outcome::Failed,
            State::Ended { .. } => return,
        };
        self.end(outcome, now);
    }

    fn end(&mut self, outcome: Outcome, now: Millis) {
        self.state = State::Ended { outcome };
        self.ended_at = Some(now);
        self.until = None;
    }

    /// The side that a page holds.
    #[must_use]
    pub fn side_of(&self, page: ClientId) -> Option<Side> {
        if page == self.caller_page {
            Some(Side::Caller)
        } else if Some(page) == self.callee_page {
            Some(Side::Callee)
        } else {
            None
        }
    }

    /// The side that somebody is on.
    #[must_use]
    pub fn side_of_user(&self, user: UserId) -> Option<Side> {
        if user == self.caller {
            Some(Side::Caller)
        } else if user == self.callee {
            Some(Side::Callee)
        } else {
            None
        }
    }

    /// Where the call stands, as a page of one side sees it: the callee's other pages see that it was answered elsewhere.
    #[must_use]
    pub fn seen_by(&self, side: Side, page: ClientId) -> State {
        let elsewhere =
            side == Side::Callee && self.callee_page.is_some_and(|holder| holder != page);
        if elsewhere {
            State::Ended {
                outcome: Outcome::AnsweredElsewhere,
            }
        } else {
            self.state
        }
    }

    /// The page to which a signal from this page goes.
    ///
    /// # Errors
    /// [`Wrong`] when the page holds no side, or nobody has answered.
    pub fn signal_target(&self, page: ClientId) -> Result<ClientId, Wrong> {
        if self.state.is_ended() {
            return Err(Wrong::Over);
        }
        match (self.side_of(page), self.callee_page) {
            (None, _) => Err(Wrong::NoPart),
            (Some(_), None) => Err(Wrong::State),
            (Some(Side::Caller), Some(callee_page)) => Ok(callee_page),
            (Some(Side::Callee), Some(_)) => Ok(self.caller_page),
        }
    }

    /// Whether a page may offer before anybody has answered: the caller's, so that whoever answers has all it needs.
    #[must_use]
    pub fn may_offer_early(&self, page: ClientId) -> bool {
        self.state.is_unanswered() && page == self.caller_page
    }

    /// Whether a side may say, before anybody has answered, what its answer would be: the callee's, who rings.
    #[must_use]
    pub fn may_foretell(&self, side: Side) -> bool {
        self.state.is_unanswered() && side == Side::Callee
    }

    /// How long the two were connected, from the first moment to the end, in milliseconds; none where they never were.
    #[must_use]
    pub fn lasted(&self) -> Option<Millis> {
        Some((self.ended_at? - self.connected_at?).max(0))
    }

    fn leg(&mut self, side: Side) -> &mut Leg {
        match side {
            Side::Caller => &mut self.caller_leg,
            Side::Callee => &mut self.callee_leg,
        }
    }
}

#[cfg(test)]
mod tests;
