//! Packet-log lines in the text of a syslog file.
//!
//! [`Reader`] is given one line of text after the other and finds the packets
//! in them: behind whatever date, host and program stand before, over several
//! lines where a mail program broke them, and once more for each time that
//! syslogd says `last message repeated`. What is not there is never guessed: a
//! line that lacks something comes back as [`Damaged`] with what it lacks.

mod damage;
mod stamp;

use std::collections::BTreeMap;

use portcullis_core::packet_log::{PacketLog, ParsePacketLogError};

pub use damage::Damaged;
pub use stamp::Stamp;

use stamp::Prefix;

/// A packet that a file tells of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The line of the file where it begins, from 1.
    pub line: u64,
    /// How many lines it was broken into; 1 for one that is whole.
    pub lines: u64,
    /// When it was written, as far as the line says.
    pub stamp: Option<Stamp>,
    /// The host that wrote it.
    pub host: Option<String>,
    /// The packet. If [`tail`](Self::tail) is missing, its rule number is 0
    /// and whether it opened a connection is not known.
    pub log: PacketLog,
    /// Whether the end of the line is there.
    pub tail: Tail,
    /// How many packets this stands for: more than 1 for repetitions.
    pub times: u64,
}

/// The end of a packet-log line: `SYN` and the rule's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tail {
    /// It is there.
    Written,
    /// Kernels before 2.2.10 wrote none (§14).
    Missing,
}

/// What a line of a file brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A packet.
    Entry(Entry),
    /// A packet-log line that lacks something.
    Damaged(Damaged),
    /// A fragment that was dropped before any rule (§6.2).
    Suspect,
    /// The line speaks of packet logs and is none.
    Prose,
    /// The kernel left messages out (§6.3).
    Suppressed(u64),
    /// Repetitions of a message that is not in the file, so that nobody can
    /// say whether it was a packet.
    RepeatedUnknown {
        /// The line, from 1.
        line: u64,
        /// How often.
        times: u64,
    },
}

/// Finds packets in lines of text.
#[derive(Debug, Default)]
pub struct Reader {
    line: u64,
    /// A packet-log line that ended too early: the next may go on with it.
    pending: Option<Pending>,
    /// Each host's last message.
    last: BTreeMap<Option<String>, Last>,
}

#[derive(Clone, Debug)]
enum Last {
    Packet(Event),
    Other,
}

#[derive(Clone, Debug)]
struct Pending {
    line: u64,
    lines: u64,
    prefix: Prefix,
    /// From `Packet log:` on.
    body: String,
    error: ParsePacketLogError,
    /// Where the body begins, in bytes of its line.
    column: usize,
}

/// How every packet-log line begins.
const START: &str = "Packet log:";
/// Lines that one packet may be broken into.
const MOST_LINES: u64 = 6;
/// What the rest of a line is tried with that has no end.
const NO_TAIL: &str = " (#0)";

impl Reader {
    /// At the beginning of a file.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next line, without its end. What it brings is appended.
    pub fn push(&mut self, text: &str, events: &mut Vec<Event>) {
        self.line += 1;
        let text = text.trim_end();
        if text.contains(START) {
            self.flush(events);
            self.packets(text, events);
        } else if !self.goes_on(text, events) {
            self.flush(events);
            self.other(text, events);
        }
    }

    /// At the end of the file.
    pub fn finish(&mut self, events: &mut Vec<Event>) {
        self.flush(events);
    }

    /// A line with `Packet log:` in it: more than once where two messages ran
    /// into each other.
    fn packets(&mut self, text: &str, events: &mut Vec<Event>) {
        let starts: Vec<usize> = text.match_indices(START).map(|(at, _)| at).collect();
        let prefix = Prefix::read(&text[..starts[0]]);
        let ends = starts.iter().skip(1).copied().chain([text.len()]);
        for (start, end) in starts.iter().copied().zip(ends) {
            let body = text[start..end].trim_end();
            // rsyslog quotes what it repeats.
            let body = match prefix.repeated {
                Some(_) => body.trim_end_matches(']'),
                None => body,
            };
            let pending = Pending {
                line: self.line,
                lines: 1,
                prefix: prefix.clone(),
                body: body.to_owned(),
                error: ParsePacketLogError {
                    at: 0,
                    expected: "",
                },
                column: start,
            };
            let is_last = end == text.len();
            self.try_whole(pending, is_last, events);
        }
    }

