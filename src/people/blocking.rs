//! Blocking people, and the list of those who are blocked.

use super::{
    api::{BlockPerson, UnblockPerson, list_blocked_people},
    viewer::use_viewer,
};
use crate::{
    model::{UserId, user::Person},
    ui::{
        avatar::Avatar,
        form::{ActionFailure, ActionOutcome, SubmitButton, on_success},
        refetch::FetchFailure,
    },
};
use leptos::prelude::*;

/// A form that blocks a person.
#[component]
pub fn BlockButton(person: Person) -> impl IntoView {
    let viewer = use_viewer();
    let block = ServerAction::<BlockPerson>::new();
    on_success(block, move |BlockPerson { person }| {
        viewer.set_blocked(person, true);
    });
    view! {
        <ActionForm action=block>
            <input type="hidden" name="person" value=person.id.to_string() />
            <SubmitButton
                pending=block.pending()
                pending_text="Blocking…"
                class="button small danger"
                label=format!("Block {}", person.name)
            >
                "Block"
            </SubmitButton>
        </ActionForm>
        <ActionFailure action=block />
    }
}

/// A form that ends a block.
#[component]
pub fn UnblockButton(person: UserId, #[prop(into)] name: String) -> impl IntoView {
    let viewer = use_viewer();
    let unblock = ServerAction::<UnblockPerson>::new();
    on_success(unblock, move |UnblockPerson { person }| {
        viewer.set_blocked(person, false);
    });
    view! {
        <ActionForm action=unblock>
            <input type="hidden" name="person" value=person.to_string() />
            <SubmitButton
                pending=unblock.pending()
                pending_text="Unblocking…"
                class="button small"
                label=format!("Unblock {name}")
            >
                "Unblock"
            </SubmitButton>
        </ActionForm>
        <ActionFailure action=unblock />
    }
}

/// The people whom the user has blocked, as a section of the settings.
#[component]
pub fn BlockedPeople() -> impl IntoView {
    let viewer = use_viewer();
    let blocked = Memo::new(move |_| {
        viewer
            .signal()
            .with(|me| me.as_ref().map(|me| me.settings.blocked.clone()))
    });
    // Of plain forms.
    let block = ServerAction::<BlockPerson>::new();
    let unblock = ServerAction::<UnblockPerson>::new();
    let people = Resource::new_blocking(move || blocked.get(), |_| list_blocked_people());
    view! {
        <section class="card stack" id="blocked" aria-labelledby="blocked-heading">
            <h2 id="blocked-heading">"Blocked people"</h2>
            <p class="quiet-text">
                "They cannot call you or write to you alone, and you do not see what they write in rooms. They are not told. To block somebody, choose their name above a message."
            </p>
            <ActionOutcome action=block done="block" success="Blocked" />
            <ActionOutcome action=unblock done="unblock" success="Unblocked" />
            <Transition>
                {move || Suspend::new(async move {
                    match people.await {
                        Ok(people) if people.is_empty() => view! { <p>"You have blocked nobody."</p> }.into_any(),
                        Ok(people) => {
                            view! {
                                <ul class="rows">
                                    {people
                                        .into_iter()
                                        .map(|person| {
                                            let (id, name) = (person.id, person.name.to_string());
                                            view! {
                                                <li class="row">
                                                    <Avatar person />
                                                    <span class="row-name" dir="auto">
                                                        {name.clone()}
                                                    </span>
                                                    <UnblockButton person=id name />
                                                </li>
                                            }
                                        })
                                        .collect_view()}
                                </ul>
                            }
                                .into_any()
                        }
                        Err(failure) => view! { <FetchFailure failure resource=people /> }.into_any(),
                    }
                })}
            </Transition>
        </section>
    }
}
