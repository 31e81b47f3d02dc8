//! Keys of many packets, field by field.

use super::PacketKey;
use crate::batch::BATCH;

/// One number for each packet.
pub type Column = [u32; BATCH];

/// Up to [`BATCH`] keys, each field in a column of its own, so that one
/// instruction works on several packets.
#[derive(Clone, Debug)]
pub struct KeyColumns {
    count: usize,
    /// Addresses, first octet in the highest byte.
    pub(super) sources: Column,
    pub(super) destinations: Column,
    /// Source port, and the destination port at bit 16.
    pub(super) ports: Column,
    /// Protocol; at bit 8 whether it is a fragment, at bit 16 whether it opens
    /// a connection.
    pub(super) kinds: Column,
}

impl KeyColumns {
    /// No keys.
    pub const fn new() -> Self {
        const ZERO: Column = [0; BATCH];
        Self {
            count: 0,
            sources: ZERO,
            destinations: ZERO,
            ports: ZERO,
            kinds: ZERO,
        }
    }

    /// How many there are.
    #[inline(always)]
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there is none.
    #[inline(always)]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Forgets all but the first so many.
    #[inline(always)]
    pub fn truncate(&mut self, count: usize) {
        self.count = self.count.min(count);
    }

    /// Adds a key; to [`BATCH`] of them nothing is added.
    #[inline(always)]
    pub fn push(&mut self, key: &PacketKey) {
        let [addresses, others] = key.words();
        let fields = [addresses, addresses >> 32, others, others >> 32];
        self.push_fields(fields.map(|field| field as u32));
    }

    /// Adds a key of others.
    #[inline(always)]
    pub fn push_of(&mut self, others: &Self, place: usize) {
        self.push_fields(others.fields(place % BATCH));
    }

    /// Adds so many keys of others, which `copy` takes from each column of theirs
    /// to the end of ours. With no room for all none is added.
    #[inline(always)]
    pub fn append_with(
        &mut self,
        others: &Self,
        count: usize,
        copy: impl FnOnce([(&Column, &mut Column); 4]),
    ) {
        if self.count + count > BATCH {
            return;
        }
        copy([
            (&others.sources, &mut self.sources),
            (&others.destinations, &mut self.destinations),
            (&others.ports, &mut self.ports),
            (&others.kinds, &mut self.kinds),
        ]);
        self.count += count;
    }

    #[inline(always)]
    fn push_fields(&mut self, fields: [u32; 4]) {
        let place = self.count;
        if place < BATCH {
            self.set_fields(place, fields);
            self.count = place + 1;
        }
    }

    /// Puts a key in the place of another.
    #[inline(always)]
    pub fn copy(&mut self, from: usize, to: usize) {
        self.set_fields(to % BATCH, self.fields(from % BATCH));
    }

    #[inline(always)]
    fn fields(&self, place: usize) -> [u32; 4] {
        [
            self.sources[place],
            self.destinations[place],
            self.ports[place],
            self.kinds[place],
        ]
    }

    #[inline(always)]
    fn set_fields(&mut self, place: usize, fields: [u32; 4]) {
        self.sources[place] = fields[0];
        self.destinations[place] = fields[1];
        self.ports[place] = fields[2];
        self.kinds[place] = fields[3];
    }

    /// The key in a place.
    ///
    /// # Panics
    ///
    /// If it is not among the first [`BATCH`].
    #[inline(always)]
    pub fn get(&self, place: usize) -> PacketKey {
        let [source, destination, ports, kind] = self.fields(place);
        PacketKey {
            source,
            destination,
            source_port: ports as u16,
            destination_port: (ports >> 16) as u16,
            protocol: kind as u8,
            fragment: kind >> 8 & 1 != 0,
            syn: kind >> 16 & 1 != 0,
        }
    }

    /// All keys, in order.
    pub fn iter(&self) -> impl Iterator<Item = PacketKey> {
        (0..self.count).map(|place| self.get(place))
    }

    /// Source addresses, first octet in the highest byte; of places without a
    /// key anything.
    #[inline(always)]
    pub fn sources(&self) -> &Column {
        &self.sources
    }

    /// Destination addresses, likewise.
    #[inline(always)]
    pub fn destinations(&self) -> &Column {
        &self.destinations
    }

    /// Source ports, and the destination ports at bit 16.
    #[inline(always)]
    pub fn ports(&self) -> &Column {
        &self.ports
    }

    /// Protocols; at bit 8 [`fragment`](PacketKey::fragment), at bit 16
    /// [`syn`](PacketKey::syn).
    #[inline(always)]
    pub fn kinds(&self) -> &Column {
        &self.kinds
    }
}

impl Default for KeyColumns {
    fn default() -> Self {
        Self::new()
    }
}

impl<'a> FromIterator<&'a PacketKey> for KeyColumns {
    fn from_iter<I: IntoIterator<Item = &'a PacketKey>>(keys: I) -> Self {
        let mut columns = Self::new();
        keys.into_iter().for_each(|key| columns.push(key));
        columns
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u32) -> PacketKey {
        PacketKey {
            source: number,
            destination: !number,
            source_port: number as u16,
            destination_port: 53,
            protocol: 17,
            fragment: number & 1 != 0,
            syn: number & 2 != 0,
        }
    }

    #[test]
    fn keys_come_back_as_they_went_in() {
        let keys: [PacketKey; BATCH] = core::array::from_fn(|number| key(number as u32));
        let mut columns: KeyColumns = keys.iter().collect();
        assert!(columns.iter().eq(keys));
        columns.push(&key(99));
        assert_eq!(columns.len(), BATCH);
        columns.copy(7, 3);
        assert_eq!(columns.get(3), keys[7]);
        columns.truncate(0);
        assert!(columns.is_empty());
        columns.push_of(&keys.iter().collect(), 5);
        assert!(columns.iter().eq([keys[5]]));
    }
}
