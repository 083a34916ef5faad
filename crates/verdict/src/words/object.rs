//! Objects of the allocators in words.

use crate::model::{Allocator, Known, Met, Past, PastEvent};
use crate::words::{bytes, joined};
use kernel::mm::kfence::{Guarded, Place, State};
use kernel::mm::slub;
use std::fmt;

impl fmt::Display for Met {
    /// `in a free object of slab cache kmalloc-96 (ff…40+0x8), allocated by f+0x1, freed by g+0x2`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.of {
            Allocator::Slab(o) => slab(f, o)?,
            Allocator::Guarded(g) => guarded(f, g)?,
        }
        self.allocated.iter().try_for_each(|by| write!(f, ", allocated by {by}"))?;
        let before = if self.freed_before() { " before" } else { "" };
        self.freed.iter().try_for_each(|by| write!(f, ", freed{before} by {by}"))?;
        damage(self).iter().try_for_each(|wrong| write!(f, ", {wrong}"))
    }
}

/// With its article.
const fn state(state: slub::State) -> &'static str {
    match state {
        slub::State::Unknown => "an",
        slub::State::Allocated => "an allocated",
        slub::State::Free => "a free",
    }
}

fn slab(f: &mut fmt::Formatter<'_>, o: &slub::Object) -> fmt::Result {
    write!(f, "in {} object of slab cache {}", state(o.state), o.cache)?;
    if o.offset > 0 {
        write!(f, " ({:x}+{:#x})", o.at.0, o.offset)?;
    }
    Ok(())
}

fn guarded(f: &mut fmt::Formatter<'_>, g: &Guarded) -> fmt::Result {
    let name = name(g);
    let object = format!("{name} ({}, {:x})", bytes(g.size), g.at.0);
    match g.place {
        // what lies around it in its page is nobody's
        _ if g.state == State::Unused => write!(f, "in the page of {name}"),
        Place::Inside(0) => write!(f, "the {object}"),
        Place::Inside(n) => write!(f, "{} into the {object}", bytes(n)),
        Place::Before(n) => write!(f, "{} before the {object}", bytes(n)),
        Place::Behind(0) => write!(f, "directly behind the {object}"),
        Place::Behind(n) => write!(f, "{} behind the end of the {object}", bytes(n)),
    }
}

/// `freed KFENCE object #7 of slab cache kmalloc-32`
fn name(g: &Guarded) -> String {
    let state = match g.state {
        State::Unused => "unused ",
        State::Allocated => "allocated ",
        State::Freeing => "freed (after RCU's readers) ",
        State::Freed => "freed ",
    };
    let cache = match &g.cache {
        Some(cache) if g.state != State::Unused => format!(" of slab cache {cache}"),
        _ => String::new(),
    };
    format!("{state}KFENCE object #{}{cache}", g.number)
}

fn damage(met: &Met) -> Vec<String> {
    match &met.of {
        Allocator::Slab(o) => o.damage.clone(),
        Allocator::Guarded(g) => g.overwritten.map(|wrong| overwritten(g, wrong)).into_iter().collect(),
    }
}

/// `overwritten 2 bytes behind its end: 78`
fn overwritten(g: &Guarded, (offset, byte): (i64, u8)) -> String {
    if offset < 0 {
        return format!("overwritten {} before its begin: {byte:02x}", bytes(offset.unsigned_abs()));
    }
    match offset.unsigned_abs().saturating_sub(g.size) {
        0 => format!("overwritten directly behind its end: {byte:02x}"),
        behind => format!("overwritten {} behind its end: {byte:02x}", bytes(behind)),
    }
}

/// Ticks as a time. What lies in one tick is as long at most.
fn time(ticks: u64, hz: u64) -> String {
    match ticks.saturating_mul(1000) / hz {
        _ if ticks == 0 => format!("less than {} ms", 1000_u64.div_ceil(hz)),
        ms if ms < 10_000 => format!("{ms} ms"),
        ms => format!("{} s", ms / 1000),
    }
}

/// Where a pointer is that leads beside an object.
fn beside(met: &Met, pointer: u64) -> Option<String> {
    let Allocator::Guarded(g) = &met.of else { return None };
    match g.place {
        Place::Inside(_) => None,
        Place::Before(n) => Some(format!("{pointer:016x} is {} before it", bytes(n))),
        Place::Behind(0) => Some(format!("{pointer:016x} is directly behind it")),
        Place::Behind(n) => Some(format!("{pointer:016x} is {} behind its end", bytes(n))),
    }
}

impl fmt::Display for Known {
    /// What it is, without the place of a pointer in it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match &self.met.of {
            Allocator::Slab(o) => {
                let state = state(o.state);
                format!("{:016x}: {state} object of slab cache {}, {} bytes", o.at.0, o.cache, o.size)
            }
            Allocator::Guarded(g) => format!("{:016x}: {}, {} bytes", g.at.0, name(g), g.size),
        };
        let unread = self.met.unread().iter().map(|what| format!("{what} is not in the dump"));
        let all =
            [text].into_iter().chain(damage(&self.met)).chain(beside(&self.met, self.pointer)).chain(unread);
        f.write_str(&joined(all, ", "))
    }
}

impl fmt::Display for Past {
    /// `freed in PID 7, CPU 1, 13 ticks before the end`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.event {
            PastEvent::Allocated => "allocated",
            PastEvent::Freed | PastEvent::FreedBefore => "freed",
        })?;
        write!(f, " by PID {}", self.pid)?;
        self.cpu.iter().try_for_each(|cpu| write!(f, ", CPU {cpu}"))?;
        match (self.ticks, self.hz.filter(|hz| *hz > 0)) {
            (Some(ticks), Some(hz)) => write!(f, ", {} before the end", time(ticks, hz))?,
            (Some(1), None) => f.write_str(", 1 tick before the end")?,
            (Some(ticks), None) => write!(f, ", {ticks} ticks before the end")?,
            (None, _) => {}
        }
        if let Some(ns) = self.clock {
            write!(f, ", at {}.{:06} s", ns / 1_000_000_000, ns % 1_000_000_000 / 1000)?;
        }
        match self.event {
            PastEvent::FreedBefore => f.write_str(", before it was allocated"),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::time;

    #[test]
    fn ticks_are_a_time() {
        assert_eq!(time(0, 250), "less than 4 ms");
        assert_eq!((time(13, 250), time(3, 1000)), ("52 ms".into(), "3 ms".into()));
        assert_eq!((time(100, 300), time(2500, 250)), ("333 ms".into(), "10 s".into()));
    }
}
