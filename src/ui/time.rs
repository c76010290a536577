//! Times for people: in UTC, and in the reader's time zone and language after hydration.

use super::browser_state::BrowserState;
use crate::model::Millis;
use leptos::prelude::*;
use local::DateFormats;

/// How a time is formatted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeStyle {
    /// `14:05`.
    Time,
    /// `24 November 2026`; once hydrated, also `Today` and `Yesterday`.
    Day,
    DayTime,
}

/// Formats times, after hydration in the reader's zone.
#[derive(Debug, Clone, Copy)]
pub struct LocalClock {
    is_hydrated: ReadSignal<bool>,
    formats: BrowserState<DateFormats>,
}

impl LocalClock {
    /// Provides the context.
    pub fn provide() -> Self {
        let (is_hydrated, set_hydrated) = signal(false);
        let formats = BrowserState::<DateFormats>::default();
        // Loading the browser's locale data is a task of its own.
        Effect::new(move || {
            formats.with(DateFormats::warm_up);
        });
        Effect::new(move || set_hydrated.set(true));
        let clock = Self {
            is_hydrated,
            formats,
        };
        provide_context(clock);
        clock
    }

    /// Formats a time. Tracks hydration.
    #[must_use]
    pub fn text(&self, at: Millis, style: TimeStyle) -> String {
        let local = self
            .is_hydrated
            .get()
            .then(|| self.formats.with(|formats| formats.text(at, style)))
            .flatten();
        local.unwrap_or_else(|| utc::text(at, style))
    }

    /// Whether the page is hydrated. Tracked.
    #[must_use]
    pub fn is_hydrated(&self) -> bool {
        self.is_hydrated.get()
    }

    /// The current time; `None` before hydration.
    #[must_use]
    pub fn now(&self) -> Option<Millis> {
        self.is_hydrated.get().then(super::browser::now)
    }

    /// Calendar day, only for comparing. Tracks hydration.
    #[must_use]
    pub fn day_number(&self, at: Millis) -> i64 {
        const DAY_MILLIS: Millis = 24 * 60 * 60 * 1_000;
        let offset = if self.is_hydrated.get() {
            local::offset(at)
        } else {
            0
        };
        (at + offset).div_euclid(DAY_MILLIS)
    }
}

/// A time as a `time` element.
#[component]
pub fn LocalTime(
    /// In milliseconds since 1970-01-01T00:00:00Z.
    at: Millis,
    style: TimeStyle,
) -> impl IntoView {
    let clock = expect_context::<LocalClock>();
    view! { <time datetime=utc::iso(at)>{move || clock.text(at, style)}</time> }
}

/// Uses the browser's `Intl`.
mod local {
    use super::{Millis, TimeStyle};
    use js_sys::{Array, Date, Function, Intl::DateTimeFormat, Object, Reflect};
    use wasm_bindgen::JsValue;

    /// Creating a format takes milliseconds, using it microseconds.
    #[derive(Debug, Default)]
    pub(super) struct DateFormats {
        time: Option<Function>,
        date: Option<Function>,
    }

    impl DateFormats {
        /// Nearly every time needs this format.
        pub(super) fn warm_up(&mut self) {
            self.time();
        }

        pub(super) fn text(&mut self, at: Millis, style: TimeStyle) -> String {
            match style {
                TimeStyle::Time => format_with(self.time(), at),
                TimeStyle::Day => self.day_text(at),
                TimeStyle::DayTime => {
                    format!("{}, {}", self.day_text(at), format_with(self.time(), at))
                }
            }
        }

        fn day_text(&mut self, at: Millis) -> String {
            let now = crate::ui::browser::now();
            let number = |at| (at + offset(at)).div_euclid(86_400_000);
            match number(now) - number(at) {
                0 => "Today".to_owned(),
                1 => "Yesterday".to_owned(),
                _ => format_with(self.date(), at),
            }
        }

        fn time(&mut self) -> &Function {
            self.time
                .get_or_insert_with(|| new_format(&[("hour", "2-digit"), ("minute", "2-digit")]))
        }

        fn date(&mut self) -> &Function {
            self.date.get_or_insert_with(|| {
                new_format(&[("day", "numeric"), ("month", "long"), ("year", "numeric")])
            })
        }
    }

    fn new_format(parts: &[(&str, &str)]) -> Function {
        let options = Object::new();
        for (part, shape) in parts {
            // A new object accepts any property.
            let _ = Reflect::set(&options, &(*part).into(), &(*shape).into());
        }
        DateTimeFormat::new(&Array::new(), &options).format()
    }

    /// Empty only for an invalid date.
    fn format_with(format: &Function, at: Millis) -> String {
        let text = format.call1(&JsValue::UNDEFINED, &date(at));
        text.ok()
            .and_then(|text| text.as_string())
            .unwrap_or_default()
    }

    #[expect(clippy::cast_precision_loss, reason = "a time fits into 53 bits")]
    fn date(at: Millis) -> Date {
        Date::new(&(at as f64).into())
    }

    #[expect(
        clippy::cast_possible_truncation,
        reason = "minutes of a time zone are below 1,000"
    )]
    pub(super) fn offset(at: Millis) -> Millis {
        -(date(at).get_timezone_offset() as Millis) * 60_000
    }
}

#[cfg(feature = "ssr")]
mod utc {
    use super::{Millis, TimeStyle};
    use time::{
        OffsetDateTime, format_description::well_known::Rfc3339, macros::format_description,
    };

    fn moment(at: Millis) -> OffsetDateTime {
        OffsetDateTime::from_unix_timestamp_nanos(i128::from(at) * 1_000_000)
            .unwrap_or(OffsetDateTime::UNIX_EPOCH)
    }

    pub(super) fn iso(at: Millis) -> String {
        moment(at).format(&Rfc3339).unwrap_or_default()
    }

    pub(super) fn text(at: Millis, style: TimeStyle) -> String {
        let moment = moment(at);
        let shown = match style {
            TimeStyle::Time => moment.format(format_description!("[hour]:[minute] UTC")),
            TimeStyle::Day => moment.format(format_description!(
                "[day padding:none] [month repr:long] [year]"
            )),
            TimeStyle::DayTime => moment.format(format_description!(
                "[day padding:none] [month repr:long] [year], [hour]:[minute] UTC"
            )),
        };
        shown.unwrap_or_default()
    }
}

/// Hydration keeps the server's text, so only the machine-readable form matters.
#[cfg(not(feature = "ssr"))]
mod utc {
    use super::{Millis, TimeStyle};

    #[expect(clippy::cast_precision_loss, reason = "a time fits into 53 bits")]
    pub(super) fn iso(at: Millis) -> String {
        js_sys::Date::new(&(at as f64).into())
            .to_iso_string()
            .into()
    }

    pub(super) fn text(at: Millis, style: TimeStyle) -> String {
        let iso = iso(at);
        let (day, time) = (
            iso.get(..10).unwrap_or_default(),
            iso.get(11..16).unwrap_or_default(),
        );
        match style {
            TimeStyle::Time => format!("{time} UTC"),
            TimeStyle::Day => day.to_owned(),
            TimeStyle::DayTime => format!("{day}, {time} UTC"),
        }
    }
}
