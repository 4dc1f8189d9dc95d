//! Changes that know nothing of what the bytes mean.

use crate::random::Random;

/// What parsers trip over.
const ODD: [&[u8]; 22] = [
    b"\0",
    b"\r\n",
    b"\n\n",
    b"\r",
    b"\xff",
    b"\xc3",
    b"\xed\xa0\x80",
    b"\xf4\x90\x80\x80",
    b"\xef\xbb\xbf",
    "\u{2028}".as_bytes(),
    "\u{202e}".as_bytes(),
    "😀".as_bytes(),
    "ß".as_bytes(),
    "İ".as_bytes(),
    b"\\",
    b"\"",
    b"'",
    b"-1",
    b"18446744073709551616",
    b"1e999",
    b"%00",
    b"\x1b[31m",
];

/// Changes a few places; `other` is what pieces are taken from.
pub fn change(input: &mut Vec<u8>, other: &[u8], random: &mut Random) {
    for _ in 0..=random.length(6) {
        change_one(input, other, random);
    }
}

fn change_one(input: &mut Vec<u8>, other: &[u8], random: &mut Random) {
    let at = random.below(input.len() + 1);
    let end = (at + random.length(64)).min(input.len());
    match random.below(10) {
        0 if at < input.len() => input[at] ^= 1 << random.below(8),
        1 if at < input.len() => input[at] = random.next() as u8,
        2 => drop(input.drain(at..end)),
        3 => {
            let piece = input[at..end].to_vec();
            insert(input, at, &piece.repeat(1 + random.length(20)));
        }
        4 | 5 => {
            let from = random.below(other.len() + 1);
            let to = (from + random.length(256)).min(other.len());
            insert(input, at, &other[from..to]);
        }
        6 => input.truncate(at),
        7 => {
            let byte = [b' ', b'[', b'{', b'a', 0, 0xff][random.below(6)];
            insert(input, at, &vec![byte; random.length(2_000)]);
        }
        8 => {
            let moved = input.split_off(at);
            input.splice(0..0, moved);
        }
        _ => insert(input, at, random.pick(&ODD)),
    }
}

fn insert(input: &mut Vec<u8>, at: usize, piece: &[u8]) {
    // Inputs that grow without end would only take time.
    if input.len() + piece.len() <= 256 * 1024 {
        input.splice(at..at, piece.iter().copied());
    }
}
