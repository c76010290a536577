//! URLs of the browser files.

use super::random;
use leptos::config::LeptosOptions;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fs;
use std::iter;
use std::path::Path;
use std::sync::Arc;

/// Id of the build, and the URLs of the files a browser loads.
#[derive(Debug, Clone)]
pub struct Assets {
    /// Id of the build. Builds with the same browser files have the same id.
    pub build: Arc<str>,
    /// URL of the style sheet.
    pub stylesheet: Arc<str>,
    /// Program files as JSON: `wasm`, the main file; `scripts`, its loader and that module's imports; `parts`, the lazy chunks by name.
    pub program_manifest: Arc<str>,
}

#[derive(Serialize)]
struct ProgramManifest {
    wasm: String,
    scripts: Vec<String>,
    #[serde(rename = "parts")]
    chunks: BTreeMap<String, Vec<String>>,
}

impl Assets {
    /// Builds the URLs from `hashes`, the hash file of cargo-leptos: a line for each file, such as `js: HASH`. Without it, file names
    /// have no hashes.
    ///
    /// The program's files refer to each other by name, and their hashes are computed before those names are inserted, so the next build
    /// may use the same name for different content. Each build therefore has its own folder ([`Self::program_path`]).
    pub fn new(options: &LeptosOptions, hashes: Option<&str>) -> Self {
        let hash = |kind: &str| {
            let mut lines = hashes.unwrap_or_default().lines();
            let hash = lines.find_map(|line| line.strip_prefix(kind)?.strip_prefix(':'))?;
            Some(hash.trim())
        };
        let name = |kind: &str| {
            let hash = hash(kind)
                .map(|hash| format!(".{hash}"))
                .unwrap_or_default();
            format!("{}{hash}.{kind}", options.output_name)
        };
        let whole = format!(
            "{} {}",
            env!("CARGO_PKG_VERSION"),
            hashes.unwrap_or_default()
        );
        let build: Arc<str> = random::sha256_hex(&whole)
            .get(..12)
            .unwrap_or_default()
            .into();
        let folder = Self::program_path_of(options, &build);
        let address = |name: String| format!("{folder}/{name}");
        let parts = hash("manifest").map(|hash| read_chunk_manifest(options, hash));
        let parts = parts.unwrap_or_default().into_iter().map(|(part, files)| {
            let files = files
                .into_iter()
                .map(|file| address(format!("{file}.wasm")));
            (part, files.collect())
        });
        let splitter = hash("split").map(|hash| format!("__wasm_split.{hash}.js"));
        let program = ProgramManifest {
            wasm: address(name("wasm")),
            scripts: iter::once(name("js"))
                .chain(splitter)
                .map(address)
                .collect(),
            chunks: parts.collect(),
        };
        Self {
            build,
            stylesheet: format!("/{}/{}", options.site_pkg_dir, name("css")).into(),
            // Serialising strings cannot fail.
            program_manifest: serde_json::to_string(&program).unwrap_or_default().into(),
        }
    }

    /// URL path of the program's folder in this build.
    pub fn program_path(&self, options: &LeptosOptions) -> String {
        Self::program_path_of(options, &self.build)
    }

    fn program_path_of(options: &LeptosOptions, build: &str) -> String {
        format!("/{}/{build}", options.site_pkg_dir)
    }
}

/// Reads the files of each chunk, without their extension.
fn read_chunk_manifest(options: &LeptosOptions, hash: &str) -> BTreeMap<String, Vec<String>> {
    let name = format!("__wasm_split_manifest.{hash}.json");
    let path = Path::new(&*options.site_root)
        .join(&*options.site_pkg_dir)
        .join(name);
    let read = fs::read_to_string(&path).map_err(|error| error.to_string());
    let parts =
        read.and_then(|text| serde_json::from_str(&text).map_err(|error| error.to_string()));
    parts.unwrap_or_else(|error| {
        // Without the list, chunks only load a little later.
        tracing::warn!(path = %path.display(), %error, "the file list of the browser build cannot be read");
        BTreeMap::new()
    })
}

/// Reads the hash file that cargo-leptos wrote beside the program. None if it did not hash the files.
pub fn read_hash_file() -> Option<String> {
    let program = std::env::current_exe().ok()?;
    std::fs::read_to_string(program.with_file_name("hash.txt")).ok()
}

#[cfg(test)]
mod tests {
    use crate::server::assets::Assets;
    use leptos::config::LeptosOptions;
    use serde_json::Value;
    use serde_json::json;

    fn manifest(assets: &Assets) -> Value {
        serde_json::from_str(&assets.program_manifest).unwrap()
    }

    #[test]
    fn names_hold_the_hashes_that_there_are() {
        let options = LeptosOptions::builder().output_name("rialto").build();
        let plain = Assets::new(&options, None);
        let folder = plain.program_path(&options);
        assert_eq!(
            manifest(&plain),
            json!({
                "wasm": format!("{folder}/rialto.wasm"),
                "scripts": [format!("{folder}/rialto.js")],
                "parts": {},
            })
        );
        let hashed = Assets::new(&options, Some("js: A\nwasm: B\ncss: C\n"));
        assert_eq!(&*hashed.stylesheet, "/pkg/rialto.C.css");
        assert_ne!(plain.build, hashed.build);
        assert_eq!(plain.build.len(), 12);
        assert_eq!(
            hashed.program_path(&options),
            format!("/pkg/{}", hashed.build)
        );
    }

    #[test]
    fn chunks_are_listed_with_all_their_files() {
        let site = tempfile::tempdir().unwrap();
        let pkg = site.path().join("pkg");
        std::fs::create_dir(&pkg).unwrap();
        let chunks = json!({ "calls": ["chunk_1.X", "split_calls.Y"] });
        std::fs::write(pkg.join("__wasm_split_manifest.D.json"), chunks.to_string()).unwrap();
        let options = LeptosOptions::builder()
            .output_name("rialto")
            .site_root(site.path().to_string_lossy().into_owned())
            .build();
        let hashes = "js: A\nwasm: B\ncss: C\nmanifest: D\nsplit: E\n";
        let assets = Assets::new(&options, Some(hashes));
        let folder = assets.program_path(&options);
        assert_eq!(
            manifest(&assets),
            json!({
                "wasm": format!("{folder}/rialto.B.wasm"),
                "scripts": [
                    format!("{folder}/rialto.A.js"),
                    format!("{folder}/__wasm_split.E.js"),
                ],
                "parts": { "calls": [
                    format!("{folder}/chunk_1.X.wasm"),
                    format!("{folder}/split_calls.Y.wasm"),
                ] },
            })
        );
    }
}
