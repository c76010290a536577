//! What people send, kept in an S3 bucket instead of the data folder: against a real S3 server.

use crate::{
    files::{address, announce, bytes, file_of, ready, send_from, upload},
    support::{
        Cluster, Home, Person, Server, message_id, needs_postgresql,
        raw::Stuck,
        s3::S3,
        server::{files_in, refusal},
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
    let ada = Person::join(&server, "Ada").await;
    let mut page = ada.page().await;
    let room = page.general();
    // One that is put in one request, and one that is put in parts (S3 multipart upload).
    for size in [100_000, 11_000_000] {
        let data = bytes(size);
        let message = upload(&mut page, room, "plan.pdf", &data).await;
        let file = file_of(&message);
        let kept = s3.folder().join(&file.hash[..2]).join(&file.hash);
        assert!(std::fs::read(kept).unwrap() == data, "{size} bytes");
        assert!(server.kept_files().is_empty(), "nothing is left behind");

        let download = ada.get(&address(file)).await;
        assert_eq!(download.headers()[header::CONTENT_LENGTH], size.to_string());
        assert!(download.bytes().await.unwrap() == data);
        let part = ada.http().get(ada.url(&address(file)));
        let part = part.header(header::RANGE, "bytes=50000-50009");
        let part = part.send().await.unwrap();
        assert_eq!(part.status(), 206);
        assert_eq!(part.bytes().await.unwrap(), data[50_000..50_010]);
    }
    // The same bytes again are the same object.
    upload(&mut page, room, "copy.pdf", &bytes(100_000)).await;
    assert_eq!(files_in(&s3.folder()).len(), 2);
}

#[tokio::test]
async fn while_the_bucket_is_away_a_file_waits_and_nothing_of_it_is_sent_twice() {
    let mut s3 = S3::start().await;
    let server = Server::start_with(s3.settings()).await;
    let ada = Person::join(&server, "Ada").await;
    let mut page = ada.page().await;
    let room = page.general();
    s3.stop().await;
    let data = bytes(2 * limits::CHUNK_BYTES);
    let id = message_id();
    announce(&mut page, id, room, "plan.pdf", data.len()).await;
    let offset = ready(&mut page, id).await;
    send_from(&mut page, id, offset, &data).await;
    let (code, reason) = page.refused(id).await;
    assert_eq!(code, ErrorCode::Unavailable, "{reason}");
    page.say(room, "Everything else goes on").await;

    s3.start_again().await;
    announce(&mut page, id, room, "plan.pdf", data.len()).await;
    let unasked = |frame: &ServerFrame| match frame {
        ServerFrame::Sent { id: sent, .. } if *sent == id => Some(()),
        ServerFrame::UploadReady { .. } => panic!("it has all of it"),
        _ => None,
    };
    page.until(unasked).await;
}

/// More than systems keep for the sockets between the bucket and a reader who does not read, so that the rest waits in the bucket.
const LONG: usize = 20 * 1024 * 1024;

/// Somebody who has sent such a file, its address, and what is in it.
async fn film(server: &Server) -> (Person, String, Vec<u8>) {
    let ada = Person::join(server, "Ada").await;
    let mut page = ada.page().await;
    let data = bytes(LONG);
    let room = page.general();
    let message = upload(&mut page, room, "film.mp4", &data).await;
    (ada, address(file_of(&message)), data)
}

#[tokio::test]
async fn a_file_is_given_as_slowly_as_it_is_taken() {
    /// Longer than the bucket may take to answer.
    const PAUSE: Duration = Duration::from_secs(25);

    let s3 = S3::start().await;
    let server = Server::start_with(s3.settings()).await;
    let (ada, place, data) = film(&server).await;
    let slow = Stuck::get(&ada, &place).await;
    sleep(PAUSE).await;
    let body = slow.body().await;
    assert!(body == data, "{} bytes", body.len());
}

#[tokio::test]
async fn a_file_goes_on_when_the_bucket_was_away_meanwhile() {
    let mut s3 = S3::start().await;
    let server = Server::start_with(s3.settings()).await;
    let (ada, place, data) = film(&server).await;
    let slow = Stuck::get(&ada, &place).await;
    s3.stop().await;
    s3.start_again().await;
    let body = slow.body().await;
    assert!(body == data, "{} bytes", body.len());

    // Where it stays away, what comes is cut off, and so nobody takes it for the whole.
    let slow = Stuck::get(&ada, &place).await;
    s3.stop().await;
    let body = slow.body().await;
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
            "a bucket that has to be there",
        ),
        ("RIALTO_FILES", "community", "s3://bucket"),
    ];
    for (name, value, words) in wrong {
        let said = refusal(&Home::new(), |command| {
            set(command);
            command.env(name, value);
        })
        .await;
        assert!(said.contains(words), "{said}");
        assert!(!said.contains("a secret of this test"), "{said}");
    }
}

#[tokio::test]
async fn nodes_without_a_common_folder_give_each_others_files() {
    needs_postgresql!();
    let s3 = S3::start().await;
    let cluster = Cluster::start_with(2, s3.settings()).await;
    let [ada, bob] = [cluster.join(0, "Ada").await, cluster.join(1, "Bob").await];
    let mut page = ada.page().await;
    let room = page.general();
    let data = bytes(3 * limits::CHUNK_BYTES);
    let message = upload(&mut page, room, "plan.pdf", &data).await;
    let download = bob.get(&address(file_of(&message))).await;
    assert!(download.bytes().await.unwrap() == data);
    // Half of it at one node, then at the other: that one wants all of it, and keeps it.
    let data = bytes(4 * limits::CHUNK_BYTES + 1);
    let id = message_id();
    announce(&mut page, id, room, "plan 2.pdf", data.len()).await;
    ready(&mut page, id).await;
    send_from(&mut page, id, 0, &data[..2 * limits::CHUNK_BYTES]).await;
    drop(page);
    let mut page = ada.at(&cluster.nodes[1]).page().await;
    announce(&mut page, id, room, "plan 2.pdf", data.len()).await;
    let offset = ready(&mut page, id).await;
    send_from(&mut page, id, offset, &data).await;
    page.sent(id).await;
    let message = page.message(room).await;
    let download = ada.get(&address(file_of(&message))).await;
    assert!(download.bytes().await.unwrap() == data);
}
