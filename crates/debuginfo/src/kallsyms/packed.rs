//! A whole table as the kernel keeps it: names stay packed, and are unpacked in blocks where they are asked for.
//!
//! Names are found by address through the place at which every 32nd of them begins, and by name through the kernel's
//! own index ([`super::sorted`]) where there is one.
//!
//! **Invariant:** every name of the table is known to be one ([`Names::of`] looks at each), so that the number of a
//! symbol here is its number in the kernel's arrays. Tables of which something is lost or left out are unpacked.

use super::names::{self, NameBlock, STRIDE, Tokens};
use super::sorted::Sorted;
use super::values::Values;
use crate::symtab::{self, Row, Rows};
use std::sync::{Arc, OnceLock};

/// The longest name that a kernel packs, and some.
const MAX_PACKED: usize = 520;
/// As long as all names together could be, unpacked; a table with longer tokens is none of a kernel.
const MAX_TEXT: usize = 1 << 30;
/// A longer name is cut: [`symtab::SymbolTableBuilder::push`].
const MAX_NAME: usize = u16::MAX as usize;

/// All names, packed.
pub(super) struct Names {
    bytes: Arc<Vec<u8>>,
    /// Where every name begins whose number is a multiple of [`STRIDE`].
    starts: Arc<Vec<u32>>,
    tokens: Arc<Tokens>,
    count: usize,
    /// How many of them are variables.
    variables: usize,
}

impl Names {
    /// The names, where each is one and none is a label.
    pub(super) fn of(block: &NameBlock, tokens: &Arc<Tokens>) -> Option<Self> {
        if block.is_repaired() {
            return None;
        }
        let first: Vec<First> = (0..=u8::MAX).map(|byte| First::of(tokens.token(byte))).collect();
        // characters that no name has are in no token
        if !tokens.are_graphic() || block.bytes().len().saturating_mul(tokens.longest()) > MAX_TEXT {
            return None;
        }
        let mut name = Vec::new();
        let (mut count, mut variables) = (0, 0);
        let mut rest = block.bytes().as_slice();
        while !rest.is_empty() {
            let (packed, after) = names::split(rest)?;
            rest = after;
            count += 1;
            let first = first.get(usize::from(*packed.first()?))?;
            variables += usize::from(first.is_variable);
            if !first.is_enough || packed.len() > MAX_PACKED {
                name.clear();
                tokens.expand(packed, &mut name);
                let (kind, name) = name.split_first()?;
                // the letter can stand behind a token that is empty
                let is_counted = symtab::is_variable(*kind) == first.is_variable;
                let is_one = names::is_kind(*kind) && names::is_name(name) && !symtab::is_label(name);
                if !is_one || !is_counted || packed.len() > MAX_PACKED {
                    return None;
                }
            }
        }
        let whole = count == block.count() && block.strides().len() == count.div_ceil(STRIDE);
        whole.then(|| Self {
            bytes: Arc::clone(block.bytes()),
            starts: Arc::clone(block.strides()),
            tokens: Arc::clone(tokens),
            count,
            variables,
        })
    }

    pub(super) const fn count(&self) -> usize {
        self.count
    }

    /// The packed names from the one with that number on, which is a multiple of [`STRIDE`].
    fn from(&self, number: usize) -> &[u8] {
        let start = self.starts.get(number / STRIDE).copied();
        start.and_then(|start| self.bytes.get(start as usize..)).unwrap_or_default()
    }

    /// The packed name with that number, its letter first.
    fn packed(&self, number: usize) -> Option<&[u8]> {
        let mut rest = self.from(number);
        for _ in 0..number % STRIDE {
            rest = names::split(rest)?.1;
        }
        names::split(rest).map(|(packed, _)| packed)
    }

    /// The tokens of the name with that number, its letter first.
    pub(super) fn pieces(&self, number: usize) -> impl Iterator<Item = &[u8]> {
        self.packed(number).unwrap_or_default().iter().map(|byte| self.tokens.token(*byte))
    }

    /// Writes the name with that number, without its letter, as [`symtab::plain`] has it.
    pub(super) fn write(&self, number: usize, out: &mut Vec<u8>) {
        out.clear();
        self.tokens.expand(self.packed(number).unwrap_or_default(), out);
        if !out.is_empty() {
            out.remove(0);
        }
        out.truncate(symtab::plain(out).len().min(MAX_NAME));
    }

