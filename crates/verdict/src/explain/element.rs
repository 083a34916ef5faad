//! What the address of an element is made of: the pointer to its array, its indices, and how many elements there are.
//!
//! **Invariant:** what is solved from an address comes out without a remainder; where all parts are known and do not make the
//! address, nothing is told of them.

use crate::code::operand::read;
use crate::explain::operand::passed;
use crate::explain::pointer::{describe, target};
use crate::model::{
    Allocator, Bound, Detail, How, Located, Name, Operand as Row, PointerIs, Spot, Value, Why,
};
use crate::naming::counts::{self, Counter};
use crate::naming::elements::{Element, Index};
use crate::naming::names::{Named, Namer, shown};
use crate::naming::values::Held;
use arch::dataflow::{Expr, Sym, cut};
use cexpr::Expr as CExpr;
use debuginfo::types::{Type, TypeRef};

/// A part of an address, with its value.
#[derive(Clone)]
pub(crate) struct Part {
    pub(crate) value: u64,
    /// What holds it; `None` where it was solved from the address.
    held: Option<Held>,
}

/// The parts of an element's address.
pub(crate) struct Parts {
    pub(crate) pointer: Option<Part>,
    indices: Vec<Option<Part>>,
}

/// The values of an element's parts, with the address of the access where that is known.
pub(crate) fn parts(namer: &Namer<'_>, element: &Element, at: Option<u64>) -> Option<Parts> {
    let kept = |sym| namer.value(sym).map(|held| Part { value: held.value, held: Some(held) });
    let mut out = Parts {
        pointer: element.pointer.as_ref().and_then(|(sym, _)| kept(*sym)),
        indices: element.indices.iter().map(|index| kept(index.sym)).collect(),
    };
    let Some(at) = at else { return Some(out) };
    let unknown = out.indices.iter().filter(|part| part.is_none()).count();
    let lacks_pointer = element.pointer.is_some() && out.pointer.is_none();
    match (lacks_pointer, unknown) {
        (false, 0) if out.sum(element) == at => Some(out),
        // memory has another pointer now
        (false, 0) if out.pointer.as_ref().is_some_and(Part::is_of_now) => {
            out.pointer = None;
            out.pointer = Some(Part { value: at.wrapping_sub(out.sum(element)), held: None });
            Some(out)
        }
        (false, 0) => None,
        (true, 0) => {
            out.pointer = Some(Part { value: at.wrapping_sub(out.sum(element)), held: None });
            Some(out)
        }
        (false, 1) => {
            let left = at.wrapping_sub(out.sum(element)).cast_signed();
            let n = out.indices.iter().position(Option::is_none)?;
            let factor = element.indices.get(n)?.factor;
            // what does not come out means that memory has another pointer now
            if left.checked_rem(factor) == Some(0) {
                let value = left.checked_div(factor)?.cast_unsigned();
                *out.indices.get_mut(n)? = Some(Part { value, held: None });
            }
            Some(out)
        }
        _ => Some(out),
    }
}

impl Part {
    fn is_of_now(&self) -> bool {
        self.held.as_ref().is_some_and(|held| held.now)
    }
}

impl Parts {
    /// The sum of what is known.
    fn sum(&self, element: &Element) -> u64 {
        let pointer = self.pointer.as_ref().map_or(0, |part| part.value);
        let indices = element.indices.iter().zip(&self.indices);
        indices
            .filter_map(|(index, part)| Some(part.as_ref()?.value.wrapping_mul(index.factor.cast_unsigned())))
            .fold(pointer.wrapping_add_signed(element.disp), u64::wrapping_add)
    }
}

/// The pointer to the array, where the register of the access has a sum that is none of the source's variables.
pub(crate) fn pointer(namer: &Namer<'_>, element: &Element, parts: &Parts) -> Option<(Row, Why)> {
    let (sym, named) = element.pointer.as_ref()?;
    let part = parts.pointer.as_ref()?;
    let value = if part.value == 0 { Value::of(0, "NULL") } else { Value::address(part.value) };
    let row = row(namer, (*sym, named), part, value);
    Some((row, Why::Pointer(named.expr.clone(), describe(namer.s, part.value))))
}

