//! What a page shows of calls, and what it still owes the server: plain data, no browser in it.
//!
//! A page shows one thing at a time ([`Scene`]); the server sees to it that nobody is in two calls. What the server says comes
//! in through [`Board::heard`], what the person does through the other functions, and what has to be said (again) when the
//! connection is back comes out of [`Board::to_say`].

use crate::{
    model::{
        CallId, Millis, RoomId,
        call::{
            Action, CallView, Media, Outcome, Seat, Side, State,
            group::{GroupView, Part},
        },
        user::Person,
    },
    protocol::ws::ErrorCode,
};
use std::collections::VecDeque;

/// What a page shows of calls.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Scene {
    /// Nothing.
    #[default]
    Quiet,
    /// About to call somebody, or to join the call of a room: a look at oneself first.
    Preview(Preview),
    /// The call of a room is being joined, and the server has not answered yet.
    Joining {
        /// The id it was said under.
        id: CallId,
        /// Which room.
        place: Place,
    },
    /// This page is in the call of a room.
    Gathered(Gathered),
    /// This page was in the call of a room, and is no more: its person went on with another page, or it did not come back in time.
    Out(Place),
    /// The start was said, and the server has not answered yet.
    Starting {
        /// The id it was said under.
        id: CallId,
        /// Whom.
        with: Person,
        /// Voice or video.
        media: Media,
    },
    /// Somebody calls.
    Ringing(CallView),
    /// It was accepted here, and the server has not answered yet.
    Answering(CallView),
    /// This page holds a side of the call.
    Holding(Held),
    /// How the last call ended.
    Ended(Farewell),
}

/// A room that has a call, or may have one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Which room.
    pub room: RoomId,
    /// What it is called.
    pub title: String,
    /// The only call of it that this page may be in, for a guest. None for a member of the room, who joins whichever goes on.
    pub only: Option<CallId>,
}

/// A group call that this page is in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gathered {
    /// The call.
    pub view: GroupView,
    /// This page's place in it.
    pub seat: Seat,
    /// Where it is.
    pub place: Place,
}

/// With whom a call is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// With one person.
    Person(Person),
    /// With whoever is in the call of a room.
    Room(Place),
}

/// The call that this page is about to begin or to join.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preview {
    /// With whom.
    pub to: Target,
    /// Voice or video.
    pub media: Media,
    /// Why the last try was refused.
    pub refused: Option<String>,
}

/// A call that this page holds a side of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// The call.
    pub view: CallView,
    /// When it was first connected, by this machine's clock.
    pub since: Option<Millis>,
}

/// How a call ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Farewell {
    /// Which.
    pub id: CallId,
    /// With whom.
    pub with: Person,
    /// Which side this page was on.
    pub side: Side,
    /// Voice or video.
    pub media: Media,
    /// How.
    pub outcome: Outcome,
    /// How long the two were connected.
    pub lasted: Option<Millis>,
}

/// The scene, and what the server has not confirmed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Board {
    /// What is shown.
    pub scene: Scene,
    /// Somebody calls beside what is shown: while one is in another call, here or on another page.
    pub waiting: Option<CallView>,
    /// Ends that were said and not confirmed: said again on every connection, until they are.
    owed: Vec<(CallId, Action)>,
    /// The last calls that ended. What comes of one of them was said before, by a node that decided before another took its place.
    over: VecDeque<CallId>,
}

/// How many calls that ended are remembered. What comes late comes within seconds.
const REMEMBERED: usize = 8;

impl Scene {
    /// The call that is shown, unless it is over.
    #[must_use]
    pub fn call(&self) -> Option<CallId> {
        match self {
            Self::Quiet | Self::Preview(_) | Self::Ended(_) | Self::Out(_) => None,
            Self::Starting { id, .. } | Self::Joining { id, .. } => Some(*id),
            Self::Ringing(view) | Self::Answering(view) => Some(view.id),
            Self::Holding(held) => Some(held.view.id),
            Self::Gathered(gathered) => Some(gathered.view.id),
        }
    }

