//! Short names stored inline: chain labels and interface names.

use core::fmt;
use core::str;

/// A chain's label: at most 8 bytes (§1).
pub type ChainName = ShortName<8>;

/// An interface's name: at most 16 bytes in a rule.
///
/// A device can use only 15 of them, so a rule that names 16 never matches
/// (§9); [`InterfaceName::for_device`] keeps to that.
pub type InterfaceName = ShortName<16>;

/// A UTF-8 name of at most `N` bytes, without allocation.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShortName<const N: usize> {
    bytes: [u8; N],
    length: u8,
}

impl<const N: usize> ShortName<N> {
    /// The empty name.
    pub const EMPTY: Self = Self {
        bytes: [0; N],
        length: 0,
    };

    /// `None` if the name takes more than `N` bytes.
    pub fn new(name: &str) -> Option<Self> {
        let mut short = Self::EMPTY;
        short
            .bytes
            .get_mut(..name.len())?
            .copy_from_slice(name.as_bytes());
        short.length = name.len() as u8;
        Some(short)
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        // Always UTF-8: only whole `str`s get in.
        str::from_utf8(self.as_bytes()).unwrap_or_default()
    }

    /// The name as bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }

    /// The name as bytes, with others behind, and how many it has.
    #[inline]
    pub(crate) fn padded(&self) -> ([u8; N], usize) {
        (self.bytes, self.length.into())
    }
}

impl InterfaceName {
    /// How many bytes of a name a device can use.
    pub const DEVICE_LENGTH: usize = 15;

    /// A device's name, made to fit: cut to 15 bytes, blanks and control
    /// characters replaced by `_` so that log lines keep their fields.
    ///
    /// Returns the name and whether it had to be changed.
    pub fn for_device(name: &str) -> (Self, bool) {
        let mut fitted = Self::EMPTY;
        let mut buffer = [0; 4];
        for letter in name.chars() {
            let letter = if letter.is_whitespace() || letter.is_control() {
                '_'
            } else {
                letter
            };
            let letter = letter.encode_utf8(&mut buffer).as_bytes();
            let end = usize::from(fitted.length) + letter.len();
            if end > Self::DEVICE_LENGTH {
                break;
            }
            fitted.bytes[usize::from(fitted.length)..end].copy_from_slice(letter);
            fitted.length = end as u8;
        }
        let changed = fitted.as_str() != name;
        (fitted, changed)
    }
}

impl<const N: usize> fmt::Display for ShortName<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl<const N: usize> fmt::Debug for ShortName<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_has_eight_bytes() {
        assert_eq!(ChainName::new("eightchr").unwrap().as_str(), "eightchr");
        assert_eq!(ChainName::new("ninechars"), None);
    }

    #[test]
    fn foreign_interface_names_are_made_to_fit() {
        let (name, changed) = InterfaceName::for_device("Local Area Connection");
        assert_eq!((name.as_str(), changed), ("Local_Area_Conn", true));
        let (name, changed) = InterfaceName::for_device("ppp0");
        assert_eq!((name.as_str(), changed), ("ppp0", false));
        let (name, _) = InterfaceName::for_device("ééééééééé");
        assert_eq!(name.as_str(), "ééééééé");
    }
}
