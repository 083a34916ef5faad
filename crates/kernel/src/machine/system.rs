//! The machine as `sys` shows it: names, clocks, load, memory, and why it died.

use crate::error::{KernelError, Result};
use crate::log::event::{self, Class, Event};
use crate::log::lines::Lines;
use crate::log::printk::Log;
use crate::opening::release::{self, Voted, Witness};
use crate::plausible;
use crate::session::{Fact, Session};
use base::{VirtAddr, VirtRead};

/// `struct new_utsname`: what `uname` prints.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Utsname {
    /// `Linux`
    pub sysname: String,
    /// The host's name.
    pub nodename: String,
    /// The kernel's release, as in /lib/modules.
    pub release: String,
    /// The build: `#1 SMP …`.
    pub version: String,
    /// `x86_64`
    pub machine: String,
    /// The NIS domain.
    pub domainname: String,
}

bind! {
    /// `struct uts_namespace`
    struct UtsNamespace("uts_namespace") { name: "name" }
}

/// Bytes of each name (`__NEW_UTS_LEN` + 1).
const UTS_FIELD: usize = 65;

/// The kernel's release, by most of those that know it; where they leave it open, the banner in the log is asked too.
#[derive(Default)]
struct Release(Option<Voted>);

impl Fact for Release {
    fn read(s: &Session) -> Self {
        let machine = &s.opened().machine;
        let mut all = release::witnesses(machine, |name| s.symbol(name));
        let known = Voted::of(&all);
        if known.as_ref().is_some_and(|voted| voted.is_decided() && voted.by.len() > 1) {
            return Self(known);
        }
        all.extend(
            s.log().ok().and_then(logged_release).map(|release| Witness { by: "the log's banner", release }),
        );
        Self(Voted::of(&all))
    }
}

/// The kernel's version, by most of those that know it.
#[derive(Default)]
struct Version(Option<Voted>);

impl Fact for Version {
    fn read(s: &Session) -> Self {
        let logged = s.log().ok().and_then(logged_banner);
        let symbol = |name: &str| s.symbol(name);
        Self(Voted::of_version(&release::version_witnesses(&s.opened().machine, symbol, logged)))
    }
}

/// The kernel's version, and who says otherwise; nothing where nothing in the dump tells it.
#[must_use]
pub fn voted_version(s: &Session) -> Option<&Voted> {
    s.fact::<Version>().0.as_ref()
}

/// The kernel's version, by most of those that know it.
#[must_use]
pub fn version(s: &Session) -> Option<String> {
    voted_version(s).map(|voted| voted.release.clone())
}

/// The banner that a kernel logs first.
fn logged_banner(log: &Log) -> Option<&str> {
    log.lines().find(|line| line.starts_with("Linux version "))
}

/// The release in it.
fn logged_release(log: &Log) -> Option<String> {
    let rest = logged_banner(log)?.strip_prefix("Linux version ")?;
    rest.split_whitespace().next().map(str::to_owned)
}

/// The kernel's release, and who says otherwise; nothing where nothing in the dump tells it.
#[must_use]
pub fn voted_release(s: &Session) -> Option<&Voted> {
    s.fact::<Release>().0.as_ref()
}

/// The kernel's release, by most of those that know it.
#[must_use]
pub fn release(s: &Session) -> Option<String> {
    voted_release(s).map(|voted| voted.release.clone()).or_else(|| s.opened().release())
}

/// Reads `init_uts_ns.name`.
///
/// # Errors
/// It is not in the dump, or holds no names.
pub fn utsname(s: &Session) -> Result<Utsname> {
    let at = s.need_symbol("init_uts_ns")?;
    // without types: the name is the first member, or follows a reference count
    let raw = s.mem().bytes(at, 96 + 6 * UTS_FIELD)?;
    let start = s
        .bind::<UtsNamespace>()
        .name
        .offset()
        .ok()
        .map(|o| o as usize)
        .filter(|&o| raw.get(o..).is_some_and(|r| r.starts_with(b"Linux\0")))
        .or_else(|| memchr::memmem::find(&raw, b"Linux\0"))
        .ok_or(KernelError::Damaged { what: "init_uts_ns", at, why: "no sysname Linux in it".into() })?;
    let field = |n: usize| {
        let from = start.saturating_add(n * UTS_FIELD);
        let bytes = raw.get(from..from.saturating_add(UTS_FIELD)).unwrap_or_default();
        // the kernel ends each of them
        match bytes.contains(&0) {
            true => Ok(String::from_utf8_lossy(base::cstr(bytes)).into_owned()),
            false => {
                let why = format!("a name of it has no end: {}", String::from_utf8_lossy(bytes));
                Err(KernelError::Damaged { what: "init_uts_ns", at, why })
            }
        }
    };
    Ok(Utsname {
        sysname: field(0)?,
        nodename: field(1)?,
        release: field(2)?,
        version: field(3)?,
        machine: field(4)?,
        domainname: field(5)?,
    })
}

