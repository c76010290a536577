//! State machine of a call between two people.
//!
//! ```text
//! dialing → ringing → connecting → connected ⇄ reconnecting
//!    └─────────┴──────────┴────────────┴────────────┴──→ ended{outcome}
//! ```
//!
//! Pure: the server passes inputs and the time to [`Call::apply`], and compares the call before and after to know what to store and send.

use super::types::{EndReason, Media, Outcome, Side, State};
use crate::model::{CallId, ClientId, Millis, RoomId, UserId};

/// Timeouts in milliseconds, and the outcome when each passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// From the start to the answer: [`Outcome::NoAnswer`].
    pub ring: Millis,
    /// From the answer until both are connected: [`Outcome::Failed`].
    pub connect: Millis,
    /// To re-establish the peer connection: [`Outcome::Failed`].
    pub reconnect: Millis,
    /// For a client to reconnect to the server after the answer: [`Outcome::Failed`].
    pub grace: Millis,
    /// For the caller's client to reconnect before the answer: [`Outcome::Cancelled`]. Short: an accept would find nobody.
    pub caller_grace: Millis,
}

/// Input of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input {
    Requested {
        side: Side,
        client: ClientId,
        request: Request,
    },
    /// The client may reconnect.
    ConnectionLost { client: ClientId },
    /// Closed, crashed or navigated away.
    ClientLeft { client: ClientId },
    /// Connected or reconnected.
    ClientConnected { client: ClientId },
    /// A deadline may have passed.
    Timeout,
    /// A call of somebody whom the callee knows takes the place of this one, while it rings.
    Displaced,
}

/// Request of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request {
    Ringing,
    /// No client of the callee can.
    CannotAnswer,
    Accept,
    Decline,
    HangUp,
    Connected,
    Disconnected,
}

/// Why an input is rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    #[error("That call has ended.")]
    Ended,
    #[error("This page is not in that call.")]
    NotParticipant,
    /// Not allowed for this side, or in this state.
    #[error("That is not possible in the current state of the call.")]
    WrongState,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct SideState {
    /// As the client reports it.
    is_connected: bool,
    /// `None` while connected to the server.
    disconnected_since: Option<Millis>,
}

/// A call between two people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    pub id: CallId,
    pub room: RoomId,
    pub caller: UserId,
    pub callee: UserId,
    pub media: Media,
    pub state: State,
    pub caller_client: ClientId,
    /// Set by the answer.
    pub callee_client: Option<ClientId>,
    pub started_at: Millis,
    pub answered_at: Option<Millis>,
    /// When both clients were first connected.
    pub connected_at: Option<Millis>,
    pub ended_at: Option<Millis>,
    pub end_reason: Option<EndReason>,
    caller_side: SideState,
    callee_side: SideState,
    /// `None` for a state without a timeout.
    state_deadline: Option<Millis>,
    timeouts: Timeouts,
}

/// Parameters of a new call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallStart {
    pub id: CallId,
    pub room: RoomId,
    pub caller: UserId,
    pub caller_client: ClientId,
    pub callee: UserId,
    pub media: Media,
}

/// Stored progress of a call that outlived the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredCall {
    pub state: State,
    pub callee_client: Option<ClientId>,
    pub started_at: Millis,
    pub answered_at: Option<Millis>,
    pub connected_at: Option<Millis>,
}

impl Call {
    /// A new call in [`State::Dialing`].
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
            end_reason: None,
            caller_side: SideState::default(),
            callee_side: SideState::default(),
            state_deadline: Some(now + timeouts.ring),
            timeouts,
        }
    }

    /// A call that ends at once with [`Outcome::Busy`].
    #[must_use]
    pub fn busy(start: CallStart, timeouts: Timeouts, now: Millis) -> Self {
        let mut call = Self::start(start, timeouts, now);
        call.end(Outcome::Busy, now);
        call
    }

    /// Restores a call after a restart, with both clients disconnected.
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

    /// Applies an input.
    ///
    /// # Errors
    ///
    /// [`Rejection`]; the call is unchanged.
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
            Input::Displaced => {
                if self.state.is_unanswered() {
                    self.end(Outcome::Busy, now);
                }
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
            (Request::CannotAnswer, Side::Callee) => self.end_unanswerable(now),
            (Request::Accept, Side::Callee) => self.accept(page, now),
            (Request::Decline, Side::Callee) => self.decline(page, now)?,
            (Request::HangUp, side) => self.hang_up(side, now),
            (Request::Connected, side) => self.set_connectivity(side, page, true, now)?,
            (Request::Disconnected, side) => self.set_connectivity(side, page, false, now)?,
            (
                Request::Ringing | Request::CannotAnswer | Request::Accept | Request::Decline,
                Side::Caller,
            ) => return Err(Rejection::WrongState),
        }
        Ok(())
    }

    /// Ignored after the answer, which the client is about to receive.
    fn mark_ringing(&mut self) {
        if self.state == State::Dialing {
            self.state = State::Ringing;
        }
    }

    /// Ignored after the answer.
    fn end_unanswerable(&mut self, now: Millis) {
        if self.state.is_unanswered() {
            self.end_reason = Some(EndReason::CannotAnswer);
            self.end(Outcome::Failed, now);
        }
    }

    /// The first accept wins.
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

    /// For any client of either person. The callee's side declines: their accept may have been lost.
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
        // A reporting client is connected to the server.
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

    /// When [`Input::Timeout`] is due.
    #[must_use]
    pub fn deadline(&self) -> Option<Millis> {
        let waits = [
            self.state_deadline,
            self.side_deadline(Side::Caller),
            self.side_deadline(Side::Callee),
        ];
        waits.into_iter().flatten().min()
    }

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

    /// The side that a client holds.
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

    /// The side that a user is on.
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

    /// The callee's other clients see [`Outcome::AnsweredElsewhere`].
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

    /// The client that receives signals from `page`.
    ///
    /// # Errors
    ///
    /// [`Rejection`] if `page` holds no side, or the call is unanswered or has ended.
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

    /// Only the caller's client may, before the answer.
    #[must_use]
    pub fn can_offer_early(&self, page: ClientId) -> bool {
        self.state.is_unanswered() && page == self.caller_client
    }

    /// Only the callee may, before the answer.
    #[must_use]
    pub fn can_send_pranswer(&self, side: Side) -> bool {
        self.state.is_unanswered() && side == Side::Callee
    }

    /// Milliseconds from the first connection to the end.
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
