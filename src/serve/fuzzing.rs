//! Targets of [`crate::fuzzing`].

use super::{
    server_functions::into_get,
    websocket::{MAX_MESSAGE_BYTES, config},
    ws::read_frame,
};
use crate::{
    chat::api::{OpenDirectRoom, PostMessage, ReadRoomHistory},
    model::{MessageId, limits, message::MessageText, story::StoryDraft},
    news::api::{ListStories, StoryInput},
    people::{
        api::{PickName, SetPassword, SignIn},
        server::local_path,
    },
    protocol::{
        failure::Failure,
        upload::{Chunk, ChunkError},
        ws::{ClientFrame, Refusal, ServerFrame},
    },
};
use axum::{
    Form,
    body::Body,
    extract::{FromRequest, Request},
    http::{HeaderValue, header},
};
use futures::FutureExt;
use reqwest::Url;
use serde::de::DeserializeOwned;
use server_fn::codec::{FromReq, GetUrl, PostUrl};
use std::io::{self, Read, Write};
use tungstenite::{Error, Message, WebSocket, protocol::Role};
use uuid::Uuid;

/// A client can hardly use a longer refusal, and repeats it on a page.
const MAX_REFUSAL_BYTES: usize = 2 * 1024;

/// URL-encoded arguments of server functions and forms: what is accepted is bounded and stays as it is, and a redirect stays on the site.
///
/// # Panics
/// If it does not.
pub fn forms(data: &[u8]) {
    if let Some(form) = read_form::<PickName>(data) {
        check_path(&form.next);
    }
    if let Some(form) = read_form::<SignIn>(data) {
        check_path(&form.next);
    }
    if let Some(form) = read_form::<PostMessage>(data)
        && let Ok(text) = MessageText::new(&form.text)
    {
        assert!((1..=limits::MAX_MESSAGE_CHARS).contains(&text.as_str().chars().count()));
        assert_eq!(MessageText::new(text.as_str()), Ok(text));
    }
    let _ = read_form::<OpenDirectRoom>(data);
    let _ = read_form::<SetPassword>(data);
    let _ = read_query::<ReadRoomHistory>(data);
    let _ = read_query::<ListStories>(data);
    let story = Form::<StoryInput>::from_request(form_request(data), &()).now_or_never();
    if let Some(Ok(Form(typed))) = story
        && let Ok(urgency) = typed.urgency.parse()
        && let Ok(draft) = StoryDraft::new(&typed.headline, &typed.body, &typed.topic, urgency)
    {
        let again = StoryDraft::new(&draft.headline, &draft.body, &draft.topic, urgency);
        assert_eq!(again, Ok(draft));
    }
}

fn form_request(data: &[u8]) -> Request {
    let request = Request::post("/fn/a");
    let request = request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
    request.body(Body::from(data.to_vec())).expect("a request")
}

fn read_form<T: DeserializeOwned>(data: &[u8]) -> Option<T> {
    let form = <T as FromReq<PostUrl, Request, Failure>>::from_req(form_request(data));
    form.now_or_never()?.ok()
}

/// As a page of an earlier build sends it.
fn read_query<T: DeserializeOwned>(data: &[u8]) -> Option<T> {
    let request = into_get(form_request(data)).now_or_never()?.ok()?;
    let query = <T as FromReq<GetUrl, Request, Failure>>::from_req(request);
    query.now_or_never()?.ok()
}

fn check_path(next: &str) {
    let path = local_path(next);
    assert!(HeaderValue::from_str(&path).is_ok(), "{path:?}");
    let page = Url::parse("https://rialto.example.org/signin").expect("a URL");
    let target = page.join(&path).expect("a path");
    assert_eq!(target.origin(), page.origin(), "{path:?}");
}

pub(crate) fn form_examples() -> Vec<Vec<u8>> {
    [
        "name=Ada+Lovelace&next=%2Fchat%2Fgeneral%3Fa%3Db%23latest&password=correct+horse&request=1",
        "id=0198c5f0-0000-7000-8000-000000000001&room=0198c5f0-0000-7000-8000-000000000002&slug=a&text=b%0D%0A%E2%80%8B%00c",
        "slug=general&before=50&topic=Sea&with=0198c5f0-0000-7000-8000-000000000001&wants_slug=true",
        "headline=A&body=%23+b%0D%0Ac&topic=d&urgency=breaking&request=0198c5f0-0000-7000-8000-000000000001",
        "name=a&next=/%5C/evil.example&password=b",
        "name[0]=a&name[b][c]=d&next=//evil.example&password=",
    ]
    .map(Vec::from)
    .to_vec()
}

