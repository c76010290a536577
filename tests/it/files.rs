//! Files: sent over the same socket in chunks, kept once, and given only to who may see them.

use crate::support::{Page, Person, Server, message_id};
use reqwest::{Response, header::HeaderMap};
use rialto::{
    model::{
        MessageId, RoomId, limits,
        message::{Attachment, Content, ImageSize, Message},
    },
    protocol::ws::{ClientFrame, ErrorCode, ServerFrame},
};
use sha2::{Digest, Sha256};
use std::time::Duration;

/// Bytes without a pattern that a mistake could hide in.
pub(crate) fn bytes(count: usize) -> Vec<u8> {
    (0_u64..)
        .map(|n| n.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes()[0])
        .take(count)
        .collect()
}

/// A picture of 3 by 2 pixels, as far as anybody looks at it before it is shown.
const PNG: &[u8] =
    b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x03\0\0\0\x02\x08\x02\0\0\0\x12\x16\xf1\x4d";

pub(crate) async fn announce(
    page: &mut Page,
    id: MessageId,
    room: RoomId,
    name: &str,
    size: usize,
) {
    let (name, size) = (name.to_owned(), size as u64);
    page.send(&ClientFrame::Upload {
        id,
        room,
        name,
        size,
    })
    .await;
}

/// From which offset on the server wants to have a file.
pub(crate) async fn ready(page: &mut Page, wanted: MessageId) -> usize {
    page.until(|frame| match frame {
        ServerFrame::UploadReady { id, offset } if *id == wanted => {
            Some(usize::try_from(*offset).unwrap())
        }
        ServerFrame::Refused { id, reason, .. } if *id == wanted => panic!("{reason}"),
        _ => None,
    })
    .await
}

/// How much of a file the server has.
async fn progress(page: &mut Page, wanted: MessageId) -> usize {
    page.until(|frame| match frame {
        ServerFrame::UploadProgress { id, received } if *id == wanted => {
            Some(usize::try_from(*received).unwrap())
        }
        _ => None,
    })
    .await
}

/// Sends what is left of a file, from an offset on.
pub(crate) async fn send_from(page: &mut Page, id: MessageId, offset: usize, data: &[u8]) {
    let mut at = offset;
    for chunk in data[offset..].chunks(limits::CHUNK_BYTES) {
        page.send_chunk(id, at as u64, chunk).await;
        at += chunk.len();
    }
}

/// Sends a whole file, and waits until it is a message.
pub(crate) async fn upload(page: &mut Page, room: RoomId, name: &str, data: &[u8]) -> Message {
    let id = message_id();
    announce(page, id, room, name, data.len()).await;
    let offset = ready(page, id).await;
    assert_eq!(offset, 0);
    send_from(page, id, offset, data).await;
    page.sent(id).await;
    page.until(|frame| {
        crate::support::page::message(frame)
            .filter(|message| message.id == id)
            .cloned()
    })
    .await
}

pub(crate) fn file_of(message: &Message) -> &Attachment {
    match &message.content {
        Content::File { file } => file,
        Content::Text { .. } | Content::Call { .. } | Content::GroupCall { .. } => {
            panic!("no file: {message:?}")
        }
    }
}

pub(crate) fn address(file: &Attachment) -> String {
    format!("/files/{}/{}", file.hash, file.name)
}

fn text(headers: &HeaderMap, name: &str) -> String {
    headers
        .get(name)
        .map(|value| value.to_str().unwrap().to_owned())
        .unwrap_or_default()
}

#[tokio::test]
async fn a_file_arrives_whole_and_its_progress_is_told() {
    let server = Server::start().await;
    let (ada, grace) = (
        Person::join(&server, "Ada").await,
        Person::join(&server, "Grace").await,
    );
    let (mut page, mut other) = (ada.page().await, grace.page().await);
    let room = page.general();
    let data = bytes(3 * limits::CHUNK_BYTES + 1_000);
    let id = message_id();
    announce(&mut page, id, room, "plans/of the bridge.pdf", data.len()).await;
    assert_eq!(ready(&mut page, id).await, 0);
    send_from(&mut page, id, 0, &data).await;
    for chunks in 1..=3 {
        assert_eq!(progress(&mut page, id).await, chunks * limits::CHUNK_BYTES);
    }
    let (seq, _) = page.sent(id).await;
    let message = other.message(room).await;
    let file = file_of(&message);
    assert_eq!(
        (message.id, message.seq, message.author.name.as_str()),
        (id, seq, "Ada")
    );
    assert_eq!(
        (file.name.as_str(), file.size, file.image),
        ("of the bridge.pdf", data.len() as u64, None)
    );
    let download = grace.get(&address(file)).await;
    assert_eq!(download.status(), 200);
    assert!(download.bytes().await.unwrap() == data, "byte for byte");
    // Announced once more, as a page does that missed the answer.
    announce(&mut page, id, room, "of the bridge.pdf", data.len()).await;
    assert_eq!(page.sent(id).await.0, seq);
}

