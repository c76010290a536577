//! Calls: every way in which one can go, as two people and their pages see it.

use crate::support::{Greeting, Page, Person, Server, call_id};
use rialto::{
    calls::api::PastCall,
    model::{
        CallId, ClientId, Millis,
        call::{Action, CallView, Media, Outcome, Side, Signal, State},
        message::{Content, RoomEvent},
        user::Presence,
    },
    protocol::ws::{ClientFrame, ErrorCode, Present, ServerFrame},
};

use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

/// A page and the person it belongs to.
pub(crate) struct Party {
    pub(crate) person: Person,
    pub(crate) client: ClientId,
    pub(crate) page: Page,
}

impl Party {
    pub(crate) async fn join(server: &Server, name: &str) -> Self {
        Self::open(Person::join(server, name).await).await
    }

    /// Another page of the same person.
    async fn another(&self) -> Self {
        Self::open(self.person.clone()).await
    }

    pub(crate) async fn open(person: Person) -> Self {
        let greeting = Greeting::default();
        let client = greeting.client;
        let page = person.page_with(greeting).await;
        Self {
            person,
            client,
            page,
        }
    }

    /// The same page, connected again.
    async fn again(self) -> Self {
        let greeting = Greeting {
            client: self.client,
            ..Greeting::default()
        };
        let page = self.person.page_with(greeting).await;
        Self { page, ..self }
    }

    pub(crate) async fn say(&mut self, call: CallId, action: Action) {
        self.page.send(&ClientFrame::Call { call, action }).await;
    }

    pub(crate) async fn start(&mut self, callee: &Self) -> CallId {
        let id = call_id();
        let (to, media) = (callee.page.me().id, Media::Video);
        self.say(id, Action::Start { to, media }).await;
        id
    }

    /// The next word on where a call stands.
    pub(crate) async fn view(&mut self) -> CallView {
        let view = |frame: &ServerFrame| match frame {
            ServerFrame::Call { call } => Some(call.clone()),
            ServerFrame::Error { reason, .. } => panic!("refused: {reason}"),
            _ => None,
        };
        self.page.until(view).await
    }

    pub(crate) async fn state(&mut self) -> State {
        self.view().await.state
    }

    async fn refusal(&mut self) -> ErrorCode {
        self.page.error().await.0
    }

    pub(crate) async fn signal(&mut self) -> Signal {
        let signal = |frame: &ServerFrame| match frame {
            ServerFrame::Signal { signal, .. } => Some(signal.clone()),
            _ => None,
        };
        self.page.until(signal).await
    }

    /// What the direct room is told: which call, how it ended, and how long the two were connected.
    pub(crate) async fn told(&mut self) -> (CallId, Outcome, Option<Millis>) {
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
        self.page.until(outcome).await
    }

    /// How this person's past calls ended, the newest first, as `/calls` shows them.
    async fn history(&self) -> Vec<(Side, Outcome)> {
        let past: Vec<PastCall> = self.person.ask("/fn/past-calls", &()).await;
        past.iter().map(|call| (call.side, call.outcome)).collect()
    }
}

fn ended(outcome: Outcome) -> State {
    State::Ended { outcome }
}

/// Ada calls Bob, who has a page open and lets it ring.
async fn ringing(server: &Server) -> (CallId, Party, Party) {
    let (mut ada, mut bob) = (
        Party::join(server, "Ada").await,
        Party::join(server, "Bob").await,
    );
    let id = ada.start(&bob).await;
    assert_eq!(
        (ada.state().await, bob.state().await),
        (State::Dialing, State::Dialing)
    );
    bob.say(id, Action::Ringing).await;
    assert_eq!(
        (ada.state().await, bob.state().await),
        (State::Ringing, State::Ringing)
    );
    (id, ada, bob)
}

/// The same, answered and connected.
async fn connected(server: &Server) -> (CallId, Party, Party) {
    let (id, mut ada, mut bob) = ringing(server).await;
    bob.say(id, Action::Accept).await;
    assert_eq!(
        (ada.state().await, bob.state().await),
        (State::Connecting, State::Connecting)
    );
    connect(id, &mut ada, &mut bob).await;
    (id, ada, bob)
}

async fn connect(id: CallId, ada: &mut Party, bob: &mut Party) {
    ada.say(id, Action::Connected).await;
    bob.say(id, Action::Connected).await;
    assert_eq!(
        (ada.state().await, bob.state().await),
        (State::Connected, State::Connected)
    );
}

