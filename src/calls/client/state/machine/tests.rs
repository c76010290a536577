use super::*;
use crate::{
    calls::client::state::CallRoom,
    model::{
        RoomId, UserId,
        call::{
            RtcConfig, Seat,
            group::{GroupCallView, ParticipantView, Participation},
        },
        user::{Person, Role, UserName},
    },
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
        rtc_config: (holds && !state.is_ended()).then(|| RtcConfig {
            ice_servers: vec![],
        }),
        ice_servers: None,
        answered_at: None,
        merged_call: None,
        is_waiting: false,
        end_reason: None,
    }
}

fn ended(side: Side, outcome: Outcome) -> CallView {
    view(side, State::Ended { outcome })
}

fn machine_after(views: &[CallView]) -> ClientCallMachine {
    let mut machine = ClientCallMachine::default();
    for (second, view) in (1..).zip(views) {
        machine.apply_call_view(view, second * 1_000);
    }
    machine
}

fn ended_call(machine: &ClientCallMachine) -> (Outcome, Option<Millis>) {
    match &machine.state {
        ClientCallState::Ended(ended_call) => (ended_call.outcome, ended_call.duration),
        other => panic!("not an end: {other:?}"),
    }
}

#[test]
fn calling_goes_from_the_preview_to_the_call() {
    let mut machine = ClientCallMachine::default();
    assert!(machine.open_preview(CallTarget::Person(person(2)), Media::Video));
    assert!(machine.state.needs_devices() && !machine.state.is_in_call());
    let start = (
        id(1),
        ClientAction::Start {
            to: person(2).id,
            media: Media::Video,
        },
    );
    assert_eq!(machine.start_call(id(1)), Some(start.clone()));
    assert_eq!(
        machine.actions_on_reconnect(),
        [start],
        "sent again until the server answers"
    );
    for state in [
        State::Dialing,
        State::Ringing,
        State::Connecting,
        State::Connected,
    ] {
        machine.apply_call_view(&view(Side::Caller, state), 5_000);
    }
    assert!(
        matches!(&machine.state, ClientCallState::InCall(active_call) if active_call.connected_since == Some(5_000))
    );
    assert!(
        !machine.open_preview(CallTarget::Person(person(3)), Media::Voice),
        "one call at a time"
    );
    machine.apply_call_view(&view(Side::Caller, State::Reconnecting), 6_000);
    machine.apply_call_view(&view(Side::Caller, State::Connected), 7_000);
    machine.apply_call_view(&ended(Side::Caller, Outcome::HungUp), 9_000);
    assert_eq!(
        ended_call(&machine),
        (Outcome::HungUp, Some(4_000)),
        "since the first time"
    );
    assert!(
        machine.open_preview(CallTarget::Person(person(2)), Media::Video),
        "and again"
    );
}

#[test]
fn a_call_that_has_ended_does_not_go_on() {
    let declined = ended(Side::Callee, Outcome::Declined);
    let mut machine = machine_after(&[view(Side::Callee, State::Ringing), declined.clone()]);
    machine.apply_call_view(&view(Side::Callee, State::Ringing), 3_000);
    machine.apply_call_view(&view(Side::Callee, State::Connected), 3_000);
    assert_eq!(
        machine.state,
        ClientCallState::Idle,
        "it was sent before the end"
    );
    machine.apply_call_view(&declined, 4_000);
    assert_eq!(machine.state, ClientCallState::Idle);
    let other = CallView {
        id: id(2),
        ..view(Side::Callee, State::Ringing)
    };
    machine.apply_call_view(&other, 5_000);
    assert_eq!(machine.state, ClientCallState::Ringing(other));
}

#[test]
fn a_refused_start_goes_back_to_where_one_can_try_again() {
    let mut machine = ClientCallMachine::default();
    machine.open_preview(CallTarget::Person(person(2)), Media::Voice);
    machine.start_call(id(1));
    assert!(machine.apply_refusal(id(1), ErrorCode::AlreadyInCall, "You are in a call.", 0));
    let ClientCallState::Preview(preview) = &machine.state else {
        panic!("{:?}", machine.state)
    };
    assert_eq!(
        (preview.refusal.as_deref(), preview.media),
        (Some("You are in a call."), Media::Voice)
    );
    assert!(!machine.apply_refusal(id(9), ErrorCode::AlreadyInCall, "Another one.", 0));
}

