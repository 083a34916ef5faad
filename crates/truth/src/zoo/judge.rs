//! Compares a verdict with the truth.
//!
//! Three answers are told apart: right; unknown (the verdict says nothing, or less than there is to say: honest); and
//! wrong (it says what is not so). Where values are right and only a register or a bare memory operand is named, that is
//! right as long as the dump holds no types for the module, and unknown otherwise.

use serde_json::Value;

use super::Truth;
use super::expression::{Part, holds, last_name, number, parts, same_number, same_operator};
use crate::State;

/// What a statement is worth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// As the truth has it.
    Right,
    /// Not told, or not whole; why.
    Unknown(String),
    /// Not so; why.
    Wrong(String),
    /// There is nothing to tell.
    NotAsked,
}

/// The parts of a verdict, judged.
#[derive(Debug, Clone)]
pub struct Judged {
    /// The kind of death.
    pub class: Outcome,
    /// Function and offset.
    pub place: Outcome,
    /// File and line.
    pub line: Outcome,
    /// The condition, the access, or who waits for what.
    pub cause: Outcome,
    /// The kind of context.
    pub context: Outcome,
}

impl Judged {
    /// Of a run that gave no verdict.
    pub(super) fn failed(error: &str) -> Self {
        let none = Outcome::NotAsked;
        let class = Outcome::Wrong(format!("no verdict: {error}"));
        Self { class, place: none.clone(), line: none.clone(), cause: none.clone(), context: none }
    }

    /// By name.
    #[must_use]
    pub fn all(&self) -> [(&'static str, &Outcome); 5] {
        [
            ("class", &self.class),
            ("place", &self.place),
            ("line", &self.line),
            ("cause", &self.cause),
            ("context", &self.context),
        ]
    }
}

/// Judges a verdict.
#[must_use]
pub fn judge(truth: &Truth, said: &Value, state: State) -> Judged {
    let named = truth.typed || state == State::Modules;
    Judged {
        class: class(truth, said),
        place: place(truth, said),
        line: line(truth, said, state),
        cause: cause(truth, said, named),
        context: context(truth, said),
    }
}

fn text<'a>(value: &'a Value, pointer: &str) -> Option<&'a str> {
    value.pointer(pointer).and_then(Value::as_str).filter(|text| !text.is_empty())
}

fn class(truth: &Truth, said: &Value) -> Outcome {
    match text(said, "/class") {
        Some("unknown") | None => Outcome::Unknown("no class".into()),
        Some(class) if truth.class.iter().any(|right| right == class) => Outcome::Right,
        Some(class) => Outcome::Wrong(format!("{class}, and it was {}", truth.class.join(" or "))),
    }
}

/// Classes of deaths that are no place's fault.
const PLACELESS: &[&str] =
    &["out-of-memory", "init-killed", "no-root", "sysrq", "nmi", "machine-check", "alive"];

fn is_placeless(truth: &Truth) -> bool {
    truth.class.iter().any(|class| PLACELESS.contains(&class.as_str()))
}

fn place(truth: &Truth, said: &Value) -> Outcome {
    if truth.places.is_empty() || is_placeless(truth) {
        return Outcome::NotAsked;
    }
    let Some(function) = text(said, "/place/function") else { return Outcome::Unknown("no place".into()) };
    let offset = said.pointer("/place/offset").and_then(Value::as_u64).unwrap_or_default();
    let right = truth.places.iter().any(|told| {
        // A call is at most seven bytes before where it returns to.
        let back = if told.exact { 0 } else { 7 };
        told.function == function && (told.offset.saturating_sub(back)..=told.offset).contains(&offset)
    });
    if right {
        return Outcome::Right;
    }
    let all: Vec<String> =
        truth.places.iter().map(|told| format!("{}+{:#x}", told.function, told.offset)).collect();
    Outcome::Wrong(format!("{function}+{offset:#x}, and it was {}", all.join(" < ")))
}

