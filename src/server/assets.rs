//! URLs of the browser files.
//!
//! A build's folder is named after its contents: browsers may cache it forever, and no page mixes two builds. File names alone do not
//! identify a build, because cargo-leptos hashes each file before inserting other files' names.

use leptos::config::LeptosOptions;
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::{collections::BTreeMap, fs, io, path::Path, sync::Arc};

/// cargo-leptos fills the gap only where it hashes file names.
const SPLIT_LOADER: &str = "__wasm_split.______________________.js";
const CHUNK_MANIFEST: &str = "__wasm_split_manifest.json";
const BUILD_ID_LENGTH: usize = 12;

/// Build id, and URLs of the browser files.
#[derive(Debug, Clone)]
pub struct Assets {
    pub build: Arc<str>,
    /// URL path of this build's folder.
    pub folder: Arc<str>,
    pub stylesheet: Arc<str>,
    /// The same files again: a browser has one instance of a module for each URL.
    pub second_folder: Arc<str>,
    /// JSON: `folder` and `secondFolder`; `wasm`, the main file; `scripts`, its loader and imports; `parts`, the lazy chunks by name.
    pub program_manifest: Arc<str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ProgramManifest {
    folder: String,
    second_folder: String,
    wasm: String,
    scripts: Vec<String>,
    #[serde(rename = "parts")]
    chunks: BTreeMap<String, Vec<String>>,
}

/// Whether `cargo leptos watch` runs this server.
#[must_use]
pub fn is_watched() -> bool {
    std::env::var_os("LEPTOS_WATCH").is_some()
}

impl Assets {
    /// Reads the files below `site_root`. Without them, pages work as plain HTML. Under `cargo leptos watch`, the style sheet has the
    /// URL by which its script replaces it.
    pub fn read(options: &LeptosOptions, is_watched: bool) -> Self {
        let pkg = Path::new(&*options.site_root).join(&*options.site_pkg_dir);
        let build: Arc<str> = build_id(&pkg)
            .unwrap_or_else(|error| {
                tracing::warn!(path = %pkg.display(), %error, "the browser files cannot be read: build them with cargo leptos");
                env!("CARGO_PKG_VERSION").to_owned()
            })
            .into();
        let folder = format!("/{}/{build}", options.site_pkg_dir);
        let second_folder = format!("{folder}/second");
        let name = &options.output_name;
        let url = |file: &str| format!("{folder}/{file}");
        let stylesheet = if is_watched {
            format!("/{}/{name}.css?build={build}", options.site_pkg_dir)
        } else {
            url(&format!("{name}.css"))
        };
        let has_chunks = pkg.join(SPLIT_LOADER).exists();
        let program = ProgramManifest {
            folder: folder.clone(),
            second_folder: second_folder.clone(),
            wasm: url(&format!("{name}.wasm")),
            scripts: [
                Some(format!("{name}.js")),
                has_chunks.then(|| SPLIT_LOADER.to_owned()),
            ]
            .into_iter()
            .flatten()
            .map(|file| url(&file))
            .collect(),
            chunks: if has_chunks {
                read_chunk_manifest(&pkg.join(CHUNK_MANIFEST))
                    .into_iter()
                    .map(|(chunk, files)| {
                        let files = files.iter().map(|file| url(&format!("{file}.wasm")));
                        (chunk, files.collect())
                    })
                    .collect()
            } else {
                BTreeMap::new()
            },
        };
        Self {
            stylesheet: stylesheet.into(),
            program_manifest: serde_json::to_string(&program).unwrap_or_default().into(),
            folder: folder.into(),
            second_folder: second_folder.into(),
            build,
        }
    }
}

/// Shortened SHA-256 of version, file names and contents, without compressed copies.
fn build_id(pkg: &Path) -> io::Result<String> {
    let mut files = fs::read_dir(pkg)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<io::Result<Vec<_>>>()?;
    files.retain(|path| {
        path.is_file()
            && !path
                .extension()
                .is_some_and(|kind| kind == "br" || kind == "gz")
    });
    files.sort();
    let mut hasher = Sha256::new_with_prefix(env!("CARGO_PKG_VERSION"));
    for path in files {
        hasher.update(path.file_name().unwrap_or_default().as_encoded_bytes());
        hasher.update(Sha256::digest(fs::read(&path)?));
    }
    let mut id = hex::encode(hasher.finalize());
    id.truncate(BUILD_ID_LENGTH);
    Ok(id)
}

/// Without extension.
fn read_chunk_manifest(path: &Path) -> BTreeMap<String, Vec<String>> {
    let read = fs::read_to_string(path).map_err(|error| error.to_string());
    let chunks =
        read.and_then(|text| serde_json::from_str(&text).map_err(|error| error.to_string()));
    chunks.unwrap_or_else(|error| {
        // Chunks only load a little later.
        tracing::warn!(path = %path.display(), %error, "the file list of the browser build cannot be read");
        BTreeMap::new()
    })
}

#[cfg(test)]
mod tests {
    use super::{Assets, CHUNK_MANIFEST, SPLIT_LOADER};
    use leptos::config::LeptosOptions;
    use serde_json::{Value, json};
    use std::{fs, path::Path};

