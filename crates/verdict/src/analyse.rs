//! From a dump to its verdict.

use crate::access;
use crate::bug;
use crate::code::Code;
use crate::condition;
use crate::context;
use crate::culprit::{self, Culprit, Scene};
use crate::event::{self, Class, Event};
use crate::known;
use crate::model::{How, Place, Statement, Verdict};
use crate::names::Namer;
use crate::{related, signature, waits};
use base::VirtAddr;
use kernel::{Session, taint};
use std::path::PathBuf;

/// How to analyse.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// A folder with more known issues.
    pub known: Option<PathBuf>,
}

/// Says what killed the machine.
#[must_use]
pub fn analyse(s: &Session, options: &Options) -> Verdict {
    let mut v = Verdict {
        class: Class::Unknown,
        headline: String::new(),
        place: None,
        condition: None,
        access: None,
        context: Vec::new(),
        module: Vec::new(),
        waits: Vec::new(),
        related: Vec::new(),
        known: Vec::new(),
        evidence: Vec::new(),
        signature: String::new(),
        undetermined: Vec::new(),
    };
    let event = from_log(s, &mut v);
    let scene = Scene::of(s, event.as_ref());
    if scene.task.is_none()
        && let Some(cpu) = kernel::panic::panic_cpu(s)
    {
        v.undetermined.push(format!("the task that panicked: what CPU {cpu} ran cannot be read"));
    }
    let found = culprit::find(s, event.as_ref(), &scene);
    v.class = classify(s, event.as_ref(), found.as_ref());
    if let Some(c) = &found
        && v.class == Class::WildJump
        && !s.is_text(c.pc)
    {
        wild_jump(s, c, &mut v);
    } else if let Some(c) = &found
        && v.class.has_instruction()
    {
        instruction(s, c, event.as_ref(), &mut v, &scene);
    }
    let from = found.as_ref().filter(|_| v.class.has_instruction()).and_then(|c| c.frame).unwrap_or(0);
    v.context = match v.class {
        Class::Alive => context::alive(s),
        _ => context::of(s, &scene, event.as_ref(), from),
    };
    modules(s, &scene, from, &mut v);
    if matches!(v.class, Class::ListCorruption | Class::Refcount | Class::Overflow) {
        callers(s, &scene, from, &mut v);
    }
    v.waits = waits::of(s, v.class);
    v.related.extend(memory_of(s, v.class));
    v.headline = headline(&v, event.as_ref());
    v.signature = sign(s, &scene, event.as_ref(), from, &v);
    known_issues(s, options, event.as_ref(), &mut v);
    v
}

/// The first fatal event of the log.
fn from_log(s: &Session, v: &mut Verdict) -> Option<Event> {
    match s.log() {
        Ok(log) => {
            let lines: Vec<&str> = log.records.iter().flat_map(|r| r.text.lines()).collect();
            if let Some(e) = &log.stopped {
                v.undetermined.push(format!("what a part of the log says: {e}"));
            }
            let event = event::find(&lines)?;
            let commands = ["log".to_owned()];
            v.evidence.push(Statement::new(How::Log, event.line.clone(), &commands));
            if let Some(panic) = event.panic.as_ref().filter(|p| **p != event.line) {
                v.evidence.push(Statement::new(How::Log, panic.clone(), &commands));
            }
            Some(event)
        }
        Err(e) => {
            v.undetermined.push(format!("what the log says: {e}"));
            None
        }
    }
}

fn classify(s: &Session, event: Option<&Event>, found: Option<&Culprit>) -> Class {
    if let Some(e) = event {
        // a fault of the processor's own fetch: the program counter is what faulted
        let fault = matches!(e.class, Class::NullPointer | Class::PageFault | Class::UserAddress);
        let nowhere = found.is_some_and(|c| !s.is_text(c.pc));
        return if fault && nowhere { Class::WildJump } else { e.class };
    }
    if let Some(class) = found.and_then(|c| culprit::class_by_frame(s, c, None)) {
        return class;
    }
    let panicked = kernel::panic::panic_cpu(s).is_some();
    match (s.log().is_ok(), panicked) {
        (_, true) => Class::Panic,
        (true, false) => Class::Alive,
        (false, false) => Class::Unknown,
    }
}

