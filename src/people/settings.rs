//! `/settings`: name, theme, password and signing out.

use super::{
    RequireSession,
    api::{ChangeName, SetPassword, SetTheme, SignOut, change_name, set_theme},
    signin::{NameField, NewPasswordField},
    viewer::CurrentUser,
};
use crate::{
    model::user::Role,
    ui::{
        build::BuildTracker,
        form::{Field, FormFailure, FormSubmission},
        notice::{Notice, NoticeKind},
    },
};
use leptos::prelude::*;
use leptos_meta::Title;
use leptos_router::hooks::use_query_map;
use serde::{Deserialize, Serialize};
use server_fn::ServerFn;

/// The theme of this browser. The server reads it from a cookie, and the page carries it as a shared value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Theme(pub String);

impl Theme {
    pub fn provide() {
        let known = || use_context().unwrap_or_else(|| Self("system".to_owned()));
        let Self(known) = SharedValue::new(known).into_inner();
        provide_context(CurrentTheme(RwSignal::new(known)));
    }
}

#[derive(Debug, Clone, Copy)]
struct CurrentTheme(RwSignal<String>);

impl CurrentTheme {
    /// Applies a theme without a reload. Browser only.
    fn apply(self, theme: String) {
        let root = web_sys::window()
            .and_then(|window| window.document())
            .and_then(|document| document.document_element());
        if let Some(root) = root {
            // A valid attribute name is never refused.
            let _ = match theme.as_str() {
                "system" => root.remove_attribute("data-theme"),
                theme => root.set_attribute("data-theme", theme),
            };
        }
        self.0.set(theme);
    }
}

#[component]
pub fn SettingsPage(
    /// Sections added by other modules.
    more: ViewFnOnce,
) -> impl IntoView {
    view! {
        <Title text="Settings" />
        <RequireSession
            what="Pick a name to change settings."
            children=|me: CurrentUser| view! { <Settings me more /> }.into_any()
        />
    }
}

#[component]
fn Settings(me: CurrentUser, more: ViewFnOnce) -> impl IntoView {
    let query = use_query_map();
    let done = move || {
        query
            .read()
            .get("done")
            .and_then(|done| match done.as_str() {
                "name" => {
                    Some("Name changed. Other open pages show the new name after you reload them.")
                }
                "password" => Some("Password set. You were signed out everywhere else."),
                "theme" => Some("Theme changed"),
                _ => None,
            })
    };
    // A reload shows the change everywhere. While reloads are blocked, as in a call, the page submits the form itself.
    let build = expect_context::<BuildTracker>();
    let (name_submission, theme_submission) = (FormSubmission::new(), FormSubmission::new());
    let change_name = move |event| {
        if build.is_reload_blocked() {
            name_submission.submit(&event, |ChangeName { name }| change_name(name));
        }
    };
    let chosen = expect_context::<CurrentTheme>();
    let change_theme = move |event| {
        if build.is_reload_blocked() {
            theme_submission.submit(&event, move |SetTheme { theme }| async move {
                set_theme(theme.clone()).await?;
                chosen.apply(theme);
                Ok(())
            });
        }
    };
    let is_guest = me.person.role == Role::Guest;
    view! {
        <div class="page settings">
            <h1>"Settings"</h1>
            {move || done().map(|text| view! { <Notice kind=NoticeKind::Ok>{text}</Notice> })}
            <form class="card form" method="post" action=ChangeName::url() on:submit=change_name>
                <h2>"Name"</h2>
                <FormFailure path=ChangeName::PATH submission=name_submission />
                <NameField id="rename" value=me.person.name.to_string() />
                <button class="button" type="submit">"Change name"</button>
            </form>
            <form class="card form" method="post" action=SetTheme::url() on:submit=change_theme>
                <h2>"Appearance"</h2>
                <FormFailure path=SetTheme::PATH submission=theme_submission />
                <fieldset class="choices">
                    <legend>"Theme on this device"</legend>
                    <ThemeChoice value="system" label="System" />
                    <ThemeChoice value="light" label="Light" />
                    <ThemeChoice value="dark" label="Dark" />
                </fieldset>
                <button class="button" type="submit">"Use this theme"</button>
            </form>
            {more.run()}
            <form class="card form" method="post" action=SetPassword::url()>
                <h2>"Password"</h2>
                <p class="quiet-text">
                    {if is_guest {
                        "You are a guest: your name works in this browser only. Set a password to sign in anywhere."
                    } else {
                        "Changing it signs you out everywhere else."
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
                                "Without a password you cannot sign in with this name again. To keep it, set a password first."
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
    let CurrentTheme(chosen) = expect_context();
    view! {
        <label class="choice">
            <input type="radio" name="theme" value=value checked=chosen.get_untracked() == value />
            <span>{label}</span>
        </label>
    }
}
