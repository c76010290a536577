//! The message form: text field, draft, attachments, upload progress.

mod staged_list;

use self::staged_list::StagedList;
use super::{
    api::PostMessage,
    client::{ChatClient, Upload, UploadState, UploadStoreFields, use_chat},
};
use crate::{
    model::{
        MessageId, Millis, RoomId, UserId,
        message::{MessageText, MessageTextError},
        text_limit::TextLimit,
    },
    people::use_viewer,
    protocol::ws::ClientFrame,
    ui::{
        browser,
        char_counter::{CharCounter, ExcessNotice},
        file_drop::{list_files, use_file_drop},
        form::FormFailure,
        icon::{Glyph, Icon},
        rejected_form::{form_action, rejected_value, textarea_content},
        socket::{Socket, use_socket},
    },
};
use leptos::{either::Either, ev, html, prelude::*};
use server_fn::ServerFn;
use uuid::Uuid;
use wasm_bindgen::JsCast;
use web_sys::{DataTransfer, File, HtmlInputElement, HtmlTextAreaElement};

const TYPING_INTERVAL: Millis = 3_000;
const MAX_FIELD_LINES: usize = 8;

/// Browser only, except for [`Self::new`].
#[derive(Clone, Copy)]
struct ComposerState {
    chat: ChatClient,
    socket: Socket,
    room: RoomId,
    /// In the storage key, so that the tab's next user does not see the draft.
    author: Option<UserId>,
    field: NodeRef<html::Textarea>,
    counter: CharCounter,
    lines: RwSignal<usize>,
    error: RwSignal<Option<String>>,
    staged: Memo<Vec<Uuid>>,
    typing_sent_at: StoredValue<Option<Millis>>,
}

impl ComposerState {
    fn new(room: RoomId) -> Self {
        let chat = use_chat();
        Self {
            chat,
            socket: use_socket(),
            room,
            author: use_viewer().person().map(|me| me.id),
            field: NodeRef::new(),
            counter: CharCounter::new(TextLimit::MESSAGE),
            lines: RwSignal::new(1),
            error: RwSignal::new(None),
            staged: chat.staged.in_room(room),
            typing_sent_at: StoredValue::new(None),
        }
    }

    fn storage_key(self) -> String {
        let author = self.author.map(|id| id.to_string()).unwrap_or_default();
        format!("rialto.draft.{author}.{}", self.room)
    }

    fn restore_draft(self) {
        let Some(field) = self.field.get() else {
            return;
        };
        if field.value().is_empty()
            && let Some(saved) = browser::session_storage_get(&self.storage_key())
        {
            field.set_value(&saved);
        }
        // Or what was rendered, or typed before hydration.
        if !field.value().is_empty() {
            self.on_change(&field);
        }
    }

    fn on_change(self, field: &HtmlTextAreaElement) {
        self.counter.update(field);
        let text = &field.value();
        self.lines.set(line_count(text));
        self.chat.set_draft(!text.is_empty());
        if text.is_empty() {
            browser::session_storage_remove(&self.storage_key());
        } else {
            browser::session_storage_set(&self.storage_key(), text);
        }
    }

    fn on_input(self) {
        let Some(field) = self.field.get_untracked() else {
            return;
        };
        self.on_change(&field);
        self.error.set(None);
        let (room, now) = (self.room, browser::monotonic_now());
        let sent_at = self.typing_sent_at.get_value();
        let is_due = sent_at.is_none_or(|sent_at| now - sent_at > TYPING_INTERVAL);
        if is_due && self.socket.send(&ClientFrame::Typing { room }) {
            self.typing_sent_at.set_value(Some(now));
        }
    }

    /// Sends the text and the staged files. Returns false and keeps them if the text is invalid.
    fn send(self) -> bool {
        let Some(field) = self.field.get_untracked() else {
            return false;
        };
        let _ = field.focus();
        let text = field.value();
        match MessageText::new(&text) {
            Ok(text) => self.chat.send_message(self.room, text),
            Err(MessageTextError::Empty) if self.staged_count() > 0 => {}
            // The counter says by how much.
            Err(MessageTextError::TooLong { .. }) => {
                self.error
                    .set(Some("Not sent: the text is too long.".to_owned()));
                return false;
            }
            Err(why @ MessageTextError::Empty) => {
                self.error
                    .set((!text.trim().is_empty()).then(|| why.to_string()));
                return false;
            }
        }
        self.send_files(self.chat.staged.take(self.room));
        field.set_value("");
        self.on_change(&field);
        self.error.set(None);
        self.typing_sent_at.set_value(None);
        true
    }

