//! Any order of any events: whatever people do, whatever is lost on the way, in the end both sides agree.
//!
//! The desk is the real one, on a real store; each page is the real [`Board`] that a browser has, with a connection that can be lost with
//! all that was on it. What varies is who does what when, and how late a page hears.

use super::House;
use crate::{
    calls::client::board::{Board, Scene, Target},
    model::{
        CallId, ClientId, Millis, UserId,
        call::{Action, Media, Patience, State},
        user::Person,
    },
    protocol::ws::ServerFrame,
    server::{
        live::{Connection, Flusher, Gone, Outlet, frame},
        secret,
    },
};
use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::{Duration, Instant},
};

/// So short that waiting ends within a case, and so long that not everything ends by itself.
const PATIENCE: Patience = Patience {
    ring: 150,
    connect: 150,
    reconnect: 300,
    grace: 100,
    vanish: 50,
};
/// How many orders are tried, unless `PROPTEST_CASES` says another number.
const CASES: u32 = 60;
/// How long it may take until all agree: far longer than all waiting.
const AGREE: Duration = Duration::from_secs(3);
/// Whose page is which: Ada and Carol have one, Bob has two.
const OWNERS: [usize; 4] = [0, 1, 1, 2];

/// What a page says when it only listens.
const NOTHING: [(CallId, Action); 0] = [];

/// What happens.
#[derive(Debug, Clone, Copy)]
enum Event {
    /// A page calls somebody.
    Call { page: usize, whom: usize },
    /// A page accepts what rings on it.
    Accept { page: usize },
    /// A page declines, cancels, hangs up or closes, whichever it is.
    Leave { page: usize },
    /// A page leaves its call for the one that waits,
    Switch { page: usize },
    /// or does not.
    DeclineWaiting { page: usize },
    /// A page has found the other one,
    Connected { page: usize },
    /// or lost it.
    Lost { page: usize },
    /// A page hears what was said to it since it last heard anything.
    Hear { page: usize },
    /// The connection of a page breaks; what was on it is lost.
    Break { page: usize },
    /// It is back.
    Return { page: usize },
    /// Time passes, in milliseconds.
    Wait { millis: u64 },
}

fn event() -> impl Strategy<Value = Event> {
    let page = 0..OWNERS.len();
    prop_oneof![
        3 => (page.clone(), 0..3_usize).prop_map(|(page, whom)| Event::Call { page, whom }),
        4 => page.clone().prop_map(|page| Event::Accept { page }),
        2 => page.clone().prop_map(|page| Event::Leave { page }),
        2 => page.clone().prop_map(|page| Event::Switch { page }),
        1 => page.clone().prop_map(|page| Event::DeclineWaiting { page }),
        3 => page.clone().prop_map(|page| Event::Connected { page }),
        1 => page.clone().prop_map(|page| Event::Lost { page }),
        8 => page.clone().prop_map(|page| Event::Hear { page }),
        1 => page.clone().prop_map(|page| Event::Break { page }),
        2 => page.prop_map(|page| Event::Return { page }),
        1 => (1..80_u64).prop_map(|millis| Event::Wait { millis }),
    ]
}

/// A page: what a browser shows, and its connection while it has one.
struct Client {
    id: ClientId,
    person: Person,
    board: Board,
    connection: Option<Arc<Connection>>,
}

struct World<'a> {
    house: &'a House,
    people: Vec<Person>,
    pages: Vec<Client>,
    began: Instant,
}

impl<'a> World<'a> {
    async fn new(house: &'a House) -> Self {
        let mut people = Vec::new();
        for _ in 0..3 {
            // A name of its own: the house has had others.
            let name = secret::id().simple().to_string();
            people.push(house.person(&name[12..]).await);
        }
        let pages = OWNERS.map(|owner| Client {
            id: ClientId(secret::id()),
            person: people[owner].clone(),
            board: Board::default(),
            connection: None,
        });
        let mut world = Self {
            house,
            people,
            pages: pages.into(),
            began: Instant::now(),
        };
        for page in 0..OWNERS.len() {
            world.come_back(page).await;
        }
        world
    }

