//! One-to-one calls, as the clients of both users see them.

use crate::support::{Browser, HelloFrame, Server, WsClient, call_id};
use rialto::{
    calls::api::PastCall,
    model::{
        CallId, ClientId, Millis,
        call::{CallView, ClientAction, Media, Outcome, Side, SignalingMessage, State},
        message::{Content, RoomEvent},
        user::Presence,
    },
    protocol::ws::{ClientFrame, ErrorCode, PersonPresence, ServerFrame},
};

use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

pub(crate) struct CallClient {
    pub(crate) browser: Browser,
    pub(crate) client_id: ClientId,
    pub(crate) ws: WsClient,
}

impl CallClient {
    pub(crate) async fn join(server: &Server, name: &str) -> Self {
        Self::connect(Browser::join(server, name).await).await
    }

    async fn connect_another(&self) -> Self {
        Self::connect(self.browser.clone()).await
    }

    pub(crate) async fn connect(browser: Browser) -> Self {
        let hello = HelloFrame::default();
        let client_id = hello.client;
        let ws = browser.connect_with(hello).await;
        Self {
            browser,
            client_id,
            ws,
        }
    }

    /// With the same client id.
    async fn reconnect(self) -> Self {
        let hello = HelloFrame {
            client: self.client_id,
            ..HelloFrame::default()
        };
        let ws = self.browser.connect_with(hello).await;
        Self { ws, ..self }
    }

    pub(crate) async fn send_action(&mut self, call: CallId, action: ClientAction) {
        self.ws.send(&ClientFrame::Call { call, action }).await;
    }

    pub(crate) async fn start_call(&mut self, callee: &Self) -> CallId {
        let id = call_id();
        let (to, media) = (callee.ws.me().id, Media::Video);
        self.send_action(id, ClientAction::Start { to, media })
            .await;
        id
    }

    pub(crate) async fn next_view(&mut self) -> CallView {
        let view = |frame: &ServerFrame| match frame {
            ServerFrame::Call { call } => Some(call.clone()),
            ServerFrame::Error(refusal) => panic!("{refusal:?}"),
            _ => None,
        };
        self.ws.wait_for(view).await
    }

    pub(crate) async fn next_state(&mut self) -> State {
        self.next_view().await.state
    }

    async fn next_error_code(&mut self) -> ErrorCode {
        self.ws.wait_for_error().await.0
    }

    pub(crate) async fn next_signal(&mut self) -> SignalingMessage {
        let signal = |frame: &ServerFrame| match frame {
            ServerFrame::Signal { signal, .. } => Some(signal.clone()),
            _ => None,
        };
        self.ws.wait_for(signal).await
    }

    /// The next call message: call, outcome, and connected time in milliseconds, if ever connected.
    pub(crate) async fn next_outcome(&mut self) -> (CallId, Outcome, Option<Millis>) {
        let outcome = |frame: &ServerFrame| match frame {
            ServerFrame::Event {
                event: RoomEvent::Message { message },
                ..
            } => match message.content {
                Content::Call {
                    call,
                    outcome,
                    lasted,
                    ..
                } => Some((call, outcome, lasted)),
                _ => None,
            },
            _ => None,
        };
        self.ws.wait_for(outcome).await
    }

    /// Newest first, as on `/calls`.
    async fn past_calls(&self) -> Vec<(Side, Outcome)> {
        let past: Vec<PastCall> = self.browser.call_server_fn("/fn/past-calls", &()).await;
        past.iter().map(|call| (call.side, call.outcome)).collect()
    }
}

fn ended(outcome: Outcome) -> State {
    State::Ended { outcome }
}

/// From Ada to Bob.
async fn ringing_call(server: &Server) -> (CallId, CallClient, CallClient) {
    let (mut ada, mut bob) = (
        CallClient::join(server, "Ada").await,
        CallClient::join(server, "Bob").await,
    );
    let id = ada.start_call(&bob).await;
    assert_eq!(
        (ada.next_state().await, bob.next_state().await),
        (State::Dialing, State::Dialing)
    );
    bob.send_action(id, ClientAction::Ringing).await;
    assert_eq!(
        (ada.next_state().await, bob.next_state().await),
        (State::Ringing, State::Ringing)
    );
    (id, ada, bob)
}

