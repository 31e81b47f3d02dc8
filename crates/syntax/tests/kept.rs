//! Whatever the command accepts survives being kept in a ruleset file, and no
//! arguments make it panic.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use portcullis_core::ruleset::Ruleset;
use portcullis_syntax::ipchains::{self, Fidelity};
use portcullis_syntax::names::Names;
use portcullis_syntax::save::{Form, save_as};
use portcullis_syntax::script;

/// Words with which rules are likely to begin, so that many are accepted.
const BEGINNINGS: [&str; 8] = [
    "-A input",
    "-A forward -p tcp",
    "-A lan -p udp",
    "-I input -p icmp",
    "-A lan -i",
    "-N",
    "-P input",
    "",
];

/// Words that mean something, and some that nobody would write.
const WORDS: &str = "-A -I -R -D -C -L -F -Z -N -X -P -M -S -h -V -n -v -x -s -d -p -i -j -y -f \
    -b -l -o -m -t ! ! -- --sport --dport --icmp-type --s input forward output lan dmz é éé -é \
    -vé 1 2 0 80 80:90 90:80 : tcp udp icmp all 47 256 any/0 1.2.3.4 10.0.0.0/8 \
    1.2.3.4/255.0.255.0 eth0 eth+ + ppp+ ACCEPT DENY MASQ REDIRECT RETURN 8080 ping redirect 8 \
    0x1 01 10 +5 -5 --no-warnings --line-numbers --jump=lan --dport=80 -lj -Linput -o10 \
    abcdefghijklmnop abcdefghijklmno+ a\\b 'q $x #y";

fn command() -> impl Strategy<Value = Vec<String>> {
    let words: Vec<&str> = WORDS.split_whitespace().collect();
    (select(&BEGINNINGS[..]), vec(select(words), 0..10)).prop_map(|(beginning, words)| {
        let beginning = beginning.split_whitespace();
        let words = std::iter::once("ipchains").chain(beginning).chain(words);
        words.map(str::to_owned).collect()
    })
}

proptest! {
    #[test]
    fn what_is_accepted_is_kept(
        commands in vec(command(), 1..60),
        fidelity in select(vec![Fidelity::Repaired, Fidelity::Strict]),
    ) {
        let (mut ruleset, names) = (Ruleset::new(), Names::new());
        for words in &commands {
            let _ = ipchains::run(words, &mut ruleset, &names, fidelity);
        }
        let text = save_as(&ruleset, Form::Lossless);
        let again = script::read_as(&text, &names, Fidelity::Strict);
        prop_assert_eq!(again.mistakes, []);
        prop_assert_eq!(again.ruleset, ruleset);
    }
}
