use std::fmt;

/// Stands in `Debug` for a value that must not be printed.
pub(crate) struct RedactedValue(&'static str);

pub(crate) const PERSONAL: RedactedValue = RedactedValue("[personal]");
pub(crate) const SECRET: RedactedValue = RedactedValue("[secret]");

impl fmt::Debug for RedactedValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// Shows whether an optional personal value is there, not what it is.
pub(crate) fn personal<T>(value: Option<&T>) -> Option<RedactedValue> {
    value.map(|_| PERSONAL)
}
