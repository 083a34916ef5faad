//! `truth.json`: what the guest said about itself on its serial console, parsed.
//!
//! Addresses and other 64-bit words are strings (`0x…`): JSON numbers lose them in many readers.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;

use super::cases::{Case, Series};
use super::console::{Console, Message, message};
use super::dumps;
use super::kernel::Kernel;
use super::oops::{self, Place, Report};
use crate::run::{At as _, Error, shell};

/// The whole file.
#[derive(Serialize)]
pub(crate) struct Truth {
    case: About,
    kernel: KernelFacts,
    dumps: Vec<DumpFacts>,
    /// The first report of what went wrong; none for a living system.
    oops: Option<Report>,
    /// The reports after it, such as the state printed by `panic()`.
    later_reports: Vec<Report>,
    /// The reason of the final panic.
    panic: Option<String>,
    modules: Vec<Module>,
    /// Every thread, at the time of the sections (shortly before the end); what comes after is not here.
    tasks: Vec<Task>,
    kallsyms: Kallsyms,
    /// `module`, `section`, `address`.
    module_sections: Vec<[String; 3]>,
    stacks: Vec<Stack>,
    maps: Vec<Mapping>,
    files: Vec<OpenFile>,
    meminfo_kib: BTreeMap<String, u64>,
    /// The kernel's log at the time of the sections, with its levels.
    dmesg: Vec<Message>,
    /// The kernel's messages on the console, to the end.
    console: Vec<Message>,
    /// All the sections' lines as they were.
    sections: BTreeMap<String, Vec<String>>,
}

#[derive(Serialize)]
struct About {
    name: String,
    series: String,
    end: String,
    cpus: u32,
    memory_mib: u32,
    cpu_model: String,
    paging_levels: u32,
    kaslr: bool,
    /// QEMU's vmcoreinfo device was there.
    vmcoreinfo_device: bool,
    crashkernel_mib: u32,
}

#[derive(Serialize)]
struct KernelFacts {
    release: String,
    /// What Debian calls the build.
    package_version: String,
    build_id: Option<String>,
    /// `/proc/version`.
    banner: String,
    command_line: String,
    /// From the kernel's own line; a living system's comes from its symbols.
    kaslr_offset: Option<String>,
}

#[derive(Serialize)]
struct DumpFacts {
    /// More than one for a split set.
    files: Vec<String>,
    made_by: String,
    bytes: u64,
}

#[derive(Serialize)]
struct Module {
    name: String,
    size: u64,
    references: i64,
    used_by: Vec<String>,
    state: String,
    address: String,
    taint: Option<String>,
    build_id: Option<String>,
}

#[derive(Serialize, PartialEq, Eq, Debug)]
struct Task {
    pid: i64,
    tgid: i64,
    ppid: i64,
    state: String,
    /// `task_struct.comm`.
    comm: String,
    /// What `/proc` makes of it: a kernel thread's long name, a worker's present work.
    name: String,
    flags: u64,
    priority: i64,
    nice: i64,
    start_ticks: u64,
    vsize_bytes: u64,
    rss_pages: i64,
    cpu: i64,
}

#[derive(Serialize, Default)]
struct Kallsyms {
    /// All symbols there were, with the modules'.
    count: u64,
    /// Those of the kernel.
    count_kernel: u64,
    samples: Vec<Symbol>,
}

#[derive(Serialize, PartialEq, Eq, Debug)]
struct Symbol {
    address: String,
    kind: String,
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    module: Option<String>,
}

#[derive(Serialize)]
struct Stack {
    pid: i64,
    tid: i64,
    frames: Vec<Place>,
}

#[derive(Serialize)]
struct Mapping {
    pid: i64,
    start: String,
    end: String,
    flags: String,
    offset: String,
    inode: u64,
    path: String,
}

#[derive(Serialize)]
struct OpenFile {
    pid: i64,
    fd: u32,
    target: String,
}

