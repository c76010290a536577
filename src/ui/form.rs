//! Forms that work before hydration and without JavaScript.
//!
//! A plain form posts to a server function, which on failure redirects back with the failure in the address:
//! `?__path=/fn/sign_in&__err=…` (`server_fn`'s `ServerFnUrlError`). Each form shows only its own function's failure.
//!
//! Most forms are an `ActionForm`: once the page is hydrated, their `ServerAction` submits them without leaving the page,
//! and the router follows the function's redirect. Forms that change the session stay plain, because a new session needs a
//! new document: the viewer and the live connections belong to the old one.

use super::notice::{Notice, NoticeKind};
use crate::protocol::failure::Failure;
use leptos::{
    ev::MouseEvent,
    prelude::*,
    server_fn::{ServerFn, error::ServerFnUrlError},
};
use leptos_router::{hooks::use_query_map, params::ParamsMap};

/// Reads the failure of the function at `path` from the page's query.
fn failure_from_query(query: &ParamsMap, path: &str) -> Option<Failure> {
    if query.get_str("__path") != Some(path) {
        return None;
    }
    query
        .get_str("__err")
        .map(ServerFnUrlError::<Failure>::decode_err)
}

/// Shows the failure of a form. Place it inside the form, above its fields.
#[component]
pub fn FormFailure(
    /// The address the form posts to, for example `SignIn::PATH`.
    path: &'static str,
    /// The outcome of the form's action, if it has one.
    #[prop(optional, into)]
    outcome: Option<Signal<Option<Result<(), Failure>>>>,
) -> impl IntoView {
    let query = use_query_map();
    let failure = Memo::new(move |_| {
        let in_address = || query.with(|query| failure_from_query(query, path));
        match outcome.and_then(|outcome| outcome.get()) {
            Some(outcome) => outcome.err(),
            None => in_address(),
        }
    });
    move || {
        failure
            .get()
            .map(|failure| view! { <Notice kind=NoticeKind::Error>{failure.to_string()}</Notice> })
    }
}

/// The submit button of an `ActionForm`. While the action is pending it shows progress and ignores presses. It is not
/// `disabled`, because a disabled button loses the keyboard focus.
#[component]
pub fn SubmitButton(
    /// Whether the answer is awaited.
    #[prop(into)]
    pending: Signal<bool>,
    /// What screen readers say meanwhile: "Saving…".
    #[prop(default = "Saving…")]
    pending_text: &'static str,
    /// The CSS class.
    #[prop(default = "button")]
    class: &'static str,
    /// The accessible name, if the text alone is ambiguous.
    #[prop(optional, into)]
    label: Option<String>,
    /// The visible text.
    children: Children,
) -> impl IntoView {
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
            aria-label=label
            aria-busy=attribute
            aria-disabled=attribute
            on:click=ignore_repeated
        >
            {children()}
        </button>
        <span class="visually-hidden" aria-live="polite">
            {move || pending.get().then_some(pending_text)}
        </span>
    }
}

/// Runs `then` with what was submitted, each time that the action succeeds. Browser only.
///
/// Of submissions that overlap only the last is seen: a button ignores presses while the action is pending.
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

/// Runs `then` with what was submitted and the answer, each time that the action is answered; as [`on_success`] otherwise.
pub fn on_answer<S>(action: ServerAction<S>, then: impl Fn(S, Result<S::Output, Failure>) + 'static)
where
    S: ServerFn<Error = Failure> + Clone + Send + Sync + 'static,
    S::Output: Clone + Send + Sync + 'static,
{
    let submitted = StoredValue::new(None);
    Effect::new(move || {
        // The input is cleared when the answer has arrived.
        if let Some(input) = action.input().get() {
            submitted.set_value(Some(input));
        } else if let Some(input) = submitted.try_update_value(Option::take).flatten()
            && let Some(answer) = action.value().get_untracked()
        {
            then(input, answer);
        }
    });
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
