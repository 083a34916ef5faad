//! `sym`: symbols and addresses, both ways.

use crate::engine::error::Message;
use crate::show::place;
use crate::{CommandError, Cx, Example, Run};
use base::VirtAddr;
use debuginfo::symtab::{Listed, Symbol, SymbolTable};
use kernel::Fetch;
use kernel::Session;
use kernel::module::Module;
use report::{Cell, Line, Record, Report, Role};

/// `sym`.
#[derive(Debug)]
pub(crate) struct Sym;

/// Most alternatives shown for a symbol that is not there.
const ALTERNATIVES: usize = 200;

/// The arguments of `sym`.
#[derive(clap::Args, PartialEq, Eq, Default)]
pub(crate) struct SymArgs {
    /// List all symbols, sorted by address
    #[arg(short = 'l')]
    list: bool,
    /// List the symbols of all modules
    #[arg(short = 'M')]
    modules: bool,
    /// List the symbols of a module
    #[arg(short = 'm', value_name = "MODULE")]
    module: Option<String>,
    /// Show the symbol before as well
    #[arg(short = 'p')]
    previous: bool,
    /// Show the symbol after as well
    #[arg(short = 'n')]
    next: bool,
    /// Find all symbols whose name has this in it
    #[arg(short = 'q', value_name = "STRING")]
    query: Vec<String>,
    /// What to translate
    #[arg(value_name = "SYMBOL | ADDRESS", num_args = 0..)]
    what: Vec<String>,
}

impl Run for Sym {
    type Args = SymArgs;
    fn name(&self) -> &'static str {
        "sym"
    }
    fn about(&self) -> &'static str {
        "translate a symbol to its virtual address, or vice-versa"
    }
    fn details(&self) -> &'static str {
        "Takes symbols (all of a name are shown, those of modules with the module in brackets; MODULE:NAME chooses \
         one module's, vmlinux:NAME the kernel's own, FILE.c:NAME those of a source file) and addresses, with or without an offset (panic+16). In \
         parentheses the letter that nm shows: T and t code, D and d data, B and b zeroed data, R and r read-only \
         data, small for local symbols."
    }
    fn debug_files(&self, _words: &[String]) -> Fetch {
        Fetch::Lacking
    }
    fn examples(&self) -> &'static [Example] {
        const {
            &[
                Example::new("sym jiffies", "the address of a symbol"),
                Example::new("sym ffffffff81000000", "what is at an address"),
                Example::new("sym panic+16", "an address behind a symbol"),
                Example::new("sym -np panic", "with its neighbours"),
                Example::new("sym -q virtqueue", "symbols by a part of their name"),
                Example::new("sym -m virtio_ring", "the symbols of a module"),
                Example::new("sym virtio_ring:virtqueue_add_sgs", "a symbol of a module"),
            ]
        }
    }
    fn run(&self, cx: &mut Cx<'_>, args: &SymArgs) -> Result<Report, CommandError> {
        let s = cx.session()?;
        if s.kernel_symbols().table.is_empty() {
            let why = s.kernel_symbols().problem.clone().unwrap_or_default();
            let failed = CommandError::failed(format_args!("no kernel symbols are known: {why}"));
            return Err(failed.lost_if(s.kernel_symbols().is_lost));
        }
        let mut report = Report::new("sym");
        if args.list {
            let mut all = s.kernel_symbols().table.listed(VirtAddr(0), VirtAddr(u64::MAX));
            all.retain(|one| !matches!(one, Listed::Symbol(sym) if sym.kind == 'a'));
            report.list("symbols", listed(&all));
        }
        if args.list || args.modules {
            let mut modules: Vec<&Module> = s.modules().iter().collect();
            modules.sort_by_key(|m| m.memory.iter().map(|run| run.base).min());
            for m in modules {
                module(s, m, &mut report);
            }
        }
        let of_modules = args.list
            || args.modules
            || args.previous
            || args.next
            || args.module.is_some()
            || !args.query.is_empty()
            || args.what.iter().any(|word| word.contains(':'));
        if of_modules {
            lost(s, &mut report);
        }
        if let Some(name) = &args.module {
            let Some(m) = s.modules().iter().find(|m| m.name == *name) else {
                return Err(CommandError::failed(crate::show::values::not_loaded(s, name)));
            };
            module(s, m, &mut report);
        }
        for part in &args.query {
            query(s, part, &mut report);
        }
        let neighbours = (args.previous, args.next);
        let mut failed = None;
        for word in &args.what {
            // the last is what the command ends with
            if let Err(why) = one(cx, s, word, neighbours, &mut report)
                && let Some(before) = failed.replace(why)
            {
                before.tell("sym", |is_loss, line| report.lacking_or_error(is_loss, line));
            }
        }
        if let Some(why) = failed {
            // what was found stands
            if !report.is_empty() {
                cx.emit(&report)?;
            }
            return Err(why);
        }
        if report.is_empty() && *args == SymArgs::default() {
            return Err(CommandError::argument("a symbol or an address is missing"));
        }
        Ok(report)
    }
}

