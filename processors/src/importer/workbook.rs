//! Excel workbooks as rows. A workbook is packed: it is weighed before any of it is kept.

use std::io::{self, Cursor, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};

use calamine::{Cell, DataRef, Reader, SheetType, SheetVisible, Xlsx, XlsxCellReader, open_workbook_from_rs};
use wasend_domain::import::FileError;
use zip::ZipArchive;

use super::columns::COLUMNS_MAX;
use super::reading::ReadFailure;
use super::record::{Record, RowSource};

/// Bytes of a workbook as it is stored; it is held in memory.
const PACKED_BYTES_MAX: u64 = 32 << 20;
/// Bytes of all its parts unpacked.
const UNPACKED_BYTES_MAX: u64 = 128 << 20;
/// Bytes of its parts that are held in memory at once: all but the sheets, which are read cell by cell.
const HELD_BYTES_MAX: u64 = 48 << 20;
/// Parts of a workbook, sheets and pictures included.
const PARTS_MAX: usize = 5_000;
/// Whole numbers up to here are exact in a cell (IEEE 754).
const EXACT_MAX: f64 = 9_007_199_254_740_992.0;

type Book = Xlsx<Cursor<Vec<u8>>>;

/// Reads a workbook into memory, as far as it is not too large.
pub(crate) fn read_packed(file: impl Read) -> Result<io::Result<Vec<u8>>, FileError> {
    let mut bytes = Vec::new();
    let read = file.take(PACKED_BYTES_MAX + 1).read_to_end(&mut bytes);
    if bytes.len() as u64 > PACKED_BYTES_MAX { Err(FileError::WorkbookTooLarge) } else { Ok(read.map(|_| bytes)) }
}

/// Gives the rows of the first visible sheet that has any to `work`, with the sheet's name.
pub(crate) fn with_rows<T>(
    bytes: Vec<u8>,
    work: impl FnOnce(&mut dyn RowSource, &str) -> Result<T, ReadFailure>,
) -> Result<T, ReadFailure> {
    weigh(&bytes).map_err(ReadFailure::File)?;
    let mut book: Book = guarded(|| open_workbook_from_rs(Cursor::new(bytes)).ok())?;
    let sheets = book.sheets_metadata().iter();
    let sheets = sheets.filter(|sheet| sheet.typ == SheetType::WorkSheet && sheet.visible == SheetVisible::Visible);
    let names: Vec<String> = sheets.map(|sheet| sheet.name.clone()).collect();
    for name in &names {
        let cells = guarded(|| book.worksheet_cells_reader(name).ok())?;
        let mut rows = SheetRows { cells, next: None, is_ended: false };
        if rows.peek()?.is_some() {
            return work(&mut rows, name);
        }
    }
    Err(ReadFailure::File(FileError::EmptyFile))
}

/// Unpacks every part to nowhere and counts: what an archive says of its sizes need not be so.
fn weigh(bytes: &[u8]) -> Result<(), FileError> {
    let mut archive = ZipArchive::new(Cursor::new(bytes)).map_err(|_| FileError::WorkbookUnreadable)?;
    if archive.len() > PARTS_MAX {
        return Err(FileError::WorkbookTooLarge);
    }
    let (mut unpacked, mut held) = (0, 0);
    for place in 0..archive.len() {
        let part = archive.by_index(place).map_err(|_| FileError::WorkbookUnreadable)?;
        let name = part.name().map_err(|_| FileError::WorkbookUnreadable)?;
        let is_sheet = name.to_ascii_lowercase().contains("worksheets/");
        let mut limited = part.take(UNPACKED_BYTES_MAX + 1 - unpacked);
        let size = io::copy(&mut limited, &mut io::sink()).map_err(|_| FileError::WorkbookUnreadable)?;
        unpacked += size;
        held += if is_sheet { 0 } else { size };
        if unpacked > UNPACKED_BYTES_MAX || held > HELD_BYTES_MAX {
            return Err(FileError::WorkbookTooLarge);
        }
    }
    Ok(())
}

/// Does what a damaged workbook may make a parser panic at.
fn guarded<T>(work: impl FnOnce() -> Option<T>) -> Result<T, ReadFailure> {
    let done = catch_unwind(AssertUnwindSafe(work)).ok().flatten();
    done.ok_or(ReadFailure::File(FileError::WorkbookUnreadable))
}

/// A cell with something in it: its row and column from 0, and its text.
type FilledCell = (u32, u32, String);

struct SheetRows<'a> {
    cells: XlsxCellReader<'a, Cursor<Vec<u8>>>,
    next: Option<FilledCell>,
    is_ended: bool,
}

impl SheetRows<'_> {
    fn peek(&mut self) -> Result<Option<&FilledCell>, ReadFailure> {
        while self.next.is_none() && !self.is_ended {
            match guarded(|| self.cells.next_cell().ok())? {
                Some(cell) => self.next = filled(&cell),
                None => self.is_ended = true,
            }
        }
        Ok(self.next.as_ref())
    }
}

impl RowSource for SheetRows<'_> {
    fn next_row(&mut self, width: Option<usize>) -> Result<Option<Record>, ReadFailure> {
        let Some(row) = self.peek()?.map(|(row, ..)| *row) else { return Ok(None) };
        let mut cells = vec![String::new(); width.unwrap_or(0)];
        while self.peek()?.is_some_and(|(next, ..)| *next == row) {
            let Some((_, column, text)) = self.next.take() else { break };
            // One more than may be: the file is refused for it.
            let place = usize::try_from(column).unwrap_or(COLUMNS_MAX).min(COLUMNS_MAX);
            if place >= cells.len() {
                cells.resize(place + 1, String::new());
            }
            cells[place] = text;
        }
        Ok(Some(Record { line: u64::from(row) + 1, cells, fault: None }))
    }
}

fn filled(cell: &Cell<DataRef<'_>>) -> Option<FilledCell> {
    let (row, column) = cell.get_position();
    let text = text_of(cell.get_value());
    (!text.is_empty()).then_some((row, column, text))
}

/// What a cell shows; a whole number without decimals and never in scientific notation.
fn text_of(value: &DataRef<'_>) -> String {
    match value {
        DataRef::Int(number) => number.to_string(),
        DataRef::Float(number) if number.fract() == 0.0 && number.abs() <= EXACT_MAX => format!("{number:.0}"),
        DataRef::Float(number) => number.to_string(),
        DataRef::String(text) | DataRef::DateTimeIso(text) | DataRef::DurationIso(text) => text.clone(),
        DataRef::SharedString(text) => (*text).to_owned(),
        DataRef::Bool(is_true) => if *is_true { "TRUE" } else { "FALSE" }.to_owned(),
        DataRef::DateTime(moment) if moment.is_datetime() => {
            let (year, month, day, hour, minute, second, _) = moment.to_ymd_hms_milli();
            match (hour, minute, second) {
                (0, 0, 0) => format!("{year:04}-{month:02}-{day:02}"),
                _ => format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}"),
            }
        }
        DataRef::DateTime(duration) => duration.as_f64().to_string(),
        DataRef::Error(_) | DataRef::Empty => String::new(),
    }
}

#[cfg(test)]
mod tests;