    /// Whether a call would end if this page were closed now.
    #[must_use]
    pub fn is_in_a_call(&self) -> bool {
        match self {
            Self::Starting { .. }
            | Self::Answering(_)
            | Self::Holding(_)
            | Self::Joining { .. }
            | Self::Gathered(_) => true,
            Self::Quiet | Self::Preview(_) | Self::Ringing(_) | Self::Ended(_) | Self::Out(_) => {
                false
            }
        }
    }

    /// The look at oneself, while it is shown.
    #[must_use]
    pub fn preview(&self) -> Option<&Preview> {
        match self {
            Self::Preview(preview) => Some(preview),
            _ => None,
        }
    }

    /// The call that rings.
    #[must_use]
    pub fn ringing(&self) -> Option<&CallView> {
        match self {
            Self::Ringing(view) => Some(view),
            _ => None,
        }
    }

    /// The call with one person that this page holds a side of.
    #[must_use]
    pub fn held(&self) -> Option<&Held> {
        match self {
            Self::Holding(held) => Some(held),
            _ => None,
        }
    }

    /// The group call that this page is in.
    #[must_use]
    pub fn gathered(&self) -> Option<&Gathered> {
        match self {
            Self::Gathered(gathered) => Some(gathered),
            _ => None,
        }
    }

    /// The room whose call this page is in, or about to be in.
    #[must_use]
    pub fn place(&self) -> Option<&Place> {
        match self {
            Self::Joining { place, .. } | Self::Out(place) => Some(place),
            Self::Gathered(gathered) => Some(&gathered.place),
            _ => None,
        }
    }

    /// How the last call ended, while that is shown.
    #[must_use]
    pub fn farewell(&self) -> Option<&Farewell> {
        match self {
            Self::Ended(farewell) => Some(farewell),
            _ => None,
        }
    }

    /// Whether microphone and camera are to be open.
    #[must_use]
    pub fn needs_devices(&self) -> bool {
        matches!(self, Self::Preview(_)) || self.is_in_a_call()
    }

    /// The call this page holds, once it was answered: when there is a peer to connect to.
    #[must_use]
    pub fn answered(&self) -> Option<&CallView> {
        self.held()
            .map(|held| &held.view)
            .filter(|view| view.state.is_answered())
    }

    /// The call that a path is got ready for: the caller offers as soon as the call exists, and a page that rings takes the offer in, so
    /// that an answer connects at once.
    #[must_use]
    pub fn prepared(&self) -> Option<&CallView> {
        match self {
            Self::Ringing(view) | Self::Answering(view) => Some(view),
            Self::Holding(held) => Some(&held.view),
            _ => None,
        }
    }

    fn is_about(&self, view: &CallView) -> bool {
        self.call()
            .is_some_and(|id| id == view.id || view.instead_of == Some(id))
    }
}

impl Board {
    /// The server said where a call stands.
    pub fn heard(&mut self, view: &CallView, now: Millis) {
        let given_up = self.owed.iter().any(|(id, _)| *id == view.id);
        match view.state {
            State::Ended { outcome } => {
                self.over.retain(|id| *id != view.id);
                self.over.push_front(view.id);
                self.over.truncate(REMEMBERED);
                self.owed.retain(|(id, _)| *id != view.id);
                if self.is_waiting(view.id) {
                    self.waiting = None;
                }
                if self.scene.is_about(view) {
                    self.end(view, outcome, now);
                    self.ring_what_waited();
                }
            }
            _ if given_up || self.over.contains(&view.id) => {}
            State::Dialing
            | State::Ringing
            | State::Connecting
            | State::Connected
            | State::Reconnecting => {
                self.goes_on(view, now);
            }
        }
    }

