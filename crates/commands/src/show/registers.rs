//! Registers as crash lays them out.

use arch::Regs;
use report::{Cell, Line, Record};

/// The registers of a `pt_regs`. One that was not saved is shown as such.
pub(crate) fn block(regs: &Regs) -> Record {
    let mut record = Record::new();
    for row in regs.reg_set().shown {
        let mut line = Line::new().text("    ");
        for (n, (shown, name, width)) in row.iter().copied().enumerate() {
            if n > 0 {
                line = line.text("  ");
            }
            // R8 and R9 stand under the three-letter names
            if shown.len() == 2 && width == 16 {
                line = line.text(" ");
            }
            line = line.text(format!("{shown}: ")).field(name, value(regs, name, width));
        }
        record.line(line);
    }
    record
}

fn value(regs: &Regs, name: &str, width: u8) -> Cell {
    match regs.by_name(name) {
        Some(value) => Cell::hex_digits(value, width),
        None => Cell::Absent {
            short: format!("{:<w$}", "(not saved)", w = usize::from(width)).into(),
            reason: "this register was not saved here".into(),
            lost: false,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_have_crash_s_columns() {
        let set = arch::by_name("x86_64").unwrap().reg_set();
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
