//! From one ordinary record of a pcap file to the next. Where a record begins is known when the
//! length of the one before has been read, and that takes as long as the cache takes to answer. So
//! bytes are walked from several places at once, where records seem to begin. What is found from
//! such a place on counts only if the walk from the front comes to it: a wrong guess costs time.

use super::pcap::{LENGTHS, RECORD_HEADER};

/// Walked at once.
const WALKS: usize = 4;
/// So many ordinary records go before a guess, so that odd files are not guessed about all the time.
const BEFORE_GUESSING: usize = 64;
/// Fewer bytes are not worth guessing.
const FEW: usize = 64 * 1024;
/// Places that are tried for a guess.
const TRIED: usize = 4096;
/// Records that must seem to follow each other where one is guessed to begin.
const IN_A_ROW: usize = 4;
/// Seconds between records that seem to be of one capture.
const CLOSE: u32 = 1 << 17;

/// Finds ordinary records: not longer than the frame was, nor than `limit`.
pub(super) struct Walker<N> {
    /// Reads a number in the order of the file.
    pub(super) number: N,
    pub(super) limit: u32,
}

/// What was found from a guess on.
#[derive(Default)]
pub(super) struct Ahead([Vec<u32>; WALKS - 1]);

impl<N: Fn([u8; 4]) -> u32> Walker<N> {
    /// Adds the beginnings of the ordinary records that lie whole at `start` and after it, and gives
    /// back where they end.
    #[inline(always)]
    pub(super) fn walk(
        &self,
        bytes: &[u8],
        start: usize,
        starts: &mut Vec<u32>,
        ahead: &mut Ahead,
    ) -> usize {
        let mut place = start;
        for _ in 0..BEFORE_GUESSING {
            if !self.step(bytes, &mut place, usize::MAX, starts) {
                return place;
            }
        }
        place = self.walk_alike(bytes, place, starts);
        let left = bytes.len() - place;
        if left >= FEW
            && let Some(guesses) = self.guesses(bytes, place, left / WALKS)
        {
            place = self.walk_apart(bytes, place, guesses, starts, ahead);
        }
        while self.step(bytes, &mut place, usize::MAX, starts) {}
        place
    }

    /// Walks over records with the same lengths as the one that began last, as in a flood: where
    /// they begin needs no walk.
    #[inline(always)]
    fn walk_alike(&self, bytes: &[u8], start: usize, starts: &mut Vec<u32>) -> usize {
        let lengths = |record: &[u8]| record[LENGTHS..RECORD_HEADER].first_chunk::<8>().copied();
        let Some(last) = starts.last().map(|last| &bytes[*last as usize..start]) else {
            return start;
        };
        let records = bytes[start..].chunks_exact(last.len());
        let alike = records.take_while(|record| lengths(record) == lengths(last));
        let count = alike.count();
        starts.extend((0..count).map(|record| (start + record * last.len()) as u32));
        start + count * last.len()
    }

    /// Walks from a place and from the guesses, until what was found meets.
    #[inline(always)]
    fn walk_apart(
        &self,
        bytes: &[u8],
        start: usize,
        guesses: [usize; WALKS - 1],
        starts: &mut Vec<u32>,
        Ahead([first, second, third]): &mut Ahead,
    ) -> usize {
        let [a, b, c] = guesses;
        let mut places = [start, a, b, c];
        {
            let [front, one, two, three] = &mut places;
            while self.step(bytes, front, a, starts)
                && self.step(bytes, one, b, first)
                && self.step(bytes, two, c, second)
                && self.step(bytes, three, usize::MAX, third)
            {}
        }
        let [mut place, found @ ..] = places;
        let ahead = [first, second, third].into_iter().zip(found);
        for (guess, (list, found)) in guesses.into_iter().zip(ahead) {
            while self.step(bytes, &mut place, guess, starts) {}
            if place == guess {
                starts.append(list);
                place = found;
            }
            list.clear();
        }
        place
    }

    /// Goes past the ordinary record that begins at `place`, if there is one and it begins before
    /// `end`.
    #[inline(always)]
    fn step(&self, bytes: &[u8], place: &mut usize, end: usize, starts: &mut Vec<u32>) -> bool {
        if *place >= end {
            return false;
        }
        let Some(next) = self.next(bytes, *place) else {
            return false;
        };
        starts.push(*place as u32);
        *place = next;
        true
    }

    /// Where the ordinary record ends that begins at a place.
    #[inline(always)]
    fn next(&self, bytes: &[u8], place: usize) -> Option<usize> {
        let header = bytes.get(place..)?.first_chunk::<RECORD_HEADER>()?;
        let (length, original) = (self.field(header, LENGTHS), self.field(header, LENGTHS + 4));
        let next = place + RECORD_HEADER + length as usize;
        (length <= self.limit.min(original) && next <= bytes.len()).then_some(next)
    }

    #[inline(always)]
    fn field(&self, header: &[u8; RECORD_HEADER], at: usize) -> u32 {
        (self.number)([header[at], header[at + 1], header[at + 2], header[at + 3]])
    }

    /// Places where records seem to begin, about so many bytes apart.
    #[cold]
    fn guesses(&self, bytes: &[u8], start: usize, apart: usize) -> Option<[usize; WALKS - 1]> {
        let seconds = self.field(bytes.get(start..)?.first_chunk()?, 0);
        let mut guesses = [0; WALKS - 1];
        for (number, guess) in (1..).zip(&mut guesses) {
            let from = start + number * apart;
            let mut places = from..from + TRIED;
            *guess = places.find(|place| self.seems_to_begin(bytes, *place, seconds))?;
        }
        Some(guesses)
    }