bind! {
    /// `struct timekeeper`
    struct Timekeeper("timekeeper") {
        xtime_sec: "xtime_sec",
        xtime_nsec: "tkr_mono.xtime_nsec" | "xtime_nsec",
        shift: "tkr_mono.shift" | "shift",
        wall_to_monotonic: "wall_to_monotonic.tv_sec",
        wall_to_monotonic_nsec: "wall_to_monotonic.tv_nsec",
        total_sleep_time: "total_sleep_time.tv_sec",
        offs_boot: "offs_boot",
    }
}
bind! {
    /// The nameless struct around the timekeeper, `tk_core` (3.17)
    struct TkCore("tk_data") { timekeeper: "timekeeper" }
}

/// Nanoseconds in a second.
const NSEC: i64 = 1_000_000_000;

/// What the clocks said last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clocks {
    /// Seconds since 1970, UTC.
    pub wall_sec: i64,
    /// Seconds since boot, suspended time included.
    pub uptime_sec: i64,
}

/// Where the timekeeper is.
fn timekeeper(s: &Session, tk: &Timekeeper) -> Result<VirtAddr> {
    // since 6.17 (22c62b9a84b8) there are several; the core's is the first
    match s.symbol("tk_core").or_else(|| s.symbol("timekeeper_data")) {
        // { seqcount_t seq; struct timekeeper timekeeper; }, cache-line aligned: 6.13 named it tk_data
        Some(core) => match s.bind::<TkCore>().timekeeper.at(core) {
            Ok(at) => Ok(at),
            Err(_) => plausible_timekeeper(s, tk, core),
        },
        None => s.need_symbol("timekeeper"),
    }
}

/// The parts below a second of the monotonic clock, of which there may be more than one second's; none where the types do
/// not know them.
fn parts(s: &Session, tk: &Timekeeper, at: VirtAddr) -> Result<Option<i64>> {
    let mem = s.mem();
    if tk.shift.exists() != tk.shift.offset().is_ok() || tk.xtime_nsec.offset().is_err() {
        return Ok(None);
    }
    // xtime_nsec is shifted by the clock source's shift
    let shift = known(tk.shift.u32(mem, at))?.unwrap_or(0).min(63);
    let wall = (tk.xtime_nsec.num(mem, at)? >> shift).cast_signed();
    Ok(Some(wall.saturating_add(known(tk.wall_to_monotonic_nsec.int(mem, at))?.unwrap_or(0))))
}

/// The monotonic clock at the last tick before the dump, in nanoseconds: what timers are held against.
///
/// # Errors
/// The timekeeper is not known, or not in the dump.
pub fn monotonic_nsec(s: &Session) -> Result<i64> {
    let tk = s.bind::<Timekeeper>();
    let at = timekeeper(s, &tk)?;
    let seconds = tk.xtime_sec.num(s.mem(), at)?.cast_signed();
    let seconds = seconds.saturating_add(tk.wall_to_monotonic.int(s.mem(), at)?);
    let parts = parts(s, &tk, at)?
        .ok_or(KernelError::NoMember { of: "timekeeper", member: "tkr_mono.xtime_nsec" })?;
    Ok(seconds.saturating_mul(NSEC).saturating_add(parts))
}

/// Reads the timekeeper: the time of the last tick before the dump.
///
/// # Errors
/// The timekeeper is not in the dump, or holds no time that can be.
pub fn clocks(s: &Session) -> Result<Clocks> {
    let mem = s.mem();
    let tk = s.bind::<Timekeeper>();
    let at = timekeeper(s, &tk)?;
    let wall = tk.xtime_sec.num(mem, at)?.cast_signed();
    let mono = wall.saturating_add(tk.wall_to_monotonic.int(mem, at)?);
    let asleep = match tk.offs_boot.int(mem, at) {
        Ok(nsec) => nsec,
        Err(e) if tk.offs_boot.exists() => return Err(e),
        Err(_) => known(tk.total_sleep_time.int(mem, at))?.unwrap_or(0).saturating_mul(NSEC),
    };
    let parts = parts(s, &tk, at)?;
    let nsec = match parts {
        Some(nsec) => nsec,
        None => known(tk.wall_to_monotonic_nsec.int(mem, at))?.unwrap_or(0),
    };
    let mut up = mono.saturating_mul(NSEC).saturating_add(nsec).saturating_add(asleep);
    if parts.is_none() {
        // without the parts of a second it is this, or up to a second more: the ticks tell, and the log's last message
        let ticks = ticks_nsec(s, up).unwrap_or(up);
        let logged = s.log().ok().and_then(crate::log::printk::Log::last_nsec).map_or(0, u64::cast_signed);
        up = ticks.max(logged).clamp(up, up.saturating_add(NSEC - 1));
    }
    let uptime_sec = up.div_euclid(NSEC);
    Ok(Clocks { wall_sec: wall, uptime_sec })
}

