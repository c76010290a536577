//! Files: chunked uploads, deduplicated storage, and downloads for members only.

use crate::support::{Browser, Server, WsClient, message_id};
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

/// No repeating pattern: misplaced chunks are detected.
pub(crate) fn patternless_bytes(count: usize) -> Vec<u8> {
    (0_u64..)
        .map(|n| n.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes()[0])
        .take(count)
        .collect()
}

/// Signature and IHDR chunk of a PNG of 3 by 2 pixels; the server reads no more.
const PNG_HEADER: &[u8] =
    b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x03\0\0\0\x02\x08\x02\0\0\0\x12\x16\xf1\x4d";

pub(crate) async fn announce_upload(
    ws: &mut WsClient,
    id: MessageId,
    room: RoomId,
    name: &str,
    size: usize,
) {
    let (name, size) = (name.to_owned(), size as u64);
    ws.send(&ClientFrame::Upload {
        id,
        room,
        name,
        size,
    })
    .await;
}

/// The offset that the server expects.
pub(crate) async fn wait_for_upload_ready(ws: &mut WsClient, wanted: MessageId) -> usize {
    ws.wait_for(|frame| match frame {
        ServerFrame::UploadReady { id, offset } if *id == wanted => {
            Some(usize::try_from(*offset).unwrap())
        }
        ServerFrame::Refused(refusal) if refusal.id == Some(wanted) => panic!("{refusal:?}"),
        _ => None,
    })
    .await
}

/// The bytes that the server has received.
async fn wait_for_progress(ws: &mut WsClient, wanted: MessageId) -> usize {
    ws.wait_for(|frame| match frame {
        ServerFrame::UploadProgress { id, received } if *id == wanted => {
            Some(usize::try_from(*received).unwrap())
        }
        _ => None,
    })
    .await
}

pub(crate) async fn send_chunks_from(ws: &mut WsClient, id: MessageId, offset: usize, data: &[u8]) {
    let mut at = offset;
    for chunk in data[offset..].chunks(limits::MAX_CHUNK_BYTES) {
        ws.send_chunk(id, at as u64, chunk).await;
        at += chunk.len();
    }
}

/// Waits for the file's message.
pub(crate) async fn upload(ws: &mut WsClient, room: RoomId, name: &str, data: &[u8]) -> Message {
    let id = message_id();
    announce_upload(ws, id, room, name, data.len()).await;
    let offset = wait_for_upload_ready(ws, id).await;
    assert_eq!(offset, 0);
    send_chunks_from(ws, id, offset, data).await;
    ws.wait_for_ack(id).await;
    ws.wait_for(|frame| {
        crate::support::ws_client::as_message(frame)
            .filter(|message| message.id == id)
            .cloned()
    })
    .await
}

pub(crate) fn attachment_of(message: &Message) -> &Attachment {
    match &message.content {
        Content::File { file } => file,
        Content::Text { .. } | Content::Call { .. } | Content::GroupCall { .. } => {
            panic!("not a file message: {message:?}")
        }
    }
}

pub(crate) fn download_path(file: &Attachment) -> String {
    format!("/files/{}/{}", file.hash, file.name)
}

fn header_text(headers: &HeaderMap, name: &str) -> String {
    headers
        .get(name)
        .map(|value| value.to_str().unwrap().to_owned())
        .unwrap_or_default()
}