/// The same in a chain of pointers, with what it leads to.
pub(crate) fn link(namer: &Namer<'_>, element: &Element, parts: &Parts) -> Option<Row> {
    let (row, _) = pointer(namer, element, parts)?;
    let leads = parts.pointer.as_ref().and_then(|part| target(namer.s, part.value)).map(Detail::Target);
    Some(Row { detail: row.detail.into_iter().chain(leads).collect(), ..row })
}

/// The indices, each with the number that says how many elements there are.
pub(crate) fn rows(
    namer: &Namer<'_>,
    element: &Element,
    parts: &Parts,
    told: &[Row],
) -> (Vec<Row>, Vec<Why>) {
    let (mut rows, mut why): (Vec<Row>, Vec<Why>) = Default::default();
    for (index, part) in element.indices.iter().zip(&parts.indices) {
        let is_told = |row: &Row| told.iter().any(|known| known.name == row.name);
        let counter = counter(namer, element, index, parts);
        rows.extend(index_row(namer, index, part.as_ref()).filter(|row| !is_told(row)));
        if let Some(part) = part {
            why.extend(beyond(namer, index, part, parts, counter.as_ref()));
        }
        rows.extend(counter.map(|counter| counted(namer, index, counter)).filter(|row| !is_told(row)));
    }
    (rows, why)
}

/// An index, also where its value is gone; nothing of a constant.
fn index_row(namer: &Namer<'_>, index: &Index, part: Option<&Part>) -> Option<Row> {
    let named =
        index.named.as_ref().filter(|_| !matches!(namer.code.flow.expr(index.sym), Expr::Const(_)))?;
    Some(match part {
        Some(part) => {
            let size = named.ty.and_then(|ty| namer.types().size_of(ty).ok()).unwrap_or(8);
            let bits = cut(part.value, size, false);
            let value = Value::of(bits, number(namer, named.ty, part.value));
            row(namer, (index.sym, named), part, value)
        }
        None => Row {
            name: Name::Expr(named.expr.clone()),
            value: None,
            detail: [Detail::Origin(named.origin.clone().when_it_was())]
                .into_iter()
                .chain(passed(namer, index.sym))
                .collect(),
            lost: false,
            level: namer.level,
            spot: Spot::Made,
            how: named.how.max(How::Decoded),
            commands: vec!["bt".into()],
        },
    })
}

/// An index as its type has it; without one it is counted from both ends.
fn number(namer: &Namer<'_>, ty: Option<TypeRef>, value: u64) -> String {
    match ty.and_then(|ty| Some((ty, namer.types().size_of(ty).ok()?))) {
        Some((ty, size)) if is_number(namer, ty) => shown_whole(namer, ty, value, size),
        _ => value.cast_signed().to_string(),
    }
}

fn is_number(namer: &Namer<'_>, ty: TypeRef) -> bool {
    matches!(namer.types().resolve(ty), Ok((_, full)) if matches!(&*full, Type::Int { .. } | Type::Enum { .. }))
}

/// In decimal, also where it is large.
fn shown_whole(namer: &Namer<'_>, ty: TypeRef, value: u64, size: u64) -> String {
    let spelt = shown(namer.types(), Some(ty), value, size);
    match spelt.strip_prefix("0x").and_then(|hex| u64::from_str_radix(hex, 16).ok()) {
        Some(number) => number.to_string(),
        None => spelt,
    }
}

fn row(namer: &Namer<'_>, (sym, named): (Sym, &Named), part: &Part, value: Value) -> Row {
    let spot = part.held.as_ref().map_or(Spot::Made, |held| held.spot.clone());
    let gone = part.held.as_ref().is_none_or(|held| held.register.is_none());
    let origin = if gone { named.origin.clone().when_it_was() } else { named.origin.clone() };
    let first = match &part.held {
        None => Detail::Solved,
        Some(_) if spot == Spot::Made => Detail::Computed,
        Some(held) if held.now => Detail::Now(spot.clone()),
        Some(_) => Detail::At(spot.clone()),
    };
    let commands = match part.held.as_ref().and_then(|held| held.memory) {
        Some(at) => vec![format!("rd {at:x}")],
        None => vec!["bt".into()],
    };
    Row {
        name: Name::Expr(named.expr.clone()),
        value: Some(value),
        detail: [first, Detail::Origin(origin)].into_iter().chain(passed(namer, sym)).collect(),
        lost: false,
        level: namer.level,
        spot,
        how: named.how.max(How::Decoded),
        commands,
    }
}

