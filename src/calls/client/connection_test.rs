//! Measures which routes this browser's network allows.
//!
//! Two peer connections of the page exchange messages over one relay (`iceTransportPolicy: relay`), as a call does;
//! probing a port would prove less.

use super::peer::configuration::rtc_configuration;
use crate::{
    model::{Millis, call::IceServer},
    ui::browser,
};
use futures::{
    FutureExt, StreamExt,
    channel::{mpsc, oneshot},
    pin_mut, select,
};
use js_sys::Reflect;
use std::{cell::RefCell, rc::Rc};
use wasm_bindgen::{JsCast, JsValue, prelude::Closure};
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::{
    Event, RtcConfiguration, RtcDataChannel, RtcIceTransportPolicy, RtcPeerConnection,
    RtcPeerConnectionIceEvent, RtcSessionDescriptionInit,
};

/// Milliseconds. ICE gives up after about 15 s; callers hang up sooner.
const RELAY_TEST_TIMEOUT: i32 = 10_000;
const GATHERING_TIMEOUT: i32 = 5_000;
const ROUND_TRIP_SAMPLES: u32 = 5;

/// Timings of a connection through a relay.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RelayTimings {
    /// Until the connection opened.
    pub connect_time: Millis,
    /// Median of the samples.
    pub round_trip_time: Millis,
}

type Handler = Closure<dyn FnMut(Event)>;

struct TestPeer {
    connection: RtcPeerConnection,
    handlers: RefCell<Vec<Handler>>,
}

impl TestPeer {
    fn new(configuration: &RtcConfiguration) -> Result<Rc<Self>, JsValue> {
        Ok(Rc::new(Self {
            connection: RtcPeerConnection::new_with_configuration(configuration)?,
            handlers: RefCell::default(),
        }))
    }

    fn event_handler(&self, then: impl FnMut(Event) + 'static) -> js_sys::Function {
        let handler = Handler::new(then);
        let function = handler.as_ref().unchecked_ref::<js_sys::Function>().clone();
        self.handlers.borrow_mut().push(handler);
        function
    }

    fn trickle_to(&self, other: &Rc<Self>) {
        let other = Rc::downgrade(other);
        let found = self.event_handler(move |event| {
            let event: RtcPeerConnectionIceEvent = event.unchecked_into();
            if let (Some(candidate), Some(other)) = (event.candidate(), other.upgrade()) {
                let added = other
                    .connection
                    .add_ice_candidate_with_opt_rtc_ice_candidate(Some(&candidate));
                spawn_local(async move {
                    // One candidate may fail; others follow.
                    let _ = JsFuture::from(added).await;
                });
            }
        });
        self.connection.set_onicecandidate(Some(&found));
    }
}

impl Drop for TestPeer {
    fn drop(&mut self) {
        self.connection.set_onicecandidate(None);
        self.connection.close();
    }
}

/// The address that a STUN server sees over UDP; `None` without a response.
pub async fn find_reflexive_address(servers: &[IceServer]) -> Option<String> {
    let peer = TestPeer::new(&rtc_configuration(servers, RtcIceTransportPolicy::All)).ok()?;
    peer.connection.create_data_channel("rialto");
    let (tx, mut rx) = mpsc::unbounded();
    let found = peer.event_handler(move |event| {
        let event: RtcPeerConnectionIceEvent = event.unchecked_into();
        let candidate_line = event.candidate().map(|candidate| candidate.candidate());
        // The receiver may be gone.
        let _ = tx.unbounded_send(candidate_line);
    });
    peer.connection.set_onicecandidate(Some(&found));
    let offer = JsFuture::from(peer.connection.create_offer()).await.ok()?;
    JsFuture::from(
        peer.connection
            .set_local_description(offer.unchecked_ref::<RtcSessionDescriptionInit>()),
    )
    .await
    .ok()?;
    let gather = async {
        while let Some(Some(line)) = rx.next().await {
            if let Some(address) = parse_reflexive_address(&line) {
                return Some(address);
            }
        }
        None
    };
    with_timeout(GATHERING_TIMEOUT, gather).await.flatten()
}

/// `None` for other candidate types (RFC 8839 section 5.1).
fn parse_reflexive_address(candidate: &str) -> Option<String> {
    let words: Vec<&str> = candidate.split(' ').collect();
    let is_reflexive = words.windows(2).any(|pair| pair == ["typ", "srflx"]);
    words
        .get(4)
        .filter(|_| is_reflexive)
        .map(|address| (*address).to_owned())
}

