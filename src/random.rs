//! Unpredictable bytes: for ids and nonces from a generator in this thread, for keys from the system itself.
//!
//! The generator is ChaCha20 seeded by the system, reseeded after 64 KiB and in another process: a child of a fork does not
//! repeat its parent's bytes. In between no call goes to the system.

use std::cell::RefCell;

use chacha20::ChaCha20Rng;
use chacha20::rand_core::{Rng, SeedableRng};
use zeroize::Zeroizing;

use crate::error::Error;
use crate::process::Process;

/// How many bytes one seed serves.
const BYTES_A_SEED: usize = 64 * 1024;

struct Generator {
    stream: ChaCha20Rng,
    process: Process,
    left: usize,
}

thread_local! {
    static GENERATOR: RefCell<Option<Generator>> = const { RefCell::new(None) };
}

/// Fills `bytes` for an id or a nonce.
pub(crate) fn fill(bytes: &mut [u8]) -> Result<(), Error> {
    // A thread that is ending has lost its generator, and may still close a vault.
    GENERATOR.try_with(|generator| draw(&mut generator.borrow_mut(), bytes)).unwrap_or_else(|_| fill_key(bytes))
}

fn draw(slot: &mut Option<Generator>, bytes: &mut [u8]) -> Result<(), Error> {
    let generator = match slot {
        Some(generator) if generator.process.is_current() && generator.left >= bytes.len() => generator,
        _ => slot.insert(Generator { stream: seeded()?, process: Process::current(), left: BYTES_A_SEED }),
    };
    generator.left = generator.left.saturating_sub(bytes.len());
    generator.stream.fill_bytes(bytes);
    Ok(())
}

/// Fills `bytes` for a key, straight from the system.
pub(crate) fn fill_key(bytes: &mut [u8]) -> Result<(), Error> {
    getrandom::fill(bytes).map_err(|source| Error::key_failure("the system gives no random bytes").caused_by(source))
}

fn seeded() -> Result<ChaCha20Rng, Error> {
    let mut seed = Zeroizing::new([0; 32]);
    fill_key(&mut *seed)?;
    Ok(ChaCha20Rng::from_seed(*seed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_differ_from_call_to_call_and_across_a_reseed() {
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..(2 * BYTES_A_SEED / 16) {
            let mut bytes = [0; 16];
            fill(&mut bytes).unwrap();
            assert!(seen.insert(bytes));
        }
    }

    #[test]
    fn another_process_reseeds() {
        fill(&mut [0; 16]).unwrap();
        // What a child of a fork finds: its parent's generator.
        let inherited = GENERATOR.with_borrow_mut(|slot| {
            let generator = slot.as_mut().unwrap();
            generator.process = Process::of_parent();
            generator.stream = ChaCha20Rng::from_seed([7; 32]);
            let mut inherited = [0; 32];
            ChaCha20Rng::from_seed([7; 32]).fill_bytes(&mut inherited);
            inherited
        });
        let mut fresh = [0; 32];
        fill(&mut fresh).unwrap();
        assert_ne!(fresh, inherited);
    }

    #[test]
    fn two_threads_have_two_streams() {
        let draw = || {
            let mut bytes = [0; 32];
            fill(&mut bytes).unwrap();
            bytes
        };
        assert_ne!(std::thread::spawn(draw).join().unwrap(), std::thread::spawn(draw).join().unwrap());
    }
}