/// The member that says how many elements an array has, with its value.
struct Counted {
    expr: CExpr,
    counter: Counter,
    at: u64,
    value: u64,
}

fn counter(namer: &Namer<'_>, element: &Element, index: &Index, parts: &Parts) -> Option<Counted> {
    if index.count.is_some_and(|count| count > 1) {
        return None;
    }
    let types = namer.types();
    let (owner, ty, at, array) = match &index.within {
        // p->array[n]
        Some((ty, array)) => {
            let (_, named) = element.pointer.as_ref()?;
            (named.expr.clone(), *ty, parts.pointer.as_ref()?.value, array.clone())
        }
        // p->pointer[n]
        None => {
            let Expr::Load { base, disp, size, at } = namer.code.flow.expr(element.pointer.as_ref()?.0)
            else {
                return None;
            };
            let from = namer.sym(at, base, 1)?;
            let member = namer.member_of(&from, disp, size)?;
            let (expr, ty) = member.object?;
            let at = namer.value(base)?.value.wrapping_add_signed(disp).wrapping_sub(member.offset);
            (expr, ty, at, member.path)
        }
    };
    let counter = counts::of(types, ty, &array)?;
    let at = at.wrapping_add(counter.offset);
    let value = read(namer.s.mem(), at, counter.size)?;
    Some(Counted { expr: owner.path(&counter.path, true), counter, at, value })
}

fn counted(namer: &Namer<'_>, index: &Index, counted: Counted) -> Row {
    let Counted { expr, counter, at, value } = counted;
    let spot = Spot::Memory { bits: counter.size * 8, at };
    Row {
        name: Name::Expr(expr),
        value: Some(Value::of(value, shown_whole(namer, counter.ty, value, counter.size))),
        detail: vec![Detail::Now(spot.clone()), Detail::Counts(index.array.clone())],
        lost: false,
        level: namer.level,
        spot,
        how: How::Guessed,
        commands: vec![format!("rd -{} {at:x}", counter.size * 8)],
    }
}

/// What an index is, where it is not among the elements, or where there are none.
fn beyond(
    namer: &Namer<'_>,
    index: &Index,
    part: &Part,
    parts: &Parts,
    counted: Option<&Counted>,
) -> Option<Why> {
    let value = i128::from(part.value.cast_signed()) * i128::from(index.factor)
        / i128::from(index.stride.max(1))
        + i128::from(index.more);
    let outside = |count: u64| value < 0 || value >= i128::from(count);
    let known = index.expr.clone();
    let of_type = index.count.filter(|count| *count > 1);
    let why = |bound: Bound| Why::Index { index: known.clone(), value, array: index.array.clone(), bound };
    // of an array that is not there, its length is nothing
    if parts.pointer.as_ref().is_some_and(|pointer| pointer.value < 0x1000) {
        return (value != 0).then(|| why(Bound::Unknown));
    }
    if let Some(count) = of_type {
        return outside(count).then(|| why(Bound::Type(count)));
    }
    if let Some(counted) = counted {
        return outside(counted.value).then(|| why(Bound::Member(counted.expr.clone(), counted.value)));
    }
    let room = room(namer, parts.pointer.as_ref()?.value, index.stride)?;
    outside(room).then(|| why(Bound::Room(room)))
}

/// For how many elements there is room behind a pointer, in its object or area.
fn room(namer: &Namer<'_>, pointer: u64, stride: u64) -> Option<u64> {
    let PointerIs::Of(located) = describe(namer.s, pointer).is else { return None };
    let (start, size) = match located {
        Located::Object(met) => match met.of {
            Allocator::Slab(object) => (object.at.0, object.size),
            Allocator::Guarded(_) => return None,
        },
        Located::Area { start, size, behind: None, .. } => (start, size),
        _ => return None,
    };
    start.checked_add(size)?.checked_sub(pointer)?.checked_div(stride)
}
