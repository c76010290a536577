//! The configuration of a peer connection (W3C `RTCConfiguration`).

use crate::model::call::IceServer;
use js_sys::{Array, Reflect};
use wasm_bindgen::JsValue;
use web_sys::{RtcConfiguration, RtcIceServer, RtcIceTransportPolicy};

pub(in crate::calls::client) fn rtc_configuration(
    servers: &[IceServer],
    policy: RtcIceTransportPolicy,
) -> RtcConfiguration {
    let list: Array = servers
        .iter()
        .map(|server| {
            let init = RtcIceServer::new();
            init.set_urls(&server.urls.iter().map(JsValue::from).collect::<Array>());
            if let Some(username) = &server.username {
                init.set_username(username);
            }
            if let Some(credential) = &server.credential {
                init.set_credential(credential);
            }
            init
        })
        .collect();
    let configuration = RtcConfiguration::new();
    configuration.set_ice_servers(&list);
    configuration.set_ice_transport_policy(policy);
    // Both ends are Rialto pages, so everything shares one transport (RFC 8843), with a third of the candidates.
    let _ = Reflect::set(&configuration, &"bundlePolicy".into(), &"max-bundle".into());
    configuration
}
