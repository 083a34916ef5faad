//! What the value of a bad pointer says: poison, an error number, text, a flipped bit, the slab object or symbol
//! it points to, memory that is not mapped.
//!
//! Facts: include/linux/poison.h, Documentation/arch/x86/x86_64/mm.rst.

use crate::code::errors::error_name;
use crate::explain::objects;
use base::{Fault, FaultKind, VirtAddr};
use kernel::Session;
use kernel::mm::kfence;
use kernel::mm::page_state::{self, Use};
use kernel::mm::vmalloc;

/// Values that the kernel writes into dead memory.
const POISON: &[(u64, &str)] = &[
    (0x6b6b_6b6b_6b6b_6b6b, "freed slab memory (POISON_FREE, 6b)"),
    (0x5a5a_5a5a_5a5a_5a5a, "slab memory never written (POISON_INUSE, 5a)"),
    (0xdead_0000_0000_0100, "LIST_POISON1: the next pointer of a deleted list entry"),
    (0xdead_0000_0000_0122, "LIST_POISON2: the prev pointer of a deleted list entry"),
    (0xdead_0000_0000_0200, "LIST_POISON2: the prev pointer of a deleted list entry (before 4.15)"),
    (0xdead_0000_0000_0400, "TAIL_MAPPING: the mapping of a compound page's later page"),
    (0xdead_0000_0000_0039, "TIMER_ENTRY_STATIC: the list pointer of a timer that is not queued"),
    (0xcccc_cccc_cccc_cccc, "freed init memory (POISON_FREE_INITMEM, cc)"),
    (0xaaaa_aaaa_aaaa_aaaa, "poisoned pages (PAGE_POISON, aa)"),
    (0xa5a5_a5a5_a5a5_a5a5, "the end of freed slab memory (POISON_END, a5)"),
    (0xbbbb_bbbb_bbbb_bbbb, "slab red zone of a free object (bb)"),
];
/// How far from a poison a pointer derived from it lies.
const REACH: u64 = 0x1000;

/// What a pointer's value says of itself.
pub(crate) fn poison(value: u64) -> Option<&'static str> {
    nearest(value).map(|(_, words)| words)
}

/// The kernel's own name of a value that is a poison (include/linux/poison.h), where it has one.
pub(crate) fn poison_name(value: u64) -> Option<&'static str> {
    let (name, _) = nearest(value).filter(|(off, _)| *off == 0)?.1.split_once(':')?;
    name.bytes().all(|b| b == b'_' || b.is_ascii_uppercase() || b.is_ascii_digit()).then_some(name)
}

/// The poison at or near a value, and how far the value is from it. Poisons lie close to each other: the nearest.
fn nearest(value: u64) -> Option<(i64, &'static str)> {
    POISON
        .iter()
        .map(|(pattern, words)| (value.wrapping_sub(*pattern).cast_signed(), *words))
        .filter(|(off, _)| off.unsigned_abs() < REACH)
        .min_by_key(|(off, _)| off.unsigned_abs())
}

/// A value whose eight bytes are printable.
fn as_text(value: u64) -> Option<String> {
    let bytes = value.to_le_bytes();
    let len = bytes.iter().rposition(|b| *b != 0).map_or(0, |n| n + 1);
    let used = bytes.get(..len)?;
    let good = len >= 6 && used.iter().all(|b| b.is_ascii_graphic() || *b == b' ');
    good.then(|| String::from_utf8_lossy(used).into_owned())
}

/// True for an address that the processor refuses.
pub(crate) fn non_canonical(s: &Session, at: u64) -> bool {
    !(s.boot().tables.paging.is_canonical)(VirtAddr(at))
}

/// The address that differs from a bad one in one bit alone and is mapped, where there is only one such.
fn flipped(s: &Session, value: u64) -> Option<(u32, u64)> {
    let good = |at: u64| {
        s.arch().is_kernel(VirtAddr(at)) && !non_canonical(s, at) && s.mem().u8(VirtAddr(at)).is_ok()
    };
    let mut all = (0..64).map(|bit| (bit, value ^ 1 << bit)).filter(|(_, at)| good(*at));
    let first = all.next()?;
    all.next().is_none().then_some(first)
}

