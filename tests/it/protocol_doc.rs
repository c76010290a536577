//! Checks `docs/protocol.md`: every example is parsed with the real types, and nothing is undocumented.

use crate::support::{Browser, Publisher, Server, message_id};
use rialto::{
    calls::client::{MediaState, transfer::state::TransferMessage},
    chat::api::RoomHistory,
    model::{
        MessageId,
        call::{ClientAction, Media, Outcome, Side, SignalingMessage, State},
        limits::{self, format_count},
        message::{Content, RoomEvent},
        room::RoomKind,
        story::{Story, StoryListing, Urgency},
        user::{Presence, Role},
    },
    protocol::{
        SUBPROTOCOL,
        close::{CLOSE_TIMEOUT, CloseCode},
        failure::Failure,
        sse,
        upload::{Chunk, HEADER_BYTES},
        ws::{ClientFrame, ErrorCode, ServerFrame},
    },
    server::{config::Config, rate_limit::Bound},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use std::{
    collections::{BTreeSet, HashMap},
    fs,
    path::Path,
};

fn document() -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/protocol.md")).unwrap()
}

/// A fenced code block and its info string.
struct Example {
    kind: String,
    text: String,
    line: usize,
}

fn examples(document: &str) -> Vec<Example> {
    let mut examples = Vec::new();
    let mut open: Option<Example> = None;
    for (line, text) in document.lines().enumerate() {
        match (text.strip_prefix("```"), open.take()) {
            (Some(kind), None) => {
                open = Some(Example {
                    kind: kind.trim().to_owned(),
                    text: String::new(),
                    line: line + 1,
                });
            }
            (Some(_), Some(example)) => examples.push(example),
            (None, Some(example)) => {
                open = Some(Example {
                    text: example.text + text + "\n",
                    ..example
                });
            }
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "a code block is not closed");
    examples
}

impl Example {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text)
            .unwrap_or_else(|why| panic!("line {}: {why}: {}", self.line, self.text))
    }

    /// A round trip through a type: no field is unknown, none is missing.
    fn check<T: DeserializeOwned + Serialize>(&self) {
        let written = self.json();
        let read: T = serde_json::from_value(written.clone())
            .unwrap_or_else(|why| panic!("line {}: {why}: {}", self.line, self.text));
        assert_eq!(
            serde_json::to_value(&read).unwrap(),
            written,
            "line {}: differs from what the code serialises",
            self.line
        );
    }
}

#[test]
fn every_example_is_what_the_code_reads_and_writes() {
    let document = document();
    let examples = examples(&document);
    assert!(examples.len() > 40, "{} examples", examples.len());
    for example in examples {
        match example.kind.as_str() {
            "json client" => example.check::<ClientFrame>(),
            "json server" => example.check::<ServerFrame>(),
            "json sse:hello" => example.check::<sse::Hello>(),
            "json sse:story" => example.check::<Story>(),
            "json sse:beat" => example.check::<sse::Heartbeat>(),
            "json sse:resync" => example.check::<sse::Resync>(),
            "json news-page" => example.check::<StoryListing>(),
            "json room-page" => example.check::<RoomHistory>(),
            "json peer" => example.check::<MediaState>(),
            "json peer-file" => example.check::<TransferMessage>(),
            "json failure" => example.check::<Failure>(),
            "json refusal" => check_refusal(&example),
            "hex chunk" => check_chunk(&example),
            // Sent to a server in a test below.
            "json publish" => drop(example.json()),
            "text" => {}
            other => panic!("line {}: no check for a block of {other:?}", example.line),
        }
    }
}

fn check_refusal(example: &Example) {
    let json = example.json();
    let failure: Failure = serde_json::from_value(json.clone()).unwrap();
    assert_eq!(json["message"], failure.to_string());
}

fn check_chunk(example: &Example) {
    let bytes: Vec<u8> = example
        .text
        .split_whitespace()
        .map(|byte| u8::from_str_radix(byte, 16).expect("hexadecimal"))
        .collect();
    let id: MessageId = "01990a3e-2000-7000-8000-000000000003".parse().unwrap();
    assert_eq!(
        Chunk::decode(&bytes),
        Ok(Chunk {
            id,
            offset: 65_536,
            data: b"Ponte"
        })
    );
}

