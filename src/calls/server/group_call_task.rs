//! One group call: a task that takes everything about it one after another, stores what changes, then tells it.

use super::{
    CallRegistry, NO_SUCH_CALL_REASON, UNAVAILABLE_REASON, call_task::MonotonicClock, send_error,
    signal_budget::SignalBudget,
};
use crate::{
    model::{
        CallId, ClientId, MessageId, Millis, RoomId, UserId,
        call::{
            Seat, SignalingMessage,
            group::{
                GroupCall, GroupCallInput, GroupCallLimits, GroupCallRejection, GroupCallStart,
                GroupCallView, ParticipantView, Participation, display_name,
            },
        },
        message::Content,
        user::Person,
    },
    protocol::ws::{ErrorCode, ServerFrame},
    server::{
        error::{Error, Result},
        event_log::NewMessage,
        live::{Connection, Disconnect},
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
const STORE_RETRY_DELAY: Duration = Duration::from_secs(1);
/// How often it is looked whether the guests of a call still are.
const GUEST_CHECK_INTERVAL: Duration = Duration::from_secs(3);

/// What a group call's task is told.
#[derive(Debug)]
pub(super) enum GroupCallCommand {
    /// A page joins.
    Join { from: Arc<Connection>, id: CallId },
    /// A page has something for the page at a place.
    Signal {
        from: Arc<Connection>,
        to: Option<Seat>,
        signal: SignalingMessage,
    },
    /// Somebody leaves, for another call. The answer says that they have.
    Leave {
        user: UserId,
        done: oneshot::Sender<()>,
    },
    /// A page leaves.
    HangUp { from: Arc<Connection> },
    /// A page that is in it needs what it was told when it joined, anew: credentials expire.
    Refresh { from: Arc<Connection> },
    /// A page of somebody who is in it is connected (again).
    ClientConnected { connection: Arc<Connection> },
    /// The connection of a page of somebody who is in it is gone, and perhaps the page.
    ClientDisconnected {
        connection: Arc<Connection>,
        disconnect: Disconnect,
    },
}

/// A group call and what its task needs.
pub(super) struct GroupCallTask {
    registry: Arc<CallRegistry>,
    call: GroupCall,
    clock: MonotonicClock,
    /// When it changed last.
    changed_at: Millis,
    /// Everybody who is in it or was, by their names.
    people: HashMap<UserId, Person>,
    /// Those of them who came by a link.
    guests: HashSet<UserId>,
    /// How much a page may still say to a place.
    budgets: HashMap<(ClientId, Seat), SignalBudget>,
}

impl GroupCallTask {
    /// A call that nobody has joined yet.
    pub(super) fn start(
        registry: Arc<CallRegistry>,
        start: GroupCallStart,
        limits: GroupCallLimits,
    ) -> Self {
        let clock = super::call_task::start_clock();
        let call = GroupCall::start(start, limits, clock.now());
        Self::new(registry, call, clock)
    }

    /// Goes on with a call from what was stored of it.
    ///
    /// # Errors
    /// When the store fails.
    pub(super) async fn restore(
        calls: Arc<CallRegistry>,
        row: GroupCallRow,
        limits: GroupCallLimits,
    ) -> Result<Self> {
        let steady = super::call_task::start_clock();
        let start = GroupCallStart {
            id: row.id,
            room: row.room,
            started_by: row.started_by,
        };
        let mut call = GroupCall::start(start, limits, row.started_at);
        call.participants = row.members;
        call.ever_joined = row.ever_joined;
        call.next_seat = row.next_seat;
        call.ended_at = row.ended_at;
        let mut task = Self::new(calls, call.restore(steady.now()), steady);
        // The clock of the node that held it may be ahead of this one's.
        let known = task.registry.app.connections.retained_version(row.room);
        task.changed_at = known.map_or(task.changed_at, |known| task.changed_at.max(known + 1));
        for user in task.call.ever_joined.clone() {
            let store = &task.registry.app.store;
            if let Some(person) = store.find_user(user).await? {
                task.people.insert(user, person);
            } else if let Some(guest) = store.find_guest(user).await? {
                task.people.insert(user, guest);
                task.guests.insert(user);
            }
        }
        Ok(task)
    }

    fn new(calls: Arc<CallRegistry>, call: GroupCall, clock: MonotonicClock) -> Self {
        Self {
            registry: calls,
            call,
            clock,
            changed_at: clock.now(),
            people: HashMap::new(),
            guests: HashSet::new(),
            budgets: HashMap::new(),
        }
    }

    pub(super) fn call(&self) -> &GroupCall {
        &self.call
    }

    /// Holds the call until everybody has left.
    pub(super) async fn run(mut self, mut command_rx: mpsc::Receiver<GroupCallCommand>) {
        if !self.call.participants.is_empty() {
            self.notify_room();
        }
        let mut guest_check = tokio::time::interval(GUEST_CHECK_INTERVAL);
        guest_check.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !self.call.is_ended() {
            tokio::select! {
                command = command_rx.recv() => match command {
                    Some(mail) => self.handle_command(mail).await,
                    None => return,
                },
                _ = guest_check.tick(), if self.has_guests() => self.remove_revoked_guests().await,
                () = self.clock.sleep_until(self.call.deadline()) => {
                    // Time alone is never refused.
                    let _ = self.apply_input(GroupCallInput::Timeout).await;
                }
            }
            // A first one who could not join leaves nobody in it.
            if self.call.participants.is_empty() && !self.call.is_ended() {
                self.registry.remove_group_call(&self.call);
                break;
            }
        }
        // The call is off the desk: what still waits came too late.
        command_rx.close();
        while let Some(mail) = command_rx.recv().await {
            match mail {
                // Asked once more, they begin another one.
                GroupCallCommand::Join { from, id } => {
                    self.registry.release_user(from.person.id, self.call.id);
                    self.retry_join(from, id);
                }
                GroupCallCommand::Signal { .. }
                | GroupCallCommand::Leave { .. }
                | GroupCallCommand::HangUp { .. }
                | GroupCallCommand::Refresh { .. }
                | GroupCallCommand::ClientConnected { .. }
                | GroupCallCommand::ClientDisconnected { .. } => {}
            }
        }
    }

    async fn handle_command(&mut self, command: GroupCallCommand) {
        match command {
            GroupCallCommand::Join { from, id } => self.handle_join(&from, id).await,
            GroupCallCommand::Signal { from, to, signal } => self.relay_signal(&from, to, signal),
            GroupCallCommand::Leave { user, done } => {
                // A call that has ended has been left.
                let _ = self.apply_input(GroupCallInput::Leave { user }).await;
                let _ = done.send(());
            }
            GroupCallCommand::HangUp { from } => {
                let user = from.person.id;
                if self.call.participant(from.client).is_some() {
                    let _ = self.apply_input(GroupCallInput::Leave { user }).await;
                } else {
                    // Said again, or by a page that was in it before.
                    self.send_view(&from);
                }
            }
            GroupCallCommand::Refresh { from } => self.send_view(&from),
            GroupCallCommand::ClientConnected { connection: page } => {
                let known = self.call.participant(page.client).is_some();
                let _ = self
                    .apply_input(GroupCallInput::ClientConnected {
                        client: page.client,
                    })
                    .await;
                if known {
                    self.send_view(&page);
                }
            }
            GroupCallCommand::ClientDisconnected {
                connection: page,
                disconnect: gone,
            } => {
                // The same page may have connected again before its former connection was given up.
                if self
                    .registry
                    .app
                    .connections
                    .user_of_client(page.client)
                    .is_none()
                {
                    let client = page.client;
                    let _ = match gone {
                        Disconnect::Lost => {
                            self.apply_input(GroupCallInput::ConnectionLost { client })
                                .await
                        }
                        Disconnect::Left => {
                            self.apply_input(GroupCallInput::ClientLeft { client })
                                .await
                        }
                    };
                }
            }
        }
    }

    async fn handle_join(&mut self, from: &Arc<Connection>, requested_id: CallId) {
        let (user, client) = (from.person.id, from.client);
        let is_guest = from.guest_of.is_some();
        if is_guest && !self.has_valid_link(user).await {
            return send_error(
                from,
                requested_id,
                ErrorCode::NoSuchCall,
                NO_SUCH_CALL_REASON,
            );
        }
        // They may have left since they asked, and begun another one.
        if !self.registry.reserve_user(user, self.call.id) {
            if !self.registry.is_leader() {
                return send_error(
                    from,
                    requested_id,
                    ErrorCode::Unavailable,
                    UNAVAILABLE_REASON,
                );
            }
            let reason = "You are in a call already, perhaps on another page. End that first.";
            return send_error(from, requested_id, ErrorCode::AlreadyInCall, reason);
        }
        self.people.insert(user, from.person.clone());
        if is_guest {
            self.guests.insert(user);
        }
        match self
            .apply_input(GroupCallInput::Join {
                user,
                client,
                is_guest,
            })
            .await
        {
            Ok(()) => {
                self.send_view(from);
                // It may have gone before it was let in.
                if self
                    .registry
                    .app
                    .connections
                    .user_of_client(client)
                    .is_none()
                {
                    let _ = self
                        .apply_input(GroupCallInput::ConnectionLost { client })
                        .await;
                }
            }
            Err(rejection) => {
                if !self
                    .call
                    .participants
                    .iter()
                    .any(|member| member.user == user)
                {
                    self.registry.release_user(user, self.call.id);
                }
                let code = match rejection {
                    GroupCallRejection::Ended => {
                        return self.retry_join(from.clone(), requested_id);
                    }
                    GroupCallRejection::Full(_) => ErrorCode::WrongState,
                    GroupCallRejection::NotParticipant => ErrorCode::NoSuchCall,
                };
                send_error(from, requested_id, code, &rejection.to_string());
            }
        }
    }

    /// The call is over: whoever asked for the id of another one begins that.
    fn retry_join(&self, from: Arc<Connection>, requested_id: CallId) {
        let again = self
            .registry
            .clone()
            .retry_join_group_call(from, requested_id, self.call.room);
        self.registry.spawn(again);
    }

    fn relay_signal(&mut self, from: &Connection, to: Option<Seat>, signal: SignalingMessage) {
        // Whoever left meanwhile needs it no more, and whoever said it hears of that by itself.
        let Some(to) = to else { return };
        let Ok((seat, client)) = self.call.signal_target(from.client, to) else {
            return;
        };
        let now = self.clock.now();
        let budget = self.budgets.entry((from.client, to));
        let budget = budget.or_insert_with(|| SignalBudget::new(now));
        if budget.allow(&signal, now) {
            let frame = ServerFrame::Signal {
                call: self.call.id,
                signal,
                from: Some(seat),
            };
            self.registry.app.connections.send_to_client(client, &frame);
        } else {
            let reason = "This page sends more than a call needs. Slow down.";
            send_error(from, self.call.id, ErrorCode::RateLimited, reason);
        }
    }

    /// Takes something in: stored first, told then.
    async fn apply_input(&mut self, input: GroupCallInput) -> Result<(), GroupCallRejection> {
        let mut next = self.call.clone();
        next.apply(input, self.clock.now())?;
        if group_call_row(&next) != group_call_row(&self.call)
            && !self.save_with_retries(&next).await
            && self.call.participants.is_empty()
        {
            // Begun with the id of one that has ended since it was looked up.
            return Err(GroupCallRejection::Ended);
        }
        let before = std::mem::replace(&mut self.call, next);
        if before != self.call {
            self.changed_at = self.clock.now().max(self.changed_at + 1);
        }
        let clients_of = |call: &GroupCall| -> HashSet<(UserId, ClientId)> {
            call.participants
                .iter()
                .map(|it| (it.user, it.client))
                .collect()
        };
        let (was, is) = (clients_of(&before), clients_of(&self.call));
        for (user, client) in was.difference(&is) {
            self.budgets.retain(|(from, _), _| from != client);
            if !self
                .call
                .participants
                .iter()
                .any(|member| member.user == *user)
            {
                self.registry.release_user(*user, self.call.id);
            }
            let view = GroupCallView {
                participation: Some(Participation::Out),
                ..self.view()
            };
            let frame = ServerFrame::GroupCall { group: view };
            self.registry
                .app
                .connections
                .send_to_client(*client, &frame);
        }
        if before != self.call {
            self.notify_room();
        }
        if self.call.is_ended() {
            self.registry.remove_group_call(&self.call);
            self.delete_guests().await;
        }
        Ok(())
    }

    /// Stores a change, for as many tries as it takes. False for a call that has ended.
    async fn save_with_retries(&self, next: &GroupCall) -> bool {
        loop {
            match self.save(next).await {
                Ok(written) => return written,
                Err(error) => {
                    tracing::error!(call = %next.id, %error, "a group call could not be stored; trying again");
                    tokio::time::sleep(STORE_RETRY_DELAY).await;
                }
            }
        }
    }

    /// The message is in the room before the call counts as ended: a server that stops in between ends it anew, and the message, whose id
    /// is the call's, is written once all the same.
    async fn save(&self, call: &GroupCall) -> Result<bool> {
        if let Some(lasted) = call.lasted() {
            let names = call.ever_joined.iter();
            let people = names
                .filter_map(|user| self.people.get(user))
                .map(|person| display_name(person, self.guests.contains(&person.id)));
            let content = Content::GroupCall {
                call: call.id,
                lasted,
                people: people.collect(),
            };
            if let Some(author) = self.people.get(&call.started_by) {
                self.post_message(call.room, author.clone(), call.id, content)
                    .await?;
            }
        }
        self.registry
            .app
            .store
            .save_group_call(&group_call_row(call))
            .await
    }

    /// The call is over: nothing is left of guests, and what they still have open is closed.
    async fn delete_guests(&self) {
        match self.registry.app.store.delete_ended_guest_links().await {
            Ok(guests) => {
                for token_hash in guests {
                    self.registry.app.connections.close_session(&token_hash);
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
    async fn remove_revoked_guests(&mut self) {
        let known = match self.registry.app.store.list_call_guests(self.call.id).await {
            Ok(known) => known,
            Err(error) => {
                return tracing::warn!(call = %self.call.id, %error, "guests could not be looked up");
            }
        };
        let known: HashSet<UserId> = known.into_iter().map(|(_, guest)| guest.id).collect();
        let members = self.call.participants.iter();
        let revoked = members.filter(|member| member.is_guest && !known.contains(&member.user));
        for user in revoked.map(|member| member.user).collect::<Vec<_>>() {
            let _ = self.apply_input(GroupCallInput::Leave { user }).await;
        }
        if self.registry.app.bus.is_some() {
            self.notify_guests();
        }
    }

    /// Whether somebody who came by a link may come in: it may have been ended while they were about to. Who cannot be looked up
    /// does not come in.
    async fn has_valid_link(&self, user: UserId) -> bool {
        let known = self.registry.app.store.list_call_guests(self.call.id).await;
        known.is_ok_and(|known| known.iter().any(|(_, guest)| guest.id == user))
    }

    fn has_guests(&self) -> bool {
        self.call.participants.iter().any(|member| member.is_guest)
    }

    async fn post_message(
        &self,
        room: RoomId,
        author: Person,
        id: CallId,
        content: Content,
    ) -> Result<()> {
        let new = NewMessage {
            id: MessageId(id.0),
            room,
            author,
            content,
            media_type: None,
        };
        match self.registry.app.event_log.post_message(new).await {
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
    fn notify_room(&self) {
        self.notify_guests();
        self.registry.publish_group_call(self.view());
    }

    fn notify_guests(&self) {
        if self.has_guests() {
            let group = self.view();
            let frame = ServerFrame::GroupCall { group };
            for member in self
                .call
                .participants
                .iter()
                .filter(|member| member.is_guest)
            {
                self.registry
                    .app
                    .connections
                    .send_to_client(member.client, &frame);
            }
        }
    }

    /// Tells a page what it needs to be in it, or that it is not.
    fn send_view(&self, connection: &Connection) {
        let participation = match self.call.participant(connection.client) {
            Some(member) => Participation::In {
                seat: member.seat,
                ice_servers: self.registry.app.ice_servers(member.user, self.call.id),
            },
            None => Participation::Out,
        };
        let group = GroupCallView {
            participation: Some(participation),
            ..self.view()
        };
        connection.send(&ServerFrame::GroupCall { group });
    }

    fn view(&self) -> GroupCallView {
        let participant_view = |member: &crate::model::call::group::Participant| {
            Some(ParticipantView {
                seat: member.seat,
                person: self.people.get(&member.user)?.clone(),
                is_guest: member.is_guest,
                is_disconnected: member.disconnected_since.is_some(),
            })
        };
        GroupCallView {
            id: self.call.id,
            room: self.call.room,
            started_at: self.call.started_at,
            participants: self
                .call
                .participants
                .iter()
                .filter_map(participant_view)
                .collect(),
            max_participants: self.call.max_participants(),
            as_of: self.changed_at,
            participation: None,
        }
    }
}

/// What is stored of a group call.
fn group_call_row(call: &GroupCall) -> GroupCallRow {
    GroupCallRow {
        id: call.id,
        room: call.room,
        started_by: call.started_by,
        started_at: call.started_at,
        ended_at: call.ended_at,
        next_seat: call.next_seat,
        members: call.participants.clone(),
        ever_joined: call.ever_joined.clone(),
    }
}
