//! Who may reach a person: blocks, hidden conversations, and whose calls ring.

use crate::{
    calls::CallClient,
    support::{Browser, HelloFrame, Server, browser::location, call_id, message_id},
};
use reqwest::StatusCode;
use rialto::{
    chat::api::RoomHistory,
    model::{
        RoomId, UserId,
        call::{ClientAction, Media, Outcome, State},
        message::MessageText,
        room::RoomSummary,
        user::{CallsFrom, Person, PersonalSettings},
    },
    protocol::ws::{ClientFrame, ErrorCode, Refusal, ServerFrame},
};

/// Opens the direct room with somebody.
async fn open_room(client: &CallClient, with: UserId) -> RoomSummary {
    let with = with.to_string();
    let opened = client
        .browser
        .post("/fn/open-direct", &[("with", &with)])
        .await;
    let slug = location(&opened).strip_prefix("/chat/").unwrap().to_owned();
    read_room(client, &slug).await.room
}

async fn read_room(client: &CallClient, slug: &str) -> RoomHistory {
    let address = format!("/fn/history?slug={slug}");
    let text = client.browser.get(&address).await.text().await.unwrap();
    serde_json::from_str(&text).unwrap_or_else(|why| panic!("{why}: {text}"))
}

async fn block(client: &CallClient, person: UserId) {
    let person = person.to_string();
    let done = client
        .browser
        .post("/fn/block", &[("person", &person)])
        .await;
    assert_eq!(location(&done), "/settings?done=block#blocked");
}

async fn unblock(client: &CallClient, person: UserId) {
    let person = person.to_string();
    let done = client
        .browser
        .post("/fn/unblock", &[("person", &person)])
        .await;
    assert_eq!(location(&done), "/settings?done=unblock#blocked");
}

async fn next_settings(client: &mut CallClient) -> PersonalSettings {
    client
        .ws
        .wait_for(|frame| match frame {
            ServerFrame::Settings { settings } => Some(settings.clone()),
            _ => None,
        })
        .await
}

/// A message that must be refused.
async fn refusal_of_message(client: &mut CallClient, room: RoomId) -> Refusal {
    let id = message_id();
    let text = MessageText::new("hello?").unwrap();
    client.ws.send(&ClientFrame::Send { id, room, text }).await;
    client
        .ws
        .wait_for(|frame| match frame {
            ServerFrame::Refused(refusal) if refusal.id == Some(id) => Some(refusal.clone()),
            ServerFrame::Sent { id: sent, .. } if *sent == id => panic!("it was sent"),
            _ => None,
        })
        .await
}

/// A call that must be refused. Returns the code and the reason.
async fn refusal_of_call(caller: &mut CallClient, to: UserId) -> (ErrorCode, String) {
    let media = Media::Voice;
    caller
        .send_action(call_id(), ClientAction::Start { to, media })
        .await;
    caller
        .ws
        .wait_for(|frame| match frame {
            ServerFrame::Error(refusal) => Some((refusal.code, refusal.reason.clone())),
            ServerFrame::Call { call } => panic!("it rings: {call:?}"),
            _ => None,
        })
        .await
}

#[tokio::test]
async fn nothing_of_a_blocked_person_rings_or_is_written_and_nobody_tells_them() {
    let server = Server::start().await;
    let mut ada = CallClient::join(&server, "Ada").await;
    let mut mallory = CallClient::join(&server, "Mallory").await;
    let (ada_id, mallory_id) = (ada.ws.me().id, mallory.ws.me().id);
    let room = open_room(&mallory, ada_id).await.id;
    mallory.ws.send_message(room, "first").await;
    ada.ws.wait_for_text("first").await;

    block(&ada, mallory_id).await;
    assert_eq!(next_settings(&mut ada).await.blocked, [mallory_id]);

    let refused = refusal_of_message(&mut mallory, room).await;
    let reason = "This person does not accept messages from you.";
    assert_eq!(
        (refused.code, refused.reason.as_str()),
        (ErrorCode::Invalid, reason)
    );
    let (code, reason) = refusal_of_call(&mut mallory, ada_id).await;
    assert_eq!(code, ErrorCode::NotAllowed);
    assert_eq!(reason, "Ada does not accept calls from you.");
    let upload = ClientFrame::Upload {
        id: message_id(),
        room,
        name: "x.txt".to_owned(),
        size: 3,
    };
    mallory.ws.send(&upload).await;
    mallory
        .ws
        .wait_for(|frame| match frame {
            ServerFrame::Refused(refusal) => {
                assert_eq!(refusal.code, ErrorCode::Invalid);
                Some(())
            }
            ServerFrame::UploadReady { .. } => panic!("a file was accepted"),
            _ => None,
        })
        .await;
    let id = message_id().to_string();
    let slug = room.to_string();
    let form = [
        ("id", id.as_str()),
        ("room", &slug),
        ("slug", &slug),
        ("text", "psst"),
    ];
    let posted = mallory
        .browser
        .submit_form("/chat/general", "/fn/post", &form)
        .await;
    assert!(posted.contains("__err="), "{posted}");
    // The blocker cannot write either, and is told what to do.
    assert_eq!(
        refusal_of_message(&mut ada, room).await.reason,
        "You have blocked this person. Unblock them to write."
    );
    let (code, reason) = refusal_of_call(&mut ada, mallory_id).await;
    assert_eq!(code, ErrorCode::NotAllowed);
    assert_eq!(reason, "You have blocked Mallory. Unblock them to call.");

    // What a blocked person writes in rooms of everybody does not count as unread.
    let general = mallory.ws.room("general").id;
    mallory.ws.send_message(general, "to all").await;
    ada.ws.wait_for_text("to all").await;
    let hello = HelloFrame::default();
    let again = ada.browser.connect_with(hello).await;
    assert_eq!(again.room("general").unread, 0);
    assert_eq!(again.settings().blocked, [mallory_id]);
    assert_eq!(mallory.browser.connect().await.settings().blocked, []);

    unblock(&ada, mallory_id).await;
    assert!(next_settings(&mut ada).await.blocked.is_empty());
    mallory.ws.send_message(room, "thank you").await;
    ada.ws.wait_for_text("thank you").await;
    assert_eq!(
        read_room(&ada, &slug).await.messages.len(),
        2,
        "nothing was lost or let in"
    );
    assert_eq!(ada.browser.connect().await.room("general").unread, 1);
}

