//! `info`: what the dump is, what was found in it, and what would help to read it better.

use crate::show::when;
use crate::{CommandError, Cx, Example, Layer, Run};
use arch::How;
use debuginfo::find::{Build, wanted_packages};
use debuginfo::types::SourceId;
use kernel::Fetch;
use kernel::{Image, InfoFrom, Session, Words, hex, kernel_words};
use report::{Cell, Line, Record, Report, Role};

/// `info`.
#[derive(Debug)]
pub(crate) struct Info;

/// The arguments of `info`.
#[derive(clap::Args)]
pub(crate) struct InfoArgs {
    /// The debug file of each module as well
    #[arg(short = 'm')]
    modules: bool,
}

impl Run for Info {
    type Args = InfoArgs;
    fn name(&self) -> &'static str {
        "info"
    }
    fn about(&self) -> &'static str {
        "the dump, its kernel, and where symbols and types come from"
    }
    fn details(&self) -> &'static str {
        "Shows the dump's format and what it holds, the kernel's release, build id, place and paging, where symbols \
         and types come from, and which debug files are wanted and whether they are there. Reads little: it is \
         meant as the first look at a dump."
    }
    fn debug_files(&self, _words: &[String]) -> Fetch {
        Fetch::Never
    }
    fn examples(&self) -> &'static [Example] {
        const { &[Example::new("info", "a first look"), Example::new("info -m", "with the files of all modules")] }
    }
    fn needs(&self, _args: &InfoArgs) -> Layer {
        Layer::Image
    }
    fn run(&self, cx: &mut Cx<'_>, args: &InfoArgs) -> Result<Report, CommandError> {
        let image = cx.image()?;
        let mut report = Report::new("info");
        match cx.session() {
            Ok(s) => {
                report.record("dump", dump(image, Some(s)));
                report.record("kernel", kernel_of(s));
                report.record("symbols", symbols(s));
                report.record("debug_files", files(cx, s, args.modules)?);
            }
            Err(e @ CommandError::Cancelled(_)) => return Err(e),
            Err(e) => {
                report.record("dump", dump(image, None));
                report.record("kernel", headers(image, cx.words()?, &e));
            }
        }
        let opened = cx.session_if_open().map(Session::opened);
        let of_session = opened.into_iter().flat_map(|o| o.machine.warnings.iter().chain(&o.warnings));
        let of_info = cx.session_if_open().map(Session::vmcoreinfo_notes).unwrap_or_default();
        for warning in image.warnings.iter().chain(of_session).chain(of_info) {
            report.warning(warning.clone());
        }
        for warning in &image.dump.facts().warnings {
            report.warning(warning.to_string());
        }
        Ok(report)
    }
}

fn label(text: &str) -> Line {
    Line::new().text(format!("{text:>14}: "))
}

fn size(bytes: u64) -> Cell {
    Cell::Shown(Box::new(Cell::Size(bytes)), when::memory(bytes))
}

