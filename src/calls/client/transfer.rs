//! Files straight to the other page, over a data channel (RFC 8831): no byte of them goes through the server.
//!
//! What is said and what becomes of each file is in [`ledger`]. Here are the bytes: read piece by piece, hashed by the browser, and sent
//! no faster than the way takes them. A way that is lost for a while and found again delays a file and no more: the channel keeps what
//! was not acknowledged (SCTP, RFC 9260).

pub mod ledger;

use super::peer::News;
use crate::{model::Millis, ui::browser};
use futures::{
    StreamExt,
    channel::{mpsc, oneshot},
};
use js_sys::{Array, ArrayBuffer, Uint8Array};
use ledger::{CHUNK, Ledger, PIECE, Say, Stop, Then, Transfer, Way};
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

/// So much may wait in the channel, in bytes: enough that the way is never idle, and no more than a slow way has sent in some seconds, for
/// whatever is said waits behind it.
const MOST_BUFFERED: u32 = 1_024 * 1_024;
/// Below this the next chunks are sent.
const LOW: u32 = 256 * 1_024;
/// So many pieces are put together, so that the browser may keep them on disk.
const TOGETHER: u32 = 16;
/// How often progress is shown, in milliseconds.
const SHOW: Millis = 150;
/// What a received file is to the browser, whatever it is called: something to be kept, never to be opened in the site's name.
const KIND: &str = "application/octet-stream";

/// Carries the files of a call.
pub(super) struct Courier {
    inner: Rc<Inner>,
}

type Tell = Box<dyn Fn(News)>;

struct Inner {
    channel: RtcDataChannel,
    ledger: RefCell<Ledger>,
    /// What is to be sent.
    files: RefCell<HashMap<u32, File>>,
    /// What is coming.
    coming: RefCell<HashMap<u32, Coming>>,
    /// Whose chunks come now.
    current: Cell<Option<u32>>,
    /// What has come and is to be looked at.
    came: mpsc::UnboundedSender<Came>,
    /// Files that are wanted, in the order in which they are sent.
    wanted: mpsc::UnboundedSender<u32>,
    /// The channel can take more.
    low: RefCell<Option<oneshot::Sender<()>>>,
    told_at: Cell<Millis>,
    tell: RefCell<Option<Tell>>,
    closures: RefCell<Vec<Closure<dyn FnMut(Event)>>>,
}

/// A file that is coming.
struct Coming {
    /// The piece whose chunks come now, how much of it is there, and its hash.
    piece: Uint8Array,
    filled: u32,
    hash: String,
    /// How much has come, looked at or not.
    came: u64,
    kept: Kept,
}

/// What was looked at and is right.
#[derive(Default)]
struct Kept {
    blobs: Array,
    pieces: Array,
    hashes: Vec<u8>,
    bytes: u64,
}

/// What has come and is to be looked at.
enum Came {
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

impl Courier {
    pub(super) fn new(channel: RtcDataChannel) -> Self {
        channel.set_binary_type(RtcDataChannelType::Arraybuffer);
        channel.set_buffered_amount_low_threshold(LOW);
        let (came, mut looked_at) = mpsc::unbounded();
        let (wanted, mut sent) = mpsc::unbounded();
        let inner = Rc::new(Inner {
            channel,
            ledger: RefCell::default(),
            files: RefCell::default(),
            coming: RefCell::default(),
            current: Cell::default(),
            came,
            wanted,
            low: RefCell::default(),
            told_at: Cell::default(),
            tell: RefCell::default(),
            closures: RefCell::default(),
        });
        inner.listen();
        let looking = Rc::downgrade(&inner);
        spawn_local(async move {
            while let Some(came) = looked_at.next().await {
                let Some(inner) = looking.upgrade() else {
                    return;
                };
                inner.look_at(came).await;
            }
        });
        let sending = Rc::downgrade(&inner);
        spawn_local(async move {
            while let Some(id) = sent.next().await {
                let Some(inner) = sending.upgrade() else {
                    return;
                };
                inner.send(id).await;
            }
        });
        Self { inner }
    }

