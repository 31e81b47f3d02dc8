//! Which of several mistakes is named, and other things that the recorded
//! transcripts hardly touch.

use portcullis_core::ruleset::Ruleset;
use portcullis_syntax::ipchains::{self, Fidelity, Output};
use portcullis_syntax::names::{Names, Resolver};

/// A firewall with some names to look up.
struct Firewall {
    ruleset: Ruleset,
    names: Names,
    fidelity: Fidelity,
}

struct Hosts;

impl Resolver for Hosts {
    fn addresses(&self, name: &str) -> Vec<u32> {
        match name {
            "one" => vec![0x0a00_0001],
            "two" => vec![0x0a00_0001, 0x0a00_0102],
            _ => Vec::new(),
        }
    }

    fn name(&self, address: u32) -> Option<String> {
        (address == 0x0a00_0001).then(|| "one".to_owned())
    }
}

impl Firewall {
    fn new(fidelity: Fidelity) -> Self {
        let mut names = Names::new();
        names.resolve_with(Box::new(Hosts));
        Self {
            ruleset: Ruleset::new(),
            names,
            fidelity,
        }
    }

    fn run(&mut self, line: &str) -> Output {
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        ipchains::run(&words, &mut self.ruleset, &self.names, self.fidelity)
    }

    /// Runs what must succeed, and returns what it printed.
    fn printed(&mut self, line: &str) -> String {
        let output = self.run(line);
        assert_eq!((output.status, output.stderr.as_str()), (0, ""), "{line}");
        output.stdout
    }
}

/// The message that a command line gets in strict mode, or `Try` where there
/// is only the line that points to the help.
fn mistake(arguments: &str) -> String {
    let output = Firewall::new(Fidelity::Strict).run(&format!("ipchains {arguments}"));
    assert_eq!(output.status, 2, "{arguments}: {}", output.stderr);
    let first = output.stderr.lines().next().unwrap_or_default();
    match first.strip_prefix("ipchains: ") {
        Some(message) => message.to_owned(),
        None => "Try".to_owned(),
    }
}

