//! `rialto news publish`: through the running server, or else into the store.

use super::{
    publish::publish_to,
    stories_api::{IDEMPOTENCY_KEY_HEADER, StoryRequest},
};
use crate::{
    model::{
        limits,
        story::{Story, StoryDraft},
    },
    server::{
        Error,
        config::StoreConfig,
        control::{self, ControlFile},
        event_log::EventLog,
        live::{ConnectionRegistry, NewsSubscribers},
        random,
        store::{Store, Stream},
        store_mark,
    },
};
use reqwest::{Client, StatusCode};
use std::{sync::Arc, time::Duration};

const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// Publishes a story, and returns a message.
///
/// # Errors
///
/// A message, if neither server nor store accepted the story.
pub async fn publish(
    config: &StoreConfig,
    draft: StoryDraft,
    byline: &str,
) -> Result<String, String> {
    let request = random::new_id().to_string();
    if let Some(control) = control::read(&config.data).await? {
        let asked = publish_via_server(&control, &draft, byline, &request).await;
        match asked {
            Ok(story) => {
                let ControlFile {
                    base_url: address, ..
                } = control;
                return Ok(format!(
                    "Published as {address}/news/{} by the running server.",
                    story.slug
                ));
            }
            Err(PublishError::NotRunning) => {}
            Err(PublishError::Failed(why)) => return Err(why),
        }
    }
    let story = publish_to_store(config, draft, byline, &request).await?;
    Ok(format!(
        "Published as /news/{}. No server is running: the story was saved and appears when the server starts.",
        story.slug
    ))
}

enum PublishError {
    NotRunning,
    Failed(String),
}

async fn publish_via_server(
    control: &ControlFile,
    draft: &StoryDraft,
    byline: &str,
    request: &str,
) -> Result<Story, PublishError> {
    let address = &control.base_url;
    let because = |why: String| PublishError::Failed(format!("the server at {address} {why}"));
    // On this machine: no proxy from the environment.
    let client = Client::builder()
        .no_proxy()
        .timeout(REQUEST_TIMEOUT)
        .build();
    let client = client.map_err(|why| PublishError::Failed(why.to_string()))?;
    let new = StoryRequest {
        headline: draft.headline.clone(),
        body: draft.body.clone(),
        topic: draft.topic.clone(),
        urgency: draft.urgency,
        byline: Some(byline.to_owned()),
    };
    let asked = client
        .post(format!("{address}/api/v1/stories"))
        .bearer_auth(&control.token)
        .header(IDEMPOTENCY_KEY_HEADER, request)
        .json(&new)
        .send()
        .await;
    let answer = asked.map_err(|why| {
        if why.is_connect() {
            PublishError::NotRunning
        } else {
            because(format!("did not respond: {why}"))
        }
    })?;
    match answer.status() {
        StatusCode::CREATED => answer.json().await.map_err(|why| {
            because(format!(
                "published the story, but its response could not be read: {why}"
            ))
        }),
        StatusCode::UNAUTHORIZED => Err(because(
            "rejected this data folder's token: another program may be using its address. Stop that program or restart Rialto"
                .to_owned(),
        )),
        status => {
            let message = answer.json::<serde_json::Value>().await.ok();
            let message = message.as_ref().and_then(|body| body["message"].as_str()).unwrap_or("no reason given");
            Err(because(format!("rejected the story ({status}): {message}")))
        }
    }
}

async fn publish_to_store(
    config: &StoreConfig,
    draft: StoryDraft,
    byline: &str,
    request: &str,
) -> Result<Story, String> {
    let place = config.location();
    // A missing database reports itself.
    if config.database_url.is_none()
        && !tokio::fs::try_exists(config.data.join("rialto.sqlite"))
            .await
            .unwrap_or(false)
    {
        return Err(format!(
            "there is no Rialto data in {place}. Start \"rialto serve\" once, or set its folder with --data"
        ));
    }
    let in_words = |error: Error| match error {
        Error::User(failure) => failure.to_string(),
        Error::InvalidSetting(why) => format!("no server is running on this machine, and {why}"),
        other => {
            format!("no server is running, and the story could not be saved in {place}: {other}")
        }
    };
    let store = Store::open(config).await.map_err(in_words)?;
    let log = EventLog::new(
        store.clone(),
        Arc::<ConnectionRegistry>::default(),
        Arc::<NewsSubscribers>::default(),
        None,
        Arc::default(),
        limits::MAX_REPLAY_EVENTS,
    );
    let published = match ensure_news_stream(&store).await {
        Ok(()) => {
            publish_to(
                &log,
                draft,
                byline.to_owned(),
                Some(format!("command-line:{request}")),
            )
            .await
        }
        Err(error) => Err(error),
    };
    store_mark::update(&store, &config.data, &mut None).await;
    store.close().await;
    published.map_err(in_words)
}

/// For a new store.
async fn ensure_news_stream(store: &Store) -> Result<(), Error> {
    let mut tx = store.begin().await?;
    store.create_stream(&mut tx, Stream::News).await?;
    tx.commit().await?;
    Ok(())
}
