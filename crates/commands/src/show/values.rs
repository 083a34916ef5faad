//! What `p`, `struct`, `whatis` and their kin share: what expressions are about, what is wrong with one, and values as
//! text lines and as data. Expressions themselves are [`inspect`]'s.

use crate::{CommandError, Cx, Reason, Settings};
use base::VirtAddr;
use cexpr::{ErrorKind, ExprError, FormatOptions, Radix, Shape, ValueTree};
use debuginfo::types::{Encoding, Scope as TypeScope, Type, TypeRef};
use inspect::SessionScope;
use kernel::Session;
use kernel::stack::backtrace::Backtrace;
use report::{Cell, Item, List, Record, Report};

/// Elements of an array that are data of a report at most; the text says how many there are.
const MAX_CELLS: usize = 4096;

/// How values are shown: the settings, and the command's `-x` and `-d` over them.
pub(crate) fn format(settings: &Settings, hex: bool, decimal: bool) -> FormatOptions {
    let hex = settings.is_hex(hex, decimal);
    let mut options = FormatOptions::default();
    options.radix = if hex { Radix::Hex } else { Radix::Natural };
    options.print_max = settings.print_max.map_or(1 << 20, |n| usize::try_from(n).unwrap_or(1 << 20));
    options.null_stop = settings.null_stop;
    options.array_lines = settings.print_array;
    options
}

/// The backtrace and the frame that expressions are about: the one chosen with `frame`; the first,
/// where none was chosen and `text` names a register.
pub(crate) fn frame(cx: &Cx<'_>, s: &Session, text: &str) -> Option<(Backtrace, usize)> {
    let chosen = chosen_frame(cx);
    let names_register = text.split('$').skip(1).any(|rest| rest.starts_with(|c: char| c.is_alphabetic()));
    if chosen.is_none() && !names_register {
        return None;
    }
    let task = crate::show::tasks::context(cx).ok()?;
    let bt = s.backtrace(task);
    let n = chosen.unwrap_or(0);
    (n < bt.unwound.frames.len()).then_some((bt, n))
}

/// The frame that was chosen, where the context is still the task it was chosen in.
pub(crate) fn chosen_frame(cx: &Cx<'_>) -> Option<usize> {
    let task = crate::show::tasks::context(cx).ok()?;
    cx.settings.frame.filter(|(at, _)| *at == task.at).map(|(_, n)| n)
}

/// The session as an expression sees it; `frame` is what [`frame`] gave.
pub(crate) fn scope<'a>(
    cx: &'a Cx<'_>,
    s: &'a Session,
    frame: Option<&'a (Backtrace, usize)>,
) -> SessionScope<'a> {
    let pc = frame.and_then(|(bt, n)| bt.unwound.frames.get(*n)).map(unwind::Frame::lookup);
    let scope = cx.settings.scope.as_ref().map(|(at, _)| *at);
    let module = pc.or(scope).and_then(|at| s.module_at(at));
    SessionScope {
        prefer: module.map(|m| TypeScope::Module(m.name.as_str().into())),
        frame: frame.map(|(bt, n)| (bt, *n)),
        cpu: crate::show::tasks::context(cx).ok().and_then(|t| t.cpu),
        history: &cx.settings.history,
        convenience: Some(&cx.settings.convenience),
        ..SessionScope::new(s)
    }
}

/// The unsigned integer of so many bytes.
pub(crate) fn integer(s: &Session, size: u64) -> TypeRef {
    let name = match size {
        1 => "unsigned char",
        2 => "unsigned short",
        4 => "unsigned int",
        _ => "unsigned long",
    };
    s.types().intern(Type::Int { name: name.into(), size, encoding: Encoding::Unsigned })
}

/// True for what is where it lies: a struct, an array, a function.
pub(crate) fn is_object(s: &Session, ty: TypeRef) -> bool {
    let resolved = s.types().resolve(ty);
    matches!(
        resolved.as_ref().map(|(_, ty)| &**ty),
        Ok(Type::Compound { .. } | Type::Array { .. } | Type::Func { .. })
    )
}

/// A hint where a type is not known: why the kernel has none, or that modules have none in the dump.
pub(crate) fn untyped(s: &Session) -> Option<String> {
    if let Some(problem) = s.kernel_debug_at_hand().and_then(|file| file.problem.clone()) {
        return Some(problem);
    }
    if s.kernel_btf().is_none() && s.kernel_file().is_none() {
        return Some(
            "the dump has no types: give the vmlinux (\"info\" says which package has it), and of modules their files \
             (\"mod -s MODULE FILE\")"
                .to_owned(),
        );
    }
    let untyped = |m: &&kernel::module::Module| {
        s.module_debug_loaded(m).is_none() && !matches!(kernel::module::btf(s, m.at), Ok(Some(_)))
    };
    let names: Vec<&str> = s.modules().iter().filter(untyped).map(|m| m.name.as_str()).collect();
    let shown = names.get(..names.len().min(3)).unwrap_or(&[]).join(", ");
    match names.len() {
        0 => None,
        1..=3 => Some(format!("the dump has no types of {shown}: \"mod -s MODULE FILE\" loads a module's")),
        n => Some(format!(
            "the dump has no types of {n} modules ({shown}, ...): \"mod -s MODULE FILE\" loads one, \"mod -S DIR\" all"
        )),
    }
}

