//! The kernel's image searched for what no symbol leads to: a kernel without `CONFIG_KALLSYMS_ALL` names no variable,
//! one without `CONFIG_KALLSYMS` names nothing.
//!
//! Its variables lie in the image all the same, and what they point to can be told by its own words or shape:
//! VMCOREINFO's text, the ring of printk's descriptors, the first task. The image is tens of megabytes, whatever the
//! size of the dump. A search is made once, only where the symbol is not known, and ends at Ctrl-C.

use crate::opening::IMAGE_SEARCHED;
use crate::opening::open::Opened;
use crate::opening::symbols::present;
use base::{GRANULE, VirtAddr, VirtRead, VmcoreInfo, cstr};
use debuginfo::Blob;
use debuginfo::btf::Btf;
use debuginfo::find::Watch;
use rustc_hash::FxHashSet;
use std::ops::ControlFlow;

/// More BTF than any kernel has.
pub(crate) const MAX_BTF: u64 = 256 << 20;

/// Bytes that are looked at in one go.
const PIECE: usize = 1 << 20;
/// Bytes that two pieces share, so that nothing shorter is cut in two.
const OVERLAP: usize = 4096;
/// The kernel appends no more (`VMCOREINFO_BYTES` is a page).
const INFO_MAX: usize = 4096;
/// Pointers to whole pages that are followed.
const MAX_CANDIDATES: usize = 1 << 16;

/// Calls `each` with the image's memory, piece by piece, each with the address it begins at. Pages that the dump lacks
/// are zeros. A piece begins with the last bytes of the one before.
pub(crate) fn pieces(
    o: &Opened,
    text: VirtAddr,
    each: &mut dyn FnMut(VirtAddr, &[u8]) -> ControlFlow<()>,
) -> ControlFlow<()> {
    let watch: &Watch = &o.watch;
    let runs = present(o.machine.phys(), o.machine.boot.image_phys(text), IMAGE_SEARCHED);
    let mut buf = Vec::new();
    for run in runs {
        let mut from = run.start;
        while from < run.end {
            if watch.cancel.is_cancelled() {
                return ControlFlow::Break(());
            }
            watch.progress.step("looking through the kernel's image", from, IMAGE_SEARCHED);
            let len = (run.end - from).min(PIECE as u64);
            fill(&*o.machine.mem, text.add(from), len as usize, &mut buf);
            if !buf.iter().all(|b| *b == 0) {
                each(text.add(from), &buf)?;
            }
            let step = if len < PIECE as u64 { len } else { (PIECE - OVERLAP) as u64 };
            from = from.saturating_add(step.max(GRANULE));
        }
    }
    watch.progress.finish();
    ControlFlow::Continue(())
}

fn fill(mem: &dyn VirtRead, at: VirtAddr, len: usize, buf: &mut Vec<u8>) {
    buf.clear();
    buf.resize(len, 0);
    // what is looked for begins with no zero
    mem.read_what_is_there(at, buf);
}

/// The words of a piece, each with its address.
pub(crate) fn words(at: VirtAddr, bytes: &[u8]) -> impl Iterator<Item = (VirtAddr, u64)> {
    let words = bytes.chunks_exact(8).filter_map(|w| w.try_into().ok().map(u64::from_le_bytes));
    (0_u64..).zip(words).map(move |(n, word)| (at.add(n * 8), word))
}

