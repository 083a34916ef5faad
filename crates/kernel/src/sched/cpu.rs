//! CPUs: which there are, and where each keeps its own copy of a per-CPU variable.

use crate::error::{KernelError, Result};
use crate::session::{Fact, Session};
use base::VirtAddr;
use std::collections::BTreeMap;

/// More CPUs than any kernel is built for (CONFIG_NR_CPUS is at most 8192 on x86).
const MAX_CPUS: u64 = 16384;

/// The kernel's CPU masks.
#[derive(Clone, Debug, Default)]
pub struct Cpus {
    /// CPUs that could ever be there; every per-CPU variable has a copy for each. Where the mask is not in the dump,
    /// those that are known otherwise.
    pub possible: Vec<u32>,
    /// CPUs that are plugged in, where that is known.
    pub present: Option<Vec<u32>>,
    /// CPUs that the scheduler uses, where that is known. A panic takes all but its own offline.
    pub online: Option<Vec<u32>>,
    /// Why a mask is not known.
    pub problem: Option<KernelError>,
    /// What `possible` is by, where the mask is not known.
    pub otherwise: Option<&'static str>,
}

bind! {
    /// `struct cpumask`
    struct Cpumask("cpumask") { bits: "bits" }
}

impl Fact for Cpus {
    fn read(s: &Session) -> Self {
        read_cpus(s)
    }
}

impl Session {
    /// The CPUs.
    pub fn cpus(&self) -> &Cpus {
        self.fact()
    }
    /// The address of a CPU's copy of a per-CPU variable.
    ///
    /// # Errors
    /// There is no such variable, or where the CPU's area is is not known.
    pub fn per_cpu(&self, symbol: &str, cpu: u32) -> Result<VirtAddr> {
        per_cpu(self, symbol, cpu)
    }
}

/// Reads the masks. What they do not say is told by the per-CPU offsets, the dump's header and its notes.
pub(crate) fn read_cpus(s: &Session) -> Cpus {
    if let Some(count) = s.opened().cpus {
        let all: Vec<u32> = (0..count).collect();
        let online = mask(s, "__cpu_online_mask", "cpu_online_bits").ok();
        let online = online.map(|online| online.into_iter().filter(|cpu| *cpu < count).collect());
        return Cpus { possible: all.clone(), present: Some(all), online, ..Cpus::default() };
    }
    let mut problem = None;
    let mut read = |name, old| match mask(s, name, old) {
        Ok(cpus) if cpus.is_empty() => {
            let why = KernelError::Damaged {
                what: name,
                at: s.symbol(name).or_else(|| s.symbol(old)).unwrap_or_default(),
                why: "it has no CPU in it".into(),
            };
            problem.get_or_insert(why);
            None
        }
        Ok(cpus) => Some(cpus),
        Err(e) => {
            problem.get_or_insert(e);
            None
        }
    };
    let present = read("__cpu_present_mask", "cpu_present_bits");
    let possible = read("__cpu_possible_mask", "cpu_possible_bits");
    let online = read("__cpu_online_mask", "cpu_online_bits");
    let neither = matches!(problem, Some(KernelError::NoSymbol(_))) && s.symbol("__per_cpu_offset").is_none();
    if neither || (possible.is_none() && present.is_none() && is_uniprocessor(s)) {
        // !CONFIG_SMP has neither masks nor offsets
        let one = || Some(vec![0]);
        return Cpus { possible: vec![0], present: one(), online: one(), ..Cpus::default() };
    }
    let (possible, otherwise) = match possible.or_else(|| present.clone()) {
        Some(mut cpus) => {
            let there = present.iter().chain(&online).flatten().copied();
            let lost = lost(s, &cpus, there);
            if let Some(cpu) = lost.first() {
                let at = s.symbol("__cpu_possible_mask").or_else(|| s.symbol("cpu_possible_bits"));
                problem.get_or_insert(KernelError::Damaged {
                    what: "__cpu_possible_mask",
                    at: at.unwrap_or_default(),
                    why: format!(
                        "it lacks CPU {cpu}, which is there by the other masks and its per-CPU offset"
                    ),
                });
                cpus.extend(lost);
                cpus.sort_unstable();
                cpus.dedup();
            }
            (cpus, None)
        }
        None => {
            let (cpus, by) = by_other_evidence(s);
            (cpus, Some(by))
        }
    };
    Cpus { possible, present, online, problem, otherwise }
}

/// The CPUs that the mask of possible ones lost: no CPU is there that could not be, and each has its per-CPU offset.
fn lost(s: &Session, possible: &[u32], there: impl Iterator<Item = u32>) -> Vec<u32> {
    let missing: Vec<u32> = there.filter(|cpu| !possible.contains(cpu)).collect();
    // offsets are read only where one is missing
    let own = if missing.is_empty() { 0 } else { by_offsets(s) };
    missing.into_iter().filter(|cpu| *cpu < own).collect()
}

