//! Checks the values of a verdict without `verdict`: each expression of its JSON is evaluated by `p` in the task and frame
//! that the JSON names, and what was in a register is compared with the registers in the guest's own oops. Where `p` cannot
//! tell, because the compiler no longer keeps a variable, the memory that the JSON names has to hold the value.
//!
//! A value counts as checked where one of these gives the same number; another number is wrong. A literal in place of a
//! name is wrong. What none of them can tell is unchecked, and counted.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::Value;

use crate::Answers;

/// What became of the values of some verdicts.
#[derive(Debug, Default)]
pub struct Checked {
    /// How many were confirmed.
    pub right: usize,
    /// Those that nothing could tell, with the reason.
    pub unchecked: Vec<String>,
    /// Those that are not so.
    pub wrong: Vec<String>,
}

impl Checked {
    /// Adds those of another verdict.
    pub fn add(&mut self, name: &str, other: Self) {
        self.right += other.right;
        self.unchecked.extend(other.unchecked.into_iter().map(|why| format!("{name}: {why}")));
        self.wrong.extend(other.wrong.into_iter().map(|why| format!("{name}: {why}")));
    }

    /// True where at least nine of ten were confirmed, and none is wrong.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.wrong.is_empty() && self.unchecked.len() * 9 <= self.right
    }
}

/// A value of a verdict.
#[derive(Debug)]
struct Stated {
    /// What it is called there.
    name: String,
    /// As `p` takes it.
    expr: Option<String>,
    value: u64,
    /// The task and the frame that it is of.
    task: Option<String>,
    frame: Option<u64>,
    register: Option<String>,
    address: Option<u64>,
}

/// Checks a verdict's values. `dump` and `files` are the dump and what `p` may use; `console` is what the guest said.
///
/// # Errors
/// crashlens gives no answer.
pub fn check(verdict: &Value, dump: &[PathBuf], console: Option<&str>) -> Result<Checked, String> {
    let values = values(verdict);
    let evaluated = evaluate(&values, dump)?;
    let memory = memory(&values, dump)?;
    let function = verdict.pointer("/place/function").and_then(Value::as_str);
    let oops = console.zip(function).map(|(text, function)| registers(text, function)).unwrap_or_default();
    let blamed = verdict.pointer("/victim/frame").and_then(Value::as_u64);
    let mut out = Checked::default();
    for ((stated, found), held) in values.iter().zip(evaluated).zip(memory) {
        // the oops has the registers of the frame to blame alone
        let of_oops = stated.frame == blamed;
        let in_oops =
            stated.register.as_ref().filter(|_| of_oops).and_then(|name| register(&oops, name)).copied();
        let Stated { name, value, .. } = stated;
        let literal = stated.expr.as_deref().is_some_and(is_literal);
        match (found, in_oops) {
            _ if literal => out.wrong.push(format!("{name} is no name")),
            (Ok(found), _) if !same(*value, found) => {
                out.wrong.push(format!("{name} = {value:#x}, and p says {found:#x}"));
            }
            (_, Some(found)) if !same_part(*value, found) => {
                out.wrong.push(format!("{name} = {value:#x}, and the guest's own oops says {found:#x}"));
            }
            (Err(_), None) if held.is_some_and(|held| same_part(*value, held)) => out.right += 1,
            (Err(why), None) => out.unchecked.push(format!("{name} = {value:#x}: {why}")),
            _ => out.right += 1,
        }
    }
    Ok(out)
}

/// The values that a verdict states.
fn values(verdict: &Value) -> Vec<Stated> {
    let rows = |pointer: &str| verdict.pointer(pointer).and_then(Value::as_array).into_iter().flatten();
    let waits =
        rows("/waits").flat_map(|row| row.get("values").and_then(Value::as_array).into_iter().flatten());
    let all =
        rows("/condition/operands").chain(rows("/access/operands")).chain(rows("/related")).chain(waits);
    all.filter_map(stated).collect()
}

fn stated(row: &Value) -> Option<Stated> {
    let text = |key: &str| row.get(key).and_then(Value::as_str).map(str::to_owned);
    let at = |key: &str| row.pointer(&format!("/at/{key}"));
    let value = number(&text("value")?)?;
    let task = at("task").and_then(Value::as_str).map(str::to_owned);
    let frame = at("frame").and_then(Value::as_u64);
    let address = at("address").and_then(Value::as_str).and_then(number);
    let register = at("register").and_then(Value::as_str).map(str::to_owned);
    let expr = text("expr");
    let name = text("name").or_else(|| expr.clone()).or_else(|| text("text"))?;
    Some(Stated { name, expr, value, task, frame, register, address })
}

