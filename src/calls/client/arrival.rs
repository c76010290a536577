//! The code for calls comes when somebody can be called, or wants to call. A call that comes before it is kept until it is here.

use super::{
    super::part::CALLS,
    CallsClient,
    board::{Place, Scene, Target},
};
use crate::{
    model::{backoff, call::Media, user::Person},
    protocol::ws::ServerFrame,
    ui::browser,
};
use leptos::prelude::*;
use std::cell::RefCell;
use wasm_bindgen_futures::spawn_local;

/// How many tries may fail before somebody who has not asked for calls is told that there are none.
const PATIENCE: u32 = 4;

/// Whether the code for calls is here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Arrival {
    /// Nobody needs it.
    #[default]
    Unneeded,
    /// It is being loaded.
    Awaited,
    /// It could not be loaded. It is tried again.
    Missing,
    /// It is here.
    Here,
}

/// A call that somebody wants to begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    /// With whom.
    pub to: Target,
    /// Voice or video.
    pub media: Media,
}

/// What is there for the code that is to come.
struct Kept {
    /// What the server has said of calls on this connection.
    heard: Vec<ServerFrame>,
    /// What it is to belong to.
    owner: Owner,
}

thread_local! {
    /// None once it has been handed over. Never touched on the server.
    static KEPT: RefCell<Option<Kept>> = const { RefCell::new(None) };
}

impl CallsClient {
    /// Begins to listen. Browser only, once.
    pub fn listen(self) {
        let owner = Owner::current().unwrap_or_default();
        KEPT.set(Some(Kept {
            heard: Vec::new(),
            owner,
        }));
        self.socket.on_frame(|frame| {
            KEPT.with_borrow_mut(|kept| {
                if let Some(kept) = kept {
                    keep(&mut kept.heard, frame);
                }
            });
        });
        // Whoever was quick has pressed Call already.
        if self.awaited.get_untracked() {
            self.fetch();
        }
    }

    /// Whether the code for calls is here.
    #[must_use]
    pub fn arrival(&self) -> Signal<Arrival> {
        self.arrival.into()
    }

    /// Whether somebody has to see that the code for calls is not here yet.
    #[must_use]
    pub fn is_awaited(&self) -> Signal<bool> {
        self.awaited.into()
    }

    /// Has the code for calls loaded, as long as it takes. Browser only.
    pub fn fetch(self) {
        let listens = KEPT.with_borrow(Option::is_some);
        if !listens || self.arrival.get_untracked() != Arrival::Unneeded {
            return;
        }
        self.arrival.set(Arrival::Awaited);
        spawn_local(async move {
            let mut failures = 0;
            while !self.try_to_fetch().await {
                failures += 1;
                if failures == PATIENCE {
                    self.awaited.set(true);
                }
                browser::pause(backoff::wait(failures, browser::random())).await;
            }
        });
    }

    /// Tries to load it now. Browser only.
    pub fn fetch_again(self) {
        self.arrival.set(Arrival::Awaited);
        spawn_local(async move {
            self.try_to_fetch().await;
        });
    }

    /// Does not want to call any more, before the code for it is here.
    pub fn give_up(self) {
        self.wish.set(None);
        self.awaited.set(false);
    }

    /// Whether it is here now.
    async fn try_to_fetch(self) -> bool {
        let loaded = CALLS.load().await;
        // Another try may have come first.
        if self.arrival.get_untracked() == Arrival::Here {
            return true;
        }
        let Ok(calls) = loaded else {
            self.arrival.set(Arrival::Missing);
            return false;
        };
        if let Some(Kept { heard, owner }) = KEPT.take() {
            owner.with(|| (calls.begin)(self, heard));
            self.arrival.set(Arrival::Here);
            let wish = self.wish.get_untracked();
            self.give_up();
            // Somebody else may have called first.
            if let Some(Wish { to, media }) = wish
                && self.scene.with_untracked(|scene| *scene == Scene::Quiet)
            {
                (calls.look)(self, to, media);
            }
        }
        true
    }

    /// Opens a look at oneself before calling somebody: what a Call button does.
    pub fn place(self, with: Person, media: Media) {
        let to = Target::Person(with);
        self.want(Wish { to, media });
    }

    /// Opens a look at oneself before joining the call of a room, or starting it.
    pub fn join(self, place: Place) {
        let (to, media) = (Target::Room(place), Media::Video);
        self.want(Wish { to, media });
    }

    fn want(self, wish: Wish) {
        if self.arrival.get_untracked() == Arrival::Here
            && let Some(calls) = CALLS.get()
        {
            (calls.look)(self, wish.to, wish.media);
        } else {
            self.wish.set(Some(wish));
            self.awaited.set(true);
            self.fetch();
        }
    }
}

/// Keeps what the server said of calls. It says all of it again on a new connection, and of a room's call only the last word counts.
fn keep(heard: &mut Vec<ServerFrame>, frame: &ServerFrame) {
    let of_calls = match frame {
        ServerFrame::Welcome { .. } => {
            heard.clear();
            true
        }
        ServerFrame::GroupCall { group } => {
            let is_former = |kept: &ServerFrame| matches!(kept, ServerFrame::GroupCall { group: former } if former.id == group.id);
            heard.retain(|kept| !is_former(kept));
            true
        }
        ServerFrame::Call { .. }
        | ServerFrame::Signal { .. }
        | ServerFrame::Error { call: Some(_), .. } => true,
        _ => false,
    };
    if of_calls {
        heard.push(frame.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::{
            CallId, UserId,
            limits::Limits,
            user::{Role, UserName},
        },
        protocol::ws::ErrorCode,
    };
    use uuid::Uuid;

    fn refused(call: Option<CallId>) -> ServerFrame {
        ServerFrame::Error {
            code: ErrorCode::Unavailable,
            reason: "busy".to_owned(),
            call,
        }
    }

    #[test]
    fn what_is_said_of_calls_is_kept_and_of_a_former_connection_nothing() {
        let mut heard = Vec::new();
        let call = CallId(Uuid::from_u128(1));
        keep(&mut heard, &refused(Some(call)));
        keep(&mut heard, &refused(None));
        keep(&mut heard, &ServerFrame::Pong { n: 1 });
        assert_eq!(heard, [refused(Some(call))]);
        let welcome = ServerFrame::Welcome {
            user: Person {
                id: UserId(Uuid::from_u128(2)),
                name: UserName::new("Ada").unwrap(),
                role: Role::Guest,
            },
            rooms: Vec::new(),
            crowd: 0,
            limits: Limits { upload_bytes: 1 },
            heartbeat: 5_000,
            build: String::new(),
        };
        keep(&mut heard, &welcome);
        assert_eq!(heard, [welcome]);
    }
}
