//! Several nodes as one community: nobody can tell which one they are connected to, and none of them is missed.

use crate::{
    calls::Party,
    support::{
        Cluster, Greeting, Home, News, Page, Person, Press, Server, eventually, message_id,
        nats::Nats, needs_postgresql, page, server::refusal, within,
    },
};
use futures::future::join_all;
use rialto::{
    model::{
        Cursor, RoomId, Seq,
        call::{Action, Outcome, Signal, State},
        message::Content,
        user::Presence,
    },
    protocol::ws::{ClientFrame, ServerFrame},
};
use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

/// How long NATS is away: many times as long as a node may be silent before it is taken to be gone.
const OUTAGE: Duration = Duration::from_secs(30);

/// Who is here, as a page is told, whether by the welcome or after it.
async fn sees(page: &mut Page, who: &Page, presence: Presence) {
    let id = who.me().id;
    let told = page.welcome().people.iter();
    if told
        .filter(|present| present.person.id == id)
        .any(|present| present.presence == presence)
    {
        return;
    }
    while page.presence_of(&who.me().clone()).await != presence {}
}

/// Says so much in a room from each page at once, and gives what everybody then heard, by page.
async fn all_talk(pages: Vec<Page>, room: RoomId, each: usize) -> Vec<Vec<(Seq, String)>> {
    let count = pages.len() * each;
    let talking = pages.into_iter().enumerate().map(|(n, mut page)| {
        tokio::spawn(async move {
            for at in 0..each {
                let text = format!("{n} says {at}");
                page.send(&page::send(message_id(), room, &text)).await;
            }
            let mut heard = Vec::new();
            while heard.len() < count {
                let message = page.message(room).await;
                heard.push((message.seq, page::text_of(&message).to_owned()));
            }
            heard
        })
    });
    let talked = join_all(talking).await;
    talked.into_iter().map(Result::unwrap).collect()
}

/// Everybody heard everything, once, in one and the same order.
fn is_one_conversation(heard: &[Vec<(Seq, String)>], first: Seq) {
    for one in heard {
        let seqs: Vec<_> = one.iter().map(|(seq, _)| *seq).collect();
        assert_eq!(seqs, (first..).take(one.len()).collect::<Vec<_>>());
        assert_eq!(one, &heard[0]);
        assert_eq!(one.iter().collect::<BTreeSet<_>>().len(), one.len());
    }
}

#[tokio::test]
async fn what_is_said_at_one_node_is_heard_at_the_others_once_and_in_one_order() {
    needs_postgresql!();
    let cluster = Cluster::start(3).await;
    let mut pages = Vec::new();
    for node in 0..3 {
        pages.push(
            cluster
                .join(node, &format!("Person {node}"))
                .await
                .page()
                .await,
        );
    }
    let general = pages[0].general();
    let heard = all_talk(pages, general, 40).await;
    is_one_conversation(&heard, 1);
}

#[tokio::test]
async fn a_story_published_at_one_node_is_on_every_page() {
    needs_postgresql!();
    let cluster = Cluster::start(3).await;
    let mut readers = Vec::new();
    for node in &cluster.nodes {
        let mut news = News::open(node).await;
        news.hello().await;
        readers.push(news);
    }
    let press = [
        Press::open(&cluster.nodes[0]).await,
        Press::open(&cluster.nodes[2]).await,
    ];
    for n in 0..10 {
        press[n % 2].publish(&format!("Story {n}")).await;
    }
    for reader in &mut readers {
        for n in 0..10 {
            assert_eq!(reader.story().await.headline, format!("Story {n}"));
        }
    }
}

