//! The whole server from outside: the real program on a free port, spoken to by real clients. Nothing is mocked.
//!
//! Each module is a part of what Rialto promises, and its tests read as sentences about it. [`support`] starts servers and
//! speaks for people; a test has a server of its own and shares nothing with others.

mod architecture;
mod calls;
mod chat;
mod cluster;
mod doctor;
mod durability;
mod files;
mod full_disk;
mod guests;
mod handshake;
mod metrics;
mod news;
mod object_store;
mod pages;
mod people;
mod postgres;
mod protocol_abuse;
mod protocol_doc;
mod resume;
mod room_isolation;
mod rooms;
mod slow_readers;
mod support;
mod turn;