#[tokio::test]
async fn a_file_arrives_whole_and_its_progress_is_reported() {
    let server = Server::start().await;
    let (ada, grace) = (
        Browser::join(&server, "Ada").await,
        Browser::join(&server, "Grace").await,
    );
    let (mut ws, mut grace_ws) = (ada.connect().await, grace.connect().await);
    let room = ws.general();
    let data = patternless_bytes(3 * limits::MAX_CHUNK_BYTES + 1_000);
    let id = message_id();
    announce_upload(&mut ws, id, room, "plans/of the bridge.pdf", data.len()).await;
    assert_eq!(wait_for_upload_ready(&mut ws, id).await, 0);
    send_chunks_from(&mut ws, id, 0, &data).await;
    for chunks in 1..=3 {
        assert_eq!(
            wait_for_progress(&mut ws, id).await,
            chunks * limits::MAX_CHUNK_BYTES
        );
    }
    let (seq, _) = ws.wait_for_ack(id).await;
    let message = grace_ws.next_message(room).await;
    let file = attachment_of(&message);
    assert_eq!(
        (message.id, message.seq, message.author.name.as_str()),
        (id, seq, "Ada")
    );
    assert_eq!(
        (file.name.as_str(), file.size, file.image),
        ("of the bridge.pdf", data.len() as u64, None)
    );
    let download = grace.get(&download_path(file)).await;
    assert_eq!(download.status(), 200);
    assert!(download.bytes().await.unwrap() == data, "byte for byte");
    // As by a client that missed the acknowledgement.
    announce_upload(&mut ws, id, room, "of the bridge.pdf", data.len()).await;
    assert_eq!(ws.wait_for_ack(id).await.0, seq);
}

#[tokio::test]
async fn an_upload_goes_on_where_it_stopped_when_the_connection_was_cut() {
    let server = Server::start().await;
    let ada = Browser::join(&server, "Ada").await;
    let mut ws = ada.connect().await;
    let room = ws.general();
    let data = patternless_bytes(5 * limits::MAX_CHUNK_BYTES);
    let id = message_id();
    announce_upload(&mut ws, id, room, "long.bin", data.len()).await;
    wait_for_upload_ready(&mut ws, id).await;
    let sent = 2 * limits::MAX_CHUNK_BYTES;
    send_chunks_from(&mut ws, id, 0, &data[..sent]).await;
    while wait_for_progress(&mut ws, id).await < sent {}
    drop(ws);

    let mut ws = ada.connect().await;
    announce_upload(&mut ws, id, room, "long.bin", data.len()).await;
    let offset = wait_for_upload_ready(&mut ws, id).await;
    assert_eq!(offset, sent, "nothing has to be sent again");
    send_chunks_from(&mut ws, id, offset, &data).await;
    ws.wait_for_ack(id).await;
    let message = ws.next_message(room).await;
    let kept = ada
        .get(&download_path(attachment_of(&message)))
        .await
        .bytes()
        .await
        .unwrap();
    assert!(kept == data);
}

#[tokio::test]
async fn an_upload_goes_on_after_the_server_was_killed() {
    let mut server = Server::start().await;
    let ada = Browser::join(&server, "Ada").await;
    let mut ws = ada.connect().await;
    let room = ws.general();
    let data = patternless_bytes(4 * limits::MAX_CHUNK_BYTES);
    let id = message_id();
    announce_upload(&mut ws, id, room, "long.bin", data.len()).await;
    wait_for_upload_ready(&mut ws, id).await;
    let sent = 2 * limits::MAX_CHUNK_BYTES;
    send_chunks_from(&mut ws, id, 0, &data[..sent]).await;
    while wait_for_progress(&mut ws, id).await < sent {}
    server.restart().await;

    let mut ws = ada.connect().await;
    // Not announced to this process: refused, without harm.
    ws.send_chunk(id, sent as u64, &data[sent..sent + 10]).await;
    assert_eq!(ws.wait_for_refusal(id).await.0, ErrorCode::Invalid);
    announce_upload(&mut ws, id, room, "long.bin", data.len()).await;
    let offset = wait_for_upload_ready(&mut ws, id).await;
    assert_eq!(offset, sent);
    send_chunks_from(&mut ws, id, offset, &data).await;
    ws.wait_for_ack(id).await;
    let message = ws.next_message(room).await;
    assert!(
        ada.get(&download_path(attachment_of(&message)))
            .await
            .bytes()
            .await
            .unwrap()
            == data
    );
    assert_eq!(server.stored_files().len(), 1, "no partial file is left");
}

