//! Black-box tests: the real program, real clients, no mocks.
//!
//! Every test starts its own server; [`support`] starts servers and clients.

mod architecture;
mod backup;
mod blocking;
mod call_leader;
mod calls;
mod chat;
mod cluster;
mod command_line;
mod data_folder;
mod deployment;
mod doctor;
mod durability;
mod files;
mod full_disk;
mod guests;
mod handshake;
mod limits;
mod metrics;
mod news;
mod object_store;
mod operating_doc;
mod pages;
mod people;
mod plain_forms;
mod postgres;
mod protocol_abuse;
mod protocol_doc;
mod refusals;
mod resume;
mod room_isolation;
mod rooms;
mod slow_readers;
mod store_mark;
mod store_outages;
mod support;
mod turn;
mod worst_day;
