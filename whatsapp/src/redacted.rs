use std::fmt;

/// Stands in `Debug` for a value that must not be printed.
pub(crate) struct Redacted(&'static str);

pub(crate) const PERSONAL: Redacted = Redacted("[personal]");
pub(crate) const SECRET: Redacted = Redacted("[secret]");

impl fmt::Debug for Redacted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// Shows whether an optional personal value is there, not what it is.
pub(crate) fn personal<T>(value: Option<&T>) -> Option<Redacted> {
    value.map(|_| PERSONAL)
}
