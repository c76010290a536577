//! Files in an S3 bucket, on a real S3 server.

use crate::{
    files::{
        announce_upload, attachment_of, download_path, patternless_bytes, send_chunks_from, upload,
        wait_for_upload_ready,
    },
    support::{
        Browser, Cluster, Server, TestStorage, message_id, needs_postgresql,
        s3::S3,
        server::{files_in, startup_error},
        stuck_reader::StuckReader,
    },
};
use reqwest::header;
use rialto::{
    model::limits,
    protocol::ws::{ErrorCode, ServerFrame},
};
use std::time::Duration;
use tokio::time::sleep;

#[tokio::test]
async fn what_is_sent_is_in_the_bucket_and_comes_from_there() {
    let s3 = S3::start().await;
    let server = Server::start_with(s3.settings()).await;
    let ada = Browser::join(&server, "Ada").await;
    let mut ws = ada.connect().await;
    let room = ws.general();
    // With a single PUT, and with a multipart upload.
    for size in [100_000, 11_000_000] {
        let data = patternless_bytes(size);
        let message = upload(&mut ws, room, "plan.pdf", &data).await;
        let file = attachment_of(&message);
        let kept = s3.objects_dir().join(&file.hash[..2]).join(&file.hash);
        assert!(std::fs::read(kept).unwrap() == data, "{size} bytes");
        assert!(
            server.stored_files().is_empty(),
            "no file is left in the data folder"
        );

        let download = ada.get(&download_path(file)).await;
        assert_eq!(download.headers()[header::CONTENT_LENGTH], size.to_string());
        assert!(download.bytes().await.unwrap() == data);
        let part = ada.http().get(ada.url(&download_path(file)));
        let part = part.header(header::RANGE, "bytes=50000-50009");
        let part = part.send().await.unwrap();
        assert_eq!(part.status(), 206);
        assert_eq!(part.bytes().await.unwrap(), data[50_000..50_010]);
    }
    // The same content is the same object.
    upload(&mut ws, room, "copy.pdf", &patternless_bytes(100_000)).await;
    assert_eq!(files_in(&s3.objects_dir()).len(), 2);
}

#[tokio::test]
async fn while_the_bucket_is_away_a_file_waits_and_nothing_of_it_is_sent_twice() {
    let mut s3 = S3::start().await;
    let server = Server::start_with(s3.settings()).await;
    let ada = Browser::join(&server, "Ada").await;
    let mut ws = ada.connect().await;
    let room = ws.general();
    s3.stop().await;
    let data = patternless_bytes(2 * limits::MAX_CHUNK_BYTES);
    let id = message_id();
    announce_upload(&mut ws, id, room, "plan.pdf", data.len()).await;
    let offset = wait_for_upload_ready(&mut ws, id).await;
    send_chunks_from(&mut ws, id, offset, &data).await;
    let (code, reason) = ws.wait_for_refusal(id).await;
    assert_eq!(code, ErrorCode::Unavailable, "{reason}");
    ws.send_message(room, "Everything else goes on").await;

    s3.launch().await;
    announce_upload(&mut ws, id, room, "plan.pdf", data.len()).await;
    let is_acknowledged = |frame: &ServerFrame| match frame {
        ServerFrame::Sent { id: sent, .. } if *sent == id => Some(()),
        ServerFrame::UploadReady { .. } => panic!("the server already has the whole file"),
        _ => None,
    };
    ws.wait_for(is_acknowledged).await;
}

/// More than the socket buffers hold.
const LARGE_FILE_BYTES: usize = 20 * 1024 * 1024;

/// Returns the sender, the file's path and its content.
async fn send_large_file(server: &Server) -> (Browser, String, Vec<u8>) {
    let ada = Browser::join(server, "Ada").await;
    let mut ws = ada.connect().await;
    let data = patternless_bytes(LARGE_FILE_BYTES);
    let room = ws.general();
    let message = upload(&mut ws, room, "film.mp4", &data).await;
    (ada, download_path(attachment_of(&message)), data)
}

