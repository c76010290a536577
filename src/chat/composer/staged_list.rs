//! Files that go with the next message.

use crate::{
    chat::client::{StagedFile, use_chat},
    model::RoomId,
    ui::icon::{Glyph, Icon},
};
use leptos::{either::Either, prelude::*};
use uuid::Uuid;

/// Each with a preview, if it is an image, and a button that removes it.
#[component]
pub(super) fn StagedList(
    room: RoomId,
    /// The focused button is removed with its file.
    on_removed: Callback<()>,
) -> impl IntoView {
    let staged = use_chat().staged.in_room(room);
    let status = move || match staged.with(Vec::len) {
        0 => None,
        1 => Some("1 file is ready to send.".to_owned()),
        count => Some(format!("{count} files are ready to send.")),
    };
    view! {
        <ul class="uploads" aria-label="Files to send">
            <For each=move || staged.get() key=|id| *id let:id>
                <StagedRow id on_removed />
            </For>
        </ul>
        <span class="visually-hidden" aria-live="polite">
            {status}
        </span>
    }
}

#[component]
fn StagedRow(id: Uuid, on_removed: Callback<()>) -> impl IntoView {
    let files = use_chat().staged;
    files
        .find(id)
        .map(|StagedFile { name, preview_url, .. }| {
            let remove = move |_| {
                files.remove(id);
                on_removed.run(());
            };
            let picture = match preview_url {
                Some(url) => Either::Left(view! { <img class="upload-preview" src=url alt="" /> }),
                None => Either::Right(view! { <Icon name=Glyph::File /> }),
            };
            view! {
                <li class="upload">
                    {picture} <span class="file-name">{name.clone()}</span>
                    <span class="small-text quiet-text">"Ready to send"</span>
                    <button type="button" class="icon-button" aria-label=format!("Remove {name}") on:click=remove>
                        <Icon name=Glyph::Close />
                    </button>
                </li>
            }
        })
}
