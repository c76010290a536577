//! One open call: a task that takes everything about it one after another, stores what changes, then tells it.

use super::{
    Calls, outcome, refuse, row,
    signals::{Budget, Early},
    view::{Two, audience, frame},
};
use crate::{
    model::{
        CallId, ClientId, Millis, UserId,
        call::{Ask, Call, CallView, Input, Side, Signal, State, Wrong},
    },
    protocol::ws::{ErrorCode, ServerFrame},
    server::{
        clock,
        error::Result,
        live::{Connection, Gone},
    },
};
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};

/// What a call's task is told. Sent by the tasks of connections.
#[derive(Debug)]
pub(super) enum Mail {
    /// A page asks for something.
    Asked { from: Arc<Connection>, ask: Ask },
    /// A page has something for the other one.
    Signal {
        from: Arc<Connection>,
        signal: Signal,
    },
    /// Somebody in this call starts one with the other person of it: the same start again, or the other one's call answered by
    /// calling back. The answer says that it was dealt with; none comes if the call has ended before.
    Start {
        from: Arc<Connection>,
        id: CallId,
        done: oneshot::Sender<()>,
    },
    /// One of the two leaves, for another call. The answer says that they have.
    Leave {
        user: UserId,
        done: oneshot::Sender<()>,
    },
    /// The callee was in another call, which has ended.
    Free,
    /// A page of one of the two is connected (again).
    Opened { page: Arc<Connection> },
    /// The connection of a page of one of the two is gone, and perhaps the page.
    Closed { page: Arc<Connection>, gone: Gone },
}

/// The time of day when the call came to this task, carried on by a clock that nobody sets: so a call is neither cut short nor
/// drawn out when the machine's clock is corrected.
#[derive(Debug, Clone, Copy)]
pub(super) struct Steady {
    at: Millis,
    began: Instant,
}

impl Steady {
    pub(super) fn from(at: Millis) -> Self {
        Self {
            at,
            began: Instant::now(),
        }
    }

    pub(super) fn now(self) -> Millis {
        self.at + Millis::try_from(self.began.elapsed().as_millis()).unwrap_or(Millis::MAX / 2)
    }

    /// Waits for a moment; for ever when there is none.
    pub(super) async fn until(self, moment: Option<Millis>) {
        match moment {
            Some(moment) => {
                tokio::time::sleep(Duration::from_millis(
                    moment.abs_diff(self.now().min(moment)),
                ))
                .await;
            }
            None => std::future::pending().await,
        }
    }
}

/// How long to wait before something that the store refused is tried again.
const AGAIN: Duration = Duration::from_secs(1);

/// An open call and what its task needs.
pub(super) struct Line {
    calls: Arc<Calls>,
    call: Call,
    two: Two,
    steady: Steady,
    /// The start that became this call's answer, because both called at once.
    merged: Option<CallId>,
    caller_budget: Budget,
    callee_budget: Budget,
    /// What the caller said before anybody answered.
    early: Early,
    /// The page of the callee whose answer the caller knows already, should it be the one that answers.
    foretold: Option<ClientId>,
}

impl Line {
    pub(super) fn new(calls: Arc<Calls>, call: Call, two: Two, steady: Steady) -> Self {
        let budget = Budget::new(steady.now());
        Self {
            calls,
            call,
            two,
            steady,
            merged: None,
            caller_budget: budget,
            callee_budget: budget,
            early: Early::default(),
            foretold: None,
        }
    }

    /// Stores the call for the first time and shows it. False when it exists, and has ended.
    ///
    /// # Errors
    /// When the store fails; then the call does not exist.
    pub(super) async fn open(&self) -> Result<bool> {
        let is_new = self.write(&self.call).await?;
        if is_new {
            self.tell(None);
        }
        Ok(is_new)
    }

    /// Holds the call until it ends.
    pub(super) async fn run(mut self, mut inbox: mpsc::Receiver<Mail>) {
        while !self.call.state.is_ended() {
            tokio::select! {
                mail = inbox.recv() => match mail {
                    Some(mail) => self.read(mail).await,
                    None => return,
                },
                () = self.steady.until(self.call.deadline()) => {
                    // Time alone is never refused.
                    let _ = self.take(Input::Time, None).await;
                }
            }
        }
        // The call is off the desk: what still waits came too late.
        inbox.close();
        while let Some(mail) = inbox.recv().await {
            match mail {
                Mail::Asked { from, .. } | Mail::Signal { from, .. } => self.show(&from),
                Mail::Start { .. }
                | Mail::Leave { .. }
                | Mail::Free
                | Mail::Opened { .. }
                | Mail::Closed { .. } => {}
            }
        }
    }

