//! Places in code: as the user names them, and where in the source they are.

use crate::show::values;
use crate::{CommandError, Cx};
use base::VirtAddr;
use debuginfo::symtab::Symbol;
use kernel::Session;
use report::Cell;

/// `kernel/panic.c: 276`, where line information is at hand.
pub(crate) fn of(s: &Session, at: VirtAddr) -> Option<Cell> {
    let line = s.source_line(at).filter(|l| l.line != 0)?;
    Some(Cell::from(format!("{}: {}", line.file, line.line)))
}

/// A place in code.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Place {
    /// The address.
    pub(crate) at: VirtAddr,
    /// The symbol that it lies in.
    pub(crate) name: Option<String>,
    /// Bytes from the symbol.
    pub(crate) offset: u64,
    /// Where the symbol ends: where the next one begins.
    pub(crate) end: Option<VirtAddr>,
    /// True in code.
    pub(crate) is_text: bool,
    /// The module whose symbol comes next and is lost: what pads this one up to there is not known.
    pub(crate) next_is_lost: Option<String>,
}

impl Place {
    /// Where the symbol begins.
    pub(crate) const fn start(&self) -> VirtAddr {
        VirtAddr(self.at.0.wrapping_sub(self.offset))
    }
    /// True for the first instruction of a function.
    pub(crate) const fn is_function_start(&self) -> bool {
        self.is_text && self.offset == 0 && self.name.is_some()
    }
    /// An address with the symbol that it lies in.
    pub(crate) fn of(s: &Session, at: VirtAddr) -> Self {
        match s.locate(at) {
            Some(l) => Self {
                at,
                name: Some(l.symbol.name.to_owned()),
                offset: l.offset,
                end: size(s, &l).map(|size| l.symbol.addr.add(size)),
                // what the kernel gave away after its start (`.exit.text`) is no text of it any more, but was
                is_text: s.is_text(at) || l.symbol.is_text(),
                next_is_lost: next_is_lost(s, &l),
            },
            None => Self { at, name: None, offset: 0, end: None, is_text: false, next_is_lost: None },
        }
    }
}

/// The module of a symbol of which only its own size is known, as the one that comes next may be lost.
fn next_is_lost(s: &Session, l: &kernel::Located<'_>) -> Option<String> {
    let module = l.symbol.module.filter(|_| l.symbol.size != 0 && l.span == Some(l.symbol.size))?;
    let m = s.module_at(l.symbol.addr).filter(|m| s.module_debug(m).is_none())?;
    s.symbols_lost_of(m).map(|_| module.to_owned())
}

/// Functions are aligned to this at most.
const PADDING: u64 = 64;

/// Bytes of a symbol: its own size where debug information is at hand, as gdb has it, so that the
/// padding behind a function is not shown; else all up to the next symbol.
fn size(s: &Session, l: &kernel::Located<'_>) -> Option<u64> {
    let known = match s.module_at(l.symbol.addr) {
        Some(m) => s.module_debug(m).is_some(),
        None => true,
    };
    let own = Some(l.symbol.size).filter(|&size| size != 0 && l.offset < size);
    // more than padding behind it: the next symbol is far, as behind the last function of a section
    let far = own.zip(l.span).is_some_and(|(own, span)| span > own.saturating_add(PADDING));
    own.filter(|_| known || far).or(l.span)
}

/// The place that a word names: an address, a symbol with or without offset, an expression in
/// parentheses. Several functions of a name are an error that lists them.
pub(crate) fn resolve(cx: &Cx<'_>, s: &Session, word: &str) -> Result<Place, CommandError> {
    let (name, offset) = split(word);
    if let Some(name) = name {
        let mut all: Vec<Symbol<'_>> = s.named(name);
        all.dedup_by_key(|symbol| symbol.addr);
        let text: Vec<Symbol<'_>> = all.iter().copied().filter(Symbol::is_text).collect();
        let hex_first = word.starts_with(|c: char| c.is_ascii_digit());
        match (text.as_slice(), all.first()) {
            _ if hex_first => {}
            ([], Some(symbol)) | ([symbol], _) => return Ok(Place::of(s, symbol.addr.add(offset))),
            ([], None) => {}
            (several, _) => return Err(duplicates(s, word, several)),
        }
    }
    let inner = word.strip_prefix('*').unwrap_or(word);
    values::address(cx, s, inner).map(|at| Place::of(s, at))
}

/// `panic+0x10` to the name and the offset.
fn split(word: &str) -> (Option<&str>, u64) {
    let is_name = |t: &str| {
        t.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && t.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.:$".contains(&b))
    };
    let plain = word.strip_prefix('(').and_then(|w| w.strip_suffix(')')).unwrap_or(word);
    match plain.split_once('+') {
        Some((name, offset)) if is_name(name.trim()) => {
            let offset = offset.trim();
            let value = match offset.strip_prefix("0x") {
                Some(digits) => u64::from_str_radix(digits, 16).ok(),
                None => offset.parse().ok(),
            };
            value.map_or((None, 0), |value| (Some(name.trim()), value))
        }
        _ if is_name(plain) => (Some(plain), 0),
        _ => (None, 0),
    }
}

/// crash's list of candidates.
fn duplicates(s: &Session, word: &str, symbols: &[Symbol<'_>]) -> CommandError {
    let mut list: Vec<&Symbol<'_>> = symbols.iter().collect();
    list.sort_by_key(|symbol| symbol.addr);
    let lines: Vec<String> = list
        .iter()
        .map(|symbol| {
            let module = symbol.module.map(|m| format!(" [{m}]")).unwrap_or_default();
            let line = of(s, symbol.addr).map(|cell| format!(" {cell}")).unwrap_or_default();
            format!("{:x} ({}) {}{module}{line}", symbol.addr.0, symbol.kind, symbol.name)
        })
        .collect();
    CommandError::explained(format_args!("{word}: duplicate text symbols found:"), lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_offsets() {
        assert_eq!(split("virtqueue_add+1186"), (Some("virtqueue_add"), 1186));
        assert_eq!(split("(panic+0x10)"), (Some("panic"), 16));
        assert_eq!(split("virtio_ring:vring_interrupt"), (Some("virtio_ring:vring_interrupt"), 0));
        assert_eq!(split("ffffffff81000000"), (Some("ffffffff81000000"), 0));
        assert_eq!(split("0xffffffff81000000"), (None, 0));
        assert_eq!(split("init_task.stack - 8"), (None, 0));
    }
}
