//! The task of a group call: handles commands in order, and stores each change before it publishes it.

mod guests;
mod storage;

use super::{
    call_table::{CallTable, JoinRetry},
    commands::GroupCallCommand,
    errors::{NO_SUCH_CALL_REASON, UNAVAILABLE_REASON, send_error, send_rate_limited},
    leader_term::LeaderTerm,
    monotonic_clock::{MonotonicClock, start_clock},
    signal_budget::SignalBudget,
    stored_call::{group_call_from_row, group_call_row},
};
use crate::{
    model::{
        CallId, ClientId, Millis, UserId,
        call::{
            IceServer, Seat, SignalingMessage,
            group::{
                GroupCall, GroupCallInput, GroupCallLimits, GroupCallRejection, GroupCallStart,
                GroupCallView, ParticipantView, Participation,
            },
        },
        user::Person,
    },
    protocol::ws::{ErrorCode, ServerFrame},
    server::{
        error::Result,
        live::{Connection, Disconnect},
        store::GroupCallRow,
        turn::credentials::RelayUser,
    },
};
use std::{
    collections::{BTreeSet, HashMap, HashSet, VecDeque},
    sync::Arc,
    time::Duration,
};
use tokio::{sync::mpsc, time::MissedTickBehavior};

const MAX_KNOWN_JOINS: usize = 128;
const GUEST_CHECK_INTERVAL: Duration = Duration::from_secs(3);

pub(super) struct GroupCallTask {
    table: Arc<CallTable>,
    term: LeaderTerm,
    call: GroupCall,
    clock: MonotonicClock,
    /// Version of the view; strictly increasing.
    changed_at: Millis,
    /// Includes former participants.
    people: HashMap<UserId, Person>,
    guests: HashSet<UserId>,
    /// By sending client and receiving seat.
    budgets: HashMap<(ClientId, Seat), SignalBudget>,
    /// The newest admitted joins, to tell repetitions.
    known_joins: VecDeque<(ClientId, CallId)>,
}

impl GroupCallTask {
    pub(super) fn start(
        table: Arc<CallTable>,
        term: LeaderTerm,
        start: GroupCallStart,
        limits: GroupCallLimits,
    ) -> Self {
        let clock = start_clock();
        let call = GroupCall::start(start, limits, clock.now());
        Self::new(table, term, call, clock)
    }

    pub(super) async fn restore(
        table: Arc<CallTable>,
        term: LeaderTerm,
        row: GroupCallRow,
        limits: GroupCallLimits,
    ) -> Result<Self> {
        let (clock, room) = (start_clock(), row.room);
        let call = group_call_from_row(row, limits, clock.now());
        let mut task = Self::new(table, term, call, clock);
        // The former leader's clock may be ahead: the version continues from the retained one.
        let known = task.table.app.connections.retained_version(room);
        task.changed_at = known.map_or(task.changed_at, |known| task.changed_at.max(known + 1));
        for user in task.call.ever_joined.clone() {
            let store = &task.table.app.store;
            if let Some(person) = store.find_user(user).await? {
                task.people.insert(user, person);
            } else if let Some(guest) = store.find_guest(user).await? {
                task.people.insert(user, guest);
                task.guests.insert(user);
            }
        }
        Ok(task)
    }

    fn new(
        table: Arc<CallTable>,
        term: LeaderTerm,
        call: GroupCall,
        clock: MonotonicClock,
    ) -> Self {
        Self {
            table,
            term,
            call,
            clock,
            changed_at: clock.now(),
            people: HashMap::new(),
            guests: HashSet::new(),
            budgets: HashMap::new(),
            known_joins: VecDeque::new(),
        }
    }

    pub(super) fn call(&self) -> &GroupCall {
        &self.call
    }