#[tokio::test]
async fn a_page_that_is_gone_for_good_hangs_up_and_one_that_lost_its_connection_does_not() {
    let server = Server::start().await;
    let (_, mut ada, bob) = connected(&server).await;
    // Without a close, or with one that means nothing: it may come back.
    let mut bob = bob.again().await;
    ada.page.close_with(CloseCode::Normal).await;
    let mut ada = ada.again().await;
    assert_eq!(ada.state().await, State::Reconnecting);
    // What a browser says of a page that is closed, crashed, or left for another address.
    bob.page.close_with(CloseCode::Away).await;
    assert_eq!(ada.told().await.1, Outcome::HungUp);
    assert_eq!(ada.state().await, ended(Outcome::HungUp));
    assert_eq!(bob.history().await, [(Side::Callee, Outcome::HungUp)]);
}

#[tokio::test]
async fn a_caller_who_is_gone_for_good_stops_the_ringing_at_once() {
    let server = Server::start().await;
    let (_, mut ada, mut bob) = ringing(&server).await;
    ada.page.close_with(CloseCode::Away).await;
    assert_eq!(bob.told().await.1, Outcome::Cancelled);
    assert_eq!(bob.state().await, ended(Outcome::Cancelled));
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
    let (id, mut ada, mut bob) = ringing(&server).await;
    bob.say(id, Action::Accept).await;
    let view = bob.view().await;
    assert_eq!((view.side, view.state), (Side::Callee, State::Connecting));
    assert_eq!(
        view.leg.unwrap().ice_servers[0].urls,
        ["stun:stun.example.org"]
    );
    assert_eq!(ada.state().await, State::Connecting);

    let offer = Signal::Offer { sdp: "v=0".into() };
    ada.say(
        id,
        Action::Signal {
            signal: offer.clone(),
            to: None,
        },
    )
    .await;
    assert_eq!(bob.signal().await, offer);
    bob.say(
        id,
        Action::Signal {
            signal: Signal::Restart,
            to: None,
        },
    )
    .await;
    assert_eq!(ada.signal().await, Signal::Restart);

    connect(id, &mut ada, &mut bob).await;
    bob.say(id, Action::HangUp).await;
    for party in [&mut ada, &mut bob] {
        let (call, outcome, lasted) = party.told().await;
        assert_eq!(
            (call, outcome, lasted.is_some()),
            (id, Outcome::HungUp, true)
        );
        assert_eq!(party.state().await, ended(Outcome::HungUp));
    }
    assert_eq!(ada.history().await, [(Side::Caller, Outcome::HungUp)]);
    assert_eq!(bob.history().await, [(Side::Callee, Outcome::HungUp)]);
}

#[tokio::test]
async fn declining_on_one_page_silences_all_of_them() {
    let server = Server::start().await;
    let (id, mut ada, mut bob) = ringing(&server).await;
    let mut other = bob.another().await;
    assert_eq!(
        other.state().await,
        State::Ringing,
        "a page that opens meanwhile rings"
    );
    other.say(id, Action::Decline).await;
    for party in [&mut ada, &mut bob, &mut other] {
        assert_eq!(party.state().await, ended(Outcome::Declined));
    }
    assert_eq!(ada.history().await, [(Side::Caller, Outcome::Declined)]);
}

#[tokio::test]
async fn one_page_answers_and_the_others_hear_that_it_was_answered_elsewhere() {
    let server = Server::start().await;
    let (mut ada, mut bob) = (
        Party::join(&server, "Ada").await,
        Party::join(&server, "Bob").await,
    );
    let mut other = bob.another().await;
    let id = ada.start(&bob).await;
    assert_eq!(
        (bob.state().await, other.state().await),
        (State::Dialing, State::Dialing)
    );
    other.say(id, Action::Accept).await;
    assert_eq!(bob.state().await, ended(Outcome::AnsweredElsewhere));
    assert_eq!(other.state().await, State::Connecting);
    bob.say(id, Action::Accept).await;
    assert_eq!(
        bob.state().await,
        ended(Outcome::AnsweredElsewhere),
        "too late"
    );
    bob.say(id, Action::Connected).await;
    assert_eq!(
        bob.refusal().await,
        ErrorCode::NoSuchCall,
        "it holds no side"
    );
    ada.say(id, Action::HangUp).await;
    assert_eq!(other.state().await, ended(Outcome::HungUp));
}

