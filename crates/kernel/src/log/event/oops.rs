//! What an oops, a warning or a report says beside its first line: registers, place, task, call trace.
//!
//! What differs between architectures (registers, the place) is theirs to tell ([`arch::oops_forms`]).
//!
//! Sources: lib/dump_stack.c, arch/x86/mm/fault.c. Until 4.9 addresses
//! stand before names (`[<ffffffff8143e2f6>] sysrq_handle_crash+0x16/0x20`), and a null pointer is `(null)`.

use super::class::Class;
use super::forms::{bare, class_of};
use arch::capability::OopsPlace;

/// How many lines of a report are read.
pub(super) const MAX_LINES: usize = 400;

/// A function as the log names it: name, offset, module.
pub type Named = (String, u64, Option<String>);

/// Registers and place as an oops in the log has them.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Oops {
    /// `RIP: 0010:virtqueue_add_split+0x3d4/0x6f0 [virtio_ring]`, on arm64 `pc : …`: function, offset, module.
    pub rip: Option<Named>,
    /// The program counter, where the kernel printed it.
    pub pc: Option<u64>,
    /// `RIP: 0010:0x0`: an address that no symbol covers.
    pub wild: Option<u64>,
    /// Registers by their names in lower case.
    pub registers: Vec<(String, u64)>,
    /// The address that faulted.
    pub address: Option<u64>,
    /// The page fault's error code.
    pub error_code: Option<u64>,
    /// The CPU.
    pub cpu: Option<u32>,
    /// The thread.
    pub pid: Option<i32>,
    /// Its name.
    pub comm: Option<String>,
    /// Bytes of the function of `rip`, as the kernel printed them.
    pub size: Option<u64>,
    /// The call trace, innermost first.
    pub calls: Vec<Traced>,
    /// The trace leads out of a program.
    pub from_user: bool,
    /// The place stands within the trace: what is before it came later.
    pub is_within: bool,
    /// `Workqueue: events foo`.
    pub workqueue: Option<String>,
    /// The letters of the taints that the report's first lines name, without the `G` that is none: those that were set before
    /// it. Empty for `Not tainted`.
    pub taints: Option<String>,
    /// `Hardware name: …`.
    pub hardware: Option<String>,
    /// `Modules linked in: zoo(OE) …`: those with letters of their own.
    pub marked_modules: Vec<(String, String)>,
    /// The place that the message itself names.
    pub said: Said,
}

/// An entry of a call trace.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Traced {
    /// The function, how far into it, its module.
    pub named: Named,
    /// Bytes of the function, as the kernel printed them.
    pub size: Option<u64>,
    /// What the entry is.
    pub kind: Trace,
}

/// What an entry of a call trace is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Trace {
    /// A return address.
    Call,
    /// The same, marked `?`: it may be left of an earlier call.
    Guess,
    /// The instruction that an interrupt or exception came upon, with its registers.
    Place,
}

impl Oops {
    /// The functions of the call trace, those marked `?` left out.
    pub fn trace(&self) -> impl Iterator<Item = &str> {
        self.calls.iter().filter(|call| call.kind == Trace::Call).map(|call| call.named.0.as_str())
    }
}

/// The place that a message names: `WARNING: CPU: 0 PID: 1 at FILE:LINE FUNCTION+0x…`,
/// `BUG: KASAN: slab-out-of-bounds in FUNCTION+0x…`, `UBSAN: … in FILE:LINE:COLUMN`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Said {
    /// The file.
    pub file: Option<String>,
    /// The line.
    pub line: Option<u32>,
    /// The function.
    pub function: Option<Named>,
}

/// A number in hex, with or without `0x`.
pub(crate) fn hex(text: &str) -> Option<u64> {
    let text = text.trim();
    let text = text.strip_prefix("0x").unwrap_or(text);
    let end = text.find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(text.len());
    u64::from_str_radix(text.get(..end)?, 16).ok()
}

/// An address as `%p` prints it: hex digits, or `(null)`.
fn pointer(text: &str) -> Option<u64> {
    let text = text.trim();
    if text.starts_with("(null)") { Some(0) } else { hex(text) }
}

