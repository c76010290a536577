//! `/signin`: pick a name, sign in, or become the administrator.
//!
//! Not an `ActionForm`: a new session needs a new document ([`crate::ui::form`]).

use super::{
    api::{ClaimAdmin, PickName, SignIn},
    use_viewer,
    viewer::CurrentUser,
};
use crate::{
    model::{limits, text_limit::TextLimit},
    ui::{
        form::{Field, FormFailure},
        rejected_form::{form_action, rejected_value},
    },
};
use leptos::{either::EitherOf3, prelude::*};
use leptos_meta::Title;
use leptos_router::hooks::use_query_map;
use server_fn::ServerFn;
use uuid::Uuid;

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

#[component]
fn SignInForms(next: String) -> impl IntoView {
    let sign_in_next = next.clone();
    view! {
        <h1>"Who are you?"</h1>
        <div class="columns">
            <form class="card form" method="post" action=form_action(PickName::PATH)>
                <h2>"Pick a name"</h2>
                <p class="quiet-text">"That is all you need to chat and make calls."</p>
                <FormFailure path=PickName::PATH />
                <input type="hidden" name="next" value=next />
                // Hydration keeps the server-rendered value.
                <input type="hidden" name="request" value=Uuid::new_v4().to_string() />
                <NameField id="pick-name" value=rejected_name(PickName::PATH) />
                <button class="button primary" type="submit">
                    "Join"
                </button>
            </form>
            <form class="card form" method="post" action=form_action(SignIn::PATH)>
                <h2>"Sign in"</h2>
                <p class="quiet-text">"If you have set a password for your name."</p>
                <FormFailure path=SignIn::PATH />
                <input type="hidden" name="next" value=sign_in_next />
                <Field
                    label="Name"
                    name="name"
                    id="signin-name"
                    value=rejected_name(SignIn::PATH)
                    autocomplete="username"
                    limit=TextLimit::NAME
                    required=true
                />
                <Field
                    label="Password"
                    name="password"
                    id="signin-password"
                    kind="password"
                    autocomplete="current-password"
                    required=true
                />
                <button class="button" type="submit">
                    "Sign in"
                </button>
            </form>
        </div>
    }
}

#[component]
fn ClaimAdminForm(claim: String) -> impl IntoView {
    view! {
        <h1>"Welcome to your Rialto"</h1>
        <form class="card form" method="post" action=form_action(ClaimAdmin::PATH)>
            <h2>"Become the administrator"</h2>
            <p class="quiet-text">
                "This link works once. It creates an account that can publish, create rooms and assign roles."
            </p>
            <FormFailure path=ClaimAdmin::PATH />
            <input type="hidden" name="claim" value=claim />
            <NameField id="claim-name" value=rejected_name(ClaimAdmin::PATH) />
            <NewPasswordField id="claim-password" />
            <button class="button primary" type="submit">
                "Become the administrator"
            </button>
        </form>
    }
}

/// The name in a refused form; empty in a new one.
#[must_use]
pub fn rejected_name(path: &str) -> String {
    rejected_value(path, "name").unwrap_or_default()
}

#[component]
pub fn NameField(id: &'static str, #[prop(optional, into)] value: String) -> impl IntoView {
    let hint = format!(
        "Visible to everyone. Up to {} characters.",
        limits::MAX_NAME_CHARS
    );
    view! {
        <Field
            label="Name"
            name="name"
            id=id
            value=value
            autocomplete="nickname"
            limit=TextLimit::NAME
            required=true
            hint=hint
        />
    }
}

#[component]
pub fn NewPasswordField(id: &'static str) -> impl IntoView {
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
