//! Files dropped anywhere on a page: left alone, the browser would open them in its place, which also ends a call.

use leptos::{ev, prelude::*};
use wasm_bindgen::JsCast;
use web_sys::{DataTransfer, DragEvent, File, FileList, HtmlInputElement};

type Receiver = Callback<Vec<File>>;

/// Hands dropped files to the part of the page that takes files; without one they are ignored.
#[derive(Debug, Clone, Copy)]
pub struct FileDrop {
    /// The last one takes the files.
    receivers: RwSignal<Vec<(usize, Receiver)>>,
    next_id: StoredValue<usize>,
    is_over: RwSignal<bool>,
}

/// Files dropped on the page.
///
/// # Panics
///
/// Outside the app.
#[must_use]
pub fn use_file_drop() -> FileDrop {
    expect_context()
}

impl FileDrop {
    /// Provides the context.
    pub fn provide() -> Self {
        let file_drop = Self {
            receivers: RwSignal::new(Vec::new()),
            next_id: StoredValue::new(0),
            is_over: RwSignal::new(false),
        };
        provide_context(file_drop);
        file_drop
    }

    /// Takes over from the browser. Browser only; call once, from an effect.
    pub fn start(self) {
        window_event_listener(ev::dragover, move |event| self.on_drag_over(&event));
        window_event_listener(ev::dragleave, move |event| {
            // The pointer left the window.
            if event.related_target().is_none() {
                self.set_over(false);
            }
        });
        window_event_listener(ev::drop, move |event| self.on_drop(&event));
    }

    /// Receives dropped files until the current owner is cleaned up.
    pub fn receive(self, receiver: impl Fn(Vec<File>) + Send + Sync + 'static) {
        let id = self.next_id.get_value();
        self.next_id.set_value(id + 1);
        self.receivers
            .update(|receivers| receivers.push((id, Callback::new(receiver))));
        on_cleanup(move || {
            self.receivers
                .try_update(|receivers| receivers.retain(|(known, _)| *known != id));
        });
    }

    /// Whether files are held over the page, and would be received.
    #[must_use]
    pub fn is_over(self) -> bool {
        self.is_over.get()
    }

    fn set_over(self, is_over: bool) {
        if self.is_over.get_untracked() != is_over {
            self.is_over.set(is_over);
        }
    }

    fn receiver(self) -> Option<Receiver> {
        self.receivers
            .with_untracked(|receivers| receivers.last().map(|(_, receiver)| *receiver))
    }

    fn on_drag_over(self, event: &DragEvent) {
        let Some(data) = dragged_files(event) else {
            return;
        };
        event.prevent_default();
        let is_received = self.receiver().is_some();
        data.set_drop_effect(if is_received { "copy" } else { "none" });
        self.set_over(is_received);
    }

    fn on_drop(self, event: &DragEvent) {
        self.set_over(false);
        let Some(data) = dragged_files(event) else {
            return;
        };
        event.prevent_default();
        let files = list_files(data.files());
        if let Some(receiver) = self.receiver()
            && !files.is_empty()
        {
            receiver.run(files);
        }
    }
}

/// `None` for text and links, and over a file field, which takes files itself.
fn dragged_files(event: &DragEvent) -> Option<DataTransfer> {
    let data = event.data_transfer()?;
    let is_file_field = event
        .target()
        .and_then(|target| target.dyn_into::<HtmlInputElement>().ok())
        .is_some_and(|input| input.type_() == "file");
    let has_files = data.types().includes(&"Files".into(), 0);
    (has_files && !is_file_field).then_some(data)
}

/// The files of a list. Browser only.
#[must_use]
pub fn list_files(files: Option<FileList>) -> Vec<File> {
    files.map_or_else(Vec::new, |files| {
        (0..files.length()).filter_map(|at| files.get(at)).collect()
    })
}
