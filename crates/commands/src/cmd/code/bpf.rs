//! `bpf`: programs and maps ([`kernel::bpf`]).

use crate::engine::{dispatch, number};
use crate::show::problems;
use crate::show::tasks::{or_why, unknown};
use crate::{CommandError, Cx, Example, Run};
use base::VirtAddr;
use kernel::bpf::insn::{self, Insn, Names};
use kernel::bpf::map::{self, Map};
use kernel::bpf::prog::{self, Program};
use kernel::machine::system;
use kernel::{Fetch, KernelError, Session};
use report::{Cell, Line, Record, Report};
use std::collections::BTreeMap;

/// The command.
#[derive(Debug)]
pub(crate) struct Bpf;

/// The arguments of `bpf`.
#[derive(clap::Args)]
pub(crate) struct BpfArgs {
    /// Show more of the program with this id
    #[arg(short = 'p', value_name = "ID")]
    program: Option<String>,
    /// Show more of all programs
    #[arg(short = 'P')]
    programs: bool,
    /// Show more of the map with this id
    #[arg(short = 'm', value_name = "ID")]
    map: Option<String>,
    /// Show more of all maps
    #[arg(short = 'M')]
    maps: bool,
    /// Of -p and -P, show the instructions
    #[arg(short = 't')]
    translate: bool,
    /// Of -p and -P, show the instructions and their bytes
    #[arg(short = 'T')]
    bytes: bool,
    /// Of -p and -P, show the machine's code that was made of them
    #[arg(short = 'j')]
    code: bool,
    /// Show struct bpf_prog and bpf_prog_aux, or bpf_map
    #[arg(short = 's')]
    structs: bool,
    /// Of -s, numbers in hex
    #[arg(short = 'x', conflicts_with = "decimal")]
    hex: bool,
    /// Of -s, numbers in decimal
    #[arg(short = 'd')]
    decimal: bool,
}

impl Run for Bpf {
    type Args = BpfArgs;
    fn name(&self) -> &'static str {
        "bpf"
    }
    fn about(&self) -> &'static str {
        "BPF programs and maps"
    }
    fn details(&self) -> &'static str {
        "Shows the BPF programs and maps that are loaded. Instructions are as the kernel has them, after the verifier: calls and \
         maps have their names."
    }
    fn debug_files(&self, _words: &[String]) -> Fetch {
        Fetch::Lacking
    }
    fn examples(&self) -> &'static [Example] {
        const {
            &[
                Example::new("bpf", "programs and maps"),
                Example::new("bpf -P", "programs, with more of each"),
                Example::new("bpf -M", "maps, with more of each"),
                Example::new("bpf -P -T", "programs with their instructions"),
                Example::new("bpf -PM -s", "with their structs"),
            ]
        }
    }
    fn run(&self, cx: &mut Cx<'_>, args: &BpfArgs) -> Result<Report, CommandError> {
        let s = cx.session()?;
        refuse(args)?;
        let id =
            |word: &Option<String>| word.as_deref().map(|word| number::value(word, &|_| None)).transpose();
        let (program, map) = (id(&args.program)?, id(&args.map)?);
        let all = !(args.programs || args.maps || program.is_some() || map.is_some());
        let (maps, maps_lost) = map::maps(s).map_err(CommandError::failed)?;
        let mut report = Report::new("bpf");
        let with_programs = all || args.programs || program.is_some();
        let with_maps = all || args.maps || map.is_some();
        if with_programs {
            programs(cx, s, args, program, &maps, &mut report)?;
        }
        if with_maps {
            if with_programs {
                report.blank();
            }
            let only = map.filter(|_| !args.maps);
            let chosen: Vec<&Map> = maps.iter().filter(|one| only.is_none_or(|id| id == one.id)).collect();
            if let (Some(id), true) = (only, chosen.is_empty()) {
                return Err(none("map", id, &maps_lost));
            }
            let rows = chosen.into_iter().enumerate().map(|(n, one)| row_of_map(cx, args, !all, n, one));
            let rows = rows.collect::<Result<Vec<Record>, CommandError>>()?;
            if rows.is_empty() && maps_lost.is_empty() {
                report.text("(no maps)");
            }
            report.list("maps", rows);
            problems::tell(&mut report, "bpf", "maps", &maps_lost);
        }
        Ok(report)
    }
}

