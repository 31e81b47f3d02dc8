//! Print, parse, print: rules in every text form, and log lines, come back as they were.

#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis_core::names::{ChainName, InterfaceName};
use portcullis_core::packet::IpOptions;
use portcullis_core::packet_log::{LoggedPacket, PacketLog};
use portcullis_core::ruleset::{Mark, Ruleset, TosChange};
use portcullis_syntax::ipchains::Fidelity;
use portcullis_syntax::names::Names;
use portcullis_syntax::save::{Form, save_as};
use portcullis_syntax::script;
use portcullis_testkit::generate::Random;

thread_local! {
    static NAMES: Names = Names::new();
}

fuzz_target!(|bytes: &[u8]| {
    let random = &mut Random::from_bytes(bytes);
    let line = log_line(random);
    let text = line.to_string();
    assert_eq!(text.parse(), Ok(line), "{text}");
    let mut ruleset = portcullis_fuzz::ruleset(random, 12);
    add_effects(random, &mut ruleset);
    NAMES.with(|names| {
        // Not every rule can be said in words of the command: what one reading makes of it can.
        let text = save_as(&ruleset, Form::Lossless);
        let once = script::read_as(&text, names, Fidelity::Strict).ruleset;
        let text = save_as(&once, Form::Lossless);
        let again = script::read_as(&text, names, Fidelity::Strict);
        assert_eq!(again.mistakes, [], "{text}");
        assert!(again.ruleset == once, "{text}");
        assert_eq!(save_as(&again.ruleset, Form::Lossless), text);
    });
});

/// Marks, TOS changes, copies and logs, which generated rules lack.
fn add_effects(random: &mut Random, ruleset: &mut Ruleset) {
    let places: Vec<(ChainName, usize)> = ruleset
        .chains()
        .iter()
        .flat_map(|chain| (1..=chain.rules().len()).map(|number| (*chain.name(), number)))
        .collect();
    for (chain, number) in places {
        let Some(rule) = ruleset
            .chain(&chain)
            .map(|it| it.rules()[number - 1].clone())
        else {
            continue;
        };
        let mut rule = rule;
        rule.log = random.one_in(3);
        rule.mark = match random.below(4) {
            0 => Mark::Set(random.next() as u32),
            1 => Mark::Add(random.next() as u32),
            _ => Mark::NONE,
        };
        if random.one_in(3) {
            rule.tos = TosChange {
                and: random.next() as u8,
                xor: random.next() as u8,
            };
        }
        rule.copy = random.one_in(4).then(|| random.next() as u16);
        // The rule was there, so its place and target are.
        let _ = ruleset.replace(&chain, number, rule);
    }
}

fn log_line(random: &mut Random) -> PacketLog {
    let mut options = IpOptions::default();
    for _ in 0..random.below(11) {
        options.push(random.next() as u32);
    }
    let name = |name| ChainName::new(name).unwrap_or(ChainName::EMPTY);
    let target = random.pick(&["ACCEPT", "DENY", "REDIRECT", "-", "lan", "REJECT"]);
    let interface = random.pick(&["eth0", "lo", "eth0:1", "ppp10"]);
    let protocol = random.pick(&[1, 6, 6, 17, 47]);
    PacketLog {
        chain: name(random.pick(&["input", "output", "forward", "a-b"])),
        target: name(target),
        redirect_port: (target == "REDIRECT").then(|| random.next() as u16),
        interface: InterfaceName::new(interface).unwrap_or(InterfaceName::EMPTY),
        packet: LoggedPacket {
            protocol,
            source: random.next() as u32,
            source_port: random.next() as u16,
            destination: random.next() as u32,
            destination_port: random.next() as u16,
            length: random.next() as u16,
            tos: random.next() as u8,
            id: random.next() as u16,
            fragment: random.next() as u16,
            ttl: random.next() as u8,
            options,
        },
        syn: protocol == 6 && random.one_in(2),
        rule: random.next() as u32,
    }
}