/// Place, condition or access.
fn instruction(s: &Session, c: &Culprit, event: Option<&Event>, v: &mut Verdict, scene: &Scene<'_>) {
    let mut place = culprit::place(s, c.pc);
    let whence = match (c.how, c.saved_at) {
        (How::Log, _) => "as the oops in the log has them".to_owned(),
        (_, Some(at)) => format!("saved at {at:016x} by {}", c.entry.as_deref().unwrap_or("entry code")),
        _ => String::new(),
    };
    let pid = scene.task.map_or_else(|| "-a".to_owned(), |t| t.pid.to_string());
    v.evidence.push(Statement::new(c.how, format!("registers at {place}: {whence}"), &[format!("bt {pid}")]));
    let entry = bug::entry_at(s, c.pc);
    if let Some(b) = &entry {
        // the bug table is the authority: debug information may name a header's inline function
        if let (Some(file), Some(line)) = (&b.file, b.line) {
            place.file = Some(file.clone());
            place.line = Some(line);
            let what = if b.warning { "WARN" } else { "BUG" };
            v.evidence.push(Statement::new(
                How::Table,
                format!("bug table: {what} at {:016x} is {file}:{line}", b.at),
                &[format!("sym {:x}", b.at)],
            ));
        }
    }
    if place.file.is_none()
        && let Some((file, line)) = event.and_then(|e| file_line(&e.line))
    {
        place.file = Some(file);
        place.line = Some(line);
    }
    v.place = Some(place);
    let Some(code) = Code::around(s, c.pc) else {
        v.undetermined
            .push(format!("the code at {:016x}: it is not in the dump, or no symbol covers it", c.pc));
        return;
    };
    let cfa = c.frame.and_then(|n| scene.bt.as_ref()?.unwound.frames.get(n)?.cfa).map(|at| at.0);
    let frames = scene.bt.as_ref().map(|bt| bt.unwound.frames.as_slice()).unwrap_or_default();
    let callers = c.frame.and_then(|n| frames.get(n + 1..)).unwrap_or_default();
    let namer = Namer::new(s, &code, &c.regs, cfa).with_callers(callers);
    let is_trap = entry.is_some()
        || matches!(v.class, Class::Bug | Class::Warning | Class::ListCorruption | Class::Refcount);
    if is_trap {
        let word = if entry.as_ref().is_some_and(|b| b.warning) { "WARN_ON" } else { "BUG_ON" };
        match condition::of_trap(&namer, c.pc.0, word) {
            Ok(found) => {
                for object in &found.objects {
                    let tag = s.types().name(object.ty);
                    let at = object.at;
                    v.related.push(Statement::new(
                        How::Memory,
                        format!("{tag} at {at:016x}:"),
                        &[format!("{tag} {at:x}")],
                    ));
                    v.related.extend(related::of(s, object));
                }
                v.evidence.push(Statement::new(
                    How::Decoded,
                    found.code.join("; "),
                    &[format!("dis -x {}", code.symbol)],
                ));
                v.condition = Some(found);
            }
            Err(why) => v.undetermined.push(format!("the condition: {why}")),
        }
        return;
    }
    let address = event.and_then(|e| e.oops.address);
    let error_code =
        event.and_then(|e| e.oops.error_code).or_else(|| c.entry.as_ref().and_then(|_| c.regs.entry_code()));
    match access::of_fault(&namer, c.pc.0, v.class, address, error_code) {
        Ok(found) => v.access = Some(found),
        Err(why) => v.undetermined.push(format!("the access: {why}")),
    }
}