fn line(truth: &Truth, said: &Value, state: State) -> Outcome {
    let Some(mark) = truth.mark.as_ref().filter(|_| !is_placeless(truth)) else { return Outcome::NotAsked };
    let found = (text(said, "/place/file"), said.pointer("/place/line").and_then(Value::as_u64));
    let (Some(file), Some(line)) = found else {
        return match state {
            State::Modules => Outcome::Unknown("no line".into()),
            _ => Outcome::NotAsked,
        };
    };
    if text(said, "/place/module") == Some("zoo") {
        // Debug information may put the folder of the build in front, or leave the module's own out.
        if (file.ends_with(&mark.file) || mark.file.ends_with(file)) && mark.lines.contains(&line) {
            return Outcome::Right;
        }
        // The line of a function of the kernel's headers that was inlined there: the truth does not know it.
        if text(said, "/place/inlined").is_some() && file.ends_with(".h") {
            return Outcome::NotAsked;
        }
        return Outcome::Wrong(format!("{file}:{line}, and it was {}:{:?}", mark.file, mark.lines));
    }
    // the kernel printed the line of the function that found the damage, not that of who called it
    let found = truth.places.first().map(|innermost| innermost.function.as_str());
    if found.is_some_and(|found| text(said, "/place/function") != Some(found)) {
        return Outcome::NotAsked;
    }
    match &truth.printed {
        Some((right, number)) if file.ends_with(right.trim_start_matches("./")) && line == *number => {
            Outcome::Right
        }
        Some((right, number)) => {
            Outcome::Wrong(format!("{file}:{line}, and the kernel says {right}:{number}"))
        }
        None => Outcome::NotAsked,
    }
}

fn cause(truth: &Truth, said: &Value, named: bool) -> Outcome {
    let mut found = vec![waits(truth, said), caches(truth, said)];
    if let Some(expression) = truth.mark.as_ref().and_then(|mark| mark.expression.as_deref())
        && !(is_placeless(truth) || truth.values.is_empty())
    {
        found.push(expressed(truth, said, expression, named));
    }
    worst(found)
}

fn worst(outcomes: Vec<Outcome>) -> Outcome {
    let rank = |outcome: &Outcome| match outcome {
        Outcome::NotAsked => 0,
        Outcome::Right => 1,
        Outcome::Unknown(_) => 2,
        Outcome::Wrong(_) => 3,
    };
    outcomes.into_iter().max_by_key(rank).unwrap_or(Outcome::NotAsked)
}

/// An operand of the verdict.
struct Operand<'a> {
    name: &'a str,
    /// None where it is gone.
    value: Option<i128>,
}

fn operands<'a>(said: &'a Value, of: &str) -> Vec<Operand<'a>> {
    let list = said.pointer(&format!("/{of}/operands")).and_then(Value::as_array).into_iter().flatten();
    list.filter_map(|row| {
        let value = row.get("text").and_then(Value::as_str).and_then(number);
        Some(Operand { name: row.get("name")?.as_str()?, value })
    })
    .collect()
}

/// A value of the truth, by its expression.
fn known(truth: &Truth, expression: &str) -> Option<i128> {
    let found = truth.values.iter().find(|(name, _)| name == expression);
    found.and_then(|(_, value)| number(value)).or_else(|| number(expression))
}

