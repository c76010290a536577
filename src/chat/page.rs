//! `/chat`: the layout with the sidebar, and the page without a selected room.

use super::{
    api::{PostMessage, find_sidebar},
    client::use_chat,
    connection_banner::ConnectionBanner,
    room_list::RoomList,
};
use crate::{
    people::{RequireSession, use_presence, use_viewer},
    ui::{
        icon::{Glyph, Icon},
        refetch::{FetchFailure, refetch_on_reconnect},
        rejected_form::{rejected_value, textarea_content},
    },
};
use leptos::prelude::*;
use leptos_meta::Title;
use leptos_router::{components::Outlet, hooks::use_params_map};
use server_fn::ServerFn;

/// The layout of every chat page.
#[component]
pub fn ChatLayout() -> impl IntoView {
    let is_signed_out = use_viewer().person().is_none();
    view! {
        {is_signed_out.then(|| view! { <UnsentText /> })}
        <RequireSession what="Pick a name to chat." children=|_| view! { <ChatColumns /> }.into_any() />
    }
}

/// The text of a refused form, where no composer can keep it.
#[component]
pub(super) fn UnsentText() -> impl IntoView {
    let text = rejected_value(PostMessage::PATH, "text");
    text.map(|text| {
        view! {
            <div class="page field">
                <label for="unsent-text">"Your message was not sent. Copy it:"</label>
                <textarea id="unsent-text" rows="5" readonly inner_html=textarea_content(&text)></textarea>
            </div>
        }
    })
}

#[component]
fn ChatColumns() -> impl IntoView {
    let (chat, people) = (use_chat(), use_presence());
    let sidebar = Resource::new_blocking(|| (), |()| find_sidebar());
    refetch_on_reconnect(sidebar);
    let params = use_params_map();
    let in_room = move || params.with(|params| params.get_str("room").is_some());
    view! {
        <div class="chat" class:in-room=in_room>
            <Suspense>
                {move || Suspend::new(async move {
                    match sidebar.await {
                        Ok(Some(fetched)) => {
                            chat.add_unknown_rooms(&fetched.rooms);
                            people.take_fetched(&fetched.people);
                            // In the resource, not in a component: views only read.
                            view! { <RoomList me=fetched.me /> }
                                .into_any()
                        }
                        Ok(None) => ().into_any(),
                        Err(failure) => {
                            view! {
                                <div class="chat-rooms">
                                    <FetchFailure failure resource=sidebar />
                                </div>
                            }
                                .into_any()
                        }
                    }
                })}
            </Suspense>
            <div class="chat-main">
                <ConnectionBanner />
                <Outlet />
            </div>
        </div>
    }
}

/// `/chat` without a selected room.
#[component]
pub fn NoRoom() -> impl IntoView {
    view! {
        <Title text="Chat" />
        <div class="empty">
            <Icon name=Glyph::Chat />
            <h2>"Choose a room"</h2>
            <p>"Rooms are open to everyone. To message one person, choose their name."</p>
            <p>
                <a class="button primary" href="/chat/general">
                    "Open General"
                </a>
            </p>
        </div>
    }
}
