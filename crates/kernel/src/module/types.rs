//! Types of modules: the split BTF that the kernel keeps of each.

use super::Module;
use crate::session::{Fact, KernelBtf, Session};
use base::VirtAddr;
use debuginfo::Blob;
use debuginfo::btf::Btf;
use debuginfo::types::Scope;
use rustc_hash::FxHashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// The modules whose types were asked for: whether they have some, or what is wrong with them.
#[derive(Default)]
struct ModuleTypes(Mutex<FxHashMap<VirtAddr, Result<bool, String>>>);

impl Fact for ModuleTypes {
    // types that were added stay
    const STAYS: bool = true;
    fn read(_: &Session) -> Self {
        Self::default()
    }
}

impl Session {
    /// Makes the types of a module known: its split BTF in the dump. Once for each module; false
    /// where there are none.
    ///
    /// # Errors
    /// Its BTF is not in the dump, or damaged; in words.
    pub fn load_module_types(&self, module: &Module) -> Result<bool, String> {
        let mut done = self.fact::<ModuleTypes>().0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = done.get(&module.at) {
            return known.clone();
        }
        let made = match self.kernel_btf() {
            Some(kernel) => add(self, kernel, &module.name, module.at),
            None => Ok(false),
        };
        if made == Ok(true) {
            self.forget_bindings();
        }
        // what was read while reading failed or was stopped is looked at again by the next command
        if made == Ok(true) || !self.is_disturbed() {
            done.insert(module.at, made.clone());
        }
        made
    }
}

/// Adds the split BTF of a module to the session's types. Returns false where the dump has none.
fn add(s: &Session, kernel: &KernelBtf, name: &str, at: VirtAddr) -> Result<bool, String> {
    let Some(bytes) = super::btf(s, at).map_err(|e| e.to_string())? else { return Ok(false) };
    let describe = format!("BTF of module {name} in the dump");
    let btf =
        Btf::parse_split(Blob::new(bytes), kernel.btf.clone()).map_err(|e| format!("{describe}: {e}"))?;
    let btf = Arc::new(btf);
    s.types()
        .add(|id| Ok::<_, String>(btf.source(id, Some(kernel.source), Scope::Module(name.into()), describe)))
        .map(|_| true)
}
