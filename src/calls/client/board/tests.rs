use super::*;
use crate::model::{
    RoomId, UserId,
    call::{Leg, group::Seated},
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
        ice_servers: None,
        answered_at: None,
        instead_of: None,
        waiting: false,
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
    assert!(board.place(Target::Person(person(2)), Media::Video));
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
    assert!(
        !board.place(Target::Person(person(3)), Media::Voice),
        "one call at a time"
    );
    board.heard(&view(Side::Caller, State::Reconnecting), 6_000);
    board.heard(&view(Side::Caller, State::Connected), 7_000);
    board.heard(&ended(Side::Caller, Outcome::HungUp), 9_000);
    assert_eq!(
        farewell(&board),
        (Outcome::HungUp, Some(4_000)),
        "since the first time"
    );
    assert!(
        board.place(Target::Person(person(2)), Media::Video),
        "and again"
    );
}

#[test]
fn a_call_that_has_ended_does_not_go_on() {
    let declined = ended(Side::Callee, Outcome::Declined);
    let mut board = after(&[view(Side::Callee, State::Ringing), declined.clone()]);
    board.heard(&view(Side::Callee, State::Ringing), 3_000);
    board.heard(&view(Side::Callee, State::Connected), 3_000);
    assert_eq!(board.scene, Scene::Quiet, "it was said before the end");
    board.heard(&declined, 4_000);
    assert_eq!(board.scene, Scene::Quiet);
    let other = CallView {
        id: id(2),
        ..view(Side::Callee, State::Ringing)
    };
    board.heard(&other, 5_000);
    assert_eq!(board.scene, Scene::Ringing(other));
}

#[test]
fn a_refused_start_goes_back_to_where_one_can_try_again() {
    let mut board = Board::default();
    board.place(Target::Person(person(2)), Media::Voice);
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
    board.place(Target::Person(person(1)), Media::Video);
    board.start(id(7));
    board.heard(&view(Side::Callee, State::Dialing), 0);
    assert!(matches!(board.scene, Scene::Answering(_)) && board.scene.needs_devices());
    let mut other = Board::default();
    other.place(Target::Person(person(3)), Media::Video);
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
    board.place(Target::Person(person(1)), Media::Video);
    board.start(id(7));
    let merged = CallView {
        instead_of: Some(id(7)),
        ..view(Side::Callee, State::Connecting)
    };
    board.heard(&merged, 0);
    assert_eq!(board.scene.call(), Some(id(1)));
    let mut other = Board::default();
    other.place(Target::Person(person(1)), Media::Video);
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
    board.place(Target::Person(person(3)), Media::Video);
    board.heard(&view(Side::Callee, State::Dialing), 0);
    assert!(matches!(board.scene, Scene::Ringing(_)));
}

/// Somebody else's call, as a page of the callee sees it.
fn second(waiting: bool) -> CallView {
    CallView {
        id: id(2),
        caller: person(3),
        waiting,
        ..view(Side::Callee, State::Ringing)
    }
}

#[test]
fn a_second_call_waits_beside_the_first_and_can_be_declined() {
    let mut board = after(&[view(Side::Callee, State::Connected)]);
    let before = board.scene.clone();
    board.heard(&second(true), 5_000);
    assert_eq!(board.scene, before, "what is shown goes on");
    assert_eq!(board.to_say(), [(id(2), Action::Ringing)]);
    assert_eq!(
        board.decline_waiting(),
        Some((id(2), Action::Decline)),
        "only the second"
    );
    board.heard(&second(true), 6_000);
    assert_eq!(board.waiting, None, "a frame that crossed the refusal");
    assert_eq!(board.scene, before);
}

