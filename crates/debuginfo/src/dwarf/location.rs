//! Where a variable is: DWARF expressions, evaluated in a frame.
//!
//! Invariant: what cannot be had is an [`Unavailable`] with its reason, never a guess.

use super::units::{Context, Unit};
use super::variables::{Place, Variable};
use super::{DwarfFile, Slice, Value};
use base::{Fault, VirtAddr, VirtRead};
use gimli::{EvaluationResult, Expression, UnitOffset, ValueType};
use std::sync::Arc;

/// How many operations an expression may execute.
const MAX_STEPS: u32 = 100_000;
/// How many callers' frames the value of a parameter at entry is sought through.
const MAX_CALLERS: usize = 8;

/// What a frame knows of the machine.
pub trait FrameAccess {
    /// A register by its DWARF number, as it was in this frame; `None` where the unwinder did not
    /// recover it.
    fn register(&self, number: u16) -> Option<u64>;
    /// The canonical frame address.
    fn cfa(&self) -> Option<u64>;
    /// Memory.
    fn memory(&self) -> &dyn VirtRead;
    /// The frame that called this one, for values at entry; `None` where there is none or it was
    /// not reached by a call (an exception).
    fn caller(&self) -> Option<Caller<'_>>;
}

/// The frame that called.
pub struct Caller<'f> {
    /// Its registers.
    pub frame: &'f dyn FrameAccess,
    /// The address behind the call.
    pub return_address: u64,
    /// The debug information of its code.
    pub dwarf: &'f DwarfFile,
    /// Of a call by a pointer the function that it entered: what the call site says of its target has to be this. A function
    /// that ends in a jump to another leaves no frame, and was given other values.
    pub entered: Option<u64>,
}

/// Why a value cannot be had.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Unavailable {
    /// The compiler keeps it nowhere at this address.
    #[error("optimized out")]
    OptimizedOut,
    /// It is in a register that was not recovered.
    #[error("in register {0}, which was not recovered in this frame")]
    Register(u16),
    /// It is what it was at the function's entry, which the caller does not tell.
    #[error("only its value at entry is known to the compiler, and the caller does not tell it")]
    Entry,
    /// It is relative to a frame address that is not known.
    #[error("the frame's address is not known")]
    NoFrame,
    /// Memory on the way to it cannot be read.
    #[error("{0}")]
    Memory(#[from] Fault),
    /// It is a pointer to something that has no address.
    #[error("a pointer to what was optimized out")]
    ImplicitPointer,
    /// The expression uses what this program does not know.
    #[error("its location needs {0}, which is not supported")]
    Unsupported(&'static str),
    /// The bytes contradict the standard.
    #[error("its location is malformed: {0}")]
    Malformed(String),
}

impl From<gimli::Error> for Unavailable {
    fn from(error: gimli::Error) -> Self {
        Unavailable::Malformed(error.to_string())
    }
}

/// Where a value is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Location {
    /// In memory.
    Address(u64),
    /// In a register of the frame, by DWARF number; with its value.
    Register(u16, u64),
    /// Nowhere, but the value is known: its bytes, little-endian, as many as there are.
    Value(Vec<u8>),
    /// In several places, the first bytes first.
    Pieces(Vec<Piece>),
    /// Not to be had.
    Unavailable(Unavailable),
}

/// A part of a value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Piece {
    /// How many bits of the value.
    pub bits: u64,
    /// From which bit of the location on.
    pub from_bit: u64,
    /// Where.
    pub location: Location,
}

impl Location {
    /// The value's bytes, `size` of them; shorter constants are extended with zeroes.
    ///
    /// # Errors
    /// When the value, or a part of it, cannot be had.
    pub fn bytes(&self, size: usize, memory: &dyn VirtRead) -> Result<Vec<u8>, Unavailable> {
        match self {
            Location::Address(at) => Ok(memory.bytes(VirtAddr(*at), size)?),
            Location::Register(_, value) => Ok(sized(value.to_le_bytes().to_vec(), size)),
            Location::Value(bytes) => Ok(sized(bytes.clone(), size)),
            Location::Pieces(pieces) => assemble(pieces, size, memory),
            Location::Unavailable(why) => Err(why.clone()),
        }
    }
}