#[tokio::test]
async fn a_message_that_was_sent_before_a_block_is_confirmed_when_it_is_repeated() {
    let server = Server::start().await;
    let mut ada = CallClient::join(&server, "Ada").await;
    let mut grace = CallClient::join(&server, "Grace").await;
    let room = open_room(&grace, ada.ws.me().id).await.id;
    let (id, text) = (
        message_id(),
        MessageText::new("sent, but not confirmed").unwrap(),
    );
    let send = ClientFrame::Send { id, room, text };
    grace.ws.send(&send).await;
    ada.ws.wait_for_text("sent, but not confirmed").await;
    block(&ada, grace.ws.me().id).await;
    grace.ws.send(&send).await;
    let mut confirmations = 0;
    while confirmations < 2 {
        grace
            .ws
            .wait_for(|frame| match frame {
                ServerFrame::Sent { id: confirmed, .. } if *confirmed == id => Some(()),
                ServerFrame::Refused(refusal) => panic!("{refusal:?}"),
                _ => None,
            })
            .await;
        confirmations += 1;
    }
}

#[tokio::test]
async fn who_may_call_is_chosen_by_the_one_who_is_called() {
    let server = Server::start().await;
    let mut ada = CallClient::join(&server, "Ada").await;
    let mut guest = CallClient::join(&server, "Guest").await;
    let member = Browser::join(&server, "Member").await;
    let password = [("password", "three thousand ducats")];
    let set = member.post("/fn/set-password", &password).await;
    assert_eq!(location(&set), "/settings?done=password");
    let mut member = CallClient::connect(member).await;
    let ada_id = ada.ws.me().id;
    let room = open_room(&ada, guest.ws.me().id).await.id;

    choose_callers(&mut ada, "members", CallsFrom::Members).await;
    let (code, reason) = refusal_of_call(&mut guest, ada_id).await;
    assert_eq!(code, ErrorCode::NotAllowed);
    assert!(
        reason.starts_with("Ada does not accept calls from you."),
        "{reason}"
    );
    rings_and_is_cancelled(&mut member, &mut ada).await;

    choose_callers(&mut ada, "contacts", CallsFrom::Contacts).await;
    assert_eq!(
        refusal_of_call(&mut guest, ada_id).await.0,
        ErrorCode::NotAllowed
    );
    assert_eq!(
        refusal_of_call(&mut member, ada_id).await.0,
        ErrorCode::NotAllowed
    );
    ada.ws.send_message(room, "call me").await;
    guest.ws.wait_for_text("call me").await;
    rings_and_is_cancelled(&mut guest, &mut ada).await;

    choose_callers(&mut ada, "nobody", CallsFrom::Nobody).await;
    assert_eq!(
        refusal_of_call(&mut guest, ada_id).await.0,
        ErrorCode::NotAllowed
    );
    // Whom one calls can call back: that answers.
    let id = ada.start_call(&guest).await;
    assert!(matches!(
        guest.next_state().await,
        State::Dialing | State::Ringing
    ));
    let back = call_id();
    let (to, media) = (ada_id, Media::Video);
    guest
        .send_action(back, ClientAction::Start { to, media })
        .await;
    let answered = guest.ws.wait_for(|frame| match frame {
        ServerFrame::Call { call } if call.state.is_answered() => Some(call.id),
        ServerFrame::Error(refusal) => panic!("{refusal:?}"),
        _ => None,
    });
    assert_eq!(answered.await, id);

    let refused = ada
        .browser
        .submit_form(
            "/settings",
            "/fn/set-call-settings",
            &[("calls_from", "friends")],
        )
        .await;
    assert!(refused.contains("__err="), "{refused}");
}

