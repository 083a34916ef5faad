//! Where a session's types come from: BTF first, which is small and complete, then DWARF.

use crate::module;
use crate::opening::image_scan;
use crate::opening::open::Build;
use crate::session::Session;
use crate::session::checked;
use base::VirtAddr;
use debuginfo::Blob;
use debuginfo::btf::Btf;
use debuginfo::dwarf::DwarfFile;
use debuginfo::elf::Placement;
use debuginfo::types::{Scope, SourceId, TypeRef, Types};
use std::sync::Arc;

/// More BTF than any kernel has.
pub(crate) const MAX_BTF: u64 = 256 << 20;
const FROM_DUMP: &str = "BTF in the dump";

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
    /// Neither is there: what is known of structs has to be inferred.
    pub(crate) untyped: bool,
    pub(crate) problems: Vec<String>,
}

pub(crate) fn load(s: &Session) -> Loaded {
    let mut out =
        Loaded { types: Types::new(), dwarf: None, btf: None, untyped: false, problems: Vec::new() };
    let btf = if s.opened().ignore_btf { Ok(None) } else { kernel_btf(s) };
    match btf {
        Ok(Some((btf, from))) => {
            let btf = Arc::new(btf);
            let source = out
                .types
                .add(|id| Ok::<_, ()>(btf.source(id, None, Scope::Kernel, from)))
                .unwrap_or(SourceId(0));
            out.btf = Some(KernelBtf { btf, source });
        }
        Ok(None) => {}
        Err(e) => out.problems.push(e),
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

impl Session {
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
fn kernel_btf(s: &Session) -> Result<Option<(Btf, String)>, String> {
    if let Some(file) = s.vmlinux().filter(|_| s.opened().build == Build::Own)
        && let Ok(Some(bytes)) = file.section(".BTF")
    {
        let from = format!("BTF of {}", file.path().display());
        let blob = Blob::new(file.data().clone());
        let blob = blob.window_of(bytes).unwrap_or_else(|| Blob::new(bytes.to_vec()));
        return Btf::parse(blob).map(|b| Some((b, from.clone()))).map_err(|e| format!("{from}: {e}"));
    }
    let named = s.symbol("__start_BTF").zip(s.symbol("__stop_BTF"));
    let named = named.map(|(start, stop)| (start, stop.0.wrapping_sub(start.0)));
    let (start, len) = match named {
        Some(place) => place,
        None if s.kernel_symbols().names_no_variables() => {
            return Ok(image_scan::btf(s.opened()).map(|btf| (btf, FROM_DUMP.into())));
        }
        None => return Ok(None),
    };
    let stop = start.add(len);
    if len == 0 || len > MAX_BTF {
        return Err(format!("BTF in the dump: {len} bytes from {start:#x} to {stop:#x}"));
    }
    let blob = memory(s, start, len).map_err(|e| format!("BTF in the dump: {e}"))?;
    Btf::parse(blob).map(|b| Some((b, FROM_DUMP.into()))).map_err(|e| format!("BTF in the dump: {e}"))
}

fn memory(s: &Session, at: VirtAddr, len: u64) -> Result<Blob, base::Fault> {
    s.mem().bytes(at, len as usize).map(Blob::new)
}

/// Adds the split BTF of a module to the session's types. Returns false where the dump has none.
pub(crate) fn add_module(s: &Session, kernel: &KernelBtf, name: &str, at: VirtAddr) -> Result<bool, String> {
    let Some(bytes) = module::btf(s, at).map_err(|e| e.to_string())? else { return Ok(false) };
    let describe = format!("BTF of module {name} in the dump");
    let btf =
        Btf::parse_split(Blob::new(bytes), kernel.btf.clone()).map_err(|e| format!("{describe}: {e}"))?;
    let btf = Arc::new(btf);
    s.types()
        .add(|id| Ok::<_, String>(btf.source(id, Some(kernel.source), Scope::Module(name.into()), describe)))
        .map(|_| true)
}
