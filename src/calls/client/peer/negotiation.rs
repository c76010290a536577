//! Offer, answer, candidates, and looking for another path: what changes the session, one job after another.

use super::{Job, News, Shared, Why};
use crate::{
    calls::client::{feed::Feed, recovery::Means},
    model::call::{Side, Signal},
    ui::browser,
};
use std::rc::Rc;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{
    RtcIceCandidateInit, RtcOfferOptions, RtcRtpTransceiver, RtcRtpTransceiverDirection,
    RtcSdpType, RtcSessionDescriptionInit, RtcSignalingState,
};

/// How long a page on which somebody answered waits for an offer before it asks for one, in milliseconds.
const OFFER_WAIT: i32 = 1_500;

impl Shared {
    pub(super) async fn work(self: &Rc<Self>, job: Job) -> Result<(), JsValue> {
        match job {
            Job::Offer { restart } => self.offer(restart).await,
            Job::Answered => self.answered_by_a_person().await,
            Job::Heard(Signal::Offer { sdp }) => self.offered(&sdp).await,
            Job::Heard(Signal::Answer { sdp }) => self.answered(&sdp).await,
            Job::Heard(Signal::Candidate {
                candidate,
                sdp_mid,
                sdp_m_line_index,
            }) => {
                let init = RtcIceCandidateInit::new(&candidate);
                init.set_sdp_mid(sdp_mid.as_deref());
                init.set_sdp_m_line_index(sdp_m_line_index);
                if self.connection.remote_description().is_some() {
                    self.add(&init).await;
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
    async fn offered(&self, sdp: &str) -> Result<(), JsValue> {
        if self.side == Side::Caller {
            // Only the caller makes offers, so this is none of ours.
            return Ok(());
        }
        self.set_remote(RtcSdpType::Offer, sdp).await?;
        for transceiver in self.transceivers() {
            transceiver.set_direction(RtcRtpTransceiverDirection::Sendrecv);
        }
        self.attach().await?;
        self.fit(None).await;
        // Making one takes time, which nobody waits for while it rings; it is neither used nor told before somebody answers.
        let answer = JsFuture::from(self.connection.create_answer()).await?;
        self.prepared.replace(Some(answer));
        if self.answered.get() {
            self.answer().await?;
        }
        Ok(())
    }

    /// A callee's page that has the offer answers it. One that has none yet says that it needs one: what was offered while it rang may be
    /// lost with the server that held it.
    async fn answered_by_a_person(self: &Rc<Self>) -> Result<(), JsValue> {
        if self.side == Side::Caller {
            return Ok(());
        }
        if self.connection.signaling_state() == RtcSignalingState::HaveRemoteOffer {
            return self.answer().await;
        }
        let shared = Rc::downgrade(self);
        browser::after(OFFER_WAIT, move || {
            if let Some(shared) = shared.upgrade()
                && shared.connection.remote_description().is_none()
            {
                shared.say(Signal::Restart);
            }
        });
        Ok(())
    }

    async fn answer(&self) -> Result<(), JsValue> {
        let prepared = self.prepared.take();
        let answer = match prepared {
            Some(answer) => answer,
            None => JsFuture::from(self.connection.create_answer()).await?,
        };
        JsFuture::from(
            self.connection
                .set_local_description(answer.unchecked_ref()),
        )
        .await?;
        self.say_description();
        Ok(())
    }

    /// An offer that was said twice is answered twice: the second answer has nothing to answer.
    async fn answered(&self, sdp: &str) -> Result<(), JsValue> {
        if self.connection.signaling_state() == RtcSignalingState::HaveLocalOffer {
            self.set_remote(RtcSdpType::Answer, sdp).await?;
        }
        Ok(())
    }

    async fn set_remote(&self, kind: RtcSdpType, sdp: &str) -> Result<(), JsValue> {
        let description = RtcSessionDescriptionInit::new(kind);
        description.set_sdp(sdp);
        if let Err(error) =
            JsFuture::from(self.connection.set_remote_description(&description)).await
        {
            (self.tell)(News::Trouble(
                "The other person's browser speaks of the call in a way that this one does not understand. Try another browser.",
            ));
            return Err(error);
        }
        let early = self.early.take();
        for candidate in &early {
            self.add(candidate).await;
        }
        Ok(())
    }

    /// A candidate may belong to a description that was ignored; ICE goes on with the others, and fails by itself if there are
    /// none.
    async fn add(&self, candidate: &RtcIceCandidateInit) {
        let added = self
            .connection
            .add_ice_candidate_with_opt_rtc_ice_candidate_init(Some(candidate));
        let _ = JsFuture::from(added).await;
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
            // Whoever rings may have missed the offer.
            self.say_description();
            return Ok(());
        }
        let connected = self.is_connected() && !self.silent.get();
        if connected && why == Why::Gone {
            return Ok(());
        }
        if connected && why == Why::Back {
            // What was said meanwhile is lost. Of the path nobody knows yet.
            if self.connection.signaling_state() == RtcSignalingState::HaveLocalOffer {
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
        let pending = self.connection.signaling_state() == RtcSignalingState::HaveLocalOffer;
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

    async fn replace(&self, feed: Feed) -> Result<(), JsValue> {
        let track = self.tracks.borrow()[feed.place()].clone();
        // An older page may offer fewer.
        if let Some(transceiver) = self.transceivers().get(feed.place())
            && transceiver.sender().track() != track
        {
            if feed == Feed::Camera {
                // Another camera may make larger pictures.
                self.fit(track.as_ref()).await;
            }
            JsFuture::from(transceiver.sender().replace_track(track.as_ref())).await?;
        }
        Ok(())
    }
}
