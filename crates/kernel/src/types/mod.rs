//! Where a session's types come from: BTF first, which is small and complete, then DWARF.

mod checked;
#[cfg(test)]
mod evidence_tests;
mod infer;

use crate::opening::image_scan::{self, MAX_BTF};
use crate::opening::open::Build;
use crate::session::{KernelBtf, Loaded, Session, Typing};
use base::VirtAddr;
use debuginfo::Blob;
use debuginfo::btf::Btf;
use debuginfo::dwarf::DwarfFile;
use debuginfo::elf::Placement;
use debuginfo::types::{Scope, SourceId, TypeRef, Types};
use infer::Inferred;
use std::sync::Arc;

const FROM_DUMP: &str = "BTF in the dump";

/// BTF and DWARF of this kernel, held against its memory.
pub(crate) struct OfThisKernel;

impl Typing for OfThisKernel {
    fn load(&self, s: &Session) -> Loaded {
        load(s)
    }
    fn infer(&self, s: &Session, types: &Types) -> bool {
        let structs = Inferred::structs(s);
        if s.is_disturbed() {
            // what is missing now may be had by the next command
            return false;
        }
        if let Some(structs) = structs {
            let added = types.add(|id| Ok::<_, ()>(Inferred::source(id, structs)));
            debug_assert!(added.is_ok());
        }
        true
    }
    fn correct(&self, s: &Session, types: &Types) -> Vec<String> {
        checked::correct(s, types)
    }
}

fn load(s: &Session) -> Loaded {
    let mut out = Loaded {
        types: Types::new(),
        dwarf: None,
        btf: None,
        btf_lost: None,
        untyped: false,
        problems: Vec::new(),
    };
    let btf = if s.opened().ignore_btf { Ok(None) } else { kernel_btf(s) };
    match btf {
        Ok(Some((btf, from))) => {
            let source = out
                .types
                .add(|id| Ok::<_, ()>(btf.source(id, None, Scope::Kernel, from)))
                .unwrap_or(SourceId(0));
            out.btf = Some(KernelBtf { btf, source });
        }
        Ok(None) => {}
        Err(e) => {
            out.btf_lost = Some(e.clone());
            out.problems.push(e);
        }
    }
    // after BTF: it answers what BTF does not know, and all where there is none
    if let Some(file) = s.vmlinux() {
        let opened =
            DwarfFile::open_with(Arc::clone(file), &Placement::slid(s.boot().slide()), &|name, id| {
                s.opened().finder.as_ref()?.supplement(name, id)
            });
        out.problems.extend(opened.as_ref().err().map(ToString::to_string));
        let opened = opened.map_err(|e| e.to_string()).and_then(|dwarf| {
            let dwarf = Arc::new(dwarf);
            let why = (s.opened().build == Build::Foreign).then(|| contradiction(s, &dwarf)).flatten();
            out.problems.extend(why.clone());
            why.map_or(Ok(dwarf), Err)
        });
        out.dwarf = Some(opened.map(|dwarf| {
            let source = out.types.add(|id| Ok::<_, ()>(dwarf.source(id, Scope::Kernel)));
            (dwarf, source.unwrap_or(SourceId(0)))
        }));
    }
    out.untyped = out.btf.is_none() && !matches!(out.dwarf, Some(Ok(_)));
    if s.opened().ignore_btf && out.untyped {
        out.problems.push("BTF of the dump, where there is some, is not used, as --ignore-btf says".into());
    }
    out
}

/// Why the types of another build are none of this kernel's.
fn contradiction(s: &Session, dwarf: &Arc<DwarfFile>) -> Option<String> {
    let types = Types::new();
    types.add(|id| Ok::<_, ()>(dwarf.source(id, Scope::Kernel))).ok()?;
    let wrong = checked::contradicted(s, &types);
    (!wrong.is_empty()).then(|| {
        let names = wrong.join(", ");
        format!("memory contradicts the types of the vmlinux of another build (struct {names}): none of them is used")
    })
}

/// Where memory has to show the members of tasks and the first of these is not in the dump: what is not known for that reason
/// is nobody's mistake.
fn unread_init_task(s: &Session, by_memory: bool) -> Option<String> {
    let at = s.symbol("init_task").filter(|_| by_memory)?;
    let why = s.mem().u64(at).err()?;
    Some(format!(
        "init_task, by which memory shows where members of struct task_struct are, is not in the dump ({why}): what it would \
         show is not known"
    ))
}

