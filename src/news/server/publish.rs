//! Publishing a story, from the editor's page, the HTTP API or the command line.

use super::markdown;
use crate::{
    model::story::{Story, StoryDraft},
    protocol::failure::Failure,
    server::{
        AppState, Error, Result,
        event_log::{EventLog, NewStory},
        slug,
    },
};

/// The longest body in multi-byte characters, escaped as JSON or as a form.
pub const MAX_PUBLISH_REQUEST_BYTES: usize = 1024 * 1024;

/// Renders a story, commits it and sends it to subscribers.
///
/// A repeated `request_id` returns the first story. Its prefix names its owner ("user:…", "token:…"), so that nobody gets another's story.
///
/// # Errors
///
/// When the store fails; [`Failure::Invalid`] when the request id belongs to different contents.
pub async fn publish(
    app: &AppState,
    draft: StoryDraft,
    byline: String,
    request_id: Option<String>,
) -> Result<Story> {
    publish_to(&app.event_log, draft, byline, request_id).await
}

/// As [`publish`], for processes that serve no clients.
///
/// # Errors
///
/// As [`publish`].
pub async fn publish_to(
    log: &EventLog,
    draft: StoryDraft,
    byline: String,
    request_id: Option<String>,
) -> Result<Story> {
    let body = draft.body.clone();
    // Rendering a long body takes milliseconds.
    let written = tokio::task::spawn_blocking(move || markdown::render(&body))
        .await
        .map_err(|lost| Error::Internal(lost.to_string()))?;
    let asked = (
        draft.headline.clone(),
        draft.topic.clone(),
        draft.urgency,
        written.html.clone(),
    );
    let slug = slug_of(&draft.headline);
    let new = NewStory {
        draft,
        html: written.html,
        summary: written.summary,
        slug,
        byline,
        request_id,
    };
    let story = log.publish_story(new).await?;
    if (&story.headline, &story.topic, &story.urgency, &story.html)
        == (&asked.0, &asked.1, &asked.2, &asked.3)
    {
        Ok(story)
    } else {
        let slug = &story.slug;
        Err(Failure::invalid(format!(
            "This was already published with different text, as /news/{slug}. To publish another story, start a new one."
        ))
        .into())
    }
}

/// Segments under `/news/` that are not stories.
const RESERVED_SLUGS: [&str; 2] = ["new", "events"];

fn slug_of(headline: &str) -> String {
    let slug = slug::slugify(headline, "story");
    if RESERVED_SLUGS.contains(&slug.as_str()) {
        format!("{slug}-story")
    } else {
        slug
    }
}

#[cfg(test)]
mod tests {
    use super::slug_of;

    #[test]
    fn a_story_never_takes_the_address_of_a_page() {
        assert_eq!(slug_of("New!"), "new-story");
        assert_eq!(slug_of("Events"), "events-story");
        assert_eq!(slug_of("New events"), "new-events");
        assert_eq!(slug_of("?!"), "story");
    }
}
