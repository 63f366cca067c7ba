//! `wasend reference`: the generated pages, written or compared with the committed ones.

use std::{fs, path::PathBuf};

use clap::Args;

use super::CliFailure;
use crate::graphql::schema_sdl;
use crate::{config, problem};

/// Check or write the generated references
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub struct ReferenceArguments {
    /// Fail unless the files in this directory are current
    #[arg(long, value_name = "DIR")]
    pub check: Option<PathBuf>,
    /// Write the files into this directory
    #[arg(long, value_name = "DIR")]
    pub write: Option<PathBuf>,
}

type RenderFn = fn() -> String;

/// Every generated file.
const FILES: &[(&str, RenderFn)] =
    &[("config.md", config::reference), ("errors.md", problem::reference), ("schema.graphql", schema_sdl)];

/// Compares the generated references with the files, or writes them. Errors: a file that is not current or cannot be
/// written.
pub fn run(arguments: &ReferenceArguments) -> Result<(), CliFailure> {
    if let Some(directory) = &arguments.write {
        fs::create_dir_all(directory).map_err(|error| CliFailure::because("the directory cannot be made", &error))?;
    }
    let mut stale = Vec::new();
    for (name, render) in FILES {
        let text = render();
        if let Some(directory) = &arguments.write {
            let path = directory.join(name);
            fs::write(&path, text)
                .map_err(|error| CliFailure::because(&format!("{} cannot be written", path.display()), &error))?;
        } else if let Some(directory) = &arguments.check
            && fs::read_to_string(directory.join(name)).ok().as_ref() != Some(&text)
        {
            stale.push(*name);
        }
    }
    if stale.is_empty() {
        return Ok(());
    }
    Err(CliFailure::Failed(format!("not current: {}; run `wasend reference --write DIR`", stale.join(", "))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_current_until_it_is_changed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("reference");
        let check = ReferenceArguments { check: Some(path.clone()), write: None };
        assert!(run(&check).is_err());
        run(&ReferenceArguments { check: None, write: Some(path.clone()) }).unwrap();
        run(&check).unwrap();
        fs::write(path.join("errors.md"), "").unwrap();
        assert_eq!(run(&check).unwrap_err().to_string(), "not current: errors.md; run `wasend reference --write DIR`");
    }
}
