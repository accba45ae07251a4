#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| errbar_fuzz::decode_stage(data));
