//! One group call: a task that takes everything about it one after another, stores what changes, then tells it.

use super::{Calls, NOT_NOW, NOT_YOURS, line::Steady, refuse, signals::Budget};
use crate::{
    model::{
        CallId, ClientId, MessageId, Millis, RoomId, UserId,
        call::{
            Signal,
            group::{
                GroupCall, GroupInput, GroupRules, GroupStart, GroupView, GroupWrong, Part, Seat,
                Seated, shown_name,
            },
        },
        message::Content,
        user::Person,
    },
    protocol::ws::{ErrorCode, ServerFrame},
    server::{
        error::{Error, Result},
        live::{Connection, Gone},
        log::NewMessage,
        store::GroupCallRow,
    },
};
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};
use tokio::{
    sync::{mpsc, oneshot},
    time::MissedTickBehavior,
};

/// How long to wait before something that the store refused is tried again.
const AGAIN: Duration = Duration::from_secs(1);
/// How often it is looked whether the guests of a call still are.
const LOOK: Duration = Duration::from_secs(3);

/// What a group call's task is told.
#[derive(Debug)]
pub(super) enum GroupMail {
    /// A page joins.
    Join { from: Arc<Connection>, id: CallId },
    /// A page has something for the page at a place.
    Signal {
        from: Arc<Connection>,
        to: Option<Seat>,
        signal: Signal,
    },
    /// Somebody leaves, for another call. The answer says that they have.
    Leave {
        user: UserId,
        done: oneshot::Sender<()>,
    },
    /// A page leaves.
    HangUp { from: Arc<Connection> },
    /// A page that is in it needs what it was told when it joined, anew: credentials expire.
    Renew { from: Arc<Connection> },
    /// A page of somebody who is in it is connected (again).
    Opened { page: Arc<Connection> },
    /// The connection of a page of somebody who is in it is gone, and perhaps the page.
    Closed { page: Arc<Connection>, gone: Gone },
}

/// A group call and what its task needs.
pub(super) struct Group {
    calls: Arc<Calls>,
    call: GroupCall,
    steady: Steady,
    /// When it changed last.
    changed_at: Millis,
    /// Everybody who is in it or was, by their names.
    people: HashMap<UserId, Person>,
    /// Those of them who came by a link.
    guests: HashSet<UserId>,
    /// How much a page may still say to a place.
    budgets: HashMap<(ClientId, Seat), Budget>,
}

impl Group {
    /// A call that nobody has joined yet.
    pub(super) fn start(calls: Arc<Calls>, start: GroupStart, rules: GroupRules) -> Self {
        let steady = super::line::steady();
        let call = GroupCall::start(start, rules, steady.now());
        Self::new(calls, call, steady)
    }

    /// Goes on with a call from what was stored of it.
    ///
    /// # Errors
    /// When the store fails.
    pub(super) async fn restore(
        calls: Arc<Calls>,
        row: GroupCallRow,
        rules: GroupRules,
    ) -> Result<Self> {
        let steady = super::line::steady();
        let start = GroupStart {
            id: row.id,
            room: row.room,
            by: row.started_by,
        };
        let mut call = GroupCall::start(start, rules, row.started_at);
        call.members = row.members;
        call.took_part = row.took_part;
        call.next_seat = row.next_seat;
        call.ended_at = row.ended_at;
        let mut group = Self::new(calls, call.restore(steady.now()), steady);
        // The clock of the node that held it may be ahead of this one's.
        let known = group.calls.app.live.group_as_of(row.room);
        group.changed_at = known.map_or(group.changed_at, |known| group.changed_at.max(known + 1));
        for user in group.call.took_part.clone() {
            let store = &group.calls.app.store;
            if let Some(person) = store.find_user(user).await? {
                group.people.insert(user, person);
            } else if let Some(guest) = store.find_guest(user).await? {
                group.people.insert(user, guest);
                group.guests.insert(user);
            }
        }
        Ok(group)
    }

    fn new(calls: Arc<Calls>, call: GroupCall, steady: Steady) -> Self {
        Self {
            calls,
            call,
            steady,
            changed_at: steady.now(),
            people: HashMap::new(),
            guests: HashSet::new(),
            budgets: HashMap::new(),
        }
    }

