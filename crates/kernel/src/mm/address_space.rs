//! A process's address space (`mm_struct`): its size, its page tables, its arguments.

use crate::error::{KernelError, Result};
use crate::sched::task::{Task, TaskStruct};
use crate::session::Session;
use arch::UserMap;
use base::{VirtAddr, VirtRead};
use debuginfo::types::Type;
use std::sync::Arc;

bind! {
    /// `struct mm_struct` (include/linux/mm_types.h)
    pub struct MmStruct("mm_struct") {
        pgd: "pgd",
        total_vm: "total_vm",
        rss_stat: "rss_stat",
        mm_mt: "mm_mt", // 6.1 (524e00b36e8c)
        mmap: "mmap",
        arg_start: "arg_start",
        arg_end: "arg_end",
        env_start: "env_start",
        env_end: "env_end",
        owner: "owner",
        flags: "flags",
    }
}
bind! {
    /// `struct mm_rss_stat` (until 6.2, f1a7941243c1), and `task_rss_stat` which holds a thread's own share
    struct MmRssStat("mm_rss_stat") { count: "count" }
}
bind! {
    /// `struct task_rss_stat`
    struct TaskRssStat("task_rss_stat") { count: "count" }
}
bind! {
    /// `struct percpu_counter`
    pub struct PercpuCounter("percpu_counter") { count: "count", counters: "counters" }
}

/// The counters that make up the resident set: MM_FILEPAGES, MM_ANONPAGES and, after MM_SWAPENTS,
/// MM_SHMEMPAGES (4.5, eca56ff906bd).
const RESIDENT: [u64; 3] = [0, 1, 3];

/// Pages of a task's address space.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MmSize {
    /// Pages mapped (`total_vm`).
    pub total: u64,
    /// Pages in memory.
    pub resident: u64,
}

/// A task's address space, null for one without.
///
/// # Errors
/// It is not known.
pub fn of_task(s: &Session, task: &Task) -> Result<VirtAddr> {
    match task.mm {
        Some(mm) => Ok(mm),
        None => {
            let at = task.at;
            s.bind::<TaskStruct>().mm.ptr(s.mem(), at)?;
            // it can be read, and is no task's
            let why = task.wrong.clone().unwrap_or_else(|| "its mm is not known".to_owned());
            Err(KernelError::Damaged { what: "task_struct", at, why })
        }
    }
}

/// Pages mapped in a task's address space; nothing for a task without one.
///
/// # Errors
/// Which address space it has is not known, or that cannot be read.
pub fn total(s: &Session, task: &Task) -> Result<u64> {
    match of_task(s, task)? {
        mm if mm.is_null() => Ok(0),
        mm => mapped(s, mm),
    }
}

/// More pages than any machine's processes can map.
const MAPPED_MAX: u64 = 1 << 52;

/// Pages mapped in the address space at `mm` (`total_vm`); an error where they are more than can be.
///
/// # Errors
/// It is not in the dump, or the types do not know it.
pub fn mapped(s: &Session, mm: VirtAddr) -> Result<u64> {
    let pages = s.bind::<MmStruct>().total_vm.u64(s.mem(), mm)?;
    match pages < MAPPED_MAX {
        true => Ok(pages),
        false => {
            Err(impossible(mm, format!("its total_vm is {pages:#x} pages, more than there are addresses")))
        }
    }
}

fn impossible(mm: VirtAddr, why: String) -> KernelError {
    KernelError::Damaged { what: "mm_struct", at: mm, why }
}

/// How large a task's address space is; nothing for a task without one.
///
/// # Errors
/// Which address space it has is not known, or its counters cannot be read, or they contradict the machine's memory.
pub fn size(s: &Session, task: &Task) -> Result<MmSize> {
    match of_task(s, task)? {
        mm if mm.is_null() => Ok(MmSize::default()),
        // as the kernel tells it of a process: what a child of vfork() counts meanwhile is the child's
        mm => size_by(s, mm, &|thread| thread.tgid == task.tgid && thread.mm == task.mm),
    }
}

