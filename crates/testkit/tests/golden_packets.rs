//! The golden packet corpora through the reference matcher, every line.
//!
//! `PORTCULLIS_GOLDEN_PACKETS` and `PORTCULLIS_GOLDEN_REAL` name other folders
//! of the same layouts.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::{env, io};

use libtest_mimic::{Arguments, Failed, Trial};
use parking_lot::Mutex;
use portcullis_core::reference::Reference;
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

fn packet_trials(compared: &Arc<Mutex<Compared>>) -> io::Result<Vec<Trial>> {
    let cases = not_empty(packet_cases()?)?;
    Ok(cases
        .into_iter()
        .map(|case| {
            trial(format!("packets/{}", case.name), compared, move || {
                check_packets(&case, Reference::new)
            })
        })
        .collect())
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
    Ok(cases
        .into_iter()
        .map(|case| {
            let packets = Arc::clone(&packets);
            trial(format!("real/{}", case.name), compared, move || {
                check_real(&case, &packets, Reference::new)
            })
        })
        .collect())
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
