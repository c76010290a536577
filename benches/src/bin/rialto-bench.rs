//! The benchmark; see the README of this package.

use anyhow::Result;
use clap::Parser as _;
use rialto_bench::{options::Options, report, workloads};

fn main() -> Result<()> {
    let options = Options::parse();
    let results = workloads::run(&options)?;
    report::write(&options, &results)
}