    fn now(&self) -> Millis {
        Millis::try_from(self.began.elapsed().as_millis()).unwrap()
    }

    async fn happen(&mut self, event: Event) {
        let now = self.now();
        match event {
            Event::Call { page, whom } => {
                let with = self.people[whom].clone();
                if with.id != self.pages[page].person.id {
                    let id = CallId(secret::id());
                    self.change(page, |board| {
                        let free = board.place(Target::Person(with), Media::Voice);
                        free.then(|| board.start(id)).flatten()
                    })
                    .await;
                }
            }
            Event::Accept { page } => self.change(page, Board::accept).await,
            Event::Leave { page } => self.change(page, |board| board.leave(now)).await,
            Event::Switch { page } => self.change(page, Board::switch).await,
            Event::DeclineWaiting { page } => self.change(page, Board::decline_waiting).await,
            Event::Connected { page } => self.report(page, Action::Connected).await,
            Event::Lost { page } => self.report(page, Action::Lost).await,
            Event::Hear { page } => self.hear(page).await,
            Event::Break { page } => {
                if let Some(connection) = self.pages[page].connection.take() {
                    assert!(self.house.app.live.close(&connection, Gone::ForNow));
                    self.house.calls.closed(&connection, Gone::ForNow).await;
                }
            }
            Event::Return { page } => self.come_back(page).await,
            Event::Wait { millis } => tokio::time::sleep(Duration::from_millis(millis)).await,
        }
    }

    /// Changes what a page shows, and says what follows: what was asked, and that it rings.
    async fn change<S: IntoIterator<Item = (CallId, Action)>>(
        &mut self,
        page: usize,
        change: impl FnOnce(&mut Board) -> S,
    ) {
        let board = &mut self.pages[page].board;
        let rang = ringing(board);
        let say = change(board);
        let rings = ringing(board)
            .difference(&rang)
            .copied()
            .collect::<Vec<_>>();
        for (call, action) in rings
            .into_iter()
            .map(|call| (call, Action::Ringing))
            .chain(say)
        {
            self.say(page, call, action).await;
        }
    }

    async fn say(&self, page: usize, call: CallId, action: Action) {
        // What cannot be said is lost.
        if let Some(connection) = &self.pages[page].connection {
            self.house.calls.act(connection, call, action).await;
        }
    }

    async fn report(&self, page: usize, action: Action) {
        if let Some(call) = self.pages[page].board.scene.answered().map(|view| view.id) {
            self.say(page, call, action).await;
        }
    }

    async fn hear(&mut self, page: usize) {
        let Some(connection) = self.pages[page].connection.clone() else {
            return;
        };
        let now = self.now();
        for piece in connection.outlet().take().unwrap() {
            match frame::read(&piece) {
                ServerFrame::Call { call } => {
                    self.change(page, |board| {
                        board.heard(&call, now);
                        NOTHING
                    })
                    .await;
                }
                ServerFrame::Error {
                    code,
                    reason,
                    call: Some(call),
                } => {
                    self.change(page, |board| {
                        board.refused(call, code, &reason, now);
                        NOTHING
                    })
                    .await;
                }
                _ => {}
            }
        }
    }

    async fn come_back(&mut self, page: usize) {
        if self.pages[page].connection.is_some() {
            return;
        }
        let Client { id, person, .. } = &self.pages[page];
        let connection = Arc::new(Connection::new(
            *id,
            person.clone(),
            "session".into(),
            true,
            Outlet::new(&Flusher::default(), 1_000_000),
        ));
        connection.outlet().uncork(&[]);
        self.house.app.live.open(&connection);
        self.pages[page].connection = Some(connection.clone());
        self.house.calls.opened(&connection).await;
        for (call, action) in self.pages[page].board.to_say() {
            self.say(page, call, action).await;
        }
        self.report(page, Action::Lost).await;
    }

