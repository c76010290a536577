//! Joining the call of a room: the desk's part.

use super::{
    Calls, GroupEntry, MAILBOX, NOT_NOW,
    group::{Group, GroupMail},
    refuse, unavailable,
};
use crate::{
    model::{
        CallId, RoomId, UserId,
        call::{
            Action,
            group::{GroupCall, GroupStart, GroupView, Part},
        },
    },
    protocol::ws::{ErrorCode, ServerFrame},
    server::{error::Result, live::Connection},
};
use std::{collections::HashSet, pin::Pin, sync::Arc};
use tokio::sync::mpsc;

const TOO_OFTEN: &str = "That was too often. Wait a moment, then join again.";
const OVER: &str = "That call is over.";

/// What the desk decides, with its lock held.
pub(super) enum Decision {
    /// The task of this call decides.
    Ask(CallId, mpsc::Sender<GroupMail>),
    /// A new call, which is on the desk from now on.
    Begin(
        Box<Group>,
        mpsc::Sender<GroupMail>,
        mpsc::Receiver<GroupMail>,
    ),
    /// Refused.
    No(ErrorCode, &'static str),
}

impl Calls {
    /// A page joins the call of a room, or starts it with this id.
    pub(super) async fn join(self: &Arc<Self>, from: &Arc<Connection>, id: CallId, room: RoomId) {
        if let Err(error) = self.try_join(from, id, room).await {
            unavailable(from, id, &error);
        }
    }

    /// A page of a guest joins the one call that it may be in.
    pub(super) async fn join_as_guest(self: &Arc<Self>, from: &Arc<Connection>, call: CallId) {
        if !self.app.sends.allow(from.person.id) {
            return refuse(from, call, ErrorCode::TooFast, TOO_OFTEN);
        }
        let mail = {
            let open = self.lock();
            open.groups.get(&call).map(|entry| entry.mail.clone())
        };
        let sent = match mail {
            Some(mail) => {
                let (from, id) = (from.clone(), call);
                mail.send(GroupMail::Join { from, id }).await.is_ok()
            }
            None => false,
        };
        if !sent {
            refuse(from, call, ErrorCode::NoSuchCall, OVER);
        }
    }

    /// The same as [`Self::join`], for a call that ended as they were about to join it.
    pub(super) fn join_again(
        self: Arc<Self>,
        from: Arc<Connection>,
        id: CallId,
        room: RoomId,
    ) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(async move {
            if from.guest_of.is_some() {
                refuse(&from, id, ErrorCode::NoSuchCall, OVER);
            } else {
                self.join(&from, id, room).await;
            }
        })
    }

    async fn try_join(
        self: &Arc<Self>,
        from: &Arc<Connection>,
        id: CallId,
        room: RoomId,
    ) -> Result<()> {
        let user = from.person.id;
        if !self.app.store.is_member(room, user).await? {
            let reason = "That room does not exist, or is not yours.";
            refuse(from, id, ErrorCode::NoSuchRoom, reason);
            return Ok(());
        }
        if self.app.store.find_call(id).await?.is_some() {
            refuse(from, id, ErrorCode::Invalid, "That call id is taken.");
            return Ok(());
        }
        let past = self.app.store.find_group_call(id).await?;
        if past.is_some_and(|row| row.ended_at.is_some() || row.room != room) {
            self.show_past(from, id).await;
            return Ok(());
        }
        if !self.app.sends.allow(user) {
            refuse(from, id, ErrorCode::TooFast, TOO_OFTEN);
            return Ok(());
        }
        loop {
            let from = from.clone();
            let (call, mail) = match self.decide_join(user, id, room) {
                Decision::Ask(call, mail) => (call, mail),
                Decision::Begin(group, mail, inbox) => {
                    self.tasks.spawn(group.run(inbox));
                    (id, mail)
                }
                Decision::No(code, reason) => {
                    refuse(&from, id, code, reason);
                    return Ok(());
                }
            };
            // A call that ends just now is off the desk, and the next round begins another one.
            if mail.send(GroupMail::Join { from, id }).await.is_ok() {
                return Ok(());
            }
            self.release(user, call);
            tokio::task::yield_now().await;
        }
    }

    /// The one place where it is decided; nothing is awaited here. Whoever may join is in the call from now on, as far as other calls
    /// are concerned.
    pub(super) fn decide_join(
        self: &Arc<Self>,
        user: UserId,
        id: CallId,
        room: RoomId,
    ) -> Decision {
        let mut open = self.lock();
        if !open.held {
            return Decision::No(ErrorCode::Unavailable, NOT_NOW);
        }
        let present = open.in_rooms.get(&room).copied();
        let engaged = open.engaged.get(&user).copied();
        if engaged.is_some() && engaged != present {
            return Decision::No(
                ErrorCode::InACall,
                "You are in a call already, perhaps on another page, or somebody is calling you. End that first.",
            );
        }
        if let Some((call, entry)) = present.and_then(|call| Some((call, open.groups.get(&call)?)))
        {
            let mail = entry.mail.clone();
            open.engaged.insert(user, call);
            return Decision::Ask(call, mail);
        }
        if open.groups.contains_key(&id) || open.calls.contains_key(&id) {
            return Decision::No(ErrorCode::Invalid, "That call id is taken.");
        }
        let start = GroupStart { id, room, by: user };
        let group = Group::start(self.clone(), start, self.rules);
        let (mail, inbox) = mpsc::channel(MAILBOX);
        let entry = GroupEntry {
            room,
            mail: mail.clone(),
        };
        open.groups.insert(id, entry);
        open.in_rooms.insert(room, id);
        open.engaged.insert(user, id);
        Decision::Begin(Box::new(group), mail, inbox)
    }

