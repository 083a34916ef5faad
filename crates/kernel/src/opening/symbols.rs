//! The kernel's own symbols, with addresses as in the dump: of its file, of kallsyms in memory, or of a System.map.

use crate::opening::open::{Build, Opened};
use crate::opening::watched::WatchedVirt;
use arch::{Boot, KernelMap};
use base::{GRANULE, Missing, PhysAddr, PhysRead, VirtAddr};
use debuginfo::find::Watch;
use debuginfo::kallsyms::{self, Addresses, Kallsyms, KallsymsError};
use debuginfo::symtab::SymbolTable;
use std::ops::Range;
use std::sync::Arc;

/// What a kernel without `CONFIG_KALLSYMS_ALL` leaves out of its own table.
const FUNCTIONS_ALONE: &str = "kallsyms in the dump has functions alone (a kernel without CONFIG_KALLSYMS_ALL): its \
     variables are in its vmlinux (\"info\" says which package has it)";
/// Runs of memory that are looked through for kallsyms; an image in more pieces has lost its table.
const MAX_RUNS: usize = 4096;

/// The kernel's own symbols.
#[derive(Clone)]
pub struct KernelSymbols {
    /// The table; empty where no way led to one.
    pub table: Arc<SymbolTable>,
    /// How many symbols are lost: the table has gaps in their place.
    pub lost: usize,
    /// Where it is from, in words.
    pub from: String,
    /// Why not from a better place, or why there is none.
    pub problem: Option<String>,
    /// True where the dump lost what the table lacks; false where the kernel has no such symbols (`CONFIG_KALLSYMS_ALL`).
    pub is_lost: bool,
}

impl KernelSymbols {
    /// True for a kernel without `CONFIG_KALLSYMS_ALL`, and where there are no symbols at all.
    pub(crate) fn names_no_variables(&self) -> bool {
        self.table.is_empty() || self.table.has_functions_alone()
    }

    /// From vmlinux where there is one, else from kallsyms in the dump, else from a System.map that was named.
    pub(crate) fn load(o: &Opened) -> Self {
        if let Some(file) = o.vmlinux.as_ref().filter(|_| o.build != Build::Foreign) {
            let table = SymbolTable::from_elf(file, o.machine.boot.slide());
            if !table.is_empty() {
                let from = format!("symbol table of {}", file.path().display());
                return Self { table: Arc::new(table), lost: 0, from, problem: None, is_lost: false };
            }
        }
        if let Some(logged) = &o.machine.logged {
            return logged.symbols();
        }
        let own = Self::from_kallsyms(o);
        match &o.system_map {
            // what the dump has itself is not less, unless it says so
            Some(map) if own.problem.is_some() || own.table.is_empty() => {
                let from = map.path.display().to_string();
                Self { table: Arc::clone(&map.table), from, problem: None, lost: 0, is_lost: false }
            }
            _ => own,
        }
    }

    /// From kallsyms in the dump.
    pub(crate) fn from_kallsyms(o: &Opened) -> Self {
        let told = Addresses::from_lookup(|name| o.machine.info.symbol(name))
            .and_then(|at| Kallsyms::read(&*o.machine.mem, &at))
            .map_err(|e| (e.to_string(), e.is_loss()))
            .and_then(|found| match is_of_image(&found.table, o) {
                true => Ok(found),
                false => Err((ELSEWHERE.to_owned(), false)),
            });
        let searched = |(why, is_lost): (String, bool)| {
            let text = o.machine.boot.text.ok_or((why, is_lost))?;
            find_in_image(&o.machine.mem, o.machine.phys(), &o.machine.boot, text, &o.watch).map_err(|e| {
                if o.watch.cancel.is_cancelled() {
                    let stopped = "the search was stopped; the next command that needs them looks again";
                    return (stopped.to_owned(), false);
                }
                let gap = lacking(o.machine.phys(), o.machine.boot.image_phys(text));
                // what a filter left out there are pages of others
                let is_lost = is_lost || e.is_loss() || gap.is_some_and(|gap| gap.why.is_loss());
                (gap.map_or_else(|| e.to_string(), |gap| format!("{e}; {gap}")), is_lost)
            })
        };
        match told.or_else(searched) {
            Ok(found) => Self::read(found.table, found.lost),
            Err((why, is_lost)) => {
                let cut = o.machine.image.lost_memory();
                Self {
                    table: Arc::new(SymbolTable::empty()),
                    lost: 0,
                    from: "nowhere".into(),
                    is_lost: is_lost || cut.is_some(),
                    problem: Some(match cut {
                        Some(cut) => format!("kallsyms is not in the dump: {cut}"),
                        None => format!("kallsyms in the dump: {why}"),
                    }),
                }
            }
        }
    }

