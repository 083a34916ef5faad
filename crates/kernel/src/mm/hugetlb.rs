//! Pools of huge pages (`hstates`, mm/hugetlb.c).

use crate::error::{KernelError, Result};
use crate::session::Session;
use base::VirtAddr;

bind! {
    /// `struct hstate`
    struct Hstate("hstate") {
        order: "order",
        total: "nr_huge_pages",
        free: "free_huge_pages",
        reserved: "resv_huge_pages",
        surplus: "surplus_huge_pages",
        name: "name",
    }
}

/// More sizes of huge pages than a machine has.
const MAX_STATES: u64 = 16;
/// A huge page is not larger.
const MAX_ORDER: u64 = 30;

/// The huge pages of one size.
#[derive(Clone, Debug)]
pub struct Pool {
    /// `struct hstate`
    pub at: VirtAddr,
    /// Usual pages that one has, as a power of two.
    pub order: u64,
    /// How many there are.
    pub total: Result<u64>,
    /// Of them free.
    pub free: Result<u64>,
    /// Free ones that are promised to mappings.
    pub reserved: Result<u64>,
    /// Those beyond what the pool was set to.
    pub surplus: Result<u64>,
    /// `hugepages-2048kB`
    pub name: Result<String>,
}

/// The pools, in the kernel's order.
///
/// # Errors
/// The kernel was built without huge pages, or its symbols or types are not known.
pub fn pools(s: &Session) -> Result<Vec<Pool>> {
    let mem = s.mem();
    let first = s.need_symbol("hstates")?;
    let b = s.bind::<Hstate>();
    let size = b.size.filter(|n| *n > 0).ok_or(KernelError::NoType("hstate"))?;
    b.order.offset()?;
    let max = s.need_symbol("hugetlb_max_hstate")?;
    let count = u64::from(mem.u32(max)?);
    if count > MAX_STATES {
        let why = format!("{count} sizes of huge pages");
        return Err(KernelError::Damaged { what: "hugetlb_max_hstate", at: max, why });
    }
    let mut out = Vec::new();
    for n in 0..count {
        let at = first.add(n * size);
        let order = b.order.num(mem, at)?;
        if order > MAX_ORDER {
            let why = format!("its pages are of order {order}");
            return Err(KernelError::Damaged { what: "hstate", at, why });
        }
        out.push(Pool {
            at,
            order,
            total: b.total.u64(mem, at),
            free: b.free.u64(mem, at),
            reserved: b.reserved.u64(mem, at),
            surplus: b.surplus.u64(mem, at),
            name: b.name.text(mem, at),
        });
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::session;
    use testkit::kernel::Kernel;

    #[test]
    fn pools_by_size() {
        let mut k = Kernel::new();
        let members = [
            ("order", 0, "u32"),
            ("nr_huge_pages", 8, "u64"),
            ("free_huge_pages", 16, "u64"),
            ("resv_huge_pages", 24, "u64"),
            ("surplus_huge_pages", 32, "u64"),
            ("name", 40, "char[32]"),
        ];
        k.structure("hstate", 128, &members);
        let (all, max) = (k.variable("hstates", 256), k.variable("hugetlb_max_hstate", 4));
        k.half(max, 1).half(all, 9).word(all + 8, 64).word(all + 16, 10);
        k.set_text(all, "hstate", "name", "hugepages-2048kB");
        let found = pools(&session(&k)).unwrap();
        let [one] = found.as_slice() else { panic!("{found:?}") };
        let counts = (one.order, one.total.clone().unwrap(), one.free.clone().unwrap());
        assert_eq!((counts, one.name.clone().unwrap().as_str()), ((9, 64, 10), "hugepages-2048kB"));
        k.half(max, 1000);
        assert!(pools(&session(&k)).unwrap_err().is_loss(), "a count that cannot be");
        assert!(pools(&session(&Kernel::new())).is_err());
    }
}