#[tokio::test]
async fn who_is_here_is_known_everywhere() {
    needs_postgresql!();
    let cluster = Cluster::start(2).await;
    let (ada, bob) = (cluster.join(0, "Ada").await, cluster.join(1, "Bob").await);
    let mut of_ada = ada.page().await;
    let mut of_bob = bob.page().await;
    sees(&mut of_ada, &of_bob, Presence::Here).await;
    sees(&mut of_bob, &of_ada, Presence::Here).await;
    of_bob
        .send(&ClientFrame::Visibility { visible: false })
        .await;
    sees(&mut of_ada, &of_bob, Presence::Away).await;
    // Another page of his, at the other node: he is here again, until it goes.
    let other = bob.at(&cluster.nodes[0]).page().await;
    sees(&mut of_ada, &of_bob, Presence::Here).await;
    other.leave().await;
    sees(&mut of_ada, &of_bob, Presence::Away).await;
    let me = of_bob.me().clone();
    of_bob.leave().await;
    while of_ada.presence_of(&me).await != Presence::Gone {}
}

#[tokio::test]
async fn a_direct_room_typing_and_reading_cross_nodes() {
    needs_postgresql!();
    let cluster = Cluster::start(2).await;
    let (ada, bob) = (cluster.join(0, "Ada").await, cluster.join(1, "Bob").await);
    let (mut of_ada, mut of_bob) = (ada.page().await, bob.page().await);
    let general = of_ada.general();
    of_ada.send(&ClientFrame::Typing { room: general }).await;
    let types = |frame: &ServerFrame| match frame {
        ServerFrame::Typing { person, .. } => Some(person.id),
        _ => None,
    };
    assert_eq!(of_bob.until(types).await, of_ada.me().id);

    let with = of_bob.me().id.to_string();
    ada.post("/fn/open-direct", &[("with", &with)]).await;
    let is_room = |frame: &ServerFrame| match frame {
        ServerFrame::Room { room } => Some(room.id),
        _ => None,
    };
    let direct = of_bob.until(is_room).await;
    assert_eq!(of_ada.until(is_room).await, direct);
    of_ada.say(direct, "Between us").await;
    let seq = of_bob.hears("Between us").await.seq;

    // His other page, at the other node, is told that he has read it.
    let mut other = bob.at(&cluster.nodes[0]).page().await;
    of_bob.send(&ClientFrame::Read { room: direct, seq }).await;
    let is_read = |frame: &ServerFrame| {
        matches!(frame, ServerFrame::Read { room, unread: 0, .. } if *room == direct).then_some(())
    };
    other.until(is_read).await;
}

#[tokio::test]
async fn signing_out_ends_the_pages_at_every_node() {
    needs_postgresql!();
    let cluster = Cluster::start(2).await;
    let ada = cluster.join(0, "Ada").await;
    let mut there = ada.at(&cluster.nodes[1]).page().await;
    ada.post("/fn/sign-out", &[]).await;
    assert_eq!(there.expect_close().await.0, 4_001);
}

#[tokio::test]
async fn a_page_that_moves_to_another_node_is_one_page() {
    needs_postgresql!();
    let cluster = Cluster::start(2).await;
    let ada = cluster.join(0, "Ada").await;
    let greeting = Greeting::default();
    let mut here = ada.page_with(greeting.clone()).await;
    let mut there = ada.at(&cluster.nodes[1]).page_with(greeting).await;
    assert_eq!(here.expect_close().await.0, 4_000, "it was replaced");
    let general = there.general();
    there.say(general, "Still me").await;
}

/// Ada at one node and Bob at another, in a call that is connected.
async fn connected(cluster: &Cluster, nodes: [usize; 2]) -> (rialto::model::CallId, Party, Party) {
    let mut ada = Party::open(cluster.join(nodes[0], "Ada").await).await;
    let mut bob = Party::open(cluster.join(nodes[1], "Bob").await).await;
    let id = ada.start(&bob).await;
    assert_eq!(ada.state().await, State::Dialing);
    assert_eq!(bob.state().await, State::Dialing);
    bob.say(id, Action::Ringing).await;
    assert_eq!(ada.state().await, State::Ringing);
    assert_eq!(bob.state().await, State::Ringing);
    bob.say(id, Action::Accept).await;
    assert_eq!(ada.state().await, State::Connecting);
    assert_eq!(bob.state().await, State::Connecting);
    ada.say(id, Action::Connected).await;
    bob.say(id, Action::Connected).await;
    assert_eq!(ada.state().await, State::Connected);
    assert_eq!(bob.state().await, State::Connected);
    (id, ada, bob)
}