    fn goes_on(&mut self, view: &CallView, now: Millis) {
        if view.leg.is_some() {
            if self.is_waiting(view.id) {
                self.waiting = None;
            }
            let since = match &self.scene {
                Scene::Holding(held) if held.view.id == view.id => held.since,
                _ => None,
            };
            let since = since.or_else(|| (view.state == State::Connected).then_some(now));
            self.scene = Scene::Holding(Held {
                view: view.clone(),
                since,
            });
        } else if view.side == Side::Callee && view.state.is_unanswered() {
            // Whoever calls somebody who is calling them has answered: the server makes it one call.
            let accepted = match &self.scene {
                Scene::Answering(answering) => answering.id == view.id,
                Scene::Starting { with, .. } => with.id == view.caller.id,
                _ => false,
            };
            // What the server has not confirmed counts for nothing: it says so itself if somebody is in another call.
            let other = match &self.scene {
                Scene::Ringing(ringing) => ringing.id != view.id,
                Scene::Starting { .. } | Scene::Joining { .. } => false,
                scene => scene.is_in_a_call() && !scene.is_about(view),
            };
            if accepted {
                self.scene = Scene::Answering(view.clone());
            } else if other || view.waiting {
                self.waiting = Some(view.clone());
            } else {
                if self.is_waiting(view.id) {
                    self.waiting = None;
                }
                self.scene = Scene::Ringing(view.clone());
            }
        }
    }

    fn is_waiting(&self, id: CallId) -> bool {
        self.waiting.as_ref().is_some_and(|view| view.id == id)
    }

    /// The call that was shown is over: what waited beside it rings now.
    fn ring_what_waited(&mut self) {
        if let Some(mut view) = self.waiting.take() {
            view.waiting = false;
            self.scene = Scene::Ringing(view);
        }
    }

    /// The person leaves the call they are in for the one that waits. What to say, in this order.
    pub fn switch(&mut self) -> Vec<(CallId, Action)> {
        let Some(view) = self.waiting.take() else {
            return Vec::new();
        };
        let mut say = Vec::new();
        // The server ends the former before it answers the latter; but the latter may be over by then.
        if let Some(former) = self.scene.call().filter(|_| self.scene.is_in_a_call()) {
            say.push((former, Action::HangUp));
            self.owed.extend(say.clone());
        }
        say.push((view.id, Action::Accept));
        self.scene = Scene::Answering(view);
        say
    }

    /// The person does not want the call that waits. What to say.
    pub fn decline_waiting(&mut self) -> Option<(CallId, Action)> {
        let say = (self.waiting.take()?.id, Action::Decline);
        self.owed.push(say.clone());
        Some(say)
    }

    fn end(&mut self, view: &CallView, outcome: Outcome, now: Millis) {
        let ringing = matches!(self.scene, Scene::Ringing(_));
        let since = match &self.scene {
            Scene::Holding(held) => held.since,
            _ => None,
        };
        // Who answered or declined, here or elsewhere, knows that they did.
        let known =
            outcome == Outcome::AnsweredElsewhere || (ringing && outcome == Outcome::Declined);
        self.scene = if known {
            Scene::Quiet
        } else {
            Scene::Ended(Farewell {
                id: view.id,
                with: view.peer().clone(),
                side: view.side,
                media: view.media,
                outcome,
                lasted: since.map(|since| now - since),
            })
        };
    }

