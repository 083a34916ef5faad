//! What was recorded, of all CPUs in the order of time, and the parts that every record has (`struct trace_entry`).

use super::event::Events;
use super::ring_buffer::Cpu;
use crate::session::Session;
use base::Bytes;

/// A record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// When, in the units of the buffer's clock.
    pub time: u64,
    /// The CPU that wrote it.
    pub cpu: u32,
    /// The kind of event.
    pub number: u16,
    /// What the kernel was doing (`TRACE_FLAG_…`).
    pub flags: u8,
    /// How often preemption was off, and migration in the upper half.
    pub preempt: u8,
    /// The task.
    pub pid: i32,
    /// All of it.
    pub data: &'a [u8],
}

/// Where the parts are that every record has, where the kernel's own list does not tell.
const PLACES: [(&str, usize); 4] =
    [("common_type", 0), ("common_flags", 2), ("common_preempt_count", 3), ("common_pid", 4)];

/// All records in the order in which they were written, and what of the buffers is none.
#[must_use]
pub fn all<'a>(cpus: &'a [Cpu], events: &Events) -> (Vec<Record<'a>>, Vec<String>) {
    let place = |(name, usual)| {
        events.common.iter().find(|field| field.name == name).map_or(usual, |field| field.offset)
    };
    let [number, flags, preempt, pid] = PLACES.map(place);
    let (mut out, mut problems) = (Vec::new(), Vec::new());
    for one in cpus {
        let mut short = 0_u64;
        for page in &one.pages {
            let problem = page.events(&mut |raw| {
                let bytes = Bytes::new(raw.data);
                let read = || {
                    let byte = |at| raw.data.get(at).copied();
                    Some(Record {
                        time: raw.time,
                        cpu: one.cpu,
                        number: u16::from_le_bytes([byte(number)?, byte(number + 1)?]),
                        flags: byte(flags)?,
                        preempt: byte(preempt)?,
                        pid: bytes.i32_at(pid).ok()?,
                        data: raw.data,
                    })
                };
                match read() {
                    Some(record) => out.push(record),
                    None => short += 1,
                }
            });
            problems.extend(problem.map(|why| format!("CPU {}: {why}", one.cpu)));
        }
        if short > 0 {
            problems.push(format!("CPU {}: {short} records are too short", one.cpu));
        }
    }
    // of one time those of a CPU stay in their order
    out.sort_by_key(|record| record.time);
    (out, problems)
}

/// `TRACE_FLAG_…` (include/linux/trace_events.h).
const IRQS_OFF: u8 = 1;
const NEED_RESCHED_LAZY: u8 = 2;
const NEED_RESCHED: u8 = 4;
const HARDIRQ: u8 = 8;
const SOFTIRQ: u8 = 16;
const PREEMPT_RESCHED: u8 = 32;
const NMI: u8 = 64;
const BH_OFF: u8 = 128;

/// What some of the bits mean in this kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flags {
    /// Bit 1 is TRACE_FLAG_NEED_RESCHED_LAZY (6.14); before it says that interrupts could not be told.
    lazy: bool,
    /// Bit 7 is TRACE_FLAG_BH_OFF (6.1).
    bh: bool,
}

impl Flags {
    /// What they mean, by the kernel's names of them.
    #[must_use]
    pub fn of(s: &Session) -> Self {
        let has = |name: &str| !s.types().find_enumerator(name).is_empty();
        Self { lazy: has("TRACE_FLAG_NEED_RESCHED_LAZY"), bh: has("TRACE_FLAG_BH_OFF") }
    }

    /// The letters of a record, as `trace` has them (`trace_print_lat_fmt`).
    #[must_use]
    pub fn letters(self, record: &Record<'_>) -> String {
        let is = |flag| record.flags & flag != 0;
        let bh = self.bh && is(BH_OFF);
        let irqs = match (is(IRQS_OFF), bh) {
            (true, true) => 'D',
            (true, false) => 'd',
            (false, true) => 'b',
            _ if !self.lazy && is(NEED_RESCHED_LAZY) => 'X',
            _ => '.',
        };
        let resched = match (is(NEED_RESCHED), self.lazy && is(NEED_RESCHED_LAZY), is(PREEMPT_RESCHED)) {
            (true, true, true) => 'B',
            (true, false, true) => 'N',
            (false, true, true) => 'L',
            (true, true, false) => 'b',
            (true, false, false) => 'n',
            (false, true, false) => 'l',
            (false, false, true) => 'p',
            (false, false, false) => '.',
        };
        let context = match (is(NMI), is(HARDIRQ), is(SOFTIRQ)) {
            (true, true, _) => 'Z',
            (true, false, _) => 'z',
            (false, true, true) => 'H',
            (false, true, false) => 'h',
            (false, false, true) => 's',
            (false, false, false) => '.',
        };
        let digit = |n: u8| if n == 0 { ".".to_owned() } else { format!("{n:x}") };
        format!("{irqs}{resched}{context}{}{}", digit(record.preempt & 15), digit(record.preempt >> 4))
    }
}

/// True for clocks that count nanoseconds; `counter`, `uptime` and the processor's own count something else (`trace_clocks`,
/// kernel/trace/trace.c).
#[must_use]
pub fn counts_nanoseconds(name: &str) -> bool {
    matches!(name, "local" | "global" | "perf" | "mono" | "mono_raw" | "boot" | "tai")
}

/// A time as `trace` has it: seconds and microseconds, or the number itself.
#[must_use]
pub fn time_text(time: u64, in_nanoseconds: bool) -> String {
    if !in_nanoseconds {
        return time.to_string();
    }
    let micros = time.saturating_add(500) / 1000;
    format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_those_of_trace() {
        let record =
            |flags, preempt| Record { time: 0, cpu: 0, number: 1, flags, preempt, pid: 1, data: &[] };
        let new = Flags { lazy: true, bh: true };
        let old = Flags { lazy: false, bh: false };
        for (flags, preempt, of_new, of_old) in [
            (0, 0, ".....", "....."),
            (IRQS_OFF | NEED_RESCHED, 2, "dn.2.", "dn.2."),
            (IRQS_OFF | BH_OFF | HARDIRQ | SOFTIRQ, 0x31, "D.H13", "d.H13"),
            (NEED_RESCHED_LAZY | PREEMPT_RESCHED | NMI, 0, ".Lz..", "Xpz.."),
            (NEED_RESCHED | NEED_RESCHED_LAZY | PREEMPT_RESCHED, 0xa, ".B.a.", "XN.a."),
        ] {
            let record = record(flags, preempt);
            assert_eq!(
                (new.letters(&record), old.letters(&record)),
                (of_new.into(), of_old.into()),
                "{flags:#x}"
            );
        }
        assert_eq!(time_text(1_234_567_500, true), "1.234568");
        assert_eq!(time_text(42, false), "42");
        assert!(counts_nanoseconds("mono") && !counts_nanoseconds("x86-tsc"));
    }
}
