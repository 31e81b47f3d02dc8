//! The keeper: a second process that holds interfaces away from the kernel, and alone gives them
//! back.
//!
//! The firewall gives up its powers after the start, so it could not give them back. The keeper has
//! its powers and reads one byte: the firewall ended in order. Without that byte (a crash, a kill)
//! it leaves everything closed, or opens it where that was asked for.

use std::env;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread;

use anyhow::{Context, anyhow, bail};
use clap::Args;
use portcullis_runtime::backend::announcements::{Announcements, News};
use portcullis_runtime::backend::claim::Claim;
use portcullis_runtime::backend::guard::Guard;
use portcullis_runtime::backend::kernel_bridge;
use portcullis_runtime::backend::queue::Tables;
use portcullis_runtime::backend::takeover::Takeover;
use rustix::io::{FdFlags, fcntl_setfd};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;

use super::Ports;
use crate::report::stderr::tell;
use crate::{DONE, FINDINGS};

/// What the keeper says when everything is held.
const READY: &str = "ready ";
/// What it adds if it was held already, by a run that was killed.
const LEFT_OVER: &str = "left-over";
/// How the names of our tables begin.
const PREFIX: &str = "portcullis";
/// What is claimed of the kernel's queue.
const QUEUE: &str = "queue";
/// What it is told at an orderly end.
const GIVE_BACK: &[u8] = b"b";

/// Hold interfaces for a firewall (which calls this itself).
#[derive(Debug, Args)]
#[command(group(clap::ArgGroup::new("what").required(true).args(["bridge", "host", "queue"])))]
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

    /// Let everything pass if the firewall does not end in order.
    #[arg(long)]
    fail_open: bool,
}

/// The keeper, as its firewall sees it. Dropping it undoes a start that failed.
pub(super) struct Keeper {
    child: Child,
    /// `None` once it is told.
    orders: Option<ChildStdin>,
    ports: [String; 2],
    /// A run that was killed had closed everything before we started.
    left_over: bool,
    /// The keeper has them too: they are held until both have ended.
    _claims: Vec<Claim>,
}

/// What is held.
enum Held {
    /// Two ports, away from the kernel.
    Bridge { guard: Guard, ports: [String; 2] },
    /// The machine's own interface, away from it.
    Host { guard: Guard, takeover: Takeover },
    /// The kernel's tables for a queue.
    Tables(Tables),
}

impl Keeper {
    /// Holds the two ports of a bridge.
    pub(super) fn bridge(ports: &Ports, fail_open: bool) -> anyhow::Result<Self> {
        let [a, b] = &ports.0;
        Self::start("--bridge", &format!("{a}:{b}"), fail_open, &[a, b])
    }

    /// Takes over the machine's own interface.
    pub(super) fn host(interface: &str, fail_open: bool) -> anyhow::Result<Self> {
        Self::start("--host", interface, fail_open, &[interface])
    }

    /// Makes the kernel hand packets over. Whether that fails open is its own affair.
    pub(super) fn queue(tables: &Tables) -> anyhow::Result<Self> {
        Self::start("--queue", &serde_json::to_string(tables)?, false, &[QUEUE])
    }

    /// The interfaces between which frames cross; the outer one first.
    pub(super) fn ports(&self) -> [&str; 2] {
        self.ports.each_ref().map(String::as_str)
    }

    fn start(option: &str, value: &str, fail_open: bool, claimed: &[&str]) -> anyhow::Result<Self> {
        let claims = claim(claimed)?;
        for claim in &claims {
            fcntl_setfd(claim, FdFlags::empty())?;
        }
        let program = env::current_exe().context("this program does not find itself")?;
        let mut child = Command::new(program)
            .args(["keep", option, value])
            .args(fail_open.then_some("--fail-open"))
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
        let words = line.trim_end().strip_prefix(READY);
        let words: Vec<&str> = words.unwrap_or_default().split(' ').collect();
        let [a, b, before @ ..] = words.as_slice() else {
            child.wait()?;
            match line.trim_end() {
                "" => bail!("the keeper of the interfaces ended at once"),
                why => bail!("{why}"),
            }
        };
        Ok(Self {
            child,
            orders,
            ports: [a, b].map(|port| (*port).to_owned()),
            left_over: before == [LEFT_OVER],
            _claims: claims,
        })
    }

    /// Gives everything back and waits until that is done.
    pub(super) fn give_back(mut self) -> anyhow::Result<()> {
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

    /// Ends without giving anything back, as after a crash.
    pub(super) fn abandon(mut self) {
        self.orders = None;
        // It has nobody to tell how it went.
        let _ = self.child.wait();
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        if let Some(mut orders) = self.orders.take() {
            // After a panic nothing is known. And what a killed run has closed is not opened by a
            // start that fails.
            if !thread::panicking() && !self.left_over {
                let _ = orders.write_all(GIVE_BACK);
            }
            drop(orders);
            let _ = self.child.wait();
        }
    }
}

/// Claims interfaces, or the queue, for this process and those that it starts.
fn claim(claimed: &[&str]) -> anyhow::Result<Vec<Claim>> {
    let claims = claimed.iter().map(|what| {
        Claim::take(what).map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock if *what == QUEUE => {
                anyhow!("another firewall already judges what the kernel hands over here")
            }
            io::ErrorKind::WouldBlock => anyhow!("another firewall already has {what}"),
            _ => anyhow::Error::new(error).context(format!("cannot claim {what}")),
        })
    });
    claims.collect()
}