/// A member's value; nothing where this kernel has no such member, as opposed to memory that is not in the dump.
fn known<T>(value: Result<T>) -> Result<Option<T>> {
    match value {
        Ok(value) => Ok(Some(value)),
        Err(e) if e.is_untyped() => Ok(None),
        Err(e) => Err(e),
    }
}

/// Nanoseconds since boot by `jiffies_64`, which begins 300 seconds before it wraps, at the only rate of ticks by which
/// this is about `near`.
fn ticks_nsec(s: &Session, near: i64) -> Option<i64> {
    const BEFORE_WRAP: u64 = 300;
    let jiffies = s.mem().u64(s.symbol("jiffies_64")?).ok()?;
    let since = |hz: u64| -> Option<i64> {
        let ticks = jiffies.checked_sub((1 << 32) - BEFORE_WRAP * hz)?;
        i64::try_from(u128::from(ticks) * u128::from(NSEC.unsigned_abs()) / u128::from(hz)).ok()
    };
    let mut fitting = [100, 250, 300, 1000]
        .into_iter()
        .filter_map(since)
        .filter(|t| t.abs_diff(near) < 2 * NSEC.unsigned_abs());
    let found = fitting.next()?;
    fitting.next().is_none().then_some(found)
}

/// The second since boot in which the last message was logged: the machine was up for no less.
pub fn last_message_sec(s: &Session) -> Option<u64> {
    Some(s.log().ok()?.last_nsec()? / NSEC.unsigned_abs())
}

/// How far behind the start of `tk_core` its timekeeper is looked for: the sequence counter before it is 4 bytes, and with
/// lockdep a lock's whole description.
const TIMEKEEPER_WITHIN: u64 = 512;

/// `tk_core`'s timekeeper follows a sequence counter whose size depends on the configuration: the first offset at which
/// the two clocks agree is the one.
fn plausible_timekeeper(s: &Session, tk: &Timekeeper, core: VirtAddr) -> Result<VirtAddr> {
    let last =
        s.log().ok().and_then(crate::log::printk::Log::last_nsec).map_or(0, |nsec| nsec.cast_signed() / NSEC);
    timekeeper_in(s.mem(), tk, core, last)
}

/// The same, up for no less than `last` seconds (but for what clocks drift apart).
fn timekeeper_in(mem: &dyn VirtRead, tk: &Timekeeper, core: VirtAddr, last: i64) -> Result<VirtAddr> {
    const DRIFT: i64 = 1000;
    let mut unread = None;
    for offset in (0..TIMEKEEPER_WITHIN).step_by(8) {
        let at = core.add(offset);
        let clocks =
            tk.xtime_sec.num(mem, at).and_then(|wall| Ok((wall, tk.wall_to_monotonic.int(mem, at)?)));
        let (wall, to_monotonic) = match clocks {
            Ok((wall, to_monotonic)) => (wall.cast_signed(), to_monotonic),
            Err(e) => {
                unread = unread.or(Some(e));
                continue;
            }
        };
        let mono = to_monotonic.saturating_add(wall);
        // after 1971, before 2200, up for less than 100 years and no less than its log tells
        let since = last - last / DRIFT - 1;
        if (31_536_000..7_258_118_400).contains(&wall)
            && to_monotonic < 0
            && (since.max(0)..3_153_600_000).contains(&mono)
        {
            return Ok(at);
        }
    }
    let none = || KernelError::Damaged { what: "tk_core", at: core, why: "no plausible time in it".into() };
    Err(unread.unwrap_or_else(none))
}

