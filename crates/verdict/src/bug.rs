//! The kernel's bug table: the file and line of each `BUG()` and `WARN()`, in the dump's own memory.
//! Source: include/asm-generic/bug.h, lib/bug.c, arch/x86/include/asm/bug.h.

use base::{VirtAddr, VirtRead};
use kernel::Session;
use kernel::bind;

bind! {
    /// `struct bug_entry`; relative pointers since 2.6.30 on x86-64
    struct BugEntry("bug_entry") {
        addr: "bug_addr_disp" | "bug_addr",
        file: "file_disp" | "file",
        line: "line",
        flags: "flags",
        format: "format_disp" | "format", // 6.19
    }
}
bind! {
    /// `struct module`
    struct ModuleBugs("module") { table: "bug_table", count: "num_bugs" }
}

/// `BUGFLAG_WARNING`
const WARNING: u64 = 1;
/// More than any kernel has.
const MAX_ENTRIES: u64 = 1 << 20;

/// An entry of the bug table.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Entry {
    /// The trap's address.
    pub(crate) at: VirtAddr,
    pub(crate) file: Option<String>,
    pub(crate) line: Option<u32>,
    /// A warning, after which the kernel goes on.
    pub(crate) warning: bool,
}

/// The layout of one entry.
#[derive(Clone, Copy, Debug)]
struct Layout {
    size: u64,
    addr: u64,
    file: Option<u64>,
    line: Option<u64>,
    flags: u64,
    relative: bool,
}

impl Layout {
    fn of(s: &Session) -> Self {
        let b = s.bind::<BugEntry>();
        let (Some(size), Ok(addr), Ok(flags)) = (b.size, b.addr.offset(), b.flags.offset()) else {
            // x86-64 with CONFIG_DEBUG_BUGVERBOSE, until a format was added
            return Self { size: 12, addr: 0, file: Some(4), line: Some(8), flags: 10, relative: true };
        };
        Self {
            size: size.clamp(4, 256),
            addr,
            file: b.file.offset().ok(),
            line: b.line.offset().ok(),
            flags,
            relative: b.addr.size().is_ok_and(|n| n == 4),
        }
    }
}

fn number(entry: &[u8], offset: u64, size: usize) -> Option<u64> {
    let from = usize::try_from(offset).ok()?;
    let mut out = [0; 8];
    out.get_mut(..size)?.copy_from_slice(entry.get(from..from.checked_add(size)?)?);
    Some(u64::from_le_bytes(out))
}

fn signed(value: u64) -> i64 {
    i64::from(value as u32 as i32)
}

struct Table {
    start: VirtAddr,
    bytes: Vec<u8>,
    layout: Layout,
}

impl Table {
    fn read(s: &Session, start: VirtAddr, count: u64, layout: Layout) -> Option<Self> {
        let len = count.min(MAX_ENTRIES).checked_mul(layout.size)?;
        let bytes = s.mem().bytes(start, usize::try_from(len).ok()?).ok()?;
        Some(Self { start, bytes, layout })
    }

    /// The trap's address of entry `n`, in both ways that kernels count it from.
    fn address(&self, n: u64, entry: &[u8]) -> Option<u64> {
        let l = &self.layout;
        let own = self.start.0.wrapping_add(n.wrapping_mul(l.size)).wrapping_add(l.addr);
        if l.relative {
            Some(own.wrapping_add_signed(signed(number(entry, l.addr, 4)?)))
        } else {
            number(entry, l.addr, 8)
        }
    }

    fn entries(&self) -> impl Iterator<Item = (u64, &[u8])> {
        (0_u64..).zip(self.bytes.chunks_exact(usize::try_from(self.layout.size).unwrap_or(12)))
    }

    fn decode(&self, mem: &dyn VirtRead, n: u64, entry: &[u8]) -> Option<Entry> {
        let l = &self.layout;
        let at = VirtAddr(self.address(n, entry)?);
        let own = self.start.0.wrapping_add(n.wrapping_mul(l.size));
        let file = l.file.and_then(|offset| {
            if !l.relative {
                return text(mem, number(entry, offset, 8)?);
            }
            let disp = signed(number(entry, offset, 4)?);
            // counted from the member itself since 5.19, from the entry before; where a string begins
            // tells which, or, of the first one of its section, that it is a file's name
            let both = [own.wrapping_add(offset).wrapping_add_signed(disp), own.wrapping_add_signed(disp)];
            let begins = |at: &u64| mem.u8(VirtAddr(at.wrapping_sub(1))).is_ok_and(|b| b == 0);
            let named = |at: u64| text(mem, at).filter(|t| t.contains('/') || t.ends_with(".c"));
            let [own, entry] = both;
            both.iter().filter(|at| begins(at)).find_map(|at| text(mem, *at)).or_else(|| {
                match (named(own), named(entry)) {
                    // one is the tail of the other
                    (Some(a), Some(b)) if b.ends_with(&a) => Some(b),
                    (Some(a), _) => Some(a),
                    (None, b) => b,
                }
            })
        });
        let line = l.line.and_then(|o| number(entry, o, 2)).and_then(|n| u32::try_from(n).ok());
        let warning = number(entry, l.flags, 2)? & WARNING != 0;
        Some(Entry { at, line: line.filter(|_| file.is_some()), file, warning })
    }
}

/// A printable string.
fn text(mem: &dyn VirtRead, at: u64) -> Option<String> {
    let at = VirtAddr(at);
    let raw = mem.cstr(at, 512).ok()?;
    let good = !raw.is_empty() && raw.iter().all(|b| b.is_ascii_graphic() || *b == b' ');
    good.then(|| String::from_utf8_lossy(&raw).into_owned())
}

/// The table that an address's traps are in.
fn table_for(s: &Session, at: VirtAddr) -> Option<Table> {
    let layout = Layout::of(s);
    if let Some(m) = s.module_at(at) {
        let b = s.bind::<ModuleBugs>();
        let start = b.table.ptr(s.mem(), m.at).ok()?;
        let count = b.count.num(s.mem(), m.at).ok()? & 0xffff_ffff;
        return Table::read(s, start, count, layout);
    }
    let start = s.symbol("__start___bug_table")?;
    let stop = s.symbol("__stop___bug_table")?;
    Table::read(s, start, stop.0.checked_sub(start.0)? / layout.size, layout)
}

/// The bug table's entry for the trap at an address.
pub(crate) fn entry_at(s: &Session, at: VirtAddr) -> Option<Entry> {
    let table = table_for(s, at)?;
    let (n, entry) = table.entries().find(|(n, e)| table.address(*n, e) == Some(at.0))?;
    table.decode(s.mem(), n, entry)
}

/// The addresses of the warnings within a function's parts.
pub(crate) fn warnings_within(s: &Session, parts: &[(u64, &[u8])]) -> Vec<u64> {
    let Some(table) = parts.first().and_then(|(at, _)| table_for(s, VirtAddr(*at))) else {
        return Vec::new();
    };
    let l = table.layout;
    table
        .entries()
        .filter(|(_, e)| number(e, l.flags, 2).is_some_and(|f| f & WARNING != 0))
        .filter_map(|(n, e)| table.address(n, e))
        .filter(|at| parts.iter().any(|(start, code)| at.wrapping_sub(*start) < code.len() as u64))
        .collect()
}