fn refuse(args: &BpfArgs) -> Result<(), CommandError> {
    let of_programs = args.programs || args.program.is_some();
    let of_maps = args.maps || args.map.is_some();
    if (args.translate || args.bytes || args.code) && !of_programs {
        return Err(CommandError::argument("-t, -T and -j belong to -p and -P"));
    }
    if args.structs && !of_programs && !of_maps {
        return Err(CommandError::argument("-s belongs to -p, -P, -m and -M"));
    }
    Ok(())
}

/// The error for an id that nothing has.
fn none(what: &str, id: u64, lost: &[KernelError]) -> CommandError {
    match lost.first() {
        None => CommandError::failed(format_args!("invalid {what} ID: {id}")),
        Some(e) => CommandError::failed(format_args!(
            "{what} {id} is not among those that can be read, and they are not all: {e}"
        ))
        .lost_if(e.is_loss()),
    }
}

const PROGRAMS: &str = " ID      BPF_PROG       BPF_PROG_AUX   BPF_PROG_TYPE       TAG        USED_MAPS";
const MAPS: &str = " ID      BPF_MAP       BPF_MAP_TYPE   MAP_FLAGS";

fn programs(
    cx: &mut Cx<'_>,
    s: &Session,
    args: &BpfArgs,
    only: Option<u64>,
    maps: &[Map],
    report: &mut Report,
) -> Result<(), CommandError> {
    let (all, lost) = prog::programs(s).map_err(CommandError::failed)?;
    let is_more = args.programs || only.is_some();
    let only = only.filter(|_| !args.programs);
    let chosen: Vec<&Program> = all.iter().filter(|one| only.is_none_or(|id| id == one.id)).collect();
    if let (Some(id), true) = (only, chosen.is_empty()) {
        return Err(none("program", id, &lost));
    }
    let ids: BTreeMap<VirtAddr, u64> = maps.iter().map(|map| (map.at, map.id)).collect();
    let mut rows = Vec::new();
    for (n, one) in chosen.into_iter().enumerate() {
        cx.cancel.check()?;
        let mut row = Record::new();
        if n == 0 || is_more {
            if n > 0 {
                row.blank();
            }
            row.line(Line::heading(PROGRAMS));
        }
        row.line(line_of_program(one, &ids));
        if is_more {
            more_of_program(s, one, &mut row);
        }
        if args.code {
            code(cx, one, &mut row)?;
        }
        if args.translate || args.bytes {
            instructions(s, one, &ids, args.bytes, &mut row);
        }
        if args.structs {
            contents(cx, args, &[("bpf_prog", one.at), ("bpf_prog_aux", one.aux)], &mut row)?;
        }
        rows.push(row);
    }
    if rows.is_empty() && lost.is_empty() {
        report.text("(no programs)");
    }
    report.list("programs", rows);
    problems::tell(report, "bpf", "programs", &lost);
    Ok(())
}

fn text(value: &Result<String, KernelError>) -> Cell {
    or_why(value.as_ref().cloned())
}

fn count(value: &Result<u64, KernelError>) -> Cell {
    value.as_ref().map_or_else(|e| unknown("(unknown)", e), |n| Cell::from(*n))
}

fn name(value: &Result<String, KernelError>) -> Cell {
    match value {
        Ok(name) if name.is_empty() => Cell::shown(Cell::Null, "(unused)".to_owned()),
        Ok(name) => Cell::shown(name.clone(), format!("\"{name}\"")),
        Err(e) => unknown("(unknown)", e),
    }
}

