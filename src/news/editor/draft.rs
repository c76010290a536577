//! Drafts in session storage.

use crate::{
    model::{UserId, story::Urgency},
    news::{api::StoryInput, client::use_news},
    ui::{browser, notice::Notice},
};
use leptos::{
    html::{Form, Input, Textarea},
    prelude::*,
};

/// The author's id is appended.
const DRAFT_KEY_PREFIX: &str = "rialto.news.draft";

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum DraftState {
    Absent,
    Restored(StoryInput),
    Discarded(StoryInput),
}

/// Only the browser calls its methods.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct FormFields {
    /// In the storage key, so that the tab's next user does not see the draft.
    pub(super) author: Option<UserId>,
    pub(super) form: NodeRef<Form>,
    pub(super) headline: NodeRef<Input>,
    pub(super) body: NodeRef<Textarea>,
    pub(super) topic: NodeRef<Input>,
    pub(super) normal_radio: NodeRef<Input>,
    pub(super) breaking_radio: NodeRef<Input>,
}

impl FormFields {
    fn storage_key(&self) -> String {
        let author = self.author.map(|id| id.to_string()).unwrap_or_default();
        format!("{DRAFT_KEY_PREFIX}.{author}")
    }

    fn load_draft(&self) -> Option<StoryInput> {
        browser::session_storage_get(&self.storage_key())
            .and_then(|draft| serde_json::from_str(&draft).ok())
    }

    /// An empty form removes the draft.
    pub(super) fn save_draft(&self, typed: &StoryInput) {
        if *typed == StoryInput::new(typed.request_id) {
            self.remove_draft();
        } else if let Ok(json) = serde_json::to_string(typed) {
            browser::session_storage_set(&self.storage_key(), &json);
        }
    }

    pub(super) fn remove_draft(&self) {
        browser::session_storage_remove(&self.storage_key());
    }

    pub(super) fn read_input(&self, request: uuid::Uuid) -> Option<StoryInput> {
        let urgency = if self.breaking_radio.get_untracked()?.checked() {
            Urgency::Breaking
        } else {
            Urgency::Normal
        };
        Some(StoryInput {
            headline: self.headline.get_untracked()?.value(),
            body: self.body.get_untracked()?.value(),
            topic: self.topic.get_untracked()?.value(),
            urgency: urgency.as_str().to_owned(),
            request_id: request,
        })
    }

    pub(super) fn fill_form(&self, typed: &StoryInput) {
        let breaking = typed.urgency == Urgency::Breaking.as_str();
        for (radio, checked) in [
            (self.normal_radio, !breaking),
            (self.breaking_radio, breaking),
        ] {
            if let Some(radio) = radio.get_untracked() {
                radio.set_checked(checked);
            }
        }
        for (input, value) in [(self.headline, &typed.headline), (self.topic, &typed.topic)] {
            if let Some(input) = input.get_untracked() {
                input.set_value(value);
                browser::dispatch_input(&input);
            }
        }
        if let Some(body) = self.body.get_untracked() {
            body.set_value(&typed.body);
            browser::dispatch_input(&body);
        }
    }
}

/// `typed` is what the form was rendered with.
pub(super) fn restore_draft(fields: FormFields, typed: StoryInput) -> RwSignal<DraftState> {
    let live = use_news();
    let draft_state = RwSignal::new(DraftState::Absent);
    on_cleanup(move || live.set_writing(false));
    Effect::new(move || {
        // Tracked: the form may not be mounted yet.
        if fields.form.get().is_none() {
            return;
        }
        let Some(now) = fields.read_input(typed.request_id) else {
            return;
        };
        let is_empty = now == StoryInput::new(typed.request_id);
        if !is_empty {
            live.set_writing(true);
            fields.save_draft(&now);
        } else if let Some(draft) = fields.load_draft() {
            fields.fill_form(&draft);
            live.set_writing(true);
            draft_state.set(DraftState::Restored(draft));
        }
    });
    draft_state
}

#[component]
pub(super) fn DraftNotice(draft_state: RwSignal<DraftState>, fields: FormFields) -> impl IntoView {
    let live = use_news();
    let put = move |typed: &StoryInput, writing: bool| {
        fields.fill_form(typed);
        fields.save_draft(typed);
        live.set_writing(writing);
    };
    let words = move || match draft_state.get() {
        DraftState::Absent => None,
        DraftState::Restored(draft) => Some(("Draft restored.", "Discard draft", draft, true)),
        DraftState::Discarded(draft) => Some(("Draft discarded.", "Restore draft", draft, false)),
    };
    view! {
        <div role="status" class="restored-draft">
            {move || {
                words()
                    .map(|(said, offered, draft, is_restored)| {
                        let switch = move |_| {
                            let draft = draft.clone();
                            if is_restored {
                                put(&StoryInput::new(draft.request_id), false);
                                draft_state.set(DraftState::Discarded(draft));
                            } else {
                                put(&draft, true);
                                draft_state.set(DraftState::Restored(draft));
                            }
                        };
                        view! {
                            <Notice>
                                <p>
                                    {said} " " <button type="button" class="link-button" on:click=switch>
                                        {offered}
                                    </button>
                                </p>
                            </Notice>
                        }
                    })
            }}
        </div>
    }
}
