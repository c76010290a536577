//! The menu in the header of a direct room: hiding the conversation, and blocking the other person.

use super::api::HideRoom;
use crate::{
    model::{RoomId, user::Person},
    people::{BlockButton, UnblockButton, use_viewer},
    ui::{
        details_menu::{DetailsMenu, MenuHandle},
        form::{ActionFailure, SubmitButton, on_success},
        icon::{Glyph, Icon},
    },
};
use leptos::{either::Either, prelude::*};
use leptos_router::{NavigateOptions, hooks::use_navigate};

/// The menu of a direct room.
#[component]
pub fn DirectRoomMenu(room: RoomId, person: Person) -> impl IntoView {
    let viewer = use_viewer();
    let menu = MenuHandle::new();
    let navigate = use_navigate();
    let hide = ServerAction::<HideRoom>::new();
    on_success(hide, move |_| navigate("/chat", NavigateOptions::default()));
    let id = person.id;
    Effect::watch(
        move || viewer.has_blocked(id),
        move |_, _, _| menu.close(),
        false,
    );
    let block = move || {
        let person = person.clone();
        if viewer.has_blocked(id) {
            Either::Left(view! { <UnblockButton person=id name=person.name.to_string() /> })
        } else {
            Either::Right(view! { <BlockButton person /> })
        }
    };
    view! {
        <DetailsMenu handle=menu class="room-menu">
            <summary class="icon-button" aria-label="More about this conversation">
                <Icon name=Glyph::More />
            </summary>
            <div class="menu-panel">
                <ActionForm action=hide>
                    <input type="hidden" name="room" value=room.to_string() />
                    <SubmitButton pending=hide.pending() pending_text="Hiding…" class="button small">
                        "Hide until the next message"
                    </SubmitButton>
                </ActionForm>
                <ActionFailure action=hide />
                {block}
            </div>
        </DetailsMenu>
    }
}

/// What stands in place of the composer after a block.
#[component]
pub fn BlockedNotice(person: Person) -> impl IntoView {
    view! {
        <div class="blocked-notice" role="status">
            <p>
                "You have blocked " <bdi>{person.name.to_string()}</bdi>
                ". You see nothing of them, and neither of you can write here."
            </p>
            <UnblockButton person=person.id name=person.name.to_string() />
        </div>
    }
}