#[tokio::test]
async fn the_same_bytes_are_kept_once() {
    let server = Server::start().await;
    let (ada, grace) = (
        Browser::join(&server, "Ada").await,
        Browser::join(&server, "Grace").await,
    );
    let (mut ada, mut grace) = (ada.connect().await, grace.connect().await);
    let room = ada.general();
    let data = patternless_bytes(100_000);
    let hers = upload(&mut ada, room, "a.bin", &data).await;
    let theirs = upload(&mut grace, room, "b.bin", &data).await;
    assert_eq!(attachment_of(&hers).hash, attachment_of(&theirs).hash);
    assert_eq!(
        (
            attachment_of(&hers).name.as_str(),
            attachment_of(&theirs).name.as_str()
        ),
        ("a.bin", "b.bin")
    );
    let kept = server.stored_files();
    assert_eq!(kept.len(), 1, "{kept:?}");
    assert!(kept[0].ends_with(&attachment_of(&hers).hash));
    upload(&mut ada, room, "c.bin", &data[1..]).await;
    assert_eq!(server.stored_files().len(), 2);
}

#[tokio::test]
async fn a_picture_is_shown_with_its_size_known_before_it_is_loaded() {
    let server = Server::start().await;
    let ada = Browser::join(&server, "Ada").await;
    let mut ws = ada.connect().await;
    let room = ws.general();
    // The content decides the type, not the name.
    let message = upload(&mut ws, room, "été \"5\".txt", PNG_HEADER).await;
    let file = attachment_of(&message);
    assert_eq!(
        file.image,
        Some(ImageSize {
            width: 3,
            height: 2
        })
    );
    let shown = ada.get(&download_path(file)).await;
    assert_eq!(header_text(shown.headers(), "content-type"), "image/png");
    assert_eq!(
        header_text(shown.headers(), "content-disposition"),
        "inline; filename*=UTF-8''%C3%A9t%C3%A9%20%225%22.txt"
    );
    assert_is_harmless(&shown);
    let html = ada.html("/chat/general").await;
    let image = html
        .split("<img")
        .skip(1)
        .map(|rest| rest.split_once('>').unwrap().0)
        .find(|tag| tag.contains(&file.hash));
    let image = image.expect("an image of this file on the page");
    assert!(
        image.contains("width=\"3\"") && image.contains("height=\"2\""),
        "{image}"
    );
}

#[tokio::test]
async fn what_could_run_in_a_page_is_only_ever_saved() {
    let server = Server::start().await;
    let ada = Browser::join(&server, "Ada").await;
    let mut ws = ada.connect().await;
    let room = ws.general();
    let svg =
        b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(document.domain)</script></svg>";
    let html = b"<!doctype html><script>alert(document.domain)</script>";
    for (name, data) in [
        ("logo.svg", svg.as_slice()),
        ("photo.png", svg.as_slice()),
        ("index.html", html.as_slice()),
        ("photo.jpg", html.as_slice()),
    ] {
        let message = upload(&mut ws, room, name, data).await;
        let file = attachment_of(&message);
        assert_eq!(file.image, None, "{name}");
        let saved = ada.get(&download_path(file)).await;
        assert_eq!(
            header_text(saved.headers(), "content-type"),
            "application/octet-stream",
            "{name}"
        );
        let disposition = header_text(saved.headers(), "content-disposition");
        assert_eq!(disposition, format!("attachment; filename*=UTF-8''{name}"));
        assert_is_harmless(&saved);
    }
}

fn assert_is_harmless(download: &Response) {
    assert_eq!(
        header_text(download.headers(), "x-content-type-options"),
        "nosniff"
    );
    assert_eq!(
        header_text(download.headers(), "content-security-policy"),
        "sandbox; default-src 'none'"
    );
    assert!(
        header_text(download.headers(), "cache-control").starts_with("private,"),
        "{:?}",
        download.headers()
    );
}