#[test]
fn answering_waits_for_the_server() {
    let mut machine = machine_after(&[view(Side::Callee, State::Dialing)]);
    assert_eq!(
        machine.actions_on_reconnect(),
        [(id(1), ClientAction::Ringing)]
    );
    assert_eq!(machine.accept(), Some((id(1), ClientAction::Accept)));
    machine.apply_call_view(&view(Side::Callee, State::Ringing), 0);
    assert_eq!(
        machine.actions_on_reconnect(),
        [(id(1), ClientAction::Accept)],
        "a late frame about the ringing changes nothing"
    );
    machine.apply_call_view(&view(Side::Callee, State::Connecting), 0);
    assert!(machine.state.answered_call().is_some() && machine.actions_on_reconnect().is_empty());
}

#[test]
fn what_was_answered_or_declined_stops_ringing_and_what_was_missed_is_shown() {
    for outcome in [Outcome::AnsweredElsewhere, Outcome::Declined] {
        assert_eq!(
            machine_after(&[
                view(Side::Callee, State::Ringing),
                ended(Side::Callee, outcome)
            ])
            .state,
            ClientCallState::Idle
        );
    }
    for outcome in [Outcome::Cancelled, Outcome::NoAnswer] {
        let machine = machine_after(&[
            view(Side::Callee, State::Ringing),
            ended(Side::Callee, outcome),
        ]);
        assert_eq!(ended_call(&machine), (outcome, None));
    }
    let late = machine_after(&[ended(Side::Callee, Outcome::Cancelled)]);
    assert_eq!(
        late.state,
        ClientCallState::Idle,
        "a call that was never shown here"
    );
}

#[test]
fn leaving_ends_the_call_at_once_and_is_resent_until_the_server_confirms() {
    let mut machine = machine_after(&[view(Side::Caller, State::Dialing)]);
    let start = ClientAction::Start {
        to: person(2).id,
        media: Media::Video,
    };
    assert_eq!(
        machine.actions_on_reconnect(),
        [(id(1), start)],
        "which asks how the call stands"
    );
    assert_eq!(machine.leave(0), Some((id(1), ClientAction::HangUp)));
    assert_eq!(ended_call(&machine).0, Outcome::Cancelled);
    machine.apply_call_view(&view(Side::Caller, State::Connecting), 0);
    assert_eq!(
        ended_call(&machine).0,
        Outcome::Cancelled,
        "a late frame does not bring it back"
    );
    assert_eq!(
        machine.actions_on_reconnect(),
        [(id(1), ClientAction::HangUp)]
    );
    machine.apply_refusal(id(1), ErrorCode::Unavailable, "Disk full.", 0);
    assert_eq!(
        machine.actions_on_reconnect(),
        [(id(1), ClientAction::HangUp)],
        "not done yet"
    );
    machine.apply_call_view(&ended(Side::Caller, Outcome::Cancelled), 0);
    assert!(machine.actions_on_reconnect().is_empty());
}

#[test]
fn declining_shows_nothing_more() {
    let mut machine = machine_after(&[view(Side::Callee, State::Ringing)]);
    assert_eq!(machine.leave(0), Some((id(1), ClientAction::Decline)));
    assert_eq!(
        (machine.state.clone(), machine.actions_on_reconnect()),
        (ClientCallState::Idle, vec![(id(1), ClientAction::Decline)])
    );
}

#[test]
fn without_webrtc_nothing_starts_rings_or_is_answered() {
    let mut machine = ClientCallMachine {
        is_webrtc_missing: true,
        ..ClientCallMachine::default()
    };
    assert!(machine.open_preview(CallTarget::Person(person(1)), Media::Video));
    let refusal = machine.state.preview().and_then(|it| it.refusal.as_deref());
    assert_eq!(refusal, Some(NO_WEBRTC_REASON));
    assert_eq!(machine.start_call(id(7)), None);
    machine.leave(0);

    let cannot_answer = [(id(1), ClientAction::CannotAnswer)];
    let before = machine.clone();
    machine.apply_call_view(&view(Side::Callee, State::Dialing), 0);
    assert_eq!(machine.ringing_reports(&before), cannot_answer);
    assert_eq!(
        machine.unconfirmed_actions(),
        cannot_answer,
        "while it rings"
    );
    assert_eq!(machine.accept(), None);
    machine.open_preview(CallTarget::Person(person(3)), Media::Video);
    assert_eq!(machine.unconfirmed_actions(), cannot_answer, "set aside");
    assert!(machine.switch_to_waiting_call().is_empty() && machine.waiting_call.is_some());
}