/// A text frame or a binary one, whole: what is read is written and read as the same, and what is refused is refused in few words.
///
/// # Panics
/// If it is not.
pub fn frames(data: &[u8]) {
    if let Ok(text) = str::from_utf8(data) {
        check_text(text);
    }
    check_binary(data);
}

fn check_text(text: &str) {
    match read_frame(text) {
        Ok(frame) => {
            let written = serde_json::to_string(&frame).expect("a frame");
            let again: Result<ClientFrame, _> = serde_json::from_str(&written);
            assert_eq!(again.ok(), Some(frame), "{written}");
        }
        Err(reply) => {
            let written = serde_json::to_string(&reply).expect("a frame");
            assert!(
                written.len() <= MAX_REFUSAL_BYTES,
                "a refusal has {} bytes",
                written.len()
            );
            let again: Result<ServerFrame, _> = serde_json::from_str(&written);
            assert_eq!(again.ok().as_ref(), Some(reply.as_ref()), "{written}");
            assert!(matches!(
                *reply,
                ServerFrame::Error(_) | ServerFrame::Refused(Refusal { id: Some(_), .. })
            ));
        }
    }
}

fn check_binary(frame: &[u8]) {
    match Chunk::decode(frame) {
        Ok(chunk) => {
            assert!((1..=limits::MAX_CHUNK_BYTES).contains(&chunk.data.len()));
            assert_eq!(chunk.encode(), frame);
        }
        Err(ChunkError::TooLarge(_)) => assert!(frame.len() > limits::MAX_CHUNK_BYTES),
        Err(ChunkError::Malformed) => {}
    }
}

