//! Asynchronous operations of the browser.

use super::{
    connection::Connection,
    state::interface::{Operation, SdpKind},
};
use crate::calls::client::track_slot::TrackSlot;
use futures::future;
use js_sys::Promise;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{
    MediaStreamTrack, RtcOfferOptions, RtcSdpType, RtcSessionDescription, RtcSessionDescriptionInit,
};

impl Connection {
    pub(super) async fn run_operation(
        &self,
        operation: Operation,
    ) -> Result<Option<String>, JsValue> {
        match operation {
            Operation::CreateOffer { ice_restart } => {
                let options = RtcOfferOptions::new();
                options.set_ice_restart(ice_restart);
                let offer = self.rtc.create_offer_with_rtc_offer_options(&options);
                return created_sdp(offer).await.map(Some);
            }
            Operation::CreateAnswer => {
                return created_sdp(self.rtc.create_answer()).await.map(Some);
            }
            Operation::SetLocalDescription(kind, sdp) => {
                let description = session_description_init(kind, &sdp);
                JsFuture::from(self.rtc.set_local_description(&description)).await?;
            }
            Operation::SetRemoteDescription(kind, sdp) => {
                let description = session_description_init(kind, &sdp);
                JsFuture::from(self.rtc.set_remote_description(&description)).await?;
            }
            Operation::AttachTracks => {
                for slot in TrackSlot::ALL {
                    self.replace_track(slot).await?;
                }
            }
            Operation::ReplaceTrack(slot) => self.replace_track(slot).await?,
            Operation::ConfigureCamera => {
                let track = self.local_track(TrackSlot::Camera);
                self.configure_camera_encoder(track.as_ref()).await;
            }
            Operation::ConfigureEncoders => {
                self.configure_camera_encoder(None).await;
                self.configure_screen_encoder().await;
            }
            Operation::PrioritizeAudio => self.prioritize_audio().await,
        }
        Ok(None)
    }

    /// Before the answer, nothing is attached: a ringing page may already be connected.
    async fn replace_track(&self, slot: TrackSlot) -> Result<(), JsValue> {
        let is_answered = self.state().is_answered();
        let track = self.local_track(slot).filter(|_| is_answered);
        // An older page may offer fewer tracks.
        if let Some(transceiver) = self.transceivers().get(slot.index())
            && transceiver.sender().track() != track
        {
            // The new camera may have larger frames, so the encoder is configured too; the browser queues both.
            let configured = self.configure_replaced_camera(slot, track.as_ref());
            let replaced =
                async { JsFuture::from(transceiver.sender().replace_track(track.as_ref())).await };
            future::join(configured, replaced).await.1?;
        }
        Ok(())
    }

    async fn configure_replaced_camera(&self, slot: TrackSlot, track: Option<&MediaStreamTrack>) {
        if slot == TrackSlot::Camera {
            self.configure_camera_encoder(track).await;
        }
    }
}

async fn created_sdp(description: Promise) -> Result<String, JsValue> {
    let description = JsFuture::from(description).await?;
    Ok(description.unchecked_into::<RtcSessionDescription>().sdp())
}

fn session_description_init(kind: SdpKind, sdp: &str) -> RtcSessionDescriptionInit {
    let description = RtcSessionDescriptionInit::new(match kind {
        SdpKind::Offer => RtcSdpType::Offer,
        SdpKind::Pranswer => RtcSdpType::Pranswer,
        SdpKind::Answer => RtcSdpType::Answer,
    });
    description.set_sdp(sdp);
    description
}