fn sized(mut bytes: Vec<u8>, size: usize) -> Vec<u8> {
    bytes.resize(size, 0);
    bytes
}

fn assemble(pieces: &[Piece], size: usize, memory: &dyn VirtRead) -> Result<Vec<u8>, Unavailable> {
    let mut out = vec![0_u8; size];
    let mut to = 0_u64;
    let total = (size as u64).saturating_mul(8);
    for piece in pieces {
        let bits = piece.bits.min(total.saturating_sub(to));
        let reach = piece.from_bit.saturating_add(bits).div_ceil(8);
        let reach = usize::try_from(reach).unwrap_or(usize::MAX).min(size.saturating_add(64));
        let bytes = piece.location.bytes(reach, memory)?;
        for i in 0..bits {
            let from = piece.from_bit.saturating_add(i);
            let bit = bytes.get((from / 8) as usize).map_or(0, |b| (b >> (from % 8)) & 1);
            let at = to.saturating_add(i);
            if let Some(byte) = out.get_mut((at / 8) as usize) {
                *byte |= bit << (at % 8);
            }
        }
        to = to.saturating_add(bits);
    }
    if to < total { Err(Unavailable::OptimizedOut) } else { Ok(out) }
}

/// What an entry value is asked for by: the register that had it, or the parameter's entry.
#[derive(Clone, Copy)]
enum AtEntry {
    Register(u16),
    Param(u32),
}

/// An expression's surroundings.
struct Evaluator<'q, 'a> {
    file: &'q DwarfFile,
    context: &'q Context<'a>,
    unit: Arc<Unit<'a>>,
    place: Place,
    frame: &'q dyn FrameAccess,
    /// How many callers may still be asked.
    callers: usize,
}

impl DwarfFile {
    /// Where a variable is in a frame.
    #[must_use]
    pub fn evaluate(&self, variable: &Variable, frame: &dyn FrameAccess) -> Location {
        self.with(|context| self.place(context, variable.place, frame).unwrap_or_else(Location::Unavailable))
    }

    fn place(
        &self,
        context: &Context<'_>,
        place: Place,
        frame: &dyn FrameAccess,
    ) -> Result<Location, Unavailable> {
        if place.entry == 0 {
            return Err(Unavailable::OptimizedOut);
        }
        let (unit, entry) = context.entry(place.entry)?;
        let eval =
            Evaluator { file: self, context, unit: Arc::clone(&unit), place, frame, callers: MAX_CALLERS };
        match entry.attr_value(gimli::DW_AT_location) {
            Some(value) => {
                let expression = eval.expression_at(value)?.ok_or(Unavailable::OptimizedOut)?;
                eval.location(expression)
            }
            None => {
                let constant = context
                    .through_origins(&unit, &entry, |_, entry| entry.attr_value(gimli::DW_AT_const_value));
                constant
                    .as_ref()
                    .and_then(constant_bytes)
                    .map(Location::Value)
                    .ok_or(Unavailable::OptimizedOut)
            }
        }
    }

    /// What a call site says of a parameter: its value in the caller's frame, at the call.
    fn value_at_call(
        &self,
        caller: &Caller<'_>,
        wanted: AtEntry,
        callee: &str,
        callers: usize,
    ) -> Option<u64> {
        let after = self.linked(caller.return_address);
        self.with(|context| {
            let scopes = context.scopes(after.checked_sub(1)?)?;
            let unit = &scopes.unit;
            let function = scopes.chain.first().and_then(|s| unit.id(s.entry.offset()).ok()).unwrap_or(0);
            let mut found = None;
            for scope in scopes.chain.iter().rev() {
                let _ = context.children(unit, &scope.entry, |child| {
                    if context.is_call_before(unit, child, after) {
                        found = Some(child.clone());
                    }
                    found.is_none()
                });
                if found.is_some() {
                    break;
                }
            }
            let site = found?;
            // a jump at the callee's end may have gone on to another function, with other values
            let target = context
                .referred(unit, &site, gimli::DW_AT_call_origin)
                .or_else(|| context.referred(unit, &site, gimli::DW_AT_abstract_origin));
            if let Some(target) = target {
                let (unit, entry) = context.entry(target).ok()?;
                if context.full_name(&unit, &entry).is_some_and(|name| *name != *callee) {
                    return None;
                }
            }
            let value = context.call_value(unit, &site, wanted)?;
            let place = Place { entry: 0, function, addr: after.checked_sub(1)? };
            let eval = Evaluator {
                file: self,
                context,
                unit: Arc::clone(unit),
                place,
                frame: caller.frame,
                callers: callers.checked_sub(1)?,
            };
            if let Some(entered) = caller.entered {
                let target = call_target(&site)?;
                eval.number(target).ok().filter(|target| *target == entered)?;
            }
            eval.number(value).ok()
        })
    }
}

