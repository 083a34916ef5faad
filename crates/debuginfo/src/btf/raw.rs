//! The bytes of BTF: header and records, bounds-checked, in either byte order.

use super::BtfError;
use crate::blob::Blob;

/// `magic` of the header.
const MAGIC: u16 = 0xeb9f;
/// Bytes of the header's first form; `layout_off` and `layout_len` follow in the next.
const HEADER_LEN: usize = 24;
/// Bytes of a record before what its kind adds.
const RECORD_LEN: usize = 12;

/// The kind of a record: bits 24-30 of `info` (24-28 before the layout section came).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Kind(pub(super) u8);

impl Kind {
    pub(super) const INT: Kind = Kind(1);
    pub(super) const PTR: Kind = Kind(2);
    pub(super) const ARRAY: Kind = Kind(3);
    pub(super) const STRUCT: Kind = Kind(4);
    pub(super) const UNION: Kind = Kind(5);
    pub(super) const ENUM: Kind = Kind(6);
    pub(super) const FWD: Kind = Kind(7);
    pub(super) const TYPEDEF: Kind = Kind(8);
    pub(super) const VOLATILE: Kind = Kind(9);
    pub(super) const CONST: Kind = Kind(10);
    pub(super) const RESTRICT: Kind = Kind(11);
    pub(super) const FUNC: Kind = Kind(12);
    pub(super) const FUNC_PROTO: Kind = Kind(13);
    pub(super) const VAR: Kind = Kind(14);
    pub(super) const DATASEC: Kind = Kind(15);
    pub(super) const FLOAT: Kind = Kind(16);
    pub(super) const DECL_TAG: Kind = Kind(17);
    pub(super) const TYPE_TAG: Kind = Kind(18);
    pub(super) const ENUM64: Kind = Kind(19);

    /// Kinds that a type is looked up by.
    pub(super) fn is_type_name(self) -> bool {
        matches!(
            self,
            Kind::INT
                | Kind::STRUCT
                | Kind::UNION
                | Kind::ENUM
                | Kind::FWD
                | Kind::TYPEDEF
                | Kind::FLOAT
                | Kind::ENUM64
        )
    }

    /// Bytes that follow the record once, and for each of its `vlen` elements.
    fn extra(self) -> Option<(usize, usize)> {
        Some(match self {
            Kind::INT | Kind::VAR | Kind::DECL_TAG => (4, 0),
            Kind::ARRAY => (12, 0),
            Kind::STRUCT | Kind::UNION | Kind::DATASEC | Kind::ENUM64 => (0, 12),
            Kind::ENUM | Kind::FUNC_PROTO => (0, 8),
            Kind::PTR
            | Kind::FWD
            | Kind::TYPEDEF
            | Kind::VOLATILE
            | Kind::CONST
            | Kind::RESTRICT
            | Kind::FUNC
            | Kind::FLOAT
            | Kind::TYPE_TAG => (0, 0),
            _ => return None,
        })
    }
}

/// The header, as far as reading on needs it.
pub(super) struct Header {
    /// The other byte order than little-endian.
    pub(super) swapped: bool,
    /// One entry of four bytes for each kind: bytes once, bytes for each element, flags. Lets
    /// kinds be skipped that are newer than this program.
    pub(super) layout: Blob,
}

impl Header {
    /// The header and the two sections.
    pub(super) fn parse(bytes: &Blob) -> Result<(Header, Blob, Blob), BtfError> {
        let short = |wanted| BtfError::Header { wanted, len: bytes.len() };
        let magic = bytes.first_chunk::<2>().map(|b| u16::from_le_bytes(*b)).ok_or(short(HEADER_LEN))?;
        let swapped = match magic {
            MAGIC => false,
            m if m.swap_bytes() == MAGIC => true,
            m => return Err(BtfError::Magic(m)),
        };
        match bytes.get(2) {
            Some(1) => {}
            Some(&v) => return Err(BtfError::Version(v)),
            None => return Err(short(HEADER_LEN)),
        }
        let field = |i: usize| word(bytes, i, swapped).ok_or(short(HEADER_LEN));
        let header_len = field(4)? as usize;
        if header_len < HEADER_LEN || bytes.len() < header_len {
            return Err(short(header_len.max(HEADER_LEN)));
        }
        let section = |name, offset: u32, size: u32| {
            let start = header_len.saturating_add(offset as usize);
            bytes.slice(start..start.saturating_add(size as usize)).ok_or(BtfError::Section {
                name,
                offset: start as u64,
                size: u64::from(size),
                len: bytes.len(),
            })
        };
        let types = section("type", field(8)?, field(12)?)?;
        let strings = section("string", field(16)?, field(20)?)?;
        let layout = if header_len >= HEADER_LEN + 8 {
            section("layout", field(24)?, field(28)?).unwrap_or_else(|_| Blob::empty())
        } else {
            Blob::empty()
        };
        Ok((Header { swapped, layout }, types, strings))
    }
}

