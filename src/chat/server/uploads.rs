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
    server::{
        AppState, Error, Result,
        event_log::NewMessage,
        files::available_bytes,
        rate_limit::{Bound, Charge, Key},
    },
};
use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    fs,
    io::AsyncWriteExt,
    sync::OwnedMutexGuard,
    time::{Instant, interval, sleep},
};

const MAX_UPLOADS_PER_USER: usize = limits::MAX_UPLOADS as usize;
/// Since the last frame; then the upload gives up its place until it is announced again.
const IDLE_TIMEOUT: Duration = Duration::from_mins(1);
/// Since the last chunk.
const PARTIAL_UPLOAD_TTL: Duration = Duration::from_hours(24);
const SWEEP_INTERVAL: Duration = Duration::from_hours(1);

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
        self.check_space(author.id, &announced).await?;
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
        let mut received = if let Ok(file) = fs::metadata(&path).await {
            file.len()
        } else {
            // A file counts as a message, when it is first announced.
            self.wait_for_message(author.id).await;
            self.remove_oldest_partial(author.id).await?;
            0
        };
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

    /// A page announces many files at once, and has no message to send again.
    async fn wait_for_message(&self, author: UserId) {
        let message = Charge::new(Bound::Messages, Key::Person(author));
        while let Err(exceeded) = self.app.limits.take([message]) {
            sleep(exceeded.wait).await;
        }
    }

    /// Keeps a place for one more file of this person that is not complete.
    async fn remove_oldest_partial(&self, author: UserId) -> Result<()> {
        let folder = self.app.partial_uploads_dir();
        fs::create_dir_all(&folder).await?;
        let prefix = format!("{author}-");
        let mut partial = Vec::new();
        let mut entries = fs::read_dir(&folder).await?;
        while let Some(entry) = entries.next_entry().await? {
            if entry.file_name().to_string_lossy().starts_with(&prefix) {
                partial.push((entry.metadata().await?.modified()?, entry.path()));
            }
        }
        partial.sort();
        let most = MAX_UPLOADS_PER_USER - 1;
        for (_, oldest) in partial.iter().take(partial.len().saturating_sub(most)) {
            fs::remove_file(oldest).await?;
        }
        Ok(())
    }

    async fn check_space(&self, author: UserId, file: &AnnouncedFile) -> Result<()> {
        let config = &self.app.config;
        let usage = self.app.store.find_file_usage(author).await?;
        let name = &file.name;
        let text_goes_on = "Text messages still work.";
        if usage.person.saturating_add(file.size) > config.person_file_bytes {
            let most = limits::format_bytes(config.person_file_bytes);
            let reason = format!(
                "\"{name}\" does not fit: your files may take {most} altogether. {text_goes_on}"
            );
            return Err(Failure::invalid(reason).into());
        }
        let is_total_reached = config
            .file_bytes
            .is_some_and(|most| usage.total.saturating_add(file.size) > most);
        let is_disk_full = available_bytes(&config.store.data)
            .is_some_and(|available| available < config.disk_reserve.saturating_add(file.size));
        if is_total_reached || is_disk_full {
            tracing::warn!(
                is_total_reached,
                is_disk_full,
                "a file was refused for lack of space"
            );
            let reason = format!(
                "\"{name}\" cannot be sent: the server has no more space for files. {text_goes_on}"
            );
            return Err(Failure::invalid(reason).into());
        }
        Ok(())
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
        let reserve = self.app.config.disk_reserve;
        if available_bytes(&self.app.config.store.data).is_some_and(|left| left < reserve) {
            let reason = "The server has no more space for files. Text messages still work.";
            self.discard(upload).await;
            return Err(Failure::invalid(reason).into());
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

    /// Removes abandoned partial uploads, now and every hour. Never ends.
    pub(super) async fn run_sweeps(&self) {
        let mut due = interval(SWEEP_INTERVAL);
        loop {
            due.tick().await;
            if let Err(error) = self.clean().await {
                tracing::error!(%error, "abandoned uploads could not be removed");
            }
        }
    }

    pub(super) async fn clean(&self) -> Result<()> {
        let folder = self.app.partial_uploads_dir();
        fs::create_dir_all(&folder).await?;
        let mut entries = fs::read_dir(&folder).await?;
        while let Some(entry) = entries.next_entry().await? {
            // It may have become complete, and be gone.
            let Ok(found) = entry.metadata().await else {
                continue;
            };
            let age = found.modified()?.elapsed().unwrap_or_default();
            if age > PARTIAL_UPLOAD_TTL {
                let _ = fs::remove_file(entry.path()).await;
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

    async fn uploads_in(home: &TestStorage) -> (Uploads, Person) {
        let arguments = std::iter::once("rialto".to_owned()).chain(home.arguments());
        let config = Arguments::parse_from(arguments).config;
        let (app, _) = AppState::new(config, "build-1".into()).await.unwrap();
        let ada = Person {
            id: UserId(random::new_id()),
            name: UserName::new("Ada").unwrap(),
            role: Role::Guest,
        };
        (Uploads::new(app), ada)
    }

    fn partial_files(uploads: &Uploads) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(uploads.app.partial_uploads_dir()).unwrap();
        entries.map(|entry| entry.unwrap().path()).collect()
    }

    /// As if nothing had come for a while.
    fn set_idle(uploads: &Uploads) {
        for slot in uploads.in_progress().values_mut() {
            slot.last_used -= IDLE_TIMEOUT + Duration::from_secs(1);
        }
    }

    #[tokio::test]
    async fn one_person_has_so_many_files_that_are_not_complete() {
        let home = TestStorage::new();
        let (uploads, ada) = uploads_in(&home).await;
        let room = RoomId(random::new_id());
        let mut oldest = None;
        for n in 0..2 * MAX_UPLOADS_PER_USER {
            let id = MessageId(random::new_id());
            uploads
                .announce(&ada, id, room, "plan.txt", 10)
                .await
                .unwrap();
            let (offset, data) = (0, b"half".as_slice());
            uploads
                .receive(&ada, Chunk { id, offset, data })
                .await
                .unwrap();
            oldest.get_or_insert(uploads.partial_path((ada.id, id)));
            assert_eq!(
                partial_files(&uploads).len(),
                MAX_UPLOADS_PER_USER.min(n + 1)
            );
            set_idle(&uploads);
        }
        assert!(!oldest.unwrap().exists(), "the oldest gives way");
    }

    #[tokio::test]
    async fn abandoned_uploads_are_removed_every_hour() {
        let home = TestStorage::new();
        let (uploads, _) = uploads_in(&home).await;
        let folder = uploads.app.partial_uploads_dir();
        std::fs::create_dir_all(&folder).unwrap();
        let abandon = |name: &str| {
            let file = std::fs::File::create(folder.join(name)).unwrap();
            let now = file.metadata().unwrap().modified().unwrap();
            file.set_modified(now - PARTIAL_UPLOAD_TTL - SWEEP_INTERVAL)
                .unwrap();
        };
        abandon("first");
        std::fs::write(folder.join("in progress"), b"half").unwrap();
        tokio::time::pause();
        let sweeping = uploads.run_sweeps();
        let watching = async {
            let left = async |most: usize| {
                while partial_files(&uploads).len() > most {
                    sleep(Duration::from_secs(1)).await;
                }
            };
            left(1).await;
            abandon("second");
            let began = Instant::now();
            left(1).await;
            began.elapsed()
        };
        let waited = tokio::select! {
            () = sweeping => unreachable!("it never ends"),
            waited = watching => waited,
        };
        assert!(
            waited <= SWEEP_INTERVAL + Duration::from_mins(1),
            "{waited:?}"
        );
        assert!(folder.join("in progress").exists());
    }

    #[tokio::test]
    async fn abandoned_uploads_give_their_places_back() {
        let home = TestStorage::new();
        let (uploads, ada) = uploads_in(&home).await;
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

        set_idle(&uploads);
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