/// The expression for the address that a call site calls.
fn call_target<'a>(site: &super::Entry<'a>) -> Option<Expression<Slice<'a>>> {
    [gimli::DW_AT_call_target, gimli::DW_AT_GNU_call_site_target]
        .into_iter()
        .find_map(|name| site.attr_value(name)?.exprloc_value())
}

impl<'a> Context<'a> {
    /// True for the call whose return address this is.
    fn is_call_before(&self, unit: &Unit<'a>, entry: &super::Entry<'a>, after: u64) -> bool {
        if !matches!(entry.tag(), gimli::DW_TAG_call_site | gimli::DW_TAG_GNU_call_site) {
            return false;
        }
        let at = entry.attr_value(gimli::DW_AT_call_return_pc).or(entry.attr_value(gimli::DW_AT_low_pc));
        let at = at.and_then(|value| self.dwarf(unit).attr_address(&unit.inner, value).ok().flatten());
        at == Some(after)
    }

    /// The expression for what a call site passes.
    fn call_value(
        &self,
        unit: &Unit<'a>,
        site: &super::Entry<'a>,
        wanted: AtEntry,
    ) -> Option<Expression<Slice<'a>>> {
        let mut found = None;
        let _ = self.children(unit, site, |child| {
            if matches!(
                child.tag(),
                gimli::DW_TAG_call_site_parameter | gimli::DW_TAG_GNU_call_site_parameter
            ) && self.passes(unit, child, wanted)
            {
                let value = child
                    .attr_value(gimli::DW_AT_call_value)
                    .or(child.attr_value(gimli::DW_AT_GNU_call_site_value));
                found = value.and_then(|v| v.exprloc_value());
            }
            found.is_none()
        });
        found
    }

    fn passes(&self, unit: &Unit<'a>, param: &super::Entry<'a>, wanted: AtEntry) -> bool {
        match wanted {
            AtEntry::Register(number) => {
                let at = param.attr_value(gimli::DW_AT_location).and_then(|v| v.exprloc_value());
                at.and_then(|e| lone_register(&e, unit)) == Some(number)
            }
            AtEntry::Param(id) => {
                let of = self
                    .referred(unit, param, gimli::DW_AT_call_parameter)
                    .or_else(|| self.referred(unit, param, gimli::DW_AT_abstract_origin));
                of == Some(id)
            }
        }
    }
}

/// The register that an expression of one operation names.
fn lone_register<'a>(expression: &Expression<Slice<'a>>, unit: &Unit<'a>) -> Option<u16> {
    let mut operations = expression.operations(unit.inner.encoding());
    match (operations.next().ok()??, operations.next().ok()?) {
        (gimli::Operation::Register { register }, None) => Some(register.0),
        _ => None,
    }
}

/// The bytes of `DW_AT_const_value`; numbers have eight.
fn constant_bytes(value: &Value<'_>) -> Option<Vec<u8>> {
    match value {
        Value::Block(bytes) => Some(bytes.slice().to_vec()),
        Value::Sdata(n) => Some(n.to_le_bytes().to_vec()),
        Value::Data16(n) => Some(n.to_le_bytes().to_vec()),
        Value::Exprloc(_) | Value::String(_) | Value::DebugStrRef(_) => None,
        other => super::die::number(other).map(|n| (n as u64).to_le_bytes().to_vec()),
    }
}

