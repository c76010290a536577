//! File transfers over a data channel (RFC 8831): the server relays no byte of them.
//!
//! [`state`] holds the protocol and the state of each file. This module does the I/O: it reads files piece by piece, lets
//! the browser hash them, and sends with backpressure. A temporary loss of the path only delays a transfer: the channel
//! keeps unacknowledged data (SCTP, RFC 9260).

pub mod state;

use crate::{model::Millis, ui::browser};
use futures::{
    StreamExt,
    channel::{mpsc, oneshot},
};
use js_sys::{Array, ArrayBuffer, Uint8Array};
use state::{
    FileTransfer, MAX_CHUNK_BYTES, PIECE_BYTES, StopReason, TransferDirection, TransferEffect,
    TransferMessage, TransferState,
};
use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    rc::Rc,
};
use wasm_bindgen::{JsCast, JsValue, prelude::Closure};
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::{
    Blob, BlobPropertyBag, Event, File, HtmlAnchorElement, MessageEvent, RtcDataChannel,
    RtcDataChannelState, RtcDataChannelType,
};

/// Upper bound of the channel's send buffer, in bytes: enough to keep the path busy, but sent within seconds on a slow
/// path, because control messages queue behind it.
const MAX_BUFFERED_BYTES: u32 = 1_024 * 1_024;
/// Sending resumes below this amount, in bytes.
const BUFFERED_AMOUNT_LOW_THRESHOLD: u32 = 256 * 1_024;
/// Number of pieces merged into one blob, so that the browser may store them on disk.
const PIECES_PER_BLOB: u32 = 16;
/// Minimum interval between progress updates, in milliseconds.
const PROGRESS_INTERVAL: Millis = 150;
/// MIME type of received files, whatever their name: they can be downloaded, but never open as a page of the site's
/// origin.
const RECEIVED_FILE_TYPE: &str = "application/octet-stream";

/// The file transfers of one call.
pub(super) struct FileTransfers {
    inner: Rc<Inner>,
}

type ChangeCallback = Box<dyn Fn(Vec<FileTransfer>)>;

struct Inner {
    channel: RtcDataChannel,
    state: RefCell<TransferState>,
    /// Files offered or being sent, by id.
    outgoing_files: RefCell<HashMap<u32, File>>,
    /// Files being received, by id.
    incoming_files: RefCell<HashMap<u32, IncomingFile>>,
    /// Id of the file that the next chunks belong to.
    receiving_id: Cell<Option<u32>>,
    /// Received data for the verification task; closed with the call.
    unverified_tx: mpsc::UnboundedSender<UnverifiedData>,
    /// Ids of accepted files for the sending task, in order; closed with the call.
    send_tx: mpsc::UnboundedSender<u32>,
    /// Wakes the sending task when the channel's buffer is low.
    buffer_low_tx: RefCell<Option<oneshot::Sender<()>>>,
    published_at: Cell<Millis>,
    on_change: RefCell<Option<ChangeCallback>>,
    closures: RefCell<Vec<Closure<dyn FnMut(Event)>>>,
}

/// A file being received.
struct IncomingFile {
    /// Buffer of the current piece.
    piece: Uint8Array,
    filled_bytes: u32,
    hash: String,
    /// Bytes received, verified or not.
    received_bytes: u64,
    verified: VerifiedData,
}

/// Received pieces whose hash matched.
#[derive(Default)]
struct VerifiedData {
    blobs: Array,
    pieces: Array,
    hashes: Vec<u8>,
    bytes: u64,
}

/// Received data that awaits verification.
enum UnverifiedData {
    Piece {
        id: u32,
        piece: Uint8Array,
        hash: String,
    },
    End {
        id: u32,
        hash: String,
    },
}

