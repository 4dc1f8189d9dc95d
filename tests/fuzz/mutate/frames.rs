//! WebSocket frames: read by a reader of its own, which is also what the server's is compared with; changed;
//! written.

use crate::random::Random;

/// A frame as it stands in the bytes.
#[derive(Clone, Debug, PartialEq)]
pub struct Frame {
    /// FIN, three reserved bits, the kind.
    pub first: u8,
    pub mask: Option<[u8; 4]>,
    /// Without the mask.
    pub payload: Vec<u8>,
    /// The length that the header says, if it is another than the payload's.
    pub length: Option<u64>,
    /// How many bytes it is said with beyond the least: 0, 2 or 8.
    pub wide: usize,
}

impl Frame {
    pub fn new(kind: u8, payload: &[u8]) -> Self {
        Self { first: 0x80 | kind, mask: Some([1, 2, 3, 4]), payload: payload.to_vec(), length: None, wide: 0 }
    }

    pub fn kind(&self) -> u8 {
        self.first & 15
    }

    pub fn is_last(&self) -> bool {
        self.first & 0x80 != 0
    }

    /// Takes the first frame off; `None` when it is not all there.
    pub fn read(bytes: &mut &[u8]) -> Option<Self> {
        let (first, second) = (*bytes.first()?, *bytes.get(1)?);
        let wide = match second & 127 {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let said = bytes.get(2..2 + wide)?;
        let length = if wide == 0 {
            u64::from(second & 127)
        } else {
            said.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte))
        };
        let mut at = 2 + wide;
        let mask = if second & 128 != 0 { Some(<[u8; 4]>::try_from(bytes.get(at..at + 4)?).ok()?) } else { None };
        at += if mask.is_some() { 4 } else { 0 };
        let end = at.checked_add(usize::try_from(length).ok()?)?;
        let mut payload = bytes.get(at..end)?.to_vec();
        masked(&mut payload, mask);
        *bytes = &bytes[end..];
        Some(Self { first, mask, payload, length: None, wide })
    }

    pub fn write(&self, bytes: &mut Vec<u8>) {
        let length = self.length.unwrap_or(self.payload.len() as u64);
        let wide = self.wide.max(if length < 126 {
            0
        } else if length < 65_536 {
            2
        } else {
            8
        });
        let mask_bit = if self.mask.is_some() { 128 } else { 0 };
        bytes.push(self.first);
        match wide {
            0 => bytes.push(mask_bit | length as u8),
            2 => {
                bytes.push(mask_bit | 126);
                bytes.extend((length as u16).to_be_bytes());
            }
            _ => {
                bytes.push(mask_bit | 127);
                bytes.extend(length.to_be_bytes());
            }
        }
        bytes.extend(self.mask.into_iter().flatten());
        let mut payload = self.payload.clone();
        masked(&mut payload, self.mask);
        bytes.extend(payload);
    }
}

fn masked(payload: &mut [u8], mask: Option<[u8; 4]>) {
    if let Some(mask) = mask {
        payload.iter_mut().zip(mask.iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
    }
}

fn all(mut bytes: &[u8]) -> Vec<Frame> {
    std::iter::from_fn(|| Frame::read(&mut bytes)).collect()
}

pub fn change(input: &[u8], other: &[u8], random: &mut Random) -> Vec<u8> {
    let (mut frames, others) = (all(input), all(other));
    for _ in 0..=random.length(4) {
        let at = random.below(frames.len());
        if frames.is_empty() || random.one_in(5) {
            let frame = match others.get(random.below(others.len())) {
                Some(frame) if random.one_in(2) => frame.clone(),
                _ => Frame::new([0, 1, 2, 8, 9, 10, 3, 11][random.below(8)], &vec![b'x'; random.length(130)]),
            };
            frames.insert(at, frame);
            continue;
        }
        match random.below(10) {
            0 => drop(frames.remove(at)),
            1 => frames[at].first ^= 1 << random.below(8),
            2 => frames[at].mask = if random.one_in(4) { None } else { Some((random.next() as u32).to_le_bytes()) },
            3 => frames[at].wide = [0, 2, 8][random.below(3)],
            4 => {
                frames[at].length =
                    Some([0, 125, 126, 65_535, 65_536, 1 << 20, (1 << 20) + 1, 1 << 40, u64::MAX][random.below(9)])
            }
            5 => split(&mut frames, at, random),
            6 => {
                let length = [125, 126, 65_535, 65_536, (1 << 20) - 1, 1 << 20, (1 << 20) + 1];
                let most = if random.one_in(50) { 7 } else { 2 };
                frames[at].payload = vec![b'y'; length[random.below(most)]];
            }
            7 if random.one_in(20) => {
                // Fragments that are together as long as a message may be, or a little more or less.
                let frame = frames.remove(at);
                let (one, two) = (random.below(1 << 20), random.below(3));
                let begin = Frame { first: 1, payload: vec![b'z'; one], ..frame.clone() };
                let rest = Frame { first: 0x80, payload: vec![b'z'; (1 << 20) - 1 + two - one], ..frame };
                frames.splice(at..at, [begin, rest]);
            }
            7 => {
                let with = random.below(frames.len());
                frames.swap(at, with);
            }
            _ => super::bytes::change(&mut frames[at].payload, other, random),
        }
    }
    let mut bytes = Vec::new();
    frames.iter().for_each(|frame| frame.write(&mut bytes));
    if random.one_in(8) {
        super::bytes::change(&mut bytes, other, random);
    }
    bytes
}

/// Makes two or more fragments of one frame, with something between them perhaps.
fn split(frames: &mut Vec<Frame>, at: usize, random: &mut Random) {
    let frame = frames.remove(at);
    let cut = random.below(frame.payload.len() + 1);
    let (one, two) = frame.payload.split_at(cut);
    let begin = Frame { first: frame.first & 0x7f, payload: one.to_vec(), ..frame.clone() };
    let rest = Frame { first: frame.first & 0x80, payload: two.to_vec(), ..frame.clone() };
    let mut fragments = vec![begin, rest];
    if random.one_in(2) {
        fragments.insert(1, Frame::new([9, 10, 8][random.below(3)], b"between"));
    }
    frames.splice(at..at, fragments);
}
