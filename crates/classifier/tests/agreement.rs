//! The classifier says exactly what the reference says: verdict and trace, in
//! every form, with every instruction set, one by one and in batches.

use std::env;
use std::fs;
use std::sync::Arc;

use portcullis_classifier::{Classifier, InstructionSet, Options, Preference};
use portcullis_core::batch::{BATCH, Batch};
use portcullis_core::matcher::{Ending, Matcher, Trace};
use portcullis_core::names::InterfaceName;
use portcullis_core::packet::PacketKey;
use portcullis_core::reference::Reference;
use portcullis_core::ruleset::{BuiltIn, Chain, Rule, Ruleset, Target, Verdict};
use portcullis_core::traversal::Step;
use portcullis_syntax::classbench;
use portcullis_testkit::agreement::compare;
use portcullis_testkit::generate::{self, INTERFACES, Random, Shape, TraceKind, keys_near, trace};
use portcullis_testkit::golden::shared_folder;

const PREFERENCES: [Preference; 4] = [
    Preference::Auto,
    Preference::Linear,
    Preference::BitVector,
    Preference::Tree,
];

fn instruction_sets() -> impl Iterator<Item = InstructionSet> {
    InstructionSet::ALL
        .into_iter()
        .filter(|set| set.is_available())
}

fn compile(ruleset: &Arc<Ruleset>, set: InstructionSet, preference: Preference) -> Classifier {
    let options = Options {
        instruction_set: set,
        preference,
    };
    Classifier::compile_with(Arc::clone(ruleset), options).expect("generated rules compile")
}

fn step(chain: BuiltIn, interface: &str) -> Step {
    Step {
        chain,
        interface: InterfaceName::new(interface).unwrap_or(InterfaceName::EMPTY),
    }
}

/// Holds a classifier to the reference, singly and in batches; returns how
/// many answers were compared.
fn hold(reference: &Reference, classifier: &Classifier, step: &Step, keys: &[PacketKey]) -> usize {
    if let Err(difference) = compare(reference, classifier, step, keys) {
        panic!("{difference}\n{:?}", reference.ruleset());
    }
    let (mut batch, mut trace) = (Batch::new(), Trace::new());
    for (number, keys) in keys.chunks(BATCH - 3).enumerate() {
        // Batches of every size, the empty one included.
        let keys = &keys[..keys.len().min(number % (BATCH - 2))];
        classifier.decide_batch(step, keys, &mut batch, &mut trace);
        assert_eq!(batch.len(), keys.len());
        for (packet, key) in keys.iter().enumerate() {
            let verdict = reference.decide(step, key, &mut trace);
            let expected = (verdict, trace.ending(), trace.matched());
            let found = (
                batch.verdict(packet),
                batch.ending(packet),
                batch.matched(packet),
            );
            assert_eq!(
                found,
                expected,
                "{step:?} {key:?} {:?}",
                reference.ruleset()
            );
        }
    }
    keys.len()
}

/// Every shape of generated ruleset, small and large.
#[test]
fn generated_rulesets() {
    let mut compared = 0;
    for shape in Shape::ALL {
        for seed in 0..60 {
            let mut random = Random::new(seed << 8 | shape as u64);
            let size = match seed % 10 {
                0 => 1500,
                1..4 => 150,
                4..8 => 30,
                _ => random.below(17) as usize,
            };
            let ruleset = Arc::new(generate::ruleset(&mut random, shape, size));
            compared += hold_in_all_forms(&mut random, &ruleset, 120);
        }
    }
    println!("compared {compared} answers");
    assert!(compared > 1_000_000, "only {compared}");
}

/// Long chains, where several bit vectors and deep trees come into play.
#[test]
fn long_chains() {
    for shape in Shape::ALL {
        let mut random = Random::new(shape as u64);
        let ruleset = Arc::new(generate::ruleset(&mut random, shape, 6000));
        let keys = keys_near(&mut random, &ruleset, 400);
        let reference = Reference::new(Arc::clone(&ruleset));
        for preference in PREFERENCES {
            let classifier = compile(&ruleset, InstructionSet::best(), preference);
            for interface in ["eth1", "tap3"] {
                hold(
                    &reference,
                    &classifier,
                    &step(BuiltIn::Input, interface),
                    &keys,
                );
            }
        }
    }
}

fn hold_in_all_forms(random: &mut Random, ruleset: &Arc<Ruleset>, packets: usize) -> usize {
    let reference = Reference::new(Arc::clone(ruleset));
    let keys = keys_near(random, ruleset, packets);
    let mut compared = 0;
    for set in instruction_sets() {
        for preference in PREFERENCES {
            let classifier = compile(ruleset, set, preference);
            for chain in BuiltIn::ALL {
                let interface = random.pick(&INTERFACES);
                let busy = !ruleset.chains()[chain.position()].rules().is_empty();
                let keys = if busy { &keys[..] } else { &keys[..8] };
                compared += hold(&reference, &classifier, &step(chain, interface), keys);
            }
            let odd = step(
                BuiltIn::Input,
                random.pick(&["", "tap7", "tap39x", "zzz", "eth"]),
            );
            compared += hold(&reference, &classifier, &odd, &keys);
        }
    }
    compared
}

