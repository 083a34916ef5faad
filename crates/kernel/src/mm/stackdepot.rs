//! Stack traces that the kernel keeps once and names by a number (lib/stackdepot.c): who allocated and freed an object.
//!
//! A handle has the number of a pool and an offset in it, in units of 16 bytes; the record there has the same handle and
//! the return addresses. Pools were called slabs until 6.3 (94b7d14c04c2 and its neighbours), their array is behind a
//! pointer in newer kernels, and the number in a handle is one more than the pool's since 6.9 (3ee34eabac2a).
//!
//! **Invariant:** a trace is given only where the record found has the very handle that was asked for and nothing but
//! addresses of text, so that each way to read a handle can be tried and none can be mistaken.

use crate::session::Session;
use base::{VirtAddr, VirtRead};

bind! {
    /// `union handle_parts`
    struct HandleParts("handle_parts") {
        pool: "pool_index_plus_1" | "pool_index" | "slabindex",
        offset: "offset",
    }
}
bind! {
    /// `struct stack_record`
    struct StackRecord("stack_record") { count: "size", handle: "handle", entries: "entries" }
}

/// Records begin at multiples of 1 << this (`DEPOT_STACK_ALIGN`).
const ALIGN: u32 = 4;
/// More return addresses than a record has (`CONFIG_STACKDEPOT_MAX_FRAMES`).
const MAX_FRAMES: u32 = 256;

/// A bit-field of a handle: its first bit, and its width.
type Bits = (u32, u32);

/// How handles and records are laid out.
#[derive(Clone, Copy, Debug)]
struct Shape {
    pool: Bits,
    offset: Bits,
    /// Bytes into a record.
    size: u64,
    handle: u64,
    entries: u64,
}

const fn part(handle: u32, (first, width): Bits) -> u64 {
    (handle as u64 >> first) & ((1 << width) - 1)
}

impl Shape {
    fn of(s: &Session) -> Option<Self> {
        let bits = |field: &crate::bind::Field| {
            let (first, width) = field.bits()?;
            let first = u32::try_from(first).ok().filter(|n| *n < 32)?;
            (width > 0 && width < 32).then_some((first, width))
        };
        let (parts, record) = (s.bind::<HandleParts>(), s.bind::<StackRecord>());
        Some(Self {
            pool: bits(&parts.pool)?,
            offset: bits(&parts.offset)?,
            size: record.count.offset().ok()?,
            handle: record.handle.offset().ok()?,
            entries: record.entries.offset().ok()?,
        })
    }

    /// True where two handles are of the same record: the rest of a handle's bits belongs to who keeps it.
    const fn same(&self, a: u32, b: u32) -> bool {
        part(a, self.pool) == part(b, self.pool) && part(a, self.offset) == part(b, self.offset)
    }

    /// The return addresses of a handle, by the arrays that may be that of the pools.
    fn find(
        &self,
        mem: &dyn VirtRead,
        arrays: &[VirtAddr],
        handle: u32,
        is_kernel: &dyn Fn(VirtAddr) -> bool,
        is_text: &dyn Fn(VirtAddr) -> bool,
    ) -> Option<Vec<VirtAddr>> {
        let number = part(handle, self.pool);
        let numbers = [number.checked_sub(1), Some(number)];
        let pools = arrays
            .iter()
            .flat_map(|array| numbers.into_iter().flatten().map(|n| array.add(n * 8)))
            .filter_map(|at| mem.ptr(at).ok())
            .filter(|pool| is_kernel(*pool));
        pools
            .map(|pool| pool.add(part(handle, self.offset) << ALIGN))
            .find_map(|record| self.read(mem, record, handle, is_text))
    }

    fn read(
        &self,
        mem: &dyn VirtRead,
        record: VirtAddr,
        handle: u32,
        is_text: &dyn Fn(VirtAddr) -> bool,
    ) -> Option<Vec<VirtAddr>> {
        let own = mem.u32(record.add(self.handle)).ok()?;
        let size = mem.u32(record.add(self.size)).ok()?;
        if !self.same(own, handle) || !(1..=MAX_FRAMES).contains(&size) {
            return None;
        }
        let entry =
            |n: u32| mem.ptr(record.add(self.entries + u64::from(n) * 8)).ok().filter(|at| is_text(*at));
        (0..size).map(entry).collect()
    }
}

/// The return addresses that a handle stands for, innermost first; `None` where the dump does not have them.
#[must_use]
pub fn trace(s: &Session, handle: u32) -> Option<Vec<VirtAddr>> {
    if handle == 0 {
        return None;
    }
    let array = ["stack_pools", "stack_slabs"].into_iter().find_map(|name| s.symbol(name))?;
    let behind = s.mem().ptr(array).ok().filter(|at| s.arch().is_kernel(*at));
    let arrays: Vec<VirtAddr> = [array].into_iter().chain(behind).collect();
    Shape::of(s)?.find(s.mem(), &arrays, handle, &|at| s.arch().is_kernel(at), &|at| s.is_text(at))
}

