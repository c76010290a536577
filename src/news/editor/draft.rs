//! What was typed and not published yet: kept by the tab, and put into the form again.

use crate::{
    model::{UserId, story::Urgency},
    news::{api::TypedStory, client::use_news},
    ui::{browser, notice::Notice},
};
use leptos::{
    html::{Form, Input, Textarea},
    prelude::*,
};

/// Under this, and the author's id, a tab keeps what was typed and not published yet.
const DRAFT: &str = "rialto.news.draft";

/// What became of the draft that this tab had kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kept {
    /// There was none.
    Nothing,
    /// It is in the form again.
    Restored(TypedStory),
    /// It was taken out of the form, and can be had back.
    Emptied(TypedStory),
}

/// The form's elements.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Fields {
    /// Who writes: what one person typed is not shown to the next who uses the tab.
    pub(super) author: Option<UserId>,
    pub(super) form: NodeRef<Form>,
    pub(super) headline: NodeRef<Input>,
    pub(super) body: NodeRef<Textarea>,
    pub(super) topic: NodeRef<Input>,
    pub(super) normal: NodeRef<Input>,
    pub(super) breaking: NodeRef<Input>,
}

impl Fields {
    fn key(&self) -> String {
        let author = self.author.map(|id| id.to_string()).unwrap_or_default();
        format!("{DRAFT}.{author}")
    }

    fn draft(&self) -> Option<TypedStory> {
        browser::session_get(&self.key()).and_then(|draft| serde_json::from_str(&draft).ok())
    }

    /// Keeps what is typed for this tab. Browser only.
    pub(super) fn save(&self, typed: &TypedStory) {
        if *typed == TypedStory::new(typed.request) {
            self.forget();
        } else if let Ok(json) = serde_json::to_string(typed) {
            browser::session_set(&self.key(), &json);
        }
    }

    /// What was typed is published. Browser only.
    pub(super) fn forget(&self) {
        browser::session_remove(&self.key());
    }

    /// What is typed now. Browser only.
    pub(super) fn typed(&self, request: uuid::Uuid) -> Option<TypedStory> {
        let urgency = if self.breaking.get_untracked()?.checked() {
            Urgency::Breaking
        } else {
            Urgency::Normal
        };
        Some(TypedStory {
            headline: self.headline.get_untracked()?.value(),
            body: self.body.get_untracked()?.value(),
            topic: self.topic.get_untracked()?.value(),
            urgency: urgency.as_str().to_owned(),
            request,
        })
    }

    /// Fills the form. Browser only.
    pub(super) fn fill(&self, typed: &TypedStory) {
        let breaking = typed.urgency == Urgency::Breaking.as_str();
        for (input, value) in [(self.headline, &typed.headline), (self.topic, &typed.topic)] {
            if let Some(input) = input.get_untracked() {
                input.set_value(value);
            }
        }
        if let Some(body) = self.body.get_untracked() {
            body.set_value(&typed.body);
        }
        for (radio, checked) in [(self.normal, !breaking), (self.breaking, breaking)] {
            if let Some(radio) = radio.get_untracked() {
                radio.set_checked(checked);
            }
        }
    }
}

/// Puts the draft that this tab has kept into an empty form. `typed` is what the form was rendered with.
pub(super) fn keep_draft(fields: Fields, typed: TypedStory) -> RwSignal<Kept> {
    let live = use_news();
    let kept = RwSignal::new(Kept::Nothing);
    on_cleanup(move || live.set_writing(false));
    Effect::new(move || {
        // Tracked: the elements are there once the form is on the page.
        if fields.form.get().is_none() {
            return;
        }
        let Some(now) = fields.typed(typed.request) else {
            return;
        };
        let is_empty = now == TypedStory::new(typed.request);
        if !is_empty {
            live.set_writing(true);
            fields.save(&now);
        } else if let Some(draft) = fields.draft() {
            fields.fill(&draft);
            live.set_writing(true);
            kept.set(Kept::Restored(draft));
        }
    });
    kept
}

/// Says that a draft was restored, and lets one begin with an empty form instead.
#[component]
pub(super) fn KeptDraft(kept: RwSignal<Kept>, fields: Fields) -> impl IntoView {
    let live = use_news();
    let put = move |typed: &TypedStory, writing: bool| {
        fields.fill(typed);
        fields.save(typed);
        live.set_writing(writing);
    };
    let words = move || match kept.get() {
        Kept::Nothing => None,
        Kept::Restored(draft) => Some((
            "What you had typed here before is back.",
            "Begin anew",
            draft,
            true,
        )),
        Kept::Emptied(draft) => Some(("The form is empty.", "Bring the draft back", draft, false)),
    };
    view! {
        <div role="status" class="kept-draft">
            {move || {
                words().map(|(said, offered, draft, is_restored)| {
                    let switch = move |_| {
                        let draft = draft.clone();
                        if is_restored {
                            put(&TypedStory::new(draft.request), false);
                            kept.set(Kept::Emptied(draft));
                        } else {
                            put(&draft, true);
                            kept.set(Kept::Restored(draft));
                        }
                    };
                    view! {
                        <Notice>
                            <p>
                                {said} " "
                                <button type="button" class="link-button" on:click=switch>{offered}</button>
                            </p>
                        </Notice>
                    }
                })
            }}
        </div>
    }
}
