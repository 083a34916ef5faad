//! Everything that can be asked of a file, for the fuzzer.

use super::{Caller, DwarfFile, FrameAccess};
use crate::elf::{ObjectFile, Placement};
use crate::types::{Scope, SourceId, Space, TypeRef};
use base::{Fault, FaultKind, VirtAddr, VirtRead};
use std::sync::Arc;

/// A frame that knows its registers, and memory that is all zeroes.
struct Frame;

impl VirtRead for Frame {
    fn read(&self, at: VirtAddr, buf: &mut [u8]) -> Result<(), Fault> {
        if at.0 > 1 << 60 {
            return Err(Fault::new(at, FaultKind::NonCanonical));
        }
        buf.fill(0);
        Ok(())
    }
}

impl FrameAccess for Frame {
    fn register(&self, number: u16) -> Option<u64> {
        (number < 17).then_some(0x1000)
    }
    fn cfa(&self) -> Option<u64> {
        Some(0x2000)
    }
    fn memory(&self) -> &dyn VirtRead {
        self
    }
    fn caller(&self) -> Option<Caller<'_>> {
        None
    }
}

/// An object file from the fuzzer's bytes, with everything asked of it.
pub(super) fn fuzz_dwarf(data: &[u8]) {
    let Ok(object) = ObjectFile::from_bytes(data.to_vec().into()) else { return };
    let place = Placement::new([(".text", 0x1000)]);
    let Ok(file) = DwarfFile::open(Arc::new(object), &place) else { return };
    let file = Arc::new(file);
    let source = file.source(SourceId(1), Scope::Kernel);
    let spaces = [Space::Struct, Space::Union, Space::Enum, Space::Typedef, Space::Base, Space::Function];
    for space in spaces.into_iter().chain([Space::Variable]) {
        let mut some = Vec::new();
        source.names(space, &mut |name, at: TypeRef| {
            some.push((name.to_owned(), at));
            some.len() < 64
        });
        for (name, at) in some {
            let _ = source.get(at.id);
            let _ = source.first(space, &name);
            let _ = source.find_enumerator(&name);
        }
    }
    let size = file.with(|c| gimli::Section::reader(&c.main().debug_info).len());
    for id in (0..u32::try_from(size).unwrap_or(u32::MAX)).take(4096) {
        let _ = source.get(id);
    }
    for addr in (0xff0..0x1400).step_by(7) {
        let _ = file.inline_frames(addr);
        let _ = file.line(addr);
        let _ = file.function_at(addr, SourceId(1));
        let _ = file.lines_of(addr..addr + 64);
        for variable in file.variables_at(addr, SourceId(1)) {
            let location = file.evaluate(&variable, &Frame);
            let _ = location.bytes(8, &Frame);
        }
    }
}
