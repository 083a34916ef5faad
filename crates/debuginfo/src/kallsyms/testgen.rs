//! Generated kernels: the arrays of kallsyms in every order and form that there was.

use base::{Fault, FaultKind, VirtAddr, VirtRead};

/// Where the image begins: `_text`.
pub(super) const TEXT: u64 = 0xffff_ffff_9580_0000;

/// Bytes at an address, nothing elsewhere.
pub(super) struct Image {
    pub(super) at: u64,
    pub(super) bytes: Vec<u8>,
}

impl VirtRead for Image {
    fn read(&self, at: VirtAddr, buf: &mut [u8]) -> Result<(), Fault> {
        let have = usize::try_from(at.0.wrapping_sub(self.at)).ok().and_then(|o| self.bytes.get(o..));
        let have = have.unwrap_or_default();
        let n = have.len().min(buf.len());
        buf[..n].copy_from_slice(&have[..n]);
        let fault = Fault::new(at.add(n as u64), FaultKind::NotMapped("PTE"));
        if n < buf.len() { Err(fault) } else { Ok(()) }
    }
}

#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Form {
    Absolute,
    Relative,
    RelativePercpu,
    SelfRelative,
}

#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Order {
    /// Addresses, base, count, names, markers, (sequence,) tokens.
    AddressesFirst,
    /// Count, names, markers, tokens, addresses, base, sequence.
    AddressesLast,
}

/// In which order the index has the names.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Sort {
    /// As they are.
    Whole,
    /// Without `.llvm.` and what follows.
    WithoutLlvm,
    /// Up to the first `.`.
    UpToDot,
    /// In none: a permutation that means nothing.
    Mixed,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Spec {
    pub(super) form: Form,
    pub(super) order: Order,
    pub(super) wide_markers: bool,
    /// Bytes an entry of the sequence array; 0: there is none.
    pub(super) sequence: usize,
    pub(super) sort: Sort,
    pub(super) align: usize,
    pub(super) compressed: bool,
    pub(super) percpu: bool,
}

/// One per span of years, 3.10 to 7.x.
pub(super) const SPECS: &[(&str, Spec)] = {
    const OLD: Spec = Spec {
        form: Form::Absolute,
        order: Order::AddressesFirst,
        wide_markers: true,
        sequence: 0,
        sort: Sort::Whole,
        align: 8,
        compressed: true,
        percpu: true,
    };
    const LATE: Spec = Spec { order: Order::AddressesLast, wide_markers: false, sequence: 3, ..OLD };
    &[
        ("3.10", OLD),
        ("4.6", Spec { form: Form::RelativePercpu, ..OLD }),
        ("4.20", Spec { form: Form::RelativePercpu, wide_markers: false, ..OLD }),
        ("5.10 arm64", Spec { form: Form::Relative, wide_markers: false, percpu: false, ..OLD }),
        ("6.1", Spec { form: Form::RelativePercpu, wide_markers: false, sequence: 3, ..OLD }),
        ("6.2", Spec { form: Form::RelativePercpu, wide_markers: false, sequence: 4, ..OLD }),
        ("6.6", Spec { form: Form::RelativePercpu, ..LATE }),
        ("6.6 absolute", Spec { form: Form::Absolute, ..LATE }),
        ("6.16", Spec { form: Form::Relative, percpu: false, ..LATE }),
        ("7.0", Spec { form: Form::SelfRelative, percpu: false, ..LATE }),
        ("7.2", Spec { form: Form::SelfRelative, align: 4, percpu: false, ..LATE }),
        ("7.2 plain", Spec { form: Form::SelfRelative, align: 4, percpu: false, compressed: false, ..LATE }),
    ]
};

