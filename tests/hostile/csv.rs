//! Files to import: encodings, delimiters, rows and cells.

use std::io::Read;

use wasend_commands::import::EncodingCheck;
use wasend_domain::import::{ImportSource, NumberNotation};
use wasend_processors::ImportLimits;
use wasend_processors::importer::chunks::read_rows;

use super::Inside;

/// Small, so that small files meet them.
const LIMITS: ImportLimits = ImportLimits { rows: 500, row_bytes: 4 << 10, chunk: 16, chunk_bytes: 16 << 10 };

/// Whatever the file is, its rows are bounded, and the same however it arrives.
pub fn trial(_: &Inside, file: &[u8]) {
    let whole = rows(file, file);
    let trickle = rows(file, Trickle { file, step: 0 });
    assert_eq!(whole, trickle, "a file reads alike in any pieces");
}

/// Each row's line, number of cells and fate; at the end whether the file was refused.
fn rows(file: &[u8], reader: impl Read) -> (Vec<(u64, usize, bool)>, bool) {
    let source = ImportSource {
        filename: "any.csv".to_owned(),
        columns: vec![],
        region: Some("US".to_owned()),
        numbers: NumberNotation::AsWritten,
        encoding: None,
    };
    let mut encoding = EncodingCheck::default();
    encoding.push(file);
    let mut seen = Vec::new();
    let read = read_rows(reader, encoding.finish(), &source, &LIMITS, |layout, rows, blank| {
        assert!(rows.len() <= LIMITS.chunk && (!rows.is_empty() || blank > 0));
        for row in rows {
            let width = layout.columns.len();
            assert!(row.cells.len() <= width + 1, "no more cells are kept than a report shows");
            assert!(row.parsed.is_err() || row.cells.len() == width);
            seen.push((row.line, row.cells.len(), row.parsed.is_ok()));
        }
        true
    });
    (seen, read.is_err())
}

/// Gives the file in pieces of 1 to 7 bytes.
struct Trickle<'a> {
    file: &'a [u8],
    step: usize,
}

impl Read for Trickle<'_> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        self.step = self.step % 7 + 1;
        let count = into.len().min(self.step).min(self.file.len());
        let (piece, rest) = self.file.split_at(count);
        into[..count].copy_from_slice(piece);
        self.file = rest;
        Ok(count)
    }
}