    /// What a table in the dump is worth.
    fn read(table: SymbolTable, lost: usize) -> Self {
        let damage = (lost > 0).then(|| {
            format!("kallsyms in the dump is damaged: {lost} symbols have lost their name or their address")
        });
        let problem = table.has_functions_alone().then(|| FUNCTIONS_ALONE.to_owned()).or(damage);
        let from = match lost {
            0 => "kallsyms in the dump".into(),
            _ => format!("kallsyms in the dump, damaged: {lost} symbols lost"),
        };
        Self { table: Arc::new(table), lost, from, problem, is_lost: lost > 0 }
    }
}

/// Why a table that VMCOREINFO leads to is not believed.
const ELSEWHERE: &str = "the table that VMCOREINFO leads to does not begin where the kernel's image does";

/// Whether a table's first symbol and its topmost page table are where page tables and VMCOREINFO have them: arrays that
/// are read at wrong places give every name another address.
fn is_of_image(table: &SymbolTable, o: &Opened) -> bool {
    const ALIGN: u64 = 2 << 20;
    let text = table.addr("_text").or_else(|| table.addr("_stext"));
    let begins = match (text, o.machine.boot.text) {
        (Some(own), Some(mapped)) => own.0 / ALIGN == mapped.0 / ALIGN,
        _ => true,
    };
    let roots = ["swapper_pg_dir", "init_top_pgt", "init_level4_pgt"];
    let own = roots.iter().find_map(|name| table.addr(name));
    let told = roots.iter().find_map(|name| o.machine.info.symbol(name));
    begins && own.zip(told).is_none_or(|(own, told)| own == told)
}

/// Looks for kallsyms in those parts of the image whose memory the dump has: where most of it is missing, asking
/// for every page of the address space would take seconds.
pub(crate) fn find_in_image(
    mem: &KernelMap,
    phys: &dyn PhysRead,
    boot: &Boot,
    text: VirtAddr,
    watch: &Watch,
) -> Result<Kallsyms, KallsymsError> {
    let end = text.add(super::IMAGE_SEARCHED);
    let mut error = None;
    let mem = WatchedVirt { mem, watch, all: text..end };
    for run in present(phys, boot.image_phys(text), super::IMAGE_SEARCHED).into_iter().take(MAX_RUNS) {
        let found = kallsyms::find_behind(&mem, text, text.add(run.start), text.add(run.end));
        watch.progress.finish();
        match found {
            Ok(found) => return Ok(found),
            // what the most promising place lacked says more than that nothing was found
            Err(KallsymsError::NotFound { .. }) => {}
            Err(e) => error = error.or(Some(e)),
        }
    }
    Err(error.unwrap_or(KallsymsError::NotFound { start: text, end, candidates: 0 }))
}

/// Why a part of the image is not in the dump: what was looked for may lie there.
fn lacking(phys: &dyn PhysRead, image: PhysAddr) -> Option<Missing> {
    const STEP: usize = 1 << 16;
    let places = (0..super::IMAGE_SEARCHED / 4).step_by(STEP);
    let mut gaps = places.filter_map(|at| phys.read_phys(image.add(at), &mut [0]).err());
    let first = gaps.next()?;
    // one that should be there says more than one that a filter left out
    Some(std::iter::once(first).chain(gaps).find(|gap| gap.why.is_loss()).unwrap_or(first))
}

