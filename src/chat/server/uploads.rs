//! Uploads: files being sent into a room.
//!
//! The length of `files/partial/{user}-{id}` is the bytes received, so an upload survives reconnects and restarts. A complete file is
//! stored under its SHA-256 and becomes a message with the upload's id.

use super::{
    file_inspection::{inspect, sanitize_name},
    refusals::refusal_in,
};
use crate::{
    model::{
        MessageId, RoomId, UserId, limits,
        message::{Attachment, Content},
        user::Person,
    },
    protocol::{
        failure::Failure,
        upload::Chunk,
        ws::{ErrorCode, Refusal, ServerFrame},
    },
    server::{AppState, Error, Result, event_log::NewMessage},
};
use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{fs, io::AsyncWriteExt, sync::OwnedMutexGuard, time::Instant};

const MAX_UPLOADS_PER_USER: usize = limits::MAX_UPLOADS as usize;
/// Since the last frame; then the upload gives up its place until it is announced again.
const IDLE_TIMEOUT: Duration = Duration::from_mins(1);
/// Since the last chunk.
const PARTIAL_UPLOAD_TTL: Duration = Duration::from_hours(24);

type UploadKey = (UserId, MessageId);

#[derive(Debug)]
pub(super) struct Uploads {
    app: Arc<AppState>,
    in_progress: Mutex<HashMap<UploadKey, Slot>>,
}

#[derive(Debug)]
struct Slot {
    /// Several connections may send one upload. `None` unless announced.
    file: Arc<tokio::sync::Mutex<Option<AnnouncedFile>>>,
    last_used: Instant,
}

impl Slot {
    fn new() -> Self {
        Self {
            file: Arc::default(),
            last_used: Instant::now(),
        }
    }

    fn is_idle(&self) -> bool {
        // A task that uses the file holds another reference.
        Arc::strong_count(&self.file) == 1 && self.last_used.elapsed() > IDLE_TIMEOUT
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct AnnouncedFile {
    room: RoomId,
    name: String,
    size: u64,
}

/// Dropping it with an empty slot removes the upload.
struct LockedUpload<'a> {
    uploads: &'a Uploads,
    key: UploadKey,
    slot: OwnedMutexGuard<Option<AnnouncedFile>>,
}

impl Drop for LockedUpload<'_> {
    fn drop(&mut self) {
        if self.slot.is_none() {
            // Still locked: a task waiting for this slot finds it replaced, and locks the new one.
            self.uploads.in_progress().remove(&self.key);
        }
    }
}

impl Uploads {
    pub(super) fn new(app: Arc<AppState>) -> Self {
        Self {
            app,
            in_progress: Mutex::default(),
        }
    }

    pub(super) async fn announce(
        &self,
        author: &Person,
        id: MessageId,
        room: RoomId,
        name: &str,
        size: u64,
    ) -> Result<ServerFrame> {
        if let Some(sent) = self.find_sent(author, id, room).await? {
            return Ok(sent);
        }
        let announced = AnnouncedFile {
            room,
            name: sanitize_name(name),
            size,
        };
        self.check(author.id, id, &announced)?;
        let mut upload = self.lock((author.id, id)).await;
        // Another connection may have sent the last chunk.
        if let Some(sent) = self.find_sent(author, id, room).await? {
            return Ok(sent);
        }
        let is_another_file = upload
            .slot
            .as_ref()
            .is_some_and(|earlier| earlier.size != size);
        let path = self.partial_path(upload.key);
        fs::create_dir_all(self.app.partial_uploads_dir()).await?;
        let mut received = fs::metadata(&path).await.map_or(0, |file| file.len());
        if received > size || is_another_file && received > 0 {
            // Another file was announced under this id.
            fs::remove_file(&path).await?;
            received = 0;
        }
        *upload.slot = Some(announced.clone());
        if received == size {
            return self.finish(author, &mut upload, announced).await;
        }
        Ok(ServerFrame::UploadReady {
            id,
            offset: received,
        })
    }

