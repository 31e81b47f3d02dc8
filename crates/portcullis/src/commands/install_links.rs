//! `portcullis install-links`.

use std::path::Path;
use std::{env, fs, io};

use anyhow::{Context, bail};

use super::ipchains::PROGRAMS;
use crate::DONE;
use crate::args::InstallLinksArgs;

/// Makes the links; those that are there already are left as they are.
pub(crate) fn run(args: &InstallLinksArgs) -> anyhow::Result<u8> {
    let own = env::current_exe().context("cannot tell where this program is")?;
    for program in PROGRAMS {
        let link = args.folder.join(program);
        match fs::canonicalize(&link) {
            Ok(target) if target == own => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                make(&own, &link)
                    .with_context(|| format!("cannot make the link {}", link.display()))?;
            }
            _ => bail!("{} exists already; take it away first", link.display()),
        }
    }
    Ok(DONE)
}

#[cfg(unix)]
fn make(own: &Path, link: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(own, link)
}

#[cfg(not(unix))]
fn make(own: &Path, link: &Path) -> io::Result<()> {
    fs::hard_link(own, link)
}