impl FileTransfers {
    pub(super) fn new(channel: RtcDataChannel) -> Self {
        channel.set_binary_type(RtcDataChannelType::Arraybuffer);
        channel.set_buffered_amount_low_threshold(BUFFERED_AMOUNT_LOW_THRESHOLD);
        let (unverified_tx, mut unverified_rx) = mpsc::unbounded();
        let (send_tx, mut send_rx) = mpsc::unbounded();
        let inner = Rc::new(Inner {
            channel,
            state: RefCell::default(),
            outgoing_files: RefCell::default(),
            incoming_files: RefCell::default(),
            receiving_id: Cell::default(),
            unverified_tx,
            send_tx,
            buffer_low_tx: RefCell::default(),
            published_at: Cell::default(),
            on_change: RefCell::default(),
            closures: RefCell::default(),
        });
        inner.attach_handlers();
        let weak_verifier = Rc::downgrade(&inner);
        spawn_local(async move {
            while let Some(came) = unverified_rx.next().await {
                let Some(inner) = weak_verifier.upgrade() else {
                    return;
                };
                inner.verify(came).await;
            }
        });
        let weak_sender = Rc::downgrade(&inner);
        spawn_local(async move {
            while let Some(id) = send_rx.next().await {
                let Some(inner) = weak_sender.upgrade() else {
                    return;
                };
                inner.send_file(id).await;
            }
        });
        Self { inner }
    }

    /// Sets the callback that receives all transfers on every change.
    pub(super) fn set_on_change(&self, on_change: impl Fn(Vec<FileTransfer>) + 'static) {
        *self.inner.on_change.borrow_mut() = Some(Box::new(on_change));
    }

    /// Offers a file to the peer.
    pub(super) fn offer_file(&self, file: File) {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a size is a whole number below 2^53"
        )]
        let size = file.size() as u64;
        let message = self.inner.state.borrow_mut().offer(&file.name(), size);
        if let TransferMessage::Offer { id, .. } = message {
            self.inner.outgoing_files.borrow_mut().insert(id, file);
        }
        self.inner.send_message(&message);
        self.inner.publish_transfers();
    }

    /// Accepts an offered file.
    pub(super) fn accept(&self, id: u32) {
        let message = self.inner.state.borrow_mut().accept(id);
        self.inner.send_and_publish(message);
    }

    /// Cancels a transfer: declines an incoming file, withdraws an outgoing one.
    pub(super) fn cancel(&self, direction: TransferDirection, id: u32) {
        let message = self.inner.state.borrow_mut().cancel(direction, id);
        self.inner.discard(direction, id);
        self.inner.send_and_publish(message);
    }

    /// Removes a finished transfer from the list.
    pub(super) fn dismiss(&self, direction: TransferDirection, id: u32) {
        for transfer in self.inner.state.borrow().transfers() {
            if (transfer.direction, transfer.id) == (direction, id) {
                revoke_object_url(transfer);
            }
        }
        self.inner.state.borrow_mut().dismiss(direction, id);
        self.inner.publish_transfers();
    }

    /// Ends all transfers with the call; unfinished ones are stopped.
    pub(super) fn close(&self) {
        let inner = &self.inner;
        inner.unverified_tx.close_channel();
        inner.send_tx.close_channel();
        inner.channel.set_onmessage(None);
        inner.channel.set_onopen(None);
        inner.channel.set_onbufferedamountlow(None);
        inner.buffer_low_tx.take();
        inner.state.borrow_mut().stop_unfinished();
        inner.publish_transfers();
        inner.on_change.take();
        inner.closures.borrow_mut().clear();
    }
}

impl Inner {
    fn attach_handlers(self: &Rc<Self>) {
        let channel = &self.channel;
        channel.set_onmessage(Some(&self.event_handler(Self::on_message)));
        // Sends the offers made before the channel opened.
        channel.set_onopen(Some(&self.event_handler(|inner, _| {
            let offers = inner.state.borrow().pending_offers();
            for message in &offers {
                inner.send_message(message);
            }
        })));
        channel.set_onbufferedamountlow(Some(&self.event_handler(|inner, _| {
            // The sending task may have ended.
            let _ = inner.buffer_low_tx.take().map(|low| low.send(()));
        })));
    }

