//! Memory that never reaches a disk: locked against swapping, left out of core dumps and of the children of a fork. Small slots,
//! many to a page, and pages of one's own for what is longer; both are wiped when they are given back.
//!
//! There is no fallback: where a page cannot be had with all three properties, there is nothing. A page of slots stays for later
//! slots once it is had, so that the process holds as many as it ever needed at once.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use zeroize::Zeroize;

use crate::process::Process;

/// Bytes of a slot.
pub(crate) const SLOT: usize = 4;

/// A few bytes in locked memory.
///
/// It cannot be printed, cloned, compared or serialised. A move moves a pointer, never the bytes.
pub(crate) struct Slot {
    /// Always there until it is given back.
    bytes: Option<&'static mut [u8; SLOT]>,
    /// Who had the page. A child of a fork has the pointer and not the page.
    process: Process,
}

impl Slot {
    /// A slot of zeros that `fill` writes in place; `None` where no memory can be locked.
    pub(crate) fn born(fill: impl FnOnce(&mut [u8; SLOT])) -> Option<Self> {
        let mut slot = Self { bytes: Some(FREE.take()?), process: Process::current() };
        slot.bytes.as_deref_mut().map(fill);
        Some(slot)
    }

    /// Looks inside; `None` in a child of a fork. Each use says why it may.
    pub(crate) fn expose(&self) -> Option<&[u8; SLOT]> {
        if self.is_here() { self.bytes.as_deref() } else { None }
    }

    /// Whether the page is in this process.
    pub(crate) fn is_here(&self) -> bool {
        self.process.is_current()
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        // In a child of a fork there is nothing to wipe, nor to give back.
        if self.is_here()
            && let Some(bytes) = self.bytes.take()
        {
            bytes.zeroize();
            FREE.give_back(bytes);
        }
    }
}

impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Slot(..)")
    }
}

/// Bytes in locked pages of their own, for as long as they are held.
///
/// They cannot be printed, cloned, compared or serialised. A move moves a pointer, never the bytes.
pub(crate) struct LockedBytes {
    /// Always there until they are given back.
    pages: Option<Pages>,
    length: usize,
    /// As for a slot.
    process: Process,
}

impl LockedBytes {
    /// Nothing yet, with room for so many bytes; `None` where no memory can be locked.
    pub(crate) fn with_room(room: usize) -> Option<Self> {
        let pages = pages(room.max(1))?;
        Some(Self { pages: Some(pages), length: 0, process: Process::current() })
    }

    /// Appends bytes. There must be room for them: what goes beyond it is left out.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        let room = self.pages.as_deref_mut().and_then(|pages| pages.get_mut(self.length..)).unwrap_or_default();
        self.length += room.iter_mut().zip(bytes).map(|(to, byte)| *to = *byte).count();
    }

    /// Looks inside. Each use says why it may.
    pub(crate) fn expose(&self) -> &[u8] {
        self.pages.as_deref().and_then(|pages| pages.get(..self.length)).unwrap_or_default()
    }
}

impl Drop for LockedBytes {
    fn drop(&mut self) {
        let Some(mut pages) = self.pages.take() else { return };
        if self.process.is_current() {
            pages.zeroize();
        } else {
            // In a child of a fork they are not there, and something else may be in their place.
            std::mem::forget(pages);
        }
    }
}

impl fmt::Debug for LockedBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LockedBytes(..)")
    }
}

/// The slots of this process that nobody has: the limit on locked memory is one of the process too.
static FREE: Free = Free(Mutex::new(Slots { process: None, slots: Vec::new() }));

struct Free(Mutex<Slots>);

struct Slots {
    /// Whose they are; nobody's as long as there are none.
    process: Option<Process>,
    /// All zeros.
    slots: Vec<&'static mut [u8; SLOT]>,
}

impl Free {
    fn take(&self) -> Option<&'static mut [u8; SLOT]> {
        let mut free = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !free.are_here() {
            // Those of a parent are not in a forked child.
            *free = Slots { process: Some(Process::current()), slots: Vec::new() };
        }
        if free.slots.is_empty() {
            free.slots.extend(page()?.as_chunks_mut::<SLOT>().0);
        }
        free.slots.pop()
    }

    /// Takes back a slot of this process.
    fn give_back(&self, slot: &'static mut [u8; SLOT]) {
        let mut free = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if free.are_here() {
            free.slots.push(slot);
        }
    }
}

