//! Inviting guests to a group call.

use crate::{
    calls::{
        api::{CreateGuestLink, GuestLinkSummary, NewGuestLink, RevokeGuestLink, list_guest_links},
        client::use_calls,
    },
    model::CallId,
    protocol::failure::Failure,
    ui::{
        browser, browser_apis,
        form::{SubmitButton, on_answer},
        notice::{Notice, NoticeKind},
        time::{LocalTime, TimeStyle},
    },
};
use leptos::{html, prelude::*, task::spawn_local_scoped_with_cancellation};
use wasm_bindgen_futures::JsFuture;

/// In hours.
const LIFETIME_CHOICES: [(u32, &str); 3] = [(1, "1 hour"), (24, "1 day"), (7 * 24, "1 week")];

fn absolute_url(path: &str) -> String {
    let origin = web_sys::window().and_then(|window| window.location().origin().ok());
    format!("{}{path}", origin.unwrap_or_default())
}

/// Creates links, and lists the existing ones.
#[component]
pub fn GuestLinks(call: CallId) -> impl IntoView {
    let create = ServerAction::<CreateGuestLink>::new();
    let revoke = ServerAction::<RevokeGuestLink>::new();
    // A new participant may be a guest, so the list is fetched again.
    let state = use_calls().state();
    let participants = Memo::new(move |_| {
        state.with(|state| {
            let group = state.active_group_call();
            group.map(|group| group.view.participants.len())
        })
    });
    let fetched = LocalResource::new(move || {
        participants.track();
        create.version().track();
        revoke.version().track();
        list_guest_links(call)
    });
    let links = Memo::new(move |known: Option<&Vec<_>>| match fetched.get() {
        Some(Ok(links)) => links,
        Some(Err(_)) | None => known.cloned().unwrap_or_default(),
    });
    // A later failure does not hide the new link, whose URL cannot be fetched again.
    let new_link = RwSignal::new(None);
    Effect::new(move || {
        if let Some(Ok(created)) = create.value().get() {
            new_link.set(Some(created));
            revoke.clear();
        }
    });
    on_answer(revoke, move |revoked, answer| {
        // Another participant may have revoked it.
        if !matches!(answer, Ok(()) | Err(Failure::NotFound { .. })) {
            return;
        }
        create.clear();
        new_link.update(|known: &mut Option<NewGuestLink>| {
            known.take_if(|shown| shown.link.id == revoked.link);
        });
    });
    let new_address = move || Some(absolute_url(&new_link.get()?.path));
    let failure = move || {
        let is_shown = |failure: &Failure| !matches!(failure, Failure::NotFound { .. });
        let revoked = revoke.value().get().and_then(Result::err);
        let created = create.value().get().and_then(Result::err);
        let listed = fetched.get().and_then(Result::err);
        revoked.filter(is_shown).or(created).or(listed)
    };
    view! {
        <section class="call-guests" aria-label="Guests">
            <p class="small-text">
                "Anyone with the link can join this call as a guest, and sees nothing else of this site. It expires with the call."
            </p>
            <ActionForm action=create attr:class="call-guests-line">
                <input type="hidden" name="call" value=call.to_string() />
                <label for="guest-hours">"Valid for"</label>
                <select id="guest-hours" name="hours">
                    {LIFETIME_CHOICES
                        .map(|(value, label)| view! { <option value=value.to_string()>{label}</option> })
                        .collect_view()}
                </select>
                <SubmitButton class="button small" pending=create.pending() pending_text="Creating the link…">
                    "Create link"
                </SubmitButton>
            </ActionForm>
            {move || failure().map(|failure| view! { <Notice kind=NoticeKind::Error>{failure.to_string()}</Notice> })}
            {move || new_address().map(|address| view! { <NewLinkField address /> })}
            <ul role="list">
                <For each=move || links.get() key=|link| (link.id, link.guests.len()) let:link>
                    <li class="call-guests-line">
                        <GuestLinkItem call link revoke />
                    </li>
                </For>
            </ul>
        </section>
    }
}

#[component]
fn GuestLinkItem(
    call: CallId,
    link: GuestLinkSummary,
    revoke: ServerAction<RevokeGuestLink>,
) -> impl IntoView {
    let description_id = format!("guest-link-{}", link.id);
    let button_id = format!("{description_id}-end");
    let labelled_by = format!("{button_id} {description_id}");
    let expired = link.expires_at <= browser::now();
    let until = if expired {
        view! { "no longer valid" }.into_any()
    } else {
        view! {
            "valid until "
            <LocalTime at=link.expires_at style=TimeStyle::DayTime />
        }
        .into_any()
    };
    let guests = (!link.guests.is_empty()).then(|| {
        view! {
            ". Joined with it: "
            <bdi>{link.guests.join(", ")}</bdi>
        }
    });
    view! {
        <span id=description_id>"Created by " <bdi>{link.created_by}</bdi> ", " {until} {guests}</span>
        <button
            type="button"
            class="button small"
            id=button_id
            aria-labelledby=labelled_by
            aria-disabled=move || revoke.pending().get().then_some("true")
            on:click=move |_| {
                if !revoke.pending().get_untracked() {
                    revoke
                        .dispatch(RevokeGuestLink {
                            call,
                            link: link.id,
                        });
                }
            }
        >
            "Revoke link"
        </button>
    }
}

#[component]
fn NewLinkField(address: String) -> impl IntoView {
    let field = NodeRef::<html::Input>::new();
    let copied = RwSignal::new(None);
    let address = StoredValue::new(address);
    let copy = move |_| {
        spawn_local_scoped_with_cancellation(async move {
            let done = copy_to_clipboard(&address.get_value()).await;
            if !done && let Some(field) = field.get_untracked() {
                field.select();
            }
            copied.set(Some(done));
        });
    };
    view! {
        <div class="call-guests-line">
            <input
                class="call-guests-link"
                node_ref=field
                readonly
                aria-label="Guest link"
                value=address.get_value()
                on:focus=move |_| {
                    if let Some(field) = field.get_untracked() {
                        field.select();
                    }
                }
            />
            <button type="button" class="button small primary" on:click=copy>
                {move || if copied.get() == Some(true) { "Copied" } else { "Copy" }}
            </button>
        </div>
        <p class="small-text" role="status">
            {move || match copied.get() {
                None => "This link is shown only once. Send it to the person you invite.",
                Some(true) => "Copied. Send it to the person you invite.",
                Some(false) => "Your browser blocked copying. The link is selected: copy it yourself.",
            }}
        </p>
    }
}

/// False if the browser refuses.
async fn copy_to_clipboard(text: &str) -> bool {
    match browser_apis::clipboard() {
        Some(clipboard) => JsFuture::from(clipboard.write_text(text)).await.is_ok(),
        None => false,
    }
}
