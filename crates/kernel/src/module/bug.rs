//! The kernel's bug table: the file and line of each `BUG()` and `WARN()`, in the dump's own memory.
//! Source: include/asm-generic/bug.h, lib/bug.c, arch/x86/include/asm/bug.h.

use crate::session::Session;
use arch::{ARCHES, Arch};
use base::{VirtAddr, VirtRead};

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
pub struct Entry {
    /// The trap's address.
    pub at: VirtAddr,
    /// The file's name, where the table has it and the dump its text.
    pub file: Option<String>,
    /// The line, where the file is known.
    pub line: Option<u32>,
    /// A warning, after which the kernel goes on.
    pub warning: bool,
    /// The commands that show the file's name and the line.
    pub commands: Vec<String>,
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

/// The layouts that kernels have had: relative without file and line (no CONFIG_DEBUG_BUGVERBOSE), with
/// both, with a format before them (6.19), and with whole addresses (no CONFIG_GENERIC_BUG_RELATIVE_POINTERS).
/// The short ones come first: every other entry of a short layout reads as one of twice its size.
const LAYOUTS: &[Layout] = &[
    Layout { size: 8, addr: 0, file: None, line: None, flags: 4, relative: true },
    Layout { size: 12, addr: 0, file: Some(4), line: Some(8), flags: 10, relative: true },
    Layout { size: 16, addr: 0, file: Some(8), line: Some(12), flags: 14, relative: true },
    Layout { size: 16, addr: 0, file: None, line: None, flags: 8, relative: false },
    Layout { size: 24, addr: 0, file: Some(8), line: Some(16), flags: 18, relative: false },
];
/// How many entries a layout is tried with.
const TRIED: usize = 8;

impl Layout {
    /// As the kernel's types have it.
    fn of(s: &Session) -> Option<Self> {
        let b = s.bind::<BugEntry>();
        let (size, addr, flags) = (b.size?, b.addr.offset().ok()?, b.flags.offset().ok()?);
        Some(Self {
            size: size.clamp(4, 256),
            addr,
            file: b.file.offset().ok(),
            line: b.line.offset().ok(),
            flags,
            relative: b.addr.size().is_ok_and(|n| n == 4),
        })
    }

    /// Without types: the layout by which the first entries' addresses are of trapping instructions.
    fn by_shape(arch: &Arch, mem: &dyn VirtRead, start: VirtAddr, bytes: &[u8]) -> Option<Self> {
        LAYOUTS.iter().copied().find(|layout| {
            let size = usize::try_from(layout.size).unwrap_or(12);
            let first = bytes.chunks_exact(size).take(TRIED);
            first.len() == TRIED
                && (0_u64..).zip(first).all(|(n, entry)| {
                    layout.address(start, n, entry).is_some_and(|at| is_trap(arch, mem, VirtAddr(at)))
                })
        })
    }

    /// Of this kernel: by its types, else by its own table.
    fn known(s: &Session) -> Option<Self> {
        Self::of(s).or_else(|| {
            let (start, _) = kernel_table(s)?;
            let head = s.mem().bytes(start, TRIED * 24).ok()?;
            Self::by_shape(s.arch(), s.mem(), start, &head)
        })
    }

    /// The trap's address of entry `n` of a table at `start`.
    fn address(&self, start: VirtAddr, n: u64, entry: &[u8]) -> Option<u64> {
        let own = start.0.wrapping_add(n.wrapping_mul(self.size)).wrapping_add(self.addr);
        if self.relative {
            Some(own.wrapping_add_signed(signed(number(entry, self.addr, 4)?)))
        } else {
            number(entry, self.addr, 8)
        }
    }
}

/// True where an instruction traps.
fn is_trap(arch: &Arch, mem: &dyn VirtRead, at: VirtAddr) -> bool {
    mem.bytes(at, 4).is_ok_and(|code| arch.traps().is_bug(&code))
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
    /// Zeros where the dump lacks a page of it.
    bytes: Vec<u8>,
    layout: Layout,
    /// All of it is in the dump.
    is_whole: bool,
}

impl Table {
    fn read(s: &Session, start: VirtAddr, count: u64, layout: Layout) -> Option<Self> {
        let len = count.min(MAX_ENTRIES).checked_mul(layout.size)?;
        let mut bytes = vec![0; usize::try_from(len).ok()?];
        let is_whole = s.mem().read_what_is_there(start, &mut bytes);
        Some(Self { start, bytes, layout, is_whole })
    }

    fn address(&self, n: u64, entry: &[u8]) -> Option<u64> {
        self.layout.address(self.start, n, entry)
    }

    fn entries(&self) -> impl Iterator<Item = (u64, &[u8])> {
        (0_u64..).zip(self.bytes.chunks_exact(usize::try_from(self.layout.size).unwrap_or(12)))
    }

