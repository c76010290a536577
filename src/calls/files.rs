//! Files that go straight to the other one in a call.

use super::client::{
    transfer::ledger::{Stage, Stop, Transfer, Way},
    use_calls,
};
use crate::{
    model::limits::bytes_in_words,
    ui::icon::{Glyph, Icon},
};
use leptos::{html, prelude::*};
use web_sys::HtmlInputElement;

/// Offers files to the other one.
#[component]
pub fn SendFileButton() -> impl IntoView {
    let calls = use_calls();
    let input = NodeRef::<html::Input>::new();
    let alone = move || calls.scene().with(|scene| scene.answered().is_none());
    let choose = move |_| {
        if let Some(input) = input.get_untracked() {
            input.click();
        }
    };
    let chosen = move |_| {
        let Some(input) = input.get_untracked() else {
            return;
        };
        offer(&input, |file| calls.offer_file(file));
        // The same file can be chosen again.
        input.set_value("");
    };
    view! {
        <input node_ref=input type="file" class="call-file-input" multiple hidden on:change=chosen />
        <button type="button" class="call-button call-send-file" disabled=alone on:click=choose>
            <Icon name=Glyph::Attach />
            <span>"Send a file"</span>
        </button>
    }
}

fn offer(input: &HtmlInputElement, offer: impl Fn(web_sys::File)) {
    let files = input.files();
    let count = files.as_ref().map_or(0, web_sys::FileList::length);
    (0..count)
        .filter_map(|at| files.as_ref()?.get(at))
        .for_each(offer);
}

/// All files of the call, and what has become of each.
#[component]
pub fn FileList() -> impl IntoView {
    let files = use_calls().files();
    view! {
        <Show when=move || files.with(|files| !files.is_empty())>
            <ul class="call-files" role="list" aria-label="Files">
                <For each=move || files.get() key=|file| (file.way, file.id) let:file>
                    <FileRow way=file.way id=file.id name=file.name size=file.size />
                </For>
            </ul>
        </Show>
    }
}

#[component]
fn FileRow(way: Way, id: u32, name: String, size: u64) -> impl IntoView {
    let calls = use_calls();
    let find = move |files: &Vec<Transfer>| {
        files
            .iter()
            .find(|file| (file.way, file.id) == (way, id))
            .cloned()
    };
    let file = Memo::new(move |_| calls.files().with(find));
    let stage = Memo::new(move |_| file.with(|file| file.as_ref().map(|file| file.stage)));
    let is = move |wanted: Stage| stage.get() == Some(wanted);
    let text = move || file.with(|file| file.as_ref().map(state_text).unwrap_or_default());
    let url = Memo::new(move |_| file.with(|file| file.as_ref()?.url.clone()));
    let done = move || file.with(|file| file.as_ref().map_or(0, |file| file.done));
    let over = move || stage.get().is_none_or(Stage::is_over);
    let put_away = move || match (way, stage.get()) {
        (Way::In, Some(Stage::Offered)) => "Decline",
        (_, Some(Stage::Whole | Stage::Stopped(_)) | None) => "Close",
        (_, Some(Stage::Offered | Stage::Going)) => "Stop",
    };
    let (shown, saved) = (name.clone(), name.clone());
    view! {
        <li class:is-over=over>
            <Icon name=Glyph::File />
            <div class="call-file-text">
                <span class="call-file-name" dir="auto">{shown}</span>
                <span class="small-text" role="status">{text}</span>
                <Show when=move || is(Stage::Going)>
                    <progress max=size prop:value=move || done().to_string() aria-label="How much is there"></progress>
                </Show>
            </div>
            <Show when=move || way == Way::In && is(Stage::Offered)>
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
                on:click=move |_| calls.put_away_file(way, id)
            >
                {put_away}
            </button>
        </li>
    }
}

/// How far a file is, in words.
fn state_text(file: &Transfer) -> String {
    let size = bytes_in_words(file.size);
    match (file.stage, file.way) {
        (Stage::Offered, Way::In) => format!("{size}, offered to you"),
        (Stage::Offered, Way::Out) => format!("{size}, waiting for an answer"),
        (Stage::Going, _) => {
            let done = bytes_in_words(file.done);
            match file.speed {
                Some(speed) => {
                    #[expect(
                        clippy::cast_possible_truncation,
                        clippy::cast_sign_loss,
                        reason = "a speed is not negative, and not that large"
                    )]
                    let speed = bytes_in_words(speed as u64);
                    format!("{done} of {size}, {speed} a second")
                }
                None => format!("{done} of {size}"),
            }
        }
        (Stage::Whole, Way::In) => format!("{size}, received and checked"),
        (Stage::Whole, Way::Out) => format!("{size}, delivered and checked"),
        (Stage::Stopped(why), way) => stop_text(why, way).to_owned(),
    }
}

fn stop_text(why: Stop, way: Way) -> &'static str {
    match (why, way) {
        (Stop::Declined, Way::Out) => "Declined",
        (Stop::Declined, Way::In) => "You declined it",
        (Stop::Withdrawn, Way::Out) => "You stopped it",
        (Stop::Withdrawn, Way::In) => "The other side stopped it",
        (Stop::Damaged, Way::Out) => "It arrived damaged and was thrown away. Send it again.",
        (Stop::Damaged, Way::In) => "It arrived damaged and was thrown away. Ask for it again.",
        (Stop::Unreadable, Way::Out) => {
            "It could not be read. Look whether it is still there and unchanged, then send it again."
        }
        (Stop::Unreadable, Way::In) => {
            "This browser could not keep it. Look whether there is room for it, then ask for it again."
        }
        (Stop::Over, _) => "The call ended before it was there. Send it again in the next call.",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_stops_a_file_is_said_on_both_sides() {
        for why in [
            Stop::Declined,
            Stop::Withdrawn,
            Stop::Damaged,
            Stop::Unreadable,
            Stop::Over,
        ] {
            for way in [Way::In, Way::Out] {
                assert!(stop_text(why, way).len() > 7);
            }
        }
    }
}