#[test]
fn changing_ones_mind_between_accepting_and_the_answer_leaves_no_call_behind() {
    let mut machine = machine_after(&[view(Side::Callee, State::Ringing)]);
    machine.accept();
    assert_eq!(machine.leave(0), Some((id(1), ClientAction::HangUp)));
    assert_eq!(
        machine.actions_on_reconnect(),
        [
            (id(1), ClientAction::Decline),
            (id(1), ClientAction::HangUp)
        ]
    );
}

#[test]
fn who_is_called_by_the_one_they_call_has_answered() {
    let mut machine = ClientCallMachine::default();
    machine.open_preview(CallTarget::Person(person(1)), Media::Video);
    machine.start_call(id(7));
    machine.apply_call_view(&view(Side::Callee, State::Dialing), 0);
    assert!(
        matches!(machine.state, ClientCallState::Answering(_)) && machine.state.needs_devices()
    );
    let mut other = ClientCallMachine::default();
    other.open_preview(CallTarget::Person(person(3)), Media::Video);
    other.start_call(id(7));
    other.apply_call_view(&view(Side::Callee, State::Dialing), 0);
    assert!(
        matches!(other.state, ClientCallState::Ringing(_)),
        "that is somebody else"
    );
}

#[test]
fn calling_each_other_at_once_turns_the_start_into_the_others_call() {
    let mut machine = ClientCallMachine::default();
    machine.open_preview(CallTarget::Person(person(1)), Media::Video);
    machine.start_call(id(7));
    let merged = CallView {
        merged_call: Some(id(7)),
        ..view(Side::Callee, State::Connecting)
    };
    machine.apply_call_view(&merged, 0);
    assert_eq!(machine.state.call_id(), Some(id(1)));
    let mut other = ClientCallMachine::default();
    other.open_preview(CallTarget::Person(person(1)), Media::Video);
    other.start_call(id(7));
    let over = CallView {
        merged_call: Some(id(7)),
        ..ended(Side::Callee, Outcome::HungUp)
    };
    other.apply_call_view(&over, 0);
    assert_eq!(ended_call(&other).0, Outcome::HungUp);
}

#[test]
fn a_call_the_server_does_not_know_ends_here_too() {
    for mut machine in [
        machine_after(&[view(Side::Caller, State::Connected)]),
        machine_after(&[view(Side::Callee, State::Ringing)]),
    ] {
        assert!(machine.apply_refusal(id(1), ErrorCode::NoSuchCall, "No such call.", 3_000));
        assert_eq!(ended_call(&machine).0, Outcome::Failed);
    }
    let mut machine = machine_after(&[view(Side::Caller, State::Connected)]);
    machine.apply_refusal(id(1), ErrorCode::RateLimited, "Slow down.", 0);
    assert!(machine.state.is_in_call());
}

#[test]
fn a_ringing_call_replaces_the_preview() {
    let mut machine = ClientCallMachine::default();
    machine.open_preview(CallTarget::Person(person(3)), Media::Video);
    machine.apply_call_view(&view(Side::Callee, State::Dialing), 0);
    assert!(matches!(machine.state, ClientCallState::Ringing(_)));
}

fn second_call(waiting: bool) -> CallView {
    CallView {
        id: id(2),
        caller: person(3),
        is_waiting: waiting,
        ..view(Side::Callee, State::Ringing)
    }
}

#[test]
fn a_second_call_waits_beside_the_first_and_can_be_declined() {
    let mut machine = machine_after(&[view(Side::Callee, State::Connected)]);
    let before = machine.state.clone();
    machine.apply_call_view(&second_call(true), 5_000);
    assert_eq!(machine.state, before, "what is shown goes on");
    assert_eq!(
        machine.actions_on_reconnect(),
        [(id(2), ClientAction::Ringing)]
    );
    assert_eq!(
        machine.decline_waiting_call(),
        Some((id(2), ClientAction::Decline)),
        "only the second"
    );
    machine.apply_call_view(&second_call(true), 6_000);
    assert_eq!(
        machine.waiting_call, None,
        "a frame that crossed the refusal"
    );
    assert_eq!(machine.state, before);
}