#[tokio::test]
async fn a_file_is_given_as_slowly_as_it_is_taken() {
    /// Longer than the server's timeout for the object store.
    const READ_PAUSE: Duration = Duration::from_secs(25);

    let s3 = S3::start().await;
    let server = Server::start_with(s3.settings()).await;
    let (ada, place, data) = send_large_file(&server).await;
    let slow = StuckReader::get(&ada, &place).await;
    sleep(READ_PAUSE).await;
    let body = slow.read_body().await;
    assert!(body == data, "{} bytes", body.len());
}

#[tokio::test]
async fn a_file_goes_on_when_the_bucket_was_away_meanwhile() {
    let mut s3 = S3::start().await;
    let server = Server::start_with(s3.settings()).await;
    let (ada, place, data) = send_large_file(&server).await;
    let slow = StuckReader::get(&ada, &place).await;
    s3.stop().await;
    s3.launch().await;
    let body = slow.read_body().await;
    assert!(body == data, "{} bytes", body.len());

    // Cut off, so that no client takes it for the whole file.
    let slow = StuckReader::get(&ada, &place).await;
    s3.stop().await;
    let body = slow.read_body().await;
    assert!(body.len() < data.len(), "{} bytes", body.len());
    assert!(data.starts_with(&body));
}

#[tokio::test]
async fn a_bucket_that_cannot_be_used_is_refused_at_the_start_in_words() {
    let s3 = S3::start().await;
    let set = s3.settings();
    let wrong: [(&str, &str, &str); 3] = [
        ("AWS_SECRET_ACCESS_KEY", "another", "AWS_SECRET_ACCESS_KEY"),
        (
            "RIALTO_FILES",
            "s3://nowhere",
            "must name an existing bucket",
        ),
        ("RIALTO_FILES", "community", "s3://bucket"),
    ];
    for (name, value, words) in wrong {
        let stderr = startup_error(&TestStorage::new(), |command| {
            set(command);
            command.env(name, value);
        })
        .await;
        assert!(stderr.contains(words), "{stderr}");
        assert!(!stderr.contains("a secret of this test"), "{stderr}");
    }
}

#[tokio::test]
async fn nodes_without_a_common_folder_give_each_others_files() {
    needs_postgresql!();
    let s3 = S3::start().await;
    let cluster = Cluster::start_with(2, s3.settings()).await;
    let [ada, bob] = [cluster.join(0, "Ada").await, cluster.join(1, "Bob").await];
    let mut ws = ada.connect().await;
    let room = ws.general();
    let data = patternless_bytes(3 * limits::MAX_CHUNK_BYTES);
    let message = upload(&mut ws, room, "plan.pdf", &data).await;
    let download = bob.get(&download_path(attachment_of(&message))).await;
    assert!(download.bytes().await.unwrap() == data);
    // Begun at one node and continued at the other, which asks for the whole file.
    let data = patternless_bytes(4 * limits::MAX_CHUNK_BYTES + 1);
    let id = message_id();
    announce_upload(&mut ws, id, room, "plan 2.pdf", data.len()).await;
    wait_for_upload_ready(&mut ws, id).await;
    send_chunks_from(&mut ws, id, 0, &data[..2 * limits::MAX_CHUNK_BYTES]).await;
    drop(ws);
    let mut ws = ada.at_node(&cluster.nodes[1]).connect().await;
    announce_upload(&mut ws, id, room, "plan 2.pdf", data.len()).await;
    let offset = wait_for_upload_ready(&mut ws, id).await;
    send_chunks_from(&mut ws, id, offset, &data).await;
    ws.wait_for_ack(id).await;
    let message = ws.next_message(room).await;
    let download = ada.get(&download_path(attachment_of(&message))).await;
    assert!(download.bytes().await.unwrap() == data);
}
