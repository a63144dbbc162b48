//! Any text is a configuration or an error, in both languages.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tribune_base::hcl::{Format, parse};

fuzz_target!(|text: &str| {
    let _ = parse(text, Format::Hcl);
    let _ = parse(text, Format::Json);
});
