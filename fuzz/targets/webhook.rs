#![no_main]

use std::sync::LazyLock;

use wasend_tests::hostile::{Inside, webhook};

static INSIDE: LazyLock<Inside> = LazyLock::new(Inside::open);

libfuzzer_sys::fuzz_target!(|data: &[u8]| webhook::trial(&INSIDE, data));