/// The CPUs by what else knows of them, and what that is.
fn by_other_evidence(s: &Session) -> (Vec<u32>, &'static str) {
    let offsets = by_offsets(s);
    let header = s.dump().facts().nr_cpus.unwrap_or(0);
    let notes = u32::try_from(s.cpu_states().len()).unwrap_or(0);
    let (count, by) = match (offsets, header, notes) {
        (n, ..) if n > 0 => (n, "the kernel's per-CPU offsets"),
        (_, n, _) if n > 0 => (n, "the dump's header"),
        (_, _, n) => (n, "the dump's notes"),
    };
    ((0..count.min(MAX_CPUS as u32)).collect(), by)
}

/// How many CPUs have an offset of their own in `__per_cpu_offset`: of those that there cannot be all have the same.
fn by_offsets(s: &Session) -> u32 {
    let Some(table) = s.symbol("__per_cpu_offset") else { return 0 };
    let bound = nr_cpu_ids(s).unwrap_or(MAX_CPUS);
    let offset_of = |cpu: u64| s.mem().u64(table.add(cpu * 8)).ok();
    let mut known: Vec<u64> = Vec::new();
    for cpu in 0..bound {
        let Some(offset) = offset_of(cpu) else { break };
        // CPUs that cannot be all have the same one; what follows the table can be anything
        let is_again = cpu.saturating_add(1) < bound && offset_of(cpu.saturating_add(1)) == Some(offset);
        if !is_area(s, offset) || (is_again && cpu > 0) || known.contains(&offset) {
            break;
        }
        known.push(offset);
    }
    u32::try_from(known.len()).unwrap_or(0)
}

/// True for an offset that leads to an area of a CPU's own. What a CPU that cannot be has leads into the image, where the
/// variables' first copy lies: its name can be lost.
fn is_area(s: &Session, offset: u64) -> bool {
    let at = s.symbol("__per_cpu_start").unwrap_or_default().add(offset);
    let load = s.symbol("__per_cpu_load").map(|at| at.0);
    let [image, end, _] = s.arch().layout.image_range();
    s.arch().is_kernel(at) && Some(offset) != load && !(image..end).contains(&at) && !s.in_image(at)
}

fn nr_cpu_ids(s: &Session) -> Option<u64> {
    let ids = s.symbol("nr_cpu_ids").and_then(|at| s.mem().u32(at).ok()).map(u64::from);
    ids.filter(|ids| (1..=MAX_CPUS).contains(ids))
}

/// True for a kernel that was built for one CPU (`CONFIG_SMP=n`): the version in its names lacks the word SMP, which every
/// other has. Asks for no types, as `read_cpus` must not.
#[must_use]
pub fn is_uniprocessor(s: &Session) -> bool {
    let version = || -> Option<String> {
        let raw = s.mem().bytes(s.symbol("init_uts_ns")?, 512).ok()?;
        uts_version(&raw)
    };
    version().is_some_and(|version| is_of_one(&version))
}

/// The CPU of a machine that can only have one.
#[must_use]
pub fn only_one(s: &Session) -> Option<u32> {
    let cpus = s.cpus();
    match cpus.possible[..] {
        [one] if cpus.problem.is_none() => Some(one),
        _ => None,
    }
}

/// `utsname.version`, the fourth of its names, in the bytes of a `uts_namespace`.
fn uts_version(raw: &[u8]) -> Option<String> {
    const FIELD: usize = 65;
    let at = memchr::memmem::find(raw, b"Linux\0")?.checked_add(3 * FIELD)?;
    let field = raw.get(at..at.checked_add(FIELD)?)?;
    Some(String::from_utf8_lossy(base::cstr(field)).into_owned())
}

/// Whether a version (`#1 SMP PREEMPT_DYNAMIC Debian 6.1.0-9`) is of a kernel for one CPU.
fn is_of_one(version: &str) -> bool {
    version.starts_with('#') && !version.split_whitespace().any(|word| word == "SMP")
}

