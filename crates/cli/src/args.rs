//! The command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

/// Fine-tune language models on medical questions, on your own machine, and see whether it helped.
#[derive(Debug, Parser)]
#[command(name = "medtune", version, propagate_version = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Carry out a recipe: data, training, adapter, record.
    Train(TrainArgs),
}

/// Arguments of `train`.
#[derive(Debug, clap::Args)]
pub(crate) struct TrainArgs {
    /// The recipe, a YAML file.
    pub(crate) recipe: PathBuf,
    /// Change a key of the recipe: `--set learning_rate=1e-4`, `--set datasets.0.path=rows.csv`.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
    /// Go on from the newest checkpoint of the run.
    #[arg(long)]
    pub(crate) resume: bool,
    /// One JSON document on standard output.
    #[arg(long)]
    pub(crate) json: bool,
}
