//! `/signin`: pick a name, sign in with a password, or, with the one-time link, become the administrator.

use super::{
    api::{ClaimAdmin, PickName, SignIn},
    use_viewer,
    viewer::CurrentUser,
};
use crate::{
    model::limits,
    ui::form::{Field, FormFailure},
};
use leptos::{either::EitherOf3, prelude::*};
use leptos_meta::Title;
use leptos_router::hooks::use_query_map;
use server_fn::ServerFn;
use uuid::Uuid;

/// The page.
#[component]
pub fn SigninPage() -> impl IntoView {
    let viewer = use_viewer();
    let query = use_query_map();
    let next = move || {
        query
            .read()
            .get("next")
            .unwrap_or_else(|| "/chat".to_owned())
    };
    let claim = move || query.read().get("claim");
    view! {
        <Title text="Sign in" />
        <div class="page">
            {move || match (claim(), viewer.current_user()) {
                (Some(claim), _) => EitherOf3::A(view! { <ClaimAdminForm claim /> }),
                (None, Some(me)) => EitherOf3::B(view! { <AlreadySignedIn me /> }),
                (None, None) => EitherOf3::C(view! { <SignInForms next=next() /> }),
            }}
        </div>
    }
}

/// For somebody who has a session already.
#[component]
fn AlreadySignedIn(me: CurrentUser) -> impl IntoView {
    view! {
        <h1>"You are " {me.person.name.to_string()}</h1>
        <p>
            <a class="button primary" href="/chat">
                "Go to chat"
            </a>
            " "
            <a class="button" href="/settings">
                "Change your name or sign out"
            </a>
        </p>
    }
}

/// For somebody without a session.
#[component]
fn SignInForms(next: String) -> impl IntoView {
    let sign_in_next = next.clone();
    view! {
        <h1>"Who are you?"</h1>
        <div class="columns">
            <form class="card form" method="post" action=PickName::url()>
                <h2>"Pick a name"</h2>
                <p class="quiet-text">"That is all it takes to chat and to call."</p>
                <FormFailure path=PickName::PATH />
                <input type="hidden" name="next" value=next />
                // Hydration leaves the server's value as it is.
                <input type="hidden" name="request" value=Uuid::new_v4().to_string() />
                <NameField id="pick-name" />
                <button class="button primary" type="submit">"Join"</button>
            </form>
            <form class="card form" method="post" action=SignIn::url()>
                <h2>"Sign in"</h2>
                <p class="quiet-text">"If you gave your name a password before."</p>
                <FormFailure path=SignIn::PATH />
                <input type="hidden" name="next" value=sign_in_next />
                <Field label="Name" name="name" id="signin-name" autocomplete="username" required=true />
                <Field
                    label="Password"
                    name="password"
                    id="signin-password"
                    kind="password"
                    autocomplete="current-password"
                    required=true
                />
                <button class="button" type="submit">"Sign in"</button>
            </form>
        </div>
    }
}

/// For whoever opens the one-time link.
#[component]
fn ClaimAdminForm(claim: String) -> impl IntoView {
    view! {
        <h1>"Welcome to your Rialto"</h1>
        <form class="card form" method="post" action=ClaimAdmin::url()>
            <h2>"Become the administrator"</h2>
            <p class="quiet-text">
                "This link works once. The account it makes can publish, make rooms and decide what others may do."
            </p>
            <FormFailure path=ClaimAdmin::PATH />
            <input type="hidden" name="claim" value=claim />
            <NameField id="claim-name" />
            <NewPasswordField id="claim-password" />
            <button class="button primary" type="submit">"Become the administrator"</button>
        </form>
    }
}

/// A field for a name.
#[component]
pub fn NameField(
    /// The id of the input.
    id: &'static str,
    /// What it holds at first.
    #[prop(optional, into)]
    value: String,
) -> impl IntoView {
    let hint = format!(
        "Others see it. {} characters at most.",
        limits::MAX_NAME_CHARS
    );
    view! {
        <Field
            label="Name"
            name="name"
            id=id
            value=value
            autocomplete="nickname"
            maxlength=limits::MAX_NAME_CHARS
            required=true
            hint=hint
        />
    }
}

/// A field for a new password.
#[component]
pub fn NewPasswordField(
    /// The id of the input.
    id: &'static str,
) -> impl IntoView {
    let hint = format!("At least {} characters.", limits::MIN_PASSWORD_CHARS);
    view! {
        <Field
            label="New password"
            name="password"
            id=id
            kind="password"
            autocomplete="new-password"
            minlength=limits::MIN_PASSWORD_CHARS
            required=true
            hint=hint
        />
    }
}
