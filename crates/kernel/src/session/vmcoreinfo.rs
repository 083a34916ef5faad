//! What VMCOREINFO says, line by line, held against memory: one line can be damaged while the others are right.
//!
//! | line | held against |
//! |---|---|
//! | `SYMBOL(x)` | the kernel's symbol table |
//! | `OSRELEASE` | `init_uts_ns`, the banner, the dump's header: what most of them say |
//! | `BUILD-ID` | the notes between `__start_notes` and `__stop_notes` |
//! | `KERNELOFFSET` | where the image begins, and the address that it was linked for |
//! | `OFFSET`, `SIZE`, `LENGTH`, `NUMBER` and all others | the kernel's own copy of the text, where one is in memory |
//!
//! What is contradicted is left out, so that what serves without VMCOREINFO serves: the table, the types, a search. The
//! line of the copy is not taken in its place: that memory can be damaged as well.

use crate::opening::image_scan;
use crate::opening::kernels::{self, Kernels};
use crate::opening::open::build_id_at;
use crate::opening::release::{self, Voted};
use crate::session::{Fact, Session};
use arch::Boot;
use base::{VirtAddr, VirtRead, VmcoreInfo};
use debuginfo::symtab::SymbolTable;

/// VMCOREINFO without the lines that memory contradicts.
#[derive(Clone, Default, Debug)]
pub(crate) struct CheckedInfo {
    pub(crate) info: VmcoreInfo,
    /// The build id in the kernel's notes.
    pub(crate) build_id: Option<Vec<u8>>,
    /// The line that names it is contradicted, and nothing else tells it.
    pub(crate) is_other_build: bool,
    /// How far KASLR moved the image.
    pub(crate) kaslr_offset: Option<u64>,
    /// The kernels that this one started in memory of its own: a crash kernel.
    pub(crate) started: Vec<Boot>,
    /// Which lines were left out, and what else the user ought to know: a sentence each.
    pub(crate) notes: Vec<String>,
}

/// Keys that are named in one sentence.
const NAMED: usize = 8;

/// The build id in the kernel's own copy of the text, where no symbol leads to that: it is looked for in the image, which
/// only who asks for the build id waits for.
#[derive(Default)]
pub(super) struct CopiedId(pub(super) Option<String>);

impl Fact for CopiedId {
    const STAYS: bool = true;
    fn read(s: &Session) -> Self {
        let worth = s.kernel_symbols().names_no_variables() && !s.opened().machine.info.is_empty();
        let text = worth.then(|| image_scan::vmcoreinfo(s.opened())).flatten();
        let copy = text.map(|text| VmcoreInfo::parse(&text));
        let copy = copy.filter(|copy| mostly_agrees(copy, &s.opened().machine.info));
        Self(copy.and_then(|copy| copy.get("BUILD-ID").map(str::to_owned)))
    }
}

impl CheckedInfo {
    pub(crate) fn check(s: &Session) -> Self {
        let machine = &s.opened().machine;
        let (told, table) = (&machine.info, &s.kernel_symbols().table);
        let evidence = Evidence::read(s);
        let mut wrong: Vec<String> = wrong_symbols(told, table, s.mem(), s.vmlinux().is_some());
        let others = told.iter().filter(|(key, value)| evidence.contradicts(table, key, value));
        wrong.extend(others.map(|(key, _)| key.to_owned()));
        wrong.sort();
        wrong.dedup();
        let kaslr_offset = kaslr_offset(s, table, &evidence.copy);
        let own = told.kernel_offset();
        let usual = machine.boot.usual_offsets(told);
        let asked = s.opened().kaslr.filter(|asked| !usual.contains(asked));
        let better =
            [evidence.copy.kernel_offset(), own].into_iter().flatten().find(|own| usual.contains(own));
        let doubted = asked.zip(better).map(|(asked, own)| {
            format!("--kaslr {asked:x}: the place of the kernel's image and its own words say {own:x}")
        });
        if told.get("KERNELOFFSET").is_some()
            && s.opened().kaslr.is_none()
            && kaslr_offset.is_some_and(|known| Some(known) != told.kernel_offset())
        {
            wrong.push("KERNELOFFSET".to_owned());
        }
        let mut notes: Vec<String> = (!wrong.is_empty()).then(|| sentence(&wrong)).into_iter().collect();
        notes.extend(doubted);
        let is_other_build = evidence.build_id.is_none() && wrong.iter().any(|key| key == "BUILD-ID");
        let started = started(s, table);
        if !started.is_empty() {
            notes.extend(Kernels(machine.kernels.iter().chain(&started).copied().collect()).words(None));
        } else if machine.kernels.len() == 1
            && s.opened().kernel.is_none()
            && kernels::is_crash_kernel(table, s.mem()) == Some(true)
        {
            notes.push(
                "this is a crash kernel, which another one started when it died: --kernel 1 looks for that one in memory"
                    .into(),
            );
        }
        Self {
            info: told.without(&wrong),
            build_id: evidence.build_id,
            is_other_build,
            kaslr_offset,
            started,
            notes,
        }
    }
}

