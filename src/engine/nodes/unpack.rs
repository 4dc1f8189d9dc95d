//! Decompresses the body of an answer as it arrives, up to a limit. The HTTP client would read only the first member
//! of gzip, and no `deflate` without the header of zlib, which some servers leave out.

use std::io::{self, Write};

use flate2::write::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};

/// Decompresses a body piece by piece.
pub(super) enum Unpacker {
    Plain(BoundedBytes),
    Gzip(Box<MultiGzDecoder<BoundedBytes>>),
    /// `deflate`, before its first two bytes have arrived.
    Deflate {
        begun: Vec<u8>,
        body: BoundedBytes,
    },
    Zlib(Box<ZlibDecoder<BoundedBytes>>),
    /// Without the header of zlib.
    Raw(Box<DeflateDecoder<BoundedBytes>>),
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
    ///
    /// # Errors
    ///
    /// If it is none of those that were asked for.
    pub fn new(encoding: Option<&[u8]>, most: usize) -> io::Result<Self> {
        let body = BoundedBytes { bytes: Vec::new(), most, is_cut: false };
        let encoding = encoding.unwrap_or_default().trim_ascii().to_ascii_lowercase();
        match &encoding[..] {
            b"" | b"identity" => Ok(Self::Plain(body)),
            b"gzip" | b"x-gzip" => Ok(Self::Gzip(Box::new(MultiGzDecoder::new(body)))),
            b"deflate" => Ok(Self::Deflate { begun: Vec::new(), body }),
            other => {
                let problem = format!("its Content-Encoding is `{}`", String::from_utf8_lossy(other).escape_debug());
                Err(io::Error::new(io::ErrorKind::Unsupported, problem))
            }
        }
    }

    /// Adds a piece; false if no more are needed.
    ///
    /// # Errors
    ///
    /// If it does not match the encoding.
    pub fn push(&mut self, piece: &[u8]) -> io::Result<bool> {
        if let Self::Deflate { begun, body } = self {
            begun.extend_from_slice(piece);
            let [first, second, ..] = begun[..] else { return Ok(true) };
            let (begun, body) = (std::mem::take(begun), std::mem::take(body));
            *self = Self::deflated(first, second, body);
            return self.push(&begun);
        }
        let (accepted, body) = match self {
            Self::Plain(body) | Self::Deflate { body, .. } => (body.write_all(piece), &*body),
            Self::Gzip(decoder) => (decoder.write_all(piece), decoder.get_ref()),
            Self::Zlib(decoder) => (decoder.write_all(piece), decoder.get_ref()),
            Self::Raw(decoder) => (decoder.write_all(piece), decoder.get_ref()),
        };
        if body.is_cut { Ok(false) } else { accepted.map(|()| true) }
    }

    /// Whether it begins with the header of zlib (RFC 1950).
    fn deflated(first: u8, second: u8, body: BoundedBytes) -> Self {
        let is_zlib = first & 0x0f == 8 && u16::from_be_bytes([first, second]) % 31 == 0;
        if is_zlib {
            Self::Zlib(Box::new(ZlibDecoder::new(body)))
        } else {
            Self::Raw(Box::new(DeflateDecoder::new(body)))
        }
    }

    /// The decompressed body.
    ///
    /// # Errors
    ///
    /// If the end is missing.
    pub fn finish(self) -> io::Result<BoundedBytes> {
        let (finished, body) = match self {
            Self::Plain(body) => (Ok(()), body),
            Self::Deflate { begun, body } if begun.is_empty() => (Ok(()), body),
            Self::Deflate { body, .. } => (Err(io::ErrorKind::UnexpectedEof.into()), body),
            Self::Gzip(mut decoder) => (decoder.try_finish(), std::mem::take(decoder.get_mut())),
            Self::Zlib(mut decoder) => (decoder.try_finish(), std::mem::take(decoder.get_mut())),
            Self::Raw(mut decoder) => (decoder.try_finish(), std::mem::take(decoder.get_mut())),
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
    use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};

    use super::*;

    fn packed(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(text).expect("packed");
        encoder.finish().expect("packed")
    }

    fn unpack(pieces: &[&[u8]], most: usize) -> io::Result<(Vec<u8>, bool)> {
        unpack_as(b" GZIP", pieces, most)
    }

    fn unpack_as(encoding: &[u8], pieces: &[&[u8]], most: usize) -> io::Result<(Vec<u8>, bool)> {
        let mut unpacker = Unpacker::new(Some(encoding), most)?;
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
    #[test]
    fn deflate_comes_with_and_without_the_header_of_zlib() {
        let mut zlib = ZlibEncoder::new(Vec::new(), Compression::fast());
        zlib.write_all(b"one two").expect("packed");
        let mut raw = DeflateEncoder::new(Vec::new(), Compression::fast());
        raw.write_all(b"one two").expect("packed");
        for packed in [zlib.finish().expect("packed"), raw.finish().expect("packed")] {
            let single: Vec<&[u8]> = packed.chunks(1).collect();
            for pieces in [vec![&packed[..]], single] {
                assert_eq!(unpack_as(b"Deflate", &pieces, 100).expect("whole"), (b"one two".to_vec(), false));
                assert_eq!(unpack_as(b"deflate", &pieces, 3).expect("cut"), (b"one".to_vec(), true));
            }
            assert!(unpack_as(b"deflate", &[&packed[..packed.len() - 1]], 100).is_err());
        }
        assert_eq!(unpack_as(b"deflate", &[], 100).expect("empty"), (Vec::new(), false));
        assert!(unpack_as(b"deflate", &[b"x"], 100).is_err());
    }

    #[test]
    fn an_encoding_that_cannot_be_read_is_named() {
        for encoding in ["br", "gzip, gzip", "zstd"] {
            let error = unpack_as(encoding.as_bytes(), &[b"x"], 100).expect_err("unknown").to_string();
            assert!(error.contains(encoding), "{error}");
        }
        assert_eq!(unpack_as(b"Identity", &[b"x"], 100).expect("plain"), (b"x".to_vec(), false));
    }
}