    /// From now on `tell` hears what becomes of files.
    pub(super) fn tell(&self, tell: impl Fn(News) + 'static) {
        *self.inner.tell.borrow_mut() = Some(Box::new(tell));
    }

    /// Offers a file to the other one.
    pub(super) fn offer(&self, file: File) {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a size is a whole number below 2^53"
        )]
        let size = file.size() as u64;
        let say = self.inner.ledger.borrow_mut().offer(&file.name(), size);
        if let Say::Offer { id, .. } = say {
            self.inner.files.borrow_mut().insert(id, file);
        }
        self.inner.say(&say);
        self.inner.show();
    }

    /// Wants a file that was offered.
    pub(super) fn accept(&self, id: u32) {
        let say = self.inner.ledger.borrow_mut().accept(id);
        self.inner.say_and_show(say);
    }

    /// Gives a file up: does not want it, or does not send it.
    pub(super) fn give_up(&self, way: Way, id: u32) {
        let say = self.inner.ledger.borrow_mut().give_up(way, id);
        self.inner.forget(way, id);
        self.inner.say_and_show(say);
    }

    /// Takes one that is over off the list.
    pub(super) fn dismiss(&self, way: Way, id: u32) {
        for transfer in self.inner.ledger.borrow().list() {
            if (transfer.way, transfer.id) == (way, id) {
                release(transfer);
            }
        }
        self.inner.ledger.borrow_mut().dismiss(way, id);
        self.inner.show();
    }

    /// The call is over. What is not there by now will not come.
    pub(super) fn close(&self) {
        let inner = &self.inner;
        inner.came.close_channel();
        inner.wanted.close_channel();
        inner.channel.set_onmessage(None);
        inner.channel.set_onopen(None);
        inner.channel.set_onbufferedamountlow(None);
        inner.low.take();
        inner.ledger.borrow_mut().close();
        inner.show();
        inner.tell.take();
        inner.closures.borrow_mut().clear();
    }
}

impl Inner {
    fn listen(self: &Rc<Self>) {
        let channel = &self.channel;
        channel.set_onmessage(Some(&self.on(Self::heard)));
        // What was offered before there was a way.
        channel.set_onopen(Some(&self.on(|inner, _| {
            let offers = inner.ledger.borrow().offers();
            for say in &offers {
                inner.say(say);
            }
        })));
        channel.set_onbufferedamountlow(Some(&self.on(|inner, _| {
            // Whoever waited may have given up.
            let _ = inner.low.take().map(|low| low.send(()));
        })));
    }

