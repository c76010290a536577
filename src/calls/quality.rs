//! How good the connection is: bars beside the name, and figures for who wants to know.

use super::client::{
    stats::{Quality, Way, bars, word},
    use_calls,
};
use leptos::prelude::*;

/// Four bars; pressed, they show what they are made of.
#[component]
pub fn QualityBars(
    /// Whether [`QualityDetails`] are shown.
    open: RwSignal<bool>,
) -> impl IntoView {
    let calls = use_calls();
    let bars = Memo::new(move |_| calls.quality().with(|quality| quality.as_ref().map(bars)));
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
                            aria-label=format!("Connection: {}", word(bars))
                            title=format!("Connection: {}", word(bars))
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

/// What the bars are made of.
#[component]
pub fn QualityDetails(
    /// Whether they are shown.
    open: RwSignal<bool>,
) -> impl IntoView {
    let calls = use_calls();
    move || {
        calls.quality().get().filter(|_| open.get()).map(|quality| {
            view! {
                <Details quality />
                <Safety />
            }
        })
    }
}

/// What the two can compare. It stands still while the figures above it change.
#[component]
fn Safety() -> impl IntoView {
    let calls = use_calls();
    move || {
        calls.safety().get().map(|code| {
            view! {
                <div class="call-safety">
                    <p>
                        "Safety code: "
                        <strong>{code.as_str().to_owned()}</strong>
                    </p>
                    <p class="small-text">
                        "Read it to each other. If both of you see the same, nobody listens in, not even this site."
                    </p>
                </div>
            }
        })
    }
}

#[component]
fn Details(quality: Quality) -> impl IntoView {
    let rows = [
        (
            "Way",
            match quality.way {
                Some(Way::Direct) => "Direct".to_owned(),
                Some(Way::Relay) => "Through the relay".to_owned(),
                None => "–".to_owned(),
            },
        ),
        (
            "There and back",
            quality
                .round_trip
                .map_or_else(dash, |millis| format!("{millis:.0} ms")),
        ),
        ("Lost", format!("{:.1} %", quality.loss)),
        ("Jitter", format!("{:.0} ms", quality.jitter)),
        (
            "Picture",
            match (quality.size, quality.frames) {
                (Some((width, height)), Some(frames)) => {
                    format!("{width} × {height}, {frames:.0} a second")
                }
                (Some((width, height)), None) => format!("{width} × {height}"),
                (None, _) => dash(),
            },
        ),
        ("Codec", quality.codec.unwrap_or_else(dash)),
        ("Comes", format!("{:.0} kbit/s", quality.received)),
        ("Goes", format!("{:.0} kbit/s", quality.sent)),
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