/// The parts of `len` bytes from `from` on that physical memory may hold, as distances from `from`. A hole of a sparse
/// file is zeros among them: what is searched for can go on behind it.
pub(crate) fn present(phys: &dyn PhysRead, from: PhysAddr, len: u64) -> Vec<Range<u64>> {
    let mut runs: Vec<Range<u64>> = Vec::new();
    let mut at = 0;
    while at < len {
        let next =
            phys.skip_holes(from.add(at)).map(|next| next.page_base().0.saturating_sub(from.0).max(at));
        let next = next.unwrap_or(len).min(len);
        let zeros = next > at && phys.read_phys(from.add(at), &mut [0]).is_ok();
        let (start, end) = if zeros { (at, next) } else { (next, next + GRANULE) };
        if start >= len {
            break;
        }
        match runs.last_mut() {
            Some(run) if run.end == start => run.end = end,
            _ => runs.push(start..end),
        }
        at = end;
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;
    use base::PhysRange;

    /// Pages with these numbers.
    struct Pages(&'static [u64]);

    impl PhysRead for Pages {
        fn read_phys(&self, at: PhysAddr, _buf: &mut [u8]) -> Result<(), Missing> {
            Err(Missing::new(at, base::Gap::Absent))
        }
        fn ranges(&self) -> &[PhysRange] {
            &[]
        }
        fn skip_holes(&self, from: PhysAddr) -> Option<PhysAddr> {
            let page = self.0.iter().find(|p| **p >= from.0 / GRANULE)?;
            Some(PhysAddr((page * GRANULE).max(from.0)))
        }
    }

    #[test]
    fn a_table_of_functions_alone_says_what_lacks() {
        let table = |kinds: &[u8]| {
            let mut builder = debuginfo::symtab::SymbolTableBuilder::new();
            for (n, kind) in kinds.iter().enumerate() {
                builder.push(b"name", 0xffff_ffff_8100_0000 + n as u64 * 16, 0, *kind);
            }
            KernelSymbols::read(builder.build(), 0).problem
        };
        assert_eq!(table(b"TtDt"), None);
        assert_eq!(table(b"Tb"), None);
        assert_eq!(table(b""), None);
        // a label that happens to lie beside the text
        assert!(table(&[&[b't'; 200][..], b"D"].concat()).is_some());
        assert_eq!(table(&[&[b't'; 200][..], b"DDDDD"].concat()), None);
        let why = table(b"TtWA").unwrap();
        assert!(why.contains("CONFIG_KALLSYMS_ALL") && why.contains("vmlinux"), "{why}");
    }

    #[test]
    fn what_a_kernel_does_not_have_is_no_loss() {
        let read = |kinds: &[u8], lost: usize| {
            let mut builder = debuginfo::symtab::SymbolTableBuilder::new();
            for (n, kind) in kinds.iter().enumerate() {
                builder.push(b"name", 0xffff_ffff_8100_0000 + n as u64 * 16, 0, *kind);
            }
            let read = KernelSymbols::read(builder.build(), lost);
            (read.problem.is_some(), read.is_lost)
        };
        assert_eq!(read(b"TtDt", 0), (false, false));
        assert_eq!(read(b"TtDt", 3), (true, true));
        assert_eq!(read(b"TtWA", 0), (true, false));
        assert_eq!(read(b"TtWA", 3), (true, true));
        // what leads nowhere may never have been there
        let none = KallsymsError::NotFound { start: VirtAddr(0), end: VirtAddr(4096), candidates: 0 };
        assert!(!none.is_loss());
        assert!(KallsymsError::NamesEnd { index: 7 }.is_loss());
    }

    #[test]
    fn a_search_steps_over_what_the_dump_lacks() {
        let pages = Pages(&[1, 4, 5, 6, 9, 1 << 30]);
        let runs = present(&pages, PhysAddr(2 * GRANULE), 8 * GRANULE);
        assert_eq!(runs, [2 * GRANULE..5 * GRANULE, 7 * GRANULE..8 * GRANULE]);
        assert!(present(&pages, PhysAddr(10 * GRANULE), 4 * GRANULE).is_empty());
        assert!(present(&pages, PhysAddr(u64::MAX - 4095), GRANULE).is_empty());
    }
}
