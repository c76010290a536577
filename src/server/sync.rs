//! Mutex of plain data, which stays valid after a panic: poisoning is ignored.
//!
//! In an execution of shuttle, which only tests have, its scheduler chooses the next thread at each lock and unlock.

#[cfg(test)]
pub(crate) use scheduled::MutexGuard;
#[cfg(not(test))]
pub(crate) use std::sync::MutexGuard;

use std::sync::PoisonError;

#[derive(Debug, Default)]
pub(crate) struct Mutex<T> {
    data: std::sync::Mutex<T>,
    /// Held with `data` in an execution of shuttle, so that the latter never blocks the one thread of all coroutines.
    #[cfg(test)]
    turn: shuttle::sync::Mutex<()>,
}

impl<T> Mutex<T> {
    pub(crate) fn new(data: T) -> Self {
        Self {
            data: std::sync::Mutex::new(data),
            #[cfg(test)]
            turn: shuttle::sync::Mutex::new(()),
        }
    }

    #[cfg(not(test))]
    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.data.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod scheduled {
    use super::{Mutex, PoisonError};
    use shuttle::sync::atomic::{AtomicBool, Ordering};
    use std::ops::{Deref, DerefMut};

    /// Unlocks in the order of its fields.
    #[derive(Debug)]
    pub(crate) struct MutexGuard<'a, T> {
        data: std::sync::MutexGuard<'a, T>,
        _turn: Option<shuttle::sync::MutexGuard<'a, ()>>,
        _after_unlock: Option<SchedulingPoint>,
    }

    /// When it is dropped. shuttle has one only before it unlocks, and what follows may be no lock.
    #[derive(Debug)]
    struct SchedulingPoint;

    impl Drop for SchedulingPoint {
        fn drop(&mut self) {
            if !std::thread::panicking() {
                AtomicBool::new(false).load(Ordering::SeqCst);
            }
        }
    }

    impl<T> Mutex<T> {
        pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
            let is_scheduled = shuttle::current::try_get_current_task().is_some();
            let lock_turn = || self.turn.lock().unwrap_or_else(PoisonError::into_inner);
            let turn = is_scheduled.then(lock_turn);
            MutexGuard {
                data: self.data.lock().unwrap_or_else(PoisonError::into_inner),
                _turn: turn,
                _after_unlock: is_scheduled.then(|| SchedulingPoint),
            }
        }
    }

    impl<T> Deref for MutexGuard<'_, T> {
        type Target = T;

        fn deref(&self) -> &T {
            &self.data
        }
    }

    impl<T> DerefMut for MutexGuard<'_, T> {
        fn deref_mut(&mut self) -> &mut T {
            &mut self.data
        }
    }
}
