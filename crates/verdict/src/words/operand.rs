//! Operands in words: what they are called, where they are, how the code came by them.

use crate::model::{Detail, Name, Operand, Origin, Spot};
use crate::words::joined;
use std::fmt;

/// `third`
fn ordinal(n: usize) -> &'static str {
    ["first", "second", "third", "fourth", "fifth", "sixth"].get(n).copied().unwrap_or("a later")
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Name::Expr(expr) => expr.for_reader().fmt(f),
            Name::Argument { function, n, .. } => write!(f, "{function}'s {} argument", ordinal(*n)),
            Name::Return => f.write_str("the return address"),
            Name::NextReturn => f.write_str("the next return address on the stack"),
        }
    }
}

impl Operand {
    /// Where its value is, and why that is believed; empty where nothing is told of that.
    #[must_use]
    pub fn whence(&self) -> String {
        let mut out = String::new();
        let mut mark = "";
        for part in &self.detail {
            let text = part.to_string();
            if text.is_empty() {
                continue;
            }
            if !out.is_empty() {
                out.push_str(if mark.is_empty() { before(part) } else { mark });
            }
            out.push_str(&text);
            mark = if matches!(part, Detail::Bit(_)) { " of " } else { "" };
        }
        out
    }
}

/// What stands before a part.
const fn before(part: &Detail) -> &'static str {
    match part {
        Detail::Target(_)
        | Detail::OfMember(_)
        | Detail::Leads(_)
        | Detail::Within { .. }
        | Detail::MayHaveChanged
        | Detail::Implied => "; ",
        _ => ", ",
    }
}

impl fmt::Display for Spot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Spot::Made => Ok(()),
            Spot::Register(name) => write!(f, "%{name}"),
            Spot::Saved(at) => write!(f, "saved on the stack at {at:016x}"),
            Spot::Memory { bits, at } => write!(f, "u{bits} at {at:016x}"),
            Spot::Printed => f.write_str("printed by the warning"),
            Spot::Caller { function, spot } => match &**spot {
                Spot::Made => write!(f, "from the caller {function}"),
                spot => write!(f, "from the caller {function} ({spot})"),
            },
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Unsaid => Ok(()),
            Origin::Argument { n, unchanged: true } => {
                write!(f, "{} argument, unchanged since entry", ordinal(*n))
            }
            Origin::Argument { n, unchanged: false } => write!(f, "{} argument", ordinal(*n)),
            Origin::Unchanged => f.write_str("unchanged since entry"),
            Origin::Read(at) => write!(f, "read at {at}"),
            Origin::Returned(call) => write!(f, "returned by the call at {call}"),
            Origin::Global => f.write_str("a global variable"),
            Origin::OnStack => f.write_str("a variable on the stack"),
            Origin::OfCpu => f.write_str("a variable of this CPU"),
            Origin::CurrentTask => f.write_str("this CPU's current task"),
            Origin::Constant => f.write_str("a constant"),
            Origin::Computed => f.write_str("computed"),
            Origin::Stored(at) => write!(f, "stored at {at}"),
            Origin::Given { ty, callee } => write!(f, "of the {ty} on the stack that {callee}() is given"),
            Origin::Passed(by) => write!(f, "passed by {by}"),
            Origin::Stride(by) => write!(f, "moved on by {by} bytes in a loop"),
            Origin::Turns { turns, first } => {
                let plural = if *turns == 1 { "" } else { "s" };
                let first = first.for_reader();
                write!(f, "{turns} turn{plural} of a loop from {first}, followed in the dump's memory")
            }
            Origin::First { own, moved } => {
                let own = own.to_string();
                if !own.is_empty() {
                    write!(f, "{own}, ")?;
                }
                f.write_str(if *moved { "before a loop moved it on" } else { "of the values that meet here" })
            }
            Origin::OneOf { firsts, next } => {
                f.write_str(&joined(firsts.iter().map(cexpr::Expr::for_reader), " or "))?;
                match next {
                    Some(next) => write!(f, ", or what {next} led to in a loop"),
                    None => Ok(()),
                }
            }
            Origin::Or(others) => write!(f, "or {}, at the same place", joined(others, ", ")),
        }
    }
}

impl fmt::Display for Detail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Detail::In(register) => write!(f, "%{register}"),
            Detail::Among(register) => write!(f, "among the bits of %{register}"),
            Detail::StillIn { then, now } => write!(f, "%{then} then, still in %{now}"),
            Detail::Then { register, spot: Spot::Made, now: true } => {
                write!(f, "in %{register} when tested, overwritten since; shown is what memory gives now")
            }
            Detail::Then { register, spot, now: true } => {
                write!(
                    f,
                    "in %{register} when tested, overwritten since; shown is what memory has now: {spot}"
                )
            }
            Detail::Then { register, spot, now: false } => write!(f, "%{register} then, {spot}"),
            Detail::Overwritten(register) => write!(f, "%{register}, overwritten since"),
            Detail::Computed => f.write_str("computed"),
            Detail::At(spot) => spot.fmt(f),
            Detail::Now(spot) => write!(f, "{spot} as the dump has it"),
            Detail::Operand(text) => f.write_str(text),
            Detail::Address(at) => write!(f, "at {at:016x}"),
            Detail::Origin(origin) | Detail::OfMember(origin) => origin.fmt(f),
            Detail::Passes { by, expr } => write!(f, "{by} passes {}", expr.for_reader()),
            Detail::Target(located) => write!(f, "its target is {located}"),
            Detail::Leads(located) => write!(f, "the value is {located}"),
            Detail::HoldsNow { what: Some(what), value, .. } => {
                write!(f, "{} is {value:#x} in the dump", what.for_reader())
            }
            Detail::HoldsNow { what: None, at, value } => {
                write!(f, "the memory at {at:016x} is {value:#x} in the dump")
            }
            Detail::Before(variable) => write!(f, "of what {} was before", variable.for_reader()),
            Detail::Text(text, None) => write!(f, "the text {text:?}"),
            Detail::Text(text, Some(other)) => write!(f, "the text {text:?}, compared with {other:?}"),
            Detail::Within { expr, ty, at, spot } => {
                write!(f, "{} = ({ty} *) {at:016x}", expr.for_reader())?;
                match spot {
                    Spot::Made => Ok(()),
                    spot => write!(f, " in {spot}"),
                }
            }
            Detail::MayHaveChanged => f.write_str("memory may have changed before the trap"),
            Detail::Implied => f.write_str("the way to the trap says so"),
            Detail::Less(by) if *by > 0 => write!(f, "less {by}"),
            Detail::Less(by) => write!(f, "plus {}", by.unsigned_abs()),
            Detail::Bit(n) => write!(f, "bit {n}"),
            Detail::BelowStack => f.write_str("below the stack pointer"),
            Detail::Into { function, module: Some(module), at } => {
                write!(f, "in {function} [{module}], at {at:016x}")
            }
            Detail::Into { function, module: None, at } => write!(f, "in {function}, at {at:016x}"),
            Detail::FromReport => f.write_str("from the address in the report"),
            Detail::Solved => f.write_str("from the address that was accessed"),
            Detail::Counts(array) => {
                write!(f, "by its name the number of elements of {}", array.for_reader())
            }
        }
    }
}
