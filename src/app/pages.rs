//! Pages in a lazy-loaded WASM chunk: all but news and chat.

use crate::{
    calls::view::{
        connection_test::ConnectionTest, guest_page::GuestPage,
        keyboard_shortcuts::ShortcutSettings, notification_settings::NotificationSettings,
        page::CallsPage,
    },
    news::editor::EditorPage,
    people::{admin::AdminPage, settings::SettingsPage, signin::SigninPage},
    ui::lazy::{LazyPage, lazy_chunk},
};
use leptos::prelude::*;
use wasm_bindgen_futures::spawn_local;

lazy_chunk! { static PAGES_CHUNK in pages: fn(Page) -> AnyView = render_page; }

#[derive(Debug, Clone, Copy)]
enum Page {
    Editor,
    Calls,
    Guest,
    Settings,
    Admin,
    Signin,
}

fn render_page(page: Page) -> AnyView {
    match page {
        Page::Editor => view! { <EditorPage /> }.into_any(),
        Page::Calls => view! { <CallsPage /> }.into_any(),
        Page::Guest => view! { <GuestPage /> }.into_any(),
        Page::Settings => {
            let more = || {
                view! {
                    <ConnectionTest />
                    <NotificationSettings />
                    <ShortcutSettings />
                }
            };
            view! { <SettingsPage more=more.into() /> }.into_any()
        }
        Page::Admin => view! { <AdminPage /> }.into_any(),
        Page::Signin => view! { <SigninPage /> }.into_any(),
    }
}

/// Loads the chunk if the rendered page needs it. Browser only.
pub async fn load_rendered_chunk() {
    PAGES_CHUNK.load_if_rendered().await;
}

/// Prefetches the chunk: pages then open even after a server update. Browser only.
pub fn prefetch_chunk() {
    spawn_local(async {
        // Opening a page retries.
        let _ = PAGES_CHUNK.load().await;
    });
}

/// `/news/new`.
#[component]
pub fn Editor() -> impl IntoView {
    view! { <LazyPage chunk=&PAGES_CHUNK page=Page::Editor /> }
}

/// `/calls`.
#[component]
pub fn Calls() -> impl IntoView {
    view! { <LazyPage chunk=&PAGES_CHUNK page=Page::Calls /> }
}

/// `/call/{token}`.
#[component]
pub fn Guest() -> impl IntoView {
    view! { <LazyPage chunk=&PAGES_CHUNK page=Page::Guest /> }
}

/// `/settings`.
#[component]
pub fn Settings() -> impl IntoView {
    view! { <LazyPage chunk=&PAGES_CHUNK page=Page::Settings /> }
}

/// `/admin`.
#[component]
pub fn Admin() -> impl IntoView {
    view! { <LazyPage chunk=&PAGES_CHUNK page=Page::Admin /> }
}

/// `/signin`.
#[component]
pub fn Signin() -> impl IntoView {
    view! { <LazyPage chunk=&PAGES_CHUNK page=Page::Signin /> }
}
