//! Selection of microphone, camera and speaker.

use crate::{
    calls::client::{
        devices::{
            preferences::{AudioProcessing, DeviceKind},
            selection::DeviceInfo,
        },
        use_calls,
    },
    ui::notice::{Notice, NoticeKind},
};
use leptos::prelude::*;

/// Device lists and audio processing.
#[component]
pub fn DevicePicker() -> impl IntoView {
    view! {
        <div class="call-choices">
            {DeviceKind::ALL.map(|kind| view! { <DeviceSelect kind /> }).collect_view()}
            <details class="call-treatments">
                <summary>"Microphone processing"</summary>
                <div class="choices">
                    {AudioProcessing::ALL
                        .map(|processing| view! { <AudioProcessingToggle processing /> })
                        .collect_view()}
                </div>
            </details>
        </div>
    }
}

/// Hidden until labels are known, which takes permission.
#[component]
fn DeviceSelect(kind: DeviceKind) -> impl IntoView {
    let devices = use_calls().devices();
    let choices = devices.selection();
    let known = Memo::new(move |_| choices.devices_of_kind(kind));
    let id = match kind {
        DeviceKind::Microphone => "call-microphone",
        DeviceKind::Camera => "call-camera",
        DeviceKind::Speaker => "call-speaker",
    };
    let choose = move |event| {
        let chosen = event_target_value(&event);
        devices.select_device(kind, Some(chosen).filter(|chosen| !chosen.is_empty()));
    };
    // If the selected device is missing, the browser chooses.
    let is_chosen =
        move |known: &DeviceInfo| choices.selected_id(kind).as_deref() == Some(known.id.as_str());
    let nothing_chosen = move || known.with(|known| !known.iter().any(is_chosen));
    view! {
        <Show when=move || known.with(|known| !known.is_empty())>
            <div class="field">
                <label for=id>{kind.name()}</label>
                <select id=id on:change=choose>
                    <option value="" prop:selected=nothing_chosen>
                        "Automatic"
                    </option>
                    <For each=move || known.get() key=|known| known.id.clone() let:known>
                        {
                            let (value, label) = (known.id.clone(), known.label.clone());
                            view! {
                                <option value=value prop:selected=move || is_chosen(&known)>
                                    {label}
                                </option>
                            }
                        }
                    </For>
                </select>
            </div>
        </Show>
    }
}

#[component]
fn AudioProcessingToggle(processing: AudioProcessing) -> impl IntoView {
    let devices = use_calls().devices();
    let choices = devices.selection();
    view! {
        <label class="choice">
            <input
                type="checkbox"
                prop:checked=move || choices.is_processing_on(processing)
                on:change=move |event| devices.set_audio_processing(processing, event_target_checked(&event))
            />
            <span>{processing.name()}</span>
        </label>
    }
}

/// Offers a newly connected device.
#[component]
pub fn NewDeviceNotice() -> impl IntoView {
    let devices = use_calls().devices();
    let choices = devices.selection();
    move || {
        choices.new_device().get().map(|known| {
            let text = format!("“{}” was connected.", known.label);
            let use_it = move |_| devices.select_device(known.kind, Some(known.id.clone()));
            view! {
                <Notice kind=NoticeKind::Info>
                    <p>{text}</p>
                    <div class="call-fresh">
                        <button type="button" class="button small" on:click=use_it>
                            "Use it"
                        </button>
                        <button type="button" class="button small" on:click=move |_| choices.dismiss_new_device()>
                            "Not now"
                        </button>
                    </div>
                </Notice>
            }
        })
    }
}
