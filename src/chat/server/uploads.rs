//! Uploads: files being sent into a room.
//!
//! An upload is a growing file, `files/partial/{user}-{id}`. Its length is the number of bytes received, so an upload
//! continues after a lost connection or a server restart without other stored state. A complete file is stored under
//! the SHA-256 of its bytes, so that equal files are stored once, and becomes a message with the upload's id.

use crate::{
    model::{
        MessageId, RoomId, UserId, limits,
        message::{Attachment, Content, ImageSize},
        user::Person,
    },
    protocol::{failure::Failure, upload::Chunk, ws::ServerFrame},
    server::{AppState, Error, Result, event_log::NewMessage},
};
use imagesize::ImageType;
use sha2::{Digest, Sha256};
use std::{
    collections::HashMap,
    fs::File,
    io::{self, BufReader, Read, Seek},
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{fs, io::AsyncWriteExt, sync::OwnedMutexGuard};

/// Maximum number of uploads in progress per user.
const MAX_UPLOADS_PER_USER: usize = 8;
/// Minimum time that a partial upload is kept after its last chunk.
const PARTIAL_UPLOAD_TTL: Duration = Duration::from_hours(24);

/// The uploading user, and the id of the message the upload becomes.
type UploadKey = (UserId, MessageId);

#[derive(Debug)]
pub(super) struct Uploads {
    app: Arc<AppState>,
    under_way: Mutex<HashMap<UploadKey, Arc<Slot>>>,
}

/// The lock on an upload's partial file: several connections of one user may send the same upload. It holds `None` when
/// the upload was not announced or has ended.
type Slot = tokio::sync::Mutex<Option<AnnouncedFile>>;

/// A file as announced, before its bytes arrive.
#[derive(Debug, Clone, PartialEq, Eq)]
struct AnnouncedFile {
    room: RoomId,
    name: String,
    size: u64,
}

/// A locked upload. Dropping it with an empty slot removes the upload.
struct LockedUpload<'a> {
    uploads: &'a Uploads,
    key: UploadKey,
    slot: OwnedMutexGuard<Option<AnnouncedFile>>,
}

impl Drop for LockedUpload<'_> {
    fn drop(&mut self) {
        if self.slot.is_none() {
            // Still locked: a task that waits for this slot then finds it replaced, and locks the new one.
            self.uploads.under_way().remove(&self.key);
        }
    }
}

impl Uploads {
    pub(super) fn new(app: Arc<AppState>) -> Self {
        Self {
            app,
            under_way: Mutex::default(),
        }
    }

    /// Announces a file. Replies with the offset to start at, or with `sent` if the whole file is here already.
    pub(super) async fn announce(
        &self,
        by: &Person,
        id: MessageId,
        room: RoomId,
        name: &str,
        size: u64,
    ) -> Result<ServerFrame> {
        if let Some(sent) = self.find_sent(by, id, room).await? {
            return Ok(sent);
        }
        let announced = AnnouncedFile {
            room,
            name: file_name(name),
            size,
        };
        self.check(by.id, id, &announced)?;
        let mut upload = self.lock((by.id, id)).await;
        // Another connection may have sent the last chunk meanwhile.
        if let Some(sent) = self.find_sent(by, id, room).await? {
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
            // Not the file announced under this id before: start over.
            fs::remove_file(&path).await?;
            received = 0;
        }
        *upload.slot = Some(announced.clone());
        if received == size {
            return self.finish(by, &mut upload, announced).await;
        }
        Ok(ServerFrame::UploadReady {
            id,
            offset: received,
        })
    }

    /// The reply for an upload that has become a message already.
    async fn find_sent(
        &self,
        by: &Person,
        id: MessageId,
        room: RoomId,
    ) -> Result<Option<ServerFrame>> {
        let Some(posted) = self.app.store.find_posted_message(id).await? else {
            return Ok(None);
        };
        if posted.author != by.id || posted.room != room {
            return Err(Failure::invalid("That upload id is taken.").into());
        }
        Ok(Some(ServerFrame::Sent {
            id,
            room,
            seq: posted.seq,
            at: posted.at,
        }))
    }