/// An error of an expression, with the expression and carets under what is wrong.
pub(crate) fn wrong(text: &str, error: &ExprError) -> CommandError {
    CommandError::explained(error, carets(error, text))
}

/// As [`wrong`]; where a name is not known and none is like it, or a symbol has no type, also what symbols or
/// types the dump lacks.
pub(crate) fn wrong_in(s: &Session, text: &str, error: &ExprError) -> CommandError {
    let hint = match &error.kind {
        ErrorKind::UnknownName { .. } if s.kernel_symbols().problem.is_some() => {
            s.kernel_symbols().problem.clone()
        }
        ErrorKind::UnknownName { near, .. } | ErrorKind::UnknownType { near, .. } if near.is_empty() => {
            untyped(s)
        }
        ErrorKind::NoType(name) => untyped_module(s, name),
        _ => None,
    };
    match hint {
        Some(why) => {
            let is_loss = matches!(error.kind, ErrorKind::UnknownName { .. }) && s.kernel_symbols().is_lost;
            CommandError::explained(format_args!("{error}; {why}"), carets(error, text)).lost_if(is_loss)
        }
        None => wrong(text, error),
    }
}

/// The module that a symbol is of, where its types are not known.
fn untyped_module(s: &Session, symbol: &str) -> Option<String> {
    let name = s.named(symbol.rsplit(':').next()?).first()?.module?;
    let module = s.modules().iter().find(|m| m.name == name)?;
    s.module_debug_loaded(module)
        .is_none()
        .then(|| format!("or load the types of its module: \"mod -s {name} FILE\""))
}

/// The expression, and carets under what is wrong.
fn carets(error: &ExprError, text: &str) -> Vec<String> {
    error.underline(text).lines().map(|line| format!("  {line}")).collect()
}

/// Adds text of several lines.
pub(crate) fn lines(report: &mut Report, text: &str) {
    for line in text.lines() {
        report.text(line.to_owned());
    }
}

/// Adds text of several lines to a record.
pub(crate) fn lines_of(record: &mut Record, text: &str) {
    for line in text.lines() {
        record.text(line.to_owned());
    }
}

/// The leaf of a tree as a cell.
pub(crate) fn leaf(tree: &ValueTree) -> Cell {
    if let Some(why) = &tree.absent {
        return Cell::Absent {
            short: tree.text.clone().into(),
            reason: why.to_string(),
            lost: why.is_loss(),
        };
    }
    if let Some(text) = tree.text.strip_prefix('"').and_then(|t| t.strip_suffix('"')) {
        // a string without the NULs that fill its array
        let mut text = text;
        while let Some(shorter) = text.strip_suffix("\\000") {
            text = shorter;
        }
        return Cell::str(text.to_owned());
    }
    match tree.number {
        // names, strings and symbols say more than their number
        Some(_) if tree.text.contains(['"', '<', '\'']) => Cell::str(tree.text.clone()),
        Some(n) if tree.text.parse::<i128>() == Ok(n) => Cell::Int(n),
        Some(n) if tree.text.starts_with("0x") && n >= 0 => {
            Cell::Hex { value: n as u64, width: 0, prefix: true }
        }
        _ => match tree.text.as_str() {
            "true" => Cell::Bool(true),
            "false" => Cell::Bool(false),
            text => Cell::str(text.to_owned()),
        },
    }
}

/// A tree as data without text: JSON's object of the struct.
pub(crate) fn data(tree: &ValueTree) -> Record {
    let mut record = Record::new();
    for child in &tree.children {
        add(&mut record, child);
    }
    record
}

/// Adds a value under its own name.
pub(crate) fn add(record: &mut Record, tree: &ValueTree) {
    match &tree.name {
        Some(name) => add_as(record, name.to_string(), tree),
        // members of an anonymous struct are members of the one around it, as in C
        None => record.items.extend(data(tree).items),
    }
}

