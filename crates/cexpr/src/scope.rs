//! What an expression may name: the seam between this crate and a session.

use crate::value::Value;
use base::{VirtAddr, VirtRead};
use debuginfo::types::{Scope as TypeScope, TypeRef, Types};
use std::sync::Arc;

/// A symbol found by name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SymbolInfo {
    /// Its address; of a per-CPU variable, the address before a CPU's offset is added.
    pub addr: VirtAddr,
    /// The type of the variable or function, where known.
    pub ty: Option<TypeRef>,
    /// The module, `None` for the kernel.
    pub module: Option<Arc<str>>,
    /// True for code.
    pub text: bool,
    /// True for a per-CPU variable.
    pub per_cpu: bool,
}

/// The symbol that holds an address.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SymbolAt {
    /// Its name.
    pub name: Arc<str>,
    /// Bytes from its start.
    pub offset: u64,
    /// The module, `None` for the kernel.
    pub module: Option<Arc<str>>,
}

/// A value printed before.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum History {
    /// `$7`: the one with this number.
    Number(u64),
    /// `$` is 0, `$$` is 1, `$$n` is n: counted back from the last.
    Back(u64),
}

/// What an expression may name. Everything but types and memory has a default of "nothing".
pub trait Scope {
    /// The types of the session.
    fn types(&self) -> &Types;
    /// The memory that pointers point into.
    fn memory(&self) -> &dyn VirtRead;
    /// Whose types are preferred where a name has several definitions.
    fn prefer(&self) -> Option<TypeScope> {
        None
    }
    /// The symbols of this name; `module:name` asks for one module's. The preferred ones first.
    fn symbol(&self, _name: &str) -> Vec<SymbolInfo> {
        Vec::new()
    }
    /// The symbol that holds an address. `None` for an address past the end of the symbol before it
    /// and for data symbols of size zero: gdb shows neither.
    fn symbol_at(&self, _at: VirtAddr) -> Option<SymbolAt> {
        None
    }
    /// The value of a register of the chosen frame: `None` where no register has that name,
    /// `Some(Err(why))` where its value is not known.
    fn register(&self, _name: &str) -> Option<Result<u64, String>> {
        None
    }
    /// A variable of the user's own (`$name`), where no register has that name.
    fn convenience(&self, _name: &str) -> Option<Value> {
        None
    }
    /// The type of a register, where it is not a plain number: gdb gives the program counter
    /// `void (*)()` and the stack pointer `void *`.
    fn register_type(&self, _name: &str) -> Option<TypeRef> {
        None
    }
    /// A local variable or argument of the chosen frame.
    fn local(&self, _name: &str) -> Option<Value> {
        None
    }
    /// The offset of a CPU's per-CPU area.
    ///
    /// # Errors
    /// There is no such CPU, or its area is not known; in words.
    fn per_cpu_offset(&self, _cpu: u64) -> Result<u64, String> {
        Err("per-CPU offsets are not known".into())
    }
    /// The CPU of the chosen context, for `this_cpu_ptr`.
    fn cpu(&self) -> Option<u64> {
        None
    }
    /// The size of a page as a shift, for the macros `PAGE_SIZE` and `PAGE_SHIFT`; at most 62.
    fn page_shift(&self) -> Option<u32> {
        None
    }
    /// A value printed before.
    fn history(&self, _which: History) -> Option<Value> {
        None
    }
    /// A function of the session's own (`page_to_pfn` ...): `None` where it has none of the name.
    fn call(&self, _name: &str, _args: &[Value]) -> Option<Result<Value, String>> {
        None
    }
    /// A pointer that the sources have as a macro of this name (`LIST_POISON1`).
    fn pointer_constant(&self, _name: &str) -> Option<u64> {
        None
    }
    /// Symbol names like this one, for messages; `None` where there is no table of symbols.
    fn near_symbols(&self, _name: &str) -> Option<Vec<String>> {
        None
    }
}
