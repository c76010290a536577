//! The menu behind an author's name.

use super::{
    api::OpenDirectRoom,
    room_list::{CallButtons, open_answered_room},
};
use crate::{
    model::{UserId, user::Person},
    people::BlockButton,
    ui::{
        details_menu::{DetailsMenu, MenuHandle},
        form::ActionFailure,
        icon::{Glyph, Icon},
    },
};
use leptos::prelude::*;

/// A person's name that opens the menu.
#[component]
pub fn PersonMenu(
    person: Person,
    /// The reader, whose own name has no menu.
    me: UserId,
) -> impl IntoView {
    let name = person.name.to_string();
    if person.id == me {
        return view! {
            <span class="message-author" dir="auto">
                {name}
            </span>
        }
        .into_any();
    }
    let id = person.id.to_string();
    let menu = MenuHandle::new();
    let open_direct = ServerAction::<OpenDirectRoom>::new();
    open_answered_room(open_direct);
    Effect::new(move || {
        open_direct.value().with(|opened| match opened {
            // If the direct room is open, no navigation removes the menu.
            Some(Ok(_)) => menu.close(),
            // The menu has the failure once rendered.
            Some(Err(_)) => request_animation_frame(move || menu.scroll_into_view()),
            None => {}
        });
    });
    view! {
        <DetailsMenu handle=menu class="person-menu">
            <summary class="message-author" dir="auto">
                {name}
            </summary>
            <div class="person-menu-actions">
                <ActionForm action=open_direct>
                    <input type="hidden" name="with" value=id />
                    <input type="hidden" name="wants_slug" value="true" />
                    <button
                        type="submit"
                        class="button small"
                        aria-busy=move || open_direct.pending().get().then_some("true")
                    >
                        <Icon name=Glyph::Chat />
                        "Message"
                    </button>
                </ActionForm>
                <CallButtons person=person.clone() />
                <BlockButton person />
                <ActionFailure action=open_direct />
            </div>
        </DetailsMenu>
    }
    .into_any()
}
