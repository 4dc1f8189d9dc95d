//! A stream of bytes as lines.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};

use super::error::{ImportError, Wrong};
use super::{LINE_BYTES, import::ImportLimits};

/// Reads lines and keeps to the limits. What it holds is one line and what came with its end.
pub(super) struct Lines<S> {
    body: S,
    limits: ImportLimits,
    chunk: Bytes,
    bytes: u64,
    /// The number of the line read last.
    pub number: u64,
}

impl<S, E> Lines<S>
where
    S: Stream<Item = Result<Bytes, E>> + Unpin,
{
    pub fn new(body: S, limits: ImportLimits) -> Self {
        Self { body, limits, chunk: Bytes::new(), bytes: 0, number: 0 }
    }

    /// The next line without its line feed; `None` at the end.
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, ImportError> {
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
                None => return Err(Wrong::CutOff.at(self.number)),
            }
        }
    }

    fn bounded(&self, line: &[u8]) -> Result<(), ImportError> {
        if line.len() > LINE_BYTES { Err(Wrong::TooLong.at(self.number)) } else { Ok(()) }
    }

    async fn read(&mut self) -> Result<Option<Bytes>, ImportError> {
        let next = tokio::time::timeout(self.limits.stall, self.body.next()).await;
        let chunk = match next.map_err(|_| ImportError::Stalled)? {
            Some(Ok(chunk)) => chunk,
            Some(Err(_)) => return Err(ImportError::Interrupted),
            None => return Ok(None),
        };
        self.bytes += chunk.len() as u64;
        if self.bytes > self.limits.bytes { Err(ImportError::TooLarge(self.limits.bytes)) } else { Ok(Some(chunk)) }
    }

    /// Reads on for a moment, so that a client that is still sending gets to see the answer.
    pub async fn linger(mut self, at_most: Duration) {
        let reading = async { while let Some(Ok(_)) = self.body.next().await {} };
        let _ = tokio::time::timeout(at_most, reading).await;
    }
}
