use crate::capture::Timestamp;

/// How an interface counts time: `if_tsresol` and `if_tsoffset`.
pub(super) struct Clock {
    unit: Unit,
    offset_seconds: i64,
}

/// One tick, as an operation that turns ticks into nanoseconds.
enum Unit {
    Multiply(u64),
    Divide(u64),
    /// Ticks are second / 2^n.
    PowerOfTwo(u8),
    /// So short that all of 2^64 ticks are less than a nanosecond.
    Nothing,
}

const NANOS_PER_SECOND: u64 = 1_000_000_000;

impl Default for Clock {
    /// Microseconds since the epoch.
    fn default() -> Self {
        Self {
            unit: Unit::Multiply(1_000),
            offset_seconds: 0,
        }
    }
}

impl Clock {
    /// The highest bit tells powers of two from powers of ten; the others are the negative
    /// exponent.
    pub(super) fn set_resolution(&mut self, resolution: u8) {
        let power_of_ten = |exponent| 10_u64.checked_pow(u32::from(exponent));
        self.unit = match resolution {
            0x80.. => Unit::PowerOfTwo(resolution & 0x7f),
            0..=9 => power_of_ten(9 - resolution).map_or(Unit::Nothing, Unit::Multiply),
            _ => power_of_ten(resolution - 9).map_or(Unit::Nothing, Unit::Divide),
        };
    }

    pub(super) fn set_offset(&mut self, seconds: i64) {
        self.offset_seconds = seconds;
    }

    /// `None` where the nanoseconds do not fit.
    #[inline]
    pub(super) fn time(&self, high: u32, low: u32) -> Option<Timestamp> {
        let ticks = u64::from(high) << 32 | u64::from(low);
        let nanos = match self.unit {
            Unit::Multiply(factor) => u128::from(ticks) * u128::from(factor),
            Unit::Divide(divisor) => u128::from(ticks / divisor),
            // Below 2^64 * 2^30.
            Unit::PowerOfTwo(n) => (u128::from(ticks) * u128::from(NANOS_PER_SECOND)) >> n,
            Unit::Nothing => 0,
        };
        let offset = i128::from(self.offset_seconds) * i128::from(NANOS_PER_SECOND);
        let since_epoch = i128::try_from(nanos).ok()?.checked_add(offset)?;
        Some(Timestamp::from_nanos(i64::try_from(since_epoch).ok()?))
    }
}

#[cfg(test)]
mod tests {
    use super::{Clock, Timestamp};

    fn nanos(resolution: u8, offset: i64, ticks: u64) -> Option<i64> {
        let mut clock = Clock::default();
        clock.set_resolution(resolution);
        clock.set_offset(offset);
        clock
            .time((ticks >> 32) as u32, ticks as u32)
            .map(Timestamp::as_nanos)
    }

    #[test]
    fn resolutions() {
        assert_eq!(
            Clock::default().time(1, 0).unwrap().as_nanos(),
            4_294_967_296_000
        );
        assert_eq!(nanos(0, 0, 7), Some(7_000_000_000));
        assert_eq!(nanos(9, 0, 7), Some(7));
        assert_eq!(nanos(12, 0, 7_999), Some(7));
        assert_eq!(nanos(28, 0, u64::MAX), Some(1));
        assert_eq!(nanos(29, 0, u64::MAX), Some(0));
        assert_eq!(nanos(0x80, 0, 7), Some(7_000_000_000));
        assert_eq!(nanos(0x81, 0, 3), Some(1_500_000_000));
        assert_eq!(nanos(0xff, 0, u64::MAX), Some(0));
    }

    #[test]
    fn offsets_and_times_that_do_not_fit() {
        assert_eq!(nanos(9, -2, 1), Some(-1_999_999_999));
        assert_eq!(nanos(0, 0, u64::MAX), None);
        assert_eq!(nanos(0x80, i64::MIN, u64::MAX), None);
        assert_eq!(nanos(0, i64::MIN, 0), None);
    }
}