#[tokio::test]
async fn a_call_rings_at_another_node_and_its_signals_cross() {
    needs_postgresql!();
    let cluster = Cluster::start(3).await;
    let (id, mut ada, mut bob) = connected(&cluster, [1, 2]).await;
    for n in 0..5 {
        let signal = Signal::Offer {
            sdp: format!("v={n}"),
        };
        let action = Action::Signal {
            signal: signal.clone(),
            to: None,
        };
        ada.say(id, action).await;
        assert_eq!(bob.signal().await, signal, "in order");
    }
    bob.say(id, Action::HangUp).await;
    hears_the_end(&mut ada).await;
    hears_the_end(&mut bob).await;
}

/// Both that the call has ended and what the room is told of it: they come by different ways, and so in either order.
async fn hears_the_end(party: &mut Party) {
    let (mut ended, mut told) = (false, false);
    let both = |frame: &ServerFrame| {
        if let ServerFrame::Call { call } = frame {
            let outcome = Outcome::HungUp;
            ended |= call.state == State::Ended { outcome };
        }
        told |= page::message(frame).is_some_and(|message| {
            matches!(
                message.content,
                Content::Call {
                    outcome: Outcome::HungUp,
                    ..
                }
            )
        });
        (ended && told).then_some(())
    };
    party.page.until(both).await;
}

#[tokio::test]
async fn when_the_node_that_holds_the_desk_dies_calls_go_on() {
    needs_postgresql!();
    calls_go_on_when(async |desk| desk.kill().await).await;
}

#[tokio::test]
async fn when_the_node_that_holds_the_desk_is_asked_to_stop_calls_go_on() {
    needs_postgresql!();
    calls_go_on_when(async |desk| assert!(desk.stop().await.success())).await;
}

async fn calls_go_on_when(desk_ends: impl AsyncFnOnce(&mut Server)) {
    let mut cluster = Cluster::start(3).await;
    // The first node that started holds the desk.
    let (id, mut ada, mut bob) = connected(&cluster, [1, 2]).await;
    desk_ends(&mut cluster.nodes[0]).await;
    // Whoever asks meanwhile waits for the node that takes over.
    let signal = Signal::Restart;
    let action = Action::Signal {
        signal: signal.clone(),
        to: None,
    };
    ada.say(id, action).await;
    assert_eq!(bob.signal().await, signal);
    ada.say(id, Action::Connected).await;
    bob.say(id, Action::Connected).await;
    let is_connected = |view: State| view == State::Connected;
    while !is_connected(ada.state().await) {}
    while !is_connected(bob.state().await) {}
    ada.say(id, Action::HangUp).await;
    let ended = State::Ended {
        outcome: Outcome::HungUp,
    };
    while ada.state().await != ended {}
    while bob.state().await != ended {}
}

#[tokio::test]
async fn when_the_node_of_one_side_dies_the_call_goes_on_at_another() {
    needs_postgresql!();
    let mut cluster = Cluster::start(3).await;
    let (id, ada, mut bob) = connected(&cluster, [1, 2]).await;
    cluster.nodes[1].kill().await;
    let Party { person, client, .. } = ada;
    let greeting = Greeting {
        client,
        ..Greeting::default()
    };
    let person = person.at(&cluster.nodes[2]);
    let page = person.page_with(greeting).await;
    let mut ada = Party {
        person,
        client,
        page,
    };
    let signal = Signal::Restart;
    let action = Action::Signal {
        signal: signal.clone(),
        to: None,
    };
    ada.say(id, action).await;
    assert_eq!(bob.signal().await, signal);
    bob.say(id, Action::HangUp).await;
    let ended = State::Ended {
        outcome: Outcome::HungUp,
    };
    while ada.state().await != ended {}
}

