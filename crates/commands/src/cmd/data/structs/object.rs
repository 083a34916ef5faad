//! Objects in memory, in crash's layout.

use super::{Ask, types};
use crate::show::tasks;
use crate::show::values;
use crate::{CommandError, Cx};
use base::VirtAddr;
use cexpr::{Scope, Value, ValueTree, format_value, member_text};
use debuginfo::types::Type;
use inspect::{SessionScope, UserOnly};
use report::{Cell, Record, Report};

/// Objects that are shown in one go.
const AT_ONCE: u64 = 64;

/// Objects at a kernel address, of each CPU where some are given.
pub(super) fn in_kernel(
    cx: &mut Cx<'_>,
    ask: &Ask<'_>,
    at: VirtAddr,
    cpus: Option<&[u32]>,
    count: i64,
) -> Result<Report, CommandError> {
    let mut report = Report::new(ask.command);
    let Some(cpus) = cpus else {
        let total = count.unsigned_abs();
        let mut done = 0;
        // many objects are shown as they are read
        while total - done > AT_ONCE {
            let mut part = Report::new(ask.command);
            let scope = values::scope(cx, ask.s, None);
            part.list("objects", objects(cx, ask, &scope, at, count, done..done + AT_ONCE)?);
            cx.emit(&part)?;
            done += AT_ONCE;
        }
        let scope = values::scope(cx, ask.s, None);
        report.list("objects", objects(cx, ask, &scope, at, count, done..total)?);
        return Ok(report);
    };
    let scope = values::scope(cx, ask.s, None);
    let per_cpu = ask.s.is_per_cpu(at) || !ask.s.arch().is_kernel(at);
    let mut out = Vec::new();
    for &cpu in cpus {
        let offset = kernel::sched::cpu::per_cpu_offset(ask.s, cpu).map_err(CommandError::failed)?;
        let place = if per_cpu { at.add(offset) } else { at };
        let mut record = Record::of(types::cpu_line(cpu, place));
        record.list("objects", objects(cx, ask, &scope, place, count, 0..count.unsigned_abs())?);
        out.push(record);
    }
    report.list("cpus", out);
    Ok(report)
}

/// Objects in the context's user memory.
pub(super) fn in_user(cx: &Cx<'_>, ask: &Ask<'_>, at: VirtAddr, count: i64) -> Result<Report, CommandError> {
    let task = tasks::context(cx)?;
    let mem = UserOnly(kernel::mm::address_space::user_memory(ask.s, task).map_err(CommandError::failed)?);
    let scope = SessionScope { user: Some(&mem), ..values::scope(cx, ask.s, None) };
    let mut report = Report::new(ask.command);
    report.list("objects", objects(cx, ask, &scope, at, count, 0..count.unsigned_abs())?);
    Ok(report)
}

/// Objects at an offset of the dump file.
pub(super) fn in_file(cx: &Cx<'_>, ask: &Ask<'_>, at: u64, count: i64) -> Result<Report, CommandError> {
    use std::os::unix::fs::FileExt;
    let path = ask
        .s
        .opened()
        .machine
        .image
        .dump_paths
        .first()
        .ok_or_else(|| CommandError::failed("no dump file"))?;
    let failed = |e: std::io::Error| CommandError::failed(format_args!("{}: {e}", path.display()));
    let file = std::fs::File::open(path).map_err(failed)?;
    let size = size(ask, count)?;
    let mut records = Vec::new();
    let scope = values::scope(cx, ask.s, None);
    for n in 0..count.max(0).unsigned_abs() {
        let place = at.wrapping_add(size.wrapping_mul(n));
        let mut bytes = vec![0; usize::try_from(size).unwrap_or(0)];
        file.read_exact_at(&mut bytes, place).map_err(failed)?;
        let mut record = Record::new();
        show(ask, &scope, &Value::immediate(ask.ty, bytes), &mut record)?;
        records.push(record);
    }
    let mut report = Report::new(ask.command);
    report.list("objects", records);
    Ok(report)
}

/// Bytes of an object; where the next one is has to be known for more than one.
fn size(ask: &Ask<'_>, count: i64) -> Result<u64, CommandError> {
    let types = ask.s.types();
    let size = if count == 1 { types.size_of(ask.ty) } else { types.exact_size_of(ask.ty) };
    size.map_err(CommandError::failed)
}