#[test]
fn switching_answers_the_second_call_and_the_end_of_the_first_changes_nothing() {
    let mut board = after(&[view(Side::Callee, State::Connected)]);
    board.heard(&second(true), 5_000);
    assert_eq!(
        board.switch(),
        [(id(1), Action::HangUp), (id(2), Action::Accept)],
        "the second may be over by the time it is answered"
    );
    board.heard(&ended(Side::Callee, Outcome::HungUp), 6_000);
    assert!(matches!(&board.scene, Scene::Answering(view) if view.id == id(2)));
    let held = CallView {
        leg: Some(Leg {
            ice_servers: vec![],
        }),
        state: State::Connecting,
        ..second(false)
    };
    board.heard(&held, 7_000);
    assert_eq!(board.scene.answered().map(|view| view.id), Some(id(2)));
}

#[test]
fn a_call_that_waited_rings_when_the_first_one_ends() {
    for by_them in [true, false] {
        let mut board = after(&[view(Side::Callee, State::Connected)]);
        board.heard(&second(true), 5_000);
        if by_them {
            board.heard(&ended(Side::Callee, Outcome::HungUp), 6_000);
        } else {
            board.leave(6_000);
        }
        assert!(matches!(&board.scene, Scene::Ringing(view) if view.id == id(2)));
        assert_eq!(board.waiting, None);
        board.heard(&second(false), 7_000);
        assert!(matches!(&board.scene, Scene::Ringing(_)));
    }
}

#[test]
fn a_page_beside_the_call_shows_the_second_one_quietly_until_the_first_is_over() {
    let mut board = Board::default();
    board.heard(&second(true), 1_000);
    assert_eq!(board.scene, Scene::Quiet);
    assert!(board.waiting.is_some());
    board.heard(&second(false), 2_000);
    assert!(matches!(board.scene, Scene::Ringing(_)) && board.waiting.is_none());
}

fn place() -> Place {
    Place {
        only: None,
        room: RoomId(Uuid::from_u128(7)),
        title: "General".to_owned(),
    }
}

/// The call of a room with so many in it, as a page sees it.
fn group(people: u32, part: Option<Part>) -> GroupView {
    let seated = |n: u32| Seated {
        seat: Seat(n),
        person: person(n.into()),
        guest: false,
        away: false,
    };
    GroupView {
        id: id(9),
        room: place().room,
        started_at: 0,
        members: (1..=people).map(seated).collect(),
        most: 6,
        as_of: 0,
        part,
    }
}

fn at(seat: u32) -> Part {
    Part::In {
        seat: Seat(seat),
        ice_servers: vec![],
    }
}

fn gathered() -> Board {
    let mut board = Board::default();
    board.place(Target::Room(place()), Media::Video);
    let join = Action::Join { room: place().room };
    assert_eq!(board.start(id(8)), Some((id(8), join.clone())));
    assert_eq!(board.to_say(), [(id(8), join)], "said again until answered");
    board.heard_group(&group(2, None));
    assert!(matches!(board.scene, Scene::Joining { .. }), "not yet");
    board.heard_group(&group(2, Some(at(2))));
    board
}

#[test]
fn joining_a_room_s_call_takes_its_id_and_who_comes_and_goes_is_followed() {
    let mut board = gathered();
    assert_eq!(
        board.scene.call(),
        Some(id(9)),
        "whoever began it chose the id"
    );
    board.heard_group(&group(3, None));
    let seen = board.scene.gathered().unwrap();
    assert_eq!((seen.view.members.len(), seen.seat), (3, Seat(2)));
    assert_eq!(
        seen.view.part,
        Some(at(2)),
        "what is needed for paths stays"
    );
    assert_eq!(board.to_say(), [(id(9), Action::Lost)]);
    assert_eq!(board.unsettled(), [], "it goes on");
    assert!(!board.place(Target::Person(person(5)), Media::Voice));
}

#[test]
fn leaving_is_said_until_the_server_knows() {
    let mut board = gathered();
    assert_eq!(board.leave(0), Some((id(9), Action::HangUp)));
    assert_eq!(board.scene, Scene::Quiet);
    board.heard_group(&group(2, Some(at(2))));
    assert_eq!(board.scene, Scene::Quiet, "a frame that crossed it");
    assert_eq!(board.to_say(), [(id(9), Action::HangUp)]);
    board.heard_group(&group(1, Some(Part::Out)));
    assert_eq!(board.to_say(), []);
}

