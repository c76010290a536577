//! Files: how many, how much and how often.

use super::start_with;
use crate::{
    files::{announce_upload, patternless_bytes, upload},
    support::{Browser, Server, SmallDisk, WsClient, message_id},
};
use rialto::{model::RoomId, protocol::ws::ErrorCode};
use std::time::{Duration, Instant};

/// Returns the reason.
async fn refused(ws: &mut WsClient, room: RoomId, size: usize) -> String {
    let id = message_id();
    announce_upload(ws, id, room, "film.mp4", size).await;
    let (code, reason) = ws.wait_for_refusal(id).await;
    assert_eq!(code, ErrorCode::Invalid, "{reason}");
    reason
}

#[tokio::test]
async fn a_file_counts_as_a_message_and_waits_for_its_turn() {
    let server = start_with("messages=5/100ms").await;
    let mut ws = Browser::join(&server, "Mallory").await.connect().await;
    let mut ada = Browser::join(&server, "Ada").await.connect().await;
    let room = ws.general();
    let began = Instant::now();
    for n in 0..15 {
        upload(&mut ws, room, "x", format!("{n:02}").as_bytes()).await;
        if n == 10 {
            ada.send_message(room, "still here").await;
        }
    }
    assert!(
        began.elapsed() >= Duration::from_millis(900),
        "{:?}",
        began.elapsed()
    );
}

#[tokio::test]
async fn the_files_of_one_person_take_so_much_and_no_more() {
    let server = Server::start_with(|command| {
        command.args(["--person-file-bytes", "5000"]);
    })
    .await;
    let mut ws = Browser::join(&server, "Mallory").await.connect().await;
    let room = ws.general();
    upload(&mut ws, room, "first.bin", &patternless_bytes(3_000)).await;
    // A file sent twice counts twice.
    let reason = refused(&mut ws, room, 3_000).await;
    assert!(
        reason.contains("your files may take 5 kB altogether"),
        "{reason}"
    );
    assert!(reason.ends_with("Text messages still work."), "{reason}");
    ws.send_message(room, "text").await;
    upload(&mut ws, room, "small.bin", &patternless_bytes(2_000)).await;
    let mut ada = Browser::join(&server, "Ada").await.connect().await;
    upload(&mut ada, room, "hers.bin", &patternless_bytes(4_000)).await;
}

#[tokio::test]
async fn all_files_together_take_so_much_and_no_more() {
    let server = Server::start_with(|command| {
        command.args(["--file-bytes", "5000"]);
    })
    .await;
    let mut ws = Browser::join(&server, "Mallory").await.connect().await;
    let mut ada = Browser::join(&server, "Ada").await.connect().await;
    let room = ws.general();
    upload(&mut ws, room, "first.bin", &patternless_bytes(4_000)).await;
    let reason = refused(&mut ada, room, 2_000).await;
    assert!(
        reason.contains("the server has no more space for files"),
        "{reason}"
    );
    upload(&mut ada, room, "small.bin", &patternless_bytes(1_000)).await;
}

#[tokio::test]
async fn a_reserve_of_the_disk_is_left_to_the_store() {
    let Some(disk) = SmallDisk::mount(48).await else {
        return;
    };
    let server = Server::start_on_disk_with(&disk, |command| {
        command.args(["--disk-reserve", "30000000"]);
    })
    .await;
    let ada = Browser::join(&server, "Ada").await;
    let mut ws = ada.connect().await;
    let room = ws.general();
    upload(&mut ws, room, "fits.bin", &patternless_bytes(4_000_000)).await;
    let reason = refused(&mut ws, room, 20_000_000).await;
    assert!(
        reason.contains("the server has no more space for files"),
        "{reason}"
    );
    ws.send_message(room, "text").await;
    assert!(ada.html("/chat/general").await.contains("fits.bin"));
}