/// True for the line that ends the report of an oops or a warning.
pub(crate) fn is_end(line: &str) -> bool {
    line.contains("---[ end trace")
}

/// Reads the report whose first message is line `n`.
#[must_use]
pub(crate) fn read(lines: &[&str], n: usize) -> Oops {
    let rest = lines.get(n..lines.len().min(n.saturating_add(MAX_LINES))).unwrap_or_default();
    let first = rest.first().copied().unwrap_or_default();
    let mut out = Oops { said: said(bare(first)), ..Oops::default() };
    let mut at = State::default();
    for (i, line) in rest.iter().enumerate() {
        if i > 0 && (is_end(line) || line.trim_start().starts_with("Kernel panic")) {
            break;
        }
        fault(line, &mut out);
        header(line, &mut out);
        out.taints = out.taints.take().or_else(|| taints(line));
        place(line, &mut at, &mut out);
        if !at.user {
            registers(line, &mut out);
        }
        trace(line, &mut at, &mut out);
    }
    let paging = matches!(class_of(first), Some((Class::PageFault | Class::NullPointer, _)));
    if out.address.is_none() && paging {
        let has_address = |name: &str| arch::oops_forms().any(|form| form.fault_register() == Some(name));
        out.address = out.registers.iter().find(|(name, _)| has_address(name)).map(|(_, v)| *v);
    }
    out
}

/// Where in a report the reader is.
#[derive(Default)]
struct State {
    trace: bool,
    /// The trace was read, and what follows is another.
    traced: bool,
    /// A place with its registers stands within the trace, and the trace goes on behind them.
    within: bool,
    user: bool,
    /// The line before was `RIP: 0010:[<…>]` without a name, which is on this one.
    name_follows: bool,
}

/// Address and error code of a fault.
fn fault(line: &str, out: &mut Oops) {
    let text = bare(line);
    if out.address.is_none() {
        // arm64 says of which kind the address is
        let named = |(_, at): (&str, &str)| pointer(at.strip_prefix("virtual address ").unwrap_or(at));
        out.address = if let Some(at) = text
            .split_once("NULL pointer dereference at ")
            .or_else(|| text.split_once("kernel paging request at "))
        {
            named(at)
        } else if let Some((_, at)) =
            text.split_once("dereference, address: ").or_else(|| text.split_once("fault for address: "))
        {
            hex(at)
        } else if text.starts_with("general protection") {
            text.split_once(" address 0x").and_then(|(_, at)| hex(at))
        } else {
            None
        };
    }
    if out.error_code.is_none() {
        out.error_code = if let Some((_, code)) = text.split_once("error_code(0x") {
            hex(code)
        } else if text.contains("general protection fault") || text.contains("segment not present: ") {
            // `general protection fault: 1230 [#1] SMP`: a selector
            text.split_once(" [#").and_then(|(words, _)| hex(words.rsplit_once(": ")?.1))
        } else if line.trim_start().starts_with("Oops: ") && text.contains(" [#") {
            // `Oops: 0002 [#1] SMP`; an exception's own name stands there otherwise
            hex(text).filter(|_| text.starts_with(|c: char| c.is_ascii_hexdigit()))
        } else {
            None
        };
    }
}

/// `CPU: 0 PID: 130 Comm: dio Tainted: G …`; until 3.9 `Pid: 130, comm: dio Tainted: G`.
fn header(line: &str, out: &mut Oops) {
    let text = line.trim_start();
    if let Some(rest) = text.strip_prefix("CPU: ")
        && out.cpu.is_none()
    {
        out.cpu = rest.split_whitespace().next().and_then(|c| c.parse().ok());
        out.pid = after(text, "PID: ").and_then(|p| p.split_whitespace().next()?.parse().ok());
        out.comm = after(text, "Comm: ").map(comm);
    } else if let Some(rest) = text.strip_prefix("Pid: ")
        && out.pid.is_none()
    {
        out.pid = rest.split(',').next().and_then(|p| p.trim().parse().ok());
        out.comm = after(text, "comm: ").map(comm);
    } else if let Some(rest) = text.strip_prefix("CPU ")
        && out.cpu.is_none()
    {
        out.cpu = rest.trim().parse().ok();
    } else if let Some(rest) = text.strip_prefix("Workqueue: ") {
        out.workqueue = Some(rest.trim().to_owned());
    } else if let Some(modules) = modules_linked(text) {
        out.marked_modules = marked_modules(&modules);
    } else if let Some(rest) = text.strip_prefix("Hardware name: ") {
        out.hardware = Some(rest.trim().to_owned());
    }
}