    async fn find_sent(
        &self,
        author: &Person,
        id: MessageId,
        room: RoomId,
    ) -> Result<Option<ServerFrame>> {
        let Some(posted) = self.app.store.find_posted_message(id).await? else {
            return Ok(None);
        };
        if posted.author != author.id || posted.room != room {
            return Err(Failure::invalid("That upload id is taken.").into());
        }
        Ok(Some(ServerFrame::Sent {
            id,
            room,
            seq: posted.seq,
            at: posted.at,
        }))
    }

    fn check(&self, user: UserId, id: MessageId, file: &AnnouncedFile) -> Result<(), Failure> {
        let max_bytes = self.app.config.upload_bytes;
        if file.size > max_bytes {
            return Err(Failure::invalid(format!(
                "\"{}\" is {}; the limit is {}.",
                file.name,
                limits::format_bytes(file.size),
                limits::format_bytes(max_bytes)
            )));
        }
        if file.size == 0 {
            return Err(Failure::invalid(format!(
                "\"{}\" is empty, so there is nothing to send.",
                file.name
            )));
        }
        let mut in_progress = self.in_progress();
        in_progress.retain(|(owner, _), slot| *owner != user || !slot.is_idle());
        let others = in_progress
            .keys()
            .filter(|(owner, other)| *owner == user && *other != id)
            .count();
        if others >= MAX_UPLOADS_PER_USER {
            return Err(Failure::invalid(format!(
                "You can send {MAX_UPLOADS_PER_USER} files at a time. Wait for one to finish."
            )));
        }
        Ok(())
    }

    /// Appends the chunk, or replies with the expected offset.
    pub(super) async fn receive(
        &self,
        author: &Person,
        chunk: Chunk<'_>,
    ) -> Result<ServerFrame, Refusal> {
        let mut upload = self.lock((author.id, chunk.id)).await;
        let Some(announced) = upload.slot.clone() else {
            let reason = "That upload was not announced. Announce it first.";
            return Err(Refusal::new(ErrorCode::Invalid, reason));
        };
        let room = announced.room;
        self.append(author, &mut upload, announced, chunk)
            .await
            .map_err(|error| refusal_in(room, error))
    }

