use super::*;
use uuid::Uuid;

const PATIENCE: Patience = Patience {
    ring: 30_000,
    connect: 20_000,
    reconnect: 60_000,
    grace: 10_000,
    vanish: 5_000,
};

fn page(n: u128) -> ClientId {
    ClientId(Uuid::from_u128(n))
}

fn user(n: u128) -> UserId {
    UserId(Uuid::from_u128(n))
}

/// The caller's page.
const A: u128 = 1;
/// Two pages of the callee.
const B: u128 = 2;
const C: u128 = 3;

fn start() -> Start {
    Start {
        id: CallId(Uuid::from_u128(100)),
        room: RoomId(Uuid::from_u128(200)),
        caller: user(10),
        page: page(A),
        callee: user(20),
        media: Media::Video,
    }
}

fn dialing() -> Call {
    Call::start(start(), PATIENCE, 0)
}

fn asked(side: Side, from: u128, ask: Ask) -> Input {
    Input::Asked {
        side,
        page: page(from),
        ask,
    }
}

fn callee(from: u128, ask: Ask) -> Input {
    asked(Side::Callee, from, ask)
}

fn caller(ask: Ask) -> Input {
    asked(Side::Caller, A, ask)
}

/// A call that went through all of this, one second apart.
fn after(mut call: Call, inputs: &[Input]) -> Call {
    for (second, input) in (1..).zip(inputs) {
        call.apply(*input, second * 1_000).unwrap();
    }
    call
}

fn ringing() -> Call {
    after(dialing(), &[callee(B, Ask::Ringing)])
}

fn connecting() -> Call {
    after(
        dialing(),
        &[callee(B, Ask::Ringing), callee(B, Ask::Accept)],
    )
}