#[test]
fn of_several_mistakes_the_first_checked_is_named() {
    for (arguments, message) in [
        // One option after the other.
        (
            "-A input -j toolongname -Q",
            "Invalid target name `toolongname' (8 chars max)",
        ),
        ("-A input -Q -j toolongname", "invalid option -- 'Q'"),
        (
            "-A input -p FOO -s nosuch",
            "unknown protocol `FOO' specified",
        ),
        ("-A input -p Gre", "unknown protocol `Gre' specified"),
        ("-P foo MASQ", "`-P MASQ' only valid for `forward' chain."),
        ("-P foo DENY", "Can only set policy in built-in chains."),
        ("-P input deny", "Invalid policy `deny' for -P"),
        (
            "-L input -Z -Q",
            "-L with -Z does not allow chain to be specified",
        ),
        // Commands.
        ("-L -Z -F", "Can't use -F with -Z"),
        ("-M -N foo", "Can't use -N with -M"),
        ("-M -M", "Can't use -M with -M"),
        ("-L -S 1 2 3", "Can't use -S with -L"),
        ("! -L", "unexpected ! flag"),
        ("-n !", "no command specified"),
        ("-L !", "nothing appropriate following !"),
        ("-L -- -n", "unknown arguments found on commandline"),
        ("-M -v", "Illegal option `-v' with this command"),
        ("-M", "-M/--masquerading requires -L/--list or -S/--set"),
        // -S takes an argument of its own.
        ("-S", "option requires an argument -- 'S'"),
        ("-S x 2 3", "invalid timeout value `x' specified"),
        ("-S x -2 3", "-S requires 3 timeout values"),
        (
            "--delete-chain",
            "option '--delete-chain' requires an argument",
        ),
        ("--help=icmp", "option '--help' doesn't allow an argument"),
        (
            "--v",
            "option '--v' is ambiguous; possibilities: '--verbose' '--version'",
        ),
        // Addresses and ports come before combinations and the option table.
        ("-L -s nosuch", "host/network `nosuch' not found"),
        ("-L -s 1.2.3.4", "Illegal option `-s' with this command"),
        ("-A input -s nosuch/33", "invalid mask `33' specified"),
        (
            "-A input -s 1.2.3.4/8/16",
            "host/network `1.2.3.4/8' not found",
        ),
        (
            "-A input -s 1.2.3.4 80 -d nosuch",
            "can only specify ports for icmp, tcp or udp",
        ),
        (
            "-A input -p 47 -y --sport 1",
            "can only specify ports for icmp, tcp or udp",
        ),
        (
            "-A input --sport :",
            "no ports allowed without specific protocol",
        ),
        (
            "-A input -p ! tcp -y --sport 1",
            "no ports allowed without specific protocol",
        ),
        (
            "-A input -p tcp -f -y --sport 1",
            "no ports allowed with -f",
        ),
        ("-A input -p tcp -f -y", "-y not allowed with -f"),
        ("-A input -p udp -y -f", "-y only allowed with TCP protocol"),
        (
            "-A input -p icmp --icmp-type ping -f",
            "no ports allowed with -f",
        ),
        (
            "-A input -p icmp --sport ! ping --dport 0",
            "Can't use ICMP name and destination port together",
        ),
        (
            "-A input -p icmp --sport 8:foo",
            "invalid ICMP type `foo' specified",
        ),
        ("-A toolongname -p tcp -y -f", "-y not allowed with -f"),
        ("-A toolongname -n", "Illegal option `-n' with this command"),
        (
            "-A output -p tcp -j REDIRECT foo",
            "redirect not allowed for output and forward chains",
        ),
        (
            "-A toolongname -p tcp -j REDIRECT foo",
            "chain name `toolongname' too long (must be under 8 chars)",
        ),
        (
            "-A x -p tcp -j REDIRECT foo -t 00 00",
            "invalid port/service `foo' specified",
        ),
        (
            "-A x -p tcp -j REDIRECT -t 00 00",
            "TOS manipulation cannot alter bit 0 (RFC1349)",
        ),
        // Inversions.
        (
            "-A input -s 1.2.3.4 ! ! 80",
            "multiple consecutive ! not allowed",
        ),
        ("-A input -s !", "Try"),
        ("-A input -i !", "nothing appropriate following !"),
        (
            "-A input ! --no-warnings",
            "cannot have ! before --no-warnings",
        ),
        ("-L ! --line-numbers", "cannot have ! before --line-numbers"),
        (
            "-L --line-numbers --line-numbers",
            "multiple -3 flags not allowed",
        ),
        // -C.
        (
            "-C input -p tcp -i lo",
            "one port required with source/destination address for -C",
        ),
        (
            "-C input -p tcp --sport 1 -d 1.1.1.1 2 -i lo",
            "You need to supply the `-s' option for this command",
        ),
        (
            "-C input -p ! tcp -s 1.1.1.1 -d 2.2.2.2 -i lo -f",
            "! not allowed with -C",
        ),
        (
            "-C input -p icmp -s 1.1.1.1 redirect -d 2.2.2.2 -i ! lo",
            "Must specify exact ICMP type for testing",
        ),
        (
            "-C input -n -j MASQ",
            "masquerading not allowed for input and output chains",
        ),
        // Several addresses.
        (
            "-A input -s ! two",
            "! not allowed with multiple source or destination IP addresses",
        ),
        (
            "-A input -s two -b",
            "-b not allowed with multiple source or destination IP addresses",
        ),
        (
            "-R input 1 -s two",
            "Replacement rule does not specify a unique address",
        ),
        // A stray word.
        ("-A input foo", "Try"),
        ("input", "Try"),
        ("-A input -o ", "-o argument must be 0-65535, not `'"),
        ("-A input -m --5", "Bad value `--5' for -m."),
    ] {
        assert_eq!(mistake(arguments), message, "{arguments}");
    }
}