/// Taken from serde's error for an unknown variant.
fn variant_names<T: DeserializeOwned>(tag: Option<&str>) -> BTreeSet<String> {
    let unknown = match tag {
        Some(tag) => serde_json::json!({ tag: "?" }),
        None => "?".into(),
    };
    let error = serde_json::from_value::<T>(unknown)
        .err()
        .expect("no enum has the variant \"?\"")
        .to_string();
    let list = error
        .split_once("expected")
        .unwrap_or_else(|| panic!("{error}"))
        .1;
    let words: BTreeSet<String> = list
        .split('`')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect();
    assert!(!words.is_empty(), "{error}");
    words
}

/// At a JSON pointer, in all examples of a kind.
fn example_values(examples: &[Example], kind: &str, pointer: &str) -> BTreeSet<String> {
    let of_kind = examples.iter().filter(|example| example.kind == kind);
    of_kind
        .filter_map(|example| {
            example
                .json()
                .pointer(pointer)
                .and_then(Value::as_str)
                .map(str::to_owned)
        })
        .collect()
}

#[test]
fn every_frame_event_and_signal_has_an_example_and_a_heading() {
    let document = document();
    let examples = examples(&document);
    let client = variant_names::<ClientFrame>(Some("type"));
    let server = variant_names::<ServerFrame>(Some("type"));
    assert_eq!(example_values(&examples, "json client", "/type"), client);
    assert_eq!(example_values(&examples, "json server", "/type"), server);
    assert_eq!(
        example_values(&examples, "json client", "/action"),
        variant_names::<ClientAction>(Some("action"))
    );
    assert_eq!(
        example_values(&examples, "json client", "/signal/kind"),
        variant_names::<SignalingMessage>(Some("kind"))
    );
    assert_eq!(
        example_values(&examples, "json server", "/event"),
        variant_names::<RoomEvent>(Some("event"))
    );
    assert_eq!(
        example_values(&examples, "json server", "/message/content/kind"),
        variant_names::<Content>(Some("kind"))
    );
    let events = [
        sse::HELLO_EVENT,
        sse::STORY_EVENT,
        sse::HEARTBEAT_EVENT,
        sse::RESYNC_EVENT,
    ];
    for event in events {
        assert!(
            examples
                .iter()
                .any(|example| example.kind == format!("json sse:{event}")),
            "{event}"
        );
    }
    let frames = client.iter().chain(&server).map(String::as_str);
    for name in frames.chain(events) {
        assert!(
            document.contains(&format!("\n#### `{name}`\n")),
            "no heading for {name}"
        );
    }
}

#[test]
fn every_code_state_and_word_is_explained() {
    let document = document();
    let rows = [
        variant_names::<ErrorCode>(None),
        variant_names::<Outcome>(None),
        variant_names::<State>(Some("state")),
        variant_names::<ClientAction>(Some("action")),
    ];
    for word in rows.iter().flatten() {
        assert!(
            document.contains(&format!("\n| `{word}` |")),
            "no row for {word}"
        );
    }
    let mentioned = [
        variant_names::<Side>(None),
        variant_names::<Media>(None),
        variant_names::<Presence>(None),
        variant_names::<Role>(None),
        variant_names::<RoomKind>(None),
        variant_names::<Urgency>(None),
        [SUBPROTOCOL.to_owned()].into(),
    ];
    for word in mentioned.iter().flatten() {
        assert!(
            document.contains(&format!("`{word}`")),
            "{word} is not mentioned"
        );
    }
    for close in CloseCode::ALL {
        let row = document
            .lines()
            .find(|line| line.starts_with(&format!("| {} |", close.code())));
        let row = row.unwrap_or_else(|| panic!("no row for {close:?}"));
        assert!(row.contains(&format!("`{}`", close.reason())), "{row}");
        let again = row.trim_end_matches('|').rsplit('|').next().unwrap().trim();
        assert_eq!(
            again.starts_with("yes"),
            CloseCode::should_reconnect(close.code()),
            "{row}"
        );
    }
}

