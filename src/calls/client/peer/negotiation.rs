//! Offer, answer, candidates, and looking for another path: what changes the session, one job after another.
//!
//! While it rings, both pages do what takes time: the callee's says what its answer will be (a `pranswer`), and the caller's takes it in.
//! What tells where somebody is, is told by a person's own doing: the caller's page by calling, the callee's by answering. Until then it
//! neither says its candidates nor uses those of the caller. Nor does the caller's page send what its microphone and camera give. So an
//! answer has to bring together two connections that lack nothing but each other's addresses, and tracks.

use super::{Job, News, Shared, Why, candidates};
use crate::{
    calls::client::{feed::Feed, recovery::Means},
    model::call::{Side, Signal},
    ui::browser,
};
use futures::future;
use std::rc::Rc;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::{
    RtcIceCandidateInit, RtcOfferOptions, RtcRtpTransceiver, RtcRtpTransceiverDirection,
    RtcSdpType, RtcSessionDescription, RtcSessionDescriptionInit, RtcSignalingState,
};

/// How long a page on which somebody answered waits for an offer before it asks for one, in milliseconds.
const OFFER_WAIT: i32 = 1_500;
/// How long the caller's page waits for the answer to be said before it says its offer again, in milliseconds.
const ANSWER_WAIT: i32 = 5_000;

impl Shared {
    pub(super) async fn work(self: &Rc<Self>, job: Job) -> Result<(), JsValue> {
        match job {
            Job::Offer { restart } => self.offer(restart).await,
            Job::Answered => self.open_up().await,
            Job::Heard(Signal::Offer { sdp }) => self.take_offer(&sdp).await,
            Job::Heard(Signal::Answer { sdp }) => self.take_answer(&sdp).await,
            Job::Heard(Signal::Pranswer { sdp }) => {
                self.take_foretold(&sdp).await;
                Ok(())
            }
            Job::Foretell => {
                self.foretell().await;
                Ok(())
            }
            Job::Heard(Signal::Candidate {
                candidate,
                sdp_mid,
                sdp_m_line_index,
            }) => {
                let init = RtcIceCandidateInit::new(&candidate);
                init.set_sdp_mid(sdp_mid.as_deref());
                init.set_sdp_m_line_index(sdp_m_line_index);
                if self.may_look() && self.connection.remote_description().is_some() {
                    self.add(&init);
                } else {
                    self.early.borrow_mut().push(init);
                }
                Ok(())
            }
            Job::Heard(Signal::Restart) => self.recover(Why::Asked).await,
            Job::Recover(why) => self.recover(why).await,
            Job::Send(feed) => self.replace(feed).await,
            Job::Fit => {
                self.fit(None).await;
                self.fit_screen().await;
                Ok(())
            }
            Job::PutSoundFirst => {
                self.put_sound_first().await;
                Ok(())
            }
        }
    }

    async fn offer(&self, restart: bool) -> Result<(), JsValue> {
        let options = RtcOfferOptions::new();
        options.set_ice_restart(restart);
        let offer = JsFuture::from(
            self.connection
                .create_offer_with_rtc_offer_options(&options),
        )
        .await?;
        self.recovery.borrow_mut().offered(browser::now());
        JsFuture::from(self.connection.set_local_description(offer.unchecked_ref())).await?;
        self.say_description();
        self.attach().await
    }

    /// The callee's part. The transceivers come out of the offer; made here they would be further ones (RFC 8829 section 5.10).
    async fn take_offer(&self, sdp: &str) -> Result<(), JsValue> {
        if self.side == Side::Caller {
            // Only the caller makes offers, so this is none of ours.
            return Ok(());
        }
        // The caller's page makes no other before it has an answer.
        let said_again = self.connection.signaling_state() == RtcSignalingState::HaveLocalPranswer;
        let (bare, addresses) = candidates::split(sdp);
        let sdp = if said_again || !self.may_look() {
            self.early.borrow_mut().extend(addresses);
            &bare
        } else {
            sdp
        };
        if said_again {
            return if self.answered.get() {
                self.answer().await
            } else {
                Ok(())
            };
        }
        self.set_remote(RtcSdpType::Offer, sdp).await?;
        for transceiver in self.transceivers() {
            transceiver.set_direction(RtcRtpTransceiverDirection::Sendrecv);
        }
        self.attach().await?;
        self.fit(None).await;
        let answer = self.create_answer().await?;
        self.prepared.replace(Some(answer));
        if self.answered.get() {
            return self.answer().await;
        }
        self.foretell().await;
        Ok(())
    }

