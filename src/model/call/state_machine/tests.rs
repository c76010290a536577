use super::*;
use uuid::Uuid;

const TIMEOUTS: Timeouts = Timeouts {
    ring: 30_000,
    connect: 20_000,
    reconnect: 60_000,
    grace: 10_000,
    caller_grace: 5_000,
};

fn client(n: u128) -> ClientId {
    ClientId(Uuid::from_u128(n))
}

fn user(n: u128) -> UserId {
    UserId(Uuid::from_u128(n))
}

const CALLER_CLIENT: u128 = 1;
const CALLEE_CLIENT: u128 = 2;
const OTHER_CALLEE_CLIENT: u128 = 3;

fn call_start() -> CallStart {
    CallStart {
        id: CallId(Uuid::from_u128(100)),
        room: RoomId(Uuid::from_u128(200)),
        caller: user(10),
        caller_client: client(CALLER_CLIENT),
        callee: user(20),
        media: Media::Video,
    }
}

fn dialing() -> Call {
    Call::start(call_start(), TIMEOUTS, 0)
}

fn request_input(side: Side, from: u128, request: Request) -> Input {
    Input::Requested {
        side,
        client: client(from),
        request,
    }
}

fn callee_request(from: u128, ask: Request) -> Input {
    request_input(Side::Callee, from, ask)
}

fn caller_request(ask: Request) -> Input {
    request_input(Side::Caller, CALLER_CLIENT, ask)
}

/// One second apart.
fn apply_all(mut call: Call, inputs: &[Input]) -> Call {
    for (second, input) in (1..).zip(inputs) {
        call.apply(*input, second * 1_000).unwrap();
    }
    call
}

fn ringing() -> Call {
    apply_all(
        dialing(),
        &[callee_request(CALLEE_CLIENT, Request::Ringing)],
    )
}

fn connecting() -> Call {
    apply_all(
        dialing(),
        &[
            callee_request(CALLEE_CLIENT, Request::Ringing),
            callee_request(CALLEE_CLIENT, Request::Accept),
        ],
    )
}

fn connected() -> Call {
    let both = [
        caller_request(Request::Connected),
        callee_request(CALLEE_CLIENT, Request::Connected),
    ];
    apply_all(
        dialing(),
        &[
            &[
                callee_request(CALLEE_CLIENT, Request::Ringing),
                callee_request(CALLEE_CLIENT, Request::Accept),
            ],
            &both[..],
        ]
        .concat(),
    )
}

fn outcome(call: &Call) -> Option<Outcome> {
    match call.state {
        State::Ended { outcome } => Some(outcome),
        State::Dialing
        | State::Ringing
        | State::Connecting
        | State::Connected
        | State::Reconnecting => None,
    }
}

/// With timeouts only.
fn outcome_at(mut call: Call, until: Millis) -> Option<Outcome> {
    while let Some(deadline) = call.deadline().filter(|deadline| *deadline <= until) {
        call.apply(Input::Timeout, deadline).unwrap();
    }
    outcome(&call)
}

#[test]
fn it_rings_once_a_client_reports_it_and_connects_once_both_do() {
    assert_eq!(dialing().state, State::Dialing);
    assert_eq!(ringing().state, State::Ringing);
    let mut call = connecting();
    assert_eq!(
        (call.state, call.answered_at, call.callee_client),
        (State::Connecting, Some(2_000), Some(client(CALLEE_CLIENT)))
    );
    call.apply(caller_request(Request::Connected), 3_000)
        .unwrap();
    assert_eq!(call.state, State::Connecting, "one side is not enough");
    call.apply(callee_request(CALLEE_CLIENT, Request::Connected), 4_000)
        .unwrap();
    assert_eq!(
        (call.state, call.connected_at, call.deadline()),
        (State::Connected, Some(4_000), None)
    );
}

#[test]
fn a_callee_may_accept_before_ringing_was_reported() {
    assert_eq!(
        apply_all(dialing(), &[callee_request(CALLEE_CLIENT, Request::Accept)]).state,
        State::Connecting
    );
}

#[test]
fn hanging_up_before_an_answer_cancels_and_after_it_hangs_up() {
    for call in [dialing(), ringing()] {
        assert_eq!(
            outcome(&apply_all(call, &[caller_request(Request::HangUp)])),
            Some(Outcome::Cancelled)
        );
    }
    for call in [connecting(), connected()] {
        for end in [
            caller_request(Request::HangUp),
            callee_request(CALLEE_CLIENT, Request::HangUp),
            callee_request(OTHER_CALLEE_CLIENT, Request::HangUp),
        ] {
            assert_eq!(
                outcome(&apply_all(call.clone(), &[end])),
                Some(Outcome::HungUp)
            );
        }
    }
    assert_eq!(
        outcome(&apply_all(
            ringing(),
            &[callee_request(CALLEE_CLIENT, Request::HangUp)]
        )),
        Some(Outcome::Declined),
        "the accept was lost"
    );
}