/// From Ada to Bob.
async fn connected_call(server: &Server) -> (CallId, CallClient, CallClient) {
    let (id, mut ada, mut bob) = ringing_call(server).await;
    bob.send_action(id, ClientAction::Accept).await;
    assert_eq!(
        (ada.next_state().await, bob.next_state().await),
        (State::Connecting, State::Connecting)
    );
    report_connected(id, &mut ada, &mut bob).await;
    (id, ada, bob)
}

async fn report_connected(id: CallId, ada: &mut CallClient, bob: &mut CallClient) {
    ada.send_action(id, ClientAction::Connected).await;
    bob.send_action(id, ClientAction::Connected).await;
    assert_eq!(
        (ada.next_state().await, bob.next_state().await),
        (State::Connected, State::Connected)
    );
}

#[tokio::test]
async fn a_client_that_left_hangs_up_and_one_that_lost_its_connection_does_not() {
    let server = Server::start().await;
    let (_, mut ada, bob) = connected_call(&server).await;
    // Without a close frame or with code 1000, the client may come back.
    let mut bob = bob.reconnect().await;
    ada.ws.close_with(CloseCode::Normal).await;
    let mut ada = ada.reconnect().await;
    assert_eq!(ada.next_state().await, State::Reconnecting);
    // Browsers close with 1001 (going away) when a page is closed, crashes or navigates away.
    bob.ws.close_with(CloseCode::Away).await;
    assert_eq!(ada.next_outcome().await.1, Outcome::HungUp);
    assert_eq!(ada.next_state().await, ended(Outcome::HungUp));
    assert_eq!(bob.past_calls().await, [(Side::Callee, Outcome::HungUp)]);
}

#[tokio::test]
async fn a_caller_who_left_stops_the_ringing_at_once() {
    let server = Server::start().await;
    let (_, mut ada, mut bob) = ringing_call(&server).await;
    ada.ws.close_with(CloseCode::Away).await;
    assert_eq!(bob.next_outcome().await.1, Outcome::Cancelled);
    assert_eq!(bob.next_state().await, ended(Outcome::Cancelled));
}

#[tokio::test]
async fn a_call_rings_is_answered_connects_and_ends_in_the_timeline_of_both() {
    let server = Server::start_with(|command| {
        command.env(
            "RIALTO_ICE_SERVERS",
            r#"[{"urls":["stun:stun.example.org"]}]"#,
        );
    })
    .await;
    let (id, mut ada, mut bob) = ringing_call(&server).await;
    bob.send_action(id, ClientAction::Accept).await;
    let view = bob.next_view().await;
    assert_eq!((view.side, view.state), (Side::Callee, State::Connecting));
    assert_eq!(
        view.rtc_config.unwrap().ice_servers[0].urls,
        ["stun:stun.example.org"]
    );
    assert_eq!(ada.next_state().await, State::Connecting);

    let offer = SignalingMessage::Offer { sdp: "v=0".into() };
    ada.send_action(
        id,
        ClientAction::Signal {
            signal: offer.clone(),
            to: None,
        },
    )
    .await;
    assert_eq!(bob.next_signal().await, offer);
    bob.send_action(
        id,
        ClientAction::Signal {
            signal: SignalingMessage::RestartIce,
            to: None,
        },
    )
    .await;
    assert_eq!(ada.next_signal().await, SignalingMessage::RestartIce);

    report_connected(id, &mut ada, &mut bob).await;
    bob.send_action(id, ClientAction::HangUp).await;
    for client in [&mut ada, &mut bob] {
        let (call, outcome, lasted) = client.next_outcome().await;
        assert_eq!(
            (call, outcome, lasted.is_some()),
            (id, Outcome::HungUp, true)
        );
        assert_eq!(client.next_state().await, ended(Outcome::HungUp));
    }
    assert_eq!(ada.past_calls().await, [(Side::Caller, Outcome::HungUp)]);
    assert_eq!(bob.past_calls().await, [(Side::Callee, Outcome::HungUp)]);
}

