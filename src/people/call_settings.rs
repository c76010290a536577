//! Who may call, and how calls connect: a section of the settings.

use super::{api::SetCallSettings, viewer::use_viewer};
use crate::{
    model::user::{CallsFrom, PersonalSettings},
    ui::form::{ActionOutcome, SubmitButton, on_success},
};
use leptos::prelude::*;

fn label(from: CallsFrom) -> &'static str {
    match from {
        CallsFrom::Everyone => "Everyone",
        CallsFrom::Members => "Members: everyone but guests",
        CallsFrom::Contacts => "People I have written to",
        CallsFrom::Nobody => "Nobody",
    }
}

/// The form of the settings about calls.
#[component]
pub fn CallSettings() -> impl IntoView {
    let viewer = use_viewer();
    let save = ServerAction::<SetCallSettings>::new();
    on_success(save, move |saved| {
        viewer.update(|me| {
            if let Ok(from) = saved.calls_from.parse() {
                me.settings.calls_from = from;
            }
            me.settings.relay_only = saved.relay_only;
        });
    });
    // Untracked: another page's change must not undo a choice that is not saved.
    let settings = viewer.current_user().map(|me| me.settings);
    let PersonalSettings {
        calls_from,
        relay_only,
        ..
    } = settings.unwrap_or_default();
    view! {
        <ActionForm action=save attr:class="card form">
            <h2>"Calls"</h2>
            <ActionOutcome action=save done="calls" success="Saved" />
            <fieldset class="choices">
                <legend>"Who can call me"</legend>
                {CallsFrom::ALL
                    .into_iter()
                    .map(|from| {
                        view! {
                            <label class="choice">
                                <input type="radio" name="calls_from" value=from.as_str() checked=from == calls_from />
                                <span>{label(from)}</span>
                            </label>
                        }
                    })
                    .collect_view()}
            </fieldset>
            <p class="quiet-text small-text">
                "Whoever may not call you is told that you do not accept their call. They can still write to you."
            </p>
            <label class="choice">
                <input
                    type="checkbox"
                    name="relay_only"
                    value="true"
                    checked=relay_only
                    aria-describedby="relay-only-hint"
                />
                <span>"Hide my network address in calls"</span>
            </label>
            <p class="quiet-text small-text" id="relay-only-hint">
                "From the next call on, everything goes through this site's relay. Otherwise whoever is in a call with you can learn your IP address, which shows roughly where you are. A relayed call may take a little longer to connect."
            </p>
            <SubmitButton pending=save.pending()>"Save"</SubmitButton>
        </ActionForm>
    }
}
