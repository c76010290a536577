//! Every entry point with its bounds. A route, frame or TURN method that is missing here is refused.

use super::bound::Bound::{
    self, AccountPasswords, AllTurnConnections, Calls, Changes, Chunks, Conversations, Credentials,
    Frames, Messages, Pages, Passwords, PersonPages, Presence, Renames, Requests, Resumes, Rings,
    Rooms, SignIns, StrangersRings, StreamStarts, Streams, TurnConnections, TurnRelays,
    TurnRequests, Typing, WebSockets,
};
use std::{collections::HashMap, sync::LazyLock};

/// Where a client reaches the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EntryPoint {
    pub kind: EntryPointKind,
    /// Route pattern or `type` of a frame.
    pub name: &'static str,
    /// Taken before it is known who asks: of the address or, for a frame, of the person.
    pub before: &'static [Bound],
    /// Taken before the handler runs: of the person, or of the address of who is not signed in.
    pub visitor: &'static [Bound],
    /// Taken by the handler, which knows more.
    pub within: &'static [Bound],
}

/// Kind of an entry point.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EntryPointKind {
    /// HTTP route; server functions are below `/fn/`.
    Route,
    /// WebSocket frame of a client.
    Frame,
    /// TURN method (RFC 8656); its requests also count as bytes of the relay.
    Turn,
}

/// Paths without a route: files of the site, and the page that says so.
pub const OTHER_ROUTES: &str = "other";
/// The browser's program, below a folder of the build's name.
pub const PROGRAM_ROUTE: &str = "/pkg";
/// Binary frames: the chunks of a file.
pub const CHUNK_FRAME: &str = "chunk";

const fn route(name: &'static str, before: &'static [Bound]) -> EntryPoint {
    EntryPoint {
        kind: EntryPointKind::Route,
        name,
        before,
        visitor: &[],
        within: &[],
    }
}

/// A page or server function. It costs more than most requests, and an abuser who is signed in must not use up the bound of
/// everybody behind their address.
const fn page(name: &'static str) -> EntryPoint {
    route(name, &[Requests]).visitor(&[Pages, PersonPages])
}

const fn frame(name: &'static str, before: &'static [Bound]) -> EntryPoint {
    EntryPoint {
        kind: EntryPointKind::Frame,
        name,
        before,
        visitor: &[],
        within: &[],
    }
}

const fn turn(name: &'static str, within: &'static [Bound]) -> EntryPoint {
    EntryPoint {
        kind: EntryPointKind::Turn,
        name,
        before: &[],
        visitor: &[],
        within,
    }
}

impl EntryPoint {
    const fn visitor(self, visitor: &'static [Bound]) -> Self {
        Self { visitor, ..self }
    }

    /// All its bounds.
    pub fn bounds(&self) -> impl Iterator<Item = Bound> {
        let each = self.before.iter().chain(self.visitor).chain(self.within);
        each.copied()
    }

    const fn within(self, within: &'static [Bound]) -> Self {
        Self { within, ..self }
    }
}