/// The dump itself; `s` where a kernel was found in it.
fn dump(image: &Image, s: Option<&Session>) -> Record {
    let mut out = Record::new();
    let facts = image.dump.facts();
    let paths = image.dump_names.iter().map(|name| Cell::from(name.clone()));
    out.line(label("DUMP").field("files", Cell::Many(paths.collect(), " ")).role(Role::Path));
    out.line(label("FORMAT").field("format", image.dump.format().to_owned()));
    out.line(label("FILE SIZE").field("file_bytes", size(facts.file_size)));
    if let Some(packed) = facts.compression {
        out.line(label("COMPRESSION").field("compression", packed.to_string()));
    }
    match facts.dump_level {
        Some(level) => out.line(
            label("DUMP LEVEL")
                .field("dump_level", level)
                .text("  (")
                .field("left_out", left_out(level))
                .text("; by the header)"),
        ),
        None => out.hidden("dump_level", Cell::Null),
    }
    let covered = image.phys().ranges().iter().fold(0_u64, |sum, r| sum.saturating_add(r.len()));
    // the last page of a range can be there in part
    let held = image.dump.held_bytes().min(covered);
    let line = label("MEMORY").field("covered_bytes", size(covered)).text(" covered in ");
    let ranges = image.phys().ranges().len();
    out.line(
        line.field("ranges", ranges)
            .text(if ranges == 1 { " range, " } else { " ranges, " })
            .field("held_bytes", size(held))
            .text(" held"),
    );
    if let Some(at) = &facts.timestamp {
        let written = match at.known() {
            Some(sec) => Cell::Shown(Box::new(sec.into()), when::date(sec)),
            None => Cell::absent("not known", "the header has no time"),
        };
        let line = label("WRITTEN").field("written", written);
        // nothing else in the dump tells it
        out.line(if at.known().is_some() { line.text("  (by the header)") } else { line });
    }
    if let Some(text) = &facts.erase_info {
        // what `makedumpfile --config` overwrote in the pages
        for (n, line) in text.lines().enumerate() {
            out.line(label(if n == 0 { "ERASED" } else { "" }).styled(line.to_owned(), Role::Warning));
        }
    }
    out.hidden("erased", facts.erase_info.clone());
    if facts.is_incomplete() {
        out.line(label("STATE").styled("the dump is not complete", Role::Warning));
    }
    out.hidden("incomplete", facts.is_incomplete());
    let info = s.map_or(&image.info, Session::vmcoreinfo);
    let line = label("VMCOREINFO").field("vmcoreinfo", info_from(image, s));
    let count = info.iter().count();
    out.line(match count {
        0 => line,
        _ => line.text(", ").field("vmcoreinfo_lines", count).text(" lines"),
    });
    if count == 0 {
        out.hidden("vmcoreinfo_lines", 0_usize);
    }
    out
}

/// Where the lines of VMCOREINFO that are used come from.
fn info_from(image: &Image, s: Option<&Session>) -> String {
    let own = image.dump.vmcoreinfo().map(|_| "in the dump".to_owned());
    let file = image.info_file.as_ref().map(|file| format!("in {}", file.display()));
    let given = file.clone().or_else(|| own.clone());
    let none = || "none".to_owned();
    let Some(s) = s else { return given.unwrap_or_else(none) };
    match s.opened().machine.info_from {
        InfoFrom::Memory => {
            let found = "found in the kernel's memory";
            given.map_or_else(|| found.to_owned(), |given| format!("{found} (not used: {given})"))
        }
        _ if s.vmcoreinfo().is_empty() => given.map_or_else(none, |given| format!("{given}, not used")),
        InfoFrom::Headers => match (own, file) {
            (Some(own), Some(file)) => format!("{own} (not used: {file})"),
            _ => given.unwrap_or_else(none),
        },
        InfoFrom::File | InfoFrom::Nowhere => given.unwrap_or_else(none),
    }
}

/// What the headers, and memory in plain words, say of a kernel that was not found, and why it was not.
fn headers(image: &Image, words: &Words, why: &CommandError) -> Record {
    let mut out = Record::new();
    let facts = image.dump.facts();
    let names = facts.utsname.as_ref();
    let known = |text: Option<String>| {
        text.filter(|t| !t.is_empty())
            .map_or_else(|| Cell::absent("not known", "nothing in the dump tells it"), Cell::from)
    };
    let told = |key: &str| image.info.get(key).or_else(|| words.info.get(key)).map(str::to_owned);
    let release = told("OSRELEASE").or_else(|| names.map(|u| u.release.clone()).filter(|r| !r.is_empty()));
    out.line(label("RELEASE").field("release", known(release.or_else(|| words.release.clone()))));
    if let Some(names) = names {
        out.line(label("VERSION").field("version", known(Some(names.version.clone()))));
        out.line(label("NODENAME").field("nodename", known(Some(names.nodename.clone()))));
    }
    let claim = words.machine.as_ref();
    let line = label("MACHINE").field("machine", known(claim.map(|(machine, _)| machine.clone())));
    out.line(match claim {
        Some((_, by)) => line.text("  (by ").field("machine_by", by.clone()).text(")"),
        None => line,
    });
    out.line(label("BUILD ID").field("build_id", known(told("BUILD-ID"))));
    if image.info.is_empty() && !words.info.is_empty() {
        let lines = words.info.iter().count();
        out.line(
            label("VMCOREINFO").text("found in memory, ").field("lines_in_memory", lines).text(" lines"),
        );
    }
    if let Some(log) = &words.log {
        let count = log.records.len();
        out.line(label("LOG").field("messages", count).text(" messages found in memory: \"log\" shows them"));
    }
    if let Some(cpus) = facts.nr_cpus {
        out.line(label("CPUS").field("cpus", cpus));
    }
    out.line(label("NOTES").field("note_count", image.dump.notes().len()));
    out.warning(why.to_string());
    out
}

