//! Guests, where time passes.

use super::{House, PATIENCE, Page};
use crate::{
    calls::{api::Invitation, server::guests},
    model::{
        CallId, ClientId, LinkId, Millis,
        call::{Action, group::Part},
        user::Person,
    },
    protocol::{failure::Failure, ws::ErrorCode},
    server::{
        Error, clock,
        live::{Connection, Flusher, Outlet},
        secret,
        store::GuestLink,
    },
};
use axum::http::{HeaderMap, header};
use std::sync::Arc;

impl House {
    /// A call that Ada is in, and a link into it that is good until then. The link's token.
    async fn invites(&self, expires_at: Millis) -> (CallId, Page, String) {
        let room = self.room().await;
        let mut ada = self.in_room("Ada", room).await;
        let call = ada.join(room).await;
        ada.part().await;
        let token = self.link(call, &ada.connection.person, expires_at).await;
        (call, ada, token)
    }

    /// A page of a guest that is connected.
    fn guest(&self, guest: &Person, call: CallId) -> Page {
        let connection = Connection::new(
            ClientId(secret::id()),
            guest.clone(),
            "guest".into(),
            true,
            Outlet::new(&Flusher::default(), 1_000_000),
        );
        let connection = Arc::new(connection.as_guest_of(Some(call)));
        connection.outlet().uncork(&[]);
        self.app.live.open(&connection);
        self.behind(connection)
    }

    async fn link(&self, call: CallId, by: &Person, expires_at: Millis) -> String {
        let token = secret::token();
        let link = GuestLink {
            id: LinkId(secret::id()),
            call,
            by: by.clone(),
            created_at: 0,
            expires_at,
        };
        let hash = secret::hash(&token);
        let made = self.app.store.create_guest_link(&link, &hash).await;
        made.unwrap();
        token
    }
}

#[tokio::test]
async fn nobody_comes_by_a_link_whose_time_is_up() {
    let house = House::new(PATIENCE).await;
    let (_, _ada, token) = house.invites(clock::now() - 1).await;
    let entered = guests::enter(&house.app, &token, "Bob").await;
    assert!(
        matches!(entered, Err(Error::User(Failure::NotFound { .. }))),
        "{entered:?}"
    );
    let asked = guests::invitation(&house.app, &token, &HeaderMap::new()).await;
    assert_eq!(asked.unwrap(), Invitation::Nowhere);
}

#[tokio::test]
async fn whoever_came_in_time_stays() {
    let house = House::new(PATIENCE).await;
    let soon = clock::now() + 1_000;
    let (_, _ada, token) = house.invites(soon).await;
    let cookie = guests::enter(&house.app, &token, "Bob").await.unwrap();
    let mut headers = HeaderMap::new();
    let cookie = cookie.to_str().unwrap().split(';').next().unwrap();
    headers.insert(header::COOKIE, cookie.parse().unwrap());
    while clock::now() < soon {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let asked = |headers: HeaderMap| {
        let (app, token) = (house.app.clone(), token.clone());
        async move { guests::invitation(&app, &token, &headers).await.unwrap() }
    };
    assert_eq!(asked(HeaderMap::new()).await, Invitation::Nowhere);
    assert!(matches!(
        asked(headers.clone()).await,
        Invitation::Guest { name, title, .. } if name == "Bob" && title == "The Arsenal"
    ));
    let signed = guests::signed(&house.app, &headers).await.unwrap();
    assert!(signed.is_some_and(|(guest, _)| guest.person.name.to_string() == "Bob"));
}

#[tokio::test]
async fn a_guest_begins_no_call() {
    let house = House::new(PATIENCE).await;
    let (call, mut ada, token) = house.invites(clock::now() + 60_000).await;
    guests::enter(&house.app, &token, "Bob").await.unwrap();
    let (_, bob) = &house.app.store.list_call_guests(call).await.unwrap()[0];
    let mut page = house.guest(bob, call);
    ada.act(call, Action::HangUp).await;
    while ada.part().await.1 != Part::Out {}
    let room = house.app.store.find_room_id("the-arsenal").await.unwrap();
    let room = room.unwrap();
    page.act(call, Action::Join { room }).await;
    assert_eq!(page.error().await, ErrorCode::NoSuchCall);
    assert_eq!(house.calls.count(), 0);
}

#[tokio::test]
async fn a_guest_whose_link_is_ended_on_the_way_in_stays_out() {
    let house = House::new(PATIENCE).await;
    let (call, ada, token) = house.invites(clock::now() + 60_000).await;
    guests::enter(&house.app, &token, "Bob").await.unwrap();
    let (link, bob) = &house.app.store.list_call_guests(call).await.unwrap()[0];
    let mut page = house.guest(bob, call);
    let by = &ada.connection.person;
    guests::revoke_link(&house.app, by, call, *link)
        .await
        .unwrap();
    let room = house.app.store.find_room_id("the-arsenal").await.unwrap();
    let room = room.unwrap();
    page.act(call, Action::Join { room }).await;
    assert_eq!(page.error().await, ErrorCode::NoSuchCall);
}

#[tokio::test]
async fn nothing_is_left_of_guests_when_the_call_is_over() {
    let house = House::new(PATIENCE).await;
    let (call, mut ada, token) = house.invites(clock::now() + 60_000).await;
    guests::enter(&house.app, &token, "Bob").await.unwrap();
    ada.act(call, Action::HangUp).await;
    while ada.part().await.1 != Part::Out {}
    // Deleted once it was told.
    let until = clock::now() + 5_000;
    loop {
        let links = house.app.store.list_guest_links(call).await.unwrap();
        if links.is_empty() {
            break;
        }
        assert!(clock::now() < until, "{links:?}");
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
}
