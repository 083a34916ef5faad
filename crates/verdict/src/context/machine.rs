//! The machine: its kernel and how old that is, its taints and the modules that are not part of the kernel, its
//! hardware, and what its other CPUs did.

use crate::model::{How, Statement};
use crate::victim::frames::{Victim, standing};
use jiff::civil::Date;
use jiff::{Timestamp, tz::TimeZone};
use kernel::Session;
use kernel::log::event::Event;
use kernel::module::taint;
use kernel::sched::task::Task;
use kernel::stack::backtrace::Start;

/// How many CPUs are looked at.
const MAX_CPUS: usize = 32;
/// How many modules are named.
const MAX_MODULES: usize = 8;

/// The kernel, its age, the time it ran, the hardware.
pub(crate) fn system(s: &Session, event: Option<&Event>) -> Vec<Statement> {
    let mut parts = Vec::new();
    let names = kernel::machine::system::utsname(s).ok();
    let clocks = kernel::machine::system::clocks(s).ok();
    if let Some(release) = kernel::machine::system::release(s) {
        parts.push(format!("kernel {release}"));
    }
    if let Some(built) = names.as_ref().and_then(|n| built(&n.version)) {
        let died = clocks.as_ref().and_then(|c| day_of(c.wall_sec));
        let age = died
            .and_then(|died| Some(died.since(built).ok()?.get_days()))
            .filter(|d| (1..36_500).contains(d))
            .map_or_else(String::new, |d| format!(", {d} day{} before", if d == 1 { "" } else { "s" }));
        parts.push(format!("built {built}{age}"));
    }
    if let Some(c) = clocks.filter(|c| c.uptime_sec >= 0) {
        parts.push(format!("up {}", duration(c.uptime_sec.unsigned_abs())));
    }
    if let Some(hardware) = hardware(s, event) {
        parts.push(hardware);
    }
    let mut out = Vec::new();
    if !parts.is_empty() {
        out.push(Statement::new(How::Memory, parts.join("; "), &["sys".into(), "sys -i".into()]));
    }
    out.extend(tainted(s));
    out
}

/// `3 days 04:05`, `12 min`, `14 s`
fn duration(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// The hardware's name: from the oops, else as DMI has it.
fn hardware(s: &Session, event: Option<&Event>) -> Option<String> {
    if let Some(name) = event.and_then(|e| e.oops.hardware.as_ref()) {
        // `QEMU Standard PC (i440FX + PIIX, 1996), BIOS 1.16.2 04/01/2014`
        return Some(name.split(", BIOS ").next().unwrap_or(name).to_owned());
    }
    let all = kernel::machine::dmi::strings(s).ok()?;
    let of = |field: &str| {
        all.iter().find(|(name, _)| name == field).map(|(_, v)| v.trim()).filter(|v| !v.is_empty())
    };
    match (of("DMI_SYS_VENDOR"), of("DMI_PRODUCT_NAME")) {
        (Some(vendor), Some(product)) => Some(format!("{vendor} {product}")),
        (one, other) => one.or(other).map(str::to_owned),
    }
}

/// Why the kernel is tainted, and the modules that are none of its own.
fn tainted(s: &Session) -> Vec<Statement> {
    let mask = match taint::mask(s) {
        Ok(mask) => mask,
        Err(e) => {
            let text = format!("whether the kernel is tainted is not known: {e}");
            return vec![Statement::new(How::Memory, text, &["sys -t".into()])];
        }
    };
    // what the death itself sets says nothing of before
    let before = mask & !(1 << 7);
    if before == 0 {
        return Vec::new();
    }
    let words: Vec<String> = taint::FLAGS
        .iter()
        .filter(|(bit, ..)| before >> bit & 1 == 1)
        .map(|(_, letter, words)| format!("{letter} {}", short(*letter).unwrap_or(words)))
        .collect();
    let mut text = format!("tainted: {}", words.join(", "));
    let foreign: Vec<String> = s
        .modules()
        .iter()
        .filter_map(|m| Some((m, m.taints.filter(|taints| *taints != 0)?)))
        .map(|(m, taints)| format!("{} ({})", m.name, taint::letters(taints)))
        .collect();
    if !foreign.is_empty() {
        let told = foreign.get(..foreign.len().min(MAX_MODULES)).unwrap_or_default().join(", ");
        let more = foreign.len().saturating_sub(MAX_MODULES);
        let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
        text = format!("{text}; modules: {told}{rest}");
    }
    vec![Statement::new(How::Memory, text, &["sys -t".into(), "mod -t".into()])]
}

/// A taint in two or three words.
const fn short(letter: char) -> Option<&'static str> {
    Some(match letter {
        'P' => "proprietary module",
        'F' => "module loaded by force",
        'R' => "module removed by force",
        'M' => "machine check before",
        'B' => "bad page",
        'W' => "warning before",
        'C' => "staging driver",
        'O' => "module out of tree",
        'E' => "module unsigned",
        'L' => "soft lockup before",
        'K' => "live patched",
        _ => return None,
    })
}