/// The crash kernels in memory that are not known yet.
fn started(s: &Session, table: &SymbolTable) -> Vec<Boot> {
    let machine = &s.opened().machine;
    if machine.kernels.len() > 1 {
        return Vec::new();
    }
    kernels::started(&machine.boot, table, s.mem(), s.phys())
}

fn sentence(wrong: &[String]) -> String {
    let named = wrong.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
    let more = match wrong.len().saturating_sub(NAMED) {
        0 => String::new(),
        n => format!(" and {n} more"),
    };
    let (lines, are) = if wrong.len() == 1 { ("the line", "is") } else { ("the lines", "are") };
    format!("VMCOREINFO: memory contradicts {lines} {named}{more}, which {are} not used")
}

/// What memory has of what VMCOREINFO says.
struct Evidence {
    release: Option<String>,
    build_id: Option<Vec<u8>>,
    /// The kernel's own copy of the text.
    copy: VmcoreInfo,
}

impl Evidence {
    fn read(s: &Session) -> Self {
        let machine = &s.opened().machine;
        let symbol = |name: &str| s.kernel_symbols().table.addr(name);
        let notes = symbol("__start_notes").zip(symbol("__stop_notes"));
        let build_id =
            notes.and_then(|(start, end)| build_id_at(s.mem(), start, end.0.checked_sub(start.0)?));
        let copy = machine.own_vmcoreinfo(symbol).filter(|copy| mostly_agrees(copy, &machine.info));
        Self {
            release: Voted::of(&release::witnesses(machine, symbol)).map(|voted| voted.release),
            build_id,
            copy: copy.unwrap_or_default(),
        }
    }

    fn contradicts(&self, table: &SymbolTable, key: &str, value: &str) -> bool {
        match key {
            "OSRELEASE" if self.release.is_some() => self.release.as_deref() != Some(value),
            "BUILD-ID" if self.build_id.is_some() => {
                self.build_id.as_deref().map(crate::hex).as_deref() != Some(value)
            }
            // told by other things
            "KERNELOFFSET" => false,
            _ if VmcoreInfo::symbol_name(key).is_some_and(|name| table.addr(name).is_some()) => false,
            _ => self.copy.get(key).is_some_and(|own| own != value),
        }
    }
}

/// Whether a copy in memory can count: one that differs in most lines is damaged itself.
fn mostly_agrees(copy: &VmcoreInfo, told: &VmcoreInfo) -> bool {
    let both = || copy.iter().filter_map(|(key, own)| Some((own, told.get(key)?)));
    let same = both().filter(|(own, told)| own == told).count();
    2 * same > both().count()
}

/// The symbols that the table has elsewhere. A kernel file that was taken by force can be the one that is wrong: then most
/// are elsewhere, and VMCOREINFO stays.
///
/// `VMCOREINFO_SYMBOL_ARRAY` of a variable that is a pointer (`mem_section`) tells what that points to.
fn wrong_symbols(told: &VmcoreInfo, table: &SymbolTable, mem: &dyn VirtRead, of_file: bool) -> Vec<String> {
    let (mut right, mut wrong) = (0_usize, Vec::new());
    for (key, _) in told.iter() {
        let Some(name) = VmcoreInfo::symbol_name(key) else { continue };
        let mut known = table.named(name).map(|symbol| symbol.addr).peekable();
        if known.peek().is_none() {
            continue;
        }
        let Some(at) = told.symbol(name) else {
            wrong.push(key.to_owned());
            continue;
        };
        let all: Vec<VirtAddr> = known.collect();
        // what a pointer points to, where that is not in the dump
        let unread =
            |own: &VirtAddr| own.0.abs_diff(at.0) > crate::opening::IMAGE_SPAN && mem.ptr(*own).is_err();
        if all.iter().any(|own| *own == at || mem.ptr(*own) == Ok(at)) {
            right += 1;
        } else if !all.iter().any(unread) {
            wrong.push(key.to_owned());
        }
    }
    if of_file && wrong.len() > right { Vec::new() } else { wrong }
}

