//! The `check` at the end of each line, which detects altered files and the line at fault.

use sha2::{Digest as _, Sha256};

const BEFORE: &[u8] = b",\"check\":\"";
const DIGITS: usize = 8;
const AFTER: &[u8] = b"\"}";

/// A running SHA-256 over the lines of a file, each without its `check`.
#[derive(Clone, Debug, Default)]
pub struct RunningChecksum {
    hash: Sha256,
}

impl RunningChecksum {
    /// Writes a JSON object as a line with its check.
    pub fn write(&mut self, object: &[u8], out: &mut Vec<u8>) {
        let open = object.strip_suffix(b"}").unwrap_or(object);
        self.hash.update(open);
        self.hash.update(b"}\n");
        out.extend_from_slice(open);
        out.extend_from_slice(BEFORE);
        out.extend_from_slice(&self.check());
        out.extend_from_slice(AFTER);
        out.push(b'\n');
    }

    /// Removes the check from a line (without its line feed); false if it is missing or wrong.
    pub fn open(&mut self, line: &mut Vec<u8>) -> bool {
        let Some(rest) = line.strip_suffix(AFTER) else { return false };
        let Some((rest, check)) = rest.split_last_chunk::<DIGITS>() else { return false };
        let Some(open) = rest.strip_suffix(BEFORE) else { return false };
        self.hash.update(open);
        self.hash.update(b"}\n");
        let is_right = self.check() == *check;
        let length = open.len();
        line.truncate(length);
        line.push(b'}');
        is_right
    }

    /// The checksum of all lines so far, in hexadecimal digits.
    pub fn sha256(&self) -> String {
        self.hash.clone().finalize().iter().flat_map(|byte| digits(*byte)).map(char::from).collect()
    }

    /// The first digits of the checksum. No others are made: this is done for each line.
    fn check(&self) -> [u8; DIGITS] {
        let digest = self.hash.clone().finalize();
        let mut check = [0; DIGITS];
        for (place, byte) in check.chunks_exact_mut(2).zip(digest) {
            place.copy_from_slice(&digits(byte));
        }
        check
    }
}

fn digits(byte: u8) -> [u8; 2] {
    let digit = |nibble: u8| if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 };
    [digit(byte >> 4), digit(byte & 15)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_known_by_its_bytes_and_its_place() {
        let mut file = Vec::new();
        let mut checksum = RunningChecksum::default();
        checksum.write(br#"{"a":1}"#, &mut file);
        checksum.write(br#"{"b":{}}"#, &mut file);
        let text = String::from_utf8(file).expect("a text");
        let lines: Vec<&str> = text.lines().collect();
        let mut read = RunningChecksum::default();
        for (line, object) in lines.iter().zip([r#"{"a":1}"#, r#"{"b":{}}"#]) {
            let mut line = line.as_bytes().to_vec();
            assert!(read.open(&mut line));
            assert_eq!(line, object.as_bytes());
        }
        assert_eq!(read.sha256(), checksum.sha256());
        assert!(!RunningChecksum::default().open(&mut lines[1].as_bytes().to_vec()), "not the first line");
        for at in 0..lines[0].len() {
            let mut altered = lines[0].as_bytes().to_vec();
            altered[at] ^= 1;
            assert!(!RunningChecksum::default().open(&mut altered), "byte {at}");
        }
        for short in ["", "{}", "\"}", "12345678\"}"] {
            assert!(!RunningChecksum::default().open(&mut short.as_bytes().to_vec()), "{short}");
        }
    }
}
