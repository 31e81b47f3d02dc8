//! Loops run their commands as a real shell does: the same words in the same order.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::io::Write as _;
use std::process::{Command, Stdio};

use portcullis_syntax::script::Commands;
use portcullis_testkit::generate::Random;

/// The commands as a shell runs them, each with its words in brackets.
fn by_a_shell(script: &str) -> String {
    let mut shell = Command::new("sh")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let spoken = format!("ipchains() {{ printf '[%s]' \"$@\"; echo; }}\nset -f\n{script}");
    shell
        .stdin
        .take()
        .unwrap()
        .write_all(spoken.as_bytes())
        .unwrap();
    String::from_utf8(shell.wait_with_output().unwrap().stdout).unwrap()
}

fn by_us(script: &str) -> String {
    let mut text = String::new();
    for command in Commands::new(script) {
        for word in &command.unwrap()[1..] {
            text += &format!("[{}]", word.text);
        }
        text += "\n";
    }
    text
}

/// A script with loops in loops, written in many ways.
fn script(random: &mut Random, depth: usize, names: &mut Vec<String>) -> String {
    let mut text = String::new();
    for _ in 0..1 + random.below(3) {
        let name = names
            .get(random.below(names.len() as u32) as usize)
            .cloned();
        let value = name.map_or("7".to_owned(), |name| {
            random.pick(&["$", "${"]).to_owned() + &name
        });
        let value = if value.starts_with("${") {
            value + "}"
        } else {
            value
        };
        match random.below(if depth < 3 { 6 } else { 4 }) {
            0 => text += &format!("ipchains -A input -s {value}\n"),
            1 => text += &format!("ipchains -A \"{value} x\" 'a b'; ipchains -F # {value}\n"),
            2 => text += &format!("V{}=\"1 {value}\"\n", random.below(2)),
            3 => text += &format!("  ipchains -I $V0 \\\n    {value}$V1\n"),
            _ => {
                let variable = format!("n{}", random.below(4));
                let words =
                    random.pick(&["a b c", "10.0.0.0/8 'x y' \"z\"", "$V0", "\"$V1\" q", "one"]);
                let opening = random.pick(&["; do\n", "\ndo\n", "\n# why\n do ", "; do "]);
                names.push(variable.clone());
                let body = script(random, depth + 1, names);
                let done = random.pick(&["done\n", "  done # with it\n", "done;\n"]);
                text += &format!("for {variable} in {words}{opening}{body}{done}");
            }
        }
    }
    text
}

#[test]
fn loops_are_those_of_a_shell() {
    let mut lines = 0;
    for seed in 0..600 {
        let random = &mut Random::new(seed);
        let text = script(random, 0, &mut vec!["n0".to_owned()]);
        let text = format!("V0=first\nV1='second third'\nn0= n1=1 n2=2 n3=3\n{text}");
        let expected = by_a_shell(&text);
        assert_eq!(by_us(&text), expected, "seed {seed}:\n{text}");
        lines += expected.lines().count();
    }
    assert!(lines > 3000, "only {lines}");
}