/// All entry points.
pub const ENTRY_POINTS: &[EntryPoint] = &[
    route(PROGRAM_ROUTE, &[Requests]),
    route("/healthz", &[Requests]),
    route("/files/{hash}/{name}", &[Requests]),
    page(OTHER_ROUTES),
    route("/readyz", &[Requests, Pages]),
    route("/api/v1/doctor", &[Requests, Pages]),
    route("/api/v1/users/reconnect", &[Requests, Pages]),
    route("/api/v1/stories", &[Requests, Pages]),
    // Pages.
    page("/"),
    page("/news/new"),
    page("/news/{slug}"),
    page("/chat"),
    page("/chat/{room}"),
    page("/calls"),
    page("/call/{token}"),
    page("/settings"),
    page("/admin"),
    page("/signin"),
    // Streams.
    route("/news/events", &[Requests, StreamStarts]).within(&[Streams]),
    route("/ws", &[Requests, StreamStarts]).within(&[Streams, WebSockets]),
    route("/call/{token}/ws", &[Requests, StreamStarts]).within(&[Streams, WebSockets]),
    // Server functions that read.
    page("/fn/news-now"),
    page("/fn/stories"),
    page("/fn/news-desk"),
    page("/fn/story"),
    page("/fn/begin-story"),
    page("/fn/sidebar"),
    page("/fn/room"),
    page("/fn/history"),
    page("/fn/past-calls"),
    page("/fn/people-here"),
    page("/fn/invitation"),
    page("/fn/guest-links"),
    page("/fn/ice-servers").visitor(&[Pages, PersonPages, Credentials]),
    page("/fn/blocked-people"),
    page("/fn/administration"),
    // Server functions that let somebody in.
    route("/fn/pick-name", &[Requests, SignIns]).visitor(&[Pages, PersonPages]),
    route("/fn/sign-in", &[Requests, SignIns])
        .visitor(&[Pages, PersonPages])
        .within(&[Passwords, AccountPasswords]),
    route("/fn/claim-admin", &[Requests, SignIns]).visitor(&[Pages, PersonPages]),
    route("/fn/enter-call", &[Requests, SignIns]).visitor(&[Pages, PersonPages]),
    route("/fn/set-password", &[Requests, SignIns]).visitor(&[Pages, PersonPages, Changes]),
    // Server functions that change something.
    page("/fn/sign-out"),
    page("/fn/set-theme"),
    page("/fn/rename").visitor(&[Pages, PersonPages, Changes, Renames]),
    page("/fn/post").visitor(&[Pages, PersonPages, Messages]),
    page("/fn/create-room").visitor(&[Pages, PersonPages, Changes, Rooms]),
    page("/fn/open-direct").within(&[Conversations]),
    page("/fn/hide-room").visitor(&[Pages, PersonPages, Changes]),
    page("/fn/block").visitor(&[Pages, PersonPages, Changes]),
    page("/fn/unblock").visitor(&[Pages, PersonPages, Changes]),
    page("/fn/set-call-settings").visitor(&[Pages, PersonPages, Changes]),
    page("/fn/create-guest-link").visitor(&[Pages, PersonPages, Changes]),
    page("/fn/revoke-guest-link").visitor(&[Pages, PersonPages, Changes]),
    page("/fn/publish-story").visitor(&[Pages, PersonPages, Changes]),
    page("/fn/preview-story").visitor(&[Pages, PersonPages, Messages]),
    page("/fn/set-role").visitor(&[Pages, PersonPages, Changes]),
    page("/fn/revoke-token").visitor(&[Pages, PersonPages, Changes]),
    page("/fn/examine-server").visitor(&[Pages, PersonPages, Changes]),
    // Frames.
    frame("hello", &[Frames]).within(&[Resumes]),
    frame("ping", &[Frames]),
    frame("visibility", &[Frames]).within(&[Presence]),
    frame("resume", &[Frames]).within(&[Resumes]),
    frame("send", &[Frames]).within(&[Messages]),
    frame("upload", &[Frames]).within(&[Messages]),
    frame("upload_cancel", &[Frames]),
    frame("read", &[Frames]),
    frame("typing", &[Frames]).within(&[Typing]),
    frame("call", &[Frames]).within(&[Messages, Calls, Rings, StrangersRings, Conversations]),
    frame(CHUNK_FRAME, &[Chunks]),
    // TURN.
    turn(
        "Binding",
        &[TurnConnections, AllTurnConnections, TurnRequests],
    ),
    turn(
        "Allocate",
        &[
            TurnConnections,
            AllTurnConnections,
            TurnRequests,
            TurnRelays,
        ],
    ),
    turn(
        "Refresh",
        &[TurnConnections, AllTurnConnections, TurnRequests],
    ),
    turn(
        "CreatePermission",
        &[TurnConnections, AllTurnConnections, TurnRequests],
    ),
    turn(
        "ChannelBind",
        &[TurnConnections, AllTurnConnections, TurnRequests],
    ),
    turn("Send", &[TurnConnections, AllTurnConnections]),
    turn("ChannelData", &[TurnConnections, AllTurnConnections]),
];

/// The entry point of a kind by its name.
#[must_use]
pub fn find(kind: EntryPointKind, name: &str) -> Option<&'static EntryPoint> {
    static BY_NAME: LazyLock<HashMap<(EntryPointKind, &'static str), &'static EntryPoint>> =
        LazyLock::new(|| {
            let each = ENTRY_POINTS.iter();
            each.map(|entry| ((entry.kind, entry.name), entry))
                .collect()
        });
    BY_NAME.get(&(kind, name)).copied()
}