#[test]
fn whoever_joins_again_does_not_leave_because_of_the_time_before() {
    let mut board = gathered();
    let leave = board.leave(0).unwrap();
    assert_eq!(board.unsettled(), [leave]);
    board.place(Target::Room(place()), Media::Video);
    let join = board.start(id(10)).unwrap();
    assert_eq!(board.unsettled(), [join], "which settles both");
    board.heard_group(&group(2, Some(at(2))));
    assert!(board.scene.gathered().is_some());
    assert_eq!(board.unsettled(), []);
}

#[test]
fn who_is_not_among_those_in_the_call_asks_what_became_of_it() {
    for people in [0, 1] {
        let mut board = gathered();
        board.heard_group(&group(people, None));
        assert_eq!(board.unsettled(), [(id(9), Action::Lost)]);
        board.heard_group(&group(people, Some(Part::Out)));
        assert_eq!(board.scene, Scene::Out(place()));
    }
}

#[test]
fn what_nobody_asked_for_is_refused_without_a_word() {
    let mut board = after(&[view(Side::Callee, State::Ringing)]);
    let refused = |board: &mut Board, code| board.refused(id(1), code, "Not now.", 0);
    assert!(!refused(&mut board, ErrorCode::Unavailable));
    board.accept();
    assert!(refused(&mut board, ErrorCode::Unavailable));
    assert_eq!(board.unsettled(), [(id(1), Action::Accept)]);
    assert!(refused(&mut board, ErrorCode::TooFast));
}

#[test]
fn a_start_that_may_have_been_heard_is_taken_back() {
    let mut board = Board::default();
    board.place(Target::Person(person(2)), Media::Video);
    board.start(id(1));
    assert!(board.refused(id(1), ErrorCode::Unavailable, "Not now.", 0));
    assert!(board.scene.preview().is_some());
    assert_eq!(board.unsettled(), [(id(1), Action::HangUp)]);
    board.heard(&view(Side::Caller, State::Dialing), 0);
    assert!(board.scene.preview().is_some(), "nobody wants it any more");
    let mut unheard = board.clone();
    board.heard(&ended(Side::Caller, Outcome::Cancelled), 0);
    assert!(!unheard.refused(id(1), ErrorCode::NoSuchCall, "There is none.", 0));
    for board in [board, unheard] {
        assert_eq!(board.unsettled(), []);
        assert!(board.scene.preview().is_some());
    }
}

#[test]
fn whoever_gives_up_joining_leaves_the_call_they_were_let_into() {
    let mut board = Board::default();
    board.place(Target::Room(place()), Media::Video);
    board.start(id(8));
    assert_eq!(board.leave(0), Some((id(8), Action::HangUp)));
    board.refused(id(8), ErrorCode::NoSuchCall, "There is none.", 0);
    let leave = (id(9), Action::HangUp);
    assert_eq!(
        board.heard_group(&group(2, Some(at(2)))),
        Some(leave.clone())
    );
    assert_eq!(
        board.heard_group(&group(2, Some(at(2)))),
        None,
        "once a connection"
    );
    assert_eq!(board.to_say(), [leave]);
    board.heard_group(&group(1, Some(Part::Out)));
    assert_eq!((board.scene, board.owed.len()), (Scene::Quiet, 0));
}

#[test]
fn whoever_is_not_in_it_any_more_is_told_and_may_join_again() {
    let mut board = gathered();
    board.heard_group(&group(1, Some(Part::Out)));
    assert_eq!(board.scene, Scene::Out(place()));
    assert!(board.place(Target::Room(place()), Media::Video));
    board.start(id(10));
    board.refused(id(10), ErrorCode::WrongState, "It is full.", 0);
    let preview = board.scene.preview().unwrap();
    assert_eq!(preview.refused.as_deref(), Some("It is full."));
}
