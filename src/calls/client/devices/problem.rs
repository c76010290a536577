//! Why a device is not available, and what to do.

/// A device captured for a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CaptureDevice {
    Microphone,
    Camera,
}

impl CaptureDevice {
    /// The name within a sentence.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Microphone => "microphone",
            Self::Camera => "camera",
        }
    }

    /// The text after another device replaced an unplugged one.
    #[must_use]
    pub fn replaced_text(self, by: &str) -> String {
        let name = self.name();
        if by.is_empty() {
            format!("The {name} was disconnected. Now using another one.")
        } else {
            format!("The {name} was disconnected. Now using “{by}”.")
        }
    }
}

/// The browsers whose permission settings differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Browser {
    Chromium,
    ChromiumPhone,
    Firefox,
    Safari,
    /// Any browser on an iPhone or iPad.
    Ios,
    #[default]
    Other,
}

impl Browser {
    /// Detects the browser from `navigator.userAgent`.
    #[must_use]
    pub fn from_user_agent(text: &str) -> Self {
        let has = |part: &str| text.contains(part);
        if has("iPhone") || has("iPad") {
            Self::Ios
        } else if has("Firefox/") && !has("Android") {
            Self::Firefox
        } else if has("Chrome/") && has("Android") {
            Self::ChromiumPhone
        } else if has("Chrome/") {
            Self::Chromium
        } else if has("Safari/") && has("Macintosh") {
            Self::Safari
        } else {
            Self::Other
        }
    }

    fn permission_steps(self, device: CaptureDevice) -> String {
        let name = device.name();
        let label = match device {
            CaptureDevice::Microphone => "Microphone",
            CaptureDevice::Camera => "Camera",
        };
        match self {
            Self::Chromium => format!("Press the icon left of the address, and turn “{label}” on"),
            Self::ChromiumPhone => format!(
                "Press the icon left of the address, choose “Permissions”, and allow the {name}"
            ),
            Self::Firefox => {
                format!("Press the crossed-out {name} left of the address, and remove the block")
            }
            Self::Safari => format!(
                "Choose “Settings for this website” in the Safari menu, and allow the {name}"
            ),
            Self::Ios => format!(
                "Press the icon beside the address, choose “Website settings”, and allow the {name}"
            ),
            Self::Other => {
                format!("Allow the {name} in the site's settings beside the address")
            }
        }
    }
}

/// Why a device is not available.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeviceProblem {
    /// The person or an administrator refused.
    Refused,
    Missing,
    /// Another program uses it, or the system withholds it.
    InUse,
    Overconstrained,
    /// The page is not on https (W3C Secure Contexts).
    Insecure,
    Unsupported,
    /// The device was unplugged or revoked.
    Lost,
    Other,
}

impl DeviceProblem {
    /// Maps an exception of `getUserMedia` (W3C Media Capture and Streams, section 10).
    #[must_use]
    pub fn from_exception(name: &str) -> Self {
        match name {
            "NotAllowedError" | "SecurityError" => Self::Refused,
            "NotFoundError" => Self::Missing,
            "NotReadableError" | "AbortError" => Self::InUse,
            "OverconstrainedError" => Self::Overconstrained,
            _ => Self::Other,
        }
    }

    /// What happened, what to do, and how the call can continue.
    #[must_use]
    pub fn text(self, device: CaptureDevice, browser: Browser) -> String {
        let name = device.name();
        let (again, still) = match device {
            CaptureDevice::Microphone => (
                "press the microphone button",
                "Without it you can still hear the other person.",
            ),
            CaptureDevice::Camera => (
                "press the camera button",
                "Without it you can still see the other person.",
            ),
        };
        let what = match self {
            Self::Refused => format!(
                "Your browser blocks the {name} for this page. {}, then {again}.",
                browser.permission_steps(device)
            ),
            Self::Missing => format!("No {name} was found. Connect one, then {again}."),
            Self::InUse => {
                format!(
                    "The {name} could not be started; another program may be using it. Close that program, then {again}."
                )
            }
            Self::Overconstrained => {
                format!("The {name} is not suitable for calls. Try another one, then {again}.")
            }
            Self::Insecure => {
                format!("The {name} works only on secure pages. Open this site over https.")
            }
            Self::Unsupported => {
                format!("This browser does not support a {name}. Use a current browser.")
            }
            Self::Lost => format!("The {name} was disconnected. Connect it, then {again}."),
            Self::Other => format!("The {name} could not be started. Check it, then {again}."),
        };
        format!("{what} {still}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_failure_says_what_happened_what_to_do_and_what_still_works() {
        for (exception, says) in [
            ("NotAllowedError", "Your browser blocks"),
            ("NotFoundError", "was found"),
            ("NotReadableError", "another program"),
            ("OverconstrainedError", "Try another"),
            ("TypeError", "could not be started"),
        ] {
            for device in [CaptureDevice::Microphone, CaptureDevice::Camera] {
                let text = DeviceProblem::from_exception(exception).text(device, Browser::Other);
                assert!(
                    text.contains(says) && text.contains("you can still"),
                    "{text}"
                );
            }
        }
        assert!(
            DeviceProblem::Insecure
                .text(CaptureDevice::Camera, Browser::Other)
                .contains("https")
        );
    }

    #[test]
    fn who_refused_is_told_the_steps_of_their_own_browser() {
        for (agent, browser) in [
            (
                "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36",
                Browser::Chromium,
            ),
            (
                "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Mobile Safari/537.36",
                Browser::ChromiumPhone,
            ),
            (
                "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
                Browser::Firefox,
            ),
            (
                "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Safari/605.1.15",
                Browser::Safari,
            ),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/140.0 Mobile/15E148 Safari/604.1",
                Browser::Ios,
            ),
            ("curl/8.0", Browser::Other),
        ] {
            assert_eq!(Browser::from_user_agent(agent), browser, "{agent}");
            let text = DeviceProblem::Refused.text(CaptureDevice::Camera, browser);
            assert!(
                text.contains("address") || text.contains("Safari menu"),
                "{text}"
            );
        }
    }
}
