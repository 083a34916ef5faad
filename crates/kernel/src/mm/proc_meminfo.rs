//! The lines of `/proc/meminfo` (fs/proc/meminfo.c, mm/hugetlb.c, arch/x86/mm/pat/set_memory.c), from the dump.
//!
//! Which lines a kernel has depends on how it was built: a line is there where what it tells is.
//!
//! | line | where |
//! |---|---|
//! | MemAvailable | computed as `si_mem_available` does (4.6, d02bd27bd33d) |
//! | Kernel stacks | in KiB since 4.10 (d30dd8be06a8), else so many stacks |
//! | huge pages of processes, files, tmpfs | in pages since 5.12 (69473e5de873), in huge pages before |
//! | VmallocUsed | counted since 5.3 (97105f0ab7b8), among the nodes' counts since 7.0; from 4.4 on it was 0 |
//! | Bounce, WritebackTmp, NFS_Unstable | 0 since their count is gone |

use crate::error::{KernelError, Result};
use crate::mm::vmstat::{self, Item};
use crate::mm::{hugetlb, meminfo, swap, zone};
use crate::session::Session;
use crate::stack::stacks;
use base::VirtAddr;

/// How a line's value is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// KiB.
    Kib,
    /// Things.
    Plain,
}

/// A line.
#[derive(Clone, Debug)]
pub struct Line {
    /// Its name: `MemTotal`.
    pub name: &'static str,
    /// Its value.
    pub value: Result<u64>,
    /// What the value counts.
    pub unit: Unit,
}

/// The lines, and why there may be others.
#[derive(Clone, Debug, Default)]
pub struct Meminfo {
    /// In the kernel's order.
    pub lines: Vec<Line>,
    /// Why there may be others.
    pub problems: Vec<KernelError>,
}

/// The lines of `/proc/meminfo` that this kernel has.
///
/// # Errors
/// Nothing is known of what the kernel counts.
pub fn read(s: &Session) -> Result<Meminfo> {
    let mut out = Lines { s, counts: Counts::read(s)?, all: Meminfo::default() };
    out.memory();
    out.lists();
    out.swap();
    out.files();
    out.kernel();
    out.virtual_memory();
    out.huge_of_processes();
    out.late();
    out.huge();
    out.direct_map();
    Ok(out.all)
}

/// The kernel's counts of pages, read once.
struct Counts {
    all: Vec<Item>,
    /// Why some are not known.
    problem: Option<KernelError>,
}

impl Counts {
    fn read(s: &Session) -> Result<Self> {
        let mut out = Self { all: Vec::new(), problem: None };
        for table in vmstat::tables(s)? {
            match table.items {
                Ok(items) => out.all.extend(items),
                Err(e) => out.problem = out.problem.take().or(Some(e)),
            }
        }
        match out.problem {
            Some(e) if out.all.is_empty() => Err(e),
            _ => Ok(out),
        }
    }

    /// A count under any of its names; none where this kernel has none such.
    fn optional(&self, names: &[&'static str]) -> Option<Result<u64>> {
        let found = self.all.iter().find(|item| names.contains(&item.name.as_str()));
        found.map(|item| Ok(item.count())).or_else(|| self.problem.clone().map(Err))
    }

    fn need(&self, names: &[&'static str]) -> Result<u64> {
        let first = names.first().copied().unwrap_or_default();
        self.optional(names).unwrap_or(Err(KernelError::NoEnumeration(first)))
    }
}

struct Lines<'s> {
    s: &'s Session,
    counts: Counts,
    all: Meminfo,
}

impl Lines<'_> {
    fn kib(&mut self, name: &'static str, kib: Result<u64>) {
        self.all.lines.push(Line { name, value: kib, unit: Unit::Kib });
    }

    fn pages(&mut self, name: &'static str, pages: Result<u64>) {
        let kib = self.kib_of_page();
        self.kib(name, pages.map(|pages| pages.saturating_mul(kib)));
    }

    fn kib_of_page(&self) -> u64 {
        self.s.page_size() / 1024
    }