#[tokio::test]
async fn an_upload_goes_on_where_it_stopped_when_the_connection_was_cut() {
    let server = Server::start().await;
    let ada = Person::join(&server, "Ada").await;
    let mut page = ada.page().await;
    let room = page.general();
    let data = bytes(5 * limits::CHUNK_BYTES);
    let id = message_id();
    announce(&mut page, id, room, "long.bin", data.len()).await;
    ready(&mut page, id).await;
    let sent = 2 * limits::CHUNK_BYTES;
    send_from(&mut page, id, 0, &data[..sent]).await;
    while progress(&mut page, id).await < sent {}
    drop(page);

    let mut page = ada.page().await;
    announce(&mut page, id, room, "long.bin", data.len()).await;
    let offset = ready(&mut page, id).await;
    assert_eq!(offset, sent, "nothing has to be sent again");
    send_from(&mut page, id, offset, &data).await;
    page.sent(id).await;
    let message = page.message(room).await;
    let kept = ada
        .get(&address(file_of(&message)))
        .await
        .bytes()
        .await
        .unwrap();
    assert!(kept == data);
}

#[tokio::test]
async fn an_upload_goes_on_after_the_server_was_killed() {
    let mut server = Server::start().await;
    let ada = Person::join(&server, "Ada").await;
    let mut page = ada.page().await;
    let room = page.general();
    let data = bytes(4 * limits::CHUNK_BYTES);
    let id = message_id();
    announce(&mut page, id, room, "long.bin", data.len()).await;
    ready(&mut page, id).await;
    let sent = 2 * limits::CHUNK_BYTES;
    send_from(&mut page, id, 0, &data[..sent]).await;
    while progress(&mut page, id).await < sent {}
    server.restart().await;

    let mut page = ada.page().await;
    // A chunk that was never announced to this server says so, and costs nothing.
    page.send_chunk(id, sent as u64, &data[sent..sent + 10])
        .await;
    assert_eq!(page.refused(id).await.0, ErrorCode::Invalid);
    announce(&mut page, id, room, "long.bin", data.len()).await;
    let offset = ready(&mut page, id).await;
    assert_eq!(offset, sent);
    send_from(&mut page, id, offset, &data).await;
    page.sent(id).await;
    let message = page.message(room).await;
    assert!(
        ada.get(&address(file_of(&message)))
            .await
            .bytes()
            .await
            .unwrap()
            == data
    );
    assert_eq!(server.kept_files().len(), 1, "nothing is left over");
}

#[tokio::test]
async fn the_same_bytes_are_kept_once() {
    let server = Server::start().await;
    let (ada, grace) = (
        Person::join(&server, "Ada").await,
        Person::join(&server, "Grace").await,
    );
    let (mut ada, mut grace) = (ada.page().await, grace.page().await);
    let room = ada.general();
    let data = bytes(100_000);
    let hers = upload(&mut ada, room, "a.bin", &data).await;
    let theirs = upload(&mut grace, room, "b.bin", &data).await;
    assert_eq!(file_of(&hers).hash, file_of(&theirs).hash);
    assert_eq!(
        (file_of(&hers).name.as_str(), file_of(&theirs).name.as_str()),
        ("a.bin", "b.bin")
    );
    let kept = server.kept_files();
    assert_eq!(kept.len(), 1, "{kept:?}");
    assert!(kept[0].ends_with(&file_of(&hers).hash));
    upload(&mut ada, room, "c.bin", &data[1..]).await;
    assert_eq!(server.kept_files().len(), 2);
}

#[tokio::test]
async fn a_picture_is_shown_with_its_size_known_before_it_is_loaded() {
    let server = Server::start().await;
    let ada = Person::join(&server, "Ada").await;
    let mut page = ada.page().await;
    let room = page.general();
    // What it is called and claimed to be says nothing.
    let message = upload(&mut page, room, "été \"5\".txt", PNG).await;
    let file = file_of(&message);
    assert_eq!(
        file.image,
        Some(ImageSize {
            width: 3,
            height: 2
        })
    );
    let shown = ada.get(&address(file)).await;
    assert_eq!(text(shown.headers(), "content-type"), "image/png");
    assert_eq!(
        text(shown.headers(), "content-disposition"),
        "inline; filename*=UTF-8''%C3%A9t%C3%A9%20%225%22.txt"
    );
    check_is_harmless(&shown);
    let html = ada.html("/chat/general").await;
    let image = html
        .split("<img")
        .skip(1)
        .map(|rest| rest.split_once('>').unwrap().0)
        .find(|tag| tag.contains(&file.hash));
    let image = image.expect("the picture on the page");
    assert!(
        image.contains("width=\"3\"") && image.contains("height=\"2\""),
        "{image}"
    );
}