#[test]
fn declining_on_one_client_ends_it_for_all() {
    for call in [dialing(), ringing()] {
        let call = apply_all(
            call,
            &[callee_request(OTHER_CALLEE_CLIENT, Request::Decline)],
        );
        assert_eq!(outcome(&call), Some(Outcome::Declined));
        assert_eq!(
            call.state_for(Side::Callee, client(CALLEE_CLIENT)),
            State::Ended {
                outcome: Outcome::Declined
            }
        );
    }
}

#[test]
fn one_client_accepts_and_the_others_see_that_it_was_answered_elsewhere() {
    let elsewhere = State::Ended {
        outcome: Outcome::AnsweredElsewhere,
    };
    let call = apply_all(
        connecting(),
        &[
            callee_request(OTHER_CALLEE_CLIENT, Request::Accept),
            callee_request(OTHER_CALLEE_CLIENT, Request::Decline),
            callee_request(OTHER_CALLEE_CLIENT, Request::Ringing),
        ],
    );
    assert_eq!(
        call.callee_client,
        Some(client(CALLEE_CLIENT)),
        "the first one keeps the call"
    );
    assert_eq!(
        call.state_for(Side::Callee, client(OTHER_CALLEE_CLIENT)),
        elsewhere
    );
    assert_eq!(
        call.state_for(Side::Callee, client(CALLEE_CLIENT)),
        State::Connecting
    );
    assert_eq!(
        call.state_for(Side::Caller, client(CALLER_CLIENT)),
        State::Connecting
    );
    assert_eq!(
        connecting().apply(callee_request(CALLEE_CLIENT, Request::Decline), 9),
        Err(Rejection::WrongState),
        "too late for the client that accepted"
    );
}

#[test]
fn busy_is_over_at_once() {
    let call = Call::busy(call_start(), TIMEOUTS, 7);
    assert_eq!(
        (outcome(&call), call.ended_at, call.deadline()),
        (Some(Outcome::Busy), Some(7), None)
    );
}

#[test]
fn nobody_answers() {
    assert_eq!(outcome_at(dialing(), 29_999), None);
    assert_eq!(outcome_at(dialing(), 30_000), Some(Outcome::NoAnswer));
    assert_eq!(outcome_at(ringing(), 30_000), Some(Outcome::NoAnswer));
}

#[test]
fn a_caller_disconnected_before_an_answer_cancels_unless_reconnected_within_the_grace() {
    let gone = Input::ConnectionLost {
        client: client(CALLER_CLIENT),
    };
    let call = apply_all(ringing(), &[gone]);
    assert_eq!(outcome_at(call.clone(), 5_999), None);
    assert_eq!(outcome_at(call.clone(), 6_000), Some(Outcome::Cancelled));
    let back = apply_all(
        call,
        &[Input::ClientConnected {
            client: client(CALLER_CLIENT),
        }],
    );
    assert_eq!(outcome_at(back, 29_999), None);
}

#[test]
fn a_client_that_left_takes_its_side_with_it() {
    let ends = |call: Call, who| {
        let call = apply_all(
            call,
            &[Input::ClientLeft {
                client: client(who),
            }],
        );
        call.state
    };
    let ended = |outcome| State::Ended { outcome };
    assert_eq!(ends(ringing(), CALLER_CLIENT), ended(Outcome::Cancelled));
    let answered = apply_all(ringing(), &[callee_request(CALLEE_CLIENT, Request::Accept)]);
    assert_eq!(
        ends(answered.clone(), CALLER_CLIENT),
        ended(Outcome::HungUp)
    );
    assert_eq!(
        ends(answered.clone(), CALLEE_CLIENT),
        ended(Outcome::HungUp)
    );
    // Clients that only rang, or hold no side.
    assert_eq!(ends(ringing(), CALLEE_CLIENT), State::Ringing);
    assert_eq!(ends(answered, OTHER_CALLEE_CLIENT), State::Connecting);
}

