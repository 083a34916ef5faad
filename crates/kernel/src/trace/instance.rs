//! The instances of ftrace: `global_trace`, and those that users made (/sys/kernel/tracing/instances; `ftrace_trace_arrays`,
//! 3.10, ae63b31e4d0e); and the names that it keeps of tasks.

use crate::containers::list::both_ways;
use crate::error::{KernelError, Result};
use crate::session::Session;
use base::VirtAddr;
use debuginfo::types::Type;

bind! {
    /// `struct trace_array`
    struct TraceArray("trace_array") {
        link: "list",
        name: "name",
        buffer: "array_buffer.buffer" | "trace_buffer.buffer", // 5.7 (1c5eb4481e01)
        snapshot: "snapshot_buffer.buffer" | "max_buffer.buffer",
        tracer: "current_trace",
        clock: "clock_id",
    }
}
bind! {
    /// `struct tracer`
    struct Tracer("tracer") { name: "name" }
}
bind! {
    /// `struct saved_cmdlines_buffer` (3.16, 939c7a4f04fc)
    struct SavedCmdlines("saved_cmdlines_buffer") {
        by_pid: "map_pid_to_cmdline",
        pids: "map_cmdline_to_pid",
        count: "cmdline_num",
        names: "saved_cmdlines",
    }
}

bind! {
    /// `struct trace_bprintk_fmt` (kernel/trace/trace_printk.c), of modules
    struct FormatList("trace_bprintk_fmt") { link: "list", format: "fmt" }
}

/// The clocks that stand at one place of `trace_clocks` in all releases.
const CLOCKS: [&str; 7] = ["local", "global", "counter", "uptime", "perf", "mono", "mono_raw"];
/// The longest name of a clock, and how many there are at most.
const CLOCK_NAME: usize = 32;
const MAX_CLOCKS: u32 = 32;
/// Bytes of an element of `trace_clocks`: a function, a name, whether it counts nanoseconds.
const CLOCK: u64 = 24;
/// The longest format, and more of them than there are.
const MAX_FORMAT: usize = 4096;
const MAX_FORMATS: u64 = 1 << 16;

/// The name of a clock by its place in `trace_clocks`.
///
/// # Errors
/// It is not known.
pub fn clock_name(s: &Session, place: u32) -> Result<String> {
    let Some(table) = s.symbol("trace_clocks").filter(|_| place < MAX_CLOCKS) else {
        let name = CLOCKS.get(place as usize);
        return name.map(|name| (*name).to_owned()).ok_or_else(|| s.no_symbol("trace_clocks"));
    };
    let at = s.mem().ptr(table.add(u64::from(place) * CLOCK + 8))?;
    let name = String::from_utf8_lossy(&s.mem().cstr(at, CLOCK_NAME)?).into_owned();
    match !name.is_empty() && name.bytes().all(|b| b.is_ascii_graphic()) {
        true => Ok(name),
        false => Err(KernelError::Damaged {
            what: "trace_clocks",
            at: table,
            why: format!("clock {place} is {name:?}"),
        }),
    }
}

/// The formats of `trace_printk()` with their addresses, a line each as printk_formats has them, and why there may be others.
#[must_use]
pub fn printk_formats(s: &Session) -> (String, Vec<KernelError>) {
    let (mut out, mut lost) = (String::new(), Vec::new());
    let mut add = |at: VirtAddr| -> Result<()> {
        let raw = s.mem().cstr(at, MAX_FORMAT)?;
        let text = String::from_utf8_lossy(&raw).replace('\\', "\\\\").replace('"', "\\\"");
        let text = text.replace('\n', "\\n").replace('\t', "\\t");
        out.push_str(&format!("{:#x} : \"{text}\"\n", at.0));
        Ok(())
    };
    let mut known = |name: &str| {
        s.optional_symbol(name).unwrap_or_else(|e| {
            lost.push(e);
            None
        })
    };
    let range = known("__start___trace_bprintk_fmt").zip(known("__stop___trace_bprintk_fmt"));
    let list = known("trace_bprintk_fmt_list");
    let mut problems = lost;
    if let Some((start, stop)) = range {
        let count = (stop.0.saturating_sub(start.0) / 8).min(MAX_FORMATS);
        for n in 0..count {
            let read = s.mem().ptr(start.add(n * 8)).map_err(KernelError::from).and_then(&mut add);
            problems.extend(read.err());
        }
    }
    let b = s.bind::<FormatList>();
    if let Some(head) = list.filter(|_| b.link.exists()) {
        problems.extend(both_ways(s.mem(), head, &mut |link| {
            let at = b.link.container(link)?;
            // in the struct itself since 4.16, behind a pointer before
            let is_array = matches!(&*s.types().resolve(b.format.ty()?)?.1, Type::Array { .. });
            add(if is_array { b.format.at(at)? } else { b.format.ptr(s.mem(), at)? })
        }));
    }
    (out, problems)
}

/// `TASK_COMM_LEN`
const NAME: u64 = 16;
/// More names than are kept (`saved_cmdlines_size`).
const MAX_NAMES: u64 = 1 << 20;
/// The longest name of an instance (`NAME_MAX`).
const MAX_NAME: usize = 256;

