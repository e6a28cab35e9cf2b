//! A configuration file: accepted with no error among the findings, or refused with one.
#![no_main]

use std::path::PathBuf;
use std::sync::LazyLock;

use forebay::config::{Inputs, Severity, load};
use libfuzzer_sys::fuzz_target;

static FILE: LazyLock<PathBuf> = LazyLock::new(|| {
    std::env::temp_dir().join(format!("forebay-fuzz-{}.toml", std::process::id()))
});

fuzz_target!(|text: &[u8]| {
    std::fs::write(&*FILE, text).expect("a temporary file");
    let loaded = load(&Inputs { file: Some(FILE.clone()), ..Inputs::default() });
    let refused = loaded.findings.iter().any(|finding| finding.severity == Severity::Error);
    assert_eq!(loaded.settings.is_none(), refused, "{:?}", loaded.findings);
    loaded.findings.iter().for_each(|finding| assert!(!finding.to_string().is_empty()));
});