#[test]
fn mistakes_name_the_program_as_it_was_called() {
    let output = Firewall::new(Fidelity::Repaired).run("/sbin/ipchains -L -Q");
    assert_eq!(
        output.stderr,
        "/sbin/ipchains: invalid option -- 'Q'\n\
         Try `/sbin/ipchains -h' or '/sbin/ipchains --help' for more information.\n"
    );
    let output = Firewall::new(Fidelity::Repaired).run("/sbin/ipchains -N input");
    assert_eq!(output.stderr, "ipchains: Chain already exists\n");
}

#[test]
fn numbers_are_read_as_the_c_library_reads_them() {
    let mut firewall = Firewall::new(Fidelity::Repaired);
    firewall.printed("ipchains -A input -p +6 -s +1.2.3.4/+8 --dport 080 -m ++010 -t 0x01 +10");
    let listed = firewall.printed("ipchains -L input -n -v");
    let row = listed.lines().last().unwrap_or_default();
    let words: Vec<&str> = row.split_whitespace().collect();
    let expected = "0 0 - tcp ------ 0x01 0x10 * 0x8 1.0.0.0/8 0.0.0.0/0 * -> 80";
    assert_eq!(words.join(" "), expected);
}

#[test]
fn hosts_with_several_addresses_make_several_rules() {
    let mut firewall = Firewall::new(Fidelity::Repaired);
    firewall.printed("ipchains -A input -s two -d two -j DENY");
    assert_eq!(firewall.ruleset.rule_count(), 4);
    // Under one mask the two are the same network.
    firewall.printed("ipchains -I input -s two/16 -p tcp --dport smtp");
    assert_eq!(firewall.ruleset.rule_count(), 5);
    let listed = firewall.printed("ipchains -L input");
    let row = listed.lines().nth(2).unwrap_or_default();
    assert_eq!(
        row,
        "-          tcp  ------  10.0.0.0/16          anywhere              any ->   smtp"
    );
    assert!(listed.contains("  one                  one                   n/a\n"));
    firewall.printed("ipchains -D input -s two -d two -j DENY");
    assert_eq!(firewall.ruleset.rule_count(), 1);
}

#[test]
fn printing_a_rule_changed_it_in_the_original() {
    let line = "ipchains -v -A input -i eth+ -s 1.1.1.1 -d 2.2.2.2 -b";
    let interfaces = |fidelity| {
        let mut firewall = Firewall::new(fidelity);
        let printed = firewall.printed(line);
        let rules = firewall.ruleset.chains()[0].rules().iter();
        let kept = rules.map(|rule| rule.conditions.interface.value.name().to_string());
        (printed, kept.collect::<Vec<_>>())
    };
    let (printed, kept) = interfaces(Fidelity::Repaired);
    assert_eq!(printed.matches("via eth+ ").count(), 2);
    assert_eq!(kept, ["eth", "eth"]);
    let (printed, kept) = interfaces(Fidelity::Strict);
    assert!(printed.contains("via eth+ ") && printed.contains("via eth++ "));
    assert_eq!(kept, ["eth+", "eth++"]);
}

#[test]
fn sixteen_characters_are_too_many_for_an_interface() {
    let line = "ipchains -A input -i abcdefghijklmnop";
    assert_eq!(Firewall::new(Fidelity::Strict).run(line).status, 0);
    assert_eq!(Firewall::new(Fidelity::Repaired).run(line).status, 2);
    let line = "ipchains -A input -i abcdefghijklmno+";
    assert_eq!(Firewall::new(Fidelity::Repaired).run(line).status, 0);
}

#[test]
fn a_check_of_a_missing_chain_says_so_once() {
    let line = "ipchains -v -b -C x -p udp -s 1.1.1.1 1 -d 2.2.2.2 2 -i lo";
    let output = Firewall::new(Fidelity::Repaired).run(line);
    assert_eq!(output.stdout.lines().count(), 2);
    assert_eq!(output.stderr, "ipchains: No chain by that name\n");
}