    /// Takes a line as the rest of one that ended too early, if it is.
    fn goes_on(&mut self, text: &str, events: &mut Vec<Event>) -> bool {
        let rest = text.trim_start_matches(['>', '|', ' ', '\t']);
        let Some(pending) = &self.pending else {
            return false;
        };
        if rest.is_empty() || pending.lines >= MOST_LINES || Prefix::read(text).stamp.is_some() {
            return false;
        }
        let body = format!("{} {rest}", pending.body);
        let further = match body.parse::<PacketLog>() {
            Ok(_) => true,
            Err(error) => error.at > pending.body.len() && is_at_end(&body, error),
        };
        if !further {
            return false;
        }
        let Some(pending) = self.pending.take() else {
            return false;
        };
        let lines = pending.lines + 1;
        self.try_whole(
            Pending {
                lines,
                body,
                ..pending
            },
            true,
            events,
        );
        true
    }

    fn try_whole(&mut self, pending: Pending, may_go_on: bool, events: &mut Vec<Event>) {
        match pending.body.parse::<PacketLog>() {
            Ok(log) => self.entry(pending, log, Tail::Written, events),
            Err(error) => {
                let pending = Pending { error, ..pending };
                if may_go_on && is_at_end(&pending.body, error) {
                    self.pending = Some(pending);
                } else {
                    self.give_up(pending, events);
                }
            }
        }
    }

    fn flush(&mut self, events: &mut Vec<Event>) {
        if let Some(pending) = self.pending.take() {
            self.give_up(pending, events);
        }
    }

    /// Nothing goes on with this line: it is what it is.
    fn give_up(&mut self, pending: Pending, events: &mut Vec<Event>) {
        if pending.error.at == pending.body.len()
            && let Ok(log) = (pending.body.clone() + NO_TAIL).parse()
        {
            return self.entry(pending, log, Tail::Missing, events);
        }
        if damage::is_prose(&pending.body) {
            return events.push(Event::Prose);
        }
        let Prefix {
            stamp,
            host,
            repeated,
        } = pending.prefix;
        let damaged = Damaged {
            line: pending.line,
            column: (pending.lines == 1).then_some(pending.column + pending.error.at + 1),
            stamp,
            host: host.clone(),
            expected: pending.error.expected,
            missing: damage::missing(&pending.body),
            text: pending.body,
            times: repeated.unwrap_or(1),
        };
        self.emit(host, Event::Damaged(damaged), events);
    }

    fn entry(&mut self, pending: Pending, log: PacketLog, tail: Tail, events: &mut Vec<Event>) {
        let Prefix {
            stamp,
            host,
            repeated,
        } = pending.prefix;
        let entry = Entry {
            line: pending.line,
            lines: pending.lines,
            stamp,
            host: host.clone(),
            log,
            tail,
            times: repeated.unwrap_or(1),
        };
        self.emit(host, Event::Entry(entry), events);
    }

    fn emit(&mut self, host: Option<String>, event: Event, events: &mut Vec<Event>) {
        self.last.insert(host, Last::Packet(event.clone()));
        events.push(event);
    }

    /// A line without a packet of its own.
    fn other(&mut self, text: &str, events: &mut Vec<Event>) {
        let prefix = Prefix::read(text);
        if let Some(times) = repetitions(text) {
            self.repeat(&prefix, times, events);
            return;
        }
        if let Some(suspect) = suspect(text) {
            events.push(suspect);
        }
        if let Some(start) = damage::unnamed(text) {
            let damaged = Damaged {
                line: self.line,
                column: Some(start + 1),
                stamp: prefix.stamp,
                host: prefix.host.clone(),
                expected: START,
                missing: vec![START],
                text: text[start..].to_owned(),
                times: 1,
            };
            return self.emit(prefix.host, Event::Damaged(damaged), events);
        }
        if !text.is_empty() {
            self.last.insert(prefix.host, Last::Other);
        }
    }

