//! Conditions and accesses in words.

use crate::model::{Access, Accessed, Bound, Condition, Copied, End, Jump, NoCondition, Why};
use crate::words::bytes;
use std::fmt;

impl fmt::Display for Condition {
    /// `BUG_ON(total_sg > vq->split.vring.num)`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(printed) = &self.printed {
            write!(f, "assertion failed: {}", printed.text)?;
            return printed.values.iter().try_for_each(|values| write!(f, " ({values})"));
        }
        if let (None, Some(line)) = (&self.expr, &self.reported) {
            return f.write_str(line);
        }
        let text = self.expr.as_ref().map(|e| e.for_reader().to_string()).unwrap_or_default();
        match &self.caller {
            // the condition of a call stands in the caller's source as an if
            Some(caller) => return write!(f, "if ({text}) in {caller}"),
            None if self.warning => write!(f, "WARN_ON({text})")?,
            None => write!(f, "BUG_ON({text})")?,
        }
        self.within.iter().try_for_each(|within| write!(f, " in {within}"))
    }
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.what.fmt(f)
    }
}

impl fmt::Display for Accessed {
    /// `read of 8 bytes at 0000000000000018: q->elevator->type; q->elevator is NULL`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Accessed::Memory { writes, size, at, expr, why } => {
                f.write_str(if *writes { "write" } else { "read" })?;
                // `rep movsb`: as many as its counter says
                if *size > 0 {
                    write!(f, " of {}", bytes(*size))?;
                }
                write!(f, " at {at:016x}")?;
                expr.iter().try_for_each(|expr| write!(f, ": {}", expr.for_reader()))?;
                why.iter().try_for_each(|why| write!(f, "; {why}"))
            }
            Accessed::Breakpoint { gone: false } => {
                f.write_str("a breakpoint (int3) that nothing in the kernel took for its own")
            }
            Accessed::Breakpoint { gone: true } => f.write_str(
                "a breakpoint (int3) that the code no longer has, as where the kernel changes its own code",
            ),
            Accessed::Stop(name) => write!(
                f,
                "{name}, which is there to stop the code, and no assertion of the kernel's is known there"
            ),
            Accessed::Unknown(instruction) => {
                write!(f, "the processor does not know the instruction {instruction}")
            }
            Accessed::Refused { protection, instruction, selector } => {
                let refused = if *protection { "refused" } else { "stopped at" };
                write!(f, "the processor {refused} {instruction}")?;
                selector.iter().try_for_each(|selector| self::selector(f, *selector))
            }
            Accessed::Division { by, zero: true } => {
                write!(f, "division by {}, which is 0", by.for_reader())
            }
            Accessed::Division { by, zero: false } => write!(f, "division by {} overflowed", by.for_reader()),
            Accessed::Call { target: Some(target), to } => {
                write!(f, "call of {}, which is {to}", target.for_reader())
            }
            Accessed::Call { target: None, to } => write!(f, "call of {:016x}", to.value),
            Accessed::Return { to, slot } => {
                write!(f, "return to {to}: the return address on the stack at {slot:016x} was overwritten")
            }
            Accessed::Free { at } => write!(f, "free of {at:016x}"),
            Accessed::Undefined(said) => f.write_str(said),
            Accessed::Copy { kind, size, of, offset, room } => {
                write!(f, "{} of {} ", copied(*kind), bytes(*size))?;
                f.write_str(if matches!(kind, Copied::ToUser | Copied::Read) { "from " } else { "to " })?;
                offset.iter().try_for_each(|offset| write!(f, "offset {offset} of "))?;
                f.write_str(of)?;
                let Some(room) = room else { return Ok(()) };
                write!(f, ", which has {}", bytes(*room))?;
                let end = offset.unwrap_or(0).checked_add(*size);
                let over = end.and_then(|end| end.checked_sub(*room)).filter(|over| *over > 0);
                over.iter().try_for_each(|over| write!(f, ": {over} too many"))
            }
        }
    }
}

const fn copied(kind: Copied) -> &'static str {
    match kind {
        Copied::ToUser => "copy to user space",
        Copied::FromUser => "copy from user space",
        Copied::Read => "read",
        Copied::Write => "write",
    }
}

/// Bit 0: from outside; bit 1: of the interrupt table; bit 2: of a process's own table.
fn selector(f: &mut fmt::Formatter<'_>, selector: u64) -> fmt::Result {
    let table = match selector & 6 {
        0 => "the global descriptor table",
        4 => "the process's own descriptor table",
        _ => "the interrupt table",
    };
    write!(f, "; selector {:#x}: entry {} of {table}", selector & !3, selector >> 3)
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Why::Unaligned(instruction) => {
                write!(f, "the address is not a multiple of 16, which {instruction} needs")
            }
            Why::Pointer(expr, pointed) => write!(f, "{} is {pointed}", expr.for_reader()),
            Why::Address(pointed) => write!(f, "the address is {pointed}"),
            Why::Returned(call) => write!(f, "{} returned it", call.for_reader()),
            Why::Index { index, value, array, bound } => {
                let (index, array) = (index.for_reader(), array.for_reader());
                write!(f, "{index} is {value}")?;
                match bound {
                    Bound::Type(count) => write!(f, ", and {array} has {count} elements"),
                    Bound::Member(by, count) => write!(f, ", and {} is {count}", by.for_reader()),
                    Bound::Room(count) => {
                        write!(f, ", and the memory of {array} has room for {count} elements")
                    }
                    Bound::Unknown => Ok(()),
                }
            }
        }
    }
}

impl fmt::Display for Jump {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = match self.end {
            End::Trap => "trap",
            End::Call => "call",
        };
        match (self.taken, &self.to) {
            (true, Some(to)) => write!(f, " {to} -> {end}"),
            (true, None) => write!(f, " -> {end}"),
            (false, Some(to)) => write!(f, " not taken, {to} -> {end}"),
            (false, None) => write!(f, " not taken -> {end}"),
        }
    }
}

impl fmt::Display for NoCondition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NoCondition::Always(function) => write!(f, "{function} always reaches the trap"),
            NoCondition::AlwaysIn { function, caller, why } => {
                write!(f, "{function} always reaches the trap; in {caller}: {why}")
            }
            NoCondition::NoJump => f.write_str("no conditional jump decides that the trap is reached"),
            NoCondition::Refuted(1) => {
                f.write_str("with the values at hand, the condition before the trap does not hold")
            }
            NoCondition::Refuted(ways) => {
                write!(f, "with the values at hand, none of the {ways} ways to the trap was taken")
            }
            NoCondition::Untold => f.write_str("the comparison before the trap cannot be told"),
            NoCondition::Several(ways) => {
                write!(f, "{ways} ways lead to the trap; which was taken is not known")
            }
            NoCondition::Overwritten => {
                f.write_str("the comparison before the trap is of registers that were overwritten since")
            }
        }
    }
}
