#![no_main]

use std::env;
use std::sync::LazyLock;

use errbar_dissect::{Dissector, dissectors};

/// The format that the environment names in `FORMAT`, to spend all time on one.
static ONLY: LazyLock<Option<&dyn Dissector>> =
    LazyLock::new(|| {
        let name = env::var("FORMAT").ok()?;
        let found = dissectors().iter().find(|dissector| dissector.name() == name);
        Some(*found.unwrap_or_else(|| {
            panic!("no format is called {name}; there are {:?}", dissectors().iter().map(|d| d.name()).collect::<Vec<_>>())
        }))
    });

libfuzzer_sys::fuzz_target!(|data: &[u8]| match *ONLY {
    Some(dissector) => errbar_fuzz::dissect::dissect_as(dissector, data),
    None => errbar_fuzz::dissect(data),
});