    /// The server refused something about a call. True if that concerns what is shown, so that the reason has to be shown too.
    pub fn refused(&mut self, call: CallId, code: ErrorCode, reason: &str, now: Millis) -> bool {
        if code != ErrorCode::Unavailable {
            self.owed.retain(|(id, _)| *id != call);
        }
        if self.is_waiting(call) && code == ErrorCode::NoSuchCall {
            self.waiting = None;
        }
        if self.scene.call() != Some(call) {
            return false;
        }
        // What is said again without anybody's doing is not worth a word.
        let was_asked = matches!(
            self.scene,
            Scene::Starting { .. } | Scene::Joining { .. } | Scene::Answering(_)
        );
        match &self.scene {
            Scene::Starting { with, media, .. } => {
                if code == ErrorCode::Unavailable {
                    // It may have been heard all the same.
                    self.owed.push((call, Action::HangUp));
                }
                let preview = Preview {
                    to: Target::Person(with.clone()),
                    media: *media,
                    refused: Some(reason.to_owned()),
                };
                self.scene = Scene::Preview(preview);
            }
            Scene::Joining { place, .. } => {
                let preview = Preview {
                    to: Target::Room(place.clone()),
                    media: Media::Video,
                    refused: Some(reason.to_owned()),
                };
                self.scene = Scene::Preview(preview);
            }
            Scene::Gathered(gathered) if code == ErrorCode::NoSuchCall => {
                self.scene = Scene::Out(gathered.place.clone());
            }
            Scene::Ringing(view) | Scene::Answering(view) | Scene::Holding(Held { view, .. })
                if code == ErrorCode::NoSuchCall =>
            {
                let view = view.clone();
                self.end(&view, Outcome::Failed, now);
            }
            _ => {}
        }
        was_asked || code != ErrorCode::Unavailable
    }

    /// The person wants to call somebody, or to join the call of a room. False when that has to wait for the end of another call.
    pub fn place(&mut self, to: Target, media: Media) -> bool {
        let free = matches!(
            self.scene,
            Scene::Quiet | Scene::Preview(_) | Scene::Ended(_) | Scene::Out(_)
        );
        if free {
            self.scene = Scene::Preview(Preview {
                to,
                media,
                refused: None,
            });
        }
        free
    }

    /// The person starts or joins the call they looked forward to. What to say.
    pub fn start(&mut self, id: CallId) -> Option<(CallId, Action)> {
        let Preview { to, media, .. } = self.scene.preview()?.clone();
        Some(match to {
            Target::Person(with) => {
                let say = Action::Start { to: with.id, media };
                self.scene = Scene::Starting { id, with, media };
                (id, say)
            }
            Target::Room(place) => {
                let say = Action::Join { room: place.room };
                self.scene = Scene::Joining { id, place };
                (id, say)
            }
        })
    }

    /// The server said who is in the call of a room. What to say: this page may have been let into a call that nobody here wants any more.
    pub fn heard_group(&mut self, view: &GroupView) -> Option<(CallId, Action)> {
        let wanted = match &self.scene {
            Scene::Joining { place, .. } => place.room == view.room,
            scene => scene.call() == Some(view.id),
        };
        let owed = self.owed.len();
        match &view.part {
            Some(Part::Out) => self.owed.retain(|(id, _)| *id != view.id),
            Some(Part::In { .. }) if !wanted => {
                let say = (view.id, Action::HangUp);
                if self.owed.contains(&say) {
                    return None;
                }
                self.owed.push(say.clone());
                return Some(say);
            }
            Some(Part::In { .. }) | None => {}
        }
        match (&mut self.scene, &view.part) {
            (Scene::Joining { place, .. }, Some(Part::In { seat, .. }))
                if place.room == view.room =>
            {
                self.owed.retain(|(id, _)| *id != view.id);
                self.scene = Scene::Gathered(Gathered {
                    view: view.clone(),
                    seat: *seat,
                    place: place.clone(),
                });
            }
            // What was left before, and is joined again: that they have left is confirmed, and the answer to this is still to come.
            (Scene::Joining { .. }, Some(Part::Out)) if self.owed.len() < owed => {}
            // An id that was that of a call which is over by now: the person has to say again that they want one.
            (Scene::Joining { id, place }, Some(Part::Out)) if *id == view.id => {
                self.scene = Scene::Out(place.clone());
            }
            (Scene::Gathered(gathered), Some(Part::Out)) if gathered.view.id == view.id => {
                self.scene = Scene::Out(gathered.place.clone());
                self.ring_what_waited();
            }
            (Scene::Gathered(gathered), part) if gathered.view.id == view.id => {
                if let Some(Part::In { seat, .. }) = part {
                    gathered.seat = *seat;
                }
                let part = part.clone().or_else(|| gathered.view.part.take());
                gathered.view = GroupView {
                    part,
                    ..view.clone()
                };
            }
            _ => {}
        }
        None
    }

