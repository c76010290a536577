//! What a start becomes: a call, a busy one, the same call again, or the answer to a call the other way round.

use super::{
    Calls, MAILBOX, NOT_NOW,
    line::{Line, Mail, steady},
    refuse, unavailable,
    view::Two,
};
use crate::{
    model::{
        CallId, RoomId, UserId,
        call::{Call, Media, machine::Start},
        room::RoomKind,
        user::Person,
    },
    protocol::ws::{ErrorCode, ServerFrame},
    server::{clock, error::Result, live::Connection, secret, store::Stream},
};
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};

/// What the desk decides, with its lock held.
pub(super) enum Decision {
    /// A new call, which is on the desk from now on.
    Ring(Call, mpsc::Receiver<Mail>),
    /// The callee is in a call, and another one rings for them already.
    Busy(Call),
    /// The task of an open call decides: it is that call, or one between the same two.
    Ask(mpsc::Sender<Mail>),
    /// Refused.
    No(ErrorCode, &'static str),
}

impl Calls {
    pub(super) async fn start(
        self: &Arc<Self>,
        from: &Arc<Connection>,
        id: CallId,
        to: UserId,
        media: Media,
    ) {
        if let Err(error) = self.try_start(from, id, to, media).await {
            unavailable(from, id, &error);
        }
    }

    async fn try_start(
        self: &Arc<Self>,
        from: &Arc<Connection>,
        id: CallId,
        to: UserId,
        media: Media,
    ) -> Result<()> {
        if to == from.person.id {
            refuse(from, id, ErrorCode::NoSuchUser, "You cannot call yourself.");
            return Ok(());
        }
        let Some(callee) = self.app.store.find_user(to).await? else {
            refuse(
                from,
                id,
                ErrorCode::NoSuchUser,
                "That person is not here any more.",
            );
            return Ok(());
        };
        let two = Two {
            caller: from.person.clone(),
            callee,
        };
        // Once round unless a call that the start depends on ends meanwhile.
        loop {
            if let Some(past) = self
                .app
                .store
                .find_call(id)
                .await?
                .filter(|row| row.state.is_ended() || row.caller != from.person.id)
            {
                self.answer_past(from, id, past.caller).await;
                return Ok(());
            }
            if self.app.store.find_group_call(id).await?.is_some() {
                refuse(from, id, ErrorCode::Invalid, "That call id is taken.");
                return Ok(());
            }
            if self.is_new(id) && !self.app.sends.allow(from.person.id) {
                refuse(
                    from,
                    id,
                    ErrorCode::TooFast,
                    "That was too often. Wait a moment, then call again.",
                );
                return Ok(());
            }
            let room = self.direct_room(&two).await?;
            let start = Start {
                id,
                room,
                caller: from.person.id,
                page: from.client,
                callee: to,
                media,
            };
            match self.decide(start) {
                // Where it does not, the same call has ended since it was looked up.
                Decision::Ring(call, inbox) => {
                    if self.ring(call, two.clone(), inbox).await? {
                        return Ok(());
                    }
                }
                // Over before it rang: stored, written into the room, and told to the caller alone.
                Decision::Busy(call) => {
                    let line = Line::new(self.clone(), call, two.clone(), steady());
                    if line.open().await? {
                        return Ok(());
                    }
                }
                Decision::No(code, reason) => {
                    refuse(from, id, code, reason);
                    return Ok(());
                }
                Decision::Ask(mail) => {
                    let (done, answer) = oneshot::channel();
                    let asked = mail
                        .send(Mail::Start {
                            from: from.clone(),
                            id,
                            done,
                        })
                        .await;
                    if asked.is_ok() && answer.await.is_ok() {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// The same start again, after the call ended: shown once more. Somebody else's call: the id is taken.
    async fn answer_past(&self, from: &Connection, id: CallId, caller: UserId) {
        if caller == from.person.id {
            self.show_past(from, id).await;
        } else {
            refuse(from, id, ErrorCode::Invalid, "That call id is taken.");
        }
    }

    fn is_new(&self, id: CallId) -> bool {
        !self.lock().calls.contains_key(&id)
    }

    /// The one place where it is decided; nothing is awaited here.
    pub(super) fn decide(&self, start: Start) -> Decision {
        let mut open = self.lock();
        if !open.held {
            return Decision::No(ErrorCode::Unavailable, NOT_NOW);
        }
        if let Some(same) = open.calls.get(&start.id) {
            return if same.caller == start.caller {
                Decision::Ask(same.mail.clone())
            } else {
                Decision::No(ErrorCode::Invalid, "That call id is taken.")
            };
        }
        if open.groups.contains_key(&start.id) {
            return Decision::No(ErrorCode::Invalid, "That call id is taken.");
        }
        if let Some(present) = open
            .engaged
            .get(&start.caller)
            .and_then(|call| open.calls.get(call))
        {
            return if present.concerns(start.callee) {
                Decision::Ask(present.mail.clone())
            } else {
                Decision::No(
                    ErrorCode::InACall,
                    "You are in a call already, perhaps on another page, or somebody is calling you. End that first.",
                )
            };
        }
        if open.engaged.contains_key(&start.caller) {
            return Decision::No(
                ErrorCode::InACall,
                "You are in the call of a room already, perhaps on another page. Leave that first.",
            );
        }
        let now = clock::now();
        if !open.takes_call(start.callee) {
            return Decision::Busy(Call::busy(start, self.patience, now));
        }
        let call = Call::start(start, self.patience, now);
        let (mail, inbox) = mpsc::channel(MAILBOX);
        open.add(&call, mail);
        Decision::Ring(call, inbox)
    }

    /// Lets a call ring that is on the desk. False when it has ended already: it was started before, and is started again.
    pub(super) async fn ring(
        self: &Arc<Self>,
        call: Call,
        two: Two,
        inbox: mpsc::Receiver<Mail>,
    ) -> Result<bool> {
        let line = Line::new(self.clone(), call.clone(), two, steady());
        let opened = line.open().await;
        if matches!(opened, Ok(true)) {
            self.tasks.spawn(line.run(inbox));
        } else {
            Self::ring_again(self.forget(&call));
        }
        opened
    }

    /// The direct room of the two. When it is made now, both hear it from now on and see it in their list of rooms.
    async fn direct_room(&self, two: &Two) -> Result<RoomId> {
        let (store, live) = (&self.app.store, &self.app.live);
        let people: [&Person; 2] = [&two.caller, &two.callee];
        let [caller, callee] = people.map(|person| person.id);
        let (room, made) = store
            .find_or_create_direct(RoomId(secret::id()), caller, callee, clock::now())
            .await?;
        if made {
            self.app.log.watch(Stream::Room(room));
            for user in [caller, callee] {
                live.join(user, room, RoomKind::Direct);
                if let Some(summary) = store.find_room(room, user).await? {
                    live.to_user(user, &ServerFrame::Room { room: summary });
                }
            }
        }
        Ok(room)
    }
}