/// The 32-bit number at an offset.
fn word(bytes: &[u8], at: usize, swapped: bool) -> Option<u32> {
    let value = u32::from_le_bytes(*bytes.get(at..)?.first_chunk::<4>()?);
    Some(if swapped { value.swap_bytes() } else { value })
}

/// The bytes before the first NUL.
pub(super) fn until_nul(bytes: &[u8]) -> &[u8] {
    let end = memchr::memchr(0, bytes).unwrap_or(bytes.len());
    bytes.get(..end).unwrap_or_default()
}

/// `struct btf_type` with what follows it.
#[derive(Clone, Copy)]
pub(super) struct Record<'a> {
    pub(super) name: u32,
    pub(super) kind: Kind,
    pub(super) vlen: u32,
    /// `kind_flag`: bit-fields in members, signed enumerators, a union's forward declaration.
    pub(super) flag: bool,
    /// `size` or `type`, by kind.
    pub(super) word: u32,
    rest: &'a [u8],
    swapped: bool,
}

/// `struct btf_member`.
pub(super) struct RawMember {
    pub(super) name: u32,
    pub(super) ty: u32,
    pub(super) bit_offset: u32,
    pub(super) bit_size: Option<u32>,
}

/// `struct btf_param`.
pub(super) struct RawParam {
    pub(super) name: u32,
    pub(super) ty: u32,
}

impl<'a> Record<'a> {
    pub(super) fn at(types: &'a [u8], at: usize, swapped: bool) -> Option<Self> {
        let bytes = types.get(at..)?;
        let info = word(bytes, 4, swapped)?;
        Some(Self {
            name: word(bytes, 0, swapped)?,
            kind: Kind((info >> 24) as u8 & 0x7f),
            vlen: info & 0xff_ffff,
            flag: info >> 31 != 0,
            word: word(bytes, 8, swapped)?,
            rest: bytes.get(RECORD_LEN..)?,
            swapped,
        })
    }

    /// Bytes of the whole record; `None` for a kind that neither this program nor the layout knows.
    pub(super) fn size(&self, layout: &[u8]) -> Option<usize> {
        let (once, each) = self.kind.extra().or_else(|| {
            let entry = layout.get(usize::from(self.kind.0).checked_mul(4)?..)?.first_chunk::<4>()?;
            let [once, each, ..] = *entry;
            (once | each != 0 || self.vlen == 0).then_some((usize::from(once), usize::from(each)))
        })?;
        each.checked_mul(self.vlen as usize)?.checked_add(once)?.checked_add(RECORD_LEN)
    }

    /// A number of what follows the record, counted in words.
    pub(super) fn extra(&self, index: usize) -> Option<u32> {
        word(self.rest, index.checked_mul(4)?, self.swapped)
    }

    fn elements<const N: usize>(&self) -> impl Iterator<Item = [u32; N]> + use<'a, N> {
        let Record { rest, swapped, vlen, .. } = *self;
        (0..vlen as usize).map_while(move |i| {
            let at = i.checked_mul(N * 4)?;
            let mut out = [0; N];
            for (j, slot) in out.iter_mut().enumerate() {
                *slot = word(rest, at.checked_add(j * 4)?, swapped)?;
            }
            Some(out)
        })
    }

    pub(super) fn members(&self) -> impl Iterator<Item = RawMember> + use<'a> {
        let flag = self.flag;
        self.elements::<3>().map(move |[name, ty, offset]| match (flag, offset >> 24) {
            (false, _) => RawMember { name, ty, bit_offset: offset, bit_size: None },
            (true, 0) => RawMember { name, ty, bit_offset: offset & 0xff_ffff, bit_size: None },
            (true, bits) => RawMember { name, ty, bit_offset: offset & 0xff_ffff, bit_size: Some(bits) },
        })
    }

    pub(super) fn params(&self) -> impl Iterator<Item = RawParam> + use<'a> {
        self.elements::<2>().map(|[name, ty]| RawParam { name, ty })
    }

    /// Name and value of each enumerator; `signed` says how 32-bit values are meant.
    pub(super) fn enumerators(&self, signed: bool) -> impl Iterator<Item = (u32, i128)> + use<'a> {
        let wide = self.kind == Kind::ENUM64;
        let narrow = self.elements::<2>().take(if wide { 0 } else { usize::MAX });
        let wide = self.elements::<3>().take(if wide { usize::MAX } else { 0 });
        narrow
            .map(move |[name, value]| {
                (name, if signed { i128::from(value.cast_signed()) } else { i128::from(value) })
            })
            .chain(wide.map(move |[name, low, high]| {
                let value = u64::from(high) << 32 | u64::from(low);
                (name, if signed { i128::from(value.cast_signed()) } else { i128::from(value) })
            }))
    }
}