/// What a bad pointer's value says.
pub(crate) fn judge(s: &Session, value: u64) -> String {
    if value == 0 {
        return "NULL".into();
    }
    match nearest(value) {
        Some((0, words)) => return format!("{value:016x}, {words}"),
        Some((off, words)) => {
            let (name, rest) = words.split_once(':').unwrap_or((words, ""));
            let sign = if off < 0 { '-' } else { '+' };
            let rest = if rest.is_empty() { String::new() } else { format!(":{rest}") };
            return format!("{value:016x}, {name} {sign} {:#x}{rest}", off.unsigned_abs());
        }
        None => {}
    }
    if let Some(name) = error_name(value) {
        return format!("{value:016x}, ERR_PTR({name}): an error number where a pointer should be");
    }
    if value < REACH {
        return format!("{value:#x}, no address");
    }
    if let Some(text) = as_text(value) {
        return format!("{value:016x}, the text \"{text}\" and no address");
    }
    if non_canonical(s, value) {
        let flip = flipped(s, value).map(|(bit, at)| {
            let what = place(s, at).map(|p| format!(" ({p})")).unwrap_or_default();
            format!("; bit {bit} apart from {at:016x}{what}")
        });
        return format!("{value:016x}, which is no address (non-canonical){}", flip.unwrap_or_default());
    }
    if !s.arch().is_kernel(VirtAddr(value)) {
        return format!("{value:016x}, a user address");
    }
    if let Some(place) = place(s, value) {
        return format!("{value:016x}, {place}");
    }
    match s.mem().u8(VirtAddr(value)) {
        Ok(_) => format!("{value:016x}"),
        // what is not in the dump may have been mapped
        Err(e) if !matches!(e.kind, FaultKind::NotMapped(_)) => {
            format!("{value:016x}, {}", without_address(&e))
        }
        Err(_) if is_of_modules(s, value) => format!("{value:016x}, {}", no_module(s)),
        Err(_) if is_vmalloc(s, value) => format!("{value:016x}, {}", unmapped(s, value)),
        Err(e) => format!("{value:016x}, {}", without_address(&e)),
    }
}

/// What is wrong with an address that is told already.
fn without_address(e: &Fault) -> String {
    let text = e.to_string();
    text.split_once(": ").map_or(text.as_str(), |(_, why)| why).to_owned()
}

/// The area of modules, where it is one of its own; where it begins depends on KASLR.
fn is_of_modules(s: &Session, value: u64) -> bool {
    if s.vmalloc_range().is_none() {
        return false;
    }
    let [_, latest, end] = s.arch().layout.image_range();
    let start = s.modules().iter().flat_map(|m| &m.memory).map(|run| run.base.0).fold(latest.0, u64::min);
    let loaded = |value: u64| {
        let mut runs = s.modules().iter().flat_map(|m| &m.memory);
        runs.any(|run| value.wrapping_sub(run.base.0) < run.size)
    };
    (start..end.0).contains(&value) && !s.in_image(VirtAddr(value)) && !loaded(value)
}

/// What an address there says: the module that was unloaded last may have been it.
fn no_module(s: &Session) -> String {
    // a struct with the name first since 5.19; the name alone before
    let last = s
        .symbol("last_unloaded_module")
        .and_then(|at| s.mem().cstr(at, 56).ok())
        .map(|raw| String::from_utf8_lossy(&raw).into_owned())
        .filter(|name| {
            !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "_-".contains(c))
        });
    let last = last.map_or_else(String::new, |name| format!("; unloaded last: {name}"));
    format!("in the area of modules, where none is now{last}")
}

/// Of an address in the area of `vmalloc` where nothing is: whether something is before it.
fn unmapped(s: &Session, value: u64) -> String {
    if let Some(words) = area_words(s, value) {
        return words;
    }
    let before = (value & !(s.page_size() - 1)).wrapping_sub(1);
    match s.mem().u8(VirtAddr(before)) {
        Ok(_) => "the first page behind a mapped area of vmalloc".into(),
        Err(_) => "in the vmalloc area, where nothing is mapped".into(),
    }
}

/// True in the area of `vmalloc`, which is the image's and its modules' too on some machines.
fn is_vmalloc(s: &Session, value: u64) -> bool {
    match s.vmalloc_range() {
        Some((start, size)) => value.wrapping_sub(start.0) < size,
        None => s.beside_image(VirtAddr(value)),
    }
}

/// What lies at an address: a symbol, a slab object, a page of a kind that the kernel has written down.
pub(crate) fn place(s: &Session, value: u64) -> Option<String> {
    if let Some(l) = s.locate(VirtAddr(value)) {
        let off = if l.offset == 0 { String::new() } else { format!("+{:#x}", l.offset) };
        return Some(format!("{}{off}", l.symbol.name));
    }
    let met = objects::at(s, value).map(|met| met.described(s));
    if met.is_none() && kfence::is_in_pool(s, VirtAddr(value)) {
        return Some("in KFENCE's pool of guarded objects".into());
    }
    met.or_else(|| {
        kernel::mm::slab::cache_of(s, VirtAddr(value)).map(|cache| format!("in slab cache {cache}"))
    })
    .or_else(|| page_use(s, value).and_then(|used| page_words(s, used)))
    .or_else(|| area_words(s, value))
}

