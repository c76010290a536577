//! What happens in a simulation: made from a seed, or kept as JSON.

use crate::{
    model::user::Role,
    server::store::{Fault, Step as StoreStep},
};
use rand::{Rng, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use serde::{Deserialize, Serialize};
use std::ops::RangeInclusive;

/// From the first step to the last.
const DURATION_MS: u64 = 60_000;
/// From a fault at one moment to what goes with it.
const MAX_COMPANY_MS: u64 = 4_000;
/// From a new room, which all pages know then, to a fault.
const NEW_ROOM_MS: u64 = 500;
const CONCURRENT_PEOPLE: RangeInclusive<usize> = 2..=5;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Plan {
    pub(super) seed: u64,
    pub(super) settings: Settings,
    /// In order of time.
    pub(super) steps: Vec<Step>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Settings {
    /// One node has no bus, several share a database.
    pub(super) nodes: usize,
    pub(super) people: usize,
    /// The first page of each person, then second ones.
    pub(super) pages: usize,
    /// Of the news.
    pub(super) readers: usize,
    pub(super) replay_events: u32,
    pub(super) queue_bytes: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Step {
    pub(super) at_ms: u64,
    pub(super) action: Action,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Action {
    Send {
        page: usize,
        /// Of the page's rooms, newest first; modulo their number.
        room: usize,
        messages: usize,
    },
    MarkRead {
        page: usize,
        room: usize,
    },
    OpenRoom {
        page: usize,
        room: usize,
    },
    OpenDirectRoom {
        node: usize,
        people: [usize; 2],
    },
    CreateRoom {
        node: usize,
    },
    Reload {
        page: usize,
    },
    Publish {
        node: usize,
    },
    ChangeRole {
        node: usize,
        person: usize,
        role: Role,
    },
    ChangeName {
        node: usize,
        person: usize,
    },
    Call {
        page: usize,
        person: usize,
    },
    JoinGroupCall {
        page: usize,
        room: usize,
    },
    HangUp {
        page: usize,
    },
    Fault(FaultAction),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum FaultAction {
    /// Of the next statement of its kind.
    Statement {
        node: usize,
        step: FaultyStep,
        fault: StatementFault,
    },
    StoreBlackHole {
        node: usize,
        ms: u64,
    },
    StoreRefuses {
        node: usize,
        ms: u64,
    },
    StoreSlow {
        node: usize,
        ms: u64,
    },
    /// Of each thousand messages to a node.
    BusMessages {
        node: usize,
        lost: u32,
        doubled: u32,
        late: u32,
        ms: u64,
    },
    BusAway {
        node: usize,
        ms: u64,
    },
    Pause {
        node: usize,
        ms: u64,
    },
    Crash {
        node: usize,
        ms: u64,
    },
    Stop {
        node: usize,
        ms: u64,
    },
    Clock {
        node: usize,
        offset_ms: i64,
    },
    /// Nothing arrives, and nobody is told.
    CutPage {
        page: usize,
    },
    BreakPage {
        page: usize,
    },
    /// From the handshake of the next connection to its `hello`.
    LateHello {
        page: usize,
        ms: u64,
    },
    SlowPage {
        page: usize,
        ms: u64,
    },
    CutReader {
        reader: usize,
    },
    BreakReader {
        reader: usize,
    },
    SlowReader {
        reader: usize,
        ms: u64,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum FaultyStep {
    Begin,
    Statement,
    Commit,
    Rollback,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum StatementFault {
    Fails,
    LosesAnswer,
    Hangs,
    HangsAfter,
    CommitsLate,
}

impl From<FaultyStep> for StoreStep {
    fn from(step: FaultyStep) -> Self {
        match step {
            FaultyStep::Begin => Self::Begin,
            FaultyStep::Statement => Self::Statement,
            FaultyStep::Commit => Self::Commit,
            FaultyStep::Rollback => Self::Rollback,
        }
    }
}

impl From<StatementFault> for Fault {
    fn from(fault: StatementFault) -> Self {
        match fault {
            StatementFault::Fails => Self::Fails,
            StatementFault::LosesAnswer => Self::LosesAnswer,
            StatementFault::Hangs => Self::Hangs,
            StatementFault::HangsAfter => Self::HangsAfter,
            StatementFault::CommitsLate => Self::CommitsLate,
        }
    }
}

impl FaultAction {
    /// None for a fault at one moment, or without a planned end.
    fn duration_ms(&self) -> Option<u64> {
        match *self {
            Self::StoreBlackHole { ms, .. }
            | Self::StoreRefuses { ms, .. }
            | Self::StoreSlow { ms, .. }
            | Self::BusMessages { ms, .. }
            | Self::BusAway { ms, .. }
            | Self::Pause { ms, .. }
            | Self::Crash { ms, .. }
            | Self::Stop { ms, .. }
            | Self::SlowPage { ms, .. }
            | Self::SlowReader { ms, .. } => Some(ms),
            Self::Statement { .. }
            | Self::Clock { .. }
            | Self::CutPage { .. }
            | Self::LateHello { .. }
            | Self::BreakPage { .. }
            | Self::CutReader { .. }
            | Self::BreakReader { .. } => None,
        }
    }
}

impl Plan {
    pub(super) fn from_seed(seed: u64) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let people = random.random_range(CONCURRENT_PEOPLE);
        let settings = Settings {
            nodes: *[1, 1, 2, 2, 3].choose(&mut random).unwrap_or(&1),
            people,
            pages: people + random.random_range(0..=people),
            readers: random.random_range(1..=2),
            replay_events: *[5, 50, 1_000].choose(&mut random).unwrap_or(&50),
            queue_bytes: *[8_000, 131_072].choose(&mut random).unwrap_or(&8_000),
        };
        let mut steps = Vec::new();
        let at = |random: &mut StdRng| random.random_range(0..DURATION_MS);
        for _ in 0..random.random_range(15..60) {
            let action = draw_use(&mut random, &settings);
            let at_ms = at(&mut random);
            steps.push(Step { at_ms, action });
        }
        for _ in 0..random.random_range(2..9) {
            let fault = draw_fault(&mut random, &settings);
            let at_ms = at(&mut random);
            if matches!(fault, FaultAction::Pause { .. }) || random.random_bool(0.5) {
                draw_company(&mut random, &settings, &fault, at_ms, &mut steps);
            }
            let action = Action::Fault(fault);
            steps.push(Step { at_ms, action });
        }
        steps.sort_by_key(|step| step.at_ms);
        Self {
            seed,
            settings,
            steps,
        }
    }
}

fn draw_use(random: &mut StdRng, settings: &Settings) -> Action {
    let page = random.random_range(0..settings.pages);
    let room = random.random_range(0..4);
    let node = random.random_range(0..settings.nodes);
    match random.random_range(0..100) {
        0..34 => Action::Send {
            page,
            room,
            messages: *[1, 1, 1, 2, 5, 30].choose(random).unwrap_or(&1),
        },
        34..40 => Action::JoinGroupCall { page, room },
        40..48 => Action::Publish { node },
        48..58 => Action::Call {
            page,
            person: random.random_range(0..settings.people),
        },
        58..60 => Action::HangUp { page },
        60..75 => Action::OpenRoom { page, room },
        75..85 => Action::MarkRead { page, room },
        85..92 => Action::OpenDirectRoom {
            node,
            people: [
                random.random_range(0..settings.people),
                random.random_range(0..settings.people),
            ],
        },
        92..94 => Action::CreateRoom { node },
        94 => Action::ChangeName {
            node,
            person: random.random_range(0..settings.people),
        },
        95..97 => Action::ChangeRole {
            node,
            person: random.random_range(0..settings.people),
            role: *Role::ALL.choose(random).unwrap_or(&Role::Member),
        },
        _ => Action::Reload { page },
    }
}

/// What goes on in a room, in calls and with pages' connections during a fault. Far apart, faults seldom meet.
fn draw_company(
    random: &mut StdRng,
    settings: &Settings,
    fault: &FaultAction,
    began_at_ms: u64,
    steps: &mut Vec<Step>,
) {
    let room = if random.random_bool(0.5) {
        let node = random.random_range(0..settings.nodes);
        let at_ms = began_at_ms.saturating_sub(NEW_ROOM_MS);
        let action = Action::CreateRoom { node };
        steps.push(Step { at_ms, action });
        0
    } else {
        random.random_range(0..4)
    };
    let longest = fault.duration_ms().unwrap_or(MAX_COMPANY_MS);
    for _ in 0..random.random_range(1..=3) {
        let page = random.random_range(0..settings.pages);
        let messages = *[1, 1, 2].choose(random).unwrap_or(&1);
        let send = Action::Send {
            page,
            room,
            messages,
        };
        let within_ms = longest.min(MAX_COMPANY_MS);
        let at_ms = began_at_ms + random.random_range(0..within_ms);
        steps.push(Step {
            at_ms,
            action: send,
        });
    }
    for _ in 0..2 {
        let page = random.random_range(0..settings.pages);
        let at_ms = began_at_ms + random.random_range(0..MAX_COMPANY_MS);
        let action = Action::OpenRoom { page, room };
        steps.push(Step { at_ms, action });
    }
    match fault {
        // On waking, the call leader's timers fire, perhaps before it learns that another node leads.
        FaultAction::Pause { .. } => {
            draw_calls(random, settings, 2..=4, began_at_ms, steps);
            draw_group_call(random, settings, room, began_at_ms, steps);
        }
        _ => draw_calls(random, settings, 0..=1, began_at_ms, steps),
    }
    for _ in 0..random.random_range(1..=2) {
        let page = random.random_range(0..settings.pages);
        let action = match random.random_range(0..4) {
            0 => Action::Fault(FaultAction::CutPage { page }),
            1 => Action::Fault(FaultAction::BreakPage { page }),
            2 => Action::JoinGroupCall { page, room },
            _ => Action::Reload { page },
        };
        let within_ms = *[MAX_COMPANY_MS, longest].choose(random).unwrap_or(&longest);
        let at_ms = began_at_ms + random.random_range(0..within_ms);
        steps.push(Step { at_ms, action });
    }
}

/// Calls that ring when a fault begins.
fn draw_calls(
    random: &mut StdRng,
    settings: &Settings,
    calls: RangeInclusive<usize>,
    before_ms: u64,
    steps: &mut Vec<Step>,
) {
    for _ in 0..random.random_range(calls) {
        let action = Action::Call {
            page: random.random_range(0..settings.pages),
            person: random.random_range(0..settings.people),
        };
        let at_ms = before_ms.saturating_sub(random.random_range(0..MAX_COMPANY_MS / 2));
        steps.push(Step { at_ms, action });
    }
}

/// A group call whose participants may have lost their connections just before a fault.
fn draw_group_call(
    random: &mut StdRng,
    settings: &Settings,
    room: usize,
    before_ms: u64,
    steps: &mut Vec<Step>,
) {
    for _ in 0..random.random_range(1..=3) {
        let page = random.random_range(0..settings.pages);
        let action = Action::JoinGroupCall { page, room };
        let at_ms = before_ms.saturating_sub(random.random_range(1_000..MAX_COMPANY_MS));
        steps.push(Step { at_ms, action });
        if random.random_bool(0.5) {
            let action = Action::Fault(FaultAction::BreakPage { page });
            let at_ms = before_ms.saturating_sub(random.random_range(0..1_000));
            steps.push(Step { at_ms, action });
        }
    }
}

fn draw_fault(random: &mut StdRng, settings: &Settings) -> FaultAction {
    let node = random.random_range(0..settings.nodes);
    let page = random.random_range(0..settings.pages);
    let reader = random.random_range(0..settings.readers);
    let short = random.random_range(1_000..15_000);
    let long = *[short, short, 60_000, 120_000]
        .choose(random)
        .unwrap_or(&short);
    // A ring of 20 s ends meanwhile; a call that another node connected goes on.
    let ring = random.random_range(18_000..26_000);
    let has_bus = settings.nodes > 1;
    match random.random_range(0..100) {
        0..20 => {
            use FaultyStep::{Begin, Commit, Rollback, Statement};
            use StatementFault::{CommitsLate, Fails, Hangs, HangsAfter, LosesAnswer};
            let step = [Begin, Statement, Commit, Commit, Commit, Rollback];
            let step = *step.choose(random).unwrap_or(&Commit);
            let fault = if step == Commit {
                [
                    Fails,
                    LosesAnswer,
                    Hangs,
                    HangsAfter,
                    HangsAfter,
                    CommitsLate,
                ]
            } else {
                [Fails, LosesAnswer, Hangs, HangsAfter, Fails, HangsAfter]
            };
            let fault = *fault.choose(random).unwrap_or(&Fails);
            FaultAction::Statement { node, step, fault }
        }
        20..25 => FaultAction::StoreSlow { node, ms: short },
        25..31 => FaultAction::StoreBlackHole { node, ms: short },
        31..37 => FaultAction::StoreRefuses { node, ms: short },
        37..52 if has_bus => FaultAction::BusMessages {
            node,
            lost: random.random_range(0..400),
            doubled: random.random_range(0..200),
            late: random.random_range(0..200),
            ms: short,
        },
        52..62 if has_bus => FaultAction::BusAway { node, ms: long },
        62..70 => {
            let ms = *[short, ring, ring, long].choose(random).unwrap_or(&long);
            FaultAction::Pause { node, ms }
        }
        70..78 => FaultAction::Crash { node, ms: short },
        78..82 => FaultAction::Stop { node, ms: short },
        82..86 => FaultAction::Clock {
            node,
            offset_ms: random.random_range(-600_000..600_000),
        },
        86..91 => FaultAction::BreakPage { page },
        91..93 => FaultAction::SlowPage { page, ms: short },
        93 => FaultAction::LateHello { page, ms: short },
        94..96 => FaultAction::CutPage { page },
        96 => FaultAction::BreakReader { reader },
        97 => FaultAction::SlowReader { reader, ms: short },
        _ => FaultAction::CutReader { reader },
    }
}