    fn event_handler(self: &Rc<Self>, then: impl Fn(&Self, &Event) + 'static) -> js_sys::Function {
        let inner = Rc::downgrade(self);
        let closure = Closure::<dyn FnMut(Event)>::new(move |event: Event| {
            if let Some(inner) = inner.upgrade() {
                then(&inner, &event);
            }
        });
        let function = closure.as_ref().unchecked_ref::<js_sys::Function>().clone();
        self.closures.borrow_mut().push(closure);
        function
    }

    fn is_open(&self) -> bool {
        self.channel.ready_state() == RtcDataChannelState::Open
    }

    fn send_message(&self, say: &TransferMessage) {
        if self.is_open()
            && let Ok(text) = serde_json::to_string(say)
        {
            // Sending fails if the channel has closed meanwhile; then the call is over.
            let _ = self.channel.send_with_str(&text);
        }
    }

    fn send_and_publish(&self, message: Option<TransferMessage>) {
        if let Some(say) = message {
            self.send_message(&say);
        }
        self.publish_transfers();
    }

    /// Passes the state of all transfers to the callback.
    fn publish_transfers(&self) {
        self.published_at.set(browser::now());
        let list: Vec<FileTransfer> = self.state.borrow().transfers().to_vec();
        if let Some(on_change) = self.on_change.borrow().as_ref() {
            on_change(list);
        }
    }

    /// Publishes at most once per [`PROGRESS_INTERVAL`].
    fn publish_progress(&self) {
        if browser::now() - self.published_at.get() >= PROGRESS_INTERVAL {
            self.publish_transfers();
        }
    }

    fn on_message(&self, event: &Event) {
        let data = event.unchecked_ref::<MessageEvent>().data();
        if let Some(text) = data.as_string() {
            // Messages of a newer page may not parse.
            if let Ok(message) = serde_json::from_str::<TransferMessage>(&text) {
                self.handle_message(message);
            }
        } else if let Ok(chunk) = data.dyn_into::<ArrayBuffer>() {
            self.receive_chunk(&Uint8Array::new(&chunk));
        }
    }

    fn handle_message(&self, message: TransferMessage) {
        let effect = self
            .state
            .borrow_mut()
            .apply_message(&message, browser::now());
        match effect {
            Some(TransferEffect::Send(id)) => {
                // The queue is closed when the call is over.
                let _ = self.send_tx.unbounded_send(id);
            }
            Some(TransferEffect::Decline(id)) => {
                self.send_message(&TransferMessage::Decline { id });
            }
            Some(TransferEffect::Discard(direction, id)) => self.discard(direction, id),
            None => {}
        }
        match message {
            TransferMessage::PieceStart { id, hash } => self.begin_piece(id, hash),
            TransferMessage::End { id, hash } => {
                let _ = self
                    .unverified_tx
                    .unbounded_send(UnverifiedData::End { id, hash });
            }
            TransferMessage::Progress { .. } => self.publish_progress(),
            TransferMessage::Offer { .. }
            | TransferMessage::Accept { .. }
            | TransferMessage::Decline { .. }
            | TransferMessage::Withdraw { .. }
            | TransferMessage::Received { .. } => self.publish_transfers(),
        }
    }

    fn discard(&self, direction: TransferDirection, id: u32) {
        match direction {
            TransferDirection::Outgoing => {
                self.outgoing_files.borrow_mut().remove(&id);
            }
            TransferDirection::Incoming => {
                self.incoming_files.borrow_mut().remove(&id);
                if self.receiving_id.get() == Some(id) {
                    self.receiving_id.set(None);
                }
            }
        }
    }

