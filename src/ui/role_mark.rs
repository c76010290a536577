//! Roles beside names, so that nobody passes for an administrator by a name alone.

use crate::model::user::Role;
use leptos::prelude::*;

/// A mark of editors and administrators; nothing for others.
#[component]
pub fn RoleMark(role: Role) -> impl IntoView {
    let word = match role {
        Role::Guest | Role::Member => return None,
        Role::Editor => "Editor",
        Role::Admin => "Admin",
    };
    Some(view! { <span class="role-mark">{word}</span> })
}