    /// Everybody is there, hears everything, and finds whom they have a call with.
    async fn calm_down(&mut self) -> Result<(), String> {
        let deadline = Instant::now() + AGREE;
        loop {
            for page in 0..OWNERS.len() {
                self.come_back(page).await;
                self.hear(page).await;
                let connecting = self.pages[page].board.scene.answered();
                if connecting.is_some_and(|view| view.state != State::Connected) {
                    self.report(page, Action::Connected).await;
                }
            }
            match self.agree() {
                Ok(()) => return Ok(()),
                Err(why) if Instant::now() > deadline => return Err(why),
                Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        }
    }

    /// Nothing rings, nobody is in two calls, and a call that goes on does so on two pages of two people.
    fn agree(&self) -> Result<(), String> {
        let mut held: HashMap<CallId, HashSet<UserId>> = HashMap::new();
        let mut engaged = HashSet::new();
        for page in &self.pages {
            if page.board.waiting.is_some() {
                return Err("a call waits for ever".to_owned());
            }
            match &page.board.scene {
                Scene::Quiet | Scene::Preview(_) | Scene::Ended(_) => {}
                Scene::Holding(it) if it.view.state == State::Connected => {
                    held.entry(it.view.id).or_default().insert(page.person.id);
                    if !engaged.insert(page.person.id) {
                        return Err("somebody is in a call on two pages".to_owned());
                    }
                }
                other => return Err(format!("{} is stuck: {other:?}", page.person.name)),
            }
        }
        let people: HashSet<UserId> = self.people.iter().map(|person| person.id).collect();
        let open = self.house.calls.lock();
        let on_desk: HashSet<CallId> = open
            .engaged
            .iter()
            .chain(&open.waiting)
            .filter(|(user, _)| people.contains(*user))
            .map(|(_, call)| *call)
            .collect();
        if on_desk != held.keys().copied().collect() {
            return Err(format!("pages hold {held:?}, the desk has {on_desk:?}"));
        }
        match held.values().find(|people| people.len() != 2) {
            Some(people) => Err(format!("a call of {} people", people.len())),
            None => Ok(()),
        }
    }

    /// Ends what still goes on: the next case begins with nothing.
    async fn end(mut self) -> Result<(), String> {
        for page in 0..OWNERS.len() {
            self.happen(Event::Leave { page }).await;
        }
        self.calm_down().await?;
        for page in 0..OWNERS.len() {
            self.happen(Event::Break { page }).await;
        }
        Ok(())
    }
}

/// What rings on a page.
fn ringing(board: &Board) -> HashSet<CallId> {
    let rings = match &board.scene {
        Scene::Ringing(view) => Some(view.id),
        _ => None,
    };
    let waits = board.waiting.as_ref().map(|view| view.id);
    rings.into_iter().chain(waits).collect()
}

#[test]
fn any_order_of_any_events_ends_with_all_pages_agreeing_and_nobody_in_two_calls() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let house = runtime.block_on(House::new(PATIENCE));
    let wanted = std::env::var("PROPTEST_CASES").ok();
    let config = Config {
        cases: wanted.and_then(|cases| cases.parse().ok()).unwrap_or(CASES),
        max_shrink_iters: 20,
        failure_persistence: None,
        ..Config::default()
    };
    let orders = proptest::collection::vec(event(), 1..60);
    let tried = TestRunner::new(config).run(&orders, |events| {
        runtime.block_on(async {
            let mut world = World::new(&house).await;
            for event in events {
                world.happen(event).await;
            }
            world.calm_down().await.map_err(TestCaseError::fail)?;
            world.end().await.map_err(TestCaseError::fail)
        })
    });
    tried.unwrap();
}
