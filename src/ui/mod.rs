//! Components and hooks that know none of the systems.
//!
//! | module | what it holds |
//! |---|---|
//! | [`again`] | asking again for what could not be had |
//! | [`avatar`] | a person's initials on a colour of their own |
//! | [`browser`] | what only a browser can be asked: time, randomness, storage, timers |
//! | [`build`] | noticing that the server runs a newer build than this page |
//! | [`findings`] | what was found out, a verdict a row |
//! | [`form`] | fields, the failure a plain form came back with, and posting one from within the page |
//! | [`icon`] | the icons |
//! | [`notice`] | sentences that the reader should not miss |
//! | [`part`] | parts of the program that come when they are needed |
//! | [`presence`] | whether somebody is here, as a dot |
//! | [`socket`] | the page's one WebSocket |
//! | [`time`] | moments in the reader's own time zone |
//! | [`turns`] | making a page live in short turns |
//! | [`wait`] | what shows when something takes long |

pub mod avatar;
pub mod browser;
pub mod build;
pub mod findings;
pub mod form;
pub mod hydration;
pub mod icon;
pub mod lazy;
pub mod loading;
pub mod notice;
pub mod presence;
pub mod refetch;
pub mod socket;
pub mod time;
