//! A burst of messages in one room does not delay other rooms.

use crate::support::{
    Browser, Server, WsClient,
    latencies::{Latencies, measure_latencies},
    message_id, with_timeout, ws_client,
};
use rialto::{model::RoomId, protocol::ws::ServerFrame};
use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::task::JoinSet;

/// Per measurement.
const MEASURED_MESSAGES: usize = 200;
const BURST_CLIENTS: usize = 4;
/// Unacknowledged messages per bursting connection.
const MAX_IN_FLIGHT: usize = 64;
/// Beside a burst, relative to none; even one core stays below.
const MAX_MEDIAN_RATIO: u32 = 5;
/// A busy machine may delay any attempt, a lack of isolation delays all.
const MAX_ATTEMPTS: usize = 3;

/// As fast as acknowledged, until `stop` is set. Returns the number.
async fn flood(mut ws: WsClient, room: RoomId, stop: Arc<AtomicBool>) -> usize {
    let mut taken = 0;
    while !stop.load(Ordering::Relaxed) {
        let ids: Vec<_> = (0..MAX_IN_FLIGHT).map(|_| message_id()).collect();
        for id in &ids {
            ws.send(&ws_client::message_frame(*id, room, "burst")).await;
        }
        let mut waiting: HashSet<_> = ids.into_iter().collect();
        ws.wait_for(|frame| {
            if let ServerFrame::Sent { id, .. } = frame {
                waiting.remove(id);
            }
            waiting.is_empty().then_some(())
        })
        .await;
        taken += MAX_IN_FLIGHT;
    }
    ws.close().await;
    taken
}

async fn read_until_closed(mut ws: WsClient, stop: Arc<AtomicBool>) {
    while !stop.load(Ordering::Relaxed) {
        if ws.next_frame().await.is_err() {
            return;
        }
    }
}

/// With the first user's connections and one of the second.
async fn room_of_two(server: &Server, n: usize) -> (RoomId, Vec<WsClient>, WsClient) {
    let loud = Browser::join(server, &format!("Loud {n}")).await;
    let reader_browser = Browser::join(server, &format!("Patient {n}")).await;
    let (mut writer, reader) = (loud.connect().await, reader_browser.connect().await);
    let with = reader.me().id.to_string();
    loud.post("/fn/open-direct", &[("with", &with)]).await;
    let room = writer
        .wait_for(|frame| match frame {
            ServerFrame::Room { room } => Some(room.id),
            _ => None,
        })
        .await;
    let mut writers = vec![writer];
    while writers.len() < BURST_CLIENTS {
        writers.push(loud.connect().await);
    }
    (room, writers, reader)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_burst_in_one_room_delays_no_other() {
    let server = Server::start_with(|command| {
        command.env("RIALTO_LIMITS", "messages=1000000,frames=1000000");
    })
    .await;
    let (ada, grace) = (
        Browser::join(&server, "Ada").await,
        Browser::join(&server, "Grace").await,
    );
    let (mut writer, mut reader) = (ada.connect().await, grace.connect().await);
    let text = |n: usize| format!("Message {n}");
    for n in 0..MAX_ATTEMPTS {
        let baseline = measure_latencies(&mut writer, &mut reader, MEASURED_MESSAGES, text).await;
        let stop = Arc::<AtomicBool>::default();
        let (room, loud, burst_reader) = room_of_two(&server, n).await;
        let mut burst = JoinSet::new();
        for ws in loud {
            burst.spawn(flood(ws, room, stop.clone()));
        }
        let listening = tokio::spawn(read_until_closed(burst_reader, stop.clone()));
        let beside = measure_latencies(&mut writer, &mut reader, MEASURED_MESSAGES, text).await;
        stop.store(true, Ordering::Relaxed);
        let taken = with_timeout("the burst ends", burst.join_all()).await;
        let taken: usize = taken.into_iter().sum();
        listening.abort();
        println!("{taken} messages of the burst beside {MEASURED_MESSAGES} measured ones");
        assert!(
            taken > 3 * MEASURED_MESSAGES,
            "too few messages for a burst: {taken}"
        );
        if is_within_budget(&beside, &baseline) {
            return;
        }
    }
    panic!("the other room was delayed in every attempt");
}

fn is_within_budget(beside: &Latencies, without: &Latencies) -> bool {
    beside.is_within_budget(without, "beside a burst in another room")
        && beside.median() < MAX_MEDIAN_RATIO * without.median()
}
