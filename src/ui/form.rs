//! Forms that work before hydration and without JavaScript.
//!
//! A plain form posts to a server function, which on failure redirects back with the failure in the address:
//! `?__path=/fn/sign_in&__err=…` (`server_fn`'s `ServerFnUrlError`). Each form shows only its own function's failure.
//!
//! A plain post loads a new document and ends everything that runs in the page. Where that matters, [`FormSubmission`]
//! posts the form by script once the page is hydrated.

use super::notice::{Notice, NoticeKind};
use crate::protocol::failure::Failure;
use leptos::{
    ev::SubmitEvent, form::FromFormData, prelude::*, server_fn::error::ServerFnUrlError,
    task::spawn_local,
};
use leptos_router::{hooks::use_query_map, params::ParamsMap};
use std::future::Future;

/// Reads the failure of the function at `path` from the page's query.
fn failure_from_query(query: &ParamsMap, path: &str) -> Option<Failure> {
    if query.get_str("__path") != Some(path) {
        return None;
    }
    query
        .get_str("__err")
        .map(ServerFnUrlError::<Failure>::decode_err)
}

/// State of a form submitted by script.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
enum SubmissionState {
    /// Not submitted.
    #[default]
    NotSubmitted,
    /// The server has not answered yet.
    InFlight,
    /// Accepted.
    Done,
    /// Rejected, with the reason.
    Refused(Failure),
}

/// Submits a plain form by script, so that a call and uploads in progress continue; the function's redirect is followed
/// by the router. Without JavaScript, and before hydration, the browser posts the form. A cheap `Copy` handle.
#[derive(Debug, Clone, Copy)]
pub struct FormSubmission(RwSignal<SubmissionState>);

impl FormSubmission {
    /// Creates a state without a submission.
    pub fn new() -> Self {
        Self(RwSignal::default())
    }

    /// Handles a submit event in place of the browser: `call` calls the server function with the form's data. Does
    /// nothing while a submission is in flight.
    pub fn submit<F, C>(self, event: &SubmitEvent, call: impl FnOnce(F) -> C)
    where
        F: FromFormData,
        C: Future<Output = Result<(), Failure>> + 'static,
    {
        // If the data cannot be parsed, the browser posts the form and the server reports the error.
        let Ok(filled_in) = F::from_event(event) else {
            return;
        };
        event.prevent_default();
        if self
            .0
            .with_untracked(|posted| *posted == SubmissionState::InFlight)
        {
            return;
        }
        self.0.set(SubmissionState::InFlight);
        let call = call(filled_in);
        spawn_local(async move {
            let posted = match call.await {
                Ok(()) => SubmissionState::Done,
                Err(failure) => SubmissionState::Refused(failure),
            };
            // The form may be unmounted by then.
            let _ = self.0.try_set(posted);
        });
    }

    /// The failure of the last submission, or the one from the address if there was no submission.
    fn failure(self, from_address: impl FnOnce() -> Option<Failure>) -> Option<Failure> {
        match self.0.get() {
            SubmissionState::NotSubmitted => from_address(),
            SubmissionState::InFlight | SubmissionState::Done => None,
            SubmissionState::Refused(failure) => Some(failure),
        }
    }
}

impl Default for FormSubmission {
    fn default() -> Self {
        Self::new()
    }
}

/// Shows the failure of a plain form. Place it inside the form, above its fields.
#[component]
pub fn FormFailure(
    /// The address the form posts to, for example `SignIn::PATH`.
    path: &'static str,
    /// The submission state, if the form is submitted by script.
    #[prop(optional)]
    submission: Option<FormSubmission>,
    /// The outcome of the form's action, if it has one.
    #[prop(optional, into)]
    outcome: Option<Signal<Option<Result<(), Failure>>>>,
) -> impl IntoView {
    let query = use_query_map();
    let failure = Memo::new(move |_| {
        let in_address = || query.with(|query| failure_from_query(query, path));
        let outcome = outcome.and_then(|outcome| outcome.get());
        match (submission, outcome) {
            (_, Some(outcome)) => outcome.err(),
            (Some(posting), None) => posting.failure(in_address),
            (None, None) => in_address(),
        }
    });
    move || {
        failure
            .get()
            .map(|failure| view! { <Notice kind=NoticeKind::Error>{failure.to_string()}</Notice> })
    }
}