    fn send_files(self, files: Vec<File>) {
        let limits = self.chat.limits();
        for file in files {
            self.chat
                .uploads
                .start(self.socket, self.room, file, limits);
        }
    }

    fn stage_files(self, files: Vec<File>) {
        self.chat.staged.add(self.room, files);
        self.error.set(None);
        self.focus();
    }

    fn staged_count(self) -> usize {
        self.staged.with_untracked(Vec::len)
    }

    fn focus(self) {
        if let Some(field) = self.field.get_untracked() {
            let _ = field.focus();
        }
    }
}

/// The form below a timeline, a plain HTML form before hydration.
#[component]
pub fn Composer(
    room: RoomId,
    slug: String,
    title: String,
    /// Used by the plain HTML form.
    form_message_id: MessageId,
    on_sent: Callback<()>,
) -> impl IntoView {
    let draft = ComposerState::new(room);
    let typed = rejected_value(PostMessage::PATH, "text").unwrap_or_default();
    let excess_id = format!("excess-{room}");
    Effect::new(move || draft.restore_draft());
    on_cleanup(move || draft.chat.set_draft(false));

    let send = move || {
        if draft.send() {
            on_sent.run(());
        }
    };
    let on_submit = move |event: ev::SubmitEvent| {
        event.prevent_default();
        send();
    };
    let on_paste = move |event: ev::ClipboardEvent| {
        if let Some(files) = event.clipboard_data().as_ref().and_then(pasted_files) {
            event.prevent_default();
            draft.stage_files(files);
        }
    };
    let file_drop = use_file_drop();
    Effect::new(move || file_drop.receive(move |files| draft.stage_files(files)));
    view! {
        <form
            class="composer"
            method="post"
            action=form_action(PostMessage::PATH)
            class:files-over=move || file_drop.is_over()
            on:submit=on_submit
        >
            <FormFailure path=PostMessage::PATH />
            <UploadList room />
            <StagedList room on_removed=Callback::new(move |()| draft.focus()) />
            {move || {
                let problem = draft.error.get()?;
                Some(
                    view! {
                        <p class="field-error" role="alert">
                            {problem}
                        </p>
                    },
                )
            }}
            <ExcessNotice counter=draft.counter id=excess_id.clone() advice=" Split the text, or send it as a file." />
            <input type="hidden" name="id" value=form_message_id.to_string() />
            <input type="hidden" name="room" value=room.to_string() />
            <input type="hidden" name="slug" value=slug />
            <div class="composer-row">
                <AttachButton draft />
                <textarea
                    node_ref=draft.field
                    name="text"
                    dir="auto"
                    rows=move || draft.lines.get().to_string()
                    required=move || draft.staged.with(Vec::is_empty)
                    aria-describedby=excess_id
                    aria-invalid=move || draft.counter.aria_invalid()
                    aria-label=format!("Message to {title}")
                    placeholder="Write a message"
                    on:keydown=move |event| {
                        if is_send_key(&event) {
                            event.prevent_default();
                            send();
                        }
                    }
                    on:input=move |_| draft.on_input()
                    on:paste=on_paste
                    inner_html=textarea_content(&typed)
                ></textarea>
                <button type="submit" class="icon-button primary send" aria-label="Send" title="Send">
                    <Icon name=Glyph::Send />
                </button>
            </div>
        </form>
    }
}

/// Enter sends, except with Shift, on touch devices and during IME composition, which may be reported only as key code 229.
fn is_send_key(event: &ev::KeyboardEvent) -> bool {
    let composing = event.is_composing() || event.key_code() == 229;
    event.key() == "Enter" && !event.shift_key() && !composing && !is_touch()
}

fn is_touch() -> bool {
    web_sys::window()
        .and_then(|window| window.match_media("(pointer: coarse)").ok().flatten())
        .is_some_and(|query| query.matches())
}