    async fn append(
        &self,
        author: &Person,
        upload: &mut LockedUpload<'_>,
        announced: AnnouncedFile,
        chunk: Chunk<'_>,
    ) -> Result<ServerFrame> {
        let mut file = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.partial_path(upload.key))
            .await?;
        let received_before = file.metadata().await?.len();
        if chunk.offset != received_before {
            // Sent twice around a reconnect, or out of order.
            return Ok(ServerFrame::UploadReady {
                id: chunk.id,
                offset: received_before,
            });
        }
        let received = received_before + chunk.data.len() as u64;
        if received > announced.size {
            self.discard(upload).await;
            return Err(Failure::invalid(format!(
                "\"{}\" is larger than announced.",
                announced.name
            ))
            .into());
        }
        file.write_all(chunk.data).await?;
        file.flush().await?;
        if received < announced.size {
            return Ok(ServerFrame::UploadProgress {
                id: chunk.id,
                received,
            });
        }
        file.sync_all().await?;
        self.finish(author, upload, announced).await
    }

    async fn finish(
        &self,
        author: &Person,
        upload: &mut LockedUpload<'_>,
        announced: AnnouncedFile,
    ) -> Result<ServerFrame> {
        let (_, id) = upload.key;
        // One descriptor, so that the bytes stored are the bytes inspected.
        let file = fs::File::open(self.partial_path(upload.key)).await?;
        let file = file.into_std().await;
        let (inspected, file) =
            tokio::task::spawn_blocking(move || Ok::<_, Error>((inspect(&file)?, file)))
                .await
                .map_err(|lost| Error::Internal(lost.to_string()))??;
        self.app.files.put(&inspected.hash, file).await?;
        let file = Attachment {
            hash: inspected.hash,
            name: announced.name,
            size: inspected.size,
            image: inspected.image,
        };
        let message = NewMessage {
            id,
            room: announced.room,
            author: author.clone(),
            content: Content::File { file },
            media_type: Some(inspected.media_type.to_owned()),
        };
        let posted = self.app.event_log.post_message(message).await?;
        self.discard(upload).await;
        Ok(ServerFrame::Sent {
            id,
            room: posted.room,
            seq: posted.seq,
            at: posted.at,
        })
    }

    pub(super) async fn forget(&self, user: UserId, id: MessageId) {
        let mut upload = self.lock((user, id)).await;
        self.discard(&mut upload).await;
    }

    async fn discard(&self, upload: &mut LockedUpload<'_>) {
        *upload.slot = None;
        // The file may not exist; `clean` retries a failure.
        let _ = fs::remove_file(self.partial_path(upload.key)).await;
    }

    /// Waits until no other task uses the file.
    async fn lock(&self, key: UploadKey) -> LockedUpload<'_> {
        loop {
            let file = {
                let mut in_progress = self.in_progress();
                let slot = in_progress.entry(key).or_insert_with(Slot::new);
                slot.last_used = Instant::now();
                slot.file.clone()
            };
            let locked = file.clone().lock_owned().await;
            let is_current = self
                .in_progress()
                .get(&key)
                .is_some_and(|current| Arc::ptr_eq(&current.file, &file));
            if is_current {
                return LockedUpload {
                    uploads: self,
                    key,
                    slot: locked,
                };
            }
        }
    }

    pub(super) async fn clean(&self) -> Result<()> {
        let folder = self.app.partial_uploads_dir();
        fs::create_dir_all(&folder).await?;
        let mut entries = fs::read_dir(&folder).await?;
        while let Some(entry) = entries.next_entry().await? {
            let age = entry
                .metadata()
                .await?
                .modified()?
                .elapsed()
                .unwrap_or_default();
            if age > PARTIAL_UPLOAD_TTL {
                fs::remove_file(entry.path()).await?;
            }
        }
        Ok(())
    }

    fn partial_path(&self, (user, id): UploadKey) -> PathBuf {
        self.app.partial_uploads_dir().join(format!("{user}-{id}"))
    }

    fn in_progress(&self) -> MutexGuard<'_, HashMap<UploadKey, Slot>> {
        self.in_progress
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::user::{Role, UserName},
        server::{config::Config, random, store::testing::TestStorage},
    };
    use clap::Parser;

    #[derive(Parser)]
    struct Arguments {
        #[command(flatten)]
        config: Config,
    }

    #[tokio::test]
    async fn abandoned_uploads_give_their_places_back() {
        let home = TestStorage::new();
        let arguments = std::iter::once("rialto".to_owned()).chain(home.arguments());
        let config = Arguments::parse_from(arguments).config;
        let (app, _) = AppState::new(config, "build-1".into()).await.unwrap();
        let uploads = Uploads::new(app);
        let ada = Person {
            id: UserId(random::new_id()),
            name: UserName::new("Ada").unwrap(),
            role: Role::Guest,
        };
        let room = RoomId(random::new_id());
        let ids: Vec<_> = (0..=MAX_UPLOADS_PER_USER)
            .map(|_| MessageId(random::new_id()))
            .collect();
        let announce = |n: usize| uploads.announce(&ada, ids[n], room, "plan.txt", 10);
        for n in 0..MAX_UPLOADS_PER_USER {
            announce(n).await.unwrap();
        }
        let chunk = Chunk {
            id: ids[0],
            offset: 0,
            data: b"half",
        };
        uploads.receive(&ada, chunk).await.unwrap();
        announce(MAX_UPLOADS_PER_USER).await.unwrap_err();

        for slot in uploads.in_progress().values_mut() {
            slot.last_used -= IDLE_TIMEOUT + Duration::from_secs(1);
        }
        announce(MAX_UPLOADS_PER_USER).await.unwrap();
        let resumed = announce(0).await.unwrap();
        assert_eq!(
            resumed,
            ServerFrame::UploadReady {
                id: ids[0],
                offset: 4
            }
        );
    }
}
