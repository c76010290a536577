//! Components and hooks that depend on none of the systems.
//!
//! | module | contents |
//! |---|---|
//! | [`avatar`] | a person's initials on a colour of their own |
//! | [`browser`] | browser APIs: time, randomness, storage, timers |
//! | [`browser_state`] | state that holds browser handles, owned by a reactive owner |
//! | [`build`] | detecting that the server runs a newer build than this page |
//! | [`findings`] | a list of findings with their verdicts |
//! | [`form`] | form fields, failures of plain forms, and submission without leaving the page |
//! | [`hydration`] | hydrating the page in chunks |
//! | [`icon`] | icons |
//! | [`lazy`] | lazy-loaded WASM chunks |
//! | [`loading`] | loading indicators |
//! | [`notice`] | notices for the reader |
//! | [`page_visibility`] | whether the page is visible |
//! | [`presence`] | a person's presence as a dot |
//! | [`reconnect`] | keeping live connections open |
//! | [`refetch`] | fetching failed resources again |
//! | [`socket`] | the page's one WebSocket |
//! | [`time`] | times in the reader's time zone |

pub mod avatar;
pub mod browser;
pub mod browser_state;
pub mod build;
pub mod findings;
pub mod form;
pub mod hydration;
pub mod icon;
pub mod lazy;
pub mod loading;
pub mod notice;
pub mod page_visibility;
pub mod presence;
pub mod reconnect;
pub mod refetch;
pub mod socket;
pub mod time;
