//! What `-h`, `-h icmp` and `-V` print. The help is in our own words.

use std::fmt::Write as _;

use portcullis_core::ruleset::PortRange;

use crate::names::ICMP_NAMES;

/// The version that scripts ask for.
pub(super) const VERSION: &str = "ipchains 1.3.9, 17-Mar-1999";

/// The names of ICMP types, codes indented below their type.
pub(super) fn icmp() -> String {
    let mut text = format!("{VERSION}\n\nValid ICMP Types:\n");
    let mut entries = ICMP_NAMES.iter().peekable();
    while let Some(entry) = entries.next() {
        let indent = match entry.codes {
            PortRange::ALL => "",
            _ => "   ",
        };
        // A synonym stands in brackets behind the name that it stands for.
        let synonym = entries.next_if(|next| next.kind == entry.kind && next.codes == entry.codes);
        let synonym = synonym.map_or(String::new(), |next| format!(" ({})", next.name));
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{indent}{}{synonym}", entry.name);
    }
    text
}

/// The help.
pub(super) const HELP: &str = "\
ipchains 1.3.9, 17-Mar-1999

Usage: ipchains -[AI] CHAIN [NUMBER] CONDITIONS [-j TARGET] [OPTIONS]
       ipchains -R CHAIN NUMBER CONDITIONS [-j TARGET] [OPTIONS]
       ipchains -D CHAIN NUMBER | CONDITIONS [-j TARGET] [OPTIONS]
       ipchains -C CHAIN -s ADDRESS [PORT] -d ADDRESS [PORT] -p PROTOCOL -i NAME
       ipchains -[LFZX] [CHAIN] [OPTIONS]
       ipchains -N CHAIN
       ipchains -P CHAIN POLICY
       ipchains -M -L | -M -S TCP TCPFIN UDP
       ipchains -h [icmp]

Commands (one of them):
  -A, --append CHAIN             add a rule at the end
  -I, --insert CHAIN [NUMBER]    put a rule before rule NUMBER (1)
  -R, --replace CHAIN NUMBER     put a rule in the place of another
  -D, --delete CHAIN [NUMBER]    take a rule out, by number or description
  -C, --check CHAIN              say what would become of a packet
  -L, --list [CHAIN]             show rules
  -F, --flush [CHAIN]            take out all rules
  -Z, --zero [CHAIN]             set counters to zero
  -N, --new-chain CHAIN          make a user chain
  -X, --delete-chain [CHAIN]     remove a user chain, or all
  -P, --policy CHAIN POLICY      set what happens at a built-in chain's end
  -M, --masquerading             with -L or -S: masqueraded connections
  -S, --set TCP TCPFIN UDP       set masquerading timeouts in seconds

Conditions, each after `!' for the opposite:
  -s, --source ADDRESS[/MASK] [PORT[:PORT]]
  -d, --destination ADDRESS[/MASK] [PORT[:PORT]]
      --source-port, --sport PORT[:PORT]
      --destination-port, --dport PORT[:PORT]
      --icmp-type NAME | NUMBER
  -p, --protocol PROTOCOL        number or name
  -i, --interface NAME[+]        a + at the end stands for any ending
  -f, --fragments                second and later fragments
  -y, --syn                      TCP packets that open a connection

Options:
  -j, --jump TARGET              verdict, chain, or REDIRECT [PORT]
  -l, --log                      log packets that match
  -b, --bidirectional            a second rule for the other direction
  -m, --mark [+-]VALUE           mark packets that match
  -t, --TOS AND XOR              change their type of service
  -o, --output [SIZE]            copy them to user space
  -n, --numeric                  no names in listings
  -v, --verbose                  more in listings, and say what is done
  -x, --exact                    counters in full
      --line-numbers             rule numbers in listings
      --no-warnings              no remarks about TOS
  -V, --version                  show the version
";