impl Truth {
    /// Reads the console of a case whose dumps are in `dir`.
    pub(crate) fn new(
        dir: &Path,
        series: &Series,
        case: &Case,
        kernel: &Kernel,
        console: &str,
    ) -> Result<Self, Error> {
        let console = Console::parse(console);
        if console.sections.get("dmesg").is_none_or(Vec::is_empty) {
            return Err(Error::Other("the guest's sections are not on its console".into()));
        }
        let texts = || console.messages.iter().map(|message| message.text.as_str());
        let mut reports = oops::reports(texts());
        let later_reports = if reports.is_empty() { Vec::new() } else { reports.split_off(1) };
        let kallsyms = kallsyms(console.section("kallsyms"));
        let offset = oops::kernel_offset(texts()).or_else(|| offset_by_symbol(&kallsyms));
        let mut modules = modules(console.section("modules"));
        for module in &mut modules {
            let file = dir.join("modules").join(format!("{}.ko", module.name));
            module.build_id = if file.exists() { build_id(&file)? } else { None };
        }
        Ok(Self {
            case: About {
                name: case.name.into(),
                series: series.name.into(),
                end: case.end.word().into(),
                cpus: case.cpus,
                memory_mib: case.memory,
                cpu_model: case.cpu.into(),
                paging_levels: paging_levels(console.section("cpuinfo"), texts()),
                kaslr: !case.append.contains("nokaslr"),
                vmcoreinfo_device: case.vmcoreinfo,
                crashkernel_mib: case.crashkernel,
            },
            kernel: KernelFacts {
                release: kernel.release.clone(),
                package_version: kernel.version.clone(),
                build_id: build_id(&kernel.vmlinux())?,
                banner: console.first("version"),
                command_line: console.first("cmdline"),
                kaslr_offset: offset.map(|offset| format!("{offset:#x}")),
            },
            dumps: dump_facts(dir, case)?,
            oops: reports.pop(),
            later_reports,
            panic: oops::panic_reason(texts()),
            modules,
            tasks: headed(console.section("task.stat"))
                .filter_map(|(tgid, _, line)| Task::parse(tgid, line))
                .collect(),
            kallsyms,
            module_sections: console
                .section("module.sections")
                .iter()
                .filter_map(|line| three(line))
                .collect(),
            stacks: stacks(console.section("task.stack")),
            maps: maps(console.section("process.maps")),
            files: console.section("process.fd").iter().filter_map(|line| open_file(line)).collect(),
            meminfo_kib: meminfo(console.section("meminfo")),
            dmesg: console.section("dmesg").iter().filter_map(|line| message(line)).collect(),
            console: console.messages,
            sections: console.sections,
        })
    }
}

impl Task {
    /// A line of `/proc/PID/task/TID/stat` behind its thread group; fields are numbered as in proc(5).
    fn parse(tgid: i64, line: &str) -> Option<Self> {
        let (pid, rest) = line.split_once(" (")?;
        let (comm, rest) = rest.rsplit_once(") ")?;
        let fields: Vec<&str> = rest.split_whitespace().collect();
        let number = |field: usize| fields.get(field.checked_sub(3)?)?.parse::<i64>().ok();
        let unsigned = |field: usize| fields.get(field.checked_sub(3)?)?.parse::<u64>().ok();
        Some(Self {
            pid: pid.parse().ok()?,
            tgid,
            ppid: number(4)?,
            state: (*fields.first()?).to_owned(),
            comm: short_comm(comm),
            name: comm.to_owned(),
            flags: unsigned(9)?,
            priority: number(18)?,
            nice: number(19)?,
            start_ticks: unsigned(22)?,
            vsize_bytes: unsigned(23)?,
            rss_pages: number(24)?,
            cpu: number(39)?,
        })
    }
}

/// `task_struct.comm` from the name in `/proc`: 15 bytes, and without the `-work` or `+work` of a worker
/// (`kworker/R-name` is a rescuer's whole name).
fn short_comm(name: &str) -> String {
    let mut end = 15.min(name.len());
    if let Some(rest) = name.strip_prefix("kworker/")
        && !rest.starts_with("R-")
        && let Some(at) = rest.find(['-', '+'])
    {
        end = end.min(at.saturating_add("kworker/".len()));
    }
    String::from_utf8_lossy(name.as_bytes().get(..end).unwrap_or_default()).into_owned()
}

/// Lines of `/proc/modules`: `name size refs users, state address (taint)`.
fn modules(lines: &[String]) -> Vec<Module> {
    let parse = |line: &String| {
        let words: Vec<&str> = line.split_whitespace().collect();
        Some(Module {
            name: (*words.first()?).to_owned(),
            size: words.get(1)?.parse().ok()?,
            references: words.get(2)?.parse().unwrap_or(-1),
            used_by: words
                .get(3)?
                .split(',')
                .filter(|name| !matches!(*name, "" | "-"))
                .map(str::to_owned)
                .collect(),
            state: (*words.get(4)?).to_owned(),
            address: (*words.get(5)?).to_owned(),
            taint: words.get(6).map(|taint| taint.trim_matches(['(', ')']).to_owned()),
            build_id: None,
        })
    };
    lines.iter().filter_map(parse).collect()
}

