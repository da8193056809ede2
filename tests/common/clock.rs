//! A clock that stands still until it is moved.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokenvault::Clock;

/// Every clone shows the same time.
#[derive(Clone, Debug)]
pub struct HandClock(Arc<AtomicI64>);

impl HandClock {
    /// Shows an instant of RFC 3339.
    pub fn at(instant: &str) -> Self {
        let instant = DateTime::parse_from_rfc3339(instant).unwrap();
        Self(Arc::new(AtomicI64::new(instant.timestamp_millis())))
    }

    /// Moves on, or back.
    pub fn advance_millis(&self, millis: i64) {
        self.0.fetch_add(millis, Ordering::SeqCst);
    }
}

impl Clock for HandClock {
    fn now(&self) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(self.0.load(Ordering::SeqCst)).unwrap()
    }
}

/// A clock that has monotonic time as well. Every clone shows the same times.
#[derive(Clone, Debug)]
pub struct TwoHandClock {
    wall: HandClock,
    monotonic_millis: Arc<AtomicI64>,
}

impl TwoHandClock {
    /// Shows an instant of RFC 3339, and a monotonic time of its own.
    pub fn at(instant: &str) -> Self {
        Self { wall: HandClock::at(instant), monotonic_millis: Arc::new(AtomicI64::new(123_456)) }
    }

    /// Time passes, and both hands show it.
    pub fn advance_millis(&self, millis: i64) {
        assert!(millis >= 0, "time does not go back");
        self.monotonic_millis.fetch_add(millis, Ordering::SeqCst);
        self.wall.advance_millis(millis);
    }

    /// Somebody sets the wall clock, on or back.
    pub fn leap_millis(&self, millis: i64) {
        self.wall.advance_millis(millis);
    }
}

impl Clock for TwoHandClock {
    fn now(&self) -> DateTime<Utc> {
        self.wall.now()
    }

    fn monotonic(&self) -> Option<Duration> {
        Some(Duration::from_millis(self.monotonic_millis.load(Ordering::SeqCst).try_into().unwrap()))
    }
}
