//! Locks, atomic numbers, threads and sleep; those of a model where the order of everything is
//! tried.

#[cfg(feature = "shuttle")]
pub(crate) use model::{AtomicU64, Condvar, Mutex, MutexGuard, Ordering, RwLock, thread};
#[cfg(not(feature = "shuttle"))]
pub(crate) use real::{AtomicU64, Condvar, Mutex, MutexGuard, Ordering, RwLock, thread};

#[cfg(not(feature = "shuttle"))]
mod real {
    pub(crate) use std::sync::atomic::{AtomicU64, Ordering};
    pub(crate) use std::thread;

    pub(crate) use parking_lot::{Condvar, Mutex, MutexGuard, RwLock};
}

#[cfg(feature = "shuttle")]
mod model {
    use shuttle::sync;
    pub(crate) use shuttle::sync::atomic::{AtomicU64, Ordering};
    pub(crate) use shuttle_parking_lot::{Mutex, MutexGuard, RwLock};

    pub(crate) mod thread {
        use std::time::Duration;

        pub(crate) use shuttle::thread::scope;

        /// Lets others go first: there is no time in the model.
        pub(crate) fn sleep(_: Duration) {
            shuttle::thread::yield_now();
        }
    }

    /// What shuttle's locks of this kind lack. Who waits has taken `calls` before others can take
    /// the lock that they wait with, so that no call is missed.
    pub(crate) struct Condvar {
        calls: sync::Mutex<u64>,
        called: sync::Condvar,
    }

    impl Condvar {
        pub(crate) fn new() -> Self {
            Self {
                calls: sync::Mutex::new(0),
                called: sync::Condvar::new(),
            }
        }

        #[allow(clippy::unwrap_used, reason = "a model of tests")]
        pub(crate) fn wait<T>(&self, guard: &mut MutexGuard<'_, T>) {
            let mut calls = self.calls.lock().unwrap();
            let before = *calls;
            MutexGuard::unlocked(guard, || {
                while *calls == before {
                    calls = self.called.wait(calls).unwrap();
                }
                drop(calls);
            });
        }

        #[allow(clippy::unwrap_used, reason = "a model of tests")]
        pub(crate) fn notify_all(&self) {
            *self.calls.lock().unwrap() += 1;
            self.called.notify_all();
        }
    }
}