/// `None` if there are none, or text as well: spreadsheets and word processors add a picture of it.
fn pasted_files(data: &DataTransfer) -> Option<Vec<File>> {
    let files = list_files(data.files());
    let text = data.get_data("text/plain").unwrap_or_default();
    let names: Vec<String> = files.iter().map(File::name).collect();
    (!files.is_empty() && is_only_names(&text, &names)).then_some(files)
}

/// Whether a text has nothing but names or paths of the files, which file managers add.
fn is_only_names(text: &str, names: &[String]) -> bool {
    text.lines()
        .map(str::trim)
        .all(|line| line.is_empty() || names.iter().any(|name| line.ends_with(name.as_str())))
}

/// Soft wraps do not count.
fn line_count(text: &str) -> usize {
    (text.matches('\n').count() + 1).min(MAX_FIELD_LINES)
}

#[component]
fn AttachButton(draft: ComposerState) -> impl IntoView {
    let id = format!("attach-{}", draft.room);
    let on_choose = move |event: ev::Event| {
        let input = event
            .target()
            .and_then(|target| target.dyn_into::<HtmlInputElement>().ok());
        if let Some(input) = input {
            draft.stage_files(list_files(input.files()));
            // Choosing the same file again must fire `change`.
            input.set_value("");
        }
    };
    view! {
        <input type="file" id=id.clone() class="visually-hidden attach-input" multiple on:change=on_choose />
        <label class="icon-button attach" for=id title="Add files">
            <Icon name=Glyph::Attach />
            <span class="visually-hidden">"Add files"</span>
        </label>
    }
}

#[component]
fn UploadList(room: RoomId) -> impl IntoView {
    let uploads = use_chat().uploads.in_room(room);
    view! {
        <ul class="uploads" aria-label="Files being sent">
            <For each=move || uploads.get() key=|id| *id let:id>
                <UploadRow id />
            </For>
        </ul>
    }
}

#[component]
fn UploadRow(id: MessageId) -> impl IntoView {
    let (uploads, socket) = (use_chat().uploads, use_socket());
    let upload = uploads.at(id);
    let Some(Upload { name, size, .. }) = upload.try_get_untracked() else {
        return ().into_any();
    };
    let received = Memo::new(move |_| upload.received().try_get().unwrap_or_default());
    let percent = move || received.get() * 100 / size.max(1);
    let state = Memo::new(move |_| upload.state().try_get());
    let (label, file_name) = (name.clone(), name.clone());
    let dismiss_label = move || match state.get() {
        Some(UploadState::InProgress) | None => format!("Cancel {label}"),
        Some(UploadState::Failed { .. }) => format!("Dismiss {label}"),
    };
    let status = move || match state.get()? {
        UploadState::InProgress => Some(Either::Left(view! {
            <progress max="100" value=move || percent().to_string() aria-label=format!("Sending {name}")></progress>
            <span class="small-text quiet-text">{percent} "%"</span>
        })),
        UploadState::Failed { reason } => Some(Either::Right(view! {
            <span class="field-error" role="alert">
                "Not sent. "
                {reason}
            </span>
        })),
    };
    view! {
        <li class="upload">
            <Icon name=Glyph::File />
            <span class="file-name">{file_name}</span>
            {status}
            <button
                type="button"
                class="icon-button"
                aria-label=dismiss_label
                on:click=move |_| uploads.dismiss(socket, id)
            >
                <Icon name=Glyph::Close />
            </button>
        </li>
    }
    .into_any()
}

#[cfg(test)]
mod tests {
    use super::{is_only_names, line_count};

    #[test]
    fn names_of_copied_files_are_no_text() {
        let names = ["a.png".to_owned(), "b.png".to_owned()];
        assert!(is_only_names("", &names));
        assert!(is_only_names("/home/ada/a.png\r\nb.png\n", &names));
        assert!(!is_only_names("Quarter\tSales", &names));
        assert!(!is_only_names("a.png\nand more", &names));
    }

    #[test]
    fn the_field_grows_with_its_lines_and_stops() {
        assert_eq!(
            (
                line_count(""),
                line_count("a\nb"),
                line_count(&"\n".repeat(50))
            ),
            (1, 2, 8)
        );
    }
}
