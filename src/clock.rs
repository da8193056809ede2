//! The time, as a parameter, and instants as the vault keeps them: whole milliseconds since 1970.

use std::sync::Arc;
#[cfg(not(any(target_os = "linux", target_os = "android")))]
use std::sync::LazyLock;
#[cfg(not(any(target_os = "linux", target_os = "android")))]
use std::time::Instant;
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

    /// Time that nobody sets, since any instant of the clock's own choice: it goes on as fast as [`now`](Self::now) should,
    /// also while the machine sleeps, and never back. The vault holds wall time against it, and removes nothing when that
    /// leaps: see [`Vault::confirm_clock`](crate::Vault::confirm_clock). Default: none, and no leap is noticed.
    fn monotonic(&self) -> Option<Duration> {
        None
    }
}

impl<C: Clock + ?Sized> Clock for Arc<C> {
    fn now(&self) -> DateTime<Utc> {
        (**self).now()
    }

    fn monotonic(&self) -> Option<Duration> {
        (**self).monotonic()
    }
}

/// The system's clocks. On Linux its monotonic time goes on while the machine sleeps; where it does not, a sleep of more than
/// an hour looks like a leap of wall time.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> DateTime<Utc> {
        #[expect(clippy::disallowed_methods, reason = "the one place that asks the system")]
        SystemTime::now().into()
    }

    #[cfg(any(target_os = "linux", target_os = "android"))]
    fn monotonic(&self) -> Option<Duration> {
        use rustix::time::{DynamicClockId, clock_gettime_dynamic};

        let since_boot = clock_gettime_dynamic(DynamicClockId::Boottime).ok()?;
        Duration::try_from(since_boot).ok()
    }

    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    fn monotonic(&self) -> Option<Duration> {
        static START: LazyLock<Instant> = LazyLock::new(Instant::now);
        Some(START.elapsed())
    }
}

/// An instant that a record can hold: milliseconds since 1970, before the year 10000.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Timestamp(i64);

impl Timestamp {
    /// What the clock says, held within the years that can be written.
    pub(crate) fn now(clock: &dyn Clock) -> Self {
        Self::held(clock.now().timestamp_millis())
    }

    /// An instant, held within the years that can be written.
    pub(crate) fn held(millis: i64) -> Self {
        Self(millis.clamp(0, END - 1))
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
    fn the_system_has_monotonic_time_that_goes_on() {
        let clock = SystemClock;
        let before = clock.monotonic().unwrap();
        std::thread::sleep(Duration::from_millis(20));
        let passed = Arc::new(clock).monotonic().unwrap().checked_sub(before).unwrap();
        assert!(passed >= Duration::from_millis(15), "{passed:?}");
        assert_eq!(At(0).monotonic(), None);
    }

    #[test]
    fn the_last_instant_is_the_end_of_the_year_9999() {
        let last = Timestamp::from_millis(END - 1).unwrap().to_datetime();
        assert_eq!(last.to_rfc3339(), "9999-12-31T23:59:59.999+00:00");
        assert_eq!(Timestamp::from_millis(END), None);
        assert_eq!(Timestamp::from_millis(-1), None);
    }
}