#[tokio::test]
async fn what_could_run_in_a_page_is_only_ever_saved() {
    let server = Server::start().await;
    let ada = Person::join(&server, "Ada").await;
    let mut page = ada.page().await;
    let room = page.general();
    let svg =
        b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(document.domain)</script></svg>";
    let html = b"<!doctype html><script>alert(document.domain)</script>";
    for (name, data) in [
        ("logo.svg", svg.as_slice()),
        ("photo.png", svg.as_slice()),
        ("index.html", html.as_slice()),
        ("photo.jpg", html.as_slice()),
    ] {
        let message = upload(&mut page, room, name, data).await;
        let file = file_of(&message);
        assert_eq!(file.image, None, "{name}");
        let saved = ada.get(&address(file)).await;
        assert_eq!(
            text(saved.headers(), "content-type"),
            "application/octet-stream",
            "{name}"
        );
        let disposition = text(saved.headers(), "content-disposition");
        assert_eq!(disposition, format!("attachment; filename*=UTF-8''{name}"));
        check_is_harmless(&saved);
    }
}

fn check_is_harmless(download: &Response) {
    assert_eq!(
        text(download.headers(), "x-content-type-options"),
        "nosniff"
    );
    assert_eq!(
        text(download.headers(), "content-security-policy"),
        "sandbox; default-src 'none'"
    );
    assert!(
        text(download.headers(), "cache-control").starts_with("private,"),
        "{:?}",
        download.headers()
    );
}

#[tokio::test]
async fn a_file_is_given_to_members_of_its_room_only() {
    let server = Server::start().await;
    let (ada, grace) = (
        Person::join(&server, "Ada").await,
        Person::join(&server, "Grace").await,
    );
    let mallory = Person::join(&server, "Mallory").await;
    let (mut page, grace_page) = (ada.page().await, grace.page().await);
    let grace_id = grace_page.me().id.to_string();
    ada.post("/fn/open-direct", &[("with", &grace_id)]).await;
    let room = page
        .until(|frame| match frame {
            ServerFrame::Room { room } => Some(room.id),
            _ => None,
        })
        .await;
    let message = upload(&mut page, room, "letter.txt", b"for your eyes only").await;
    let place = address(file_of(&message));
    assert_eq!(grace.get(&place).await.status(), 200);
    assert_eq!(mallory.get(&place).await.status(), 404);
    assert_eq!(
        Person::nobody(&server, "Stranger")
            .get(&place)
            .await
            .status(),
        401
    );
    let nowhere = format!("/files/{}/letter.txt", "0".repeat(64));
    assert_eq!(
        mallory.get(&nowhere).await.status(),
        404,
        "as if it were not there"
    );
    for outside in [
        "/files/../rialto.sqlite",
        "/files/..%2F..%2Frialto.sqlite/a",
        "/files/partial/a",
    ] {
        assert_eq!(mallory.get(outside).await.status(), 404, "{outside}");
    }
}

#[tokio::test]
async fn a_part_of_a_file_can_be_asked_for() {
    let server = Server::start().await;
    let ada = Person::join(&server, "Ada").await;
    let mut page = ada.page().await;
    let room = page.general();
    let message = upload(&mut page, room, "a.txt", b"0123456789").await;
    let request = ada
        .http
        .get(ada.url(&address(file_of(&message))))
        .header("range", "bytes=3-5");
    let part = request.send().await.unwrap();
    assert_eq!(part.status(), 206);
    assert_eq!(part.text().await.unwrap(), "345");
}

#[tokio::test]
async fn a_file_that_is_too_large_or_empty_is_refused_in_words_before_it_is_sent() {
    let server = Server::start_with(|command| {
        command.env("RIALTO_UPLOAD_BYTES", "2000");
    })
    .await;
    let mut page = Person::join(&server, "Ada").await.page().await;
    let room = page.general();
    let id = message_id();
    announce(&mut page, id, room, "film.mp4", 2_001).await;
    let words = "\"film.mp4\" is 2 kB; a file may be 2 kB at most.".to_owned();
    assert_eq!(page.refused(id).await, (ErrorCode::Invalid, words));
    announce(&mut page, id, room, "nothing.txt", 0).await;
    let words = "\"nothing.txt\" is empty, so there is nothing to send.".to_owned();
    assert_eq!(page.refused(id).await, (ErrorCode::Invalid, words));
    let message = upload(&mut page, room, "fits.txt", &bytes(2_000)).await;
    assert_eq!(file_of(&message).size, 2_000);
}

