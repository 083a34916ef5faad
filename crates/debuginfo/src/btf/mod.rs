//! BTF, the kernel's own compact type information.
//!
//! Source of the facts: the kernel's Documentation/bpf/btf.rst and include/uapi/linux/btf.h.
//! A blob is a header, a type section of records of varying length whose ids count from 1 (0 is
//! `void`), and a string section. A module's BTF is *split*: its ids and string offsets continue
//! those of the kernel's. Since 6.11 a module may bring its own *distilled* base of a few reduced
//! types, which stand for the kernel's types of the same name (`relocate`).
//!
//! Invariants: opening reads the header alone; the table of record positions (one pass) and the
//! name index (another) are made when first asked for. No bytes can make a read panic or allocate
//! more than a small multiple of the blob.

mod index;
mod raw;
mod relocate;
mod source;
#[cfg(test)]
mod tests;

pub use source::BtfSource;

use crate::blob::Blob;
use index::Index;
use raw::{Header, Kind, Record};
use std::sync::{Arc, OnceLock};

/// BTF that cannot be used.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BtfError {
    /// Not BTF at all.
    #[error("not BTF: magic is {0:#06x}, not 0xeb9f in either byte order")]
    Magic(u16),
    /// A version that nobody has defined yet.
    #[error("BTF version {0} is not known (1 is)")]
    Version(u8),
    /// The bytes end inside the header.
    #[error("BTF header needs {wanted} bytes, there are {len}")]
    Header {
        /// Bytes that the header needs.
        wanted: usize,
        /// Bytes that there are.
        len: usize,
    },
    /// A section that reaches beyond the bytes.
    #[error("BTF {name} section at {offset:#x}, {size:#x} bytes, is beyond the end ({len:#x})")]
    Section {
        /// `type` or `string`.
        name: &'static str,
        /// Where it begins.
        offset: u64,
        /// Its size.
        size: u64,
        /// Bytes that there are.
        len: usize,
    },
}

/// What the ids below a blob's own mean.
enum Lower {
    /// There is nothing below: this is the kernel's, or a program's.
    None,
    /// Ids and strings continue those of another blob.
    Split(Arc<Btf>),
    /// Ids and strings continue those of `reduced`, whose types stand for types of `target`.
    Distilled {
        reduced: Arc<Btf>,
        target: Arc<Btf>,
        /// For each id of `reduced` the id in `target`; 0 where there is none.
        map: OnceLock<Box<[u32]>>,
    },
}

/// One blob of BTF.
pub struct Btf {
    header: Header,
    types: Blob,
    strings: Blob,
    lower: Lower,
    table: OnceLock<Table>,
    names: OnceLock<Index>,
    functions: OnceLock<Index>,
    enumerators: OnceLock<Index>,
}

/// Where each record begins, and what only a pass over all of them can tell.
struct Table {
    starts: Box<[u32]>,
    /// Some enumeration says itself that it is signed, so those that do not are unsigned. Before
    /// 6.0 none says so, and values are signed.
    enums_say_signed: bool,
}

impl Btf {
    /// The kernel's BTF: the `.BTF` section of vmlinux, or memory from `__start_BTF` to `__stop_BTF`.
    ///
    /// # Errors
    /// It is no BTF, or damaged.
    pub fn parse(bytes: Blob) -> Result<Self, BtfError> {
        Self::with(bytes, Lower::None)
    }

    /// A module's BTF, whose ids continue those of the kernel's.
    ///
    /// # Errors
    /// It is no BTF, damaged, or does not continue that one.
    pub fn parse_split(bytes: Blob, base: Arc<Btf>) -> Result<Self, BtfError> {
        Self::with(bytes, Lower::Split(base))
    }

    /// A module's BTF that comes with a distilled base (`.BTF.base`), for a kernel's BTF.
    ///
    /// # Errors
    /// It is no BTF, damaged, or a type of its base is not in that one.
    pub fn parse_distilled(bytes: Blob, reduced: Blob, kernel: Arc<Btf>) -> Result<Self, BtfError> {
        let reduced = Arc::new(Self::parse(reduced)?);
        Self::with(bytes, Lower::Distilled { reduced, target: kernel, map: OnceLock::new() })
    }

    fn with(bytes: Blob, lower: Lower) -> Result<Self, BtfError> {
        let (header, types, strings) = Header::parse(&bytes)?;
        Ok(Self {
            header,
            types,
            strings,
            lower,
            table: OnceLock::new(),
            names: OnceLock::new(),
            functions: OnceLock::new(),
            enumerators: OnceLock::new(),
        })
    }

    /// What this blob's ids and strings continue.
    fn below(&self) -> Option<&Btf> {
        match &self.lower {
            Lower::None => None,
            Lower::Split(base) | Lower::Distilled { reduced: base, .. } => Some(base),
        }
    }

    /// The first id of this blob's own types.
    #[must_use]
    pub fn first_id(&self) -> u32 {
        self.below().map_or(1, Btf::end_id)
    }

    /// One past the last id.
    #[must_use]
    pub fn end_id(&self) -> u32 {
        self.first_id().saturating_add(self.table().starts.len() as u32)
    }

