//! Events as text: an event's `print_fmt` (`"format", arguments`), which is C over the record, with the helpers of
//! include/trace/trace_events.h and stages (`__print_flags`, `__get_str` ...).
//!
//! **Invariant:** what is not understood is an error with the part that is not; no argument is guessed.

mod parse;

use super::event::{Event, Field};
use base::Bytes;
use base::printf::{self, Pointers, Value, wrapped};
use parse::{Expr, Unknown};
use std::cell::Cell;
use std::fmt::Write as _;

/// A name with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Symbol {
    /// The name.
    pub name: String,
    /// Bytes from its beginning.
    pub offset: u64,
    /// Its bytes.
    pub size: u64,
    /// The module that it is of.
    pub module: Option<String>,
}

/// What formats ask of the kernel.
pub trait Names {
    /// The symbol that an address is in.
    fn symbol(&self, at: u64) -> Option<Symbol>;
    /// The string at an address of the kernel's.
    fn string(&self, at: u64) -> Option<String>;
    /// The number that a name stands for.
    fn constant(&self, name: &str) -> Option<i128>;
}

/// Why a record has no text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lack {
    /// What of the format is not understood.
    Unknown(String),
    /// What it points to and is not in the dump.
    Lost(String),
}

/// What a format's pointers are, and the string that could not be read.
struct Shown<'a>(&'a dyn Names, Cell<Option<String>>);

impl Pointers for Shown<'_> {
    fn string(&self, at: u64) -> Option<String> {
        let found = self.0.string(at);
        if found.is_none() {
            self.1.set(Some(format!("the string at {at:#x} is not in the dump")));
        }
        found
    }
    fn symbol(&self, at: u64, with_offset: bool) -> Option<String> {
        let Symbol { name, offset, size, module } = self.0.symbol(at)?;
        let place = if with_offset { format!("+{offset:#x}/{size:#x}") } else { String::new() };
        let module = module.map(|module| format!(" [{module}]")).unwrap_or_default();
        Some(format!("{name}{place}{module}"))
    }
}

/// A format that was read, for many records.
#[derive(Debug)]
pub struct Format<'e> {
    event: &'e Event,
    common: &'e [Field],
    parsed: Result<(String, Vec<Expr>), Unknown>,
}

/// A record with what its format may name.
struct Record<'a> {
    format: &'a Format<'a>,
    data: &'a [u8],
    names: &'a dyn Names,
}

impl<'e> Format<'e> {
    /// The format of an event.
    #[must_use]
    pub fn of(event: &'e Event, common: &'e [Field]) -> Self {
        Self { event, common, parsed: parse::parse(&event.format) }
    }

    /// What a record says, as the kernel prints it.
    ///
    /// # Errors
    /// What of the format is not understood.
    pub fn text(&self, data: &[u8], names: &dyn Names) -> Result<String, Lack> {
        let (format, arguments) = self.parsed.as_ref().map_err(|why| Lack::Unknown(why.clone()))?;
        let record = Record { format: self, data, names };
        let values: Result<Vec<Value>, Unknown> = arguments.iter().map(|one| record.value(one)).collect();
        let shown = Shown(names, Cell::new(None));
        let text = printf::print(format, &values.map_err(Lack::Unknown)?, &shown);
        // a string that cannot be read is no part of the format that is not understood
        text.map_err(|why| shown.1.take().map_or(Lack::Unknown(why), Lack::Lost))
    }

    /// A record by its fields, where its format is not understood.
    #[must_use]
    pub fn fields(&self, data: &[u8], names: &dyn Names) -> String {
        let record = Record { format: self, data, names };
        let mut out = String::new();
        for field in &self.event.fields {
            let gap = if out.is_empty() { "" } else { " " };
            let shown = match record.field(&field.name) {
                Ok(Value::Number(n)) => n.to_string(),
                Ok(Value::Text(text)) => format!("{text:?}"),
                Ok(Value::Bytes(bytes)) => bytes.iter().map(|b| format!("{b:02x}")).collect(),
                Ok(Value::Float(value)) => value.to_string(),
                Err(_) => "?".to_owned(),
            };
            let _ = write!(out, "{gap}{}={shown}", field.name);
        }
        out
    }

    /// A field of a record as a number.
    #[must_use]
    pub fn number(&self, data: &[u8], name: &str) -> Option<i128> {
        let field = self.find(name)?;
        number(data.get(field.offset..field.offset.checked_add(field.size)?)?, field.is_signed)
    }

    fn find(&self, name: &str) -> Option<&'e Field> {
        self.event.fields.iter().chain(self.common).find(|field| field.name == name)
    }
}

/// A number of 1, 2, 4 or 8 bytes.
fn number(raw: &[u8], is_signed: bool) -> Option<i128> {
    if !matches!(raw.len(), 1 | 2 | 4 | 8) {
        return None;
    }
    let mut all = [0; 8];
    all.get_mut(..raw.len())?.copy_from_slice(raw);
    let bytes = u32::try_from(raw.len()).ok()?;
    Some(wrapped(u64::from_le_bytes(all).into(), bytes, is_signed))
}

