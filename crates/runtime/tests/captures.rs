//! The sample captures: what they hold is what their list says, and no damage to them panics.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::{
    collections::BTreeMap,
    fs,
    io::Cursor,
    time::{Duration, Instant},
};

use portcullis_runtime::capture::CaptureReader;
use support::damage::{Random, mutate};
use support::{captures_in, read_all, shared};

#[test]
fn records_and_link_types_are_as_listed() {
    let Some(folder) = shared("captures") else {
        return;
    };
    let manifest = fs::read_to_string(folder.join("MANIFEST.tsv")).unwrap();
    let mut lines = manifest
        .lines()
        .map(|line| line.split('\t').collect::<Vec<_>>());
    let columns = lines.next().unwrap();
    let column = |name| columns.iter().position(|&column| column == name).unwrap();
    let (file, links, packets) = (
        column("file"),
        column("linktypes:packets"),
        column("packets"),
    );
    for line in lines {
        let mut reader = CaptureReader::open(&folder.join(line[file])).unwrap();
        let (records, error) = read_all(&mut reader);
        let mut counts = BTreeMap::new();
        for record in &records {
            let link = reader.interfaces()[record.interface].link_type;
            *counts.entry(link.to_string()).or_insert(0) += 1;
        }
        println!(
            "{}: {counts:?} {error:?} {:?}",
            line[file],
            reader.warnings()
        );
        assert_eq!(records.len().to_string(), line[packets], "{}", line[file]);
        let listed = line[links].split(',').map(|entry| {
            let (link, count) = entry.rsplit_once(':').unwrap();
            (our_name(link).to_owned(), count.parse().unwrap())
        });
        assert_eq!(counts, listed.collect(), "{}", line[file]);
        let damage = error.map(|error| (error.offset, error.kind.to_string()));
        assert_eq!(damage, known_damage(line[file]), "{}", line[file]);
    }
}

/// One of the samples goes on after its last record, with too little for another.
fn known_damage(file: &str) -> Option<(u64, String)> {
    let message = "the file ends inside a record header: it needs 16 bytes and 2 are left";
    (file == "fuzz-trailing.pcap").then(|| (237, message.to_owned()))
}

/// The list has some link types by other names.
fn our_name(listed: &str) -> &str {
    match listed {
        "EN10MB" => "ETHERNET",
        "RADIOTAP" => "IEEE802_11_RADIOTAP",
        "RAW(12)" => "RAW",
        other => other,
    }
}

#[test]
fn golden_captures_are_read_whole() {
    let Some(folder) = shared("golden/packets") else {
        return;
    };
    let mut records = 0;
    for case in fs::read_dir(folder).unwrap() {
        let capture = case.unwrap().path().join("packets.pcap");
        let (read, error) = read_all(&mut CaptureReader::open(&capture).unwrap());
        assert!(error.is_none(), "{error:?}");
        records += read.len();
    }
    assert!(records > 0);
}

/// Flips bits, cuts, inserts and repeats bytes, always by the same seed.
#[test]
fn damage_never_panics_and_reading_ends() {
    let Some(folder) = shared("captures") else {
        return;
    };
    let (started, budget) = (Instant::now(), Duration::from_secs(20));
    let files = captures_in(&folder);
    let originals: Vec<Vec<u8>> = files
        .iter()
        .map(|path| fs::read(path).unwrap())
        // The first half-mebibyte of a file has as much structure as all of it.
        .map(|bytes| bytes[..bytes.len().min(512 * 1024)].to_vec())
        .collect();
    let mut random = Random::new(0x9e37_79b9_7f4a_7c15);
    let (mut rounds, mut failed) = (0, 0);
    while started.elapsed() < budget && rounds < 100_000 {
        let original = &originals[rounds % originals.len()];
        let mut bytes = original.clone();
        for _ in 0..=random.below(4) {
            mutate(&mut bytes, &mut random);
        }
        let length = bytes.len();
        if let Ok(mut reader) = CaptureReader::new(Cursor::new(bytes), "damaged") {
            let (mut records, mut captured) = (0, 0);
            let outcome = loop {
                match reader.next_record() {
                    Ok(Some(record)) => {
                        records += 1;
                        captured += record.data.len();
                    }
                    Ok(None) => break Ok(()),
                    Err(error) => break Err(error),
                }
            };
            // Each record takes bytes of the file: reading ends, and invents nothing.
            assert!(captured + 16 * records <= length);
            if let Err(error) = outcome {
                assert!(error.offset <= length as u64, "{error}");
                failed += 1;
            }
        }
        rounds += 1;
    }
    println!("{rounds} damaged captures, {failed} of them with an error");
    assert!(failed > 0);
}