    fn repeat(&mut self, prefix: &Prefix, times: u64, events: &mut Vec<Event>) {
        let line = self.line;
        let known = self.last.get(&prefix.host).cloned();
        match known {
            Some(Last::Other) => {}
            None => events.push(Event::RepeatedUnknown { line, times }),
            Some(Last::Packet(Event::Entry(entry))) => events.push(Event::Entry(Entry {
                line,
                lines: 1,
                stamp: prefix.stamp,
                times,
                ..entry
            })),
            Some(Last::Packet(Event::Damaged(damaged))) => events.push(Event::Damaged(Damaged {
                line,
                column: None,
                stamp: prefix.stamp,
                times,
                ..damaged
            })),
            Some(Last::Packet(_)) => {}
        }
    }
}

/// Whether the word that is wrong is the last one, which may be half a word,
/// or one that should follow.
fn is_at_end(body: &str, error: ParsePacketLogError) -> bool {
    let rest = body.get(error.at..).unwrap_or_default();
    !rest.contains(' ')
}

/// `last message repeated N times`.
fn repetitions(text: &str) -> Option<u64> {
    let (_, rest) = text.split_once("last message repeated ")?;
    rest.strip_suffix(" times")
        .or_else(|| rest.strip_suffix(" time"))?
        .parse()
        .ok()
}