#[tokio::test]
async fn declining_on_one_client_silences_all_of_them() {
    let server = Server::start().await;
    let (id, mut ada, mut bob) = ringing_call(&server).await;
    let mut other = bob.connect_another().await;
    assert_eq!(
        other.next_state().await,
        State::Ringing,
        "a client that connects meanwhile rings"
    );
    other.send_action(id, ClientAction::Decline).await;
    for client in [&mut ada, &mut bob, &mut other] {
        assert_eq!(client.next_state().await, ended(Outcome::Declined));
    }
    assert_eq!(ada.past_calls().await, [(Side::Caller, Outcome::Declined)]);
}

#[tokio::test]
async fn one_client_answers_and_the_others_are_told_that_it_was_answered_elsewhere() {
    let server = Server::start().await;
    let (mut ada, mut bob) = (
        CallClient::join(&server, "Ada").await,
        CallClient::join(&server, "Bob").await,
    );
    let mut other = bob.connect_another().await;
    let id = ada.start_call(&bob).await;
    assert_eq!(
        (bob.next_state().await, other.next_state().await),
        (State::Dialing, State::Dialing)
    );
    other.send_action(id, ClientAction::Accept).await;
    assert_eq!(bob.next_state().await, ended(Outcome::AnsweredElsewhere));
    assert_eq!(other.next_state().await, State::Connecting);
    bob.send_action(id, ClientAction::Accept).await;
    assert_eq!(
        bob.next_state().await,
        ended(Outcome::AnsweredElsewhere),
        "too late"
    );
    bob.send_action(id, ClientAction::Connected).await;
    assert_eq!(
        bob.next_error_code().await,
        ErrorCode::NoSuchCall,
        "it holds no side of the call"
    );
    ada.send_action(id, ClientAction::HangUp).await;
    assert_eq!(other.next_state().await, ended(Outcome::HungUp));
}

#[tokio::test]
async fn hanging_up_before_an_answer_cancels() {
    let server = Server::start().await;
    let (id, mut ada, mut bob) = ringing_call(&server).await;
    ada.send_action(id, ClientAction::HangUp).await;
    assert_eq!(bob.next_outcome().await, (id, Outcome::Cancelled, None));
    assert_eq!(
        (bob.next_state().await, ada.next_state().await),
        (ended(Outcome::Cancelled), ended(Outcome::Cancelled))
    );
    bob.send_action(id, ClientAction::Accept).await;
    assert_eq!(
        bob.next_state().await,
        ended(Outcome::Cancelled),
        "too late: it gets the outcome"
    );
}

#[tokio::test]
async fn nobody_answers() {
    let server = Server::start_with(|command| {
        command.env("RIALTO_RING_SECONDS", "1");
    })
    .await;
    let (mut ada, bob) = (
        CallClient::join(&server, "Ada").await,
        CallClient::join(&server, "Bob").await,
    );
    let id = ada.start_call(&bob).await;
    assert_eq!(
        ada.next_state().await,
        State::Dialing,
        "no client reports that it is ringing"
    );
    assert_eq!(ada.next_outcome().await, (id, Outcome::NoAnswer, None));
    assert_eq!(ada.next_state().await, ended(Outcome::NoAnswer));
    assert_eq!(bob.past_calls().await, [(Side::Callee, Outcome::NoAnswer)]);
}

#[tokio::test]
async fn who_is_in_a_call_can_leave_it_for_another_that_rings_beside_it() {
    let server = Server::start().await;
    let (first, mut ada, mut bob) = connected_call(&server).await;
    let mut eve = CallClient::join(&server, "Eve").await;
    let id = eve.start_call(&bob).await;
    let seen = bob.next_view().await;
    assert_eq!((seen.id, seen.is_waiting), (id, true));
    let mut frank = CallClient::join(&server, "Frank").await;
    frank.start_call(&bob).await;
    assert_eq!(
        frank.next_state().await,
        ended(Outcome::Busy),
        "a third call"
    );
    bob.send_action(id, ClientAction::Accept).await;
    assert_eq!(ada.next_outcome().await.0, first);
    assert_eq!(ada.next_state().await, ended(Outcome::HungUp));
    let answered = |view: &CallView| view.id == id && view.state == State::Connecting;
    while !answered(&bob.next_view().await) {}
    while !answered(&eve.next_view().await) {}
}

