use super::*;
use tempfile::TempDir;

const CONTENT: &[u8] = b"Ponte di Rialto";

struct Fixture {
    folder: TempDir,
    bytes: Vec<u8>,
}

fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

fn stream_of(bytes: &'static [u8]) -> impl Stream<Item = io::Result<Bytes>> {
    futures::stream::iter(bytes.chunks(4).map(|chunk| Ok(Bytes::from_static(chunk))))
}

fn manifest(store: &[u8]) -> Manifest {
    Manifest {
        format: FORMAT,
        version: "0.1.0".to_owned(),
        schema: 4,
        epoch: None,
        made_at: 1_000,
        store_sha256: sha256(store),
        files: 1,
    }
}

impl Fixture {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("backup.tar");
        let file = std::fs::File::create(&path).unwrap();
        let mut writer = ArchiveWriter::new(file, 1_000);
        let json = serde_json::to_vec(&manifest(b"store")).unwrap();
        writer.append_bytes(&Entry::Manifest, json).await.unwrap();
        writer
            .append_bytes(&Entry::Store, b"store".to_vec())
            .await
            .unwrap();
        let hash = sha256(CONTENT);
        let entry = Entry::File(hash.clone());
        // A wrong file leaves no trace.
        for (size, content) in [(15, &b"Ponte di Rialtz"[..]), (99, CONTENT), (3, CONTENT)] {
            let appended = writer.append(&entry, size, Some(&hash), stream_of(content));
            let refused = appended.await.unwrap_err();
            assert!(matches!(refused, AppendError::Content(_)), "{refused:?}");
        }
        let appended = writer.append(&entry, 15, Some(&hash), stream_of(CONTENT));
        appended.await.unwrap();
        let written = writer.finish().await.unwrap();
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!(bytes.len() as u64, written);
        Self { folder, bytes }
    }

    fn extract(&self, bytes: &[u8]) -> Result<Extracted> {
        let path = self.folder.path().join("copy.tar");
        std::fs::write(&path, bytes).unwrap();
        let into = tempfile::tempdir_in(self.folder.path()).unwrap().keep();
        extract(&std::fs::File::open(path).unwrap(), &into, |_| Ok(()))
    }
}

#[tokio::test]
async fn what_was_archived_is_extracted_byte_for_byte() {
    let fixture = Fixture::new().await;
    let extracted = fixture.extract(&fixture.bytes).unwrap();
    assert_eq!(std::fs::read(extracted.store).unwrap(), b"store");
    let files: Vec<_> = extracted.files.into_iter().collect();
    let [(hash, path)] = files.as_slice() else {
        panic!("{files:?}")
    };
    assert_eq!(*hash, sha256(CONTENT));
    assert_eq!(std::fs::read(path).unwrap(), CONTENT);
}

#[tokio::test]
async fn an_archive_that_is_cut_off_anywhere_is_refused() {
    let fixture = Fixture::new().await;
    let end = fixture.bytes.len() - 2 * BLOCK;
    for length in (0..end).step_by(256) {
        let cut_off = fixture.extract(&fixture.bytes[..length]);
        let refused = cut_off.unwrap_err().to_string();
        assert!(refused.contains("not a whole backup"), "{refused}");
    }
}

#[tokio::test]
async fn an_archive_with_a_changed_byte_is_refused() {
    let fixture = Fixture::new().await;
    for content in [&b"store"[..], CONTENT, b"0.1.0", b"  manifest.json"] {
        let mut bytes = fixture.bytes.clone();
        let at = bytes
            .windows(content.len())
            .rposition(|window| window == content)
            .unwrap();
        bytes[at] ^= 1;
        fixture.extract(&bytes).unwrap_err();
    }
}

#[tokio::test]
async fn a_file_that_is_no_archive_is_refused() {
    let fixture = Fixture::new().await;
    for bytes in [&b""[..], b"not an archive", &[7; 4096]] {
        let refused = fixture.extract(bytes).unwrap_err().to_string();
        assert!(refused.contains("not a whole backup"), "{refused}");
    }
}

#[test]
fn an_entry_cannot_lead_out_of_its_folder() {
    let hash = sha256(CONTENT);
    let file = Entry::File(hash.clone());
    assert_eq!(Entry::parse(&file.path()), Some(file));
    for path in [
        "../rialto.sqlite".to_owned(),
        "/etc/passwd".to_owned(),
        "files/../../x".to_owned(),
        format!("files/zz/{hash}"),
        format!("files/{}/{}", &hash[..2], hash.to_uppercase()),
    ] {
        assert_eq!(Entry::parse(&path), None, "{path}");
    }
}