/// What VMCOREINFO, its copy or the search said, where it is the usual offset; another one where the boot loader's copy of
/// the kernel's header confirms it.
fn kaslr_offset(s: &Session, table: &SymbolTable, copy: &VmcoreInfo) -> Option<u64> {
    let boot = s.boot();
    // where no symbol leads to the copy, it can have been found without one
    let own = s.opened().machine.info.kernel_offset();
    let offsets = boot.usual_offsets(&s.opened().machine.info);
    if s.vmlinux().is_some() || s.opened().kaslr.is_some() || offsets.is_empty() {
        return boot.kaslr_offset.or_else(|| copy.kernel_offset()).or(own);
    }
    let claims = [boot.kaslr_offset, copy.kernel_offset(), own];
    let usual = offsets.iter().copied().find(|usual| claims.contains(&Some(*usual)));
    usual.or_else(|| boot.offset_by_loader(s.mem(), &|name| table.addr(name)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use base::{Fault, FaultKind};
    use debuginfo::symtab::SymbolTableBuilder;

    /// A few bytes of memory at an address.
    struct Words(u64, Vec<u8>);

    impl VirtRead for Words {
        fn read(&self, at: VirtAddr, buf: &mut [u8]) -> Result<(), Fault> {
            let from = at.0.wrapping_sub(self.0) as usize;
            let there = self.1.get(from..from.saturating_add(buf.len()));
            let there = there.ok_or(Fault::new(at, FaultKind::NotMapped("PTE")))?;
            buf.copy_from_slice(there);
            Ok(())
        }
    }

    #[test]
    fn a_table_of_another_build_makes_no_line_wrong() {
        let mut builder = SymbolTableBuilder::new();
        for (n, name) in ["a", "b", "c", "twice", "twice"].iter().enumerate() {
            builder.push(name.as_bytes(), 0xffff_ffff_8100_0000 + n as u64 * 16, 0, b'T');
        }
        let table = builder.build();
        let info = |text: &str| VmcoreInfo::parse(text.as_bytes());
        let told = info(
            "SYMBOL(a)=ffffffff81000000\nSYMBOL(b)=ffffffff81000018\nSYMBOL(twice)=ffffffff81000040\nSYMBOL(gone)=1\nSYMBOL(c)=x\n",
        );
        let mem = Words(0, Vec::new());
        assert_eq!(wrong_symbols(&told, &table, &mem, false), ["SYMBOL(b)", "SYMBOL(c)"]);
        assert_eq!(wrong_symbols(&told, &table, &mem, true), ["SYMBOL(b)", "SYMBOL(c)"]);
        let moved =
            info("SYMBOL(a)=ffffffff81000008\nSYMBOL(b)=ffffffff81000018\nSYMBOL(c)=ffffffff81000020\n");
        assert!(wrong_symbols(&moved, &table, &mem, true).is_empty());
        // what a pointer points to
        let mut words = vec![0; 16];
        words[..8].copy_from_slice(&0xffff_ffff_8100_0018_u64.to_le_bytes());
        let pointer = Words(0xffff_ffff_8100_0010, words);
        assert_eq!(wrong_symbols(&told, &table, &pointer, false), ["SYMBOL(c)"]);
        // what it points to is far away, and the pointer is not in the dump
        let far = info("SYMBOL(b)=ff11000012345000\nSYMBOL(c)=ffffffff81000028\n");
        assert_eq!(wrong_symbols(&far, &table, &mem, false), ["SYMBOL(c)"]);
        assert_eq!(wrong_symbols(&far, &table, &pointer, false), ["SYMBOL(b)", "SYMBOL(c)"]);
    }

    #[test]
    fn a_copy_that_differs_in_most_lines_is_none() {
        let info = |text: &str| VmcoreInfo::parse(text.as_bytes());
        let told = info("A=1\nB=2\nC=3\n");
        assert!(mostly_agrees(&info("A=1\nB=2\nC=4\n"), &told));
        assert!(!mostly_agrees(&info("A=1\nB=4\nC=4\n"), &told) && !mostly_agrees(&info(""), &told));
    }
}