    /// Unpacks the block whose first name has that number; uses what `block` holds.
    fn unpack(&self, number: usize, block: &mut Block) {
        block.text.clear();
        block.ends = [0; STRIDE];
        let mut rest = self.from(number);
        for (end, kind) in block.ends.iter_mut().zip(&mut block.kinds) {
            if let Some((packed, after)) = names::split(rest) {
                rest = after;
                let start = block.text.len();
                self.tokens.expand(packed, &mut block.text);
                *kind = block.text.get(start).copied().unwrap_or(b'?');
                if start < block.text.len() {
                    block.text.remove(start);
                }
                let len = block.text.get(start..).map_or(0, |name| symtab::plain(name).len());
                block.text.truncate(start + len.min(MAX_NAME));
            }
            *end = u32::try_from(block.text.len()).unwrap_or(u32::MAX);
        }
    }
}

/// What the first token says of a name.
struct First {
    is_variable: bool,
    /// That it is one, with a letter, and no label: no more of it has to be looked at.
    is_enough: bool,
}

impl First {
    fn of(token: &[u8]) -> Self {
        let kind = token.first().copied().unwrap_or(0);
        let is_name = token.get(1).is_some_and(|first| !matches!(first, b'.' | b'$'));
        Self { is_variable: symtab::is_variable(kind), is_enough: names::is_kind(kind) && is_name }
    }
}

/// So many names, one behind the other.
struct Block {
    text: Vec<u8>,
    ends: [u32; STRIDE],
    kinds: [u8; STRIDE],
}

impl Block {
    const EMPTY: Self = Self { text: Vec::new(), ends: [0; STRIDE], kinds: [b'?'; STRIDE] };

    /// The name with that number in the block.
    fn name(&self, number: usize) -> Option<&[u8]> {
        let start = number.checked_sub(1).map_or(Some(0), |before| self.ends.get(before).copied())?;
        self.text.get(start as usize..*self.ends.get(number)? as usize)
    }
}

/// A whole table.
pub(super) struct Packed {
    names: Names,
    values: Values,
    sorted: Option<Sorted>,
    blocks: Vec<OnceLock<Box<Block>>>,
}

impl Packed {
    /// Names and their addresses, as many of the one as of the other, and the kernel's index of them.
    pub(super) fn new(names: Names, values: Values, sorted: Option<Sorted>) -> Self {
        let blocks = std::iter::repeat_with(OnceLock::new).take(names.count.div_ceil(STRIDE)).collect();
        Self { names, values, sorted, blocks }
    }

    fn block(&self, number: usize) -> Option<&Block> {
        let block = self.blocks.get(number / STRIDE)?;
        Some(block.get_or_init(|| {
            let mut block = Box::new(Block::EMPTY);
            self.names.unpack(number / STRIDE * STRIDE, &mut block);
            block.text.shrink_to_fit();
            block
        }))
    }
}

impl Rows for Packed {
    fn len(&self) -> usize {
        self.names.count
    }

    fn addr(&self, index: usize) -> Option<u64> {
        self.values.get(index)
    }

    fn row(&self, index: usize) -> Option<Row<'_>> {
        let addr = self.values.get(index)?;
        let block = self.block(index)?;
        let number = index % STRIDE;
        let (name, kind) = (block.name(number)?, *block.kinds.get(number)?);
        Some(Row { name, addr, size: 0, module: 0, kind })
    }

    fn below(&self, addr: u64) -> usize {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low.midpoint(high);
            match self.values.get(middle) {
                Some(value) if value < addr => low = middle + 1,
                _ => high = middle,
            }
        }
        low
    }

    fn backwards(&self, each: &mut dyn FnMut(usize, &[u8])) {
        let mut block = Block::EMPTY;
        for start in (0..self.len()).step_by(STRIDE).rev() {
            self.names.unpack(start, &mut block);
            for number in (0..STRIDE.min(self.len() - start)).rev() {
                each(start + number, block.name(number).unwrap_or_default());
            }
        }
    }

    fn indexed(&self, name: &[u8]) -> Option<Vec<u32>> {
        self.sorted.as_ref()?.named(&self.names, name)
    }

    fn variables(&self, most: usize) -> usize {
        self.names.variables.min(most)
    }

    fn gaps(&self) -> usize {
        0
    }
}
