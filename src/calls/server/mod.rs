//! Calls on the server: who may call whom, which call is whose, and one task for each call that is open.
//!
//! [`Calls`] is the desk: it knows which calls are open and who is in one, and decides what a start becomes (a call, busy, the
//! same call again, or the answer to a call the other way round). Everything about one call then goes through the task that
//! holds it (`line`; `group` for the call of a room), one thing after another, so that nothing about it is ever told before it is stored,
//! or out of order.

mod group;
pub mod guests;
pub mod history;
mod join;
mod line;
mod outcome;
mod signals;
mod start;
mod view;

#[cfg(test)]
mod tests;

use crate::{
    model::{
        CallId, Millis, RoomId, UserId,
        call::{
            Action, Ask, Call, Patience,
            group::GroupRules,
            machine::{Start, Stored},
        },
    },
    protocol::ws::{ErrorCode, ServerFrame},
    server::{
        App,
        bus::{Bus, CallAsk},
        clock,
        error::Result,
        live::{Connection, Gone},
        store::CallRow,
    },
};
use group::GroupMail;
use line::{Line, Mail, Steady};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::{
    mpsc::{self, error::TrySendError},
    oneshot,
};
use tokio_util::task::TaskTracker;
use view::Two;

/// From the answer until both pages are connected, in milliseconds. ICE gives up after about 15 s; this leaves time for one
/// restart, and for somebody to answer the browser's question about the camera.
const CONNECT: Millis = 30_000;
/// For two pages that are both there to find each other again, in milliseconds. They try until somebody leaves; this ends what two pages
/// that everybody has forgotten would try for ever.
const RECONNECT: Millis = 60 * 60 * 1_000;
/// For a caller's page that vanished before an answer, in milliseconds; never longer than the configured grace.
const VANISH: Millis = 5_000;
/// What somebody is told when the store, or every other node, is away.
const NOT_NOW: &str =
    "The server could not do that just now. The call was not changed; please try again.";
const NOT_YOURS: &str = "That call does not exist, or is not yours.";
/// How many things may wait for one call's task; whoever sends more than that waits.
const MAILBOX: usize = 64;

/// The desk: every open call. Shared behind an [`Arc`].
#[derive(Debug)]
pub struct Calls {
    app: Arc<App>,
    patience: Patience,
    rules: GroupRules,
    open: Mutex<Open>,
    /// Everything of calls that is under way and needs the store.
    tasks: TaskTracker,
}

#[derive(Debug, Default)]
struct Open {
    /// Whether this node decides about calls. Another one does otherwise, or none for a moment.
    held: bool,
    calls: HashMap<CallId, Entry>,
    /// Which call somebody is in. Nobody is in two.
    engaged: HashMap<UserId, CallId>,
    /// Calls in rooms.
    groups: HashMap<CallId, GroupEntry>,
    in_rooms: HashMap<RoomId, CallId>,
    /// A call that rings for somebody who is in another one: they may switch to it. It is theirs when the other one has ended.
    waiting: HashMap<UserId, CallId>,
}

/// An open call, as the desk sees it.
#[derive(Debug, Clone)]
struct Entry {
    caller: UserId,
    callee: UserId,
    /// To the task that holds the call. It ends when the call has ended; what waits then is still answered.
    mail: mpsc::Sender<Mail>,
}

/// A call in a room, as the desk sees it.
#[derive(Debug, Clone)]
struct GroupEntry {
    room: RoomId,
    /// To the task that holds it.
    mail: mpsc::Sender<GroupMail>,
}

impl Entry {
    fn concerns(&self, user: UserId) -> bool {
        user == self.caller || user == self.callee
    }
}

impl Calls {
    /// A desk without calls.
    #[must_use]
    pub fn new(app: Arc<App>) -> Arc<Self> {
        let seconds = |seconds: u64| {
            Millis::try_from(seconds)
                .unwrap_or(Millis::MAX / 2_000)
                .saturating_mul(1_000)
        };
        let (ring, grace) = (
            seconds(app.config.ring_seconds),
            seconds(app.config.call_grace_seconds),
        );
        let patience = Patience {
            ring,
            connect: CONNECT,
            reconnect: RECONNECT,
            grace,
            vanish: VANISH.min(grace),
        };
        Self::with_patience(app, patience)
    }