impl Record<'_> {
    fn field(&self, name: &str) -> Result<Value, Unknown> {
        let field = self.format.find(name).ok_or_else(|| format!("the field {name}"))?;
        if field.kind.contains("__data_loc") || field.kind.contains("__rel_loc") {
            let bytes = self.dynamic(name)?;
            let is_text = field.kind.contains("char");
            return Ok(if is_text { text(&bytes) } else { Value::Bytes(bytes) });
        }
        let end = field.offset.saturating_add(field.size);
        let raw = self.data.get(field.offset..end).ok_or_else(|| format!("the record ends before {name}"))?;
        match (field.kind.contains('['), number(raw, field.is_signed)) {
            (true, _) if field.kind.contains("char") && !field.kind.contains("u8") => Ok(text(raw)),
            (false, Some(n)) => Ok(Value::Number(n)),
            _ => Ok(Value::Bytes(raw.to_vec())),
        }
    }

    /// A part of the record that a field tells the place and the length of.
    fn dynamic(&self, name: &str) -> Result<Vec<u8>, Unknown> {
        let field = self.format.find(name).ok_or_else(|| format!("the field {name}"))?;
        let lost = || format!("the record ends before {name}");
        let word = Bytes::new(self.data).u32_at(field.offset).map_err(|_| lost())?;
        let (offset, len) = ((word & 0xffff) as usize, (word >> 16) as usize);
        let base = if field.kind.contains("__rel_loc") { field.offset + 4 } else { 0 };
        let from = base.saturating_add(offset);
        self.data.get(from..from.saturating_add(len)).map(<[u8]>::to_vec).ok_or_else(lost)
    }

    fn value(&self, expr: &Expr) -> Result<Value, Unknown> {
        let number = |expr: &Expr| self.value(expr)?.number();
        Ok(match expr {
            Expr::Number(n) => Value::Number(*n),
            Expr::Text(text) => Value::Text(text.clone()),
            Expr::Field(name) => self.field(name)?,
            Expr::Name(name) => {
                Value::Number(self.names.constant(name).ok_or_else(|| format!("the name {name}"))?)
            }
            Expr::Unary(sign, of) => {
                let n = number(of)?;
                Value::Number(match sign {
                    '-' => -n,
                    '~' => wrapped(!n, 8, true),
                    '!' => i128::from(n == 0),
                    _ => n,
                })
            }
            Expr::Binary(first, rest) => {
                let mut left = number(first)?;
                for (sign, right) in rest {
                    left = self.binary(sign, left, right)?;
                }
                Value::Number(left)
            }
            Expr::Choice(which, yes, no) => match (number(which)?, yes) {
                (0, _) => self.value(no)?,
                (n, None) => Value::Number(n),
                (_, Some(yes)) => self.value(yes)?,
            },
            Expr::Cast(ty, of) => match (ty, self.value(of)?) {
                (Some((bytes, is_signed)), Value::Number(n)) => Value::Number(wrapped(n, *bytes, *is_signed)),
                (None, value) => value,
                (Some(_), _) => return Err("a text that is made a number".to_owned()),
            },
            Expr::Call(name, arguments) => self.call(name, arguments)?,
            Expr::Index(of, index) => {
                let (Value::Bytes(bytes), index) = (self.value(of)?, number(index)?) else {
                    return Err("an element of what is no array".to_owned());
                };
                let size = self.element(of)?;
                let from = usize::try_from(index).ok().and_then(|n| n.checked_mul(size));
                let raw = from.and_then(|from| bytes.get(from..from.checked_add(size)?));
                Value::Number(
                    raw.and_then(|raw| self::number(raw, false)).ok_or("an element behind an array")?,
                )
            }
            Expr::List(_) => return Err("a list in place of a value".to_owned()),
        })
    }

    /// Bytes of an element of an array that is a field.
    fn element(&self, of: &Expr) -> Result<usize, Unknown> {
        let Expr::Field(name) = of else { return Err("an element of what is no field".to_owned()) };
        let field = self.format.find(name).ok_or_else(|| format!("the field {name}"))?;
        let count =
            field.kind.split_once('[').and_then(|(_, rest)| rest.split(']').next()?.parse::<usize>().ok());
        let size = count.and_then(|count| field.size.checked_div(count));
        size.filter(|n| matches!(n, 1 | 2 | 4 | 8)).ok_or_else(|| format!("elements of {name}"))
    }

    fn binary(&self, sign: &str, left: i128, right: &Expr) -> Result<i128, Unknown> {
        // what decides alone lets the other one be
        match sign {
            "&&" if left == 0 => return Ok(0),
            "||" if left != 0 => return Ok(1),
            _ => {}
        }
        let right = self.value(right)?.number()?;
        let shift = || u32::try_from(right).ok().filter(|n| *n < 64).ok_or_else(|| "a shift".to_owned());
        let none = || "a division by zero".to_owned();
        let truth = |is: bool| Ok(i128::from(is));
        let out: Result<i128, Unknown> = match sign {
            "+" => Ok(left.wrapping_add(right)),
            "-" => Ok(left.wrapping_sub(right)),
            "*" => left.checked_mul(right).ok_or_else(|| "a product".to_owned()),
            "/" => left.checked_div(right).ok_or_else(none),
            "%" => left.checked_rem(right).ok_or_else(none),
            "&" => Ok(left & right),
            "|" => Ok(left | right),
            "^" => Ok(left ^ right),
            "<<" => Ok(left << shift()?),
            ">>" => Ok(left >> shift()?),
            "==" => truth(left == right),
            "!=" => truth(left != right),
            "<" => truth(left < right),
            ">" => truth(left > right),
            "<=" => truth(left <= right),
            ">=" => truth(left >= right),
            "&&" | "||" => truth(right != 0),
            other => Err(format!("the sign {other}")),
        };
        Ok(wrapped(out?, 8, true))
    }

    fn call(&self, name: &str, arguments: &[Expr]) -> Result<Value, Unknown> {
        let field = || match arguments {
            [Expr::Name(field)] => Ok(field.as_str()),
            _ => Err(format!("the argument of {name}")),
        };
        let lacks = || format!("the arguments of {name}");
        match name {
            "__get_str" | "__get_rel_str" => Ok(text(&self.dynamic(field()?)?)),
            "__get_dynamic_array" | "__get_rel_dynamic_array" => Ok(Value::Bytes(self.dynamic(field()?)?)),
            "__get_dynamic_array_len" | "__get_rel_dynamic_array_len" => {
                Ok(Value::Number(self.dynamic(field()?)?.len() as i128))
            }
            "__print_flags" | "__print_flags_u64" => match arguments {
                [value, Expr::Text(between), pairs @ ..] => self.flags(value, between, pairs),
                _ => Err(lacks()),
            },
            "__print_symbolic" | "__print_symbolic_u64" => match arguments {
                [value, pairs @ ..] => self.symbolic(value, pairs),
                [] => Err(lacks()),
            },
            "__print_hex" | "__print_hex_str" => {
                let [of, len] = arguments else { return Err(lacks()) };
                let Value::Bytes(bytes) = self.value(of)? else { return Err(lacks()) };
                let len = usize::try_from(self.value(len)?.number()?).map_err(|_| lacks())?;
                let bytes = bytes.get(..len).ok_or_else(lacks)?;
                let parts: Vec<String> = bytes.iter().map(|b| format!("{b:02x}")).collect();
                Ok(Value::Text(parts.join(if name == "__print_hex" { " " } else { "" })))
            }
            "__print_array" => self.array(arguments).ok_or_else(lacks),
            other => Err(format!("{other}()")),
        }
    }

    fn pairs<'p>(&self, pairs: &'p [Expr]) -> Result<Vec<(i128, &'p str)>, Unknown> {
        let one = |pair: &'p Expr| match pair {
            Expr::List(both) => match both.as_slice() {
                [value, Expr::Text(text)] => Ok((self.value(value)?.number()?, text.as_str())),
                _ => Err("a pair".to_owned()),
            },
            _ => Err("a pair".to_owned()),
        };
        pairs.iter().map(one).collect()
    }

    fn flags(&self, value: &Expr, between: &str, pairs: &[Expr]) -> Result<Value, Unknown> {
        let mut left = self.value(value)?.number()?;
        let mut out: Vec<String> = Vec::new();
        for (mask, text) in self.pairs(pairs)? {
            if left != 0 && left & mask == mask {
                out.push(text.to_owned());
                left &= !mask;
            }
        }
        if left != 0 {
            out.push(format!("{:#x}", wrapped(left, 8, false)));
        }
        Ok(Value::Text(out.join(between)))
    }

    fn symbolic(&self, value: &Expr, pairs: &[Expr]) -> Result<Value, Unknown> {
        let value = self.value(value)?.number()?;
        let pairs = self.pairs(pairs)?;
        // the same bits, whatever the types
        let found = pairs.iter().find(|(own, _)| wrapped(*own, 8, false) == wrapped(value, 8, false));
        Ok(Value::Text(
            found.map_or_else(|| format!("{:#x}", wrapped(value, 8, false)), |(_, text)| (*text).to_owned()),
        ))
    }

    fn array(&self, arguments: &[Expr]) -> Option<Value> {
        let [of, count, size] = arguments else { return None };
        let Value::Bytes(bytes) = self.value(of).ok()? else { return None };
        let number = |expr: &Expr| usize::try_from(self.value(expr).ok()?.number().ok()?).ok();
        let (count, size) = (number(count)?, number(size)?);
        let raw = bytes.get(..count.checked_mul(size)?)?;
        if !matches!(size, 1 | 2 | 4 | 8) {
            return None;
        }
        let parts: Option<Vec<String>> =
            raw.chunks_exact(size).map(|raw| Some(format!("{:#x}", self::number(raw, false)?))).collect();
        Some(Value::Text(format!("{{{}}}", parts?.join(","))))
    }
}

/// Bytes up to their NUL as text.
fn text(bytes: &[u8]) -> Value {
    Value::Text(String::from_utf8_lossy(base::cstr(bytes)).into_owned())
}

#[cfg(test)]
mod tests;