    /// Prepares the buffer for the next piece; its size follows from the file's size.
    fn begin_piece(&self, id: u32, hash: String) {
        let size = match self
            .state
            .borrow()
            .find_in_progress(TransferDirection::Incoming, id)
        {
            Some(transfer) => transfer.size,
            // The transfer was cancelled, and the sender has not received that yet.
            None => return self.receiving_id.set(None),
        };
        let mut incoming = self.incoming_files.borrow_mut();
        let coming = incoming.entry(id).or_insert_with(|| IncomingFile {
            piece: Uint8Array::new_with_length(0),
            filled_bytes: 0,
            hash: String::new(),
            received_bytes: 0,
            verified: VerifiedData::default(),
        });
        let length =
            u32::try_from(size.saturating_sub(coming.received_bytes).min(PIECE_BYTES)).unwrap_or(0);
        coming.piece = Uint8Array::new_with_length(length);
        coming.filled_bytes = 0;
        coming.hash = hash;
        self.receiving_id.set(Some(id));
    }

    fn receive_chunk(&self, chunk: &Uint8Array) {
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

    async fn verify(&self, data: UnverifiedData) {
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
                        browser::now(),
                    );
                    self.send_message(&TransferMessage::Progress { id, bytes });
                    self.publish_progress();
                }
            }
            UnverifiedData::End { id, hash } => self.finish_file(id, &hash).await,
        }
    }

    /// Stores a verified piece. Returns the verified bytes; `None` if the transfer was cancelled.
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
        let verified = self.incoming_files.borrow_mut().remove(&id);
        let kept = verified
            .map(|incoming| incoming.verified)
            .unwrap_or_default();
        let actual_hash = browser::sha256(Uint8Array::from(kept.hashes.as_slice()).as_ref()).await;
        let is_intact = kept.bytes == size
            && actual_hash
                .as_deref()
                .is_some_and(|found| hex(found) == hash);
        if !is_intact {
            return self.fail(TransferDirection::Incoming, id, StopReason::Damaged);
        }
        let going = self
            .state
            .borrow()
            .find_in_progress(TransferDirection::Incoming, id)
            .cloned();
        // The transfer may have been cancelled meanwhile.
        let Some(transfer) = going else { return };
        let parts = kept.blobs.concat(&kept.pieces);
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
                // The person accepted the file, so it is saved like any download. If the browser requires a gesture,
                // the link remains.
                download(&url, &transfer.name);
            }
            Err(_) => self.fail(TransferDirection::Incoming, id, StopReason::Unreadable),
        }
    }

    /// Stops a transfer as failed, and informs the peer.
    fn fail(&self, direction: TransferDirection, id: u32, reason: StopReason) {
        if self.state.borrow_mut().stop(direction, id, reason) {
            self.send_message(&match direction {
                TransferDirection::Incoming => TransferMessage::Received {
                    id,
                    is_intact: false,
                },
                TransferDirection::Outgoing => TransferMessage::Withdraw { id },
            });
            self.publish_transfers();
        }
        self.discard(direction, id);
    }

    async fn send_file(&self, id: u32) {
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

    /// Size of an outgoing file in progress.
    fn outgoing_size(&self, id: u32) -> Option<u64> {
        let ledger = self.state.borrow();
        ledger
            .find_in_progress(TransferDirection::Outgoing, id)
            .map(|transfer| transfer.size)
    }

    /// Waits until the channel's send buffer is low.
    async fn wait_for_buffer_space(&self) {
        if self.channel.buffered_amount() > MAX_BUFFERED_BYTES {
            let (low, is_low) = oneshot::channel();
            *self.buffer_low_tx.borrow_mut() = Some(low);
            // The sender is dropped when the call is over.
            let _ = is_low.await;
        }
    }
}

fn build_blob(parts: &Array) -> Result<Blob, JsValue> {
    let options = BlobPropertyBag::new();
    options.set_type(RECEIVED_FILE_TYPE);
    Blob::new_with_blob_sequence_and_options(parts, &options)
}

/// Releases the object URL of a received file.
pub(super) fn revoke_object_url(transfer: &FileTransfer) {
    if let Some(url) = &transfer.url {
        // Fails only for an invalid URL.
        let _ = web_sys::Url::revoke_object_url(url);
    }
}

/// Saves a file as a download.
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

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
