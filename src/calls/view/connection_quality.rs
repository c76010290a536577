//! Connection quality: signal bars, and details on demand.

use crate::calls::client::{
    state::connection_quality::{ConnectionQuality, Route, bars, bars_label},
    use_calls,
};
use leptos::prelude::*;

/// Signal bars; pressing them toggles the details.
#[component]
pub fn QualityBars(open: RwSignal<bool>) -> impl IntoView {
    let calls = use_calls();
    let bars = Memo::new(move |_| {
        calls
            .connection_quality()
            .with(|quality| quality.as_ref().map(bars))
    });
    view! {
        {move || {
            bars.get()
                .map(|bars| {
                    view! {
                        <button
                            type="button"
                            class="icon-button call-bars"
                            data-bars=bars.to_string()
                            aria-expanded=move || open.get().to_string()
                            aria-label=format!("Connection: {}", bars_label(bars))
                            title=format!("Connection: {}", bars_label(bars))
                            on:click=move |_| open.update(|open| *open = !*open)
                        >
                            <span aria-hidden="true"></span>
                            <span aria-hidden="true"></span>
                            <span aria-hidden="true"></span>
                            <span aria-hidden="true"></span>
                        </button>
                    }
                })
        }}
    }
}

/// The measurements behind the bars, and the safety code.
#[component]
pub fn QualityDetails(open: RwSignal<bool>) -> impl IntoView {
    let calls = use_calls();
    move || {
        calls
            .connection_quality()
            .get()
            .filter(|_| open.get())
            .map(|quality| {
                view! {
                    <QualityStats quality />
                    <SafetyCodeText />
                }
            })
    }
}

/// Separate, so that it stays stable while the measurements change.
#[component]
fn SafetyCodeText() -> impl IntoView {
    let calls = use_calls();
    move || {
        calls.safety_code().get().map(|code| {
            view! {
                <div class="call-safety">
                    <p>"Safety code: " <strong>{code.as_str().to_owned()}</strong></p>
                    <p class="small-text">
                        "Read it to each other. If both codes match, nobody can listen in, not even this site."
                    </p>
                </div>
            }
        })
    }
}

#[component]
fn QualityStats(quality: ConnectionQuality) -> impl IntoView {
    let rows = [
        (
            "Route",
            match quality.route {
                Some(Route::Direct) => "Direct".to_owned(),
                Some(Route::Relay) => "Through the relay".to_owned(),
                None => "–".to_owned(),
            },
        ),
        (
            "Round trip",
            quality
                .round_trip_time
                .map_or_else(dash, |millis| format!("{millis:.0} ms")),
        ),
        ("Packet loss", format!("{:.1} %", quality.loss_percent)),
        ("Jitter", format!("{:.0} ms", quality.jitter)),
        (
            "Video",
            match (quality.frame_size, quality.frames_per_second) {
                (Some((width, height)), Some(frames)) => {
                    format!("{width} × {height}, {frames:.0} fps")
                }
                (Some((width, height)), None) => format!("{width} × {height}"),
                (None, _) => dash(),
            },
        ),
        ("Codec", quality.codec.unwrap_or_else(dash)),
        ("Receiving", format!("{:.0} kbit/s", quality.received_kbps)),
        ("Sending", format!("{:.0} kbit/s", quality.sent_kbps)),
    ];
    view! {
        <dl class="call-details">
            {rows
                .into_iter()
                .map(|(name, value)| {
                    view! {
                        <div>
                            <dt>{name}</dt>
                            <dd>{value}</dd>
                        </div>
                    }
                })
                .collect_view()}
        </dl>
    }
}

fn dash() -> String {
    "–".to_owned()
}
