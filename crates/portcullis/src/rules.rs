//! Loads files of rules and shows what is wrong with them.

use std::fs;
use std::io::{self, IsTerminal, Read as _};
use std::ops::Range;
use std::path::Path;

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};
use anyhow::{Context, anyhow};
use portcullis_core::names::ChainName;
use portcullis_core::ruleset::Ruleset;
use portcullis_syntax::ipchains::Fidelity;
use portcullis_syntax::names::Names;
use portcullis_syntax::script::{self, MistakeKind, Printed, Script};

use crate::report::stderr::{printable, tell};
use crate::resolve::SystemResolver;

/// What to do about commands that fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OnMistake {
    /// Use nothing of the file.
    Refuse,
    /// Report them in ipchains' words and go on, as a shell does.
    KeepGoing,
}

/// Whether host names are looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hosts {
    LookedUp,
    Refused,
}

const SERVICES: &str = "/etc/services";

/// A file of rules that was read, for commands that point into it.
pub(crate) struct RuleFile {
    /// Its name, fit to be shown.
    pub(crate) name: String,
    /// Its text.
    pub(crate) source: String,
    /// What it says.
    pub(crate) script: Script,
}

impl RuleFile {
    /// Where a rule comes from, as `FILE:LINE`; `number` counts from 0.
    pub(crate) fn place(&self, chain: &ChainName, number: usize) -> String {
        self.place_of(self.script.origins.rule(chain, number))
    }

    /// `FILE:LINE` of some bytes; of nothing in particular, `FILE`.
    pub(crate) fn place_of(&self, span: Option<&Range<usize>>) -> String {
        match self.line_of(span) {
            Some(line) => format!("{}:{line}", self.name),
            None => self.name.clone(),
        }
    }

    /// The number of the line where some bytes begin, from 1.
    pub(crate) fn line_of(&self, span: Option<&Range<usize>>) -> Option<usize> {
        let before = self.source.get(..span?.start)?;
        Some(before.matches('\n').count() + 1)
    }

    /// Quotes the line of some bytes with a caret, or just names the file.
    pub(crate) fn quote<'b>(
        &self,
        renderer: &Renderer,
        level: Level<'b>,
        title: &'b str,
        span: Option<&Range<usize>>,
        notes: Vec<(Level<'b>, &'b str)>,
    ) -> String {
        match span {
            Some(span) => {
                let shown = Shown::new(&self.name, &self.source);
                shown.snippet(renderer, level, title, span, notes)
            }
            None => {
                let notes = notes.into_iter().map(|(level, note)| level.message(note));
                let group = level.primary_title(title).elements(notes);
                renderer.render(&[group])
            }
        }
    }

    /// A rule's command as it stands in the file, on one line.
    pub(crate) fn command(&self, chain: &ChainName, number: usize) -> String {
        let span = self.script.origins.rule(chain, number);
        let text = span.and_then(|span| self.source.get(span.clone()));
        let words = text.unwrap_or_default().split_whitespace();
        let words: Vec<&str> = words.filter(|word| *word != "\\").collect();
        printable(&words.join(" "))
    }
}

/// Loads rules; `-` is standard input. Mistakes go to standard error; where
/// they are not tolerated, there is no ruleset.
pub(crate) fn load(
    path: &Path,
    on_mistake: OnMistake,
    hosts: Hosts,
) -> anyhow::Result<Option<Ruleset>> {
    let loaded = load_file(path, on_mistake, hosts, "nothing was judged")?;
    Ok(loaded.map(|it| it.script.ruleset))
}

/// Loads rules with their places; `outcome` says what mistakes mean.
pub(crate) fn load_file(
    path: &Path,
    on_mistake: OnMistake,
    hosts: Hosts,
    outcome: &str,
) -> anyhow::Result<Option<RuleFile>> {
    let file = printable(&path.display().to_string());
    let source = read(path).with_context(|| format!("cannot read the rules {file}"))?;
    if source.contains('\0') {
        return Err(anyhow!("{file} is not a text file of rules"));
    }
    let mut names = names();
    if hosts == Hosts::LookedUp {
        names.resolve_with(Box::new(SystemResolver));
    }
    // Who keeps going wants what a shell and ipchains made of the file.
    let fidelity = match on_mistake {
        OnMistake::KeepGoing => Fidelity::Strict,
        OnMistake::Refuse => Fidelity::Repaired,
    };
    let script = script::read_as(&source, &names, fidelity);
    let decided = script
        .mistakes
        .iter()
        .all(|mistake| mistake.kind == MistakeKind::Failed);
    if script.commands == 0 {
        tell(format_args!(
            "{file}: there is no command in it; every packet meets the policy ACCEPT"
        ));
    }
    match on_mistake {
        OnMistake::KeepGoing if decided => {
            Shown::new(&file, &source).report(&script);
        }
        _ => {
            let text = explain(&file, &source, &script, outcome);
            if !text.is_empty() {
                tell(format_args!("{}", text.trim_end()));
            }
            if !script.mistakes.is_empty() {
                return Ok(None);
            }
        }
    }
    Ok(Some(RuleFile {
        name: file,
        source,
        script,
    }))
}

