//! `navigator.mediaDevices` (W3C Media Capture and Streams).

use super::problem::DeviceProblem;
use web_sys::MediaDevices;

/// Fails outside a secure context, and without browser support.
pub(super) fn media_devices() -> Result<MediaDevices, DeviceProblem> {
    let window = web_sys::window().ok_or(DeviceProblem::Unsupported)?;
    let devices = window
        .navigator()
        .media_devices()
        .ok()
        .filter(|devices| !devices.is_undefined());
    devices.ok_or(if window.is_secure_context() {
        DeviceProblem::Unsupported
    } else {
        DeviceProblem::Insecure
    })
}
