//! Hostile bytes: the trials of the fuzz targets, a bounded number of times. `scripts/fuzz` goes on without end.

use std::path::Path;

use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, TestRunner};
use wasend_tests::hostile::{Inside, TRIALS};

/// One change to a seed, as a fuzzer would make it.
#[derive(Debug, Clone)]
enum Change {
    Put(Index, u8),
    Insert(Index, Vec<u8>),
    Cut(Index, Index),
    Repeat(Index, Index, u8),
}

impl Change {
    fn make(&self, bytes: &mut Vec<u8>) {
        let place = |index: &Index| index.index(bytes.len() + 1);
        let range = |one: &Index, other: &Index| place(one).min(place(other))..place(one).max(place(other));
        match self {
            Self::Put(at, byte) => {
                let at = place(at);
                bytes.get_mut(at).into_iter().for_each(|slot| *slot = *byte);
            }
            Self::Insert(at, new) => {
                let at = place(at);
                bytes.splice(at..at, new.iter().copied());
            }
            Self::Cut(from, to) => drop(bytes.drain(range(from, to))),
            Self::Repeat(from, to, times) => {
                let range = range(from, to);
                let again = bytes[range.clone()].repeat(usize::from(*times));
                bytes.splice(range.end..range.end, again);
            }
        }
    }
}

fn change() -> impl Strategy<Value = Change> {
    let index = any::<Index>;
    prop_oneof![
        (index(), any::<u8>()).prop_map(|(at, byte)| Change::Put(at, byte)),
        (index(), prop::collection::vec(any::<u8>(), 1..8)).prop_map(|(at, new)| Change::Insert(at, new)),
        (index(), index()).prop_map(|(from, to)| Change::Cut(from, to)),
        (index(), index(), 1_u8..9).prop_map(|(from, to, times)| Change::Repeat(from, to, times)),
    ]
}

fn seeds(target: &str) -> Vec<Vec<u8>> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/seeds").join(target);
    let files = std::fs::read_dir(directory).expect("every target has seeds");
    files.map(|file| std::fs::read(file.expect("a file").path()).expect("a seed")).collect()
}

fn tried(target: &str) {
    let (_, trial) = TRIALS.into_iter().find(|(name, _)| *name == target).expect("a trial");
    let (inside, seeds) = (Inside::open(), seeds(target));
    assert!(!seeds.is_empty());
    for seed in &seeds {
        trial(&inside, seed);
    }
    let changed =
        (prop::sample::select(seeds), prop::collection::vec(change(), 0..5)).prop_map(|(mut seed, changes)| {
            for change in changes {
                change.make(&mut seed);
            }
            seed
        });
    let input = prop_oneof![4 => changed, 1 => prop::collection::vec(any::<u8>(), 0..256)];
    let config = Config { cases: 200, failure_persistence: None, ..Config::default() };
    let held = TestRunner::new(config).run(&input, |bytes| {
        trial(&inside, &bytes);
        Ok(())
    });
    held.unwrap_or_else(|error| panic!("{error}"));
    inside.close();
}

macro_rules! trials {
    ($($target:ident),*) => { $(#[test] fn $target() { tried(stringify!($target)) })* };
}

trials!(webhook, csv, sealed, cursor, graphql);
