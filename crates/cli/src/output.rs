//! Standard output: what a command was asked for, for people and for programs.

use std::io::{IsTerminal, Write};

use serde_json::Value;

use crate::failure::{Failure, Outcome};

/// Prints `text` and ends its line. A reader that has gone away, as `head` does, has what it wanted.
pub(crate) fn print(text: &str) -> Outcome<()> {
    let mut out = std::io::stdout().lock();
    let ended = if text.ends_with('\n') { "" } else { "\n" };
    let written = out
        .write_all(text.as_bytes())
        .and_then(|()| out.write_all(ended.as_bytes()))
        .and_then(|()| out.flush());
    match written {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Failure::input(format!("standard output: {error}")))
        }
        _ => Ok(()),
    }
}

/// Prints a piece of text at once, as it is being written. What cannot be printed is noticed by [`print`].
pub(crate) fn stream(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Prints one JSON document.
pub(crate) fn print_json(document: &Value) -> Outcome<()> {
    print(&format!("{document:#}"))
}

/// A colour or weight of text on a terminal.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Style {
    Bold,
    Green,
    Yellow,
}

/// Puts colours around text, if standard output is a terminal that wants them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Paint {
    pub(crate) coloured: bool,
}

impl Paint {
    /// Colours on a terminal, unless `NO_COLOR` says no.
    pub(crate) fn for_stdout() -> Self {
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|value| value == "dumb");
        Paint { coloured: std::io::stdout().is_terminal() && !refused && !dumb }
    }

    /// `text` in `style`.
    pub(crate) fn text(self, style: Style, text: &str) -> String {
        if !self.coloured {
            return text.to_owned();
        }
        let code = match style {
            Style::Bold => 1,
            Style::Green => 32,
            Style::Yellow => 33,
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }
}

/// A number of bytes for people.
pub(crate) fn bytes(count: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    let (mut value, mut name) = (count as f64, "bytes");
    for unit in UNITS {
        if value < 1024.0 {
            break;
        }
        (value, name) = (value / 1024.0, unit);
    }
    if name == "bytes" { format!("{count} bytes") } else { format!("{value:.1} {name}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_shown_in_the_largest_unit_that_fits() {
        assert_eq!(bytes(1023), "1023 bytes");
        assert_eq!(bytes(1536), "1.5 KiB");
        assert_eq!(bytes(8 << 30), "8.0 GiB");
        assert_eq!(bytes(5000 << 40), "5000.0 TiB");
    }

    #[test]
    fn text_stays_plain_where_colours_are_not_wanted() {
        assert_eq!(Paint { coloured: false }.text(Style::Green, "ok"), "ok");
        assert_eq!(Paint { coloured: true }.text(Style::Green, "ok"), "\u{1b}[32mok\u{1b}[0m");
    }
}
