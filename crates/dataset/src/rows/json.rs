//! Records of JSON files: one object a line, one array of objects, or one object of objects by key.
//!
//! An array is cut into its elements first, and each is parsed alone: memory stays bounded, and a broken element
//! does not take the others with it.

use serde_json::Value;

use super::lines::{Line, Lines};
use super::{Raw, Record};
use crate::Error;
use crate::dropped::{Fault, Rule};
use crate::faults;

/// How the objects lie in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    Lines,
    Array,
    Keyed,
}

/// Reads objects.
pub(crate) struct JsonRecords {
    lines: Lines,
    shape: Shape,
    row: u64,
    line: Option<Line>,
    at: usize,
    opened: bool,
    done: bool,
}

impl JsonRecords {
    /// Finds out the shape. `by_line` is true for a file that says so by its name (`.jsonl`).
    pub(crate) fn new(mut lines: Lines, by_line: bool) -> Result<Self, Error> {
        let shape = shape_of(lines.peek()?.trim_ascii(), by_line);
        Ok(JsonRecords { lines, shape, row: 0, line: None, at: 0, opened: false, done: false })
    }

    /// The next object.
    pub(crate) fn next_record(&mut self) -> Result<Option<Raw>, Error> {
        match self.shape {
            Shape::Lines => self.next_by_line(),
            Shape::Array | Shape::Keyed => self.next_element(),
        }
    }

    fn next_by_line(&mut self) -> Result<Option<Raw>, Error> {
        while let Some(line) = self.lines.next_line()? {
            if line.bytes.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            let content = if line.over { Err(self.too_long()) } else { parse(&line.bytes) };
            let content = content.and_then(|value| Record::new(None, value));
            self.row += 1;
            return Ok(Some(Raw { row: self.row, line: Some(line.number), content }));
        }
        Ok(None)
    }

    fn next_element(&mut self) -> Result<Option<Raw>, Error> {
        if self.done {
            return Ok(None);
        }
        if !self.opened {
            self.skip_blanks(b"")?;
            self.bump()?;
            self.opened = true;
        }
        let Some((first, start)) = self.skip_blanks(b",")? else {
            return self.finish(None, "the file ends before its closing bracket");
        };
        let closing = if self.shape == Shape::Array { b']' } else { b'}' };
        if first == closing {
            self.bump()?;
            self.done = true;
            return match self.skip_blanks(b"")? {
                None => Ok(None),
                Some((_, line)) => self.finish(Some(line), "text after the closing bracket"),
            };
        }
        let key = match (self.shape, first) {
            (Shape::Keyed, b'"') => {
                let key = self.cut()?;
                let Some((b':', _)) = self.skip_blanks(b"")? else {
                    return self.finish(Some(start), "no `:` after a key");
                };
                self.bump()?;
                if self.skip_blanks(b"")?.is_none() {
                    return self.finish(Some(start), "the file ends after a key");
                }
                key.and_then(|bytes| parse(&bytes)).ok().and_then(|key| key.as_str().map(String::from))
            }
            (Shape::Keyed, _) => return self.finish(Some(start), "a key was expected"),
            _ => None,
        };
        let content = self.cut()?.and_then(|bytes| parse(&bytes)).and_then(|value| Record::new(key, value));
        self.row += 1;
        Ok(Some(Raw { row: self.row, line: Some(start), content }))
    }

    /// The bytes of the value that starts here. The reader stands behind it.
    fn cut(&mut self) -> Result<Result<Vec<u8>, Fault>, Error> {
        let (mut bytes, mut depth, mut quoted, mut escaped) = (Vec::new(), 0usize, false, false);
        let mut over = false;
        loop {
            let Some(byte) = self.look()? else {
                let detail = "an element does not end; what follows it in the file cannot be told apart";
                return Ok(Err(Fault::new(Rule::JsonSyntax, detail)));
            };
            if !quoted && depth == 0 && !bytes.is_empty() && matches!(byte, b',' | b']' | b'}' | b':') {
                break;
            }
            self.bump()?;
            over |= bytes.len() >= self.lines.limit();
            if !over {
                bytes.push(byte);
            }
            if quoted {
                quoted = escaped || byte != b'"';
                escaped = !escaped && byte == b'\\';
                if !quoted && depth == 0 {
                    break;
                }
                continue;
            }
            match byte {
                b'"' => quoted = true,
                b'{' | b'[' => depth += 1,
                b'}' | b']' => {
                    depth = depth.saturating_sub(1);
                    if depth == 0 {
                        break;
                    }
                }
                _ => {}
            }
        }
        Ok(if over { Err(self.too_long()) } else { Ok(bytes) })
    }

    fn too_long(&self) -> Fault {
        Fault::new(Rule::TooLong, format!("longer than {} bytes", self.lines.limit()))
    }

    fn finish(&mut self, line: Option<u64>, detail: &str) -> Result<Option<Raw>, Error> {
        self.done = true;
        self.row += 1;
        let detail = format!("{detail}; nothing after it was read");
        Ok(Some(Raw { row: self.row, line, content: Err(Fault::new(Rule::JsonSyntax, detail)) }))
    }

    /// Moves to the first byte that is neither blank nor in `also`, and gives it with its line.
    fn skip_blanks(&mut self, also: &[u8]) -> Result<Option<(u8, u64)>, Error> {
        while let Some(byte) = self.look()? {
            if !byte.is_ascii_whitespace() && !also.contains(&byte) {
                let line = self.line.as_ref().map_or(0, |line| line.number);
                return Ok(Some((byte, line)));
            }
            self.bump()?;
        }
        Ok(None)
    }

    fn look(&mut self) -> Result<Option<u8>, Error> {
        loop {
            if let Some(byte) = self.line.as_ref().and_then(|line| line.bytes.get(self.at)) {
                return Ok(Some(*byte));
            }
            self.line = self.lines.next_piece()?;
            self.at = 0;
            if self.line.is_none() {
                return Ok(None);
            }
        }
    }

    fn bump(&mut self) -> Result<(), Error> {
        if self.look()?.is_some() {
            self.at += 1;
        }
        Ok(())
    }
}

/// The shape of a file by its first line.
fn shape_of(line: &[u8], by_line: bool) -> Shape {
    if line.starts_with(b"[") {
        return Shape::Array;
    }
    if by_line {
        return Shape::Lines;
    }
    match serde_json::from_slice::<Value>(line) {
        Ok(Value::Object(map)) if !map.is_empty() && map.values().all(Value::is_object) => Shape::Keyed,
        Err(error) if error.is_eof() && !line.is_empty() => Shape::Keyed,
        _ => Shape::Lines,
    }
}

fn parse(bytes: &[u8]) -> Result<Value, Fault> {
    let text = std::str::from_utf8(bytes);
    let text = text.map_err(|error| Fault::new(Rule::InvalidUtf8, format!("{error}")))?;
    serde_json::from_str(text)
        .map_err(|error| Fault::new(Rule::JsonSyntax, faults::json(bytes, &error, "an object")))
}
