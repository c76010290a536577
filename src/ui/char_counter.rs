//! Says beside a field how much of its text is too long.
//!
//! Instead of `maxlength`, which counts UTF-16 code units and drops the end of what is pasted.

use crate::model::text_limit::TextLimit;
use leptos::{html::ElementType, prelude::*};
use web_sys::{HtmlInputElement, HtmlTextAreaElement};

/// An `input` or a `textarea`.
pub trait TextControl {
    /// As it was typed.
    fn text(&self) -> String;
    /// While it is not empty, the browser shows it instead of submitting the form.
    fn set_problem(&self, problem: &str);
}

impl TextControl for HtmlInputElement {
    fn text(&self) -> String {
        self.value()
    }

    fn set_problem(&self, problem: &str) {
        self.set_custom_validity(problem);
    }
}

impl TextControl for HtmlTextAreaElement {
    fn text(&self) -> String {
        self.value()
    }

    fn set_problem(&self, problem: &str) {
        self.set_custom_validity(problem);
    }
}

/// How much of a field's text is too long; zero before hydration.
#[derive(Debug, Clone, Copy)]
pub struct CharCounter {
    limit: TextLimit,
    excess: RwSignal<usize>,
    is_too_long: Memo<bool>,
}

impl CharCounter {
    #[must_use]
    pub fn new(limit: TextLimit) -> Self {
        let excess = RwSignal::new(0);
        Self {
            limit,
            excess,
            is_too_long: Memo::new(move |_| excess.get() > 0),
        }
    }

    /// Counts the rendered text once the field is mounted.
    pub fn watch<E>(self, field: NodeRef<E>)
    where
        E: ElementType + 'static,
        E::Output: TextControl + Clone + wasm_bindgen::JsCast + 'static,
    {
        Effect::new(move || {
            if let Some(field) = field.get() {
                self.update(&field);
            }
        });
    }

    /// Counts again. Browser only.
    pub fn update(self, field: &impl TextControl) {
        let excess = self.limit.excess(&field.text());
        field.set_problem(&self.words(excess));
        if self.excess.get_untracked() != excess {
            self.excess.set(excess);
        }
    }

    /// As [`Self::update`], from an event handler.
    pub fn update_field<E>(self, field: NodeRef<E>)
    where
        E: ElementType + 'static,
        E::Output: TextControl + Clone + wasm_bindgen::JsCast + 'static,
    {
        if let Some(field) = field.get_untracked() {
            self.update(&field);
        }
    }

    /// Whether the server would refuse the text.
    #[must_use]
    pub fn is_too_long(self) -> bool {
        self.is_too_long.get()
    }

    /// The value of `aria-invalid`.
    #[must_use]
    pub fn aria_invalid(self) -> Option<&'static str> {
        self.is_too_long().then_some("true")
    }

    /// Empty for no excess.
    fn words(self, excess: usize) -> String {
        match excess {
            0 => String::new(),
            excess => self.limit.excess_words(excess),
        }
    }
}

/// The words, to name in `aria-describedby`. Screen readers announce them when the text becomes too long, not with each key.
#[component]
pub fn ExcessNotice(
    counter: CharCounter,
    #[prop(into)] id: String,
    /// What else to do than to shorten the text.
    #[prop(optional)]
    advice: &'static str,
) -> impl IntoView {
    let shown = move || {
        counter.is_too_long().then(|| {
            let words = move || counter.words(counter.excess.get());
            view! { <p class="field-error">{words} {advice}</p> }
        })
    };
    let announced = move || {
        let is_too_long = counter.is_too_long();
        is_too_long.then(|| counter.words(counter.excess.get_untracked()))
    };
    view! {
        <div class="excess-notice" id=id>
            {shown}
        </div>
        <span class="visually-hidden" aria-live="polite">
            {announced}
        </span>
    }
}