#[tokio::test]
async fn hanging_up_before_an_answer_cancels() {
    let server = Server::start().await;
    let (id, mut ada, mut bob) = ringing(&server).await;
    ada.say(id, Action::HangUp).await;
    assert_eq!(bob.told().await, (id, Outcome::Cancelled, None));
    assert_eq!(
        (bob.state().await, ada.state().await),
        (ended(Outcome::Cancelled), ended(Outcome::Cancelled))
    );
    bob.say(id, Action::Accept).await;
    assert_eq!(
        bob.state().await,
        ended(Outcome::Cancelled),
        "too late, and told how it ended"
    );
}

#[tokio::test]
async fn nobody_answers() {
    let server = Server::start_with(|command| {
        command.env("RIALTO_RING_SECONDS", "1");
    })
    .await;
    let (mut ada, bob) = (
        Party::join(&server, "Ada").await,
        Party::join(&server, "Bob").await,
    );
    let id = ada.start(&bob).await;
    assert_eq!(ada.state().await, State::Dialing, "no page says it rings");
    assert_eq!(ada.told().await, (id, Outcome::NoAnswer, None));
    assert_eq!(ada.state().await, ended(Outcome::NoAnswer));
    assert_eq!(bob.history().await, [(Side::Callee, Outcome::NoAnswer)]);
}

#[tokio::test]
async fn who_is_in_a_call_can_leave_it_for_another_that_rings_beside_it() {
    let server = Server::start().await;
    let (first, mut ada, mut bob) = connected(&server).await;
    let mut eve = Party::join(&server, "Eve").await;
    let id = eve.start(&bob).await;
    let seen = bob.view().await;
    assert_eq!((seen.id, seen.waiting), (id, true));
    let mut frank = Party::join(&server, "Frank").await;
    frank.start(&bob).await;
    assert_eq!(frank.state().await, ended(Outcome::Busy), "a third one");
    bob.say(id, Action::Accept).await;
    assert_eq!(ada.told().await.0, first);
    assert_eq!(ada.state().await, ended(Outcome::HungUp));
    let answered = |view: &CallView| view.id == id && view.state == State::Connecting;
    while !answered(&bob.view().await) {}
    while !answered(&eve.view().await) {}
}

#[tokio::test]
async fn calling_each_other_at_once_becomes_one_call() {
    let server = Server::start().await;
    let (mut ada, mut bob) = (
        Party::join(&server, "Ada").await,
        Party::join(&server, "Bob").await,
    );
    let mut ids = [ada.start(&bob).await, bob.start(&ada).await];
    // Whichever start came first is the call; the other one is its answer.
    let first = ada.view().await;
    let (calling, answering) = if first.side == Side::Caller {
        (&mut ada, &mut bob)
    } else {
        ids.reverse();
        (&mut bob, &mut ada)
    };
    let merged = loop {
        let view = answering.view().await;
        if view.state == State::Connecting {
            break view;
        }
    };
    assert_eq!(
        (merged.id, merged.instead_of, merged.side),
        (ids[0], Some(ids[1]), Side::Callee)
    );
    calling.say(ids[0], Action::HangUp).await;
    assert_eq!(answering.state().await, ended(Outcome::HungUp));
    assert_eq!(answering.history().await, [(Side::Callee, Outcome::HungUp)]);
}

#[tokio::test]
async fn a_page_that_lost_its_connection_comes_back_and_goes_on() {
    let server = Server::start().await;
    let (id, mut ada, bob) = connected(&server).await;
    let mut bob = {
        let Party {
            person,
            client,
            page,
        } = bob;
        page.leave().await;
        assert_eq!(ada.state().await, State::Reconnecting);
        let greeting = Greeting {
            client,
            ..Greeting::default()
        };
        let page = person.page_with(greeting).await;
        Party {
            person,
            client,
            page,
        }
    };
    let view = bob.view().await;
    assert!(
        view.state == State::Reconnecting && view.leg.is_some(),
        "{view:?}"
    );
    bob.say(id, Action::Connected).await;
    assert_eq!(
        (ada.state().await, bob.state().await),
        (State::Connected, State::Connected)
    );
    bob.say(id, Action::Lost).await;
    assert_eq!(
        (ada.state().await, bob.state().await),
        (State::Reconnecting, State::Reconnecting)
    );
}

