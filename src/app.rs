//! The app's root component; `document` renders the document around it.

#[cfg(feature = "ssr")]
pub mod document;
pub mod pages;

use crate::{
    calls::{
        chunk::CALLS_CHUNK,
        client::{CallsClient, lazy::CallsLoader, state::CallRoom},
        view::{lazy_dock::LazyCallDock, notification_settings::NotificationPrompt},
    },
    chat::{
        client::ChatClient,
        page::{ChatLayout, NoRoom},
        room::RoomPageView,
    },
    news::{banner::BreakingBanner, client::NewsStream, page::NewsPageView, story::StoryPage},
    people::{CallActions, PresenceList, Viewer, settings::Theme},
    ui::{
        avatar::Avatar,
        build::{BuildTracker, NewBuildNotice},
        file_drop::FileDrop,
        hydration::HydrationBoundary,
        icon::{Glyph, Icon},
        page_visibility::provide_page_visibility,
        rejected_form::RejectedForm,
        socket::Socket,
        time::LocalClock,
    },
};
use leptos::{either::Either, prelude::*};
use leptos_meta::{Title, provide_meta_context};
use leptos_router::{
    SsrMode,
    components::{A, ParentRoute, Route, Router, Routes},
    hooks::use_location,
    path,
};

/// Selects the elements that [`App`] puts into the body.
#[cfg(feature = "hydrate")]
pub const ROOT_ELEMENTS: &str = "body .skip-link, body .site-top, body #main";

/// Provides the app-wide contexts and renders the header, the router and the call dock.
#[component]
pub fn App() -> impl IntoView {
    provide_meta_context();
    let build = BuildTracker::provide();
    provide_page_visibility();
    LocalClock::provide();
    Theme::provide();
    RejectedForm::provide();
    let file_drop = FileDrop::provide();
    let viewer = Viewer::provide();
    let socket = Socket::provide(build);
    let people = PresenceList::provide();
    let chat = ChatClient::provide(socket, build);
    let calls = CallsClient::provide(socket);
    let calls_loader = CallsLoader::provide(calls, &CALLS_CHUNK);
    let news = NewsStream::provide();
    provide_context(CallActions {
        start_call: Callback::new(move |(person, media)| calls_loader.call_person(person, media)),
        join_group_call: Callback::new(move |(room, title)| {
            calls_loader.join_group_call(CallRoom {
                id: room,
                title,
                guest_call_id: None,
            });
        }),
        group_calls: calls.group_calls(),
        joined_room: Signal::derive(move || {
            calls.state().with(|call_state| {
                call_state
                    .room()
                    .filter(|_| call_state.is_in_call())
                    .map(|room| room.id)
            })
        }),
        notification_prompt: Callback::new(|()| view! { <NotificationPrompt /> }.into_any()),
    });

    // Effects run after hydration. Subscribers register before the socket connects.
    Effect::new(move || {
        viewer.subscribe(socket);
        people.subscribe(socket);
        chat.subscribe(viewer.person().map(|me| me.id));
        calls_loader.start_buffering(socket);
        news.start();
        file_drop.start();
    });
    Effect::new(move || {
        // Closing the page would lose files.
        window_event_listener(leptos::ev::beforeunload, move |event| {
            if untrack(|| chat.uploads.has_active() || chat.staged.has_any()) {
                event.prevent_default();
            }
        });
    });
    Effect::new(move || {
        if viewer.person().is_some() {
            socket.connect("/ws");
            // In advance: a call may arrive at any time.
            calls_loader.load();
            pages::prefetch_chunk();
        }
    });

    view! {
        <Title
            formatter=|text: String| if text.is_empty() { "Rialto".to_owned() } else { format!("{text} · Rialto") }
            text=""
        />
        <Router>
            <a class="skip-link" href="#main" rel="external">
                "Skip to content"
            </a>
            <div class="site-top">
                <HydrationBoundary>
                    <Header />
                </HydrationBoundary>
                <HydrationBoundary>
                    {(!is_guest()).then(|| view! { <BreakingBanner /> })} <NewBuildNotice />
                </HydrationBoundary>
                <HydrationBoundary>
                    <LazyCallDock />
                </HydrationBoundary>
            </div>
            <main id="main" tabindex="-1">
                <HydrationBoundary>
                    <Routes fallback=NotFound>
                        <Route path=path!("/") view=NewsPageView ssr=SsrMode::Async />
                        <Route path=path!("/news/new") view=pages::Editor ssr=SsrMode::Async />
                        <Route path=path!("/news/:slug") view=StoryPage ssr=SsrMode::Async />
                        <ParentRoute path=path!("/chat") view=ChatLayout ssr=SsrMode::Async>
                            <Route path=path!("") view=NoRoom ssr=SsrMode::Async />
                            <Route path=path!(":room") view=RoomPageView ssr=SsrMode::Async />
                        </ParentRoute>
                        <Route path=path!("/calls") view=pages::Calls ssr=SsrMode::Async />
                        <Route path=path!("/call/:token") view=pages::Guest ssr=SsrMode::Async />
                        <Route path=path!("/settings") view=pages::Settings ssr=SsrMode::Async />
                        // The page does not wait for its checks.
                        <Route path=path!("/admin") view=pages::Admin ssr=SsrMode::InOrder />
                        <Route path=path!("/signin") view=pages::Signin ssr=SsrMode::Async />
                    </Routes>
                </HydrationBoundary>
            </main>
        </Router>
    }
}

