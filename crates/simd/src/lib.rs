//! Which instruction sets the CPU has, which one to use, and how to compile
//! work for each.
//!
//! A value of [`Avx2`] or [`Avx512`] is the proof that the CPU has what it
//! needs: it is only made after asking the CPU. [`Unit::run`] compiles work for
//! each set, so that plain loops become wide ones.

#[cfg(target_arch = "x86_64")]
mod x86;

use std::{env, fmt};

use thiserror::Error;

#[cfg(target_arch = "x86_64")]
pub use x86::{Avx2, Avx512};

/// The environment variable that forces an instruction set.
pub const INSTRUCTION_SET_VARIABLE: &str = "PORTCULLIS_SIMD";

/// Something to be compiled for each instruction set; `S` is the proof of one.
pub trait Work<S> {
    /// What comes of it.
    type Output;

    /// Must be `#[inline(always)]`, or the compiler uses no more than the
    /// least instruction set.
    fn run(self, set: S) -> Self::Output;
}

/// Proof of what every CPU has.
#[derive(Clone, Copy, Debug)]
pub struct Portable;

/// An instruction set that the CPU is known to have, so that nobody asks it
/// again for each packet.
#[derive(Clone, Copy, Debug)]
pub enum Unit {
    /// AVX-512.
    #[cfg(target_arch = "x86_64")]
    Avx512(Avx512),
    /// AVX2.
    #[cfg(target_arch = "x86_64")]
    Avx2(Avx2),
    /// No more than every CPU has.
    Portable(Portable),
}

/// The instruction sets that hot paths are compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum InstructionSet {
    /// What every CPU can do.
    Portable,
    /// AVX2 and BMI2.
    Avx2,
    /// AVX-512 F, BW, DQ and VL besides.
    Avx512,
}

/// Why an instruction set cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum InstructionSetError {
    /// The environment asks for one of which we know nothing.
    #[error("PORTCULLIS_SIMD={0}: there is portable, avx2 and avx512")]
    Unknown(String),
    /// Somebody asks for more than the CPU has.
    #[error("PORTCULLIS_SIMD={0}: this CPU does not have it")]
    Missing(InstructionSet),
}

impl InstructionSet {
    /// From the least to the fastest.
    pub const ALL: [Self; 3] = [Self::Portable, Self::Avx2, Self::Avx512];

    /// The best for this machine, or what `PORTCULLIS_SIMD` asks for.
    ///
    /// # Errors
    ///
    /// It asks for one that does not exist, or that this CPU lacks.
    pub fn from_environment() -> Result<Self, InstructionSetError> {
        match env::var(INSTRUCTION_SET_VARIABLE) {
            Ok(name) => match Self::from_name(&name) {
                Some(set) => set.available(),
                None => Err(InstructionSetError::Unknown(name)),
            },
            Err(_) => Ok(Self::best()),
        }
    }

    /// The word for `PORTCULLIS_SIMD` and reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Portable => "portable",
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512",
        }
    }

    /// The set of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|set| set.as_str() == name)
    }

    /// Whether this CPU has it.
    pub fn is_available(self) -> bool {
        match self {
            Self::Portable => true,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => Avx2::new().is_some(),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => Avx512::new().is_some(),
            #[cfg(not(target_arch = "x86_64"))]
            Self::Avx2 | Self::Avx512 => false,
        }
    }

    /// Itself, if this CPU has it.
    ///
    /// # Errors
    ///
    /// It does not.
    pub fn available(self) -> Result<Self, InstructionSetError> {
        match self.is_available() {
            true => Ok(self),
            false => Err(InstructionSetError::Missing(self)),
        }
    }

    /// Ready for work with this set, or with the portable one where the CPU
    /// lacks it.
    pub fn unit(self) -> Unit {
        const PORTABLE: Unit = Unit::Portable(Portable);
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => Avx512::new().map_or(PORTABLE, Unit::Avx512),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => Avx2::new().map_or(PORTABLE, Unit::Avx2),
            _ => PORTABLE,
        }
    }

    /// The fastest that this CPU has.
    pub fn best() -> Self {
        let sets = Self::ALL.into_iter().rev();
        sets.into_iter()
            .find(|set| set.is_available())
            .unwrap_or(Self::Portable)
    }
}

impl Unit {
    /// Does the work in code compiled for the set.
    #[cfg(target_arch = "x86_64")]
    #[inline]
    pub fn run<W, O>(self, work: W) -> O
    where
        W: Work<Avx512, Output = O> + Work<Avx2, Output = O> + Work<Portable, Output = O>,
    {
        match self {
            Self::Avx512(avx512) => avx512.run(work),
            Self::Avx2(avx2) => avx2.run(work),
            Self::Portable(portable) => work.run(portable),
        }
    }

    /// Does the work.
    #[cfg(not(target_arch = "x86_64"))]
    #[inline]
    pub fn run<W: Work<Portable>>(self, work: W) -> W::Output {
        let Self::Portable(portable) = self;
        work.run(portable)
    }
}

impl fmt::Display for InstructionSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_back_to_their_sets() {
        for set in InstructionSet::ALL {
            assert_eq!(InstructionSet::from_name(set.as_str()), Some(set));
        }
        assert_eq!(InstructionSet::from_name("sse9"), None);
    }

    #[test]
    fn the_best_is_available_and_nothing_available_is_better() {
        let best = InstructionSet::best();
        assert_eq!(best.available(), Ok(best));
        for set in InstructionSet::ALL.into_iter().filter(|set| *set > best) {
            assert_eq!(set.available(), Err(InstructionSetError::Missing(set)));
        }
    }

    /// Adds numbers, and says for which set it was compiled.
    struct Sum<'a>(&'a [u32]);

    impl<S: fmt::Debug> Work<S> for Sum<'_> {
        type Output = (u32, String);

        #[inline(always)]
        fn run(self, set: S) -> Self::Output {
            (self.0.iter().sum(), format!("{set:?}"))
        }
    }

    #[test]
    fn work_is_done_with_the_proof_of_the_set() {
        let numbers: Vec<u32> = (0..1000).collect();
        for set in InstructionSet::ALL
            .into_iter()
            .filter(|set| set.is_available())
        {
            let (sum, proof) = set.unit().run(Sum(&numbers));
            assert_eq!(sum, 499_500);
            assert!(proof.to_lowercase().starts_with(set.as_str()), "{proof}");
        }
    }
}
