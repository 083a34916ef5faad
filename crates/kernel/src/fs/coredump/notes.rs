//! The notes of a process's core (fs/binfmt_elf.c, include/uapi/linux/elfcore.h): registers, what the process is, where its
//! files are mapped, its auxiliary vector.
//!
//! The first thread has the process's notes behind its own `NT_PRSTATUS`, the others follow, as the kernel writes them.

use super::threads::Thread;
use super::{Mapped, Space};
use crate::error::{KernelError, Result};
use crate::mm::address_space::MmStruct;
use crate::sched::signal;
use crate::sched::task::Task;
use crate::sched::{task, tasks, times};
use crate::session::Session;
use base::VirtRead;
use debuginfo::types::Space as Names;

bind! {
    /// `mm_struct`
    struct CoreMm("mm_struct") { auxv: "saved_auxv" }
}
bind! {
    /// `task_struct`
    struct CoreTask("task_struct") {
        static_prio: "static_prio",
        info: "last_siginfo",
        cred: "real_cred" | "cred",
    }
}
bind! {
    /// `signal_struct`
    struct CoreSignal("signal_struct") { utime: "cutime", stime: "cstime" }
}
bind! {
    /// `struct cred`
    struct Cred("cred") { uid: "uid.val" | "uid", gid: "gid.val" | "gid" }
}

/// Types of notes (include/uapi/linux/elf.h).
const NT_PRSTATUS: u32 = 1;
const NT_PRFPREG: u32 = 2;
const NT_PRPSINFO: u32 = 3;
const NT_AUXV: u32 = 6;
const NT_SIGINFO: u32 = 0x5349_4749;
const NT_FILE: u32 = 0x4649_4c45;

/// Bytes of `siginfo_t`, and of what the kernel keeps of one (`kernel_siginfo`, 4.20, ae7795bc6187).
const SIGINFO: usize = 128;
const KERNEL_SIGINFO: usize = 48;
/// The longest auxiliary vector.
const MAX_AUXV: u64 = 4096;
/// `ELF_PRARGSZ`.
const ARGUMENTS: usize = 80;
/// `TASK_COMM_LEN`.
const NAME: usize = 16;
/// `MAX_RT_PRIO` and the width of nice values: the static priority of nice 0.
const NICE_0: i32 = 120;

/// Notes, and what they lack.
#[derive(Debug, Default)]
pub struct Notes {
    /// As they stand in the file.
    pub bytes: Vec<u8>,
    /// What is 0 in them because it is not known, and why.
    pub problems: Vec<(&'static str, KernelError)>,
}

impl Notes {
    fn add(&mut self, kind: u32, desc: &[u8]) {
        let len = u32::try_from(desc.len()).unwrap_or(u32::MAX);
        // CORE and its NUL
        for half in [5, len, kind] {
            self.bytes.extend(half.to_le_bytes());
        }
        self.bytes.extend(b"CORE\0\0\0\0");
        self.bytes.extend(desc);
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }

    /// A value, or 0 and what is missing.
    fn known<T: Default>(&mut self, what: &'static str, value: Result<T>) -> T {
        value.unwrap_or_else(|e| {
            if !self.problems.iter().any(|(told, _)| *told == what) {
                self.problems.push((what, e));
            }
            T::default()
        })
    }
}

/// The notes of a process. `threads` are its threads, the first one that the core is about.
#[must_use]
pub fn notes(s: &Session, space: &Space, threads: &[Thread], files: &[Mapped]) -> Notes {
    let mut out = Notes::default();
    for (n, thread) in threads.iter().enumerate() {
        status(s, &mut out, thread);
        if n == 0 {
            process(s, &mut out, space, &thread.task);
            let info = info(s, &thread.task);
            let info = out.known("the signal that stopped it", info);
            let mut desc = info.unwrap_or_default();
            desc.resize(SIGINFO, 0);
            out.add(NT_SIGINFO, &desc);
            let auxv = auxv(s, space);
            let auxv = out.known("the auxiliary vector", auxv);
            out.add(NT_AUXV, &auxv);
            let table = table(s, files);
            out.add(NT_FILE, &table);
        }
        if let Ok(floating) = &thread.floating {
            out.add(NT_PRFPREG, floating);
        }
    }
    out
}

/// `struct elf_prstatus`.
fn status(s: &Session, out: &mut Notes, thread: &Thread) {
    let t = &thread.task;
    let signals = signal::thread(s, t);
    let pending = out.known("pending signals", signals.clone().and_then(|own| own.private.set));
    let blocked = out.known("blocked signals", signals.and_then(|own| own.blocked));
    let mut desc = vec![0; 16];
    desc.extend(pending.to_le_bytes());
    desc.extend(blocked.to_le_bytes());
    ids(s, out, t, &mut desc);
    for (what, time) in spent(s, t) {
        let nanos = out.known(what, time);
        desc.extend((nanos / times::NSEC).to_le_bytes());
        desc.extend((nanos % times::NSEC / 1000).to_le_bytes());
    }
    for number in s.arch().notes.general() {
        desc.extend(thread.regs.get(number).unwrap_or(0).to_le_bytes());
    }
    // pr_fpvalid
    desc.extend(u32::from(thread.floating.is_ok()).to_le_bytes());
    desc.extend([0; 4]);
    out.add(NT_PRSTATUS, &desc);
}

/// `pr_pid` to `pr_sid`.
fn ids(s: &Session, out: &mut Notes, t: &Task, desc: &mut Vec<u8>) {
    let parent = t.ppid.ok_or_else(|| KernelError::Open("its parent is not known".to_owned()));
    let parent = out.known("the parent", parent);
    let group = out.known("the process group", tasks::process_group(s, t));
    let session = out.known("the session", tasks::session_id(s, t));
    for id in [t.pid, parent, group, session] {
        desc.extend(id.to_le_bytes());
    }
}

/// Time in user mode, in the kernel, and that of children, in nanoseconds.
fn spent(s: &Session, t: &Task) -> [(&'static str, Result<u64>); 4] {
    let own = times::task_times(s, t);
    let b = s.bind::<CoreSignal>();
    let signal = s.bind::<task::TaskStruct>().signal.ptr(s.mem(), t.at);
    let of_children = |field: &crate::bind::Field| field.num(s.mem(), signal.clone()?);
    // ticks to 4.10, whose length no type tells (5613fda9a503)
    let in_ticks = !s.types().find(Names::Typedef, "cputime_t").is_empty();
    let told = |time: Result<u64>| match in_ticks {
        true => {
            Err(KernelError::Open("this kernel counts ticks, and how long one is is not known".to_owned()))
        }
        false => time,
    };
    [
        ("the times", told(own.clone().map(|own| own.utime))),
        ("the times", told(own.map(|own| own.stime))),
        ("the times of children", told(of_children(&b.utime))),
        ("the times of children", told(of_children(&b.stime))),
    ]
}

/// `struct elf_prpsinfo`.
fn process(s: &Session, out: &mut Notes, space: &Space, t: &Task) {
    const STATES: &[u8; 6] = b"RSDTZW";
    let lost = |what: &str| KernelError::Open(format!("its {what} is not known"));
    let state = out.known("the state", t.state.ok_or_else(|| lost("state")));
    let exit = t.exit_state.unwrap_or(0);
    let number = match state | exit {
        0 => 0,
        bits => bits.trailing_zeros() as usize + 1,
    };
    let letter = STATES.get(number).copied().unwrap_or(b'.');
    let (b, mem) = (s.bind::<CoreTask>(), s.mem());
    let nice = out.known("the nice value", b.static_prio.i32(mem, t.at)).saturating_sub(NICE_0);
    let flags = out.known("the flags", t.flags.ok_or_else(|| lost("flags")));
    let number = u8::try_from(number).unwrap_or(u8::MAX);
    let nice = i8::try_from(nice).unwrap_or(0).cast_unsigned();
    let mut desc = vec![number, letter, u8::from(letter == b'Z'), nice, 0, 0, 0, 0];
    desc.extend(flags.to_le_bytes());
    let cred = b.cred.ptr(mem, t.at);
    let own = s.bind::<Cred>();
    for field in [&own.uid, &own.gid] {
        let id = cred.clone().and_then(|cred| field.u32(mem, cred));
        desc.extend(out.known("user and group", id).to_le_bytes());
    }
    ids(s, out, t, &mut desc);
    let mut name = t.comm.as_bytes().to_vec();
    name.resize(NAME, 0);
    desc.extend(name);
    let mut arguments = out.known("the arguments", arguments(s, space));
    arguments.resize(ARGUMENTS, 0);
    desc.extend(arguments);
    out.add(NT_PRPSINFO, &desc);
}

/// The beginning of what the process was called with, with blanks between the words.
fn arguments(s: &Session, space: &Space) -> Result<Vec<u8>> {
    let (b, mem) = (s.bind::<MmStruct>(), s.mem());
    let (start, end) = (b.arg_start.ptr(mem, space.mm)?, b.arg_end.ptr(mem, space.mm)?);
    let len = end.0.saturating_sub(start.0).min(ARGUMENTS as u64 - 1);
    let mut out = space.map.bytes(start, usize::try_from(len).unwrap_or(0))?;
    out.iter_mut().filter(|b| **b == 0).for_each(|b| *b = b' ');
    Ok(out)
}

/// The signal that a thread has taken or stopped for, where its kernel stack has it.
fn info(s: &Session, t: &Task) -> Result<Option<Vec<u8>>> {
    let at = s.bind::<CoreTask>().info.ptr(s.mem(), t.at)?;
    if at.is_null() {
        return Ok(None);
    }
    Ok(Some(s.mem().bytes(at, KERNEL_SIGINFO)?))
}

/// The auxiliary vector, up to its end (`AT_NULL`).
fn auxv(s: &Session, space: &Space) -> Result<Vec<u8>> {
    let own = s.bind::<CoreMm>();
    let size = own.auxv.size()?.min(MAX_AUXV) & !15;
    let raw = s.mem().bytes(own.auxv.at(space.mm)?, usize::try_from(size).unwrap_or(0))?;
    let pairs = raw.chunks_exact(16);
    let end = pairs.clone().position(|pair| pair.iter().take(8).all(|b| *b == 0));
    let len = end.map_or(raw.len(), |n| n.saturating_add(1).saturating_mul(16));
    Ok(raw.get(..len).unwrap_or_default().to_vec())
}

/// `NT_FILE`: how many, the size of a page, where each is mapped from which page of its file, the paths.
fn table(s: &Session, files: &[Mapped]) -> Vec<u8> {
    let known: Vec<_> = files.iter().filter_map(|one| Some((one.vma, one.path.as_ref().ok()?))).collect();
    let mut out = (known.len() as u64).to_le_bytes().to_vec();
    out.extend(s.page_size().to_le_bytes());
    for (vma, _) in &known {
        for word in [vma.start, vma.end, vma.pgoff] {
            out.extend(word.to_le_bytes());
        }
    }
    for (_, path) in &known {
        out.extend(path.as_bytes());
        out.push(0);
    }
    out
}