    fn with_patience(app: Arc<App>, patience: Patience) -> Arc<Self> {
        let rules = GroupRules {
            most: usize::from(app.config.group_call_size),
            grace: patience.grace,
        };
        Arc::new(Self {
            app,
            patience,
            rules,
            open: Mutex::default(),
            tasks: TaskTracker::new(),
        })
    }

    /// From now on this node decides about calls, and goes on with those that are open in the store: they were when the server
    /// stopped, or when the node that held the desk died. What was connected is reconnecting, what was ringing rings on; both end by
    /// themselves if the pages do not come back in time. To be called before anybody connects to a node that is alone.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn take_over(self: &Arc<Self>) -> Result<()> {
        self.restore().await?;
        self.lock().held = true;
        for page in self.app.live.pages() {
            self.opened(&page).await;
        }
        Ok(())
    }

    /// Another node decides about calls, or will in a moment. What this one knew of them is forgotten: the store has it.
    pub fn step_down(&self) {
        *self.lock() = Open::default();
    }

    /// Whether this node decides about calls.
    #[must_use]
    pub fn holds_desk(&self) -> bool {
        self.lock().held
    }

    /// Decides about nothing more, and waits until what was decided is stored: for as long as the store is away.
    pub async fn close(&self) {
        self.step_down();
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// Does something that [`Self::close`] waits for.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(task);
    }

    async fn restore(self: &Arc<Self>) -> Result<()> {
        // First: what rings beside one of them waits.
        self.restore_groups().await?;
        let mut rows = self.app.store.list_open_calls().await?;
        // What rang for somebody who was in a call rings for them as it did.
        rows.sort_by_key(|row| (row.state.is_unanswered(), row.started_at));
        for row in rows {
            let Some(two) = Two::find(&self.app.store, row.caller, row.callee).await? else {
                continue;
            };
            let steady = Steady::from(clock::now());
            let call = revive(&row, self.patience, steady.now());
            let (mail, inbox) = mpsc::channel(MAILBOX);
            self.lock().add(&call, mail);
            let line = Line::new(self.clone(), call, two, steady);
            self.tasks.spawn(line.run(inbox));
        }
        Ok(())
    }

    /// What a page asks. It is answered with frames to the pages concerned; what cannot be done with an error to this page.
    pub async fn act(self: &Arc<Self>, from: &Arc<Connection>, call: CallId, action: Action) {
        match &self.app.bus {
            _ if self.holds_desk() => self.decide_on(from, call, action).await,
            Some(bus) => self.pass_on(bus, from, call, action).await,
            // The server stops.
            None => refuse(from, call, ErrorCode::Unavailable, NOT_NOW),
        }
    }

    /// Has the node that holds the desk deal with it.
    async fn pass_on(&self, bus: &Bus, from: &Connection, call: CallId, action: Action) {
        let ask = CallAsk {
            from: bus.node(),
            client: from.client,
            person: from.person.clone(),
            guest_of: from.guest_of,
            call,
            action,
        };
        if let Err(why) = bus.ask_desk(&ask).await {
            tracing::warn!(%call, %why, "what a page asked about a call came to nothing");
            refuse(from, call, ErrorCode::Unavailable, NOT_NOW);
        }
    }

    async fn decide_on(self: &Arc<Self>, from: &Arc<Connection>, call: CallId, action: Action) {
        let starts = matches!(action, Action::Start { .. });
        if from.guest_of.is_some_and(|only| only != call || starts) {
            return refuse(from, call, ErrorCode::NoSuchCall, NOT_YOURS);
        }
        let ask = match action {
            Action::Start { to, media } => return self.start(from, call, to, media).await,
            Action::Join { .. } if from.guest_of.is_some() => {
                return self.join_as_guest(from, call).await;
            }
            Action::Join { room } => return self.join(from, call, room).await,
            action if self.is_group(call) => return self.act_in_group(from, call, action).await,
            Action::Signal { signal, .. } => {
                return self
                    .hand_over(
                        from,
                        call,
                        Mail::Signal {
                            from: from.clone(),
                            signal,
                        },
                    )
                    .await;
            }
            Action::Ringing => Ask::Ringing,
            Action::Accept => Ask::Accept,
            Action::Decline => Ask::Decline,
            Action::HangUp => Ask::HangUp,
            Action::Connected => Ask::Connected,
            Action::Lost => Ask::Lost,
        };
        if ask == Ask::Accept {
            self.leave_for(from.person.id, call).await;
        }
        self.hand_over(
            from,
            call,
            Mail::Asked {
                from: from.clone(),
                ask,
            },
        )
        .await;
    }

    /// Somebody accepts a call: if it waited for them, the one that they are in ends first.
    async fn leave_for(&self, user: UserId, call: CallId) {
        let (done, left) = oneshot::channel();
        let sent = {
            let open = self.lock();
            let waits = open.waiting.get(&user) == Some(&call);
            let present = open.engaged.get(&user).filter(|_| waits);
            let two = present.and_then(|id| open.calls.get(id)).cloned();
            let many = present.and_then(|id| open.groups.get(id)).cloned();
            (two, many)
        };
        // Where nobody takes it, that call has ended by itself, which is as good.
        let sent = match sent {
            (Some(two), _) => two.mail.send(Mail::Leave { user, done }).await.is_ok(),
            (None, Some(many)) => many
                .mail
                .send(GroupMail::Leave { user, done })
                .await
                .is_ok(),
            (None, None) => false,
        };
        if sent {
            let _ = left.await;
        }
    }

    /// A page is connected (again) and has been welcomed: it is shown the call that it holds or may answer.
    pub async fn opened(self: &Arc<Self>, page: &Arc<Connection>) {
        for entry in self.entries_of(page.person.id) {
            // A call that ended meanwhile needs nobody any more: a page that still shows it asks by itself.
            let _ = entry.mail.send(Mail::Opened { page: page.clone() }).await;
        }
        if let Some(group) = self.group_of(page.person.id) {
            let page = page.clone();
            let _ = group.mail.send(GroupMail::Opened { page }).await;
        }
    }

    /// The connection of a page is gone, and no newer one has taken its place.
    pub async fn closed(self: &Arc<Self>, page: &Arc<Connection>, gone: Gone) {
        for entry in self.entries_of(page.person.id) {
            let page = page.clone();
            let _ = entry.mail.send(Mail::Closed { page, gone }).await;
        }
        if let Some(group) = self.group_of(page.person.id) {
            let page = page.clone();
            let _ = group.mail.send(GroupMail::Closed { page, gone }).await;
        }
    }

    /// Gives something to the task of a call; if the call is over, tells the page how it ended.
    async fn hand_over(&self, from: &Connection, call: CallId, mail: Mail) {
        let entry = self
            .lock()
            .calls
            .get(&call)
            .filter(|entry| entry.concerns(from.person.id))
            .cloned();
        let taken = match entry {
            Some(entry) => entry.mail.send(mail).await.is_ok(),
            None => false,
        };
        if !taken {
            self.show_past(from, call).await;
        }
    }

    /// Shows a call that is over; for one that never was, or is not theirs, says just that.
    async fn show_past(&self, from: &Connection, id: CallId) {
        match self.find_past(from, id).await {
            Ok(Some(frame)) => from.send(&frame),
            Ok(None) => refuse(from, id, ErrorCode::NoSuchCall, NOT_YOURS),
            Err(error) => unavailable(from, id, &error),
        }
    }

    async fn find_past(&self, from: &Connection, id: CallId) -> Result<Option<ServerFrame>> {
        let Some(row) = self.app.store.find_call(id).await? else {
            return self.find_past_group(from, id).await;
        };
        let call = revive(&row, self.patience, clock::now());
        let Some(side) = call.side_of_user(from.person.id) else {
            return Ok(None);
        };
        let two = Two::find(&self.app.store, call.caller, call.callee).await?;
        Ok(two.map(|two| ServerFrame::Call {
            call: two.view(&call, side, from.client),
        }))
    }

    /// How many calls ring or are on, as far as this node decides about them.
    #[must_use]
    pub fn count(&self) -> usize {
        let open = self.lock();
        open.calls.len() + open.groups.len()
    }

    /// The call that somebody is in, and the one that waits for them.
    fn entries_of(&self, user: UserId) -> Vec<Entry> {
        let open = self.lock();
        [open.engaged.get(&user), open.waiting.get(&user)]
            .into_iter()
            .flatten()
            .filter_map(|call| open.calls.get(call).cloned())
            .collect()
    }

    /// Whether a call rings for somebody who is in another one.
    fn is_waiting(&self, user: UserId, call: CallId) -> bool {
        self.lock().waiting.get(&user) == Some(&call)
    }

    /// Takes a call off the desk: its two people may call and be called again. What waited for one of them, and rings once the end was
    /// told.
    fn forget(&self, call: &Call) -> Vec<Entry> {
        self.lock().remove(call)
    }

    /// What waited rings now. Who switches to it is told so before the word that they have answered: their page has its offer then.
    fn ring_again(free: Vec<Entry>) {
        for Entry { mail, .. } in free {
            // Not waited for: this may be the task of a call, and none of them waits for another. It may have ended meanwhile.
            if let Err(TrySendError::Full(free)) = mail.try_send(Mail::Free) {
                tokio::spawn(async move { drop(mail.send(free).await) });
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        // A panic while the lock is held leaves plain data behind, which is as good as any.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    fn add(&mut self, call: &Call, mail: mpsc::Sender<Mail>) {
        self.calls.insert(
            call.id,
            Entry {
                caller: call.caller,
                callee: call.callee,
                mail,
            },
        );
        self.engaged.insert(call.caller, call.id);
        if *self.engaged.entry(call.callee).or_insert(call.id) != call.id {
            self.waiting.insert(call.callee, call.id);
        }
    }

    /// Whether somebody can be called: nobody rings twice beside a call.
    fn takes_call(&self, callee: UserId) -> bool {
        !(self.engaged.contains_key(&callee) && self.waiting.contains_key(&callee))
    }

    /// Removes a call. The calls that waited for one of its people, and do no more.
    fn remove(&mut self, call: &Call) -> Vec<Entry> {
        self.calls.remove(&call.id);
        let mut free = Vec::new();
        for user in [call.caller, call.callee] {
            if self.waiting.get(&user) == Some(&call.id) {
                self.waiting.remove(&user);
            }
            free.extend(self.release(user, call.id));
        }
        free
    }

    /// Somebody is not in a call any more. What waited for them, and does no more.
    fn release(&mut self, user: UserId, call: CallId) -> Option<Entry> {
        if self.engaged.get(&user) != Some(&call) {
            return None;
        }
        self.engaged.remove(&user);
        let next = self.waiting.remove(&user)?;
        self.engaged.insert(user, next);
        self.calls.get(&next).cloned()
    }
}

/// Answers a page that asked for something that cannot be done.
fn refuse(page: &Connection, call: CallId, code: ErrorCode, reason: &str) {
    page.send(&ServerFrame::Error {
        code,
        reason: reason.to_owned(),
        call: Some(call),
    });
}

/// Answers a page when the store failed.
fn unavailable(page: &Connection, call: CallId, error: &crate::server::Error) {
    tracing::error!(%call, %error, "a call could not be read or stored");
    refuse(page, call, ErrorCode::Unavailable, NOT_NOW);
}

/// What is stored of a call.
fn row(call: &Call) -> CallRow {
    CallRow {
        id: call.id,
        room: call.room,
        caller: call.caller,
        callee: call.callee,
        media: call.media,
        state: call.state,
        caller_page: call.caller_page,
        callee_page: call.callee_page,
        started_at: call.started_at,
        answered_at: call.answered_at,
        connected_at: call.connected_at,
        ended_at: call.ended_at,
    }
}

/// A call from what was stored of it.
fn revive(row: &CallRow, patience: Patience, now: Millis) -> Call {
    let start = Start {
        id: row.id,
        room: row.room,
        caller: row.caller,
        page: row.caller_page,
        callee: row.callee,
        media: row.media,
    };
    let stored = Stored {
        state: row.state,
        callee_page: row.callee_page,
        started_at: row.started_at,
        answered_at: row.answered_at,
        connected_at: row.connected_at,
    };
    Call::restore(start, stored, patience, now)
}
