//! One cell of a row: what it holds in both engines, and the Rust values that it stands for.

use std::fmt;

use serde::Serialize;
use wasend_domain::{Day, Time};

/// What a column holds, in both engines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnKind {
    /// `TEXT`, compared by its bytes.
    Text,
    /// `BIGINT`.
    Int,
}

/// One value of a row, or bound to a query.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(untagged)]
pub enum CellValue {
    Text(Option<String>),
    Int(Option<i64>),
}

/// Rows hold identifiers and sealed values only, but a text is not shown all the same.
impl fmt::Debug for CellValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(None) | Self::Int(None) => f.write_str("null"),
            Self::Text(Some(_)) => f.write_str("[text]"),
            Self::Int(Some(value)) => write!(f, "{value}"),
        }
    }
}

impl From<&str> for CellValue {
    fn from(value: &str) -> Self {
        Self::Text(Some(value.to_owned()))
    }
}
impl From<String> for CellValue {
    fn from(value: String) -> Self {
        Self::Text(Some(value))
    }
}
impl From<Option<String>> for CellValue {
    fn from(value: Option<String>) -> Self {
        Self::Text(value)
    }
}
impl From<i64> for CellValue {
    fn from(value: i64) -> Self {
        Self::Int(Some(value))
    }
}
impl From<Option<i64>> for CellValue {
    fn from(value: Option<i64>) -> Self {
        Self::Int(value)
    }
}

impl CellValue {
    /// A text cell with the value's one text form.
    pub fn text(value: &impl ToString) -> Self {
        Self::Text(Some(value.to_string()))
    }

    /// A position, sequence or count; saturates at the largest BIGINT.
    pub fn count(value: u64) -> Self {
        Self::Int(Some(i64::try_from(value).unwrap_or(i64::MAX)))
    }

    pub(crate) const fn kind(&self) -> ColumnKind {
        match self {
            Self::Text(_) => ColumnKind::Text,
            Self::Int(_) => ColumnKind::Int,
        }
    }
}

/// A value that one column holds.
pub trait CellField: Sized {
    const KIND: ColumnKind;
    const NULLABLE: bool = false;

    /// The cell of the value.
    fn into_cell(self) -> CellValue;

    /// The value of the cell; none if no value is written like this.
    fn from_cell(cell: CellValue) -> Option<Self>;
}

impl CellField for String {
    const KIND: ColumnKind = ColumnKind::Text;

    fn into_cell(self) -> CellValue {
        self.into()
    }

    fn from_cell(cell: CellValue) -> Option<Self> {
        if let CellValue::Text(value) = cell { value } else { None }
    }
}

impl CellField for i64 {
    const KIND: ColumnKind = ColumnKind::Int;

    fn into_cell(self) -> CellValue {
        self.into()
    }

    fn from_cell(cell: CellValue) -> Option<Self> {
        if let CellValue::Int(value) = cell { value } else { None }
    }
}

/// A position, sequence or count.
impl CellField for u64 {
    const KIND: ColumnKind = ColumnKind::Int;

    fn into_cell(self) -> CellValue {
        CellValue::count(self)
    }

    fn from_cell(cell: CellValue) -> Option<Self> {
        i64::from_cell(cell)?.try_into().ok()
    }
}

impl CellField for u32 {
    const KIND: ColumnKind = ColumnKind::Int;

    fn into_cell(self) -> CellValue {
        i64::from(self).into()
    }

    fn from_cell(cell: CellValue) -> Option<Self> {
        i64::from_cell(cell)?.try_into().ok()
    }
}

/// 0 or 1.
impl CellField for bool {
    const KIND: ColumnKind = ColumnKind::Int;

    fn into_cell(self) -> CellValue {
        i64::from(self).into()
    }

    fn from_cell(cell: CellValue) -> Option<Self> {
        i64::from_cell(cell).map(|value| value != 0)
    }
}

/// Microseconds since 1970.
impl CellField for Time {
    const KIND: ColumnKind = ColumnKind::Int;

    fn into_cell(self) -> CellValue {
        self.micros().into()
    }

    fn from_cell(cell: CellValue) -> Option<Self> {
        i64::from_cell(cell).map(Self::from_micros)
    }
}

/// Days since 1970.
impl CellField for Day {
    const KIND: ColumnKind = ColumnKind::Int;

    fn into_cell(self) -> CellValue {
        self.number().into()
    }

    fn from_cell(cell: CellValue) -> Option<Self> {
        i64::from_cell(cell).map(Self::from_number)
    }
}

/// Null, or what the column holds.
impl<T: CellField> CellField for Option<T> {
    const KIND: ColumnKind = T::KIND;
    const NULLABLE: bool = true;

    fn into_cell(self) -> CellValue {
        match (self, T::KIND) {
            (Some(value), _) => value.into_cell(),
            (None, ColumnKind::Text) => CellValue::Text(None),
            (None, ColumnKind::Int) => CellValue::Int(None),
        }
    }

    fn from_cell(cell: CellValue) -> Option<Self> {
        match (&cell, T::KIND) {
            (CellValue::Text(None), ColumnKind::Text) | (CellValue::Int(None), ColumnKind::Int) => Some(None),
            _ => T::from_cell(cell).map(Some),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn survives<T: CellField + Clone + PartialEq + fmt::Debug>(value: &T) {
        let cell = value.clone().into_cell();
        assert_eq!(cell.kind(), T::KIND, "{value:?}");
        assert_eq!(T::from_cell(cell).as_ref(), Some(value));
    }

    #[test]
    fn every_type_reads_what_it_writes() {
        survives(&"text".to_owned());
        survives(&-1_i64);
        survives(&7_u64);
        survives(&u32::MAX);
        survives(&true);
        survives(&Time::from_micros(-5));
        survives(&Day::from_number(20_000));
        survives(&None::<String>);
        survives(&Some("text".to_owned()));
        survives(&None::<Time>);
        survives(&Some(Time::from_micros(3)));
    }

    #[test]
    fn a_cell_that_the_type_does_not_write_is_no_value() {
        assert_eq!(String::from_cell(CellValue::Text(None)), None);
        assert_eq!(String::from_cell(CellValue::from(1)), None);
        assert_eq!(i64::from_cell(CellValue::from("1")), None);
        assert_eq!(u64::from_cell(CellValue::from(-1)), None);
        assert_eq!(u32::from_cell(CellValue::from(1 << 32)), None);
        assert_eq!(Option::<i64>::from_cell(CellValue::Text(None)), None);
        assert_eq!(Option::<String>::from_cell(CellValue::Int(None)), None);
    }
}
