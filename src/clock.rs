//! The time, as a parameter, and instants as the vault keeps them: whole milliseconds since 1970.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use chrono::{DateTime, Utc};

/// The first millisecond of the year 10000, which RFC 3339 can no longer write.
const END: i64 = 253_402_300_800_000;

/// Tells the vault what time it is.
///
/// ```
/// use chrono::{DateTime, Utc};
///
/// struct Frozen(DateTime<Utc>);
/// impl tokenvault::Clock for Frozen {
///     fn now(&self) -> DateTime<Utc> {
///         self.0
///     }
/// }
/// ```
pub trait Clock: Send + Sync + 'static {
    /// The current instant. The vault takes whole milliseconds of it, and years 1970 to 9999.
    fn now(&self) -> DateTime<Utc>;
}

impl<C: Clock + ?Sized> Clock for Arc<C> {
    fn now(&self) -> DateTime<Utc> {
        (**self).now()
    }
}

/// The system's wall clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> DateTime<Utc> {
        #[expect(clippy::disallowed_methods, reason = "the one place that asks the system")]
        SystemTime::now().into()
    }
}

/// An instant that a record can hold: milliseconds since 1970, before the year 10000.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Timestamp(i64);

impl Timestamp {
    /// What the clock says, held within the years that can be written.
    pub(crate) fn now(clock: &dyn Clock) -> Self {
        Self(clock.now().timestamp_millis().clamp(0, END - 1))
    }

    /// An instant as stored, if it is one.
    pub(crate) fn from_millis(millis: i64) -> Option<Self> {
        (0..END).contains(&millis).then_some(Self(millis))
    }

    pub(crate) fn as_millis(self) -> i64 {
        self.0
    }

    /// Exactly so many seconds later.
    pub(crate) fn plus_seconds(self, seconds: u32) -> Self {
        Self(self.0.saturating_add(i64::from(seconds) * 1000).min(END - 1))
    }

    /// So much later, in whole milliseconds.
    pub(crate) fn plus(self, duration: Duration) -> Self {
        let millis = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        Self(self.0.saturating_add(millis).min(END - 1))
    }

    /// The same instant, for an answer.
    pub(crate) fn to_datetime(self) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(self.0).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct At(i64);
    impl Clock for At {
        fn now(&self) -> DateTime<Utc> {
            DateTime::from_timestamp_millis(self.0).unwrap()
        }
    }

    #[test]
    fn a_clock_out_of_range_is_held_at_the_edge() {
        for (says, kept) in [(-1, 0), (0, 0), (1, 1), (END - 1, END - 1), (END, END - 1)] {
            assert_eq!(Timestamp::now(&At(says)).as_millis(), kept);
        }
    }

    #[test]
    fn the_last_instant_is_the_end_of_the_year_9999() {
        let last = Timestamp::from_millis(END - 1).unwrap().to_datetime();
        assert_eq!(last.to_rfc3339(), "9999-12-31T23:59:59.999+00:00");
        assert_eq!(Timestamp::from_millis(END), None);
        assert_eq!(Timestamp::from_millis(-1), None);
    }
}