impl Session {
    /// What the types are worth beside memory, where that is not all: a sentence each. Empty before they were used.
    #[must_use]
    pub fn type_notes(&self) -> Vec<String> {
        let mut notes = self.corrections().to_vec();
        let loaded = self.loaded_at_hand();
        notes.extend(loaded.and_then(|loaded| unread_init_task(self, loaded.untyped || !notes.is_empty())));
        if self.opened().build == Build::Foreign {
            notes.extend(loaded.map(|loaded| loaded.problems.clone()).unwrap_or_default());
        }
        let doubts = loaded.map(|loaded| loaded.types.doubts()).unwrap_or_default();
        notes.extend(doubts.iter().map(|(of, members)| checked::doubt_in_words(of, members)));
        notes
    }

    /// Why the types that the dump should have are lost, where something asked for them and nothing else has them.
    #[must_use]
    pub fn types_lost(&self) -> Option<&str> {
        self.loaded_at_hand().filter(|loaded| loaded.untyped)?.btf_lost.as_deref()
    }

    /// What the layout of a struct rests on, where that is not its debug information alone: a sentence each.
    pub fn layout_notes(&self, ty: TypeRef) -> Vec<String> {
        let types = self.types();
        self.check_types();
        let Ok((at, _)) = types.resolve(ty) else { return Vec::new() };
        let name = types.name(at);
        if types.is_corrected(at) {
            let why = "memory contradicts the debug information";
            return vec![format!("{why} of {name}: only members are known that memory shows")];
        }
        if types.is_guess(at) {
            return vec![format!(
                "no debug information: the members of {name} are inferred from the kernel's data, and others are not known"
            )];
        }
        // what cannot be told of it is no doubt
        let _ = types.look_at_layout(at);
        let own = |of: &str| name.strip_suffix(of).is_some_and(|kind| matches!(kind, "struct " | "union "));
        let doubts = types.doubts();
        doubts
            .iter()
            .filter(|(of, _)| own(of))
            .map(|(of, doubts)| checked::doubt_in_words(of, doubts))
            .collect()
    }
}

/// The kernel's BTF: vmlinux's section, else what the kernel carries in its own memory.
fn kernel_btf(s: &Session) -> Result<Option<(Arc<Btf>, String)>, String> {
    if let Some(file) = s.vmlinux().filter(|_| s.opened().build == Build::Own)
        && let Ok(Some(bytes)) = file.section(".BTF")
    {
        let from = format!("BTF of {}", file.path().display());
        let blob = Blob::new(file.data().clone());
        let blob = blob.window_of(bytes).unwrap_or_else(|| Blob::new(bytes.to_vec()));
        let len = blob.len() as u64;
        let read = || Btf::parse(blob).map_err(|e| format!("{from}: {e}"));
        return shared(s, len, read).map(|btf| Some((btf, from.clone())));
    }
    let of_image = || image_scan::btf(s.opened()).map(|btf| (Arc::new(btf), FROM_DUMP.into()));
    let named = s.symbol("__start_BTF").zip(s.symbol("__stop_BTF"));
    let named = named.map(|(start, stop)| (start, stop.0.wrapping_sub(start.0)));
    let (start, len) = match named {
        Some(place) => place,
        None if s.kernel_symbols().names_no_variables() => return Ok(of_image()),
        // the symbols that say where can be among those that are lost
        None if s.kernel_symbols().is_lost => {
            let why = s.kernel_symbols().problem.as_deref().unwrap_or("symbols are lost");
            return of_image()
                .map(Some)
                .ok_or_else(|| format!("BTF in the dump: where it lies is not known: {why}"));
        }
        None => return Ok(None),
    };
    let stop = start.add(len);
    if len == 0 || len > MAX_BTF {
        return Err(format!("BTF in the dump: {len} bytes from {start:#x} to {stop:#x}"));
    }
    let read = || {
        let blob = memory(s, start, len).map_err(|e| format!("BTF in the dump: {e}"))?;
        Btf::parse(blob).map_err(|e| format!("BTF in the dump: {e}"))
    };
    shared(s, len, read).map(|btf| Some((btf, FROM_DUMP.into())))
}

/// What `read` gives, once for all dumps of this build where a workspace opened them.
fn shared(s: &Session, len: u64, read: impl FnOnce() -> Result<Btf, String>) -> Result<Arc<Btf>, String> {
    match s.opened().workspace.as_ref().and_then(|workspace| Some((workspace, s.build_id()?))) {
        Some((workspace, id)) => workspace.btf(id, len, read),
        None => read().map(Arc::new),
    }
}

fn memory(s: &Session, at: VirtAddr, len: u64) -> Result<Blob, base::Fault> {
    s.mem().bytes(at, len as usize).map(Blob::new)
}