/// `Tainted: G      D    OE      6.1.0`, `(Tainted: G    B      ): …`, `Not tainted`.
fn taints(line: &str) -> Option<String> {
    let Some((_, flags)) = line.rsplit_once("Tainted: ") else {
        return line.contains("Not tainted").then(String::new);
    };
    // 6.10: a line of their own with words, `Tainted: [D]=DIE, [W]=WARN`, stands behind that with the letters
    let flags = flags.chars().take_while(|c| c.is_ascii_uppercase() || *c == ' ');
    let letters: String = flags.filter(|c| *c != ' ').collect();
    (!letters.is_empty()).then(|| letters.replace('G', ""))
}

/// More modules than a report needs.
const MAX_MARKED: usize = 64;

/// `Modules linked in: a b(OE) c(-) [last unloaded: x(E)]`: each module that is loaded, and the letters behind its name; `None`
/// of another line.
pub(crate) fn modules_linked(line: &str) -> Option<Vec<(&str, &str)>> {
    let list = line.trim_start().strip_prefix("Modules linked in:")?;
    let list = list.split('[').next().unwrap_or_default();
    Some(list.split_whitespace().take(MAX_MODULES).map(name_and_letters).collect())
}

/// `c(OE)` in its two parts.
fn name_and_letters(word: &str) -> (&str, &str) {
    let (name, letters) = word.split_once('(').unwrap_or((word, ""));
    (name, letters.trim_end_matches(')'))
}

/// More modules than any machine has loaded.
const MAX_MODULES: usize = 1 << 12;

/// The modules with capital letters: those of taints.
fn marked_modules(modules: &[(&str, &str)]) -> Vec<(String, String)> {
    let marked = |(name, letters): &(&str, &str)| {
        let letters: String = letters.chars().filter(char::is_ascii_uppercase).collect();
        (!letters.is_empty()).then(|| ((*name).to_owned(), letters))
    };
    modules.iter().filter_map(marked).take(MAX_MARKED).collect()
}

/// CPU and thread of a line that names both.
pub(crate) fn cpu_and_pid(line: &str) -> Option<(u32, i32)> {
    if !line.trim_start().starts_with("CPU: ") {
        return None;
    }
    let mut out = Oops::default();
    header(line, &mut out);
    out.cpu.zip(out.pid)
}

/// Whom a report names: the CPU that reported, and what it ran.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Who {
    /// The CPU; until 3.9 reports did not say.
    pub cpu: Option<u32>,
    /// The thread.
    pub pid: Option<i32>,
    /// Its name.
    pub comm: Option<String>,
}

/// How many lines there are at most from a report's first to the one that names the task.
const TO_HEADER: usize = 16;

/// Whom the report that begins at a line names.
pub(crate) fn task_of(lines: &[&str], n: usize) -> Option<Who> {
    let report = lines.get(n..lines.len().min(n.saturating_add(TO_HEADER)))?;
    let line =
        report.iter().take_while(|line| !line.contains("---[ end ")).map(|line| line.trim_start()).find(
            |line| line.starts_with("Pid: ") || (line.starts_with("CPU: ") && line.contains(" PID: ")),
        )?;
    let mut out = Oops::default();
    header(line, &mut out);
    Some(Who { cpu: out.cpu, pid: out.pid, comm: out.comm })
}

