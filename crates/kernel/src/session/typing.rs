//! The session's types and bindings. Where types come from, and what they are worth beside memory, is told by a [`Typing`].

use super::Session;
use super::facts::Step;
use crate::bind::{Binding, Layouts};
use base::Kept;
use debuginfo::btf::Btf;
use debuginfo::dwarf::DwarfFile;
use debuginfo::types::{SourceId, Types};
use rustc_hash::FxHashMap;
use std::any::{Any, TypeId};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

/// Where types come from. It reads facts of the kernel, which rest on the session: so the session is given one.
pub(crate) trait Typing: Send + Sync {
    /// The types in reach without a search.
    fn load(&self, s: &Session) -> Loaded;
    /// Adds structs whose shape memory shows, for a kernel without types. False where that is to be tried again.
    fn infer(&self, s: &Session, types: &Types) -> bool;
    /// Corrects what memory contradicts, and says what, a sentence each.
    fn correct(&self, s: &Session, types: &Types) -> Vec<String>;
}

/// The kernel's BTF with its place among the sources, for the modules' to build on.
#[derive(Clone)]
pub struct KernelBtf {
    /// The types.
    pub btf: Arc<Btf>,
    /// Their source.
    pub source: SourceId,
}

/// Types, and the kernel's BTF and DWARF among them.
pub(crate) struct Loaded {
    pub(crate) types: Types,
    /// vmlinux's DWARF, with its place among the sources; or why it has none.
    pub(crate) dwarf: Option<Result<(Arc<DwarfFile>, SourceId), String>>,
    pub(crate) btf: Option<KernelBtf>,
    /// Why the dump's BTF, which should be there, cannot be read.
    pub(crate) btf_lost: Option<String>,
    /// Neither is there: what is known of structs has to be inferred.
    pub(crate) untyped: bool,
    pub(crate) problems: Vec<String>,
}

/// Types and bindings so far.
pub(super) struct Known {
    typing: &'static dyn Typing,
    loaded: Kept<Loaded>,
    inferred: Step,
    checked: Step,
    corrections: OnceLock<Vec<String>>,
    bindings: RwLock<FxHashMap<TypeId, Arc<dyn Any + Send + Sync>>>,
}

impl Known {
    pub(super) fn new(typing: &'static dyn Typing) -> Self {
        Self {
            typing,
            loaded: Kept::new(),
            inferred: Step::default(),
            checked: Step::default(),
            corrections: OnceLock::new(),
            bindings: RwLock::default(),
        }
    }
}

impl Session {
    /// All types in reach without a search: the kernel's BTF, and a given vmlinux's DWARF. Where
    /// neither is there, the few structs whose shape could be inferred.
    pub fn types(&self) -> &Types {
        let loaded = self.loaded();
        if loaded.untyped {
            // what is inferred is read with no types at all: this function is asked again meanwhile
            self.types.inferred.once(self.cancel().work(), || {
                let is_done = self.types.typing.infer(self, &loaded.types);
                self.renew();
                is_done
            });
        }
        if loaded.btf.is_none() {
            self.check_types();
        }
        &loaded.types
    }

    /// Checks the types against memory, once. BTF is checked when tasks are first asked for, as it cannot be made for a
    /// kernel whose structs gcc shuffled unless that is asked for expressly; DWARF before its first answer.
    pub fn check_types(&self) {
        self.types.checked.once(self.cancel().work(), || {
            let loaded = self.loaded();
            let notes =
                if loaded.untyped { Vec::new() } else { self.types.typing.correct(self, &loaded.types) };
            if !notes.is_empty() || !loaded.types.doubts().is_empty() {
                self.renew();
            }
            // what could not be read now may be by the next command
            let is_done = !self.is_disturbed();
            if is_done {
                let _ = self.types.corrections.set(notes);
            }
            is_done
        });
    }

    /// What memory corrected, a sentence each. Empty before the types were used.
    pub(crate) fn corrections(&self) -> &[String] {
        self.types.corrections.get().map_or(&[], Vec::as_slice)
    }

    pub(crate) fn loaded(&self) -> &Loaded {
        self.keep(&self.types.loaded, || {
            // where this is not the first time, bindings rest on types that were not whole
            self.forget_bindings();
            self.types.typing.load(self)
        })
    }
    /// The same where they are loaded.
    pub(crate) fn loaded_at_hand(&self) -> Option<&Loaded> {
        self.types.loaded.made()
    }
    /// The kernel's BTF, where there is some.
    pub fn kernel_btf(&self) -> Option<&KernelBtf> {
        self.loaded().btf.as_ref()
    }
    /// Why types that ought to be there are not.
    pub fn type_problems(&self) -> &[String] {
        &self.loaded().problems
    }

    /// The types that facts and bindings rest on have changed.
    fn renew(&self) {
        self.forget_bindings();
        self.facts.begin_epoch();
    }

    /// Bindings are resolved again: types were added.
    pub(crate) fn forget_bindings(&self) {
        self.types.bindings.write().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// The binding of a kernel struct, resolved on first use.
    pub fn bind<B: Binding>(&self) -> Arc<B> {
        let key = TypeId::of::<B>();
        let read = self.types.bindings.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(hit) = read.get(&key).cloned().and_then(|b| b.downcast::<B>().ok()) {
            return hit;
        }
        drop(read);
        let made = Arc::new(B::bind(&Layouts { types: self.types(), hints: self }));
        if self.is_disturbed() {
            return made;
        }
        let mut write = self.types.bindings.write().unwrap_or_else(PoisonError::into_inner);
        write.insert(key, made.clone());
        made
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::session;
    use testkit::kernel::Kernel;

    bind! {
        struct Thing("thing") { id: "id", gone: "gone" }
    }

    fn kernel() -> Kernel {
        let mut k = Kernel::new();
        k.structure("thing", 16, &[("id", 8, "u32")]);
        k
    }

    #[test]
    fn a_binding_is_made_once_and_again_where_types_change() {
        let s = session(&kernel());
        let first = s.bind::<Thing>();
        assert!(Arc::ptr_eq(&first, &s.bind::<Thing>()));
        assert_eq!((first.id.offset().unwrap(), first.gone.exists(), s.type_problems().len()), (8, false, 0));
        s.renew();
        let second = s.bind::<Thing>();
        assert!(!Arc::ptr_eq(&first, &second));
        assert_eq!(
            first.id.offset().unwrap(),
            second.id.offset().unwrap(),
            "who holds the old one may go on"
        );
    }

    #[test]
    fn what_was_made_while_work_was_stopped_is_not_kept() {
        let s = session(&kernel());
        s.types();
        s.cancel().cancel();
        let first = s.bind::<Thing>();
        assert!(!Arc::ptr_eq(&first, &s.bind::<Thing>()));
        s.cancel().go_on();
        let kept = s.bind::<Thing>();
        assert!(Arc::ptr_eq(&kept, &s.bind::<Thing>()));
    }

    #[test]
    fn a_kernel_without_types_says_so_of_each_member() {
        let mut k = kernel();
        k.without_btf();
        let s = session(&k);
        assert!(s.kernel_btf().is_none() && s.loaded().untyped);
        let why = s.bind::<Thing>().id.offset().unwrap_err();
        assert!(matches!(why, crate::KernelError::NoType("thing")), "{why}");
        assert!(session(&kernel()).kernel_btf().is_some());
    }
}