    /// Whether there seem to be records of a capture, of which one is from this second.
    #[inline(always)]
    fn seems_to_begin(&self, bytes: &[u8], place: usize, seconds: u32) -> bool {
        let mut place = place;
        (0..IN_A_ROW).all(|_| {
            let header = bytes.get(place..).and_then(|rest| rest.first_chunk());
            let Some(header) = header else { return false };
            let (second, fraction) = (self.field(header, 0), self.field(header, 4));
            let (length, original) = (self.field(header, LENGTHS), self.field(header, LENGTHS + 4));
            place += RECORD_HEADER + length as usize;
            second.abs_diff(seconds) < CLOSE
                && fraction < 1_000_000_000
                && (1..=original.min(self.limit)).contains(&length)
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: u32 = 1_003_278_766;
    const WALKER: Walker<fn([u8; 4]) -> u32> = Walker {
        number: u32::from_le_bytes,
        limit: 10_000,
    };

    /// Records with data of these lengths, taken from the beginning of `data`.
    fn records(lengths: &[usize], data: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for length in lengths {
            for field in [SECOND, 999_999, *length as u32, *length as u32] {
                bytes.extend(field.to_le_bytes());
            }
            bytes.extend(&data[..*length]);
        }
        bytes
    }

    /// Where records begin, and where the last one ends.
    fn found(bytes: &[u8], start: usize) -> (Vec<u32>, usize) {
        let (mut starts, mut ahead) = (Vec::new(), Ahead::default());
        let end = WALKER.walk(bytes, start, &mut starts, &mut ahead);
        assert!(ahead.0.iter().all(Vec::is_empty));
        (starts, end)
    }

    fn found_one_by_one(bytes: &[u8], start: usize) -> (Vec<u32>, usize) {
        let (mut starts, mut place) = (Vec::new(), start);
        while WALKER.step(bytes, &mut place, usize::MAX, &mut starts) {}
        (starts, place)
    }

    fn guesses(bytes: &[u8]) -> Option<[usize; WALKS - 1]> {
        WALKER.guesses(bytes, 0, bytes.len() / WALKS)
    }

    /// Frames of one length, of few, and of many.
    fn lengths() -> impl Strategy<Value = Vec<usize>> {
        prop_oneof![
            prop::collection::vec(Just(60), 2000..3000),
            prop::collection::vec(prop::sample::select(&[60, 60, 60, 590, 1514]), 500..1000),
            prop::collection::vec(0_usize..9000, 50..150),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn all_records_are_found(lengths in lengths(), cut in 1_usize..16) {
            let bytes = records(&lengths, &[0; 9000]);
            let starts = lengths.iter().scan(0, |next, length| {
                let start = *next;
                *next += RECORD_HEADER + length;
                Some(start as u32)
            });
            let starts: Vec<_> = starts.collect();
            prop_assert_eq!(found(&bytes, 0), (starts.clone(), bytes.len()));

            // The last one is cut.
            let end = starts[starts.len() - 1] as usize;
            let cut = &bytes[..end + RECORD_HEADER - cut];
            prop_assert_eq!(found(cut, 0), (starts[..starts.len() - 1].to_vec(), end));
        }

        /// At one that is longer than its frame was.
        #[test]
        fn the_walk_ends_at_an_odd_record(lengths in lengths(), odd: prop::sample::Index) {
            let mut bytes = records(&lengths, &[0; 9000]);
            let (starts, _) = found_one_by_one(&bytes, 0);
            let odd = odd.index(starts.len());
            let start = starts[odd] as usize;
            bytes[start + LENGTHS] = 1;
            bytes[start + LENGTHS + 4] = 0;
            prop_assert_eq!(found(&bytes, 0), found_one_by_one(&bytes, 0));
            prop_assert_eq!(found(&bytes, 0), (starts[..odd].to_vec(), start));
        }

        /// A capture that is sent over the link: each frame is full of what seem to be
        /// records.
        #[test]
        fn wrong_guesses_change_nothing(lengths in prop::collection::vec(6000_usize..9000, 90)) {
            let capture = records(&[24; 225], &[0; 24]);
            let bytes = records(&lengths, &capture);
            let (starts, end) = found_one_by_one(&bytes, 0);
            let guesses = guesses(&bytes).unwrap();
            prop_assert!(guesses.iter().any(|guess| !starts.contains(&(*guess as u32))));
            prop_assert_eq!(starts.len(), lengths.len());
            prop_assert_eq!(found(&bytes, 0), (starts, end));
        }

        #[test]
        fn guesses_are_right_among_ordinary_frames(
            lengths in prop::collection::vec(60_usize..1514, 300),
            data in prop::collection::vec(any::<u8>(), 1514),
        ) {
            let bytes = records(&lengths, &data);
            let (starts, _) = found_one_by_one(&bytes, 0);
            for (number, guess) in (1..).zip(guesses(&bytes).unwrap()) {
                prop_assert!(starts.contains(&(guess as u32)));
                let wanted = number * (bytes.len() / WALKS);
                prop_assert!((wanted..wanted + RECORD_HEADER + 1514).contains(&guess));
            }
        }
    }

    #[test]
    fn nothing_is_guessed_of_bytes_that_do_not_look_like_records() {
        let mut bytes = records(&[60; 3000], &[0; 60]);
        assert!(guesses(&bytes).is_some());
        // The first is from another day.
        bytes[..4].copy_from_slice(&(SECOND + CLOSE).to_le_bytes());
        assert_eq!(guesses(&bytes), None);
        assert_eq!(guesses(&vec![0; 4 * FEW]), None);
    }
}