/// A thread's name may have blanks.
fn comm(text: &str) -> String {
    let end = [" Not tainted", " Tainted: ", " Kdump: "].iter().filter_map(|m| text.find(m)).min();
    text.get(..end.unwrap_or(text.len())).unwrap_or(text).trim().to_owned()
}

fn after<'a>(line: &'a str, key: &str) -> Option<&'a str> {
    Some(line.split_once(key)?.1)
}

/// The program counter.
fn place(line: &str, at: &mut State, out: &mut Oops) {
    let text = line.trim_start();
    if std::mem::take(&mut at.name_follows) && out.rip.is_none() {
        (out.rip, out.size) = sized(text).map_or((None, None), |(named, size)| (Some(named), size));
    }
    let said = match arch::oops_forms().find_map(|form| form.place(text)) {
        Some(OopsPlace::Kernel(said)) => said,
        Some(OopsPlace::User) => {
            at.user = true;
            return;
        }
        None => return,
    };
    if out.rip.is_some() || out.wild.is_some() {
        return;
    }
    let address = said.split_once("[<").and_then(|(_, rest)| pointer(rest));
    (out.rip, out.size) = sized(said).map_or((None, None), |(named, size)| (Some(named), size));
    match (&out.rip, address) {
        (Some(_), at) => out.pc = at,
        (None, Some(pc)) if said.trim_end().ends_with(">]") && base::VirtAddr(pc).in_upper_half() => {
            out.pc = Some(pc);
            at.name_follows = true;
        }
        (None, Some(pc)) => out.wild = Some(pc),
        (None, None) => out.wild = pointer(said),
    }
}

/// The entries of the call trace.
fn trace(line: &str, at: &mut State, out: &mut Oops) {
    let text = line.trim();
    if at.traced || at.user {
        out.from_user |= at.user && at.trace;
        return;
    }
    // behind a place within the trace its code and registers follow, and then the rest of the trace
    if text.starts_with("Code: ") && !out.calls.is_empty() && !std::mem::take(&mut at.within) {
        end_of_trace(at, out);
        return;
    }
    match text {
        "Call Trace:" | "Call trace:" => {
            // of another task or CPU
            at.traced = !out.calls.is_empty();
            at.trace = !at.traced;
        }
        "</TASK>" => end_of_trace(at, out),
        entry if at.trace => {
            let is_guess = entry.starts_with('?') || entry.contains("] ? ") || entry.contains("> ? ");
            let place = arch::oops_forms().find_map(|form| form.place(entry));
            let is_place = place.is_some();
            let said = match place {
                Some(OopsPlace::Kernel(said)) => said,
                _ => entry,
            };
            let Some((named, size)) = sized(said) else {
                return;
            };
            let kind = match (is_place, is_guess) {
                (true, _) => Trace::Place,
                (_, true) => Trace::Guess,
                _ => Trace::Call,
            };
            at.within = is_place;
            out.is_within |= is_place && !out.calls.is_empty();
            out.calls.push(Traced { named, size, kind });
        }
        _ => {}
    }
}

fn end_of_trace(at: &mut State, out: &mut Oops) {
    at.trace = false;
    at.traced = !out.calls.is_empty();
}

/// The functions that a line names, with their sizes.
pub(crate) fn functions(line: &str) -> impl Iterator<Item = (Named, u64)> {
    // each name stands right before its `+0x`
    let mut from = 0;
    std::iter::from_fn(move || {
        loop {
            let at = from + line.get(from..)?.find("+0x")?;
            let start = line.get(from..at)?.rfind([' ', '(', ':']).map_or(from, |n| from + n + 1);
            let end = line.get(at + 3..)?.find("+0x").map_or(line.len(), |n| at + 3 + n);
            let found = line.get(start..end).and_then(sized);
            from = at + 3;
            if let Some((named, Some(size))) = found {
                return Some((named, size));
            }
        }
    })
}

/// A function with its size, where that stands behind its offset: `name+0x3d4/0x6f0 [module]`.
pub(crate) fn sized(text: &str) -> Option<(Named, Option<u64>)> {
    let named = symbol(text)?;
    let size =
        text.split_once("+0x").and_then(|(_, rest)| rest.split_once('/')).and_then(|(offset, size)| {
            let is_offset = offset.bytes().all(|b| b.is_ascii_hexdigit());
            hex(size).filter(|_| is_offset)
        });
    Some((named, size))
}