/// Runs the command: the keeper's side.
pub(crate) fn keep(args: &KeepArgs) -> anyhow::Result<u8> {
    // Whoever ends a whole service ends the firewall, which then tells us.
    for signal in [SIGTERM, SIGINT, SIGHUP] {
        flag::register(signal, Arc::new(AtomicBool::new(false)))?;
    }
    let mut out = io::stdout();
    let Start {
        mut held,
        ports: [a, b],
        left_over,
    } = match Held::take(args) {
        Ok(start) => start,
        Err(error) => {
            writeln!(out, "{error:#}")?;
            return Ok(FINDINGS);
        }
    };
    let before = if left_over {
        format!(" {LEFT_OVER}")
    } else {
        String::new()
    };
    writeln!(out, "{READY}{a} {b}{before}")?;
    let mut news = Announcements::open()?;
    let mut told = None;
    loop {
        // What happened before we listened is found at once. What is wrong for long is said once.
        let wrong = held.renew().err().map(|error| format!("{error:#}"));
        if let Some(error) = wrong.as_ref().filter(|_| wrong != told) {
            tell(format_args!("portcullis: {error}"));
        }
        told = wrong;
        if news.wait(io::stdin().as_fd(), PREFIX)? == News::Other {
            break;
        }
    }
    let mut order = Vec::new();
    io::stdin().read_to_end(&mut order)?;
    if order == GIVE_BACK {
        held.give_back()?;
    } else if args.fail_open {
        held.open()?;
    } else {
        // The guard goes when it is dropped: it must not be.
        std::mem::forget(held);
    }
    Ok(DONE)
}

/// Gives back what a killed run left closed; `false` if there is nothing.
pub(super) fn restore(held: &ToRestore<'_>) -> anyhow::Result<bool> {
    match held {
        ToRestore::Bridge(Ports([a, b])) => {
            let _claims = claim(&[a, b])?;
            let open = kernel_bridge::exists([a, b]);
            kernel_bridge::close([a, b])?;
            let closed = Guard::is_left_over(&[a, b]);
            if closed {
                drop(Guard::new(&[a, b])?);
            }
            Ok(open || closed)
        }
        ToRestore::Host(interface) => {
            let _claims = claim(&[interface])?;
            let Some(takeover) = Takeover::left_over(interface)? else {
                return Ok(false);
            };
            let guard = Guard::new(&[interface, &takeover.ends().far])?;
            let held = Held::Host { guard, takeover };
            held.give_back()?;
            Ok(true)
        }
        ToRestore::Queue => {
            let _claims = claim(&[QUEUE])?;
            Ok(Tables::remove()?)
        }
    }
}

/// What `run --restore` gives back.
pub(super) enum ToRestore<'a> {
    Bridge(&'a Ports),
    Host(&'a str),
    Queue,
}

/// What is held at the start, and whether a killed run held it before.
struct Start {
    held: Held,
    /// The interfaces between which frames cross.
    ports: [String; 2],
    left_over: bool,
}

impl Held {
    fn take(args: &KeepArgs) -> anyhow::Result<Start> {
        if let Some(tables) = &args.queue {
            let tables: Tables = serde_json::from_str(tables)?;
            let nobody = String::from("-");
            return Ok(Start {
                left_over: tables.install()?,
                held: Self::Tables(tables),
                ports: [nobody.clone(), nobody],
            });
        }
        if let Some(Ports(ports)) = &args.bridge {
            let names = ports.each_ref().map(String::as_str);
            let left_over = Guard::is_left_over(&names);
            let guard = Guard::new(&names)?;
            kernel_bridge::close(names)?;
            return Ok(Start {
                held: Self::Bridge {
                    guard,
                    ports: ports.clone(),
                },
                ports: ports.clone(),
                left_over,
            });
        }
        let interface = args.host.as_deref().context("nothing to hold")?;
        let left_over = Takeover::left_over(interface)?.is_some();
        let takeover = Takeover::new(interface)?;
        let far = takeover.ends().far.clone();
        let guard = match Guard::new(&[interface, &far]) {
            Ok(guard) => guard,
            Err(error) => {
                if !left_over {
                    takeover.give_back()?;
                }
                return Err(error.into());
            }
        };
        Ok(Start {
            held: Self::Host { guard, takeover },
            ports: [interface.to_owned(), far],
            left_over,
        })
    }

    /// Puts back what somebody took away meanwhile, and says so.
    fn renew(&mut self) -> anyhow::Result<()> {
        let renewed = match self {
            Self::Tables(tables) => {
                let lost = !Tables::are_there();
                if lost {
                    tables.install()?;
                }
                lost
            }
            Self::Bridge { guard, .. } => guard.renew()?,
            Self::Host { guard, takeover } => {
                let renewed = guard.renew()?;
                if takeover.renew()? {
                    let near = &takeover.ends().near;
                    tell(format_args!(
                        "portcullis: somebody gave the interface an address: it is moved to {near}"
                    ));
                }
                renewed
            }
        };
        if renewed {
            tell(format_args!(
                "portcullis: somebody took away what keeps the kernel closed, or an interface \
                 came anew: it is closed again"
            ));
        }
        Ok(())
    }

    /// The guard goes last: what cannot be given back stays closed.
    fn give_back(self) -> anyhow::Result<()> {
        match self {
            Self::Tables(_) => Ok(Tables::remove().map(drop)?),
            Self::Bridge { .. } => Ok(()),
            Self::Host { guard, takeover } => {
                if let Err(error) = takeover.give_back() {
                    std::mem::forget(guard);
                    return Err(error.into());
                }
                Ok(())
            }
        }
    }

    /// Lets everything pass.
    fn open(self) -> anyhow::Result<()> {
        match self {
            Self::Bridge { guard, ports } => {
                drop(guard);
                Ok(kernel_bridge::open(ports.each_ref().map(String::as_str))?)
            }
            other => other.give_back(),
        }
    }
}