fn expressed(truth: &Truth, said: &Value, expression: &str, named: bool) -> Outcome {
    for of in ["condition", "access"] {
        for operand in operands(said, of) {
            if let (Some(value), Some(right)) = (operand.value, known(truth, operand.name))
                && !same_number(value, right)
            {
                return Outcome::Wrong(format!("{} = {value:#x}, and it was {right:#x}", operand.name));
            }
        }
    }
    let condition = text(said, "/condition/text");
    let access = text(said, "/access/text");
    let asked = parts(expression);
    let compares = expression.contains(' ');
    match (condition, access) {
        (Some(condition), _) if compares => self::condition(truth, said, condition, &asked, named),
        (None, None) if truth.class.iter().any(|class| class == "panic") => Outcome::NotAsked,
        (None, None) => Outcome::Unknown("neither condition nor access".into()),
        (_, Some(access)) if !compares || condition.is_none() => {
            self::access(truth, said, access, expression, named)
        }
        // A switch: the operand with its value is what there is to tell.
        (Some(condition), _) => {
            // `IS_ERR(p->private)` is told with the value of what it asks about
            let asked = expression.strip_prefix("IS_ERR(").and_then(|rest| rest.strip_suffix(')'));
            let lacks = asked.is_some() && !condition.contains("IS_ERR(");
            let expression = asked.unwrap_or(expression);
            let right = known(truth, expression);
            let mut found = operands(said, "condition").into_iter().filter(|o| o.value == right && !lacks);
            match found.find(|operand| same_name(expression, operand.name) || !named) {
                Some(_) => Outcome::Right,
                None => Outcome::Unknown(format!("{condition} does not name {expression}")),
            }
        }
        _ => Outcome::Unknown("no condition".into()),
    }
}

fn same_name(one: &str, other: &str) -> bool {
    last_name(one).is_some_and(|name| last_name(other).as_ref() == Some(&name))
}

/// How well a side of the verdict fits a side of the truth.
#[derive(PartialEq, Eq, PartialOrd, Ord, Clone, Copy)]
enum Fit {
    /// Another value, another name.
    No,
    /// Its value is not told.
    Gone,
    /// It holds, and says less: the compiler knew that `error` is never above 0, and asks `!= 0` in place of `< 0`.
    Weaker,
    /// The value is right, and only a register or memory operand is named.
    Unnamed,
    /// It fits.
    Yes,
}

