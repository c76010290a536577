//! Periodic work of a connection: heartbeats, statistics and encoder settings.

use super::{Job, PeerEvent, RecoveryReason, Shared};
use crate::{
    calls::client::stats::{self, Counters},
    model::Millis,
    ui::browser,
};
use std::rc::Rc;
use wasm_bindgen_futures::spawn_local;
use web_sys::RtcDataChannelState;

/// Interval of heartbeats, in milliseconds.
const HEARTBEAT_INTERVAL: i32 = 1_000;
/// Interval while the peer is unresponsive, in milliseconds: the first heartbeat to get through shows that the path
/// recovered.
const UNRESPONSIVE_HEARTBEAT_INTERVAL: i32 = 250;
/// The path counts as lost this long after the last heartbeat, in milliseconds.
const HEARTBEAT_TIMEOUT: Millis = 3_000;
/// Maximum age of the last packet on a working path, in milliseconds. Heartbeats are also late if a page is busy, but
/// the browser still receives packets.
const PACKET_TIMEOUT: f64 = 1_500.0;
/// How long a path has to show activity after the server connection was restored, in milliseconds.
const PATH_PROBE_TIMEOUT: i32 = 1_300;

impl Shared {
    /// Sends a heartbeat, checks for overdue ones, and reschedules itself.
    pub(super) fn run_heartbeat(self: &Rc<Self>) {
        if self.heartbeat_channel.ready_state() == RtcDataChannelState::Open {
            // Sending fails if the channel has closed meanwhile.
            let _ = self.heartbeat_channel.send_with_str("");
        }
        if self.is_heartbeat_overdue() && !self.is_checking_path.replace(true) {
            spawn_local(self.clone().check_path());
        }
        let next = if self.is_unresponsive.get() {
            UNRESPONSIVE_HEARTBEAT_INTERVAL
        } else {
            HEARTBEAT_INTERVAL
        };
        let shared = Rc::downgrade(self);
        browser::run_after(next, move || {
            if let Some(shared) = shared.upgrade().filter(|shared| !shared.is_closed.get()) {
                shared.run_heartbeat();
            }
        });
    }

    /// Whether the peer's heartbeat is overdue.
    fn is_heartbeat_overdue(&self) -> bool {
        let late = |at: Millis| browser::now() - at > HEARTBEAT_TIMEOUT;
        self.last_heartbeat_at.get().is_some_and(late)
    }

    /// Checks whether an overdue heartbeat means a lost path or a busy page. Restarting ICE would load a busy page
    /// even more.
    async fn check_path(self: Rc<Self>) {
        let packet_age = stats::millis_since_last_packet(&self.connection).await;
        self.is_checking_path.set(false);
        // A heartbeat may have arrived meanwhile.
        if !self.is_heartbeat_overdue() || self.is_closed.get() {
            return;
        }
        if packet_age.is_none_or(|silence| silence > PACKET_TIMEOUT) {
            if self.mark_unresponsive(packet_age) {
                self.enqueue(Job::Recover(RecoveryReason::HeartbeatTimeout));
            }
        } else {
            self.mark_responsive();
        }
    }

    /// Marks the peer as unresponsive. `packet_age` is the browser's silence in milliseconds, if known. True if newly marked.
    ///
    /// If the browser confirms the silence, video is suspended: nobody would see it, and its losses would count against the
    /// next path. A restarted encoder begins with a key frame, so none has to be requested.
    fn mark_unresponsive(&self, packet_age: Option<f64>) -> bool {
        let is_new = !self.is_unresponsive.replace(true);
        if is_new && packet_age.is_some() {
            self.is_video_suspended.set(true);
            self.enqueue(Job::ConfigureEncoders);
        }
        is_new
    }

    /// Marks the peer as responsive again.
    fn mark_responsive(self: &Rc<Self>) {
        if self.is_unresponsive.get() && self.is_connected() {
            self.start_ramp_up();
            self.report_connected();
        }
    }

    /// Probes the path after the server connection was restored, because the network may have changed.
    pub(super) fn probe_path(self: &Rc<Self>) {
        let since = browser::now();
        let shared = Rc::downgrade(self);
        browser::run_after(PATH_PROBE_TIMEOUT, move || {
            spawn_local(async move {
                let Some(shared) = shared.upgrade().filter(|shared| !shared.is_closed.get()) else {
                    return;
                };
                let has_heartbeat =
                    |shared: &Self| shared.last_heartbeat_at.get().is_some_and(|at| at >= since);
                if has_heartbeat(&shared) {
                    return;
                }
                let packet_age = stats::millis_since_last_packet(&shared.connection).await;
                if packet_age.is_none_or(|silence| silence > f64::from(PATH_PROBE_TIMEOUT))
                    && !has_heartbeat(&shared)
                    && !shared.is_closed.get()
                    && shared.mark_unresponsive(packet_age)
                {
                    shared.enqueue(Job::Recover(RecoveryReason::SignalingRestored));
                }
            });
        });
    }

    pub(super) fn on_heartbeat(self: &Rc<Self>) {
        self.last_heartbeat_at.set(Some(browser::now()));
        self.mark_responsive();
    }

    /// Polls the connection statistics, and reschedules itself.
    pub(super) fn poll_stats(self: &Rc<Self>, before: Counters) {
        let shared = Rc::downgrade(self);
        browser::run_after(stats::STATS_POLL_INTERVAL, move || {
            spawn_local(async move {
                let Some(shared) = shared.upgrade().filter(|shared| !shared.is_closed.get()) else {
                    return;
                };
                let mut counters = before;
                if shared.is_connected()
                    && let Some(sample) =
                        stats::sample_stats(&shared.connection, before, browser::now()).await
                    && !shared.is_closed.get()
                {
                    counters = sample.counters;
                    // Without a sent camera, or without a response, the sample does not describe the uplink.
                    if shared.media_state.get().camera && !shared.is_unresponsive.get() {
                        shared.adapt_video(|adaptation| adaptation.update(sample.uplink));
                    }
                    (shared.on_event)(PeerEvent::ConnectionQuality(sample.quality));
                }
                shared.poll_stats(counters);
            });
        });
    }
}