/// Of each type; calls and signals as `docs/protocol.md` shows them.
pub(crate) fn frame_examples() -> Vec<Vec<u8>> {
    let id = "0198c5f0-0000-7000-8000-000000000001";
    let chunk = Chunk {
        id: MessageId(Uuid::from_u128(7)),
        offset: 1 << 40,
        data: b"rialto",
    };
    let cursor = format!(r#""room":"{id}","epoch":"8f14e45fceea167a","seq":41"#);
    let mut all = [
        format!(r#"{{"type":"hello","client":"{id}","cursors":[{{{cursor}}}],"visible":true,"incarnation":2}}"#),
        r#"{"type":"ping","n":3,"ref":"a"}"#.to_owned(),
        r#"{"type":"visibility","visible":false}"#.to_owned(),
        format!(r#"{{"type":"resume",{cursor},"ref":-7}}"#),
        format!(r#"{{"type":"send","id":"{id}","room":"{id}","text":"a\u0000\r\n\ud83d\ude00"}}"#),
        format!(r#"{{"type":"upload","id":"{id}","room":"{id}","name":"../a.png","size":9}}"#),
        format!(r#"{{"type":"upload_cancel","id":"{id}"}}"#),
        format!(r#"{{"type":"read","room":"{id}","seq":41}}"#),
        format!(r#"{{"type":"typing","room":"{id}"}}"#),
        format!(r#"{{"type":"presence","person":{{"id":"{id}","name":"Ada","role":"guest"}},"presence":"online"}}"#),
    ]
    .map(Vec::from)
    .to_vec();
    all.extend(
        CALL_ACTIONS
            .map(|action| format!(r#"{{"type":"call","call":"{id}",{action}}}"#).into_bytes()),
    );
    all.push(format!(r#"{{"type":"{}"}}"#, "\u{ad}".repeat(2_000)).into_bytes());
    all.push(chunk.encode());
    all
}

const CALL_ACTIONS: [&str; 7] = [
    r#""action":"start","to":"0198c5f0-0000-7000-8000-000000000002","media":"video""#,
    r#""action":"accept""#,
    r#""action":"hang_up""#,
    r#""action":"join","room":"0198c5f0-0000-7000-8000-000000000002""#,
    r#""action":"signal","signal":{"kind":"offer","sdp":"v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\n"},"to":1"#,
    r#""action":"signal","signal":{"kind":"candidate","candidate":"candidate:1 1 udp 1 192.0.2.1 5 typ host","sdp_mid":"0"}"#,
    r#""action":"signal","signal":{"kind":"restart"}"#,
];

/// What arrives on a connection after the handshake, in frames and fragments (RFC 6455): the messages do not depend on how the network
/// splits them.
///
/// # Panics
/// If they do.
pub fn websocket(data: &[u8]) {
    let whole = read_messages(data, usize::MAX);
    let pieces = data.first().map_or(1, |byte| 1 + usize::from(byte & 7));
    assert_eq!(read_messages(data, pieces), whole);
    for message in whole.0 {
        assert!(message.len() <= MAX_MESSAGE_BYTES);
        match message {
            Message::Text(text) => check_text(&text),
            Message::Binary(bytes) => check_binary(&bytes),
            Message::Ping(_) | Message::Pong(_) | Message::Close(_) | Message::Frame(_) => {}
        }
    }
}

/// Also tells whether the client is told that a message was too large.
fn read_messages(data: &[u8], piece: usize) -> (Vec<Message>, bool) {
    let stream = Pieces { rest: data, piece };
    let mut socket = WebSocket::from_raw_socket(stream, Role::Server, Some(config()));
    let mut messages = Vec::new();
    loop {
        match socket.read() {
            Ok(message) => messages.push(message),
            Err(why) => return (messages, matches!(why, Error::Capacity(_))),
        }
    }
}

/// A stream that gives a few bytes at a time, and drops what is written.
struct Pieces<'a> {
    rest: &'a [u8],
    piece: usize,
}

impl Read for Pieces<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let end = buf.len().min(self.piece);
        self.rest.read(&mut buf[..end])
    }
}

impl Write for Pieces<'_> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Masked with zeros, so that a payload is there as it is.
fn client_frame(head: u8, payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len()).map_or(126, |length| length.min(126));
    let mut frame = vec![head, 0x80 | length];
    if length == 126 {
        frame.extend(
            u16::try_from(payload.len())
                .expect("it is short")
                .to_be_bytes(),
        );
    }
    frame.extend([0; 4]);
    frame.extend_from_slice(payload);
    frame
}

/// Whole messages, fragments with control frames in between, and frames that nobody may send.
pub(crate) fn websocket_examples() -> Vec<Vec<u8>> {
    // RFC 6455 section 5.2.
    const TEXT: u8 = 1;
    const BINARY: u8 = 2;
    const CLOSE: u8 = 8;
    const PING: u8 = 9;
    const FINAL: u8 = 0x80;
    let mut all: Vec<Vec<u8>> = Vec::new();
    for frame in frame_examples() {
        let is_text = str::from_utf8(&frame).is_ok();
        let kind = if is_text { TEXT } else { BINARY };
        all.push(client_frame(FINAL | kind, &frame));
        let (start, end) = frame.split_at(frame.len() / 2);
        let fragments = [
            client_frame(kind, start),
            client_frame(FINAL | PING, b"a"),
            client_frame(FINAL, end),
            client_frame(FINAL | CLOSE, &[0x03, 0xe9]),
        ];
        all.push(fragments.concat());
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_are_what_clients_send() {
        let count = |accepts: fn(&[u8]) -> bool| {
            let examples = frame_examples();
            examples.iter().filter(|frame| accepts(frame)).count()
        };
        let texts = count(|frame| str::from_utf8(frame).is_ok_and(|text| read_frame(text).is_ok()));
        assert_eq!(texts, 9 + CALL_ACTIONS.len());
        assert_eq!(count(|frame| Chunk::decode(frame).is_ok()), 1);
        for stream in websocket_examples() {
            let (messages, _) = read_messages(&stream, usize::MAX);
            assert!(matches!(
                messages.first(),
                Some(Message::Text(_) | Message::Binary(_) | Message::Ping(_))
            ));
        }
        let [post, history, story] =
            [1, 2, 3].map(|number: usize| form_examples().swap_remove(number));
        assert!(read_form::<PickName>(&form_examples()[0]).is_some());
        assert!(read_form::<PostMessage>(&post).is_some());
        assert!(read_query::<ReadRoomHistory>(&history).is_some());
        assert!(read_query::<ListStories>(&history).is_some());
        let story = Form::<StoryInput>::from_request(form_request(&story), &()).now_or_never();
        assert!(story.is_some_and(|story| story.is_ok()));
    }
}
