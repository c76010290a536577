//! `/news/new`: the form in which editors publish.
//!
//! Without WASM the page renders a rejected form with its input (see `server::editor_form`); with it, session storage has the draft.

mod draft;

use self::draft::{DraftNotice, FormFields, restore_draft};
use super::{
    api::{EditorState, PreviewStory, PublishStory, StoryInput, find_editor_state},
    client::use_news,
};
use crate::{
    model::{story::Urgency, text_limit::TextLimit},
    people::use_viewer,
    protocol::failure::Failure,
    ui::{
        char_counter::{CharCounter, ExcessNotice},
        form::SubmitButton,
        icon::{Glyph, Icon},
        notice::{Notice, NoticeKind},
        page_failure::{ErrorNotice, UnavailablePage, set_page_status},
        rejected_form::textarea_content,
    },
};
use leptos::{
    either::{Either, EitherOf3},
    ev::SubmitEvent,
    html::{Input, Textarea},
    prelude::*,
};
use leptos_meta::Title;
use leptos_router::{NavigateOptions, hooks::use_navigate};

/// The editor's page.
#[component]
pub fn EditorPage() -> impl IntoView {
    let editor_state = Resource::new(|| (), |()| find_editor_state());
    view! {
        <Title text="Publish a story" />
        <div class="page">
            <Suspense>
                {move || Suspend::new(async move {
                    match editor_state.await {
                        Ok(editor) => EitherOf3::A(view! { <StoryForm editor /> }),
                        Err(failure @ (Failure::NotSignedIn | Failure::NotAllowed { .. })) => {
                            EitherOf3::B(view! { <NotYours failure /> })
                        }
                        Err(failure) => {
                            EitherOf3::C(
                                view! {
                                    <UnavailablePage
                                        heading="Publishing is unavailable"
                                        failure
                                        resource=editor_state
                                    />
                                },
                            )
                        }
                    }
                })}
            </Suspense>
        </div>
    }
}

#[component]
fn NotYours(failure: Failure) -> impl IntoView {
    set_page_status(&failure);
    let reason = match failure {
        Failure::NotAllowed { reason } => reason,
        Failure::NotSignedIn
        | Failure::NotFound { .. }
        | Failure::Invalid { .. }
        | Failure::RateLimited { .. }
        | Failure::Unavailable
        | Failure::Unreachable => {
            "Only editors and administrators can publish stories. Sign in if you are one."
                .to_owned()
        }
    };
    view! {
        <section class="empty">
            <Icon name=Glyph::Lock />
            <h1>"This page is for editors"</h1>
            <p>{reason}</p>
            <div class="toolbar">
                <a class="button primary" href="/signin?next=%2Fnews%2Fnew" rel="external">
                    "Sign in"
                </a>
                <a class="button" href="/">
                    "Read the news"
                </a>
            </div>
        </section>
    }
}

#[component]
fn StoryForm(editor: EditorState) -> impl IntoView {
    let EditorState {
        topics,
        input,
        failure,
    } = editor;
    if let Some(failure) = &failure {
        set_page_status(failure);
    }
    let live = use_news();
    let navigate = use_navigate();
    let fields = FormFields {
        author: use_viewer().person().map(|me| me.id),
        ..FormFields::default()
    };
    let request = input.request_id;
    let empty = StoryInput::new(request);
    let draft_state = restore_draft(fields, input.clone());
    let publish = ServerAction::<PublishStory>::new();
    let failure = Memo::new(move |_| {
        if publish.pending().get() {
            return None;
        }
        match publish.value().get() {
            Some(published) => published.err(),
            None => failure.clone(),
        }
    });
    Effect::new(move || {
        if let Some(Ok(slug)) = publish.value().get() {
            fields.remove_draft();
            live.set_writing(false);
            navigate(&format!("/news/{slug}"), NavigateOptions::default());
        }
    });
    // Not an `ActionForm`, whose plain form would lose the input of a rejected story.
    let submit = move |event: SubmitEvent| {
        if let Some(story) = fields.read_input(request) {
            event.prevent_default();
            publish.dispatch(PublishStory { story });
        }
    };
    let typing = move |_| {
        if let Some(typed) = fields.read_input(request) {
            live.set_writing(typed != empty);
            fields.save_draft(&typed);
        }
    };
    view! {
        <header class="page-header">
            <h1>"Publish a story"</h1>
        </header>
        <DraftNotice draft_state fields />
        <form class="form" method="post" action="/news/new" node_ref=fields.form on:submit=submit on:input=typing>
            <input type="hidden" name="request" value=request.to_string() />
            <HeadlineField value=input.headline node=fields.headline />
            <BodyField value=input.body node=fields.body />
            <TopicField value=input.topic topics node=fields.topic />
            <UrgencyField is_breaking=input.urgency == Urgency::Breaking.as_str() fields />
            <div class="form-outcome" aria-live="assertive">
                {move || failure.get().map(|failure| view! { <PublishFailure failure /> })}
            </div>
            <SubmitButton class="button primary" pending=publish.pending() pending_text="Publishing…">
                "Publish"
            </SubmitButton>
        </form>
    }
}

