//! What interfaces are called.

use std::collections::{BTreeMap, BTreeSet};

use portcullis_core::names::InterfaceName;
use portcullis_core::ruleset::BuiltIn;

use crate::capture::CaptureInterface;
use crate::link::LinkType;

/// The names that rules see: those that the user gave, or else the capture's.
#[derive(Clone, Debug, Default)]
pub struct InterfaceNames {
    everywhere: Option<InterfaceName>,
    by_chain: [Option<InterfaceName>; BuiltIn::ALL.len()],
    /// Of the capture being read, by index.
    found: Vec<Option<Found>>,
    loopback: Option<InterfaceName>,
    /// Names that had to be changed to fit, with what they became.
    changed: BTreeMap<String, InterfaceName>,
    /// Names that were made up because the capture has none.
    made_up: BTreeSet<InterfaceName>,
}

#[derive(Clone, Copy, Debug)]
struct Found {
    name: InterfaceName,
    assumed: bool,
}

impl InterfaceNames {
    /// Uses this name in every chain that has none of its own.
    pub fn set_everywhere(&mut self, name: InterfaceName) {
        self.everywhere = Some(name);
    }

    /// Uses this name in one chain.
    pub fn set(&mut self, chain: BuiltIn, name: InterfaceName) {
        self.by_chain[chain.position()] = Some(name);
    }

    /// Whether the user named the interface that forwarded packets leave by.
    pub(super) fn tells_outgoing(&self) -> bool {
        let named = |chain: BuiltIn| {
            self.by_chain[chain.position()]
                .or(self.everywhere)
                .is_some()
        };
        named(BuiltIn::Forward) && named(BuiltIn::Output)
    }

    /// Names of captures that had to be changed to fit, with what they became.
    pub fn changed(&self) -> &BTreeMap<String, InterfaceName> {
        &self.changed
    }

    /// Names that were made up because a capture has none.
    pub fn made_up(&self) -> &BTreeSet<InterfaceName> {
        &self.made_up
    }

    /// Takes over what another worker found out.
    pub(super) fn add(&mut self, other: &Self) {
        let changed = other.changed.iter();
        self.changed
            .extend(changed.map(|(given, name)| (given.clone(), *name)));
        self.made_up.extend(&other.made_up);
    }

    pub(super) fn next_capture(&mut self) {
        self.found.clear();
    }

    /// The name in a chain, and whether it was made up.
    #[inline]
    pub(super) fn name(
        &mut self,
        chain: BuiltIn,
        interface: &CaptureInterface,
        loopback: bool,
    ) -> (InterfaceName, bool) {
        if let Some(name) = self.by_chain[chain.position()].or(self.everywhere) {
            return (name, false);
        }
        if loopback {
            let (name, _) = InterfaceName::for_device("lo");
            return (*self.loopback.get_or_insert(name), false);
        }
        let found = match self.found.get(interface.index) {
            Some(Some(found)) => *found,
            _ => self.find(interface),
        };
        (found.name, found.assumed)
    }

    /// Finds the name of an interface that is met for the first time.
    #[cold]
    fn find(&mut self, interface: &CaptureInterface) -> Found {
        if self.found.len() <= interface.index {
            self.found.resize(interface.index + 1, None);
        }
        let found = self.name_of(interface);
        self.found[interface.index] = Some(found);
        found
    }

    fn name_of(&mut self, interface: &CaptureInterface) -> Found {
        let given = interface.name.as_deref().filter(|name| !name.is_empty());
        let Some(given) = given else {
            let (name, _) = InterfaceName::for_device(&make_up(interface));
            self.made_up.insert(name);
            return Found {
                name,
                assumed: true,
            };
        };
        let (name, changed) = InterfaceName::for_device(given);
        if changed {
            self.changed.insert(given.to_owned(), name);
        }
        Found {
            name,
            assumed: false,
        }
    }
}

/// What Linux would have called the interface.
fn make_up(interface: &CaptureInterface) -> String {
    let index = interface.index;
    match interface.link_type {
        LinkType::NULL | LinkType::LOOP => "lo".to_owned(),
        LinkType::PPP | LinkType::PPP_HDLC => format!("ppp{index}"),
        LinkType::C_HDLC => format!("hdlc{index}"),
        _ => format!("eth{index}"),
    }
}
