//! From the bytes of a file to chunks of rows, whatever kind of file it is.

use std::collections::VecDeque;
use std::io::{Cursor, Read};
use std::sync::Arc;

use encoding_rs::{Encoding, UTF_8};
use wasend_domain::import::{FileError, FileFormat, FileLayout, ImportSource};

use super::columns::{RowColumns, columns};
use super::decode::{DECODE_BUFFER_BYTES, TextDecoder};
use super::delimited::DelimitedRows;
use super::lines::LineReader;
use super::options::ImportLimits;
use super::parse::{opted_out_of, parse, says_opted_out};
use super::reading::{ReadFailure, broken};
use super::record::{Record, RowSource, SampledRows, is_blank};
use super::row::{FileRow, RowError};
use super::vcard::{CardRows, is_card};
use super::workbook;

/// Bytes by which a file is known.
const MAGIC_BYTES: usize = 8;
/// How a packed workbook begins.
const ZIP: &[u8] = b"PK\x03\x04";
/// How files begin that hold no rows: workbooks of before 2007 and locked ones, PDF, pictures, other archives.
const OTHERS: [&[u8]; 9] = [
    b"\xd0\xcf\x11\xe0",
    b"%PDF-",
    b"\x89PNG",
    b"\xff\xd8\xff",
    b"GIF8",
    b"\x1f\x8b",
    b"Rar!",
    b"7z\xbc\xaf",
    b"{\\rtf",
];

/// The encoding that the caller gives, else that of the file's bytes.
pub(crate) fn encoding_of(source: &ImportSource, detected: &str) -> &'static Encoding {
    let label = source.encoding.as_deref().unwrap_or(detected);
    Encoding::for_label(label.as_bytes()).unwrap_or(UTF_8)
}

/// Reads and judges a whole file, chunk by chunk, as long as `pass` wants more of it. It is given how the file is read, rows,
/// and how many rows without content were passed over.
pub fn read_rows(
    file: impl Read,
    encoding: &'static Encoding,
    source: &ImportSource,
    limits: &ImportLimits,
    pass: impl FnMut(&Arc<FileLayout>, Vec<FileRow>, u64) -> bool,
) -> Result<(), ReadFailure> {
    ChunkReader { source, limits, purpose: ReadPurpose::Rows, pass }.read(file, encoding)
}

/// What a file is read for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReadPurpose {
    /// Every row is judged.
    Rows,
    /// Only rows are judged that say that their person is opted out.
    OptOuts,
    /// As [`ReadPurpose::Rows`], also where no column holds a number: a preview shows the columns to choose from.
    Preview,
}

/// Reads a file chunk by chunk.
pub(crate) struct ChunkReader<'a, P> {
    pub source: &'a ImportSource,
    pub limits: &'a ImportLimits,
    pub purpose: ReadPurpose,
    pub pass: P,
}

/// What is known of a file before its columns are.
struct FileKind {
    format: FileFormat,
    encoding: Option<String>,
    delimiter: Option<char>,
    sheet: Option<String>,
}