#[tokio::test]
async fn a_file_is_given_to_members_of_its_room_only() {
    let server = Server::start().await;
    let (ada, grace) = (
        Browser::join(&server, "Ada").await,
        Browser::join(&server, "Grace").await,
    );
    let mallory = Browser::join(&server, "Mallory").await;
    let (mut ws, grace_ws) = (ada.connect().await, grace.connect().await);
    let grace_id = grace_ws.me().id.to_string();
    ada.post("/fn/open-direct", &[("with", &grace_id)]).await;
    let room = ws
        .wait_for(|frame| match frame {
            ServerFrame::Room { room } => Some(room.id),
            _ => None,
        })
        .await;
    let message = upload(&mut ws, room, "letter.txt", b"for your eyes only").await;
    let place = download_path(attachment_of(&message));
    assert_eq!(grace.get(&place).await.status(), 200);
    assert_eq!(mallory.get(&place).await.status(), 404);
    assert_eq!(
        Browser::anonymous(&server, "Stranger")
            .get(&place)
            .await
            .status(),
        401
    );
    let nowhere = format!("/files/{}/letter.txt", "0".repeat(64));
    assert_eq!(
        mallory.get(&nowhere).await.status(),
        404,
        "a missing file and another room's file give the same status"
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
    let ada = Browser::join(&server, "Ada").await;
    let mut ws = ada.connect().await;
    let room = ws.general();
    let message = upload(&mut ws, room, "a.txt", b"0123456789").await;
    let request = ada
        .http
        .get(ada.url(&download_path(attachment_of(&message))))
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
    let mut ws = Browser::join(&server, "Ada").await.connect().await;
    let room = ws.general();
    let id = message_id();
    announce_upload(&mut ws, id, room, "film.mp4", 2_001).await;
    let words = "\"film.mp4\" is 2 kB; the limit is 2 kB.".to_owned();
    assert_eq!(ws.wait_for_refusal(id).await, (ErrorCode::Invalid, words));
    announce_upload(&mut ws, id, room, "nothing.txt", 0).await;
    let words = "\"nothing.txt\" is empty, so there is nothing to send.".to_owned();
    assert_eq!(ws.wait_for_refusal(id).await, (ErrorCode::Invalid, words));
    let message = upload(&mut ws, room, "fits.txt", &patternless_bytes(2_000)).await;
    assert_eq!(attachment_of(&message).size, 2_000);
}

#[tokio::test]
async fn one_person_may_have_eight_files_under_way() {
    let server = Server::start().await;
    let mut ws = Browser::join(&server, "Ada").await.connect().await;
    let room = ws.general();
    let ids: Vec<MessageId> = (0..8).map(|_| message_id()).collect();
    for id in &ids {
        announce_upload(&mut ws, *id, room, "a.txt", 3).await;
        wait_for_upload_ready(&mut ws, *id).await;
    }
    let ninth = message_id();
    announce_upload(&mut ws, ninth, room, "a.txt", 3).await;
    let (code, reason) = ws.wait_for_refusal(ninth).await;
    assert!(
        code == ErrorCode::Invalid && reason.contains("Wait for one to finish"),
        "{reason}"
    );
    ws.send_chunk(ids[0], 0, b"abc").await;
    ws.wait_for_ack(ids[0]).await;
    announce_upload(&mut ws, ninth, room, "a.txt", 3).await;
    wait_for_upload_ready(&mut ws, ninth).await;
}

#[tokio::test]
async fn an_upload_that_is_given_up_leaves_nothing_behind() {
    let server = Server::start().await;
    let mut ws = Browser::join(&server, "Ada").await.connect().await;
    let room = ws.general();
    let id = message_id();
    let data = patternless_bytes(limits::MAX_CHUNK_BYTES + 1);
    announce_upload(&mut ws, id, room, "regret.txt", data.len()).await;
    wait_for_upload_ready(&mut ws, id).await;
    ws.send_chunk(id, 0, &data[..limits::MAX_CHUNK_BYTES]).await;
    wait_for_progress(&mut ws, id).await;
    assert_eq!(server.stored_files().len(), 1, "the partial file");
    ws.send(&ClientFrame::UploadCancel { id }).await;
    ws.frames_until_pong().await;
    assert_eq!(server.stored_files().len(), 0);
}

#[tokio::test]
async fn a_message_does_not_wait_behind_a_file() {
    let server = Server::start().await;
    let ada = Browser::join(&server, "Ada").await;
    let mut grace = Browser::join(&server, "Grace").await.connect().await;
    let mut ws = ada.connect().await;
    let room = ws.general();
    let data = patternless_bytes(20 * limits::MAX_CHUNK_BYTES);
    let id = message_id();
    announce_upload(&mut ws, id, room, "film.mp4", data.len()).await;
    wait_for_upload_ready(&mut ws, id).await;
    // As in the browser, more chunks follow when some are acknowledged.
    let window = limits::MAX_CHUNKS_IN_FLIGHT * limits::MAX_CHUNK_BYTES;
    send_chunks_from(&mut ws, id, 0, &data[..window]).await;
    ws.send_message(room, "here it comes").await;
    assert_eq!(grace.wait_for_text("here it comes").await.seq, 1);
    send_chunks_from(&mut ws, id, window, &data).await;
    ws.wait_for_ack(id).await;
    assert_eq!(
        attachment_of(&grace.next_message(room).await).size,
        data.len() as u64
    );
}

#[tokio::test]
async fn two_pages_with_one_upload_id_leave_no_wrong_bytes_under_a_hash() {
    const ROUNDS: u64 = 24;
    let server = Server::start().await;
    let ada = Browser::join(&server, "Ada").await;
    let (mut ws, mut other_ws) = (ada.connect().await, ada.connect().await);
    let room = ws.general();
    let data = patternless_bytes(40 * limits::MAX_CHUNK_BYTES);
    let other_chunk = vec![b'B'; limits::MAX_CHUNK_BYTES];
    let mut arrived = 0;
    for round in 0..ROUNDS {
        let id = message_id();
        // Different in each round, so that none is deduplicated.
        let data = [&round.to_be_bytes()[..], &data].concat();
        announce_upload(&mut ws, id, room, "plan.pdf", data.len()).await;
        assert_eq!(wait_for_upload_ready(&mut ws, id).await, 0);
        send_chunks_from(&mut ws, id, 0, &data).await;
        for _ in 0..data.len() / limits::MAX_CHUNK_BYTES {
            wait_for_progress(&mut ws, id).await;
        }
        // The server publishes the file; the other client interferes at a different moment in each round.
        tokio::time::sleep(Duration::from_micros(400 * round)).await;
        other_ws.send(&ClientFrame::UploadCancel { id }).await;
        announce_upload(&mut other_ws, id, room, "plan.pdf", data.len() + 1).await;
        other_ws.send_chunk(id, 0, &other_chunk).await;
        let sent = ws
            .wait_for(|frame| match frame {
                ServerFrame::Sent { id: sent, .. } if *sent == id => Some(true),
                ServerFrame::Refused(refusal) if refusal.id == Some(id) => Some(false),
                ServerFrame::UploadReady { .. } | ServerFrame::Error(_) => Some(false),
                _ => None,
            })
            .await;
        arrived += u32::from(sent);
        other_ws.send(&ClientFrame::UploadCancel { id }).await;
        other_ws.frames_until_pong().await;
    }
    assert!(arrived > 0, "no file arrived, so nothing was tested");
    for kept in server.stored_files() {
        let name = kept.file_name().unwrap().to_str().unwrap().to_owned();
        if name.len() == 64 {
            let bytes = std::fs::read(&kept).unwrap();
            assert_eq!(hex::encode(Sha256::digest(&bytes)), name);
        }
    }
    println!("{arrived} of {ROUNDS} files arrived, each under the hash of its bytes");
}
