//! Inviting guests to a group call: creating and revoking links.

use crate::{
    calls::{
        api::{GuestLinkSummary, create_guest_link, list_guest_links, revoke_guest_link},
        client::use_calls,
    },
    model::{CallId, GuestLinkId},
    protocol::failure::Failure,
    ui::{
        browser,
        notice::{Notice, NoticeKind},
        time::{LocalTime, TimeStyle},
    },
};
use js_sys::Reflect;
use leptos::{html, prelude::*};
use wasm_bindgen_futures::{JsFuture, spawn_local};

/// The lifetimes of a link to choose from, in hours.
const LIFETIME_CHOICES: [(u32, &str); 3] = [(1, "1 hour"), (24, "1 day"), (7 * 24, "1 week")];

/// State of the guest links panel. A `Copy` handle.
#[derive(Debug, Clone, Copy)]
struct GuestLinksState {
    call: CallId,
    links: RwSignal<Vec<GuestLinkSummary>>,
    /// The URL of the link that was just created.
    new_link: RwSignal<Option<(GuestLinkId, String)>>,
    failure: RwSignal<Option<Failure>>,
    is_creating: RwSignal<bool>,
    /// Number of list requests. Only the response to the latest one is used, because an older one misses later
    /// changes.
    load_count: RwSignal<u32>,
}

impl GuestLinksState {
    fn load_links(self) {
        // The component may be unmounted before the response arrives.
        let load_number = self.load_count.try_update(|asked| {
            *asked += 1;
            *asked
        });
        spawn_local(async move {
            let found = list_guest_links(self.call).await;
            if self.load_count.try_get_untracked() != load_number {
                return;
            }
            match found {
                Ok(known) => drop(self.links.try_set(known)),
                Err(failure) => drop(self.failure.try_set(Some(failure))),
            }
        });
    }

    fn create_link(self, hours: u32) {
        if self.is_creating.get_untracked() {
            return;
        }
        self.is_creating.set(true);
        self.failure.set(None);
        spawn_local(async move {
            let made = create_guest_link(self.call, hours).await;
            self.is_creating.try_set(false);
            match made {
                Ok(made) => {
                    let id = made.link.id;
                    self.links.try_update(|known| known.insert(0, made.link));
                    self.new_link.try_set(Some((id, absolute_url(&made.path))));
                    self.load_links();
                }
                Err(failure) => drop(self.failure.try_set(Some(failure))),
            }
        });
    }

    fn revoke_link(self, link: GuestLinkId) {
        self.failure.set(None);
        spawn_local(async move {
            match revoke_guest_link(self.call, link).await {
                // `NotFound`: another participant has revoked it.
                Ok(()) | Err(Failure::NotFound { .. }) => {
                    self.links
                        .try_update(|known| known.retain(|known| known.id != link));
                    self.new_link.try_update(|fresh| {
                        fresh.take_if(|(id, _)| *id == link);
                    });
                    self.load_links();
                }
                Err(failure) => drop(self.failure.try_set(Some(failure))),
            }
        });
    }
}

/// The absolute URL of a link.
fn absolute_url(path: &str) -> String {
    let origin = web_sys::window().and_then(|window| window.location().origin().ok());
    format!("{}{path}", origin.unwrap_or_default())
}

/// Creates links, and lists the existing ones.
#[component]
pub fn GuestLinks(
    /// The call to invite to.
    call: CallId,
) -> impl IntoView {
    let links = GuestLinksState {
        call,
        links: RwSignal::default(),
        new_link: RwSignal::default(),
        failure: RwSignal::default(),
        is_creating: RwSignal::default(),
        load_count: RwSignal::default(),
    };
    let hours = RwSignal::new(LIFETIME_CHOICES[0].0);
    // A new participant may be a guest, so the list is reloaded.
    let scene = use_calls().state();
    let members = Memo::new(move |_| {
        scene.with(|scene| {
            scene
                .active_group_call()
                .map(|gathered| gathered.view.participants.len())
        })
    });
    Effect::new(move || {
        let _ = members.get();
        links.load_links();
    });
    let choose = move |event| {
        if let Ok(chosen) = event_target_value(&event).parse() {
            hours.set(chosen);
        }
    };
    view! {
        <section class="call-guests" aria-label="Guests">
            <p class="small-text">
                "Anyone with the link can join this call as a guest, and sees nothing else of this site. It expires with the call."
            </p>
            <div class="call-guests-line">
                <label for="guest-hours">"Valid for"</label>
                <select id="guest-hours" on:change=choose>
                    {LIFETIME_CHOICES
                        .map(|(value, label)| view! { <option value=value.to_string()>{label}</option> })
                        .collect_view()}
                </select>
                <button type="button" class="button small" disabled=move || links.is_creating.get() on:click=move |_| links.create_link(hours.get_untracked())>
                    "Create link"
                </button>
            </div>
            {move || links.failure.get().map(|failure| view! { <Notice kind=NoticeKind::Error>{failure.to_string()}</Notice> })}
            {move || links.new_link.get().map(|(_, address)| view! { <NewLinkField address /> })}
            <ul role="list">
                <For each=move || links.links.get() key=|link| (link.id, link.guests.len()) let:link>
                    <li class="call-guests-line">
                        <GuestLinkItem link links />
                    </li>
                </For>
            </ul>
        </section>
    }
}

/// An existing link: its creator, expiry and guests.
#[component]
fn GuestLinkItem(link: GuestLinkSummary, links: GuestLinksState) -> impl IntoView {
    let about = format!("guest-link-{}", link.id);
    let end = format!("{about}-end");
    let labels = format!("{end} {about}");
    let expired = link.expires_at <= browser::now();
    let until = if expired {
        view! { "no longer valid" }.into_any()
    } else {
        view! { "valid until " <LocalTime at=link.expires_at style=TimeStyle::DayTime /> }
            .into_any()
    };
    let guests = (!link.guests.is_empty()).then(|| {
        view! {
            ". Joined with it: "
            <bdi>{link.guests.join(", ")}</bdi>
        }
    });
    view! {
        <span id=about>
            "Created by "
            <bdi>{link.created_by}</bdi>
            ", "
            {until}
            {guests}
        </span>
        <button type="button" class="button small" id=end aria-labelledby=labels on:click=move |_| links.revoke_link(link.id)>
            "Revoke link"
        </button>
    }
}

/// The link that was just created. Its URL is shown only now.
#[component]
fn NewLinkField(address: String) -> impl IntoView {
    let field = NodeRef::<html::Input>::new();
    let copied = RwSignal::new(None);
    let address = StoredValue::new(address);
    let copy = move |_| {
        spawn_local(async move {
            let done = copy_to_clipboard(&address.get_value()).await;
            if !done && let Some(field) = field.get_untracked() {
                field.select();
            }
            copied.try_set(Some(done));
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

/// Copies a text to the clipboard. False if the browser refuses.
async fn copy_to_clipboard(text: &str) -> bool {
    let Some(navigator) = web_sys::window().map(|window| window.navigator()) else {
        return false;
    };
    // Pages without https have no clipboard.
    let has = Reflect::get(&navigator, &"clipboard".into()).is_ok_and(|it| it.is_object());
    has && JsFuture::from(navigator.clipboard().write_text(text))
        .await
        .is_ok()
}
