//! ELF files of user processes, told from a kernel's: programs, and cores.
//!
//! Sources: ELF specification; `fs/binfmt_elf.c` (the notes of a process's core); `fs/proc/kcore.c` (a kernel's core can
//! have NT_PRPSINFO too, and is told by VMCOREINFO and by its physical addresses); `include/linux/elfcore.h`.

use super::super::Start;
use super::header::{Kind, Segment};
use base::{Bytes, RawNote, VirtAddr, cstr};

const PT_LOAD: u32 = 1;
const PT_INTERP: u32 = 3;
const NT_PRPSINFO: u32 = 3;
const NT_AUXV: u32 = 6;
const NT_SIGINFO: u32 = 0x5349_4749;
const NT_FILE: u32 = 0x4649_4c45;

/// Whether an ELF program's segments are those of a user's program: it names a loader, or nothing of it lies in the
/// upper half of the addresses, where kernels are. Only ELF64, little-endian; others, and files whose program headers
/// are not in the first bytes, are taken for a kernel.
pub(crate) fn is_user_program(start: &Start<'_>) -> bool {
    let b = Bytes::new(start.bytes);
    let elf64 = start.bytes.get(4..6) == Some(&[2, 1]);
    if Kind::of(start.bytes) != Some(Kind::Program) || !elf64 {
        return false;
    }
    let (mut loads, mut kernel) = (0, 0);
    let mut headers = || {
        let (at, len, count) = (b.u64_at(32)?, b.u16_at(54)?, b.u16_at(56)?);
        for n in 0..u64::from(count) {
            let at = usize::try_from(at.saturating_add(n.saturating_mul(len.into()))).unwrap_or(usize::MAX);
            match b.u32_at(at)? {
                PT_INTERP => return Ok(true),
                PT_LOAD => {
                    loads += 1;
                    kernel += u32::from(VirtAddr(b.u64_at(at.saturating_add(16))?).in_upper_half());
                }
                _ => {}
            }
        }
        Ok::<_, base::OutOfBounds>(loads > 0 && kernel == 0)
    };
    headers().unwrap_or(false)
}

/// The process whose core this is, as words; `None` for a kernel's dump.
pub(super) fn of_core(notes: &[RawNote], segments: &[Segment]) -> Option<String> {
    // of other systems, the first word of the note's name is theirs (FreeBSD, NetBSD-CORE, OpenBSD)
    let system =
        ["FreeBSD", "NetBSD-CORE", "OpenBSD"].into_iter().find(|name| notes.iter().any(|n| n.is(name)));
    if let Some(name) = system {
        return Some(format!("the core of a user process of {}", name.trim_end_matches("-CORE")));
    }
    let core = |kind: u32| notes.iter().find(|n| n.is("CORE") && n.kind == kind);
    let kernel = notes.iter().any(|n| n.is("VMCOREINFO") || n.is("QEMU") || n.is("Xen") || n.is("VBCORE"));
    let placed = segments.iter().any(|s| s.is_load() && s.phys != 0 && s.phys != u64::MAX);
    let told = [NT_AUXV, NT_SIGINFO, NT_FILE].into_iter().any(|kind| core(kind).is_some());
    let info = core(NT_PRPSINFO);
    if kernel || placed || !(told || info.is_some()) {
        return None;
    }
    Some(match info.and_then(name) {
        Some(name) => format!("the core of a user process ({name})"),
        None => "the core of a user process".into(),
    })
}

/// `pr_fname`; where it lies depends on the widths of the machine's words and user ids.
fn name(info: &RawNote) -> Option<String> {
    let at = match info.desc.len() {
        136 => 40,
        128 => 32,
        124 => 28,
        _ => return None,
    };
    let name = cstr(info.desc.get(at..at + 16)?);
    (!name.is_empty() && name.iter().all(|b| (b' '..=b'~').contains(b)))
        .then(|| String::from_utf8_lossy(name).into_owned())
}