fn number(text: &str) -> Option<u64> {
    u64::from_str_radix(text.trim_start_matches("0x"), 16).ok()
}

/// What `p` says of each value, or why it says nothing.
fn evaluate(values: &[Stated], dump: &[PathBuf]) -> Result<Vec<Result<u64, String>>, String> {
    let place = |stated: &Stated| stated.task.clone().zip(stated.frame);
    // without a frame there are no registers
    let asked =
        |stated: &Stated| stated.expr.clone().filter(|expr| place(stated).is_some() || !expr.contains('$'));
    let mut groups: BTreeMap<Option<(String, u64)>, Vec<String>> = BTreeMap::new();
    for stated in values {
        groups.entry(place(stated)).or_default().extend(asked(stated));
    }
    let line = |expr: &str| format!("p (unsigned long)({expr})");
    let mut answers = BTreeMap::new();
    for (frame, exprs) in groups {
        let mut lines = Vec::new();
        if let Some((task, number)) = &frame {
            lines.extend([format!("set {}", task.trim_start_matches("0x")), format!("frame {number}")]);
        }
        lines.extend(exprs.iter().map(|expr| line(expr)));
        answers.insert(frame, Answers::ask(dump, &lines)?);
    }
    let one = |stated: &Stated| {
        let expr = asked(stated).ok_or("it has no expression, or no frame")?;
        let answers = answers.get(&place(stated)).ok_or("it was not asked")?;
        let data =
            answers.data(&line(&expr)).map_err(|why| why.lines().next().unwrap_or_default().to_owned())?;
        let value = data.pointer("/values/0/value").ok_or("p shows no value")?;
        let known = value.as_u64().or_else(|| value.as_str().and_then(number));
        known.ok_or_else(|| format!("p says {value}"))
    };
    Ok(values.iter().map(one).collect())
}

/// What memory has at the address of each value.
fn memory(values: &[Stated], dump: &[PathBuf]) -> Result<Vec<Option<u64>>, String> {
    let line = |at: u64| format!("rd -64 {at:x}");
    let lines: Vec<String> = values.iter().filter_map(|stated| stated.address).map(line).collect();
    if lines.is_empty() {
        return Ok(vec![None; values.len()]);
    }
    let answers = Answers::ask(dump, &lines)?;
    let held = |at: u64| {
        let data = answers.data(&line(at)).ok()?;
        number(data.pointer("/memory/0/values/0")?.as_str()?)
    };
    Ok(values.iter().map(|stated| stated.address.and_then(held)).collect())
}

/// The registers of the oops of this function, in the guest's own words: `RAX: 00000000ffffffff RBX: …`.
fn registers(console: &str, function: &str) -> BTreeMap<String, u64> {
    let mut out = BTreeMap::new();
    let mut lines = console.lines().skip_while(|line| {
        let place = line.split_once("RIP: 0010:").map(|(_, place)| place);
        place.is_none_or(|place| place.split('+').next() != Some(function))
    });
    lines.next();
    for line in lines.take(12).take_while(|line| !line.contains("RIP: ")) {
        let line = line.rsplit_once("] ").map_or(line, |(_, rest)| rest);
        let mut words = line.split_whitespace();
        while let Some(word) = words.next() {
            let Some(name) = word.strip_suffix(':') else { continue };
            let named = name.len() <= 3 && name.starts_with(['R', 'r']);
            let value = words.next().filter(|_| named).and_then(|value| u64::from_str_radix(value, 16).ok());
            out.extend(value.map(|value| (name.to_lowercase(), value)));
        }
    }
    out
}

/// The register of which this is a part: `eax` of `rax`, `r8d` and `r08` of `r8`.
fn register<'o>(oops: &'o BTreeMap<String, u64>, name: &str) -> Option<&'o u64> {
    let letters = name.trim_start_matches(['r', 'e']);
    let whole = match letters.trim_end_matches(['d', 'w', 'b']) {
        digits if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) => {
            format!("r{digits:0>2}")
        }
        // `al`; `sil`, `bpl`
        _ if letters.len() == 2 && letters.ends_with('l') => format!("r{}x", letters.trim_end_matches('l')),
        _ if letters.len() == 3 && letters.ends_with('l') => format!("r{}", letters.trim_end_matches('l')),
        _ => format!("r{letters}"),
    };
    oops.get(&whole)
}