#[test]
fn ringing_does_not_outlast_its_timeout_because_the_caller_is_disconnected() {
    let mut call = ringing();
    call.apply(
        Input::ConnectionLost {
            client: client(CALLER_CLIENT),
        },
        27_000,
    )
    .unwrap();
    assert_eq!(
        outcome_at(call, 40_000),
        Some(Outcome::NoAnswer),
        "30 s is before 27 s + 5 s"
    );
}

#[test]
fn an_answer_to_a_disconnected_caller_waits_for_the_longer_grace() {
    let call = apply_all(
        ringing(),
        &[
            Input::ConnectionLost {
                client: client(CALLER_CLIENT),
            },
            callee_request(CALLEE_CLIENT, Request::Accept),
        ],
    );
    assert_eq!(call.state, State::Connecting);
    assert_eq!(outcome_at(call.clone(), 10_999), None);
    assert_eq!(outcome_at(call, 11_000), Some(Outcome::Failed));
}

#[test]
fn other_clients_come_and_go_without_effect() {
    let call = apply_all(
        connected(),
        &[
            Input::ConnectionLost {
                client: client(OTHER_CALLEE_CLIENT),
            },
            Input::ClientConnected {
                client: client(OTHER_CALLEE_CLIENT),
            },
        ],
    );
    assert_eq!(call, connected());
    assert_eq!(
        apply_all(
            ringing(),
            &[Input::ConnectionLost {
                client: client(CALLEE_CLIENT)
            }]
        )
        .deadline(),
        Some(30_000)
    );
}

#[test]
fn no_path_is_found() {
    assert_eq!(outcome_at(connecting(), 21_999), None);
    assert_eq!(outcome_at(connecting(), 22_000), Some(Outcome::Failed));
    let call = after_timeout_at(connecting(), 22_000);
    assert_eq!(call.lasted(), None, "the two were never connected");
}

fn after_timeout_at(mut call: Call, until: Millis) -> Call {
    call.apply(Input::Timeout, until).unwrap();
    call
}

#[test]
fn either_side_that_lost_the_other_makes_both_reconnect_until_both_are_connected_again() {
    for (lost, found) in [
        (
            caller_request(Request::Disconnected),
            caller_request(Request::Connected),
        ),
        (
            callee_request(CALLEE_CLIENT, Request::Disconnected),
            callee_request(CALLEE_CLIENT, Request::Connected),
        ),
    ] {
        let call = apply_all(connected(), &[lost]);
        assert_eq!(call.state, State::Reconnecting);
        let reconnected = apply_all(call, &[found]);
        assert_eq!(
            (reconnected.state, reconnected.connected_at),
            (State::Connected, Some(4_000)),
            "the first connection counts"
        );
    }
    let both = apply_all(
        connected(),
        &[
            caller_request(Request::Disconnected),
            callee_request(CALLEE_CLIENT, Request::Disconnected),
            caller_request(Request::Connected),
        ],
    );
    assert_eq!(both.state, State::Reconnecting);
}

#[test]
fn reconnecting_fails_after_its_timeout() {
    let mut call = connected();
    call.apply(caller_request(Request::Disconnected), 100_000)
        .unwrap();
    assert_eq!(outcome_at(call.clone(), 159_999), None);
    let call = after_timeout_at(call, 160_000);
    assert_eq!(
        (outcome(&call), call.lasted()),
        (Some(Outcome::Failed), Some(156_000))
    );
}

#[test]
fn a_client_disconnected_from_a_call_may_reconnect_within_the_grace() {
    for (gone, reconnect_request) in [
        (CALLER_CLIENT, caller_request(Request::Connected)),
        (
            CALLEE_CLIENT,
            callee_request(CALLEE_CLIENT, Request::Connected),
        ),
    ] {
        let mut call = connected();
        call.apply(
            Input::ConnectionLost {
                client: client(gone),
            },
            100_000,
        )
        .unwrap();
        assert_eq!(
            (call.state, call.deadline()),
            (State::Reconnecting, Some(110_000))
        );
        let mut back = call.clone();
        back.apply(
            Input::ClientConnected {
                client: client(gone),
            },
            109_000,
        )
        .unwrap();
        assert_eq!(
            (back.state, back.deadline()),
            (State::Reconnecting, Some(160_000)),
            "online, but the peer connection is not back yet"
        );
        back.apply(reconnect_request, 109_500).unwrap();
        assert_eq!((back.state, back.deadline()), (State::Connected, None));
        assert_eq!(outcome_at(call, 110_000), Some(Outcome::Failed));
    }
}

