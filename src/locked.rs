//! Small slots in memory that never reaches a disk: locked against swapping, left out of core dumps and of the children of a
//! fork, many slots to a page. A slot is wiped when it is given back.
//!
//! There is no fallback: where a page cannot be had with all three properties, there is no slot. A page stays for later slots
//! once it is had, so that the process holds as many as it ever needed at once.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use zeroize::Zeroize;

/// Bytes of a slot.
pub(crate) const SLOT: usize = 4;

/// A few bytes in locked memory.
///
/// It cannot be printed, cloned, compared or serialised. A move moves a pointer, never the bytes.
pub(crate) struct Slot {
    /// Always there until it is given back.
    bytes: Option<&'static mut [u8; SLOT]>,
    /// Who had the page. A child of a fork has the pointer and not the page.
    process: u32,
}

impl Slot {
    /// A slot of zeros that `fill` writes in place; `None` where no memory can be locked.
    pub(crate) fn born(fill: impl FnOnce(&mut [u8; SLOT])) -> Option<Self> {
        let process = std::process::id();
        let mut slot = Self { bytes: Some(FREE.take(process)?), process };
        slot.bytes.as_deref_mut().map(fill);
        Some(slot)
    }

    /// Looks inside; `None` in a child of a fork. Each use says why it may.
    pub(crate) fn expose(&self) -> Option<&[u8; SLOT]> {
        if self.is_here() { self.bytes.as_deref() } else { None }
    }

    /// Whether the page is in this process.
    pub(crate) fn is_here(&self) -> bool {
        self.process == std::process::id()
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        // In a child of a fork there is nothing to wipe, nor to give back.
        if self.is_here()
            && let Some(bytes) = self.bytes.take()
        {
            bytes.zeroize();
            FREE.give_back(self.process, bytes);
        }
    }
}

impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Slot(..)")
    }
}

/// The slots of this process that nobody has: the limit on locked memory is one of the process too.
static FREE: Free = Free(Mutex::new(Slots { process: 0, slots: Vec::new() }));

struct Free(Mutex<Slots>);

struct Slots {
    process: u32,
    /// All zeros.
    slots: Vec<&'static mut [u8; SLOT]>,
}

impl Free {
    fn take(&self, process: u32) -> Option<&'static mut [u8; SLOT]> {
        let mut free = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if free.process != process {
            // Those of a parent are not in a forked child.
            *free = Slots { process, slots: Vec::new() };
        }
        if free.slots.is_empty() {
            free.slots.extend(page()?.as_chunks_mut::<SLOT>().0);
        }
        free.slots.pop()
    }

    fn give_back(&self, process: u32, slot: &'static mut [u8; SLOT]) {
        let mut free = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if free.process == process {
            free.slots.push(slot);
        }
    }
}

/// A page of zeros with all three properties, for as long as the process lives.
#[cfg(target_os = "linux")]
fn page() -> Option<&'static mut [u8]> {
    use memmap2::{Advice, MmapMut};

    /// The smallest page there is. Where pages are larger, the rest of each is not used.
    const PAGE: usize = 4096;

    let page = MmapMut::map_anon(PAGE).ok()?;
    page.lock().ok()?;
    page.advise(Advice::DontDump).ok()?;
    page.advise(Advice::DontFork).ok()?;
    let page: &'static mut MmapMut = Box::leak(Box::new(page));
    Some(page)
}

/// Elsewhere no memory is known to have all three.
#[cfg(not(target_os = "linux"))]
fn page() -> Option<&'static mut [u8]> {
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
        foreign.process ^= 1;
        assert_eq!(foreign.expose(), None);
        drop(foreign);
        let free = FREE.0.lock().unwrap();
        assert!(free.slots.iter().all(|slot| slot.as_ptr() != bytes), "given back in the child");
    }

    #[test]
    fn debug_shows_nothing() {
        assert_eq!(format!("{:?}", slot(*b"7319")), "Slot(..)");
    }
}