fn line_of_program(one: &Program, ids: &BTreeMap<VirtAddr, u64>) -> Line {
    let line = Line::new().field("id", one.id).center(4).text(" ");
    let line = line.field("bpf_prog", Cell::Addr(one.at.0)).zeros(16).text(" ");
    let line = line.field("bpf_prog_aux", Cell::Addr(one.aux.0)).zeros(16).text(" ");
    let line = line.field("type", text(&one.kind)).center(13).text(" ");
    let hex = |tag: &Vec<u8>| Cell::from(tag.iter().map(|b| format!("{b:02x}")).collect::<String>());
    let line = line.field("tag", one.tag.as_ref().map_or_else(|e| unknown("?", e), hex)).left(16).text(" ");
    // a map of which the list knows nothing is shown by its address
    let used = |at: &VirtAddr| ids.get(at).map_or(Cell::Addr(at.0), |id| Cell::from(*id));
    let used = one
        .maps
        .as_ref()
        .map_or_else(|e| unknown("?", e), |all| Cell::Many(all.iter().map(used).collect(), ","));
    line.field("used_maps", used).center(9)
}

fn more_of_program(s: &Session, one: &Program, row: &mut Record) {
    let bytes = one.len.clone().map(|len| len.saturating_mul(8));
    let memory = one.pages.clone().map(|pages| pages.saturating_mul(s.page_size()));
    row.line(
        Line::new()
            .text("     XLATED: ")
            .field("xlated", count(&bytes))
            .text("  JITED: ")
            .field("jited", count(&one.jited))
            .text("  MEMLOCK: ")
            .field("memlock", count(&memory)),
    );
    row.line(Line::new().text("     LOAD_TIME: ").field("load_time", loaded(s, &one.loaded)));
    let is_gpl = one.is_gpl.as_ref().map_or_else(|e| unknown("(unknown)", e), |is| Cell::from(*is));
    row.line(
        Line::new()
            .text("     GPL_COMPATIBLE: ")
            .field("gpl_compatible", is_gpl)
            .text("  NAME: ")
            .field("name", name(&one.name))
            .text("  UID: ")
            .field("uid", count(&one.uid)),
    );
}

/// When a program was loaded: a date where the machine's clocks are known.
fn loaded(s: &Session, since_boot: &Result<u64, KernelError>) -> Cell {
    let since_boot = match since_boot {
        Ok(nanoseconds) => *nanoseconds,
        Err(e) => return unknown("(unknown)", e),
    };
    match system::clocks(s) {
        Ok(clocks) => {
            let booted = clocks.wall_sec.saturating_sub(clocks.uptime_sec);
            let seconds = booted.saturating_add_unsigned(since_boot / 1_000_000_000);
            Cell::shown(seconds, crate::date(seconds))
        }
        Err(e) => unknown("(unknown)", &e),
    }
}

/// The code that was made of a program, as `dis` shows it.
fn code(cx: &mut Cx<'_>, one: &Program, row: &mut Record) -> Result<(), CommandError> {
    row.blank();
    match (&one.jited, &one.code) {
        (Ok(0), _) => row.text("(program not jited)"),
        (Ok(_), Ok(at)) => {
            let words = ["dis".to_owned(), "-f".to_owned(), format!("{at:x}")];
            add(cx, &words, "code", row)?;
        }
        (Err(e), _) | (_, Err(e)) => {
            row.lacking(e.is_loss(), format!("bpf: code of program {}: {e}", one.id))
        }
    }
    Ok(())
}

/// Adds another command's answer.
fn add(cx: &mut Cx<'_>, words: &[String], key: &'static str, row: &mut Record) -> Result<(), CommandError> {
    match dispatch::run(cx, words) {
        Ok(answer) => row.record(key, answer.body),
        Err(e @ CommandError::Cancelled(_)) => return Err(e),
        Err(e) => row.lacking_or_error(e.is_loss(), format!("bpf: {e}")),
    }
    Ok(())
}

