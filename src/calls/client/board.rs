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
mod tests {
    use super::*;
    use crate::model::{
        RoomId, UserId,
        call::Leg,
        user::{Role, UserName},
    };
    use uuid::Uuid;

    fn person(n: u128) -> Person {
        Person {
            id: UserId(Uuid::from_u128(n)),
            name: UserName::new(&format!("Person {n}")).unwrap(),
            role: Role::Guest,
        }
    }

    fn id(n: u128) -> CallId {
        CallId(Uuid::from_u128(n))
    }

    fn view(side: Side, state: State) -> CallView {
        let holds = side == Side::Caller || state.is_answered();
        CallView {
            id: id(1),
            room: RoomId(Uuid::from_u128(1)),
            caller: person(1),
            callee: person(2),
            side,
            media: Media::Video,
            state,
            leg: (holds && !state.is_ended()).then(|| Leg {
                ice_servers: vec![],
            }),
            answered_at: None,
            instead_of: None,
        }
    }

    fn ended(side: Side, outcome: Outcome) -> CallView {
        view(side, State::Ended { outcome })
    }

    fn after(views: &[CallView]) -> Board {
        let mut board = Board::default();
        for (second, view) in (1..).zip(views) {
            board.heard(view, second * 1_000);
        }
        board
    }

    fn farewell(board: &Board) -> (Outcome, Option<Millis>) {
        match &board.scene {
            Scene::Ended(farewell) => (farewell.outcome, farewell.lasted),
            other => panic!("not an end: {other:?}"),
        }
    }

    #[test]
    fn calling_goes_from_a_look_at_oneself_to_the_call() {
        let mut board = Board::default();
        assert!(board.place(person(2), Media::Video));
        assert!(board.scene.needs_devices() && !board.scene.is_in_a_call());
        let start = (
            id(1),
            Action::Start {
                to: person(2).id,
                media: Media::Video,
            },
        );
        assert_eq!(board.start(id(1)), Some(start.clone()));
        assert_eq!(
            board.to_say(),
            [start],
            "said again until the server answers"
        );
        for state in [
            State::Dialing,
            State::Ringing,
            State::Connecting,
            State::Connected,
        ] {
            board.heard(&view(Side::Caller, state), 5_000);
        }
        assert!(matches!(&board.scene, Scene::Holding(held) if held.since == Some(5_000)));
        assert!(!board.place(person(3), Media::Voice), "one call at a time");
        board.heard(&view(Side::Caller, State::Reconnecting), 6_000);
        board.heard(&view(Side::Caller, State::Connected), 7_000);
        board.heard(&ended(Side::Caller, Outcome::HungUp), 9_000);
        assert_eq!(
            farewell(&board),
            (Outcome::HungUp, Some(4_000)),
            "since the first time"
        );
        assert!(board.place(person(2), Media::Video), "and again");
    }

    #[test]
    fn a_refused_start_goes_back_to_where_one_can_try_again() {
        let mut board = Board::default();
        board.place(person(2), Media::Voice);
        board.start(id(1));
        assert!(board.refused(id(1), ErrorCode::InACall, "You are in a call.", 0));
        let Scene::Preview(preview) = &board.scene else {
            panic!("{:?}", board.scene)
        };
        assert_eq!(
            (preview.refused.as_deref(), preview.media),
            (Some("You are in a call."), Media::Voice)
        );
        assert!(!board.refused(id(9), ErrorCode::InACall, "Another one.", 0));
    }

    #[test]
    fn answering_waits_for_the_server() {
        let mut board = after(&[view(Side::Callee, State::Dialing)]);
        assert_eq!(board.to_say(), [(id(1), Action::Ringing)]);
        assert_eq!(board.accept(), Some((id(1), Action::Accept)));
        board.heard(&view(Side::Callee, State::Ringing), 0);
        assert_eq!(
            board.to_say(),
            [(id(1), Action::Accept)],
            "a late word of the ringing changes nothing"
        );
        board.heard(&view(Side::Callee, State::Connecting), 0);
        assert!(board.scene.answered().is_some() && board.to_say().is_empty());
    }

    #[test]
    fn what_was_answered_or_declined_falls_silent_and_what_was_missed_is_shown() {
        for outcome in [Outcome::AnsweredElsewhere, Outcome::Declined] {
            assert_eq!(
                after(&[
                    view(Side::Callee, State::Ringing),
                    ended(Side::Callee, outcome)
                ])
                .scene,
                Scene::Quiet
            );
        }
        for outcome in [Outcome::Cancelled, Outcome::NoAnswer] {
            let board = after(&[
                view(Side::Callee, State::Ringing),
                ended(Side::Callee, outcome),
            ]);
            assert_eq!(farewell(&board), (outcome, None));
        }
        let late = after(&[ended(Side::Callee, Outcome::Cancelled)]);
        assert_eq!(late.scene, Scene::Quiet, "a call that was never shown here");
    }