/// Who jumped to where no code is: the call before the return address on top of the stack.
fn wild_jump(s: &Session, c: &Culprit, v: &mut Verdict) {
    let to = format!("{:016x}", c.pc);
    let target = format!("the program counter is {}", access::judge(s, c.pc.0));
    v.evidence.push(Statement::new(c.how, target, &["bt".into()]));
    let call = c
        .regs
        .sp()
        .and_then(|sp| s.mem().ptr(VirtAddr(sp)).ok())
        .filter(|ret| s.is_text(*ret))
        .and_then(|ret| Some((ret, Code::around(s, ret.sub(1))?)));
    let Some((ret, code)) = call else {
        v.undetermined.push(format!("who jumped to {to}: no return address on top of the stack"));
        return;
    };
    let Some((ip, operand)) = code.function.call_before(ret.0) else {
        v.undetermined.push(format!("who jumped to {to}: no call before the return address {ret:x}"));
        return;
    };
    v.place = Some(culprit::place(s, VirtAddr(ip)));
    let callee_saved = {
        let set = c.regs.reg_set();
        let mut kept = arch::Regs::new(set);
        for &n in set.roles.preserved {
            kept.put(n, c.regs.get(n));
        }
        // nothing ran in the callee: all registers are as at the call
        for (n, _, value) in c.regs.iter() {
            kept.set(n, value);
        }
        kept
    };
    let mut namer = Namer::new(s, &code, &callee_saved, None);
    namer.at = ip;
    let line = format!("{} {}", code.offset(ip), code.function.text(ip).unwrap_or_default());
    let operand = operand.or_else(|| thunk(s, &code, ip));
    let found = operand.and_then(|o| access::call_target(&namer, ip, &o));
    let (text, how, operands) = match found {
        Some((name, how, rows)) => {
            (format!("call of {name}, which is {}", access::judge(s, c.pc.0)), how, rows)
        }
        None => (format!("call of {to}"), How::Decoded, Vec::new()),
    };
    v.access = Some(crate::model::Access { text, how, operands, code: vec![line] });
}

/// The register that a retpoline's thunk jumps to.
fn thunk(s: &Session, code: &Code, call: u64) -> Option<arch::slice::Operand> {
    let target = code.function.target(call)?;
    let table = &s.kernel_symbols().table;
    let register = table.exactly_at(VirtAddr(target)).find_map(|symbol| {
        ["__x86_indirect_thunk_", "__x86_indirect_call_thunk_"]
            .iter()
            .find_map(|p| symbol.name.strip_prefix(p))
            .filter(|r| *r != "array")
    })?;
    let number = s.arch().reg_number(register)?;
    Some(arch::slice::Operand::Reg { number, size: 8 })
}

/// `kernel BUG at drivers/virtio/virtio_ring.c:550!`
fn file_line(text: &str) -> Option<(String, u32)> {
    let (file, line) = text.strip_prefix("kernel BUG at ")?.trim_end_matches('!').rsplit_once(':')?;
    Some((file.to_owned(), line.parse().ok()?))
}

/// Of a check in a library: who called it.
fn callers(s: &Session, scene: &Scene<'_>, from: usize, v: &mut Verdict) {
    let own = v.place.as_ref().map(|p| crate::code::base_name(&p.function).to_owned()).unwrap_or_default();
    let frames = scene.bt.as_ref().map(|bt| bt.unwound.frames.as_slice()).unwrap_or_default();
    let outer = frames.iter().skip(from).filter(|f| !f.how.is_guess());
    let caller = outer
        .filter_map(|f| s.locate(f.lookup()).map(|l| (f.lookup(), l)))
        .find(|(_, l)| crate::code::base_name(l.symbol.name) != own);
    if let (Some((at, _)), true) = (caller, from > 0) {
        let place = culprit::place(s, at);
        let mut text = format!("called by {place}");
        if let (Some(file), Some(line)) = (&place.file, place.line) {
            text = format!("{text}, {file}:{line}");
        }
        v.module.push(Statement::new(How::Memory, text, &["bt".into()]));
    }
}

/// The module to blame, its standing, and who called into it.
fn modules(s: &Session, scene: &Scene<'_>, from: usize, v: &mut Verdict) {
    let Some(place) = v.place.as_ref() else { return };
    let Some(name) = place.module.clone() else { return };
    let Some(m) = s.modules().iter().find(|m| m.name == name) else { return };
    let words: Vec<&str> = taint::FLAGS
        .iter()
        .filter(|(bit, ..)| m.taints >> bit & 1 == 1)
        .map(|(_, letter, words)| match letter {
            'O' => "out of tree",
            'E' => "unsigned",
            'P' => "proprietary",
            'F' => "loaded by force",
            'C' => "staging",
            'K' => "live patch",
            _ => *words,
        })
        .collect();
    let standing = match words.as_slice() {
        [] => "part of this kernel (no taint)".to_owned(),
        words => {
            let letters: Vec<String> = taint::letters(m.taints).chars().map(String::from).collect();
            format!("{} (taint {})", words.join(", "), letters.join(" "))
        }
    };
    let mut text = format!("{name}: {standing}");
    let frames = scene.bt.as_ref().map(|bt| bt.unwound.frames.as_slice()).unwrap_or_default();
    let caller = frames
        .iter()
        .skip(from)
        .filter(|f| !f.how.is_guess())
        .filter_map(|f| s.locate(f.lookup()))
        .find(|l| l.symbol.module != Some(name.as_str()));
    if let Some(l) = caller
        && from > 0
    {
        let who = l.symbol.module.unwrap_or("the kernel");
        text = format!("{text}; called from {who} ({})", l.symbol.name);
    }
    v.module.push(Statement::new(How::Memory, text, &["mod -t".into(), "mod".into()]));
}