/// Those objects of `count` that have these numbers.
fn objects(
    cx: &Cx<'_>,
    ask: &Ask<'_>,
    scope: &dyn Scope,
    at: VirtAddr,
    count: i64,
    numbers: std::ops::Range<u64>,
) -> Result<Vec<Record>, CommandError> {
    let size = size(ask, count)?;
    // the object at the address is the last of a negative count
    let back = if count < 0 { count.unsigned_abs() - 1 } else { 0 };
    let first = at.sub(size.wrapping_mul(back));
    let mut out = Vec::new();
    for n in numbers {
        cx.cancel.check()?;
        let place = first.add(size.wrapping_mul(n));
        let mut record = Record::new();
        if n > 0 {
            record.blank();
        }
        if n == 0 && !ask.offsets {
            // an address that the dump does not map is an error; a gap within an object is a mark
            let mut byte = [0];
            if let Err(fault) = scope.memory().read(place, &mut byte)
                && !matches!(fault.kind, base::FaultKind::Page(_))
            {
                return Err(CommandError::failed(format_args!(
                    "invalid {} virtual address: {:x}: {fault}",
                    ask.space, place.0
                )));
            }
        }
        record.hidden("address", Cell::Addr(place.0));
        show(ask, scope, &Value::memory(ask.ty, place), &mut record)?;
        out.push(record);
    }
    Ok(out)
}

fn show(ask: &Ask<'_>, scope: &dyn Scope, object: &Value, record: &mut Record) -> Result<(), CommandError> {
    if ask.raw && ask.members.is_empty() {
        return raw(scope, object, record);
    }
    if ask.raw {
        for path in &ask.members {
            let wrong = |e| values::wrong(&path.to_string(), &e);
            raw(scope, &path.apply(scope, object).map_err(wrong)?, record)?;
        }
        return Ok(());
    }
    if ask.offsets {
        return types::describe(ask, object.address(), record);
    }
    record.hidden("type", scope.types().name(ask.ty));
    if ask.members.is_empty() {
        let tree = format_value(scope, object, &ask.format);
        let text = tree.to_text();
        let lead = match cexpr::compound_word(scope.types(), ask.ty) {
            Some(word) => heading(ask, word),
            None => String::new(),
        };
        match (ask.pointers, cexpr::compound_word(scope.types(), ask.ty)) {
            (true, Some(_)) => with_pointers(ask, scope, object, &format!("{lead}{text}"), record),
            _ => values::lines_of(record, &format!("{lead}{text}")),
        }
        if types::is_compound(ask.s, ask.ty) {
            record.record("value", values::data(&tree));
        } else {
            values::add_as(record, "value".to_owned(), &tree);
        }
        return Ok(());
    }
    let mut data = Record::new();
    let mut failures = Vec::new();
    for path in &ask.members {
        // a member that is not there spoils only its own line
        match member(ask, scope, object, path, record) {
            Ok(tree) => values::add_as(&mut data, path.to_string(), &tree),
            Err(e) => failures.push(values::wrong(&path.to_string(), &e)),
        }
    }
    record.record("value", data);
    match failures.into_iter().next() {
        Some(e) if ask.members.len() == 1 => Err(e),
        Some(e) => {
            e.tell(ask.command, |is_loss, line| record.lacking_or_error(is_loss, line));
            Ok(())
        }
        None => Ok(()),
    }
}

/// `struct list_head `, of a typedef `struct atomic_t `.
fn heading(ask: &Ask<'_>, word: &str) -> String {
    let name = ask.s.types().name(ask.ty);
    match name.strip_prefix(word).is_some_and(|rest| rest.starts_with(' ')) {
        true => format!("{name} "),
        false => format!("{word} {name} "),
    }
}

