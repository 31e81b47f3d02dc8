//! The keeper: a second process that holds interfaces away from the kernel, and alone gives them
//! back.
//!
//! The firewall gives up its powers after the start, so it could not give them back. The keeper has
//! its powers and reads one byte: the firewall ended in order. Without that byte (a crash, a kill)
//! it leaves everything closed.

use std::env;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread;

use anyhow::{Context, anyhow, bail};
use clap::Args;
use portcullis_runtime::backend::guard::Guard;
use portcullis_runtime::backend::queue::Tables;
use portcullis_runtime::backend::takeover::Takeover;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;

use super::Ports;
use crate::report::stderr::tell;
use crate::{DONE, FINDINGS};

/// What the keeper says when everything is held.
const READY: &str = "ready ";
/// What it is told at an orderly end.
const GIVE_BACK: &[u8] = b"b";

/// Hold interfaces for a firewall (which calls this itself).
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct KeepArgs {
    /// The ports of a bridge.
    #[arg(long)]
    bridge: Option<Ports>,

    /// The machine's own interface.
    #[arg(long)]
    host: Option<String>,

    /// What the kernel hands over, as JSON.
    #[arg(long)]
    queue: Option<String>,
}

/// The keeper, as its firewall sees it. Dropping it gives everything back, except in a panic.
pub(super) struct Keeper {
    child: Child,
    /// `None` once it is told.
    orders: Option<ChildStdin>,
    ports: [String; 2],
}

/// What is held.
enum Held {
    /// Interfaces, away from the kernel.
    Ports {
        guard: Guard,
        takeover: Option<Takeover>,
    },
    /// The kernel's tables for a queue.
    Tables,
}

impl Keeper {
    /// Holds the two ports of a bridge.
    pub(super) fn bridge(ports: &Ports) -> anyhow::Result<Self> {
        let [a, b] = &ports.0;
        Self::start("--bridge", &format!("{a}:{b}"))
    }

    /// Takes over the machine's own interface.
    pub(super) fn host(interface: &str) -> anyhow::Result<Self> {
        Self::start("--host", interface)
    }

    /// Makes the kernel hand packets over.
    pub(super) fn queue(tables: &Tables) -> anyhow::Result<Self> {
        Self::start("--queue", &serde_json::to_string(tables)?)
    }

    /// The interfaces between which frames cross; the outer one first.
    pub(super) fn ports(&self) -> [&str; 2] {
        self.ports.each_ref().map(String::as_str)
    }

    fn start(option: &str, value: &str) -> anyhow::Result<Self> {
        let program = env::current_exe().context("this program does not find itself")?;
        let mut child = Command::new(program)
            .args(["keep", option, value])
            // Ctrl-C is for the firewall.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start a second process")?;
        let orders = child.stdin.take();
        let said = child.stdout.take().context("a pipe is missing")?;
        let mut line = String::new();
        BufReader::new(said).read_line(&mut line)?;
        let ports = line.trim_end().strip_prefix(READY);
        let Some((a, b)) = ports.and_then(|ports| ports.split_once(' ')) else {
            child.wait()?;
            match line.trim_end() {
                "" => bail!("the keeper of the interfaces ended at once"),
                why => bail!("{why}"),
            }
        };
        Ok(Self {
            child,
            orders,
            ports: [a.to_owned(), b.to_owned()],
        })
    }

    /// Gives everything back and waits until that is done.
    pub(super) fn give_back(&mut self) -> anyhow::Result<()> {
        let Some(mut orders) = self.orders.take() else {
            return Ok(());
        };
        let told = orders.write_all(GIVE_BACK);
        drop(orders);
        let status = self.child.wait()?;
        if told.is_ok() && status.success() {
            return Ok(());
        }
        Err(anyhow!(
            "the interfaces could not be given back: nothing passes there; start again, or see \
             `nft list ruleset' and `ip address'"
        ))
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        // After a panic nothing is known: it stays closed.
        if thread::panicking() {
            return;
        }
        if let Err(error) = self.give_back() {
            tell(format_args!("portcullis: {error:#}"));
        }
    }
}

/// Runs the command: the keeper's side.
pub(crate) fn keep(args: &KeepArgs) -> anyhow::Result<u8> {
    // Whoever ends a whole service ends the firewall, which then tells us.
    for signal in [SIGTERM, SIGINT, SIGHUP] {
        flag::register(signal, Arc::new(AtomicBool::new(false)))?;
    }
    let mut out = io::stdout();
    let (held, [a, b]) = match Held::new(args) {
        Ok(held) => held,
        Err(error) => {
            writeln!(out, "{error:#}")?;
            return Ok(FINDINGS);
        }
    };
    writeln!(out, "{READY}{a} {b}")?;
    let mut order = Vec::new();
    io::stdin().read_to_end(&mut order)?;
    if order == GIVE_BACK {
        held.give_back()?;
    } else {
        // The guard goes when it is dropped: it must not be.
        std::mem::forget(held);
    }
    Ok(DONE)
}

/// Gives an interface back that a killed run left taken over; `false` if there is none.
pub(super) fn restore(interface: &str) -> anyhow::Result<bool> {
    let Some(takeover) = Takeover::left_over(interface)? else {
        return Ok(false);
    };
    let guard = Guard::new(&[interface, &takeover.ends().far])?;
    let held = Held::Ports {
        guard,
        takeover: Some(takeover),
    };
    held.give_back()?;
    Ok(true)
}

impl Held {
    fn new(args: &KeepArgs) -> anyhow::Result<(Self, [String; 2])> {
        if let Some(tables) = &args.queue {
            let tables: Tables = serde_json::from_str(tables)?;
            tables.install()?;
            let nobody = String::from("-");
            return Ok((Self::Tables, [nobody.clone(), nobody]));
        }
        if let Some(Ports([a, b])) = &args.bridge {
            let held = Self::Ports {
                guard: Guard::new(&[a, b])?,
                takeover: None,
            };
            return Ok((held, [a.clone(), b.clone()]));
        }
        let interface = args.host.as_deref().context("nothing to hold")?;
        let takeover = Takeover::new(interface)?;
        let far = takeover.ends().far.clone();
        let guard = match Guard::new(&[interface, &far]) {
            Ok(guard) => guard,
            Err(error) => {
                takeover.give_back()?;
                return Err(error.into());
            }
        };
        let held = Self::Ports {
            guard,
            takeover: Some(takeover),
        };
        Ok((held, [interface.to_owned(), far]))
    }

    /// The guard goes last: what cannot be given back stays closed.
    fn give_back(self) -> anyhow::Result<()> {
        match self {
            Self::Tables => Ok(Tables::remove()?),
            Self::Ports { guard, takeover } => {
                if let Some(Err(error)) = takeover.as_ref().map(Takeover::give_back) {
                    std::mem::forget(guard);
                    return Err(error.into());
                }
                Ok(())
            }
        }
    }
}