#[test]
fn who_is_blocked_meanwhile_no_longer_rings_waits_or_talks() {
    let blocking = |person: Person| PersonalSettings {
        blocked: vec![person.id],
        ..PersonalSettings::default()
    };
    let caller = view(Side::Callee, State::Ringing).caller;
    let mut machine = machine_after(&[view(Side::Callee, State::Ringing)]);
    assert_eq!(machine.leave_blocked(&blocking(person(3)), 0), []);
    assert_eq!(
        machine.leave_blocked(&blocking(caller.clone()), 0),
        [(id(1), ClientAction::Decline)]
    );
    assert_eq!(machine.state, ClientCallState::Idle);

    let mut machine = machine_after(&[view(Side::Callee, State::Connected)]);
    machine.apply_call_view(&second_call(true), 5_000);
    assert_eq!(
        machine.leave_blocked(&blocking(person(3)), 6_000),
        [(id(2), ClientAction::Decline)]
    );
    assert!(machine.state.is_in_call(), "the other call goes on");
    assert_eq!(
        machine.leave_blocked(&blocking(caller), 7_000),
        [(id(1), ClientAction::HangUp)]
    );
}

#[test]
fn switching_answers_the_second_call_and_the_end_of_the_first_changes_nothing() {
    let mut machine = machine_after(&[view(Side::Callee, State::Connected)]);
    machine.apply_call_view(&second_call(true), 5_000);
    assert_eq!(
        machine.switch_to_waiting_call(),
        [(id(1), ClientAction::HangUp), (id(2), ClientAction::Accept)],
        "the second may be over by the time it is answered"
    );
    machine.apply_call_view(&ended(Side::Callee, Outcome::HungUp), 6_000);
    assert!(matches!(&machine.state, ClientCallState::Answering(view) if view.id == id(2)));
    let connecting = CallView {
        rtc_config: Some(RtcConfig {
            ice_servers: vec![],
        }),
        state: State::Connecting,
        ..second_call(false)
    };
    machine.apply_call_view(&connecting, 7_000);
    assert_eq!(
        machine.state.answered_call().map(|view| view.id),
        Some(id(2))
    );
}

#[test]
fn a_call_that_waited_rings_when_the_first_one_ends() {
    for by_them in [true, false] {
        let mut machine = machine_after(&[view(Side::Callee, State::Connected)]);
        machine.apply_call_view(&second_call(true), 5_000);
        if by_them {
            machine.apply_call_view(&ended(Side::Callee, Outcome::HungUp), 6_000);
        } else {
            machine.leave(6_000);
        }
        assert!(matches!(&machine.state, ClientCallState::Ringing(view) if view.id == id(2)));
        assert_eq!(machine.waiting_call, None);
        machine.apply_call_view(&second_call(false), 7_000);
        assert!(matches!(&machine.state, ClientCallState::Ringing(_)));
    }
}

#[test]
fn a_client_outside_the_call_shows_the_second_one_quietly_until_the_first_is_over() {
    let mut machine = ClientCallMachine::default();
    machine.apply_call_view(&second_call(true), 1_000);
    assert_eq!(machine.state, ClientCallState::Idle);
    assert!(machine.waiting_call.is_some());
    machine.apply_call_view(&second_call(false), 2_000);
    assert!(matches!(machine.state, ClientCallState::Ringing(_)) && machine.waiting_call.is_none());
}

fn call_room() -> CallRoom {
    CallRoom {
        guest_call_id: None,
        id: RoomId(Uuid::from_u128(7)),
        title: "General".to_owned(),
    }
}

fn group_view(people: u32, part: Option<Participation>) -> GroupCallView {
    let seated = |n: u32| ParticipantView {
        seat: Seat(n),
        person: person(n.into()),
        is_guest: false,
        is_disconnected: false,
    };
    GroupCallView {
        id: id(9),
        room: call_room().id,
        started_at: 0,
        participants: (1..=people).map(seated).collect(),
        max_participants: 6,
        as_of: 0,
        term: 0,
        participation: part,
    }
}

fn participation(seat: u32) -> Participation {
    Participation::In {
        seat: Seat(seat),
        ice_servers: vec![],
    }
}

fn machine_in_group_call() -> ClientCallMachine {
    let mut machine = ClientCallMachine::default();
    machine.open_preview(CallTarget::Room(call_room()), Media::Video);
    let join = ClientAction::Join {
        room: call_room().id,
    };
    assert_eq!(machine.start_call(id(8)), Some((id(8), join.clone())));
    assert_eq!(
        machine.actions_on_reconnect(),
        [(id(8), join)],
        "sent again until answered"
    );
    machine.apply_group_view(&group_view(2, None));
    assert!(
        matches!(machine.state, ClientCallState::Joining { .. }),
        "not yet"
    );
    machine.apply_group_view(&group_view(2, Some(participation(2))));
    machine
}

