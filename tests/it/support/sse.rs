//! An SSE client for the news (WHATWG HTML, "Interpreting an event stream"). Existing crates drop comments,
//! and a heartbeat is one.

use super::{Browser, Server, WAIT_TIMEOUT};
use reqwest::{Response, header::HeaderMap};
use rialto::{
    model::story::Story,
    protocol::sse::{self, Hello},
};
use serde::de::DeserializeOwned;
use std::collections::VecDeque;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SseItem {
    Event(Event),
    /// Without the colon.
    Comment(String),
    /// In milliseconds.
    Retry(u64),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) name: String,
    /// When this event was dispatched.
    pub(crate) last_event_id: String,
    pub(crate) data: String,
}

impl Event {
    pub(crate) fn json<T: DeserializeOwned>(&self) -> T {
        serde_json::from_str(&self.data)
            .unwrap_or_else(|why| panic!("{why} in {:?} {}", self.name, self.data))
    }
}

/// Incremental.
#[derive(Debug, Default)]
pub(crate) struct Parser {
    line: Vec<u8>,
    after_return: bool,
    name: String,
    id: String,
    last_event_id: String,
    data: Vec<String>,
}

impl Parser {
    /// The bytes may be split anywhere.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Vec<SseItem> {
        let mut items = Vec::new();
        for byte in bytes {
            let after_return = std::mem::replace(&mut self.after_return, *byte == b'\r');
            match byte {
                // The LF of a CRLF.
                b'\n' if after_return => {}
                b'\n' | b'\r' => {
                    let line = std::mem::take(&mut self.line);
                    items.extend(self.parse_line(&String::from_utf8_lossy(&line)));
                }
                other => self.line.push(*other),
            }
        }
        items
    }

    fn parse_line(&mut self, line: &str) -> Option<SseItem> {
        if line.is_empty() {
            return self.dispatch();
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "" => return Some(SseItem::Comment(value.to_owned())),
            "event" => value.clone_into(&mut self.name),
            "data" => self.data.push(value.to_owned()),
            "id" if !value.contains('\0') => value.clone_into(&mut self.id),
            "retry" => return value.parse().ok().map(SseItem::Retry),
            _ => {}
        }
        None
    }

    fn dispatch(&mut self) -> Option<SseItem> {
        self.last_event_id.clone_from(&self.id);
        let name = std::mem::take(&mut self.name);
        let data = std::mem::take(&mut self.data);
        if data.is_empty() {
            return None;
        }
        let name = if name.is_empty() {
            "message".to_owned()
        } else {
            name
        };
        Some(SseItem::Event(Event {
            name,
            last_event_id: self.last_event_id.clone(),
            data: data.join("\n"),
        }))
    }
}

pub(crate) struct SseClient {
    response: Response,
    parser: Parser,
    pending: VecDeque<SseItem>,
    received: Vec<SseItem>,
}

impl SseClient {
    /// Live events only.
    pub(crate) async fn open(server: &Server) -> Self {
        Self::open_with(server, "", None).await
    }

    /// With a query (`?after=3&epoch=…`) and optionally a `Last-Event-ID`, as a reconnecting browser.
    pub(crate) async fn open_with(
        server: &Server,
        query: &str,
        last_event_id: Option<&str>,
    ) -> Self {
        let browser = Browser::anonymous(server, "Reader");
        let mut request = browser
            .http
            .get(browser.url(&format!("/news/events{query}")));
        if let Some(id) = last_event_id {
            request = request.header("last-event-id", id);
        }
        let response = super::with_timeout("the stream", request.send())
            .await
            .unwrap();
        assert!(
            response.status().is_success(),
            "{query}: {}",
            response.status()
        );
        Self::from_response(response)
    }

    /// None when the stream is refused or unreachable.
    pub(crate) async fn try_open(browser: &Browser, query: &str) -> Option<Self> {
        let url = browser.url(&format!("/news/events{query}"));
        let response = browser.http.get(url).send().await.ok()?;
        let response = response.error_for_status().ok()?;
        Some(Self::from_response(response))
    }

    fn from_response(response: Response) -> Self {
        Self {
            response,
            parser: Parser::default(),
            pending: VecDeque::new(),
            received: Vec::new(),
        }
    }

