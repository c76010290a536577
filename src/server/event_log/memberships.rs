//! Memberships. Each is committed with an event, which subscribes connections on every node and tells pages of the
//! room. A node that missed the event finds it by its sequence.

use super::{EventLog, Fanout, tail::PublishOutcome};
use crate::{
    model::{
        Millis, RoomId, UserId,
        room::{MembershipEvent, RoomKind, RoomName},
    },
    protocol::ws::ServerFrame,
    server::{
        error::{Error, Result},
        live::EncodedEvent,
        store::{NewEvent, Store, Stream},
        task,
    },
};
use std::{collections::VecDeque, time::Duration};
use tokio::{
    sync::{
        mpsc::{self, error::TrySendError},
        oneshot,
    },
    time::{Instant, sleep, sleep_until},
};

/// At once, and after the deadlines of all statements.
const LATE_COMMIT_DELAYS: [Duration; 4] = [
    Duration::ZERO,
    Duration::from_secs(2),
    Duration::from_secs(10),
    Duration::from_mins(1),
];
const ANNOUNCEMENT_RETRY_DELAY: Duration = Duration::from_secs(1);
/// Pages that miss more see their rooms when they load or reconnect.
const MAX_FAILED_ANNOUNCEMENTS: usize = 1_024;

impl EventLog {
    /// Creates a public room with every user as a member. Returns false if the slug is taken.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn create_room(
        &self,
        id: RoomId,
        slug: String,
        name: RoomName,
        at: Millis,
    ) -> Result<bool> {
        let store = self.store.clone();
        let create = async move { store.create_room(id, &slug, &name, at).await };
        let event = self.finish(create, Option::clone).await?;
        Ok(event.is_some())
    }

    /// The direct room of two users, created if missing.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn find_or_create_direct_room(
        &self,
        new_id: RoomId,
        one: UserId,
        other: UserId,
        at: Millis,
    ) -> Result<RoomId> {
        let store = self.store.clone();
        let find = async move {
            store
                .find_or_create_direct_room(new_id, one, other, at)
                .await
        };
        let (room, _) = self.finish(find, |(_, event)| event.clone()).await?;
        Ok(room)
    }

    /// Publishes what was committed even if the caller is gone.
    async fn finish<T: Send + 'static>(
        &self,
        commit: impl Future<Output = Result<T>> + Send + 'static,
        event_of: impl FnOnce(&T) -> Option<NewEvent> + Send + 'static,
    ) -> Result<T> {
        let fanout = self.fanout.clone();
        let finished = task::spawn(async move {
            let committed = commit.await;
            match &committed {
                Ok(committed) => {
                    if let Some(event) = event_of(committed) {
                        fanout.publish_committed(event);
                        fanout.flush_announcements().await;
                    }
                }
                Err(_) => drop(task::spawn(find_late_commit(fanout))),
            }
            committed
        });
        finished
            .await
            .map_err(|why| Error::Internal(why.to_string()))?
    }
}

/// Looks for a commit whose answer was lost: a slow database may still apply it.
async fn find_late_commit(fanout: Fanout) {
    for delay in LATE_COMMIT_DELAYS {
        sleep(delay).await;
        fanout.schedule_catch_up(Stream::Memberships);
    }
}

#[derive(Debug)]
pub(super) enum Announcement {
    Joined(MembershipEvent),
    /// Answered once everything before is told.
    Flush(oneshot::Sender<()>),
}

impl Fanout {
    /// Waits until this node's pages know their new rooms, before they get frames about them.
    async fn flush_announcements(&self) {
        let (told_tx, told) = oneshot::channel();
        if self
            .announcements
            .send(Announcement::Flush(told_tx))
            .await
            .is_ok()
        {
            let _ = told.await;
        }
    }

