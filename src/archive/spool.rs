//! The temporary file of an import, which holds what was received and checked until it is complete.
//!
//! A client decides how fast it sends, so nothing of the database is held meanwhile: no transaction,
//! no connection. The file has no name and is deleted when it is closed, however that happens.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read as _, Seek as _, Write as _};

use relive_session::Revision;

/// Bytes that are read back at once; one record may have more.
const BATCH_BYTES: usize = 1024 * 1024;

/// A record that was received, or made from what was received.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum SpoolRecord {
    /// A line of the file, without its check, and its number.
    Line { number: u64, text: Vec<u8> },
    /// The state at a revision whose keyframe is to be stored, as JSON.
    Keyframe { revision: Revision, state: Vec<u8> },
}

const LINE: u8 = 0;
const KEYFRAME: u8 = 1;

/// The file while it is written.
pub(super) struct Spool(BufWriter<File>);

impl Spool {
    /// # Errors
    ///
    /// If the directory for temporary files (`TMPDIR`) cannot be written to; the same for all others.
    pub fn new() -> io::Result<Self> {
        Ok(Self(BufWriter::new(tempfile::tempfile()?)))
    }

    pub fn line(&mut self, number: u64, text: &[u8]) -> io::Result<()> {
        self.record(LINE, number, text)
    }

    pub fn keyframe(&mut self, revision: Revision, state: &[u8]) -> io::Result<()> {
        self.record(KEYFRAME, revision, state)
    }

    fn record(&mut self, kind: u8, number: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(&[kind])?;
        self.0.write_all(&number.to_le_bytes())?;
        self.0.write_all(&(bytes.len() as u64).to_le_bytes())?;
        self.0.write_all(bytes)
    }

    /// Everything that was written, from the beginning.
    pub fn into_reader(self) -> io::Result<SpoolReader> {
        let file = self.0.into_inner().map_err(io::IntoInnerError::into_error)?;
        SpoolReader(BufReader::new(file)).rewound()
    }
}

/// The file while it is read back.
pub(super) struct SpoolReader(BufReader<File>);

impl SpoolReader {
    /// Reads from the beginning again.
    pub fn rewound(mut self) -> io::Result<Self> {
        self.0.rewind()?;
        Ok(self)
    }

    /// The next records, about a megabyte of them; none at the end.
    pub fn next_batch(&mut self) -> io::Result<Vec<SpoolRecord>> {
        let (mut records, mut bytes) = (Vec::new(), 0);
        while bytes < BATCH_BYTES {
            let mut kind = [0];
            if self.0.read(&mut kind)? == 0 {
                break;
            }
            let number = self.number()?;
            let length = usize::try_from(self.number()?).map_err(io::Error::other)?;
            let mut text = vec![0; length];
            self.0.read_exact(&mut text)?;
            bytes += length;
            records.push(match kind[0] {
                LINE => SpoolRecord::Line { number, text },
                _ => SpoolRecord::Keyframe { revision: number, state: text },
            });
        }
        Ok(records)
    }

    fn number(&mut self) -> io::Result<u64> {
        let mut bytes = [0; 8];
        self.0.read_exact(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back_in_batches_and_again() {
        let mut spool = Spool::new().expect("a temporary file");
        let long = vec![b'x'; BATCH_BYTES];
        spool.line(1, b"{}").expect("written");
        spool.keyframe(256, b"{\"a\":1}").expect("written");
        spool.line(2, &long).expect("written");
        spool.line(3, b"").expect("written");
        let mut reader = spool.into_reader().expect("a reader");
        for _ in 0..2 {
            let line = |number, text: &[u8]| SpoolRecord::Line { number, text: text.to_vec() };
            let keyframe = SpoolRecord::Keyframe { revision: 256, state: b"{\"a\":1}".to_vec() };
            assert_eq!(reader.next_batch().expect("read"), [line(1, b"{}"), keyframe, line(2, &long)]);
            assert_eq!(reader.next_batch().expect("read"), [line(3, b"")]);
            assert_eq!(reader.next_batch().expect("read"), []);
            reader = reader.rewound().expect("rewound");
        }
    }
}
