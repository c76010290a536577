//! File transfers over a data channel (RFC 8831), which the server does not relay.
//!
//! A loss of the path only delays a transfer, because SCTP (RFC 9260) keeps unacknowledged data.

mod received_data;
mod receiving;
mod sending;
pub mod state;

use crate::{model::Millis, ui::browser};
use futures::{
    StreamExt,
    channel::{mpsc, oneshot},
};
use js_sys::{ArrayBuffer, Uint8Array};
use received_data::{IncomingFile, UnverifiedData};
use state::{
    FileTransfer, StopReason, TransferDirection, TransferEffect, TransferMessage, TransferState,
};
use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    rc::Rc,
};
use wasm_bindgen::{JsCast, prelude::Closure};
use wasm_bindgen_futures::spawn_local;
use web_sys::{Event, File, MessageEvent, RtcDataChannel, RtcDataChannelState, RtcDataChannelType};

/// Bytes below which sending resumes.
const BUFFERED_AMOUNT_LOW_THRESHOLD: u32 = 256 * 1_024;
const PROGRESS_INTERVAL: Millis = 150;

pub(super) struct FileTransfers {
    inner: Rc<Inner>,
}

type ChangeCallback = Box<dyn Fn(Vec<FileTransfer>)>;

struct Inner {
    channel: RtcDataChannel,
    state: RefCell<TransferState>,
    outgoing_files: RefCell<HashMap<u32, File>>,
    incoming_files: RefCell<HashMap<u32, IncomingFile>>,
    /// The file of the next chunks.
    receiving_id: Cell<Option<u32>>,
    /// To the verification task; closed with the call.
    unverified_tx: mpsc::UnboundedSender<UnverifiedData>,
    /// To the sending task, in order; closed with the call.
    send_tx: mpsc::UnboundedSender<u32>,
    /// Wakes the sending task when the channel's buffer is low.
    buffer_low_tx: RefCell<Option<oneshot::Sender<()>>>,
    published_at: Cell<Millis>,
    on_change: RefCell<Option<ChangeCallback>>,
    closures: RefCell<Vec<Closure<dyn FnMut(Event)>>>,
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
            while let Some(data) = unverified_rx.next().await {
                let Some(inner) = weak_verifier.upgrade() else {
                    return;
                };
                inner.verify(data).await;
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

    pub(super) fn set_on_change(&self, on_change: impl Fn(Vec<FileTransfer>) + 'static) {
        *self.inner.on_change.borrow_mut() = Some(Box::new(on_change));
    }

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

    pub(super) fn accept(&self, id: u32) {
        let message = self.inner.state.borrow_mut().accept(id);
        self.inner.send_and_publish(message);
    }

    /// Declines an incoming file, withdraws an outgoing one.
    pub(super) fn cancel(&self, direction: TransferDirection, id: u32) {
        let message = self.inner.state.borrow_mut().cancel(direction, id);
        self.inner.discard(direction, id);
        self.inner.send_and_publish(message);
    }

    pub(super) fn dismiss(&self, direction: TransferDirection, id: u32) {
        for transfer in self.inner.state.borrow().transfers() {
            if (transfer.direction, transfer.id) == (direction, id) {
                revoke_object_url(transfer);
            }
        }
        self.inner.state.borrow_mut().dismiss(direction, id);
        self.inner.publish_transfers();
    }

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
        // Offers made before the channel opened.
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

    fn send_message(&self, message: &TransferMessage) {
        if self.is_open()
            && let Ok(text) = serde_json::to_string(message)
        {
            // The channel may have closed meanwhile.
            let _ = self.channel.send_with_str(&text);
        }
    }

    fn send_and_publish(&self, message: Option<TransferMessage>) {
        if let Some(message) = message {
            self.send_message(&message);
        }
        self.publish_transfers();
    }

    fn publish_transfers(&self) {
        self.published_at.set(browser::monotonic_now());
        let list: Vec<FileTransfer> = self.state.borrow().transfers().to_vec();
        if let Some(on_change) = self.on_change.borrow().as_ref() {
            on_change(list);
        }
    }

    fn publish_progress(&self) {
        if browser::monotonic_now() - self.published_at.get() >= PROGRESS_INTERVAL {
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
            .apply_message(&message, browser::monotonic_now());
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
}

pub(super) fn revoke_object_url(transfer: &FileTransfer) {
    if let Some(url) = &transfer.url {
        // Fails only for an invalid URL.
        let _ = web_sys::Url::revoke_object_url(url);
    }
}