    fn check(&self, by: UserId, id: MessageId, file: &AnnouncedFile) -> Result<(), Failure> {
        let most = self.app.config.upload_bytes;
        if file.size > most {
            return Err(Failure::invalid(format!(
                "\"{}\" is {}; the limit is {}.",
                file.name,
                limits::format_bytes(file.size),
                limits::format_bytes(most)
            )));
        }
        if file.size == 0 {
            return Err(Failure::invalid(format!(
                "\"{}\" is empty, so there is nothing to send.",
                file.name
            )));
        }
        let under_way = self.under_way();
        let others = under_way
            .keys()
            .filter(|(user, other)| *user == by && *other != id)
            .count();
        if others >= MAX_UPLOADS_PER_USER {
            return Err(Failure::invalid(format!(
                "You can send {MAX_UPLOADS_PER_USER} files at a time. Wait for one to finish."
            )));
        }
        Ok(())
    }

    /// Appends a chunk that starts at the end of the partial file; otherwise replies with the expected offset.
    pub(super) async fn receive(&self, by: &Person, chunk: Chunk<'_>) -> Result<ServerFrame> {
        let mut upload = self.lock((by.id, chunk.id)).await;
        let announced = upload
            .slot
            .clone()
            .ok_or_else(|| Failure::invalid("That upload was not announced. Announce it first."))?;
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
            self.discard(&mut upload).await;
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
        self.finish(by, &mut upload, announced).await
    }

    /// Stores a complete file under its hash and posts the message.
    async fn finish(
        &self,
        by: &Person,
        upload: &mut LockedUpload<'_>,
        announced: AnnouncedFile,
    ) -> Result<ServerFrame> {
        let (_, id) = upload.key;
        // One descriptor from here on: the bytes stored are the bytes examined, whatever happens to the path.
        let file = fs::File::open(self.partial_path(upload.key)).await?;
        let file = file.into_std().await;
        let (found, file) =
            tokio::task::spawn_blocking(move || Ok::<_, Error>((examine(&file)?, file)))
                .await
                .map_err(|lost| Error::Internal(lost.to_string()))??;
        self.app.files.put(&found.hash, file).await?;
        let file = Attachment {
            hash: found.hash,
            name: announced.name,
            size: found.size,
            image: found.image,
        };
        let message = NewMessage {
            id,
            room: announced.room,
            author: by.clone(),
            content: Content::File { file },
            media_type: Some(found.media_type.to_owned()),
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

    /// Removes an upload that its user cancelled. Waits until no other task uses it.
    pub(super) async fn forget(&self, by: UserId, id: MessageId) {
        let mut upload = self.lock((by, id)).await;
        self.discard(&mut upload).await;
    }

    /// Empties the slot and removes the partial file.
    async fn discard(&self, upload: &mut LockedUpload<'_>) {
        *upload.slot = None;
        // The file may not exist yet; `clean` removes it later if this fails.
        let _ = fs::remove_file(self.partial_path(upload.key)).await;
    }

    /// Locks an upload, waiting until no other task reads or writes its file.
    async fn lock(&self, key: UploadKey) -> LockedUpload<'_> {
        loop {
            let slot = self.under_way().entry(key).or_default().clone();
            let locked = slot.clone().lock_owned().await;
            let is_current = self
                .under_way()
                .get(&key)
                .is_some_and(|current| Arc::ptr_eq(current, &slot));
            if is_current {
                return LockedUpload {
                    uploads: self,
                    key,
                    slot: locked,
                };
            }
        }
    }

    /// Removes partial uploads older than [`PARTIAL_UPLOAD_TTL`].
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

    fn partial_path(&self, (by, id): UploadKey) -> PathBuf {
        self.app.partial_uploads_dir().join(format!("{by}-{id}"))
    }

    fn under_way(&self) -> MutexGuard<'_, HashMap<UploadKey, Arc<Slot>>> {
        self.under_way
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// The properties of a file, detected from its bytes.
struct InspectedFile {
    hash: String,
    size: u64,
    media_type: &'static str,
    image: Option<ImageSize>,
}

fn examine(mut file: &File) -> io::Result<InspectedFile> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 64 * 1024];
    let mut size = 0;
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            break;
        }
        hasher.update(&buffer[..read]);
        size += read as u64;
    }
    file.rewind()?;
    let (media_type, image) =
        image(BufReader::new(file)).unwrap_or(("application/octet-stream", None));
    Ok(InspectedFile {
        hash: hex::encode(hasher.finalize()),
        size,
        media_type,
        image,
    })
}

