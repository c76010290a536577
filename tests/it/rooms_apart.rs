//! No room pays for another's burst.

use crate::support::{
    Page, Person, Server,
    delays::{Delays, exchange},
    message_id, page, within,
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

/// How many messages are exchanged to find out how long they take.
const ROUNDS: usize = 200;
/// How many pages make the burst, and how many messages of each are on their way at a time.
const PAGES: usize = 4;
const AT_ONCE: usize = 64;
/// By how much a burst elsewhere may draw out what is usual, on a machine that has hardly a processor to spare.
const MOST_TIMES: u32 = 5;
/// A busy machine delays anything now and then, a burst elsewhere would do so every time: one of so many tries has to be good.
const TRIES: usize = 3;

/// Writes into a room as fast as it goes, until it is told to stop. How many messages were taken.
async fn flood(mut page: Page, room: RoomId, stop: Arc<AtomicBool>) -> usize {
    let mut taken = 0;
    while !stop.load(Ordering::Relaxed) {
        let ids: Vec<_> = (0..AT_ONCE).map(|_| message_id()).collect();
        for id in &ids {
            page.send(&page::send(*id, room, "burst")).await;
        }
        let mut waiting: HashSet<_> = ids.into_iter().collect();
        page.until(|frame| {
            if let ServerFrame::Sent { id, .. } = frame {
                waiting.remove(id);
            }
            waiting.is_empty().then_some(())
        })
        .await;
        taken += AT_ONCE;
    }
    page.leave().await;
    taken
}

/// Reads until the connection ends.
async fn read(mut page: Page, stop: Arc<AtomicBool>) {
    while !stop.load(Ordering::Relaxed) {
        if page.listen().await.is_err() {
            return;
        }
    }
}

/// A room of two people of their own, the pages of one, and a page of the other.
async fn room_of_two(server: &Server, n: usize) -> (RoomId, Vec<Page>, Page) {
    let loud = Person::join(server, &format!("Loud {n}")).await;
    let patient = Person::join(server, &format!("Patient {n}")).await;
    let (mut writer, reader) = (loud.page().await, patient.page().await);
    let with = reader.me().id.to_string();
    loud.post("/fn/open-direct", &[("with", &with)]).await;
    let room = writer
        .until(|frame| match frame {
            ServerFrame::Room { room } => Some(room.id),
            _ => None,
        })
        .await;
    let mut writers = vec![writer];
    while writers.len() < PAGES {
        writers.push(loud.page().await);
    }
    (room, writers, reader)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_burst_in_one_room_delays_no_other() {
    let server = Server::start_with(|command| {
        command.env("RIALTO_SEND_BURST", "1000000");
    })
    .await;
    let (ada, grace) = (
        Person::join(&server, "Ada").await,
        Person::join(&server, "Grace").await,
    );
    let (mut writer, mut reader) = (ada.page().await, grace.page().await);
    let text = |n: usize| format!("Message {n}");
    for n in 0..TRIES {
        let without = exchange(&mut writer, &mut reader, ROUNDS, text).await;
        let stop = Arc::<AtomicBool>::default();
        let (room, loud, patient) = room_of_two(&server, n).await;
        let mut burst = JoinSet::new();
        for page in loud {
            burst.spawn(flood(page, room, stop.clone()));
        }
        let listening = tokio::spawn(read(patient, stop.clone()));
        let beside = exchange(&mut writer, &mut reader, ROUNDS, text).await;
        stop.store(true, Ordering::Relaxed);
        let taken = within("the burst ends", burst.join_all()).await;
        let taken: usize = taken.into_iter().sum();
        listening.abort();
        println!("{taken} messages of a burst beside {ROUNDS}");
        assert!(taken > 3 * ROUNDS, "that was no burst: {taken}");
        if is_fine(&beside, &without) {
            return;
        }
    }
    panic!("the other room was delayed each time");
}

fn is_fine(beside: &Delays, without: &Delays) -> bool {
    beside.is_fine(without, "Beside a burst in another room")
        && beside.median() < MOST_TIMES * without.median()
}
