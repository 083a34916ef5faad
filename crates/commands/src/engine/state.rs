//! `help -a` ... `-z`: what the program knows of itself and of the dump, for who reports a mistake. The letters are crash's;
//! where it has tables that are not here, what stands for them is shown.

use crate::engine::dispatch;
use crate::{CommandError, Cx, VARIABLES};
use kernel::Session;
use report::{Cell, Line, Record, Report};

/// A section: crash's letters for it, what it is, and who writes it.
struct Section {
    letters: &'static str,
    about: &'static str,
    write: fn(&mut Cx<'_>, &mut Record) -> Result<(), CommandError>,
}

/// All sections, in the order of their letters.
const SECTIONS: &[Section] = &[
    Section { letters: "a", about: "aliases", write: |cx, out| answer(cx, out, &["alias"]) },
    Section { letters: "B", about: "how the program was built", write: build },
    Section {
        letters: "bcegHhlx",
        about: "crash's buffers, caches, tables of names, extensions and its gdb",
        write: nothing,
    },
    Section {
        letters: "df",
        about: "devices and file systems",
        write: |cx, out| answer(cx, out, &["mount"]),
    },
    Section {
        letters: "DLn",
        about: "the dump and the files beside it",
        write: |cx, out| answer(cx, out, &["info"]),
    },
    Section { letters: "kK", about: "the kernel", write: kernel_table },
    Section { letters: "mM", about: "the machine", write: machine },
    Section { letters: "N", about: "the network", write: |cx, out| answer(cx, out, &["net"]) },
    Section { letters: "oO", about: "where types come from", write: types },
    Section { letters: "pv", about: "the settings", write: settings },
    Section { letters: "r", about: "the registers that the dump has of each CPU", write: registers },
    Section { letters: "sS", about: "symbols", write: symbols },
    Section { letters: "t", about: "how the tasks were found", write: tasks },
    Section { letters: "T", about: "the tasks", write: |cx, out| answer(cx, out, &["ps"]) },
    Section { letters: "V", about: "memory", write: |cx, out| answer(cx, out, &["kmem", "-i"]) },
    Section { letters: "z", about: "these letters", write: letters },
];

/// True for a word of letters that each name a section.
pub(super) fn names(word: &str) -> bool {
    let letters = word.strip_prefix('-').unwrap_or_default();
    !letters.is_empty()
        && letters.chars().all(|letter| SECTIONS.iter().any(|one| one.letters.contains(letter)))
}

/// The sections of these letters.
pub(super) fn report(cx: &mut Cx<'_>, letters: &[String]) -> Result<Report, CommandError> {
    let mut report = Report::new("help");
    for letter in letters {
        let found = SECTIONS.iter().find(|one| !letter.is_empty() && one.letters.contains(letter.as_str()));
        let Some(section) = found else {
            return Err(CommandError::argument(format_args!("-{letter}: \"help -z\" lists what there is")));
        };
        let mut part = Record::of(Line::heading(format!("{}:", section.about)));
        (section.write)(cx, &mut part)?;
        report.record(letter.clone(), part);
    }
    Ok(report)
}

fn entry(out: &mut Record, label: &'static str, cell: impl Into<Cell>) {
    let key = label.replace(' ', "_");
    out.line(Line::new().cell(label).right(18).text(": ").field(key, cell));
}

/// What another command answers; where it cannot, why.
fn answer(cx: &mut Cx<'_>, out: &mut Record, words: &[&str]) -> Result<(), CommandError> {
    let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
    match cx.inside(|cx| dispatch::run(cx, &words)) {
        Ok(report) => out.items.extend(report.body.items),
        Err(e @ CommandError::Cancelled(_)) => return Err(e),
        Err(e) => e.lines().into_iter().for_each(|line| out.info(line)),
    }
    Ok(())
}

fn nothing(_: &mut Cx<'_>, out: &mut Record) -> Result<(), CommandError> {
    out.text("  crash keeps these; crashlens has none of them");
    Ok(())
}

fn build(_: &mut Cx<'_>, out: &mut Record) -> Result<(), CommandError> {
    entry(out, "version", env!("CARGO_PKG_VERSION"));
    let arches = arch::ARCHES.iter().map(|arch| Cell::from(arch.name())).collect();
    entry(out, "architectures", Cell::Many(arches, " "));
    entry(out, "host", format!("{} {}", std::env::consts::OS, std::env::consts::ARCH));
    entry(out, "debug assertions", cfg!(debug_assertions));
    entry(out, "commands", crate::all().len());
    Ok(())
}

fn settings(cx: &mut Cx<'_>, out: &mut Record) -> Result<(), CommandError> {
    out.line(Line::new().text("      version: ").field("version", env!("CARGO_PKG_VERSION")));
    for variable in VARIABLES {
        let line = Line::new().cell(variable.name).right(13).text(": ");
        out.line(line.field(variable.name, (variable.get)(cx.settings)));
    }
    out.line(Line::new().text("     commands: ").field("commands", crate::all().len()));
    out.line(Line::new().text("      aliases: ").field("aliases", cx.settings.aliases.iter().count()));
    out.line(Line::new().text("     printed: ").field("printed_values", cx.settings.history.len()));
    Ok(())
}

/// The session; where there is none, the section says so.
fn session<'s>(cx: &Cx<'s>, out: &mut Record) -> Result<Option<&'s Session>, CommandError> {
    match cx.session() {
        Ok(s) => Ok(Some(s)),
        Err(e @ CommandError::Cancelled(_)) => Err(e),
        Err(e) => {
            e.lines().into_iter().for_each(|line| out.info(line));
            Ok(None)
        }
    }
}

