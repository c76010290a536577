//! A client of the publishing API.

use super::{Browser, Server, with_timeout};
use reqwest::{RequestBuilder, Response};
use rialto::model::story::Story;
use serde_json::{Value, json};
use std::net::SocketAddr;

pub(crate) struct Publisher {
    browser: Browser,
    token: String,
}

impl Publisher {
    pub(crate) async fn create(server: &Server) -> Self {
        let token = server.create_token("Gazette").await;
        Self::with_token(Browser::anonymous(server, "Press"), token)
    }

    pub(crate) fn with_token(browser: Browser, token: String) -> Self {
        Self { browser, token }
    }

    /// At another node.
    pub(crate) fn at_address(&self, address: SocketAddr) -> Self {
        Self::with_token(self.browser.at_address(address), self.token.clone())
    }

    /// With the token.
    pub(crate) fn empty_request(&self) -> RequestBuilder {
        self.browser
            .http
            .post(self.browser.url("/api/v1/stories"))
            .bearer_auth(&self.token)
    }

    /// A test may change it before sending.
    pub(crate) fn story_request(&self, story: &Value) -> RequestBuilder {
        self.empty_request().json(story)
    }

    pub(crate) async fn send(&self, request: RequestBuilder) -> Response {
        with_timeout("publishing", request.send()).await.unwrap()
    }

    pub(crate) async fn publish_in_topic(&self, topic: &str, headline: &str) -> Story {
        let response = self
            .send(self.story_request(&json!({ "headline": headline, "topic": topic })))
            .await;
        assert_eq!(response.status(), 201, "{headline}");
        response.json().await.unwrap()
    }

    /// In "General".
    pub(crate) async fn publish(&self, headline: &str) -> Story {
        self.publish_in_topic("General", headline).await
    }
}
