//! Uploads: files sent to the server in chunks, over the page's WebSocket.
//!
//! The server acknowledges every chunk, and sends the offset to continue at after a reconnect. Only a few chunks are in
//! flight at a time, so that a chat message does not wait behind a whole file.

use crate::{
    model::{
        MessageId, RoomId,
        limits::{self, Limits},
    },
    protocol::{upload::Chunk, ws::ClientFrame},
    ui::{browser, socket::Socket},
};
use leptos::prelude::*;
use std::{cell::RefCell, collections::HashMap};
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::File;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UploadState {
    /// Being sent, or waiting for a connection.
    InProgress,
    /// Refused or unreadable; kept until the user dismisses it.
    Failed {
        /// The reason, as shown to the user.
        reason: String,
    },
}

/// A file being sent into a room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upload {
    /// The id of the upload, and of the message it becomes.
    pub id: MessageId,
    pub room: RoomId,
    pub name: String,
    /// The size of the file, in bytes.
    pub size: u64,
    /// The number of bytes acknowledged by the server.
    pub received: u64,
    pub state: UploadState,
}

/// All uploads of the page.
#[derive(Debug, Clone, Copy)]
pub struct Uploads {
    list: RwSignal<Vec<Upload>>,
}

/// The browser's file handle of an upload, and the reading position.
struct Source {
    file: File,
    /// Offset of the next chunk, in bytes.
    next: u64,
    /// Whether a chunk is being read. One read at a time keeps the chunks in order.
    is_reading: bool,
}

thread_local! {
    static SOURCES: RefCell<HashMap<MessageId, Source>> = RefCell::default();
}

impl Uploads {
    pub(super) fn new() -> Self {
        Self {
            list: RwSignal::new(Vec::new()),
        }
    }

    #[must_use]
    pub fn has_active(&self) -> bool {
        self.list.with(|list| {
            list.iter()
                .any(|upload| upload.state == UploadState::InProgress)
        })
    }

    /// The uploads into a room, failed ones included.
    #[must_use]
    pub fn in_room(&self, room: RoomId) -> Vec<Upload> {
        self.list.with(|list| {
            list.iter()
                .filter(|upload| upload.room == room)
                .cloned()
                .collect()
        })
    }

    #[must_use]
    pub fn find(&self, id: MessageId) -> Option<Upload> {
        self.list
            .with(|list| list.iter().find(|upload| upload.id == id).cloned())
    }

    /// Starts an upload, which fails at once if the file is larger than `bounds` allow. Browser only.
    pub fn start(&self, socket: Socket, room: RoomId, file: File, bounds: Option<Limits>) {
        let id = MessageId(browser::new_uuid());
        let (name, size) = (file.name(), file_size(&file));
        let state = match bounds {
            Some(Limits {
                max_upload_bytes: upload_bytes,
            }) if size > upload_bytes => UploadState::Failed {
                reason: format!(
                    "The file is {}; the limit is {}.",
                    limits::format_bytes(size),
                    limits::format_bytes(upload_bytes)
                ),
            },
            Some(_) | None => UploadState::InProgress,
        };
        let going = state == UploadState::InProgress;
        self.list.update(|list| {
            list.push(Upload {
                id,
                room,
                name: name.clone(),
                size,
                received: 0,
                state,
            });
        });
        if going {
            SOURCES.with_borrow_mut(|sources| {
                sources.insert(
                    id,
                    Source {
                        file,
                        next: 0,
                        is_reading: false,
                    },
                )
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
    pub fn dismiss(&self, socket: Socket, id: MessageId) {
        if self
            .forget(id)
            .is_some_and(|upload| upload.state == UploadState::InProgress)
        {
            socket.send(&ClientFrame::UploadCancel { id });
        }
    }

    /// Announces every upload in progress again, after a reconnect. The server replies with the offset to continue at.
    pub(super) fn reannounce_all(self, socket: Socket) {
        let going = self
            .list
            .get_untracked()
            .into_iter()
            .filter(|upload| upload.state == UploadState::InProgress);
        for Upload {
            id,
            room,
            name,
            size,
            ..
        } in going
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
        self.forget(id);
    }

    pub(super) fn mark_failed(self, id: MessageId, reason: &str) {
        SOURCES.with_borrow_mut(|sources| sources.remove(&id));
        self.change(id, |upload| {
            upload.state = UploadState::Failed {
                reason: reason.to_owned(),
            }
        });
    }

    pub(super) fn resume_at(self, socket: Socket, id: MessageId, offset: u64) {
        SOURCES.with_borrow_mut(|sources| {
            if let Some(source) = sources.get_mut(&id) {
                source.next = offset;
            }
        });
        self.on_progress(socket, id, offset);
    }

    pub(super) fn on_progress(self, socket: Socket, id: MessageId, received: u64) {
        self.change(id, |upload| upload.received = received);
        self.send_next_chunk(socket, id);
    }

    /// Reads and sends the next chunk, unless [`limits::MAX_CHUNKS_IN_FLIGHT`] chunks are unacknowledged.
    fn send_next_chunk(self, socket: Socket, id: MessageId) {
        let Some(upload) = self
            .list
            .with_untracked(|list| list.iter().find(|upload| upload.id == id).cloned())
        else {
            return;
        };
        let in_flight = (limits::MAX_CHUNK_BYTES * limits::MAX_CHUNKS_IN_FLIGHT) as u64;
        let piece = SOURCES.with_borrow_mut(|sources| {
            let source = sources.get_mut(&id)?;
            let may_send = source.next < upload.size
                && source.next < upload.received + in_flight
                && !source.is_reading;
            let end = (source.next + limits::MAX_CHUNK_BYTES as u64).min(upload.size);
            let piece = may_send
                .then(|| slice_file(&source.file, source.next, end))
                .flatten()?;
            source.is_reading = true;
            Some((piece, source.next, end))
        });
        let Some((piece, offset, end)) = piece else {
            return;
        };
        spawn_local(async move {
            let bytes = JsFuture::from(piece.array_buffer()).await;
            let still_wanted = SOURCES.with_borrow_mut(|sources| {
                let Some(source) = sources.get_mut(&id) else {
                    return false;
                };
                source.is_reading = false;
                // A reconnect meanwhile may have changed the offset.
                let in_step = source.next == offset;
                if in_step {
                    source.next = end;
                }
                in_step
            });
            match bytes {
                Ok(buffer) if still_wanted => {
                    let data = js_sys::Uint8Array::new(&buffer).to_vec();
                    if socket.send_binary(
                        &(Chunk {
                            id,
                            offset,
                            data: &data,
                        })
                        .encode(),
                    ) {
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

    fn change(self, id: MessageId, change: impl FnOnce(&mut Upload)) {
        self.list.update(|list| {
            if let Some(upload) = list.iter_mut().find(|upload| upload.id == id) {
                change(upload);
            }
        });
    }

    fn forget(self, id: MessageId) -> Option<Upload> {
        SOURCES.with_borrow_mut(|sources| sources.remove(&id));
        let at = self
            .list
            .with_untracked(|list| list.iter().position(|upload| upload.id == id))?;
        self.list.try_update(|list| list.remove(at))
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
