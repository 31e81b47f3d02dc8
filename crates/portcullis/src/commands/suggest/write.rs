//! A file of rules with more rules in it.

use std::fs;
use std::io::Write as _;
use std::path::Path;

use anyhow::Context;
use portcullis_analysis::suggest::Plan;
use portcullis_syntax::save::{Form, save_as};
use portcullis_syntax::script;

use super::show::Shown;
use crate::report::rule_words::rule_words;
use crate::rules::{self, RuleFile};

/// The text with the rules of a plan: the file as it is with a line for each,
/// or save text if the file's own order would make something else of it.
pub(super) fn text(rules: &RuleFile, plan: &Plan, shown: &Shown<'_>) -> String {
    let edited = edited(rules, plan, shown);
    let read = script::read(&edited, &rules::names());
    if read.mistakes.is_empty() && read.ruleset == plan.ruleset {
        return edited;
    }
    format!(
        "# Written anew: lines put into {} would not have had the same effect.\n{}",
        rules.name,
        save_as(&plan.ruleset, Form::Lossless)
    )
}

fn edited(rules: &RuleFile, plan: &Plan, shown: &Shown<'_>) -> String {
    let mut lines: Vec<(usize, String)> = Vec::new();
    for added in &plan.added {
        let origins = &rules.script.origins;
        let origin = origins.rule(&added.chain, added.before - 1);
        let at = origin.map_or(rules.source.len(), |span| {
            let before = &rules.source[..span.start];
            before.rfind('\n').map_or(0, |end| end + 1)
        });
        let any = origin.or_else(|| origins.rule(&added.chain, 0));
        let command = any.and_then(|span| rules.source.get(span.clone()));
        // The program as the file calls it; save text leaves it out.
        let program = match command.and_then(|it| it.split_whitespace().next()) {
            Some(word) if word.starts_with('-') => String::new(),
            Some(word) => format!("{word} "),
            None if rules.source.contains("ipchains ") => "ipchains ".to_owned(),
            None => String::new(),
        };
        let (chain, words) = (added.chain, rule_words(&added.rule));
        let why = shown.titles(&added.groups);
        lines.push((at, format!("# {why}\n{program}-A {chain} {words}\n")));
    }
    // From the end, so that the places before stay.
    lines.sort_by_key(|(at, _)| *at);
    let mut text = rules.source.clone();
    for (at, line) in lines.into_iter().rev() {
        let separator = match at == text.len() && !text.is_empty() && !text.ends_with('\n') {
            true => "\n",
            false => "",
        };
        text.insert_str(at, &format!("{separator}{line}"));
    }
    text
}

/// Puts a file in its place when it is whole.
pub(super) fn replace(path: &Path, text: &str) -> anyhow::Result<()> {
    let name = path.display();
    let mut new = path.as_os_str().to_owned();
    new.push(format!(".{}.new", std::process::id()));
    let new = Path::new(&new);
    let write = || -> std::io::Result<()> {
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(new)?;
        if let Ok(old) = fs::metadata(path) {
            file.set_permissions(old.permissions())?;
        }
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(new, path)
    };
    let written = write();
    if written.is_err() {
        let _ = fs::remove_file(new);
    }
    written.with_context(|| format!("cannot write {name}"))
}
