//! What tests of the news share: a program on a store of its own, asked without a network in between.

use super::{publish, router};
use crate::{
    model::story::{Story, StoryDraft, Urgency},
    people,
    server::{App, config::Config},
};
use axum::{
    Router,
    body::{Body, Bytes},
    http::{Request, Response},
};
use clap::Parser;
use futures::StreamExt;
use std::{sync::Arc, time::Duration};
use tower::Service;

#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    config: Config,
}

/// A program and its store, which goes with it.
pub(super) struct World {
    pub(super) app: Arc<App>,
    router: Router,
    _data: tempfile::TempDir,
}

/// A program that was started with these arguments.
pub(super) async fn world(arguments: &[&str]) -> World {
    let data = tempfile::tempdir().unwrap();
    let folder = data.path().to_str().unwrap();
    let given: Vec<&str> = ["rialto", "--data", folder]
        .iter()
        .chain(arguments)
        .copied()
        .collect();
    let app = App::new(Arguments::parse_from(given).config, "build-1".into())
        .await
        .unwrap();
    people::server::found(&app).await.unwrap();
    let router = router().with_state(app.clone());
    World {
        app,
        router,
        _data: data,
    }
}

impl World {
    pub(super) async fn ask(&self, request: Request<Body>) -> Response<Body> {
        self.router.clone().call(request).await.unwrap()
    }

    pub(super) async fn publish(&self, headline: &str, topic: &str) -> Story {
        let draft = StoryDraft::new(headline, "Body", topic, Urgency::Normal).unwrap();
        publish(&self.app, draft, "Ada".into(), None).await.unwrap()
    }

    /// Opens the stream at an address.
    pub(super) async fn read(&self, address: &str, last_event_id: Option<&str>) -> Reading {
        let mut request = Request::get(address);
        if let Some(id) = last_event_id {
            request = request.header("Last-Event-ID", id);
        }
        let response = self.ask(request.body(Body::empty()).unwrap()).await;
        assert_eq!(response.status(), 200);
        Reading {
            body: response.into_body().into_data_stream(),
            text: String::new(),
        }
    }
}

/// An open stream.
pub(super) struct Reading {
    body: axum::body::BodyDataStream,
    text: String,
}

/// A block of a stream as its lines say: an event, or a comment, which has no name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Said {
    pub(super) event: String,
    pub(super) id: String,
    pub(super) data: String,
    pub(super) retry: String,
}

impl Reading {
    /// The next event, comments left out; none at the end of the stream.
    pub(super) async fn next(&mut self) -> Option<Said> {
        loop {
            let said = self.next_block().await?;
            if !said.event.is_empty() {
                return Some(said);
            }
        }
    }

    /// The next event or comment.
    pub(super) async fn next_block(&mut self) -> Option<Said> {
        while !self.text.contains("\n\n") {
            let bytes: Bytes = self.next_bytes().await?;
            self.text.push_str(std::str::from_utf8(&bytes).unwrap());
        }
        let (block, rest) = self.text.split_once("\n\n").unwrap();
        let mut said = Said::default();
        for line in block.lines() {
            let (field, value) = line.split_once(": ").unwrap_or((line, ""));
            match field {
                "event" => said.event = value.into(),
                "id" => said.id = value.into(),
                "data" => said.data = value.into(),
                "retry" => said.retry = value.into(),
                "" | ":" => {}
                _ => panic!("a field that no browser knows: {line:?}"),
            }
        }
        self.text = rest.to_owned();
        Some(said)
    }

    async fn next_bytes(&mut self) -> Option<Bytes> {
        let next = tokio::time::timeout(Duration::from_secs(10), self.body.next()).await;
        next.expect("the stream says something within ten seconds")
            .map(Result::unwrap)
    }

    /// The ids of the next stories.
    pub(super) async fn stories(&mut self, count: usize) -> Vec<String> {
        let mut ids = Vec::new();
        while ids.len() < count {
            let said = self.next().await.expect("the stream goes on");
            assert_eq!(said.event, "story", "{said:?}");
            ids.push(said.id);
        }
        ids
    }
}