fn suspect(text: &str) -> Option<Event> {
    if text.ends_with("Suspect TCP fragment.") || text.ends_with("Suspect short first fragment.") {
        return Some(Event::Suspect);
    }
    let (_, rest) = text.split_once("NET: ")?;
    let number = rest.strip_suffix(" messages suppressed.")?;
    number.parse().ok().map(Event::Suppressed)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = "Oct 17 00:32:46 server kernel: Packet log: input DENY eth0 PROTO=6 \
                        192.0.2.7:20 198.51.100.1:61394 L=44 S=0x00 I=61949 F=0x4000 T=250 SYN (#28)";

    fn read(text: &str) -> Vec<Event> {
        let mut reader = Reader::new();
        let mut events = Vec::new();
        for line in text.lines() {
            reader.push(line, &mut events);
        }
        reader.finish(&mut events);
        events
    }

    fn entries(text: &str) -> Vec<Entry> {
        let events = read(text).into_iter();
        events
            .map(|event| match event {
                Event::Entry(entry) => entry,
                other => panic!("{other:?}"),
            })
            .collect()
    }

    #[test]
    fn whole_lines_are_read() {
        let found = entries(&format!("Oct 17 00:32:45 server sshd[3]: hello\n{LINE}\n"));
        assert_eq!(found.len(), 1);
        let entry = &found[0];
        assert_eq!((entry.line, entry.lines, entry.times), (2, 1, 1));
        assert_eq!(entry.host.as_deref(), Some("server"));
        assert_eq!(entry.stamp.unwrap().to_string(), "Oct 17 00:32:46");
        assert_eq!((entry.log.rule, entry.log.syn), (28, true));
    }

    #[test]
    fn broken_lines_are_joined_wherever_they_were_broken() {
        let blanks: Vec<usize> = LINE
            .match_indices(' ')
            .map(|(at, _)| at)
            .filter(|at| *at > LINE.find("log:").unwrap())
            .collect();
        let whole = entries(LINE)[0].log;
        for at in &blanks {
            for quote in ["", "    ", "> ", "> > "] {
                let text = format!("{quote}{}\n{quote}{}\n", &LINE[..*at], &LINE[at + 1..]);
                let found = entries(&text);
                assert_eq!(found.len(), 1, "{text}");
                assert_eq!((found[0].log, found[0].lines), (whole, 2), "{text}");
            }
        }
        let three = format!(
            "{}\n{}\n{}",
            &LINE[..blanks[2]],
            &LINE[blanks[2]..blanks[6]],
            &LINE[blanks[6]..]
        );
        assert_eq!(entries(&three)[0].lines, 3);
    }

    #[test]
    fn a_packet_without_its_first_words_is_reported() {
        let unnamed = LINE.replace("Packet log: ", "");
        let events = read(&format!("{unnamed}\n{LINE}\n"));
        let [Event::Damaged(damaged), Event::Entry(_)] = events.as_slice() else {
            panic!("{events:?}");
        };
        assert_eq!(damaged.missing, ["Packet log:"]);
        assert!(damaged.text.starts_with("input DENY eth0 PROTO=6 "));
        // The second line about a suspect fragment, and what other kernels log.
        for other in [
            "eth0 PROTO=6 192.0.2.7:0 198.51.100.1:0 L=44 S=0x00 I=1 F=0x0001 T=250 (#0)",
            "kernel: IN=eth0 OUT= SRC=192.0.2.7 DST=198.51.100.1 LEN=44 PROTO=TCP SPT=20",
            "PROTO=6 192.0.2.7:20 198.51.100.1:61394 L=52 S=0x00 I=35470 F=0x4000 T=51",
        ] {
            assert_eq!(read(other), [], "{other}");
        }
    }

    #[test]
    fn what_does_not_go_on_is_not_joined() {
        let cut = &LINE[..LINE.find(" I=").unwrap()];
        let events = read(&format!(
            "{cut}\nOct 17 00:32:47 server kernel: eth0 up\n{LINE}"
        ));
        let [Event::Damaged(damaged), Event::Entry(_)] = events.as_slice() else {
            panic!("{events:?}");
        };
        assert_eq!(damaged.line, 1);
        assert_eq!(
            damaged.missing,
            ["id (I=)", "fragment field (F=)", "TTL (T=)", "rule number"]
        );
    }

    #[test]
    fn what_is_stripped_is_named() {
        let line = "Oct 17 00:32:46 server kernel: Packet log: input DENY eth0 L=44 S=0x00 \
                    I=61949 F=0x4000 T=250 SYN (#28)";
        let [Event::Damaged(damaged)] = &read(line)[..] else {
            panic!();
        };
        assert_eq!(
            damaged.missing,
            ["protocol (PROTO=)", "source", "destination"]
        );
        assert_eq!(damaged.column, Some(60));
        let line = LINE.replace("198.51.100.1", "xxx.xxx.xxx.xxx");
        let [Event::Damaged(damaged)] = &read(&line)[..] else {
            panic!();
        };
        assert_eq!(damaged.missing, ["destination (masked)"]);
    }

    #[test]
    fn an_old_kernel_wrote_no_tail() {
        let line = LINE.strip_suffix(" SYN (#28)").unwrap();
        let found = entries(&format!("{line}\n{line}"));
        assert_eq!(found.len(), 2);
        assert_eq!((found[0].tail, found[0].log.rule), (Tail::Missing, 0));
    }

    #[test]
    fn repetitions_are_those_of_the_hosts_last_message() {
        let text = format!(
            "Oct 17 00:00:00 server last message repeated 9 times\n{LINE}\n\
             Oct 17 00:32:47 other kernel: hello\n\
             Oct 17 00:33:46 server last message repeated 3 times\n\
             Oct 17 00:33:47 other last message repeated 2 times\n"
        );
        let events = read(&text);
        let [
            Event::RepeatedUnknown { line: 1, times: 9 },
            Event::Entry(first),
            Event::Entry(again),
        ] = events.as_slice()
        else {
            panic!("{events:?}");
        };
        assert_eq!((again.line, again.times), (4, 3));
        assert_eq!(again.log, first.log);
        let quoted = LINE.replace("Packet", "message repeated 4 times: [Packet") + "]";
        assert_eq!(entries(&quoted)[0].times, 4);
    }

    #[test]
    fn messages_that_ran_into_each_other_are_damage_and_a_line() {
        let text = format!("{}{LINE}", &LINE[..70]);
        let events = read(&text);
        assert!(
            matches!(&events[..], [Event::Damaged(_), Event::Entry(_)]),
            "{events:?}"
        );
    }

    #[test]
    fn what_only_speaks_of_packet_logs_is_not_damage() {
        for text in [
            "# Programs that read \"Packet log:\" lines, and what they insist on",
            "grep 'Packet log: ' finds chain, PROTO=, L= and so on",
        ] {
            assert_eq!(read(text), [Event::Prose], "{text}");
        }
        for text in [
            "Packet log: input",
            "Packet log: input DENY eth0 L=44 and more of it",
        ] {
            assert!(matches!(&read(text)[..], [Event::Damaged(_)]), "{text}");
        }
    }

    #[test]
    fn what_the_kernel_left_out_is_counted() {
        let text = "Oct 17 00:00:00 s kernel: Suspect TCP fragment.\n\
                    Oct 17 00:00:00 s kernel: NET: 12 messages suppressed.\n";
        assert_eq!(read(text), [Event::Suspect, Event::Suppressed(12)]);
    }
}
