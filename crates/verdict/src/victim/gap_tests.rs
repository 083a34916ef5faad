//! Frames of a victim where modules are lost: from where on others can be left out, and what is still named.

use super::*;
use arch::Regs;
use base::VirtAddr;
use kernel::OpenOptions;
use kernel::stack::backtrace::Start;
use testkit::kernel::Kernel;
use unwind::{How, StopReason, Unwound};

/// Where modules lie.
const AT: u64 = 0xffff_ffff_c000_0000;

/// A kernel with the modules `first` and `second`, a page of code each; their `struct module`s.
fn made() -> (Kernel, [u64; 2]) {
    let mut k = Kernel::new();
    k.list_head();
    k.structure("module_memory", 24, &[("base", 0, "*void"), ("size", 16, "u32")]);
    let module = [
        ("state", 0, "u32"),
        ("list", 8, "list_head"),
        ("name", 24, "char[56]"),
        ("mem", 96, "module_memory[7]"),
    ];
    k.structure("module", 4096, &module);
    k.function("schedule", 0x40);
    k.function("load_module", 0x80);
    let head = k.variable("modules", 16);
    let mut all = [0; 2];
    for (n, name) in (0..).zip(["first", "second"]) {
        let at = k.memory(4096);
        k.set_text(at, "module", "name", name);
        let (base, bytes) = (AT + n * 0x1_0000, k.memory(4096));
        k.word(at + 96, base).half(at + 96 + 16, 4096).map(base, bytes);
        all[n as usize] = at;
    }
    k.link(head, &[all[1] + 8, all[0] + 8]);
    (k, all)
}

fn session(kernel: &Kernel) -> Session {
    let dump = dump::Dump::from_bytes(vec![kernel.elf()]).unwrap();
    let mut options = OpenOptions::default();
    options.no_search = true;
    Session::from_parts(dump, &options).unwrap()
}

/// The functions of frames with these program counters, as far as it is known who called whom.
fn named(s: &Session, frames: &[(u64, How)]) -> Vec<String> {
    let victim = victim(s, frames);
    victim.named(s, 0).map(|(_, name)| name.to_owned()).collect()
}

/// The first frame from which on others can be left out, and the names of frames with these program counters.
fn told(s: &Session, frames: &[(u64, How)]) -> (Option<usize>, Vec<String>) {
    let victim = victim(s, frames);
    (victim.gap(s), victim.names(s))
}

fn victim<'s>(s: &'s Session, frames: &[(u64, How)]) -> Victim<'s> {
    let frame = |(pc, how): &(u64, How)| Frame {
        pc: VirtAddr(*pc),
        is_call: true,
        slot: None,
        sp: VirtAddr(0),
        cfa: None,
        how: *how,
        regs: Regs::new(s.arch().reg_set()),
        saved: None,
        stack: None,
    };
    let unwound = Unwound { frames: frames.iter().map(frame).collect(), stopped: StopReason::EndOfStack };
    let bt =
        Backtrace { start: Start::Note, unwound, stacks: Vec::new(), user: None, doubt: None, remark: None };
    Victim { task: None, bt: Some(bt) }
}

#[test]
fn who_called_whom_is_known_up_to_a_guess_or_a_frame_without_a_name() {
    let (k, _) = made();
    let s = session(&k);
    let (schedule, load) = (s.symbol("schedule").unwrap().0 + 8, s.symbol("load_module").unwrap().0 + 8);
    let nameless = (AT + 0x10, How::Orc);
    let frames = [(load, How::Start), (schedule, How::Orc), (load, How::Scan), (schedule, How::Orc)];
    assert_eq!(named(&s, &frames), ["load_module", "schedule"]);
    assert_eq!(named(&s, &[(load, How::Start), nameless, (schedule, How::Orc)]), ["load_module"]);
    assert_eq!(named(&s, &[nameless, (load, How::Orc)]), [""; 0]);
}

#[test]
fn frames_behind_a_module_that_is_lost_have_no_names() {
    let (mut k, [first, _]) = made();
    let s = session(&k);
    let (schedule, load) = (s.symbol("schedule").unwrap().0 + 8, s.symbol("load_module").unwrap().0 + 8);
    let in_first = (AT + 0x10, How::Orc);
    let of = |how| [(load, How::Start), in_first, (schedule, how)];
    let whole = |name: &str| name.to_owned();
    // all modules are known: who called whom is known too, guess or not
    let names = vec![whole("load_module"), String::new(), whole("schedule")];
    assert_eq!(told(&s, &of(How::Orc)), (None, names.clone()));
    assert_eq!(told(&s, &of(How::Scan)), (None, names));
    k.exclude(first);
    let s = session(&k);
    assert!(s.modules_problem().is_some());
    // from the frame in the module that is lost on
    let names = vec![whole("load_module"), String::new(), String::new()];
    assert_eq!(told(&s, &of(How::Orc)), (Some(1), names));
    // from the first guess on, as frames of the module can be left out before it
    let guess = [(load, How::Start), (schedule, How::Scan), (load, How::Orc)];
    assert_eq!(told(&s, &guess), (Some(1), vec![whole("load_module"), String::new(), String::new()]));
    // what tables told is whole
    let sure = [(load, How::Start), (schedule, How::Orc)];
    assert_eq!(told(&s, &sure), (None, vec![whole("load_module"), whole("schedule")]));
}
