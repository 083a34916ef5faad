//! Random numbers that are the same in every run, and ways to break bytes.

/// xorshift64*, seeded.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below `end`; 0 for 0.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.next() % (end.max(1) as u64)) as usize
    }

    pub(crate) fn pick<'a, T>(&mut self, from: &'a [T]) -> Option<&'a T> {
        from.get(self.below(from.len()))
    }
}

/// Numbers at the edges of types and of pages.
const EDGES: [u64; 16] = [
    0,
    1,
    2,
    3,
    7,
    8,
    0x7f,
    0xff,
    0xfff,
    0x1000,
    0xffff,
    0x7fff_ffff,
    0xffff_ffff,
    0x1_0000_0000,
    i64::MAX as u64,
    u64::MAX,
];

/// Breaks `bytes` in one to eight ways.
pub(crate) fn mutate(random: &mut Random, bytes: &mut Vec<u8>, other: &[u8]) {
    for _ in 0..=random.below(8) {
        // headers are small and at the start: half of the changes go there
        let room = if random.below(2) == 0 { bytes.len().min(512) } else { bytes.len() };
        let at = random.below(room);
        match random.below(9) {
            0 => flip(random, bytes, at),
            1 => overwrite(bytes, at, &[random.next() as u8]),
            2..=4 => number(random, bytes, at),
            5 => nudge(random, bytes, at),
            6 => bytes.truncate(at),
            7 => repeat(random, bytes, at),
            _ => splice(random, bytes, at, other),
        }
    }
}

fn flip(random: &mut Random, bytes: &mut [u8], at: usize) {
    if let Some(byte) = bytes.get_mut(at) {
        *byte ^= 1 << random.below(8);
    }
}

fn overwrite(bytes: &mut [u8], at: usize, with: &[u8]) {
    for (to, from) in bytes.iter_mut().skip(at).zip(with) {
        *to = *from;
    }
}

/// An edge number of any width, in either byte order, mostly aligned.
fn number(random: &mut Random, bytes: &mut [u8], at: usize) {
    let value = EDGES.get(random.below(EDGES.len())).copied().unwrap_or(0);
    let width = [1, 2, 4, 8].get(random.below(4)).copied().unwrap_or(8);
    let at = if random.below(4) == 0 { at } else { at / width * width };
    let little = value.to_le_bytes();
    let mut number: Vec<u8> = little.iter().take(width).copied().collect();
    if random.below(4) == 0 {
        number.reverse();
    }
    overwrite(bytes, at, &number);
}

/// Adds a little to a 32-bit number.
fn nudge(random: &mut Random, bytes: &mut [u8], at: usize) {
    let at = at / 4 * 4;
    let Some(old) = bytes.get(at..at + 4).and_then(|b| <[u8; 4]>::try_from(b).ok()) else { return };
    let by = random.below(17) as u32;
    overwrite(bytes, at, &u32::from_le_bytes(old).wrapping_add(by).wrapping_sub(8).to_le_bytes());
}

fn repeat(random: &mut Random, bytes: &mut Vec<u8>, at: usize) {
    let end = bytes.len().min(at + random.below(256));
    let piece: Vec<u8> = bytes.get(at..end).unwrap_or(&[]).to_vec();
    bytes.splice(end..end, piece);
}

fn splice(random: &mut Random, bytes: &mut [u8], at: usize, other: &[u8]) {
    let from = random.below(other.len());
    let len = random.below(128);
    overwrite(bytes, at, other.get(from..other.len().min(from + len)).unwrap_or(&[]));
}