    /// The person accepts. What to say.
    pub fn accept(&mut self) -> Option<(CallId, Action)> {
        let Scene::Ringing(view) = &self.scene else {
            return None;
        };
        let say = (view.id, Action::Accept);
        self.scene = Scene::Answering(view.clone());
        Some(say)
    }

    /// The person declines, hangs up, cancels, or closes what is left of a call. What to say, if there was a call: it is over
    /// here, whatever the server says and whenever it hears of it.
    pub fn leave(&mut self, now: Millis) -> Option<(CallId, Action)> {
        let scene = std::mem::take(&mut self.scene);
        let say = match scene {
            Scene::Quiet | Scene::Preview(_) | Scene::Ended(_) | Scene::Out(_) => None,
            Scene::Ringing(view) => Some((view.id, Action::Decline)),
            Scene::Joining { id, .. } => Some((id, Action::HangUp)),
            Scene::Gathered(gathered) => Some((gathered.view.id, Action::HangUp)),
            Scene::Starting { id, with, media } => {
                let (side, outcome) = (Side::Caller, Outcome::Cancelled);
                self.scene = Scene::Ended(Farewell {
                    id,
                    with,
                    side,
                    media,
                    outcome,
                    lasted: None,
                });
                Some((id, Action::HangUp))
            }
            Scene::Answering(view) => {
                // Not confirmed, so it may still be ringing for the server: declining covers that, and hanging up the other.
                self.owed.push((view.id, Action::Decline));
                Some((view.id, Action::HangUp))
            }
            Scene::Holding(held) => {
                let id = held.view.id;
                let unanswered = held.view.state.is_unanswered();
                let outcome = if unanswered {
                    Outcome::Cancelled
                } else {
                    Outcome::HungUp
                };
                let view = held.view.clone();
                self.scene = Scene::Holding(held);
                self.end(&view, outcome, now);
                Some((id, Action::HangUp))
            }
        };
        if say.is_some() {
            self.ring_what_waited();
        }
        self.owed.extend(say.clone());
        say
    }

    /// What to say when the connection is back, apart from how the path to the peer stands: what is not settled, and a question about
    /// the call of a room, so that nothing here outlives the call it shows.
    #[must_use]
    pub fn to_say(&self) -> Vec<(CallId, Action)> {
        let mut say = self.unsettled();
        if let Some(gathered) = self.scene.gathered() {
            // Answered with how things are.
            say.push((gathered.view.id, Action::Lost));
        }
        say
    }

    /// What the server may not have heard of, or this page not of its answer. The server answers each with how things are (a repeated
    /// start with the call that it became).
    #[must_use]
    pub fn unsettled(&self) -> Vec<(CallId, Action)> {
        let mut say = match &self.scene {
            // It may be the call that was left before: the answer to this settles both.
            Scene::Joining { .. } => Vec::new(),
            _ => self.owed.clone(),
        };
        say.extend(self.waiting.iter().map(|view| (view.id, Action::Ringing)));
        match &self.scene {
            Scene::Starting { id, with, media } => say.push((
                *id,
                Action::Start {
                    to: with.id,
                    media: *media,
                },
            )),
            Scene::Joining { id, place } => say.push((*id, Action::Join { room: place.room })),
            // That this page is in it no more, or that the call is over, was not heard of.
            Scene::Gathered(Gathered { view, seat, .. })
                if view.members.iter().all(|member| member.seat != *seat) =>
            {
                say.push((view.id, Action::Lost));
            }
            Scene::Ringing(view) => say.push((view.id, Action::Ringing)),
            Scene::Answering(view) => say.push((view.id, Action::Accept)),
            Scene::Holding(Held { view, .. }) if view.state.is_unanswered() => {
                say.push((
                    view.id,
                    Action::Start {
                        to: view.callee.id,
                        media: view.media,
                    },
                ));
            }
            _ => {}
        }
        say
    }
}

#[cfg(test)]
mod tests;
