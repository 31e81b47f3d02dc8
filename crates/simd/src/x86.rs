//! The sets of x86-64, and what was compiled for them.

#![allow(unsafe_code)]

use crate::Work;

/// Proof that the CPU has AVX2 and BMI2.
#[derive(Clone, Copy, Debug)]
pub struct Avx2(());

/// Proof that the CPU has AVX-512 F, BW, DQ and VL, AVX2 and BMI2.
#[derive(Clone, Copy, Debug)]
pub struct Avx512(());

impl Avx2 {
    /// `None` if the CPU lacks it.
    #[inline]
    pub fn new() -> Option<Self> {
        let has = is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("bmi1")
            && is_x86_feature_detected!("bmi2")
            && is_x86_feature_detected!("popcnt")
            && is_x86_feature_detected!("lzcnt");
        has.then_some(Self(()))
    }

    /// Does the work in code compiled for this instruction set.
    #[inline]
    pub(crate) fn run<W: Work<Self>>(self, work: W) -> W::Output {
        #[target_feature(enable = "avx2,bmi1,bmi2,popcnt,lzcnt")]
        fn compiled<W: Work<Avx2>>(set: Avx2, work: W) -> W::Output {
            work.run(set)
        }
        // SAFETY: `self` is the proof of these features.
        unsafe { compiled(self, work) }
    }
}

impl Avx512 {
    /// `None` if the CPU lacks any of it.
    #[inline]
    pub fn new() -> Option<Self> {
        let has = Avx2::new().is_some()
            && is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vl");
        has.then_some(Self(()))
    }

    /// Does the work in code compiled for this instruction set.
    #[inline]
    pub(crate) fn run<W: Work<Self>>(self, work: W) -> W::Output {
        #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,bmi1,bmi2,popcnt,lzcnt")]
        fn compiled<W: Work<Avx512>>(set: Avx512, work: W) -> W::Output {
            work.run(set)
        }
        // SAFETY: `self` is the proof of these features.
        unsafe { compiled(self, work) }
    }
}
