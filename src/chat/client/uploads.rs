//! Files sent in chunks over the page's WebSocket. Few chunks are in flight, so that chat does not wait.

use crate::{
    model::{
        MessageId, RoomId,
        limits::{self, Limits},
    },
    protocol::{upload::Chunk, ws::ClientFrame},
    ui::{browser, socket::Socket},
};
use leptos::prelude::*;
use reactive_stores::{AtKeyed, Store};
use send_wrapper::SendWrapper;
use std::collections::HashMap;
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::File;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UploadState {
    /// Being sent, or waiting for a connection.
    InProgress,
    /// Refused or unreadable; kept until the user dismisses it.
    Failed { reason: String },
}

/// A file being sent into a room.
#[derive(Debug, Clone, PartialEq, Eq, Store)]
pub struct Upload {
    /// The id of the message it becomes.
    pub id: MessageId,
    pub room: RoomId,
    pub name: String,
    /// In bytes.
    pub size: u64,
    /// Bytes acknowledged by the server.
    pub received: u64,
    pub state: UploadState,
}

/// The uploads in the store.
#[derive(Debug, Default, Store)]
pub struct UploadList {
    /// Oldest first.
    #[store(key: MessageId = |upload| upload.id)]
    uploads: Vec<Upload>,
}

/// One upload; its fields notify separately.
pub type UploadField = AtKeyed<Store<UploadList>, UploadList, MessageId, Vec<Upload>>;

/// All uploads of the page.
#[derive(Debug, Clone, Copy)]
pub struct Uploads {
    list: Store<UploadList>,
    /// Of the uploads in progress.
    sources: StoredValue<HashMap<MessageId, SendWrapper<Source>>>,
}

#[derive(Debug)]
struct Source {
    file: File,
    /// Offset in bytes.
    next: u64,
    /// One read at a time keeps the order.
    is_reading: bool,
}

impl Uploads {
    pub(super) fn new() -> Self {
        let list = Store::new(UploadList::default());
        // Without keys, the first write by key would lock the store twice.
        list.uploads().update_keys();
        Self {
            list,
            sources: StoredValue::new(HashMap::new()),
        }
    }

    #[must_use]
    pub fn has_active(self) -> bool {
        let uploads = self.list.uploads().read();
        let mut uploads = uploads.iter();
        uploads.any(|upload| upload.state == UploadState::InProgress)
    }

    /// The uploads into a room, failed ones included.
    #[must_use]
    pub fn in_room(self, room: RoomId) -> Memo<Vec<MessageId>> {
        Memo::new(move |_| {
            let uploads = self.list.uploads().read();
            let in_room = uploads.iter().filter(|upload| upload.room == room);
            in_room.map(|upload| upload.id).collect()
        })
    }

    /// An upload, which may have ended: read it with `try_` methods.
    #[must_use]
    pub fn at(self, id: MessageId) -> UploadField {
        self.list.uploads().at_key(id)
    }

    /// Starts an upload; a file beyond `bounds` fails at once. Browser only.
    pub fn start(self, socket: Socket, room: RoomId, file: File, bounds: Option<Limits>) {
        let id = MessageId(browser::new_uuid());
        let (name, size) = (file.name(), file_size(&file));
        let state = match bounds {
            Some(Limits {
                max_upload_bytes, ..
            }) if size > max_upload_bytes => UploadState::Failed {
                reason: format!(
                    "The file is {}; the limit is {}.",
                    limits::format_bytes(size),
                    limits::format_bytes(max_upload_bytes)
                ),
            },
            Some(_) | None => UploadState::InProgress,
        };
        let is_accepted = state == UploadState::InProgress;
        self.list.uploads().write().push(Upload {
            id,
            room,
            name: name.clone(),
            size,
            received: 0,
            state,
        });
        if is_accepted {
            let source = Source {
                file,
                next: 0,
                is_reading: false,
            };
            self.sources.update_value(|sources| {
                sources.insert(id, SendWrapper::new(source));
            });
            socket.send(&ClientFrame::Upload {
                id,
                room,
                name,
                size,
            });
        }
    }

    /// Cancels an upload in progress, or removes a failed one. Browser only.
    pub fn dismiss(self, socket: Socket, id: MessageId) {
        if self
            .remove(id)
            .is_some_and(|upload| upload.state == UploadState::InProgress)
        {
            socket.send(&ClientFrame::UploadCancel { id });
        }
    }