/// The three load averages, in hundredths.
///
/// # Errors
/// They are not in the dump, or cannot be.
pub fn load_average(s: &Session) -> Result<[u64; 3]> {
    let at = s.need_symbol("avenrun")?;
    let mut out = [0; 3];
    for (n, slot) in out.iter_mut().enumerate() {
        // fixed point with FSHIFT = 11 bits of fraction, rounded as /proc/loadavg does (FIXED_1 / 200)
        let value = s.mem().u64(at.add(n as u64 * 8))?;
        // no more tasks can wait than there are ids
        if !crate::sched::tasks::is_possible_count(value >> 11) {
            let why = format!("the load is {value:#x}, more than there can be tasks");
            return Err(KernelError::Damaged { what: "avenrun", at, why });
        }
        *slot = value.saturating_add(10).saturating_mul(100) >> 11;
    }
    plausible::not_zeros(s.mem(), "avenrun", at, out.iter().sum())?;
    Ok(out)
}

bind! {
    /// `struct pglist_data`
    struct Pgdat("pglist_data") { present: "node_present_pages", start: "node_start_pfn", id: "node_id" }
}

/// Bytes of RAM that the kernel has, over all nodes (`node_present_pages`).
///
/// # Errors
/// A node is not in the dump, or there is none.
pub fn memory_bytes(s: &Session) -> Result<u64> {
    let mem = s.mem();
    let b = s.bind::<Pgdat>();
    let mut pages = 0_u64;
    let nodes = crate::mm::node::nodes(s)?;
    if nodes.is_empty() {
        let at = s.symbol("node_data").unwrap_or_default();
        return Err(KernelError::Damaged { what: "node_data", at, why: "it has no node in it".into() });
    }
    for at in nodes {
        let present = b.present.num(mem, at)?;
        pages = pages.saturating_add(plausible::not_zeros(
            mem,
            "pglist_data",
            at.add(b.present.offset()?),
            present,
        )?);
    }
    Ok(pages.saturating_mul(s.page_size()))
}

/// Bytes of RAM that the kernel hands out: less than there are by its own image and what it set aside when it booted.
pub fn managed_bytes(s: &Session) -> Option<u64> {
    let at = s.symbol("_totalram_pages").or_else(|| s.symbol("totalram_pages"))?;
    s.mem().u64(at).ok()?.checked_mul(s.page_size()).filter(|&bytes| bytes > 0)
}

/// The CPU's clock in kHz, as the kernel measured it.
pub fn cpu_khz(s: &Session) -> Option<u32> {
    s.mem().u32(s.symbol("cpu_khz")?).ok().filter(|&k| k != 0)
}

/// Why the machine died, from its log: the oops or BUG, and the final panic.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PanicText {
    /// The message of the event that the machine died of; of a log that is not whole, as far as it is known.
    pub cause: Option<String>,
    /// What kind of cause that is.
    pub class: Option<Class>,
    /// True where another may have come before it: a part of the log before it is not in the dump.
    pub is_later: bool,
    /// What `panic()` was called with, where it was called.
    pub panic: Option<String>,
}

impl Fact for PanicText {
    fn read(s: &Session) -> Self {
        let (Ok(log), Ok(lines)) = (s.log(), Lines::of(s)) else { return Self::default() };
        panic_text(log, lines, event::fatal(s, lines))
    }
}

impl Session {
    /// Why the machine died, as its log says; nothing where there is no log.
    pub fn panic_text(&self) -> &PanicText {
        self.fact::<PanicText>()
    }
}

