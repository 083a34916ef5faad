//! What `verdict` shows of a log in place of `bt`: the call trace and the registers.

use super::{lead, place};
use ::verdict::Verdict;
use ::verdict::model::TraceRow;
use report::{Cell, Record, Report, Role};

/// Registers in a line.
const REGISTERS: usize = 4;

/// Of a log its report's call trace, a function a line, and its registers.
pub(super) fn shown(v: &Verdict, out: &mut Report) {
    let Some(logged) = &v.logged else { return };
    let row = |(n, row): (usize, &TraceRow)| {
        let name = match row.is_inlined {
            true => format!("  {} (inlined)", row.place.function),
            false => row.place.to_string(),
        };
        let guess = if row.is_guess { "? " } else { "" };
        let mut line = lead(n, "TRACE").text(guess).field("text", name);
        if let Some(at) = row.place.source() {
            line = line.text("   ").cell(at).role(Role::Path);
        }
        let mut r = Record::of(line);
        r.record("place", place(&row.place));
        r.hidden("inlined", row.is_inlined);
        r.hidden("guess", row.is_guess);
        r
    };
    if !logged.trace.is_empty() {
        out.list("trace", logged.trace.iter().enumerate().map(row).collect());
    }
    let mut all = Record::new();
    for (n, four) in logged.registers.chunks(REGISTERS).enumerate() {
        let spelt: Vec<String> = four.iter().map(|(name, value)| format!("{name:>6} {value:016x}")).collect();
        all.line(lead(n, "REGISTERS").text(spelt.join(" ")));
    }
    logged.registers.iter().for_each(|(name, value)| all.hidden(name.clone(), Cell::Addr(*value)));
    if !logged.registers.is_empty() {
        out.record("registers", all);
    }
}