impl<'a> Evaluator<'_, 'a> {
    /// The expression that holds at the address: the one there is, or that of a list.
    fn expression_at(&self, value: Value<'a>) -> Result<Option<Expression<Slice<'a>>>, Unavailable> {
        if let Some(expression) = value.exprloc_value() {
            return Ok(Some(expression));
        }
        let dwarf = self.context.dwarf(&self.unit);
        let Some(mut list) = dwarf.attr_locations(&self.unit.inner, value)? else { return Ok(None) };
        while let Some(entry) = list.next()? {
            if entry.range.begin <= self.place.addr && self.place.addr < entry.range.end {
                return Ok(Some(entry.data));
            }
        }
        Ok(None)
    }

    fn location(&self, expression: Expression<Slice<'a>>) -> Result<Location, Unavailable> {
        if gimli::Reader::is_empty(&expression.0) {
            return Err(Unavailable::OptimizedOut);
        }
        let mut pieces = self.run(expression)?;
        match pieces.as_slice() {
            [] => Err(Unavailable::OptimizedOut),
            [only] if only.size_in_bits.is_none() => self.one(only),
            _ => {
                let pieces = pieces.drain(..).map(|p| Piece {
                    bits: p.size_in_bits.unwrap_or(0),
                    from_bit: p.bit_offset.unwrap_or(0),
                    location: self.one(&p).unwrap_or_else(Location::Unavailable),
                });
                Ok(Location::Pieces(pieces.collect()))
            }
        }
    }

    fn one(&self, piece: &gimli::Piece<Slice<'a>>) -> Result<Location, Unavailable> {
        Ok(match piece.location {
            gimli::Location::Empty => return Err(Unavailable::OptimizedOut),
            gimli::Location::Register { register } => {
                Location::Register(register.0, self.register(register.0)?)
            }
            gimli::Location::Address { address } => Location::Address(address),
            gimli::Location::Value { value } => {
                Location::Value(value.to_u64(u64::MAX)?.to_le_bytes().to_vec())
            }
            gimli::Location::Bytes { value } => Location::Value(value.slice().to_vec()),
            gimli::Location::ImplicitPointer { .. } => return Err(Unavailable::ImplicitPointer),
        })
    }

    /// The number that an expression of a call site or frame base comes to.
    fn number(&self, expression: Expression<Slice<'a>>) -> Result<u64, Unavailable> {
        match self.location(expression)? {
            // such an expression leaves its value on the stack, which gimli takes for an address
            Location::Address(n) | Location::Register(_, n) => Ok(n),
            Location::Value(bytes) => {
                bytes.first_chunk::<8>().map(|b| u64::from_le_bytes(*b)).ok_or(Unavailable::Entry)
            }
            _ => Err(Unavailable::Entry),
        }
    }

    fn register(&self, number: u16) -> Result<u64, Unavailable> {
        self.frame.register(number).ok_or(Unavailable::Register(number))
    }

    fn run(&self, expression: Expression<Slice<'a>>) -> Result<Vec<gimli::Piece<Slice<'a>>>, Unavailable> {
        let mut evaluation = expression.evaluation(self.unit.inner.encoding());
        evaluation.set_max_iterations(MAX_STEPS);
        let mut state = evaluation.evaluate()?;
        loop {
            state = match state {
                EvaluationResult::Complete => return Ok(evaluation.result()),
                EvaluationResult::RequiresMemory { address, size, base_type, .. } => {
                    let value = self.memory(address, size, base_type)?;
                    evaluation.resume_with_memory(value)?
                }
                EvaluationResult::RequiresRegister { register, base_type } => {
                    let value =
                        gimli::Value::from_u64(self.value_type(base_type)?, self.register(register.0)?)?;
                    evaluation.resume_with_register(value)?
                }
                EvaluationResult::RequiresFrameBase => {
                    evaluation.resume_with_frame_base(self.frame_base()?)?
                }
                EvaluationResult::RequiresCallFrameCfa => {
                    evaluation.resume_with_call_frame_cfa(self.frame.cfa().ok_or(Unavailable::NoFrame)?)?
                }
                EvaluationResult::RequiresEntryValue(inner) => {
                    let register = lone_register(&inner, &self.unit).ok_or(Unavailable::Entry)?;
                    let value = self.at_entry(AtEntry::Register(register))?;
                    evaluation.resume_with_entry_value(gimli::Value::Generic(value))?
                }
                EvaluationResult::RequiresParameterRef(offset) => {
                    let value = self.at_entry(AtEntry::Param(self.unit.id(offset)?))?;
                    evaluation.resume_with_parameter_ref(value)?
                }
                EvaluationResult::RequiresRelocatedAddress(address) => {
                    evaluation.resume_with_relocated_address(self.file.placed(address))?
                }
                EvaluationResult::RequiresIndexedAddress { index, relocate } => {
                    let address = self.context.dwarf(&self.unit).address(&self.unit.inner, index)?;
                    let address = if relocate { self.file.placed(address) } else { address };
                    evaluation.resume_with_indexed_address(address)?
                }
                EvaluationResult::RequiresBaseType(offset) => {
                    evaluation.resume_with_base_type(self.value_type(offset)?)?
                }
                EvaluationResult::RequiresTls(_) => {
                    return Err(Unavailable::Unsupported("thread-local storage"));
                }
                EvaluationResult::RequiresAtLocation(_) => {
                    return Err(Unavailable::Unsupported("the location of another entry"));
                }
                EvaluationResult::RequiresWasmLocal { .. }
                | EvaluationResult::RequiresWasmGlobal { .. }
                | EvaluationResult::RequiresWasmStack { .. } => {
                    return Err(Unavailable::Unsupported("WebAssembly"));
                }
            };
        }
    }

    fn memory(&self, address: u64, size: u8, base_type: UnitOffset) -> Result<gimli::Value, Unavailable> {
        let mut bytes = [0_u8; 8];
        let part = bytes.get_mut(..usize::from(size)).ok_or(Unavailable::Unsupported("a wide load"))?;
        self.frame.memory().read(VirtAddr(address), part)?;
        Ok(gimli::Value::from_u64(self.value_type(base_type)?, u64::from_le_bytes(bytes))?)
    }

    /// What an operation means by a base type; offset 0 is the generic one.
    fn value_type(&self, offset: UnitOffset) -> Result<ValueType, Unavailable> {
        if offset.0 == 0 {
            return Ok(ValueType::Generic);
        }
        let entry = self.unit.inner.entry(offset)?;
        let size = super::die::unsigned(&entry, gimli::DW_AT_byte_size).unwrap_or(8);
        match entry.attr_value(gimli::DW_AT_encoding) {
            Some(Value::Encoding(encoding)) => {
                ValueType::from_encoding(encoding, size).ok_or(Unavailable::Unsupported("an odd base type"))
            }
            _ => Ok(ValueType::Generic),
        }
    }

    /// `DW_AT_frame_base` of the function.
    fn frame_base(&self) -> Result<u64, Unavailable> {
        let (_, function) = self.context.entry(self.place.function)?;
        let base = function.attr_value(gimli::DW_AT_frame_base).ok_or(Unavailable::NoFrame)?;
        let expression = self.expression_at(base)?.ok_or(Unavailable::NoFrame)?;
        let mut operations = expression.operations(self.unit.inner.encoding());
        // an expression that itself asks for the frame base would never end
        while let Some(operation) = operations.next()? {
            if matches!(operation, gimli::Operation::FrameOffset { .. }) {
                return Err(Unavailable::Malformed("the frame base is relative to itself".into()));
            }
        }
        self.number(expression)
    }

    /// A value that the function got from its caller.
    fn at_entry(&self, wanted: AtEntry) -> Result<u64, Unavailable> {
        let caller = self.frame.caller().ok_or(Unavailable::Entry)?;
        let (unit, function) = self.context.entry(self.place.function)?;
        let name = self.context.full_name(&unit, &function).ok_or(Unavailable::Entry)?;
        let foreign = matches!(wanted, AtEntry::Param(_)) && !std::ptr::eq(caller.dwarf, self.file);
        if self.callers == 0 || foreign {
            return Err(Unavailable::Entry);
        }
        caller.dwarf.value_at_call(&caller, wanted, &name, self.callers).ok_or(Unavailable::Entry)
    }
}
