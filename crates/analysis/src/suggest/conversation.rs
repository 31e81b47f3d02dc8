//! Denied packets, put together to conversations.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::net::Ipv4Addr;

use portcullis_core::packet::{PacketKey, protocol};
use portcullis_core::ruleset::{BuiltIn, PortRange};
use portcullis_core::traversal::Route;

use super::group::Way;
use super::pattern::{PATTERNS, Pattern, Ports, Transport};
use super::{Announced, Denial, Setting};

/// One end of a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct End {
    pub(super) address: u32,
    pub(super) port: u16,
}

/// Who spoke to whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Flow {
    pub(super) protocol: u8,
    pub(super) fragments: bool,
    pub(super) opener: End,
    pub(super) answerer: End,
}

/// A conversation of which something was denied.
#[derive(Clone, Debug)]
pub(super) struct Conversation {
    pub(super) flow: Flow,
    pub(super) pattern: Option<&'static Pattern>,
    pub(super) way: Way,
    /// Its packets, by place among the denials.
    pub(super) denials: Vec<usize>,
    pub(super) announced: Option<Announced>,
    /// The pattern is a guess: nothing but the ports speaks for it.
    pub(super) guessed: bool,
}

/// Ports from which kernels of the time open connections unless told otherwise.
pub(super) const KERNEL_DEFAULT: PortRange = PortRange {
    first: 1024,
    last: 4999,
};

/// Conversations in the order of their first packets.
pub(super) fn conversations(denials: &[Denial], setting: &Setting) -> Vec<Conversation> {
    let known = Known::new(denials, setting);
    let mut places: BTreeMap<Flow, usize> = BTreeMap::new();
    let mut found: Vec<Conversation> = Vec::new();
    for (number, denial) in denials.iter().enumerate() {
        let (flow, pattern) = known.roles(denial);
        let way = way(denial, setting, flow.opener.address);
        let place = *places.entry(flow).or_insert_with(|| {
            found.push(Conversation {
                flow,
                pattern,
                way,
                denials: Vec::new(),
                announced: known.announcement(&flow, pattern).cloned(),
                guessed: false,
            });
            found.len() - 1
        });
        let conversation = &mut found[place];
        conversation.denials.push(number);
        if way == Way::Through {
            conversation.way = way;
        }
    }
    guess_passive_ftp(&mut found);
    found
}

/// High ports of one machine that connections of one other go to, at least, to
/// look like passive FTP.
const FEWEST_DATA: usize = 2;

/// Who opens connections from high ports to several high ports of another
/// that nobody knows has most likely an FTP control connection with it. Of that
/// a log shows nothing where the rules let it through.
fn guess_passive_ftp(conversations: &mut [Conversation]) {
    let Some(passive) = PATTERNS.iter().find(|it| it.needs_ftp) else {
        return;
    };
    let looks_so = |it: &Conversation| {
        let flow = &it.flow;
        let chosen =
            fits(passive.opener, flow.opener.port) && fits(passive.answerer, flow.answerer.port);
        let asked_here = match it.way {
            Way::Out => true,
            Way::Through => Ipv4Addr::from_bits(flow.opener.address).is_private(),
            Way::In | Way::Within => false,
        };
        it.pattern.is_none() && flow.protocol == passive.transport.number() && chosen && asked_here
    };
    let pair = |it: &Conversation| (it.flow.opener.address, it.flow.answerer.address);
    let mut ports: BTreeMap<(u32, u32), BTreeSet<u16>> = BTreeMap::new();
    for it in conversations.iter().filter(|it| looks_so(it)) {
        ports
            .entry(pair(it))
            .or_default()
            .insert(it.flow.answerer.port);
    }
    for it in conversations.iter_mut().filter(|it| looks_so(it)) {
        if ports
            .get(&pair(it))
            .is_some_and(|it| it.len() >= FEWEST_DATA)
        {
            it.pattern = Some(passive);
            it.guessed = true;
        }
    }
}

fn way(denial: &Denial, setting: &Setting, opener: u32) -> Way {
    let key = &denial.packet.key;
    let route = match (&setting.local, denial.chain) {
        (Some(local), _) => local.route(key.source, key.destination),
        (None, BuiltIn::Input) => Route::ToHere,
        (None, BuiltIn::Forward) => Route::Through,
        (None, BuiltIn::Output) => Route::FromHere,
    };
    match (route, key.source == opener) {
        (Route::Through, _) => Way::Through,
        (Route::Within, _) => Way::Within,
        (Route::ToHere, true) | (Route::FromHere, false) => Way::In,
        (Route::FromHere, true) | (Route::ToHere, false) => Way::Out,
    }
}

/// What all packets together tell about one.
struct Known<'a> {
    setting: &'a Setting,
    /// Source and destination of everything that opened a connection.
    opened: HashSet<(End, End)>,
    /// Pairs of addresses, lower first, with an FTP control connection.
    ftp: HashSet<(u32, u32)>,
}

impl<'a> Known<'a> {
    fn new(denials: &[Denial], setting: &'a Setting) -> Self {
        let keys = || denials.iter().map(|denial| &denial.packet.key);
        let opened = keys().filter(|key| key.syn).map(ends).collect();
        let control = |key: &&PacketKey| {
            key.protocol == protocol::TCP && (key.source_port == 21 || key.destination_port == 21)
        };
        let pair = |a: u32, b: u32| (a.min(b), a.max(b));
        let announced = setting.announced.iter();
        let ftp = keys()
            .filter(control)
            .map(|key| pair(key.source, key.destination))
            .chain(announced.map(|it| pair(it.client, it.server)))
            .collect();
        Self {
            setting,
            opened,
            ftp,
        }
    }