/// The sign-in link opens a new tab: this one keeps the input.
#[component]
fn PublishFailure(failure: Failure) -> impl IntoView {
    let is_signed_out = failure == Failure::NotSignedIn;
    view! {
        <Notice kind=NoticeKind::Error>
            {failure.to_string()}
            {is_signed_out
                .then(|| {
                    view! {
                        " "
                        <a href="/signin" rel="external" target="_blank">
                            "Sign in (opens a new tab)"
                        </a>
                        ", then publish again."
                    }
                })}
        </Notice>
    }
}

#[component]
fn HeadlineField(value: String, node: NodeRef<Input>) -> impl IntoView {
    let counter = CharCounter::new(TextLimit::HEADLINE);
    counter.watch(node);
    view! {
        <div class="field">
            <label for="headline">"Headline"</label>
            <input
                id="headline"
                name="headline"
                dir="auto"
                value=value
                required
                autocomplete="off"
                aria-describedby="headline-excess"
                aria-invalid=move || counter.aria_invalid()
                node_ref=node
                on:input=move |_| counter.update_field(node)
            />
            <ExcessNotice counter id="headline-excess" />
        </div>
    }
}

#[component]
fn BodyField(value: String, node: NodeRef<Textarea>) -> impl IntoView {
    let live = use_news();
    let counter = CharCounter::new(TextLimit::BODY);
    counter.watch(node);
    let preview = ServerAction::<PreviewStory>::new();
    let show_preview = move |_| {
        if let Some(body) = node.get_untracked() {
            preview.dispatch(PreviewStory { body: body.value() });
        }
    };
    let rendered = move || {
        let html = preview.value().get()?;
        Some(html.map(|html| {
            if html.is_empty() {
                Either::Left(view! { <p class="quiet-text">"Nothing to preview yet"</p> })
            } else {
                Either::Right(view! { <div class="story-body" dir="auto" inner_html=html></div> })
            }
        }))
    };
    view! {
        <div class="field">
            <label for="body">"Body " <span class="optional">"(optional)"</span></label>
            <textarea
                id="body"
                name="body"
                dir="auto"
                rows="14"
                aria-describedby="body-hint body-excess"
                aria-invalid=move || counter.aria_invalid()
                node_ref=node
                on:input=move |_| counter.update_field(node)
                inner_html=textarea_content(&value)
            ></textarea>
            <ExcessNotice counter id="body-excess" />
            <p class="field-hint" id="body-hint">
                "Markdown: # for a heading, **bold**, *italic*, - for a list, [words](https://…) for a link."
            </p>
            <div class="toolbar" hidden=move || !live.is_started().get()>
                <button
                    type="button"
                    class="button small"
                    on:click=show_preview
                    aria-busy=move || preview.pending().get().to_string()
                >
                    "Preview"
                </button>
            </div>
        </div>
        <section
            class="preview"
            aria-label="Preview"
            aria-live="polite"
            hidden=move || preview.value().with(Option::is_none)
        >
            <ErrorBoundary fallback=|errors| view! { <ErrorNotice errors /> }>{rendered}</ErrorBoundary>
        </section>
    }
}

#[component]
fn TopicField(value: String, topics: Vec<String>, node: NodeRef<Input>) -> impl IntoView {
    let counter = CharCounter::new(TextLimit::TOPIC);
    counter.watch(node);
    view! {
        <div class="field">
            <label for="topic">"Topic " <span class="optional">"(optional)"</span></label>
            <input
                id="topic"
                name="topic"
                value=value
                list="topics"
                autocomplete="off"
                aria-describedby="topic-hint topic-excess"
                aria-invalid=move || counter.aria_invalid()
                node_ref=node
                on:input=move |_| counter.update_field(node)
            />
            <ExcessNotice counter id="topic-excess" />
            <datalist id="topics">
                {topics.into_iter().map(|topic| view! { <option value=topic></option> }).collect_view()}
            </datalist>
            <p class="field-hint" id="topic-hint">
                "Pick an existing topic or enter a new one. Default: General"
            </p>
        </div>
    }
}

#[component]
fn UrgencyField(is_breaking: bool, fields: FormFields) -> impl IntoView {
    view! {
        <fieldset class="choices">
            <legend>"Urgency"</legend>
            <label class="choice">
                <input type="radio" name="urgency" value="normal" checked=!is_breaking node_ref=fields.normal_radio />
                <span>"Normal: appears as a new story on the news page"</span>
            </label>
            <label class="choice">
                <input
                    type="radio"
                    name="urgency"
                    value="breaking"
                    checked=is_breaking
                    node_ref=fields.breaking_radio
                />
                <span>"Breaking: also shows a banner on every open page"</span>
            </label>
        </fieldset>
    }
}