#[test]
fn a_request_that_a_side_may_not_make_is_rejected() {
    for ask in [Request::Ringing, Request::Accept, Request::Decline] {
        assert_eq!(
            ringing().apply(caller_request(ask), 9),
            Err(Rejection::WrongState)
        );
    }
    assert_eq!(
        ringing().apply(caller_request(Request::Connected), 9),
        Err(Rejection::WrongState),
        "the call is unanswered"
    );
    assert_eq!(
        connecting().apply(callee_request(OTHER_CALLEE_CLIENT, Request::Connected), 9),
        Err(Rejection::NotParticipant)
    );
    assert_eq!(
        connecting().apply(
            request_input(Side::Caller, CALLEE_CLIENT, Request::Disconnected),
            9
        ),
        Err(Rejection::NotParticipant)
    );
}

#[test]
fn signals_pass_between_the_two_clients_that_hold_the_call_and_no_others() {
    assert_eq!(
        ringing().signal_target(client(CALLER_CLIENT)),
        Err(Rejection::WrongState)
    );
    assert_eq!(
        ringing().signal_target(client(CALLEE_CLIENT)),
        Err(Rejection::NotParticipant)
    );
    assert!(
        ringing().can_offer_early(client(CALLER_CLIENT))
            && !ringing().can_offer_early(client(CALLEE_CLIENT))
    );
    assert!(!connecting().can_offer_early(client(CALLER_CLIENT)));
    assert!(
        ringing().can_send_pranswer(Side::Callee) && !ringing().can_send_pranswer(Side::Caller)
    );
    assert!(!connecting().can_send_pranswer(Side::Callee));
    for call in [
        connecting(),
        connected(),
        apply_all(connected(), &[caller_request(Request::Disconnected)]),
    ] {
        assert_eq!(
            call.signal_target(client(CALLER_CLIENT)),
            Ok(client(CALLEE_CLIENT))
        );
        assert_eq!(
            call.signal_target(client(CALLEE_CLIENT)),
            Ok(client(CALLER_CLIENT))
        );
        assert_eq!(
            call.signal_target(client(OTHER_CALLEE_CLIENT)),
            Err(Rejection::NotParticipant)
        );
    }
    assert_eq!(
        apply_all(connected(), &[caller_request(Request::HangUp)])
            .signal_target(client(CALLER_CLIENT)),
        Err(Rejection::Ended)
    );
}

#[test]
fn a_call_outlives_the_server_that_held_it() {
    let stored = |call: &Call| StoredCall {
        state: call.state,
        callee_client: call.callee_client,
        started_at: call.started_at,
        answered_at: call.answered_at,
        connected_at: call.connected_at,
    };
    let restore = |call: &Call| Call::restore(call_start(), stored(call), TIMEOUTS, 8_000);

    assert_eq!(restore(&ringing()).state, State::Ringing);
    assert_eq!(
        outcome_at(restore(&ringing()), 13_000),
        Some(Outcome::Cancelled),
        "the caller did not reconnect"
    );
    let back = apply_all(
        restore(&ringing()),
        &[Input::ClientConnected {
            client: client(CALLER_CLIENT),
        }],
    );
    assert_eq!(
        outcome_at(back, 30_000),
        Some(Outcome::NoAnswer),
        "counted from the start of the call"
    );

    assert_eq!(restore(&connecting()).state, State::Connecting);
    assert_eq!(restore(&connected()).state, State::Reconnecting);
    assert_eq!(
        outcome_at(restore(&connected()), 18_000),
        Some(Outcome::Failed),
        "nobody reconnected"
    );
    let mut call = restore(&connected());
    for input in [
        Input::ClientConnected {
            client: client(CALLER_CLIENT),
        },
        Input::ClientConnected {
            client: client(CALLEE_CLIENT),
        },
        caller_request(Request::Connected),
    ] {
        call.apply(input, 9_000).unwrap();
    }
    assert_eq!(call.state, State::Reconnecting);
    call.apply(callee_request(CALLEE_CLIENT, Request::Connected), 9_000)
        .unwrap();
    assert_eq!(
        (call.state, call.connected_at),
        (State::Connected, Some(4_000))
    );
}

/// Knuth's MMIX linear congruential generator, for reproducible inputs.
struct InputGenerator(u64);

impl InputGenerator {
    fn random_below(&mut self, bound: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }

    fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[usize::try_from(self.random_below(all.len() as u64)).unwrap()]
    }

    fn random_input(&mut self) -> Input {
        let from = self.one_of(&[CALLER_CLIENT, CALLEE_CLIENT, OTHER_CALLEE_CLIENT]);
        let (page, side) = (
            client(from),
            if from == CALLER_CLIENT {
                Side::Caller
            } else {
                Side::Callee
            },
        );
        let requests = [
            Request::Ringing,
            Request::Accept,
            Request::Connected,
            Request::Connected,
            Request::Disconnected,
            Request::Decline,
            Request::HangUp,
        ];
        match self.random_below(11) {
            0 => Input::ConnectionLost { client: page },
            1 => Input::ClientConnected { client: page },
            2 | 3 => Input::Timeout,
            4 => Input::ClientLeft { client: page },
            _ => Input::Requested {
                side,
                client: page,
                request: self.one_of(&requests),
            },
        }
    }
}

fn progress_rank(state: State) -> u8 {
    match state {
        State::Dialing => 0,
        State::Ringing => 1,
        State::Connecting => 2,
        State::Connected | State::Reconnecting => 3,
        State::Ended { .. } => 4,
    }
}

fn check_invariants(before: &Call, after: &Call, input: Input, done: Result<(), Rejection>) {
    let why = format!("{input:?} on {before:?} gave {after:?}");
    if done.is_err() {
        assert_eq!(before, after, "a rejection changes nothing: {why}");
    }
    assert!(
        progress_rank(before.state) <= progress_rank(after.state),
        "never backwards: {why}"
    );
    if before.state.is_ended() {
        assert_eq!(
            (done, before),
            (Err(Rejection::Ended), after),
            "an end is final: {why}"
        );
    }
    assert_eq!(after.state.is_ended(), after.ended_at.is_some(), "{why}");
    assert!(
        outcome(after) != Some(Outcome::AnsweredElsewhere),
        "only the callee's other clients see that: {why}"
    );
    assert_eq!(
        after.answered_at.is_some(),
        after.callee_client.is_some(),
        "{why}"
    );
    if after.state == State::Connected {
        let sides = [after.caller_side, after.callee_side];
        assert!(
            sides
                .iter()
                .all(|leg| leg.is_connected && leg.disconnected_since.is_none()),
            "{why}"
        );
        assert_eq!(after.deadline(), None, "{why}");
    } else if !after.state.is_ended() {
        assert!(
            after.deadline().is_some(),
            "a call that is not connected has a deadline: {why}"
        );
    }
    if after.state == State::Reconnecting {
        assert!(after.connected_at.is_some(), "{why}");
        assert!(
            !(after.caller_side.is_connected && after.callee_side.is_connected),
            "{why}"
        );
    }
}

#[test]
fn the_invariants_hold_for_inputs_in_any_order() {
    let mut ends = std::collections::HashSet::new();
    for seed in 0..3_000 {
        let mut generator = InputGenerator(seed);
        let (mut call, mut now) = (dialing(), 0);
        for _ in 0..60 {
            now += i64::try_from(generator.random_below(4_000)).unwrap();
            let (before, input) = (call.clone(), generator.random_input());
            let done = call.apply(input, now);
            check_invariants(&before, &call, input, done);
        }
        for _ in 0..4 {
            now = call.deadline().unwrap_or(now).max(now);
            let before = call.clone();
            let done = call.apply(Input::Timeout, now);
            check_invariants(&before, &call, Input::Timeout, done);
        }
        assert!(
            call.state == State::Connected || call.state.is_ended(),
            "timeouts end every call that is not connected: {call:?}"
        );
        ends.extend(outcome(&call));
    }
    let reached = [
        Outcome::HungUp,
        Outcome::Declined,
        Outcome::NoAnswer,
        Outcome::Cancelled,
        Outcome::Failed,
    ];
    assert!(
        reached.iter().all(|outcome| ends.contains(outcome)),
        "every outcome was reached: {ends:?}"
    );
}

#[test]
fn a_call_that_nobody_can_answer_ends_with_the_reason_and_an_answered_one_goes_on() {
    let cannot_answer = callee_request(CALLEE_CLIENT, Request::CannotAnswer);
    for call in [dialing(), ringing()] {
        let call = apply_all(call, &[cannot_answer]);
        assert_eq!(outcome(&call), Some(Outcome::Failed));
        assert_eq!(call.end_reason, Some(EndReason::CannotAnswer));
    }
    let call = apply_all(connecting(), &[cannot_answer]);
    assert_eq!((call.state, call.end_reason), (State::Connecting, None));
    let by_caller = dialing().apply(caller_request(Request::CannotAnswer), 1_000);
    assert_eq!(by_caller, Err(Rejection::WrongState));
}
