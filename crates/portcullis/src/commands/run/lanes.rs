//! The two planes in which frames cross between two interfaces.

use std::sync::Arc;

use anyhow::{Context, bail};
use portcullis_core::names::InterfaceName;
use portcullis_core::ruleset::BuiltIn;
use portcullis_core::traversal::Step;
use portcullis_runtime::backend::RawSocket;
use portcullis_runtime::backend::bridge::{self, Lane, NotIpv4};
use portcullis_runtime::backend::kernel_bridge;
use portcullis_runtime::backend::observe;
use portcullis_runtime::live::Worker;

use super::compiled::Classifier;
use super::keeper::Keeper;
use super::{NonIpv4, Ports, RunArgs, Work, Works, ssh_session};

/// Frames cross between two interfaces of nobody's.
pub(super) fn bridge(
    ports: &Ports,
    args: &RunArgs,
    worker: impl FnMut(usize) -> Worker<Classifier>,
) -> anyhow::Result<Works> {
    for port in &ports.0 {
        let addresses =
            observe::addresses(port).with_context(|| format!("there is no interface {port}"))?;
        if !addresses.is_empty() {
            bail!(
                "{port} has an address, so the kernel would pass packets around the rules: take it \
                 away with `ip address flush dev {port}'"
            );
        }
    }
    let names = ports.0.each_ref().map(String::as_str);
    if let Some(port) = names
        .iter()
        .find(|port| kernel_bridge::belongs_elsewhere(port, names))
    {
        bail!(
            "{port} belongs to a bridge or a bond, which would send packets around the rules: take \
             it out with `ip link set {port} nomaster'"
        );
    }
    let [a, b] = ports
        .0
        .each_ref()
        .map(|port| InterfaceName::for_device(port).0);
    let steps = [
        bridge::steps(a, b, args.routed),
        bridge::steps(b, a, args.routed),
    ];
    works(
        Keeper::bridge(ports, args.fail_open)?,
        steps,
        args.non_ipv4,
        worker,
    )
}

/// The machine's own frames cross between its interface and what stands in its place.
pub(super) fn host(
    interface: &str,
    args: &RunArgs,
    worker: impl FnMut(usize) -> Worker<Classifier>,
) -> anyhow::Result<Works> {
    if args.confirm.is_none() && carries_this_session(interface) {
        bail!(
            "this ssh session runs over {interface} and would be cut if the rules are wrong: add \
             --confirm 30s, and say `portcullis confirm' within that time"
        );
    }
    let name = InterfaceName::for_device(interface).0;
    let step = |chain| Step {
        chain,
        interface: name,
    };
    let steps = [vec![step(BuiltIn::Input)], vec![step(BuiltIn::Output)]];
    works(
        Keeper::host(interface, args.fail_open)?,
        steps,
        args.non_ipv4,
        worker,
    )
}

/// A lane each way between what the keeper holds.
fn works(
    keeper: Keeper,
    steps: [Vec<Step>; 2],
    not_ipv4: NonIpv4,
    mut worker: impl FnMut(usize) -> Worker<Classifier>,
) -> anyhow::Result<Works> {
    let open = |name: &str| {
        let socket = RawSocket::open(name).with_context(|| format!("cannot open {name}"))?;
        anyhow::Ok(Arc::new(socket))
    };
    let [a, b] = keeper.ports();
    let sockets = [open(a)?, open(b)?];
    let not_ipv4 = match not_ipv4 {
        NonIpv4::Drop => NotIpv4::Drop,
        NonIpv4::Pass => NotIpv4::Pass,
    };
    let mut each = Vec::new();
    for (number, steps) in steps.into_iter().enumerate() {
        let lane = Lane {
            from: Arc::clone(&sockets[number]),
            to: Arc::clone(&sockets[1 - number]),
            steps,
            not_ipv4,
        };
        let mut worker = worker(number);
        let work: Work = Box::new(move |stats, stop| {
            lane.run(&mut worker, stats, stop);
            Ok(())
        });
        each.push(work);
    }
    Ok(Works {
        each,
        keeper: Some(keeper),
    })
}

/// Whether the ssh session that we were started in would be cut by wrong rules on this interface.
fn carries_this_session(interface: &str) -> bool {
    let Some(ours) = ssh_session::local_address() else {
        return false;
    };
    let ends = [interface.to_owned(), format!("pc-{interface}")];
    let mut addresses = ends
        .iter()
        .filter_map(|end| observe::all_addresses(end))
        .flatten();
    addresses.any(|address| address == ours)
}