/// Reads a file of rules, or standard input.
fn read(path: &Path) -> io::Result<String> {
    let bytes = if path == Path::new("-") {
        let mut bytes = Vec::new();
        io::stdin().read_to_end(&mut bytes)?;
        bytes
    } else {
        fs::read(path)?
    };
    Ok(decode(bytes))
}

/// Reads a text of 1999: in Latin-1 if it is not UTF-8, with the line ends of
/// any system.
pub(crate) fn decode(bytes: Vec<u8>) -> String {
    let text = match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => error.into_bytes().into_iter().map(char::from).collect(),
    };
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    if text.contains('\n') {
        text.to_owned()
    } else {
        text.replace('\r', "\n")
    }
}

/// The built-in names and this machine's services.
pub(crate) fn names() -> Names {
    let mut names = Names::new();
    add_services(&mut names);
    names
}

/// Adds this machine's services to the built-in ones.
pub(crate) fn add_services(names: &mut Names) {
    if let Ok(services) = fs::read_to_string(SERVICES) {
        names.add_services(&services);
    }
}

/// Quotes the line of every mistake and remark, with a caret and advice, and
/// says at the end what came of it.
pub(crate) fn explain(file: &str, source: &str, script: &Script, outcome: &str) -> String {
    Shown::new(file, source).explain(script, outcome)
}

/// Mistakes that are quoted: a file with more is hardly one of rules.
const MOST_QUOTED: usize = 30;

/// A file of rules, to be quoted from.
struct Shown<'a> {
    file: &'a str,
    source: &'a str,
    /// Byte offset of each line's first character.
    lines: Vec<usize>,
}

impl<'a> Shown<'a> {
    fn new(file: &'a str, source: &'a str) -> Self {
        let ends = source.match_indices('\n').map(|(end, _)| end + 1);
        Self {
            file,
            source,
            lines: std::iter::once(0).chain(ends).collect(),
        }
    }

    fn explain(&self, script: &Script, outcome: &str) -> String {
        let renderer = if std::io::stderr().is_terminal() {
            Renderer::styled()
        } else {
            Renderer::plain()
        };
        let mut text = String::new();
        for printed in &script.printed {
            for warning in warnings(printed) {
                text += &self.snippet(&renderer, Level::WARNING, warning, &printed.span, vec![]);
                text += "\n\n";
            }
        }
        for mistake in script.mistakes.iter().take(MOST_QUOTED) {
            let (message, span) = (&mistake.message, &mistake.span);
            let hint = mistake.hint.as_deref().map(|hint| (Level::HELP, hint));
            let hint = hint.into_iter().collect();
            text += &self.snippet(&renderer, Level::ERROR, message, span, hint);
            text += "\n\n";
        }
        let more = script.mistakes.len().saturating_sub(MOST_QUOTED);
        if more > 0 {
            text += &format!("and {more} more that are wrong\n");
        }
        if !script.mistakes.is_empty() {
            let (file, commands) = (self.file, script.commands);
            let wrong = script.mistakes.len();
            text += &format!("{file}: {wrong} of {commands} commands are wrong; {outcome}\n");
        }
        text
    }

    fn snippet<'b>(
        &self,
        renderer: &Renderer,
        level: Level<'b>,
        title: &'b str,
        span: &Range<usize>,
        notes: Vec<(Level<'b>, &'b str)>,
    ) -> String {
        let line = self.line(span.start);
        let inside = span.start - line.start..span.end.min(line.end) - line.start;
        let snippet = Snippet::source(&self.source[line.clone()])
            .path(self.file)
            .line_start(self.line_number(line.start))
            .annotation(AnnotationKind::Primary.span(inside));
        let notes = notes.into_iter().map(|(level, note)| level.message(note));
        let group = level.primary_title(title).element(snippet);
        let group = group.elements(notes);
        renderer.render(&[group])
    }

    /// Says what the shell would have shown: which command failed, and how.
    fn report(&self, script: &Script) {
        for printed in &script.printed {
            let number = self.line_number(printed.span.start);
            for warning in warnings(printed) {
                tell(format_args!("{}:{number}: {warning}", self.file));
            }
        }
        for mistake in &script.mistakes {
            let number = self.line_number(mistake.span.start);
            let command = printable(mistake.command.trim());
            tell(format_args!("{}:{number}: {command}", self.file));
            for line in mistake.report.lines() {
                tell(format_args!("    {}", printable(line)));
            }
        }
        if !script.mistakes.is_empty() {
            let (file, commands) = (self.file, script.commands);
            let failed = script.mistakes.len();
            tell(format_args!(
                "{file}: {failed} of {commands} commands failed and were skipped"
            ));
        }
    }

    /// The bytes of the line around `at`, without its end.
    fn line(&self, at: usize) -> Range<usize> {
        let start = self.lines[self.line_number(at) - 1];
        let rest = &self.source[start..];
        let line = rest.split('\n').next().unwrap_or_default();
        start..start + line.trim_end_matches('\r').len()
    }

    /// Counted from 1.
    fn line_number(&self, at: usize) -> usize {
        self.lines.partition_point(|start| *start <= at)
    }
}

/// The remarks among what a command printed; its listings are left out, for
/// no packet has been judged yet.
fn warnings(printed: &Printed) -> impl Iterator<Item = &str> {
    let lines = printed.text.lines();
    lines.filter_map(|line| line.strip_prefix("Warning: "))
}
