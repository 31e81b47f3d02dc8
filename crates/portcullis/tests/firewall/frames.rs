//! Frames as they are: what a wire carries, without a kernel's opinion.

use std::fs;
use std::io::{ErrorKind, Read as _, Write as _};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use pnet::datalink::{self, Channel, Config, DataLinkReceiver, DataLinkSender};

/// The link header of injected frames: to somebody, from a sender that is known by it, IPv4.
pub(crate) const LINK: [u8; 14] = [2, 0, 0, 0, 0, 8, 2, 0, 0, 0, 0, 7, 8, 0];
/// Room for the largest packet.
const LONGEST: usize = 1 << 17;

/// `--inject`: sends the frames that come on standard input, each after its length.
pub(crate) fn inject() -> ExitCode {
    let (mut sender, _) = channel();
    println!("ready");
    let mut input = std::io::stdin().lock();
    let mut length = [0; 4];
    while input.read_exact(&mut length).is_ok() {
        let mut frame = vec![0; u32::from_be_bytes(length) as usize];
        input.read_exact(&mut frame).unwrap();
        sender.send_to(&frame, None).unwrap().unwrap();
    }
    ExitCode::SUCCESS
}

/// `--capture FILE`: writes what comes, each frame after its length, until it is killed.
pub(crate) fn capture(file: &str) -> ExitCode {
    let (_, mut receiver) = channel();
    let mut file = fs::File::create(file).unwrap();
    println!("ready");
    loop {
        match receiver.next() {
            Ok(frame) => {
                let length = (frame.len() as u32).to_be_bytes();
                file.write_all(&[&length, frame].concat()).unwrap();
            }
            Err(error) if error.kind() == ErrorKind::TimedOut => {}
            Err(_) => return ExitCode::FAILURE,
        }
    }
}

/// The frame before whose bytes stands their number.
pub(crate) fn with_length(frame: &[u8]) -> Vec<u8> {
    [&(frame.len() as u32).to_be_bytes(), frame].concat()
}

/// What was captured so far: whole IPv4 frames.
pub(crate) fn captured(file: &Path) -> Vec<Vec<u8>> {
    let bytes = fs::read(file).unwrap_or_default();
    let mut frames = Vec::new();
    let mut rest = bytes.as_slice();
    while let Some((length, after)) = rest.split_first_chunk::<4>() {
        let length = u32::from_be_bytes(*length) as usize;
        let Some((frame, after)) = after.split_at_checked(length) else {
            break;
        };
        if frame.get(12..14) == Some(&[8, 0]) {
            frames.push(frame.to_vec());
        }
        rest = after;
    }
    frames
}

fn channel() -> (Box<dyn DataLinkSender>, Box<dyn DataLinkReceiver>) {
    let all = datalink::interfaces();
    let eth0 = all
        .iter()
        .find(|interface| interface.name == "eth0")
        .unwrap();
    let config = Config {
        read_buffer_size: LONGEST,
        write_buffer_size: LONGEST,
        read_timeout: Some(Duration::from_millis(100)),
        ..Config::default()
    };
    match datalink::channel(eth0, config).unwrap() {
        Channel::Ethernet(sender, receiver) => (sender, receiver),
        _ => panic!("no Ethernet"),
    }
}
