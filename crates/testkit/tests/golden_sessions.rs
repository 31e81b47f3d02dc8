//! The golden transcripts: every command and packet, against a firewall in
//! memory that repeats the original's mistakes.
//!
//! `PORTCULLIS_GOLDEN_SESSIONS` names another folder of `*.session` files.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::io;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};

use libtest_mimic::{Arguments, Failed, Trial};
use portcullis_testkit::golden::{Session, SessionCompared, check_session, sessions};

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let compared = Arc::new(Mutex::new(SessionCompared::default()));
    let trials = match corpus() {
        Ok(sessions) => sessions
            .into_iter()
            .map(|session| trial(session, &compared))
            .collect(),
        Err(error) => {
            eprintln!("golden sessions: {error}");
            return ExitCode::FAILURE;
        }
    };
    let conclusion = libtest_mimic::run(&arguments, trials);
    if !arguments.list {
        let SessionCompared {
            commands,
            packets,
            lines,
        } = *compared.lock().unwrap();
        let sessions = conclusion.num_passed;
        println!(
            "compared {sessions} sessions, {commands} commands, {packets} packets, {lines} lines"
        );
    }
    conclusion.exit_code()
}

fn corpus() -> io::Result<Vec<Session>> {
    let sessions = sessions()?;
    if sessions.is_empty() {
        return Err(io::Error::other("there is not a single session"));
    }
    Ok(sessions)
}

fn trial(session: Session, compared: &Arc<Mutex<SessionCompared>>) -> Trial {
    let compared = Arc::clone(compared);
    let name = format!("sessions/{}", session.name);
    Trial::test(name, move || {
        let done =
            check_session(&session).map_err(|difference| Failed::from(difference.to_string()))?;
        let mut all = compared.lock().unwrap();
        all.commands += done.commands;
        all.packets += done.packets;
        all.lines += done.lines;
        Ok(())
    })
}
