//! Tests of the registry and the call tasks, with a real store and queues.

mod early_signals;
mod event_order;
mod fixture;
mod group;
mod guests;
mod leader_term;
mod rings;
mod waiting;

use super::{history, start_call::StartDecision, view::Parties};
use crate::{
    model::{
        CallId, UserId,
        call::{
            ClientAction, EndReason, Media, Outcome, Side, SignalingMessage, State, Timeouts,
            state_machine::CallStart,
        },
        user::Person,
    },
    protocol::ws::{ErrorCode, ServerFrame},
    server::{
        clock,
        live::Disconnect,
        random,
        store::{Saved, Term},
    },
};
use fixture::{CallFixture, LONG_TIMEOUTS, TestClient, connected_call, ended_state};

#[tokio::test]
async fn a_call_is_stored_before_clients_are_notified_and_its_outcome_is_posted_in_the_room() {
    let fixture = CallFixture::new(LONG_TIMEOUTS).await;
    let (id, mut a, mut b) = connected_call(&fixture).await;
    assert_eq!(
        fixture
            .app
            .store
            .find_call(id)
            .await
            .unwrap()
            .unwrap()
            .state,
        State::Connected
    );
    b.send_action(id, ClientAction::HangUp).await;
    let (call, outcome, lasted) = a.next_outcome().await;
    assert_eq!((call, outcome), (id, Outcome::HungUp));
    assert!(lasted.is_some());
    assert_eq!(b.next_outcome().await.0, id);
    assert_eq!(
        (a.next_state().await, b.next_state().await),
        (ended_state(Outcome::HungUp), ended_state(Outcome::HungUp))
    );
    let row = fixture.app.store.find_call(id).await.unwrap().unwrap();
    assert_eq!(
        (row.state, row.ended_at.is_some()),
        (ended_state(Outcome::HungUp), true)
    );
    assert!(
        fixture
            .app
            .store
            .list_open_calls()
            .await
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn only_clients_that_hold_a_side_or_ring_are_given_ice_servers() {
    let fixture = CallFixture::new(LONG_TIMEOUTS).await;
    let (ada, bob) = (
        fixture.create_person("Ada").await,
        fixture.create_person("Bob").await,
    );
    let (mut a, mut b, mut c) = (
        fixture.connect_client(&ada).await,
        fixture.connect_client(&bob).await,
        fixture.connect_client(&bob).await,
    );
    let mut other = fixture.connect_client(&ada).await;
    let id = a.start_call(&bob).await;
    let mine = a.next_call().await;
    assert_eq!(
        mine.rtc_config.unwrap().ice_servers[0].urls,
        ["stun:stun.example.org"]
    );
    for client in [&mut b, &mut c] {
        let ringing = client.next_call().await;
        assert!(ringing.rtc_config.is_none() && ringing.ice_servers.is_some());
    }
    b.send_action(id, ClientAction::Accept).await;
    let accepted = b.next_call().await;
    assert!(accepted.rtc_config.is_some() && accepted.answered_at.is_some());
    assert!(accepted.ice_servers.is_none());
    let elsewhere = c.next_call().await;
    assert_eq!(elsewhere.state, ended_state(Outcome::AnsweredElsewhere));
    assert!(elsewhere.rtc_config.is_none() && elsewhere.ice_servers.is_none());
    a.send_action(id, ClientAction::HangUp).await;
    assert_eq!(b.next_state().await, ended_state(Outcome::HungUp));
    assert_eq!(c.next_outcome().await.1, Outcome::HungUp);
    c.assert_no_call_frames().await;
    assert_eq!(
        other.next_outcome().await.1,
        Outcome::HungUp,
        "it receives the room, and nothing before"
    );
}

#[tokio::test]
async fn a_repeated_request_is_answered_with_the_state_of_the_call() {
    let fixture = CallFixture::new(LONG_TIMEOUTS).await;
    let (ada, bob) = (
        fixture.create_person("Ada").await,
        fixture.create_person("Bob").await,
    );
    let (mut a, mut b) = (
        fixture.connect_client(&ada).await,
        fixture.connect_client(&bob).await,
    );
    let id = a.start_call(&bob).await;
    let (to, media) = (bob.id, Media::Video);
    a.wait_for_state(State::Dialing).await;
    b.wait_for_state(State::Dialing).await;
    a.send_action(id, ClientAction::Start { to, media }).await;
    assert_eq!(a.next_state().await, State::Dialing);
    b.send_action(id, ClientAction::Ringing).await;
    b.wait_for_state(State::Ringing).await;
    b.send_action(id, ClientAction::Ringing).await;
    assert_eq!(b.next_state().await, State::Ringing);
    b.send_action(id, ClientAction::Accept).await;
    b.wait_for_state(State::Connecting).await;
    b.send_action(id, ClientAction::Accept).await;
    assert_eq!(b.next_state().await, State::Connecting);
    b.send_action(id, ClientAction::Connected).await;
    b.send_action(id, ClientAction::Connected).await;
    b.assert_no_call_frames().await;
    a.send_action(id, ClientAction::Connected).await;
    b.wait_for_state(State::Connected).await;
    b.send_action(id, ClientAction::Connected).await;
    assert_eq!(b.next_state().await, State::Connected);
    a.send_action(id, ClientAction::HangUp).await;
    b.wait_for_state(ended_state(Outcome::HungUp)).await;
    b.send_action(id, ClientAction::HangUp).await;
    assert_eq!(b.next_state().await, ended_state(Outcome::HungUp));
}

#[tokio::test]
async fn a_start_repeated_as_the_call_ends_does_not_ring() {
    let fixture = CallFixture::new(LONG_TIMEOUTS).await;
    let (ada, bob) = (
        fixture.create_person("Ada").await,
        fixture.create_person("Bob").await,
    );
    let (mut a, mut b) = (
        fixture.connect_client(&ada).await,
        fixture.connect_client(&bob).await,
    );
    let id = a.start_call(&bob).await;
    b.send_action(id, ClientAction::Decline).await;
    for page in [&mut a, &mut b] {
        page.wait_for_state(ended_state(Outcome::Declined)).await;
    }
    fixture.wait_until_idle().await;
    // The lookup of this start preceded the call's end.
    let row = fixture.app.store.find_call(id).await.unwrap().unwrap();
    let start = CallStart {
        id,
        room: row.room,
        caller: ada.id,
        caller_client: a.connection.client,
        callee: bob.id,
        media: Media::Video,
    };
    let StartDecision::NewCall(term, call, command_rx) =
        fixture.registry.decide_start(start, false)
    else {
        panic!("both are free");
    };
    let parties = Parties::find(&fixture.app.store, ada.id, bob.id)
        .await
        .unwrap();
    let rings = fixture
        .registry
        .spawn_call_task(term, call, parties.unwrap(), command_rx)
        .await;
    assert!(!rings.unwrap(), "it is looked up anew");
    assert_eq!(fixture.registry.open_call_count(), 0);
    for page in [&mut a, &mut b] {
        page.assert_no_call_frames().await;
    }
}

#[tokio::test]
async fn a_call_that_another_node_has_ended_is_over_here_with_the_next_change() {
    let fixture = CallFixture::new(LONG_TIMEOUTS).await;
    let (id, mut a, mut b) = connected_call(&fixture).await;
    let mut row = fixture.app.store.find_call(id).await.unwrap().unwrap();
    (row.state, row.ended_at) = (ended_state(Outcome::HungUp), Some(clock::now()));
    let saved = fixture.app.store.save_call(Term::Sole, &row).await;
    assert_eq!(saved.unwrap(), Saved::Written);
    a.send_action(id, ClientAction::Disconnected).await;
    for page in [&mut a, &mut b] {
        assert_eq!(page.next_state().await, ended_state(Outcome::HungUp));
    }
    fixture.wait_until_idle().await;
}

#[tokio::test]
async fn what_was_decided_is_stored_before_the_registry_shuts_down() {
    let fixture = CallFixture::new(LONG_TIMEOUTS).await;
    let (id, a, b) = connected_call(&fixture).await;
    fixture.disconnect(&a).await;
    fixture.disconnect(&b).await;
    fixture.registry.shut_down().await;
    assert!(
        fixture.registry.table.tasks.is_empty(),
        "nothing is under way"
    );
    let row = fixture.app.store.find_call(id).await.unwrap().unwrap();
    assert_eq!(row.state, State::Reconnecting);
    assert_eq!(
        fixture.registry.open_call_count(),
        0,
        "another node may hold it"
    );
    let frank = fixture.create_person("Frank").await;
    let mut f = fixture.connect_client(&frank).await;
    f.start_call(&b.connection.person).await;
    assert_eq!(f.next_error().await, ErrorCode::Unavailable);
    assert_eq!(fixture.registry.open_call_count(), 0);
}

#[tokio::test]
async fn declined_and_cancelled() {
    let fixture = CallFixture::new(LONG_TIMEOUTS).await;
    let (ada, bob) = (
        fixture.create_person("Ada").await,
        fixture.create_person("Bob").await,
    );
    let (mut a, mut b, mut c) = (
        fixture.connect_client(&ada).await,
        fixture.connect_client(&bob).await,
        fixture.connect_client(&bob).await,
    );
    let id = a.start_call(&bob).await;
    c.send_action(id, ClientAction::Decline).await;
    for page in [&mut a, &mut b, &mut c] {
        assert_eq!(
            (page.next_state().await, page.next_state().await),
            (State::Dialing, ended_state(Outcome::Declined))
        );
    }
    let id = a.start_call(&bob).await;
    a.send_action(id, ClientAction::HangUp).await;
    for page in [&mut a, &mut b, &mut c] {
        assert_eq!(
            (page.next_state().await, page.next_state().await),
            (State::Dialing, ended_state(Outcome::Cancelled))
        );
    }
    assert_eq!(
        b.stored_outcomes().await,
        [Outcome::Declined, Outcome::Cancelled]
    );
}

#[tokio::test]
async fn a_call_ends_with_the_reason_once_no_client_of_the_callee_can_answer_it() {
    let fixture = CallFixture::new(LONG_TIMEOUTS).await;
    let (ada, bob) = (
        fixture.create_person("Ada").await,
        fixture.create_person("Bob").await,
    );
    let (mut a, mut b, mut c) = (
        fixture.connect_client(&ada).await,
        fixture.connect_client(&bob).await,
        fixture.connect_client(&bob).await,
    );
    let id = a.start_call(&bob).await;
    for client in [&mut a, &mut b, &mut c] {
        client.wait_for_state(State::Dialing).await;
    }
    for _ in 0..2 {
        b.send_action(id, ClientAction::CannotAnswer).await;
        assert_eq!(b.next_state().await, State::Dialing, "the other client may");
    }
    c.send_action(id, ClientAction::Ringing).await;
    a.wait_for_state(State::Ringing).await;
    c.send_action(id, ClientAction::CannotAnswer).await;
    for client in [&mut a, &mut b, &mut c] {
        let ended = client.wait_for_state(ended_state(Outcome::Failed)).await;
        assert_eq!(ended.end_reason, Some(EndReason::CannotAnswer));
    }
    assert_eq!(b.stored_outcomes().await, [Outcome::Failed]);
}

#[tokio::test]
async fn nobody_answers_in_time_and_a_client_that_connects_meanwhile_rings() {
    let fixture = CallFixture::new(Timeouts {
        ring: 2_000,
        ..LONG_TIMEOUTS
    })
    .await;
    let (ada, bob) = (
        fixture.create_person("Ada").await,
        fixture.create_person("Bob").await,
    );
    let mut a = fixture.connect_client(&ada).await;
    let id = a.start_call(&bob).await;
    assert_eq!(a.next_state().await, State::Dialing);
    let mut b = fixture.connect_client(&bob).await;
    assert_eq!(b.next_state().await, State::Dialing);
    b.send_action(id, ClientAction::Ringing).await;
    assert_eq!(
        (a.next_state().await, b.next_state().await),
        (State::Ringing, State::Ringing)
    );
    assert_eq!(
        (a.next_state().await, b.next_state().await),
        (
            ended_state(Outcome::NoAnswer),
            ended_state(Outcome::NoAnswer)
        )
    );
    assert_eq!(b.stored_outcomes().await, [Outcome::NoAnswer]);
}

#[tokio::test]
async fn a_missed_call_is_unread_and_one_that_took_place_is_not() {
    let fixture = CallFixture::new(LONG_TIMEOUTS).await;
    let (id, a, mut b) = connected_call(&fixture).await;
    let unread = async |page: &TestClient| {
        let rooms = fixture
            .app
            .store
            .list_rooms(page.connection.person.id)
            .await;
        rooms.unwrap().iter().map(|room| room.unread).sum::<i64>()
    };
    a.send_action(id, ClientAction::HangUp).await;
    assert_eq!(b.next_state().await, ended_state(Outcome::HungUp));
    assert_eq!(unread(&b).await, 0);
    let id = a.start_call(&b.connection.person.clone()).await;
    a.send_action(id, ClientAction::HangUp).await;
    assert_eq!(
        (b.next_state().await, b.next_state().await),
        (State::Dialing, ended_state(Outcome::Cancelled))
    );
    assert_eq!((unread(&b).await, unread(&a).await), (1, 0));
}

#[tokio::test]
async fn the_history_shows_each_side_its_own_view_of_the_call() {
    let fixture = CallFixture::new(LONG_TIMEOUTS).await;
    let (id, mut a, b) = connected_call(&fixture).await;
    a.send_action(id, ClientAction::HangUp).await;
    assert_eq!(a.next_state().await, ended_state(Outcome::HungUp));
    for (page, side, other) in [(&a, Side::Caller, &b), (&b, Side::Callee, &a)] {
        let past = history::list_past_calls(&fixture.app.store, page.connection.person.id)
            .await
            .unwrap();
        let [call] = past.as_slice() else {
            panic!("{past:?}")
        };
        assert_eq!(
            (call.id, call.side, &call.peer),
            (id, side, &other.connection.person)
        );
        assert!(call.outcome == Outcome::HungUp && call.lasted.is_some());
    }
}

#[tokio::test]
async fn calling_each_other_at_once_becomes_one_call() {
    let fixture = CallFixture::new(LONG_TIMEOUTS).await;
    let (ada, bob) = (
        fixture.create_person("Ada").await,
        fixture.create_person("Bob").await,
    );
    let (mut a, mut b, mut c) = (
        fixture.connect_client(&ada).await,
        fixture.connect_client(&bob).await,
        fixture.connect_client(&bob).await,
    );
    let first = a.start_call(&bob).await;
    let second = b.start_call(&ada).await;
    assert_eq!(
        (
            b.next_state().await,
            a.next_state().await,
            c.next_state().await
        ),
        (State::Dialing, State::Dialing, State::Dialing)
    );
    let merged = b.next_call().await;
    assert_eq!(
        (merged.id, merged.merged_call, merged.state),
        (first, Some(second), State::Connecting)
    );
    assert!(merged.rtc_config.is_some());
    assert_eq!(a.next_state().await, State::Connecting);
    assert_eq!(
        c.next_state().await,
        ended_state(Outcome::AnsweredElsewhere)
    );
    b.send_action(
        second,
        ClientAction::Start {
            to: ada.id,
            media: Media::Voice,
        },
    )
    .await;
    assert_eq!(
        b.next_call().await.merged_call,
        Some(second),
        "the same start again"
    );
    assert_eq!(fixture.app.store.find_call(second).await.unwrap(), None);
}

#[tokio::test]
async fn a_repeated_start_is_the_same_call() {
    let fixture = CallFixture::new(LONG_TIMEOUTS).await;
    let (ada, bob) = (
        fixture.create_person("Ada").await,
        fixture.create_person("Bob").await,
    );
    let (mut a, mut b) = (
        fixture.connect_client(&ada).await,
        fixture.connect_client(&bob).await,
    );
    let id = a.start_call(&bob).await;
    a.send_action(
        id,
        ClientAction::Start {
            to: bob.id,
            media: Media::Video,
        },
    )
    .await;
    assert_eq!(
        (a.next_state().await, a.next_state().await),
        (State::Dialing, State::Dialing)
    );
    assert_eq!(b.next_state().await, State::Dialing);
    b.assert_no_call_frames().await;
    let eve = fixture.create_person("Eve").await;
    let mut e = fixture.connect_client(&eve).await;
    e.send_action(
        id,
        ClientAction::Start {
            to: ada.id,
            media: Media::Video,
        },
    )
    .await;
    assert_eq!(e.next_error().await, ErrorCode::Invalid);
    e.send_action(id, ClientAction::Accept).await;
    assert_eq!(e.next_error().await, ErrorCode::NoSuchCall);
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_in_words() {
    let fixture = CallFixture::new(LONG_TIMEOUTS).await;
    let (ada, bob) = (
        fixture.create_person("Ada").await,
        fixture.create_person("Bob").await,
    );
    let (mut a, mut b) = (
        fixture.connect_client(&ada).await,
        fixture.connect_client(&bob).await,
    );
    a.start_call(&ada).await;
    assert_eq!(a.next_error().await, ErrorCode::NoSuchUser);
    let nobody = Person {
        id: UserId(random::new_id()),
        ..bob.clone()
    };
    a.start_call(&nobody).await;
    assert_eq!(a.next_error().await, ErrorCode::NoSuchUser);
    a.send_action(CallId(random::new_id()), ClientAction::HangUp)
        .await;
    assert_eq!(a.next_error().await, ErrorCode::NoSuchCall);
    let id = a.start_call(&bob).await;
    a.send_action(id, ClientAction::Accept).await;
    assert_eq!(a.next_error().await, ErrorCode::WrongState);
    a.send_action(
        id,
        ClientAction::Signal {
            signal: SignalingMessage::RestartIce,
            to: None,
        },
    )
    .await;
    assert_eq!(a.next_error().await, ErrorCode::WrongState);
    b.send_action(id, ClientAction::Connected).await;
    assert_eq!(b.next_error().await, ErrorCode::NoSuchCall);
}

#[tokio::test]
async fn signals_pass_in_order_between_the_two_holding_clients_and_are_rate_limited() {
    let fixture = CallFixture::new(LONG_TIMEOUTS).await;
    let (id, mut a, mut b) = connected_call(&fixture).await;
    let mut other = fixture.connect_client(&b.connection.person.clone()).await;
    for n in 0..3 {
        a.send_action(
            id,
            ClientAction::Signal {
                signal: SignalingMessage::Offer { sdp: n.to_string() },
                to: None,
            },
        )
        .await;
    }
    for n in 0..3 {
        assert_eq!(
            b.next_signal().await,
            SignalingMessage::Offer { sdp: n.to_string() }
        );
    }
    b.send_action(
        id,
        ClientAction::Signal {
            signal: SignalingMessage::RestartIce,
            to: None,
        },
    )
    .await;
    assert_eq!(a.next_signal().await, SignalingMessage::RestartIce);
    other
        .send_action(
            id,
            ClientAction::Signal {
                signal: SignalingMessage::RestartIce,
                to: None,
            },
        )
        .await;
    assert_eq!(other.next_error().await, ErrorCode::NoSuchCall);
    for _ in 0..10 {
        a.send_action(
            id,
            ClientAction::Signal {
                signal: SignalingMessage::Offer {
                    sdp: "v".repeat(60_000),
                },
                to: None,
            },
        )
        .await;
    }
    assert_eq!(a.next_error().await, ErrorCode::RateLimited);
    b.send_action(
        id,
        ClientAction::Signal {
            signal: SignalingMessage::RestartIce,
            to: None,
        },
    )
    .await;
    assert_eq!(
        a.next_signal().await,
        SignalingMessage::RestartIce,
        "the other one's are not held up"
    );
}

#[tokio::test]
async fn a_disconnected_client_may_reconnect_and_go_on() {
    let fixture = CallFixture::new(LONG_TIMEOUTS).await;
    let (id, mut a, b) = connected_call(&fixture).await;
    fixture.disconnect(&b).await;
    assert_eq!(a.next_state().await, State::Reconnecting);
    let mut b = fixture
        .connect_client_as(&b.connection.person.clone(), b.connection.client)
        .await;
    let view = b.next_call().await;
    assert!(view.state == State::Reconnecting && view.rtc_config.is_some());
    b.send_action(id, ClientAction::Connected).await;
    assert_eq!(
        (a.next_state().await, b.next_state().await),
        (State::Connected, State::Connected)
    );
    a.send_action(id, ClientAction::Disconnected).await;
    assert_eq!(
        (a.next_state().await, b.next_state().await),
        (State::Reconnecting, State::Reconnecting)
    );
}

#[tokio::test]
async fn a_client_that_stays_disconnected_ends_the_call() {
    let fixture = CallFixture::new(Timeouts {
        grace: 100,
        caller_grace: 100,
        ..LONG_TIMEOUTS
    })
    .await;
    let (_, mut a, b) = connected_call(&fixture).await;
    fixture.disconnect(&b).await;
    assert_eq!(
        (a.next_state().await, a.next_state().await),
        (State::Reconnecting, ended_state(Outcome::Failed))
    );
    let bob = b.connection.person.clone();
    let mut b = fixture.connect_client(&bob).await;
    let id = a.start_call(&bob).await;
    assert_eq!(
        (a.next_state().await, b.next_state().await),
        (State::Dialing, State::Dialing)
    );
    fixture.disconnect(&a).await;
    assert_eq!(b.next_state().await, ended_state(Outcome::Cancelled));
    b.send_action(id, ClientAction::Accept).await;
    assert_eq!(
        b.next_state().await,
        ended_state(Outcome::Cancelled),
        "too late, and told how it ended"
    );
}

#[tokio::test]
async fn a_client_whose_connection_was_replaced_is_not_disconnected() {
    let fixture = CallFixture::new(LONG_TIMEOUTS).await;
    let (id, mut a, b) = connected_call(&fixture).await;
    let mut reconnected = fixture
        .connect_client_as(&b.connection.person.clone(), b.connection.client)
        .await;
    assert!(
        !fixture
            .app
            .connections
            .unregister(&b.connection, Disconnect::Lost),
        "the former connection is not the current one"
    );
    fixture
        .registry
        .on_client_disconnected(&b.connection, Disconnect::Lost);
    assert_eq!(reconnected.next_state().await, State::Connected);
    reconnected
        .send_action(id, ClientAction::Disconnected)
        .await;
    assert_eq!(
        a.next_state().await,
        State::Reconnecting,
        "it received nothing before"
    );
}

#[tokio::test]
async fn a_connected_call_goes_on_after_the_server_died() {
    let fixture = CallFixture::new(LONG_TIMEOUTS).await;
    let (id, a, b) = connected_call(&fixture).await;
    let fixture = fixture.restart(LONG_TIMEOUTS).await;
    let mut a = fixture
        .connect_client_as(&a.connection.person.clone(), a.connection.client)
        .await;
    let mut b = fixture
        .connect_client_as(&b.connection.person.clone(), b.connection.client)
        .await;
    assert_eq!(
        (a.next_state().await, b.next_state().await),
        (State::Reconnecting, State::Reconnecting)
    );
    a.send_action(id, ClientAction::Connected).await;
    b.send_action(id, ClientAction::Connected).await;
    assert_eq!(
        (a.next_state().await, b.next_state().await),
        (State::Connected, State::Connected)
    );
    a.send_action(id, ClientAction::HangUp).await;
    assert_eq!(b.next_state().await, ended_state(Outcome::HungUp));
    assert_eq!(b.stored_outcomes().await, [Outcome::HungUp]);
}

#[tokio::test]
async fn calls_that_nobody_reconnects_to_end_by_themselves() {
    let fixture = CallFixture::new(LONG_TIMEOUTS).await;
    let (id, a, _) = connected_call(&fixture).await;
    let (eve, dan) = (
        fixture.create_person("Eve").await,
        fixture.create_person("Dan").await,
    );
    let ringing = fixture.connect_client(&eve).await.start_call(&dan).await;
    let fixture = fixture
        .restart(Timeouts {
            grace: 1_500,
            caller_grace: 1_500,
            ..LONG_TIMEOUTS
        })
        .await;
    let mut a = fixture.connect_client(&a.connection.person.clone()).await;
    let mut d = fixture.connect_client(&dan).await;
    assert_eq!(
        a.next_outcome().await.1,
        Outcome::Failed,
        "it is another page, so it receives only the end"
    );
    assert_eq!(
        (d.next_state().await, d.next_state().await),
        (State::Dialing, ended_state(Outcome::Cancelled))
    );
    a.send_action(id, ClientAction::Connected).await;
    assert_eq!(a.next_state().await, ended_state(Outcome::Failed));
    d.send_action(ringing, ClientAction::Ringing).await;
    assert_eq!(d.next_state().await, ended_state(Outcome::Cancelled));
}

#[tokio::test]
async fn a_first_call_creates_the_direct_room_and_notifies_both() {
    let fixture = CallFixture::new(LONG_TIMEOUTS).await;
    let (ada, bob) = (
        fixture.create_person("Ada").await,
        fixture.create_person("Bob").await,
    );
    let (mut a, mut b) = (
        fixture.connect_client(&ada).await,
        fixture.connect_client(&bob).await,
    );
    a.start_call(&bob).await;
    for (page, other) in [(&mut a, "Bob"), (&mut b, "Ada")] {
        let ServerFrame::Room { room } = page.next_frame().await else {
            panic!("the room comes first")
        };
        assert_eq!(
            (room.title.as_str(), page.next_call().await.room),
            (other, room.id)
        );
    }
}

#[tokio::test]
async fn what_cannot_be_stored_is_not_sent_and_the_requesting_client_gets_an_error() {
    let fixture = CallFixture::new(LONG_TIMEOUTS).await;
    let (id, mut a, mut b) = connected_call(&fixture).await;
    let eve = fixture.create_person("Eve").await;
    let mut e = fixture.connect_client(&eve).await;
    fixture.app.store.close().await;
    b.send_action(id, ClientAction::HangUp).await;
    assert_eq!(b.next_error().await, ErrorCode::Unavailable);
    a.assert_no_call_frames().await;
    e.start_call(&a.connection.person.clone()).await;
    assert_eq!(e.next_error().await, ErrorCode::Unavailable);
}
