//! Tests of guests over time.

use super::{CallFixture, LONG_TIMEOUTS, TestClient};
use crate::{
    calls::{api::types::GuestLinkTarget, server::guests},
    model::{
        CallId, ClientId, GuestLinkId, Millis,
        call::{ClientAction, group::Participation},
        user::Person,
    },
    protocol::{failure::Failure, ws::ErrorCode},
    server::{
        Error, clock,
        live::{Connection, Flusher, SendQueue},
        random,
        store::GuestLink,
    },
};
use axum::http::{HeaderMap, header};
use std::sync::Arc;

impl CallFixture {
    /// Returns the link's token.
    async fn start_call_with_link(&self, expires_at: Millis) -> (CallId, TestClient, String) {
        let room = self.create_room().await;
        let mut ada = self.connect_member("Ada", room).await;
        let call = ada.join_group_call(room).await;
        ada.next_participation().await;
        let token = self
            .create_link(call, &ada.connection.person, expires_at)
            .await;
        (call, ada, token)
    }

    fn connect_guest(&self, guest: &Person, call: CallId) -> TestClient {
        let connection = Connection::new(
            ClientId(random::new_id()),
            guest.clone(),
            "guest".into(),
            true,
            SendQueue::new(&Flusher::default(), 1_000_000),
        );
        let connection = Arc::new(connection.as_guest_of(Some(call)));
        connection.send_queue().uncork(&[]);
        self.app.connections.register(&connection);
        self.client_of(connection)
    }

    async fn create_link(&self, call: CallId, by: &Person, expires_at: Millis) -> String {
        let token = random::new_token();
        let link = GuestLink {
            id: GuestLinkId(random::new_id()),
            call,
            created_by: by.clone(),
            created_at: 0,
            expires_at,
        };
        let hash = random::sha256_hex(&token);
        let made = self.app.store.create_guest_link(&link, &hash).await;
        made.unwrap();
        token
    }
}

#[tokio::test]
async fn nobody_is_admitted_by_an_expired_link() {
    let fixture = CallFixture::new(LONG_TIMEOUTS).await;
    let (_, _ada, token) = fixture.start_call_with_link(clock::now() - 1).await;
    let entered = guests::admit_guest(&fixture.app, &token, "Bob").await;
    assert!(
        matches!(entered, Err(Error::User(Failure::NotFound { .. }))),
        "{entered:?}"
    );
    let asked = guests::resolve_guest_link(&fixture.app, &token, &HeaderMap::new()).await;
    assert_eq!(asked.unwrap(), GuestLinkTarget::Invalid);
}

#[tokio::test]
async fn a_guest_admitted_before_expiry_stays() {
    let fixture = CallFixture::new(LONG_TIMEOUTS).await;
    let soon = clock::now() + 1_000;
    let (_, _ada, token) = fixture.start_call_with_link(soon).await;
    let cookie = guests::admit_guest(&fixture.app, &token, "Bob")
        .await
        .unwrap();
    let mut headers = HeaderMap::new();
    let cookie = cookie.to_str().unwrap().split(';').next().unwrap();
    headers.insert(header::COOKIE, cookie.parse().unwrap());
    while clock::now() < soon {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let asked = |headers: HeaderMap| {
        let (app, token) = (fixture.app.clone(), token.clone());
        async move {
            guests::resolve_guest_link(&app, &token, &headers)
                .await
                .unwrap()
        }
    };
    assert_eq!(asked(HeaderMap::new()).await, GuestLinkTarget::Invalid);
    assert!(matches!(
        asked(headers.clone()).await,
        GuestLinkTarget::Guest { name, title, .. } if name == "Bob" && title == "The Arsenal"
    ));
    let signed = guests::authenticate_guest(&fixture.app, &headers)
        .await
        .unwrap();
    assert!(signed.is_some_and(|(guest, _)| guest.person.name.to_string() == "Bob"));
}

#[tokio::test]
async fn a_guest_begins_no_call() {
    let fixture = CallFixture::new(LONG_TIMEOUTS).await;
    let (call, mut ada, token) = fixture.start_call_with_link(clock::now() + 60_000).await;
    guests::admit_guest(&fixture.app, &token, "Bob")
        .await
        .unwrap();
    let (_, bob) = &fixture.app.store.list_call_guests(call).await.unwrap()[0];
    let mut guest_client = fixture.connect_guest(bob, call);
    ada.send_action(call, ClientAction::HangUp).await;
    while ada.next_participation().await.1 != Participation::Out {}
    let room = fixture.app.store.find_room_id("the-arsenal").await.unwrap();
    let room = room.unwrap();
    guest_client
        .send_action(call, ClientAction::Join { room })
        .await;
    assert_eq!(guest_client.next_error().await, ErrorCode::NoSuchCall);
    assert_eq!(fixture.registry.open_call_count(), 0);
}

#[tokio::test]
async fn a_guest_whose_link_is_revoked_while_joining_stays_out() {
    let fixture = CallFixture::new(LONG_TIMEOUTS).await;
    let (call, ada, token) = fixture.start_call_with_link(clock::now() + 60_000).await;
    guests::admit_guest(&fixture.app, &token, "Bob")
        .await
        .unwrap();
    let (link, bob) = &fixture.app.store.list_call_guests(call).await.unwrap()[0];
    let mut page = fixture.connect_guest(bob, call);
    let by = &ada.connection.person;
    guests::revoke_link(&fixture.app, by, call, *link)
        .await
        .unwrap();
    let room = fixture.app.store.find_room_id("the-arsenal").await.unwrap();
    let room = room.unwrap();
    page.send_action(call, ClientAction::Join { room }).await;
    assert_eq!(page.next_error().await, ErrorCode::NoSuchCall);
}

#[tokio::test]
async fn nothing_is_left_of_guests_when_the_call_is_over() {
    let fixture = CallFixture::new(LONG_TIMEOUTS).await;
    let (call, mut ada, token) = fixture.start_call_with_link(clock::now() + 60_000).await;
    guests::admit_guest(&fixture.app, &token, "Bob")
        .await
        .unwrap();
    ada.send_action(call, ClientAction::HangUp).await;
    while ada.next_participation().await.1 != Participation::Out {}
    // Guests are deleted after the end was sent.
    let until = clock::now() + 5_000;
    loop {
        let links = fixture.app.store.list_guest_links(call).await.unwrap();
        if links.is_empty() {
            break;
        }
        assert!(clock::now() < until, "{links:?}");
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
}
