//! Deterministic simulation: nodes, pages, readers, a broker and a database in one thread, on a paused clock.
//!
//! The program's own code runs, over simulated processes, sockets, messages and statements. One seed is one [`Plan`], and
//! equal plans have equal runs. `docs/testing.md` says how to run, shrink and keep one.

mod caller;
mod checks;
mod client;
mod connection;
mod group_call_checks;
mod history;
mod observer;
mod page;
mod plan;
mod reader;
mod run;
mod shrink;
mod world;

use plan::Plan;
use run::run;
use std::{
    fs,
    path::{Path, PathBuf},
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread::{self, available_parallelism},
    time::{Duration, Instant},
};

/// As many as fit into `make test`.
const DEFAULT_SEEDS: u64 = 300;
const KEPT_PLANS: &str = "src/serve/simulation/kept";

#[test]
fn everything_acknowledged_is_there_once_in_order_for_everybody() {
    if is_postgres_run() {
        return;
    }
    let first = setting("RIALTO_SIMULATION_SEED").unwrap_or(1);
    let seconds = setting("RIALTO_SIMULATION_SECONDS").map(Duration::from_secs);
    let count = match seconds {
        Some(_) => u64::MAX - first,
        None => setting("RIALTO_SIMULATION_SEEDS").unwrap_or(DEFAULT_SEEDS),
    };
    let started = Instant::now();
    let (next, failed) = (AtomicU64::new(first), Mutex::new(Vec::new()));
    let run_seeds = || {
        while seconds.is_none_or(|seconds| started.elapsed() < seconds) {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= first + count {
                return;
            }
            if let Err(why) = check(&Plan::from_seed(seed)) {
                eprintln!("seed {seed}: {why}");
                failed.lock().unwrap().push(seed);
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..available_parallelism().map_or(1, Into::into) {
            scope.spawn(run_seeds);
        }
    });
    let mut failed = failed.into_inner().unwrap();
    failed.sort_unstable();
    let count = next.into_inner().min(first + count) - first;
    println!("{count} seeds from {first} on in {:?}", started.elapsed());
    if let Some(seed) = failed.first() {
        let file = save(&shrink::shrink(Plan::from_seed(*seed)));
        panic!(
            "{} of {count} seeds failed: {failed:?}. The smallest plan of the first is in {}",
            failed.len(),
            file.display()
        );
    }
}

#[test]
fn plans_that_failed_once_hold() {
    if is_postgres_run() {
        return;
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(KEPT_PLANS);
    let files = fs::read_dir(folder).unwrap();
    let files = files.map(|file| file.unwrap().path());
    let is_plan = |file: &PathBuf| {
        file.extension()
            .is_some_and(|extension| extension == "json")
    };
    for file in files.filter(is_plan) {
        let plan: Plan = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
        if let Err(why) = check(&plan) {
            panic!("{}: {why}", file.display());
        }
    }
}

/// To look at a plan in a file, with `RIALTO_LOG`.
#[test]
fn the_plan_of_a_file_holds() {
    let Some(file) = std::env::var_os("RIALTO_SIMULATION_PLAN") else {
        println!("skipped: RIALTO_SIMULATION_PLAN names no file");
        return;
    };
    let plan: Plan = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
    if let Err(why) = check(&plan) {
        panic!("{why}");
    }
}

#[test]
fn equal_plans_have_equal_runs() {
    for seed in 1..=5 {
        let plan = Plan::from_seed(seed);
        assert_eq!(run(&plan), run(&plan), "seed {seed}");
    }
}

fn check(plan: &Plan) -> Result<(), String> {
    let outcome = run(plan);
    if !outcome.violations.is_empty() {
        return Err(format!("{:#?}", outcome.violations));
    }
    if outcome.fault_count == 0 {
        return Err("no fault came to anything".to_owned());
    }
    Ok(())
}

fn save(plan: &Plan) -> PathBuf {
    let file = std::env::temp_dir().join(format!("rialto-simulation-{}.json", plan.seed));
    fs::write(&file, serde_json::to_vec_pretty(plan).unwrap()).unwrap();
    file
}

/// The simulation has its own database.
fn is_postgres_run() -> bool {
    let is_postgres = std::env::var("RIALTO_TEST_STORE").is_ok_and(|store| store == "postgres");
    if is_postgres {
        println!("skipped: the simulation runs with the tests on SQLite");
    }
    is_postgres
}

fn setting(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    let number = text.parse();
    Some(number.unwrap_or_else(|_| panic!("{name} is {text:?}, and must be a number")))
}