    /// A count that every kernel has.
    fn count(&mut self, name: &'static str, names: &[&'static str]) {
        let value = self.counts.need(names);
        self.pages(name, value);
    }

    /// A count that a kernel may have been built without.
    fn built(&mut self, names: &[&'static str]) -> Option<u64> {
        match self.counts.optional(names)? {
            Ok(value) => Some(value),
            Err(e) => {
                self.all.problems.push(e);
                None
            }
        }
    }

    /// A line of such a count: without the count there is none.
    fn optional(&mut self, name: &'static str, names: &[&'static str]) {
        if let Some(value) = self.built(names) {
            self.pages(name, Ok(value));
        }
    }

    /// A variable that a kernel may have been built without.
    fn variable(&mut self, name: &str) -> Option<VirtAddr> {
        match self.s.optional_symbol(name) {
            Ok(found) => found,
            Err(e) => {
                self.all.problems.push(e);
                None
            }
        }
    }

    /// A count that is told as 0 since it is gone.
    fn gone(&mut self, name: &'static str, names: &[&'static str]) {
        let value = self.counts.optional(names).unwrap_or(Ok(0));
        self.pages(name, value);
    }

    fn sum(&self, of: &[&[&'static str]]) -> Result<u64> {
        of.iter().try_fold(0_u64, |sum, names| Ok(sum.saturating_add(self.counts.need(names)?)))
    }

    fn memory(&mut self) {
        let s = self.s;
        self.pages("MemTotal", meminfo::total(s));
        self.count("MemFree", &["NR_FREE_PAGES"]);
        if self.variable("si_mem_available").is_some() {
            let available = self.available();
            self.pages("MemAvailable", available);
        }
        let (files, buffers) = (self.counts.need(&["NR_FILE_PAGES"]), meminfo::buffers(s));
        let swapped = swap::cached(s);
        self.pages("Buffers", buffers.clone());
        self.pages("Cached", meminfo::cached_of(files, &swapped, &buffers));
        self.pages("SwapCached", swapped);
    }

    /// What may be allocated without swapping: free pages but for a reserve, and of caches what may be dropped.
    fn available(&self) -> Result<u64> {
        let s = self.s;
        let reserve = s.mem().u64(s.need_symbol("totalreserve_pages")?)?;
        let mut low = 0_u64;
        for zone in zone::nodes(s)?.into_iter().flat_map(|node| node.zones) {
            let [_, own, _] = zone.watermarks?;
            low = low.saturating_add(own);
        }
        let of_cache = |pages: u64| i128::from(pages) - i128::from((pages / 2).min(low));
        let files = self.sum(&[&["NR_ACTIVE_FILE"], &["NR_INACTIVE_FILE"]])?;
        let mut slabs = self.counts.need(RECLAIMABLE)?;
        if let Some(other) = self.counts.optional(&["NR_KERNEL_MISC_RECLAIMABLE"]) {
            slabs = slabs.saturating_add(other?); // 4.20 (b29940c1abd7)
        }
        let free = i128::from(self.counts.need(&["NR_FREE_PAGES"])?) - i128::from(reserve);
        let mut all = free + of_cache(files) + of_cache(slabs);
        if let Some(bytes) = self.counts.optional(&["NR_INDIRECTLY_RECLAIMABLE_BYTES"]) {
            all += i128::from(bytes? / s.page_size()); // 4.17 (d79f7aa496fc) to 4.19
        }
        Ok(u64::try_from(all.max(0)).unwrap_or(u64::MAX))
    }

    fn lists(&mut self) {
        let pair = |lines: &Self, a: &'static str, b: &'static str| lines.sum(&[&[a], &[b]]);
        let active = pair(self, "NR_ACTIVE_ANON", "NR_ACTIVE_FILE");
        let inactive = pair(self, "NR_INACTIVE_ANON", "NR_INACTIVE_FILE");
        self.pages("Active", active);
        self.pages("Inactive", inactive);
        self.count("Active(anon)", &["NR_ACTIVE_ANON"]);
        self.count("Inactive(anon)", &["NR_INACTIVE_ANON"]);
        self.count("Active(file)", &["NR_ACTIVE_FILE"]);
        self.count("Inactive(file)", &["NR_INACTIVE_FILE"]);
        self.count("Unevictable", &["NR_UNEVICTABLE"]);
        self.count("Mlocked", &["NR_MLOCK"]);
    }

    fn swap(&mut self) {
        let s = self.s;
        let found = match meminfo::swap(s) {
            Err(KernelError::NoSymbol(_)) => Ok(meminfo::Swap::default()),
            found => found,
        };
        self.pages("SwapTotal", found.clone().map(|swap| swap.total));
        self.pages("SwapFree", found.map(|swap| swap.total.saturating_sub(swap.used)));
        // 5.19 (f6498b776d28)
        let Some(stored) = self.variable("zswap_stored_pages") else { return };
        let bytes = match s.optional_symbol("zswap_pool_total_size") {
            Ok(Some(at)) => s.mem().u64(at).map_err(KernelError::from).map(|bytes| bytes / 1024),
            Ok(None) => Err(KernelError::NoSymbol("zswap_pool_total_size".to_owned())),
            Err(e) => Err(e),
        };
        // 64 bits wide since 6.13 (6e1fa555ec77)
        let stored = s.mem().u32(stored).map_err(KernelError::from).map(u64::from);
        // nothing that is stored takes nothing
        let bytes = if matches!(stored, Ok(0)) { Ok(0) } else { bytes };
        self.kib("Zswap", bytes);
        self.pages("Zswapped", stored);
    }

    fn files(&mut self) {
        self.count("Dirty", &["NR_FILE_DIRTY"]);
        self.count("Writeback", &["NR_WRITEBACK"]);
        self.count("AnonPages", &["NR_ANON_MAPPED", "NR_ANON_PAGES"]); // 4.8 (4b9d0fab7166)
        self.count("Mapped", &["NR_FILE_MAPPED"]);
        self.count("Shmem", &["NR_SHMEM"]);
    }

    fn kernel(&mut self) {
        let reclaimable = self.counts.need(RECLAIMABLE);
        // 4.20 (61f94e18de94)
        if let Some(other) = self.built(&["NR_KERNEL_MISC_RECLAIMABLE"]) {
            let both = reclaimable.clone().map(|own| own.saturating_add(other));
            self.pages("KReclaimable", both);
        }
        let slab = self.sum(&[RECLAIMABLE, UNRECLAIMABLE]);
        self.pages("Slab", slab);
        self.pages("SReclaimable", reclaimable);
        self.count("SUnreclaim", UNRECLAIMABLE);
        let stacks = self.counts.optional(&["NR_KERNEL_STACK_KB"]).unwrap_or_else(|| {
            let each = stacks::thread_size(self.s) / 1024;
            Ok(self.counts.need(&["NR_KERNEL_STACK"])?.saturating_mul(each))
        });
        self.kib("KernelStack", stacks);
        if let Some(kib) = self.built(&["NR_KERNEL_SCS_KB"]) {
            self.kib("ShadowCallStack", Ok(kib));
        }
        self.count("PageTables", &["NR_PAGETABLE"]);
        self.optional("SecPageTables", &["NR_SECONDARY_PAGETABLE"]);
        self.gone("NFS_Unstable", &["NR_UNSTABLE_NFS"]);
        self.gone("Bounce", &["NR_BOUNCE"]);
        self.gone("WritebackTmp", &["NR_WRITEBACK_TEMP"]);
        let commit = meminfo::commit(self.s);
        self.pages("CommitLimit", commit.clone().map(|commit| commit.limit));
        self.pages("Committed_AS", commit.map(|commit| commit.committed));
    }

    fn virtual_memory(&mut self) {
        let s = self.s;
        // the kernel takes the range's last byte for its end
        let total = s.vmalloc_range().map(|range| range.map(|(_, bytes)| bytes.saturating_sub(1) / 1024));
        match total.transpose() {
            Some(total) => self.kib("VmallocTotal", total),
            None => self.kib("VmallocTotal", Err(KernelError::NoSymbol("VMALLOC_END".to_owned()))),
        }
        let used = self.vmalloc_used();
        self.pages("VmallocUsed", used);
        match s.optional_symbol("get_vmalloc_info") {
            Ok(None) => self.kib("VmallocChunk", Ok(0)),
            Ok(Some(_)) => self.kib("VmallocChunk", Err(asked())),
            Err(e) => self.kib("VmallocChunk", Err(e)),
        }
        // 4.20 (7e8a6304d541)
        if let (Some(populated), Some(units)) =
            (self.variable("pcpu_nr_populated"), self.variable("pcpu_nr_units"))
        {
            let pages = || Ok(s.mem().u64(populated)?.saturating_mul(u64::from(s.mem().u32(units)?)));
            self.pages("Percpu", pages());
        }
        if let Some(at) = self.variable("num_poisoned_pages") {
            self.pages("HardwareCorrupted", s.mem().u64(at).map_err(KernelError::from));
        }
    }

    fn vmalloc_used(&self) -> Result<u64> {
        let s = self.s;
        if let Some(pages) = self.counts.optional(&["NR_VMALLOC"]) {
            return pages;
        }
        match s.optional_symbol("nr_vmalloc_pages")? {
            Some(at) => Ok(s.mem().u64(at)?),
            None if s.optional_symbol("get_vmalloc_info")?.is_some() => Err(asked()),
            None => Ok(0),
        }
    }

    fn huge_of_processes(&mut self) {
        // a kernel that has the counts and no huge pages has no lines
        if self.variable("transparent_hugepage_flags").is_none() {
            return;
        }
        let each = match self.counts.optional(&["NR_SWAPCACHE", "NR_SECONDARY_PAGETABLE"]) {
            Some(Ok(_)) => Ok(1),
            Some(Err(e)) => Err(e),
            // a huge page is what an entry of the second level of tables maps
            None => Ok(self.s.page_size() / 8),
        };
        for (name, names) in [
            ("AnonHugePages", ["NR_ANON_THPS", "NR_ANON_TRANSPARENT_HUGEPAGES"].as_slice()),
            ("ShmemHugePages", &["NR_SHMEM_THPS"]),
            ("ShmemPmdMapped", &["NR_SHMEM_PMDMAPPED"]),
            ("FileHugePages", &["NR_FILE_THPS"]), // 5.4 (60fbf0ab5da1)
            ("FilePmdMapped", &["NR_FILE_PMDMAPPED"]),
        ] {
            if let Some(count) = self.built(names) {
                self.pages(name, each.clone().map(|each| count.saturating_mul(each)));
            }
        }
    }

    fn late(&mut self) {
        let s = self.s;
        if let (Some(at), Some(_)) = (self.variable("totalcma_pages"), self.variable("cma_areas")) {
            self.pages("CmaTotal", s.mem().u64(at).map_err(KernelError::from));
            self.count("CmaFree", &["NR_FREE_CMA_PAGES"]);
        }
        self.optional("Unaccepted", &["NR_UNACCEPTED"]); // 6.5 (dcdfdd40fa82)
        self.optional("Balloon", &["NR_BALLOON_PAGES"]); // 6.16
        self.optional("GPUActive", &["NR_GPU_ACTIVE"]); // 7.0
        self.optional("GPUReclaim", &["NR_GPU_RECLAIM"]);
    }

    /// The pool of huge pages that is the default, and all pools.
    fn huge(&mut self) {
        let s = self.s;
        let pools = match hugetlb::pools(s) {
            Err(KernelError::NoSymbol(_)) => return,
            Err(e @ KernelError::SymbolsLack { .. }) => {
                self.all.problems.push(e);
                return;
            }
            pools => pools,
        };
        let usual = || -> Result<usize> { Ok(s.mem().u32(s.need_symbol("default_hstate_idx")?)? as usize) };
        let pool = pools.clone().and_then(|pools| {
            let nth = usual()?;
            pools.get(nth).cloned().ok_or_else(|| KernelError::Damaged {
                what: "default_hstate_idx",
                at: VirtAddr(0),
                why: format!("it is {nth}, and there are {} sizes of huge pages", pools.len()),
            })
        });
        for (name, of) in [
            ("HugePages_Total", (|pool| pool.total) as fn(hugetlb::Pool) -> Result<u64>),
            ("HugePages_Free", |pool| pool.free),
            ("HugePages_Rsvd", |pool| pool.reserved),
            ("HugePages_Surp", |pool| pool.surplus),
        ] {
            let value = pool.clone().and_then(of);
            self.all.lines.push(Line { name, value, unit: Unit::Plain });
        }
        self.pages("Hugepagesize", pool.map(|pool| 1 << pool.order.min(30)));
        // 4.15 (fcb2b0c577f1)
        self.pages(
            "Hugetlb",
            pools.and_then(|pools| {
                pools.into_iter().try_fold(0_u64, |sum, pool| {
                    Ok(sum.saturating_add(pool.total?.saturating_mul(1 << pool.order.min(30))))
                })
            }),
        );
    }

    /// How the direct map is made of pages of each size, where the kernel counts them (x86).
    fn direct_map(&mut self) {
        let s = self.s;
        let Some(at) = self.variable("direct_pages_count") else { return };
        let is_huge = match s.optional_symbol("direct_gbpages") {
            Ok(Some(flag)) => s.mem().u32(flag).map_err(KernelError::from).map(|flag| flag != 0),
            Ok(None) => Ok(false),
            Err(e) => Err(e),
        };
        let kib = self.kib_of_page();
        let entries = s.page_size() / 8;
        // by enum pg_level: none, 4K, 2M, 1G
        for (level, name, size) in [
            (1_u64, "DirectMap4k", 1),
            (2, "DirectMap2M", entries),
            (3, "DirectMap1G", entries.saturating_mul(entries)),
        ] {
            let count = s.mem().u64(at.add(level * 8)).map_err(KernelError::from);
            match (level, &is_huge) {
                (3, Ok(false)) => {}
                (3, Err(e)) => self.kib(name, Err(e.clone())),
                _ => self.kib(name, count.map(|count| count.saturating_mul(size).saturating_mul(kib))),
            }
        }
    }
}

/// Slabs that can be given back: in bytes by name since 5.9 (d42f3245c7e2), in pages in the sum.
const RECLAIMABLE: &[&str] = &["NR_SLAB_RECLAIMABLE", "NR_SLAB_RECLAIMABLE_B"];
const UNRECLAIMABLE: &[&str] = &["NR_SLAB_UNRECLAIMABLE", "NR_SLAB_UNRECLAIMABLE_B"];

/// Why it is not told: these kernels (to 4.3) sum their areas whenever they are asked.
const fn asked() -> KernelError {
    KernelError::NotBuilt("a count of vmalloc's pages; `kmem -v` shows its areas")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::session;
    use testkit::kernel::Kernel;

    const NODE: &[(&str, i32)] = &[
        ("NR_INACTIVE_ANON", 0),
        ("NR_ACTIVE_ANON", 1),
        ("NR_INACTIVE_FILE", 2),
        ("NR_ACTIVE_FILE", 3),
        ("NR_UNEVICTABLE", 4),
        ("NR_SLAB_RECLAIMABLE_B", 5),
        ("NR_SLAB_UNRECLAIMABLE_B", 6),
        ("NR_ANON_MAPPED", 7),
        ("NR_FILE_MAPPED", 8),
        ("NR_FILE_PAGES", 9),
        ("NR_FILE_DIRTY", 10),
        ("NR_WRITEBACK", 11),
        ("NR_SHMEM", 12),
        ("NR_ANON_THPS", 13),
        ("NR_KERNEL_STACK_KB", 14),
        ("NR_PAGETABLE", 15),
    ];

    /// A kernel whose n-th count of nodes is n + 1; with `more` counts, each of 5 pages.
    fn kernel(more: &[&str]) -> Kernel {
        let mut k = Kernel::new();
        let count = NODE.len() + more.len();
        let mut node = NODE.to_vec();
        node.extend(more.iter().enumerate().map(|(n, name)| (*name, (NODE.len() + n) as i32)));
        node.push(("NR_VM_NODE_STAT_ITEMS", count as i32));
        k.enumeration("node_stat_item", &node);
        let zone = [("NR_FREE_PAGES", 0), ("NR_MLOCK", 1), ("NR_VM_ZONE_STAT_ITEMS", 2)];
        k.enumeration("zone_stat_item", &zone);
        let (of_zones, of_nodes) =
            (k.variable("vm_zone_stat", 16), k.variable("vm_node_stat", count as u64 * 8));
        k.word(of_zones, 500).word(of_zones + 8, 3);
        for n in 0..count {
            let value = if n < NODE.len() { n + 1 } else { 5 };
            k.word(of_nodes + n as u64 * 8, value as u64);
        }
        let all = k.variable("_totalram_pages", 8);
        k.word(all, 1000);
        k
    }

    /// The line of a name: its value, `?` where it is not known, none where there is no line.
    fn told(k: &Kernel, name: &str) -> Option<String> {
        let all = read(&session(k)).unwrap();
        assert!(all.problems.is_empty(), "{all:?}");
        let line = all.lines.into_iter().find(|line| line.name == name)?;
        Some(line.value.map_or_else(|_| "?".to_owned(), |value| value.to_string()))
    }

    #[test]
    fn lines_are_there_where_the_kernel_has_what_they_tell() {
        let k = kernel(&[]);
        let is = |name: &str, value: &str| assert_eq!(told(&k, name).as_deref(), Some(value), "{name}");
        for (name, value) in [
            ("MemTotal", "4000"),
            ("MemFree", "2000"),
            ("Active", "24"),
            ("Inactive", "16"),
            ("Active(file)", "16"),
            ("Mlocked", "12"),
            ("Dirty", "44"),
            ("Shmem", "52"),
            ("Slab", "52"),
            ("KernelStack", "15"),
            ("PageTables", "64"),
            ("Bounce", "0"),
            ("SwapTotal", "0"),
            // neither the inodes of block devices nor what may be promised is there
            ("Cached", "?"),
            ("CommitLimit", "?"),
        ] {
            is(name, value);
        }
        for name in [
            "MemAvailable",
            "KReclaimable",
            "Percpu",
            "Unaccepted",
            "CmaTotal",
            "HugePages_Total",
            "DirectMap4k",
            "AnonHugePages",
        ] {
            assert_eq!(told(&k, name), None, "{name}");
        }
    }

    #[test]
    fn counts_in_huge_pages_are_those_of_kernels_that_count_swap_elsewhere() {
        let mut k = kernel(&[]);
        k.variable("transparent_hugepage_flags", 8);
        assert_eq!(told(&k, "AnonHugePages").unwrap(), (14 * 512 * 4).to_string());
        let mut k = kernel(&["NR_SWAPCACHE", "NR_KERNEL_MISC_RECLAIMABLE", "NR_UNACCEPTED"]);
        k.variable("transparent_hugepage_flags", 8);
        assert_eq!(told(&k, "AnonHugePages").unwrap(), (14 * 4).to_string());
        assert_eq!(told(&k, "KReclaimable").unwrap(), ((6 + 5) * 4).to_string());
        assert_eq!(told(&k, "Unaccepted").unwrap(), "20");
    }

    #[test]
    fn what_variables_say() {
        let mut k = kernel(&[]);
        let (populated, units) = (k.variable("pcpu_nr_populated", 8), k.variable("pcpu_nr_units", 4));
        k.word(populated, 7).half(units, 4);
        let (poisoned, used) = (k.variable("num_poisoned_pages", 8), k.variable("nr_vmalloc_pages", 8));
        k.word(poisoned, 2).word(used, 9);
        let (direct, flag) = (k.variable("direct_pages_count", 40), k.variable("direct_gbpages", 4));
        k.word(direct + 8, 3).word(direct + 16, 4).word(direct + 24, 1).half(flag, 1);
        for (name, value) in [
            ("Percpu", "112"),
            ("HardwareCorrupted", "8"),
            ("VmallocUsed", "36"),
            ("VmallocChunk", "0"),
            ("DirectMap4k", "12"),
            ("DirectMap2M", "8192"),
            ("DirectMap1G", "1048576"),
        ] {
            assert_eq!(told(&k, name).as_deref(), Some(value), "{name}");
        }
        k.half(flag, 0);
        assert_eq!(told(&k, "DirectMap1G"), None);
        // a kernel that sums its areas when it is asked
        k.lose("nr_vmalloc_pages").function("get_vmalloc_info", 0x100);
        assert_eq!(told(&k, "VmallocUsed").as_deref(), Some("?"));
        k.without_btf();
        assert!(read(&session(&k)).is_err());
    }

    #[test]
    fn what_may_be_allocated() {
        let mut k = kernel(&[]);
        k.function("si_mem_available", 0x140);
        // nothing says what is kept back
        assert_eq!(told(&k, "MemAvailable").as_deref(), Some("?"));
    }
}