#[tokio::test]
async fn one_person_may_have_eight_files_under_way() {
    let server = Server::start().await;
    let mut page = Person::join(&server, "Ada").await.page().await;
    let room = page.general();
    let ids: Vec<MessageId> = (0..8).map(|_| message_id()).collect();
    for id in &ids {
        announce(&mut page, *id, room, "a.txt", 3).await;
        ready(&mut page, *id).await;
    }
    let ninth = message_id();
    announce(&mut page, ninth, room, "a.txt", 3).await;
    let (code, reason) = page.refused(ninth).await;
    assert!(
        code == ErrorCode::Invalid && reason.contains("Wait for one to arrive"),
        "{reason}"
    );
    page.send_chunk(ids[0], 0, b"abc").await;
    page.sent(ids[0]).await;
    announce(&mut page, ninth, room, "a.txt", 3).await;
    ready(&mut page, ninth).await;
}

#[tokio::test]
async fn an_upload_that_is_given_up_leaves_nothing_behind() {
    let server = Server::start().await;
    let mut page = Person::join(&server, "Ada").await.page().await;
    let room = page.general();
    let id = message_id();
    let data = bytes(limits::CHUNK_BYTES + 1);
    announce(&mut page, id, room, "regret.txt", data.len()).await;
    ready(&mut page, id).await;
    page.send_chunk(id, 0, &data[..limits::CHUNK_BYTES]).await;
    progress(&mut page, id).await;
    assert_eq!(server.kept_files().len(), 1, "a part of it");
    page.send(&ClientFrame::UploadCancel { id }).await;
    page.all_so_far().await;
    assert_eq!(server.kept_files().len(), 0);
}

#[tokio::test]
async fn a_message_does_not_wait_behind_a_file() {
    let server = Server::start().await;
    let ada = Person::join(&server, "Ada").await;
    let mut grace = Person::join(&server, "Grace").await.page().await;
    let mut page = ada.page().await;
    let room = page.general();
    let data = bytes(20 * limits::CHUNK_BYTES);
    let id = message_id();
    announce(&mut page, id, room, "film.mp4", data.len()).await;
    ready(&mut page, id).await;
    // As the browser does: a few chunks are on their way, the rest follows when they are acknowledged.
    let window = limits::CHUNKS_IN_FLIGHT * limits::CHUNK_BYTES;
    send_from(&mut page, id, 0, &data[..window]).await;
    page.say(room, "here it comes").await;
    assert_eq!(grace.hears("here it comes").await.seq, 1);
    send_from(&mut page, id, window, &data).await;
    page.sent(id).await;
    assert_eq!(file_of(&grace.message(room).await).size, data.len() as u64);
}

#[tokio::test]
async fn two_pages_with_one_upload_id_leave_no_wrong_bytes_under_a_hash() {
    const ROUNDS: u64 = 24;
    let server = Server::start().await;
    let ada = Person::join(&server, "Ada").await;
    let (mut page, mut other) = (ada.page().await, ada.page().await);
    let room = page.general();
    let data = bytes(40 * limits::CHUNK_BYTES);
    let others = vec![b'B'; limits::CHUNK_BYTES];
    let mut arrived = 0;
    for round in 0..ROUNDS {
        let id = message_id();
        // Other bytes each time, so that nothing is there already.
        let data = [&round.to_be_bytes()[..], &data].concat();
        announce(&mut page, id, room, "plan.pdf", data.len()).await;
        assert_eq!(ready(&mut page, id).await, 0);
        send_from(&mut page, id, 0, &data).await;
        for _ in 0..data.len() / limits::CHUNK_BYTES {
            progress(&mut page, id).await;
        }
        // From here on the server hashes, copies and publishes; the other page steps in at another moment of it each time.
        tokio::time::sleep(Duration::from_micros(400 * round)).await;
        other.send(&ClientFrame::UploadCancel { id }).await;
        announce(&mut other, id, room, "plan.pdf", data.len() + 1).await;
        other.send_chunk(id, 0, &others).await;
        let sent = page
            .until(|frame| match frame {
                ServerFrame::Sent { id: sent, .. } if *sent == id => Some(true),
                ServerFrame::Refused { id: refused, .. } if *refused == id => Some(false),
                ServerFrame::UploadReady { .. } | ServerFrame::Error { .. } => Some(false),
                _ => None,
            })
            .await;
        arrived += u32::from(sent);
        other.send(&ClientFrame::UploadCancel { id }).await;
        other.all_so_far().await;
    }
    assert!(arrived > 0, "no file arrived, so this proved nothing");
    for kept in server.kept_files() {
        let name = kept.file_name().unwrap().to_str().unwrap().to_owned();
        if name.len() == 64 {
            let bytes = std::fs::read(&kept).unwrap();
            assert_eq!(hex::encode(Sha256::digest(&bytes)), name);
        }
    }
    println!("{arrived} of {ROUNDS} files arrived, each under the hash of its bytes");
}
