//! BTF, written record by record (Documentation/bpf/btf.rst).

use std::collections::HashMap;

const INT: u32 = 1;
const PTR: u32 = 2;
const ARRAY: u32 = 3;
const STRUCT: u32 = 4;
const UNION: u32 = 5;
const ENUM: u32 = 6;
const FWD: u32 = 7;
const VAR: u32 = 14;

/// A word of a record: a name is known by its offset only when all strings are.
enum Word {
    Number(u32),
    Name(String),
}

/// Records in the order of their ids.
#[derive(Default)]
pub(super) struct Writer(Vec<Word>);

impl Writer {
    fn record(&mut self, name: &str, kind: u32, flag: bool, vlen: usize, word: u32) {
        let info = (u32::from(flag) << 31) | (kind << 24) | vlen as u32;
        self.0.extend([Word::Name(name.into()), Word::Number(info), Word::Number(word)]);
    }

    pub(super) fn int(&mut self, name: &str, size: u64, encoding: u32) {
        self.record(name, INT, false, 0, size as u32);
        self.0.push(Word::Number((encoding << 24) | (size as u32 * 8)));
    }

    pub(super) fn pointer(&mut self, to: u32) {
        self.record("", PTR, false, 0, to);
    }

    pub(super) fn array(&mut self, element: u32, index: u32, count: u64) {
        self.record("", ARRAY, false, 0, 0);
        self.0.extend([element, index, count as u32].map(Word::Number));
    }

    pub(super) fn forward(&mut self, name: &str) {
        self.record(name, FWD, false, 0, 0);
    }

    /// A variable that other files can name.
    pub(super) fn variable(&mut self, name: &str, ty: u32) {
        self.record(name, VAR, false, 0, ty);
        self.0.push(Word::Number(1));
    }

    /// Members: name, type, first bit, width of a bit-field.
    pub(super) fn compound(&mut self, name: &str, size: u64, members: &[(&str, u32, u64, u64)], union: bool) {
        let kind = if union { UNION } else { STRUCT };
        self.record(name, kind, true, members.len(), size as u32);
        for (name, ty, bit, width) in members {
            let place = ((*width as u32) << 24) | *bit as u32;
            self.0.extend([Word::Name((*name).into()), Word::Number(*ty), Word::Number(place)]);
        }
    }

    pub(super) fn enumeration(&mut self, name: &str, values: &[(String, i32)]) {
        self.record(name, ENUM, true, values.len(), 4);
        for (name, value) in values {
            self.0.extend([Word::Name(name.clone()), Word::Number(value.cast_unsigned())]);
        }
    }

    pub(super) fn append(mut self, more: Self) -> Self {
        self.0.extend(more.0);
        self
    }

    /// Header, types, strings.
    pub(super) fn blob(&self) -> Vec<u8> {
        let (mut types, mut strings, mut known) = (Vec::new(), vec![0], HashMap::from([("", 0)]));
        for word in &self.0 {
            let number = match word {
                Word::Number(n) => *n,
                Word::Name(name) => *known.entry(name.as_str()).or_insert_with(|| {
                    let at = strings.len() as u32;
                    strings.extend(name.as_bytes());
                    strings.push(0);
                    at
                }),
            };
            types.extend(number.to_le_bytes());
        }
        let mut out = vec![0x9f, 0xeb, 1, 0];
        let len = types.len() as u32;
        for word in [24, 0, len, len, strings.len() as u32] {
            out.extend(word.to_le_bytes());
        }
        out.extend(types);
        out.extend(strings);
        out
    }
}
