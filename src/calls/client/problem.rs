//! Why there is no microphone or no camera, in words that say what to do.

/// One of the two devices of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Device {
    /// What the other one hears.
    Microphone,
    /// What the other one sees.
    Camera,
}

/// Why a device cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Problem {
    /// The person, or their administrator, said no.
    Refused,
    /// There is none.
    Missing,
    /// Another program has it, or the system does not hand it over.
    InUse,
    /// None does what was asked of it.
    Unfit,
    /// The page is not on https, so the browser hands out no device (W3C Secure Contexts).
    Insecure,
    /// The browser knows no devices at all.
    Unsupported,
    /// It worked, and then it was unplugged or taken away.
    Lost,
    /// Something else.
    Other,
}

impl Problem {
    /// From the name of the exception with which `getUserMedia` fails (W3C Media Capture and Streams, section 10).
    #[must_use]
    pub fn from_exception(name: &str) -> Self {
        match name {
            "NotAllowedError" | "SecurityError" => Self::Refused,
            "NotFoundError" => Self::Missing,
            "NotReadableError" | "AbortError" => Self::InUse,
            "OverconstrainedError" => Self::Unfit,
            _ => Self::Other,
        }
    }

    /// What happened, and what to do. The call is possible all the same, and the text says how.
    #[must_use]
    pub fn text(self, device: Device) -> String {
        let (name, again, still) = match device {
            Device::Microphone => (
                "microphone",
                "press the microphone button",
                "Without it you can still hear the other person.",
            ),
            Device::Camera => (
                "camera",
                "press the camera button",
                "Without it you can still see the other person.",
            ),
        };
        let what = match self {
            Self::Refused => format!(
                "The browser does not let this page use the {name}. Allow it in the site's settings beside the address, then {again}."
            ),
            Self::Missing => format!("No {name} was found. Connect one, then {again}."),
            Self::InUse => {
                format!(
                    "The {name} does not start; another program may be using it. Close that program, then {again}."
                )
            }
            Self::Unfit => {
                format!("The {name} cannot do what a call needs. Try another one, then {again}.")
            }
            Self::Insecure => {
                format!(
                    "The browser hands out the {name} on secure pages only. Open this site over https to use it."
                )
            }
            Self::Unsupported => {
                format!("This browser has no way to use a {name}. Try a current one.")
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
            ("NotAllowedError", "does not let this page"),
            ("NotFoundError", "was found"),
            ("NotReadableError", "another program"),
            ("OverconstrainedError", "Try another"),
            ("TypeError", "could not be started"),
        ] {
            for device in [Device::Microphone, Device::Camera] {
                let text = Problem::from_exception(exception).text(device);
                assert!(
                    text.contains(says) && text.contains("you can still"),
                    "{text}"
                );
            }
        }
        assert!(Problem::Insecure.text(Device::Camera).contains("https"));
    }
}