/// An instance.
#[derive(Clone, Debug)]
pub struct Instance {
    /// Its `trace_array`.
    pub at: VirtAddr,
    /// Its name; none for the one that is always there.
    pub name: Option<String>,
    /// Its buffer.
    pub buffer: Result<VirtAddr>,
    /// The buffer of its snapshot, where it has one.
    pub snapshot: Option<VirtAddr>,
    /// The tracer that was chosen.
    pub tracer: Result<String>,
    /// Which clock, by its place in `trace_clocks`.
    pub clock: Result<u32>,
}

/// All instances, the one that is always there first, and why there may be others.
///
/// # Errors
/// This kernel has no ftrace, or it is not known.
pub fn instances(s: &Session) -> Result<(Vec<Instance>, Vec<KernelError>)> {
    let b = s.bind::<TraceArray>();
    b.buffer.offset()?;
    let global = s.need_symbol("global_trace")?;
    let mut out = vec![instance(s, global, None)];
    let head = match s.optional_symbol("ftrace_trace_arrays") {
        Ok(Some(head)) => head,
        Ok(None) => return Ok((out, Vec::new())),
        Err(e) => return Ok((out, vec![e])),
    };
    let problems = both_ways(s.mem(), head, &mut |link| {
        let at = b.link.container(link)?;
        if at == global {
            return Ok(());
        }
        let name = b.name.string(s.mem(), at, MAX_NAME)?;
        out.push(instance(s, at, Some(name)));
        Ok(())
    });
    Ok((out, problems))
}

fn instance(s: &Session, at: VirtAddr, name: Option<String>) -> Instance {
    let (b, mem) = (s.bind::<TraceArray>(), s.mem());
    let tracer = || s.bind::<Tracer>().name.string(mem, b.tracer.ptr(mem, at)?, MAX_NAME);
    Instance {
        at,
        name,
        buffer: b.buffer.ptr(mem, at),
        snapshot: b.snapshot.ptr(mem, at).ok().filter(|at| !at.is_null()),
        tracer: tracer(),
        clock: b.clock.u32(mem, at),
    }
}

/// The names that ftrace keeps of tasks that it met, by their pids. It keeps one for each number of `PID_MAX_DEFAULT`.
#[derive(Debug)]
pub struct Names {
    by_pid: VirtAddr,
    /// How many pids have a place.
    room: u64,
    pids: VirtAddr,
    names: VirtAddr,
    count: u64,
}

impl Names {
    /// Where they are.
    ///
    /// # Errors
    /// This kernel has them elsewhere, or they are not in the dump.
    pub fn of(s: &Session) -> Result<Self> {
        let (b, mem) = (s.bind::<SavedCmdlines>(), s.mem());
        let at = mem.ptr(s.need_symbol("savedcmd")?)?;
        let names = &b.names;
        // in the struct itself since 6.9 (44dc5c41b5b1), behind a pointer before
        let is_array = matches!(&*s.types().resolve(names.ty()?)?.1, Type::Array { .. });
        let count = u64::from(b.count.u32(mem, at)?);
        if count == 0 || count > MAX_NAMES {
            let why = format!("it has room for {count} names");
            return Err(KernelError::Damaged { what: "saved_cmdlines_buffer", at, why });
        }
        Ok(Self {
            by_pid: b.by_pid.at(at)?,
            room: b.by_pid.size()? / 4,
            pids: b.pids.ptr(mem, at)?,
            names: if is_array { names.at(at)? } else { names.ptr(mem, at)? },
            count,
        })
    }

    /// The name of a task; none where another one took its place, or it was never met.
    ///
    /// # Errors
    /// It is not in the dump.
    pub fn name(&self, s: &Session, pid: i32) -> Result<Option<String>> {
        let mem = s.mem();
        let (Ok(number), true) = (u64::try_from(pid), self.room > 0) else { return Ok(None) };
        // pids share places since 5.14 (785e3c0a3a87); before it those above had none
        let shared = number & (1_u64 << self.room.ilog2()).saturating_sub(1);
        for slot in [shared, number].into_iter().filter(|slot| *slot < self.room) {
            let place = u64::from(mem.u32(self.by_pid.add(slot * 4))?);
            if place < self.count && mem.u32(self.pids.add(place * 4))? == pid.cast_unsigned() {
                let name = mem.cstr(self.names.add(place * NAME), NAME as usize)?;
                return Ok(Some(String::from_utf8_lossy(&name).into_owned()));
            }
        }
        Ok(None)
    }

    /// All of them that can be read, with their pids.
    #[must_use]
    pub fn all(&self, s: &Session) -> Vec<(i32, String)> {
        let of = |place: u64| {
            let pid = s.mem().u32(self.pids.add(place * 4)).ok()?.cast_signed();
            let name = s.mem().cstr(self.names.add(place * NAME), NAME as usize).ok()?;
            (pid > 0 && !name.is_empty()).then(|| (pid, String::from_utf8_lossy(&name).into_owned()))
        };
        (0..self.count).filter_map(of).collect()
    }
}