/// What makedumpfile's `-d` leaves out (its manual page).
fn left_out(level: u32) -> String {
    const PARTS: [&str; 5] = ["zero pages", "page cache", "private page cache", "user data", "free pages"];
    let parts = PARTS.iter().enumerate().filter(|(bit, _)| level >> bit & 1 == 1).map(|(_, name)| *name);
    let parts: Vec<&str> = parts.collect();
    if parts.is_empty() { "nothing left out".into() } else { format!("left out: {}", parts.join(", ")) }
}

fn kernel_of(s: &Session) -> Record {
    let mut out = Record::new();
    let boot = s.boot();
    let release = kernel::machine::system::release(s);
    let unknown =
        || Cell::absent("not known", "VMCOREINFO and the kernel's memory do not tell it, or differ");
    out.line(label("RELEASE").field("release", release.map_or_else(unknown, Cell::from)));
    let id = s.build_id().map(hex);
    out.line(label("BUILD ID").field("build_id", id.map_or_else(unknown, Cell::from)));
    let why = match s.opened().machine.info.get("KERNELOFFSET") {
        Some(_) => "VMCOREINFO's KERNELOFFSET is not the usual one, and nothing confirms it",
        None => "no VMCOREINFO tells it (KERNELOFFSET)",
    };
    let moved = s.kaslr_offset().map_or_else(|| Cell::absent("not known", why), Cell::hex);
    out.line(label("KASLR OFFSET").field("kaslr_offset", moved));
    let place = s.arch().layout.image_place(&boot.image);
    let shown = match place.value {
        value if value < 0 => format!("-{:#x}", value.unsigned_abs()),
        value => format!("{value:#x}"),
    };
    let value = i64::try_from(place.value).map_or_else(|_| Cell::hex(place.value as u64), Cell::from);
    out.line(label(place.label).field(place.key, Cell::Shown(Box::new(value), shown)));
    let page = 1_u64 << boot.tables.paging.page_shift();
    out.hidden("page_size", page);
    let line = label("PAGING").field("paging_levels", boot.tables.levels()).text(match page {
        0x1000 => " levels, tables at ".to_owned(),
        _ => format!(" levels of {} KiB, tables at ", page >> 10),
    });
    let line = line.field("page_tables", Cell::Phys(boot.tables.root.0));
    let encrypted = boot.tables.encryption != 0;
    out.line(if encrypted { line.text(", memory encryption") } else { line });
    out.hidden("memory_encryption", encrypted);
    let lacks: Vec<Cell> = boot.arch.missing().map(|capability| capability.to_string().into()).collect();
    if !lacks.is_empty() {
        out.line(
            label("NOT READ YET").field("not_read_yet", Cell::Many(lacks, ", ")).text(" of this machine"),
        );
    }
    let kernels = s.kernels();
    if kernels.len() > 1 {
        let rows = kernels.iter().enumerate().map(|(n, boot)| {
            Record::of(Line::new().text(" ".repeat(16)).field("kernel", kernel_words(n, boot)))
        });
        out.line(label("KERNELS").field("kernels_in_memory", kernels.len()).text(", --kernel N chooses:"));
        out.list("kernels", rows.collect());
    }
    let how = match boot.how {
        How::Search => "by a search of memory".to_owned(),
        how => format!("by {how}"),
    };
    out.line(label("FOUND").field("found", how));
    let cpus = s.cpus();
    let online = crate::show::tasks::known(
        cpus.online.as_ref().map(Vec::len),
        "the mask of CPUs that are online is not in the dump",
    );
    let line = label("CPUS").field("cpus", possible(cpus)).text(" possible, ");
    let line = line.field("cpus_online", online).text(" online, registers of ");
    out.line(line.field("cpus_with_registers", s.cpu_states().len()));
    out.list("doubted_registers", doubted(s));
    out
}

