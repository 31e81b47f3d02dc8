//! What is measured: rules and packets, from files or made up.

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;

use anyhow::{Context, anyhow, bail};
use portcullis_core::packet::{Ipv4Packet, PacketKey};
use portcullis_core::ruleset::{Chain, Rule, Ruleset};
use portcullis_runtime::capture::CaptureReader;
use portcullis_runtime::link::{Network, network_layer};
use portcullis_syntax::names::Names;
use portcullis_syntax::{classbench, script};
use portcullis_workload::{Random, RuleKind, trace};

use super::{BenchArgs, TraceKind};

/// Seed of everything made up.
const SEED: u64 = 1;
/// Sizes of the built-in rule sets.
const BUILT_IN_SIZES: [usize; 5] = [10, 100, 1_000, 10_000, 100_000];

const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Rules and the packets for them.
pub(super) struct Subject {
    pub(super) name: String,
    pub(super) ruleset: Arc<Ruleset>,
    pub(super) workloads: Vec<Workload>,
}

/// Packets, ready to be judged.
pub(super) struct Workload {
    pub(super) name: String,
    pub(super) keys: Vec<PacketKey>,
}

/// `--synthetic`: what kind of rules and how many.
#[derive(Clone, Copy, Debug)]
pub(super) struct Synthetic {
    kind: RuleKind,
    count: usize,
}

impl FromStr for Synthetic {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (kind, count) = text
            .split_once(':')
            .ok_or("write KIND:N, such as fw:1000")?;
        let kind = match kind {
            "acl" => RuleKind::Acl,
            "fw" => RuleKind::Fw,
            "ipc" => RuleKind::Ipc,
            _ => return Err("a kind of rules is acl, fw or ipc".to_owned()),
        };
        let (number, thousands) = match count.strip_suffix('k') {
            Some(number) => (number, 1_000),
            None => (count, 1),
        };
        let count = number
            .parse()
            .ok()
            .and_then(|number: usize| number.checked_mul(thousands))
            .filter(|count| (1..=10_000_000).contains(count))
            .ok_or("N is from 1 to 10000000; 10k is 10000")?;
        Ok(Self { kind, count })
    }
}

/// Everything that the arguments ask to measure; at least one.
pub(super) fn subjects(args: &BenchArgs) -> anyhow::Result<Vec<Subject>> {
    if let Some(path) = &args.rules {
        return Ok(vec![from_files(path, args)?]);
    }
    let built_in = BUILT_IN_SIZES.map(|count| Synthetic {
        kind: RuleKind::Fw,
        count,
    });
    let wanted = match args.synthetic.is_empty() {
        true => &built_in[..],
        false => &args.synthetic,
    };
    Ok(wanted.iter().map(|it| made_up(*it, args)).collect())
}

fn from_files(path: &Path, args: &BenchArgs) -> anyhow::Result<Subject> {
    let ruleset = read_rules(path)?;
    let workloads = match &args.trace {
        Some(path) => vec![Workload {
            name: short_name(path),
            keys: read_keys(path)?,
        }],
        None => made_up_workloads(&ruleset, args),
    };
    if workloads.iter().any(|workload| workload.keys.is_empty()) {
        bail!("there are no packets to judge");
    }
    Ok(Subject {
        name: short_name(path),
        ruleset: Arc::new(ruleset),
        workloads,
    })
}

fn made_up(wanted: Synthetic, args: &BenchArgs) -> Subject {
    let rules = portcullis_workload::rules(&mut Random::new(SEED), wanted.kind, wanted.count);
    let ruleset = classbench::input_ruleset(rules);
    let kind = format!("{:?}", wanted.kind).to_lowercase();
    Subject {
        name: format!("{kind}:{}", wanted.count),
        workloads: made_up_workloads(&ruleset, args),
        ruleset: Arc::new(ruleset),
    }
}

fn made_up_workloads(ruleset: &Ruleset, args: &BenchArgs) -> Vec<Workload> {
    let rules: Vec<Rule> = ruleset
        .chains()
        .iter()
        .flat_map(Chain::rules)
        .cloned()
        .collect();
    let asked = match args.trace_kind.is_empty() {
        true => &[TraceKind::Rand][..],
        false => &args.trace_kind,
    };
    let kinds = asked.iter().map(|kind| match kind {
        TraceKind::Rand => ("rand", portcullis_workload::TraceKind::Rand),
        TraceKind::Zipf => ("zipf", portcullis_workload::TraceKind::Zipf),
        TraceKind::Void => ("void", portcullis_workload::TraceKind::Void),
    });
    kinds
        .map(|(name, kind)| Workload {
            name: name.to_owned(),
            keys: trace(&mut Random::new(SEED), kind, &rules, args.headers),
        })
        .collect()
}

fn read_rules(path: &Path) -> anyhow::Result<Ruleset> {
    let name = path.display();
    let bytes = read_decompressed(path)?;
    let text = String::from_utf8_lossy(&bytes);
    if classbench::looks_like_filters(&text) {
        let rules = classbench::read_filters(&text).with_context(|| name.to_string())?;
        return Ok(classbench::input_ruleset(rules));
    }
    let script = script::read(&text, &Names::new());
    match script.mistakes.first() {
        Some(mistake) => Err(anyhow!(
            "{name}: {}: {}",
            mistake.command.trim(),
            mistake.message
        )),
        None => Ok(script.ruleset),
    }
}

/// Keys from a capture or from ClassBench's binary form.
fn read_keys(path: &Path) -> anyhow::Result<Vec<PacketKey>> {
    let bytes = read_decompressed(path)?;
    // A capture's first number would be a count of far more headers than
    // there are bytes.
    if let Ok(keys) = classbench::read_trace(&bytes) {
        return Ok(keys);
    }
    drop(bytes);
    let mut reader = CaptureReader::open(path)?;
    let mut keys = Vec::new();
    while let Some(record) = reader.next_record()? {
        let link = record.interface.link_type;
        if let Network::Ipv4 { packet, .. } = network_layer(link, record.data) {
            let cut = (record.original_length as usize).saturating_sub(record.data.len());
            let read = Ipv4Packet::sent(packet, packet.len() + cut);
            keys.extend(read.ok().and_then(|ipv4| ipv4.key().ok()));
        }
    }
    Ok(keys)
}

fn read_decompressed(path: &Path) -> anyhow::Result<Vec<u8>> {
    let context = || format!("cannot read {}", path.display());
    let bytes = fs::read(path).with_context(context)?;
    if bytes.starts_with(&ZSTD_MAGIC) {
        return zstd::decode_all(bytes.as_slice()).with_context(context);
    }
    if bytes.starts_with(&GZIP_MAGIC) {
        let mut plain = Vec::new();
        let file = File::open(path).with_context(context)?;
        let mut decoder = flate2::read::MultiGzDecoder::new(file);
        decoder.read_to_end(&mut plain).with_context(context)?;
        return Ok(plain);
    }
    Ok(bytes)
}

/// The file's name up to its first dot, but with the last part of traces.
fn short_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let cut = [".rules.zst", ".zst", ".gz", ".trace", ".rules"];
    let cut = cut.iter().find_map(|ending| name.strip_suffix(ending));
    cut.unwrap_or(&name).to_owned()
}