/// How large the address space at `mm` is, which a task need not have any more.
///
/// # Errors
/// The counters cannot be read, or they contradict the machine's memory.
pub fn size_of(s: &Session, mm: VirtAddr) -> Result<MmSize> {
    size_by(s, mm, &|thread| thread.mm == Some(mm))
}

/// The same with what the threads count that are meant.
fn size_by(s: &Session, mm: VirtAddr, is_meant: &dyn Fn(&Task) -> bool) -> Result<MmSize> {
    let mem = s.mem();
    let b = s.bind::<MmStruct>();
    let total = mapped(s, mm)?;
    let stat = b.rss_stat.at(mm)?;
    let bytes = b.rss_stat.size()?;
    let mut pages = 0_i64;
    let types = s.types();
    let is_array = b
        .rss_stat
        .ty()
        .and_then(|ty| Ok(types.resolve(ty)?))
        .is_ok_and(|(_, ty)| matches!(&*ty, Type::Array { .. }));
    if is_array {
        // struct percpu_counter rss_stat[NR_MM_COUNTERS]
        let step = s.bind::<PercpuCounter>().size.ok_or(KernelError::NoType("percpu_counter"))?.max(1);
        for index in RESIDENT.into_iter().filter(|&i| i < bytes / step) {
            // what has not been added up yet may be less than nothing: the kernel takes that for 0
            let counter = percpu_counter(s, stat.add(index.saturating_mul(step)))?;
            pages = pages.saturating_add(counter.max(0));
        }
    } else {
        let counts = s.bind::<MmRssStat>();
        let own = s.bind::<TaskRssStat>();
        let count = counts.count.size()? / 8;
        let first = counts.count.at(stat)?;
        let mut sums = Vec::new();
        for index in RESIDENT.into_iter().filter(|&i| i < count) {
            sums.push((index, mem.u64(first.add(index * 8))?.cast_signed()));
        }
        // what each thread has not yet handed over (SPLIT_RSS_COUNTING)
        let task_struct = s.bind::<TaskStruct>();
        if let Some(lack) = s.tasks().lack().filter(|_| task_struct.rss_stat.exists()) {
            let why = format!("each thread counts some of the pages, and {lack}");
            return Err(KernelError::Damaged { what: "count of resident pages", at: mm, why });
        }
        for thread in s.tasks().all.iter().filter(|thread| is_meant(thread)) {
            if !task_struct.rss_stat.exists() {
                break;
            }
            let at = own.count.at(task_struct.rss_stat.at(thread.at)?)?;
            for (index, sum) in &mut sums {
                *sum = sum.saturating_add(i64::from(mem.i32(at.add(*index * 4))?));
            }
        }
        pages = sums.iter().fold(0, |all, (_, sum)| all.saturating_add((*sum).max(0)));
    }
    let resident = u64::try_from(pages).unwrap_or(0); // less than none: each part is none or more
    match total_pages(s) {
        Ok(all) if resident > all => {
            Err(impossible(mm, format!("its resident pages are {resident}, and the machine has {all}")))
        }
        _ => Ok(MmSize { total, resident }),
    }
}

/// The value of a `percpu_counter`: its sum, and what each CPU has not yet added to it.
///
/// # Errors
/// It, or the part of one CPU, is not in the dump, or the types do not know it.
pub fn percpu_counter(s: &Session, at: VirtAddr) -> Result<i64> {
    let mem = s.mem();
    let b = s.bind::<PercpuCounter>();
    let mut sum = b.count.u64(mem, at)?.cast_signed();
    if !b.counters.exists() {
        return Ok(sum); // !CONFIG_SMP
    }
    let counters = b.counters.ptr(mem, at)?;
    if counters.is_null() {
        return Ok(sum);
    }
    for &cpu in &s.cpus().possible {
        let one = counters.add(crate::sched::cpu::per_cpu_offset(s, cpu)?);
        sum = sum.saturating_add(i64::from(mem.i32(one)?));
    }
    Ok(sum)
}

/// The memory of a task's process, as its page tables map it.
///
/// # Errors
/// It has none, or where its page tables are is not known.
pub fn user_memory(s: &Session, task: &Task) -> Result<UserMap> {
    match of_task(s, task)? {
        mm if mm.is_null() => Err(KernelError::Open(format!("task {} has no user memory", task.pid))),
        mm => user_memory_of(s, mm),
    }
}

