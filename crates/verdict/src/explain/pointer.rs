//! What the value of a bad pointer says: poison, an error number, text, a flipped bit, the slab object or symbol
//! it points to, memory that is not mapped.
//!
//! Facts: Documentation/arch/x86/x86_64/mm.rst.

use crate::code::errors::error_name;
use crate::explain::objects;
use crate::model::{Located, Pointed, PointerIs, Who};
use base::{Fault, FaultKind, VirtAddr};
use kernel::Session;
use kernel::mm::kfence;
use kernel::mm::page_state::{self, Use};
use kernel::mm::poison::{Poison, REACH};
use kernel::mm::vmalloc;

/// The poison that a pointer is, or that it was derived from.
pub(crate) fn poison(value: u64) -> Option<Poison> {
    Poison::nearest(value).map(|(_, poison)| poison)
}

/// The kernel's own name of a value that is a poison, where it has one for addresses.
pub(crate) fn poison_name(value: u64) -> Option<&'static str> {
    Poison::nearest(value).filter(|(off, _)| *off == 0)?.1.constant()
}

/// A value whose eight bytes are printable.
pub(crate) fn as_text(value: u64) -> Option<String> {
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
pub(crate) fn describe(s: &Session, value: u64) -> Pointed {
    Pointed { value, is: what_is(s, value) }
}

fn what_is(s: &Session, value: u64) -> PointerIs {
    if value == 0 {
        return PointerIs::Null;
    }
    if let Some((off, poison)) = Poison::nearest(value) {
        return PointerIs::Poison { poison, off };
    }
    if let Some(name) = error_name(value) {
        return PointerIs::Error(name);
    }
    if value < REACH {
        return PointerIs::Small;
    }
    if let Some(text) = as_text(value) {
        return PointerIs::Text(text);
    }
    if non_canonical(s, value) {
        return PointerIs::NonCanonical {
            flipped: flipped(s, value).map(|(bit, at)| (bit, at, place(s, at))),
        };
    }
    if !s.arch().is_kernel(VirtAddr(value)) {
        return PointerIs::User;
    }
    place(s, value).map_or_else(|| unknown(s, value), PointerIs::Of)
}

/// An address of the kernel's where nothing is known to lie.
fn unknown(s: &Session, value: u64) -> PointerIs {
    match s.mem().u8(VirtAddr(value)) {
        Ok(_) => PointerIs::Mapped,
        // what is not in the dump may have been mapped
        Err(e) if !matches!(e.kind, FaultKind::NotMapped(_)) => PointerIs::Unreadable(without_address(&e)),
        Err(_) if is_of_modules(s, value) => PointerIs::NoModule(last_unloaded(s)),
        Err(_) if is_vmalloc(s, value) => match area(s, value) {
            Some(area) => PointerIs::Of(area),
            None => {
                let before = (value & !(s.page_size() - 1)).wrapping_sub(1);
                PointerIs::Unmapped { behind: s.mem().u8(VirtAddr(before)).is_ok() }
            }
        },
        Err(e) => PointerIs::Unreadable(without_address(&e)),
    }
}

/// What is wrong with an address that is told already.
fn without_address(e: &Fault) -> String {
    let text = e.to_string();
    text.split_once(": ").map_or(text.as_str(), |(_, why)| why).to_owned()
}

/// The area of modules, where it is one of its own; where it begins depends on KASLR.
fn is_of_modules(s: &Session, value: u64) -> bool {
    if matches!(s.vmalloc_range(), Ok(None)) {
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

/// The module that was unloaded last: an address in their area may have been its.
fn last_unloaded(s: &Session) -> Option<String> {
    // a struct with the name first since 5.19; the name alone before
    s.symbol("last_unloaded_module")
        .and_then(|at| s.mem().cstr(at, 56).ok())
        .map(|raw| String::from_utf8_lossy(&raw).into_owned())
        .filter(|name| {
            !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "_-".contains(c))
        })
}

/// True in the area of `vmalloc`, which is the image's and its modules' too on some machines.
fn is_vmalloc(s: &Session, value: u64) -> bool {
    match s.vmalloc_range() {
        Ok(Some((start, size))) => value.wrapping_sub(start.0) < size,
        Ok(None) => s.beside_image(VirtAddr(value)),
        Err(_) => false,
    }
}

/// What lies at an address: a symbol, a slab object, a page of a kind that the kernel has written down.
pub(crate) fn place(s: &Session, value: u64) -> Option<Located> {
    let at = VirtAddr(value);
    if let Some(l) = s.locate(at) {
        return Some(symbol(&l));
    }
    let met = objects::at(s, value).map(|met| Located::Object(Box::new(met)));
    if met.is_none() && kfence::is_in_pool(s, at) {
        return Some(Located::Kfence);
    }
    met.or_else(|| kernel::mm::slab::cache_of(s, at).map(|cache| Located::Cache(cache.to_string())))
        .or_else(|| page(s, page_use(s, value)?))
        .or_else(|| area(s, value))
}

fn symbol(l: &kernel::Located<'_>) -> Located {
    Located::Symbol {
        name: l.symbol.name.to_owned(),
        module: l.symbol.module.map(str::to_owned),
        offset: l.offset,
    }
}

/// The area of `vmalloc` and its like that an address lies in or behind; of one that is a stack, whose.
fn area(s: &Session, value: u64) -> Option<Located> {
    if !is_vmalloc(s, value) {
        return None;
    }
    let area = vmalloc::area_at(s, VirtAddr(value))?;
    let behind = value.checked_sub(area.start.0)?.checked_sub(area.size);
    if let Some(task) = s.tasks().all.iter().find(|t| t.stack == Some(area.start)) {
        return Some(Located::Stack { who: Who::of(task), behind });
    }
    let by = area.caller.map(|by| function(s, by));
    Some(Located::Area { start: area.start.0, size: area.size, behind, by })
}

/// What a pointer leads to: a task, a slab object, a variable or a function, a stack or an area of `vmalloc`, or a page that
/// is no memory of the kernel's own objects. Nothing of a page that is merely in use.
pub(crate) fn target(s: &Session, value: u64) -> Option<Located> {
    if let Some(task) = s.tasks().at(VirtAddr(value)) {
        return Some(Located::Task(Who::of(task)));
    }
    if let Some(met) = objects::at(s, value) {
        return Some(Located::Object(Box::new(met)));
    }
    if let Some(l) = s.locate(VirtAddr(value)) {
        return Some(symbol(&l));
    }
    // what the kernel had before it had an allocator is reserved, and nothing is wrong with that
    let used = page_use(s, value).filter(|used| *used != Use::Reserved);
    used.and_then(|used| page(s, used)).or_else(|| area(s, value))
}

/// What the page at an address is used for, where it is no slab's.
fn page_use(s: &Session, value: u64) -> Option<Use> {
    if kfence::is_in_pool(s, VirtAddr(value)) || kernel::mm::slab::cache_of(s, VirtAddr(value)).is_some() {
        return None;
    }
    page_state::state_at(s, VirtAddr(value)).map(|state| state.used)
}

/// A page by its use, with where a block of free ones begins; nothing of one that is merely in use.
fn page(s: &Session, used: Use) -> Option<Located> {
    let begin = match &used {
        Use::InUse => return None,
        Use::Free { first, order } if *order > 0 => page_state::begin(s, *first).ok().map(|at| at.0),
        _ => None,
    };
    Some(Located::Page { used, begin })
}

/// `f+0x1` of an address, or the address.
pub(crate) fn function(s: &Session, at: VirtAddr) -> String {
    s.locate(at).map_or_else(|| format!("{:x}", at.0), |l| format!("{}+{:#x}", l.symbol.name, l.offset))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_poison_is_a_constant_where_nothing_was_added() {
        assert_eq!(poison_name(0xdead_0000_0000_0100), Some("LIST_POISON1"));
        assert_eq!((poison_name(0xdead_0000_0000_0108), poison_name(0x6b6b_6b6b_6b6b_6b6b)), (None, None));
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
