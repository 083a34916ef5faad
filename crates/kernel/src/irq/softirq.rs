//! Work that interrupts put off (`softirq_vec`, kernel/softirq.c).

use crate::error::{KernelError, Result};
use crate::session::Session;
use base::VirtAddr;

bind! {
    /// `struct softirq_action`
    struct SoftirqAction("softirq_action") { action: "action" }
}

/// There were ten since 2.6.
const MAX_KINDS: u64 = 64;
/// Bytes of a name at most.
const MAX_NAME: usize = 32;

/// A kind of such work.
#[derive(Clone, Debug)]
pub struct Softirq {
    /// Its number.
    pub number: u64,
    /// What does it; null where nobody does.
    pub action: Result<VirtAddr>,
    /// The kernel's name of it, as in /proc/softirqs.
    pub name: Result<String>,
}

/// All kinds.
///
/// # Errors
/// The kernel's types do not say how many there are, or its symbols do not know the table.
pub fn softirqs(s: &Session) -> Result<Vec<Softirq>> {
    let b = s.bind::<SoftirqAction>();
    let size = b.size.filter(|size| *size > 0).ok_or(KernelError::NoType("softirq_action"))?;
    let table = s.need_symbol("softirq_vec")?;
    let names = s.need_symbol("softirq_to_name");
    let all = (0..count(s)?).map(|number| Softirq {
        number,
        action: b.action.ptr(s.mem(), table.add(number * size)),
        name: names.clone().and_then(|names| {
            let at = s.mem().ptr(names.add(number * 8))?;
            Ok(String::from_utf8_lossy(&s.mem().cstr(at, MAX_NAME)?).into_owned())
        }),
    });
    Ok(all.collect())
}

/// How many kinds there are: `NR_SOFTIRQS`.
fn count(s: &Session) -> Result<u64> {
    let told = s.types().find_enumerator("NR_SOFTIRQS").first().and_then(|(_, n)| u64::try_from(*n).ok());
    told.filter(|count| (1..=MAX_KINDS).contains(count)).ok_or(KernelError::NoType("softirq_action"))
}
