//! How the last call ended, and calling back.

use super::{client::use_calls, files::FileList};
use crate::{
    model::call::{Outcome, outcome_text},
    ui::icon::{Glyph, Icon},
};
use leptos::prelude::*;

/// How the last call ended.
#[component]
pub fn FarewellCard() -> impl IntoView {
    let calls = use_calls();
    let scene = calls.scene();
    let farewell = Memo::new(move |_| scene.with(|scene| scene.farewell().cloned()));
    let call_back = move |_| {
        if let Some(farewell) = farewell.get_untracked() {
            calls.place(farewell.with, farewell.media);
        }
    };
    view! {
        <section class="call-card call-farewell" aria-labelledby="call-title" tabindex="-1">
            {move || {
                farewell
                    .get()
                    .map(|farewell| {
                        let text = outcome_text(farewell.outcome, farewell.side, farewell.media, farewell.lasted);
                        let why = (farewell.outcome == Outcome::Failed).then(|| calls.trouble().get()).flatten();
                        view! {
                            <h2 id="call-title">{farewell.with.name.to_string()}</h2>
                            <p class="call-outcome">{text}</p>
                            {why.map(|why| view! { <p class="call-why">{why}</p> })}
                        }
                    })
            }}
            <FileList />
            <div class="call-answers">
                <button type="button" class="button primary" on:click=call_back>
                    <Icon name=Glyph::Phone />
                    "Call back"
                </button>
                <button type="button" class="button" on:click=move |_| calls.leave()>
                    "Close"
                </button>
            </div>
        </section>
    }
}