    /// Says what the answer will be, of a page that is looked at: of several that ring, it is the likeliest to be answered on.
    async fn foretell(&self) {
        let has_offer = self.connection.signaling_state() == RtcSignalingState::HaveRemoteOffer;
        let prepared = self.prepared.borrow().clone();
        let Some(sdp) = prepared.filter(|_| has_offer && !self.may_look() && browser::is_visible())
        else {
            return;
        };
        // A browser that knows no such answers (Firefox) gives one when somebody answers.
        if self.set_local(RtcSdpType::Pranswer, &sdp).await.is_ok() {
            self.say(Signal::Pranswer { sdp });
        }
    }

    /// Takes in what the answer will be. A browser that knows no such answers takes it in with the answer itself, and so does one whose
    /// answer comes from another page than the one that said so.
    async fn take_foretold(&self, sdp: &str) {
        if self.side == Side::Caller && !self.answered.get() && self.waits_for_answer() {
            let description = description(RtcSdpType::Pranswer, sdp);
            let _ = JsFuture::from(self.connection.set_remote_description(&description)).await;
            // An encoder that is told what to make before it begins need not begin anew.
            let camera = self.tracks.borrow()[Feed::Camera.place()].clone();
            self.fit(camera.as_ref()).await;
        }
    }

    /// Somebody has answered. A callee's page that has the offer answers it. One that has none yet says that it needs one: what was offered
    /// while it rang may be lost with the server that held it.
    async fn open_up(self: &Rc<Self>) -> Result<(), JsValue> {
        if self.side == Side::Caller {
            let shared = Rc::downgrade(self);
            browser::after(ANSWER_WAIT, move || {
                if let Some(shared) = shared.upgrade().filter(|shared| !shared.closed.get())
                    && shared.waits_for_answer()
                {
                    shared.say_description();
                }
            });
            return self.attach().await;
        }
        if matches!(
            self.connection.signaling_state(),
            RtcSignalingState::HaveRemoteOffer | RtcSignalingState::HaveLocalPranswer
        ) {
            self.answer().await?;
        } else {
            let shared = Rc::downgrade(self);
            browser::after(OFFER_WAIT, move || {
                if let Some(shared) = shared.upgrade()
                    && shared.connection.remote_description().is_none()
                {
                    shared.say(Signal::Restart);
                }
            });
        }
        // What was open before: the camera of another call that was left for this one.
        self.attach().await
    }

    async fn answer(&self) -> Result<(), JsValue> {
        let prepared = self.prepared.take();
        if self.connection.signaling_state() == RtcSignalingState::HaveLocalPranswer {
            // This browser has it already, and the other one may: all that is missing are the addresses, which stand in it by now.
            self.say_description();
            self.add_early();
            // Made anew, it has them as well, should it have to be said again.
            let sdp = self.create_answer().await?;
            self.set_local(RtcSdpType::Answer, &sdp).await?;
            if self.moved.take() {
                // They were found in another network.
                self.say(Signal::Restart);
            }
            return Ok(());
        }
        let sdp = match prepared {
            Some(sdp) => sdp,
            None => self.create_answer().await?,
        };
        self.add_early();
        self.set_local(RtcSdpType::Answer, &sdp).await?;
        self.say_description();
        Ok(())
    }

    async fn create_answer(&self) -> Result<String, JsValue> {
        let answer = JsFuture::from(self.connection.create_answer()).await?;
        Ok(answer.unchecked_into::<RtcSessionDescription>().sdp())
    }

    /// An offer that was said twice is answered twice: the second answer has nothing to answer.
    async fn take_answer(&self, sdp: &str) -> Result<(), JsValue> {
        if self.waits_for_answer() {
            self.set_remote(RtcSdpType::Answer, sdp).await?;
            if self.moved.take() {
                return self.offer(true).await;
            }
        }
        Ok(())
    }

    /// Whether there is an offer that was not answered yet.
    fn waits_for_answer(&self) -> bool {
        matches!(
            self.connection.signaling_state(),
            RtcSignalingState::HaveLocalOffer | RtcSignalingState::HaveRemotePranswer
        )
    }

    async fn set_local(&self, kind: RtcSdpType, sdp: &str) -> Result<(), JsValue> {
        let description = description(kind, sdp);
        JsFuture::from(self.connection.set_local_description(&description)).await?;
        Ok(())
    }

    async fn set_remote(&self, kind: RtcSdpType, sdp: &str) -> Result<(), JsValue> {
        let description = description(kind, sdp);
        if let Err(error) =
            JsFuture::from(self.connection.set_remote_description(&description)).await
        {
            (self.tell)(News::Trouble(
                "The other person's browser speaks of the call in a way that this one does not understand. Try another browser.",
            ));
            return Err(error);
        }
        if self.may_look() {
            self.add_early();
        }
        Ok(())
    }

