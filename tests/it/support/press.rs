//! A program that publishes, with a token made on the command line.

use super::{Person, Server, within};
use reqwest::{RequestBuilder, Response};
use rialto::model::story::Story;
use serde_json::{Value, json};

/// Somebody who publishes.
pub(crate) struct Press {
    person: Person,
    token: String,
}

impl Press {
    pub(crate) async fn open(server: &Server) -> Self {
        Self {
            person: Person::nobody(server, "Press"),
            token: server.token("Gazette").await,
        }
    }

    /// A request with the token, and nothing in it yet.
    pub(crate) fn empty_request(&self) -> RequestBuilder {
        self.person
            .http
            .post(self.person.url("/api/v1/stories"))
            .bearer_auth(&self.token)
    }

    /// A request to publish, to be changed before it is sent.
    pub(crate) fn request(&self, story: &Value) -> RequestBuilder {
        self.empty_request().json(story)
    }

    pub(crate) async fn send(&self, request: RequestBuilder) -> Response {
        within("publishing", request.send()).await.unwrap()
    }

    /// Publishes a story with this headline, under a topic.
    pub(crate) async fn publish_under(&self, topic: &str, headline: &str) -> Story {
        let answer = self
            .send(self.request(&json!({ "headline": headline, "topic": topic })))
            .await;
        assert_eq!(answer.status(), 201, "{headline}");
        answer.json().await.unwrap()
    }

    /// Publishes a story with this headline.
    pub(crate) async fn publish(&self, headline: &str) -> Story {
        self.publish_under("General", headline).await
    }
}