    fn publish_committed(&self, event: NewEvent) {
        match EncodedEvent::encode(event.stream, &event.row) {
            Ok(encoded) => {
                if self.publish(&encoded) == PublishOutcome::Gap {
                    // The room's events must not wait for the missing ones.
                    self.subscribe_members(&encoded);
                }
            }
            Err(error) => tracing::error!(%error, "an event could not be encoded"),
        }
        self.publish_to_nodes(vec![event]);
    }

    /// Subscribes at once, so that no later event of the room is missed.
    pub(super) fn subscribe_members(&self, event: &EncodedEvent) {
        let event: MembershipEvent = match serde_json::from_slice(&event.bytes) {
            Ok(event) => event,
            Err(error) => {
                return tracing::error!(seq = event.seq, %error, "a membership event could not be read");
            }
        };
        match &event {
            MembershipEvent::Joined {
                room,
                room_kind,
                users,
            } => {
                for user in users {
                    self.connections.subscribe(*user, *room, *room_kind);
                }
            }
            MembershipEvent::AllJoined { room } => {
                self.connections.subscribe_all(*room, RoomKind::Public);
            }
        }
        let announcement = Announcement::Joined(event);
        if let Err(TrySendError::Full(announcement)) = self.announcements.try_send(announcement) {
            let announcements = self.announcements.clone();
            task::spawn(async move { drop(announcements.send(announcement).await) });
        }
    }
}

/// Tells this node's pages of their new rooms, until all senders are dropped.
pub(super) async fn run_announcements(
    store: Store,
    fanout: Fanout,
    mut announcements: mpsc::Receiver<Announcement>,
) {
    let mut failed = VecDeque::new();
    let mut retry_at = Instant::now();
    loop {
        let announcement = tokio::select! {
            biased;
            () = sleep_until(retry_at), if !failed.is_empty() => {
                retry_announcements(&store, &fanout, &mut failed).await;
                retry_at = Instant::now() + ANNOUNCEMENT_RETRY_DELAY;
                continue;
            }
            announcement = announcements.recv() => announcement,
        };
        match announcement {
            Some(Announcement::Joined(event)) => {
                if let Err(error) = announce(&store, &fanout, &event).await {
                    tracing::warn!(%error, ?event, "a new room could not be announced; retrying");
                    if failed.is_empty() {
                        retry_at = Instant::now() + ANNOUNCEMENT_RETRY_DELAY;
                    }
                    failed.push_back(event);
                    failed.truncate(MAX_FAILED_ANNOUNCEMENTS);
                }
            }
            Some(Announcement::Flush(told)) => drop(told.send(())),
            None => return,
        }
    }
}

/// Until one fails.
async fn retry_announcements(
    store: &Store,
    fanout: &Fanout,
    failed: &mut VecDeque<MembershipEvent>,
) {
    while let Some(event) = failed.front() {
        if announce(store, fanout, event).await.is_err() {
            return;
        }
        failed.pop_front();
    }
}

async fn announce(store: &Store, fanout: &Fanout, event: &MembershipEvent) -> Result<()> {
    let connections = &fanout.connections;
    match event {
        MembershipEvent::Joined { room, users, .. } => {
            fanout.track_stream(store, Stream::Room(*room));
            let connected = connections.local_users();
            for user in users.iter().filter(|user| connected.contains(user)) {
                if let Some(room) = store.find_room(*room, *user).await? {
                    connections.send_to_local_user(*user, &ServerFrame::Room { room });
                }
            }
        }
        MembershipEvent::AllJoined { room } => {
            fanout.track_stream(store, Stream::Room(*room));
            for user in connections.local_users() {
                let Some(room) = store.find_room(*room, user).await? else {
                    continue;
                };
                if room.head == 0 {
                    // Nobody has read anything: the same for all members.
                    connections.send_to_all_local(&ServerFrame::Room { room });
                    break;
                }
                connections.send_to_local_user(user, &ServerFrame::Room { room });
            }
        }
    }
    Ok(())
}
