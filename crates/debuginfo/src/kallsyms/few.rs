//! A few symbols out of kallsyms, for those who need no more: a table of all costs many times as much.

use super::names::{NameBlock, Tokens, can_begin};
use super::values::Values;
use super::{Addresses, KallsymsError};
use base::{VirtAddr, VirtRead};

/// The addresses of the symbols of those names, as a table of all would give them: of several the global one, else
/// the first. `_text` or `_stext` must be among them and be there, as it tells that the arrays are read rightly.
///
/// # Errors
/// When an array is not in the dump, or they do not agree with one another.
pub fn few(
    mem: &dyn VirtRead,
    at: &Addresses,
    wanted: &[&str],
) -> Result<Vec<Option<VirtAddr>>, KallsymsError> {
    let count = mem.u32(at.num_syms).map_err(|f| KallsymsError::fault("kallsyms_num_syms", f))?;
    let block = NameBlock::read(mem, at.names, count)?;
    let tokens = Tokens::read(mem, at.token_table, at.token_index)?;
    let values = Values::read(mem, at, count)?;
    // what a name can begin with
    let starts = tokens.starts(wanted);
    let mut found: Vec<Option<(u8, u64)>> = vec![None; wanted.len()];
    let mut name = Vec::new();
    for (index, packed) in block.each().take(count as usize).enumerate() {
        let packed = packed.ok_or(KallsymsError::NamesEnd { index })?;
        if !packed.first().and_then(|first| starts.get(usize::from(*first))).is_some_and(|can| *can) {
            continue;
        }
        // most names differ in their first characters: they need not be unpacked any further
        let (head, tail) = packed.split_at(packed.len().min(2));
        name.clear();
        tokens.expand(head, &mut name);
        if !can_begin(wanted, &name) {
            continue;
        }
        tokens.expand(tail, &mut name);
        let Some((&kind, name)) = name.split_first() else { continue };
        let Some(which) = wanted.iter().position(|wanted| wanted.as_bytes() == name) else { continue };
        let (Some(slot), Some(addr)) = (found.get_mut(which), values.get(index)) else { continue };
        if slot.is_none_or(|(before, _)| kind.is_ascii_uppercase() && !before.is_ascii_uppercase()) {
            *slot = Some((kind, addr));
        }
    }
    let addrs: Vec<_> = found.iter().map(|found| found.map(|(_, addr)| VirtAddr(addr))).collect();
    let text = |name| wanted.iter().position(|w| *w == name).and_then(|i| addrs.get(i).copied().flatten());
    match text("_text").or_else(|| text("_stext")) {
        Some(text) if text.in_upper_half() => Ok(addrs),
        found => Err(KallsymsError::NoText { found }),
    }
}
