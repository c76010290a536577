//! `/settings`: name, theme, password and signing out.

use super::{
    RequireSession,
    api::{ChangeName, SetPassword, SetTheme, SignOut, password_exists},
    blocking::BlockedPeople,
    call_settings::CallSettings,
    signin::{NameField, NewPasswordField},
    use_viewer,
    viewer::CurrentUser,
};
use crate::{
    model::user::{Role, UserName},
    ui::{
        form::{ActionOutcome, Field, FormFailure, SubmitButton, on_answer, on_success},
        rejected_form::rejected_value,
    },
};
use leptos::{html, prelude::*};
use leptos_meta::Title;
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
    /// Sections of other modules.
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
    on_answer(set_password, move |_, answer| match answer {
        Ok(()) => {
            viewer.update(CurrentUser::gain_password);
            if let Some(form) = password_form.get_untracked() {
                form.reset();
            }
        }
        // The password was set in another tab.
        Err(failure) if failure == password_exists() => viewer.update(CurrentUser::gain_password),
        Err(_) => {}
    });
    let has_password = Memo::new(move |_| {
        viewer
            .signal()
            .with(|me| me.as_ref().is_some_and(|me| me.has_password))
    });
    let name =
        rejected_value(ChangeName::PATH, "name").unwrap_or_else(|| me.person.name.to_string());
    let is_guest = move || {
        viewer
            .signal()
            .with(|me| me.as_ref().is_some_and(|me| me.person.role == Role::Guest))
    };
    view! {
        <div class="page settings">
            <h1>"Settings"</h1>
            <ActionForm action=change_name attr:class="card form">
                <h2>"Name"</h2>
                <ActionOutcome
                    action=change_name
                    done="name"
                    success="Name changed. Other open pages show the new name after you reload them."
                />
                <NameField id="rename" value=name />
                <SubmitButton pending=change_name.pending() path=ChangeName::PATH>
                    "Change name"
                </SubmitButton>
            </ActionForm>
            <ActionForm action=set_theme attr:class="card form">
                <h2>"Appearance"</h2>
                <ActionOutcome action=set_theme done="theme" success="Theme changed" />
                <fieldset class="choices">
                    <legend>"Theme on this device"</legend>
                    <ThemeChoice value="system" label="System" />
                    <ThemeChoice value="light" label="Light" />
                    <ThemeChoice value="dark" label="Dark" />
                </fieldset>
                <SubmitButton pending=set_theme.pending()>"Use this theme"</SubmitButton>
            </ActionForm>
            <CallSettings />
            {more.run()}
            <BlockedPeople />
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
                <ActionOutcome
                    action=set_password
                    done="password"
                    success="Password set. You were signed out everywhere else."
                />
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