    #[test]
    fn leaving_is_over_at_once_and_owed_until_the_server_knows() {
        let mut board = after(&[view(Side::Caller, State::Dialing)]);
        let start = Action::Start {
            to: person(2).id,
            media: Media::Video,
        };
        assert_eq!(
            board.to_say(),
            [(id(1), start)],
            "which asks how the call stands"
        );
        assert_eq!(board.leave(0), Some((id(1), Action::HangUp)));
        assert_eq!(farewell(&board).0, Outcome::Cancelled);
        board.heard(&view(Side::Caller, State::Connecting), 0);
        assert_eq!(
            farewell(&board).0,
            Outcome::Cancelled,
            "a late word does not bring it back"
        );
        assert_eq!(board.to_say(), [(id(1), Action::HangUp)]);
        board.refused(id(1), ErrorCode::Unavailable, "Disk full.", 0);
        assert_eq!(board.to_say(), [(id(1), Action::HangUp)], "not done yet");
        board.heard(&ended(Side::Caller, Outcome::Cancelled), 0);
        assert!(board.to_say().is_empty());
    }

    #[test]
    fn declining_shows_nothing_more() {
        let mut board = after(&[view(Side::Callee, State::Ringing)]);
        assert_eq!(board.leave(0), Some((id(1), Action::Decline)));
        assert_eq!(
            (board.scene.clone(), board.to_say()),
            (Scene::Quiet, vec![(id(1), Action::Decline)])
        );
    }

    #[test]
    fn changing_ones_mind_between_accepting_and_the_answer_leaves_no_call_behind() {
        let mut board = after(&[view(Side::Callee, State::Ringing)]);
        board.accept();
        assert_eq!(board.leave(0), Some((id(1), Action::HangUp)));
        assert_eq!(
            board.to_say(),
            [(id(1), Action::Decline), (id(1), Action::HangUp)]
        );
    }

    #[test]
    fn who_is_called_by_the_one_they_call_has_answered() {
        let mut board = Board::default();
        board.place(person(1), Media::Video);
        board.start(id(7));
        board.heard(&view(Side::Callee, State::Dialing), 0);
        assert!(matches!(board.scene, Scene::Answering(_)) && board.scene.needs_devices());
        let mut other = Board::default();
        other.place(person(3), Media::Video);
        other.start(id(7));
        other.heard(&view(Side::Callee, State::Dialing), 0);
        assert!(
            matches!(other.scene, Scene::Ringing(_)),
            "that is somebody else"
        );
    }

    #[test]
    fn calling_each_other_at_once_turns_the_start_into_the_others_call() {
        let mut board = Board::default();
        board.place(person(1), Media::Video);
        board.start(id(7));
        let merged = CallView {
            instead_of: Some(id(7)),
            ..view(Side::Callee, State::Connecting)
        };
        board.heard(&merged, 0);
        assert_eq!(board.scene.call(), Some(id(1)));
        let mut other = Board::default();
        other.place(person(1), Media::Video);
        other.start(id(7));
        let over = CallView {
            instead_of: Some(id(7)),
            ..ended(Side::Callee, Outcome::HungUp)
        };
        other.heard(&over, 0);
        assert_eq!(farewell(&other).0, Outcome::HungUp);
    }

    #[test]
    fn a_call_the_server_does_not_know_ends_here_too() {
        for board in [
            after(&[view(Side::Caller, State::Connected)]),
            after(&[view(Side::Callee, State::Ringing)]),
        ] {
            let mut board = board;
            assert!(board.refused(id(1), ErrorCode::NoSuchCall, "No such call.", 3_000));
            assert_eq!(farewell(&board).0, Outcome::Failed);
        }
        let mut board = after(&[view(Side::Caller, State::Connected)]);
        board.refused(id(1), ErrorCode::TooFast, "Slow down.", 0);
        assert!(board.scene.is_in_a_call());
    }

    #[test]
    fn a_ring_takes_the_place_of_a_look_at_oneself() {
        let mut board = Board::default();
        board.place(person(3), Media::Video);
        board.heard(&view(Side::Callee, State::Dialing), 0);
        assert!(matches!(board.scene, Scene::Ringing(_)));
    }
}
