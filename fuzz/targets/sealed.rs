#![no_main]

use std::sync::LazyLock;

use wasend_tests::hostile::{Inside, sealed};

static INSIDE: LazyLock<Inside> = LazyLock::new(Inside::open);

libfuzzer_sys::fuzz_target!(|data: &[u8]| sealed::trial(&INSIDE, data));