async fn choose_callers(client: &mut CallClient, word: &str, from: CallsFrom) {
    let form = [("calls_from", word)];
    let done = client.browser.post("/fn/set-call-settings", &form).await;
    assert_eq!(location(&done), "/settings?done=calls");
    assert_eq!(next_settings(client).await.calls_from, from);
}

async fn rings_and_is_cancelled(caller: &mut CallClient, rung: &mut CallClient) {
    let id = caller.start_call(rung).await;
    caller.next_view().await;
    assert_eq!(rung.next_view().await.id, id);
    caller.send_action(id, ClientAction::HangUp).await;
    let outcome = rung.next_outcome().await;
    assert_eq!((outcome.0, outcome.1), (id, Outcome::Cancelled));
    while !caller.next_state().await.is_ended() {}
}

#[tokio::test]
async fn a_hidden_conversation_comes_back_with_the_next_message() {
    let server = Server::start().await;
    let ada = CallClient::join(&server, "Ada").await;
    let mut grace = CallClient::join(&server, "Grace").await;
    let room = open_room(&ada, grace.ws.me().id).await;
    ada.browser
        .connect()
        .await
        .send_message(room.id, "one")
        .await;
    let id = room.id.to_string();
    let hidden = ada.browser.post("/fn/hide-room", &[("room", &id)]).await;
    assert_eq!(location(&hidden), "/chat");
    let is_hidden =
        async |client: &CallClient| client.browser.connect().await.room(&room.slug).is_hidden;
    assert!(is_hidden(&ada).await);
    assert!(!is_hidden(&grace).await, "only for who hid it");
    let page = ada.browser.html("/chat").await;
    assert!(!page.contains(&format!("/chat/{}", room.slug)));

    grace.ws.send_message(room.id, "two").await;
    grace.ws.wait_for_text("two").await;
    assert!(!is_hidden(&ada).await);
    ada.browser.post("/fn/hide-room", &[("room", &id)]).await;
    assert!(is_hidden(&ada).await);
    open_room(&ada, grace.ws.me().id).await;
    assert!(!is_hidden(&ada).await, "opening it shows it");

    let general = ada.ws.room("general").id.to_string();
    for other in [general, message_id().to_string()] {
        let refused = ada
            .browser
            .submit_form("/chat", "/fn/hide-room", &[("room", &other)])
            .await;
        assert!(refused.contains("__err="), "{refused}");
    }
}

#[tokio::test]
async fn calls_use_only_the_relay_where_the_site_or_the_person_says_so() {
    let server = Server::start_with(|command| {
        command.arg("--relay-only");
    })
    .await;
    let mut ada = CallClient::join(&server, "Ada").await;
    assert!(ada.ws.settings().relay_only, "the default of the site");
    let form = [("calls_from", "everyone")];
    ada.browser.post("/fn/set-call-settings", &form).await;
    assert!(!next_settings(&mut ada).await.relay_only);
    assert!(!ada.browser.connect().await.settings().relay_only);
    let form = [("calls_from", "everyone"), ("relay_only", "true")];
    ada.browser.post("/fn/set-call-settings", &form).await;
    assert!(next_settings(&mut ada).await.relay_only);

    let server = Server::start_with(|command| {
        command.args(["--turn-listen", "off"]);
    })
    .await;
    let grace = Browser::join(&server, "Grace").await;
    let refused = grace
        .submit_form("/settings", "/fn/set-call-settings", &form)
        .await;
    assert!(refused.contains("__err="), "{refused}");
}

#[tokio::test]
async fn the_list_of_blocked_people_is_short_and_ones_own() {
    let server = Server::start().await;
    let ada = CallClient::join(&server, "Ada").await;
    let grace = CallClient::join(&server, "Grace").await;
    block(&ada, grace.ws.me().id).await;
    let listed = async |client: &CallClient| {
        let answer = client.browser.get("/fn/blocked-people").await;
        assert_eq!(answer.status(), StatusCode::OK);
        let people: Vec<Person> = answer.json().await.unwrap();
        people
            .iter()
            .map(|person| person.name.to_string())
            .collect::<Vec<_>>()
    };
    assert_eq!(listed(&ada).await, ["Grace"]);
    assert_eq!(listed(&grace).await, [""; 0]);
    for (person, status) in [
        (ada.ws.me().id.to_string(), StatusCode::UNPROCESSABLE_ENTITY),
        (message_id().to_string(), StatusCode::NOT_FOUND),
    ] {
        let request = ada.browser.http().post(ada.browser.url("/fn/block"));
        let request = request.header("accept", "application/json");
        let refused = request.form(&[("person", person)]).send().await.unwrap();
        assert_eq!(refused.status(), status);
    }
    let anonymous = Browser::anonymous(&server, "nobody");
    let form = [("person", ada.ws.me().id.to_string())];
    let request = anonymous.http().post(anonymous.url("/fn/block"));
    let request = request.header("accept", "application/json").form(&form);
    assert_eq!(
        request.send().await.unwrap().status(),
        StatusCode::UNAUTHORIZED
    );
}
