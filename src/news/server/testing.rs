//! Fixtures for tests, without a network except for streams.

use super::{publish, router, run_heartbeats};
use crate::{
    model::{
        Seq,
        story::{Story, StoryDraft, Urgency},
    },
    people,
    server::{
        AppState,
        config::Config,
        http_server::{self, Shutdown, Takeover},
        proxy::ClientAddress,
        store::testing::TestStorage,
        tls,
    },
};
use axum::{
    Extension, Router,
    body::{Body, Bytes},
    http::{HeaderMap, Request, Response},
};
use clap::Parser;
use futures::{StreamExt, stream::BoxStream};
use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream},
};
use tower::Service;

#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    config: Config,
}

pub(super) struct NewsFixture {
    pub(super) app: Arc<AppState>,
    router: Router,
    /// For responses that take over the connection.
    address: SocketAddr,
    _home: TestStorage,
}

pub(super) async fn news_fixture(arguments: &[&str]) -> NewsFixture {
    let home = TestStorage::new();
    let given = std::iter::once("rialto".to_owned())
        .chain(home.arguments())
        .chain(arguments.iter().map(|&argument| argument.to_owned()));
    let (app, _) = AppState::new(Arguments::parse_from(given).config, "build-1".into())
        .await
        .unwrap();
    people::server::seed_store(&app).await.unwrap();
    let client = ClientAddress(Ipv4Addr::LOCALHOST.into());
    let router = router().with_state(app.clone()).layer(Extension(client));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(http_server::serve(
        listener,
        router.clone(),
        app.connection_limits(),
        Shutdown::default(),
    ));
    tokio::spawn(run_heartbeats(app.clone()));
    NewsFixture {
        app,
        router,
        address,
        _home: home,
    }
}

impl NewsFixture {
    pub(super) async fn send(&self, mut request: Request<Body>) -> Response<Body> {
        request.extensions_mut().insert(Takeover::default());
        self.router.clone().call(request).await.unwrap()
    }

    pub(super) async fn publish(&self, headline: &str, topic: &str) -> Story {
        self.publish_draft(headline, "Body", topic).await
    }

    pub(super) async fn publish_body(&self, headline: &str, body: &str) -> Story {
        self.publish_draft(headline, body, "").await
    }

    async fn publish_draft(&self, headline: &str, body: &str, topic: &str) -> Story {
        let draft = StoryDraft::new(headline, body, topic, Urgency::Normal).unwrap();
        publish(&self.app, draft, "Ada".into(), None).await.unwrap()
    }

    pub(super) async fn connect(&self, address: &str) -> TcpStream {
        let mut socket = TcpStream::connect(self.address).await.unwrap();
        let request = format!("GET {address} HTTP/1.1\r\nhost: {}\r\n\r\n", self.address);
        socket.write_all(request.as_bytes()).await.unwrap();
        socket
    }

    pub(super) async fn open_stream(
        &self,
        address: &str,
        last_event_id: Option<&str>,
    ) -> TestEventStream {
        tls::install_crypto_provider();
        let mut request = reqwest::Client::new().get(format!("http://{}{address}", self.address));
        if let Some(id) = last_event_id {
            request = request.header("Last-Event-ID", id);
        }
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 200);
        TestEventStream {
            headers: response.headers().clone(),
            body: response.bytes_stream().boxed(),
            text: String::new(),
        }
    }
}

pub(super) struct TestEventStream {
    pub(super) headers: HeaderMap,
    body: BoxStream<'static, reqwest::Result<Bytes>>,
    text: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct SseBlock {
    pub(super) event: String,
    pub(super) id: String,
    pub(super) data: String,
    pub(super) retry: String,
}

impl TestEventStream {
    pub(super) async fn next_event(&mut self) -> Option<SseBlock> {
        let said = self.next_block().await?;
        assert!(!said.event.is_empty(), "an empty line ends an event");
        Some(said)
    }

    pub(super) async fn next_line(&mut self) -> String {
        while !self.text.contains('\n') {
            let bytes = self.next_bytes().await.expect("the stream goes on");
            self.text.push_str(std::str::from_utf8(&bytes).unwrap());
        }
        let (line, rest) = self.text.split_once('\n').unwrap();
        let (line, rest) = (line.to_owned(), rest.to_owned());
        self.text = rest;
        line
    }

    /// Without comments. `None` at the end of the stream.
    pub(super) async fn next_block(&mut self) -> Option<SseBlock> {
        while !self.text.contains("\n\n") {
            let bytes: Bytes = self.next_bytes().await?;
            self.text.push_str(std::str::from_utf8(&bytes).unwrap());
        }
        let (block, rest) = self.text.split_once("\n\n").unwrap();
        let mut said = SseBlock::default();
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

    pub(super) async fn next_story_seqs(&mut self, count: usize) -> Vec<Seq> {
        let mut seqs = Vec::new();
        while seqs.len() < count {
            let said = self.next_event().await.expect("the stream goes on");
            assert_eq!(said.event, "story", "{said:?}");
            let story: Story = serde_json::from_str(&said.data).unwrap();
            assert!(said.id.ends_with(&format!(":{}", story.seq)), "{said:?}");
            seqs.push(story.seq);
        }
        seqs
    }
}
