//! What a warning printed: the values of its call's arguments, read back from the log's line by the call's format.
//!
//! Sources: kernel/panic.c (`__warn_printk(fmt, …)`, since 4.19 where a trap follows; `warn_slowpath_fmt(file, line,
//! [taint,] fmt, …)`).

use crate::code::function::Code;
use crate::code::printf::{Value, read};
use crate::model::{Evidence, How, Statement};
use crate::naming::names::Namer;
use arch::dataflow::{Expr, Sym};
use base::VirtAddr;
use kernel::Session;

/// More bytes than a format has.
const MAX_FORMAT: usize = 1024;

/// What the warning before the instruction at `pc` printed.
pub(crate) struct Printed {
    /// The values of the data flow that are known by it.
    pub(crate) values: Vec<(Sym, u64)>,
    call: u64,
    arguments: Vec<(Sym, String)>,
}

impl Printed {
    /// Matches the line with the format of the call that returned to `pc`.
    pub(crate) fn of(s: &Session, code: &Code, pc: u64, line: &str) -> Option<Self> {
        let (call, callee) = code.callee(s, pc)?;
        let places: &[usize] = match callee {
            "__warn_printk" => &[0],
            "warn_slowpath_fmt" => &[2, 3],
            _ => return None,
        };
        let flow = &code.flow;
        let argument = |n: usize| flow.register(call, *code.arguments().get(n)?);
        let (place, format) = places.iter().find_map(|&n| {
            let Expr::Const(at) = flow.expr(argument(n)?) else { return None };
            let raw = s.mem().cstr(VirtAddr(at.cast_unsigned()), MAX_FORMAT).ok()?;
            Some((n, String::from_utf8(raw).ok()?)).filter(|(_, text)| !text.is_empty())
        })?;
        let reading = read(&format, line)?;
        let mut out = Self { values: Vec::new(), call, arguments: Vec::new() };
        for (n, value) in reading {
            let Some(sym) = argument(place + 1 + n) else { continue };
            match value {
                Value::Number { value, bits, shown } => {
                    out.values.extend(whole(width(&flow.expr(sym)), value, bits).map(|v| (sym, v)));
                    out.arguments.push((sym, shown));
                }
                Value::Symbol { name, offset, shown } => {
                    out.values.extend(address(s, &name, offset).map(|v| (sym, v)));
                    out.arguments.push((sym, shown));
                }
                Value::Text(text) => out.arguments.push((sym, format!("\"{text}\""))),
            }
        }
        Some(out)
    }

    /// `printed: channel->id = 99, wanted = "zoo0"`; nothing of arguments that have no name.
    pub(crate) fn statement(&self, namer: &Namer<'_>) -> Option<Statement> {
        let one = |(sym, shown): &(Sym, String)| {
            let named = namer.sym(self.call, *sym, 0).filter(|n| !n.expr.names_register())?;
            Some((named.expr, shown.clone()))
        };
        let all: Vec<_> = self.arguments.iter().filter_map(one).collect();
        let commands = ["log".to_owned(), format!("dis -x {}", namer.code.symbol)];
        (!all.is_empty()).then(|| Statement::new(How::Log, Evidence::Printed(all), &commands))
    }
}

/// The address so far into a function, where only one has that name.
fn address(s: &Session, name: &str, offset: u64) -> Option<u64> {
    match s.named(name).as_slice() {
        [only] => Some(only.addr.add(offset).0),
        _ => None,
    }
}

/// The bytes that a value has, and whether those above them are copies of its sign.
const fn width(expr: &Expr) -> (u64, bool) {
    match expr {
        Expr::Cut { size, signed, .. } => (*size, *signed),
        Expr::Load { size, .. } | Expr::PerCpu { size, .. } | Expr::Bin { size, .. } => (*size, false),
        _ => (8, false),
    }
}

/// The whole of a value of which `bits` were printed: of a wider one the rest is not known.
const fn whole((size, signed): (u64, bool), value: u64, bits: u32) -> Option<u64> {
    if size == 0 || size > 8 || size * 8 > bits as u64 {
        return None;
    }
    let unused = 64 - size * 8;
    let top = value << unused;
    Some(if signed { (top.cast_signed() >> unused).cast_unsigned() } else { top >> unused })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_a_wide_value_is_not_the_value() {
        let unsigned = |size| (size, false);
        assert_eq!(whole(unsigned(4), 99, 32), Some(99));
        assert_eq!(whole(unsigned(8), 99, 32), None);
        assert_eq!(whole(unsigned(8), 99, 64), Some(99));
        assert_eq!(whole(unsigned(4), 99, 8), None);
        assert_eq!(whole(unsigned(4), u64::MAX - 4, 32), Some(0xffff_fffb));
        assert_eq!(whole((1, true), 0xffff_fffb, 32), Some(u64::MAX - 4));
        assert_eq!(width(&Expr::Entry(0)), (8, false));
    }
}
