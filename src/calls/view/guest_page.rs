//! `/call/{token}`: asks for a guest's name, then joins the call. The rest of the site stays closed to guests.

use crate::{
    calls::{
        api::{BecomeGuest, GuestLinkTarget, resolve_guest_link},
        client::{lazy::use_calls_loader, state::CallRoom, use_calls},
    },
    people::signin::{NameField, rejected_name},
    protocol::{close::CloseCode, failure::Failure},
    ui::{
        form::FormFailure,
        icon::{Glyph, Icon},
        loading::LoadingIndicator,
        notice::{Notice, NoticeKind},
        page_failure::set_page_status,
        rejected_form::form_action,
        socket::{SocketStatus, use_socket},
    },
};
use leptos::{either::Either, prelude::*};
use leptos_meta::Title;
use leptos_router::hooks::use_params_map;
use server_fn::ServerFn;

/// The page.
#[component]
pub fn GuestPage() -> impl IntoView {
    let params = use_params_map();
    let token = Memo::new(move |_| params.read().get("token").unwrap_or_default());
    let target = Resource::new_blocking(move || token.get(), resolve_guest_link);
    view! {
        <Title text="Call" />
        <div class="page">
            <Transition fallback=|| {
                view! { <LoadingIndicator label="Loading the call" /> }
            }>
                {move || Suspend::new(async move {
                    match target.await {
                        Ok(target) => Either::Left(view! { <LinkTarget token=token.get_untracked() target /> }),
                        Err(failure) => Either::Right(view! { <LinkFailure failure /> }),
                    }
                })}
            </Transition>
        </div>
    }
}

#[component]
fn LinkTarget(token: String, target: GuestLinkTarget) -> impl IntoView {
    match target {
        GuestLinkTarget::Invalid => view! { <InvalidLink /> }.into_any(),
        GuestLinkTarget::Member {
            title,
            slug,
            created_by,
        } => view! { <MemberNotice title slug created_by /> }.into_any(),
        GuestLinkTarget::Unnamed { title, created_by } => {
            view! { <GuestNameForm token title created_by /> }.into_any()
        }
        GuestLinkTarget::Guest {
            call,
            room,
            name,
            title,
            created_by,
        } => {
            let room = CallRoom {
                id: room,
                title,
                guest_call_id: Some(call),
            };
            view! { <Lobby token room name created_by /> }.into_any()
        }
    }
}

#[component]
fn InvalidLink() -> impl IntoView {
    set_page_status(&Failure::not_found("This guest link"));
    view! {
        <section class="empty">
            <h1>"This link is no longer valid"</h1>
            <p>"The call is over, or the link was revoked or has expired. Ask for a new link."</p>
        </section>
    }
}

/// Retrying reloads the page, because the guest cookie is sent only to the page's path.
#[component]
fn LinkFailure(failure: Failure) -> impl IntoView {
    set_page_status(&failure);
    view! {
        <Notice kind=NoticeKind::Error>
            <p>{failure.to_string()}</p>
            <a class="button small" href="" rel="external">
                "Try again"
            </a>
        </Notice>
    }
}

#[component]
fn MemberNotice(title: String, slug: String, created_by: String) -> impl IntoView {
    view! {
        <h1>"Call in " <bdi>{title}</bdi></h1>
        <p>
            <bdi>{created_by}</bdi>
            " invites you. You are a member of this room, so you do not need a link: join the call there."
        </p>
        <p>
            <a class="button primary" href=format!("/chat/{slug}") rel="external">
                <Icon name=Glyph::Chat />
                "Go to the room"
            </a>
        </p>
    }
}

/// Not an `ActionForm`: the guest cookie is sent only to the page's path, so the page is reloaded.
#[component]
fn GuestNameForm(token: String, title: String, created_by: String) -> impl IntoView {
    view! {
        <h1>"Call in " <bdi>{title}</bdi></h1>
        <form class="card form" method="post" action=form_action(BecomeGuest::PATH)>
            <h2>"What is your name?"</h2>
            <p class="quiet-text">
                <bdi>{created_by}</bdi>
                " invites you to a video call. You join it as a guest, in this browser, without an account."
            </p>
            <FormFailure path=BecomeGuest::PATH />
            <input type="hidden" name="token" value=token />
            <NameField id="guest-name" value=rejected_name(BecomeGuest::PATH) />
            <button class="button primary" type="submit">
                "Continue to the call"
            </button>
        </form>
    }
}

#[component]
fn Lobby(token: String, room: CallRoom, name: String, created_by: String) -> impl IntoView {
    let (calls, loader, socket) = (use_calls(), use_calls_loader(), use_socket());
    let title = room.title.clone();
    let room = StoredValue::new(room);
    // The preview opens by itself: the person came to join.
    Effect::new(move || {
        socket.connect(format!("/call/{token}/ws"));
        loader.join_group_call(room.get_value());
    });
    let is_connecting = move || {
        calls
            .state()
            .with(|call_state| call_state.is_in_call() || call_state.preview().is_some())
    };
    let signed_out_message = move || match socket.status().get() {
        SocketStatus::Closed(code) if code == CloseCode::SignedOut.code() => Some(
            "You are no longer in this call: it is over, or the link was revoked. Ask for a new link.",
        ),
        SocketStatus::Closed(_) => Some("This page is no longer connected. Reload to continue."),
        SocketStatus::Idle
        | SocketStatus::Connecting
        | SocketStatus::Connected
        | SocketStatus::Reconnecting => None,
    };
    view! {
        <h1>"Call in " <bdi>{title}</bdi></h1>
        <p>
            "You are " <strong>
                <bdi>{name}</bdi>
            </strong> ", a guest in this call. " <bdi>{created_by}</bdi> " invites you."
        </p>
        <noscript>
            <p>"Calls need JavaScript. Allow it for this page, then reload."</p>
        </noscript>
        <div role="status">
            {move || signed_out_message().map(|message| view! { <Notice kind=NoticeKind::Info>{message}</Notice> })}
        </div>
        <Show when=move || signed_out_message().is_none()>
            <p>
                <button
                    type="button"
                    class="button primary"
                    disabled=is_connecting
                    on:click=move |_| loader.join_group_call(room.get_value())
                >
                    <Icon name=Glyph::Video />
                    "Join the call"
                </button>
            </p>
        </Show>
    }
}