    fn decode(&self, mem: &dyn VirtRead, n: u64, entry: &[u8]) -> Option<Entry> {
        let l = &self.layout;
        let at = VirtAddr(self.address(n, entry)?);
        let own = self.start.0.wrapping_add(n.wrapping_mul(l.size));
        let file_at = l.file.and_then(|offset| {
            if !l.relative {
                return number(entry, offset, 8).filter(|at| text(mem, *at).is_some());
            }
            let disp = signed(number(entry, offset, 4)?);
            // counted from the member itself since 5.19, from the entry before; where a string begins
            // tells which, or, of the first one of its section, that it is a file's name
            let both = [own.wrapping_add(offset).wrapping_add_signed(disp), own.wrapping_add_signed(disp)];
            let begins = |at: &u64| mem.u8(VirtAddr(at.wrapping_sub(1))).is_ok_and(|b| b == 0);
            let named = |at: u64| text(mem, at).filter(|t| t.contains('/') || t.ends_with(".c"));
            let [own, entry] = both;
            both.into_iter().find(|at| begins(at) && text(mem, *at).is_some()).or_else(|| {
                match (named(own), named(entry)) {
                    // one is the tail of the other
                    (Some(a), Some(b)) if b.ends_with(&a) => Some(entry),
                    (Some(_), _) => Some(own),
                    (None, Some(_)) => Some(entry),
                    (None, None) => None,
                }
            })
        });
        let file = file_at.and_then(|at| text(mem, at));
        let line = l.line.and_then(|o| number(entry, o, 2)).and_then(|n| u32::try_from(n).ok());
        let warning = number(entry, l.flags, 2)? & WARNING != 0;
        let mut commands: Vec<String> = file_at.map(|at| format!("rd -a {at:x}")).into_iter().collect();
        commands.extend(l.line.map(|offset| format!("rd -16 {:x}", own.wrapping_add(offset))));
        Some(Entry { at, line: line.filter(|_| file.is_some()), file, warning, commands })
    }
}

/// A printable string.
fn text(mem: &dyn VirtRead, at: u64) -> Option<String> {
    let at = VirtAddr(at);
    let raw = mem.cstr(at, 512).ok()?;
    let good = !raw.is_empty() && raw.iter().all(|b| b.is_ascii_graphic() || *b == b' ');
    good.then(|| String::from_utf8_lossy(&raw).into_owned())
}

/// The kernel's own table: where it begins and its bytes.
fn kernel_table(s: &Session) -> Option<(VirtAddr, u64)> {
    let start = s.symbol("__start___bug_table")?;
    let stop = s.symbol("__stop___bug_table")?;
    Some((start, stop.0.checked_sub(start.0)?))
}

/// The table that an address's traps are in.
fn table_for(s: &Session, at: VirtAddr) -> Option<Table> {
    let layout = Layout::known(s)?;
    if let Some(m) = s.module_at(at) {
        let b = s.bind::<ModuleBugs>();
        let start = b.table.ptr(s.mem(), m.at).ok()?;
        let count = b.count.num(s.mem(), m.at).ok()? & 0xffff_ffff;
        return Table::read(s, start, count, layout);
    }
    // what is beyond the image is of a module that is lost
    if !s.in_image(at) {
        return None;
    }
    let (start, len) = kernel_table(s)?;
    Table::read(s, start, len / layout.size, layout)
}

/// The bug table's entry for the trap at an address.
pub fn entry_at(s: &Session, at: VirtAddr) -> Option<Entry> {
    let table = table_for(s, at)?;
    let (n, entry) = table.entries().find(|(n, e)| table.address(*n, e) == Some(at.0))?;
    table.decode(s.mem(), n, entry)
}

/// Whether the kernel's code has a `BUG()` or `WARN()` at an address; `None` where the table that would tell is not in the
/// dump.
pub fn is_bug(s: &Session, at: VirtAddr) -> Option<bool> {
    let table = table_for(s, at)?;
    let found = table.entries().any(|(n, entry)| table.address(n, entry) == Some(at.0));
    (found || table.is_whole).then_some(found)
}

/// The addresses of the warnings within a function's parts.
pub fn warnings_within(s: &Session, parts: &[(u64, &[u8])]) -> Vec<u64> {
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

/// Reads the bytes as a table in each layout that a kernel has had, in memory that holds nothing else; how many entries
/// made sense. For fuzzing.
pub fn read_all(bytes: &[u8]) -> usize {
    struct Alone<'a>(&'a [u8]);
    impl VirtRead for Alone<'_> {
        fn read(&self, at: VirtAddr, buf: &mut [u8]) -> Result<(), base::Fault> {
            let from = usize::try_from(at.0.wrapping_sub(START.0)).ok().and_then(|from| self.0.get(from..));
            let part = from.and_then(|part| part.get(..buf.len()));
            let fault = base::Fault::new(at, base::FaultKind::NotMapped("PTE"));
            buf.copy_from_slice(part.ok_or(fault)?);
            Ok(())
        }
    }
    const START: VirtAddr = VirtAddr(0xffff_ffff_8200_0000);
    let mem = Alone(bytes);
    let shapes = ARCHES.iter().filter_map(|arch| Layout::by_shape(arch, &mem, START, bytes));
    let tables = LAYOUTS.iter().copied().chain(shapes);
    let tables = tables.map(|layout| Table { start: START, bytes: bytes.to_vec(), layout, is_whole: true });
    tables
        .map(|table| {
            table
                .entries()
                .filter(|(n, e)| table.decode(&mem, *n, e).is_some_and(|e| e.file.is_some()))
                .count()
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use base::Fault;

    /// Memory of one piece.
    struct Piece(u64, Vec<u8>);

    impl VirtRead for Piece {
        fn read(&self, at: VirtAddr, buf: &mut [u8]) -> Result<(), Fault> {
            let from = usize::try_from(at.0.wrapping_sub(self.0)).unwrap_or(usize::MAX);
            match self.1.get(from..from.saturating_add(buf.len())) {
                Some(part) => buf.copy_from_slice(part),
                None => buf.fill(0),
            }
            Ok(())
        }
    }

    #[test]
    fn of_code_that_no_module_has_the_kernel_s_table_tells_nothing() {
        let mut k = testkit::kernel::Kernel::new();
        let members = [("bug_addr_disp", 0, "s32"), ("line", 8, "u16"), ("flags", 10, "u16")];
        k.structure("bug_entry", 12, &members);
        let start = k.variable("__start___bug_table", 24);
        k.symbol("__stop___bug_table", b'd', start + 24);
        let (bug, other) = (k.function("bug", 0x40), k.function("other", 0x80));
        k.half(start, bug.wrapping_sub(start) as u32);
        let s = crate::testing::session(&k);
        assert_eq!(is_bug(&s, VirtAddr(bug)), Some(true));
        assert_eq!(is_bug(&s, VirtAddr(other)), Some(false));
        assert_eq!(is_bug(&s, VirtAddr(0xffff_ffff_c05e_3609)), None);
    }

    const COUNT: u64 = 30;

    /// Code with traps at 0, 16 and 32, then a table of them in a layout, at 0x100.
    fn memory(layout: Layout, traps: [&[u8]; 3]) -> (Piece, usize) {
        let mut bytes = vec![0x90; 0x100];
        for (n, trap) in traps.iter().enumerate() {
            bytes[n * 16..n * 16 + trap.len()].copy_from_slice(trap);
        }
        let base = 0xffff_ffff_8100_0000_u64;
        for n in 0..COUNT {
            let own = base + 0x100 + n * layout.size;
            let mut entry = vec![0; layout.size as usize];
            let target = base + n % 3 * 16;
            if layout.relative {
                entry[..4].copy_from_slice(&(target.wrapping_sub(own) as u32).to_le_bytes());
            } else {
                entry[..8].copy_from_slice(&target.to_le_bytes());
            }
            entry[layout.flags as usize] = 1;
            bytes.extend(entry);
        }
        let len = bytes.len() - 0x100;
        (Piece(base, bytes), len)
    }

    #[test]
    fn the_layout_is_told_by_where_its_addresses_lead() {
        let ud2: &[u8] = &[0x0f, 0x0b];
        for want in LAYOUTS {
            let (mem, len) = memory(*want, [ud2, &[0x67, 0x48, 0x0f, 0xb9, 0x3a], ud2]);
            let start = VirtAddr(mem.0 + 0x100);
            let bytes = mem.bytes(start, len).unwrap();
            let found = Layout::by_shape(arch::by_name("x86_64").unwrap(), &mem, start, &bytes).unwrap();
            assert_eq!((found.size, found.relative, found.flags), (want.size, want.relative, want.flags));
        }
    }

    /// `brk #0x800` of arm64.
    #[test]
    fn a_trap_is_the_architecture_s() {
        let brk: &[u8] = &[0x00, 0x00, 0x21, 0xd4];
        let (mem, len) = memory(LAYOUTS[1], [brk, brk, brk]);
        let start = VirtAddr(mem.0 + 0x100);
        let bytes = mem.bytes(start, len).unwrap();
        let size = |arch: &Arch| Layout::by_shape(arch, &mem, start, &bytes).map(|found| found.size);
        assert_eq!(ARCHES.iter().filter_map(|arch| size(arch)).collect::<Vec<_>>(), [12]);
        assert_eq!(size(arch::by_name("aarch64").unwrap()), Some(12));
    }

    #[test]
    fn a_table_that_leads_to_no_traps_has_no_layout() {
        let (mem, len) = memory(LAYOUTS[0], [&[0x90], &[0x90], &[0x90]]);
        let start = VirtAddr(mem.0 + 0x100);
        assert!(
            Layout::by_shape(arch::by_name("x86_64").unwrap(), &mem, start, &mem.bytes(start, len).unwrap())
                .is_none()
        );
    }
}