    async fn read(&mut self, mail: Mail) {
        match mail {
            Mail::Asked { from, ask } => self.asked(&from, ask).await,
            Mail::Signal { from, signal } => self.relay(&from, signal),
            Mail::Start { from, id, done } => {
                self.started_again(&from, id).await;
                // Whoever asked may be gone.
                let _ = done.send(());
            }
            Mail::Leave { user, done } => {
                self.leave(user).await;
                let _ = done.send(());
            }
            Mail::Free if self.call.state.is_unanswered() => {
                self.tell(None);
                self.offer_again();
            }
            Mail::Free => {}
            Mail::Opened { page } => self.opened(&page).await,
            Mail::Closed { page, gone } => {
                // The same page may have connected again before its former connection was given up.
                if self.calls.app.live.owner_of(page.client).is_none() {
                    let page = page.client;
                    // Another page may be the one that answers.
                    self.foretold.take_if(|foretold| *foretold == page);
                    let input = match gone {
                        Gone::ForNow => Input::Gone { page },
                        Gone::ForGood => Input::Left { page },
                    };
                    let _ = self.take(input, None).await;
                }
            }
        }
    }

    async fn asked(&mut self, from: &Connection, ask: Ask) {
        let Some(side) = self.call.side_of_user(from.person.id) else {
            return;
        };
        let before = self.call.state;
        match self
            .take(
                Input::Asked {
                    side,
                    page: from.client,
                    ask,
                },
                Some(from),
            )
            .await
        {
            Ok(()) if before == self.call.state && asks_again(ask, before) => self.show(from),
            Ok(()) => {}
            Err(wrong) => self.refuse(from, wrong),
        }
    }

    /// Hangs up for somebody.
    async fn leave(&mut self, user: UserId) {
        let Some(side) = self.call.side_of_user(user) else {
            return;
        };
        let ask = Ask::HangUp;
        let page = self.call.caller_page;
        // A call that has ended has been left.
        let _ = self.take(Input::Asked { side, page, ask }, None).await;
    }

    async fn opened(&mut self, page: &Connection) {
        let Some(side) = self.call.side_of_user(page.person.id) else {
            return;
        };
        let holds = self.call.side_of(page.client).is_some();
        let _ = self.take(Input::Back { page: page.client }, None).await;
        let rings = side == Side::Callee && self.call.state.is_unanswered();
        if holds || rings {
            self.show(page);
        }
        if rings {
            for signal in self.early.said() {
                page.send(&self.signal(signal.clone()));
            }
        }
    }

    async fn started_again(&mut self, from: &Connection, id: CallId) {
        let same = id == self.call.id || self.merged == Some(id);
        if same && self.call.side_of(from.client).is_some() {
            self.show(from);
        } else if self.call.side_of_user(from.person.id) == Some(Side::Callee)
            && self.call.state.is_unanswered()
        {
            self.merged = Some(id);
            self.asked(from, Ask::Accept).await;
        } else {
            let reason = "You are in a call already, perhaps on another page. Hang up there first.";
            refuse(from, id, ErrorCode::InACall, reason);
        }
    }

    fn relay(&mut self, from: &Connection, signal: Signal) {
        let now = self.steady.now();
        let side = self.call.side_of_user(from.person.id);
        let is_early = self.call.may_offer_early(from.client) && Early::takes(&signal);
        let targets = if is_early {
            self.calls.app.live.pages_of(self.call.callee)
        } else if matches!(signal, Signal::Pranswer { .. }) {
            if !self.foretells(side, from.client) {
                // Said a moment too late, or by the second page that rings: the answer itself is as good.
                return;
            }
            vec![self.call.caller_page]
        } else if side.is_some_and(|side| self.call.may_foretell(side)) {
            // On the heels of an acceptance that was lost: where this page is, is nobody's business. What is missing then is asked for.
            return;
        } else {
            match self.call.signal_target(from.client) {
                Ok(target) => vec![target],
                Err(wrong) => return self.refuse(from, wrong),
            }
        };
        let budget = match side {
            Some(Side::Caller) | None => &mut self.caller_budget,
            Some(Side::Callee) => &mut self.callee_budget,
        };
        if budget.allow(&signal, now) {
            if is_early {
                self.early.keep(&signal);
            }
            let frame = self.signal(signal);
            for target in targets {
                // A page that is away asks for what it missed when it is back.
                self.calls.app.live.to_page(target, &frame);
            }
        } else {
            let reason = "This page sends more than a call needs. Slow down.";
            refuse(from, self.call.id, ErrorCode::TooFast, reason);
        }
    }

    /// Whether this page may say what its answer will be: the first of the callee's that does.
    fn foretells(&mut self, side: Option<Side>, page: ClientId) -> bool {
        side.is_some_and(|side| self.call.may_foretell(side))
            && *self.foretold.get_or_insert(page) == page
    }

