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
pub struct Timeouts {
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
    pub caller_grace: Millis,
}

/// What happens to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input {
    /// A page of one of the two asks for something.
    Requested {
        /// Whose page.
        side: Side,
        /// Which page.
        client: ClientId,
        /// What.
        request: Request,
    },
    /// The connection of a page is gone.
    ConnectionLost {
        /// Which page.
        client: ClientId,
    },
    /// A page is gone for good: it was closed, it crashed, or its browser went to another address.
    ClientLeft {
        /// Which page.
        client: ClientId,
    },
    /// A page is connected (again).
    ClientConnected {
        /// Which page.
        client: ClientId,
    },
    /// Time has passed.
    Timeout,
}

/// What a page may ask of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request {
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
    Disconnected,
}

/// Why something was not done. The call is as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// The call has ended.
    #[error("That call is over.")]
    Ended,
    /// The page does not hold a side of the call.
    #[error("This page has no part in that call.")]
    NotParticipant,
    /// Not from this side, or not in this state.
    #[error("That cannot be done at this point of the call.")]
    WrongState,
}

/// What is known of the page that holds a side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct SideState {
    /// It says that it is connected to the other one.
    is_connected: bool,
    /// Since when it is not connected to the server.
    disconnected_since: Option<Millis>,
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
    pub caller_client: ClientId,
    /// The page that holds the callee's side, once it was answered.
    pub callee_client: Option<ClientId>,
    /// When it was started.
    pub started_at: Millis,
    /// When it was answered.
    pub answered_at: Option<Millis>,
    /// When both pages were connected for the first time.
    pub connected_at: Option<Millis>,
    /// When it ended.
    pub ended_at: Option<Millis>,
    caller_side: SideState,
    callee_side: SideState,
    /// When the present state has lasted too long.
    state_deadline: Option<Millis>,
    timeouts: Timeouts,
}

/// What a call begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallStart {
    /// Which call.
    pub id: CallId,
    /// The direct room of the two.
    pub room: RoomId,
    /// Who calls.
    pub caller: UserId,
    /// From which page.
    pub caller_client: ClientId,
    /// Whom.
    pub callee: UserId,
    /// Voice or video.
    pub media: Media,
}

