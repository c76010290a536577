//! Files sent directly to the peer during a call.

use crate::{
    calls::client::{
        transfer::state::{FileTransfer, StopReason, TransferDirection, TransferPhase},
        use_calls,
    },
    model::limits::format_bytes,
    ui::icon::{Glyph, Icon},
};
use leptos::{html, prelude::*};
use web_sys::HtmlInputElement;

/// Offers files to the peer.
#[component]
pub fn SendFileButton() -> impl IntoView {
    let calls = use_calls();
    let input = NodeRef::<html::Input>::new();
    let has_no_peer = move || {
        calls
            .state()
            .with(|call_state| call_state.answered_call().is_none())
    };
    let choose = move |_| {
        if let Some(input) = input.get_untracked() {
            input.click();
        }
    };
    let chosen = move |_| {
        let Some(input) = input.get_untracked() else {
            return;
        };
        offer_selected_files(&input, |file| calls.offer_file(file));
        // Allows the same file to be chosen again.
        input.set_value("");
    };
    view! {
        <input node_ref=input type="file" class="call-file-input" multiple hidden on:change=chosen />
        <button type="button" class="call-button call-send-file" disabled=has_no_peer on:click=choose>
            <Icon name=Glyph::Attach />
            <span>"Send a file"</span>
        </button>
    }
}

fn offer_selected_files(input: &HtmlInputElement, offer: impl Fn(web_sys::File)) {
    let files = input.files();
    let count = files.as_ref().map_or(0, web_sys::FileList::length);
    (0..count)
        .filter_map(|at| files.as_ref()?.get(at))
        .for_each(offer);
}

/// All file transfers of the call.
#[component]
pub fn FileTransferList() -> impl IntoView {
    let files = use_calls().transfers();
    view! {
        <Show when=move || files.with(|files| !files.is_empty())>
            <ul class="call-files" role="list" aria-label="Files">
                <For each=move || files.get() key=|file| (file.direction, file.id) let:file>
                    <FileTransferRow direction=file.direction id=file.id name=file.name size=file.size />
                </For>
            </ul>
        </Show>
    }
}

#[component]
fn FileTransferRow(
    direction: TransferDirection,
    id: u32,
    name: String,
    size: u64,
) -> impl IntoView {
    let calls = use_calls();
    let find = move |files: &Vec<FileTransfer>| {
        files
            .iter()
            .find(|file| (file.direction, file.id) == (direction, id))
            .cloned()
    };
    let file = Memo::new(move |_| calls.transfers().with(find));
    let stage = Memo::new(move |_| file.with(|file| file.as_ref().map(|file| file.phase)));
    let is = move |wanted: TransferPhase| stage.get() == Some(wanted);
    let text = move || file.with(|file| file.as_ref().map(transfer_text).unwrap_or_default());
    let url = Memo::new(move |_| file.with(|file| file.as_ref()?.url.clone()));
    let done = move || file.with(|file| file.as_ref().map_or(0, |file| file.transferred_bytes));
    let over = move || stage.get().is_none_or(TransferPhase::is_finished);
    let put_away = move || match (direction, stage.get()) {
        (TransferDirection::Incoming, Some(TransferPhase::Offered)) => "Decline",
        (_, Some(TransferPhase::Complete | TransferPhase::Stopped(_)) | None) => "Close",
        (_, Some(TransferPhase::Offered | TransferPhase::InProgress)) => "Stop",
    };
    let (shown, saved) = (name.clone(), name.clone());
    view! {
        <li class:is-over=over>
            <Icon name=Glyph::File />
            <div class="call-file-text">
                <span class="call-file-name" dir="auto">
                    {shown}
                </span>
                <span class="small-text" role="status">
                    {text}
                </span>
                <Show when=move || is(TransferPhase::InProgress)>
                    <progress max=size prop:value=move || done().to_string() aria-label="Progress"></progress>
                </Show>
            </div>
            <Show when=move || direction == TransferDirection::Incoming && is(TransferPhase::Offered)>
                <button type="button" class="button small primary" on:click=move |_| calls.accept_file(id)>
                    "Accept"
                </button>
            </Show>
            {move || {
                url.get()
                    .map(|url| {
                        view! {
                            <a class="button small" href=url download=saved.clone() rel="external">
                                "Save"
                            </a>
                        }
                    })
            }}
            <button
                type="button"
                class="button small"
                aria-label=move || format!("{}: {name}", put_away())
                on:click=move |_| calls.cancel_or_dismiss_file(direction, id)
            >
                {put_away}
            </button>
        </li>
    }
}

fn transfer_text(file: &FileTransfer) -> String {
    let size = format_bytes(file.size);
    match (file.phase, file.direction) {
        (TransferPhase::Offered, TransferDirection::Incoming) => format!("{size}, offered to you"),
        (TransferPhase::Offered, TransferDirection::Outgoing) => {
            format!("{size}, waiting for an answer")
        }
        (TransferPhase::InProgress, _) => {
            let done = format_bytes(file.transferred_bytes);
            match file.bytes_per_second {
                Some(speed) => {
                    #[expect(
                        clippy::cast_possible_truncation,
                        clippy::cast_sign_loss,
                        reason = "a speed is not negative, and not that large"
                    )]
                    let speed = format_bytes(speed as u64);
                    format!("{done} of {size}, {speed}/s")
                }
                None => format!("{done} of {size}"),
            }
        }
        (TransferPhase::Complete, TransferDirection::Incoming) => {
            format!("{size}, received and checked")
        }
        (TransferPhase::Complete, TransferDirection::Outgoing) => {
            format!("{size}, delivered and checked")
        }
        (TransferPhase::Stopped(why), way) => stop_reason_text(why, way).to_owned(),
    }
}

fn stop_reason_text(why: StopReason, direction: TransferDirection) -> &'static str {
    match (why, direction) {
        (StopReason::Declined, TransferDirection::Outgoing) => "Declined",
        (StopReason::Declined, TransferDirection::Incoming) => "You declined it",
        (StopReason::Withdrawn, TransferDirection::Outgoing) => "You cancelled it",
        (StopReason::Withdrawn, TransferDirection::Incoming) => "Cancelled by the other person",
        (StopReason::Damaged, TransferDirection::Outgoing) => {
            "The file was damaged in transfer. Send it again."
        }
        (StopReason::Damaged, TransferDirection::Incoming) => {
            "The file was damaged in transfer. Ask for it again."
        }
        (StopReason::Unreadable, TransferDirection::Outgoing) => {
            "The file could not be read. Check that it still exists and is unchanged, then send it again."
        }
        (StopReason::Unreadable, TransferDirection::Incoming) => {
            "The file could not be saved. Check your free disk space, then ask for it again."
        }
        (StopReason::CallEnded, _) => {
            "The call ended during the transfer. Send it again in the next call."
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_stop_reason_has_a_text_on_both_sides() {
        for why in [
            StopReason::Declined,
            StopReason::Withdrawn,
            StopReason::Damaged,
            StopReason::Unreadable,
            StopReason::CallEnded,
        ] {
            for way in [TransferDirection::Incoming, TransferDirection::Outgoing] {
                assert!(stop_reason_text(why, way).len() > 7);
            }
        }
    }
}
