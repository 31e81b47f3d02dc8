//! Edits of a ruleset against the plainest model there is: a list of chains, each a list of rules,
//! where every question is answered by looking at all of it.

#![allow(clippy::unwrap_used, reason = "tests")]

use portcullis_core::names::ChainName;
use portcullis_core::ruleset::{
    BuiltIn, Conditions, Counter, CounterTable, EditError, Mark, Policy, Rule, Ruleset, Target,
    Test, TosChange,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

/// What the command can ask of the kernel.
#[derive(Clone, Debug)]
enum Edit {
    Append(&'static str, Rule),
    Insert(&'static str, usize, Rule),
    Replace(&'static str, usize, Rule),
    Delete(&'static str, usize),
    DeleteMatching(&'static str, Rule),
    Flush(&'static str),
    Zero(&'static str),
    NewChain(&'static str),
    DeleteChain(&'static str),
    SetPolicy(BuiltIn, Policy),
    /// Packets, for the slot with this number modulo all.
    Count(usize, u8),
}

#[derive(Clone, Debug, Default)]
struct Model {
    chains: Vec<ModelChain>,
}

#[derive(Clone, Debug)]
struct ModelChain {
    name: &'static str,
    policy: Option<Policy>,
    policy_packets: u64,
    rules: Vec<Rule>,
}

const NAMES: [&str; 8] = [
    "input", "forward", "output", "lan", "dmz", "ACCEPT", "", "eightchr",
];

fn name(name: &str) -> ChainName {
    ChainName::new(name).unwrap()
}

impl Model {
    fn new() -> Self {
        let built_in = |name| ModelChain {
            name,
            policy: Some(Policy::Accept),
            policy_packets: 0,
            rules: Vec::new(),
        };
        Self {
            chains: ["input", "forward", "output"].map(built_in).into(),
        }
    }

    fn chain(&mut self, name: &str) -> Result<&mut ModelChain, EditError> {
        let mut all = self.chains.iter_mut();
        all.find(|it| it.name == name).ok_or(EditError::NoSuchChain)
    }

    /// The chain, if it and the rule's target are there.
    fn chain_for(&mut self, name: &str, rule: &Rule) -> Result<&mut ModelChain, EditError> {
        self.chain(name)?;
        if let Some(Target::Chain(target)) = &rule.target {
            let mut all = self.chains.iter();
            let user = |it: &&ModelChain| it.name == target.as_str() && it.policy.is_none();
            all.find(user).ok_or(EditError::NoSuchTarget)?;
        }
        self.chain(name)
    }

    fn apply(&mut self, edit: &Edit) -> Result<(), EditError> {
        match edit {
            Edit::Append(chain, rule) => {
                self.chain_for(chain, rule)?.rules.push(rule.clone());
            }
            Edit::Insert(chain, number, rule) => {
                let rules = &mut self.chain_for(chain, rule)?.rules;
                if *number < 1 || *number > rules.len() + 1 {
                    return Err(EditError::BadPosition);
                }
                rules.insert(number - 1, rule.clone());
            }
            Edit::Replace(chain, number, rule) => {
                let rules = &mut self.chain_for(chain, rule)?.rules;
                if *number < 1 || *number > rules.len() {
                    return Err(EditError::BadPosition);
                }
                let counter = rules[number - 1].counter;
                rules[number - 1] = rule.clone();
                rules[number - 1].counter = counter;
            }
            Edit::Delete(chain, number) => {
                let rules = &mut self.chain(chain)?.rules;
                if *number < 1 || *number > rules.len() {
                    return Err(EditError::NoSuchRule);
                }
                rules.remove(number - 1);
            }
            Edit::DeleteMatching(chain, rule) => {
                let rules = &mut self.chain_for(chain, rule)?.rules;
                // TOS and mark are not compared.
                let plain = |rule: &Rule| Rule {
                    tos: TosChange::NONE,
                    mark: Mark::NONE,
                    counter: Counter::default(),
                    ..rule.clone()
                };
                let found = rules.iter().position(|it| plain(it) == plain(rule));
                rules.remove(found.ok_or(EditError::NoMatchingRule)?);
            }
            Edit::Flush(chain) => self.chain(chain)?.rules.clear(),
            Edit::Zero(chain) => {
                let rules = self.chain(chain)?.rules.iter_mut();
                rules.for_each(|rule| rule.counter = Counter::default());
            }
            Edit::NewChain(chain) => {
                if self.chain(chain).is_ok() {
                    return Err(EditError::ChainExists);
                }
                self.chains.push(ModelChain {
                    name: chain,
                    policy: None,
                    policy_packets: 0,
                    rules: Vec::new(),
                });
            }
            Edit::DeleteChain(chain) => {
                let empty = self.chain(chain)?.rules.is_empty();
                let references = self.references(chain);
                if references > 0 {
                    return Err(EditError::ChainInUse);
                }
                if !empty {
                    return Err(EditError::ChainNotEmpty);
                }
                self.chains.retain(|it| it.name != *chain);
            }
            Edit::SetPolicy(chain, policy) => {
                self.chain(chain.as_str())?.policy = Some(*policy);
            }
            Edit::Count(slot, packets) => {
                let mut slots: Vec<(&mut u64, Option<&mut u64>)> = Vec::new();
                for chain in &mut self.chains {
                    slots.push((&mut chain.policy_packets, None));
                    for rule in &mut chain.rules {
                        let Counter { packets, bytes } = &mut rule.counter;
                        slots.push((packets, Some(bytes)));
                    }
                }
                let slot = slot % slots.len();
                let (count, bytes) = &mut slots[slot];
                **count += u64::from(*packets);
                if let Some(bytes) = bytes {
                    **bytes += u64::from(*packets) * 40;
                }
            }
        }
        Ok(())
    }

    fn references(&self, chain: &str) -> usize {
        let built_in = self.chains.iter().filter(|it| it.name == chain);
        let built_in = built_in.filter(|it| it.policy.is_some()).count();
        let rules = self.chains.iter().flat_map(|it| &it.rules);
        let jump = Some(Target::Chain(name(chain)));
        built_in + rules.filter(|rule| rule.target == jump).count()
    }
}

fn apply(ruleset: &mut Ruleset, edit: &Edit) -> Result<(), EditError> {
    match edit.clone() {
        Edit::Append(chain, rule) => ruleset.append(&name(chain), rule),
        Edit::Insert(chain, number, rule) => ruleset.insert(&name(chain), number, rule),
        Edit::Replace(chain, number, rule) => ruleset.replace(&name(chain), number, rule),
        Edit::Delete(chain, number) => ruleset.delete(&name(chain), number).map(drop),
        Edit::DeleteMatching(chain, rule) => {
            let deleted = ruleset.delete_matching(&name(chain), &rule);
            deleted.map(|deleted| assert!(rule.describes(&deleted)))
        }
        Edit::Flush(chain) => ruleset.flush(&name(chain)),
        Edit::Zero(chain) => ruleset.zero(&name(chain)),
        Edit::NewChain(chain) => ruleset.new_chain(name(chain)),
        Edit::DeleteChain(chain) => ruleset.delete_chain(&name(chain)),
        Edit::SetPolicy(chain, policy) => {
            ruleset.set_policy(chain, policy);
            Ok(())
        }
        Edit::Count(slot, packets) => {
            let mut table = CounterTable::new(ruleset);
            let slots = table.as_mut_slice();
            let slot = slot % slots.len();
            slots[slot] = Counter {
                packets: u64::from(packets),
                bytes: u64::from(packets) * 40,
            };
            ruleset.add_counters(&table);
            Ok(())
        }
    }
}

fn rule() -> impl Strategy<Value = Rule> {
    let target = prop_oneof![
        Just(None),
        select(vec![Target::Accept, Target::Deny, Target::Return]).prop_map(Some),
        select(&NAMES[..]).prop_map(|it| Some(Target::Chain(name(it)))),
    ];
    // Few values, so that descriptions do describe rules.
    (target, 0..2u16, any::<bool>(), 0..2u32, 0..2u8).prop_map(
        |(target, protocol, log, mark, tos)| Rule {
            conditions: Conditions {
                protocol: Test::is(protocol),
                ..Conditions::ANY
            },
            log,
            mark: Mark::Set(mark),
            tos: TosChange {
                and: 0xff,
                xor: tos,
            },
            target,
            ..Rule::ANY
        },
    )
}

fn edit() -> impl Strategy<Value = Edit> {
    let chain = || select(&NAMES[..]);
    prop_oneof![
        4 => (chain(), rule()).prop_map(|(chain, rule)| Edit::Append(chain, rule)),
        2 => (chain(), 0..6usize, rule()).prop_map(|(chain, at, rule)| Edit::Insert(chain, at, rule)),
        2 => (chain(), 0..6usize, rule()).prop_map(|(chain, at, rule)| Edit::Replace(chain, at, rule)),
        1 => (chain(), 0..6usize).prop_map(|(chain, at)| Edit::Delete(chain, at)),
        1 => (chain(), rule()).prop_map(|(chain, rule)| Edit::DeleteMatching(chain, rule)),
        1 => chain().prop_map(Edit::Flush),
        1 => chain().prop_map(Edit::Zero),
        2 => chain().prop_map(Edit::NewChain),
        2 => chain().prop_map(Edit::DeleteChain),
        1 => (select(&BuiltIn::ALL[..]), select(&Policy::ALL[..]))
            .prop_map(|(chain, policy)| Edit::SetPolicy(chain, policy)),
        2 => (any::<usize>(), any::<u8>()).prop_map(|(slot, packets)| Edit::Count(slot, packets)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn edits_do_what_the_model_does(edits in vec(edit(), 1..60)) {
        let (mut ruleset, mut model) = (Ruleset::new(), Model::new());
        for edit in &edits {
            let before = ruleset.clone();
            let done = apply(&mut ruleset, edit);
            prop_assert_eq!(done, model.apply(edit), "{:?}", edit);
            if done.is_err() {
                prop_assert_eq!(&ruleset, &before, "a refused edit changes nothing");
            }
            prop_assert_eq!(ruleset.chains().len(), model.chains.len());
            for (position, (chain, expected)) in
                ruleset.chains().iter().zip(&model.chains).enumerate()
            {
                prop_assert_eq!(chain.name().as_str(), expected.name);
                prop_assert_eq!(chain.policy(), expected.policy);
                prop_assert_eq!(chain.policy_counter().packets, expected.policy_packets);
                prop_assert!(chain.rules().iter().eq(&expected.rules), "{:?}", edit);
                prop_assert_eq!(ruleset.position(chain.name()), Some(position));
                let references = ruleset.references()[position];
                prop_assert_eq!(references, model.references(expected.name));
            }
        }
        // Places of chains that are gone are gone, too.
        for it in NAMES {
            let known = model.chains.iter().any(|chain| chain.name == it);
            prop_assert_eq!(ruleset.chain(&name(it)).is_some(), known);
        }
    }
}