    pub(super) async fn run(mut self, mut command_rx: mpsc::Receiver<GroupCallCommand>) {
        if !self.call.participants.is_empty() {
            self.notify_room();
        }
        let mut guest_check = tokio::time::interval(GUEST_CHECK_INTERVAL);
        guest_check.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !self.call.is_ended() {
            tokio::select! {
                biased;
                () = self.clock.sleep_until(self.call.deadline()) => {
                    // A timeout is never rejected.
                    let _ = self.apply_input(GroupCallInput::Timeout).await;
                }
                _ = guest_check.tick(), if self.has_guests() => self.remove_revoked_guests().await,
                command = command_rx.recv() => match command {
                    Some(command) => self.handle_command(command).await,
                    None => return,
                },
            }
            // Without a first participant, the call never started.
            if self.call.participants.is_empty() && !self.call.is_ended() {
                self.table.remove_group_call(&self.call);
                break;
            }
        }
        // No longer registered; the remaining commands came too late.
        command_rx.close();
        while let Some(command) = command_rx.recv().await {
            match command {
                // Late joins start a new call.
                GroupCallCommand::Join { from, id } => {
                    self.table.release_user(from.person.id, self.call.id);
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
                // Fails only after the call's end.
                let _ = self.apply_input(GroupCallInput::Leave { user }).await;
                let _ = done.send(());
            }
            GroupCallCommand::HangUp { from } => {
                let user = from.person.id;
                if self.call.participant(from.client).is_some() {
                    let _ = self.apply_input(GroupCallInput::Leave { user }).await;
                } else {
                    // A repeated hang-up, or one from a former client.
                    self.send_view(&from);
                }
            }
            GroupCallCommand::Refresh { from } => self.send_view(&from),
            // Commands may overtake one another.
            GroupCallCommand::ClientConnected { connection }
                if !self.table.app.connections.is_current(&connection) => {}
            GroupCallCommand::ClientConnected { connection } => {
                let known = self.call.participant(connection.client).is_some();
                let _ = self
                    .apply_input(GroupCallInput::ClientConnected {
                        client: connection.client,
                    })
                    .await;
                if known {
                    self.send_view(&connection);
                }
            }
            GroupCallCommand::ClientDisconnected {
                connection,
                disconnect,
            } => {
                // The client may have reconnected.
                if self
                    .table
                    .app
                    .connections
                    .user_of_client(connection.client)
                    .is_none()
                {
                    let client = connection.client;
                    let _ = match disconnect {
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
        if !is_guest && self.is_outdated_join(user, client, requested_id) {
            // For clients that were in the call or wait for a seat.
            self.send_view(from);
            let reason = "You are in this call on another page. Join again to move it here.";
            return send_error(from, requested_id, ErrorCode::AlreadyInCall, reason);
        }
        // The person may have entered another call since the request.
        if !self.table.reserve_user(user, self.call.id) {
            if !self.table.is_leader() {
                return send_error(
                    from,
                    requested_id,
                    ErrorCode::Unavailable,
                    UNAVAILABLE_REASON,
                );
            }
            let reason = "You are already in a call, perhaps on another page. End that call first.";
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
                self.remember_join(client, requested_id);
                self.send_view(from);
                match self.table.app.connections.find_connection(client) {
                    // A join may come late, over an earlier connection: the client then leaves again, or knows its seat.
                    Some(current) if !current.has_route_of(from) => self.send_view(&current),
                    Some(_) => {}
                    // The client disconnected before its admission.
                    None => {
                        let _ = self
                            .apply_input(GroupCallInput::ConnectionLost { client })
                            .await;
                    }
                }
            }
            Err(rejection) => {
                if !self
                    .call
                    .participants
                    .iter()
                    .any(|member| member.user == user)
                {
                    self.table.release_user(user, self.call.id);
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

    /// A repeated join does not take the call back from a client that joined later. Guests always join with the call's id.
    fn is_outdated_join(&self, user: UserId, client: ClientId, id: CallId) -> bool {
        let mut participants = self.call.participants.iter();
        participants.any(|other| other.user == user && other.client != client)
            && self.known_joins.contains(&(client, id))
    }

    fn remember_join(&mut self, client: ClientId, id: CallId) {
        if !self.known_joins.contains(&(client, id)) {
            self.known_joins.push_back((client, id));
            if self.known_joins.len() > MAX_KNOWN_JOINS {
                self.known_joins.pop_front();
            }
        }
    }

    fn retry_join(&self, from: Arc<Connection>, requested_id: CallId) {
        self.table.retry_join(JoinRetry {
            from,
            id: requested_id,
            room: self.call.room,
        });
    }

    fn relay_signal(&mut self, from: &Connection, to: Option<Seat>, signal: SignalingMessage) {
        // The target may have left; the next view tells the sender.
        let Some(to) = to else { return };
        let Ok((seat, client)) = self.call.signal_target(from.client, to) else {
            return;
        };
        let now = self.clock.now();
        let budget = self.budgets.entry((from.client, to));
        let budget = budget.or_insert_with(|| SignalBudget::new(now));
        if let Err(wait) = budget.take(&signal, now) {
            let reason = "Too many signaling messages from this page. Wait a moment, then retry.";
            return send_rate_limited(from, self.call.id, reason, wait);
        }
        let frame = ServerFrame::Signal {
            call: self.call.id,
            signal,
            from: Some(seat),
        };
        self.table.app.connections.send_to_client(client, &frame);
    }

    async fn apply_input(&mut self, input: GroupCallInput) -> Result<(), GroupCallRejection> {
        let mut next = self.call.clone();
        next.apply(input, self.clock.now())?;
        if group_call_row(&next) != group_call_row(&self.call)
            && !self.save_with_retries(&next).await
            && self.call.participants.is_empty()
        {
            // A call with this id has ended since the lookup.
            return Err(GroupCallRejection::Ended);
        }
        self.post_outcome_with_retries(&next).await;
        let before = std::mem::replace(&mut self.call, next);
        if before != self.call {
            self.changed_at = self.clock.now().max(self.changed_at + 1);
        }
        let clients_of = |call: &GroupCall| -> BTreeSet<(UserId, ClientId)> {
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
                self.table.release_user(*user, self.call.id);
            }
            let view = GroupCallView {
                participation: Some(Participation::Out),
                ..self.view()
            };
            let frame = ServerFrame::GroupCall { group: view };
            self.table.app.connections.send_to_client(*client, &frame);
        }
        if before != self.call {
            self.notify_room();
        }
        if self.call.is_ended() {
            self.table.remove_group_call(&self.call);
            self.delete_guests().await;
        }
        Ok(())
    }

    fn notify_room(&self) {
        self.notify_guests();
        self.table.publish_group_call(self.term.term(), self.view());
    }

    fn send_view(&self, connection: &Connection) {
        let participation = match self.call.participant(connection.client) {
            Some(member) => Participation::In {
                seat: member.seat,
                ice_servers: self.ice_servers(member.user),
            },
            None => Participation::Out,
        };
        let group = GroupCallView {
            participation: Some(participation),
            ..self.view()
        };
        connection.send(&ServerFrame::GroupCall { group });
    }

    fn ice_servers(&self, user: UserId) -> Vec<IceServer> {
        let person = self.people.get(&user);
        person.map_or_else(Vec::new, |person| {
            let user = RelayUser::in_call(person, self.call.id);
            self.table.app.ice_servers(user)
        })
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
            term: self.term.term().number(),
            participation: None,
        }
    }
}