    fn on(self: &Rc<Self>, then: impl Fn(&Self, &Event) + 'static) -> js_sys::Function {
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

    fn say(&self, say: &Say) {
        if self.is_open()
            && let Ok(text) = serde_json::to_string(say)
        {
            // A channel that closes between the question and this is told nothing any more; then the call is over.
            let _ = self.channel.send_with_str(&text);
        }
    }

    fn say_and_show(&self, say: Option<Say>) {
        if let Some(say) = say {
            self.say(&say);
        }
        self.show();
    }

    /// Tells what has become of all files.
    fn show(&self) {
        self.told_at.set(browser::now());
        let list: Vec<Transfer> = self.ledger.borrow().list().to_vec();
        if let Some(tell) = self.tell.borrow().as_ref() {
            tell(News::Files(list));
        }
    }

    /// The same for what changes all the time.
    fn show_progress(&self) {
        if browser::now() - self.told_at.get() >= SHOW {
            self.show();
        }
    }

    fn heard(&self, event: &Event) {
        let data = event.unchecked_ref::<MessageEvent>().data();
        if let Some(text) = data.as_string() {
            // A newer page may say more than this one understands.
            if let Ok(say) = serde_json::from_str::<Say>(&text) {
                self.was_told(say);
            }
        } else if let Ok(chunk) = data.dyn_into::<ArrayBuffer>() {
            self.take(&Uint8Array::new(&chunk));
        }
    }

    fn was_told(&self, say: Say) {
        let then = self.ledger.borrow_mut().heard(&say, browser::now());
        match then {
            Some(Then::Send(id)) => {
                // The queue is gone when the call is over.
                let _ = self.wanted.unbounded_send(id);
            }
            Some(Then::Decline(id)) => self.say(&Say::Decline { id }),
            Some(Then::Forget(way, id)) => self.forget(way, id),
            None => {}
        }
        match say {
            Say::Piece { id, hash } => self.begin_piece(id, hash),
            Say::End { id, hash } => {
                let _ = self.came.unbounded_send(Came::End { id, hash });
            }
            Say::Got { .. } => self.show_progress(),
            Say::Offer { .. }
            | Say::Accept { .. }
            | Say::Decline { .. }
            | Say::Withdraw { .. }
            | Say::Kept { .. } => self.show(),
        }
    }

    fn forget(&self, way: Way, id: u32) {
        match way {
            Way::Out => {
                self.files.borrow_mut().remove(&id);
            }
            Way::In => {
                self.coming.borrow_mut().remove(&id);
                if self.current.get() == Some(id) {
                    self.current.set(None);
                }
            }
        }
    }

    /// The chunks of this piece come next. How large it is follows from the size of the file.
    fn begin_piece(&self, id: u32, hash: String) {
        let size = match self.ledger.borrow().going(Way::In, id) {
            Some(transfer) => transfer.size,
            // It was given up, and the other side has not heard of it yet.
            None => return self.current.set(None),
        };
        let mut coming = self.coming.borrow_mut();
        let coming = coming.entry(id).or_insert_with(|| Coming {
            piece: Uint8Array::new_with_length(0),
            filled: 0,
            hash: String::new(),
            came: 0,
            kept: Kept::default(),
        });
        let length = u32::try_from(size.saturating_sub(coming.came).min(PIECE)).unwrap_or(0);
        coming.piece = Uint8Array::new_with_length(length);
        coming.filled = 0;
        coming.hash = hash;
        self.current.set(Some(id));
    }

    fn take(&self, chunk: &Uint8Array) {
        let Some(id) = self.current.get() else { return };
        let mut all = self.coming.borrow_mut();
        let Some(coming) = all.get_mut(&id) else {
            return;
        };
        if coming.filled + chunk.length() > coming.piece.length() {
            drop(all);
            return self.fail(Way::In, id, Stop::Damaged);
        }
        coming.piece.set(chunk, coming.filled);
        coming.filled += chunk.length();
        if coming.filled == coming.piece.length() {
            coming.came += u64::from(coming.filled);
            let came = Came::Piece {
                id,
                piece: std::mem::replace(&mut coming.piece, Uint8Array::new_with_length(0)),
                hash: std::mem::take(&mut coming.hash),
            };
            coming.filled = 0;
            self.current.set(None);
            let _ = self.came.unbounded_send(came);
        }
    }

    async fn look_at(&self, came: Came) {
        match came {
            Came::Piece { id, piece, hash } => {
                let found = browser::sha256(piece.as_ref()).await;
                let right = found.as_deref().is_some_and(|found| hex(found) == hash);
                if !right {
                    return self.fail(Way::In, id, Stop::Damaged);
                }
                let bytes = self.keep_piece(id, piece, &found.unwrap_or_default());
                if let Some(bytes) = bytes {
                    self.ledger
                        .borrow_mut()
                        .progress(Way::In, id, bytes, browser::now());
                    self.say(&Say::Got { id, bytes });
                    self.show_progress();
                }
            }
            Came::End { id, hash } => self.end(id, &hash).await,
        }
    }

    /// How much is there with it; none when it is not wanted any more.
    fn keep_piece(&self, id: u32, piece: Uint8Array, hash: &[u8]) -> Option<u64> {
        let mut all = self.coming.borrow_mut();
        let kept = &mut all.get_mut(&id)?.kept;
        kept.bytes += u64::from(piece.length());
        kept.hashes.extend_from_slice(hash);
        kept.pieces.push(&piece);
        if kept.pieces.length() >= TOGETHER {
            let pieces = std::mem::take(&mut kept.pieces);
            let Ok(together) = blob(&pieces) else {
                drop(all);
                self.fail(Way::In, id, Stop::Unreadable);
                return None;
            };
            kept.blobs.push(&together);
        }
        Some(kept.bytes)
    }

    async fn end(&self, id: u32, hash: &str) {
        let Some(size) = self
            .ledger
            .borrow()
            .going(Way::In, id)
            .map(|transfer| transfer.size)
        else {
            return;
        };
        let kept = self.coming.borrow_mut().remove(&id);
        let kept = kept.map(|coming| coming.kept).unwrap_or_default();
        let found = browser::sha256(Uint8Array::from(kept.hashes.as_slice()).as_ref()).await;
        let right = kept.bytes == size && found.as_deref().is_some_and(|found| hex(found) == hash);
        if !right {
            return self.fail(Way::In, id, Stop::Damaged);
        }
        let going = self.ledger.borrow().going(Way::In, id).cloned();
        // It may have been given up meanwhile.
        let Some(transfer) = going else { return };
        let parts = kept.blobs.concat(&kept.pieces);
        match blob(&parts).and_then(|blob| web_sys::Url::create_object_url_with_blob(&blob)) {
            Ok(url) => {
                self.ledger
                    .borrow_mut()
                    .keep(Way::In, id, Some(url.clone()));
                self.say(&Say::Kept { id, whole: true });
                self.show();
                // It was asked for, so it is saved as any download is. Where a browser wants a press for that, there is the link.
                save(&url, &transfer.name);
            }
            Err(_) => self.fail(Way::In, id, Stop::Unreadable),
        }
    }

    /// A file will not get there, and both sides know.
    fn fail(&self, way: Way, id: u32, why: Stop) {
        if self.ledger.borrow_mut().stop(way, id, why) {
            self.say(&match way {
                Way::In => Say::Kept { id, whole: false },
                Way::Out => Say::Withdraw { id },
            });
            self.show();
        }
        self.forget(way, id);
    }

    async fn send(&self, id: u32) {
        let file = self.files.borrow().get(&id).cloned();
        if let Some(file) = file
            && self.send_all(id, &file).await.is_err()
            && self.is_open()
        {
            self.fail(Way::Out, id, Stop::Unreadable);
        }
    }

    async fn send_all(&self, id: u32, file: &File) -> Result<(), JsValue> {
        let Some(size) = self.size_of(id) else {
            return Ok(());
        };
        let mut hashes = Vec::new();
        let mut from = 0;
        while from < size {
            let to = (from + PIECE).min(size);
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
            // It may have been given up meanwhile.
            if self.size_of(id).is_none() {
                return Ok(());
            }
            self.say(&Say::Piece {
                id,
                hash: hex(&hash),
            });
            hashes.extend_from_slice(&hash);
            let mut at = 0;
            while at < piece.length() {
                self.until_low().await;
                let end = (at + CHUNK).min(piece.length());
                self.channel
                    .send_with_js_u8_array(&piece.subarray(at, end))?;
                at = end;
            }
            from = to;
        }
        let hash = browser::sha256(Uint8Array::from(hashes.as_slice()).as_ref())
            .await
            .ok_or_else(|| JsValue::from("no hash"))?;
        if self.size_of(id).is_some() {
            self.say(&Say::End {
                id,
                hash: hex(&hash),
            });
        }
        Ok(())
    }

    /// How large a file is that is on its way to the other one.
    fn size_of(&self, id: u32) -> Option<u64> {
        let ledger = self.ledger.borrow();
        ledger.going(Way::Out, id).map(|transfer| transfer.size)
    }

    /// Waits until the channel can take more.
    async fn until_low(&self) {
        if self.channel.buffered_amount() > MOST_BUFFERED {
            let (low, is_low) = oneshot::channel();
            *self.low.borrow_mut() = Some(low);
            // Dropped when the call is over.
            let _ = is_low.await;
        }
    }
}

fn blob(parts: &Array) -> Result<Blob, JsValue> {
    let options = BlobPropertyBag::new();
    options.set_type(KIND);
    Blob::new_with_blob_sequence_and_options(parts, &options)
}

/// Lets the browser forget a file that it kept.
pub(super) fn release(transfer: &Transfer) {
    if let Some(url) = &transfer.url {
        // Only what is no such address would be refused.
        let _ = web_sys::Url::revoke_object_url(url);
    }
}

/// Keeps a file where the browser keeps downloads.
fn save(url: &str, name: &str) {
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