impl Slots {
    /// Whether their pages are in this process.
    fn are_here(&self) -> bool {
        self.process.as_ref().is_some_and(Process::is_current)
    }
}

/// A page of zeros with all three properties, for as long as the process lives.
fn page() -> Option<&'static mut [u8]> {
    /// The smallest page there is. Where pages are larger, the rest of each is not used.
    const PAGE: usize = 4096;

    let page: &'static mut Pages = Box::leak(Box::new(pages(PAGE)?));
    Some(page)
}

#[cfg(target_os = "linux")]
type Pages = memmap2::MmapMut;

#[cfg(not(target_os = "linux"))]
type Pages = Box<[u8]>;

/// So many zeros, with all three properties.
#[cfg(target_os = "linux")]
fn pages(length: usize) -> Option<Pages> {
    use memmap2::Advice;

    let pages = Pages::map_anon(length).ok()?;
    pages.lock().ok()?;
    pages.advise(Advice::DontDump).ok()?;
    pages.advise(Advice::DontFork).ok()?;
    Some(pages)
}

/// Elsewhere no memory is known to have all three.
#[cfg(not(target_os = "linux"))]
fn pages(_: usize) -> Option<Pages> {
    None
}

#[cfg(target_os = "linux")]
#[cfg(test)]
mod tests {
    use super::*;

    fn slot(bytes: [u8; SLOT]) -> Slot {
        Slot::born(|slot| *slot = bytes).expect("memory that can be locked")
    }

    #[test]
    fn a_slot_holds_what_was_written_and_its_neighbours_are_their_own() {
        let slots: Vec<_> = (0..5000_u32).map(|number| slot(number.to_be_bytes())).collect();
        for (number, slot) in (0..).zip(&slots) {
            assert_eq!(slot.expose().copied().map(u32::from_be_bytes), Some(number));
        }
    }

    #[test]
    fn a_slot_that_was_given_back_is_zeros() {
        for _ in 0..3 {
            drop((0..2000).map(|_| slot(*b"7319")).collect::<Vec<_>>());
        }
        let free = FREE.0.lock().unwrap();
        assert!(free.slots.len() > 1000);
        // Another test may hold slots of its own; what is free is wiped.
        assert!(free.slots.iter().all(|slot| **slot == [0; SLOT]));
    }

    #[test]
    fn a_child_of_a_fork_sees_no_slot_of_its_parent() {
        let mut foreign = slot(*b"7319");
        let bytes = foreign.bytes.as_deref().unwrap().as_ptr();
        foreign.process = Process::of_parent();
        assert_eq!(foreign.expose(), None);
        drop(foreign);
        let free = FREE.0.lock().unwrap();
        assert!(free.slots.iter().all(|slot| slot.as_ptr() != bytes), "given back in the child");
    }

    #[test]
    fn bytes_hold_what_was_pushed_and_nothing_beyond_their_room() {
        let mut bytes = LockedBytes::with_room(10_000).expect("memory that can be locked");
        assert_eq!(bytes.expose(), b"");
        for part in [&b"a"[..], b"", &[b'b'; 9_000]] {
            bytes.push(part);
        }
        assert_eq!(bytes.expose(), [&b"a"[..], &[b'b'; 9_000]].concat());
        bytes.push(&[b'c'; 2_000]);
        bytes.push(b"d");
        assert_eq!(bytes.expose(), [&b"a"[..], &[b'b'; 9_000], &[b'c'; 999]].concat());
        assert_eq!(LockedBytes::with_room(0).expect("memory that can be locked").expose(), b"");
    }

    #[test]
    fn more_than_can_be_locked_is_not_had() {
        assert!(LockedBytes::with_room(1 << 50).is_none());
    }

    #[test]
    fn debug_shows_nothing() {
        assert_eq!(format!("{:?}", slot(*b"7319")), "Slot(..)");
        assert_eq!(format!("{:?}", LockedBytes::with_room(1).unwrap()), "LockedBytes(..)");
    }
}
