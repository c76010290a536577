//! The routes, and what every page needs. The document around it is the server's: [`document`].

#[cfg(feature = "ssr")]
pub mod document;
pub mod pages;

use crate::{
    calls::{
        client::{CallsClient, board::Place},
        coming::CallDock,
        ringing::RingQuestion,
    },
    chat::{client::ChatClient, page::ChatLayout, page::NoRoom, room::RoomPageView},
    news::{banner::BreakingBanner, client::NewsLive, page::NewsPageView, story::StoryPage},
    people::{People, Reach, Viewer, settings::Theme},
    ui::{
        avatar::Avatar,
        build::{Build, NewerBuild},
        icon::{Glyph, Icon},
        socket::Socket,
        time::LocalClock,
        turns::Turn,
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

/// The app: what lives as long as the page, around the page that the address asks for.
#[component]
pub fn App() -> impl IntoView {
    provide_meta_context();
    let build = Build::provide();
    LocalClock::provide();
    Theme::provide();
    let viewer = Viewer::provide();
    let socket = Socket::provide(build);
    let people = People::provide();
    let chat = ChatClient::provide(build);
    let calls = CallsClient::provide(socket);
    let news = NewsLive::provide();
    provide_context(Reach {
        call: Callback::new(move |(person, media)| calls.place(person, media)),
        join: Callback::new(move |(room, title)| {
            calls.join(Place {
                room,
                title,
                only: None,
            });
        }),
        groups: calls.groups(),
        joined: Signal::derive(move || {
            calls.scene().with(|scene| {
                scene
                    .place()
                    .filter(|_| scene.is_in_a_call())
                    .map(|place| place.room)
            })
        }),
        question: Callback::new(|()| view! { <RingQuestion /> }.into_any()),
    });

    // The browser's part begins once, when the page is live. What listens to the socket does so before it connects.
    Effect::new(move || {
        people.listen(socket);
        chat.listen(socket, viewer.person().map(|me| me.id));
        calls.listen();
        news.start();
    });
    Effect::new(move || {
        // The rest of a file is in this page only.
        window_event_listener(leptos::ev::beforeunload, move |event| {
            if untrack(|| chat.uploads.any()) {
                event.prevent_default();
            }
        });
    });
    Effect::new(move || {
        if viewer.person().is_some() {
            socket.connect("/ws");
            // Somebody may call; and they go on to other pages.
            calls.fetch();
            pages::fetch();
        }
    });

    view! {
        <Title formatter=|text: String| if text.is_empty() { "Rialto".to_owned() } else { format!("{text} · Rialto") } text="" />
        <Router>
            <a class="skip-link" href="#main" rel="external">"Skip to the content"</a>
            <div class="site-top">
                <Turn>
                    <Header />
                </Turn>
                <Turn>
                    {(!is_guest()).then(|| view! { <BreakingBanner /> })}
                    <NewerBuild />
                </Turn>
                <Turn>
                    <CallDock />
                </Turn>
            </div>
            <main id="main" tabindex="-1">
                <Turn>
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
                        <Route path=path!("/admin") view=pages::Admin ssr=SsrMode::Async />
                        <Route path=path!("/signin") view=pages::Signin ssr=SsrMode::Async />
                    </Routes>
                </Turn>
            </main>
        </Router>
    }
}

/// Whether this page was opened by a guest to a call. They are here for that, and nothing leads away from it by accident.
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
                    <crate::chat::rooms::UnreadBadge />
                </NavLink>
                <NavLink href="/calls" glyph=Glyph::Calls label="Calls" />
                <NavLink href="/settings" glyph=Glyph::Settings label="Settings" class="on-phone" />
            </nav>
            <div class="site-account">
                {match viewer.me() {
                    Some(me) => {
                        let name = me.person.name.to_string();
                        Either::Left(
                            view! {
                                <a class="account-link" href="/settings">
                                    <Avatar person=me.person />
                                    <span class="account-name" dir="auto">{name}</span>
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

/// A link of the main navigation, marked when the page is in its part of the site.
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

/// What an address that leads nowhere shows.
#[component]
fn NotFound() -> impl IntoView {
    view! {
        <Title text="Not found" />
        <div class="page empty">
            <h1>"There is nothing here"</h1>
            <p>"The address leads nowhere: it may be mistyped, or what was there is gone."</p>
            <p>
                <a class="button primary" href="/">"Go to the news"</a>
            </p>
        </div>
    }
}
