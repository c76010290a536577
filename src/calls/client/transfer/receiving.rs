//! Receiving files: pieces are collected, verified and joined.

use super::{
    Inner,
    received_data::{IncomingFile, UnverifiedData, VerifiedData},
    state::{PIECE_BYTES, StopReason, TransferDirection, TransferMessage, hex},
};
use crate::ui::browser;
use js_sys::{Array, Uint8Array};
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{Blob, BlobPropertyBag, HtmlAnchorElement};

/// Merging lets the browser store pieces on disk.
const PIECES_PER_BLOB: u32 = 16;
/// Received files never open as a page of the site's origin, whatever their name.
const RECEIVED_FILE_TYPE: &str = "application/octet-stream";

impl Inner {
    /// The file's size determines the piece's.
    pub(super) fn begin_piece(&self, id: u32, hash: String) {
        let size = match self
            .state
            .borrow()
            .find_in_progress(TransferDirection::Incoming, id)
        {
            Some(transfer) => transfer.size,
            // The sender does not know of the cancellation yet.
            None => return self.receiving_id.set(None),
        };
        let mut all = self.incoming_files.borrow_mut();
        let incoming = all.entry(id).or_insert_with(|| IncomingFile {
            piece: Uint8Array::new_with_length(0),
            filled_bytes: 0,
            hash: String::new(),
            received_bytes: 0,
            verified: VerifiedData::default(),
        });
        let length = u32::try_from(
            size.saturating_sub(incoming.received_bytes)
                .min(PIECE_BYTES),
        )
        .unwrap_or(0);
        incoming.piece = Uint8Array::new_with_length(length);
        incoming.filled_bytes = 0;
        incoming.hash = hash;
        self.receiving_id.set(Some(id));
    }

    pub(super) fn receive_chunk(&self, chunk: &Uint8Array) {
        let Some(id) = self.receiving_id.get() else {
            return;
        };
        let mut all = self.incoming_files.borrow_mut();
        let Some(incoming) = all.get_mut(&id) else {
            return;
        };
        if incoming.filled_bytes + chunk.length() > incoming.piece.length() {
            drop(all);
            return self.fail(TransferDirection::Incoming, id, StopReason::Damaged);
        }
        incoming.piece.set(chunk, incoming.filled_bytes);
        incoming.filled_bytes += chunk.length();
        if incoming.filled_bytes == incoming.piece.length() {
            incoming.received_bytes += u64::from(incoming.filled_bytes);
            let data = UnverifiedData::Piece {
                id,
                piece: std::mem::replace(&mut incoming.piece, Uint8Array::new_with_length(0)),
                hash: std::mem::take(&mut incoming.hash),
            };
            incoming.filled_bytes = 0;
            self.receiving_id.set(None);
            let _ = self.unverified_tx.unbounded_send(data);
        }
    }

    pub(super) async fn verify(&self, data: UnverifiedData) {
        match data {
            UnverifiedData::Piece { id, piece, hash } => {
                let actual_hash = browser::sha256(piece.as_ref()).await;
                let is_intact = actual_hash
                    .as_deref()
                    .is_some_and(|found| hex(found) == hash);
                if !is_intact {
                    return self.fail(TransferDirection::Incoming, id, StopReason::Damaged);
                }
                let bytes = self.store_piece(id, piece, &actual_hash.unwrap_or_default());
                if let Some(bytes) = bytes {
                    self.state.borrow_mut().record_progress(
                        TransferDirection::Incoming,
                        id,
                        bytes,
                        browser::monotonic_now(),
                    );
                    self.send_message(&TransferMessage::Progress { id, bytes });
                    self.publish_progress();
                }
            }
            UnverifiedData::End { id, hash } => self.finish_file(id, &hash).await,
        }
    }

    /// Returns the verified bytes; `None` after a cancellation.
    fn store_piece(&self, id: u32, piece: Uint8Array, hash: &[u8]) -> Option<u64> {
        let mut all = self.incoming_files.borrow_mut();
        let verified = &mut all.get_mut(&id)?.verified;
        verified.bytes += u64::from(piece.length());
        verified.hashes.extend_from_slice(hash);
        verified.pieces.push(&piece);
        if verified.pieces.length() >= PIECES_PER_BLOB {
            let pieces = std::mem::take(&mut verified.pieces);
            let Ok(together) = build_blob(&pieces) else {
                drop(all);
                self.fail(TransferDirection::Incoming, id, StopReason::Unreadable);
                return None;
            };
            verified.blobs.push(&together);
        }
        Some(verified.bytes)
    }

    async fn finish_file(&self, id: u32, hash: &str) {
        let Some(size) = self
            .state
            .borrow()
            .find_in_progress(TransferDirection::Incoming, id)
            .map(|transfer| transfer.size)
        else {
            return;
        };
        let removed = self.incoming_files.borrow_mut().remove(&id);
        let verified = removed
            .map(|incoming| incoming.verified)
            .unwrap_or_default();
        let actual_hash =
            browser::sha256(Uint8Array::from(verified.hashes.as_slice()).as_ref()).await;
        let is_intact = verified.bytes == size
            && actual_hash
                .as_deref()
                .is_some_and(|found| hex(found) == hash);
        if !is_intact {
            return self.fail(TransferDirection::Incoming, id, StopReason::Damaged);
        }
        let transfer = self
            .state
            .borrow()
            .find_in_progress(TransferDirection::Incoming, id)
            .cloned();
        // The transfer may have been cancelled meanwhile.
        let Some(transfer) = transfer else { return };
        let parts = verified.blobs.concat(&verified.pieces);
        match build_blob(&parts).and_then(|blob| web_sys::Url::create_object_url_with_blob(&blob)) {
            Ok(url) => {
                self.state.borrow_mut().complete(
                    TransferDirection::Incoming,
                    id,
                    Some(url.clone()),
                );
                self.send_message(&TransferMessage::Received {
                    id,
                    is_intact: true,
                });
                self.publish_transfers();
                // The person accepted the file, so it is saved at once; if that needs a gesture, the link remains.
                download(&url, &transfer.name);
            }
            Err(_) => self.fail(TransferDirection::Incoming, id, StopReason::Unreadable),
        }
    }
}

fn build_blob(parts: &Array) -> Result<Blob, JsValue> {
    let options = BlobPropertyBag::new();
    options.set_type(RECEIVED_FILE_TYPE);
    Blob::new_with_blob_sequence_and_options(parts, &options)
}

fn download(url: &str, name: &str) {
    let document = web_sys::window().and_then(|window| window.document());
    let link = document
        .and_then(|document| document.create_element("a").ok())
        .and_then(|link| link.dyn_into::<HtmlAnchorElement>().ok());
    if let Some(link) = link {
        link.set_href(url);
        link.set_download(name);
        link.click();
    }
}
