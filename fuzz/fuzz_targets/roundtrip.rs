#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| errbar_fuzz::roundtrip(data));