/// Says which symbols are lost, so that nobody takes the others for all.
fn lost(s: &Session, report: &mut Report) {
    let modules = s.modules_without_symbols();
    if !modules.is_empty() {
        report.missing(format!(
            "sym: symbols of these modules are not in the dump, some or all: {}",
            modules.join(", ")
        ));
    }
    if let Some(why) = &s.kernel_symbols().problem {
        report.lacking(s.kernel_symbols().is_lost, format!("sym: {why}"));
    }
    if let Some(e) = s.modules_problem() {
        report.lacking(e.is_loss(), format!("sym: the list of modules is not whole: {e}"));
    }
}

/// `ffffffff961ccf31 (T) panic`, a symbol of a module with its module.
fn line(sym: &Symbol<'_>, at: VirtAddr, offset: u64) -> Line {
    let mut line = Line::new().field("address", Cell::Addr(at.0)).text(" (");
    line = line.field("kind", kind(sym)).text(") ");
    line = line.field("symbol", Cell::symbol(sym.name, offset));
    match sym.module {
        Some(module) => line.text(" [").field("module", module.to_owned()).text("] "),
        None => line,
    }
}

fn full(s: &Session, sym: &Symbol<'_>, at: VirtAddr, offset: u64) -> Record {
    let mut line = line(sym, at, offset);
    if sym.is_text()
        && let Some(place) = place::of(s, at)
    {
        line = line.text(" ").field("file", place).role(Role::Path);
    }
    let mut row = Record::of(line);
    if sym.size != 0 {
        row.hidden("size", sym.size);
    }
    row
}

/// The symbol that an address is in, as `sym` shows it.
pub(crate) fn located(s: &Session, at: VirtAddr) -> Option<Record> {
    let found = s.locate(at)?;
    Some(full(s, &found.symbol, at, found.offset))
}

/// The letter of a symbol's kind, where the module's table of letters tells it.
fn kind(sym: &Symbol<'_>) -> Cell {
    let letter = Some(sym.kind).filter(|kind| *kind != '?').map(|kind| kind.to_string());
    crate::show::tasks::known(
        letter,
        "the module's letters of its symbols are not in the dump, or no type tells where they are",
    )
}

fn brief(sym: &Symbol<'_>) -> Record {
    let line = Line::new().field("address", Cell::Addr(sym.addr.0)).text(" (");
    Record::of(line.field("kind", kind(sym)).text(") ").field("symbol", sym.name.to_owned()))
}

const fn module_of<'a>(one: &Listed<'a>) -> Option<&'a str> {
    match one {
        Listed::Symbol(sym) => sym.module,
        Listed::Lost { module, .. } => *module,
    }
}

