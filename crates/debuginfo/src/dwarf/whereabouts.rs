//! Where a variable is, in words: the ranges of its code with a place for each (`info scope`).
//!
//! What one operation says is told in words; of more, the names of the operations (DWARF 5, section 2.5).

use super::units::{Context, Unit};
use super::variables::Variable;
use super::{DwarfFile, Slice};
use gimli::{Expression, Operation, Reader as _};

/// More ranges than a variable has, and more operations than an expression is told by.
const MAX_RANGES: usize = 1000;
const MAX_OPERATIONS: usize = 64;

/// A place of a variable.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Whereabouts {
    /// The code in which it is there, the end excluded; none where it is there in all of its scope.
    pub range: Option<(u64, u64)>,
    /// The place.
    pub place: String,
}

impl DwarfFile {
    /// Where a variable is, over all of its function's code; nothing where the compiler keeps it nowhere. `register` names registers by
    /// their numbers.
    ///
    /// # Errors
    /// The bytes contradict the standard.
    pub fn whereabouts(
        &self,
        variable: &Variable,
        register: &dyn Fn(u16) -> String,
    ) -> Result<Vec<Whereabouts>, String> {
        if variable.place.entry == 0 {
            return Ok(Vec::new());
        }
        self.with(|context| self.places(context, variable, register).map_err(|e| e.to_string()))
    }

    fn places(
        &self,
        context: &Context<'_>,
        variable: &Variable,
        register: &dyn Fn(u16) -> String,
    ) -> gimli::Result<Vec<Whereabouts>> {
        let (unit, entry) = context.entry(variable.place.entry)?;
        let lone = |place| vec![Whereabouts { range: None, place }];
        let Some(value) = entry.attr_value(gimli::DW_AT_location) else {
            let constant =
                context.through_origins(&unit, &entry, |_, entry| entry.attr_value(gimli::DW_AT_const_value));
            let number = constant.as_ref().and_then(super::die::number);
            return Ok(match (constant, number) {
                (None, _) => Vec::new(),
                (Some(_), Some(number)) => lone(format!("the constant {number}")),
                (Some(_), None) => lone("a constant".to_owned()),
            });
        };
        if let Some(expression) = value.exprloc_value() {
            return Ok(self.place_of(&unit, expression, register)?.map(lone).unwrap_or_default());
        }
        let dwarf = context.dwarf(&unit);
        let Some(mut list) = dwarf.attr_locations(&unit.inner, value)? else { return Ok(Vec::new()) };
        let mut out = Vec::new();
        while let Some(entry) = list.next()? {
            if out.len() >= MAX_RANGES {
                break;
            }
            if let Some(place) = self.place_of(&unit, entry.data, register)? {
                let range = Some((self.placed(entry.range.begin), self.placed(entry.range.end)));
                out.push(Whereabouts { range, place });
            }
        }
        Ok(out)
    }

    /// An expression in words; none of an empty one, which says that the value is nowhere.
    fn place_of(
        &self,
        unit: &Unit<'_>,
        expression: Expression<Slice<'_>>,
        register: &dyn Fn(u16) -> String,
    ) -> gimli::Result<Option<String>> {
        let encoding = unit.inner.encoding();
        let (mut all, mut names) = (Vec::new(), Vec::new());
        let mut operations = expression.operations(encoding);
        let mut from = expression.0;
        while let Some(operation) = operations.next()? {
            if names.len() >= MAX_OPERATIONS {
                names.push("...".to_owned());
                break;
            }
            let code = gimli::DwOp(from.read_u8()?);
            names.push(code.static_string().map_or_else(|| format!("{:#x}", code.0), str::to_owned));
            all.push(operation);
            from = expression.0;
            from.skip(operations.offset_from(&expression))?;
        }
        let at_entry = |expression: &Slice<'_>| {
            let mut inner = Expression(*expression).operations(encoding);
            match (inner.next(), inner.next()) {
                (Ok(Some(Operation::Register { register })), Ok(None)) => Some(register.0),
                _ => None,
            }
        };
        let offset = |n: i64| if n < 0 { format!("-{}", n.unsigned_abs()) } else { format!("+{n}") };
        Ok(Some(match all.as_slice() {
            [] => return Ok(None),
            [Operation::Register { register: r }] => format!("in ${}", register(r.0)),
            [Operation::RegisterOffset { register: r, offset: by, .. }] => {
                format!("in memory at ${}{}", register(r.0), offset(*by))
            }
            [Operation::FrameOffset { offset: by }] => format!("in memory at the frame base{}", offset(*by)),
            [Operation::CallFrameCFA] => "in memory at the frame's address".to_owned(),
            [Operation::Address { address }] => format!("in memory at {:#x}", self.placed(*address)),
            [Operation::EntryValue { expression }, Operation::StackValue] => match at_entry(expression) {
                Some(r) => format!("what ${} was at the function's entry", register(r)),
                None => computed(&names),
            },
            [Operation::UnsignedConstant { value }, Operation::StackValue] => format!("the constant {value}"),
            [Operation::SignedConstant { value }, Operation::StackValue] => format!("the constant {value}"),
            _ => computed(&names),
        }))
    }
}

fn computed(names: &[String]) -> String {
    format!("computed: {}", names.join(" "))
}
