//! Reading lines, from plain and from compressed files.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};

use crate::place::Compression;

/// The longest line that is read. Lines hold at most a message with a few images in it.
const MAX_LINE: u64 = 256 << 20;

/// How much is read at once: large files are read to their end, in order.
const CHUNK: usize = 256 << 10;

/// A line as it came off the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Ended by a line end.
    Whole,
    /// The last one, without a line end.
    Unended,
    /// Longer than [`MAX_LINE`]; only its beginning was kept.
    TooLong {
        /// Whether a line end was found.
        ended: bool,
    },
}

/// Where a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Line {
    /// From 1.
    pub(crate) number: u64,
    /// Where it begins, in bytes of the unpacked file.
    pub(crate) start: u64,
    /// The bytes it takes, its end included.
    pub(crate) bytes: u64,
    /// How it ended.
    pub(crate) shape: Shape,
}

/// The lines of a file, one at a time. Memory is bounded by the longest line.
pub(crate) struct Lines {
    reader: Box<dyn BufRead + Send>,
    text: Vec<u8>,
    number: u64,
    offset: u64,
}

impl Lines {
    /// Reads a file from where it stands, which is taken to be its beginning.
    ///
    /// # Errors
    /// There is no memory to unpack it.
    pub(crate) fn of(file: File, compression: Compression) -> std::io::Result<Self> {
        Self::starting_at(file, compression, 0, 0)
    }

    /// The same for a file that stands somewhere further on, after so many lines and bytes.
    pub(crate) fn starting_at(
        file: File,
        compression: Compression,
        number: u64,
        offset: u64,
    ) -> std::io::Result<Self> {
        let reader: Box<dyn BufRead + Send> = match compression {
            Compression::None => Box::new(BufReader::with_capacity(CHUNK, file)),
            Compression::Zstd => Box::new(BufReader::with_capacity(
                CHUNK,
                zstd::stream::read::Decoder::new(file)?,
            )),
        };
        Ok(Self {
            reader,
            text: Vec::new(),
            number,
            offset,
        })
    }

    /// The next line, without its end; none at the end of the file.
    ///
    /// # Errors
    /// The file cannot be read on, or is no longer what it was packed from.
    pub(crate) fn next(&mut self) -> std::io::Result<Option<(Line, &[u8])>> {
        self.text.clear();
        let mut bytes = (&mut self.reader)
            .take(MAX_LINE)
            .read_until(b'\n', &mut self.text)? as u64;
        let shape = match self.text.last() {
            None => return Ok(None),
            Some(b'\n') => {
                self.text.pop();
                Shape::Whole
            }
            Some(_) if bytes < MAX_LINE => Shape::Unended,
            Some(_) => {
                let (skipped, ended) = skip_line(&mut self.reader)?;
                bytes += skipped;
                Shape::TooLong { ended }
            }
        };
        self.number += 1;
        let line = Line {
            number: self.number,
            start: self.offset,
            bytes,
            shape,
        };
        self.offset += bytes;
        Ok(Some((line, &self.text)))
    }
}

/// Goes to the next line. Says how far that was, and whether there was a line end at all.
fn skip_line(reader: &mut impl BufRead) -> std::io::Result<(u64, bool)> {
    let mut skipped = 0;
    loop {
        let chunk = reader.fill_buf()?;
        if chunk.is_empty() {
            return Ok((skipped, false));
        }
        let end = memchr::memchr(b'\n', chunk).map(|at| at + 1);
        let length = end.unwrap_or(chunk.len());
        reader.consume(length);
        skipped += length as u64;
        if end.is_some() {
            return Ok((skipped, true));
        }
    }
}
