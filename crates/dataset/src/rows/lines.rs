//! Lines of a text file, plain or gzipped, none of them held beyond a limit.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use crate::Error;

/// One physical line with its line end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    /// Number from 1.
    pub(crate) number: u64,
    /// The bytes, with `\n` where the file has it. Cut off when `over`.
    pub(crate) bytes: Vec<u8>,
    /// The line is longer than the limit.
    pub(crate) over: bool,
}

/// Reads lines one by one and takes lines back.
pub(crate) struct Lines {
    input: Box<dyn BufRead + Send>,
    path: PathBuf,
    limit: usize,
    number: u64,
    returned: VecDeque<Line>,
}

impl Lines {
    /// Opens a file; a gzipped one is known by its first bytes.
    pub(crate) fn open(path: &Path, limit: usize) -> Result<Self, Error> {
        let file = File::open(path).map_err(Error::io(path))?;
        let mut reader = BufReader::with_capacity(1 << 16, file);
        let zipped = reader.fill_buf().map_err(Error::io(path))?.starts_with(&[0x1f, 0x8b]);
        let input: Box<dyn BufRead + Send> = if zipped {
            Box::new(BufReader::with_capacity(1 << 16, flate2::bufread::MultiGzDecoder::new(reader)))
        } else {
            Box::new(reader)
        };
        Lines::new(input, path, limit)
    }

    fn new(mut input: Box<dyn BufRead + Send>, path: &Path, limit: usize) -> Result<Self, Error> {
        let start = input.fill_buf().map_err(Error::io(path))?;
        if start.starts_with(&[0xff, 0xfe]) || start.starts_with(&[0xfe, 0xff]) {
            return Err(Error::NotText { path: path.into(), reason: "is UTF-16; save it as UTF-8" });
        }
        if start.starts_with(&[0xef, 0xbb, 0xbf]) {
            input.consume(3);
        }
        Ok(Lines { input, path: path.into(), limit, number: 0, returned: VecDeque::new() })
    }

    /// The next line, or `None` at the end.
    pub(crate) fn next_line(&mut self) -> Result<Option<Line>, Error> {
        if let Some(line) = self.returned.pop_front() {
            return Ok(Some(line));
        }
        let mut bytes = Vec::new();
        let allowed = self.limit as u64 + 1;
        let read = (&mut self.input).take(allowed).read_until(b'\n', &mut bytes);
        if read.map_err(Error::io(&self.path))? == 0 {
            return Ok(None);
        }
        self.number += 1;
        let over = bytes.len() > self.limit && !bytes.ends_with(b"\n");
        if over {
            bytes.truncate(256);
            self.skip_to_line_end()?;
        }
        Ok(Some(Line { number: self.number, bytes, over }))
    }

    /// Puts lines back; they come again, in this order, before the others.
    pub(crate) fn give_back(&mut self, lines: Vec<Line>) {
        for line in lines.into_iter().rev() {
            self.returned.push_front(line);
        }
    }

    /// The first line that is not blank, left in place.
    pub(crate) fn peek(&mut self) -> Result<Option<Line>, Error> {
        let mut seen = Vec::new();
        let mut found = None;
        while let Some(line) = self.next_line()? {
            let blank = line.bytes.iter().all(u8::is_ascii_whitespace);
            seen.push(line.clone());
            if !blank {
                found = Some(line);
                break;
            }
        }
        self.give_back(seen);
        Ok(found)
    }

    /// The limit of a line and of a record, in bytes.
    pub(crate) fn limit(&self) -> usize {
        self.limit
    }

    /// The file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    fn skip_to_line_end(&mut self) -> Result<(), Error> {
        loop {
            let chunk = self.input.fill_buf().map_err(Error::io(&self.path))?;
            if chunk.is_empty() {
                return Ok(());
            }
            match chunk.iter().position(|&byte| byte == b'\n') {
                Some(at) => {
                    self.input.consume(at + 1);
                    return Ok(());
                }
                None => {
                    let length = chunk.len();
                    self.input.consume(length);
                }
            }
        }
    }
}