/// A row for each symbol; where some are lost, one row says how many and between which.
fn listed(all: &[Listed<'_>]) -> Vec<Record> {
    let name = |n: Option<usize>| match n.and_then(|n| all.get(n)) {
        Some(Listed::Symbol(sym)) => Some(sym.name),
        _ => None,
    };
    let row = |(n, one): (usize, &Listed<'_>)| match one {
        Listed::Symbol(sym) => brief(sym),
        Listed::Lost { count, .. } => gap(*count, name(n.checked_sub(1)), name(n.checked_add(1))),
    };
    all.iter().enumerate().map(row).collect()
}

fn gap(count: u64, before: Option<&str>, after: Option<&str>) -> Record {
    let number = if count == 1 { "1 symbol is lost".to_owned() } else { format!("{count} symbols are lost") };
    let place = match (before, after) {
        (Some(before), Some(after)) => format!(" between {before} and {after}"),
        (Some(before), None) => format!(" behind {before}"),
        (None, Some(after)) => format!(" before {after}"),
        (None, None) => String::new(),
    };
    let why = "the table of symbols in the dump is damaged or not whole";
    let cell = Cell::absent(&format!("{number}{place}"), format!("{number}{place}: {why}"));
    Record::of(Line::new().field("symbol", cell))
}

/// The symbols of a module between the bounds of its memory.
fn module(s: &Session, m: &Module, report: &mut Report) {
    let symbols = s.module_symbols();
    let mut out = Record::new();
    out.hidden("module", m.name.clone());
    let mut runs: Vec<_> = m.memory.iter().chain(&m.init).copied().collect();
    runs.sort_by_key(|run| run.base);
    let whole = m.memory.len() == 1;
    for run in runs {
        let end = run.base.add(run.size);
        let is_init = m.init.iter().any(|i| i.base == run.base);
        let kind = match (whole, is_init) {
            (true, false) => String::new(),
            (true, true) => "INIT ".into(),
            _ => format!("{} ", run.kind.to_uppercase().replace(' ', "_")),
        };
        let bound = |which: &str, at: VirtAddr| {
            let line = Line::new().cell(Cell::Addr(at.0)).text(format!(" MODULE {kind}{which}: "));
            line.cell(m.name.clone())
        };
        out.line(bound("START", run.base));
        let mut own = symbols.listed(run.base, end);
        own.retain(|one| module_of(one) == Some(m.name.as_str()));
        out.list("symbols", listed(&own));
        out.line(bound("END", end));
    }
    report.list("modules", vec![out]);
}

fn tables(s: &Session) -> [&SymbolTable; 3] {
    [&s.kernel_symbols().table, s.module_symbols(), s.made_symbols()]
}

fn query(s: &Session, part: &str, report: &mut Report) {
    let mut found: Vec<Symbol<'_>> = tables(s).into_iter().flat_map(|t| t.containing(part)).collect();
    found.sort_by_key(|sym| sym.addr);
    if found.is_empty() {
        // among the symbols that are lost there may be one
        let is_loss = s.kernel_symbols().is_lost || !s.modules_without_symbols().is_empty();
        report.lacking_or_error(is_loss, format!("sym: no symbol has {part} in its name"));
    }
    report.list("symbols", found.iter().map(|sym| Record::of(line(sym, sym.addr, 0))).collect());
}

/// A symbol, a symbol with an offset, or an address.
fn one(
    cx: &Cx<'_>,
    s: &Session,
    word: &str,
    neighbours: (bool, bool),
    report: &mut Report,
) -> Result<(), CommandError> {
    let named = crate::engine::symbols::named(s, word);
    if !named.is_empty() {
        let mut rows = Vec::new();
        for sym in &named {
            rows.extend(with_neighbours(s, sym, sym.addr, 0, neighbours));
        }
        report.list("symbols", rows);
        return Ok(());
    }
    let is_name = word.starts_with(|c: char| c.is_alphabetic() || c == '_')
        && crate::engine::number::hex(word).is_none();
    let at = match crate::engine::number::hex(word) {
        Some(at) => Some(at),
        None => crate::engine::number::value(word, &|name| cx.symbol_value(name)).ok(),
    };
    let Some(at) = at else {
        if !is_name {
            return Err(CommandError::failed(format_args!("invalid address: {word}")));
        }
        return Err(missing(s, word));
    };
    // a return address from a stack may be signed
    let at = s.opened().machine.plain_code(VirtAddr(at));
    let Some(found) = s.locate(at).or_else(|| absolute(s, at)).or_else(|| ends_image(s, at)) else {
        return Err(CommandError::failed(format_args!("invalid address: {word}")));
    };
    report.list("symbols", with_neighbours(s, &found.symbol, at, found.offset, neighbours));
    Ok(())
}

/// A symbol below the kernel's image: the offsets of per-CPU variables.
fn absolute(s: &Session, at: VirtAddr) -> Option<kernel::Located<'_>> {
    let table = &s.kernel_symbols().table;
    let end = table.addr("__per_cpu_end").filter(|end| !s.arch().is_kernel(*end))?;
    let (symbol, offset) = table.at(at).filter(|_| at.0 != 0 && at < end)?;
    Some(kernel::Located { symbol, offset, span: None })
}

