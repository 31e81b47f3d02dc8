//! What the kernel's queue and its announcements of interfaces say: whatever the bytes, reading
//! them ends, and every packet in them gets one verdict.

#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis_runtime::backend::queue::attack;

fuzz_target!(|bytes: &[u8]| attack(bytes));