fn kallsyms(lines: &[String]) -> Kallsyms {
    let mut found = Kallsyms::default();
    for line in lines {
        if let Some(counts) = line.strip_prefix("# ") {
            let mut numbers = counts.split_whitespace().filter_map(|word| word.parse().ok());
            found.count = numbers.next().unwrap_or_default();
            found.count_kernel = numbers.next().unwrap_or_default();
        } else {
            found.samples.extend(symbol(line));
        }
    }
    found
}

fn symbol(line: &str) -> Option<Symbol> {
    let mut words = line.split_whitespace();
    let address = u64::from_str_radix(words.next()?, 16).ok()?;
    Some(Symbol {
        address: format!("{address:#x}"),
        kind: words.next()?.to_owned(),
        name: words.next()?.to_owned(),
        module: words.next().map(|module| module.trim_matches(['[', ']']).to_owned()),
    })
}

/// A running kernel does not print its offset; x86_64 is linked at 0xffffffff81000000.
fn offset_by_symbol(kallsyms: &Kallsyms) -> Option<u64> {
    let text = kallsyms.samples.iter().find(|symbol| symbol.name == "_text" && symbol.module.is_none())?;
    u64::from_str_radix(text.address.strip_prefix("0x")?, 16).ok()?.checked_sub(0xffff_ffff_8100_0000)
}

/// Splits a section of `@ PID TID` headings, giving each line with its heading.
fn headed(lines: &[String]) -> impl Iterator<Item = (i64, i64, &str)> {
    let mut heading = None;
    lines.iter().filter_map(move |line| {
        if let Some(ids) = line.strip_prefix("@ ") {
            let (pid, tid) = ids.split_once(' ')?;
            heading = Some((pid.parse().ok()?, tid.parse().ok()?));
            return None;
        }
        let (pid, tid) = heading?;
        Some((pid, tid, line.as_str()))
    })
}

fn stacks(lines: &[String]) -> Vec<Stack> {
    let mut found: Vec<Stack> = Vec::new();
    for (pid, tid, line) in headed(lines) {
        // `[<0>] symbol+0x1/0x2 [module]`
        let Some(place) = line.split_once("] ").and_then(|(_, text)| Place::parse(text)) else { continue };
        match found.last_mut() {
            Some(stack) if stack.tid == tid => stack.frames.push(place),
            _ => found.push(Stack { pid, tid, frames: vec![place] }),
        }
    }
    found
}

fn maps(lines: &[String]) -> Vec<Mapping> {
    headed(lines).filter_map(|(pid, _, line)| mapping(pid, line)).collect()
}

/// `start-end flags offset major:minor inode path`
fn mapping(pid: i64, line: &str) -> Option<Mapping> {
    let mut words = line.split_whitespace();
    let (start, end) = words.next()?.split_once('-')?;
    let flags = words.next()?.to_owned();
    let offset = words.next()?;
    let _device = words.next()?;
    let inode = words.next()?.parse().ok()?;
    let path = words.collect::<Vec<_>>().join(" ");
    let hex = |text: &str| format!("0x{text}");
    Some(Mapping { pid, start: hex(start), end: hex(end), flags, offset: hex(offset), inode, path })
}

fn open_file(line: &str) -> Option<OpenFile> {
    let mut parts = line.splitn(3, ' ');
    Some(OpenFile {
        pid: parts.next()?.parse().ok()?,
        fd: parts.next()?.parse().ok()?,
        target: parts.next()?.to_owned(),
    })
}

/// `Name:   123 kB`; the counts without a unit are kept as they are.
fn meminfo(lines: &[String]) -> BTreeMap<String, u64> {
    let parse = |line: &String| {
        let (name, value) = line.split_once(':')?;
        Some((name.to_owned(), value.split_whitespace().next()?.parse().ok()?))
    };
    lines.iter().filter_map(parse).collect()
}

fn three(line: &str) -> Option<[String; 3]> {
    let mut words = line.split_whitespace().map(str::to_owned);
    Some([words.next()?, words.next()?, words.next()?])
}