fn side(truth: &Truth, right: &str, operands: &[Operand<'_>], said: &str) -> Fit {
    let operand = operands.iter().find(|operand| operand.name == said);
    let value = operand.map_or_else(|| number(said), |operand| operand.value);
    let name = last_name(said).filter(|_| number(said).is_none());
    // A sum of the terms that made the value, the call that did, and an object's own address, are held to the value.
    let computed =
        [" + ", " - ", " * ", "()"].iter().any(|sign| said.contains(sign)) || said.starts_with('&');
    if let (Some(wanted), Some(name), false) = (last_name(right), &name, computed)
        && wanted != *name
    {
        return Fit::No;
    }
    match (known(truth, right), value) {
        (Some(right), Some(value)) if !same_number(right & mask(said), value & mask(said)) => Fit::No,
        (_, Some(_)) if name.is_some() || number(right).is_some() => Fit::Yes,
        (_, Some(_)) => Fit::Unnamed,
        (_, None) => Fit::Gone,
    }
}

/// The bits that a cast in front leaves.
fn mask(text: &str) -> i128 {
    match text.trim_start_matches('(').split(')').next() {
        Some("u8" | "unsigned char" | "s8" | "char") => 0xff,
        Some("u16" | "unsigned short" | "s16" | "short") => 0xffff,
        Some("u32" | "unsigned int" | "s32" | "int") => 0xffff_ffff,
        _ => -1,
    }
}

fn fit(truth: &Truth, right: &Part, operands: &[Operand<'_>], said: &Part) -> Fit {
    let operator = match (number(&right.right), number(&said.right)) {
        (Some(one), Some(other)) if same_operator(right.operator, one, said.operator, other) => {
            return side(truth, &right.left, operands, &said.left);
        }
        (Some(one), Some(other))
            if one == other && said.operator == "!=" && [">", "<"].contains(&right.operator) =>
        {
            return side(truth, &right.left, operands, &said.left).min(Fit::Weaker);
        }
        // A bit test that the compiler turned into a comparison of the masked value is not told apart here.
        _ => right.operator == said.operator,
    };
    if !operator {
        return Fit::No;
    }
    side(truth, &right.left, operands, &said.left).min(side(truth, &right.right, operands, &said.right))
}

fn condition(truth: &Truth, said: &Value, text: &str, asked: &[Part], named: bool) -> Outcome {
    let operands = operands(said, "condition");
    let told = parts(text);
    let best = |right: &Part| {
        let both = told.iter().flat_map(|part| [part.clone(), part.mirrored()]);
        both.map(|part| fit(truth, right, &operands, &part)).max().unwrap_or(Fit::No)
    };
    let fits: Vec<Fit> = asked.iter().map(best).collect();
    // A part beyond the truth's must at least hold.
    for part in &told {
        let value = |side: &str| {
            operands.iter().find(|operand| operand.name == side).map_or_else(|| number(side), |o| o.value)
        };
        if let (Some(left), Some(right)) = (value(&part.left), value(&part.right))
            && !holds(left, part.operator, right)
            && part.operator != "&"
        {
            return Outcome::Wrong(format!("{text} does not hold with its own values"));
        }
    }
    let wanted = truth.mark.as_ref().and_then(|mark| mark.expression.clone()).unwrap_or_default();
    if fits.iter().all(|fit| *fit == Fit::No) {
        // Without names, code may compare what is around the operand: `*(arg1 + 0x20) > 167` of a field's top bits.
        let nameless = |part: &Part| last_name(&part.left).is_none() && number(&part.right).is_some();
        if !named && told.iter().all(nameless) {
            return Outcome::Unknown(format!("{text} holds, and is not told as {wanted}"));
        }
        return Outcome::Wrong(format!("{text}, and it was {wanted}"));
    }
    match fits.iter().min() {
        Some(Fit::Yes) => Outcome::Right,
        Some(Fit::Unnamed) if !named => Outcome::Right,
        Some(Fit::Unnamed) => Outcome::Unknown(format!("{text} leaves a register without a name")),
        Some(Fit::Weaker) => Outcome::Unknown(format!("{text} holds, and says less than {wanted}")),
        Some(Fit::Gone) => Outcome::Unknown(format!("{text} without the value of an operand")),
        _ => Outcome::Unknown(format!("{text} is only a part of {wanted}")),
    }
}

/// The address in `read of 4 bytes at 000000000000000c: …`.
fn address_in(text: &str) -> Option<i128> {
    let (_, rest) = text.split_once(" bytes at ").or_else(|| text.split_once(" byte at "))?;
    let digits = rest.split(|c: char| !c.is_ascii_hexdigit()).next()?;
    (digits.len() == 16).then(|| u64::from_str_radix(digits, 16).ok().map(i128::from)).flatten()
}

fn access(truth: &Truth, said: &Value, text: &str, expression: &str, named: bool) -> Outcome {
    let address = known(truth, "address");
    if let (Some(told), Some(right)) = (address_in(text), address)
        && told != right
    {
        return Outcome::Wrong(format!("an access at {told:#x}, and it was at {right:#x}"));
    }
    let operands = operands(said, "access");
    let mut worst = Outcome::Unknown(format!("{text}: does not name {expression}"));
    for wanted in expression.split(" | ") {
        let right = known(truth, wanted).or_else(|| known(truth, expression));
        let fits = |value: Option<i128>| value.is_some() && (value == right || value == address);
        // What is accessed: `read of 8 bytes at ffff…: record->number`.
        let accessed = text.split_once(": ").and_then(|(_, rest)| rest.split(';').next());
        if address.is_some()
            && address_in(text) == address
            && accessed.is_some_and(|name| same_name(wanted, name))
        {
            return Outcome::Right;
        }
        // `p->next is NULL`, `call of ops->open, which is ffff…`
        let clauses = text.split([':', ';']).filter_map(|clause| clause.split_once(" is "));
        let clauses: Vec<_> =
            clauses.map(|(name, value)| (name.trim_end_matches(", which"), number(value))).collect();
        if clauses.iter().any(|(name, value)| same_name(wanted, name) && fits(*value))
            || operands.iter().any(|operand| same_name(wanted, operand.name) && fits(operand.value))
        {
            return Outcome::Right;
        }
        if operands.iter().any(|operand| last_name(operand.name).is_none() && fits(operand.value))
            || clauses.iter().any(|(name, value)| last_name(name).is_none() && fits(*value))
        {
            if !named {
                return Outcome::Right;
            }
            worst = Outcome::Unknown(format!("{text}: only a register"));
        }
    }
    worst
}

/// Everything that the verdict says in words.
fn words(said: &Value, into: &mut Vec<String>) {
    match said {
        Value::Object(members) => {
            for (name, value) in members {
                match value {
                    Value::String(text) if matches!(name.as_str(), "text" | "headline" | "where") => {
                        into.push(text.clone());
                    }
                    _ => words(value, into),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| words(item, into)),
        _ => {}
    }
}

/// Who waits for what, and who holds it.
fn waits(truth: &Truth, said: &Value) -> Outcome {
    let mut texts = Vec::new();
    words(said, &mut texts);
    let mut outcome = Outcome::NotAsked;
    for fact in &truth.facts {
        let words: Vec<&str> = fact.split_whitespace().collect();
        let (verb, pid, address) = match words.as_slice() {
            [verb @ ("waits" | "holds" | "spins"), pid, _, address] => (*verb, *pid, *address),
            _ => continue,
        };
        let mut about = texts.iter().filter(|text| text.contains(address));
        // who holds it has exited, and another task has its task_struct: told as one of two readings
        let both = about.clone().any(|text| text.contains("owner field points to"));
        if verb == "holds" && both {
            outcome = worst(vec![outcome, Outcome::Right]);
            continue;
        }
        if verb == "holds"
            && let Some(text) = texts.iter().find(|text| {
                let after = text.split_once(address).and_then(|(_, rest)| rest.split_once("held by "));
                after.is_some_and(|(_, owner)| {
                    let owner = owner.split_once('[').and_then(|(_, rest)| rest.split_once(']'));
                    owner.is_some_and(|(owner, _)| owner != pid)
                })
            })
        {
            return Outcome::Wrong(format!("{text}, and {pid} holds it"));
        }
        let told = match verb {
            "spins" => about.next().is_some(),
            _ => about.any(|text| text.contains(&format!("[{pid}]"))),
        };
        let this = if told { Outcome::Right } else { Outcome::Unknown(format!("not told: {fact}")) };
        outcome = worst(vec![outcome, this]);
    }
    outcome
}

/// An object that the verdict ascribes to a slab cache must be of that cache.
fn caches(truth: &Truth, said: &Value) -> Outcome {
    let mut texts = Vec::new();
    words(said, &mut texts);
    let fact = |key: &str| truth.facts.iter().find_map(|fact| fact.strip_prefix(key));
    let Some(cache) = fact("cache ") else { return Outcome::NotAsked };
    for object in [fact("object "), fact("freed ")].into_iter().flatten() {
        let claimed = texts.iter().filter(|text| text.contains(object)).find_map(|text| {
            let (_, rest) = text.split_once("slab cache ")?;
            rest.split(|c: char| !(c.is_ascii_alphanumeric() || "_-".contains(c))).next()
        });
        if let Some(claimed) = claimed.filter(|claimed| *claimed != cache) {
            return Outcome::Wrong(format!("{object} in {claimed}, and it was in {cache}"));
        }
    }
    // Who ate the memory.
    if truth.class.iter().any(|class| class == "out-of-memory") {
        return match texts.iter().any(|text| text.contains(cache)) {
            true => Outcome::Right,
            false => Outcome::Unknown(format!("does not name {cache}")),
        };
    }
    Outcome::NotAsked
}

fn context(truth: &Truth, said: &Value) -> Outcome {
    let Some(wanted) = truth.facts.iter().find_map(|fact| fact.strip_prefix("context ")) else {
        return Outcome::NotAsked;
    };
    let mut texts = Vec::new();
    words(said.get("context").unwrap_or(&Value::Null), &mut texts);
    // The last word is the handler's or thread's name.
    let name = wanted.rsplit(' ').next().unwrap_or(wanted);
    match texts.iter().any(|text| text.contains(name)) {
        true => Outcome::Right,
        false => Outcome::Unknown(format!("does not name {wanted}")),
    }
}

#[cfg(test)]
#[path = "judge_tests.rs"]
mod tests;
