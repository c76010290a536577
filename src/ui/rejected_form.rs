//! A plain form that the server refused is rendered again as it was typed.
//!
//! Its address is that of its own page with the function in the query, which `serve::plain_forms` reads.

use crate::protocol::failure::Failure;
use leptos::prelude::*;
use leptos_router::hooks::use_query_map;
use serde::{Deserialize, Serialize};

/// The query parameter that names the server function.
pub const FORM_PARAMETER: &str = "form";
/// Of the answer to an earlier form.
const ANSWER_PARAMETERS: [&str; 3] = ["done", "__path", "__err"];

/// A refused form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RejectedForm {
    /// Of the server function.
    pub path: String,
    pub failure: Failure,
    /// Names and values, without passwords.
    pub fields: Vec<(String, String)>,
}

#[derive(Debug, Clone, Copy)]
struct RenderedForm(StoredValue<Option<RejectedForm>>);

impl RejectedForm {
    /// Provides the refused form of this page, until the page is hydrated: forms that are opened later start empty.
    pub fn provide() {
        let known = || use_context::<Option<Self>>().flatten();
        let rendered = StoredValue::new(SharedValue::new(known).into_inner());
        provide_context(RenderedForm(rendered));
        // Effects run after hydration.
        Effect::new(move || rendered.set_value(None));
    }
}

fn with_rejected<T>(path: &str, read: impl FnOnce(&RejectedForm) -> Option<T>) -> Option<T> {
    let RenderedForm(rendered) = use_context()?;
    rendered.with_value(|form| read(form.as_ref().filter(|form| form.path == path)?))
}

/// Why the server refused the form of the function at `path`.
#[must_use]
pub fn rejected_failure(path: &str) -> Option<Failure> {
    with_rejected(path, |form| Some(form.failure.clone()))
}

/// What was typed into a field of a refused form.
#[must_use]
pub fn rejected_value(path: &str, field: &str) -> Option<String> {
    with_rejected(path, |form| {
        let (_, value) = form.fields.iter().find(|(name, _)| name == field)?;
        Some(value.clone())
    })
}

/// Where a plain form posts for the function at `path`: to its own page.
pub fn form_action(path: &'static str) -> impl Fn() -> String + Clone + Send + Sync + 'static {
    let query = use_query_map();
    move || {
        let mut query = query.get();
        for answer in ANSWER_PARAMETERS {
            query.remove(answer);
        }
        query.remove(FORM_PARAMETER);
        query.insert(FORM_PARAMETER, path.to_owned());
        query.to_query_string()
    }
}

/// HTML parsers drop a leading line break of a `textarea`. A child node would render an empty text as a space.
#[must_use]
pub fn textarea_content(text: &str) -> String {
    let escaped = text
        .replace("\r\n", "\n")
        .replace('&', "&amp;")
        .replace('<', "&lt;");
    if escaped.starts_with('\n') {
        format!("\n{escaped}")
    } else {
        escaped
    }
}

#[cfg(test)]
mod tests {
    use super::textarea_content;

    #[test]
    fn what_was_typed_stays_inside_the_text_area() {
        assert_eq!(textarea_content("a"), "a");
        assert_eq!(textarea_content(""), "");
        assert_eq!(textarea_content("\r\na\r\nb"), "\n\na\nb");
        assert_eq!(
            textarea_content("</textarea><script>"),
            "&lt;/textarea>&lt;script>"
        );
        assert_eq!(textarea_content("&lt;"), "&amp;lt;");
    }
}
