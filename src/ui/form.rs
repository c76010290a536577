//! Forms that work before hydration and without JavaScript.
//!
//! A plain form posts to a server function, which redirects a failure back: `?__path=/fn/sign_in&__err=…` (`ServerFnUrlError`). One with
//! text fields posts to its own page and keeps its input ([`super::rejected_form`]). Forms that change the session stay plain, because the
//! viewer and the live connections belong to the document.

use super::{
    char_counter::{CharCounter, ExcessNotice},
    notice::{Notice, NoticeKind},
    rejected_form::{form_action, rejected_failure},
};
use crate::{model::text_limit::TextLimit, protocol::failure::Failure};
use leptos::{
    ev::MouseEvent,
    html,
    prelude::*,
    server_fn::{ServerFn, error::ServerFnUrlError},
};
use leptos_router::{hooks::use_query_map, params::ParamsMap};

/// Of the function at `path`.
fn failure_from_query(query: &ParamsMap, path: &str) -> Option<Failure> {
    if query.get_str("__path") != Some(path) {
        return None;
    }
    query
        .get_str("__err")
        .map(ServerFnUrlError::<Failure>::decode_err)
}

/// The value of `done`, after a plain form that succeeded.
fn done_from_query(query: &ParamsMap) -> Option<&str> {
    query
        .get_str("done")
        .filter(|_| query.get_str("__err").is_none())
}

/// Shows the failure of a plain form.
#[component]
pub fn FormFailure(
    /// The form's address, such as `SignIn::PATH`.
    path: &'static str,
) -> impl IntoView {
    let query = use_query_map();
    let rejected = rejected_failure(path);
    let failure = Memo::new(move |_| {
        let redirected = query.with(|query| failure_from_query(query, path));
        redirected.or_else(|| rejected.clone())
    });
    failure_notice(failure)
}

/// What a form shows of its action.
#[derive(Debug, Clone, Copy)]
pub struct FormState {
    path: &'static str,
    is_pending: Signal<bool>,
    /// Of the latest answer.
    outcome: Signal<Option<Result<(), Failure>>>,
}

impl<S> From<ServerAction<S>> for FormState
where
    S: ServerFn<Error = Failure> + Clone + Send + Sync + 'static,
    S::Output: Send + Sync + 'static,
{
    fn from(action: ServerAction<S>) -> Self {
        let outcome = move || {
            action.value().with(|answer| {
                let answer = answer.as_ref()?;
                Some(answer.as_ref().map(|_| ()).map_err(Failure::clone))
            })
        };
        Self {
            path: S::PATH,
            is_pending: action.pending().into(),
            outcome: Signal::derive(outcome),
        }
    }
}

/// Shows the failure of an `ActionForm`, none while pending: screen readers announce only changes, and the next failure may be the same.
#[component]
pub fn ActionFailure(#[prop(into)] action: FormState) -> impl IntoView {
    let query = use_query_map();
    let rejected = rejected_failure(action.path);
    let failure = Memo::new(move |_| {
        if action.is_pending.get() {
            return None;
        }
        match action.outcome.get() {
            Some(outcome) => outcome.err(),
            None => query
                .with(|query| failure_from_query(query, action.path))
                .or_else(|| rejected.clone()),
        }
    });
    failure_notice(failure)
}

fn failure_notice(failure: Memo<Option<Failure>>) -> impl IntoView {
    move || {
        failure
            .get()
            .map(|failure| view! { <Notice kind=NoticeKind::Error>{failure.to_string()}</Notice> })
    }
}

/// Shows the success or failure of an `ActionForm`.
#[component]
pub fn ActionOutcome(
    #[prop(into)] action: FormState,
    /// `done` in the address to which the plain form is redirected.
    done: &'static str,
    success: &'static str,
) -> impl IntoView {
    let query = use_query_map();
    let is_done = Memo::new(move |_| {
        !action.is_pending.get()
            && match action.outcome.get() {
                Some(outcome) => outcome.is_ok(),
                None => query.with(|query| done_from_query(query) == Some(done)),
            }
    });
    view! {
        <div class="form-outcome" role="status">
            {move || is_done.get().then(|| view! { <Notice kind=NoticeKind::Ok>{success}</Notice> })}
        </div>
        <ActionFailure action />
    }
}

/// The submit button of an `ActionForm`. It ignores presses while pending; `disabled` would lose the keyboard focus.
#[component]
pub fn SubmitButton(
    #[prop(into)] pending: Signal<bool>,
    /// What screen readers say meanwhile.
    #[prop(default = "Saving…")]
    pending_text: &'static str,
    #[prop(default = "button")] class: &'static str,
    /// The accessible name, if the text alone is ambiguous.
    #[prop(optional, into)]
    label: MaybeProp<String>,
    /// The server function's address, if a plain form is to keep its input when it is refused.
    #[prop(optional)]
    path: Option<&'static str>,
    children: Children,
) -> impl IntoView {
    let form_action = path.map(form_action);
    let attribute = move || pending.get().then_some("true");
    // Enter in a field presses the button too.
    let ignore_repeated = move |event: MouseEvent| {
        if pending.get_untracked() {
            event.prevent_default();
        }
    };
    view! {
        <button
            type="submit"
            class=class
            aria-label=move || label.get()
            aria-busy=attribute
            aria-disabled=attribute
            formaction=form_action
            on:click=ignore_repeated
        >
            {children()}
        </button>
        <span class="visually-hidden" aria-live="polite">
            {move || pending.get().then_some(pending_text)}
        </span>
    }
}