/// The topmost page table (`pgd`) of the address space at `mm`.
///
/// # Errors
/// It is not in the dump, or the types do not know it.
pub fn tables(s: &Session, mm: VirtAddr) -> Result<VirtAddr> {
    s.bind::<MmStruct>().pgd.ptr(s.mem(), mm)
}

/// The memory of the address space at `mm`.
///
/// # Errors
/// Where its page tables are is not known.
pub fn user_memory_of(s: &Session, mm: VirtAddr) -> Result<UserMap> {
    let (root, _) = s.map().translate(tables(s, mm)?)?;
    Ok(UserMap::new(Arc::clone(s.map().phys()), s.map().tables().with_user(root)))
}

/// Longest argument or environment area that is read.
const MAX_STRINGS: u64 = 1 << 20;

/// The strings between two of a process's addresses, each ended by NUL: its arguments or its environment.
///
/// # Errors
/// A page of them is not in the dump.
pub fn strings(user: &UserMap, start: VirtAddr, end: VirtAddr) -> Result<Vec<String>> {
    let len = end.0.saturating_sub(start.0).min(MAX_STRINGS);
    let raw = user.bytes(start, len as usize)?;
    let raw = raw.strip_suffix(&[0]).unwrap_or(&raw);
    if raw.is_empty() {
        return Ok(Vec::new());
    }
    Ok(raw.split(|&b| b == 0).map(|s| String::from_utf8_lossy(s).into_owned()).collect())
}

/// A process's strings; either may be missing from the dump without the other.
#[derive(Debug)]
pub struct Arguments {
    /// What it was called with.
    pub arguments: Result<Vec<String>>,
    /// Its environment.
    pub environment: Result<Vec<String>>,
}

/// A process's arguments and environment.
///
/// # Errors
/// It has no memory of its own, or where its strings are is not known.
pub fn arguments(s: &Session, task: &Task) -> Result<Arguments> {
    let mem = s.mem();
    let b = s.bind::<MmStruct>();
    let user = user_memory(s, task)?;
    let mm = of_task(s, task)?;
    let at = |field: &crate::bind::Field| field.ptr(mem, mm);
    Ok(Arguments {
        arguments: strings(&user, at(&b.arg_start)?, at(&b.arg_end)?),
        environment: strings(&user, at(&b.env_start)?, at(&b.env_end)?),
    })
}

