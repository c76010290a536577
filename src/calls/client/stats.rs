//! Connection quality, from W3C WebRTC statistics.

use super::state::{
    connection_quality::{ConnectionQuality, Route},
    video_adaptation::UplinkStats,
};
use crate::model::Millis;
use js_sys::{Map, Reflect};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::RtcPeerConnection;

/// Cumulative; the next sample uses the differences.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Counters {
    at: Millis,
    received_packets: f64,
    lost_packets: f64,
    received_bytes: f64,
    sent_bytes: f64,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct StatsSample {
    pub(super) quality: ConnectionQuality,
    pub(super) counters: Counters,
    pub(super) uplink: UplinkStats,
}

struct StatsEntry(JsValue);

impl StatsEntry {
    fn get(&self, name: &str) -> Option<JsValue> {
        Reflect::get(&self.0, &name.into())
            .ok()
            .filter(|value| !value.is_undefined())
    }

    fn number(&self, name: &str) -> Option<f64> {
        self.get(name)?.as_f64()
    }

    fn text(&self, name: &str) -> Option<String> {
        self.get(name)?.as_string()
    }

    fn has_value(&self, name: &str, value: &str) -> bool {
        self.text(name).as_deref() == Some(value)
    }
}

/// `None` without statistics.
pub(super) async fn sample_stats(
    connection: &RtcPeerConnection,
    before: Counters,
    now: Millis,
) -> Option<StatsSample> {
    Some(build_sample(&entries(connection).await?, before, now))
}

/// Counts packets that the page has not processed (W3C `lastPacketReceivedTimestamp`); `None` without browser support.
pub(super) async fn millis_since_last_packet(connection: &RtcPeerConnection) -> Option<f64> {
    let entries = entries(connection).await?;
    let pair = selected_pair(&entries)?;
    let packet_age = pair.number("timestamp")? - pair.number("lastPacketReceivedTimestamp")?;
    // If the timestamps come from different clocks, the age is unknown.
    (packet_age > -1_000.0).then_some(packet_age)
}

async fn entries(connection: &RtcPeerConnection) -> Option<Vec<StatsEntry>> {
    let report = JsFuture::from(connection.get_stats()).await.ok()?;
    let mut entries = Vec::new();
    report
        .unchecked_ref::<Map>()
        .for_each(&mut |entry, _| entries.push(StatsEntry(entry)));
    Some(entries)
}

fn sum<'a>(entries: impl Iterator<Item = &'a StatsEntry>, name: &str) -> f64 {
    entries.filter_map(|entry| entry.number(name)).sum()
}

