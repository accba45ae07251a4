#![no_main]

use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};

fuzz_target!(|data: &[u8]| errbar_fuzz::open(data));

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    let mutated = errbar_fuzz::mutate::archive(&data[..size], seed, &mut |bytes| {
        let size = bytes.len();
        bytes.resize(size + 64, 0);
        let most = bytes.len();
        let size = fuzzer_mutate(bytes, size, most);
        bytes.truncate(size);
    });
    let size = mutated.len().min(max_size);
    data[..size].copy_from_slice(&mutated[..size]);
    size
});
