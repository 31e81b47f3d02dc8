//! Regions in the fewest lines: blocks with exceptions.

use std::fmt;

use portcullis_core::names::InterfaceName;
use portcullis_core::ruleset::{Network, PortRange};

use super::blocks::{Block, Interfaces, Parts, write_protocol, write_side};
use super::{Packet, Region, Space, TooLarge};

/// A block without some others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Range {
    /// What is meant.
    pub block: Block,
    /// What of it is not; these may reach out of the block.
    pub except: Vec<Block>,
}

/// A region as people would say it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Nothing outside the region is in them.
    pub ranges: Vec<Range>,
    /// What they leave out, because there would have been too many.
    pub rest: Region,
}

/// As the block, then `except` and what is different about the others.
impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.block.fmt(f)?;
        for (place, block) in self.except.iter().enumerate() {
            f.write_str(if place == 0 { ", except" } else { ";" })?;
            write_difference(f, block, &self.block)?;
        }
        Ok(())
    }
}

/// In which fields `block` is less than `whole`.
fn write_difference(f: &mut fmt::Formatter<'_>, block: &Block, whole: &Block) -> fmt::Result {
    if let Some(number) = block.protocol.filter(|_| whole.protocol.is_none()) {
        f.write_str(" ")?;
        write_protocol(f, number)?;
    }
    if block.parts != Parts::All && block.parts != whole.parts {
        f.write_str(match block.parts {
            Parts::Fragments => " fragments",
            Parts::Opening => " syn",
            Parts::NotOpening => " no syn",
            Parts::All | Parts::Whole => " no fragments",
        })?;
    }
    let sides = [
        (" from ", &block.source, block.source_ports),
        (" to ", &block.destination, block.destination_ports),
    ];
    for (word, network, ports) in sides {
        if *network != Network::ANY || ports != PortRange::ALL {
            f.write_str(word)?;
            write_side(f, network, ports)?;
        }
    }
    if block.interfaces != Interfaces::Any && block.interfaces != whole.interfaces {
        write!(f, " on {}", block.interfaces)?;
    }
    Ok(())
}

/// Exceptions that one line has room for.
const MOST_EXCEPTIONS: usize = 8;

impl Space {
    /// Covers a region with at most `most` ranges.
    pub fn summary(&mut self, region: Region, most: usize) -> Result<Summary, TooLarge> {
        let mut rest = region;
        let mut ranges = Vec::new();
        while ranges.len() < most
            && let Some(packet) = self.example(rest)
        {
            let (range, own) = self.range(&packet, region, rest)?;
            rest = self.subtract(rest, own)?;
            ranges.push(range);
        }
        Ok(Summary { ranges, rest })
    }

    /// A range around a packet of `rest`, and what it holds.
    fn range(
        &mut self,
        packet: &Packet,
        region: Region,
        rest: Region,
    ) -> Result<(Range, Region), TooLarge> {
        let widest = self.widest(packet, region)?;
        let alike = Block {
            source: Network::ANY,
            destination: Network::ANY,
            interfaces: Interfaces::Any,
            ..widest.clone()
        };
        for piece_of in [None, Some(alike)] {
            let piece = match piece_of {
                None => rest,
                Some(block) => {
                    let block = self.block(&block)?;
                    self.intersect(rest, block)?
                }
            };
            let hull = self.hull(packet, piece)?;
            let whole = self.block(&hull)?;
            let missing = self.subtract(whole, region)?;
            let outside = self.complement(region)?;
            let mut except = self.cover(missing, outside, MOST_EXCEPTIONS)?;
            for block in &mut except.blocks {
                self.forget_others(block, &hull);
            }
            if except.rest.is_empty() {
                let range = Range {
                    block: hull,
                    except: except.blocks,
                };
                let own = self.subtract(whole, missing)?;
                return Ok((range, own));
            }
        }
        let own = self.block(&widest)?;
        let range = Range {
            block: widest,
            except: Vec::new(),
        };
        Ok((range, own))
    }

