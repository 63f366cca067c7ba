#![no_main]

use std::sync::LazyLock;

use wasend_tests::hostile::{Inside, graphql};

static INSIDE: LazyLock<Inside> = LazyLock::new(Inside::open);

libfuzzer_sys::fuzz_target!(|data: &[u8]| graphql::trial(&INSIDE, data));