    fn assets(files: &[(&str, &str)]) -> Assets {
        let site = tempfile::tempdir().unwrap();
        fs::create_dir(site.path().join("pkg")).unwrap();
        for (name, content) in files {
            fs::write(site.path().join("pkg").join(name), content).unwrap();
        }
        Assets::read(&options(site.path()), false)
    }

    fn options(site: &Path) -> LeptosOptions {
        LeptosOptions::builder()
            .output_name("rialto")
            .site_root(site.to_string_lossy().into_owned())
            .build()
    }

    fn manifest(assets: &Assets) -> Value {
        serde_json::from_str(&assets.program_manifest).unwrap()
    }

    #[test]
    fn every_url_names_the_build() {
        let assets = assets(&[
            ("rialto.js", "a"),
            ("rialto.wasm", "b"),
            ("rialto.css", "c"),
        ]);
        let folder = &assets.folder;
        assert_eq!(assets.build.len(), 12);
        assert_eq!(**folder, format!("/pkg/{}", assets.build));
        assert_eq!(*assets.stylesheet, format!("{folder}/rialto.css"));
        assert_eq!(
            manifest(&assets),
            json!({
                "folder": folder,
                "secondFolder": format!("{folder}/second"),
                "wasm": format!("{folder}/rialto.wasm"),
                "scripts": [format!("{folder}/rialto.js")],
                "parts": {},
            })
        );
    }

    #[test]
    fn the_style_sheet_can_be_replaced_under_cargo_leptos_watch() {
        let nowhere = tempfile::tempdir().unwrap().path().join("site");
        let assets = Assets::read(&options(&nowhere), true);
        // The reload script of cargo-leptos looks for "pkg/rialto.css" in the URL.
        assert!(assets.stylesheet.starts_with("/pkg/rialto.css?build="));
    }

    #[test]
    fn a_build_is_known_by_the_contents_of_its_files() {
        let before = assets(&[("rialto.js", "a"), ("rialto.wasm", "b")]);
        let again = assets(&[
            ("rialto.wasm", "b"),
            ("rialto.js", "a"),
            ("rialto.js.br", "x"),
        ]);
        let changed = assets(&[("rialto.js", "a"), ("rialto.wasm", "B")]);
        let renamed = assets(&[("rialto2.js", "a"), ("rialto.wasm", "b")]);
        assert_eq!(before.build, again.build);
        assert_ne!(before.build, changed.build);
        assert_ne!(before.build, renamed.build);
    }

    #[test]
    fn a_site_that_is_not_built_has_a_build_id_too() {
        let nowhere = tempfile::tempdir().unwrap().path().join("site");
        assert!(!Assets::read(&options(&nowhere), false).build.is_empty());
    }

    #[test]
    fn chunks_are_listed_with_all_their_files() {
        let chunks = json!({ "calls": ["chunk_1", "split_calls"] }).to_string();
        let assets = assets(&[(CHUNK_MANIFEST, &chunks), (SPLIT_LOADER, "")]);
        let folder = &assets.folder;
        assert_eq!(
            manifest(&assets),
            json!({
                "folder": folder,
                "secondFolder": format!("{folder}/second"),
                "wasm": format!("{folder}/rialto.wasm"),
                "scripts": [format!("{folder}/rialto.js"), format!("{folder}/{SPLIT_LOADER}")],
                "parts": { "calls": [
                    format!("{folder}/chunk_1.wasm"),
                    format!("{folder}/split_calls.wasm"),
                ] },
            })
        );
    }
}
