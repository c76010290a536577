//! `navigator.mediaDevices` (W3C Media Capture and Streams).

use super::problem::DeviceProblem;
use crate::ui::browser_apis;
use web_sys::MediaDevices;

/// Fails outside a secure context, and without browser support.
pub(super) fn media_devices() -> Result<MediaDevices, DeviceProblem> {
    let is_secure = web_sys::window().is_some_and(|window| window.is_secure_context());
    browser_apis::media_devices().ok_or(if is_secure {
        DeviceProblem::Unsupported
    } else {
        DeviceProblem::Insecure
    })
}