#[tokio::test]
async fn a_node_that_dies_takes_nothing_with_it_and_its_people_are_gone_in_seconds() {
    needs_postgresql!();
    let mut cluster = Cluster::start(2).await;
    let (ada, bob) = (cluster.join(0, "Ada").await, cluster.join(1, "Bob").await);
    let (mut of_ada, mut of_bob) = (ada.page().await, bob.page().await);
    let room = of_ada.room("general").clone();
    sees(&mut of_ada, &of_bob, Presence::Here).await;
    for n in 0..20 {
        of_bob.say(room.id, &format!("Before {n}")).await;
    }
    cluster.nodes[1].kill().await;
    let mut heard = 0;
    while heard < 20 {
        heard += usize::from(of_ada.message(room.id).await.seq > 0);
    }
    // Bob's page comes back at the other node, and goes on from where it was.
    let cursor = Cursor {
        epoch: room.epoch,
        seq: 20,
    };
    let mut again = bob
        .at(&cluster.nodes[0])
        .page_with(Greeting::from(room.id, cursor))
        .await;
    again.say(room.id, "After").await;
    assert_eq!(of_ada.hears("After").await.seq, 21);
    let me = again.me().clone();
    again.leave().await;
    while of_ada.presence_of(&me).await != Presence::Gone {}
}

#[tokio::test]
async fn while_nats_is_away_everything_is_acknowledged_and_arrives() {
    needs_postgresql!();
    let mut cluster = Cluster::start(2).await;
    let (ada, bob) = (cluster.join(0, "Ada").await, cluster.join(1, "Bob").await);
    let (mut of_ada, mut of_bob) = (ada.page().await, bob.page().await);
    let general = of_ada.general();
    sees(&mut of_ada, &of_bob, Presence::Here).await;
    let mut reader = News::open(&cluster.nodes[1]).await;
    reader.hello().await;
    let press = Press::open(&cluster.nodes[0]).await;

    cluster.nats.stop().await;
    let away = Instant::now();
    for n in 0..10 {
        of_ada.say(general, &format!("Away {n}")).await;
        of_bob.say(general, &format!("Also away {n}")).await;
        tokio::time::sleep(OUTAGE / 10).await;
    }
    press.publish("While the bus is away").await;
    // From the store, and before the bus is back.
    let mut last = 0;
    while last < 20 {
        let message = of_bob.message(general).await;
        assert_eq!(message.seq, last + 1);
        last = message.seq;
    }
    assert_eq!(reader.story().await.headline, "While the bus is away");
    let carol = cluster.join(1, "Carol").await;
    let of_carol = carol.page().await;

    assert!(away.elapsed() >= OUTAGE);
    cluster.nats.start_again().await;
    sees(&mut of_ada, &of_carol, Presence::Here).await;
    of_bob.say(general, "It is back").await;
    while of_ada.message(general).await.seq < 21 {}
    // Nobody went while it was away.
    let gone = of_ada.all_so_far().await.into_iter().any(|frame| {
        page::presence(&frame).is_some_and(|present| present.presence == Presence::Gone)
    });
    assert!(!gone, "nobody is taken to be gone because the bus is");
}

#[tokio::test]
async fn a_session_that_ended_while_nats_was_away_ends_at_every_node_when_it_is_back() {
    needs_postgresql!();
    let mut cluster = Cluster::start(2).await;
    let ada = cluster.join(0, "Ada").await;
    let mut there = ada.at(&cluster.nodes[1]).page().await;
    // It is told of nothing any more.
    let general = there.general();
    there.say(general, "Here").await;
    cluster.nats.stop().await;
    ada.post("/fn/sign-out", &[]).await;
    cluster.nats.start_again().await;
    assert_eq!(there.expect_close().await.0, 4_001);
}

