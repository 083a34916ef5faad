//! BPF programs (`struct bpf_prog`, `struct bpf_prog_aux`, include/linux/bpf.h; ids since 4.13, dc4bb0e23561).

use super::enumerator_name;
use crate::containers::idr;
use crate::error::{KernelError, Result};
use crate::session::Session;
use base::VirtAddr;

bind! {
    /// `struct bpf_prog`
    struct BpfProgram("bpf_prog") {
        pages: "pages",
        is_gpl: "gpl_compatible",
        kind: "type",
        len: "len",
        jited: "jited_len",
        tag: "tag",
        aux: "aux",
        code: "bpf_func",
        instructions: "insnsi",
    }
}
bind! {
    /// `struct bpf_prog_aux`
    struct BpfProgramAux("bpf_prog_aux") {
        id: "id",
        prog: "prog",
        map_count: "used_map_cnt",
        maps: "used_maps",
        loaded: "load_time", // 4.15 (cb4d2b3f03d8)
        user: "user",
        name: "name", // 4.15 (cb4d2b3f03d8)
    }
}
bind! {
    /// `struct user_struct`
    pub(super) struct UserStruct("user_struct") { uid: "uid.val" | "uid" }
}

/// More maps than a program uses, and more instructions than it has.
const MAX_MAPS: u64 = 4096;
const MAX_INSTRUCTIONS: u64 = 1 << 24;

/// A program.
#[derive(Clone, Debug)]
pub struct Program {
    /// Its number.
    pub id: u64,
    /// `struct bpf_prog`
    pub at: VirtAddr,
    /// `struct bpf_prog_aux`
    pub aux: VirtAddr,
    /// Its kind, as the kernel names it; the number where it does not.
    pub kind: Result<String>,
    /// What tells programs apart: a digest of its instructions.
    pub tag: Result<Vec<u8>>,
    /// The addresses of the maps that it uses.
    pub maps: Result<Vec<VirtAddr>>,
    /// How many instructions it has; `0` after each was made code is not usual.
    pub len: Result<u64>,
    /// Where the code is that was made of it.
    pub code: Result<VirtAddr>,
    /// Bytes of that code; 0 of a program that is interpreted.
    pub jited: Result<u64>,
    /// Pages that it takes.
    pub pages: Result<u64>,
    /// When it was loaded, in nanoseconds since the machine began.
    pub loaded: Result<u64>,
    /// True where it may call what is for GPL programs alone.
    pub is_gpl: Result<bool>,
    /// Its name; empty where it has none.
    pub name: Result<String>,
    /// Whose it is.
    pub uid: Result<u64>,
}

/// The programs by their ids, and why there may be others.
///
/// # Errors
/// The variable or its types are not known: a kernel without BPF, or one to 4.12.
pub fn programs(s: &Session) -> Result<(Vec<Program>, Vec<KernelError>)> {
    let table = s.need_symbol("prog_idr")?;
    s.bind::<BpfProgram>().aux.offset()?;
    let found = idr::entries(s, table)?;
    let (mut out, mut problems) = (Vec::new(), found.problems);
    for entry in found.all {
        match program(s, entry.index, VirtAddr(entry.value)) {
            Ok(one) => out.push(one),
            Err(e) => problems.push(e),
        }
    }
    Ok((out, problems))
}

fn program(s: &Session, id: u64, at: VirtAddr) -> Result<Program> {
    let (b, a, mem) = (s.bind::<BpfProgram>(), s.bind::<BpfProgramAux>(), s.mem());
    let aux = b.aux.ptr(mem, at)?;
    let own = a.id.num(mem, aux)? & 0xffff_ffff;
    if own != id {
        let why = format!("its id is {own}, and it is in slot {id}");
        return Err(KernelError::Damaged { what: "bpf_prog_aux", at: aux, why });
    }
    let half = |value: Result<u64>| value.map(|n| n & 0xffff_ffff);
    let kind = half(b.kind.num(mem, at)).map(|kind| {
        enumerator_name(s, "BPF_PROG_TYPE_UNSPEC", "BPF_PROG_TYPE_", kind).unwrap_or_else(|| kind.to_string())
    });
    Ok(Program {
        id,
        at,
        aux,
        kind,
        tag: b.tag.at(at).and_then(|tag| Ok(mem.bytes(tag, 8)?)),
        maps: maps(s, aux),
        len: half(b.len.num(mem, at)),
        code: b.code.ptr(mem, at),
        jited: half(b.jited.num(mem, at)),
        pages: b.pages.num(mem, at),
        loaded: a.loaded.num(mem, aux),
        is_gpl: b.is_gpl.num(mem, at).map(|is| is != 0),
        name: a.name.text(mem, aux),
        uid: a.user.ptr(mem, aux).and_then(|user| half(s.bind::<UserStruct>().uid.num(mem, user))),
    })
}

fn maps(s: &Session, aux: VirtAddr) -> Result<Vec<VirtAddr>> {
    let (a, mem) = (s.bind::<BpfProgramAux>(), s.mem());
    let count = a.map_count.num(mem, aux)? & 0xffff_ffff;
    if count > MAX_MAPS {
        let why = format!("it uses {count} maps");
        return Err(KernelError::Damaged { what: "bpf_prog_aux", at: aux, why });
    }
    let first = if count == 0 { VirtAddr(0) } else { a.maps.ptr(mem, aux)? };
    (0..count).map(|n| Ok(mem.ptr(first.add(n * 8))?)).collect()
}

/// The instructions of a program, eight bytes each.
///
/// # Errors
/// They are not in the dump, or are more than any program has.
pub fn instructions(s: &Session, program: &Program) -> Result<Vec<[u8; 8]>> {
    let len = program.len.clone()?;
    if len > MAX_INSTRUCTIONS {
        let why = format!("it has {len} instructions");
        return Err(KernelError::Damaged { what: "bpf_prog", at: program.at, why });
    }
    let first = s.bind::<BpfProgram>().instructions.at(program.at)?;
    let (mut out, mut done) = (Vec::new(), 0);
    // nothing is allocated for what is not there
    while done < len {
        let count = (len - done).min(512);
        let raw = s.mem().bytes(first.add(done * 8), count as usize * 8)?;
        out.extend_from_slice(raw.as_chunks::<8>().0);
        done += count;
    }
    Ok(out)
}