#[test]
fn joining_a_group_call_takes_its_id_and_follows_its_members() {
    let mut machine = machine_in_group_call();
    assert_eq!(
        machine.state.call_id(),
        Some(id(9)),
        "whoever began it chose the id"
    );
    machine.apply_group_view(&group_view(3, None));
    let group_call = machine.state.active_group_call().unwrap();
    assert_eq!(
        (group_call.view.participants.len(), group_call.seat),
        (3, Seat(2))
    );
    assert_eq!(
        group_call.view.participation,
        Some(participation(2)),
        "what is needed for paths stays"
    );
    assert_eq!(
        machine.actions_on_reconnect(),
        [(id(9), ClientAction::Disconnected)]
    );
    assert_eq!(machine.unconfirmed_actions(), [], "it goes on");
    assert!(!machine.open_preview(CallTarget::Person(person(5)), Media::Voice));
}

#[test]
fn leaving_a_group_call_is_resent_until_the_server_confirms() {
    let mut machine = machine_in_group_call();
    assert_eq!(machine.leave(0), Some((id(9), ClientAction::HangUp)));
    assert_eq!(machine.state, ClientCallState::Idle);
    machine.apply_group_view(&group_view(2, Some(participation(2))));
    assert_eq!(
        machine.state,
        ClientCallState::Idle,
        "a frame that crossed it"
    );
    assert_eq!(
        machine.actions_on_reconnect(),
        [(id(9), ClientAction::HangUp)]
    );
    machine.apply_group_view(&group_view(1, Some(Participation::Out)));
    assert_eq!(machine.actions_on_reconnect(), []);
}

#[test]
fn rejoining_is_not_undone_by_an_earlier_leave() {
    let mut machine = machine_in_group_call();
    let leave = machine.leave(0).unwrap();
    assert_eq!(machine.unconfirmed_actions(), [leave]);
    machine.open_preview(CallTarget::Room(call_room()), Media::Video);
    let join = machine.start_call(id(10)).unwrap();
    assert_eq!(machine.unconfirmed_actions(), [join], "which settles both");
    machine.apply_group_view(&group_view(2, Some(participation(2))));
    assert!(machine.state.active_group_call().is_some());
    assert_eq!(machine.unconfirmed_actions(), []);
}

#[test]
fn who_is_not_among_the_members_requests_the_state_of_the_call() {
    for people in [0, 1] {
        let mut machine = machine_in_group_call();
        machine.apply_group_view(&group_view(people, None));
        assert_eq!(
            machine.unconfirmed_actions(),
            [(id(9), ClientAction::Disconnected)]
        );
        machine.apply_group_view(&group_view(people, Some(Participation::Out)));
        assert_eq!(machine.state, ClientCallState::Removed(call_room()));
    }
}

#[test]
fn who_misses_the_end_of_a_group_call_requests_its_state() {
    let mut machine = machine_in_group_call();
    let later = GroupCallView {
        id: id(10),
        started_at: 1,
        ..group_view(1, None)
    };
    machine.apply_group_view(&later);
    let request = [(id(9), ClientAction::Disconnected)];
    assert_eq!(machine.unconfirmed_actions(), request, "a later call");
    machine.apply_group_view(&group_view(0, Some(Participation::Out)));
    assert_eq!(machine.state, ClientCallState::Removed(call_room()));
    let mut machine = machine_in_group_call();
    let connection = machine.group_calls.mark_unconfirmed();
    assert_eq!(machine.unconfirmed_actions(), []);
    machine.group_calls.remove_unconfirmed(connection);
    assert_eq!(machine.unconfirmed_actions(), request, "not listed");
}

#[test]
fn a_join_that_may_have_been_received_is_left() {
    let mut machine = ClientCallMachine::default();
    machine.open_preview(CallTarget::Room(call_room()), Media::Video);
    machine.start_call(id(8));
    assert!(machine.apply_refusal(id(8), ErrorCode::Unavailable, "Try again.", 1));
    let end = (id(8), ClientAction::HangUp);
    assert_eq!(machine.unconfirmed_actions(), [end]);
    machine.apply_refusal(id(8), ErrorCode::NoSuchCall, "It is over.", 2);
    assert_eq!(machine.unconfirmed_actions(), []);
}

