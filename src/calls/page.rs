//! `/calls`: whom one can call now, and the calls there were.

use super::{
    api::{PastCall, list_past_calls, list_people_here},
    client::use_calls,
};
use crate::{
    model::{
        call::{Media, Side, outcome_text},
        user::{Person, Presence},
    },
    people::{Me, NeedsName, Unlisted, use_people, use_reach},
    protocol::ws::Present,
    ui::{
        again::{Failed, ask_again_online},
        avatar::Avatar,
        icon::{Glyph, Icon},
        presence,
        time::{LocalTime, TimeStyle},
        wait::Pending,
    },
};
use leptos::{either::Either, prelude::*};
use leptos_meta::Title;

/// The page.
#[component]
pub fn CallsPage() -> impl IntoView {
    view! {
        <Title text="Calls" />
        <NeedsName
            what="Calls are between people with a name."
            children=|me| view! { <Overview me /> }.into_any()
        />
    }
}

#[component]
fn Overview(me: Me) -> impl IntoView {
    let calls = use_calls();
    let here = Resource::new_blocking(|| (), |()| list_people_here());
    let past = Resource::new_blocking(move || calls.over().get(), |_| list_past_calls());
    ask_again_online(here);
    ask_again_online(past);
    let live = RwSignal::new(false);
    Effect::new(move || live.set(true));
    view! {
        <div class="page calls">
            <div class="page-header">
                <h1>"Calls"</h1>
            </div>
            <p class="call-needs" class:is-live=move || live.get()>
                "Calling needs JavaScript. What is on this page can be read without it."
            </p>
            <section aria-labelledby="calls-here">
                <h2 id="calls-here">"Here now"</h2>
                <Suspense fallback=|| view! { <Pending label="Looking who is here…" /> }>
                    {move || {
                        let me = me.clone();
                        Suspend::new(async move {
                            match here.await {
                                Ok(rendered) => Either::Left(view! { <PeopleHere rendered me live /> }),
                                Err(failure) => Either::Right(view! { <Failed failure asked=here /> }),
                            }
                        })
                    }}
                </Suspense>
            </section>
            <section aria-labelledby="calls-past">
                <h2 id="calls-past">"Past calls"</h2>
                <Transition fallback=|| view! { <Pending label="Loading your calls…" /> }>
                    {move || Suspend::new(async move {
                        match past.await {
                            Ok(past) => Either::Left(view! { <PastCalls past live /> }),
                            Err(failure) => Either::Right(view! { <Failed failure asked=past /> }),
                        }
                    })}
                </Transition>
            </section>
        </div>
    }
}

/// Everybody else who is here or away: as the server rendered them, then as they come and go.
#[component]
fn PeopleHere(rendered: Vec<Present>, me: Me, live: RwSignal<bool>) -> impl IntoView {
    let people = use_people();
    let list = Memo::new(move |_| {
        let mut list = people.present().get();
        // Oneself is always among them once the socket is greeted.
        if list.is_empty() {
            return rendered.clone();
        }
        list.retain(|present| present.person.id != me.person.id);
        list
    });
    let nobody = move || list.with(Vec::is_empty);
    view! {
        <ul class="call-list" role="list" hidden=nobody>
            <For each=move || list.get() key=|present| present.person.clone() let:present>
                <PersonRow person=present.person list live />
            </For>
        </ul>
        <Unlisted />
        <Show when=nobody>
            <div class="empty">
                <Icon name=Glyph::People />
                <p>"Nobody else is here now. Whoever opens Rialto appears here at once."</p>
            </div>
        </Show>
    }
}

/// One of them. Whether they are here or away changes in place, so that nobody loses the button they are about to press.
#[component]
fn PersonRow(person: Person, list: Memo<Vec<Present>>, live: RwSignal<bool>) -> impl IntoView {
    let name = person.name.to_string();
    let id = person.id;
    let presence = move || {
        list.with(|list| {
            let present = list.iter().find(|present| present.person.id == id);
            presence::words(present.map_or(Presence::Gone, |present| present.presence))
        })
    };
    view! {
        <li>
            <Avatar person=person.clone() />
            <span class="call-row-text">
                <span class="call-row-name" dir="auto">{name}</span>
                <span class="quiet-text small-text">{presence}</span>
            </span>
            <CallButtons person live />
        </li>
    }
}

#[component]
fn PastCalls(past: Vec<PastCall>, live: RwSignal<bool>) -> impl IntoView {
    if past.is_empty() {
        return view! {
            <div class="empty">
                <Icon name=Glyph::Calls />
                <p>"No calls yet. Call somebody who is here, or choose a person in the chat."</p>
                <p>
                    <a class="button" href="/chat">
                        "Go to the chat"
                    </a>
                </p>
            </div>
        }
        .into_any();
    }
    let rows = past
        .into_iter()
        .map(|call| view! { <PastRow call live /> })
        .collect_view();
    view! {
        <ul class="call-list" role="list">
            {rows}
        </ul>
    }
    .into_any()
}

#[component]
fn PastRow(call: PastCall, live: RwSignal<bool>) -> impl IntoView {
    let text = outcome_text(call.outcome, call.side, call.media, call.lasted);
    let missed = call.outcome.is_missed(call.side);
    let glyph = match call.media {
        Media::Voice => Glyph::Phone,
        Media::Video => Glyph::Video,
    };
    let direction = match call.side {
        Side::Caller => "to",
        Side::Callee => "from",
    };
    let name = call.with.name.to_string();
    let reach = use_reach();
    let label = format!("Call {name} back");
    let (with, media) = (call.with.clone(), call.media);
    view! {
        <li class:is-missed=missed>
            <span class="call-row-icon">
                <Icon name=glyph />
            </span>
            <span class="call-row-text">
                <span class="visually-hidden">{direction} " "</span>
                <span class="call-row-name" dir="auto">
                    {name}
                </span>
                <span class="small-text call-row-outcome">{text}</span>
            </span>
            <span class="quiet-text small-text call-row-time">
                <LocalTime at=call.at style=TimeStyle::DayTime />
            </span>
            <button
                type="button"
                class="button small"
                aria-label=label
                disabled=move || !live.get()
                on:click=move |_| reach.call.run((with.clone(), media))
            >
                "Call back"
            </button>
        </li>
    }
}

/// Voice and video. They wait for the page to be live: a call needs it.
#[component]
fn CallButtons(person: Person, live: RwSignal<bool>) -> impl IntoView {
    let reach = use_reach();
    let (voice, video) = (person.clone(), person.clone());
    let (voice_label, video_label) = (
        format!("Call {}", person.name),
        format!("Video call {}", person.name),
    );
    view! {
        <button
            type="button"
            class="icon-button"
            aria-label=voice_label
            disabled=move || !live.get()
            on:click=move |_| reach.call.run((voice.clone(), Media::Voice))
        >
            <Icon name=Glyph::Phone />
        </button>
        <button
            type="button"
            class="icon-button"
            aria-label=video_label
            disabled=move || !live.get()
            on:click=move |_| reach.call.run((video.clone(), Media::Video))
        >
            <Icon name=Glyph::Video />
        </button>
    }
}
