//! The measured quality of a connection, and its rating in bars.

/// Route of the media.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route {
    Direct,
    Relay,
}

/// Connection quality since the previous sample; loss, jitter, frames and codec are those of the received media.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ConnectionQuality {
    pub loss_percent: f64,
    /// In milliseconds.
    pub round_trip_time: Option<f64>,
    /// In milliseconds (RFC 3550).
    pub jitter: f64,
    pub frames_per_second: Option<f64>,
    /// Width and height, in pixels.
    pub frame_size: Option<(u32, u32)>,
    pub codec: Option<String>,
    pub received_kbps: f64,
    pub sent_kbps: f64,
    pub route: Option<Route>,
}

/// Signal bars, from 1 to 4.
#[must_use]
pub fn bars(quality: &ConnectionQuality) -> u8 {
    let thresholds = [
        // Loss becomes audible: words are missing, then sentences.
        (quality.loss_percent, [2.0, 5.0, 12.0]),
        // Delay slows the conversation, then people talk at the same time (ITU-T G.114).
        (
            quality.round_trip_time.unwrap_or(0.0),
            [250.0, 450.0, 800.0],
        ),
        (quality.jitter, [30.0, 60.0, 120.0]),
    ];
    let worst = thresholds
        .iter()
        .map(|(value, steps)| steps.iter().filter(|step| value > *step).count())
        .max();
    4 - u8::try_from(worst.unwrap_or(0)).unwrap_or(3)
}

/// The label of signal bars.
#[must_use]
pub fn bars_label(bars: u8) -> &'static str {
    match bars {
        4 => "good",
        3 => "fair",
        2 => "poor",
        _ => "bad",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_of_what_is_measured_decides() {
        let good = ConnectionQuality::default();
        assert_eq!(bars(&good), 4);
        let lossy = |loss| ConnectionQuality {
            loss_percent: loss,
            ..ConnectionQuality::default()
        };
        assert_eq!(
            [1.0, 3.0, 8.0, 30.0].map(|loss| bars(&lossy(loss))),
            [4, 3, 2, 1]
        );
        let far = ConnectionQuality {
            round_trip_time: Some(500.0),
            ..lossy(3.0)
        };
        assert_eq!((bars(&far), bars_label(bars(&far))), (2, "poor"));
    }
}