#[test]
fn a_refused_retransmission_shows_no_error() {
    let mut machine = machine_after(&[view(Side::Callee, State::Ringing)]);
    let refused =
        |machine: &mut ClientCallMachine, code| machine.apply_refusal(id(1), code, "Not now.", 0);
    assert!(!refused(&mut machine, ErrorCode::Unavailable));
    machine.accept();
    assert!(refused(&mut machine, ErrorCode::Unavailable));
    assert_eq!(
        machine.unconfirmed_actions(),
        [(id(1), ClientAction::Accept)]
    );
    assert!(refused(&mut machine, ErrorCode::RateLimited));
}

#[test]
fn a_start_that_may_have_been_received_is_cancelled() {
    let mut machine = ClientCallMachine::default();
    machine.open_preview(CallTarget::Person(person(2)), Media::Video);
    machine.start_call(id(1));
    assert!(machine.apply_refusal(id(1), ErrorCode::Unavailable, "Not now.", 0));
    assert!(machine.state.preview().is_some());
    assert_eq!(
        machine.unconfirmed_actions(),
        [(id(1), ClientAction::HangUp)]
    );
    machine.apply_call_view(&view(Side::Caller, State::Dialing), 0);
    assert!(
        machine.state.preview().is_some(),
        "nobody wants it any more"
    );
    let mut unreceived = machine.clone();
    machine.apply_call_view(&ended(Side::Caller, Outcome::Cancelled), 0);
    assert!(!unreceived.apply_refusal(id(1), ErrorCode::NoSuchCall, "There is none.", 0));
    for machine in [machine, unreceived] {
        assert_eq!(machine.unconfirmed_actions(), []);
        assert!(machine.state.preview().is_some());
    }
}

#[test]
fn cancelling_a_join_leaves_the_call_that_was_joined_all_the_same() {
    let mut machine = ClientCallMachine::default();
    machine.open_preview(CallTarget::Room(call_room()), Media::Video);
    machine.start_call(id(8));
    assert_eq!(machine.leave(0), Some((id(8), ClientAction::HangUp)));
    machine.apply_refusal(id(8), ErrorCode::NoSuchCall, "There is none.", 0);
    let leave = (id(9), ClientAction::HangUp);
    assert_eq!(
        machine.apply_group_view(&group_view(2, Some(participation(2)))),
        Some(leave.clone())
    );
    assert_eq!(
        machine.apply_group_view(&group_view(2, Some(participation(2)))),
        None,
        "once a connection"
    );
    assert_eq!(machine.actions_on_reconnect(), [leave]);
    machine.apply_group_view(&group_view(1, Some(Participation::Out)));
    assert_eq!(
        (machine.state, machine.unconfirmed_ends.len()),
        (ClientCallState::Idle, 0)
    );
}

#[test]
fn a_removed_member_is_shown_that_and_may_rejoin() {
    let mut machine = machine_in_group_call();
    machine.apply_group_view(&group_view(1, Some(Participation::Out)));
    assert_eq!(machine.state, ClientCallState::Removed(call_room()));
    assert!(machine.open_preview(CallTarget::Room(call_room()), Media::Video));
    machine.start_call(id(10));
    machine.apply_refusal(id(10), ErrorCode::WrongState, "It is full.", 0);
    let preview = machine.state.preview().unwrap();
    assert_eq!(preview.refusal.as_deref(), Some("It is full."));
}

#[test]
fn who_is_rung_may_call_somebody_else_and_the_ring_waits_meanwhile() {
    let ring = view(Side::Callee, State::Ringing);
    let mut machine = machine_after(std::slice::from_ref(&ring));
    let target = CallTarget::Person(person(3));
    assert!(machine.open_preview(target.clone(), Media::Voice));
    assert!(machine.state.preview().is_some());
    assert_eq!(machine.waiting_call.as_ref(), Some(&ring));
    // The server repeats it before it knows of the other call.
    machine.apply_call_view(&ring, 2_000);
    assert!(machine.state.preview().is_some(), "{:?}", machine.state);
    assert_eq!(machine.leave(3_000), None);
    assert_eq!(machine.state, ClientCallState::Ringing(ring.clone()));
    assert!(machine.open_preview(target, Media::Voice));
    machine.start_call(id(2));
    machine.apply_call_view(&ring, 4_000);
    let waits = CallView {
        is_waiting: true,
        ..ring
    };
    machine.apply_call_view(&waits, 5_000);
    assert!(matches!(machine.state, ClientCallState::Starting { .. }));
    assert_eq!(machine.waiting_call, Some(waits));
    machine.apply_call_view(&ended(Side::Callee, Outcome::Cancelled), 6_000);
    assert_eq!(machine.waiting_call, None);
}