#[tokio::test]
async fn a_call_that_cannot_reach_the_desk_says_so() {
    needs_postgresql!();
    let mut cluster = Cluster::start(2).await;
    let mut ada = Party::open(cluster.join(0, "Ada").await).await;
    let mut bob = Party::open(cluster.join(1, "Bob").await).await;
    sees(&mut ada.page, &bob.page, Presence::Here).await;
    sees(&mut bob.page, &ada.page, Presence::Here).await;
    cluster.nats.stop().await;
    // One of the two nodes holds the desk, and goes on; at the other nothing can be decided.
    bob.start(&ada).await;
    let refused = |frame: &ServerFrame| match frame {
        ServerFrame::Error { reason, .. } => Some(reason.clone()),
        _ => None,
    };
    let reason = tokio::time::timeout(Duration::from_secs(30), async {
        loop {
            match bob.page.listen().await {
                Ok(frame) => {
                    if let Some(reason) = refused(&frame) {
                        return reason;
                    }
                }
                Err(why) => panic!("closed: {why:?}"),
            }
        }
    });
    let reason = reason.await.unwrap();
    assert!(reason.contains("please try again"), "{reason}");
}

/// NATS comes back, and the first node is connected to it for a while before the second one notices: what it said meanwhile is lost.
async fn bus_comes_back_to_the_first_node_alone(cluster: &mut Cluster, ask: &Person) {
    cluster.nodes[1].freeze();
    cluster.nats.start_again().await;
    eventually("the first node has the bus", async || {
        ask.html("/readyz").await.contains("the bus is there")
    })
    .await;
    // Time for it to say what waited to be said.
    tokio::time::sleep(Duration::from_millis(500)).await;
    cluster.nodes[1].thaw();
}

#[tokio::test]
async fn what_the_desk_could_not_tell_while_nats_was_away_is_heard_when_it_is_back() {
    needs_postgresql!();
    let mut cluster = Cluster::start(2).await;
    // The first node that started holds the desk.
    let mut ada = Party::open(cluster.join(0, "Ada").await).await;
    let mut bob = Party::open(cluster.join(1, "Bob").await).await;
    sees(&mut ada.page, &bob.page, Presence::Here).await;
    cluster.nats.stop().await;
    let first = ada.start(&bob).await;
    assert_eq!(ada.state().await, State::Dialing);
    let signal = Signal::Offer {
        sdp: "v=0".to_owned(),
    };
    let (offer, to) = (signal.clone(), None);
    ada.say(first, Action::Signal { signal, to }).await;
    bus_comes_back_to_the_first_node_alone(&mut cluster, &ada.person).await;
    assert_eq!(bob.view().await.id, first, "it rings");
    assert_eq!(bob.signal().await, offer);
    let outcome = Outcome::Declined;
    bob.say(first, Action::Decline).await;
    while ada.state().await != (State::Ended { outcome }) {}
    while bob.state().await != (State::Ended { outcome }) {}

    let second = bob.start(&ada).await;
    while ada.view().await.id != second {}
    cluster.nats.stop().await;
    ada.say(second, Action::Accept).await;
    while ada.state().await != State::Connecting {}
    bus_comes_back_to_the_first_node_alone(&mut cluster, &ada.person).await;
    while bob.state().await != State::Connecting {}
}

/// Somebody who writes without a pause, and moves to the next node when theirs goes.
struct Restless {
    person: Person,
    greeting: Greeting,
    said: usize,
}

