//! Loads files of rules and shows what is wrong with them.

use std::fs;
use std::io::IsTerminal;
use std::ops::Range;
use std::path::Path;

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};
use anyhow::{Context, anyhow};
use portcullis_core::ruleset::Ruleset;
use portcullis_syntax::names::Names;
use portcullis_syntax::script::{self, Mistake, Printed, Script};

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

/// Loads rules. Mistakes go to standard error; where they are not tolerated,
/// there is no ruleset.
pub(crate) fn load(
    path: &Path,
    on_mistake: OnMistake,
    hosts: Hosts,
) -> anyhow::Result<Option<Ruleset>> {
    let file = path.display().to_string();
    let bytes = fs::read(path).with_context(|| format!("cannot read the rules {file}"))?;
    // Old scripts have comments in old encodings.
    let source = String::from_utf8_lossy(&bytes);
    if source.contains('\0') {
        return Err(anyhow!("{file} is not a text file of rules"));
    }
    let mut names = Names::new();
    if let Ok(services) = fs::read_to_string(SERVICES) {
        names.add_services(&services);
    }
    if hosts == Hosts::LookedUp {
        names.resolve_with(Box::new(SystemResolver));
    }
    let script = script::read(&source, &names);
    let shown = Shown::new(&file, &source);
    match on_mistake {
        OnMistake::KeepGoing => shown.report(&script),
        OnMistake::Refuse => shown.explain(&script),
    }
    let usable = on_mistake == OnMistake::KeepGoing || script.mistakes.is_empty();
    Ok(usable.then_some(script.ruleset))
}

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

    /// Quotes the line of every mistake, with a caret and advice.
    fn explain(&self, script: &Script) {
        let renderer = if std::io::stderr().is_terminal() {
            Renderer::styled()
        } else {
            Renderer::plain()
        };
        for printed in &script.printed {
            for warning in warnings(printed) {
                eprintln!(
                    "{}\n",
                    self.snippet(&renderer, Level::WARNING, warning, &printed.span, None)
                );
            }
        }
        for mistake in &script.mistakes {
            let Mistake {
                message,
                span,
                hint,
                ..
            } = mistake;
            eprintln!(
                "{}\n",
                self.snippet(&renderer, Level::ERROR, message, span, hint.as_deref())
            );
        }
        if !script.mistakes.is_empty() {
            let (file, commands) = (self.file, script.commands);
            let wrong = script.mistakes.len();
            eprintln!("{file}: {wrong} of {commands} commands are wrong; nothing was judged");
        }
    }

    fn snippet(
        &self,
        renderer: &Renderer,
        level: Level<'_>,
        title: &str,
        span: &Range<usize>,
        hint: Option<&str>,
    ) -> String {
        let line = self.line(span.start);
        let inside = span.start - line.start..span.end.min(line.end) - line.start;
        let snippet = Snippet::source(&self.source[line.clone()])
            .path(self.file)
            .line_start(self.line_number(line.start))
            .annotation(AnnotationKind::Primary.span(inside));
        let mut group = level.primary_title(title).element(snippet);
        if let Some(hint) = hint {
            group = group.element(Level::HELP.message(hint));
        }
        renderer.render(&[group])
    }

    /// Says what the shell would have shown: which command failed, and how.
    fn report(&self, script: &Script) {
        for printed in &script.printed {
            let number = self.line_number(printed.span.start);
            for warning in warnings(printed) {
                eprintln!("{}:{number}: {warning}", self.file);
            }
        }
        for mistake in &script.mistakes {
            let number = self.line_number(mistake.span.start);
            eprintln!("{}:{number}: {}", self.file, mistake.command.trim());
            for line in mistake.report.lines() {
                eprintln!("    {line}");
            }
        }
        if !script.mistakes.is_empty() {
            let (file, commands) = (self.file, script.commands);
            let failed = script.mistakes.len();
            eprintln!("{file}: {failed} of {commands} commands failed and were skipped");
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
