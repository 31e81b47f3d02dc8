//! The ruleset of a running firewall, as the ipchains command changes it.

use std::path::{Path, PathBuf};

use anyhow::bail;
use portcullis_core::ruleset::Ruleset;
use portcullis_runtime::store::{Change, RulesetStore};
use portcullis_syntax::ipchains::Output;

use crate::commands::control::connect;
use crate::commands::run::{Request, Response, to_text, with_counters};

/// A firewall that listens on a control socket.
pub(crate) struct RunningFirewall {
    socket: PathBuf,
}

impl RunningFirewall {
    pub(crate) fn new(socket: &Path) -> Self {
        Self {
            socket: socket.to_owned(),
        }
    }

    /// Has the firewall carry a command out itself, which spares it the way of all rules over the
    /// socket and back.
    pub(crate) fn edit(&self, words: Vec<String>, strict: bool) -> anyhow::Result<Output> {
        let mut connection = connect(&self.socket)?;
        match Response::of(&mut connection, &Request::Edit { words, strict })? {
            Response::Edited {
                stdout,
                stderr,
                status,
            } => Ok(Output {
                stdout,
                stderr,
                status,
                ..Output::default()
            }),
            Response::Refused(why) => bail!("the firewall refused: {why}"),
            _ => bail!("an answer to something else"),
        }
    }
}

impl RulesetStore for RunningFirewall {
    type Error = anyhow::Error;

    fn read(&self) -> anyhow::Result<Ruleset> {
        rules(Response::of(&mut connect(&self.socket)?, &Request::Read)?)
    }

    fn change<T>(&self, edit: impl FnOnce(&mut Ruleset) -> (Change, T)) -> anyhow::Result<T> {
        let mut connection = connect(&self.socket)?;
        let before = rules(Response::of(&mut connection, &Request::Lock)?)?;
        let mut after = before.clone();
        let (change, result) = edit(&mut after);
        if change == Change::Keep && after != before {
            let (ruleset, counters) = to_text(&after)?;
            let keep = Request::Keep { ruleset, counters };
            match Response::of(&mut connection, &keep)? {
                Response::Done { .. } => {}
                Response::Refused(why) => bail!("the firewall refused: {why}"),
                _ => bail!("an answer to something else"),
            }
        }
        Ok(result)
    }
}

fn rules(response: Response) -> anyhow::Result<Ruleset> {
    match response {
        Response::Rules { ruleset, counters } => with_counters(&ruleset, &counters),
        Response::Refused(why) => bail!("the firewall refused: {why}"),
        _ => bail!("an answer to something else"),
    }
}
