//! The machine: its kernel and how old that is, its taints and the modules that are not part of the kernel, its
//! hardware, and what its other CPUs did.

use crate::code::roles;
use crate::model::{Context, CpuDoing, Doing, How, Statement, Who, Whose};
use crate::victim::frames::{Victim, current_frame};
use jiff::civil::Date;
use jiff::{Timestamp, tz::TimeZone};
use kernel::Session;
use kernel::log::event::{Class, Event};
use kernel::module::taint;
use kernel::sched::task::Task;
use kernel::stack::backtrace::Start;

/// How many CPUs are looked at.
const MAX_CPUS: usize = 32;
/// How many modules are named.
const MAX_MODULES: usize = 8;

/// The kernel, its age, the time it ran, the hardware; its taints.
pub(crate) fn system(s: &Session, class: Class, event: Option<&Event>) -> Vec<Statement> {
    let clocks = kernel::machine::system::clocks(s).ok();
    let built = kernel::machine::system::version(s).and_then(|version| built(&version)).map(|day| {
        let died = clocks.as_ref().and_then(|c| day_of(c.wall_sec));
        let age = died.and_then(|died| Some(died.since(day).ok()?.get_days()));
        (day, age.filter(|days| (1..36_500).contains(days)))
    });
    let release = kernel::machine::system::release(s);
    let up = clocks.filter(|c| c.uptime_sec >= 0).map(|c| c.uptime_sec.unsigned_abs());
    let hardware = hardware(s, event);
    let known = release.is_some() || built.is_some() || up.is_some() || hardware.is_some();
    let said = Context::Kernel { release, built, up, hardware };
    let kernel = known.then(|| Statement::new(How::Memory, said, &["sys".into(), "sys -i".into()]));
    let tainted = match event.filter(|_| s.is_log()) {
        Some(event) => logged_taints(class, event),
        None if s.is_log() => None,
        None => tainted(s, class, event),
    };
    kernel.into_iter().chain(tainted).collect()
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

/// The same as the report in a log has it.
fn logged_taints(class: Class, event: &Event) -> Option<Statement> {
    let letters = before(0, class, Some(event));
    let mut modules = event.oops.marked_modules.clone();
    let more = modules.len().saturating_sub(MAX_MODULES);
    modules.truncate(MAX_MODULES);
    (!letters.is_empty()).then(|| Statement::logged(Context::Tainted { letters, modules, more }))
}

/// Why the kernel is tainted, and the modules that are none of its own.
fn tainted(s: &Session, class: Class, event: Option<&Event>) -> Option<Statement> {
    let mask = match taint::mask(s) {
        Ok(mask) => mask,
        Err(e) => {
            let said = Context::TaintsLost(e.to_string());
            return Some(Statement::new(How::Memory, said, &["sys -t".into()]));
        }
    };
    let letters = before(mask, class, event);
    if letters.is_empty() {
        return None;
    }
    let mut modules: Vec<(String, String)> = s
        .modules()
        .iter()
        .filter_map(|m| Some((m, m.taints.filter(|taints| *taints != 0)?)))
        .map(|(m, taints)| (m.name.clone(), taint::letters(taints)))
        .collect();
    let more = modules.len().saturating_sub(MAX_MODULES);
    modules.truncate(MAX_MODULES);
    let said = Context::Tainted { letters, modules, more };
    Some(Statement::new(How::Memory, said, &["sys -t".into(), "mod -t".into()]))
}

/// The taints from before the event: its own report names them; else the kernel's mask without what the event itself sets.
fn before(mask: u64, class: Class, event: Option<&Event>) -> Vec<char> {
    if let Some(letters) = event.and_then(|e| e.oops.taints.as_ref()) {
        return letters.chars().collect();
    }
    let own = |letter: char| class.sets_taint(letter) || letter == 'D' && event.is_some_and(|e| e.is_deadly);
    taint::letters(mask).chars().filter(|letter| !own(*letter)).collect()
}

/// What a CPU did: the function that it was in.
fn doing(s: &Session, task: &Task) -> Doing {
    let victim = Victim::of_task(s, Some(task));
    if victim.bt.as_ref().is_some_and(|bt| bt.start == Start::UserMode) {
        return Doing::User;
    }
    let frames = victim.frames();
    let names = victim.names(s);
    if names.iter().any(|n| roles::is_panic(n)) {
        return Doing::Panic;
    }
    // all that may be known: it was interrupted in user mode
    let of_user = || {
        frames.iter().zip(&names).any(|(f, name)| {
            f.saved.as_ref().is_some_and(|r| r.user) && s.arch().entries().saves_for_interrupt(name)
        })
    };
    match current_frame(s.arch(), &names, frames).and_then(|n| frames.get(n)) {
        // a call that may have returned
        Some(frame) if frame.how.is_guess() => Doing::Unknown,
        Some(frame) => match s.locate(frame.lookup()) {
            // what it did before it was stopped is lost
            Some(l) if roles::is_dying(l.symbol.name) => Doing::Unknown,
            Some(l) => Doing::In(l.symbol.name.to_owned()),
            None => Doing::Nameless,
        },
        None if of_user() => Doing::User,
        None => Doing::Unknown,
    }
}

/// True for a CPU that has nothing to do: it runs its idle task, and no frame for certain says that it does something for
/// others meanwhile, as an interrupt's handler.
pub(crate) fn is_idle(s: &Session, task: &Task) -> bool {
    task.pid == 0
        && match doing(s, task) {
            Doing::In(function) => roles::is_idling(&function) || roles::is_dying(&function),
            Doing::Panic => false,
            Doing::User | Doing::Nameless | Doing::Unknown => true,
        }
}

/// A task's CPU, as commands take it.
pub(crate) fn cpu_of(task: &Task) -> String {
    task.cpu.map_or_else(|| "?".to_owned(), |cpu| cpu.to_string())
}

/// The CPUs besides that of the verdict's task: what each ran, those that were idle together. `others` is false where
/// the verdict has no task.
pub(crate) fn cpus(s: &Session, own: Option<&Task>, others: bool) -> Option<Statement> {
    let all: Vec<&Task> =
        s.tasks().all.iter().filter(|t| t.active && own.is_none_or(|o| o.cpu != t.cpu)).collect();
    let (idle, busy): (Vec<&&Task>, Vec<&&Task>) = all.iter().partition(|t| is_idle(s, t));
    if all.is_empty() {
        return None;
    }
    let told =
        busy.iter().take(MAX_CPUS).map(|t| CpuDoing { cpu: t.cpu, who: Who::of(t), doing: doing(s, t) });
    let said = Context::Cpus {
        whose: match (others, own) {
            (false, _) => Whose::Unsaid,
            (true, Some(_)) => Whose::Others,
            (true, None) => Whose::All,
        },
        busy: told.collect(),
        more: busy.len().saturating_sub(MAX_CPUS),
        idle: idle.iter().map(|t| t.cpu).collect(),
    };
    Some(Statement::new(How::Memory, said, &["bt -a".into()]))
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
}