fn connected() -> Call {
    let both = [caller(Ask::Connected), callee(B, Ask::Connected)];
    after(
        dialing(),
        &[
            &[callee(B, Ask::Ringing), callee(B, Ask::Accept)],
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

/// What becomes of it when nothing happens but time.
fn wait(mut call: Call, until: Millis) -> Option<Outcome> {
    while let Some(deadline) = call.deadline().filter(|deadline| *deadline <= until) {
        call.apply(Input::Time, deadline).unwrap();
    }
    outcome(&call)
}

#[test]
fn it_rings_once_a_page_says_so_and_connects_once_both_do() {
    assert_eq!(dialing().state, State::Dialing);
    assert_eq!(ringing().state, State::Ringing);
    let mut call = connecting();
    assert_eq!(
        (call.state, call.answered_at, call.callee_page),
        (State::Connecting, Some(2_000), Some(page(B)))
    );
    call.apply(caller(Ask::Connected), 3_000).unwrap();
    assert_eq!(call.state, State::Connecting, "one side is not enough");
    call.apply(callee(B, Ask::Connected), 4_000).unwrap();
    assert_eq!(
        (call.state, call.connected_at, call.deadline()),
        (State::Connected, Some(4_000), None)
    );
}

#[test]
fn a_callee_may_accept_before_the_ringing_was_heard_of() {
    assert_eq!(
        after(dialing(), &[callee(B, Ask::Accept)]).state,
        State::Connecting
    );
}

#[test]
fn hanging_up_before_an_answer_cancels_and_after_it_hangs_up() {
    for call in [dialing(), ringing()] {
        assert_eq!(
            outcome(&after(call, &[caller(Ask::HangUp)])),
            Some(Outcome::Cancelled)
        );
    }
    for call in [connecting(), connected()] {
        for end in [
            caller(Ask::HangUp),
            callee(B, Ask::HangUp),
            callee(C, Ask::HangUp),
        ] {
            assert_eq!(outcome(&after(call.clone(), &[end])), Some(Outcome::HungUp));
        }
    }
    assert_eq!(
        outcome(&after(ringing(), &[callee(B, Ask::HangUp)])),
        Some(Outcome::Declined),
        "who accepted, and was not heard"
    );
}

#[test]
fn declining_on_one_page_ends_it_for_all() {
    for call in [dialing(), ringing()] {
        let call = after(call, &[callee(C, Ask::Decline)]);
        assert_eq!(outcome(&call), Some(Outcome::Declined));
        assert_eq!(
            call.seen_by(Side::Callee, page(B)),
            State::Ended {
                outcome: Outcome::Declined
            }
        );
    }
}

#[test]
fn one_page_accepts_and_the_others_see_that_it_was_answered_elsewhere() {
    let elsewhere = State::Ended {
        outcome: Outcome::AnsweredElsewhere,
    };
    let call = after(
        connecting(),
        &[
            callee(C, Ask::Accept),
            callee(C, Ask::Decline),
            callee(C, Ask::Ringing),
        ],
    );
    assert_eq!(call.callee_page, Some(page(B)), "the first stays");
    assert_eq!(call.seen_by(Side::Callee, page(C)), elsewhere);
    assert_eq!(call.seen_by(Side::Callee, page(B)), State::Connecting);
    assert_eq!(call.seen_by(Side::Caller, page(A)), State::Connecting);
    assert_eq!(
        connecting().apply(callee(B, Ask::Decline), 9),
        Err(Wrong::State),
        "too late for the one that accepted"
    );
}

#[test]
fn busy_is_over_at_once() {
    let call = Call::busy(start(), PATIENCE, 7);
    assert_eq!(
        (outcome(&call), call.ended_at, call.deadline()),
        (Some(Outcome::Busy), Some(7), None)
    );
}

#[test]
fn nobody_answers() {
    assert_eq!(wait(dialing(), 29_999), None);
    assert_eq!(wait(dialing(), 30_000), Some(Outcome::NoAnswer));
    assert_eq!(wait(ringing(), 30_000), Some(Outcome::NoAnswer));
}

#[test]
fn a_caller_who_vanishes_before_an_answer_cancels_unless_back_soon() {
    let gone = Input::Gone { page: page(A) };
    let call = after(ringing(), &[gone]);
    assert_eq!(wait(call.clone(), 5_999), None);
    assert_eq!(wait(call.clone(), 6_000), Some(Outcome::Cancelled));
    let back = after(call, &[Input::Back { page: page(A) }]);
    assert_eq!(wait(back, 29_999), None);
}

#[test]
fn a_page_that_is_gone_for_good_takes_its_side_with_it() {
    let ends = |call: Call, who| {
        let call = after(call, &[Input::Left { page: page(who) }]);
        call.state
    };
    let ended = |outcome| State::Ended { outcome };
    assert_eq!(ends(ringing(), A), ended(Outcome::Cancelled));
    let answered = after(ringing(), &[callee(B, Ask::Accept)]);
    assert_eq!(ends(answered.clone(), A), ended(Outcome::HungUp));
    assert_eq!(ends(answered.clone(), B), ended(Outcome::HungUp));
    // A page that only rang, or another page of somebody in the call.
    assert_eq!(ends(ringing(), B), State::Ringing);
    assert_eq!(ends(answered, C), State::Connecting);
}

#[test]
fn ringing_does_not_outlast_its_time_because_the_caller_is_gone() {
    let mut call = ringing();
    call.apply(Input::Gone { page: page(A) }, 27_000).unwrap();
    assert_eq!(
        wait(call, 40_000),
        Some(Outcome::NoAnswer),
        "30 s come before 27 s + 5 s"
    );
}

#[test]
fn an_answer_to_a_caller_who_vanished_waits_for_them_longer() {
    let call = after(
        ringing(),
        &[Input::Gone { page: page(A) }, callee(B, Ask::Accept)],
    );
    assert_eq!(call.state, State::Connecting);
    assert_eq!(wait(call.clone(), 10_999), None);
    assert_eq!(wait(call, 11_000), Some(Outcome::Failed));
}

#[test]
fn other_pages_come_and_go_without_a_trace() {
    let call = after(
        connected(),
        &[Input::Gone { page: page(C) }, Input::Back { page: page(C) }],
    );
    assert_eq!(call, connected());
    assert_eq!(
        after(ringing(), &[Input::Gone { page: page(B) }]).deadline(),
        Some(30_000)
    );
}

#[test]
fn no_path_is_found() {
    assert_eq!(wait(connecting(), 21_999), None);
    assert_eq!(wait(connecting(), 22_000), Some(Outcome::Failed));
    let call = wait_then(connecting(), 22_000);
    assert_eq!(call.lasted(), None, "the two were never connected");
}

fn wait_then(mut call: Call, until: Millis) -> Call {
    call.apply(Input::Time, until).unwrap();
    call
}

#[test]
fn either_side_that_lost_the_other_makes_both_reconnect_until_both_are_connected_again() {
    for (lost, found) in [
        (caller(Ask::Lost), caller(Ask::Connected)),
        (callee(B, Ask::Lost), callee(B, Ask::Connected)),
    ] {
        let call = after(connected(), &[lost]);
        assert_eq!(call.state, State::Reconnecting);
        let again = after(call, &[found]);
        assert_eq!(
            (again.state, again.connected_at),
            (State::Connected, Some(4_000)),
            "since the first time"
        );
    }
    let both = after(
        connected(),
        &[
            caller(Ask::Lost),
            callee(B, Ask::Lost),
            caller(Ask::Connected),
        ],
    );
    assert_eq!(both.state, State::Reconnecting);
}

#[test]
fn reconnecting_takes_its_time_and_then_fails() {
    let mut call = connected();
    call.apply(caller(Ask::Lost), 100_000).unwrap();
    assert_eq!(wait(call.clone(), 159_999), None);
    let call = wait_then(call, 160_000);
    assert_eq!(
        (outcome(&call), call.lasted()),
        (Some(Outcome::Failed), Some(156_000))
    );
}

#[test]
fn a_page_that_vanishes_from_a_call_may_come_back_within_the_grace() {
    for (gone, again) in [(A, caller(Ask::Connected)), (B, callee(B, Ask::Connected))] {
        let mut call = connected();
        call.apply(Input::Gone { page: page(gone) }, 100_000)
            .unwrap();
        assert_eq!(
            (call.state, call.deadline()),
            (State::Reconnecting, Some(110_000))
        );
        let mut back = call.clone();
        back.apply(Input::Back { page: page(gone) }, 109_000)
            .unwrap();
        assert_eq!(
            (back.state, back.deadline()),
            (State::Reconnecting, Some(160_000)),
            "there, and not connected yet"
        );
        back.apply(again, 109_500).unwrap();
        assert_eq!((back.state, back.deadline()), (State::Connected, None));
        assert_eq!(wait(call, 110_000), Some(Outcome::Failed));
    }
}

#[test]
fn what_is_not_a_sides_to_ask_is_refused() {
    for ask in [Ask::Ringing, Ask::Accept, Ask::Decline] {
        assert_eq!(ringing().apply(caller(ask), 9), Err(Wrong::State));
    }
    assert_eq!(
        ringing().apply(caller(Ask::Connected), 9),
        Err(Wrong::State),
        "nobody has answered"
    );
    assert_eq!(
        connecting().apply(callee(C, Ask::Connected), 9),
        Err(Wrong::NoPart)
    );
    assert_eq!(
        connecting().apply(asked(Side::Caller, B, Ask::Lost), 9),
        Err(Wrong::NoPart)
    );
}

#[test]
fn signals_pass_between_the_two_pages_that_hold_the_call_and_no_others() {
    assert_eq!(ringing().signal_target(page(A)), Err(Wrong::State));
    assert_eq!(ringing().signal_target(page(B)), Err(Wrong::NoPart));
    assert!(ringing().may_offer_early(page(A)) && !ringing().may_offer_early(page(B)));
    assert!(!connecting().may_offer_early(page(A)));
    assert!(ringing().may_foretell(Side::Callee) && !ringing().may_foretell(Side::Caller));
    assert!(!connecting().may_foretell(Side::Callee));
    for call in [
        connecting(),
        connected(),
        after(connected(), &[caller(Ask::Lost)]),
    ] {
        assert_eq!(call.signal_target(page(A)), Ok(page(B)));
        assert_eq!(call.signal_target(page(B)), Ok(page(A)));
        assert_eq!(call.signal_target(page(C)), Err(Wrong::NoPart));
    }
    assert_eq!(
        after(connected(), &[caller(Ask::HangUp)]).signal_target(page(A)),
        Err(Wrong::Over)
    );
}

#[test]
fn a_call_outlives_the_server_that_held_it() {
    let stored = |call: &Call| Stored {
        state: call.state,
        callee_page: call.callee_page,
        started_at: call.started_at,
        answered_at: call.answered_at,
        connected_at: call.connected_at,
    };
    let restore = |call: &Call| Call::restore(start(), stored(call), PATIENCE, 8_000);

    assert_eq!(restore(&ringing()).state, State::Ringing);
    assert_eq!(
        wait(restore(&ringing()), 13_000),
        Some(Outcome::Cancelled),
        "the caller did not come back"
    );
    let back = after(restore(&ringing()), &[Input::Back { page: page(A) }]);
    assert_eq!(
        wait(back, 30_000),
        Some(Outcome::NoAnswer),
        "counted from its start"
    );

    assert_eq!(restore(&connecting()).state, State::Connecting);
    assert_eq!(restore(&connected()).state, State::Reconnecting);
    assert_eq!(
        wait(restore(&connected()), 18_000),
        Some(Outcome::Failed),
        "nobody came back"
    );
    let mut call = restore(&connected());
    for input in [
        Input::Back { page: page(A) },
        Input::Back { page: page(B) },
        caller(Ask::Connected),
    ] {
        call.apply(input, 9_000).unwrap();
    }
    assert_eq!(call.state, State::Reconnecting);
    call.apply(callee(B, Ask::Connected), 9_000).unwrap();
    assert_eq!(
        (call.state, call.connected_at),
        (State::Connected, Some(4_000))
    );
}

/// A linear congruential generator (Knuth's MMIX constants): small, and the same walk every time.
struct Walk(u64);

impl Walk {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }

    fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[usize::try_from(self.below(all.len() as u64)).unwrap()]
    }

    fn input(&mut self) -> Input {
        let from = self.one_of(&[A, B, C]);
        let (page, side) = (
            page(from),
            if from == A {
                Side::Caller
            } else {
                Side::Callee
            },
        );
        let asks = [
            Ask::Ringing,
            Ask::Accept,
            Ask::Connected,
            Ask::Connected,
            Ask::Lost,
            Ask::Decline,
            Ask::HangUp,
        ];
        match self.below(11) {
            0 => Input::Gone { page },
            1 => Input::Back { page },
            2 | 3 => Input::Time,
            4 => Input::Left { page },
            _ => Input::Asked {
                side,
                page,
                ask: self.one_of(&asks),
            },
        }
    }
}

fn rank(state: State) -> u8 {
    match state {
        State::Dialing => 0,
        State::Ringing => 1,
        State::Connecting => 2,
        State::Connected | State::Reconnecting => 3,
        State::Ended { .. } => 4,
    }
}

fn check(before: &Call, after: &Call, input: Input, done: Result<(), Wrong>) {
    let why = format!("{input:?} on {before:?} gave {after:?}");
    if done.is_err() {
        assert_eq!(before, after, "what is refused changes nothing: {why}");
    }
    assert!(rank(before.state) <= rank(after.state), "never back: {why}");
    if before.state.is_ended() {
        assert_eq!(
            (done, before),
            (Err(Wrong::Over), after),
            "an end is final: {why}"
        );
    }
    assert_eq!(after.state.is_ended(), after.ended_at.is_some(), "{why}");
    assert!(
        outcome(after) != Some(Outcome::AnsweredElsewhere),
        "that is what others see: {why}"
    );
    assert_eq!(
        after.answered_at.is_some(),
        after.callee_page.is_some(),
        "{why}"
    );
    if after.state == State::Connected {
        let legs = [after.caller_leg, after.callee_leg];
        assert!(
            legs.iter()
                .all(|leg| leg.connected && leg.gone_since.is_none()),
            "{why}"
        );
        assert_eq!(after.deadline(), None, "{why}");
    } else if !after.state.is_ended() {
        assert!(
            after.deadline().is_some(),
            "whatever is not connected ends by itself: {why}"
        );
    }
    if after.state == State::Reconnecting {
        assert!(after.connected_at.is_some(), "{why}");
        assert!(
            !(after.caller_leg.connected && after.callee_leg.connected),
            "{why}"
        );
    }
}

#[test]
fn whatever_happens_in_whatever_order_the_rules_hold() {
    let mut ends = std::collections::HashSet::new();
    for seed in 0..3_000 {
        let mut walk = Walk(seed);
        let (mut call, mut now) = (dialing(), 0);
        for _ in 0..60 {
            now += i64::try_from(walk.below(4_000)).unwrap();
            let (before, input) = (call.clone(), walk.input());
            let done = call.apply(input, now);
            check(&before, &call, input, done);
        }
        for _ in 0..4 {
            now = call.deadline().unwrap_or(now).max(now);
            let before = call.clone();
            let done = call.apply(Input::Time, now);
            check(&before, &call, Input::Time, done);
        }
        assert!(
            call.state == State::Connected || call.state.is_ended(),
            "left alone, it comes to rest: {call:?}"
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
        "the walk saw every end: {ends:?}"
    );
}