#[tokio::test]
async fn calling_each_other_at_once_becomes_one_call() {
    let server = Server::start().await;
    let (mut ada, mut bob) = (
        CallClient::join(&server, "Ada").await,
        CallClient::join(&server, "Bob").await,
    );
    let mut ids = [ada.start_call(&bob).await, bob.start_call(&ada).await];
    // The first start to arrive becomes the call; the other answers it.
    let first = ada.next_view().await;
    let (calling, answering) = if first.side == Side::Caller {
        (&mut ada, &mut bob)
    } else {
        ids.reverse();
        (&mut bob, &mut ada)
    };
    let merged = loop {
        let view = answering.next_view().await;
        if view.state == State::Connecting {
            break view;
        }
    };
    assert_eq!(
        (merged.id, merged.merged_call, merged.side),
        (ids[0], Some(ids[1]), Side::Callee)
    );
    calling.send_action(ids[0], ClientAction::HangUp).await;
    assert_eq!(answering.next_state().await, ended(Outcome::HungUp));
    assert_eq!(
        answering.past_calls().await,
        [(Side::Callee, Outcome::HungUp)]
    );
}

#[tokio::test]
async fn a_client_that_lost_its_connection_reconnects_and_the_call_goes_on() {
    let server = Server::start().await;
    let (id, mut ada, bob) = connected_call(&server).await;
    let mut bob = {
        let CallClient {
            browser,
            client_id,
            ws,
        } = bob;
        ws.close().await;
        assert_eq!(ada.next_state().await, State::Reconnecting);
        let hello = HelloFrame {
            client: client_id,
            ..HelloFrame::default()
        };
        let ws = browser.connect_with(hello).await;
        CallClient {
            browser,
            client_id,
            ws,
        }
    };
    let view = bob.next_view().await;
    assert!(
        view.state == State::Reconnecting && view.rtc_config.is_some(),
        "{view:?}"
    );
    bob.send_action(id, ClientAction::Connected).await;
    assert_eq!(
        (ada.next_state().await, bob.next_state().await),
        (State::Connected, State::Connected)
    );
    bob.send_action(id, ClientAction::Disconnected).await;
    assert_eq!(
        (ada.next_state().await, bob.next_state().await),
        (State::Reconnecting, State::Reconnecting)
    );
}

#[tokio::test]
async fn a_client_that_does_not_reconnect_ends_the_call() {
    let server = Server::start_with(|command| {
        command.env("RIALTO_CALL_GRACE_SECONDS", "1");
    })
    .await;
    let (id, mut ada, bob) = connected_call(&server).await;
    bob.ws.close().await;
    assert_eq!(ada.next_state().await, State::Reconnecting);
    let (call, outcome, lasted) = ada.next_outcome().await;
    assert_eq!(
        (call, outcome, lasted.is_some()),
        (id, Outcome::Failed, true)
    );
    assert_eq!(ada.next_state().await, ended(Outcome::Failed));

    let mut bob = CallClient::connect(bob.browser).await;
    let id = ada.start_call(&bob).await;
    assert_eq!(bob.next_state().await, State::Dialing);
    ada.ws.close().await;
    assert_eq!(bob.next_outcome().await, (id, Outcome::Cancelled, None));
    assert_eq!(bob.next_state().await, ended(Outcome::Cancelled));
}

