//! Asking a person, one group at a time.

use std::io::{self, BufRead, Write};

/// What came of it: the groups that are wanted, or nothing.
pub(super) type Answer = Option<Vec<usize>>;

const HELP: &str = "  y  let it through      n  keep it shut\n  \
                    u  undo the last answer\n  q  quit, nothing is written\n";

/// Asks about each of `groups`; `describe` says what letting it through means.
/// `None` if the person quits, or the
/// input ends.
pub(super) fn ask(
    groups: &[usize],
    input: &mut impl BufRead,
    out: &mut impl Write,
    describe: impl Fn(usize) -> anyhow::Result<String>,
) -> anyhow::Result<Answer> {
    let mut answers: Vec<bool> = Vec::new();
    let wanted = |answers: &[bool]| -> Vec<usize> {
        let said = groups.iter().zip(answers).filter(|(_, yes)| **yes);
        said.map(|(group, _)| *group).collect()
    };
    let mut shown = None;
    while let Some(group) = groups.get(answers.len()) {
        if shown != Some(answers.len()) {
            write!(out, "{}", describe(*group)?)?;
            shown = Some(answers.len());
        }
        let (number, of) = (answers.len() + 1, groups.len());
        write!(out, "Let it through? ({number} of {of}) [y,n,u,q,?] ")?;
        out.flush()?;
        match answer(input)?.as_deref() {
            None | Some("q") => {
                writeln!(out, "Nothing is changed.")?;
                return Ok(None);
            }
            Some("y") => answers.push(true),
            Some("n") => answers.push(false),
            Some("u") if answers.pop().is_none() => {
                writeln!(out, "There is nothing to undo.")?;
            }
            Some("u") => {}
            Some(_) => write!(out, "{HELP}")?,
        }
    }
    Ok(Some(wanted(&answers)))
}

/// A line; `None` at the end.
fn answer(input: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut line = String::new();
    let count = input.read_line(&mut line)?;
    Ok((count > 0).then(|| line.trim().to_ascii_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(typed: &str) -> (Answer, String) {
        let mut out = Vec::new();
        let answer = ask(&[3, 5, 8], &mut typed.as_bytes(), &mut out, |group| {
            Ok(format!("<{group}>"))
        });
        (answer.unwrap(), String::from_utf8(out).unwrap())
    }

    #[test]
    fn answers_are_taken_in_order() {
        assert_eq!(asked("y\nn\ny\n").0, Some(vec![3, 8]));
        assert_eq!(asked("n\nn\nn\n").0, Some(vec![]));
    }

    #[test]
    fn the_last_answer_can_be_taken_back() {
        let (answer, shown) = asked("u\ny\ny\nu\nu\nn\ny\nn\n");
        assert_eq!(answer, Some(vec![5]));
        assert!(shown.contains("nothing to undo"));
        assert_eq!(shown.matches("<3>").count(), 2);
        assert_eq!(shown.matches("<5>").count(), 3);
    }

    #[test]
    fn who_quits_has_said_nothing() {
        for typed in ["y\ny\nq\n", "y\ny\n", "", "q\n", "y\n?\nQ\n"] {
            assert_eq!(asked(typed).0, None, "{typed}");
        }
    }
}
