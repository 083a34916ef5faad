//! What a pointer's value says, in words.

use crate::model::{Located, Pointed, PointerIs};
use crate::words::bytes;
use kernel::mm::page_state::Use;
use kernel::mm::poison::Poison;
use std::fmt;

impl fmt::Display for Pointed {
    /// `dead000000000108, LIST_POISON1 + 0x8: the next pointer of a deleted list entry`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.value;
        match &self.is {
            PointerIs::Null => f.write_str("NULL"),
            PointerIs::Small => write!(f, "{value:#x}, no address"),
            PointerIs::Mapped => write!(f, "{value:016x}"),
            is => write!(f, "{value:016x}, {is}"),
        }
    }
}

impl fmt::Display for PointerIs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PointerIs::Null => f.write_str("NULL"),
            PointerIs::BelowNull { less, error: None } => write!(f, "NULL - {less:#x}"),
            PointerIs::BelowNull { less, error: Some(error) } => {
                write!(f, "NULL - {less:#x} (or ERR_PTR({error}))")
            }
            PointerIs::Poison { poison, off: 0 } => f.write_str(&self::poison(*poison)),
            PointerIs::Poison { poison, off } => {
                let sign = if *off < 0 { '-' } else { '+' };
                let off = off.unsigned_abs();
                let (name, what) = poisoned(*poison);
                match name {
                    Some(name) => write!(f, "{name} {sign} {off:#x}: {what}"),
                    None => write!(f, "{what} {sign} {off:#x}"),
                }
            }
            PointerIs::Error(name) => {
                write!(f, "ERR_PTR({name}): an error number where a pointer should be")
            }
            PointerIs::Small => f.write_str("no address"),
            PointerIs::Text(text) => write!(f, "the text \"{text}\" and no address"),
            PointerIs::NonCanonical { flipped } => {
                f.write_str("which is no address (non-canonical)")?;
                let Some((bit, at, what)) = flipped else { return Ok(()) };
                write!(f, "; bit {bit} apart from {at:016x}")?;
                what.iter().try_for_each(|what| write!(f, " ({what})"))
            }
            PointerIs::User => f.write_str("a user address"),
            PointerIs::Of(located) => located.fmt(f),
            PointerIs::Mapped => f.write_str("mapped memory"),
            PointerIs::Unreadable(why) => f.write_str(why),
            PointerIs::NoModule(last) => {
                f.write_str("in the area of modules, where none is now")?;
                last.iter().try_for_each(|name| write!(f, "; unloaded last: {name}"))
            }
            PointerIs::Unmapped { behind: true } => {
                f.write_str("the first page behind a mapped area of vmalloc")
            }
            PointerIs::Unmapped { behind: false } => {
                f.write_str("in the vmalloc area, where nothing is mapped")
            }
        }
    }
}

/// `LIST_POISON1: the next pointer of a deleted list entry`
pub(super) fn poison(poison: Poison) -> String {
    match poisoned(poison) {
        (Some(name), what) => format!("{name}: {what}"),
        (None, what) => what.to_owned(),
    }
}

/// The kernel's name of a poison for addresses, and what it is written for.
const fn poisoned(poison: Poison) -> (Option<&'static str>, &'static str) {
    let what = match poison {
        Poison::Free => "freed slab memory (POISON_FREE, 6b)",
        Poison::InUse => "slab memory never written (POISON_INUSE, 5a)",
        Poison::List1 => "the next pointer of a deleted list entry",
        Poison::List2 => "the prev pointer of a deleted list entry",
        Poison::List2Old => "the prev pointer of a deleted list entry (before 4.15)",
        Poison::TailMapping => "the mapping of a compound page's later page",
        Poison::TimerStatic => "the list pointer of a timer that is not queued",
        Poison::InitMemory => "freed init memory (POISON_FREE_INITMEM, cc)",
        Poison::Page => "poisoned pages (PAGE_POISON, aa)",
        Poison::End => "the end of freed slab memory (POISON_END, a5)",
        Poison::RedZone => "slab red zone of a free object (bb)",
    };
    (poison.constant(), what)
}

impl fmt::Display for Located {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Located::Symbol { name, module, offset } => {
                f.write_str(name)?;
                if *offset != 0 {
                    write!(f, "+{offset:#x}")?;
                }
                module.iter().try_for_each(|module| write!(f, " [{module}]"))
            }
            Located::Task(who) => write!(f, "the task {who}"),
            Located::Object(met) => met.fmt(f),
            Located::Cache(cache) => write!(f, "in slab cache {cache}"),
            Located::Kfence => f.write_str("in KFENCE's pool of guarded objects"),
            Located::Page { used, begin } => page(f, used, *begin),
            Located::Area { start, size, behind, by } => {
                match behind {
                    None => f.write_str("in")?,
                    Some(n) => f.write_str(&behind_end(*n))?,
                }
                write!(f, " an area of vmalloc, {size} bytes from {start:016x}")?;
                by.iter().try_for_each(|by| write!(f, ", mapped by {by}"))
            }
            Located::Stack { who, behind: None } => write!(f, "on the kernel stack of {who}"),
            Located::Stack { who, behind: Some(n) } => {
                write!(f, "{} the kernel stack of {who}", behind_end(*n))
            }
        }
    }
}

fn behind_end(n: u64) -> String {
    match n {
        0 => "directly behind".to_owned(),
        n => format!("{} behind the end of", bytes(n)),
    }
}

/// `in a free page (4 free pages from ff11000012344000)`
fn page(f: &mut fmt::Formatter<'_>, used: &Use, begin: Option<u64>) -> fmt::Result {
    match used {
        Use::Free { order: 0, .. } => f.write_str("in a free page"),
        Use::Free { order, .. } => {
            write!(
                f,
                "in a free page ({} free pages",
                1_u64.checked_shl(u32::try_from(*order).unwrap_or(64)).unwrap_or(0)
            )?;
            begin.iter().try_for_each(|at| write!(f, " from {at:016x}"))?;
            f.write_str(")")
        }
        Use::FreeOfCpu(cpu) => write!(f, "in a free page (in CPU {cpu}'s list)"),
        Use::Table => f.write_str("in a page of page tables"),
        Use::Typed(name) if name == "unaccepted" => {
            f.write_str("in free memory that the machine has not accepted yet")
        }
        Use::Typed(name) => write!(f, "in a page of type {name}"),
        Use::Broken => f.write_str("in a page taken out of use after a memory error"),
        Use::Reserved => f.write_str("in a reserved page"),
        Use::File { number, system, .. } => {
            let system = system.as_deref().unwrap_or("a file system that is not in the dump");
            write!(f, "in the page cache, of inode {number} of {system}")
        }
        Use::Anonymous => f.write_str("in a process's anonymous memory"),
        Use::InUse => f.write_str("in a page in use"),
    }
}