/// All memory of the machine, in pages: what `ps` takes percentages of.
///
/// # Errors
/// How much memory the nodes have is not known.
pub fn total_pages(s: &Session) -> Result<u64> {
    Ok(crate::machine::system::memory_bytes(s)? / s.page_size())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::session;
    use testkit::kernel::Kernel;

    /// A kernel of two CPUs and two processes, and the `mm_struct` of the first.
    fn kernel(members: &[(&str, u64, &str)], of_tasks: &[(&str, u64, &str)]) -> (Kernel, u64) {
        let mut k = Kernel::new();
        k.cpus(2);
        k.structure("mm_struct", 512, &[&[("total_vm", 0, "u64"), ("pgd", 8, "*void")], members].concat());
        let (tasks, _) = k.tasks(2, 4096, 256, of_tasks);
        let mm = k.object("mm_struct");
        k.set(tasks[0], "task_struct", "mm", mm).set(mm, "mm_struct", "total_vm", 100);
        (k, mm)
    }

    /// 6.2 and later (f1a7941243c1): a counter in parts for each kind of page.
    fn in_parts() -> (Kernel, u64, u64) {
        let (mut k, mm) = kernel(&[("rss_stat", 64, "percpu_counter[4]")], &[]);
        k.structure("percpu_counter", 48, &[("count", 8, "s64"), ("counters", 32, "*s32")]);
        let part = k.per_cpu_memory(4);
        k.word(mm + 64 + 8, 20).word(mm + 64 + 32, part);
        (k, mm, part)
    }

    fn first(s: &Session) -> &Task {
        s.tasks().all.iter().find(|task| task.pid == 1).unwrap()
    }

    #[test]
    fn counters_are_their_sum_and_what_each_cpu_has_not_added() {
        let (mut k, mm, part) = in_parts();
        let [own, other] = [0, 1].map(|cpu| k.on_cpu(part, cpu));
        k.half(own, 7).half(other, 3_u32.wrapping_neg());
        let s = session(&k);
        assert_eq!(percpu_counter(&s, VirtAddr(mm + 64)).unwrap(), 24);
        assert_eq!(size(&s, first(&s)).unwrap(), MmSize { total: 100, resident: 24 });
        // what has not been added up may leave less than nothing, which the kernel takes for none
        k.half(other, 90_u32.wrapping_neg());
        let s = session(&k);
        assert_eq!(percpu_counter(&s, VirtAddr(mm + 64)).unwrap(), -63);
        assert_eq!(size(&s, first(&s)).unwrap().resident, 0);
        // one CPU's part that is lost is no 0
        k.exclude(other);
        assert!(size(&session(&k), first(&s)).is_err());
    }

    #[test]
    fn before_counters_in_parts_each_thread_has_its_own() {
        let stat = [("rss_stat", 64, "mm_rss_stat")];
        let (mut k, mm) = kernel(&stat, &[("rss_stat", 96, "task_rss_stat")]);
        k.structure("mm_rss_stat", 24, &[("count", 0, "u64[3]")]);
        k.structure("task_rss_stat", 16, &[("events", 0, "s32"), ("count", 4, "s32[3]")]);
        k.word(mm + 64, 30).word(mm + 72, 5).word(mm + 80, 1000);
        let s = session(&k);
        let (own, other) = (first(&s).at.0, s.tasks().all.iter().find(|task| task.pid == 2).unwrap().at.0);
        k.half(own + 100, 2).half(own + 104, 1_u32.wrapping_neg()).half(other + 100, 50);
        let s = session(&k);
        // file and anonymous pages, those in swap do not count, and another process's are not its own
        assert_eq!(size(&s, first(&s)).unwrap(), MmSize { total: 100, resident: 36 });
    }

    #[test]
    fn a_size_that_cannot_be_is_none() {
        let (mut k, mm, _) = in_parts();
        k.set(mm, "mm_struct", "total_vm", 1 << 60);
        let s = session(&k);
        let why = total(&s, first(&s)).unwrap_err();
        assert!(why.to_string().contains("more than there are addresses"), "{why}");
        // a thread of the kernel has none
        let idle = s.tasks().all.iter().find(|task| task.pid == 0).unwrap();
        assert_eq!((total(&s, idle).unwrap(), size(&s, idle).unwrap()), (0, MmSize::default()));
    }

    #[test]
    fn arguments_are_read_through_the_process_s_tables() {
        let areas = [
            ("arg_start", 16, "u64"),
            ("arg_end", 24, "u64"),
            ("env_start", 32, "u64"),
            ("env_end", 40, "u64"),
        ];
        let (mut k, mm) = kernel(&areas, &[]);
        let (root, page, lost) = (k.user_tables(), k.memory(4096), k.memory(4096));
        k.map_user(root, 0x40_0000, page).map_user(root, 0x40_1000, lost).exclude(lost);
        k.set(mm, "mm_struct", "pgd", root).put(page + 0x10, b"ls\0-l\0\0");
        for (name, at) in [
            ("arg_start", 0x40_0010),
            ("arg_end", 0x40_0017),
            ("env_start", 0x40_1000),
            ("env_end", 0x40_1020),
        ] {
            k.set(mm, "mm_struct", name, at);
        }
        let s = session(&k);
        let found = arguments(&s, first(&s)).unwrap();
        assert_eq!(found.arguments.unwrap(), ["ls", "-l", ""], "an empty one is one");
        assert!(found.environment.unwrap_err().to_string().contains("excluded"), "one lost, the other not");
        let user = user_memory(&s, first(&s)).unwrap();
        assert!(strings(&user, VirtAddr(0x40_0010), VirtAddr(0x40_0010)).unwrap().is_empty());
        let idle = s.tasks().all.iter().find(|task| task.pid == 0).unwrap();
        assert!(user_memory(&s, idle).unwrap_err().to_string().contains("task 0 has no user memory"));
    }
}