#[cfg(test)]
mod tests {
    use super::*;
    use base::{Fault, FaultKind};
    use rustc_hash::FxHashMap;

    /// Memory by words.
    #[derive(Default)]
    struct Ram(FxHashMap<u64, u64>);
    impl Ram {
        fn put(&mut self, at: u64, word: u64) {
            self.0.insert(at, word);
        }
    }
    impl VirtRead for Ram {
        fn read(&self, at: VirtAddr, buf: &mut [u8]) -> Result<(), Fault> {
            for (n, byte) in buf.iter_mut().enumerate() {
                let here = at.0 + n as u64;
                let word = self.0.get(&(here & !7)).ok_or(Fault::new(at, FaultKind::NotMapped("PTE")))?;
                *byte = word.to_le_bytes()[(here & 7) as usize];
            }
            Ok(())
        }
    }

    const ARRAY: u64 = 0xffff_ffff_8200_0000;
    const POOL: u64 = 0xffff_8880_0100_0000;
    const TEXT: u64 = 0xffff_ffff_8100_0000;

    fn is_text(at: VirtAddr) -> bool {
        at.0 & !0xffff == TEXT
    }

    /// As of 6.1: the pool's own number, and a bit that is always set.
    const OLD: Shape = Shape { pool: (0, 16), offset: (16, 10), size: 12, handle: 16, entries: 24 };
    /// As of 6.12.
    const NEW: Shape = Shape { pool: (0, 17), offset: (17, 10), size: 20, handle: 24, entries: 32 };

    /// A record of two frames at offset 0x30 of pool 2.
    fn ram(shape: &Shape, own: u32) -> Ram {
        let mut out = Ram::default();
        for n in 0..4 {
            out.put(ARRAY + n * 8, if n == 2 { POOL } else { 0 });
        }
        let at = POOL + 0x30;
        for n in 0..8 {
            out.put(at + n * 8, 0);
        }
        let mut half = |offset: u64, value: u32| {
            let word = out.0.entry(at + (offset & !7)).or_default();
            *word |= u64::from(value) << ((offset & 4) * 8);
        };
        half(shape.size, 2);
        half(shape.handle, own);
        out.put(at + shape.entries, TEXT + 0x10);
        out.put(at + shape.entries + 8, TEXT + 0x20);
        out
    }

    fn found(shape: &Shape, ram: &Ram, arrays: &[u64], handle: u32) -> Option<Vec<u64>> {
        let arrays: Vec<VirtAddr> = arrays.iter().map(|at| VirtAddr(*at)).collect();
        Some(
            shape
                .find(ram, &arrays, handle, &VirtAddr::in_upper_half, &is_text)?
                .into_iter()
                .map(|at| at.0)
                .collect(),
        )
    }

    const BOTH: &[u64] = &[TEXT + 0x10, TEXT + 0x20];

    #[test]
    fn handles_by_the_pool_s_number_and_by_one_more() {
        let old = 1 << 26 | 3 << 16 | 2;
        assert_eq!(found(&OLD, &ram(&OLD, old), &[ARRAY], old).as_deref(), Some(BOTH));
        let new = 3 << 17 | 3;
        assert_eq!(found(&NEW, &ram(&NEW, new), &[ARRAY], new).as_deref(), Some(BOTH));
        // the bits of who keeps the handle
        assert_eq!(found(&NEW, &ram(&NEW, new), &[ARRAY], new | 5 << 27).as_deref(), Some(BOTH));
    }

    #[test]
    fn the_array_of_pools_may_be_behind_a_pointer() {
        let handle = 3 << 17 | 3;
        let mut ram = ram(&NEW, handle);
        let symbol = ARRAY - 0x1000;
        ram.put(symbol, ARRAY);
        assert_eq!(found(&NEW, &ram, &[symbol, ARRAY], handle).as_deref(), Some(BOTH));
    }

    #[test]
    fn what_has_another_handle_or_no_text_is_no_trace() {
        let handle = 3 << 17 | 3;
        assert_eq!(found(&NEW, &ram(&NEW, handle + 1), &[ARRAY], handle), None, "another record");
        assert_eq!(found(&NEW, &ram(&NEW, 4 << 17 | 3), &[ARRAY], 4 << 17 | 3), None, "no record there");
        assert_eq!(found(&NEW, &ram(&NEW, handle), &[ARRAY], 3 << 17 | 0x1_ffff), None, "past the array");
        let mut data = ram(&NEW, handle);
        data.put(POOL + 0x30 + NEW.entries, 0xffff_8880_0000_1234);
        assert_eq!(found(&NEW, &data, &[ARRAY], handle), None, "no text");
        let mut large = ram(&NEW, handle);
        large.put(POOL + 0x30 + 16, u64::from(u32::MAX) << 32);
        assert_eq!(found(&NEW, &large, &[ARRAY], handle), None, "more frames than there are");
    }
}
