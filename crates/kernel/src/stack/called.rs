//! Whether the call in a frame is the one that entered the function of the frame further in. A function that ends in a jump to
//! another leaves no frame: then the call was of a function that is not on the stack, and what it passed is not what the frame's
//! function was given.
//!
//! **Invariant:** what the machine code does not prove is not said.

use crate::session::Session;
use base::VirtAddr;
use unwind::Frame;

/// How a function was entered, as the call in the next frame has it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Entered {
    /// The call names it, or one that does nothing but jump to it.
    Directly,
    /// The call is by a pointer, which has to be proven to be it ([`leads_to`]).
    ByPointer,
}

/// How the function that begins at `entry` was entered by the call in the frame `caller`; `None` where that frame is no call or
/// is not certain, and where its call is of another function.
#[must_use]
pub fn entered(s: &Session, entry: VirtAddr, caller: &Frame) -> Option<Entered> {
    if caller.how.is_guess() || !caller.is_call || caller.saved.is_some() {
        return None;
    }
    match s.arch().frames.call_target(s.mem(), caller.pc) {
        Some(target) if leads_to(s, target, entry) => Some(Entered::Directly),
        Some(target) if thunk_register(s, target).is_some() => Some(Entered::ByPointer),
        Some(_) => None,
        None => Some(Entered::ByPointer),
    }
}

/// True where a call of `target` enters the function that begins at `entry`.
#[must_use]
pub fn leads_to(s: &Session, target: VirtAddr, entry: VirtAddr) -> bool {
    target == entry || s.arch().frames.jumps_to(s.mem(), target) == Some(entry)
}

/// Where the function begins that an address is of, also where that is in a part which the compiler moved away (`.cold`).
#[must_use]
pub fn entry_of(s: &Session, at: VirtAddr) -> Option<VirtAddr> {
    let symbol = s.locate(at)?.symbol;
    match symbol.name.split_once(".cold") {
        Some((main, _)) => only_named(s, main, symbol.module),
        None => Some(symbol.addr),
    }
}

/// The only function of a name in the kernel or a module.
#[must_use]
pub fn only_named(s: &Session, name: &str, module: Option<&str>) -> Option<VirtAddr> {
    let all = s.named(name);
    let mut found = all.iter().filter(|sym| sym.module == module);
    let first = found.next()?.addr;
    found.next().is_none().then_some(first)
}

/// The register that a retpoline's thunk jumps to.
#[must_use]
pub fn thunk_register(s: &Session, target: VirtAddr) -> Option<usize> {
    let table = &s.kernel_symbols().table;
    let register = table.exactly_at(target).find_map(|symbol| {
        ["__x86_indirect_thunk_", "__x86_indirect_call_thunk_"]
            .iter()
            .find_map(|p| symbol.name.strip_prefix(p))
            .filter(|r| *r != "array")
    })?;
    s.arch().reg_set().number(register)
}

#[cfg(test)]
#[path = "called_tests.rs"]
mod tests;
