//! The kernel's own symbol table in its plainest form: absolute addresses, names that are not packed.

use std::collections::BTreeMap;

/// The arrays, and where each begins.
pub(super) struct Tables {
    pub(super) bytes: Vec<u8>,
    pub(super) labels: Vec<(&'static str, u64)>,
}

impl Tables {
    fn label(&mut self, name: &'static str, start: u64) {
        self.bytes.resize(self.bytes.len().next_multiple_of(8), 0);
        self.labels.push((name, start + self.bytes.len() as u64));
    }
}

/// The tables of symbols in the order of their addresses, to stand at `start`.
pub(super) fn tables(symbols: &BTreeMap<(u64, String), u8>, start: u64) -> Tables {
    let mut out = Tables { bytes: Vec::new(), labels: Vec::new() };
    out.label("kallsyms_addresses", start);
    for (at, _) in symbols.keys() {
        out.bytes.extend(at.to_le_bytes());
    }
    out.label("kallsyms_num_syms", start);
    out.bytes.extend((symbols.len() as u64).to_le_bytes());
    out.label("kallsyms_names", start);
    let (first, mut markers) = (out.bytes.len(), Vec::new());
    for (n, ((_, name), kind)) in symbols.iter().enumerate() {
        if n % 256 == 0 {
            markers.push((out.bytes.len() - first) as u64);
        }
        assert!(name.len() < 0x7f, "{name}: too long");
        out.bytes.push(name.len() as u8 + 1);
        out.bytes.push(*kind);
        out.bytes.extend(name.as_bytes());
    }
    out.label("kallsyms_markers", start);
    out.bytes.extend(markers.iter().flat_map(|m| m.to_le_bytes()));
    out.label("kallsyms_token_table", start);
    // a token is the character itself; what no name has is none
    let (table, mut index) = (out.bytes.len(), Vec::new());
    for byte in 0..=255_u8 {
        index.extend(((out.bytes.len() - table) as u16).to_le_bytes());
        if byte.is_ascii_graphic() {
            out.bytes.push(byte);
        }
        out.bytes.push(0);
    }
    out.label("kallsyms_token_index", start);
    out.bytes.extend(index);
    out
}
