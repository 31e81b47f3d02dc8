//! Locks, atomic numbers and sleep; those of a model where the order of everything is tried.

#[cfg(not(feature = "shuttle"))]
mod real {
    pub(in crate::live) use std::sync::atomic::{AtomicU64, Ordering};
    pub(in crate::live) use std::thread;

    pub(in crate::live) use parking_lot::{Mutex, MutexGuard, RwLock};
}

#[cfg(feature = "shuttle")]
mod model {
    pub(in crate::live) use shuttle::sync::atomic::{AtomicU64, Ordering};
    pub(in crate::live) use shuttle_parking_lot::{Mutex, MutexGuard, RwLock};

    pub(in crate::live) mod thread {
        use std::time::Duration;

        /// Lets others go first: there is no time in the model.
        pub(in crate::live) fn sleep(_: Duration) {
            shuttle::thread::yield_now();
        }
    }
}

#[cfg(feature = "shuttle")]
pub(super) use model::{AtomicU64, Mutex, MutexGuard, Ordering, RwLock, thread};
#[cfg(not(feature = "shuttle"))]
pub(super) use real::{AtomicU64, Mutex, MutexGuard, Ordering, RwLock, thread};