    pub(super) fn call(&self) -> &GroupCall {
        &self.call
    }

    /// Holds the call until everybody has left.
    pub(super) async fn run(mut self, mut inbox: mpsc::Receiver<GroupMail>) {
        if !self.call.members.is_empty() {
            self.tell_room();
        }
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !self.call.is_over() {
            tokio::select! {
                mail = inbox.recv() => match mail {
                    Some(mail) => self.read(mail).await,
                    None => return,
                },
                _ = look.tick(), if self.has_guests() => self.look_after_guests().await,
                () = self.steady.until(self.call.deadline()) => {
                    // Time alone is never refused.
                    let _ = self.take(GroupInput::Time).await;
                }
            }
            // A first one who could not join leaves nobody in it.
            if self.call.members.is_empty() && !self.call.is_over() {
                self.calls.forget_group(&self.call);
                break;
            }
        }
        // The call is off the desk: what still waits came too late.
        inbox.close();
        while let Some(mail) = inbox.recv().await {
            match mail {
                // Asked once more, they begin another one.
                GroupMail::Join { from, id } => {
                    self.calls.release(from.person.id, self.call.id);
                    self.join_again(from, id);
                }
                GroupMail::Signal { .. }
                | GroupMail::Leave { .. }
                | GroupMail::HangUp { .. }
                | GroupMail::Renew { .. }
                | GroupMail::Opened { .. }
                | GroupMail::Closed { .. } => {}
            }
        }
    }

    async fn read(&mut self, mail: GroupMail) {
        match mail {
            GroupMail::Join { from, id } => self.join(&from, id).await,
            GroupMail::Signal { from, to, signal } => self.relay(&from, to, signal),
            GroupMail::Leave { user, done } => {
                // A call that has ended has been left.
                let _ = self.take(GroupInput::Leave { user }).await;
                let _ = done.send(());
            }
            GroupMail::HangUp { from } => {
                let user = from.person.id;
                if self.call.member(from.client).is_some() {
                    let _ = self.take(GroupInput::Leave { user }).await;
                } else {
                    // Said again, or by a page that was in it before.
                    self.show(&from);
                }
            }
            GroupMail::Renew { from } => self.show(&from),
            GroupMail::Opened { page } => {
                let known = self.call.member(page.client).is_some();
                let _ = self.take(GroupInput::Back { page: page.client }).await;
                if known {
                    self.show(&page);
                }
            }
            GroupMail::Closed { page, gone } => {
                // The same page may have connected again before its former connection was given up.
                if self.calls.app.live.owner_of(page.client).is_none() {
                    let page = page.client;
                    let _ = match gone {
                        Gone::ForNow => self.take(GroupInput::Gone { page }).await,
                        Gone::ForGood => self.take(GroupInput::Left { page }).await,
                    };
                }
            }
        }
    }

    async fn join(&mut self, from: &Arc<Connection>, asked: CallId) {
        let (user, page) = (from.person.id, from.client);
        let guest = from.guest_of.is_some();
        if guest && !self.is_still_guest(user).await {
            return refuse(from, asked, ErrorCode::NoSuchCall, NOT_YOURS);
        }
        // They may have left since they asked, and begun another one.
        if !self.calls.engage(user, self.call.id) {
            if !self.calls.holds_desk() {
                return refuse(from, asked, ErrorCode::Unavailable, NOT_NOW);
            }
            let reason = "You are in a call already, perhaps on another page. End that first.";
            return refuse(from, asked, ErrorCode::InACall, reason);
        }
        self.people.insert(user, from.person.clone());
        if guest {
            self.guests.insert(user);
        }
        match self.take(GroupInput::Join { user, page, guest }).await {
            Ok(()) => {
                self.show(from);
                // It may have gone before it was let in.
                if self.calls.app.live.owner_of(page).is_none() {
                    let _ = self.take(GroupInput::Gone { page }).await;
                }
            }
            Err(wrong) => {
                if !self.call.members.iter().any(|member| member.user == user) {
                    self.calls.release(user, self.call.id);
                }
                let code = match wrong {
                    GroupWrong::Over => return self.join_again(from.clone(), asked),
                    GroupWrong::Full(_) => ErrorCode::WrongState,
                    GroupWrong::NoPart => ErrorCode::NoSuchCall,
                };
                refuse(from, asked, code, &wrong.to_string());
            }
        }
    }

