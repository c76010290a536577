//! The one way in: whoever publishes, from the editor's page, with a token or on the command line, comes through here.

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

/// A request to publish has this many bytes at most: the longest body in the widest script, escaped as JSON or as a form.
pub(super) const MAX_PUBLISH_REQUEST_BYTES: usize = 1024 * 1024;

/// Publishes a story: renders and cleans its body, gives it an address, commits it and sends it to every reader. When this
/// returns, the story is stored.
///
/// A repeated `request_id` is answered with the story that was published first. It has to say who asks ("user:…", "token:…"),
/// so that nobody can be answered with a story of somebody else.
///
/// # Errors
/// When the store fails; [`Failure::Invalid`] when the request id belongs to a story that says something else.
pub async fn publish(
    app: &AppState,
    draft: StoryDraft,
    byline: String,
    request_id: Option<String>,
) -> Result<Story> {
    publish_to(&app.event_log, draft, byline, request_id).await
}

/// The same with nothing but a log, for a program that serves nobody.
///
/// # Errors
/// As [`publish`].
pub async fn publish_to(
    log: &EventLog,
    draft: StoryDraft,
    byline: String,
    request_id: Option<String>,
) -> Result<Story> {
    let body = draft.body.clone();
    // A long body takes some milliseconds, which those who only read should not wait for.
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
            "This was published already, in other words, as /news/{slug}. To publish another story, begin a new one."
        ))
        .into())
    }
}

/// Addresses under `/news/` that are no stories.
const RESERVED_SLUGS: [&str; 2] = ["new", "events"];

/// The address a story would like to have.
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
