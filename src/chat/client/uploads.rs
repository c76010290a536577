//! Files on their way to the server, in chunks over the page's WebSocket.
//!
//! The server acknowledges every chunk, and says where to go on after a reconnect; a few chunks are in flight at a time, so
//! that a message typed meanwhile does not wait behind a whole file.

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

/// Where a file is on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UploadState {
    /// Going.
    InProgress,
    /// Refused, or given up; stays until it is dismissed.
    Failed {
        /// Why, in words.
        reason: String,
    },
}

/// A file on its way into a room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upload {
    /// Also the id of the message it becomes.
    pub id: MessageId,
    /// Where to.
    pub room: RoomId,
    /// What it is called.
    pub name: String,
    /// How many bytes it has.
    pub size: u64,
    /// How many of them the server has.
    pub received: u64,
    /// Where it is.
    pub state: UploadState,
}

/// All files on their way. A handle: copy it freely.
#[derive(Debug, Clone, Copy)]
pub struct Uploads {
    list: RwSignal<Vec<Upload>>,
}

/// The browser's side of an upload: handles that only the browser has.
struct Source {
    file: File,
    /// Where the next chunk begins.
    next: u64,
    /// Whether a chunk is being read: one at a time keeps them in order.
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

    /// Whether any file is on its way.
    #[must_use]
    pub fn has_active(&self) -> bool {
        self.list.with(|list| {
            list.iter()
                .any(|upload| upload.state == UploadState::InProgress)
        })
    }

    /// The files on their way into a room.
    #[must_use]
    pub fn in_room(&self, room: RoomId) -> Vec<Upload> {
        self.list.with(|list| {
            list.iter()
                .filter(|upload| upload.room == room)
                .cloned()
                .collect()
        })
    }

    /// One of them.
    #[must_use]
    pub fn find(&self, id: MessageId) -> Option<Upload> {
        self.list
            .with(|list| list.iter().find(|upload| upload.id == id).cloned())
    }

    /// Sends a file into a room, or says in words why not. Browser only.
    pub fn start(&self, socket: Socket, room: RoomId, file: File, bounds: Option<Limits>) {
        let id = MessageId(browser::new_uuid());
        let (name, size) = (file.name(), file_size(&file));
        let state = match bounds {
            Some(Limits {
                max_upload_bytes: upload_bytes,
            }) if size > upload_bytes => UploadState::Failed {
                reason: format!(
                    "It is {}; a file may be {} at most.",
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

    /// The user gives up on a file, or has read why it failed. Browser only.
    pub fn dismiss(&self, socket: Socket, id: MessageId) {
        if self
            .forget(id)
            .is_some_and(|upload| upload.state == UploadState::InProgress)
        {
            socket.send(&ClientFrame::UploadCancel { id });
        }
    }

    /// After a reconnect: the server says where each goes on.
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

    /// Reads and sends the next chunk, unless enough are in flight.
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
                // A reconnect in between may have said to go on from elsewhere.
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