    pub(crate) fn headers(&self) -> &HeaderMap {
        self.response.headers()
    }

    /// `None` at the end of the stream.
    pub(crate) async fn next_item(&mut self) -> Option<SseItem> {
        loop {
            if let Some(item) = self.pending.pop_front() {
                self.received.push(item.clone());
                return Some(item);
            }
            let bytes = self.response.chunk().await.ok().flatten()?;
            self.pending.extend(self.parser.push(&bytes));
        }
    }

    /// Skips items until `wanted` returns a value.
    pub(crate) async fn wait_for<T>(&mut self, mut wanted: impl FnMut(&SseItem) -> Option<T>) -> T {
        let waiting = async {
            loop {
                match self.next_item().await {
                    Some(item) => {
                        if let Some(found) = wanted(&item) {
                            return Ok(found);
                        }
                    }
                    None => return Err("the stream ended".to_owned()),
                }
            }
        };
        let found = tokio::time::timeout(WAIT_TIMEOUT, waiting).await;
        match found.unwrap_or_else(|_| Err(format!("no matching item within {WAIT_TIMEOUT:?}"))) {
            Ok(found) => found,
            Err(why) => panic!("{why}; received: {:#?}", self.received),
        }
    }

    /// The next event with this name.
    pub(crate) async fn next_event<T: DeserializeOwned>(&mut self, name: &str) -> T {
        self.wait_for(|item| match item {
            SseItem::Event(event) if event.name == name => Some(event.json()),
            SseItem::Event(_) | SseItem::Comment(_) | SseItem::Retry(_) => None,
        })
        .await
    }

    pub(crate) async fn wait_for_hello(&mut self) -> Hello {
        self.next_event(sse::HELLO_EVENT).await
    }

    /// What a browser would send when it reconnects by itself now.
    pub(crate) fn last_event_id(&self) -> &str {
        let newest_first = self.received.iter().rev();
        let mut ids = newest_first.filter_map(|item| match item {
            SseItem::Event(event) => Some(event.last_event_id.as_str()),
            SseItem::Comment(_) | SseItem::Retry(_) => None,
        });
        ids.next().unwrap_or_default()
    }

    /// The next story, whose sequence must be in its event id.
    pub(crate) async fn next_story(&mut self) -> Story {
        let (id, story) = self
            .wait_for(|item| match item {
                SseItem::Event(event) if event.name == sse::STORY_EVENT => {
                    Some((event.last_event_id.clone(), event.json::<Story>()))
                }
                SseItem::Event(_) | SseItem::Comment(_) | SseItem::Retry(_) => None,
            })
            .await;
        assert!(id.ends_with(&format!(":{}", story.seq)), "{id}");
        story
    }

    /// Returns the remaining items.
    pub(crate) async fn read_to_end(&mut self) -> Vec<SseItem> {
        let mut rest = Vec::new();
        let reading = async {
            while let Some(item) = self.next_item().await {
                rest.push(item);
            }
        };
        super::with_timeout("the stream ends", reading).await;
        rest
    }
}

#[test]
fn the_parser_reads_what_the_standard_says() {
    let stream = b"retry: 2000\n: a comment\n\nevent: story\nid: 7\ndata: {\ndata:  }\n\ndata\n\nid\ndata:x\r\n\r\nevent: none\n\nid: 8\n";
    let event = |name: &str, id: &str, data: &str| {
        SseItem::Event(Event {
            name: name.into(),
            last_event_id: id.into(),
            data: data.into(),
        })
    };
    let items = [
        SseItem::Retry(2000),
        SseItem::Comment("a comment".into()),
        event("story", "7", "{\n }"),
        event("message", "7", ""),
        event("message", "", "x"),
    ];
    assert_eq!(Parser::default().push(stream), items);
    let mut parser = Parser::default();
    let cut: Vec<SseItem> = stream
        .iter()
        .flat_map(|byte| parser.push(&[*byte]))
        .collect();
    assert_eq!(cut, items, "split after every byte");
    assert_eq!(
        parser.last_event_id, "",
        "8 is of an event that was cut off"
    );
    parser.push(b"\n");
    assert_eq!(parser.last_event_id, "8", "also without data");
}
