//! `/settings`: name, password, theme, signing out.

use super::{
    NeedsName,
    api::{Rename, SetPassword, SetTheme, SignOut},
    signin::{NameField, NewPasswordField},
    viewer::Me,
};
use crate::{
    model::user::Role,
    ui::{
        form::{Field, FormFailure},
        notice::{Notice, NoticeKind},
    },
};
use leptos::prelude::*;
use leptos_meta::Title;
use leptos_router::hooks::use_query_map;
use serde::{Deserialize, Serialize};
use server_fn::ServerFn;

/// Which theme this browser has chosen: the server knows it from a cookie, and the page carries it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Theme(pub String);

impl Theme {
    /// Makes it available to the whole app.
    pub fn provide() {
        let known = || use_context().unwrap_or_else(|| Self("system".to_owned()));
        provide_context(SharedValue::new(known).into_inner());
    }
}

/// The page.
#[component]
pub fn SettingsPage() -> impl IntoView {
    view! {
        <Title text="Settings" />
        <NeedsName
            what="Settings belong to a name."
            children=|me: Me| view! { <Settings me /> }.into_any()
        />
    }
}

#[component]
fn Settings(me: Me) -> impl IntoView {
    let query = use_query_map();
    let done = move || {
        query
            .read()
            .get("done")
            .and_then(|done| match done.as_str() {
                "name" => {
                    Some("Your name was changed. Pages that are open show it after a reload.")
                }
                "password" => Some("Your password was set. You were signed out everywhere else."),
                "theme" => Some("The theme was changed."),
                _ => None,
            })
    };
    let is_guest = me.person.role == Role::Guest;
    view! {
        <div class="page settings">
            <h1>"Settings"</h1>
            {move || done().map(|text| view! { <Notice kind=NoticeKind::Ok>{text}</Notice> })}
            <form class="card form" method="post" action=Rename::url()>
                <h2>"Name"</h2>
                <FormFailure path=Rename::PATH />
                <NameField id="rename" value=me.person.name.to_string() />
                <button class="button" type="submit">"Change name"</button>
            </form>
            <form class="card form" method="post" action=SetTheme::url()>
                <h2>"Appearance"</h2>
                <FormFailure path=SetTheme::PATH />
                <fieldset class="choices">
                    <legend>"Theme on this device"</legend>
                    <ThemeChoice value="system" label="Like the system" />
                    <ThemeChoice value="light" label="Light" />
                    <ThemeChoice value="dark" label="Dark" />
                </fieldset>
                <button class="button" type="submit">"Use this theme"</button>
            </form>
            <form class="card form" method="post" action=SetPassword::url()>
                <h2>"Password"</h2>
                <p class="quiet-text">
                    {if is_guest {
                        "You are a guest: your name lives in this browser only. With a password you can sign in anywhere."
                    } else {
                        "You are signed out everywhere else when you change it."
                    }}
                </p>
                <FormFailure path=SetPassword::PATH />
                {me
                    .has_password
                    .then(|| {
                        view! {
                            <Field
                                label="Current password"
                                name="current"
                                id="current-password"
                                kind="password"
                                autocomplete="current-password"
                                required=true
                            />
                        }
                    })}
                <NewPasswordField id="new-password" />
                <button class="button" type="submit">"Set password"</button>
            </form>
            <form class="card form" method="post" action=SignOut::url()>
                <h2>"Sign out"</h2>
                <FormFailure path=SignOut::PATH />
                {(!me.has_password)
                    .then(|| {
                        view! {
                            <p class="quiet-text">
                                "Without a password there is no way back to this name. Set one first if you want to keep it."
                            </p>
                        }
                    })}
                <button class="button danger" type="submit">"Sign out"</button>
            </form>
            {(me.person.role == Role::Admin)
                .then(|| {
                    view! {
                        <p>
                            <a class="button" href="/admin">"Administration"</a>
                        </p>
                    }
                })}
        </div>
    }
}

#[component]
fn ThemeChoice(value: &'static str, label: &'static str) -> impl IntoView {
    let Theme(chosen) = expect_context();
    view! {
        <label class="choice">
            <input type="radio" name="theme" value=value checked=chosen == value />
            <span>{label}</span>
        </label>
    }
}
