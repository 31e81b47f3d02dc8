//! Once warm, judging allocates nothing: neither matcher, singly or in
//! batches, on any shape of ruleset.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::Arc;

use portcullis_classifier::Classifier;
use portcullis_core::batch::{BATCH, Batch};
use portcullis_core::matcher::{Matcher, Trace};
use portcullis_core::names::InterfaceName;
use portcullis_core::packet::PacketKey;
use portcullis_core::reference::Reference;
use portcullis_core::ruleset::BuiltIn;
use portcullis_core::traversal::Step;
use portcullis_testkit::generate::{Random, Shape, keys_near, ruleset};

/// The system's allocator, counting what each thread asks of it.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn count() {
    // A thread that is ending has no counter any more.
    let _ = ALLOCATIONS.try_with(|counter| counter.set(counter.get() + 1));
}

#[allow(unsafe_code)]
// SAFETY: every call is passed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: the caller's promise is passed on.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

fn allocations(work: impl FnOnce()) -> u64 {
    let before = ALLOCATIONS.get();
    work();
    ALLOCATIONS.get() - before
}

#[test]
fn the_counter_counts() {
    assert_eq!(allocations(|| drop(std::hint::black_box(vec![7]))), 1);
}

#[test]
fn judging_allocates_nothing_once_warm() {
    for shape in Shape::ALL {
        for rules in [10, 400, 3000] {
            let mut random = Random::new(shape as u64);
            let ruleset = Arc::new(ruleset(&mut random, shape, rules));
            let keys = keys_near(&mut random, &ruleset, 1000);
            let reference = Reference::new(Arc::clone(&ruleset));
            let classifier = Classifier::compile(ruleset).unwrap();
            let (mut batch, mut trace) = (Batch::new(), Trace::new());
            let mut judge = || judge_all(&reference, &classifier, &keys, &mut batch, &mut trace);
            judge();
            let count = allocations(judge);
            assert_eq!(count, 0, "{shape:?}, {rules} rules");
        }
    }
}

fn judge_all(
    reference: &Reference,
    classifier: &Classifier,
    keys: &[PacketKey],
    batch: &mut Batch,
    trace: &mut Trace,
) {
    for chain in BuiltIn::ALL {
        let interface = InterfaceName::new("eth1").unwrap_or(InterfaceName::EMPTY);
        let step = Step { chain, interface };
        for key in keys {
            reference.decide(&step, key, trace);
            classifier.decide(&step, key, trace);
        }
        for keys in keys.chunks(BATCH) {
            classifier.decide_batch(&step, keys, batch, trace);
        }
    }
}
