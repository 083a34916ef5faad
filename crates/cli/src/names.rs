//! Names from the dump for the Tab key.

use debuginfo::types::{Space, Type, TypeRef};
use kernel::Session;
use shell::Completer;

/// Members behind more pointers, typedefs and arrays than this are not offered.
const DEPTH: u32 = 32;

/// Looks names up in a session.
pub(crate) struct Names<'s>(pub(crate) &'s Session);

impl Completer for Names<'_> {
    fn symbols(&self, prefix: &str, max: usize) -> Vec<String> {
        let tables = [&*self.0.kernel_symbols().table, self.0.module_symbols()];
        let found = tables.into_iter().flat_map(|t| t.with_prefix(prefix));
        found.take(max).map(|s| s.name.to_owned()).collect()
    }

    fn types(&self, prefix: &str, max: usize) -> Vec<String> {
        let mut out = Vec::new();
        for space in [Space::Struct, Space::Union, Space::Enum, Space::Typedef] {
            self.0.types().names(space, &mut |name, _| {
                if name.starts_with(prefix) {
                    out.push(name.to_owned());
                }
                out.len() < max
            });
        }
        out
    }

    fn modules(&self, prefix: &str) -> Vec<String> {
        let all = self.0.modules().iter().map(|module| module.name.clone());
        all.filter(|name| name.starts_with(prefix)).collect()
    }

    fn pids(&self, prefix: &str, max: usize) -> Vec<String> {
        let all = self.0.tasks().all.iter().map(|task| task.pid.to_string());
        all.filter(|pid| pid.starts_with(prefix)).take(max).collect()
    }

    fn task_names(&self, prefix: &str) -> Vec<String> {
        let all = self.0.tasks().all.iter().map(|task| task.comm.clone());
        // an empty word would be any of them
        let mut out: Vec<String> =
            all.filter(|comm| !prefix.is_empty() && comm.starts_with(prefix)).collect();
        out.sort();
        out.dedup();
        out
    }

    fn members(&self, of: &str, prefix: &str) -> Vec<String> {
        let Some(at) = self.type_of(of) else { return Vec::new() };
        let mut out = Vec::new();
        self.collect(at, prefix, 0, &mut out);
        out
    }
}

impl Names<'_> {
    /// The type of `task_struct.mm`, `init_task.mm`, `((struct page *)0x…)`: its first name is a type or a
    /// variable, the further ones are members.
    fn type_of(&self, text: &str) -> Option<TypeRef> {
        let types = self.0.types();
        let is_name = |c: char| c.is_alphanumeric() || c == '_';
        let skip = |w: &&str| {
            !w.is_empty() && !matches!(*w, "struct" | "union") && !w.starts_with(|c: char| c.is_ascii_digit())
        };
        let mut words = text.split(|c| !is_name(c)).filter(skip);
        let first = words.next()?;
        let spaces = [Space::Struct, Space::Union, Space::Variable, Space::Typedef];
        let mut at = spaces.into_iter().find_map(|space| types.first(None, space, first))?;
        for member in words {
            at = types.member(self.compound(at)?, member).ok()??.ty;
        }
        self.compound(at)
    }

    /// The struct behind typedefs, qualifiers, pointers and arrays.
    fn compound(&self, at: TypeRef) -> Option<TypeRef> {
        let mut at = at;
        for _ in 0..DEPTH {
            let (resolved, ty) = self.0.types().resolve(at).ok()?;
            at = match &*ty {
                Type::Compound { .. } => return Some(resolved),
                Type::Pointer { to } => *to,
                Type::Array { elem, .. } => *elem,
                _ => return None,
            };
        }
        None
    }

    /// Members, those of anonymous structs as well, since C names them without one.
    fn collect(&self, at: TypeRef, prefix: &str, depth: u32, out: &mut Vec<String>) {
        let Ok((_, ty)) = self.0.types().resolve(at) else { return };
        let Type::Compound { members, .. } = &*ty else { return };
        for member in members.iter() {
            match &member.name {
                Some(name) if name.starts_with(prefix) => out.push(name.to_string()),
                Some(_) => {}
                None if depth < DEPTH => self.collect(member.ty, prefix, depth + 1, out),
                None => {}
            }
        }
    }
}
