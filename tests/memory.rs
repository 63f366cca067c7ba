//! What lies in a process's memory: Linux tells it in `/proc`, to root and to the process that started it.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

use aho_corasick::AhoCorasick;

use crate::bytes::Needle;

/// Bytes that are read at once.
const PIECE: usize = 8 << 20;

/// Which of the needles lie in the memory that the process may write, the stacks of its threads apart, with the mappings
/// they lie in; none where its memory cannot be read.
pub fn found(id: u32, needles: &[Needle]) -> Option<Vec<String>> {
    let maps = std::fs::read_to_string(format!("/proc/{id}/maps")).ok()?;
    let mut memory = File::open(format!("/proc/{id}/mem")).ok()?;
    let stacks = stack_pointers(id)?;
    let search = AhoCorasick::new(needles.iter().map(|(_, bytes)| bytes)).expect("a search");
    let longest = needles.iter().map(|(_, bytes)| bytes.len()).max().unwrap_or(0);
    let mut found = std::collections::BTreeSet::new();
    let mut read = 0;
    for line in maps.lines() {
        let mut words = line.split_whitespace();
        let (range, rights) = (words.next()?, words.next()?);
        let name = words.nth(3).unwrap_or("heap");
        let (start, end) = range.split_once('-')?;
        let (start, end) = (u64::from_str_radix(start, 16).ok()?, u64::from_str_radix(end, 16).ok()?);
        if !rights.starts_with("rw") || stacks.iter().any(|pointer| (start..end).contains(pointer)) {
            continue;
        }
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

/// Where the stack of each thread that waits is at; a thread that runs does not tell, and is waited for.
fn stack_pointers(id: u32) -> Option<Vec<u64>> {
    let mut pointers = Vec::new();
    for thread in std::fs::read_dir(format!("/proc/{id}/task")).ok()?.flatten() {
        for _ in 0..1_000 {
            // The number of the call, six arguments, the stack's pointer, the instruction's.
            let Ok(call) = std::fs::read_to_string(thread.path().join("syscall")) else { break };
            let words: Vec<_> = call.split_whitespace().collect();
            if let [.., pointer, _] = words[..]
                && let Some(Ok(pointer)) = pointer.strip_prefix("0x").map(|hex| u64::from_str_radix(hex, 16))
            {
                pointers.push(pointer);
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
    }
    (!pointers.is_empty()).then_some(pointers)
}