/// Adds a value under a name.
pub(crate) fn add_as(record: &mut Record, name: String, tree: &ValueTree) {
    match tree.shape {
        Shape::Leaf => record.hidden(name, Cell::Shown(Box::new(leaf(tree)), String::new())),
        Shape::Compound(_) => record.record(name, data(tree)),
        Shape::Array if tree.children.iter().all(|c| c.shape == Shape::Leaf) => {
            let cells = tree.children.iter().take(MAX_CELLS).map(leaf).collect();
            record.hidden(name, Cell::Many(cells, " "));
        }
        Shape::Array => {
            let items = tree.children.iter().take(MAX_CELLS).map(|c| match c.shape {
                Shape::Compound(_) => data(c),
                _ => {
                    let mut one = Record::new();
                    add_as(&mut one, "value".to_owned(), c);
                    one
                }
            });
            record.push(Item::List(List { key: name.into(), items: items.collect() }));
        }
    }
}

/// The address of what a word of the user's names: hexadecimal digits, a symbol, an expression (a
/// pointer's value, an object's address).
pub(crate) fn address(cx: &Cx<'_>, s: &Session, word: &str) -> Result<VirtAddr, CommandError> {
    let digit_first = word.starts_with(|c: char| c.is_ascii_digit());
    let spells = crate::engine::number::hex(word);
    if let (Some(at), true) = (spells, digit_first || word.len() >= 8) {
        return Ok(VirtAddr(at));
    }
    if let Some(at) = crate::engine::symbols::value(s, word) {
        return Ok(VirtAddr(at));
    }
    if let Some(at) = spells {
        return Ok(VirtAddr(at));
    }
    if let Some(why) = of_no_module(s, word) {
        return Err(CommandError::failed(why));
    }
    let frame = frame(cx, s, word);
    let scope = scope(cx, s, frame.as_ref());
    let value = inspect::eval(&scope, word).map_err(|e| match s.kernel_symbols().problem {
        Some(_) => wrong_in(s, word, &e),
        None => wrong(word, &e),
    })?;
    let types = s.types();
    let is_pointer = value.is_pointer(types).unwrap_or(false);
    match value.address() {
        Some(at) if !is_pointer => Ok(at),
        _ => value.to_address(types, s.mem()).map_err(CommandError::failed),
    }
}

/// What is wrong with `MODULE:SYMBOL`, `FILE.c:SYMBOL` or `SYMBOL:CPUS` that is none.
fn of_no_module(s: &Session, word: &str) -> Option<String> {
    let (head, name) = colon(word)?;
    if head.contains('.') {
        return Some(format!("no symbol \"{name}\" of a file {head}, as far as lines are known"));
    }
    let modules = || s.modules().iter().map(|m| m.name.as_str());
    if modules().any(|module| module == head) {
        let own = s.module_symbols().iter().filter(|symbol| symbol.module == Some(head));
        let near = base::near_names(name, own.map(|symbol| symbol.name));
        return Some(format!("module {head} has no symbol \"{name}\"{}", crate::engine::error::meant(&near)));
    }
    if crate::engine::symbols::value(s, head).is_some() {
        return Some(format!("invalid cpu specification: {name}"));
    }
    Some(format!("{word}: {}", not_loaded(s, head)))
}

/// The words for a module that is not on the list of those that are loaded; of a damaged list, or one with a damaged name,
/// that says little.
pub(crate) fn not_loaded(s: &Session, name: &str) -> Reason {
    let of_list = s.modules_problem().map(|e| ("the list of modules is not whole: ", e));
    match of_list.or_else(|| Some(("", s.misnamed_module()?))) {
        Some((what, e)) => {
            Reason::new(format_args!("module {name} is not known: {what}{e}")).lost_if(e.is_loss())
        }
        None => {
            let near = base::near_names(name, s.modules().iter().map(|m| m.name.as_str()));
            Reason::new(format_args!("module {name} is not loaded{}", crate::engine::error::meant(&near)))
        }
    }
}

/// The words before and after the colon of `HEAD:NAME`.
fn colon(word: &str) -> Option<(&str, &str)> {
    let (head, name) = word.split_once(':')?;
    let is_name = |t: &str| {
        t.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && t.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b))
    };
    (is_name(head) && is_name(name)).then_some((head, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symbols_of_modules_and_no_expressions() {
        assert_eq!(colon("virtio_ring:nosuch"), Some(("virtio_ring", "nosuch")));
        assert_eq!(colon("runqueues:x"), Some(("runqueues", "x")));
        assert_eq!(colon("core.c:schedule"), Some(("core.c", "schedule")));
        for other in ["a ? b : c", "runqueues:0", "virtio_ring::x", "schedule", "a+1:b", ":x", "x:"] {
            assert_eq!(colon(other), None, "{other}");
        }
        assert_eq!(crate::engine::error::meant(&[]), "");
        assert_eq!(crate::engine::error::meant(&["a".into(), "b".into()]), " (did you mean a or b?)");
    }
}