#[tokio::test]
async fn a_call_goes_on_after_the_server_was_killed() {
    let mut server = Server::start().await;
    let (id, ada, bob) = connected_call(&server).await;
    server.restart().await;
    let (mut ada, mut bob) = (ada.reconnect().await, bob.reconnect().await);
    assert_eq!(
        (ada.next_state().await, bob.next_state().await),
        (State::Reconnecting, State::Reconnecting)
    );
    report_connected(id, &mut ada, &mut bob).await;
    ada.send_action(id, ClientAction::HangUp).await;
    assert_eq!(bob.next_state().await, ended(Outcome::HungUp));
    assert_eq!(
        bob.past_calls().await,
        [(Side::Callee, Outcome::HungUp)],
        "stored once"
    );
}

#[tokio::test]
async fn a_ringing_call_rings_on_after_the_server_was_killed() {
    let mut server = Server::start().await;
    let (id, ada, bob) = ringing_call(&server).await;
    server.restart().await;
    let (mut ada, mut bob) = (ada.reconnect().await, bob.reconnect().await);
    assert_eq!(
        (ada.next_state().await, bob.next_state().await),
        (State::Ringing, State::Ringing)
    );
    bob.send_action(id, ClientAction::Accept).await;
    assert_eq!(
        (ada.next_state().await, bob.next_state().await),
        (State::Connecting, State::Connecting)
    );
}

#[tokio::test]
async fn a_repeated_start_is_the_same_call_even_after_it_ended() {
    let server = Server::start().await;
    let (mut ada, mut bob) = (
        CallClient::join(&server, "Ada").await,
        CallClient::join(&server, "Bob").await,
    );
    let start = ClientAction::Start {
        to: bob.ws.me().id,
        media: Media::Voice,
    };
    let id = call_id();
    for _ in 0..2 {
        ada.send_action(id, start.clone()).await;
        assert_eq!(ada.next_state().await, State::Dialing);
    }
    bob.send_action(id, ClientAction::Decline).await;
    assert_eq!(ada.next_state().await, ended(Outcome::Declined));
    ada.send_action(id, start).await;
    assert_eq!(ada.next_state().await, ended(Outcome::Declined));
    assert_eq!(bob.past_calls().await, [(Side::Callee, Outcome::Declined)]);
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_and_ends_nothing() {
    let server = Server::start().await;
    let (id, mut ada, mut bob) = ringing_call(&server).await;
    let mut eve = CallClient::join(&server, "Eve").await;
    ada.send_action(id, ClientAction::Accept).await;
    assert_eq!(ada.next_error_code().await, ErrorCode::WrongState);
    for action in [
        ClientAction::Accept,
        ClientAction::HangUp,
        ClientAction::Connected,
    ] {
        eve.send_action(id, action).await;
        assert_eq!(
            eve.next_error_code().await,
            ErrorCode::NoSuchCall,
            "Eve takes no part in this call"
        );
    }
    let mine = call_id();
    let to = eve.ws.me().id;
    eve.send_action(
        mine,
        ClientAction::Start {
            to,
            media: Media::Voice,
        },
    )
    .await;
    assert_eq!(
        eve.next_error_code().await,
        ErrorCode::NoSuchUser,
        "users cannot call themselves"
    );
    bob.send_action(id, ClientAction::Accept).await;
    assert_eq!(
        (ada.next_state().await, bob.next_state().await),
        (State::Connecting, State::Connecting)
    );
}

#[tokio::test]
async fn the_page_of_calls_reads_without_scripts() {
    let server = Server::start().await;
    let (id, mut ada, mut bob) = ringing_call(&server).await;
    ada.send_action(id, ClientAction::HangUp).await;
    assert_eq!(bob.next_state().await, ended(Outcome::Cancelled));
    let html = bob.browser.html("/calls").await;
    for words in ["Missed video call", "Ada", "Calls need JavaScript"] {
        assert!(html.contains(words), "no {words:?} in {html}");
    }
    let here: Vec<PersonPresence> = bob.browser.call_server_fn("/fn/people-here", &()).await;
    let here: Vec<_> = here
        .iter()
        .map(|it| (it.person.name.as_str(), it.presence))
        .collect();
    assert_eq!(here, [("Ada", Presence::Online)]);
}