pub(super) struct Made {
    pub(super) image: Image,
    pub(super) symbols: Vec<(u64, u8, String)>,
    pub(super) labels: Vec<(&'static str, u64)>,
}

/// Symbols that use all digits and many letters; `_end` is where the image ends.
fn symbols(spec: &Spec, count: usize, more: &[(u8, &str)], end: u64) -> Vec<(u64, u8, String)> {
    let mut all = Vec::new();
    if spec.percpu {
        all.push((0, b'A', "__per_cpu_start".to_owned()));
        all.push((0x1000, b'A', "cpu_tss_rw".to_owned()));
        all.push((0x30000, b'A', "__per_cpu_end".to_owned()));
    }
    all.push((TEXT, b'T', "_text".to_owned()));
    all.push((TEXT, b'T', "_stext".to_owned()));
    let words = ["virtqueue_add", "sys_read", "__x64_sys_reboot", "do_one_initcall", "xfs_bmapi_jkz"];
    for i in 0..count as u64 {
        let word = words[i as usize % words.len()];
        let kind = if i % 3 == 0 { b't' } else { b'T' };
        all.push((TEXT + 0x100 + i * 16, kind, format!("{word}_{}", i * 7919 % 1_000_003)));
    }
    // a name that takes two bytes for its length
    let long = if spec.compressed { "long_name" } else { &*"rust_name_".repeat(20) };
    all.push((TEXT + 0x100 + count as u64 * 16, b't', long.to_owned()));
    for (at, (kind, name)) in (count as u64 + 1..).zip(more) {
        all.push((TEXT + 0x100 + at * 16, *kind, (*name).to_owned()));
    }
    all.push((end, b'B', "_end".to_owned()));
    all
}

/// The tokens: each used character by itself; with `pairs` also words in free places.
fn tokens(symbols: &[(u64, u8, String)], pairs: bool) -> Vec<Vec<u8>> {
    let mut table = vec![Vec::new(); 256];
    for (_, kind, name) in symbols {
        for &b in std::iter::once(kind).chain(name.as_bytes()) {
            table[usize::from(b)] = vec![b];
        }
    }
    if pairs {
        let words: [&[u8]; 8] = [
            b"Tvirt",
            b"queue_",
            b"sys_",
            b"_rea",
            b"initcall_with_a_long_token",
            b"initcall",
            b"do_",
            b"__",
        ];
        let free: Vec<usize> = (0..256).filter(|&i| table[i].is_empty()).collect();
        // ends and starts of the table, so that tokens below the digits are not all empty
        for (i, word) in words.iter().enumerate() {
            let slot = if i % 2 == 0 { free[i] } else { free[free.len() - i] };
            table[slot] = word.to_vec();
        }
    }
    table
}

fn pack(name: &[u8], table: &[Vec<u8>]) -> Vec<u8> {
    let (mut out, mut rest) = (Vec::new(), name);
    while !rest.is_empty() {
        let fits = table.iter().enumerate().filter(|(_, t)| !t.is_empty() && rest.starts_with(t));
        let (slot, token) = fits.max_by_key(|(_, t)| t.len()).unwrap();
        out.push(u8::try_from(slot).unwrap());
        rest = &rest[token.len()..];
    }
    out
}

struct Writer {
    bytes: Vec<u8>,
    align: usize,
    labels: Vec<(&'static str, u64)>,
}

impl Writer {
    fn label(&mut self, name: &'static str) -> u64 {
        self.bytes.resize(self.bytes.len().next_multiple_of(self.align), 0);
        let at = TEXT + self.bytes.len() as u64;
        self.labels.push((name, at));
        at
    }
}

/// A kernel of `count` symbols and some.
pub(super) fn make(spec: &Spec, count: usize) -> Made {
    make_with(spec, count, &[])
}

/// The same with more symbols, of these letters and names.
pub(super) fn make_with(spec: &Spec, count: usize, more: &[(u8, &str)]) -> Made {
    let end = TEXT + 0x10_0000 + count as u64 * 64;
    let symbols = symbols(spec, count, more, end);
    let table = tokens(&symbols, spec.compressed);
    // something before, so that the arrays are not at the start: numbers that look like counts
    let filler = (0..0x4000_u32).flat_map(|i| (i % 5000).to_le_bytes()).collect();
    let mut w = Writer { bytes: filler, align: spec.align, labels: Vec::new() };
    if spec.order == Order::AddressesFirst {
        addresses(&mut w, spec, &symbols);
    }
    w.label("kallsyms_num_syms");
    let n = symbols.len() as u64;
    w.bytes.extend_from_slice(&n.to_le_bytes()[..if spec.wide_markers { 8 } else { 4 }]);
    let names = w.label("kallsyms_names");
    let mut markers = Vec::new();
    for (i, (_, kind, name)) in symbols.iter().enumerate() {
        if i % 256 == 0 {
            markers.push(TEXT + w.bytes.len() as u64 - names);
        }
        let mut full = vec![*kind];
        full.extend_from_slice(name.as_bytes());
        let packed = pack(&full, &table);
        match packed.len() {
            len @ 0..=0x7f => w.bytes.push(len as u8),
            len => w.bytes.extend_from_slice(&[(len & 0x7f) as u8 | 0x80, (len >> 7) as u8]),
        }
        w.bytes.extend_from_slice(&packed);
    }
    w.label("kallsyms_markers");
    for m in markers {
        w.bytes.extend_from_slice(&m.to_le_bytes()[..if spec.wide_markers { 8 } else { 4 }]);
    }
    if spec.order == Order::AddressesFirst {
        sequence(&mut w, spec, &symbols);
    }
    w.label("kallsyms_token_table");
    let start = w.bytes.len();
    let mut index = Vec::new();
    for token in &table {
        index.extend_from_slice(&u16::try_from(w.bytes.len() - start).unwrap().to_le_bytes());
        w.bytes.extend_from_slice(token);
        w.bytes.push(0);
    }
    w.label("kallsyms_token_index");
    w.bytes.extend_from_slice(&index);
    if spec.order == Order::AddressesLast {
        addresses(&mut w, spec, &symbols);
        sequence(&mut w, spec, &symbols);
    }
    w.bytes.resize(w.bytes.len() + 0x3000, 0xcc);
    assert!(TEXT + w.bytes.len() as u64 <= end, "the image is longer than it says");
    Made { image: Image { at: TEXT, bytes: w.bytes }, symbols, labels: w.labels }
}

fn sequence(w: &mut Writer, spec: &Spec, symbols: &[(u64, u8, String)]) {
    if spec.sequence == 0 {
        return;
    }
    let sorted = |number: &usize| match (spec.sort, &*symbols[*number].2) {
        (Sort::Whole, name) => (name, 0),
        (Sort::WithoutLlvm, name) => (name.split(".llvm.").next().unwrap(), 0),
        (Sort::UpToDot, name) => (name.split('.').next().unwrap(), 0),
        (Sort::Mixed, _) => ("", number * 7919 % symbols.len()),
    };
    let mut numbers: Vec<usize> = (0..symbols.len()).collect();
    numbers.sort_by_key(sorted);
    w.label("kallsyms_seqs_of_names");
    for number in numbers {
        let bytes = u32::try_from(number).unwrap().to_be_bytes();
        w.bytes.extend_from_slice(&bytes[4 - spec.sequence..]);
    }
}

fn addresses(w: &mut Writer, spec: &Spec, symbols: &[(u64, u8, String)]) {
    if spec.form == Form::Absolute {
        w.label("kallsyms_addresses");
        symbols.iter().for_each(|(addr, ..)| w.bytes.extend_from_slice(&addr.to_le_bytes()));
        return;
    }
    w.label("kallsyms_offsets");
    for (addr, ..) in symbols {
        let here = TEXT + w.bytes.len() as u64;
        let offset = match spec.form {
            Form::SelfRelative => addr.wrapping_sub(here),
            Form::RelativePercpu if *addr < TEXT => *addr,
            Form::RelativePercpu => TEXT.wrapping_sub(1).wrapping_sub(*addr),
            _ => addr - TEXT,
        };
        w.bytes.extend_from_slice(&(offset as u32).to_le_bytes());
    }
    if spec.form != Form::SelfRelative {
        w.align = 8;
        w.label("kallsyms_relative_base");
        w.bytes.extend_from_slice(&TEXT.to_le_bytes());
    }
}
