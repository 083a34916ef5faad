//! Registers as crash lays them out.

use arch::Regs;
use report::{Cell, Line, Record};

/// The lines after `RIP`, `RSP` and `RFLAGS`: names as printed and as the architecture has them.
const ROWS: [[(&str, &str); 3]; 6] = [
    [("RIP", "rip"), ("RSP", "rsp"), ("RFLAGS", "eflags")],
    [("RAX", "rax"), ("RBX", "rbx"), ("RCX", "rcx")],
    [("RDX", "rdx"), ("RSI", "rsi"), ("RDI", "rdi")],
    [("RBP", "rbp"), ("R8", "r8"), ("R9", "r9")],
    [("R10", "r10"), ("R11", "r11"), ("R12", "r12")],
    [("R13", "r13"), ("R14", "r14"), ("R15", "r15")],
];

/// The registers of a `pt_regs`. One that was not saved is shown as such.
pub(crate) fn block(regs: &Regs) -> Record {
    let mut record = Record::new();
    for row in ROWS {
        let mut line = Line::new().text("    ");
        for (n, (shown, name)) in row.into_iter().enumerate() {
            if n > 0 {
                line = line.text("  ");
            }
            // R8 and R9 stand under the three-letter names
            if n > 0 && shown.len() == 2 {
                line = line.text(" ");
            }
            let width = if shown == "RFLAGS" { 8 } else { 16 };
            line = line.text(format!("{shown}: ")).field(name, value(regs, name, width));
        }
        record.line(line);
    }
    record.line(
        Line::new()
            .text("    ORIG_RAX: ")
            .field("orig_rax", value(regs, "orig_rax", 16))
            .text("  CS: ")
            .field("cs", value(regs, "cs", 4))
            .text("  SS: ")
            .field("ss", value(regs, "ss", 4)),
    );
    record
}

fn value(regs: &Regs, name: &str, width: u8) -> Cell {
    match regs.by_name(name) {
        Some(value) => Cell::hex_digits(value, width),
        None => Cell::Absent {
            short: format!("{:<w$}", "(not saved)", w = usize::from(width)).into(),
            reason: "this register was not saved here".into(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_have_crash_s_columns() {
        let set = arch::x86_64().reg_set();
        let mut regs = Regs::new(set).with(set.pc, 0x43_7fbd);
        for (n, name) in ["rsp", "eflags", "rbp", "r8", "r9"].into_iter().enumerate() {
            regs.set(set.number(name).unwrap(), 0x246 + n as u64);
        }
        let text: Vec<String> = block(&regs)
            .items
            .iter()
            .filter_map(|i| match i {
                report::Item::Line(l) => Some(l.to_string()),
                _ => None,
            })
            .collect();
        assert_eq!(text[0], "    RIP: 0000000000437fbd  RSP: 0000000000000246  RFLAGS: 00000247");
        assert_eq!(text[3], "    RBP: 0000000000000248   R8: 0000000000000249   R9: 000000000000024a");
        assert!(text[1].starts_with("    RAX: (not saved)"));
    }
}
