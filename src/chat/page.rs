//! `/chat`: the layout with the sidebar, and the page without a selected room.

use super::{
    api::find_sidebar, client::use_chat, connection_banner::ConnectionBanner, room_list::RoomList,
};
use crate::{
    people::{RequireSession, use_presence},
    ui::{
        icon::{Glyph, Icon},
        refetch::{FetchFailure, refetch_on_reconnect},
    },
};
use leptos::prelude::*;
use leptos_meta::Title;
use leptos_router::{components::Outlet, hooks::use_params_map};

/// The layout of every chat page.
#[component]
pub fn ChatLayout() -> impl IntoView {
    view! { <RequireSession what="Pick a name to chat." children=|_| view! { <ChatColumns /> }.into_any() /> }
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