fn kernel_table(cx: &mut Cx<'_>, out: &mut Record) -> Result<(), CommandError> {
    let Some(s) = session(cx, out)? else { return Ok(()) };
    let (opened, boot) = (s.opened(), &s.opened().machine.boot);
    entry(
        out,
        "release",
        opened.release().map_or_else(|| Cell::absent("?", "nothing in the dump tells it"), Cell::from),
    );
    entry(out, "kernel image from", Cell::Addr(boot.image.start.0));
    entry(out, "kernel image to", Cell::Addr(boot.image.end.0));
    entry(out, "virtual minus physical", Cell::hex(boot.image.offset));
    entry(out, "kernels found", opened.machine.kernels.len());
    let cpus = s.cpus();
    let list = |cpus: &Option<Vec<u32>>| match cpus {
        Some(cpus) => Cell::Many(cpus.iter().map(|cpu| Cell::from(*cpu)).collect(), " "),
        None => Cell::absent("?", "the mask is not in the dump"),
    };
    entry(out, "possible cpus", list(&Some(cpus.possible.clone())));
    entry(out, "present cpus", list(&cpus.present));
    entry(out, "online cpus", list(&cpus.online));
    if let Some(by) = cpus.otherwise {
        entry(out, "cpus known by", by);
    }
    entry(out, "modules", s.modules().len());
    for (n, warning) in opened.machine.warnings.iter().chain(&opened.warnings).enumerate() {
        out.line(Line::new().text("           warning: ").field(format!("warning{n}"), warning.clone()));
    }
    Ok(())
}

fn machine(cx: &mut Cx<'_>, out: &mut Record) -> Result<(), CommandError> {
    let Some(s) = session(cx, out)? else { return Ok(()) };
    let tables = &s.opened().machine.boot.tables;
    entry(out, "architecture", s.arch().name());
    let lacks: Vec<Cell> = s.arch().missing().map(|one| Cell::from(one.to_string())).collect();
    if !lacks.is_empty() {
        entry(out, "not there yet", Cell::Many(lacks, ", "));
    }
    entry(out, "page size", s.page_size());
    entry(out, "page table levels", tables.paging.levels.len());
    entry(out, "page table root", Cell::Phys(tables.root.0));
    entry(out, "stack size", kernel::stack::stacks::thread_size(s));
    let place = |at: kernel::Result<base::VirtAddr>| match at {
        Ok(at) => Cell::Addr(at.0),
        Err(e) => Cell::absent("?", e.to_string()).lost_if(e.is_loss()),
    };
    entry(out, "direct map", place(kernel::mm::slab::direct_map_base(s)));
    entry(out, "struct pages", place(kernel::mm::slab::vmemmap_base(s)));
    let ranges = s.phys().ranges();
    entry(out, "memory ranges", ranges.len());
    for (n, range) in ranges.iter().enumerate().take(64) {
        let line =
            Line::new().text("             range: ").field(format!("from{n}"), Cell::Phys(range.start.0));
        out.line(line.text(" - ").field(format!("to{n}"), Cell::Phys(range.end.0)));
    }
    Ok(())
}