/// Cause and panic of a log with its fatal event. What counts as a cause is for [`event::fatal`] to say; the panic is none of
/// its own.
fn panic_text(log: &Log, lines: &Lines, fatal: Option<Event>) -> PanicText {
    let texts = lines.texts();
    let panic = event::panic_line(&texts);
    let found = fatal.filter(|event| Some(event.at) != panic);
    // what is no cause where there is a deadly message counts only if none can have been lost
    let is_first = |event: &Event| {
        let record = lines.record(event.at).unwrap_or(usize::MAX);
        event.is_deadly && event.earlier.is_empty() && log.is_whole_up_to(record)
    };
    let is_later = log.hole.is_some() && !found.as_ref().is_some_and(is_first);
    let line = |n: usize| texts.get(n).map(|l| l.trim_end().to_owned());
    let class = found.as_ref().map(|event| event.class);
    PanicText { cause: found.and_then(|event| line(event.at)), class, is_later, panic: panic.and_then(line) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::printk::LogRecord;

    fn log(lines: &[&str]) -> Log {
        let records = lines
            .iter()
            .enumerate()
            .map(|(n, l)| LogRecord {
                seq: Some(n as u64),
                ts_nsec: Some(0),
                level: Some(0),
                facility: 0,
                flags: 0,
                caller_id: None,
                text: (*l).to_owned(),
                dict: vec![],
            })
            .collect();
        Log { records, ..Log::default() }
    }

    fn told(log: &Log) -> PanicText {
        let lines = Lines::from_records(&log.records);
        panic_text(log, &lines, event::find(&lines.texts()))
    }

    #[test]
    fn the_oops_is_the_cause_and_not_the_final_panic() {
        let got = told(&log(&[
            "Linux version 6.1",
            "INFO: task x blocked for more than 120 seconds.",
            "kernel BUG at drivers/virtio/virtio_ring.c:550!",
            "invalid opcode: 0000 [#1] PREEMPT SMP NOPTI",
            "Kernel panic - not syncing: Fatal exception",
        ]));
        assert_eq!(got.cause.as_deref(), Some("kernel BUG at drivers/virtio/virtio_ring.c:550!"));
        assert_eq!(got.panic.as_deref(), Some("Kernel panic - not syncing: Fatal exception"));
    }

    #[test]
    fn a_message_behind_a_hole_may_not_be_the_first() {
        let bug = "kernel BUG at mm/slub.c:1!";
        let panic = "Kernel panic - not syncing: Fatal exception";
        let of = |lines: &[&str], hole| {
            let found = told(&Log { hole, ..log(lines) });
            (found.cause, found.is_later)
        };
        let cause = Some(bug.to_owned());
        assert_eq!(of(&["Linux", bug, panic], None), (cause.clone(), false));
        assert_eq!(of(&["Linux", bug, panic], Some(2)), (cause.clone(), false), "what is lost came later");
        assert_eq!(of(&["Linux", bug, panic], Some(1)), (cause, true));
        assert_eq!(of(&["Linux", panic], Some(2)), (None, true), "the cause itself may be lost");
        let asked = "sysrq: Trigger a crash";
        assert_eq!(of(&["Linux", asked, panic], Some(2)), (Some(asked.to_owned()), true));
    }

    #[test]
    fn sysrq_is_the_cause_where_it_made_no_oops() {
        let asked = "SysRq : Trigger a crash";
        let oops = "BUG: unable to handle kernel NULL pointer dereference at           (null)";
        let panic = "Kernel panic - not syncing: Fatal exception";
        // what it did until 5.0: the oops is the cause's message, and a request its kind
        let text = told(&log(&[asked, oops, panic]));
        assert_eq!((text.cause.as_deref(), text.class), (Some(oops), Some(Class::Sysrq)));
        let asked = "sysrq: Trigger a crash";
        let panic = "Kernel panic - not syncing: sysrq triggered crash";
        let text = told(&log(&[asked, panic]));
        assert_eq!((text.cause.as_deref(), text.class), (Some(asked), Some(Class::Sysrq)));
    }

    /// What `sys` and `verdict` say is by one table: a machine lives with a soft lockup until it is told to panic of it.
    #[test]
    fn what_the_machine_lived_with_is_no_cause() {
        let lockup = "watchdog: BUG: soft lockup - CPU#0 stuck for 22s! [cat:77]";
        let warning = "WARNING: CPU: 0 PID: 1 at kernel/fork.c:12 copy_process+0x1/0x2";
        assert_eq!(told(&log(&[lockup, warning])), PanicText::default());
        let asked = "sysrq: Trigger a crash";
        let panic = "Kernel panic - not syncing: sysrq triggered crash";
        assert_eq!(told(&log(&[lockup, asked, panic])).cause.as_deref(), Some(asked));
        let panic = "Kernel panic - not syncing: softlockup: hung tasks";
        assert_eq!(told(&log(&[warning, lockup, panic])).cause.as_deref(), Some(lockup));
        let panic = "Kernel panic - not syncing: panic_on_warn set ...";
        assert_eq!(told(&log(&[warning, panic])).cause.as_deref(), Some(warning));
        // a panic of its own words is not its own cause
        let panic = "Kernel panic - not syncing: a driver gave up";
        let text = told(&log(&[lockup, panic]));
        assert_eq!((text.cause, text.panic.as_deref()), (None, Some(panic)));
    }

    #[test]
    fn a_hung_task_is_the_cause_only_of_a_panic() {
        let hung = "INFO: task x blocked for more than 120 seconds.";
        assert_eq!(told(&log(&[hung])).cause, None);
        let got = told(&log(&[hung, "Kernel panic - not syncing: hung_task: blocked tasks"]));
        assert_eq!(got.cause.as_deref(), Some(hung));
    }
}
