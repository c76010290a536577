//! Runs a test's threads in many interleavings, which shuttle chooses at each lock and unlock of `server::sync`, but not at accesses to
//! atomics.

use shuttle::{
    Config, MaxSteps, Runner,
    scheduler::{PctScheduler, RandomScheduler, ReplayScheduler},
};

/// `SHUTTLE_RANDOM_SEED` sets another.
const SEED: u64 = 1;
/// Probabilistic concurrency testing finds every mistake that needs fewer changes of thread with a known probability.
const PCT_DEPTH: usize = 3;
const STACK_BYTES: usize = 256 * 1024;
/// Many times what an execution takes.
const MAX_STEPS: usize = 20_000;

/// Runs a test `executions` times with each scheduler, or once in the schedule `RIALTO_SCHEDULE`, as a failure printed
/// it. `RIALTO_INTERLEAVINGS` multiplies the number.
pub(crate) fn check(executions: usize, test: fn()) {
    let mut config = Config::new();
    config.stack_size = STACK_BYTES;
    config.max_steps = MaxSteps::FailAfter(MAX_STEPS);
    if let Ok(schedule) = std::env::var("RIALTO_SCHEDULE") {
        let scheduler = ReplayScheduler::new_from_encoded(&schedule);
        Runner::new(scheduler, config).run(test);
        return;
    }
    let factor = std::env::var("RIALTO_INTERLEAVINGS").map_or(1, |factor| factor.parse().unwrap());
    let executions = executions * factor;
    let random = RandomScheduler::new_from_seed(SEED, executions);
    Runner::new(random, config.clone()).run(test);
    let pct = PctScheduler::new_from_seed(SEED, PCT_DEPTH, executions);
    Runner::new(pct, config).run(test);
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::server::sync::Mutex;
    use shuttle::thread;
    use std::sync::Arc;

    fn lock_in_opposite_order() {
        let [one, two] = [(); 2].map(|()| Arc::new(Mutex::new(())));
        let other = thread::spawn({
            let (one, two) = (one.clone(), two.clone());
            move || drop((one.lock(), two.lock()))
        });
        drop((two.lock(), one.lock()));
        other.join().unwrap();
    }

    #[test]
    #[should_panic(expected = "deadlock")]
    fn a_deadlock_is_found() {
        check(20, lock_in_opposite_order);
    }

    fn add_in_two_steps() {
        let sum = Arc::new(Mutex::new(0));
        let add = |sum: &Mutex<i32>| {
            let before = *sum.lock();
            *sum.lock() = before + 1;
        };
        let other = thread::spawn({
            let sum = sum.clone();
            move || add(&sum)
        });
        add(&sum);
        other.join().unwrap();
        assert_eq!(*sum.lock(), 2, "a lost update");
    }

    #[test]
    #[should_panic(expected = "a lost update")]
    fn a_lost_update_is_found() {
        check(20, add_in_two_steps);
    }
}
