//! Defines libFuzzer's programs.

use rialto::fuzzing::TARGETS;
use std::{fs, path::Path};

#[doc(hidden)]
pub use {libfuzzer_sys, rialto::fuzzing};

/// Runs a target of `rialto::fuzzing`, from its examples on.
#[macro_export]
macro_rules! fuzz {
    ($target:ident) => {
        $crate::libfuzzer_sys::fuzz_target!(
            init: $crate::write_examples(stringify!($target)),
            |data: &[u8]| $crate::fuzzing::$target(data)
        );
    };
}

/// Writes a target's examples into its corpus, which libFuzzer reads afterwards.
///
/// # Panics
/// When there is no such target, or its folder cannot be written.
pub fn write_examples(name: &str) {
    let target = TARGETS.iter().find(|target| target.name == name);
    let target = target.expect("the target is listed");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("corpus")
        .join(name);
    fs::create_dir_all(&folder).expect("the corpus has a folder");
    for (number, example) in (target.examples)().iter().enumerate() {
        fs::write(folder.join(format!("example-{number}")), example)
            .expect("the corpus is writable");
    }
}