/// What there is to say of the CPUs' registers: which are not used, and why. Nothing where there are no notes.
fn doubted(s: &Session) -> Vec<Record> {
    let known = s.cpus();
    let cpus = known.present.as_ref().unwrap_or(&known.possible);
    let cpus = cpus.iter().filter(|_| !s.cpu_states().is_empty());
    let rows = cpus.filter_map(|&cpu| {
        let registers = s.cpu_registers(cpu);
        let line = Line::new().text(" ".repeat(16)).field("remark", registers.remark(cpu)?);
        let mut row = Record::of(line.role(Role::Warning));
        row.hidden("cpu", cpu);
        row.hidden("why", registers.doubt.map(|doubt| doubt.to_string()));
        Some(row)
    });
    rows.collect()
}

/// How many CPUs there can be: where their mask is lost, those that are known otherwise are the least.
fn possible(cpus: &kernel::sched::cpu::Cpus) -> Cell {
    match (cpus.otherwise, &cpus.problem) {
        (Some(by), Some(e)) => Cell::at_least(cpus.possible.len(), format!("known by {by} alone: {e}")),
        _ => cpus.possible.len().into(),
    }
}

/// How many symbols the kernel has: more than are known, where some are lost.
fn symbol_count(found: &kernel::KernelSymbols) -> Cell {
    match found.lost {
        0 => found.table.len().into(),
        lost => Cell::at_least(found.table.len(), format!("{lost} symbols are lost")),
    }
}

/// How many symbols there are, and where they are from.
fn symbols_line(found: &kernel::KernelSymbols, out: &mut Record) {
    let line = label("SYMBOLS");
    match found.problem.as_ref().filter(|_| found.table.is_empty()) {
        Some(why) => {
            // what was tried is told below
            out.line(
                line.text("none: neither a vmlinux nor the dump's kallsyms nor a System.map gives them"),
            );
            out.hidden("count", Cell::absent("none", why.clone()).lost_if(found.is_lost));
            out.hidden("from", Cell::Null);
        }
        None => {
            out.line(
                line.field("count", symbol_count(found)).text(" from ").field("from", found.from.clone()),
            );
        }
    }
}

fn symbols(s: &Session) -> Record {
    let mut out = Record::new();
    let found = s.kernel_symbols();
    symbols_line(found, &mut out);
    if let Some(why) = &found.problem {
        out.lacking(found.is_lost, format!("symbols: {why}"));
    }
    let modules = s.modules();
    let line = label("MODULES").field("modules", of_modules(s, modules.len())).text(", ");
    let unnamed = s.modules_without_symbols();
    let of_symbols = match unnamed.as_slice() {
        [] => of_modules(s, s.module_symbols().len()),
        _ => Cell::at_least(
            s.module_symbols().len(),
            format!("symbols of these modules are not in the dump, some or all: {}", unnamed.join(", ")),
        ),
    };
    out.line(line.field("module_symbols", of_symbols).text(" symbols from the dump"));
    if let Some(e) = s.modules_problem() {
        out.lacking(e.is_loss(), format!("the list of modules is not whole: {e}"));
    }
    let types = s.types();
    let sources: Vec<Cell> =
        (1..=u16::MAX).map_while(|n| types.source(SourceId(n))).map(|t| Cell::from(t.describe())).collect();
    if sources.is_empty() {
        out.line(
            label("TYPES").text("none: neither BTF of the dump nor a vmlinux with debug information is used"),
        );
    } else {
        out.line(label("TYPES").field("types_from", Cell::Many(sources, "; ")));
    }
    s.check_types();
    for why in s.type_problems().iter().chain(&s.type_notes()) {
        out.warning(format!("types: {why}"));
    }
    out
}

/// A count over all modules, which is the least where their list is not whole.
fn of_modules(s: &Session, count: usize) -> Cell {
    match s.modules_problem() {
        Some(e) => Cell::at_least(count, e.to_string()),
        None => count.into(),
    }
}