fn build_sample(entries: &[StatsEntry], before: Counters, now: Millis) -> StatsSample {
    let inbound = || {
        entries
            .iter()
            .filter(|entry| entry.has_value("type", "inbound-rtp"))
    };
    let outbound = || {
        entries
            .iter()
            .filter(|entry| entry.has_value("type", "outbound-rtp"))
    };
    let counters = Counters {
        at: now,
        received_packets: sum(inbound(), "packetsReceived"),
        lost_packets: sum(inbound(), "packetsLost"),
        received_bytes: sum(inbound(), "bytesReceived"),
        sent_bytes: sum(outbound(), "bytesSent"),
    };
    // Of camera and screen, the larger frame counts.
    let width = |entry: &&StatsEntry| entry.number("frameWidth").unwrap_or(0.0);
    let video = inbound()
        .filter(|entry| entry.has_value("kind", "video"))
        .max_by(|a, b| width(a).total_cmp(&width(b)));
    let by_id = |id: Option<String>| {
        let id = id?;
        entries.iter().find(|entry| entry.has_value("id", &id))
    };
    let codec = by_id(video.and_then(|video| video.text("codecId")))
        .and_then(|codec| codec.text("mimeType"));
    let pair = selected_pair(entries);
    let end = |name: &str| by_id(pair.and_then(|pair| pair.text(name)));
    let ends = [end("localCandidateId"), end("remoteCandidateId")];
    let at_relay = ends
        .iter()
        .flatten()
        .any(|end| end.has_value("candidateType", "relay"));
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a picture is not larger than that"
    )]
    let pixels = |name: &str| video.and_then(|video| video.number(name)).map(|n| n as u32);
    let jitter = inbound().filter_map(|entry| entry.number("jitter"));
    let (received, sent, loss) = rates(before, counters);
    let quality = ConnectionQuality {
        loss_percent: loss,
        round_trip_time: pair
            .and_then(|pair| pair.number("currentRoundTripTime"))
            .map(|seconds| seconds * 1_000.0),
        jitter: jitter.fold(0.0, f64::max) * 1_000.0,
        frames_per_second: video.and_then(|video| video.number("framesPerSecond")),
        frame_size: pixels("frameWidth").zip(pixels("frameHeight")),
        codec: codec.map(|kind| kind.rsplit('/').next().unwrap_or_default().to_owned()),
        received_kbps: received,
        sent_kbps: sent,
        route: pair.map(|_| {
            if at_relay {
                Route::Relay
            } else {
                Route::Direct
            }
        }),
    };
    let lost = entries
        .iter()
        .filter(|entry| entry.has_value("type", "remote-inbound-rtp"))
        .filter_map(|entry| entry.number("fractionLost"))
        .fold(0.0, f64::max);
    let uplink = UplinkStats {
        loss_percent: lost * 100.0,
        available_kbps: pair
            .and_then(|pair| pair.number("availableOutgoingBitrate"))
            .map(|bits| bits / 1_000.0),
    };
    StatsSample {
        quality,
        counters,
        uplink,
    }
}

/// Named by the transport, or marked as selected (Firefox).
fn selected_pair(entries: &[StatsEntry]) -> Option<&StatsEntry> {
    let named = entries
        .iter()
        .filter(|entry| entry.has_value("type", "transport"))
        .find_map(|transport| transport.text("selectedCandidatePairId"));
    let pairs = || {
        entries
            .iter()
            .filter(|entry| entry.has_value("type", "candidate-pair"))
    };
    match named {
        Some(id) => pairs().find(|pair| pair.has_value("id", &id)),
        None => pairs().find(|pair| {
            let is_true = |name: &str| pair.get(name).is_some_and(|value| value.is_truthy());
            is_true("selected") || (is_true("nominated") && pair.has_value("state", "succeeded"))
        }),
    }
}

/// Received and sent kilobits per second, and loss in percent.
fn rates(before: Counters, after: Counters) -> (f64, f64, f64) {
    if before.at == 0 || after.at <= before.at {
        return (0.0, 0.0, 0.0);
    }
    #[expect(clippy::cast_precision_loss, reason = "a few seconds")]
    let millis = (after.at - before.at) as f64;
    let kilobits = |before: f64, after: f64| ((after - before) * 8.0 / millis).max(0.0);
    let lost = (after.lost_packets - before.lost_packets).max(0.0);
    let received = (after.received_packets - before.received_packets).max(0.0);
    let loss = if lost + received > 0.0 {
        100.0 * lost / (lost + received)
    } else {
        0.0
    };
    (
        kilobits(before.received_bytes, after.received_bytes),
        kilobits(before.sent_bytes, after.sent_bytes),
        loss,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_differences_between_two_samples() {
        let first = Counters {
            at: 1_000,
            received_packets: 100.0,
            lost_packets: 0.0,
            received_bytes: 1_000.0,
            sent_bytes: 0.0,
        };
        let second = Counters {
            at: 3_000,
            received_packets: 190.0,
            lost_packets: 10.0,
            received_bytes: 251_000.0,
            sent_bytes: 125_000.0,
        };
        assert_eq!(rates(first, second), (1_000.0, 500.0, 10.0));
        assert_eq!(
            rates(Counters::default(), second),
            (0.0, 0.0, 0.0),
            "the first look has none before it"
        );
        assert_eq!(
            rates(second, first),
            (0.0, 0.0, 0.0),
            "counters begin anew with a new connection"
        );
    }
}
