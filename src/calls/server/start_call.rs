//! Starting a call: new, busy, repeated, or the answer to one in the other direction.

use super::{
    call_table::CallTable,
    call_task::CallTask,
    commands::CallCommand,
    errors::{UNAVAILABLE_REASON, send_error, send_rate_limited, send_unavailable},
    leader_term::LeaderTerm,
    monotonic_clock::start_clock,
    registry::{COMMAND_QUEUE_CAPACITY, CallRegistry},
    view::Parties,
};
use crate::{
    model::{
        CallId, RoomId, UserId,
        call::{Call, Media, state_machine::CallStart},
        limits::format_wait,
    },
    protocol::ws::ErrorCode,
    server::{
        clock,
        error::Result,
        live::Connection,
        random,
        rate_limit::{Bound, Charge, Exceeded, Key},
        store::Block,
    },
};
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};

pub(super) enum StartDecision {
    /// Now registered.
    NewCall(LeaderTerm, Call, mpsc::Receiver<CallCommand>),
    /// The callee is in a call and another one waits.
    Busy(LeaderTerm, Call),
    /// For the task of the same call, or of one between the same people.
    Delegate(mpsc::Sender<CallCommand>),
    Reject(ErrorCode, &'static str),
}

impl CallRegistry {
    pub(super) async fn start_call(
        self: &Arc<Self>,
        from: &Arc<Connection>,
        id: CallId,
        to: UserId,
        media: Media,
    ) {
        if let Err(error) = self.try_start_call(from, id, to, media).await {
            send_unavailable(from, id, &error);
        }
    }