fn member(
    ask: &Ask<'_>,
    scope: &dyn Scope,
    object: &Value,
    path: &cexpr::MemberPath,
    record: &mut Record,
) -> Result<ValueTree, cexpr::ExprError> {
    let value = path.apply(scope, object)?;
    let tree = format_value(scope, &value, &ask.format);
    let is_pointer = value.is_pointer(scope.types()).unwrap_or(false);
    if ask.pointers && is_pointer {
        let types = scope.types();
        record.text(format!("  {} = {}", types.declare(value.ty, &path.to_string()), first_word(&tree.text)));
        pointed(ask, scope, &value, record);
    } else {
        values::lines_of(record, &member_text(scope, object, path, &ask.format)?);
    }
    Ok(tree)
}

/// The text of an object, and behind each of its own pointers what that points to.
fn with_pointers(ask: &Ask<'_>, scope: &dyn Scope, object: &Value, text: &str, record: &mut Record) {
    let types = scope.types();
    for line in text.lines() {
        // a member of the object itself stands two blanks in
        let name = line.strip_prefix("  ").and_then(|rest| rest.split_once(" = ")).map(|(name, _)| name);
        let member =
            name.filter(|name| !name.starts_with(' ')).and_then(|name| object.member(types, name).ok());
        match member.filter(|value| value.is_pointer(types).unwrap_or(false)) {
            Some(value) => {
                let tree = format_value(scope, &value, &ask.format);
                let declared = types.declare(value.ty, name.unwrap_or_default());
                record.text(format!("  {declared} = {}", first_word(&tree.text)));
                pointed(ask, scope, &value, record);
            }
            None => record.text(line.to_owned()),
        }
    }
}

fn first_word(text: &str) -> &str {
    text.split(' ').next().unwrap_or(text)
}

/// `  -> <symbol> {...}`: what a pointer points to.
fn pointed(ask: &Ask<'_>, scope: &dyn Scope, pointer: &Value, record: &mut Record) {
    let (types, mem) = (scope.types(), scope.memory());
    let Ok(at) = pointer.to_address(types, mem) else { return };
    if at.is_null() {
        record.text("  -> NULL");
        return;
    }
    let symbol = match scope.symbol_at(at) {
        Some(s) if s.offset == 0 => format!("<{}> ", s.name),
        // within an object there is no symbol of what is pointed to
        _ => String::new(),
    };
    let text = match pointer.deref(types, mem) {
        Ok(object) => match types.resolve(object.ty).as_ref().map(|(_, t)| &**t) {
            Ok(Type::Void | Type::Func { .. }) => String::new(),
            // a string: what follows the address in the pointer's own text
            Ok(Type::Int { size: 1, .. }) => {
                let shown = format_value(scope, pointer, &ask.format).text;
                shown.split_once('"').map_or(String::new(), |(_, text)| format!("\"{text}"))
            }
            _ => format_value(scope, &object, &ask.format).to_text_at(5, ask.format.repeats),
        },
        Err(e) => format!("<{e}>"),
    };
    let there = mem.read(at, &mut [0]);
    let text = match there {
        Err(fault) if !matches!(fault.kind, base::FaultKind::Page(_)) => format!("(not accessible: {fault})"),
        _ => text,
    };
    values::lines_of(record, format!("  -> {symbol}{text}").trim_end());
}

/// `-r`: words of eight bytes and their characters, two in a row.
fn raw(scope: &dyn Scope, object: &Value, record: &mut Record) -> Result<(), CommandError> {
    let size = scope.types().size_of(object.ty).map_err(CommandError::failed)?;
    let bytes = object.raw(scope.memory(), size).map_err(CommandError::failed)?;
    let start = object.address().unwrap_or_default();
    for (n, row) in bytes.chunks(16).enumerate() {
        let words: Vec<String> = row
            .chunks(8)
            .map(|word| {
                let mut full = [0; 8];
                full.iter_mut().zip(word).for_each(|(to, from)| *to = *from);
                format!("{:0width$x}", u64::from_le_bytes(full), width = word.len() * 2)
            })
            .collect();
        let text: String =
            row.iter().map(|b| if (0x20..0x7f).contains(b) { char::from(*b) } else { '.' }).collect();
        let at = start.add(n as u64 * 16);
        record.text(format!("{:016x}:  {:<33}   {text}", at.0, words.join(" ")));
    }
    record.hidden("bytes", Cell::Bytes(bytes));
    Ok(())
}