fn dump_facts(dir: &Path, case: &Case) -> Result<Vec<DumpFacts>, Error> {
    let mut found = Vec::new();
    for dump in case.dumps {
        let mut files = dumps::files(dump);
        // What a QEMU was built without is not there.
        files.retain(|file| dir.join(file).exists());
        if files.is_empty() {
            continue;
        }
        let mut bytes = 0_u64;
        for file in &files {
            let path = dir.join(file);
            bytes = bytes.saturating_add(path.metadata().at(&path)?.len());
        }
        found.push(DumpFacts { files, made_by: dumps::made_by(dump), bytes });
    }
    Ok(found)
}

/// By readelf, not by the project's own reader, which is what the truth is to test.
fn build_id(file: &Path) -> Result<Option<String>, Error> {
    // An older readelf ends in error at sections that it does not know, having read this one.
    let notes = shell("readelf -n \"$1\" 2>/dev/null || true", [file])?;
    Ok(notes.lines().find_map(|line| line.trim().strip_prefix("Build ID: ")).map(str::to_owned))
}

/// The levels of the page tables in the guest's words: what the processor of an x86-64 guest has, what an arm64 kernel
/// detected on its own.
fn paging_levels<'a>(cpuinfo: &[String], mut log: impl Iterator<Item = &'a str>) -> u32 {
    let wide = cpuinfo.iter().any(|line| line.contains(" la57"))
        || log.any(|text| text.ends_with("detected: 52-bit Virtual Addressing (LPA2)"));
    if wide { 5 } else { 4 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stat_line_is_read_past_its_comm() {
        let line = "43 (a) b (c) S 1 2 3 4 5 4194560 7 8 9 10 11 12 13 14 20 -5 17 18 99 4096 12 \
                    1 2 3 4 5 6 7 8 9 10 11 12 13 14 3 16 17";
        let task = Task::parse(42, line).unwrap();
        assert_eq!((task.pid, task.tgid, task.ppid, task.comm.as_str()), (43, 42, 1, "a) b (c"));
        assert_eq!(
            (task.priority, task.nice, task.start_ticks, task.rss_pages, task.cpu),
            (20, -5, 99, 12, 3)
        );
        assert_eq!(Task::parse(1, "1 (x) S 1"), None);
    }

    #[test]
    fn a_comm_is_what_the_task_has() {
        for (name, comm) in [
            ("kworker/1:1H-kblockd", "kworker/1:1H"),
            ("kworker/u4:0+events_unbound", "kworker/u4:0"),
            ("kworker/R-rcu_gp", "kworker/R-rcu_g"),
            ("rcu_tasks_rude_kthread", "rcu_tasks_rude_"),
            ("jbd2/vda-8", "jbd2/vda-8"),
        ] {
            assert_eq!(short_comm(name), comm);
        }
    }

    #[test]
    fn sections_are_parsed() {
        let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
        let found = modules(&lines(
            "virtio_ring 1234 2 virtio_pci,virtio, Live 0xffffffffc0000000 (OE)\next4 5 0 - Live 0xffffffffc0100000",
        ));
        assert_eq!(found[0].used_by, ["virtio_pci", "virtio"]);
        assert_eq!((found[0].taint.as_deref(), found[1].taint.as_deref()), (Some("OE"), None));
        assert!(found[1].used_by.is_empty());

        let found = kallsyms(&lines(
            "ffffffff8f000000 T _text\nffffffffc0000010 t f\t[m]\n# 9 symbols, 8 of the kernel",
        ));
        assert_eq!((found.count, found.count_kernel), (9, 8));
        assert_eq!(found.samples[1].module.as_deref(), Some("m"));
        assert_eq!(offset_by_symbol(&found), Some(0xe00_0000));

        let found =
            stacks(&lines("@ 1 1\n@ 2 3\n[<0>] f+0x1/0x2 [m]\n[<0>] g+0x3/0x4\n@ 2 4\n[<0>] h+0x5/0x6"));
        assert_eq!((found.len(), found[0].pid, found[0].tid, found[0].frames.len()), (2, 2, 3, 2));

        let found = maps(&lines(
            "@ 7 7\n00400000-00401000 r-xp 00001000 fe:00 12 /a b\n7f00-7f01 rw-p 00000000 00:00 0",
        ));
        assert_eq!((found[0].path.as_str(), found[0].inode, found[1].path.as_str()), ("/a b", 12, ""));
        assert_eq!(meminfo(&lines("MemTotal:  100 kB\nHugePages_Total: 0"))["MemTotal"], 100);
        assert_eq!(open_file("5 3 socket:[77]").unwrap().target, "socket:[77]");
    }
}
