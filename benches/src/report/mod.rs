//! The report: tables, targets and a plot.

pub mod capacity_model;
pub mod document;
pub mod plot;
pub mod results;
pub mod table;
pub mod targets;

use std::{fs, path::Path};

use anyhow::{Context, Result};

use self::results::Results;
use crate::options::Options;

/// Prints the report, and writes the documents if the options name a folder.
pub fn write(options: &Options, results: &Results) -> Result<()> {
    let document = document::markdown(options, results);
    println!("\n{document}");
    let model = capacity_model::markdown(results);
    if let Some(model) = &model {
        println!("{model}");
    }
    if !options.out.is_empty() {
        let folder = Path::new(&options.out);
        let write = |name: &str, text: &str| {
            let file = folder.join(name);
            fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))
        };
        write("performance.md", &document)?;
        write("performance.svg", &plot::svg(results))?;
        if let Some(model) = &model {
            let file = folder.join("scaling.md");
            let scaling = fs::read_to_string(&file).unwrap_or_default();
            let scaling = capacity_model::replace_tables(&scaling, model);
            write(
                "scaling.md",
                &scaling.with_context(|| format!("no markers in {}", file.display()))?,
            )?;
        }
    }
    Ok(())
}
