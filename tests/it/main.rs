//! Black-box tests: the real program on a free port, real clients, no mocks.
//!
//! Each module tests one area; test names state behaviour. [`support`] starts servers and clients.
//! Every test starts its own server and shares nothing with other tests.

mod architecture;
mod calls;
mod chat;
mod cluster;
mod command_line;
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
