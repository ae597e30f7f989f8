//! medtune: from medical documents and questions to a language model that was measured.

mod args;
mod commands;
mod disk;
mod failure;
mod interrupt;
mod known_models;
mod output;
mod pipeline;
mod progress;
mod recipe_file;
mod shipped;

use std::process::ExitCode;

use clap::Parser;

use crate::failure::Status;

fn main() -> ExitCode {
    let args = match args::Args::try_parse() {
        Ok(args) => args,
        Err(usage) => {
            // Nothing can be done about a terminal that is not there.
            let _ = usage.print();
            // clap would leave with 2, which here means that something unexpected happened.
            return if usage.use_stderr() { ExitCode::from(Status::Input as u8) } else { ExitCode::SUCCESS };
        }
    };
    match commands::run(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.report("");
            failure.exit_code()
        }
    }
}