/// VMCOREINFO's text where the kernel keeps it, by the text itself: on a page of its own that a variable points to
/// (since 4.13), in the image before that.
pub(crate) fn vmcoreinfo(o: &Opened) -> Option<Vec<u8>> {
    const START: &[u8] = b"OSRELEASE=";
    let text = o.machine.boot.text?;
    let mut found = None;
    let mut seen = FxHashSet::default();
    let _ = pieces(o, text, &mut |at, bytes| {
        let inside = memchr::memmem::find_iter(bytes, START).filter_map(|n| bytes.get(n..));
        let inside = inside.map(|rest| rest.get(..INFO_MAX).unwrap_or(rest).to_vec());
        let pointed = words(at, bytes).filter_map(|(_, word)| {
            let page = VirtAddr(word);
            let new = VirtAddr(word).in_upper_half()
                && page.page_offset() == 0
                && seen.len() < MAX_CANDIDATES
                && seen.insert(word);
            let starts = new && o.machine.mem.bytes(page, START.len()).is_ok_and(|b| b == START);
            starts.then(|| o.machine.mem.bytes(page, INFO_MAX).ok())?
        });
        found = inside.chain(pointed).map(|text| cstr(&text).to_vec()).find(|text| is_of(text, o));
        if found.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    found
}

/// Whether a text is VMCOREINFO of this kernel: its lines have keys and values, and the kernel's text begins where the
/// image does.
fn is_of(text: &[u8], o: &Opened) -> bool {
    let text_at = VmcoreInfo::parse(text).symbol("_stext");
    let near = |at: VirtAddr| o.machine.boot.text.is_some_and(|text| at.0.wrapping_sub(text.0) < 2 << 20);
    is_vmcoreinfo(text) && text_at.is_none_or(near)
}

pub(crate) fn is_vmcoreinfo(text: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(text) else { return false };
    let release = text.strip_prefix("OSRELEASE=").and_then(|rest| rest.lines().next());
    let plausible =
        |line: &str| line.split_once('=').is_some_and(|(key, value)| !key.is_empty() && !value.contains('%'));
    release.is_some_and(|r| r.starts_with(|c: char| c.is_ascii_digit()))
        && text.lines().count() >= 8
        // the last line can be cut
        && text.lines().rev().skip(1).all(plausible)
}

/// `init_task` by its name and by the pointers in it that lead to itself (`real_parent`, `parent`, `group_leader`).
pub(crate) fn init_task(o: &Opened) -> Option<VirtAddr> {
    let text = o.machine.boot.text?;
    let mut found = None;
    let _ = pieces(o, text, &mut |at, bytes| {
        let names = memchr::memmem::find_iter(bytes, b"swapper");
        found = names.filter_map(|n| task_around(at, bytes, n, &*o.machine.mem)).next();
        if found.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    found
}

/// The kernel's BTF, by its header and by a struct that every kernel has.
pub(crate) fn btf(o: &Opened) -> Option<Btf> {
    /// Magic, version 1, no flags, `hdr_len` 24; types follow at once.
    const START: &[u8] = &[0x9f, 0xeb, 1, 0, 24, 0, 0, 0, 0, 0, 0, 0];
    let text = o.machine.boot.text?;
    let mut found = None;
    let _ = pieces(o, text, &mut |at, bytes| {
        let starts = memchr::memmem::find_iter(bytes, START).map(|n| at.add(n as u64));
        found = starts.filter_map(|start| btf_at(&*o.machine.mem, start)).next();
        if found.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    found
}

/// The BTF whose header begins here, where it is a kernel's.
fn btf_at(mem: &dyn VirtRead, start: VirtAddr) -> Option<Btf> {
    const HEADER: u64 = 24;
    let [types, strings_at, strings] = [12, 16, 20].map(|at| mem.u32(start.add(at)).map_or(0, u64::from));
    let len = HEADER + strings_at + strings;
    // strings follow the types, if need be on the next multiple of four
    if strings_at < types || strings_at > types + 8 || strings == 0 || len > MAX_BTF {
        return None;
    }
    let bytes = mem.bytes(start, len as usize).ok()?;
    memchr::memmem::find(&bytes, b"\0task_struct\0")?;
    Btf::parse(Blob::new(bytes)).ok()
}

/// How far from a task's name its other members can be.
const TASK_REACH: u64 = 12 << 10;
/// Bytes of a task's name.
const COMM: usize = 16;

/// The task with its name at `name` of these bytes, which begin at `at`.
fn task_around(at: VirtAddr, bytes: &[u8], name: usize, mem: &dyn VirtRead) -> Option<VirtAddr> {
    let raw = bytes.get(name..name.checked_add(COMM)?)?;
    let comm = cstr(raw);
    let padded = raw.get(comm.len()..)?.iter().all(|b| *b == 0);
    if !matches!(comm, b"swapper" | b"swapper/0") || !padded {
        return None;
    }
    let comm_at = at.add(name as u64);
    // what lies around it can be in the pieces beside this one
    let from = VirtAddr(comm_at.0.saturating_sub(TASK_REACH) & !7);
    let mut around = Vec::new();
    fill(mem, from, 2 * TASK_REACH as usize, &mut around);
    let own = |word: u64| word < comm_at.0 && comm_at.0 - word < TASK_REACH && word.is_multiple_of(16);
    // pointers to what lies before them: others can point there too, and an empty list leads to itself
    let leads_back = |at: VirtAddr, word: u64| word < at.0 && at.0 - word < TASK_REACH && own(word);
    let mut candidates: Vec<u64> =
        words(from, &around).filter(|(at, word)| leads_back(*at, *word)).map(|(_, word)| word).collect();
    candidates.sort_unstable();
    let most = candidates.chunk_by(|a, b| a == b).max_by_key(|same| same.len())?;
    // real_parent, parent and group_leader
    (most.len() >= 3).then(|| most.first().copied().map(VirtAddr)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Ram;

    #[test]
    fn vmcoreinfo_is_told_by_its_lines() {
        let text = "OSRELEASE=6.1.0-small\nBUILD-ID=00\nPAGESIZE=4096\nSYMBOL(_stext)=ffffffff81000000\n\
                    OFFSET(page.flags)=0\nSIZE(page)=64\nNUMBER(PG_lru)=5\nCONFIG_X86=y\nKERNELOFFSET=0\n";
        assert!(is_vmcoreinfo(text.as_bytes()));
        assert!(is_vmcoreinfo(&text.as_bytes()[..text.len() - 9]), "its last line is cut");
        // the format that makes the first line, and a shell script that sets the variable
        assert!(!is_vmcoreinfo(b"OSRELEASE=%s\n"));
        assert!(!is_vmcoreinfo(text.replace("6.1.0-small", "$(uname -r)").as_bytes()));
        assert!(!is_vmcoreinfo(text.replace("PAGESIZE=", "echo ").as_bytes()));
    }

    const BASE: u64 = 0xffff_ffff_8200_0000;

    #[test]
    fn the_first_task_is_told_by_its_name_and_what_leads_to_itself() {
        let mut ram = Ram::new(BASE, 64 << 10);
        let task = 0x5c40_usize;
        let name = task + 0x6e8;
        ram.put(BASE + name as u64, b"swapper/0");
        for at in [0x4e0, 0x4e8, 0x510] {
            ram.word(BASE + (task + at) as u64, BASE + task as u64);
        }
        // many empty lists of an object before it lead to something else
        for at in (0x5000..0x5c00).step_by(32) {
            ram.word(BASE + at, BASE + 0x5c20);
        }
        // a table of names is no task
        ram.bytes[0x9000..0x9010].copy_from_slice(b"swapper/0\0swap\0\0");
        ram.bytes[0xa000..0xa007].copy_from_slice(b"swapper");
        let find = |ram: &Ram, name| task_around(VirtAddr(BASE), &ram.bytes, name, ram);
        assert_eq!(find(&ram, name), Some(VirtAddr(BASE + task as u64)));
        assert_eq!((find(&ram, 0x9000), find(&ram, 0xa000)), (None, None));
        // one pointer is not enough
        ram.bytes[task + 0x4e0..task + 0x4f0].fill(0);
        assert_eq!(find(&ram, name), None);
    }
}
