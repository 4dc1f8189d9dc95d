//! The files of the archive: the lines of an export, compressed with zstd.

use std::io::{self, Write as _};

use bytes::{Buf as _, Bytes};
use futures_util::stream::BoxStream;
use futures_util::{Stream, StreamExt as _, stream};
use sha2::{Digest as _, Sha256};
use zstd::stream::raw::{Decoder, Operation as _};
use zstd::stream::write::Encoder;

/// The level of compression: beyond it, files get hardly smaller and take several times as long.
const LEVEL: i32 = 9;
/// Bytes that are unpacked at once, however few they were packed into.
const PIECE: usize = 256 * 1024;

/// What a file is known by: its size, and its SHA-256 in hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fingerprint {
    pub bytes: u64,
    pub sha256: String,
}

fn digits(hash: Sha256) -> String {
    let digit = |nibble: u8| char::from_digit(nibble.into(), 16).unwrap_or_default();
    hash.finalize().iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// Packs lines, piece by piece.
pub(super) struct Packer {
    encoder: Encoder<'static, Vec<u8>>,
    hash: Sha256,
    bytes: u64,
}

impl Packer {
    pub fn new() -> io::Result<Self> {
        let mut encoder = Encoder::new(Vec::new(), LEVEL)?;
        encoder.include_checksum(true)?;
        Ok(Self { encoder, hash: Sha256::new(), bytes: 0 })
    }

    /// What is to be written of the file by now.
    pub fn add(&mut self, lines: &[u8]) -> io::Result<Vec<u8>> {
        self.encoder.write_all(lines)?;
        let packed = std::mem::take(self.encoder.get_mut());
        self.count(&packed);
        Ok(packed)
    }

    /// The rest of the file.
    pub fn finish(mut self) -> io::Result<(Vec<u8>, Fingerprint)> {
        self.encoder.do_finish()?;
        let packed = std::mem::take(self.encoder.get_mut());
        self.count(&packed);
        Ok((packed, Fingerprint { bytes: self.bytes, sha256: digits(self.hash) }))
    }

    fn count(&mut self, packed: &[u8]) {
        self.hash.update(packed);
        self.bytes += packed.len() as u64;
    }
}

/// Why a file cannot be unpacked.
#[derive(Debug, thiserror::Error)]
pub(super) enum UnpackError {
    #[error("the file is not the one that was written")]
    Damaged,
    #[error(transparent)]
    Store(#[from] object_store::Error),
}

/// The lines of a file. The last of them come only if the whole file is the one that was written.
pub(super) fn unpack(
    file: BoxStream<'static, object_store::Result<Bytes>>,
    expected: Fingerprint,
) -> io::Result<impl Stream<Item = Result<Bytes, UnpackError>> + Send + Unpin + 'static> {
    let unpacking = Unpacking {
        file,
        expected,
        decoder: Decoder::new()?,
        packed: Bytes::new(),
        is_whole_frame: false,
        hash: Sha256::new(),
        bytes: 0,
        held: None,
        is_done: false,
    };
    Ok(Box::pin(stream::try_unfold(unpacking, |mut unpacking| async move {
        Ok(unpacking.next().await?.map(|lines| (lines, unpacking)))
    })))
}

struct Unpacking {
    file: BoxStream<'static, object_store::Result<Bytes>>,
    expected: Fingerprint,
    decoder: Decoder<'static>,
    /// What has arrived and is not unpacked yet.
    packed: Bytes,
    is_whole_frame: bool,
    hash: Sha256,
    bytes: u64,
    /// The last lines that were unpacked.
    held: Option<Bytes>,
    is_done: bool,
}

impl Unpacking {
    async fn next(&mut self) -> Result<Option<Bytes>, UnpackError> {
        while !self.is_done {
            let Some(lines) = self.unpack_some().await? else {
                self.is_done = true;
                self.check()?;
                break;
            };
            if let Some(before) = self.held.replace(lines) {
                return Ok(Some(before));
            }
        }
        Ok(self.held.take())
    }

    /// The next lines, about [`PIECE`] bytes of them at most; `None` at the end of the file.
    async fn unpack_some(&mut self) -> Result<Option<Bytes>, UnpackError> {
        let mut piece = vec![0; PIECE];
        loop {
            // Also without input: there may be more in it than found room.
            let status = self.decoder.run_on_buffers(&self.packed, &mut piece);
            let status = status.map_err(|_| UnpackError::Damaged)?;
            self.packed.advance(status.bytes_read);
            if status.bytes_read > 0 || status.bytes_written > 0 {
                self.is_whole_frame = status.remaining == 0;
            }
            if status.bytes_written > 0 {
                piece.truncate(status.bytes_written);
                return Ok(Some(piece.into()));
            }
            if self.packed.is_empty() {
                let Some(arrived) = self.file.next().await.transpose()? else { return Ok(None) };
                self.bytes += arrived.len() as u64;
                self.hash.update(&arrived);
                if self.bytes > self.expected.bytes {
                    return Err(UnpackError::Damaged);
                }
                self.packed = arrived;
            }
        }
    }

    fn check(&mut self) -> Result<(), UnpackError> {
        let found = Fingerprint { bytes: self.bytes, sha256: digits(std::mem::take(&mut self.hash)) };
        if self.is_whole_frame && found == self.expected { Ok(()) } else { Err(UnpackError::Damaged) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packed(lines: &[u8]) -> (Vec<u8>, Fingerprint) {
        let mut packer = Packer::new().expect("a packer");
        let mut file = Vec::new();
        for piece in lines.chunks(1_000) {
            file.extend(packer.add(piece).expect("packed"));
        }
        let (rest, fingerprint) = packer.finish().expect("packed");
        file.extend(rest);
        (file, fingerprint)
    }

    async fn unpacked(file: &[u8], chunk: usize, expected: &Fingerprint) -> Result<Vec<u8>, Vec<u8>> {
        let chunks: Vec<_> = file.chunks(chunk).map(|chunk| Ok(Bytes::copy_from_slice(chunk))).collect();
        let mut lines = unpack(stream::iter(chunks).boxed(), expected.clone()).expect("a decoder");
        let mut text = Vec::new();
        while let Some(piece) = lines.next().await {
            match piece {
                Ok(piece) => text.extend_from_slice(&piece),
                Err(_) => return Err(text),
            }
        }
        Ok(text)
    }

    #[tokio::test]
    async fn what_was_packed_is_unpacked_in_bounded_pieces_and_an_altered_file_never_to_its_end() {
        let line = |number: u32| format!("{{\"type\":\"event\",\"number\":{number},\"text\":\"{}\"}}\n", number * 7919);
        let mut lines: Vec<u8> = (0..20_000).flat_map(|number| line(number).into_bytes()).collect();
        // A few bytes become millions.
        lines.extend(std::iter::repeat_n(b' ', 3_000_000));
        lines.extend(b"{\"type\":\"end\"}\n");
        let (file, fingerprint) = packed(&lines);
        assert_eq!(fingerprint.bytes, file.len() as u64);
        for chunk in [1_000, 64 * 1024, file.len()] {
            assert_eq!(unpacked(&file, chunk, &fingerprint).await.as_deref(), Ok(&*lines), "{chunk}");
        }
        let end = &lines[lines.len() - 15..];
        let step = file.len() / 50;
        for at in (0..file.len()).step_by(step).chain([file.len() - 1]) {
            let mut altered = file.clone();
            altered[at] ^= 1;
            let text = unpacked(&altered, 4_096, &fingerprint).await.expect_err("refused");
            assert!(!text.ends_with(end), "byte {at}");
        }
        for wrong in [&file[..file.len() - 1], &file[..file.len() / 2], &[], &[&*file, b"x"].concat()[..]] {
            let text = unpacked(wrong, 4_096, &fingerprint).await.expect_err("refused");
            assert!(!text.ends_with(end), "{} bytes", wrong.len());
        }
    }
}
