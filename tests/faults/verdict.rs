//! What a fault test found, one line for each promise.

/// What was seen if a promise held, or how it was broken.
pub type Found = Result<String, String>;

/// The outcome of a test so far.
#[derive(Default)]
pub struct Verdict {
    broken: usize,
}

impl Verdict {
    /// Tells what is being done.
    pub fn note(text: impl std::fmt::Display) {
        println!("     {text}");
    }

    /// Tells whether a promise held.
    pub fn held(&mut self, promise: &str, found: Found) {
        match found {
            Ok(seen) => println!("ok   {promise}: {seen}"),
            Err(how) => {
                self.broken += 1;
                println!("FAIL {promise}: {how}");
            }
        }
    }

    /// The same for a promise that either holds or does not.
    pub fn check(&mut self, promise: &str, holds: bool, seen: impl std::fmt::Display) {
        self.held(promise, if holds { Ok(seen.to_string()) } else { Err(seen.to_string()) });
    }

    pub const fn broken(&self) -> usize {
        self.broken
    }
}
