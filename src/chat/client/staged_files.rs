//! Files that are shown in the composer before they are sent. They outlive the room's page.

use crate::{model::RoomId, ui::browser};
use leptos::prelude::*;
use send_wrapper::SendWrapper;
use uuid::Uuid;
use web_sys::{File, Url};

/// Image types that every browser shows.
const SHOWN_TYPES: [&str; 4] = ["image/png", "image/jpeg", "image/gif", "image/webp"];

/// A file that was chosen, pasted or dropped into a room, and is not sent yet.
#[derive(Debug, Clone)]
pub struct StagedFile {
    pub id: Uuid,
    pub room: RoomId,
    pub name: String,
    /// An object URL of an image (W3C File API section 8).
    pub preview_url: Option<String>,
    file: SendWrapper<File>,
}

/// All staged files of the page.
#[derive(Debug, Clone, Copy)]
pub struct StagedFiles {
    /// Oldest first.
    files: RwSignal<Vec<StagedFile>>,
}

impl StagedFiles {
    pub(super) fn new() -> Self {
        Self {
            files: RwSignal::new(Vec::new()),
        }
    }

    /// Whether any room has one.
    #[must_use]
    pub fn has_any(self) -> bool {
        self.files.with(|files| !files.is_empty())
    }

    /// Those of a room.
    #[must_use]
    pub fn in_room(self, room: RoomId) -> Memo<Vec<Uuid>> {
        Memo::new(move |_| {
            self.files.with(|files| {
                let in_room = files.iter().filter(|staged| staged.room == room);
                in_room.map(|staged| staged.id).collect()
            })
        })
    }

    /// Reads a file without tracking.
    #[must_use]
    pub fn find(self, id: Uuid) -> Option<StagedFile> {
        self.files
            .with_untracked(|files| files.iter().find(|staged| staged.id == id).cloned())
    }

    /// Stages files. Browser only.
    pub fn add(self, room: RoomId, files: Vec<File>) {
        let staged = files.into_iter().map(|file| StagedFile {
            id: browser::new_uuid(),
            room,
            name: file.name(),
            preview_url: create_preview(&file),
            file: SendWrapper::new(file),
        });
        self.files.update(|files| files.extend(staged));
    }

    /// Removes a file. Browser only.
    pub fn remove(self, id: Uuid) {
        self.take_if(|staged| staged.id == id);
    }

    /// Removes the files of a room and returns them. Browser only.
    #[must_use]
    pub fn take(self, room: RoomId) -> Vec<File> {
        self.take_if(|staged| staged.room == room)
    }

    fn take_if(self, is_taken: impl Fn(&StagedFile) -> bool) -> Vec<File> {
        let mut taken = Vec::new();
        self.files.maybe_update(|files| {
            taken = files.extract_if(.., |staged| is_taken(staged)).collect();
            !taken.is_empty()
        });
        for url in taken
            .iter()
            .filter_map(|staged| staged.preview_url.as_deref())
        {
            let _ = Url::revoke_object_url(url);
        }
        taken.into_iter().map(|staged| staged.file.take()).collect()
    }
}

fn create_preview(file: &File) -> Option<String> {
    let is_shown = SHOWN_TYPES.contains(&file.type_().as_str());
    is_shown
        .then(|| Url::create_object_url_with_blob(file).ok())
        .flatten()
}
