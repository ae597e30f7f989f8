//! How a command fails: whose fault it is, what happened, what to do.

use std::process::ExitCode;

/// Exit status of the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    /// The user's input.
    Input = 1,
    /// Unexpected.
    Unexpected = 2,
    /// A gate said no.
    Gate = 3,
}

/// Why a command failed.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) status: Status,
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
}

impl Failure {
    /// Something in what the user gave.
    pub(crate) fn input(message: impl Into<String>) -> Self {
        Failure { status: Status::Input, message: message.into(), hint: None }
    }

    /// Something that should not happen.
    pub(crate) fn unexpected(message: impl Into<String>) -> Self {
        Failure { status: Status::Unexpected, message: message.into(), hint: None }
    }

    /// A check that refuses to go on.
    pub(crate) fn gate(message: impl Into<String>) -> Self {
        Failure { status: Status::Gate, message: message.into(), hint: None }
    }

    /// Adds what to do about it.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.status as u8)
    }
}

/// An error and what caused it, on one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

macro_rules! from_input {
    ($($error:ty),*) => {$(
        impl From<$error> for Failure {
            fn from(error: $error) -> Self {
                Failure::input(chain(&error))
            }
        }
    )*};
}

from_input!(dataset::Error, model::Error, formats::Error, track::Error, train::Error, eval::Error);

impl From<compute::Error> for Failure {
    fn from(error: compute::Error) -> Self {
        Failure::unexpected(chain(&error)).hint("use smaller batches (micro_batch_tokens) or a smaller model")
    }
}

/// A file that the system refuses.
pub(crate) fn io(path: &std::path::Path) -> impl FnOnce(std::io::Error) -> Failure + '_ {
    move |error| Failure::input(format!("{}: {error}", path.display()))
}

/// Result of a command.
pub(crate) type Outcome<T> = std::result::Result<T, Failure>;
