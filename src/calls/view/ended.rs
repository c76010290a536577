//! The summary of an ended call, and calling back.

use super::file_transfers::FileTransferList;
use crate::{
    calls::client::{lazy::use_calls_loader, use_calls},
    model::call::{Outcome, outcome_text},
    ui::icon::{Glyph, Icon},
};
use leptos::prelude::*;

/// Summary of the last call.
#[component]
pub fn EndedCard() -> impl IntoView {
    let (calls, loader) = (use_calls(), use_calls_loader());
    let call_state = calls.state();
    let ended_call =
        Memo::new(move |_| call_state.with(|call_state| call_state.ended_call().cloned()));
    let call_back = move |_| {
        if let Some(ended_call) = ended_call.get_untracked() {
            loader.call_person(ended_call.person, ended_call.media);
        }
    };
    view! {
        <section class="call-card call-ended" aria-labelledby="call-title" tabindex="-1">
            {move || {
                ended_call
                    .get()
                    .map(|ended_call| {
                        let text = outcome_text(
                            ended_call.outcome,
                            ended_call.side,
                            ended_call.media,
                            ended_call.duration,
                        );
                        let why = (ended_call.outcome == Outcome::Failed)
                            .then(|| calls.error_message().get())
                            .flatten();
                        view! {
                            <h2 id="call-title">{ended_call.person.name.to_string()}</h2>
                            <p class="call-outcome">{text}</p>
                            {why.map(|why| view! { <p class="call-why">{why}</p> })}
                        }
                    })
            }}
            <FileTransferList />
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