/// A single-line form field with a label and an optional hint, linked by `aria-describedby`.
#[component]
pub fn Field(
    /// The label.
    #[prop(into)]
    label: String,
    /// The `name` of the input.
    name: &'static str,
    /// The `id` of the input; `name` if omitted. Needed where two forms of a page use the same name.
    #[prop(optional)]
    id: Option<&'static str>,
    /// The `type` of the input; `"text"` if omitted.
    #[prop(default = "text")]
    kind: &'static str,
    /// The initial value.
    #[prop(optional, into)]
    value: String,
    /// Whether the field is required.
    #[prop(optional)]
    required: bool,
    /// The `autocomplete` token (HTML section 4.10.18.7).
    #[prop(optional)]
    autocomplete: Option<&'static str>,
    /// Minimum length, in characters.
    #[prop(optional)]
    minlength: Option<usize>,
    /// Maximum length, in characters.
    #[prop(optional)]
    maxlength: Option<usize>,
    /// The hint below the field.
    #[prop(optional, into)]
    hint: Option<String>,
) -> impl IntoView {
    let id = id.unwrap_or(name);
    let hint_id = format!("{id}-hint");
    let described_by = hint.is_some().then(|| hint_id.clone());
    view! {
        <div class="field">
            <label for=id>{label}</label>
            <input
                id=id
                name=name
                type=kind
                value=value
                required=required
                autocomplete=autocomplete
                minlength=minlength.map(|least| least.to_string())
                maxlength=maxlength.map(|most| most.to_string())
                aria-describedby=described_by
            />
            {hint
                .map(|hint| {
                    view! {
                        <p class="field-hint" id=hint_id>
                            {hint}
                        </p>
                    }
                })}
        </div>
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use leptos_router::location::RequestUrl;

    /// Returns the address that `server_fn` redirects a browser to.
    fn redirect_address(referer: &str, path: &str, failure: Failure) -> String {
        ServerFnUrlError::new(path, failure)
            .to_url(referer)
            .unwrap()
            .to_string()
    }

    /// Parses the query of an address as the router does.
    fn query(address: &str) -> ParamsMap {
        let asked = address.strip_prefix("http://rialto.test").unwrap();
        RequestUrl::new(asked)
            .parse()
            .unwrap()
            .search_params()
            .clone()
    }

    #[test]
    fn a_form_shows_only_what_its_own_function_said() {
        let query = query(&redirect_address(
            "http://rialto.test/signin?to=%2Fchat",
            "/fn/sign_in",
            Failure::RateLimited,
        ));
        assert_eq!(
            failure_from_query(&query, "/fn/sign_in"),
            Some(Failure::RateLimited)
        );
        assert_eq!(failure_from_query(&query, "/fn/pick_name"), None);
        assert_eq!(
            query.get_str("to"),
            Some("/chat"),
            "the rest of the address stays"
        );
    }

    #[test]
    fn the_newest_failure_is_the_one_that_shows() {
        let first = redirect_address(
            "http://rialto.test/signin",
            "/fn/sign_in",
            Failure::RateLimited,
        );
        let reason = Failure::invalid("Zu kurz: „x“ & 1 + 1 = 50 %");
        let query = query(&redirect_address(&first, "/fn/pick_name", reason.clone()));
        assert_eq!(failure_from_query(&query, "/fn/pick_name"), Some(reason));
        assert_eq!(failure_from_query(&query, "/fn/sign_in"), None);
    }

    #[test]
    fn an_address_that_somebody_made_up_is_no_crash() {
        let query = query("http://rialto.test/signin?__path=/fn/sign_in&__err=%00nonsense");
        assert_eq!(
            failure_from_query(&query, "/fn/sign_in"),
            Some(Failure::Unreachable)
        );
    }
}