/// The media type and size of an image that browsers display. SVG is excluded, because it can contain scripts.
fn image(mut file: BufReader<&File>) -> Option<(&'static str, Option<ImageSize>)> {
    let media_type = match imagesize::reader_type(&mut file).ok()? {
        ImageType::Png => "image/png",
        ImageType::Jpeg => "image/jpeg",
        ImageType::Gif => "image/gif",
        ImageType::Webp => "image/webp",
        _ => return None,
    };
    file.rewind().ok()?;
    let size = imagesize::reader_size(file).ok()?;
    let (width, height) = (
        u32::try_from(size.width).ok()?,
        u32::try_from(size.height).ok()?,
    );
    (width > 0 && height > 0).then_some((media_type, Some(ImageSize { width, height })))
}

/// Sanitises a file name: its last path segment without leading dots and control, zero-width or bidirectional
/// characters, at most [`limits::MAX_FILE_NAME_CHARS`] characters; "file" if nothing is left.
fn file_name(name: &str) -> String {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let clean: String = last
        .chars()
        .filter(|c| !c.is_control() && !matches!(c, '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}'))
        .collect();
    let clean = clean.trim().trim_start_matches('.');
    let count = clean.chars().count();
    if clean.is_empty() {
        "file".to_owned()
    } else if count <= limits::MAX_FILE_NAME_CHARS {
        clean.to_owned()
    } else {
        // Keeps the end, which has the extension.
        clean
            .chars()
            .skip(count - limits::MAX_FILE_NAME_CHARS)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_name_cannot_leave_its_folder_or_deceive() {
        assert_eq!(file_name("../../etc/passwd"), "passwd");
        assert_eq!(file_name("C:\\secret\\a b.txt"), "a b.txt");
        assert_eq!(file_name("photo\u{202E}gpj.exe"), "photogpj.exe");
        assert_eq!(file_name("a\r\nb\"c.txt"), "ab\"c.txt");
        assert_eq!(file_name("..."), "file");
        assert_eq!(
            file_name(&format!("{}.pdf", "x".repeat(300)))
                .chars()
                .count(),
            limits::MAX_FILE_NAME_CHARS
        );
    }

    #[test]
    fn what_is_no_image_is_not_shown_as_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.png");
        std::fs::write(
            &path,
            b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>",
        )
        .unwrap();
        let found = examine(&File::open(&path).unwrap()).unwrap();
        assert_eq!(
            (found.media_type, found.image),
            ("application/octet-stream", None)
        );
        assert_eq!(found.hash.len(), 64);
    }

    #[test]
    fn an_image_has_its_size_before_it_is_loaded() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        // The signature and the IHDR chunk of a PNG of 3 by 2 pixels.
        let head = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x03\0\0\0\x02\x08\x02\0\0\0";
        std::fs::write(&path, head).unwrap();
        let found = examine(&File::open(&path).unwrap()).unwrap();
        assert_eq!(
            (found.media_type, found.image),
            (
                "image/png",
                Some(ImageSize {
                    width: 3,
                    height: 2
                })
            )
        );
    }
}