    pub(super) fn reannounce_all(self, socket: Socket) {
        let mut in_progress = self.list.uploads().get_untracked();
        in_progress.retain(|upload| upload.state == UploadState::InProgress);
        for Upload {
            id,
            room,
            name,
            size,
            ..
        } in in_progress
        {
            socket.send(&ClientFrame::Upload {
                id,
                room,
                name,
                size,
            });
        }
    }

    pub(super) fn remove_finished(self, id: MessageId) {
        self.remove(id);
    }

    pub(super) fn mark_failed(self, id: MessageId, reason: &str) {
        self.remove_source(id);
        let reason = reason.to_owned();
        self.at(id)
            .state()
            .try_update(|state| *state = UploadState::Failed { reason });
    }

    pub(super) fn resume_at(self, socket: Socket, id: MessageId, offset: u64) {
        self.with_source(id, |source| source.next = offset);
        self.on_progress(socket, id, offset);
    }

    pub(super) fn on_progress(self, socket: Socket, id: MessageId, received: u64) {
        self.at(id).received().try_update(|known| *known = received);
        self.send_next_chunk(socket, id);
    }

    /// Sends nothing while [`limits::MAX_CHUNKS_IN_FLIGHT`] chunks are unacknowledged.
    fn send_next_chunk(self, socket: Socket, id: MessageId) {
        let upload = self.at(id).try_read_untracked();
        let Some((size, received)) = upload.map(|upload| (upload.size, upload.received)) else {
            return;
        };
        let in_flight = (limits::MAX_CHUNK_BYTES * limits::MAX_CHUNKS_IN_FLIGHT) as u64;
        let next = self.with_source(id, |source| {
            let start = source.next;
            let may_send = start < size && start < received + in_flight && !source.is_reading;
            let end = (start + limits::MAX_CHUNK_BYTES as u64).min(size);
            let blob = may_send.then(|| slice_file(&source.file, start, end));
            let blob = blob.flatten()?;
            source.is_reading = true;
            Some((blob, start, end))
        });
        let Some((blob, offset, end)) = next.flatten() else {
            return;
        };
        // An upload outlives the room's page.
        spawn_local(async move {
            let bytes = JsFuture::from(blob.array_buffer()).await;
            let is_current = self.with_source(id, |source| {
                source.is_reading = false;
                // A reconnect may have changed the offset.
                let is_current = source.next == offset;
                if is_current {
                    source.next = end;
                }
                is_current
            });
            match bytes {
                Ok(buffer) if is_current == Some(true) => {
                    let data = js_sys::Uint8Array::new(&buffer).to_vec();
                    let chunk = Chunk {
                        id,
                        offset,
                        data: &data,
                    };
                    if socket.send_binary(&chunk.encode()) {
                        self.send_next_chunk(socket, id);
                    }
                }
                Ok(_) => self.send_next_chunk(socket, id),
                Err(_) => {
                    socket.send(&ClientFrame::UploadCancel { id });
                    self.mark_failed(
                        id,
                        "The file could not be read: it was changed or moved. Choose it again.",
                    );
                }
            }
        });
    }

    fn with_source<T>(self, id: MessageId, change: impl FnOnce(&mut Source) -> T) -> Option<T> {
        self.sources
            .try_update_value(|sources| sources.get_mut(&id).map(|source| change(source)))
            .flatten()
    }

    fn remove_source(self, id: MessageId) {
        self.sources.update_value(|sources| {
            sources.remove(&id);
        });
    }

    fn remove(self, id: MessageId) -> Option<Upload> {
        self.remove_source(id);
        let uploads = self.list.uploads();
        let position = {
            let uploads = uploads.read_untracked();
            uploads.iter().position(|upload| upload.id == id)?
        };
        Some(uploads.write().remove(position))
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a file's size is a whole number below 2^53"
)]
fn file_size(file: &File) -> u64 {
    file.size() as u64
}

#[expect(
    clippy::cast_precision_loss,
    reason = "offsets in a file are below 2^53"
)]
fn slice_file(file: &File, start: u64, end: u64) -> Option<web_sys::Blob> {
    file.slice_with_f64_and_f64(start as f64, end as f64).ok()
}