fn default_config() -> Config {
    #[derive(clap::Parser)]
    struct CommandLine {
        #[command(flatten)]
        config: Config,
    }
    <CommandLine as clap::Parser>::parse_from(["rialto"]).config
}

#[test]
fn the_numbers_are_those_of_the_code() {
    let document = document();
    let config = default_config();
    for sentence in [
        format!(
            "at most {} bytes from a client",
            format_count(limits::MAX_TEXT_FRAME_BYTES)
        ),
        format!(
            "each at most {} bytes of data",
            format_count(limits::MAX_CHUNK_BYTES)
        ),
        format!(
            "more than {} bytes",
            format_count(2 * limits::MAX_CHUNK_BYTES + HEADER_BYTES)
        ),
        format!("| {HEADER_BYTES} to the end |"),
        format!(
            "Keep at most {} chunks unacknowledged",
            limits::MAX_CHUNKS_IN_FLIGHT
        ),
        format!(
            "1 to {} characters. The server makes",
            format_count(limits::MAX_MESSAGE_CHARS)
        ),
        format!(
            "1 to {} characters. The only field",
            limits::MAX_HEADLINE_CHARS
        ),
        format!(
            "CommonMark, at most {} characters",
            format_count(limits::MAX_BODY_CHARS)
        ),
        format!("One line, at most {} characters", limits::MAX_TOPIC_CHARS),
        format!("shortened to {} characters", limits::MAX_FILE_NAME_CHARS),
        format!("the newest {} messages", limits::HISTORY_PAGE_SIZE),
        format!("while they are at most {}", limits::MAX_LISTED_PEOPLE),
        format!("In a crowd of more than {}", limits::MAX_LISTED_PEOPLE),
        format!("only while more than {} are", limits::MAX_LISTED_PEOPLE),
        format!(
            "more than {} events behind",
            format_count(usize::try_from(limits::MAX_REPLAY_EVENTS).unwrap())
        ),
        format!(
            "than {} stories (configurable)",
            format_count(usize::try_from(config.replay_events).unwrap())
        ),
        format!("More than {} KiB were queued", config.queue_bytes / 1_024),
        format!("At most {} KiB are queued", config.queue_bytes / 1_024),
        format!("then every {} s (configurable)", config.heartbeat_seconds),
        format!(
            "in milliseconds: {} unless",
            format_count(usize::try_from(config.heartbeat_seconds).unwrap() * 1_000)
        ),
        format!("Nobody answered in {} s", config.ring_seconds),
        format!(
            "A side was disconnected for {} s",
            config.call_grace_seconds
        ),
        format!(
            "{} messages at once",
            config.limits.rate(Bound::Messages).burst
        ),
        format!("try {} names", config.limits.rate(Bound::SignIns).burst),
        format!(
            "The server waits {} s for a client",
            CLOSE_TIMEOUT.as_secs()
        ),
    ] {
        assert!(
            document.contains(&sentence),
            "the document does not contain {sentence:?}"
        );
    }
    let limits = serde_json::to_string(&config.client_limits()).unwrap();
    let compact: String = document.split_whitespace().collect();
    assert!(
        compact.contains(&format!(r#""limits":{limits}"#)),
        "the example of welcome differs from {limits}"
    );
}

/// Of the headings. As on GitHub, a repeated one gets a number.
fn anchors(document: &str) -> Vec<String> {
    let mut repeats = HashMap::new();
    let headings = document.lines().filter(|line| line.starts_with('#'));
    headings
        .map(|heading| {
            let text = heading.trim_start_matches('#').trim().to_lowercase();
            let anchor: String = text
                .chars()
                .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
                .map(|c| if c == ' ' { '-' } else { c })
                .collect();
            let repeat = repeats.entry(anchor.clone()).or_insert(0);
            *repeat += 1;
            match *repeat - 1 {
                0 => anchor,
                earlier => format!("{anchor}-{earlier}"),
            }
        })
        .collect()
}

#[test]
fn repeated_headings_are_numbered_one_by_one() {
    assert_eq!(
        anchors("# Foo\n## Foo 10\n## Foo\n### Foo"),
        ["foo", "foo-10", "foo-1", "foo-2"]
    );
}

#[test]
fn every_link_leads_somewhere() {
    let document = document();
    let anchors = anchors(&document);
    for link in document
        .split("](#")
        .skip(1)
        .filter_map(|rest| rest.split_once(')'))
    {
        assert!(
            anchors.iter().any(|anchor| anchor == link.0),
            "no heading for #{} in {anchors:?}",
            link.0
        );
    }
}

#[tokio::test]
async fn what_the_document_tells_to_ask_is_answered_as_it_says() {
    let server = Server::start().await;
    let publisher = Publisher::create(&server).await;
    let document = document();
    let publish = examples(&document)
        .into_iter()
        .find(|example| example.kind == "json publish")
        .unwrap()
        .json();
    let response = publisher.send(publisher.story_request(&publish)).await;
    assert_eq!(response.status(), 201);
    assert_eq!(
        response.headers()["location"],
        "/news/high-water-at-the-bridge"
    );
    let story: Story = response.json().await.unwrap();

    let browser = Browser::anonymous(&server, "Anybody");
    let page: StoryListing = browser.get("/fn/stories").await.json().await.unwrap();
    assert_eq!(
        (page.head, page.stories.len(), page.next_before),
        (1, 1, None)
    );
    let whole: Story = browser
        .get("/fn/story?slug=high-water-at-the-bridge")
        .await
        .json()
        .await
        .unwrap();
    assert_eq!(whole, story);

    let ada = Browser::anonymous(&server, "Ada");
    let join = |name: &'static str| {
        ada.http
            .post(ada.url("/fn/pick-name"))
            .form(&[("name", name), ("next", "/")])
    };
    let joined = join("Ada").send().await.unwrap();
    assert_eq!(joined.status(), 200);
    assert!(ada.cookie().is_some());
    let room: RoomHistory = ada.call_server_fn("/fn/room", &[("slug", "general")]).await;
    assert!(room.is_newest && room.messages.is_empty());
    let read = ada.get("/fn/history?slug=general").await;
    let read: RoomHistory = read.json().await.unwrap();
    assert_eq!((read.room, read.messages), (room.room, room.messages));
    let taken = join("ADA").send().await.unwrap();
    assert_eq!(taken.status(), 422);
    let failure: Failure = taken.json().await.unwrap();
    let example = examples(&document)
        .into_iter()
        .find(|example| example.kind == "json failure")
        .unwrap();
    assert_eq!(serde_json::to_value(failure).unwrap(), example.json());
}

#[tokio::test]
async fn a_program_makes_its_name_an_account_and_opens_a_direct_room() {
    let server = Server::start().await;
    let program = Browser::anonymous(&server, "Program");
    let post = async |path: &str, form: &[(&str, &str)]| {
        let request = program.http.post(program.url(path)).form(form);
        request.send().await.unwrap()
    };
    let (name, password, next) = (("name", "Porter"), ("password", "gondola!"), ("next", "/"));
    assert_eq!(post("/fn/pick-name", &[name, next]).await.status(), 200);
    assert_eq!(post("/fn/set-password", &[password]).await.status(), 200);
    assert_eq!(program.connect().await.me().role, Role::Member);
    assert_eq!(post("/fn/sign-out", &[]).await.status(), 200);
    assert_eq!(program.cookie(), None);
    let back = post("/fn/sign-in", &[name, password, next]).await;
    assert_eq!(back.status(), 200);

    let grace = Browser::join(&server, "Grace").await.connect().await;
    let with = grace.me().id.to_string();
    let form = [("with", with.as_str()), ("wants_slug", "true")];
    let slug: Option<String> = program.call_server_fn("/fn/open-direct", &form).await;
    let again: Option<String> = program.call_server_fn("/fn/open-direct", &form).await;
    assert_eq!(slug, again);
    let room = program.connect().await.room(&slug.unwrap()).clone();
    assert_eq!(room.other_person.as_ref(), Some(grace.me()));
    let nobody = message_id().to_string();
    for (with, status) in [(nobody.as_str(), 404), ("nobody", 422)] {
        let refused = post("/fn/open-direct", &[("with", with)]).await;
        assert_eq!(refused.status(), status);
    }
}