    /// Leaves interfaces out of an exception that `whole` is not about anyway.
    fn forget_others(&self, exception: &mut Block, whole: &Block) {
        let about = |name: &InterfaceName| whole.interfaces.hold(name);
        let names: Vec<_> = self.interfaces().iter().copied().filter(about).collect();
        let both = |name: &InterfaceName| exception.interfaces.hold(name);
        let inside: Vec<_> = names.iter().copied().filter(both).collect();
        exception.interfaces = match inside.len() == names.len() {
            true => Interfaces::Any,
            false => self.named(inside),
        };
    }

    /// The smallest block around a region that `packet` is in.
    fn hull(&mut self, packet: &Packet, region: Region) -> Result<Block, TooLarge> {
        let key = &packet.key;
        let mut block = Block::ALL;
        self.narrow(&mut block, region, |it| it.protocol = Some(key.protocol))?;
        for parts in [
            Parts::Fragments,
            Parts::Opening,
            Parts::NotOpening,
            Parts::Whole,
        ] {
            if self.narrow(&mut block, region, |it| it.parts = parts)? {
                break;
            }
        }
        let mut names = self.interfaces().to_vec();
        for name in self.interfaces().to_vec() {
            let others: Vec<_> = names.iter().copied().filter(|it| *it != name).collect();
            let narrower = self.named(others.clone());
            if self.narrow(&mut block, region, |it| it.interfaces = narrower)? {
                names = others;
            }
        }
        self.narrow_network(&mut block, region, key.source, |it| &mut it.source)?;
        self.narrow_network(&mut block, region, key.destination, |it| {
            &mut it.destination
        })?;
        if block.protocol.is_some() {
            self.narrow_ports(&mut block, region, key.source_port, |it| {
                &mut it.source_ports
            })?;
            let port = key.destination_port;
            self.narrow_ports(&mut block, region, port, |it| &mut it.destination_ports)?;
        }
        Ok(block)
    }

    /// Changes the block if the region still lies within it.
    fn narrow(
        &mut self,
        block: &mut Block,
        region: Region,
        narrow: impl FnOnce(&mut Block),
    ) -> Result<bool, TooLarge> {
        let mut narrower = block.clone();
        narrow(&mut narrower);
        let own = self.block(&narrower)?;
        let holds = self.is_within(region, own)?;
        if holds {
            *block = narrower;
        }
        Ok(holds)
    }

    fn narrow_network(
        &mut self,
        block: &mut Block,
        region: Region,
        address: u32,
        field: impl Fn(&mut Block) -> &mut Network,
    ) -> Result<(), TooLarge> {
        let (mut fits, mut too_long) = (0, 33);
        while too_long - fits > 1 {
            let middle = (fits + too_long) / 2;
            let network = Network::with_prefix(address, middle);
            match self.narrow(block, region, |it| *field(it) = network)? {
                true => fits = middle,
                false => too_long = middle,
            }
        }
        Ok(())
    }

    fn narrow_ports(
        &mut self,
        block: &mut Block,
        region: Region,
        port: u16,
        field: impl Fn(&mut Block) -> &mut PortRange,
    ) -> Result<(), TooLarge> {
        // The highest first port and the lowest last one that hold it all.
        let (mut fits, mut too_high) = (0, u32::from(port) + 1);
        while too_high - fits > 1 {
            let middle = u32::midpoint(fits, too_high);
            match self.narrow(block, region, |it| field(it).first = middle as u16)? {
                true => fits = middle,
                false => too_high = middle,
            }
        }
        let (mut fits, mut too_low) = (i32::from(u16::MAX), i32::from(port) - 1);
        while fits - too_low > 1 {
            let middle = i32::midpoint(fits, too_low);
            match self.narrow(block, region, |it| field(it).last = middle as u16)? {
                true => fits = middle,
                false => too_low = middle,
            }
        }
        Ok(())
    }
}