/// Measures one relay; `None` on failure or timeout.
pub async fn test_relay(relay: &IceServer) -> Option<RelayTimings> {
    let started_at = browser::monotonic_now();
    let settings = rtc_configuration(std::slice::from_ref(relay), RtcIceTransportPolicy::Relay);
    let (one, other) = (
        TestPeer::new(&settings).ok()?,
        TestPeer::new(&settings).ok()?,
    );
    one.trickle_to(&other);
    other.trickle_to(&one);
    let channel = one.connection.create_data_channel("rialto");
    echo_messages(&other);
    let (tx, opened) = oneshot::channel();
    let mut tell = Some(tx);
    let on_open = one.event_handler(move |_| {
        if let Some(tell) = tell.take() {
            let _ = tell.send(());
        }
    });
    channel.set_onopen(Some(&on_open));
    negotiate(&one.connection, &other.connection).await.ok()?;
    with_timeout(RELAY_TEST_TIMEOUT, opened).await?.ok()?;
    let connect_time = browser::monotonic_now() - started_at;
    let mut times = Vec::new();
    for _ in 0..ROUND_TRIP_SAMPLES {
        times.push(measure_round_trip(&one, &channel).await?);
    }
    times.sort_unstable();
    Some(RelayTimings {
        connect_time,
        round_trip_time: times[times.len() / 2],
    })
}

fn echo_messages(peer: &Rc<TestPeer>) {
    let weak = Rc::downgrade(peer);
    let on_data_channel = peer.event_handler(move |event| {
        let channel = Reflect::get(&event, &"channel".into())
            .ok()
            .and_then(|channel| channel.dyn_into::<RtcDataChannel>().ok());
        if let (Some(channel), Some(end)) = (channel, weak.upgrade()) {
            let reply_channel = channel.clone();
            let message = end.event_handler(move |event| {
                let text = Reflect::get(&event, &"data".into()).ok();
                if let Some(text) = text.and_then(|text| text.as_string()) {
                    // The channel may have closed meanwhile.
                    let _ = reply_channel.send_with_str(&text);
                }
            });
            channel.set_onmessage(Some(&message));
        }
    });
    peer.connection.set_ondatachannel(Some(&on_data_channel));
}

async fn measure_round_trip(peer: &TestPeer, channel: &RtcDataChannel) -> Option<Millis> {
    let (tx, rx) = oneshot::channel();
    let mut tell = Some(tx);
    let on_message = peer.event_handler(move |_| {
        if let Some(tell) = tell.take() {
            let _ = tell.send(());
        }
    });
    channel.set_onmessage(Some(&on_message));
    let started_at = browser::monotonic_now();
    channel.send_with_str("there and back").ok()?;
    with_timeout(RELAY_TEST_TIMEOUT, rx).await?.ok()?;
    Some(browser::monotonic_now() - started_at)
}

/// Exchanges offer and answer (RFC 8829).
async fn negotiate(one: &RtcPeerConnection, other: &RtcPeerConnection) -> Result<(), JsValue> {
    let offer = JsFuture::from(one.create_offer()).await?;
    let offer: &RtcSessionDescriptionInit = offer.unchecked_ref();
    JsFuture::from(one.set_local_description(offer)).await?;
    JsFuture::from(other.set_remote_description(offer)).await?;
    let answer = JsFuture::from(other.create_answer()).await?;
    let answer: &RtcSessionDescriptionInit = answer.unchecked_ref();
    JsFuture::from(other.set_local_description(answer)).await?;
    JsFuture::from(one.set_remote_description(answer)).await?;
    Ok(())
}

/// `None` after `millis`.
async fn with_timeout<T>(millis: i32, work: impl Future<Output = T>) -> Option<T> {
    let (timer_tx, timer_rx) = oneshot::channel();
    browser::run_after(millis, move || {
        // The work may have finished.
        let _ = timer_tx.send(());
    });
    let (work, rang) = (work.fuse(), timer_rx.fuse());
    pin_mut!(work, rang);
    select! {
        done = work => Some(done),
        _ = rang => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_that_a_server_saw_is_found_and_no_other() {
        let seen = "candidate:842163049 1 udp 1677729535 203.0.113.9 50000 typ srflx raddr 0.0.0.0 rport 0";
        assert_eq!(
            parse_reflexive_address(seen).as_deref(),
            Some("203.0.113.9")
        );
        let own = "candidate:842163049 1 udp 2113937151 192.168.1.7 50000 typ host";
        assert_eq!(parse_reflexive_address(own), None);
        assert_eq!(parse_reflexive_address(""), None);
    }
}