/// `old` is the name before 4.5 (4b804c85dc37), when the masks were arrays behind const pointers.
fn mask(s: &Session, name: &str, old: &str) -> Result<Vec<u32>> {
    let mem = s.mem();
    let at = s.symbol(name).or_else(|| s.symbol(old)).ok_or_else(|| s.no_symbol(name))?;
    // where types have to be inferred, that asks for the CPUs: nothing here may ask for types then
    let built =
        || if s.loaded().untyped { None } else { s.bind::<Cpumask>().size.map(|n| n.saturating_mul(8)) };
    let bits = nr_cpu_ids(s).or_else(built).unwrap_or(64).clamp(1, MAX_CPUS);
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

/// What to add to the address of a per-CPU variable for this CPU's copy (`__per_cpu_offset[cpu]`). An error for one that has
/// another CPU's: two CPUs with one area cannot be.
///
/// # Errors
/// The CPU has no area, or that of another one, or its place is not in the dump.
pub fn per_cpu_offset(s: &Session, cpu: u32) -> Result<u64> {
    match s.symbol("__per_cpu_offset") {
        Some(table) => match s.fact::<SharedAreas>().0.get(&cpu) {
            None => own_offset(s, table, cpu),
            Some(shared) => Err(shared.clone()),
        },
        None => match s.no_symbol("__per_cpu_offset") {
            KernelError::NoSymbol(_) if cpu == 0 => Ok(0), // !CONFIG_SMP
            KernelError::NoSymbol(_) => Err(KernelError::NoCpu(cpu)),
            lost => Err(lost),
        },
    }
}

/// The variable in which a CPU keeps its current task: `current_task`, the first member of `pcpu_hot` from 6.2 to 6.14.
pub const CURRENT: [&str; 2] = ["current_task", "pcpu_hot"];

/// What a CPU's own variable says it runs. Asks for no types.
pub(crate) fn current_by_variable(s: &Session, cpu: u32) -> Result<VirtAddr> {
    let [own, hot] = CURRENT;
    let at = per_cpu(s, own, cpu).or_else(|e| per_cpu(s, hot, cpu).map_err(|_| e))?;
    Ok(s.mem().ptr(at)?)
}

fn own_offset(s: &Session, table: VirtAddr, cpu: u32) -> Result<u64> {
    Ok(s.mem().u64(table.add(u64::from(cpu) * 8))?)
}

/// Where a CPU's area has its number: a variable, and how far in it. x86-64 from 6.2 (64701838bf06) to 6.14 has it in
/// `struct pcpu_hot`, behind the current task and the count of preemption.
const OWN_NUMBER: [(&str, u64); 2] = [("cpu_number", 0), ("pcpu_hot", 12)];

/// So many CPUs of one area are told.
const SHOWN: usize = 4;

/// CPUs that have the offset of another one in `__per_cpu_offset`, and why they have none of their own.
#[derive(Default)]
struct SharedAreas(BTreeMap<u32, KernelError>);

impl Fact for SharedAreas {
    const STAYS: bool = true;
    /// Asks for no types, as who infers them asks this.
    fn read(s: &Session) -> Self {
        let Some(table) = s.symbol("__per_cpu_offset") else { return Self::default() };
        let mut by_offset: BTreeMap<u64, Vec<u32>> = BTreeMap::new();
        // the masks of CPUs can need types, whose check asks this: all ids serve, those of no CPU are never asked for
        let counted = nr_cpu_ids(s);
        for cpu in (0..counted.unwrap_or(MAX_CPUS)).filter_map(|cpu| u32::try_from(cpu).ok()) {
            let Ok(offset) = own_offset(s, table, cpu) else { break };
            if is_area(s, offset) {
                by_offset.entry(offset).or_default().push(cpu);
            } else if counted.is_none() && cpu > 0 {
                // where the table ends is not known: behind the last CPU's area it holds none
                break;
            }
        }
        let mut out = BTreeMap::new();
        for (offset, cpus) in by_offset.into_iter().filter(|(_, cpus)| cpus.len() > 1) {
            // each area has its CPU's number, where a variable of its own holds that
            let numbers = OWN_NUMBER.iter().filter_map(|(name, within)| Some(s.symbol(name)?.add(*within)));
            let mut numbers = numbers.filter_map(|at| s.mem().u32(at.add(offset)).ok());
            let owner = numbers.find(|owner| cpus.contains(owner));
            let whose = match owner {
                Some(owner) => format!("the memory there is CPU {owner}'s"),
                None => "which of them it belongs to is not known".to_owned(),
            };
            let all: Vec<String> = cpus.iter().take(SHOWN).map(ToString::to_string).collect();
            let more = if cpus.len() > SHOWN { " and others" } else { "" };
            let why = format!("CPUs {}{more} have the same offset {offset:#x}: {whose}", all.join(" and "));
            for cpu in cpus.into_iter().filter(|cpu| Some(*cpu) != owner) {
                let at = table.add(u64::from(cpu) * 8);
                out.insert(cpu, KernelError::Damaged { what: "__per_cpu_offset", at, why: why.clone() });
            }
        }
        Self(out)
    }
}

/// The address of a CPU's copy of a per-CPU variable.
///
/// # Errors
/// There is no such variable, or where the CPU's area is is not known.
pub fn per_cpu(s: &Session, symbol: &str, cpu: u32) -> Result<VirtAddr> {
    Ok(s.need_symbol(symbol)?.add(per_cpu_offset(s, cpu)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::session;
    use testkit::kernel::Kernel;

    #[test]
    fn cpus_whose_masks_say_nothing_are_known_by_their_offsets() {
        let mut k = Kernel::new();
        k.cpus(3);
        for name in ["__cpu_possible_mask", "__cpu_present_mask", "__cpu_online_mask"] {
            k.word(k.at(name), 0);
        }
        let cpus = read_cpus(&session(&k));
        assert_eq!(cpus.possible, [0, 1, 2]);
        assert_eq!((cpus.present, cpus.online), (None, None));
        assert!(cpus.problem.is_some() && cpus.otherwise == Some("the kernel's per-CPU offsets"));
    }

    #[test]
    fn what_a_cpu_that_cannot_be_has_is_no_memory_of_it() {
        let mut k = Kernel::new();
        k.cpus(2);
        for name in ["__cpu_possible_mask", "__cpu_present_mask", "__cpu_online_mask"] {
            k.word(k.at(name), 0);
        }
        k.half(k.at("nr_cpu_ids"), 8);
        // where the image has the variables' first copy; the name that says so is lost
        let table = k.at("__per_cpu_offset");
        let (image, start) = (k.function("first_copy", 0x800), session(&k).symbol("__per_cpu_start"));
        k.word(table + 16, image.wrapping_sub(start.unwrap_or_default().0)).lose("__per_cpu_load");
        assert_eq!(read_cpus(&session(&k)).possible, [0, 1]);
    }

    #[test]
    fn a_mask_that_lost_a_cpu_is_not_believed_alone() {
        for lost in [0b101, 0b110, 0b011, 0b001] {
            let mut k = Kernel::new();
            k.cpus(3);
            k.word(k.at("__cpu_possible_mask"), lost);
            let cpus = read_cpus(&session(&k));
            assert_eq!(cpus.possible, [0, 1, 2], "{lost:b}");
            assert!(cpus.problem.unwrap().to_string().contains("it lacks CPU"));
        }
        // one that is there by a damaged mask alone has no memory of its own
        let mut k = Kernel::new();
        k.cpus(3);
        let [online, ids] = ["__cpu_online_mask", "nr_cpu_ids"].map(|name| k.at(name));
        k.word(online, 0xf).half(ids, 8);
        let cpus = read_cpus(&session(&k));
        assert_eq!((cpus.possible, cpus.problem.is_none()), (vec![0, 1, 2], true));
    }

    #[test]
    fn masks_that_are_there_are_believed() {
        let mut k = Kernel::new();
        k.cpus(3);
        let cpus = read_cpus(&session(&k));
        assert_eq!(cpus.possible, [0, 1, 2]);
        assert!(cpus.problem.is_none() && cpus.otherwise.is_none());
    }

    #[test]
    fn two_cpus_with_one_area_cannot_be() {
        for (name, within) in [("cpu_number", 0), ("pcpu_hot", 12), ("", 0)] {
            let named = !name.is_empty();
            let mut k = Kernel::new();
            k.cpus(3);
            if named {
                let number = k.per_cpu(name, 64);
                for cpu in 0..3 {
                    let at = k.on_cpu(number, cpu);
                    k.half(at + within, cpu);
                }
            }
            let whole = session(&k);
            let offsets: Vec<u64> = (0..3).map(|cpu| per_cpu_offset(&whole, cpu).unwrap()).collect();
            let table = k.at("__per_cpu_offset");
            k.word(table + 8, offsets[0]);
            let s = session(&k);
            assert_eq!(per_cpu_offset(&s, 0).ok(), named.then_some(offsets[0]), "{named}");
            assert_eq!(per_cpu_offset(&s, 2).ok(), Some(offsets[2]));
            let told = per_cpu(&s, "__per_cpu_start", 1).unwrap_err().to_string();
            assert!(told.contains("CPUs 0 and 1 have the same offset"), "{told}");
            assert_eq!(told.contains("is CPU 0's"), named, "{told}");
        }
    }

    #[test]
    fn a_kernel_for_one_cpu_is_told_by_its_version() {
        let mut raw = vec![0; 512];
        raw[4..9].copy_from_slice(b"Linux");
        let version = b"#1 Sun Nov 29 10:00:00 UTC 2026";
        raw[4 + 195..4 + 195 + version.len()].copy_from_slice(version);
        assert!(is_of_one(&uts_version(&raw).unwrap()));
        assert!(!is_of_one("#1 SMP PREEMPT_DYNAMIC Debian 6.1.0-9"));
        // nothing is no version
        assert!(!is_of_one("") && uts_version(&[0; 512]).is_none());
    }
}
