//! `/settings`: name, theme, password and signing out.

use super::{
    RequireSession,
    api::{ChangeName, SetPassword, SetTheme, SignOut},
    signin::{NameField, NewPasswordField},
    use_viewer,
    viewer::CurrentUser,
};
use crate::{
    model::user::{Role, UserName},
    ui::{
        form::{Field, FormFailure, SubmitButton, on_success},
        notice::{Notice, NoticeKind},
    },
};
use leptos::{html, prelude::*};
use leptos_meta::Title;
use leptos_router::hooks::use_query_map;
use serde::{Deserialize, Serialize};
use server_fn::ServerFn;

/// A cookie of this browser.
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
    /// Without a reload. Browser only.
    fn apply(self, theme: String) {
        let root = web_sys::window()
            .and_then(|window| window.document())
            .and_then(|document| document.document_element());
        if let Some(root) = root {
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
    let viewer = use_viewer();
    let chosen = expect_context::<CurrentTheme>();
    let change_name = ServerAction::<ChangeName>::new();
    let set_theme = ServerAction::<SetTheme>::new();
    let set_password = ServerAction::<SetPassword>::new();
    let password_form = NodeRef::<html::Form>::new();
    on_success(change_name, move |ChangeName { name }| {
        if let Ok(name) = UserName::new(&name) {
            viewer.update(|me| me.person.name = name);
        }
    });
    on_success(set_theme, move |SetTheme { theme }| chosen.apply(theme));
    on_success(set_password, move |_| {
        viewer.update(CurrentUser::gain_password);
        if let Some(form) = password_form.get_untracked() {
            form.reset();
        }
    });
    let has_password = Memo::new(move |_| {
        viewer
            .signal()
            .with(|me| me.as_ref().is_some_and(|me| me.has_password))
    });
    let is_guest = move || {
        viewer
            .signal()
            .with(|me| me.as_ref().is_some_and(|me| me.person.role == Role::Guest))
    };
    view! {
        <div class="page settings">
            <h1>"Settings"</h1>
            <div aria-live="polite">
                {move || done().map(|text| view! { <Notice kind=NoticeKind::Ok>{text}</Notice> })}
            </div>
            <ActionForm action=change_name attr:class="card form">
                <h2>"Name"</h2>
                <FormFailure path=ChangeName::PATH outcome=change_name.value() />
                <NameField id="rename" value=me.person.name.to_string() />
                <SubmitButton pending=change_name.pending()>"Change name"</SubmitButton>
            </ActionForm>
            <ActionForm action=set_theme attr:class="card form">
                <h2>"Appearance"</h2>
                <FormFailure path=SetTheme::PATH outcome=set_theme.value() />
                <fieldset class="choices">
                    <legend>"Theme on this device"</legend>
                    <ThemeChoice value="system" label="System" />
                    <ThemeChoice value="light" label="Light" />
                    <ThemeChoice value="dark" label="Dark" />
                </fieldset>
                <SubmitButton pending=set_theme.pending()>"Use this theme"</SubmitButton>
            </ActionForm>
            {more.run()}
            <ActionForm action=set_password node_ref=password_form attr:class="card form">
                <h2>"Password"</h2>
                <p class="quiet-text">
                    {move || {
                        if is_guest() {
                            "You are a guest: your name works in this browser only. Set a password to sign in anywhere."
                        } else {
                            "Changing it signs you out everywhere else."
                        }
                    }}
                </p>
                <FormFailure path=SetPassword::PATH outcome=set_password.value() />
                <Show when=move || has_password.get()>
                    <Field
                        label="Current password"
                        name="current"
                        id="current-password"
                        kind="password"
                        autocomplete="current-password"
                        required=true
                    />
                </Show>
                <NewPasswordField id="new-password" />
                <SubmitButton pending=set_password.pending()>"Set password"</SubmitButton>
            </ActionForm>
            <form class="card form" method="post" action=SignOut::url()>
                <h2>"Sign out"</h2>
                <FormFailure path=SignOut::PATH />
                <Show when=move || !has_password.get()>
                    <p class="quiet-text">
                        "Without a password you cannot sign in with this name again. To keep it, set a password first."
                    </p>
                </Show>
                <button class="button danger" type="submit">
                    "Sign out"
                </button>
            </form>
            {(me.person.role == Role::Admin)
                .then(|| {
                    view! {
                        <p>
                            <a class="button" href="/admin">
                                "Administration"
                            </a>
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