    /// Goes on with the calls of rooms that are open in the store.
    pub(super) async fn restore_groups(self: &Arc<Self>) -> Result<()> {
        self.app.store.delete_guest_links().await?;
        for row in self.app.store.list_open_group_calls().await? {
            let group = Group::restore(self.clone(), row, self.rules).await?;
            let (mail, inbox) = mpsc::channel(MAILBOX);
            {
                let mut open = self.lock();
                let call = group.call();
                let entry = GroupEntry {
                    room: call.room,
                    mail,
                };
                open.groups.insert(call.id, entry);
                open.in_rooms.insert(call.room, call.id);
                for member in &call.members {
                    open.engaged.entry(member.user).or_insert(call.id);
                }
            }
            self.tasks.spawn(group.run(inbox));
        }
        Ok(())
    }

    pub(super) fn is_group(&self, call: CallId) -> bool {
        self.lock().groups.contains_key(&call)
    }

    /// The call of a room that somebody is in.
    pub(super) fn group_of(&self, user: UserId) -> Option<GroupEntry> {
        let open = self.lock();
        open.groups.get(open.engaged.get(&user)?).cloned()
    }

    pub(super) async fn act_in_group(&self, from: &Arc<Connection>, call: CallId, action: Action) {
        let (entry, is_in) = {
            let open = self.lock();
            let is_in = open.engaged.get(&from.person.id) == Some(&call);
            (open.groups.get(&call).cloned(), is_in)
        };
        let Some(entry) = entry else { return };
        let is_theirs = async || {
            let member = self.app.store.is_member(entry.room, from.person.id).await;
            member.unwrap_or(false)
        };
        if !is_in && !is_theirs().await {
            return refuse(from, call, ErrorCode::NoSuchCall, super::NOT_YOURS);
        }
        let from = from.clone();
        let mail = match action {
            Action::Signal { signal, to } => GroupMail::Signal { from, to, signal },
            Action::HangUp => GroupMail::HangUp { from },
            _ => GroupMail::Renew { from },
        };
        // A call that has ended needs to hear nothing any more.
        let _ = entry.mail.send(mail).await;
    }

    /// Somebody is in the call of a room, as far as other calls are concerned. False when they are in another one, or another node
    /// decides.
    pub(super) fn engage(&self, user: UserId, call: CallId) -> bool {
        let mut open = self.lock();
        open.held && *open.engaged.entry(user).or_insert(call) == call
    }

    /// Somebody is not in the call of a room any more.
    pub(super) fn release(&self, user: UserId, call: CallId) {
        let free = self.lock().release(user, call);
        Self::ring_again(free.into_iter().collect());
    }

    /// Takes the call of a room off the desk. Whoever was about to join it may join another.
    pub(super) fn forget_group(&self, call: &GroupCall) {
        let mut free = Vec::new();
        {
            let mut open = self.lock();
            open.groups.remove(&call.id);
            if open.in_rooms.get(&call.room) == Some(&call.id) {
                open.in_rooms.remove(&call.room);
            }
            let engaged = open.engaged.iter();
            let users: Vec<_> = engaged
                .filter(|(_, id)| **id == call.id)
                .map(|(user, _)| *user)
                .collect();
            for user in users {
                free.extend(open.release(user, call.id));
            }
        }
        Self::ring_again(free);
    }

    /// Tells every node which calls of rooms go on: what one of them missed is made up for.
    pub fn tell_groups(&self) {
        let open: HashSet<CallId> = self.lock().groups.keys().copied().collect();
        self.app.live.tell_groups(&open);
    }

    /// A call of a room that is over, for somebody of that room.
    pub(super) async fn find_past_group(
        &self,
        from: &Connection,
        id: CallId,
    ) -> Result<Option<ServerFrame>> {
        let Some(row) = self.app.store.find_group_call(id).await? else {
            return Ok(None);
        };
        if !self.app.store.is_member(row.room, from.person.id).await? {
            return Ok(None);
        }
        let group = GroupView {
            id,
            room: row.room,
            started_at: row.started_at,
            members: Vec::new(),
            most: self.rules.most,
            as_of: crate::server::clock::now().max(row.ended_at.unwrap_or(row.started_at)),
            part: Some(Part::Out),
        };
        Ok(Some(ServerFrame::GroupCall { group }))
    }
}
