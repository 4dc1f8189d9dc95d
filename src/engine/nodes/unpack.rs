//! Decompresses the body of an answer as it arrives, up to a limit. The HTTP client decompresses all encodings
//! but gzip, of which it would read only the first member.

use std::io::{self, Write};

use flate2::write::MultiGzDecoder;

/// Decompresses a body piece by piece.
pub(super) enum Unpacker {
    Plain(BoundedBytes),
    Gzip(Box<MultiGzDecoder<BoundedBytes>>),
}

/// The bytes up to the limit, and whether there are more.
#[derive(Debug, Default)]
pub(super) struct BoundedBytes {
    pub bytes: Vec<u8>,
    most: usize,
    pub is_cut: bool,
}

impl Unpacker {
    /// For a body with this `Content-Encoding`, up to this many decompressed bytes.
    pub fn new(encoding: Option<&[u8]>, most: usize) -> Self {
        let body = BoundedBytes { bytes: Vec::new(), most, is_cut: false };
        let encoding = encoding.unwrap_or_default().trim_ascii().to_ascii_lowercase();
        match &encoding[..] {
            b"gzip" | b"x-gzip" => Self::Gzip(Box::new(MultiGzDecoder::new(body))),
            _ => Self::Plain(body),
        }
    }

    /// Adds a piece; false if no more are needed.
    ///
    /// # Errors
    ///
    /// If it does not match the encoding.
    pub fn push(&mut self, piece: &[u8]) -> io::Result<bool> {
        let (accepted, body) = match self {
            Self::Plain(body) => (body.write_all(piece), &*body),
            Self::Gzip(decoder) => (decoder.write_all(piece), decoder.get_ref()),
        };
        if body.is_cut { Ok(false) } else { accepted.map(|()| true) }
    }

    /// The decompressed body.
    ///
    /// # Errors
    ///
    /// If the end is missing.
    pub fn finish(self) -> io::Result<BoundedBytes> {
        let (finished, body) = match self {
            Self::Plain(body) => (Ok(()), body),
            Self::Gzip(mut decoder) => {
                let finished = decoder.try_finish();
                (finished, std::mem::take(decoder.get_mut()))
            }
        };
        if body.is_cut { Ok(body) } else { finished.map(|()| body) }
    }
}

impl Write for BoundedBytes {
    /// Accepts nothing when it is full, which ends the writer.
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        let room = self.most - self.bytes.len();
        self.is_cut |= piece.len() > room;
        let accepted = piece.len().min(room);
        self.bytes.extend_from_slice(&piece[..accepted]);
        Ok(accepted)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn packed(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(text).expect("packed");
        encoder.finish().expect("packed")
    }

    fn unpack(pieces: &[&[u8]], most: usize) -> io::Result<(Vec<u8>, bool)> {
        let mut unpacker = Unpacker::new(Some(b" GZIP"), most);
        for piece in pieces {
            if !unpacker.push(piece)? {
                break;
            }
        }
        unpacker.finish().map(|body| (body.bytes, body.is_cut))
    }

    #[test]
    fn parts_are_read_one_after_the_other_however_they_come() {
        let both = [packed(b"one "), packed(b""), packed(b"two")].concat();
        let single: Vec<&[u8]> = both.chunks(1).collect();
        for pieces in [vec![&both[..]], single] {
            assert_eq!(unpack(&pieces, 100).expect("whole"), (b"one two".to_vec(), false));
            assert_eq!(unpack(&pieces, 7).expect("whole"), (b"one two".to_vec(), false));
            assert_eq!(unpack(&pieces, 5).expect("cut"), (b"one t".to_vec(), true));
        }
    }

    #[test]
    fn what_is_cut_off_or_no_gzip_is_an_error() {
        let one = packed(b"one");
        for body in [&one[..one.len() - 1], b"no gzip", &[&one[..], &one[..5]].concat(), b""] {
            assert!(unpack(&[body], 100).is_err() || body.is_empty(), "{body:?}");
        }
        let large = packed(&vec![b'x'; 1_000_000]);
        assert_eq!(unpack(&[&large], 10).expect("cut"), (vec![b'x'; 10], true));
    }
}
