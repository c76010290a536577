//! Where the browser's files are.

use crate::server::secret;
use leptos::config::LeptosOptions;
use std::sync::Arc;

/// Which build this is, and the addresses of what it has a browser load.
#[derive(Debug, Clone)]
pub struct Assets {
    /// Two builds that serve the same browser files are the same build to a page.
    pub build: Arc<str>,
    /// The style sheet.
    pub style: Arc<str>,
    /// The module that loads the app.
    pub script: Arc<str>,
    /// The app.
    pub wasm: Arc<str>,
}

impl Assets {
    /// As `hashes` says, which is what cargo-leptos wrote beside the program: a line for each file, `js: HASH`. Without it, files
    /// have no hash in their names.
    pub(super) fn new(options: &LeptosOptions, hashes: Option<&str>) -> Self {
        let address = |kind: &str| {
            let mut lines = hashes.unwrap_or_default().lines();
            let hash = lines.find_map(|line| line.strip_prefix(kind)?.strip_prefix(':'));
            let hash = hash.map(|hash| format!(".{}", hash.trim()));
            let (folder, name) = (&options.site_pkg_dir, &options.output_name);
            format!("/{folder}/{name}{}.{kind}", hash.unwrap_or_default()).into()
        };
        let whole = format!(
            "{} {}",
            env!("CARGO_PKG_VERSION"),
            hashes.unwrap_or_default()
        );
        let build = secret::hash(&whole).get(..12).unwrap_or_default().into();
        Self {
            build,
            style: address("css"),
            script: address("js"),
            wasm: address("wasm"),
        }
    }
}

/// What cargo-leptos wrote beside the program, if it gave files names with hashes.
pub(super) fn hashes() -> Option<String> {
    let program = std::env::current_exe().ok()?;
    std::fs::read_to_string(program.with_file_name("hash.txt")).ok()
}

#[cfg(test)]
mod tests {
    use super::Assets;
    use leptos::config::LeptosOptions;

    #[test]
    fn names_hold_the_hashes_that_there_are() {
        let options = LeptosOptions::builder().output_name("rialto").build();
        let plain = Assets::new(&options, None);
        assert_eq!(&*plain.script, "/pkg/rialto.js");
        assert_eq!(&*plain.wasm, "/pkg/rialto.wasm");
        let hashed = Assets::new(&options, Some("js: A\nwasm: B\ncss: C\n"));
        assert_eq!(&*hashed.script, "/pkg/rialto.A.js");
        assert_eq!(&*hashed.wasm, "/pkg/rialto.B.wasm");
        assert_eq!(&*hashed.style, "/pkg/rialto.C.css");
        assert_ne!(plain.build, hashed.build);
        assert_eq!(plain.build.len(), 12);
    }
}
