//! Every target with mutated examples and with random bytes, and with the inputs that once failed.

use super::*;
use proptest::{
    prelude::*,
    sample::{Index, select},
    test_runner::{Config, RngSeed, TestError, TestRunner},
};
use std::{
    collections::BTreeSet,
    env, fs,
    path::{Path, PathBuf},
};

/// Of each target; `RIALTO_FUZZ_CASES` sets another number.
const DEFAULT_CASES: u32 = 512;
/// So that a failure comes from a change; `RIALTO_FUZZ_SEED` sets another.
const DEFAULT_SEED: u64 = 1;
const MAX_RANDOM_BYTES: usize = 256;
const MAX_MUTATIONS: usize = 6;

/// What parsers treat in a way of its own.
const TOKENS: [&str; 28] = [
    "\0",
    "\n",
    "\r\n",
    "\r",
    " ",
    "\u{a0}",
    "\u{ad}",
    "\u{200b}",
    "\u{200d}",
    "\u{202e}",
    "\u{feff}",
    "\u{130}",
    "\u{fdfa}",
    "。",
    "%00",
    "%2F",
    "..",
    "//",
    "\\",
    "\"",
    "<",
    "&",
    "[0]",
    "=",
    ",",
    "-1",
    "9223372036854775807",
    "18446744073709551616",
];

#[derive(Debug, Clone)]
enum Mutation {
    Flip {
        at: Index,
        bit: u8,
    },
    Set {
        at: Index,
        byte: u8,
    },
    Insert {
        at: Index,
        bytes: Vec<u8>,
    },
    Remove {
        at: Index,
        length: usize,
    },
    Repeat {
        at: Index,
        length: usize,
        times: usize,
    },
}

impl Mutation {
    fn apply(&self, input: &mut Vec<u8>) {
        let (Self::Flip { at, .. }
        | Self::Set { at, .. }
        | Self::Insert { at, .. }
        | Self::Remove { at, .. }
        | Self::Repeat { at, .. }) = self;
        let at = at.index(input.len() + 1);
        let end = |length: &usize| input.len().min(at + length);
        match self {
            Self::Flip { bit, .. } => {
                if let Some(byte) = input.get_mut(at) {
                    *byte ^= 1 << bit;
                }
            }
            Self::Set { byte, .. } => {
                if let Some(old) = input.get_mut(at) {
                    *old = *byte;
                }
            }
            Self::Insert { bytes, .. } => drop(input.splice(at..at, bytes.iter().copied())),
            Self::Remove { length, .. } => drop(input.drain(at..end(length))),
            Self::Repeat { length, times, .. } => {
                let repeated = input[at..end(length)].repeat(*times);
                input.splice(at..at, repeated);
            }
        }
    }
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let token = select(TOKENS.as_slice()).prop_map(|token| token.as_bytes().to_vec());
    let bytes = prop_oneof![token, prop::collection::vec(any::<u8>(), 1..8)];
    prop_oneof![
        (any::<Index>(), 0..8_u8).prop_map(|(at, bit)| Mutation::Flip { at, bit }),
        (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Mutation::Set { at, byte }),
        (any::<Index>(), bytes).prop_map(|(at, bytes)| Mutation::Insert { at, bytes }),
        (any::<Index>(), 1..32_usize).prop_map(|(at, length)| Mutation::Remove { at, length }),
        (any::<Index>(), 1..32_usize, 1..64_usize)
            .prop_map(|(at, length, times)| { Mutation::Repeat { at, length, times } }),
    ]
}

fn input(examples: Vec<Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let mutations = prop::collection::vec(mutation(), 0..=MAX_MUTATIONS);
    let mutated = (select(examples), mutations).prop_map(|(mut input, mutations)| {
        for mutation in mutations {
            mutation.apply(&mut input);
        }
        input
    });
    prop_oneof![
        1 => prop::collection::vec(any::<u8>(), 0..MAX_RANDOM_BYTES),
        1 => ".{0,64}".prop_map(String::into_bytes),
        6 => mutated,
    ]
}

fn setting<T: std::str::FromStr>(name: &str) -> Option<T> {
    env::var(name).ok().and_then(|value| value.parse().ok())
}

/// Also writes the smallest input that fails into a file.
fn try_target(name: &str) {
    let target = TARGETS.iter().find(|target| target.name == name).unwrap();
    for example in (target.examples)() {
        (target.run)(&example);
    }
    for kept in kept_inputs(name) {
        (target.run)(&fs::read(&kept).unwrap());
    }
    let config = Config {
        cases: setting("RIALTO_FUZZ_CASES").unwrap_or(DEFAULT_CASES),
        rng_seed: RngSeed::Fixed(setting("RIALTO_FUZZ_SEED").unwrap_or(DEFAULT_SEED)),
        failure_persistence: None,
        ..Config::default()
    };
    let tried = TestRunner::new(config).run(&input((target.examples)()), |input| {
        (target.run)(&input);
        Ok(())
    });
    if let Err(TestError::Fail(why, input)) = tried {
        let file = env::temp_dir().join(format!("rialto-fuzz-{name}"));
        fs::write(&file, &input).unwrap();
        let text = String::from_utf8_lossy(&input);
        panic!("{why}\nThe input is in {}: {text:?}", file.display());
    }
    tried.unwrap();
}

/// `fuzz/kept/{target}/{fault}`.
fn kept_inputs(name: &str) -> Vec<PathBuf> {
    let folder = fuzz_folder().join("kept").join(name);
    let files = fs::read_dir(folder).into_iter().flatten();
    files.map(|file| file.unwrap().path()).collect()
}

fn fuzz_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz")
}

macro_rules! try_targets {
    ($($target:ident)*) => {
        $(#[test]
        fn $target() {
            try_target(stringify!($target));
        })*

        const TRIED: &[&str] = &[$(stringify!($target)),*];
    };
}

try_targets! {
    backups
    cookies
    cursors
    files
    forms
    frames
    links
    markdown
    names
    settings
    turn_datagrams
    turn_session
    turn_stream
    websocket
}

#[test]
fn every_target_is_tried_and_has_a_program() {
    let targets: BTreeSet<String> = TARGETS
        .iter()
        .map(|target| target.name.to_owned())
        .collect();
    assert_eq!(
        targets,
        TRIED.iter().map(|name| (*name).to_owned()).collect()
    );
    let stems = |folder: &str| -> BTreeSet<String> {
        let entries = fs::read_dir(fuzz_folder().join(folder)).unwrap();
        let paths = entries.map(|entry| entry.unwrap().path());
        paths
            .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(stems("fuzz_targets"), targets);
    assert!(
        stems("kept").is_subset(&targets),
        "nobody tries these inputs"
    );
    let manifest = fs::read_to_string(fuzz_folder().join("Cargo.toml")).unwrap();
    for name in targets {
        let program = fuzz_folder()
            .join("fuzz_targets")
            .join(format!("{name}.rs"));
        let source = fs::read_to_string(program).unwrap();
        assert!(source.contains(&format!("fuzz!({name});")), "{source}");
        assert!(manifest.contains(&format!("path = \"fuzz_targets/{name}.rs\"")));
    }
}
