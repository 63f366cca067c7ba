//! Hostile input, whatever it is: what must hold for any bytes at each of the doors that strangers reach. The fuzz
//! targets in `fuzz/` and the bounded tests in `it/hostile.rs` call the same functions, so that neither rots.

pub mod csv;
pub mod cursor;
pub mod graphql;
pub mod inside;
pub mod sealed;
pub mod webhook;

pub use inside::Inside;

/// What is tried with bytes; fails by panicking. One [`Inside`] serves any number of calls.
pub type Trial = fn(&Inside, &[u8]);

/// The trials by the names of their fuzz targets, each with the directory of its seeds.
pub const TRIALS: [(&str, Trial); 5] = [
    ("webhook", webhook::trial),
    ("csv", csv::trial),
    ("sealed", sealed::trial),
    ("cursor", cursor::trial),
    ("graphql", graphql::trial),
];
