//! Bytes for the formatter: an object's bytes are read once and shared by its parts.

use crate::absent::Absent;
use crate::value::{Bits, MAX_OBJECT, Place, Value};
use base::{VirtAddr, VirtRead};
use debuginfo::types::TypeRef;
use std::borrow::Cow;
use std::sync::Arc;

/// Where the bytes of a node come from.
#[derive(Clone)]
enum Data {
    /// The object around it was read; the node starts at the offset.
    Here(Arc<[u8]>, usize),
    /// To be read at its address.
    Memory,
    /// Not to be had.
    Absent(Absent),
}

/// A part of a value on its way to text.
#[derive(Clone)]
pub(crate) struct Node<'m> {
    pub(crate) ty: TypeRef,
    pub(crate) at: Option<VirtAddr>,
    pub(crate) bits: Option<Bits>,
    data: Data,
    _memory: std::marker::PhantomData<&'m ()>,
}

impl<'m> Node<'m> {
    pub(crate) fn of(value: &Value) -> Node<'m> {
        let data = match &value.place {
            Place::Memory(_) => Data::Memory,
            Place::Bytes(bytes) | Place::Register { bytes, .. } => Data::Here(Arc::clone(bytes), 0),
            Place::Absent(why) => Data::Absent(why.clone()),
        };
        Node { ty: value.ty, at: value.address(), bits: value.bits, data, _memory: std::marker::PhantomData }
    }

    /// The same node with its `size` bytes read, where they can be read in one piece.
    pub(crate) fn whole(&self, mem: &dyn VirtRead, size: u64) -> Node<'m> {
        let mut out = self.clone();
        if let (Data::Memory, Some(at), true) = (&self.data, self.at, size <= MAX_OBJECT)
            && let Ok(bytes) = mem.bytes(at, size as usize)
        {
            out.data = Data::Here(bytes.into(), 0);
        }
        out
    }

    /// The part at a bit offset.
    pub(crate) fn part(&self, ty: TypeRef, bit_offset: u64, bit_size: Option<u32>) -> Node<'m> {
        let offset = bit_offset / 8;
        let data = match &self.data {
            Data::Here(bytes, from) => {
                let by = usize::try_from(offset).unwrap_or(usize::MAX);
                Data::Here(Arc::clone(bytes), from.saturating_add(by))
            }
            other => other.clone(),
        };
        Node {
            ty,
            at: self.at.map(|at| at.add(offset)),
            bits: bit_size.map(|width| Bits { offset: (bit_offset % 8) as u32, width }),
            data,
            _memory: std::marker::PhantomData,
        }
    }

    /// The node's first `len` bytes.
    pub(crate) fn bytes(&self, mem: &dyn VirtRead, len: u64) -> Result<Cow<'_, [u8]>, Absent> {
        match &self.data {
            Data::Absent(why) => Err(why.clone()),
            Data::Here(bytes, from) => {
                let to = usize::try_from(len).ok().and_then(|len| from.checked_add(len));
                match to.and_then(|to| bytes.get(*from..to)) {
                    Some(part) => Ok(Cow::Borrowed(part)),
                    None => Err(Absent::Because("beyond the object".into())),
                }
            }
            Data::Memory => match self.at {
                Some(at) if len <= MAX_OBJECT => {
                    mem.bytes(at, len as usize).map(Cow::Owned).map_err(Absent::Fault)
                }
                Some(_) => Err(Absent::Because("too large".into())),
                None => Err(Absent::Because("not in memory".into())),
            },
        }
    }
}
