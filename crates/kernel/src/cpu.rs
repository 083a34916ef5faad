//! CPUs: which there are, and where each keeps its own copy of a per-CPU variable.

use crate::error::{KernelError, Result};
use crate::session::Session;
use base::VirtAddr;

/// More CPUs than any kernel is built for (CONFIG_NR_CPUS is at most 8192 on x86).
const MAX_CPUS: u64 = 16384;

/// The kernel's CPU masks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cpus {
    /// CPUs that could ever be there; every per-CPU variable has a copy for each.
    pub possible: Vec<u32>,
    /// CPUs that are plugged in.
    pub present: Vec<u32>,
    /// CPUs that the scheduler uses. A panic takes all but its own offline.
    pub online: Vec<u32>,
}

bind! {
    /// `struct cpumask`
    struct Cpumask("cpumask") { bits: "bits" }
}

/// Reads the masks; what is not there is empty.
pub fn read_cpus(s: &Session) -> Cpus {
    let mut cpus = Cpus {
        possible: mask(s, "__cpu_possible_mask", "cpu_possible_bits").unwrap_or_default(),
        present: mask(s, "__cpu_present_mask", "cpu_present_bits").unwrap_or_default(),
        online: mask(s, "__cpu_online_mask", "cpu_online_bits").unwrap_or_default(),
    };
    if cpus.possible.is_empty() {
        cpus.possible.clone_from(&cpus.present);
    }
    if let Some(count) = s.opened().cpus {
        cpus.possible = (0..count).collect();
        cpus.present.clone_from(&cpus.possible);
        cpus.online.retain(|cpu| *cpu < count);
    }
    cpus
}

/// `old` is the name before 4.5 (4b804c85dc37), when the masks were arrays behind const pointers.
fn mask(s: &Session, name: &str, old: &str) -> Result<Vec<u32>> {
    let mem = s.mem();
    let at = s.symbol(name).or_else(|| s.symbol(old)).ok_or_else(|| s.no_symbol(name))?;
    let ids = s.symbol("nr_cpu_ids").and_then(|at| mem.u32(at).ok()).map(u64::from);
    // where types have to be inferred, that asks for the CPUs: nothing here may ask for types then
    let built =
        || if s.loaded().untyped { None } else { s.bind::<Cpumask>().size.map(|n| n.saturating_mul(8)) };
    let bits = ids.or_else(built).unwrap_or(64).clamp(1, MAX_CPUS);
    let mut out = Vec::new();
    for word in 0..bits.div_ceil(64) {
        let value = mem.u64(at.add(word * 8))?;
        for bit in 0..64 {
            if value >> bit & 1 == 1 && word * 64 + bit < bits {
                out.push((word * 64 + bit) as u32);
            }
        }
    }
    Ok(out)
}

/// What to add to the address of a per-CPU variable for this CPU's copy (`__per_cpu_offset[cpu]`).
pub fn per_cpu_offset(s: &Session, cpu: u32) -> Result<u64> {
    match s.symbol("__per_cpu_offset") {
        Some(at) => Ok(s.mem().u64(at.add(u64::from(cpu) * 8))?),
        None if cpu == 0 => Ok(0), // !CONFIG_SMP
        None => Err(KernelError::NoCpu(cpu)),
    }
}

/// The address of a CPU's copy of a per-CPU variable.
pub fn per_cpu(s: &Session, symbol: &str, cpu: u32) -> Result<VirtAddr> {
    Ok(s.need_symbol(symbol)?.add(per_cpu_offset(s, cpu)?))
}
