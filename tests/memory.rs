//! What lies in a process's memory: Linux tells it in `/proc`, to root and to the process that started it.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

use aho_corasick::AhoCorasick;

use crate::bytes::Needle;

/// Bytes that are read at once.
const PIECE: usize = 8 << 20;

/// Which of the needles lie in the memory that the process may write, with the mappings they lie in; none where its
/// memory cannot be read.
pub fn found(id: u32, needles: &[Needle]) -> Option<Vec<String>> {
    let maps = std::fs::read_to_string(format!("/proc/{id}/maps")).ok()?;
    let mut memory = File::open(format!("/proc/{id}/mem")).ok()?;
    let search = AhoCorasick::new(needles.iter().map(|(_, bytes)| bytes)).expect("a search");
    let longest = needles.iter().map(|(_, bytes)| bytes.len()).max().unwrap_or(0);
    let mut found = std::collections::BTreeSet::new();
    let mut read = 0;
    for line in maps.lines() {
        let mut words = line.split_whitespace();
        let (range, rights) = (words.next()?, words.next()?);
        if !rights.starts_with("rw") {
            continue;
        }
        let name = words.nth(3).unwrap_or("heap");
        let (start, end) = range.split_once('-')?;
        let (start, end) = (u64::from_str_radix(start, 16).ok()?, u64::from_str_radix(end, 16).ok()?);
        let mut from = start;
        while from < end {
            let length = usize::try_from(end - from).unwrap_or(PIECE).min(PIECE + longest);
            let mut bytes = vec![0; length];
            // A mapping may go while it is looked at.
            if memory.seek(SeekFrom::Start(from)).is_err() || memory.read_exact(&mut bytes).is_err() {
                break;
            }
            read += length;
            let hits = search.find_overlapping_iter(&bytes).map(|hit| &needles[hit.pattern().as_usize()].0);
            found.extend(hits.map(|what| format!("{what} in {name}")));
            from += PIECE as u64;
        }
    }
    (read > 0).then(|| found.into_iter().collect())
}