    async fn try_start_call(
        self: &Arc<Self>,
        from: &Arc<Connection>,
        id: CallId,
        to: UserId,
        media: Media,
    ) -> Result<()> {
        if to == from.person.id {
            send_error(from, id, ErrorCode::NoSuchUser, "You cannot call yourself.");
            return Ok(());
        }
        let Some(callee) = self.table.app.store.find_user(to).await? else {
            send_error(
                from,
                id,
                ErrorCode::NoSuchUser,
                "That person no longer has an account here.",
            );
            return Ok(());
        };
        let parties = Parties {
            caller: from.person.clone(),
            callee,
        };
        // Repeats if a call that the decision depended on has ended.
        loop {
            if let Some(past) = self
                .table
                .app
                .store
                .find_call(id)
                .await?
                .filter(|row| row.state.is_ended() || row.caller != from.person.id)
            {
                self.answer_repeated_start(from, id, past.caller).await;
                return Ok(());
            }
            if self.table.app.store.find_group_call(id).await?.is_some() {
                send_error(from, id, ErrorCode::Invalid, "That call id is taken.");
                return Ok(());
            }
            let store = &self.table.app.store;
            let found = store.find_direct_room(from.person.id, to).await?;
            let is_stranger = match found {
                Some(room) => !store.has_taken_part(room, to).await?,
                None => true,
            };
            // Who calls back while the other rings answers, which nothing refuses.
            if self.is_new_ring(id, &parties)
                && self
                    .refuse_ring(from, id, &parties, found.is_none(), is_stranger)
                    .await?
            {
                return Ok(());
            }
            let room = match found {
                Some(room) => room,
                None => self.create_direct_room(&parties).await?,
            };
            let start = CallStart {
                id,
                room,
                caller: from.person.id,
                caller_client: from.client,
                callee: to,
                media,
            };
            match self.decide_start(start, is_stranger) {
                // Without success, a call with this id has ended since the lookup.
                StartDecision::NewCall(term, call, command_rx) => {
                    if self
                        .spawn_call_task(term, call, parties.clone(), command_rx)
                        .await?
                    {
                        return Ok(());
                    }
                }
                // Ended before it rings: stored, posted, sent to the caller only.
                StartDecision::Busy(term, call) => {
                    let (table, clock) = (self.table.clone(), start_clock());
                    let task = CallTask::new(table, term, call, parties.clone(), clock);
                    if task.create().await? {
                        return Ok(());
                    }
                }
                StartDecision::Reject(code, reason) => {
                    send_error(from, id, code, reason);
                    return Ok(());
                }
                StartDecision::Delegate(command_tx) => {
                    let (done, answer) = oneshot::channel();
                    let asked = command_tx
                        .send(CallCommand::Start {
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

    async fn answer_repeated_start(&self, from: &Connection, id: CallId, caller: UserId) {
        if caller == from.person.id {
            self.send_past_call(from, id).await;
        } else {
            send_error(from, id, ErrorCode::Invalid, "That call id is taken.");
        }
    }

    fn is_new_ring(&self, id: CallId, two: &Parties) -> bool {
        let open = self.table.lock();
        !open.calls.contains_key(&id) && !open.rings(two.callee.id, two.caller.id)
    }

    /// Charges a new ring. If it is refused, tells the caller and returns true.
    async fn refuse_ring(
        &self,
        from: &Connection,
        id: CallId,
        two: &Parties,
        is_new_conversation: bool,
        is_stranger: bool,
    ) -> Result<bool> {
        if let Some(reason) = self.find_refusal(two, is_stranger).await? {
            send_error(from, id, ErrorCode::NotAllowed, &reason);
            return Ok(true);
        }
        let Err(exceeded) = self.take_ring(two, is_new_conversation, is_stranger) else {
            return Ok(false);
        };
        let (name, wait) = (&two.callee.name, exceeded.wait);
        let in_words = format_wait(u32::try_from(wait.as_millis()).ok());
        let reason = format!("Too many calls to {name}. Wait {in_words}, then call again.");
        send_rate_limited(from, id, &reason, wait);
        Ok(true)
    }

    /// Why the callee does not accept this call. Does not say whether they have blocked the caller.
    async fn find_refusal(&self, two: &Parties, is_stranger: bool) -> Result<Option<String>> {
        let store = &self.table.app.store;
        let (block, calls_from) = store.find_acceptance(two.caller.id, two.callee.id).await?;
        let name = &two.callee.name;
        Ok(match block {
            Some(Block::BySelf) => Some(format!("You have blocked {name}. Unblock them to call.")),
            None if calls_from.accepts(two.caller.role, !is_stranger) => None,
            Some(Block::ByOther) | None => Some(format!("{name} does not accept calls from you.")),
        })
    }

    /// Atomic: no await while the lock is held.
    pub(super) fn decide_start(&self, start: CallStart, is_stranger: bool) -> StartDecision {
        let mut open = self.table.lock();
        let Some(term) = open.current_term().cloned() else {
            return StartDecision::Reject(ErrorCode::Unavailable, UNAVAILABLE_REASON);
        };
        if let Some(same) = open.calls.get(&start.id) {
            return if same.caller == start.caller {
                StartDecision::Delegate(same.command_tx.clone())
            } else {
                StartDecision::Reject(ErrorCode::Invalid, "That call id is taken.")
            };
        }
        if open.group_calls.contains_key(&start.id) {
            return StartDecision::Reject(ErrorCode::Invalid, "That call id is taken.");
        }
        if let Some(back) = open.answer_call_with(start.caller, start.callee) {
            CallTable::notify_waiting_changed(back.waits);
            return StartDecision::Delegate(back.answered.command_tx);
        }
        if !open.is_free(start.caller) {
            return StartDecision::Reject(
                ErrorCode::AlreadyInCall,
                "You are already in a call, perhaps on another page. End that call first.",
            );
        }
        let now = clock::now();
        let Some(place) = open.make_place_for_ring(start.callee, is_stranger) else {
            return StartDecision::Busy(term, Call::busy(start, self.table.timeouts, now));
        };
        let call = Call::start(start, self.table.timeouts, now);
        let (command_tx, inbox) = mpsc::channel(COMMAND_QUEUE_CAPACITY);
        let set_aside = open.set_ring_aside(start.caller);
        open.add(&call, is_stranger, command_tx);
        drop(open);
        CallTable::notify_set_aside(set_aside);
        CallTable::notify_displaced(place.displaced);
        CallTable::notify_waiting_changed(place.promoted);
        StartDecision::NewCall(term, call, inbox)
    }

    /// False if a call with this id has ended.
    pub(super) async fn spawn_call_task(
        self: &Arc<Self>,
        term: LeaderTerm,
        call: Call,
        two: Parties,
        inbox: mpsc::Receiver<CallCommand>,
    ) -> Result<bool> {
        let (table, clock) = (self.table.clone(), start_clock());
        let task = CallTask::new(table, term.clone(), call.clone(), two, clock);
        let opened = task.create().await;
        if matches!(opened, Ok(true)) {
            self.table.spawn(term, task.run(inbox));
        } else {
            CallTable::notify_waiting_changed(self.table.remove_call(&call));
        }
        opened
    }

    fn take_ring(
        &self,
        two: &Parties,
        is_new_conversation: bool,
        is_stranger: bool,
    ) -> Result<(), Exceeded> {
        let (caller, callee) = (two.caller.id, two.callee.id);
        let of_caller = |bound| Charge::new(bound, Key::Person(caller));
        let charges = [
            Some(of_caller(Bound::Messages)),
            Some(of_caller(Bound::Calls)),
            Some(Charge::new(Bound::Rings, Key::Pair(caller, callee))),
            is_stranger.then(|| Charge::new(Bound::StrangersRings, Key::Person(callee))),
            is_new_conversation.then(|| of_caller(Bound::Conversations)),
        ];
        self.table.app.limits.take(charges.into_iter().flatten())
    }

    async fn create_direct_room(&self, two: &Parties) -> Result<RoomId> {
        let [caller, callee] = [&two.caller, &two.callee].map(|person| person.id);
        self.table
            .app
            .event_log
            .find_or_create_direct_room(RoomId(random::new_id()), caller, callee, clock::now())
            .await
    }
}
