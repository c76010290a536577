//! What a page shows of calls, and what it still owes the server: plain data, no browser in it.
//!
//! A page shows one thing at a time ([`Scene`]); the server sees to it that nobody is in two calls. What the server says comes
//! in through [`Board::heard`], what the person does through the other functions, and what has to be said (again) when the
//! connection is back comes out of [`Board::to_say`].

use crate::{
    model::{
        CallId, Millis,
        call::{Action, CallView, Media, Outcome, Side, State},
        user::Person,
    },
    protocol::ws::ErrorCode,
};

/// What a page shows of calls.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Scene {
    /// Nothing.
    #[default]
    Quiet,
    /// About to call somebody: a look at oneself first.
    Preview(Preview),
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

/// Whom this page is about to call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preview {
    /// Whom.
    pub with: Person,
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
    /// Ends that were said and not confirmed: said again on every connection, until they are.
    owed: Vec<(CallId, Action)>,
}

impl Scene {
    /// The call that is shown, unless it is over.
    #[must_use]
    pub fn call(&self) -> Option<CallId> {
        match self {
            Self::Quiet | Self::Preview(_) | Self::Ended(_) => None,
            Self::Starting { id, .. } => Some(*id),
            Self::Ringing(view) | Self::Answering(view) => Some(view.id),
            Self::Holding(held) => Some(held.view.id),
        }
    }

    /// Whether a call would end if this page were closed now.
    #[must_use]
    pub fn is_in_a_call(&self) -> bool {
        match self {
            Self::Starting { .. } | Self::Answering(_) | Self::Holding(_) => true,
            Self::Quiet | Self::Preview(_) | Self::Ringing(_) | Self::Ended(_) => false,
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
        match self {
            Self::Holding(held) => Some(&held.view).filter(|view| view.state.is_answered()),
            Self::Quiet
            | Self::Preview(_)
            | Self::Starting { .. }
            | Self::Ringing(_)
            | Self::Answering(_)
            | Self::Ended(_) => None,
        }
    }

    /// The call that a path is got ready for: the caller offers as soon as the call exists, and a page that rings takes the offer in, so
    /// that an answer connects at once.
    #[must_use]
    pub fn prepared(&self) -> Option<&CallView> {
        match self {
            Self::Ringing(view) | Self::Answering(view) => Some(view),
            Self::Holding(held) => Some(&held.view),
            Self::Quiet | Self::Preview(_) | Self::Starting { .. } | Self::Ended(_) => None,
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
                self.owed.retain(|(id, _)| *id != view.id);
                if self.scene.is_about(view) {
                    self.end(view, outcome, now);
                }
            }
            _ if given_up => {}
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
                Scene::Quiet
                | Scene::Preview(_)
                | Scene::Ringing(_)
                | Scene::Holding(_)
                | Scene::Ended(_) => false,
            };
            self.scene = if accepted {
                Scene::Answering(view.clone())
            } else {
                Scene::Ringing(view.clone())
            };
        }
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
        if self.scene.call() != Some(call) {
            return false;
        }
        match &self.scene {
            Scene::Starting { with, media, .. } => {
                let preview = Preview {
                    with: with.clone(),
                    media: *media,
                    refused: Some(reason.to_owned()),
                };
                self.scene = Scene::Preview(preview);
            }
            Scene::Ringing(view) | Scene::Answering(view) | Scene::Holding(Held { view, .. })
                if code == ErrorCode::NoSuchCall =>
            {
                let view = view.clone();
                self.end(&view, Outcome::Failed, now);
            }
            Scene::Quiet
            | Scene::Preview(_)
            | Scene::Ringing(_)
            | Scene::Answering(_)
            | Scene::Holding(_)
            | Scene::Ended(_) => {}
        }
        true
    }

    /// The person wants to call somebody. False when that has to wait for the end of another call.
    pub fn place(&mut self, with: Person, media: Media) -> bool {
        let free = matches!(
            self.scene,
            Scene::Quiet | Scene::Preview(_) | Scene::Ended(_)
        );
        if free {
            self.scene = Scene::Preview(Preview {
                with,
                media,
                refused: None,
            });
        }
        free
    }

    /// The person starts the call they looked forward to. What to say.
    pub fn start(&mut self, id: CallId) -> Option<(CallId, Action)> {
        let Scene::Preview(Preview { with, media, .. }) = &self.scene else {
            return None;
        };
        let (with, media) = (with.clone(), *media);
        let say = (id, Action::Start { to: with.id, media });
        self.scene = Scene::Starting { id, with, media };
        Some(say)
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
            Scene::Quiet | Scene::Preview(_) | Scene::Ended(_) => None,
            Scene::Ringing(view) => Some((view.id, Action::Decline)),
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
        self.owed.extend(say.clone());
        say
    }

    /// What to say when the connection is back, apart from how the path to the peer stands: the server answers each with how
    /// things are (a repeated start with the call that it became), so that nothing here outlives the call it shows.
    #[must_use]
    pub fn to_say(&self) -> Vec<(CallId, Action)> {
        let mut say = self.owed.clone();
        match &self.scene {
            Scene::Starting { id, with, media } => say.push((
                *id,
                Action::Start {
                    to: with.id,
                    media: *media,
                },
            )),
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
            Scene::Quiet | Scene::Preview(_) | Scene::Holding(_) | Scene::Ended(_) => {}
        }
        say
    }
}

#[cfg(test)]
mod tests;
