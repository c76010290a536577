//! Sending files: pieces are read, hashed and sent with backpressure.

use super::{
    Inner,
    state::{MAX_CHUNK_BYTES, PIECE_BYTES, StopReason, TransferDirection, TransferMessage, hex},
};
use crate::ui::browser;
use futures::channel::oneshot;
use js_sys::Uint8Array;
use wasm_bindgen::JsValue;
use wasm_bindgen_futures::JsFuture;
use web_sys::File;

/// Bytes: enough to keep the path busy, but sent within seconds on a slow one, because control messages queue behind.
const MAX_BUFFERED_BYTES: u32 = 1_024 * 1_024;

impl Inner {
    pub(super) async fn send_file(&self, id: u32) {
        let file = self.outgoing_files.borrow().get(&id).cloned();
        if let Some(file) = file
            && self.send_pieces(id, &file).await.is_err()
            && self.is_open()
        {
            self.fail(TransferDirection::Outgoing, id, StopReason::Unreadable);
        }
    }

    async fn send_pieces(&self, id: u32, file: &File) -> Result<(), JsValue> {
        let Some(size) = self.outgoing_size(id) else {
            return Ok(());
        };
        let mut hashes = Vec::new();
        let mut from = 0;
        while from < size {
            let to = (from + PIECE_BYTES).min(size);
            #[expect(clippy::cast_precision_loss, reason = "below 2^53")]
            let slice = file.slice_with_f64_and_f64(from as f64, to as f64)?;
            let buffer = JsFuture::from(slice.array_buffer()).await?;
            let piece = Uint8Array::new(&buffer);
            if u64::from(piece.length()) != to - from {
                return Err("the file changed".into());
            }
            let hash = browser::sha256(piece.as_ref())
                .await
                .ok_or_else(|| JsValue::from("no hash"))?;
            // The transfer may have been cancelled meanwhile.
            if self.outgoing_size(id).is_none() {
                return Ok(());
            }
            self.send_message(&TransferMessage::PieceStart {
                id,
                hash: hex(&hash),
            });
            hashes.extend_from_slice(&hash);
            let mut at = 0;
            while at < piece.length() {
                self.wait_for_buffer_space().await;
                let end = (at + MAX_CHUNK_BYTES).min(piece.length());
                self.channel
                    .send_with_js_u8_array(&piece.subarray(at, end))?;
                at = end;
            }
            from = to;
        }
        let hash = browser::sha256(Uint8Array::from(hashes.as_slice()).as_ref())
            .await
            .ok_or_else(|| JsValue::from("no hash"))?;
        if self.outgoing_size(id).is_some() {
            self.send_message(&TransferMessage::End {
                id,
                hash: hex(&hash),
            });
        }
        Ok(())
    }

    fn outgoing_size(&self, id: u32) -> Option<u64> {
        let state = self.state.borrow();
        state
            .find_in_progress(TransferDirection::Outgoing, id)
            .map(|transfer| transfer.size)
    }

    async fn wait_for_buffer_space(&self) {
        if self.channel.buffered_amount() > MAX_BUFFERED_BYTES {
            let (low, is_low) = oneshot::channel();
            *self.buffer_low_tx.borrow_mut() = Some(low);
            // The sender is dropped when the call is over.
            let _ = is_low.await;
        }
    }
}