/// Whether a call link opened this page. Guests see no navigation, so that nobody leaves the call by accident.
fn is_guest() -> bool {
    let path = use_location().pathname;
    untrack(|| path.with(|path| path.starts_with("/call/")))
}

#[component]
fn Header() -> impl IntoView {
    let viewer = crate::people::use_viewer();
    if is_guest() {
        return Either::Left(view! {
            <header class="site-header">
                <a href="/" class="brand" rel="external">
                    <Icon name=Glyph::Bridge />
                    "Rialto"
                </a>
            </header>
        });
    }
    Either::Right(view! {
        <header class="site-header">
            <A href="/" attr:class="brand">
                <Icon name=Glyph::Bridge />
                "Rialto"
            </A>
            <nav class="site-nav" aria-label="Main">
                <NavLink href="/" glyph=Glyph::News label="News" />
                <NavLink href="/chat" glyph=Glyph::Chat label="Chat">
                    <crate::chat::room_list::UnreadBadge />
                </NavLink>
                <NavLink href="/calls" glyph=Glyph::Calls label="Calls" />
                <NavLink href="/settings" glyph=Glyph::Settings label="Settings" class="on-phone" />
            </nav>
            <div class="site-account">
                {move || match viewer.signal().get() {
                    Some(me) => {
                        let name = me.person.name.to_string();
                        Either::Left(
                            view! {
                                <a class="account-link" href="/settings">
                                    <Avatar person=me.person />
                                    <span class="account-name" dir="auto">
                                        {name}
                                    </span>
                                </a>
                            },
                        )
                    }
                    None => {
                        Either::Right(
                            view! {
                                <a class="button primary small" href="/signin" rel="external">
                                    "Join"
                                </a>
                            },
                        )
                    }
                }}
            </div>
        </header>
    })
}

/// A link marked `aria-current` on every page of its section.
#[component]
fn NavLink(
    href: &'static str,
    glyph: Glyph,
    label: &'static str,
    #[prop(optional)] class: &'static str,
    #[prop(optional)] children: Option<Children>,
) -> impl IntoView {
    let path = use_location().pathname;
    let current = move || {
        path.with(|path| {
            let here = if href == "/" {
                path == "/" || path.starts_with("/news")
            } else {
                path.starts_with(href)
            };
            here.then_some("page")
        })
    };
    view! {
        <a href=href class=class aria-current=current>
            <Icon name=glyph />
            " "
            <span>{label}</span>
            {children.map(|children| children())}
        </a>
    }
}

#[component]
fn NotFound() -> impl IntoView {
    view! {
        <Title text="Page not found" />
        <div class="page empty">
            <h1>"Page not found"</h1>
            <p>"The address may be mistyped, or the page was removed."</p>
            <p>
                <a class="button primary" href="/">
                    "Go to the news"
                </a>
            </p>
        </div>
    }
}