fn files(cx: &Cx<'_>, s: &Session, modules: bool) -> Result<Record, CommandError> {
    let mut out = Record::new();
    match s.kernel_file() {
        Some(file) => {
            let file = s.opened().machine.image.shown(file.path());
            out.line(label("VMLINUX").field("vmlinux", file).role(Role::Path))
        }
        None => {
            let id = s.build_id().map_or_else(|| "not known".to_owned(), hex);
            let release = kernel::machine::system::release(s).unwrap_or_else(|| "this release".to_owned());
            let wanted = format!("vmlinux of {release} with debug information, build id {id}");
            out.line(label("VMLINUX").text("not there; wanted: ").field("wanted", wanted));
            let tried = s.kernel_file_tried();
            let rows = tried.iter().map(|t| {
                let line = Line::new().text(" ".repeat(16)).field("path", t.path.display().to_string());
                Record::of(line.role(Role::Path).text("  ").field("why", t.outcome.to_string()))
            });
            out.list("tried", rows.collect());
            packages(s, &mut out);
        }
    }
    let mut rows = Vec::new();
    let mut found = 0_usize;
    for m in s.modules() {
        cx.cancel.check()?;
        let file = s.module_file_at_hand(m);
        found = found.saturating_add(usize::from(file.is_some()));
        let id = s.module_build_id(m).as_deref().map(hex);
        let mut line = Line::new().text(" ".repeat(16)).field("module", m.name.clone()).left(24).text(" ");
        line = match &file {
            Some(file) => line.field("file", s.opened().machine.image.shown(file)).role(Role::Path),
            None => line.text("not there"),
        };
        let mut row = Record::of(line);
        row.hidden(
            "build_id",
            crate::show::tasks::known(
                id,
                "the module's note of its build is not in the dump, or it has none",
            ),
        );
        rows.push(row);
    }
    let line = label("MODULE FILES").field("modules_with_files", of_modules(s, found)).text(" of ");
    let all = of_modules(s, s.modules().len());
    out.line(line.field("modules", all).text(" modules have debug files"));
    if modules {
        out.list("module_files", rows);
    }
    Ok(out)
}

/// What to get where the kernel's debug file is not there, and what to do with it.
fn packages(s: &Session, out: &mut Record) {
    let names = kernel::machine::system::utsname(s);
    let release = kernel::machine::system::release(s).unwrap_or_default();
    let unread = names.err().map(|e| e.to_string());
    let version = kernel::machine::system::version(s).unwrap_or_default();
    let wanted = wanted_packages(&release, &version);
    if wanted.is_empty() {
        out.line(label("PACKAGES").text(
            "this release is of no distribution that is known: the vmlinux is in the folder where the kernel was built",
        ));
        return;
    }
    let rows = wanted.iter().map(|p| {
        let line = Line::new().text(" ".repeat(16)).field("distribution", p.distro).text(": ");
        let line = line.field("package", p.package.clone());
        let line = match &p.build {
            Build::Version(build) => line.text("=").field("build", build.clone()),
            Build::Named | Build::Untold => line,
        };
        let mut row = Record::of(line.text("  (").field("holds", p.holds).text(")"));
        if p.build == Build::Untold {
            let why = unread.as_deref().unwrap_or("the kernel's version string does not name it");
            row.hidden("build", crate::show::tasks::known(None::<String>, why));
        }
        row.hidden("from", p.from);
        row
    });
    out.line(label("PACKAGES").text("from ").field("packages_from", wanted.first().map_or("", |p| p.from)));
    out.list("packages", rows.collect());
    out.line(Line::new().text(" ".repeat(16)).text(
        "no need to install one: name its file behind the dump, or put it beside the dump; or set DEBUGINFOD_URLS",
    ));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_dump_level_leaves_out() {
        assert_eq!(left_out(0), "nothing left out");
        assert_eq!(left_out(17), "left out: zero pages, free pages");
        assert!(left_out(31).ends_with("private page cache, user data, free pages"));
    }

    #[test]
    fn no_symbols_are_from_nowhere() {
        let found = |problem: Option<&str>| kernel::KernelSymbols {
            table: std::sync::Arc::new(debuginfo::symtab::SymbolTable::empty()),
            lost: 0,
            from: "nowhere".into(),
            problem: problem.map(str::to_owned),
            is_lost: true,
        };
        let mut out = Record::new();
        symbols_line(&found(Some("kallsyms is not in the dump")), &mut out);
        let line = out.items.iter().find_map(|item| match item {
            report::Item::Line(line) => Some(line),
            _ => None,
        });
        assert!(line.unwrap().fields().next().is_none(), "neither a count nor a source is shown: {line:?}");
    }
}