/// Of a machine without memory: who had it.
fn memory_of(s: &Session, class: Class) -> Vec<Statement> {
    if class != Class::OutOfMemory {
        return Vec::new();
    }
    let page = 4096_u64;
    let mut all: Vec<(u64, &kernel::task::Task)> = s
        .tasks()
        .all
        .iter()
        .filter(|t| t.is_leader() && !t.mm.is_null())
        .filter_map(|t| Some((kernel::mm::size(s, t).ok()?.resident.saturating_mul(page), t)))
        .collect();
    all.sort_by_key(|(rss, t)| (std::cmp::Reverse(*rss), t.pid));
    let total = kernel::mm::total_pages(s).unwrap_or(0).saturating_mul(page);
    let mut out: Vec<Statement> = Vec::new();
    if total > 0 {
        let text = format!("memory: {} MiB", total >> 20);
        out.push(Statement::new(How::Memory, text, &["kmem -i".into()]));
    }
    out.extend(all.iter().take(5).map(|(rss, t)| {
        Statement::new(
            How::Memory,
            format!("{}[{}]: {} MiB resident", t.comm, t.pid, rss >> 20),
            &[format!("ps {}", t.pid)],
        )
    }));
    out
}

fn headline(v: &Verdict, event: Option<&Event>) -> String {
    let words = v.class.words();
    if let Some(place) = &v.place {
        let preposition = if v.class == Class::WildJump { "from" } else { "in" };
        return format!("{words} {preposition} {place}");
    }
    let line = event.map(|e| e.line.as_str()).unwrap_or_default();
    let line = line.strip_prefix("Kernel panic - not syncing: ").unwrap_or(line);
    match v.class {
        Class::Alive | Class::Unknown => words.to_owned(),
        _ if line.is_empty() => words.to_owned(),
        _ => format!("{words}: {line}"),
    }
}

/// Functions of the machinery that dying goes through, which tell one death from another no more.
const MACHINERY: &[&str] = &[
    "machine_kexec",
    "__crash_kexec",
    "crash_kexec",
    "panic",
    "vpanic",
    "oops_end",
    "die",
    "die_addr",
    "__die",
    "do_trap",
    "do_error_trap",
    "exc_invalid_op",
    "exc_page_fault",
    "no_context",
    "page_fault_oops",
    "dump_stack",
    "dump_stack_lvl",
    "show_stack",
    "delay_tsc",
    "__delay",
    "__const_udelay",
    "mdelay",
    "nmi_panic",
    "emergency_restart",
];

fn sign(s: &Session, scene: &Scene<'_>, event: Option<&Event>, from: usize, v: &Verdict) -> String {
    let place: Option<&Place> = v.place.as_ref();
    let mut names: Vec<String> = place.map(|p| p.function.clone()).into_iter().collect();
    let outer = context::frame_names(s, scene, from);
    if from > 0 || names.is_empty() {
        names.extend(outer);
    } else if let Some(e) = event {
        names.extend(e.oops.trace.iter().cloned());
    }
    if matches!(v.class, Class::Alive | Class::Unknown) {
        names.clear();
    }
    // what panic() called while the dump was taken says nothing
    let panic = names.iter().rposition(|n| matches!(n.as_str(), "panic" | "vpanic" | "nmi_panic"));
    let told =
        names.iter().skip(panic.map_or(0, |n| n + 1)).map(String::as_str).filter(|n| !MACHINERY.contains(n));
    signature::of(v.class, told)
}

fn known_issues(s: &Session, options: &Options, event: Option<&Event>, v: &mut Verdict) {
    match known::load(options.known.as_deref()) {
        Ok(entries) => {
            let release = s
                .opened()
                .release()
                .or_else(|| kernel::system::utsname(s).ok().map(|u| u.release))
                .unwrap_or_default();
            let message = event.map_or("", |e| e.line.as_str());
            v.known = known::matching(&entries, v, message, &release);
        }
        Err(e) => v.undetermined.push(format!("known issues: {e}")),
    }
}
