//! Splits a stream of bytes into lines.

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use tokio::time::Instant;

use super::LINE_BYTES;
use super::error::{ImportError, ImportFault};
use super::limits::ImportLimits;

/// Bytes of lines that are returned together; one line may have more.
const BATCH_BYTES: usize = 256 * 1024;

/// A line with its number in the file, from 1 on.
pub(super) struct NumberedLine {
    pub number: u64,
    pub text: Vec<u8>,
}

/// Reads lines within the limits. It holds one line and what arrived with its end.
pub(super) struct LineReader<S> {
    body: S,
    limits: ImportLimits,
    chunk: Bytes,
    bytes: u64,
    /// How many bytes must have arrived until when.
    due: Instant,
    paced: u64,
    /// The number of the line read last.
    pub number: u64,
}

impl<S, E> LineReader<S>
where
    S: Stream<Item = Result<Bytes, E>> + Unpin,
{
    pub fn new(body: S, limits: ImportLimits) -> Self {
        let due = Instant::now() + limits.stall;
        Self { body, limits, chunk: Bytes::new(), bytes: 0, due, paced: limits.pace, number: 0 }
    }

    /// The next lines without their line feeds: those available, and at least one; none at the end.
    pub async fn next_batch(&mut self) -> Result<Vec<NumberedLine>, ImportError> {
        let mut lines = Vec::new();
        let mut bytes = 0;
        while bytes < BATCH_BYTES && (lines.is_empty() || self.has_line()) {
            let Some(text) = self.next().await? else { break };
            bytes += text.len();
            lines.push(NumberedLine { number: self.number, text });
        }
        Ok(lines)
    }

    fn has_line(&self) -> bool {
        self.chunk.contains(&b'\n')
    }

    async fn next(&mut self) -> Result<Option<Vec<u8>>, ImportError> {
        self.number += 1;
        let mut line = Vec::new();
        loop {
            if let Some(end) = self.chunk.iter().position(|byte| *byte == b'\n') {
                line.extend_from_slice(&self.chunk.split_to(end + 1)[..end]);
                return self.bounded(&line).map(|()| Some(line));
            }
            line.extend_from_slice(&std::mem::take(&mut self.chunk));
            self.bounded(&line)?;
            match self.read().await? {
                Some(chunk) => self.chunk = chunk,
                None if line.is_empty() => return Ok(None),
                None => return Err(ImportFault::CutOff.at(self.number)),
            }
        }
    }

    fn bounded(&self, line: &[u8]) -> Result<(), ImportError> {
        if line.len() > LINE_BYTES { Err(ImportFault::TooLong.at(self.number)) } else { Ok(()) }
    }

    async fn read(&mut self) -> Result<Option<Bytes>, ImportError> {
        let next = tokio::time::timeout_at(self.due, self.body.next()).await;
        let chunk = match next.map_err(|_| ImportError::Stalled)? {
            Some(Ok(chunk)) => chunk,
            Some(Err(_)) => return Err(ImportError::Interrupted),
            None => return Ok(None),
        };
        self.bytes += chunk.len() as u64;
        if self.bytes >= self.paced {
            self.paced = self.bytes + self.limits.pace;
            self.due = Instant::now() + self.limits.stall;
        }
        if self.bytes > self.limits.bytes { Err(ImportError::TooLarge(self.limits.bytes)) } else { Ok(Some(chunk)) }
    }
}