/// What stands right behind the image: `_end` and its like.
fn ends_image(s: &Session, at: VirtAddr) -> Option<kernel::Located<'_>> {
    let (symbol, offset) = s.kernel_symbols().table.at(at)?;
    (offset == 0).then_some(kernel::Located { symbol, offset, span: None })
}

fn with_neighbours(
    s: &Session,
    sym: &Symbol<'_>,
    at: VirtAddr,
    offset: u64,
    (previous, next): (bool, bool),
) -> Vec<Record> {
    let table = s.table_of(sym);
    let neighbour = |found: Option<Symbol<'_>>| found.map(|n| full(s, &n, n.addr, 0));
    let before = neighbour(table.prev(sym.id).filter(|_| previous));
    let after = neighbour(table.next(sym.id).filter(|_| next));
    before.into_iter().chain([full(s, sym, at, offset)]).chain(after).collect()
}

/// That there is no such symbol, and those of like names.
fn missing(s: &Session, word: &str) -> CommandError {
    let mut below: Vec<String> = s.kernel_symbols().problem.iter().map(|why| format!("sym: {why}")).collect();
    below.push("possible alternatives:".to_owned());
    let mut found: Vec<Symbol<'_>> = tables(s).into_iter().flat_map(|t| t.containing(word)).collect();
    found.sort_by_key(|sym| sym.addr);
    if found.is_empty() {
        let near = s.kernel_symbols().table.near(word);
        found = near.iter().filter_map(|name| s.kernel_symbols().table.find(name)).collect();
    }
    if found.is_empty() {
        below.push("  (none found)".to_owned());
    }
    let more = found.len().saturating_sub(ALTERNATIVES);
    below.extend(found.iter().take(ALTERNATIVES).map(|sym| format!("  {}", line(sym, sym.addr, 0))));
    if more > 0 {
        below.push(format!("  ... and {more} more: sym -q {word}"));
    }
    // crash words it without the name of the command
    CommandError::Explained { head: Message::alone(format_args!("symbol not found: {word}")), below }
}

#[cfg(test)]
mod tests {
    use super::*;
    use debuginfo::symtab::SymbolTableBuilder;

    #[test]
    fn lost_symbols_are_a_row_without_a_name() {
        let mut b = SymbolTableBuilder::new();
        b.lose_name(0x8);
        b.push(b"first", 0x10, 0, b't');
        b.lose_places(0x11, 3);
        b.push(b"last", 0x20, 0, b't');
        b.lose_places(0x21, 2);
        let table = b.build();
        let rows = listed(&table.listed(VirtAddr(0), VirtAddr(u64::MAX)));
        let texts: Vec<String> = rows
            .iter()
            .filter_map(|row| match row.items.first() {
                Some(report::Item::Line(line)) => Some(line.to_string()),
                _ => None,
            })
            .collect();
        let wanted = [
            "<1 symbol is lost before first>",
            "10 (t) first",
            "<3 symbols are lost between first and last>",
            "20 (t) last",
            "<2 symbols are lost behind last>",
        ];
        assert_eq!(texts, wanted);
    }
}
