//! The command line of the vault.

fn main() {}
