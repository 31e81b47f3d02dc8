//! What a compiled ruleset is made of.

use std::fmt;
use std::time::Duration;

use portcullis_core::names::ChainName;

use portcullis_simd::InstructionSet;

/// How a whole ruleset was compiled.
#[derive(Clone, Debug)]
pub struct Description {
    /// The instruction set in use.
    pub instruction_set: InstructionSet,
    /// Chain by chain, in kernel order.
    pub chains: Vec<ChainDescription>,
    /// Memory of everything that matching reads, in bytes.
    pub memory_bytes: usize,
    /// How long compiling took.
    pub compile_time: Duration,
}

/// How one chain was compiled.
#[derive(Clone, Debug)]
pub struct ChainDescription {
    /// The chain.
    pub chain: ChainName,
    /// Its rules, in as many forms as share them; none for an empty chain.
    pub forms: Vec<Form>,
    /// Memory in bytes.
    pub memory_bytes: usize,
    /// How long compiling took.
    pub compile_time: Duration,
}

/// A form that rules are compiled to, with how many it holds. Rules that can
/// never match are in none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Blocks of eight, one after the other.
    Linear {
        /// Rules.
        rules: usize,
    },
    /// Rows of bits for each field.
    BitVector {
        /// Rules.
        rules: usize,
    },
    /// Tables indexed by bits of the packet.
    Trees {
        /// Rules, those included that were left to a bit vector.
        rules: usize,
        /// Trees.
        trees: usize,
        /// Tables in them.
        tables: usize,
        /// Blocks of eight rules in their leaves.
        blocks: usize,
    },
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Linear { rules } => write!(f, "linear ({rules} rules)"),
            Self::BitVector { rules } => write!(f, "bit vector ({rules} rules)"),
            Self::Trees {
                rules,
                trees,
                tables,
                blocks,
            } => write!(
                f,
                "{trees} trees ({rules} rules, {tables} tables, {blocks} blocks)"
            ),
        }
    }
}

impl fmt::Display for ChainDescription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.chain)?;
        if self.forms.is_empty() {
            f.write_str("empty")?;
        }
        for (place, form) in self.forms.iter().enumerate() {
            let separator = if place == 0 { "" } else { ", " };
            write!(f, "{separator}{form}")?;
        }
        let (kilobytes, time) = (self.memory_bytes.div_ceil(1024), self.compile_time);
        write!(f, ", {kilobytes} KiB, compiled in {time:.1?}")
    }
}