impl<P: FnMut(&Arc<FileLayout>, Vec<FileRow>, u64) -> bool> ChunkReader<'_, P> {
    /// Reads the file to its end.
    pub fn read(self, mut file: impl Read, encoding: &'static Encoding) -> Result<(), ReadFailure> {
        let mut magic = Vec::with_capacity(MAGIC_BYTES);
        (&mut file).take(MAGIC_BYTES as u64).read_to_end(&mut magic).map_err(|error| broken(&error))?;
        if OTHERS.iter().any(|other| magic.starts_with(other)) {
            return Err(ReadFailure::File(FileError::FormatUnknown));
        }
        let is_packed = magic.starts_with(ZIP);
        let whole = Cursor::new(magic).chain(file);
        if !is_packed {
            return self.read_text(TextDecoder::new(whole, encoding), encoding);
        }
        let bytes = workbook::read_packed(whole).map_err(ReadFailure::File)?.map_err(|error| broken(&error))?;
        workbook::with_rows(bytes, |rows, sheet| {
            let sheet = Some(sheet.to_owned());
            self.read_all(rows, FileKind { format: FileFormat::Xlsx, encoding: None, delimiter: None, sheet })
        })
    }

    fn read_text<R: Read>(self, decoder: TextDecoder<R>, encoding: &'static Encoding) -> Result<(), ReadFailure> {
        let row_bytes = usize::try_from(self.limits.row_bytes).unwrap_or(usize::MAX);
        let mut lines = LineReader::new(decoder, row_bytes.saturating_add(2 * DECODE_BUFFER_BYTES));
        let mut ahead = VecDeque::new();
        let first = loop {
            let Some(line) = lines.next().map_err(|error| broken(&error))? else { break String::new() };
            ahead.push_back(line.clone());
            if !is_blank(&line.text) {
                break line.text;
            }
            ahead.clear();
        };
        let encoding = Some(encoding.name().to_owned());
        if is_card(&first) {
            let kind = FileKind { format: FileFormat::Vcard, encoding, delimiter: None, sheet: None };
            return self.read_all(&mut CardRows::new(lines, ahead, row_bytes), kind);
        }
        let mut rows = DelimitedRows::open(lines, ahead, row_bytes)?;
        let delimiter = Some(char::from(rows.delimiter()));
        self.read_all(&mut rows, FileKind { format: FileFormat::Csv, encoding, delimiter, sheet: None })
    }

    fn read_all(mut self, source: &mut dyn RowSource, kind: FileKind) -> Result<(), ReadFailure> {
        let mut sampled = SampledRows::of(source)?;
        let columns = columns(sampled.sample(), self.source).map_err(ReadFailure::File)?;
        if self.purpose != ReadPurpose::Preview && !columns.names_people() {
            return Err(ReadFailure::File(FileError::NoPhoneColumn));
        }
        let width = columns.columns.len();
        if columns.has_header {
            sampled.next(width)?;
        }
        let layout = Arc::new(layout_of(kind, &columns));
        let (mut rows, mut total, mut bytes, mut blank) = (Vec::new(), 0_u64, 0_usize, 0_u64);
        while let Some(record) = sampled.next(width)? {
            if record.is_blank() {
                blank += u64::from(self.purpose != ReadPurpose::OptOuts);
                continue;
            }
            total += 1;
            if total > self.limits.rows {
                return Err(ReadFailure::File(FileError::TooManyRows));
            }
            if self.purpose == ReadPurpose::OptOuts && !says_opted_out(&record.cells, &columns) {
                continue;
            }
            bytes += record.size();
            rows.push(self.judged(record, &columns));
            if rows.len() >= self.limits.chunk || bytes >= self.limits.chunk_bytes {
                bytes = 0;
                if !(self.pass)(&layout, std::mem::take(&mut rows), std::mem::take(&mut blank)) {
                    return Ok(());
                }
            }
        }
        if !rows.is_empty() || blank > 0 {
            (self.pass)(&layout, rows, blank);
        }
        Ok(())
    }

    fn judged(&self, record: Record, columns: &RowColumns) -> FileRow {
        let width = columns.columns.len();
        let line = record.line;
        if record.size() as u64 > self.limits.row_bytes {
            return FileRow { line, cells: vec![], parsed: Err(RowError::RowTooLong), opted_out: vec![] };
        }
        let mut cells = record.cells;
        // Cells without content behind the last column are the table program's.
        if cells.len() > width && cells[width..].iter().all(|cell| is_blank(cell)) {
            cells.truncate(width);
        }
        // A row of nothing but commas would otherwise take a hundred times its size; its report shows the first cells.
        cells.truncate(width + 1);
        let parsed = record.fault.map_or_else(|| parse(&cells, columns), Err);
        let opted_out = if parsed.is_err() { opted_out_of(&cells, columns) } else { Vec::new() };
        FileRow { line, cells, parsed, opted_out }
    }
}

fn layout_of(kind: FileKind, columns: &RowColumns) -> FileLayout {
    let FileKind { format, encoding, delimiter, sheet } = kind;
    let (has_header, columns) = (columns.has_header, columns.columns.clone());
    FileLayout { format, encoding, delimiter, sheet, has_header, columns }
}

#[cfg(test)]
mod tests;