#[tokio::test]
async fn nodes_that_are_restarted_one_after_another_fail_nobody() {
    needs_postgresql!();
    let mut cluster = Cluster::start(3).await;
    let witness = cluster.join(0, "Witness").await;
    let room = witness.page().await.room("general").clone();
    let addresses: Vec<_> = cluster.nodes.iter().map(Server::address).collect();
    let stop = tokio_util::sync::CancellationToken::new();
    let mut writers = Vec::new();
    for n in 0..6 {
        let restless = Restless {
            person: cluster.join(n % 3, &format!("Writer {n}")).await,
            greeting: Greeting::default(),
            said: 0,
        };
        writers.push(tokio::spawn(restless.write(
            room.id,
            n,
            addresses.clone(),
            stop.clone(),
        )));
    }
    for node in 0..3 {
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert!(
            cluster.nodes[node].stop().await.success(),
            "it exits with 0"
        );
        cluster.nodes[node].restart().await;
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    stop.cancel();
    let mut said = 0;
    for writer in writers {
        said += within("a writer ends", writer).await.unwrap();
    }
    let cursor = Cursor {
        epoch: room.epoch,
        seq: 0,
    };
    let mut page = witness.page_with(Greeting::from(room.id, cursor)).await;
    let kept = page.all_so_far().await;
    let kept: Vec<_> = kept.iter().filter_map(page::message).collect();
    assert_eq!(kept.len(), said, "each once, and none of them failed");
    println!("{said} messages while three nodes were restarted, none failed");
}

impl Restless {
    /// Sends one after another; a connection that goes is followed by one to the next node, where the same message is sent again.
    async fn write(
        mut self,
        room: RoomId,
        n: usize,
        addresses: Vec<std::net::SocketAddr>,
        stop: tokio_util::sync::CancellationToken,
    ) -> usize {
        let mut node = n;
        let mut pending = None;
        while pending.is_some() || !stop.is_cancelled() {
            node += 1;
            let person = self.person.at_address(addresses[node % addresses.len()]);
            let Ok(mut page) = Page::try_dial(&person).await else {
                tokio::time::sleep(Duration::from_millis(20)).await;
                continue;
            };
            page.hello(self.greeting.clone()).await;
            while pending.is_some() || !stop.is_cancelled() {
                let id = *pending.get_or_insert_with(message_id);
                let text = format!("{n} says {}", self.said);
                if !page.try_send(&page::send(id, room, &text)).await {
                    break;
                }
                let acknowledged = loop {
                    match page.listen().await {
                        Ok(ServerFrame::Sent { id: sent, .. }) if sent == id => break true,
                        Ok(ServerFrame::Refused { reason, .. }) => panic!("refused: {reason}"),
                        Ok(_) => {}
                        Err(_) => break false,
                    }
                };
                if !acknowledged {
                    break;
                }
                pending = None;
                self.said += 1;
                if self.said >= 150 {
                    return self.said;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
        self.said
    }
}

#[tokio::test]
async fn a_bus_without_a_database_is_refused_in_words() {
    let words = refusal(&Home::with(None), |command| {
        command.args(["--bus", "nats://127.0.0.1:4222"]);
    })
    .await;
    assert!(words.contains("set --database-url"), "{words}");
}

#[tokio::test]
async fn a_bus_that_is_no_address_is_refused_without_its_password() {
    needs_postgresql!();
    let home = Home::new();
    for bus in ["nats://shylock:ducats@host:port", "http://ducats@host"] {
        let words = refusal(&home, |command| {
            command.args(["--bus", bus]);
        })
        .await;
        assert!(words.contains("nats://host:4222"), "{words}");
        assert!(!words.contains("ducats"), "{words}");
    }
}

#[tokio::test]
async fn a_node_that_starts_while_nats_is_away_joins_the_others_when_it_is_there() {
    needs_postgresql!();
    let mut cluster = Cluster::start(1).await;
    let ada = cluster.join(0, "Ada").await;
    assert!(ada.html("/readyz").await.contains("the bus is there"));
    cluster.nats.stop().await;
    cluster.add().await;
    let bob = cluster.join(1, "Bob").await;
    eventually("the node says that the bus is away", async || {
        bob.html("/readyz").await.contains("the bus is away")
    })
    .await;
    let (mut of_ada, of_bob) = (ada.page().await, bob.page().await);
    cluster.nats.start_again().await;
    sees(&mut of_ada, &of_bob, Presence::Here).await;
}

#[tokio::test]
async fn a_password_in_the_address_of_the_bus_is_used() {
    needs_postgresql!();
    let nats = Nats::start_for(Some(["shylock", "three@ducats"])).await;
    let bus = nats.url().replace("//", "//shylock:three%40ducats@");
    let node = Server::start_in(Home::new(), move |command| {
        command.args(["--bus", &bus]);
    });
    let node = node.await;
    let anybody = Person::nobody(&node, "Anybody");
    eventually("the bus lets the node in", async || {
        anybody.html("/readyz").await.contains("the bus is there")
    })
    .await;
}