    /// The call is over: whoever asked for the id of another one begins that.
    fn join_again(&self, from: Arc<Connection>, asked: CallId) {
        let again = self.calls.clone().join_again(from, asked, self.call.room);
        self.calls.spawn(again);
    }

    fn relay(&mut self, from: &Connection, to: Option<Seat>, signal: Signal) {
        // Whoever left meanwhile needs it no more, and whoever said it hears of that by itself.
        let Some(to) = to else { return };
        let Ok((seat, page)) = self.call.signal_target(from.client, to) else {
            return;
        };
        let now = self.steady.now();
        let budget = self.budgets.entry((from.client, to));
        let budget = budget.or_insert_with(|| Budget::new(now));
        if budget.allow(&signal, now) {
            let frame = ServerFrame::Signal {
                call: self.call.id,
                signal,
                from: Some(seat),
            };
            self.calls.app.live.to_page(page, &frame);
        } else {
            let reason = "This page sends more than a call needs. Slow down.";
            refuse(from, self.call.id, ErrorCode::TooFast, reason);
        }
    }

    /// Takes something in: stored first, told then.
    async fn take(&mut self, input: GroupInput) -> Result<(), GroupWrong> {
        let mut next = self.call.clone();
        next.apply(input, self.steady.now())?;
        if row(&next) != row(&self.call) && !self.keep(&next).await && self.call.members.is_empty()
        {
            // Begun with the id of one that has ended since it was looked up.
            return Err(GroupWrong::Over);
        }
        let before = std::mem::replace(&mut self.call, next);
        if before != self.call {
            self.changed_at = self.steady.now().max(self.changed_at + 1);
        }
        let pages = |call: &GroupCall| -> HashSet<(UserId, ClientId)> {
            call.members.iter().map(|it| (it.user, it.page)).collect()
        };
        let (was, is) = (pages(&before), pages(&self.call));
        for (user, page) in was.difference(&is) {
            self.budgets.retain(|(from, _), _| from != page);
            if !self.call.members.iter().any(|member| member.user == *user) {
                self.calls.release(*user, self.call.id);
            }
            let view = GroupView {
                part: Some(Part::Out),
                ..self.view()
            };
            let frame = ServerFrame::GroupCall { group: view };
            self.calls.app.live.to_page(*page, &frame);
        }
        if before != self.call {
            self.tell_room();
        }
        if self.call.is_over() {
            self.calls.forget_group(&self.call);
            self.forget_guests().await;
        }
        Ok(())
    }

    /// Stores a change, for as many tries as it takes. False for a call that has ended.
    async fn keep(&self, next: &GroupCall) -> bool {
        loop {
            match self.write(next).await {
                Ok(written) => return written,
                Err(error) => {
                    tracing::error!(call = %next.id, %error, "a group call could not be stored; trying again");
                    tokio::time::sleep(AGAIN).await;
                }
            }
        }
    }

    /// The message is in the room before the call counts as ended: a server that stops in between ends it anew, and the message, whose id
    /// is the call's, is written once all the same.
    async fn write(&self, call: &GroupCall) -> Result<bool> {
        if let Some(lasted) = call.lasted() {
            let names = call.took_part.iter();
            let people = names
                .filter_map(|user| self.people.get(user))
                .map(|person| shown_name(person, self.guests.contains(&person.id)));
            let content = Content::GroupCall {
                call: call.id,
                lasted,
                people: people.collect(),
            };
            if let Some(author) = self.people.get(&call.started_by) {
                self.post(call.room, author.clone(), call.id, content)
                    .await?;
            }
        }
        self.calls.app.store.save_group_call(&row(call)).await
    }