/// What is stored of a call that had not ended when the server stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredCall {
    /// Where it stood.
    pub state: State,
    /// The page that held the callee's side.
    pub callee_client: Option<ClientId>,
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
    pub fn start(start: CallStart, timeouts: Timeouts, now: Millis) -> Self {
        Self {
            id: start.id,
            room: start.room,
            caller: start.caller,
            callee: start.callee,
            media: start.media,
            state: State::Dialing,
            caller_client: start.caller_client,
            callee_client: None,
            started_at: now,
            answered_at: None,
            connected_at: None,
            ended_at: None,
            caller_side: SideState::default(),
            callee_side: SideState::default(),
            state_deadline: Some(now + timeouts.ring),
            timeouts,
        }
    }

    /// A call to somebody who is in another one: over before it rang.
    #[must_use]
    pub fn busy(start: CallStart, timeouts: Timeouts, now: Millis) -> Self {
        let mut call = Self::start(start, timeouts, now);
        call.end(Outcome::Busy, now);
        call
    }

    /// Goes on with a call after the server was away. Every page is, until it connects again: one that was not answered goes
    /// on ringing if the caller's page comes back in time; one that was connected is reconnecting.
    #[must_use]
    pub fn restore(start: CallStart, stored: StoredCall, timeouts: Timeouts, now: Millis) -> Self {
        let disconnected = SideState {
            is_connected: false,
            disconnected_since: Some(now),
        };
        let mut call = Self {
            state: stored.state,
            callee_client: stored.callee_client,
            answered_at: stored.answered_at,
            connected_at: stored.connected_at,
            caller_side: disconnected,
            callee_side: disconnected,
            ..Self::start(start, timeouts, stored.started_at)
        };
        match stored.state {
            State::Dialing | State::Ringing | State::Ended { .. } => {}
            State::Connecting => call.state_deadline = Some(now + timeouts.connect),
            State::Connected | State::Reconnecting => call.mark_reconnecting(now),
        }
        call
    }

    /// Takes something in.
    ///
    /// # Errors
    /// [`Wrong`] says why it was not done; the call is as it was.
    pub fn apply(&mut self, input: Input, now: Millis) -> Result<(), Rejection> {
        if self.state.is_ended() {
            return Err(Rejection::Ended);
        }
        match input {
            Input::Requested {
                side,
                client,
                request: ask,
            } => self.apply_request(side, client, ask, now),
            Input::ConnectionLost { client: page } => {
                self.mark_disconnected(page, now);
                Ok(())
            }
            Input::ClientLeft { client: page } => match self.side_of_client(page) {
                Some(side) => {
                    self.hang_up(side, now);
                    Ok(())
                }
                None => Ok(()),
            },
            Input::ClientConnected { client: page } => {
                if let Some(side_state) = self
                    .side_of_client(page)
                    .map(|side| self.side_state_mut(side))
                {
                    side_state.disconnected_since = None;
                }
                Ok(())
            }
            Input::Timeout => {
                self.apply_timeout(now);
                Ok(())
            }
        }
    }

    fn apply_request(
        &mut self,
        side: Side,
        page: ClientId,
        request: Request,
        now: Millis,
    ) -> Result<(), Rejection> {
        match (request, side) {
            (Request::Ringing, Side::Callee) => self.mark_ringing(),
            (Request::Accept, Side::Callee) => self.accept(page, now),
            (Request::Decline, Side::Callee) => self.decline(page, now)?,
            (Request::HangUp, side) => self.hang_up(side, now),
            (Request::Connected, side) => self.set_connectivity(side, page, true, now)?,
            (Request::Disconnected, side) => self.set_connectivity(side, page, false, now)?,
            (Request::Ringing | Request::Accept | Request::Decline, Side::Caller) => {
                return Err(Rejection::WrongState);
            }
        }
        Ok(())
    }

    /// A page that rings late, after an answer, changes nothing: it is about to be told.
    fn mark_ringing(&mut self) {
        if self.state == State::Dialing {
            self.state = State::Ringing;
        }
    }

    /// The first page that accepts has it; a later one changes nothing and is told what it sees.
    fn accept(&mut self, page: ClientId, now: Millis) {
        if self.state.is_unanswered() {
            self.state = State::Connecting;
            self.callee_client = Some(page);
            self.callee_side = SideState::default();
            self.answered_at = Some(now);
            self.state_deadline = Some(now + self.timeouts.connect);
        }
    }

    fn decline(&mut self, page: ClientId, now: Millis) -> Result<(), Rejection> {
        if self.state.is_unanswered() {
            self.end(Outcome::Declined, now);
        } else if self.callee_client == Some(page) {
            return Err(Rejection::WrongState);
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

    fn set_connectivity(
        &mut self,
        side: Side,
        page: ClientId,
        is_connected: bool,
        now: Millis,
    ) -> Result<(), Rejection> {
        if self.side_of_client(page) != Some(side) {
            return Err(Rejection::NotParticipant);
        }
        if !self.state.is_answered() {
            return Err(Rejection::WrongState);
        }
        // Who reports is there, whatever was thought before.
        *self.side_state_mut(side) = SideState {
            is_connected,
            disconnected_since: None,
        };
        if self.caller_side.is_connected && self.callee_side.is_connected {
            self.state = State::Connected;
            self.connected_at.get_or_insert(now);
            self.state_deadline = None;
        } else if self.state == State::Connected {
            self.mark_reconnecting(now);
        }
        Ok(())
    }

    fn mark_disconnected(&mut self, page: ClientId, now: Millis) {
        let Some(side) = self.side_of_client(page) else {
            return;
        };
        *self.side_state_mut(side) = SideState {
            is_connected: false,
            disconnected_since: Some(now),
        };
        if self.state == State::Connected {
            self.mark_reconnecting(now);
        }
    }

    fn mark_reconnecting(&mut self, now: Millis) {
        self.state = State::Reconnecting;
        self.state_deadline = Some(now + self.timeouts.reconnect);
    }

    /// When to come back with [`Input::Time`]; none while nothing is waited for.
    #[must_use]
    pub fn deadline(&self) -> Option<Millis> {
        let waits = [
            self.state_deadline,
            self.side_deadline(Side::Caller),
            self.side_deadline(Side::Callee),
        ];
        waits.into_iter().flatten().min()
    }

    /// Until when the page that holds a side has to be back, if it is gone.
    fn side_deadline(&self, side: Side) -> Option<Millis> {
        let (side_state, held) = match side {
            Side::Caller => (&self.caller_side, true),
            Side::Callee => (&self.callee_side, self.callee_client.is_some()),
        };
        let grace = if self.state.is_unanswered() {
            self.timeouts.caller_grace
        } else {
            self.timeouts.grace
        };
        side_state
            .disconnected_since
            .filter(|_| held && !self.state.is_ended())
            .map(|since| since + grace)
    }

    fn apply_timeout(&mut self, now: Millis) {
        let Some(first) = self.deadline().filter(|deadline| *deadline <= now) else {
            return;
        };
        let outcome = match self.state {
            State::Dialing | State::Ringing if self.state_deadline == Some(first) => {
                Outcome::NoAnswer
            }
            State::Dialing | State::Ringing => Outcome::Cancelled,
            State::Connecting | State::Connected | State::Reconnecting => Outcome::Failed,
            State::Ended { .. } => return,
        };
        self.end(outcome, now);
    }

    fn end(&mut self, outcome: Outcome, now: Millis) {
        self.state = State::Ended { outcome };
        self.ended_at = Some(now);
        self.state_deadline = None;
    }

    /// The side that a page holds.
    #[must_use]
    pub fn side_of_client(&self, page: ClientId) -> Option<Side> {
        if page == self.caller_client {
            Some(Side::Caller)
        } else if Some(page) == self.callee_client {
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
    pub fn state_for(&self, side: Side, page: ClientId) -> State {
        let elsewhere =
            side == Side::Callee && self.callee_client.is_some_and(|holder| holder != page);
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
    pub fn signal_target(&self, page: ClientId) -> Result<ClientId, Rejection> {
        if self.state.is_ended() {
            return Err(Rejection::Ended);
        }
        match (self.side_of_client(page), self.callee_client) {
            (None, _) => Err(Rejection::NotParticipant),
            (Some(_), None) => Err(Rejection::WrongState),
            (Some(Side::Caller), Some(callee_page)) => Ok(callee_page),
            (Some(Side::Callee), Some(_)) => Ok(self.caller_client),
        }
    }

    /// Whether a page may offer before anybody has answered: the caller's, so that whoever answers has all it needs.
    #[must_use]
    pub fn can_offer_early(&self, page: ClientId) -> bool {
        self.state.is_unanswered() && page == self.caller_client
    }

    /// Whether a side may say, before anybody has answered, what its answer would be: the callee's, who rings.
    #[must_use]
    pub fn can_send_pranswer(&self, side: Side) -> bool {
        self.state.is_unanswered() && side == Side::Callee
    }

    /// How long the two were connected, from the first moment to the end, in milliseconds; none where they never were.
    #[must_use]
    pub fn lasted(&self) -> Option<Millis> {
        Some((self.ended_at? - self.connected_at?).max(0))
    }

    fn side_state_mut(&mut self, side: Side) -> &mut SideState {
        match side {
            Side::Caller => &mut self.caller_side,
            Side::Callee => &mut self.callee_side,
        }
    }
}

#[cfg(test)]
mod tests;