    /// How many types this blob has of its own.
    #[must_use]
    pub fn len(&self) -> usize {
        self.table().starts.len()
    }

    /// True where the blob has no type of its own.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn string_start(&self) -> usize {
        self.below().map_or(0, |b| b.string_start().saturating_add(b.strings.len()))
    }

    /// The string at an offset, base strings first; empty for none.
    fn string(&self, offset: u32) -> &[u8] {
        let at = offset as usize;
        match at.checked_sub(self.string_start()) {
            Some(own) => raw::until_nul(self.strings.get(own..).unwrap_or_default()),
            None => self.below().map_or(&[], |b| b.string(offset)),
        }
    }

    fn table(&self) -> &Table {
        self.table.get_or_init(|| {
            // the smallest record is 12 bytes, and a typical one twenty
            let mut starts = Vec::with_capacity(self.types.len() / 20);
            let mut enums_say_signed = self.below().is_some_and(|b| b.table().enums_say_signed);
            let types: &[u8] = &self.types;
            let mut at = 0;
            while let Some(record) = Record::at(types, at, self.header.swapped) {
                let Some(end) = record.size(&self.header.layout).and_then(|n| at.checked_add(n)) else {
                    break;
                };
                if end > types.len() {
                    break;
                }
                enums_say_signed |= record.kind == Kind::ENUM64 || (record.kind == Kind::ENUM && record.flag);
                starts.push(at as u32);
                at = end;
            }
            starts.shrink_to_fit();
            Table { starts: starts.into_boxed_slice(), enums_say_signed }
        })
    }

    /// The record of an id, and the blob that has it.
    fn record(&self, id: u32) -> Option<(&Btf, Record<'_>)> {
        match id.checked_sub(self.first_id()) {
            Some(own) => {
                let start = *self.table().starts.get(own as usize)?;
                Some((self, Record::at(&self.types, start as usize, self.header.swapped)?))
            }
            None => self.below()?.record(id),
        }
    }

    /// The names of a function's parameters, in order.
    #[must_use]
    pub fn func_params(&self, name: &str) -> Option<Vec<String>> {
        let (owner, func) = self
            .functions()
            .ids(self, name)
            .filter_map(|id| self.record(id))
            .find(|(_, record)| record.kind == Kind::FUNC)?;
        let (owner, proto) = owner.record(func.word)?;
        let names = proto.params().map(|p| String::from_utf8_lossy(owner.string(p.name)).into_owned());
        Some(names.collect())
    }

    /// The index of tags, typedefs and base types.
    fn names(&self) -> &Index {
        self.names.get_or_init(|| Index::of_records(self, Kind::is_type_name))
    }

    /// The index of functions and variables.
    fn functions(&self) -> &Index {
        self.functions.get_or_init(|| Index::of_records(self, |k| k == Kind::FUNC || k == Kind::VAR))
    }

    /// The index of enumerators.
    fn enumerators(&self) -> &Index {
        self.enumerators.get_or_init(|| Index::of_enumerators(self))
    }

    /// This blob's own records with their ids.
    fn own_records(&self) -> impl Iterator<Item = (u32, Record<'_>)> {
        let first = self.first_id();
        let types: &[u8] = &self.types;
        let swapped = self.header.swapped;
        self.table().starts.iter().enumerate().filter_map(move |(i, &start)| {
            Some((first.checked_add(i as u32)?, Record::at(types, start as usize, swapped)?))
        })
    }
}

impl std::fmt::Debug for Btf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Btf({} bytes of types, {} of strings)", self.types.len(), self.strings.len())
    }
}

/// For fuzzing: reads everything that the bytes claim to have.
#[doc(hidden)]
pub fn fuzz_btf(data: &[u8]) {
    use crate::types::{Scope, SourceId, Space, TypeSource};
    let blob = Blob::new(data.to_vec());
    let Ok(base) = Btf::parse(blob.clone()) else { return };
    let base = Arc::new(base);
    let mut all = vec![BtfSource::new(&base, SourceId(1), None, Scope::Kernel, "fuzz".into())];
    if let Ok(split) = Btf::parse_split(blob.clone(), Arc::clone(&base)) {
        all.push(BtfSource::new(
            &Arc::new(split),
            SourceId(2),
            Some(SourceId(1)),
            Scope::Kernel,
            "fuzz".into(),
        ));
    }
    if let Ok(split) = Btf::parse_distilled(blob.clone(), blob, Arc::clone(&base)) {
        all.push(BtfSource::new(
            &Arc::new(split),
            SourceId(3),
            Some(SourceId(1)),
            Scope::Kernel,
            "fuzz".into(),
        ));
    }
    for source in all {
        for id in 0..source.btf().end_id().saturating_add(2) {
            let _ = source.get(id);
        }
        for space in [Space::Struct, Space::Base, Space::Function, Space::Variable] {
            let mut some = Vec::new();
            source.names(space, &mut |name, _| {
                some.push(name.to_owned());
                some.len() < 16
            });
            for name in some {
                let _ = source.find(space, &name);
                let _ = source.find_enumerator(&name);
                let _ = source.btf().func_params(&name);
            }
        }
    }
}
