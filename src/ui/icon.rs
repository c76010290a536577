//! Icons: small line drawings from one file, `public/icons.svg`, in the colour of the text around them.
//!
//! Icons are hidden from screen readers. The text beside the icon, or the button's `aria-label`, carries the meaning.

use leptos::prelude::*;

macro_rules! glyphs {
    ($($(#[$doc:meta])* $name:ident = $id:literal)*) => {
        /// An icon in `public/icons.svg`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Glyph {
            $($(#[$doc])* $name,)*
        }

        impl Glyph {
            /// All glyphs.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The address of the glyph, as the `href` of an SVG `use` element.
            #[must_use]
            pub fn href(self) -> &'static str {
                match self {
                    $(Self::$name => concat!("/icons.svg#", $id),)*
                }
            }
        }
    };
}

glyphs! {
    /// Rialto's own mark.
    Bridge = "bridge"
    /// A newspaper.
    News = "news"
    /// A speech bubble.
    Chat = "chat"
    /// A receiver with waves: the list of calls.
    Calls = "calls"
    /// Two sliders.
    Settings = "settings"
    /// A paper plane.
    Send = "send"
    /// A paper clip.
    Attach = "attach"
    /// A microphone.
    Mic = "mic"
    /// A microphone, struck through.
    MicOff = "mic-off"
    /// A camera.
    Camera = "camera"
    /// A camera, struck through.
    CameraOff = "camera-off"
    /// A receiver: call, accept.
    Phone = "phone"
    /// A receiver put down: decline, hang up.
    PhoneDown = "phone-down"
    /// A camera: call with video.
    Video = "video"
    /// A cross: close, dismiss, cancel.
    Close = "close"
    /// An arrow in a circle.
    Retry = "retry"
    /// An arrow onto a line.
    Download = "download"
    /// A sheet of paper.
    File = "file"
    /// A chevron down.
    Down = "down"
    /// A chevron up.
    Up = "up"
    /// A chevron back.
    Back = "back"
    /// A triangle with an exclamation mark.
    Warn = "warn"
    /// A tick in a circle.
    Ok = "ok"
    /// An i in a circle.
    Info = "info"
    /// Two people.
    People = "people"
    /// A number sign.
    Room = "room"
    /// A plus sign.
    Plus = "plus"
    /// A pencil.
    Write = "write"
    /// Arrows outwards.
    Expand = "expand"
    /// Arrows inwards.
    Shrink = "shrink"
    /// An arrow out of a door.
    SignOut = "sign-out"
    /// Three dots.
    More = "more"
    /// A padlock.
    Lock = "lock"
    /// A disc.
    Dot = "dot"
    /// A screen with an arrow up: share it.
    Screen = "screen"
    /// A screen, crossed out.
    ScreenOff = "screen-off"
    /// A small window in front of a large one.
    PictureInPicture = "float"
    /// Four corners.
    FullScreen = "full-screen"
    /// One large picture above several small ones.
    SpeakerView = "speaker"
    /// A person and a plus sign: invite.
    Invite = "invite"
}

/// One icon, as high as a line of text.
#[component]
pub fn Icon(
    /// The glyph to show.
    name: Glyph,
) -> impl IntoView {
    view! {
        <svg class="icon" width="20" height="20" aria-hidden="true" focusable="false">
            <use_ href=name.href() />
        </svg>
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_glyph_is_drawn_and_every_drawing_is_a_glyph() {
        let sprite = include_str!("../../public/icons.svg");
        let drawn: HashSet<&str> = sprite
            .split(" id=\"")
            .skip(1)
            .filter_map(|rest| rest.split('"').next())
            .collect();
        let named: HashSet<&str> = Glyph::ALL
            .iter()
            .filter_map(|glyph| glyph.href().strip_prefix("/icons.svg#"))
            .collect();
        assert_eq!(named, drawn);
        assert_eq!(named.len(), Glyph::ALL.len(), "no drawing has two names");
    }
}