    /// The call is over: nothing is left of guests, and what they still have open is closed.
    async fn forget_guests(&self) {
        match self.calls.app.store.delete_guest_links().await {
            Ok(guests) => {
                for token_hash in guests {
                    self.calls.app.live.close_session(&token_hash);
                }
            }
            // They lead nowhere, and are deleted with those of the next call.
            Err(error) => {
                tracing::warn!(call = %self.call.id, %error, "links for guests could not be deleted");
            }
        }
    }

    /// Looks whose link was ended, and has them leave: whoever was not connected when that happened heard nothing of it. Where there are
    /// several nodes, says anew to the others how the call stands: they hear no room, and what one node tells another may be lost.
    async fn look_after_guests(&mut self) {
        let known = match self.calls.app.store.list_call_guests(self.call.id).await {
            Ok(known) => known,
            Err(error) => {
                return tracing::warn!(call = %self.call.id, %error, "guests could not be looked up");
            }
        };
        let known: HashSet<UserId> = known.into_iter().map(|(_, guest)| guest.id).collect();
        let members = self.call.members.iter();
        let gone = members.filter(|member| member.guest && !known.contains(&member.user));
        for user in gone.map(|member| member.user).collect::<Vec<_>>() {
            let _ = self.take(GroupInput::Leave { user }).await;
        }
        if self.calls.app.bus.is_some() {
            self.tell_guests();
        }
    }

    /// Whether somebody who came by a link may come in: it may have been ended while they were about to. Who cannot be looked up
    /// does not come in.
    async fn is_still_guest(&self, user: UserId) -> bool {
        let known = self.calls.app.store.list_call_guests(self.call.id).await;
        known.is_ok_and(|known| known.iter().any(|(_, guest)| guest.id == user))
    }

    fn has_guests(&self) -> bool {
        self.call.members.iter().any(|member| member.guest)
    }

    async fn post(&self, room: RoomId, author: Person, id: CallId, content: Content) -> Result<()> {
        let new = NewMessage {
            id: MessageId(id.0),
            room,
            author,
            content,
            media_type: None,
        };
        match self.calls.app.log.post(new).await {
            Ok(_) => Ok(()),
            // Somebody has used the id for a message of their own, so the room cannot show this one.
            Err(Error::User(failure)) => {
                tracing::warn!(call = %id, %failure, "the end of a group call was not posted");
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// Tells everybody who hears the room who is in the call, and the guests in it, who hear no room.
    fn tell_room(&self) {
        self.tell_guests();
        self.calls.app.live.tell_group(self.view());
    }

    fn tell_guests(&self) {
        if self.has_guests() {
            let group = self.view();
            let frame = ServerFrame::GroupCall { group };
            for member in self.call.members.iter().filter(|member| member.guest) {
                self.calls.app.live.to_page(member.page, &frame);
            }
        }
    }

    /// Tells a page what it needs to be in it, or that it is not.
    fn show(&self, page: &Connection) {
        let part = match self.call.member(page.client) {
            Some(member) => Part::In {
                seat: member.seat,
                ice_servers: self.calls.app.ice_servers(member.user, self.call.id),
            },
            None => Part::Out,
        };
        let group = GroupView {
            part: Some(part),
            ..self.view()
        };
        page.send(&ServerFrame::GroupCall { group });
    }

    fn view(&self) -> GroupView {
        let seated = |member: &crate::model::call::group::Member| {
            Some(Seated {
                seat: member.seat,
                person: self.people.get(&member.user)?.clone(),
                guest: member.guest,
                away: member.gone_since.is_some(),
            })
        };
        GroupView {
            id: self.call.id,
            room: self.call.room,
            started_at: self.call.started_at,
            members: self.call.members.iter().filter_map(seated).collect(),
            most: self.call.most(),
            as_of: self.changed_at,
            part: None,
        }
    }
}

/// What is stored of a group call.
fn row(call: &GroupCall) -> GroupCallRow {
    GroupCallRow {
        id: call.id,
        room: call.room,
        started_by: call.started_by,
        started_at: call.started_at,
        ended_at: call.ended_at,
        next_seat: call.next_seat,
        members: call.members.clone(),
        took_part: call.took_part.clone(),
    }
}