/// Runs `then` with the input of each success. Of overlapping submissions only the last is seen. Browser only.
pub fn on_success<S>(action: ServerAction<S>, then: impl Fn(S) + 'static)
where
    S: ServerFn<Error = Failure> + Clone + Send + Sync + 'static,
    S::Output: Clone + Send + Sync + 'static,
{
    on_answer(action, move |submitted, answer| {
        if answer.is_ok() {
            then(submitted);
        }
    });
}

/// As [`on_success`], for every answer.
pub fn on_answer<S>(action: ServerAction<S>, then: impl Fn(S, Result<S::Output, Failure>) + 'static)
where
    S: ServerFn<Error = Failure> + Clone + Send + Sync + 'static,
    S::Output: Clone + Send + Sync + 'static,
{
    let submitted = StoredValue::new(None);
    Effect::new(move || {
        // The input is cleared when the answer arrives.
        if let Some(input) = action.input().get() {
            submitted.set_value(Some(input));
        } else if let Some(input) = submitted.try_update_value(Option::take).flatten()
            && let Some(answer) = action.value().get_untracked()
        {
            then(input, answer);
        }
    });
}

/// A single-line field with a label and an optional hint.
#[component]
pub fn Field(
    #[prop(into)] label: String,
    name: &'static str,
    /// `name` if omitted; needed where two forms of a page share a name.
    #[prop(optional)]
    id: Option<&'static str>,
    #[prop(default = "text")] kind: &'static str,
    #[prop(optional, into)] value: String,
    #[prop(optional)] required: bool,
    /// The `autocomplete` token (HTML section 4.10.18.7).
    #[prop(optional)]
    autocomplete: Option<&'static str>,
    /// In UTF-16 code units (WHATWG HTML).
    #[prop(optional)]
    minlength: Option<usize>,
    /// Of its text.
    #[prop(optional)]
    limit: Option<TextLimit>,
    #[prop(optional, into)] hint: Option<String>,
) -> impl IntoView {
    let id = id.unwrap_or(name);
    let (hint_id, excess_id) = (format!("{id}-hint"), format!("{id}-excess"));
    let described_by = [
        hint.is_some().then(|| hint_id.clone()),
        limit.map(|_| excess_id.clone()),
    ];
    let described_by = described_by.into_iter().flatten().collect::<Vec<_>>();
    let described_by = (!described_by.is_empty()).then(|| described_by.join(" "));
    let field = NodeRef::<html::Input>::new();
    let counter = limit.map(CharCounter::new);
    if let Some(counter) = counter {
        counter.watch(field);
    }
    view! {
        <div class="field">
            <label for=id>{label}</label>
            <input
                node_ref=field
                id=id
                name=name
                type=kind
                value=value
                required=required
                autocomplete=autocomplete
                minlength=minlength.map(|least| least.to_string())
                aria-describedby=described_by
                aria-invalid=move || counter.and_then(CharCounter::aria_invalid)
                on:input=move |_| {
                    if let Some(counter) = counter {
                        counter.update_field(field);
                    }
                }
            />
            {hint
                .map(|hint| {
                    view! {
                        <p class="field-hint" id=hint_id>
                            {hint}
                        </p>
                    }
                })}
            {counter.map(|counter| view! { <ExcessNotice counter id=excess_id /> })}
        </div>
    }
}

// Without `ssr`, leptos_router parses URLs with the browser.
#[cfg(all(test, feature = "ssr"))]
mod tests {
    use super::*;
    use leptos_router::location::RequestUrl;

    fn redirect_address(referer: &str, path: &str, failure: Failure) -> String {
        ServerFnUrlError::new(path, failure)
            .to_url(referer)
            .unwrap()
            .to_string()
    }

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
            Failure::Unavailable,
        ));
        assert_eq!(
            failure_from_query(&query, "/fn/sign_in"),
            Some(Failure::Unavailable)
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
            Failure::Unavailable,
        );
        let reason = Failure::invalid("Zu kurz: „x“ & 1 + 1 = 50 %");
        let query = query(&redirect_address(&first, "/fn/pick_name", reason.clone()));
        assert_eq!(failure_from_query(&query, "/fn/pick_name"), Some(reason));
        assert_eq!(failure_from_query(&query, "/fn/sign_in"), None);
    }

    #[test]
    fn a_failure_in_the_address_replaces_an_earlier_success() {
        let succeeded = "http://rialto.test/settings?done=name";
        assert_eq!(done_from_query(&query(succeeded)), Some("name"));
        let failed = redirect_address(succeeded, "/fn/set_theme", Failure::Unavailable);
        assert_eq!(done_from_query(&query(&failed)), None);
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