/// The area of `vmalloc` and its like that an address lies in or behind: `in an area of vmalloc, 8192 bytes from ff…00,
/// mapped by f+0x1`.
fn area_words(s: &Session, value: u64) -> Option<String> {
    if !is_vmalloc(s, value) {
        return None;
    }
    let area = vmalloc::area_at(s, VirtAddr(value))?;
    let behind = value.checked_sub(area.start.0)?.checked_sub(area.size);
    let place = match behind {
        None => "in".to_owned(),
        Some(0) => "directly behind".to_owned(),
        Some(n) => format!("{n} bytes behind the end of"),
    };
    if let Some(task) = s.tasks().all.iter().find(|t| t.stack == Some(area.start)) {
        let place = if behind.is_none() { "on" } else { &place };
        return Some(format!("{place} the kernel stack of {}[{}]", task.comm, task.pid));
    }
    let by = area.caller.map(|by| format!(", mapped by {}", function(s, by))).unwrap_or_default();
    Some(format!("{place} an area of vmalloc, {} bytes from {:016x}{by}", area.size, area.start.0))
}

/// What the memory that a pointer leads to says against it or for it: its slab object, or a page that is no memory of
/// the kernel's own objects. Nothing of a page that is merely in use.
pub(crate) fn target(s: &Session, value: u64) -> Option<String> {
    if let Some(met) = objects::at(s, value) {
        return Some(met.described(s));
    }
    if s.locate(VirtAddr(value)).is_some() {
        return None;
    }
    // what the kernel had before it had an allocator is reserved, and nothing is wrong with that
    page_use(s, value).filter(|used| *used != Use::Reserved).and_then(|used| page_words(s, used))
}

/// What the page at an address is used for, where it is no slab's.
fn page_use(s: &Session, value: u64) -> Option<Use> {
    if kfence::is_in_pool(s, VirtAddr(value)) || kernel::mm::slab::cache_of(s, VirtAddr(value)).is_some() {
        return None;
    }
    page_state::state_at(s, VirtAddr(value)).map(|state| state.used)
}

/// `in a free page (4 free pages from ff11000012344000)`
fn page_words(s: &Session, used: Use) -> Option<String> {
    let words = match used {
        Use::Free { order: 0, .. } => "in a free page".into(),
        Use::Free { first, order } => {
            let from = page_state::begin(s, first).map(|at| format!(" from {:016x}", at.0));
            format!("in a free page ({} free pages{})", 1_u64 << order, from.unwrap_or_default())
        }
        Use::FreeOfCpu(cpu) => format!("in a free page (in CPU {cpu}'s list)"),
        Use::Table => "in a page of page tables".into(),
        Use::Typed(name) if name == "unaccepted" => {
            "in free memory that the machine has not accepted yet".into()
        }
        Use::Typed(name) => format!("in a page of type {name}"),
        Use::Broken => "in a page taken out of use after a memory error".into(),
        Use::Reserved => "in a reserved page".into(),
        Use::File { number, system: None, .. } => {
            format!("in the page cache, of inode {number} of a file system that is not in the dump")
        }
        Use::File { number, system: Some(system), .. } => {
            format!("in the page cache, of inode {number} of {system}")
        }
        Use::Anonymous => "in a process's anonymous memory".into(),
        Use::InUse => return None,
    };
    Some(words)
}

pub(crate) fn function(s: &Session, at: VirtAddr) -> String {
    s.locate(at).map_or_else(|| format!("{:x}", at.0), |l| format!("{}+{:#x}", l.symbol.name, l.offset))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn poison_is_known_with_an_offset() {
        assert!(poison(0x6b6b_6b6b_6b6b_6b6b).unwrap().contains("freed"));
        assert!(poison(0x6b6b_6b6b_6b6b_6b8b).is_some());
        assert!(poison(0xdead_0000_0000_0108).unwrap().starts_with("LIST_POISON1"));
        // nearer to the second
        assert!(poison(0xdead_0000_0000_0120).unwrap().starts_with("LIST_POISON2"));
        assert!(poison(0xffff_8880_0000_0000).is_none());
    }

    #[test]
    fn errors_and_text_in_place_of_pointers() {
        assert_eq!(error_name(-19_i64 as u64).unwrap(), "-ENODEV");
        assert_eq!(error_name(-4095_i64 as u64).unwrap(), "-4095");
        assert_eq!(error_name(-4096_i64 as u64), None);
        assert_eq!(error_name(0), None);
        assert_eq!(as_text(0x6f6f_7a2f_6576_6564).unwrap(), "deve/zoo");
        assert_eq!(as_text(0x0065_6d61_6e2d_6b73).unwrap(), "sk-name");
        assert_eq!(as_text(0x6b73), None);
        assert_eq!(as_text(0xffff_8880_0265_7665), None);
    }
}
