//! The golden packet corpora through the reference matcher and through every
//! form of the compiled one, every line.
//!
//! `PORTCULLIS_GOLDEN_PACKETS` and `PORTCULLIS_GOLDEN_REAL` name other folders
//! of the same layouts.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::{env, io};

use libtest_mimic::{Arguments, Failed, Trial};
use parking_lot::Mutex;
use portcullis_classifier::{Classifier, Options, Preference};
use portcullis_core::reference::Reference;
use portcullis_core::ruleset::Ruleset;
use portcullis_testkit::golden::{
    Case, Compared, Difference, RealCorpus, check_packets, check_real, packet_cases, shared_folder,
};

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let compared = Arc::new(Mutex::new(Compared::default()));
    let trials = match packet_trials(&compared).and_then(|mut trials| {
        trials.extend(real_trials(&compared)?);
        Ok(trials)
    }) {
        Ok(trials) => trials,
        Err(error) => {
            eprintln!("golden corpus: {error}");
            return ExitCode::FAILURE;
        }
    };
    let conclusion = libtest_mimic::run(&arguments, trials);
    if !arguments.list {
        let Compared { packets, lines } = *compared.lock();
        let cases = conclusion.num_passed + conclusion.num_failed;
        println!("compared {cases} cases, {packets} packets, {lines} lines");
    }
    conclusion.exit_code()
}

/// The forms of the compiled matcher, by name.
const FORMS: [(&str, Preference); 4] = [
    ("compiled", Preference::Auto),
    ("linear", Preference::Linear),
    ("bit-vector", Preference::BitVector),
    ("tree", Preference::Tree),
];

fn compile(ruleset: Arc<Ruleset>, preference: Preference) -> Classifier {
    let options = Options::from_environment().expect("PORTCULLIS_SIMD names an instruction set");
    Classifier::compile_with(
        ruleset,
        Options {
            preference,
            ..options
        },
    )
    .expect("golden rules compile")
}

fn packet_trials(compared: &Arc<Mutex<Compared>>) -> io::Result<Vec<Trial>> {
    let cases = not_empty(packet_cases()?)?;
    let mut trials = Vec::new();
    for case in cases.into_iter().map(Arc::new) {
        let name = case.name.clone();
        for (form, preference) in FORMS {
            let case = Arc::clone(&case);
            trials.push(trial(
                format!("packets/{name} {form}"),
                compared,
                move || check_packets(&case, |ruleset| compile(ruleset, preference)),
            ));
        }
        trials.push(trial(
            format!("packets/{name} reference"),
            compared,
            move || check_packets(&case, Reference::new),
        ));
    }
    Ok(trials)
}

/// The corpus of real rulesets lies beside the project and does not travel
/// with it.
fn real_trials(compared: &Arc<Mutex<Compared>>) -> io::Result<Vec<Trial>> {
    let named = env::var_os("PORTCULLIS_GOLDEN_REAL").map(PathBuf::from);
    let folder = named
        .clone()
        .unwrap_or_else(|| shared_folder().join("golden/real"));
    if named.is_none() && !folder.exists() && env::var_os("CI").is_none() {
        eprintln!("skipped: {} is not there", folder.display());
        return Ok(Vec::new());
    }
    let corpus = RealCorpus::read(&folder)?;
    let packets = Arc::new(corpus.packets);
    let cases = not_empty(corpus.cases)?;
    let mut trials = Vec::new();
    for case in cases.into_iter().map(Arc::new) {
        let name = case.name.clone();
        for (form, preference) in FORMS {
            let (case, packets) = (Arc::clone(&case), Arc::clone(&packets));
            trials.push(trial(format!("real/{name} {form}"), compared, move || {
                check_real(&case, &packets, |ruleset| compile(ruleset, preference))
            }));
        }
        let packets = Arc::clone(&packets);
        trials.push(trial(
            format!("real/{name} reference"),
            compared,
            move || check_real(&case, &packets, Reference::new),
        ));
    }
    Ok(trials)
}

fn trial(
    name: String,
    compared: &Arc<Mutex<Compared>>,
    check: impl FnOnce() -> Result<Compared, Difference> + Send + 'static,
) -> Trial {
    let compared = Arc::clone(compared);
    Trial::test(name, move || {
        let done = check().map_err(|difference| Failed::from(difference.to_string()))?;
        *compared.lock() += done;
        Ok(())
    })
}

fn not_empty(cases: Vec<Case>) -> io::Result<Vec<Case>> {
    if cases.is_empty() {
        return Err(io::Error::other("there is not a single case"));
    }
    Ok(cases)
}
