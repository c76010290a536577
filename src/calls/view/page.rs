//! `/calls`: the people who can be called now, and past calls.

use crate::{
    calls::{
        api::{PastCall, list_past_calls, list_present_people},
        client::use_calls,
    },
    model::{
        UserId,
        call::{Media, Side, outcome_text},
        user::Person,
    },
    people::{CurrentUser, RequireSession, UnlistedCount, use_call_actions, use_presence},
    ui::{
        avatar::Avatar,
        icon::{Glyph, Icon},
        loading::LoadingIndicator,
        presence,
        refetch::{FetchFailure, refetch_on_reconnect},
        time::{LocalTime, TimeStyle},
    },
};
use leptos::{either::Either, prelude::*};
use leptos_meta::Title;

/// The page.
#[component]
pub fn CallsPage() -> impl IntoView {
    view! {
        <Title text="Calls" />
        <RequireSession what="Pick a name to make calls." children=|me| view! { <Overview me /> }.into_any() />
    }
}

#[component]
fn Overview(me: CurrentUser) -> impl IntoView {
    let (calls, people) = (use_calls(), use_presence());
    let here = Resource::new_blocking(|| (), |()| list_present_people());
    let past = Resource::new_blocking(move || calls.ended_count().get(), |_| list_past_calls());
    refetch_on_reconnect(here);
    refetch_on_reconnect(past);
    let is_hydrated = RwSignal::new(false);
    Effect::new(move || is_hydrated.set(true));
    view! {
        <div class="page calls">
            <div class="page-header">
                <h1>"Calls"</h1>
            </div>
            <p class="call-needs" class:is-live=move || is_hydrated.get()>
                "Calls need JavaScript. You can read this page without it."
            </p>
            <section aria-labelledby="calls-here">
                <h2 id="calls-here">"Here now"</h2>
                <Suspense fallback=|| {
                    view! { <LoadingIndicator label="Loading people…" /> }
                }>
                    {move || {
                        let me = me.clone();
                        Suspend::new(async move {
                            match here.await {
                                Ok(fetched) => {
                                    people.take_fetched(&fetched);
                                    Either::Left(view! { <PresentPeople me is_hydrated /> })
                                }
                                Err(failure) => Either::Right(view! { <FetchFailure failure resource=here /> }),
                            }
                        })
                    }}
                </Suspense>
            </section>
            <section aria-labelledby="calls-past">
                <h2 id="calls-past">"Past calls"</h2>
                <Transition fallback=|| {
                    view! { <LoadingIndicator label="Loading your calls…" /> }
                }>
                    {move || Suspend::new(async move {
                        match past.await {
                            Ok(past) => Either::Left(view! { <PastCalls past is_hydrated /> }),
                            Err(failure) => Either::Right(view! { <FetchFailure failure resource=past /> }),
                        }
                    })}
                </Transition>
            </section>
        </div>
    }
}

#[component]
fn PresentPeople(me: CurrentUser, is_hydrated: RwSignal<bool>) -> impl IntoView {
    let others = use_presence().others(me.person.id);
    let nobody = move || others.with(Vec::is_empty);
    view! {
        <ul class="call-list" role="list" hidden=nobody>
            <For each=move || others.get() key=|id| *id let:id>
                <PersonRow id is_hydrated />
            </For>
        </ul>
        <UnlistedCount />
        <Show when=nobody>
            <div class="empty">
                <Icon name=Glyph::People />
                <p>"Nobody else is here right now. People appear here as soon as they open Rialto."</p>
            </div>
        </Show>
    }
}

/// Presence changes in place, so that a button does not move before it is pressed.
#[component]
fn PersonRow(id: UserId, is_hydrated: RwSignal<bool>) -> impl IntoView {
    let people = use_presence();
    let (person, presence) = (people.person(id), people.presence_of(id));
    let row = move |person: Person| {
        view! {
            <Avatar person=person.clone() />
            <span class="call-row-text">
                <span class="call-row-name" dir="auto">
                    {person.name.to_string()}
                </span>
                <span class="quiet-text small-text">{move || presence::presence_label(presence.get())}</span>
            </span>
            <CallButtons person is_hydrated />
        }
    };
    view! { <li>{move || person.get().map(row)}</li> }
}

#[component]
fn PastCalls(past: Vec<PastCall>, is_hydrated: RwSignal<bool>) -> impl IntoView {
    if past.is_empty() {
        return view! {
            <div class="empty">
                <Icon name=Glyph::Calls />
                <p>"No calls yet. Call someone who is here, or pick a person in chat."</p>
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
        .map(|call| view! { <PastRow call is_hydrated /> })
        .collect_view();
    view! {
        <ul class="call-list" role="list">
            {rows}
        </ul>
    }
    .into_any()
}

#[component]
fn PastRow(call: PastCall, is_hydrated: RwSignal<bool>) -> impl IntoView {
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
    let name = call.peer.name.to_string();
    let call_actions = use_call_actions();
    let label = format!("Call {name} back");
    let (peer, media) = (call.peer.clone(), call.media);
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
                <LocalTime at=call.started_at style=TimeStyle::DayTime />
            </span>
            <button
                type="button"
                class="button small"
                aria-label=label
                disabled=move || !is_hydrated.get()
                on:click=move |_| call_actions.start_call.run((peer.clone(), media))
            >
                "Call back"
            </button>
        </li>
    }
}

#[component]
fn CallButtons(person: Person, is_hydrated: RwSignal<bool>) -> impl IntoView {
    let call_actions = use_call_actions();
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
            disabled=move || !is_hydrated.get()
            on:click=move |_| call_actions.start_call.run((voice.clone(), Media::Voice))
        >
            <Icon name=Glyph::Phone />
        </button>
        <button
            type="button"
            class="icon-button"
            aria-label=video_label
            disabled=move || !is_hydrated.get()
            on:click=move |_| call_actions.start_call.run((video.clone(), Media::Video))
        >
            <Icon name=Glyph::Video />
        </button>
    }
}