    /// Takes something in: stored first, told then.
    async fn take(&mut self, input: Input, from: Option<&Connection>) -> Result<(), Wrong> {
        let mut next = self.call.clone();
        next.apply(input, self.steady.now())?;
        if row(&next) != row(&self.call) && !self.keep(&next, from).await {
            next = self.ended_elsewhere(next).await;
        }
        let before = std::mem::replace(&mut self.call, next);
        if !self.call.state.is_unanswered() {
            // Every page that rang has it.
            self.early = Early::default();
        }
        let mut free = Vec::new();
        if let State::Ended { outcome } = self.call.state {
            free = self.calls.forget(&self.call);
            self.calls.app.metrics.call_ended(outcome);
        }
        if before.state != self.call.state {
            self.tell(Some(&before));
        }
        Calls::ring_again(free);
        Ok(())
    }

    /// Stores a change, for as many tries as it takes: a call cannot go on from a state that would be forgotten. Whoever asked
    /// for the change is told once that it takes longer. False for a call that has ended.
    async fn keep(&self, next: &Call, from: Option<&Connection>) -> bool {
        let mut told = from.is_none();
        loop {
            let error = match self.write(next).await {
                Ok(written) => return written,
                Err(error) => error,
            };
            tracing::error!(call = %next.id, %error, "a call could not be stored; trying again");
            if let Some(from) = from.filter(|_| !told) {
                let reason = "The server cannot store anything just now. It keeps trying; the call goes on when it can.";
                refuse(from, next.id, ErrorCode::Unavailable, reason);
                told = true;
            }
            tokio::time::sleep(AGAIN).await;
        }
    }

    /// A call that the node ended which held the desk before this one, a moment later than this one read it.
    async fn ended_elsewhere(&self, mut call: Call) -> Call {
        // Where it cannot be read, it is found out with the next change.
        if let Ok(Some(row)) = self.calls.app.store.find_call(call.id).await {
            (call.state, call.ended_at) = (row.state, row.ended_at);
        }
        call
    }

    /// The outcome is in the room before the call counts as ended: a server that stops in between ends the call anew, and the
    /// message, whose id is the call's, is written once all the same.
    async fn write(&self, call: &Call) -> Result<bool> {
        if let State::Ended { outcome } = call.state {
            outcome::post(&self.calls.app, &self.two, call, outcome).await?;
        }
        self.calls.app.store.save_call(&row(call)).await
    }

    /// Tells every page concerned where the call stands.
    fn tell(&self, before: Option<&Call>) {
        for (side, page) in audience(&self.calls.app.live, before, &self.call) {
            self.calls
                .app
                .live
                .to_page(page, &frame(self.view(side, page)));
        }
    }

    /// Shows one page where the call stands.
    fn show(&self, page: &Connection) {
        if let Some(side) = self.call.side_of_user(page.person.id) {
            page.send(&frame(self.view(side, page.client)));
        }
    }

    /// What the caller said while the callee was in another call, and their pages had no use for it.
    fn offer_again(&self) {
        for page in self.calls.app.live.pages_of(self.call.callee) {
            for signal in self.early.said() {
                let frame = self.signal(signal.clone());
                self.calls.app.live.to_page(page, &frame);
            }
        }
    }

    fn signal(&self, signal: Signal) -> ServerFrame {
        ServerFrame::Signal {
            call: self.call.id,
            signal,
            from: None,
        }
    }

    fn view(&self, side: Side, page: ClientId) -> CallView {
        let waits = side == Side::Callee
            && self.call.state.is_unanswered()
            && self.calls.is_waiting(self.call.callee, self.call.id);
        CallView {
            waiting: waits,
            ..self.view_of(side, page)
        }
    }

    fn view_of(&self, side: Side, page: ClientId) -> CallView {
        let ice_servers = |user| self.calls.app.ice_servers(user, self.call.id);
        let user = match side {
            Side::Caller => self.call.caller,
            Side::Callee => self.call.callee,
        };
        if self.call.side_of(page) == Some(side) {
            let servers = ice_servers(user);
            self.two
                .holder_view(&self.call, side, page, servers, self.merged)
        } else if self.call.may_foretell(side) {
            self.two
                .ringing_view(&self.call, side, page, ice_servers(user))
        } else {
            self.two.view(&self.call, side, page)
        }
    }

    fn refuse(&self, from: &Connection, wrong: Wrong) {
        let code = match wrong {
            Wrong::Over => return self.show(from),
            Wrong::NoPart => ErrorCode::NoSuchCall,
            Wrong::State => ErrorCode::WrongState,
        };
        refuse(from, self.call.id, code, &wrong.to_string());
    }
}

/// Whether something that changed nothing is a repeated or late question, to be answered with how things stand. Of a path each side
/// speaks for itself, and one that has found it waits for the other.
fn asks_again(ask: Ask, state: State) -> bool {
    match ask {
        Ask::Ringing | Ask::Accept | Ask::Decline | Ask::HangUp => true,
        Ask::Connected => state == State::Connected,
        Ask::Lost => false,
    }
}

/// The clock of a call that starts now.
pub(super) fn steady() -> Steady {
    Steady::from(clock::now())
}