    /// Whether the other page may be looked for, and told where this one is. Not by a page that rings.
    pub(super) fn may_look(&self) -> bool {
        self.side == Side::Caller || self.answered.get()
    }

    fn add_early(&self) {
        for candidate in self.early.take() {
            self.add(&candidate);
        }
    }

    /// A candidate may belong to a description that was ignored; ICE goes on with the others, and fails by itself if there are
    /// none. Nobody waits for it: the browser does one thing after another by itself (WebRTC 1.0 section 4.4.1.2).
    fn add(&self, candidate: &RtcIceCandidateInit) {
        let added = self
            .connection
            .add_ice_candidate_with_opt_rtc_ice_candidate_init(Some(candidate));
        spawn_local(async move {
            let _ = JsFuture::from(added).await;
        });
    }

    fn say_description(&self) {
        if let Some(description) = self.connection.local_description() {
            let sdp = description.sdp();
            self.say(match self.side {
                Side::Caller => Signal::Offer { sdp },
                Side::Callee => Signal::Answer { sdp },
            });
        }
    }

    /// Looks for another path, and comes back to see whether there is one.
    async fn recover(self: &Rc<Self>, why: Why) -> Result<(), JsValue> {
        if !self.answered.get() {
            if why == Why::Back {
                self.moved.set(true);
            }
            // Whoever rings may have missed the offer.
            if self.side == Side::Caller {
                self.say_description();
            }
            return Ok(());
        }
        let connected = self.has_path();
        if connected && why == Why::Gone {
            return Ok(());
        }
        if connected && why == Why::Back {
            // What was said meanwhile is lost. Of the path nobody knows yet.
            if self.waits_for_answer() {
                self.say_description();
            }
            self.prove();
            return Ok(());
        }
        if !connected && self.recovery.borrow_mut().lost() {
            (self.tell)(News::Lost);
            if why != Why::Back {
                self.look_with_fresh();
                return Ok(());
            }
        }
        let pending = self.waits_for_answer();
        let back = why == Why::Back;
        let (means, again) =
            self.recovery
                .borrow_mut()
                .look(self.side, pending, back, browser::now());
        self.look_again_in(again);
        match means {
            Means::Ask => {
                self.say(Signal::Restart);
                Ok(())
            }
            Means::SayAgain => {
                self.say_description();
                Ok(())
            }
            // Before there was any answer, one to this offer could be taken for one to the next; and none can be made where an answer is
            // foretold. So the answer comes first.
            Means::Restart
                if self.waits_for_answer()
                    && self.connection.current_remote_description().is_none() =>
            {
                let foretold =
                    self.connection.signaling_state() == RtcSignalingState::HaveRemotePranswer;
                if why == Why::Back || (why == Why::Asked && foretold) {
                    self.moved.set(true);
                }
                self.say_description();
                Ok(())
            }
            Means::Restart => self.offer(true).await,
            Means::Wait => Ok(()),
        }
    }

    /// One a feed, in their order.
    pub(super) fn transceivers(&self) -> Vec<RtcRtpTransceiver> {
        self.connection
            .get_transceivers()
            .iter()
            .map(JsCast::unchecked_into)
            .collect()
    }

    async fn attach(&self) -> Result<(), JsValue> {
        for feed in Feed::ALL {
            self.replace(feed).await?;
        }
        Ok(())
    }

    /// Sends what there is to send, once somebody has answered: whoever rings may be at the other end of a path already.
    async fn replace(&self, feed: Feed) -> Result<(), JsValue> {
        let track = self.tracks.borrow()[feed.place()].clone();
        let track = track.filter(|_| self.answered.get());
        // An older page may offer fewer.
        if let Some(transceiver) = self.transceivers().get(feed.place())
            && transceiver.sender().track() != track
        {
            // Another camera may make larger pictures: asked for in the same breath, each waiting for its turn in the browser.
            let fitted = async {
                if feed == Feed::Camera {
                    self.fit(track.as_ref()).await;
                }
            };
            let replaced =
                async { JsFuture::from(transceiver.sender().replace_track(track.as_ref())).await };
            future::join(fitted, replaced).await.1?;
        }
        Ok(())
    }
}

fn description(kind: RtcSdpType, sdp: &str) -> RtcSessionDescriptionInit {
    let description = RtcSessionDescriptionInit::new(kind);
    description.set_sdp(sdp);
    description
}
