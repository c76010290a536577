//! A reader of the news that resumes its stream, and a program that publishes stories under keys.

use super::load::{Balancer, Progress};
use crate::support::{Browser, Publisher, SseClient, SseItem};
use rialto::{
    model::{Epoch, Seq, story::Story},
    protocol::sse::{self, Hello},
};
use serde_json::json;
use std::{sync::Arc, time::Duration};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

const PUBLISH_INTERVAL: Duration = Duration::from_millis(300);
/// Shorter than the server's, so that some requests are repeated while the first is still handled.
const PUBLISH_TIMEOUT: Duration = Duration::from_secs(5);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
const RETRY_DELAY: Duration = Duration::from_millis(500);
/// Two heartbeats and as long as a page waits.
const SILENCE_TIMEOUT: Duration = Duration::from_secs(15);

pub(super) struct NewsReader {
    browser: Browser,
    balancer: Balancer,
    epoch: Option<Epoch>,
    stream: Option<SseClient>,
    number: usize,
    progress: Arc<Progress>,
    /// The story with sequence 1 is the first.
    pub(super) received: Vec<Story>,
    pub(super) reconnects: usize,
}

impl NewsReader {
    pub(super) fn new(
        browser: Browser,
        balancer: Balancer,
        progress: Arc<Progress>,
        number: usize,
    ) -> Self {
        Self {
            browser,
            balancer,
            epoch: None,
            stream: None,
            number,
            progress,
            received: Vec::new(),
            reconnects: 0,
        }
    }

    /// Until cancelled.
    pub(super) async fn read(mut self, stop: CancellationToken) -> Self {
        while !stop.is_cancelled() {
            tokio::select! {
                () = self.step() => {}
                () = stop.cancelled() => {}
            }
        }
        self
    }

    /// Until everything up to `head` is received.
    pub(super) async fn read_to(mut self, head: Seq) -> Self {
        while self.seq() < head {
            self.step().await;
        }
        self
    }

    fn seq(&self) -> Seq {
        Seq::try_from(self.received.len()).unwrap()
    }

    async fn step(&mut self) {
        let Some(stream) = &mut self.stream else {
            return self.connect().await;
        };
        match timeout(SILENCE_TIMEOUT, stream.next_item()).await {
            Ok(Some(item)) => self.on_item(&item),
            Ok(None) | Err(_) => self.reconnect(),
        }
    }

    fn reconnect(&mut self) {
        self.stream = None;
        self.reconnects += 1;
        self.balancer.move_on();
    }

    async fn connect(&mut self) {
        let browser = self.browser.at_address(self.balancer.address());
        let epoch = self.epoch.as_ref().map_or("", |epoch| &epoch.0);
        let query = format!("?epoch={epoch}&after={}", self.received.len());
        let opened = timeout(CONNECT_TIMEOUT, SseClient::try_open(&browser, &query)).await;
        self.stream = opened.unwrap_or_default();
        if self.stream.is_none() {
            self.balancer.move_on();
            sleep(RETRY_DELAY).await;
        }
    }

    fn on_item(&mut self, item: &SseItem) {
        let SseItem::Event(event) = item else {
            return;
        };
        match event.name.as_str() {
            sse::HELLO_EVENT => {
                let hello: Hello = event.json();
                assert!(hello.recovered, "{}: not recovered", self.browser.name);
                self.epoch = Some(hello.epoch);
            }
            sse::STORY_EVENT => self.on_story(event.json()),
            name => panic!("{}: {name}", self.browser.name),
        }
    }

    fn on_story(&mut self, story: Story) {
        let index = usize::try_from(story.seq - 1).unwrap();
        if let Some(known) = self.received.get(index) {
            assert_eq!(*known, story, "two stories with one sequence");
        } else if index == self.received.len() {
            self.received.push(story);
            self.progress.on_read(self.number, self.seq());
        } else {
            self.reconnect();
        }
    }
}

pub(super) struct StoryWriter {
    publisher: Publisher,
    balancer: Balancer,
    progress: Arc<Progress>,
    /// In the order of publishing.
    pub(super) acknowledged: Vec<Story>,
    pub(super) retries: usize,
}

impl StoryWriter {
    pub(super) fn new(publisher: Publisher, balancer: Balancer, progress: Arc<Progress>) -> Self {
        Self {
            publisher,
            balancer,
            progress,
            acknowledged: Vec::new(),
            retries: 0,
        }
    }

    /// Until cancelled and the last story is acknowledged.
    pub(super) async fn write(mut self, stop: CancellationToken) -> Self {
        while !stop.is_cancelled() {
            let began = Instant::now();
            let story = self.publish().await;
            self.progress.on_published(began, story.seq);
            self.acknowledged.push(story);
            sleep(PUBLISH_INTERVAL).await;
        }
        self
    }

    /// Each attempt at another node.
    async fn publish(&mut self) -> Story {
        let key = format!("Story {}", self.acknowledged.len());
        loop {
            self.balancer.move_on();
            let publisher = self.publisher.at_address(self.balancer.address());
            let request = publisher
                .story_request(&json!({ "headline": key }))
                .header("idempotency-key", &key);
            match timeout(PUBLISH_TIMEOUT, request.send()).await {
                Ok(Ok(response)) if response.status() == 201 => {
                    // A response that is cut off acknowledges nothing.
                    if let Ok(story) = response.json().await {
                        return story;
                    }
                }
                Ok(Ok(response)) => {
                    assert!(response.status().is_server_error(), "{response:?}");
                    sleep(RETRY_DELAY).await;
                }
                Ok(Err(_)) => sleep(RETRY_DELAY).await,
                Err(_) => {}
            }
            self.retries += 1;
        }
    }
}