/// The ClassBench sets that lie beside the project.
#[test]
fn classbench_sets() {
    let folder = shared_folder().join("classbench");
    if !folder.exists() && env::var_os("CI").is_none() {
        eprintln!("skipped: {} is not there", folder.display());
        return;
    }
    let mut sets = 0;
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let Some(name) = name.strip_suffix(".rules.zst") else {
            continue;
        };
        let bytes = zstd::decode_all(fs::File::open(&path).unwrap()).unwrap();
        let rules = classbench::read_filters(std::str::from_utf8(&bytes).unwrap()).unwrap();
        let ruleset = Arc::new(classbench::input_ruleset(rules.iter().cloned()));
        let reference = Reference::new(Arc::clone(&ruleset));
        // About as many comparisons of rules for every set.
        let packets = (20_000_000 / rules.len()).clamp(300, 20_000);
        let mut random = Random::new(1);
        let mut keys = keys_near(&mut random, &ruleset, packets / 2);
        for kind in [TraceKind::Rand, TraceKind::Void] {
            keys.extend(trace(&mut random, kind, &rules, packets / 4));
        }
        for set in instruction_sets() {
            let classifier = compile(&ruleset, set, Preference::Auto);
            let compared = hold(
                &reference,
                &classifier,
                &step(BuiltIn::Input, "eth0"),
                &keys,
            );
            println!("{name}: {compared} packets with {set}");
        }
        sets += 1;
    }
    assert!(sets >= 20, "only {sets} sets");
}

/// A matcher with a mistake, to show that comparing finds it.
struct Wrong(Reference, Mistake);

#[derive(Clone, Copy, Debug)]
enum Mistake {
    /// Fragments are taken for whole packets.
    Fragments,
    /// The border of a port range is outside.
    PortBorder,
    /// `-y` is not looked at.
    Syn,
    /// Interfaces are not looked at.
    Interface,
    /// A rule without target that matched is forgotten.
    Accounting,
    /// A loop counts as policy.
    Loop,
    /// A rule in a user chain is named one too low.
    Place,
}

impl Matcher for Wrong {
    fn ruleset(&self) -> &Ruleset {
        self.0.ruleset()
    }

    fn decide(&self, step: &Step, key: &PacketKey, trace: &mut Trace) -> Verdict {
        let (mut step, mut key) = (*step, *key);
        match self.1 {
            Mistake::Fragments => key.fragment = false,
            Mistake::PortBorder if key.destination_port == 1023 => key.destination_port = 1022,
            Mistake::Syn => key.syn = false,
            Mistake::Interface => {
                step.interface = InterfaceName::new("eth0").unwrap_or(InterfaceName::EMPTY);
            }
            _ => {}
        }
        let verdict = self.0.decide(&step, &key, trace);
        let mut matched = trace.matched().to_vec();
        match self.1 {
            Mistake::Accounting => {
                let ruleset = self.0.ruleset();
                matched.retain(|place| {
                    let chain: &Chain = &ruleset.chains()[place.chain as usize];
                    chain.rules()[place.rule as usize].target.is_some()
                });
            }
            Mistake::Place => {
                for place in matched.iter_mut().filter(|place| place.chain > 2) {
                    place.rule = place.rule.saturating_sub(1);
                }
            }
            _ => {}
        }
        let ending = match (self.1, trace.ending()) {
            (Mistake::Loop, Ending::Loop) => Ending::Policy,
            (_, ending) => ending,
        };
        trace.clear();
        for place in matched {
            trace.push(place.chain as usize, place.rule as usize);
        }
        trace.end(ending);
        verdict
    }
}

#[test]
fn planted_mistakes_are_found() {
    for mistake in [
        Mistake::Fragments,
        Mistake::PortBorder,
        Mistake::Syn,
        Mistake::Interface,
        Mistake::Accounting,
        Mistake::Loop,
        Mistake::Place,
    ] {
        let found = (0..20).any(|seed| {
            let mut random = Random::new(seed);
            let shape = random.pick(&[Shape::Mixed, Shape::JumpGraph, Shape::Kinds]);
            let ruleset = Arc::new(generate::ruleset(&mut random, shape, 100));
            let keys = keys_near(&mut random, &ruleset, 500);
            let classifier = Classifier::compile(Arc::clone(&ruleset)).unwrap();
            let wrong = Wrong(Reference::new(ruleset), mistake);
            compare(&wrong, &classifier, &step(BuiltIn::Input, "ppp0"), &keys).is_err()
        });
        assert!(found, "{mistake:?} went unnoticed");
    }
}

/// The generators hit rules: else agreement would mean little.
#[test]
fn generated_packets_match_rules() {
    for shape in Shape::ALL {
        let mut random = Random::new(7);
        let ruleset = Arc::new(generate::ruleset(&mut random, shape, 100));
        let keys = keys_near(&mut random, &ruleset, 2000);
        let reference = Reference::new(ruleset);
        let mut trace = Trace::new();
        let hits = keys.iter().filter(|key| {
            reference.decide(&step(BuiltIn::Input, "eth0"), key, &mut trace);
            !trace.matched().is_empty()
        });
        let hits = hits.count();
        assert!(hits > 200, "{shape:?}: {hits} of 2000");
    }
}

/// A rule past those that were compared first still counts.
#[test]
fn walks_go_on_after_rules_without_target() {
    let count = 200;
    let mut rules = vec![Rule::ANY; count];
    rules[count - 1].target = Some(Target::Reject);
    let ruleset = Arc::new(classbench::input_ruleset(rules));
    let reference = Reference::new(Arc::clone(&ruleset));
    let keys = keys_near(&mut Random::new(1), &ruleset, 10);
    for preference in PREFERENCES {
        let classifier = compile(&ruleset, InstructionSet::best(), preference);
        hold(&reference, &classifier, &step(BuiltIn::Input, "lo"), &keys);
        let mut trace = Trace::new();
        let verdict = classifier.decide(&step(BuiltIn::Input, "lo"), &keys[0], &mut trace);
        assert_eq!((verdict, trace.matched().len()), (Verdict::Reject, count));
    }
}
