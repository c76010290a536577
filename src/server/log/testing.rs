//! A store for the tests of the log.

use crate::server::{
    config::StoreConfig,
    store::{Store, testing::Home},
};
use clap::Parser;

#[derive(Parser)]
struct Flags {
    #[command(flatten)]
    store: StoreConfig,
}

/// The store of a home.
pub(super) async fn open(home: &Home) -> Store {
    let flags = std::iter::once("rialto".to_owned()).chain(home.arguments());
    Store::open(&Flags::parse_from(flags).store).await.unwrap()
}
