//! The commands of a script in the order in which a shell runs them: one after the other, and those
//! in `for` loops over words again and again.

use std::ops::Range;

use super::words::{Line, Lines, ShellError, Variables, Word};

/// Commands and turns of loops, at most: loops in loops multiply.
const MOST_IN_LOOPS: usize = 1 << 16;

/// The commands of a script, each as its words.
#[derive(Debug)]
pub struct Commands<'a> {
    lines: Vec<Line<'a>>,
    at: Place,
    variables: Variables,
    /// A loop whose `do` has not come yet.
    begun: Option<Loop>,
    /// The loops that the place is in, the outermost first.
    loops: Vec<Loop>,
    /// How many commands and turns there were in loops.
    in_loops: usize,
}

/// A place in a script.
#[derive(Clone, Copy, Debug, Default)]
struct Place {
    line: usize,
    /// Bytes into it.
    at: usize,
}

#[derive(Debug)]
struct Loop {
    name: String,
    values: Vec<String>,
    /// The value that is the variable's now.
    turn: usize,
    /// Where the commands begin.
    body: Place,
    /// The word `for`.
    span: Range<usize>,
}

impl<'a> Commands<'a> {
    /// The commands of a whole file.
    pub fn new(source: &'a str) -> Self {
        Self {
            lines: Lines::new(source).collect(),
            at: Place::default(),
            variables: Variables::default(),
            begun: None,
            loops: Vec::new(),
            in_loops: 0,
        }
    }

    /// The variables of the loops that the last command stands in: ` (i is eth0)`; nothing outside
    /// of loops.
    pub fn turns(&self) -> String {
        if self.loops.is_empty() {
            return String::new();
        }
        let turns = self.loops.iter();
        let turns = turns.map(|it| format!("{} is {}", it.name, it.values[it.turn]));
        format!(" ({})", turns.collect::<Vec<_>>().join(", "))
    }

    /// What is left of a script that ended.
    fn end(&mut self) -> Option<ShellError> {
        let open = self.begun.take().or_else(|| self.loops.pop())?;
        self.loops.clear();
        Some(ShellError {
            message: "this loop has no end".to_owned(),
            span: open.span,
            hint: "write it as `for NAME in WORD...; do', commands, `done'",
        })
    }

    /// Goes on behind the `do` of a loop that was begun, if it comes here; `false` if the line is
    /// at its end.
    fn enter(&mut self, line: Line<'a>) -> Result<bool, ShellError> {
        let (word, end) = line.first_word(self.at.at);
        match word {
            "" => return Ok(false),
            "do" => {}
            _ => {
                self.begun = None;
                return Err(ShellError {
                    message: format!("`do' must stand here, not `{word}'"),
                    span: line.span(end - word.len()..end),
                    hint: "write `for NAME in WORD...; do'",
                });
            }
        }
        self.at.at = end;
        if let Some(mut begun) = self.begun.take() {
            begun.body = self.at;
            self.variables.set(&begun.name, &begun.values[0]);
            self.loops.push(begun);
        }
        Ok(true)
    }

    /// Goes back to the begin of the innermost loop, or on behind it.
    fn turn(&mut self) {
        let Some(innermost) = self.loops.last_mut() else {
            return;
        };
        innermost.turn += 1;
        match innermost.values.get(innermost.turn) {
            Some(value) => {
                self.variables.set(&innermost.name, value);
                self.at = innermost.body;
            }
            None => {
                self.loops.pop();
            }
        }
    }

    fn too_many(&mut self) -> ShellError {
        self.at.line = self.lines.len();
        let outermost = self.loops.drain(..).next();
        ShellError {
            message: format!("this loop makes more than {MOST_IN_LOOPS} commands"),
            span: outermost.map_or(0..0, |it| it.span),
            hint: "write fewer",
        }
    }
}

impl Iterator for Commands<'_> {
    type Item = Result<Vec<Word>, ShellError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let Some(line) = self.lines.get(self.at.line).copied() else {
                return self.end().map(Err);
            };
            if self.begun.is_some() {
                match self.enter(line) {
                    Ok(true) => {}
                    Ok(false) => {
                        self.at = Place {
                            line: self.at.line + 1,
                            at: 0,
                        };
                        continue;
                    }
                    Err(error) => return Some(Err(error)),
                }
            }
            let (words, next) = match self.variables.command(line, self.at.at) {
                Ok(Some(found)) => found,
                end => {
                    self.at = Place {
                        line: self.at.line + 1,
                        at: 0,
                    };
                    match end {
                        Err(error) => return Some(Err(error)),
                        _ => continue,
                    }
                }
            };
            self.at.at = next;
            if !self.loops.is_empty() && !words.is_empty() {
                self.in_loops += 1;
                if self.in_loops > MOST_IN_LOOPS {
                    return Some(Err(self.too_many()));
                }
            }
            match words.as_slice() {
                [] => {}
                [word, rest @ ..] if word.is("for") => match begin(word, rest) {
                    Ok(begun) => self.begun = Some(begun),
                    Err(error) => return Some(Err(error)),
                },
                [word] if word.is("done") && !self.loops.is_empty() => self.turn(),
                _ => return Some(Ok(words)),
            }
        }
    }
}

/// A loop over words that are known.
fn begin(word: &Word, rest: &[Word]) -> Result<Loop, ShellError> {
    let refused = |message: &str, at: &Word| ShellError {
        message: message.to_owned(),
        span: at.span.clone(),
        hint: "write it as `for NAME in WORD...; do', with the words that the shell would find",
    };
    let [name, preposition, values @ ..] = rest else {
        return Err(refused("this loop names no words", word));
    };
    if !preposition.is("in") || values.is_empty() {
        return Err(refused("this loop names no words", word));
    }
    // A shell would look for files, or make several words of one.
    let sign = |word: &&Word| word.text.contains(['*', '?', '[', '{', '~']);
    if let Some(found) = values.iter().find(sign) {
        return Err(refused("a shell might make other words of this", found));
    }
    Ok(Loop {
        name: name.text.clone(),
        values: values.iter().map(|value| value.text.clone()).collect(),
        turn: 0,
        body: Place::default(),
        span: word.span.clone(),
    })
}
