//! Backups while clients write and the server is killed: each restores to a consistent store with all that was acknowledged
//! before it began.

use super::{data_arguments, output_text, run_check, run_with_file};
use crate::support::{Browser, Server, WsClient, message_id, ws_client};
use rialto::{
    model::{MessageId, RoomId},
    protocol::ws::{ClientFrame, ServerFrame},
    server::random,
};
use sqlx::{AnyConnection, Connection, any::install_default_drivers};
use std::{
    collections::HashSet,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

const CLIENTS: usize = 5;
/// Each client uploads a file after so many messages.
const MESSAGES_PER_FILE: usize = 20;
const BACKUP_INTERVAL: Duration = Duration::from_secs(1);
/// Milliseconds until the server is killed: at least, and by chance longer.
const MIN_ROUND_MS: u64 = 1_200;
const ROUND_SPREAD_MS: u128 = 2_000;

/// When each message was acknowledged.
type Acknowledged = Arc<Mutex<Vec<(Instant, MessageId)>>>;

struct Writer {
    ws: WsClient,
    room: RoomId,
    acknowledged: Acknowledged,
}

impl Writer {
    /// Until the server is killed.
    async fn run(mut self) {
        for n in 0.. {
            let id = message_id();
            let sent = if n % MESSAGES_PER_FILE == MESSAGES_PER_FILE - 1 {
                self.upload(id).await
            } else {
                let text = format!("message {n}");
                let frame = ws_client::message_frame(id, self.room, &text);
                self.ws.try_send(&frame).await && self.wait_for(id).await
            };
            if !sent {
                return;
            }
            self.acknowledged.lock().unwrap().push((Instant::now(), id));
        }
    }

    async fn upload(&mut self, id: MessageId) -> bool {
        let content = id.to_string().repeat(500);
        let announced = ClientFrame::Upload {
            id,
            room: self.room,
            name: "notes.txt".to_owned(),
            size: content.len() as u64,
        };
        self.ws.try_send(&announced).await
            && self.wait_for(id).await
            && self.ws.try_send_chunk(id, content.as_bytes()).await
            && self.wait_for(id).await
    }

    /// For the acknowledgement, or the permission to upload.
    async fn wait_for(&mut self, wanted: MessageId) -> bool {
        loop {
            match self.ws.next_frame().await {
                Ok(ServerFrame::Sent { id, .. } | ServerFrame::UploadReady { id, .. })
                    if id == wanted =>
                {
                    return true;
                }
                Ok(ServerFrame::Refused(refusal)) => panic!("{refusal:?}"),
                Ok(_) => {}
                Err(_) => return false,
            }
        }
    }
}

struct Backup {
    began: Instant,
    file: PathBuf,
}

async fn back_up(storage: &[String], folder: &Path, n: usize) -> Backup {
    let file = folder.join(format!("{n}.tar"));
    let began = Instant::now();
    let made = run_with_file("backup", &file, storage, |_| {}).await;
    assert!(made.status.success(), "{}", output_text(&made));
    Backup { began, file }
}

/// Into the embedded store, whichever engine it comes from.
async fn restore(backup: &Backup) -> HashSet<String> {
    let data = tempfile::tempdir().unwrap();
    let storage = data_arguments(data.path());
    let done = run_with_file("restore", &backup.file, &storage, |_| {}).await;
    assert!(done.status.success(), "{}", output_text(&done));
    let checked = run_check(&storage, |_| {}).await;
    assert!(checked.status.success(), "{}", output_text(&checked));
    install_default_drivers();
    let url = format!("sqlite://{}/rialto.sqlite?mode=ro", data.path().display());
    let mut store = AnyConnection::connect(&url).await.unwrap();
    let ids: Vec<(String,)> = sqlx::query_as("SELECT id FROM messages")
        .fetch_all(&mut store)
        .await
        .unwrap();
    store.close().await.unwrap();
    ids.into_iter().map(|(id,)| id).collect()
}

/// Returns the numbers of backups and of acknowledged messages.
async fn run_round() -> (usize, usize) {
    let mut server = Server::start_with(|command| {
        command.env("RIALTO_LIMITS", "messages=100000,frames=100000");
    })
    .await;
    let storage = server.storage_arguments();
    let acknowledged = Acknowledged::default();
    let mut writers = Vec::new();
    for n in 0..CLIENTS {
        let browser = Browser::join(&server, &format!("Client {n}")).await;
        let ws = browser.connect().await;
        let room = ws.general();
        let writer = Writer {
            ws,
            room,
            acknowledged: acknowledged.clone(),
        };
        writers.push(tokio::spawn(writer.run()));
    }
    let folder = tempfile::tempdir().unwrap();
    let making = {
        let (folder, storage) = (folder.path().to_owned(), storage.clone());
        tokio::spawn(async move {
            let mut made = Vec::new();
            let mut interval = tokio::time::interval(BACKUP_INTERVAL);
            // The last one may begin before the kill and end after it.
            while made.len() < 3 {
                interval.tick().await;
                made.push(back_up(&storage, &folder, made.len()).await);
            }
            made
        })
    };
    let chance = u64::try_from(random::new_id().as_u128() % ROUND_SPREAD_MS).unwrap();
    tokio::time::sleep(Duration::from_millis(MIN_ROUND_MS + chance)).await;
    server.kill().await;
    for writer in writers {
        writer.await.unwrap();
    }
    let mut backups = making.await.unwrap();
    let last = back_up(&storage, folder.path(), backups.len()).await;
    backups.push(last);

    let acknowledged = acknowledged.lock().unwrap().clone();
    assert!(!acknowledged.is_empty());
    for backup in &backups {
        let restored = restore(backup).await;
        for (at, id) in &acknowledged {
            assert!(
                *at > backup.began || restored.contains(&id.to_string()),
                "{id} was acknowledged before the backup began"
            );
        }
    }
    (backups.len(), acknowledged.len())
}

/// `RIALTO_BACKUP_ROUNDS` sets the number of rounds.
#[tokio::test]
async fn every_backup_has_what_was_acknowledged_before_it_began_whenever_the_server_is_killed() {
    let rounds = std::env::var("RIALTO_BACKUP_ROUNDS");
    let rounds: usize = rounds.map_or(3, |rounds| rounds.parse().unwrap());
    let (mut backups, mut messages) = (0, 0);
    for _ in 0..rounds {
        let (made, sent) = run_round().await;
        backups += made;
        messages += sent;
    }
    println!(
        "{rounds} kills, {backups} backups, {messages} acknowledged messages: none is missing"
    );
}