fn types(cx: &mut Cx<'_>, out: &mut Record) -> Result<(), CommandError> {
    let Some(s) = session(cx, out)? else { return Ok(()) };
    entry(out, "kernel BTF", s.kernel_btf().is_some());
    entry(
        out,
        "vmlinux",
        s.vmlinux().map_or_else(
            || Cell::absent("none", "none was given or found"),
            |file| Cell::from(file.path().display().to_string()),
        ),
    );
    let sources: Vec<String> = s.types().sources();
    for (n, source) in sources.into_iter().enumerate() {
        out.line(Line::new().text("            source: ").field(format!("source{n}"), source));
    }
    for (n, note) in s.type_notes().into_iter().enumerate() {
        out.line(Line::new().text("              note: ").field(format!("note{n}"), note));
    }
    Ok(())
}

fn registers(cx: &mut Cx<'_>, out: &mut Record) -> Result<(), CommandError> {
    let Some(s) = session(cx, out)? else { return Ok(()) };
    let mut rows = Vec::new();
    for cpu in s.cpus().possible.clone() {
        let known = s.cpu_registers(cpu);
        let mut row = Record::of(Line::new().text("  CPU ").field("cpu", cpu).text(":"));
        for claim in &known.claims {
            let place =
                |value: Option<u64>| value.map_or_else(|| Cell::absent("?", "it is not known"), Cell::Addr);
            let line = Line::new().text("    ").field("source", claim.source.word());
            let line = line
                .text("  pc ")
                .field("pc", place(claim.regs.pc()))
                .text("  sp ")
                .field("sp", place(claim.regs.sp()));
            let doubt =
                claim.doubt.map_or_else(|| "believed".to_owned(), |doubt| format!("not believed: {doubt}"));
            row.record("claim", Record::of(line.text("  ").field("doubt", doubt)));
        }
        if known.claims.is_empty() {
            row.text("    the dump has none");
        }
        if let Some(remark) = known.remark(cpu) {
            row.line(Line::new().text("    ").field("remark", remark));
        }
        rows.push(row);
    }
    out.list("cpus", rows);
    Ok(())
}

fn symbols(cx: &mut Cx<'_>, out: &mut Record) -> Result<(), CommandError> {
    let Some(s) = session(cx, out)? else { return Ok(()) };
    let kernel = s.kernel_symbols();
    entry(out, "from", kernel.from.clone());
    entry(out, "symbols", kernel.table.len());
    entry(out, "lost", kernel.lost);
    entry(out, "problem", kernel.problem.clone().map_or(Cell::Null, Cell::from));
    entry(out, "symbols of modules", s.module_symbols().len());
    Ok(())
}

fn tasks(cx: &mut Cx<'_>, out: &mut Record) -> Result<(), CommandError> {
    let Some(s) = session(cx, out)? else { return Ok(()) };
    let all = s.tasks();
    entry(out, "tasks", all.all.len());
    entry(
        out,
        "counted",
        all.total.map_or_else(|| Cell::absent("?", "the kernel's count is not known"), Cell::from),
    );
    entry(
        out,
        "task_struct",
        s.bind::<kernel::sched::task::TaskStruct>().size.map_or(Cell::Null, Cell::from),
    );
    let unknown = all.unknown_cpus.iter().map(|cpu| Cell::from(*cpu)).collect();
    entry(out, "unknown on cpus", Cell::Many(unknown, " "));
    for (n, problem) in all.problems.iter().enumerate().take(64) {
        out.line(Line::new().text("           problem: ").field(format!("problem{n}"), problem.to_string()));
    }
    Ok(())
}

fn letters(_: &mut Cx<'_>, out: &mut Record) -> Result<(), CommandError> {
    let row = |one: &Section| {
        let spelled: String = one.letters.chars().map(|letter| format!("-{letter} ")).collect();
        Record::of(Line::new().text("  ").field("letters", spelled).left(26).field("about", one.about))
    };
    out.list("letters", SECTIONS.iter().map(row).collect());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_of_crash_s_letters_is_of_one_section() {
        for letter in "aBbcdDefgHhkKlLmMnNoOprsStTvVxz".chars() {
            let count = SECTIONS.iter().filter(|one| one.letters.contains(letter)).count();
            assert_eq!(count, 1, "{letter}");
            assert!(names(&format!("-{letter}")), "{letter}");
        }
        assert!(names("-mz") && !names("-q") && !names("-") && !names("bt"));
    }
}
