//! Forms that work before the page is live, and without it ever becoming so.
//!
//! A plain form posts to a server function, which on failure redirects back with the failure in the address:
//! `?__path=/fn/sign_in&__err=…` (`server_fn`'s `ServerFnUrlError`). Each form shows only what its own function said.
//!
//! A form whose answer would be a new document ends what lives in the page. Where that matters, [`Posting`] posts it from
//! within the page once that is live.

use super::notice::{Notice, NoticeKind};
use crate::protocol::failure::Failure;
use leptos::{
    ev::SubmitEvent, form::FromFormData, prelude::*, server_fn::error::ServerFnUrlError,
    task::spawn_local,
};
use leptos_router::{hooks::use_query_map, params::ParamsMap};
use std::future::Future;

/// What the function at `path` said when this page's form was posted to it, read from the page's address.
fn failure_from_query(query: &ParamsMap, path: &str) -> Option<Failure> {
    if query.get_str("__path") != Some(path) {
        return None;
    }
    query
        .get_str("__err")
        .map(ServerFnUrlError::<Failure>::decode_err)
}

/// What became of a form that was posted from within the page.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
enum SubmissionState {
    /// It was not.
    #[default]
    NotSubmitted,
    /// The server has not answered.
    InFlight,
    /// It was done.
    Done,
    /// It was not done, and why.
    Refused(Failure),
}

/// Posts a plain form from within a live page, so that a call and files on their way go on; where the function redirects to is
/// opened as by a link. Without JavaScript, and before the page is live, the browser posts the form. A handle: copy it freely.
#[derive(Debug, Clone, Copy)]
pub struct FormSubmission(RwSignal<SubmissionState>);

impl FormSubmission {
    /// Nothing was posted yet.
    pub fn new() -> Self {
        Self(RwSignal::default())
    }

    /// Posts the form of a submit event in the browser's stead: `call` is the server function, given what was filled in. While
    /// one post is under way, another does nothing.
    pub fn submit<F, C>(self, event: &SubmitEvent, call: impl FnOnce(F) -> C)
    where
        F: FromFormData,
        C: Future<Output = Result<(), Failure>> + 'static,
    {
        // Otherwise the browser posts it, and the server says what it does not understand.
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
            // The form may be gone by then.
            let _ = self.0.try_set(posted);
        });
    }

    /// Why the last post was refused, or what `earlier` says if there was none.
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

/// Shows why a plain form was refused. Stands inside the form, above its fields.
#[component]
pub fn FormFailure(
    /// The address the form posts to, such as `SignIn::PATH`.
    path: &'static str,
    /// How it is posted once the page is live, if not by the browser.
    #[prop(optional)]
    submission: Option<FormSubmission>,
) -> impl IntoView {
    let query = use_query_map();
    let failure = Memo::new(move |_| {
        let in_address = || query.with(|query| failure_from_query(query, path));
        match submission {
            Some(posting) => posting.failure(in_address),
            None => in_address(),
        }
    });
    move || {
        failure
            .get()
            .map(|failure| view! { <Notice kind=NoticeKind::Error>{failure.to_string()}</Notice> })
    }
}

/// A line to fill in, with its label, and a hint that a screen reader finds from it.
#[component]
pub fn Field(
    /// What is asked for.
    #[prop(into)]
    label: String,
    /// The name it is posted under.
    name: &'static str,
    /// The element's id; the name if left out. Give one where two forms of a page use the same name.
    #[prop(optional)]
    id: Option<&'static str>,
    /// The `type` of the input: `"text"` if left out.
    #[prop(default = "text")]
    kind: &'static str,
    /// What it holds at first.
    #[prop(optional, into)]
    value: String,
    /// Whether it may not be left empty.
    #[prop(optional)]
    required: bool,
    /// The `autocomplete` token (HTML section 4.10.18.7).
    #[prop(optional)]
    autocomplete: Option<&'static str>,
    /// At least so many characters.
    #[prop(optional)]
    minlength: Option<usize>,
    /// At most so many characters.
    #[prop(optional)]
    maxlength: Option<usize>,
    /// What helps to fill it in.
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

    /// The address that `server_fn` sends a browser back to.
    fn redirect_address(referer: &str, path: &str, failure: Failure) -> String {
        ServerFnUrlError::new(path, failure)
            .to_url(referer)
            .unwrap()
            .to_string()
    }

    /// The query of an address as the router reads it.
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