#[tokio::test]
async fn a_page_that_vanishes_for_good_ends_the_call() {
    let server = Server::start_with(|command| {
        command.env("RIALTO_CALL_GRACE_SECONDS", "1");
    })
    .await;
    let (id, mut ada, bob) = connected(&server).await;
    bob.page.leave().await;
    assert_eq!(ada.state().await, State::Reconnecting);
    let (call, outcome, lasted) = ada.told().await;
    assert_eq!(
        (call, outcome, lasted.is_some()),
        (id, Outcome::Failed, true)
    );
    assert_eq!(ada.state().await, ended(Outcome::Failed));

    let mut bob = Party::open(bob.person).await;
    let id = ada.start(&bob).await;
    assert_eq!(bob.state().await, State::Dialing);
    ada.page.leave().await;
    assert_eq!(bob.told().await, (id, Outcome::Cancelled, None));
    assert_eq!(bob.state().await, ended(Outcome::Cancelled));
}

#[tokio::test]
async fn a_call_goes_on_after_the_server_was_killed() {
    let mut server = Server::start().await;
    let (id, ada, bob) = connected(&server).await;
    server.restart().await;
    let (mut ada, mut bob) = (ada.again().await, bob.again().await);
    assert_eq!(
        (ada.state().await, bob.state().await),
        (State::Reconnecting, State::Reconnecting)
    );
    connect(id, &mut ada, &mut bob).await;
    ada.say(id, Action::HangUp).await;
    assert_eq!(bob.state().await, ended(Outcome::HungUp));
    assert_eq!(
        bob.history().await,
        [(Side::Callee, Outcome::HungUp)],
        "once"
    );
}

#[tokio::test]
async fn a_ringing_call_rings_on_after_the_server_was_killed() {
    let mut server = Server::start().await;
    let (id, ada, bob) = ringing(&server).await;
    server.restart().await;
    let (mut ada, mut bob) = (ada.again().await, bob.again().await);
    assert_eq!(
        (ada.state().await, bob.state().await),
        (State::Ringing, State::Ringing)
    );
    bob.say(id, Action::Accept).await;
    assert_eq!(
        (ada.state().await, bob.state().await),
        (State::Connecting, State::Connecting)
    );
}

#[tokio::test]
async fn a_repeated_start_is_the_same_call_even_after_it_ended() {
    let server = Server::start().await;
    let (mut ada, mut bob) = (
        Party::join(&server, "Ada").await,
        Party::join(&server, "Bob").await,
    );
    let start = Action::Start {
        to: bob.page.me().id,
        media: Media::Voice,
    };
    let id = call_id();
    for _ in 0..2 {
        ada.say(id, start.clone()).await;
        assert_eq!(ada.state().await, State::Dialing);
    }
    bob.say(id, Action::Decline).await;
    assert_eq!(ada.state().await, ended(Outcome::Declined));
    ada.say(id, start).await;
    assert_eq!(ada.state().await, ended(Outcome::Declined));
    assert_eq!(bob.history().await, [(Side::Callee, Outcome::Declined)]);
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_and_ends_nothing() {
    let server = Server::start().await;
    let (id, mut ada, mut bob) = ringing(&server).await;
    let mut eve = Party::join(&server, "Eve").await;
    ada.say(id, Action::Accept).await;
    assert_eq!(ada.refusal().await, ErrorCode::WrongState);
    for action in [Action::Accept, Action::HangUp, Action::Connected] {
        eve.say(id, action).await;
        assert_eq!(
            eve.refusal().await,
            ErrorCode::NoSuchCall,
            "it is not hers to know of"
        );
    }
    let mine = call_id();
    let to = eve.page.me().id;
    eve.say(
        mine,
        Action::Start {
            to,
            media: Media::Voice,
        },
    )
    .await;
    assert_eq!(
        eve.refusal().await,
        ErrorCode::NoSuchUser,
        "nobody calls themselves"
    );
    bob.say(id, Action::Accept).await;
    assert_eq!(
        (ada.state().await, bob.state().await),
        (State::Connecting, State::Connecting)
    );
}

#[tokio::test]
async fn the_page_of_calls_reads_without_scripts() {
    let server = Server::start().await;
    let (id, mut ada, mut bob) = ringing(&server).await;
    ada.say(id, Action::HangUp).await;
    assert_eq!(bob.state().await, ended(Outcome::Cancelled));
    let html = bob.person.html("/calls").await;
    for words in ["Missed video call", "Ada", "Calling needs JavaScript"] {
        assert!(html.contains(words), "{words:?} is not in {html}");
    }
    let here: Vec<Present> = bob.person.ask("/fn/people-here", &()).await;
    let here: Vec<_> = here
        .iter()
        .map(|it| (it.person.name.as_str(), it.presence))
        .collect();
    assert_eq!(here, [("Ada", Presence::Here)]);
}
