//! What the machine is made of, as the kernel found it when it booted: memory by the firmware's map, processors, the rate of
//! ticks, a hypervisor.
//!
//! Sources: arch/x86/include/asm/e820/types.h (`e820_table`; a struct `e820` until 4.8, a pointer of that name to an
//! `e820map` up to 4.11), arch/x86/kernel/paravirt.c, arch/x86/kernel/cpu/hypervisor.c, kernel/time/jiffies.c.

use crate::bind::find_struct;
use crate::error::{KernelError, Result};
use crate::session::Session;
use base::VirtAddr;
use debuginfo::types::{Space, Type, TypeRef};

bind! {
    /// `struct e820_table`
    struct E820Table("e820_table" | "e820map") { count: "nr_entries" | "nr_map", entries: "entries" | "map" }
}
bind! {
    /// `struct e820_entry`
    struct E820Entry("e820_entry" | "e820entry") { start: "addr", bytes: "size", kind: "type" }
}
bind! {
    /// `struct clocksource`
    struct ClockSource("clocksource") { mult: "mult", shift: "shift" }
}
bind! {
    /// `struct pv_info`
    struct PvInfo("pv_info") { name: "name" }
}
bind! {
    /// `struct hypervisor_x86`
    struct Hypervisor("hypervisor_x86") { name: "name" }
}

/// More ranges than any kernel's table has room for.
const MAX_RANGES: u64 = 4096;
/// Bytes of a name at most.
const MAX_NAME: usize = 64;

/// A range of the firmware's map of memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Range {
    /// First physical address.
    pub start: u64,
    /// First one behind it.
    pub end: u64,
    /// What is there (`enum e820_type`).
    pub kind: u32,
}

impl Range {
    /// The name of its kind; none for one that is not known.
    #[must_use]
    pub const fn name(&self) -> Option<&'static str> {
        Some(match self.kind {
            1 => "E820_RAM",
            2 => "E820_RESERVED",
            3 => "E820_ACPI",
            4 => "E820_NVS",
            5 => "E820_UNUSABLE",
            7 => "E820_PMEM",
            12 => "E820_PRAM",
            128 => "E820_RESERVED_KERN",
            0xefff_ffff => "E820_SOFT_RESERVED",
            _ => return None,
        })
    }
}

/// The map of memory that the firmware gave (e820), in its order.
///
/// # Errors
/// This machine has none, or it is not known or damaged.
pub fn memory_map(s: &Session) -> Result<Vec<Range>> {
    let (mem, b, one) = (s.mem(), s.bind::<E820Table>(), s.bind::<E820Entry>());
    let at = match (s.symbol("e820_table"), s.symbol("e820")) {
        (Some(pointer), _) => mem.ptr(pointer)?,
        (None, Some(own)) if is_pointer(s, "e820", own)? => mem.ptr(own)?,
        (None, Some(own)) => own,
        (None, None) => return Err(s.no_symbol("e820_table")),
    };
    let size = one.size.filter(|size| *size > 0).ok_or(KernelError::NoType("e820_entry"))?;
    let room = b.entries.size()? / size;
    let count = b.count.num(mem, at)? & 0xffff_ffff;
    let damaged = |why: String| KernelError::Damaged { what: "e820_table", at, why };
    if count > room.min(MAX_RANGES) || count == 0 {
        return Err(damaged(format!("it says that it has {count} ranges, of {room} at most")));
    }
    let first = b.entries.at(at)?;
    let range = |n: u64| {
        let at = first.add(n * size);
        let (start, size) = (one.start.num(mem, at)?, one.bytes.num(mem, at)?);
        let end = start.checked_add(size).ok_or_else(|| damaged(format!("range {n} has no end")))?;
        Ok(Range { start, end, kind: one.kind.u32(mem, at)? })
    };
    (0..count).map(range).collect()
}

/// True where a variable is a pointer: by its type, else by what it holds.
fn is_pointer(s: &Session, name: &str, at: VirtAddr) -> Result<bool> {
    let types = s.types();
    if let Some(ty) = types.first(None, Space::Variable, name) {
        return Ok(matches!(&*types.resolve(ty)?.1, Type::Pointer { .. }));
    }
    // a count of ranges is no address
    Ok(s.arch().is_kernel(s.mem().ptr(at)?))
}

/// Where the kernel has what it knows of a processor, and of what type that is.
///
/// # Errors
/// The kernel has no such variable, or its type is not known.
pub fn cpu_info(s: &Session, cpu: u32) -> Result<(VirtAddr, TypeRef, &'static str)> {
    // x86-64, arm64
    let kinds = [("cpu_info", "cpuinfo_x86"), ("cpu_data", "cpuinfo_arm64")];
    let mut unknown = KernelError::NoSymbol("cpu_info".to_owned());
    for (symbol, of) in kinds {
        let Some(ty) = find_struct(s.types(), &[of]) else {
            unknown = KernelError::NoType("cpuinfo_x86");
            continue;
        };
        return Ok((s.per_cpu(symbol, cpu)?, ty, of));
    }
    Err(unknown)
}

/// How many ticks a second has: by the clock source that counts them, which says how long each is.
///
/// # Errors
/// It is not known, or not in the dump.
pub fn hz(s: &Session) -> Result<u64> {
    let (mem, b) = (s.mem(), s.bind::<ClockSource>());
    let at = s.need_symbol("clocksource_jiffies")?;
    let (mult, shift) = (b.mult.u32(mem, at)?, b.shift.u32(mem, at)?);
    // nanoseconds of a tick = mult >> shift; HZ = 10^9 / that, rounded
    let nsec = u64::from(mult).checked_shr(shift).unwrap_or(0);
    let hz = 1_000_000_000_u64.saturating_add(nsec / 2).checked_div(nsec).unwrap_or(0);
    if (10..=10_000).contains(&hz) {
        return Ok(hz);
    }
    let why = format!("a tick of {mult} >> {shift} nanoseconds cannot be");
    Err(KernelError::Damaged { what: "clocksource_jiffies", at, why })
}

/// The hypervisor that the kernel found itself on; none where it found none, or names none.
///
/// # Errors
/// It is not in the dump.
pub fn hypervisor(s: &Session) -> Result<Option<String>> {
    let mem = s.mem();
    let text = |at: VirtAddr| -> Result<Option<String>> {
        let raw = mem.cstr(at, MAX_NAME)?;
        let name = String::from_utf8_lossy(&raw).into_owned();
        Ok(Some(name).filter(|name| !name.is_empty() && name != "bare hardware"))
    };
    let pv = s.bind::<PvInfo>();
    if let (Some(at), true) = (s.symbol("pv_info"), pv.name.exists())
        && let Some(name) = text(pv.name.ptr(mem, at)?)?
    {
        return Ok(Some(name));
    }
    // until 4.14 (03b2a320b19f)
    let named = s.bind::<Hypervisor>();
    if let (Some(at), true) = (s.symbol("x86_hyper"), named.name.exists()) {
        let hypervisor = mem.ptr(at)?;
        return if hypervisor.is_null() { Ok(None) } else { text(named.name.ptr(mem, hypervisor)?) };
    }
    Ok(None)
}
