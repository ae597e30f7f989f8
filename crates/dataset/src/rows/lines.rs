//! Lines of a text file, plain or gzipped, none of them held beyond a limit.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use crate::Error;

/// Most bytes of a piece.
const PIECE: u64 = 1 << 16;

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
    /// The last piece did not end its line.
    within: bool,
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
        Ok(Lines { input, path: path.into(), limit, number: 0, within: false, returned: VecDeque::new() })
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

    /// The next bytes, up to a line end and at most [`PIECE`] of them, with the number of their line: for a reader to
    /// which line ends mean nothing.
    pub(crate) fn next_piece(&mut self) -> Result<Option<Line>, Error> {
        let mut bytes = Vec::new();
        let read = (&mut self.input).take(PIECE).read_until(b'\n', &mut bytes);
        if read.map_err(Error::io(&self.path))? == 0 {
            return Ok(None);
        }
        self.number += u64::from(!self.within);
        self.within = !bytes.ends_with(b"\n");
        Ok(Some(Line { number: self.number, bytes, over: false }))
    }

    /// The first line that is not blank, as far as the limit allows; reading starts before it as if it had not been
    /// looked at.
    pub(crate) fn peek(&mut self) -> Result<Vec<u8>, Error> {
        let (mut seen, mut start) = (Vec::new(), 0);
        while seen[start..].iter().all(u8::is_ascii_whitespace) {
            start = seen.len();
            let allowed = self.limit.saturating_sub(start) as u64;
            if (&mut self.input).take(allowed).read_until(b'\n', &mut seen).map_err(Error::io(&self.path))?
                == 0
            {
                break;
            }
        }
        let line = seen[start..].to_vec();
        let rest = std::mem::replace(&mut self.input, Box::new(std::io::empty()));
        self.input = Box::new(std::io::Cursor::new(seen).chain(rest));
        Ok(line)
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
