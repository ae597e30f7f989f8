//! medtune: from medical documents and questions to a language model that was measured.

mod args;
mod commands;
mod failure;
mod pipeline;
mod progress;
mod recipe_file;
mod shipped;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let args = args::Args::parse();
    match commands::run(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {}", failure.message);
            if let Some(hint) = &failure.hint {
                eprintln!("hint: {hint}");
            }
            failure.exit_code()
        }
    }
}
