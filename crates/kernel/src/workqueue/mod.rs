//! Work that is done later by threads of the kernel (include/linux/workqueue.h).

use crate::error::Result;
use crate::session::Session;
use base::VirtAddr;

bind! {
    /// `struct work_struct`
    struct WorkStruct("work_struct") { func: "func" }
}

/// The function that a `struct work_struct` is to call.
///
/// # Errors
/// The kernel's types do not know it, or it is not in the dump.
pub fn function(s: &Session, work: VirtAddr) -> Result<VirtAddr> {
    s.bind::<WorkStruct>().func.ptr(s.mem(), work)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::session;
    use testkit::kernel::Kernel;

    #[test]
    fn work_has_a_function() {
        let mut k = Kernel::new();
        k.structure("work_struct", 32, &[("data", 0, "u64"), ("func", 24, "*void")]);
        let (work, do_it) = (k.object("work_struct"), k.function("do_it", 0x40));
        k.set(work, "work_struct", "func", do_it);
        assert_eq!(function(&session(&k), VirtAddr(work)).unwrap().0, do_it);
        k.exclude(work);
        assert!(function(&session(&k), VirtAddr(work)).is_err());
    }
}