/// `name+0x3d4/0x6f0 [module]`, after an address in brackets or not.
pub(crate) fn symbol(text: &str) -> Option<Named> {
    let text = text.trim();
    let text = match text.rsplit_once(">] ") {
        Some((_, rest)) => rest,
        None => text,
    };
    let (name, rest) = text.split_once("+0x")?;
    let name = name.rsplit([' ', ']', ':', '(']).next()?;
    let good = |c: char| c.is_ascii_alphanumeric() || "_.$".contains(c);
    if name.is_empty() || !name.chars().all(good) {
        return None;
    }
    let offset = hex(rest)?;
    // the module stands right behind the size: `+0x3d4/0x6f0 [virtio_ring]`, and then maybe `()` or more
    let behind = rest
        .split_once('/')
        .map_or("", |(_, r)| r.trim_start_matches(|c: char| c.is_ascii_hexdigit() || c == 'x'));
    let module = behind
        .trim_start()
        .strip_prefix('[')
        .and_then(|m| m.split([']', ' ', '(']).next())
        .filter(|m| !m.is_empty())
        .map(str::to_owned);
    Some((name.to_owned(), offset, module))
}

/// The registers of a line, those that are not told yet.
fn registers(line: &str, out: &mut Oops) {
    let text = line.trim_start();
    for (name, value) in arch::oops_forms().flat_map(|form| form.registers(text)) {
        if !out.registers.iter().any(|(known, _)| *known == name) {
            out.registers.push((name, value));
        }
    }
}

/// True for the line of a report that has the instruction.
#[must_use]
pub fn is_place(line: &str) -> bool {
    arch::oops_forms().any(|form| form.place(line.trim_start()).is_some())
}

/// The place that the first line of a report names.
fn said(text: &str) -> Said {
    let mut out = Said::default();
    if let Some(at) = text.strip_prefix("kernel BUG at ") {
        (out.file, out.line) = file_line(at.trim_end_matches('!'));
    } else if let Some(rest) = text.strip_prefix("WARNING: ") {
        let (before, behind) = rest
            .strip_prefix("at ")
            .map_or_else(|| rest.split_once(" at ").unwrap_or((rest, "")), |behind| ("", behind));
        let file = behind.split_whitespace().next().unwrap_or_default();
        // `FILE:LINE at FUNCTION, CPU#0: …` since 6.19, `CPU: 0 PID: 1 at FILE:LINE FUNCTION` before
        (out.file, out.line) =
            file_line(if before.starts_with("CPU: ") || before.is_empty() { file } else { before });
        out.function = symbol(behind.split(',').next().unwrap_or(behind));
    } else if text.starts_with("UBSAN: ") || text.contains("invalid context at ") {
        let at = text
            .split_once("invalid context at ")
            .or_else(|| text.rsplit_once(" in "))
            .map_or("", |(_, at)| at);
        // `FILE:LINE:COLUMN`
        let at = if at.matches(':').count() == 2 { at.rsplit_once(':').map_or(at, |(at, _)| at) } else { at };
        (out.file, out.line) = file_line(at);
    } else if let Some((_, at)) = text.split_once("corrupted in: ") {
        out.function = symbol(at);
    } else if text.starts_with("BUG: K") {
        out.function = text.split_once(" in ").and_then(|(_, at)| symbol(at));
    } else if let Some(at) = text.strip_prefix("CFI failure at ") {
        out.function = symbol(at.split(" (").next().unwrap_or(at));
    }
    out
}

/// `drivers/virtio/virtio_ring.c:550`
fn file_line(text: &str) -> (Option<String>, Option<u32>) {
    match text.trim().rsplit_once(':').and_then(|(file, line)| Some((file, line.parse().ok()?))) {
        Some((file, line)) if !file.is_empty() => (Some(file.to_owned()), Some(line)),
        _ => (None, None),
    }
}
