//! gdb's `ptype /o`: the offset and size of each member, nested structs written out, holes, and total sizes.
//!
//! A member of a named struct type is written out too; one behind a typedef, in an array or behind a pointer is not. gdb tells
//! "padding" at the end of unions by an offset that is not theirs: unions have none here.

use crate::error::ErrorKind;
use debuginfo::types::{CompoundKind, Member, Type, TypeRef, Types};

/// Definitions within definitions.
const MAX_DEPTH: usize = 32;
/// Lines of one layout.
const MAX_LINES: usize = 100_000;
/// What stands in the place of offset and size where there are none.
const ROOM: usize = 27;

/// The lines of `ptype /o`; none for what is no struct or union.
///
/// # Errors
/// A type on the way cannot be read.
pub fn sizes_text(types: &Types, ty: TypeRef) -> Result<Option<String>, ErrorKind> {
    let at = types.resolve(ty)?.0;
    if !matches!(&*types.get(at)?, Type::Compound { .. }) {
        return Ok(None);
    }
    // what was inferred, or is contradicted, has members that nobody knows: nothing is a hole there
    let is_whole = !types.is_guess(at) && !types.is_corrected(at);
    let mut out = Sizes { types, is_whole, lines: Vec::new() };
    let open = types.name(at).replacen(" {...}", "", 1);
    out.lines.push(format!("/* offset      |    size */  type = {open} {{"));
    out.members(at, 0, 1, true)?;
    out.lines.push(format!("{:ROOM$}  }}", ""));
    Ok(Some(out.lines.join("\n")))
}

struct Sizes<'t> {
    types: &'t Types,
    is_whole: bool,
    lines: Vec<String>,
}

impl Sizes<'_> {
    /// The members of a struct that begins `base` bits behind the outermost one. `written` is false in an array or behind a
    /// pointer, where named structs are not written out and no size stands at the end.
    fn members(&mut self, at: TypeRef, base: u64, depth: usize, written: bool) -> Result<(), ErrorKind> {
        let types = self.types;
        let indent = depth * 4;
        let found = types.get(at)?;
        let Type::Compound { kind, members, .. } = &*found else { return Ok(()) };
        let is_union = *kind == CompoundKind::Union;
        if members.is_empty() {
            self.lines.push(format!("{:ROOM$}{:indent$}<no data fields>", "", ""));
        }
        // where the last member ended, in bits; none where that is not known
        let mut end = None;
        for member in members.iter().filter(|m| m.name.is_some() || m.bit_size.is_none()) {
            if depth > MAX_DEPTH || self.lines.len() >= MAX_LINES {
                self.lines.push(format!("{:ROOM$}{:indent$}...", "", ""));
                return Ok(());
            }
            let size = types.size_of(member.ty).ok();
            if !is_union {
                self.hole(end, member.bit_offset, "hole");
                let bits = member.bit_size.map(u64::from).or_else(|| size?.checked_mul(8));
                end = bits.and_then(|bits| member.bit_offset.checked_add(bits));
            }
            self.member(member, is_union, size, base, depth, written)?;
        }
        if written {
            let size = types.size_of(at).ok().filter(|_| self.is_whole);
            if let Some(bits) = size.and_then(|size| size.checked_mul(8)).filter(|_| !is_union) {
                self.hole(end, bits, "padding");
            }
            self.lines.push(String::new());
            let size = size.map_or_else(|| "not known".to_owned(), |size| format!("{size:>4}"));
            self.lines.push(format!("{:ROOM$}{:indent$}/* total size (bytes): {size} */", "", ""));
        }
        Ok(())
    }

    fn member(
        &mut self,
        m: &Member,
        is_union: bool,
        size: Option<u64>,
        base: u64,
        depth: usize,
        written: bool,
    ) -> Result<(), ErrorKind> {
        let types = self.types;
        let size = size.map_or_else(|| "?".to_owned(), |size| size.to_string());
        let place = base.saturating_add(m.bit_offset);
        let cell = match (is_union, m.bit_size) {
            (true, _) => format!("/*               {size:>7} */"),
            (false, Some(_)) => format!("/* {:>6}:{:>2}   |  {size:>6} */", place / 8, place % 8),
            (false, None) => format!("/* {:>6}      |  {size:>6} */", place / 8),
        };
        let name = m.name.as_deref().unwrap_or("");
        let indent = depth * 4;
        match self.body(m.ty, written) {
            Some((body, is_direct)) => {
                let full = types.declare(m.ty, name);
                let (open, after) = match full.split_once(" {...}") {
                    Some((open, after)) => (open.to_owned(), after.to_owned()),
                    None => {
                        (types.name(m.ty), if name.is_empty() { String::new() } else { format!(" {name}") })
                    }
                };
                self.lines.push(format!("{cell}{:indent$}{open} {{", ""));
                let from = if is_direct { place } else { 0 };
                self.members(body, from, depth + 1, written && is_direct)?;
                self.lines.push(format!("{:ROOM$}{:indent$}}}{after};", "", ""));
            }
            None => {
                let declared = crate::layout::with_enum_body(types, m.ty, types.declare(m.ty, name));
                let width = m.bit_size.map(|bits| format!(" : {bits}")).unwrap_or_default();
                self.lines.push(format!("{cell}{:indent$}{declared}{width};", ""));
            }
        }
        Ok(())
    }

    /// The struct whose members are written out at a member, and whether it is the member's own type.
    fn body(&self, ty: TypeRef, written: bool) -> Option<(TypeRef, bool)> {
        let mut at = ty;
        for _ in 0..MAX_DEPTH {
            match &*self.types.get(at).ok()? {
                Type::Qualified { to, .. } => at = *to,
                Type::Compound { name, .. } if name.is_none() || written => return Some((at, true)),
                _ => break,
            }
        }
        crate::layout::unnamed(self.types, ty).map(|body| (body, false))
    }

    fn hole(&mut self, end: Option<u64>, next: u64, what: &str) {
        let Some(bits) = end.and_then(|end| next.checked_sub(end)).filter(|_| self.is_whole) else { return };
        if bits % 8 > 0 {
            self.lines.push(format!("/* XXX {:>2}-bit {what:<7}    */", bits % 8));
        }
        if bits / 8 > 0 {
            self.lines.push(format!("/* XXX {:>2}-byte {what:<7}   */", bits / 8));
        }
    }
}
