//! Which process this is, told without asking the system each time: a child of a fork is another one than its parent.
//!
//! Forks are counted where they happen: `fork` of the C library calls whoever has asked for it in the child
//! (`pthread_atfork`, POSIX.1-2024). A child that is made past it, by the bare system call, is not told from its parent.

use std::fmt;

use forkguard::Guard;

/// A process, as it is known from within.
pub(crate) struct Process(Known);

enum Known {
    /// By the forks that have led to it.
    Forks(Guard),
    /// By its id, where forks cannot be counted.
    Id(u32),
}

impl fmt::Debug for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Process").finish_non_exhaustive()
    }
}

impl Process {
    /// This one.
    pub(crate) fn current() -> Self {
        Self(Guard::try_new().map_or_else(|_| Known::Id(std::process::id()), Known::Forks))
    }

    /// Whether it is this one, and not the parent that this one has inherited it from.
    pub(crate) fn is_current(&self) -> bool {
        match &self.0 {
            // A guard tells of a fork once: its copy is asked.
            Known::Forks(guard) => !guard.clone().detected_fork(),
            Known::Id(id) => *id == std::process::id(),
        }
    }

    /// What a child of a fork finds: that of its parent.
    #[cfg(test)]
    pub(crate) fn of_parent() -> Self {
        Self(Known::Id(!std::process::id()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_itself_and_not_its_parent() {
        let process = Process::current();
        assert!(process.is_current() && process.is_current());
        assert!(Process(Known::Id(std::process::id())).is_current());
        assert!(!Process::of_parent().is_current());
    }
}
