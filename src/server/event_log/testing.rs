//! Store for the tests of the event log.

use crate::server::{
    config::StoreConfig,
    store::{Store, testing::TestStorage},
};
use clap::Parser;

#[derive(Parser)]
struct StoreArgs {
    #[command(flatten)]
    store: StoreConfig,
}

pub(super) async fn open_store(home: &TestStorage) -> Store {
    let flags = std::iter::once("rialto".to_owned()).chain(home.arguments());
    Store::open(&StoreArgs::parse_from(flags).store)
        .await
        .unwrap()
}