/// True where two numbers are one: as they are, or the same in a narrower type, with or without its sign.
fn same(stated: u64, found: u64) -> bool {
    let cut = |bits: u32| {
        let low = found & (u64::MAX >> (64 - bits));
        let sign = found >> (bits - 1);
        // a negative number of fewer bits
        stated == low && (sign == u64::MAX >> (bits - 1))
    };
    stated == found || [8, 16, 32].into_iter().any(cut)
}

/// True where a number is the low part of a register, or part of it moved on by nothing.
fn same_part(stated: u64, found: u64) -> bool {
    [64, 32, 16, 8].into_iter().any(|bits: u32| stated == found & (u64::MAX >> (64 - bits)))
        || same(found, stated)
}

/// True where an expression is a number, or takes one for an address: `0xffff888012345678`, `*(long *)0x…`.
fn is_literal(expr: &str) -> bool {
    let is_number = |word: &&str| number(word).is_some() && word.starts_with("0x") && word.len() > 10;
    let words = expr.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    expr.parse::<i64>().is_ok() || words.into_iter().any(|word| is_number(&word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registers_of_the_guests_own_oops() {
        let console = "[    4.1] RIP: 0010:other+0x1/0x2\n[    4.1] RAX: 0000000000000001 RBX: 0000000000000002\n\
                       [    4.1] RIP: 0010:f+0x15/0x20 [zoo]\n[    4.1] Code: cc cc\n\
                       [    4.1] RSP: 0018:ff00 EFLAGS: 00010246\n[    4.1] RAX: 00000000ffffffff R08: 0000000000000007\n\
                       [    4.1] RIP: 0033:0x47b7a0\n[    4.1] RAX: 0000000000000009";
        let oops = registers(console, "f");
        let of = |name: &str| register(&oops, name).copied();
        assert_eq!(
            (of("rax"), of("eax"), of("al")),
            (Some(0xffff_ffff), Some(0xffff_ffff), Some(0xffff_ffff))
        );
        assert_eq!((of("r8"), of("r8d"), of("rbx")), (Some(7), Some(7), None));
        let whole: BTreeMap<String, u64> = ["rbx", "rdx", "rsi", "rdi", "rbp", "rsp"]
            .into_iter()
            .zip(1..)
            .map(|(r, n)| (r.to_owned(), n))
            .collect();
        let parts = ["bl", "dl", "sil", "dil", "bpl", "spl"].map(|name| register(&whole, name).copied());
        assert_eq!(parts, [1, 2, 3, 4, 5, 6].map(Some));
        assert!(registers(console, "g").is_empty());
    }

    #[test]
    fn numbers_of_several_widths() {
        assert!(same(0x26, 0x26) && same(0xffff_ffea, 0xffff_ffff_ffff_ffea));
        assert!(!same(0xffff_ffea, 0x1_ffff_ffea) && !same(38, 55));
        assert!(same_part(0xea, 0x1234_56ea) && !same_part(0xeb, 0x1234_56ea));
    }

    #[test]
    fn literals_are_no_names() {
        assert!(
            is_literal("0xffff888012345678") && is_literal("*(long *)0xffff888012345678") && is_literal("17")
        );
        assert!(!is_literal("p->x + 0x10") && !is_literal("ring->desc.size") && !is_literal("$rdi"));
    }

    #[test]
    fn a_verdicts_values() {
        let verdict = serde_json::json!({"condition": {"operands": [
            {"name": "n", "expr": "n", "value": "0x5", "at": {"task": "0xff00", "frame": 6, "register": "eax"}},
            {"name": "gone", "expr": "gone", "value": {"absent": "gone"}},
        ]}, "waits": [{"values": [{"expr": "flag", "value": "0x1", "at": {"address": "0x10"}}]}]});
        let found = values(&verdict);
        assert_eq!(found.len(), 2);
        assert_eq!((found[0].task.as_deref(), found[0].frame, found[0].value), (Some("0xff00"), Some(6), 5));
        assert_eq!((found[1].name.as_str(), found[1].frame, found[1].address), ("flag", None, Some(0x10)));
    }
}
