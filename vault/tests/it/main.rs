//! What the vault promises, on both engines.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod destruction;
mod directory;
mod epoch;
mod house;
mod joint;
mod rotation;
mod sealing;
mod traces;
mod unavailable;
