//! Icons from `public/icons.svg`, in the text's colour, hidden from screen readers.

use leptos::prelude::*;

macro_rules! glyphs {
    ($($(#[$doc:meta])* $name:ident = $id:literal)*) => {
        /// An icon's name.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Glyph {
            $($(#[$doc])* $name,)*
        }

        impl Glyph {
            /// All glyphs.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The `href` of the icon's `use` element.
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
    /// Rialto's mark.
    Bridge = "bridge"
    News = "news"
    Chat = "chat"
    Calls = "calls"
    Settings = "settings"
    Send = "send"
    Attach = "attach"
    Mic = "mic"
    MicOff = "mic-off"
    Camera = "camera"
    CameraOff = "camera-off"
    Phone = "phone"
    /// Decline, hang up.
    PhoneDown = "phone-down"
    Video = "video"
    Close = "close"
    Retry = "retry"
    Download = "download"
    File = "file"
    Down = "down"
    Up = "up"
    Back = "back"
    Warn = "warn"
    Ok = "ok"
    Info = "info"
    People = "people"
    Room = "room"
    Plus = "plus"
    Write = "write"
    Expand = "expand"
    Shrink = "shrink"
    SignOut = "sign-out"
    More = "more"
    Lock = "lock"
    Dot = "dot"
    /// Share the screen.
    Screen = "screen"
    ScreenOff = "screen-off"
    PictureInPicture = "float"
    FullScreen = "full-screen"
    SpeakerView = "speaker"
    Invite = "invite"
}

/// An icon, as high as a line of text.
#[component]
pub fn Icon(name: Glyph) -> impl IntoView {
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