    /// Which end opened the conversation, and what it is.
    fn roles(&self, denial: &Denial) -> (Flow, Option<&'static Pattern>) {
        let key = &denial.packet.key;
        let (source, destination) = ends(key);
        let flow = |opener, answerer| Flow {
            protocol: key.protocol,
            fragments: key.fragment,
            opener,
            answerer,
        };
        let asking = flow(source, destination);
        let answering = flow(destination, source);
        if key.fragment {
            return (asking, None);
        }
        if key.protocol == protocol::ICMP {
            return icmp(key);
        }
        if key.syn || self.opened.contains(&(source, destination)) {
            return (asking, self.pattern(&asking, false));
        }
        if self.opened.contains(&(destination, source)) {
            return (answering, self.pattern(&answering, false));
        }
        let as_question = self.pattern(&asking, false);
        let as_answer = self.pattern(&answering, is_arriving(denial, self.setting));
        match (as_question, as_answer) {
            (Some(question), Some(answer)) if place(answer) < place(question) => {
                (answering, as_answer)
            }
            // Both ends alike: this machine asks.
            (Some(question), Some(answer))
                if question == answer && is_arriving(denial, self.setting) =>
            {
                (answering, as_answer)
            }
            (Some(_), _) => (asking, as_question),
            (None, Some(_)) => (answering, as_answer),
            (None, None) if answers(key) || self.is_late_answer(denial) => (answering, None),
            (None, None) => (asking, None),
        }
    }

    /// Whether a packet goes on with a connection that this machine opened:
    /// it opens none, and comes to a port that this machine asks from.
    fn is_late_answer(&self, denial: &Denial) -> bool {
        let key = &denial.packet.key;
        let own = self.setting.port_range.0;
        key.protocol == protocol::TCP
            && !key.syn
            && is_arriving(denial, self.setting)
            && own.contains(key.destination_port)
            && !own.contains(key.source_port)
    }

    /// The first pattern that fits. Where only an answer to this machine was
    /// seen, its port must be one that it asks from: everybody can claim to
    /// answer.
    fn pattern(&self, flow: &Flow, only_answer_seen: bool) -> Option<&'static Pattern> {
        PATTERNS.iter().find(|pattern| {
            let own = self.setting.port_range.0.contains(flow.opener.port)
                || KERNEL_DEFAULT.contains(flow.opener.port);
            pattern.transport.number() == flow.protocol
                && pattern.transport != Transport::Icmp
                && !(pattern.unwanted && only_answer_seen)
                && fits(pattern.opener, flow.opener.port)
                && fits(pattern.answerer, flow.answerer.port)
                && (!only_answer_seen || pattern.opener != Ports::Chosen || own)
                && (!pattern.needs_ftp || self.is_ftp(flow))
        })
    }

    fn is_ftp(&self, flow: &Flow) -> bool {
        let (a, b) = (flow.opener.address, flow.answerer.address);
        self.ftp.contains(&(a.min(b), a.max(b)))
    }

    /// What a control connection said about a data connection: the last time.
    fn announcement(&self, flow: &Flow, pattern: Option<&Pattern>) -> Option<&Announced> {
        let active = match pattern?.name {
            "ftp-active" => true,
            "ftp-passive" => false,
            _ => return None,
        };
        let (client, server) = match active {
            true => (flow.answerer.address, flow.opener.address),
            false => (flow.opener.address, flow.answerer.address),
        };
        self.setting.announced.iter().rev().find(|it| {
            it.by_server != active
                && (it.client, it.server) == (client, server)
                && it.port == flow.answerer.port
        })
    }
}

fn place(pattern: &Pattern) -> Option<usize> {
    PATTERNS.iter().position(|it| it == pattern)
}

fn ends(key: &PacketKey) -> (End, End) {
    let end = |address, port| End { address, port };
    (
        end(key.source, key.source_port),
        end(key.destination, key.destination_port),
    )
}

fn is_arriving(denial: &Denial, setting: &Setting) -> bool {
    let key = &denial.packet.key;
    match &setting.local {
        Some(local) => local.route(key.source, key.destination) == Route::ToHere,
        None => denial.chain == BuiltIn::Input,
    }
}

/// Whether a packet looks like an answer: from a low port to a high one.
fn answers(key: &PacketKey) -> bool {
    matches!(key.protocol, protocol::TCP | protocol::UDP)
        && key.source_port < 1024
        && key.destination_port >= 1024
}

/// Types are kept where ports stand: the asking one at the opener.
fn icmp(key: &PacketKey) -> (Flow, Option<&'static Pattern>) {
    let kind = key.source_port;
    let mut known = PATTERNS
        .iter()
        .filter(|pattern| pattern.transport == Transport::Icmp);
    let pattern = known.find(|it| fits(it.opener, kind) || fits(it.answerer, kind));
    let is_answer = pattern.is_some_and(|it| !fits(it.opener, kind));
    let (opener, answerer) = match is_answer {
        true => (key.destination, key.source),
        false => (key.source, key.destination),
    };
    let asked = match pattern.map(|it| it.opener) {
        Some(Ports::Exactly(kind)) => kind,
        _ => kind,
    };
    let end = |address| End {
        address,
        port: asked,
    };
    let flow = Flow {
        protocol: key.protocol,
        fragments: false,
        opener: end(opener),
        answerer: end(answerer),
    };
    (flow, pattern)
}

pub(super) fn fits(ports: Ports, port: u16) -> bool {
    match ports {
        Ports::Exactly(it) => it == port,
        Ports::Between(first, last) => (first..=last).contains(&port),
        Ports::Chosen => port >= 1024,
        Ports::Root => port < 1024,
        Ports::None => false,
    }
}