fn contents(
    cx: &mut Cx<'_>,
    args: &BpfArgs,
    all: &[(&'static str, VirtAddr)],
    row: &mut Record,
) -> Result<(), CommandError> {
    for (name, at) in all {
        row.blank();
        let mut words = vec!["struct".to_owned(), (*name).to_owned(), format!("{at:x}")];
        words.extend(args.hex.then(|| "-x".to_owned()));
        words.extend(args.decimal.then(|| "-d".to_owned()));
        add(cx, &words, name, row)?;
    }
    Ok(())
}

/// What numbers in instructions mean in this kernel.
struct Meanings<'a> {
    s: &'a Session,
    maps: &'a BTreeMap<VirtAddr, u64>,
    base: Option<VirtAddr>,
}

impl Names for Meanings<'_> {
    fn map(&self, address: u64) -> Option<String> {
        self.maps.get(&VirtAddr(address)).map(|id| format!("map[id:{id}]"))
    }
    fn function(&self, distance: i32) -> Option<String> {
        let at = self.base?.0.wrapping_add(i64::from(distance).cast_unsigned());
        let found = self.s.locate(VirtAddr(at)).filter(|found| found.offset == 0)?;
        Some(found.symbol.name.to_owned())
    }
}

fn instructions(
    s: &Session,
    one: &Program,
    maps: &BTreeMap<VirtAddr, u64>,
    with_bytes: bool,
    row: &mut Record,
) {
    row.blank();
    let all = match prog::instructions(s, one) {
        Ok(all) => all,
        Err(e) => {
            row.lacking(e.is_loss(), format!("bpf: instructions of program {}: {e}", one.id));
            return;
        }
    };
    let names = Meanings { s, maps, base: s.symbol("__bpf_call_base") };
    let mut rows = Vec::new();
    let mut rest = all.iter().enumerate();
    while let Some((n, raw)) = rest.next() {
        let insn = Insn::of(*raw);
        // the second half of one that loads 64 bits is no instruction
        let next = if insn.is_wide() { rest.next().map(|(_, raw)| *raw) } else { None };
        let imm = next.and_then(|raw| raw.last_chunk::<4>().copied()).map_or(0, i32::from_le_bytes);
        let text = insn::text(&insn, imm, &names);
        let mut one = Record::of(Line::new().field("at", n).right(4).text(": ").field("text", text));
        let bytes: Vec<u8> = raw.iter().chain(next.iter().flatten()).copied().collect();
        if with_bytes {
            let shown: Vec<String> = bytes.iter().map(|b| format!("{b:02x}")).collect();
            let cell = Cell::Shown(Box::new(Cell::Bytes(bytes)), shown.join(" "));
            one.line(Line::new().text("       ").field("bytes", cell));
        }
        rows.push(one);
    }
    row.list("instructions", rows);
}

fn row_of_map(
    cx: &mut Cx<'_>,
    args: &BpfArgs,
    is_more: bool,
    n: usize,
    one: &Map,
) -> Result<Record, CommandError> {
    let mut row = Record::new();
    if n == 0 || is_more {
        if n > 0 {
            row.blank();
        }
        row.line(Line::heading(MAPS));
    }
    let line = Line::new().field("id", one.id).center(4).text(" ");
    let line = line.field("bpf_map", Cell::Addr(one.at.0)).zeros(16).text(" ");
    let flags = one.flags.as_ref().map_or_else(|e| unknown("?", e), |flags| Cell::hex_digits(*flags, 8));
    row.line(line.field("type", text(&one.kind)).center(14).text("  ").field("flags", flags));
    if is_more {
        row.line(
            Line::new()
                .text("     KEY_SIZE: ")
                .field("key_size", count(&one.key))
                .text("  VALUE_SIZE: ")
                .field("value_size", count(&one.value))
                .text("  MAX_ENTRIES: ")
                .field("max_entries", count(&one.entries))
                .text("  MEMLOCK: ")
                .field("memlock", count(&one.memory)),
        );
        let uid = match &one.uid {
            Some(uid) => count(uid),
            None => Cell::shown(Cell::Null, "(unused)".to_owned()),
        };
        row.line(
            Line::new().text("     NAME: ").field("name", name(&one.name)).text("  UID: ").field("uid", uid),
        );
    }
    if args.structs {
        contents(cx, args, &[("bpf_map", one.at)], &mut row)?;
    }
    Ok(row)
}
