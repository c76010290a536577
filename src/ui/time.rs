//! Times for people: in UTC, and in the reader's time zone and language after hydration.

use super::{browser_state::BrowserState, page_visibility::use_page_visibility};
use crate::model::Millis;
use leptos::prelude::*;
use local::{DateFormats, LocalDay};
use std::time::Duration;

/// How soon a new day, or another time zone, shows.
const DAY_CHECK_INTERVAL: Duration = Duration::from_secs(30);

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
    /// The reader's, once hydrated: what is called today changes with it.
    today: RwSignal<LocalDay>,
    formats: BrowserState<DateFormats>,
}

impl LocalClock {
    /// Provides the context, after that of the page's visibility.
    pub fn provide() -> Self {
        let (is_hydrated, set_hydrated) = signal(false);
        let formats = BrowserState::<DateFormats>::default();
        let clock = Self {
            is_hydrated,
            today: RwSignal::new(LocalDay::default()),
            formats,
        };
        // Loading the browser's locale data is a task of its own.
        Effect::new(move || {
            formats.with(|formats| formats.warm_up());
        });
        Effect::new(move || {
            clock.update_today();
            set_hydrated.set(true);
            let check = move || clock.update_today();
            if let Ok(checks) = set_interval_with_handle(check, DAY_CHECK_INTERVAL) {
                on_cleanup(move || checks.clear());
            }
        });
        // A page that was hidden or asleep may have missed midnight.
        let is_visible = use_page_visibility();
        Effect::watch(
            move || is_visible.get(),
            move |_, _, _| clock.update_today(),
            false,
        );
        provide_context(clock);
        clock
    }

    fn update_today(self) {
        let today = LocalDay::of(super::browser::now());
        let Some(known) = self.today.try_get_untracked() else {
            return;
        };
        if known.offset != today.offset {
            // A format keeps the time zone in which it was made.
            self.formats
                .with(|formats| *formats = DateFormats::default());
        }
        if known != today {
            self.today.set(today);
        }
    }

    /// Formats a time. Tracks hydration, the day and the time zone.
    #[must_use]
    pub fn text(&self, at: Millis, style: TimeStyle) -> String {
        self.today.track();
        let local = self
            .is_hydrated
            .get()
            .then(|| self.formats.with(|formats| formats.text(at, style)))
            .flatten()
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

    /// Calendar day, only for comparing. Tracks hydration and the time zone.
    #[must_use]
    pub fn day_number(&self, at: Millis) -> i64 {
        self.today.track();
        if self.is_hydrated.get() {
            LocalDay::of(at).number
        } else {
            at.div_euclid(DAY_MILLIS)
        }
    }
}

const DAY_MILLIS: Millis = 24 * 60 * 60 * 1_000;

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
    use super::{DAY_MILLIS, Millis, TimeStyle};
    use crate::ui::browser_apis;
    use js_sys::{Array, Date, Function, Intl::DateTimeFormat, Object, Reflect};
    use std::cell::OnceCell;
    use wasm_bindgen::JsValue;

    /// A calendar day of the reader, and how far their time zone is ahead of UTC then, in milliseconds.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    pub(super) struct LocalDay {
        pub(super) number: i64,
        pub(super) offset: Millis,
    }

    impl LocalDay {
        pub(super) fn of(at: Millis) -> Self {
            let offset = offset(at);
            let number = (at + offset).div_euclid(DAY_MILLIS);
            Self { number, offset }
        }
    }

    /// Creating a format takes milliseconds, using it microseconds. `None` inside if the browser has no formats.
    #[derive(Debug, Default)]
    pub(super) struct DateFormats {
        time: OnceCell<Option<Function>>,
        date: OnceCell<Option<Function>>,
    }

    impl DateFormats {
        /// Nearly every time needs this format.
        pub(super) fn warm_up(&self) {
            self.time();
        }

        /// `None` if the browser has no formats.
        pub(super) fn text(&self, at: Millis, style: TimeStyle) -> Option<String> {
            Some(match style {
                TimeStyle::Time => format_with(self.time()?, at),
                TimeStyle::Day => self.day_text(at)?,
                TimeStyle::DayTime => {
                    format!("{}, {}", self.day_text(at)?, format_with(self.time()?, at))
                }
            })
        }

        fn day_text(&self, at: Millis) -> Option<String> {
            let date = self.date()?;
            let now = crate::ui::browser::now();
            Some(match LocalDay::of(now).number - LocalDay::of(at).number {
                0 => "Today".to_owned(),
                1 => "Yesterday".to_owned(),
                _ => format_with(date, at),
            })
        }

        fn time(&self) -> Option<&Function> {
            let format = || new_format(&[("hour", "2-digit"), ("minute", "2-digit")]);
            self.time.get_or_init(format).as_ref()
        }

        fn date(&self) -> Option<&Function> {
            let parts = [("day", "numeric"), ("month", "long"), ("year", "numeric")];
            self.date.get_or_init(|| new_format(&parts)).as_ref()
        }
    }

    fn new_format(parts: &[(&str, &str)]) -> Option<Function> {
        if !browser_apis::supports_date_formats() {
            return None;
        }
        let options = Object::new();
        for (part, shape) in parts {
            // A new object accepts any property.
            let _ = Reflect::set(&options, &(*part).into(), &(*shape).into());
        }
        Some(DateTimeFormat::new(&Array::new(), &options).format())
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
    fn offset(at: Millis) -> Millis {
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