/// What a CPU did: the function that it was in.
pub(crate) fn doing(s: &Session, task: &Task) -> String {
    let victim = Victim::of_task(s, Some(task));
    if victim.bt.as_ref().is_some_and(|bt| bt.start == Start::UserMode) {
        return "in user mode".into();
    }
    let frames = victim.frames();
    let names = victim.names(s);
    if names.iter().any(|n| crate::code::roles::is_panic(n)) {
        return "in panic()".into();
    }
    match standing(s.arch(), &names, frames) {
        // a call that may have returned
        Some(n) if frames.get(n).is_some_and(|f| f.how.is_guess()) => "at a place that is not known".into(),
        Some(n) => frames
            .get(n)
            .and_then(|f| s.locate(f.lookup()))
            .map_or_else(|| "in code whose symbol is not known".into(), |l| format!("in {}", l.symbol.name)),
        // all that is known: it was interrupted in user mode
        None if frames.iter().zip(&names).any(|(f, name)| {
            f.saved.as_ref().is_some_and(|r| r.user) && s.arch().entries().saves_for_interrupt(name)
        }) =>
        {
            "in user mode".into()
        }
        None => "somewhere".into(),
    }
}

/// A task's CPU in words.
pub(crate) fn cpu_of(task: &Task) -> String {
    task.cpu.map_or_else(|| "?".to_owned(), |cpu| cpu.to_string())
}

/// The CPUs besides that of the verdict's task: what each ran, those that were idle together.
pub(crate) fn other_cpus(s: &Session, own: Option<&Task>) -> Option<Statement> {
    let others: Vec<&Task> =
        s.tasks().all.iter().filter(|t| t.active && own.is_none_or(|o| o.cpu != t.cpu)).collect();
    let (idle, busy): (Vec<&&Task>, Vec<&&Task>) = others.iter().partition(|t| t.pid == 0);
    if others.is_empty() {
        return None;
    }
    let mut parts: Vec<String> = busy
        .iter()
        .take(MAX_CPUS)
        .map(|t| format!("CPU {} {}[{}] {}", cpu_of(t), t.comm, t.pid, doing(s, t)))
        .collect();
    if busy.len() > MAX_CPUS {
        parts.push(format!("{} more busy", busy.len() - MAX_CPUS));
    }
    match idle.as_slice() {
        [] => {}
        [one] => parts.push(format!("CPU {} idle", cpu_of(one))),
        several => parts.push(format!("{} CPUs idle", several.len())),
    }
    // where it is not known whose the verdict is, all of them are there
    let whose = if own.is_some() { "other CPUs" } else { "CPUs" };
    Some(Statement::new(How::Memory, format!("{whose}: {}", parts.join("; ")), &["bt -a".into()]))
}

/// The date in a kernel's version: `… (2025-11-20)` or `… Mon Nov 17 20:16:14 UTC 2025`.
fn built(version: &str) -> Option<Date> {
    let words: Vec<&str> = version.split_whitespace().collect();
    let iso = words.iter().rev().find_map(|w| {
        let mut parts = w.trim_matches(|c: char| !c.is_ascii_digit()).split('-');
        let (y, m, d) = (parts.next()?, parts.next()?, parts.next()?);
        (y.len() == 4 && m.len() == 2 && d.len() == 2 && parts.next().is_none()).then_some(())?;
        date(y.parse().ok()?, m.parse().ok()?, d.parse().ok()?)
    });
    iso.or_else(|| {
        const MONTHS: [&str; 12] =
            ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
        let at = words.iter().position(|w| MONTHS.contains(w))?;
        let month = (1..).zip(MONTHS).find(|(_, name)| Some(name) == words.get(at))?.0;
        let day = words.get(at + 1)?.parse().ok()?;
        let year =
            words.iter().skip(at + 2).find_map(|w| w.parse().ok().filter(|y| (1990..2200).contains(y)))?;
        date(year, month, day)
    })
}

/// A date that a kernel can have been built on; `None` for one that is none.
fn date(year: i16, month: i8, day: i8) -> Option<Date> {
    Date::new(year, month, day).ok().filter(|date| (1970..2200).contains(&date.year()))
}

/// The day of a second since 1970, in UTC.
fn day_of(second: i64) -> Option<Date> {
    Some(Timestamp::from_second(second).ok()?.to_zoned(TimeZone::UTC).date())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn when_kernels_were_built() {
        for (version, want) in [
            ("#1 SMP PREEMPT_DYNAMIC Debian 6.1.192-2 (2025-11-20)", Some((2025, 11, 20))),
            ("#1 SMP Debian 5.10.251-1 (2026-02-08)", Some((2026, 2, 8))),
            ("#1 SMP Thu Aug 8 20:05:32 UTC 2019", Some((2019, 8, 8))),
            ("#1 SMP Mon Feb 29 00:00:00 CET 2016", Some((2016, 2, 29))),
            ("#1 SMP PREEMPT_DYNAMIC", None),
            ("#1 SMP 2025-13-20", None),
        ] {
            let found = built(version);
            assert_eq!(found.map(|d| (d.year(), d.month(), d.day())), want, "{version}");
        }
        assert_eq!(day_of(0), Date::new(1970, 1, 1).ok());
        assert_eq!(day_of(11_017 * 86_400 + 86_399), Date::new(2000, 3, 1).ok());
        assert_eq!(day_of(i64::MAX), None);
    }

    #[test]
    fn durations_in_the_unit_that_fits() {
        let all: Vec<String> = [5, 600, 9000, 700_000].into_iter().map(duration).collect();
        assert_eq!(all, ["5 s", "10 min", "2 h", "8 days"]);
    }
}
