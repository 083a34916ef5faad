use super::*;
use crate::testing::{qemu_note, session};
use testkit::kernel::{Kernel, VMALLOC};

const CPUS: [u32; 3] = [0, 1, 4];
const NOBODY: [Option<i32>; 3] = [None; 3];

fn of(claims: &[Option<u32>], pids: &[Option<i32>], told: &[Option<i32>]) -> Vec<Option<usize>> {
    let found = assign(&CPUS, pids, claims, told);
    CPUS.iter().map(|cpu| found.iter().find(|(c, _)| c == cpu).map(|(_, index)| *index)).collect()
}

#[test]
fn notes_go_to_the_cpu_that_they_are_of() {
    for (claims, want, why) in [
        (&[None, None, None][..], [Some(0), Some(1), Some(2)], "nothing says otherwise"),
        (&[Some(1), Some(0), Some(4)], [Some(1), Some(0), Some(2)], "two are swapped"),
        (
            &[Some(1), None, None],
            [Some(1), Some(0), Some(2)],
            "one says that it is elsewhere, the rest follows",
        ),
        (&[Some(0), Some(0), None], [Some(0), None, Some(2)], "the same twice: CPU 1 has none"),
        (&[Some(1), Some(1), None], [None, Some(1), Some(2)], "the same twice, the second in its place"),
        (&[None, None], [Some(0), Some(1), None], "fewer than CPUs: by order"),
        (&[Some(4), None], [Some(1), None, Some(0)], "fewer than CPUs: what is told, then order"),
        (&[], [None, None, None], "none"),
    ] {
        assert_eq!(of(claims, &NOBODY, &[]), want, "{why}");
    }
    // one CPU has no note, and which is told by the task that each note names
    let pids = [Some(0), Some(7), Some(9)];
    assert_eq!(of(&[None, None], &pids, &[Some(7), Some(9)]), [None, Some(0), Some(1)]);
    // a task that no CPU ran says nothing
    assert_eq!(of(&[None, None, None], &pids, &[Some(3), None, None]), [Some(0), Some(1), Some(2)]);
    // more notes than CPUs
    assert_eq!(of(&[None; 5], &NOBODY, &[]), [Some(0), Some(1), Some(2)]);
}

fn claim(pc: u64, ax: u64, source: Source, doubt: Option<Doubt>) -> Claim {
    let set = arch::by_name("x86_64").unwrap().reg_set();
    let regs = Regs::new(set).with(set.pc, pc).with(set.sp, 0x1000).with(set.number("rax").unwrap(), ax);
    Claim { regs, source, doubt, unchecked: None }
}

#[test]
fn a_kernels_note_is_held_against_its_copy_in_memory() {
    let note = |pc, ax| Some(claim(pc, ax, Source::Note, None));
    let saved = |doubt| Some(claim(5, 6, Source::CrashNotes, doubt));
    // a copy that is the same confirms also what looks wrong: a jump to 5
    let wild = Some(Claim { doubt: Some(Doubt::Pc(VirtAddr(5))), ..note(5, 6).unwrap() });
    let found = rank(wild, None, saved(Some(Doubt::Pc(VirtAddr(5)))), None, false);
    assert_eq!((found.doubt, found.sound().count()), (None, 1));
    // any register that differs: memory's
    for (pc, ax) in [(4, 6), (5, 7)] {
        let found = rank(note(pc, ax), None, saved(None), None, false);
        assert_eq!(found.doubt, Some(Doubt::Differs));
        assert_eq!(found.sound().next().unwrap().source, Source::CrashNotes);
    }
    // a copy that is no good does not speak against the note
    let found = rank(note(4, 6), None, saved(Some(Doubt::Empty)), None, false);
    assert_eq!((found.doubt, found.sound().next().unwrap().source), (None, Source::Note));
    // a hypervisor's note is of a later time
    let found = rank(note(4, 6), None, saved(None), None, true);
    assert_eq!((found.doubt, found.sound().next().unwrap().source), (None, Source::Note));
    // of another kernel's: the copy serves, and the doubt is told
    let other = Some(claim(9, 9, Source::Note, Some(Doubt::OtherKernel)));
    let found = rank(other, None, saved(None), None, true);
    assert_eq!(
        (found.doubt, found.sound().next().unwrap().source),
        (Some(Doubt::OtherKernel), Source::CrashNotes)
    );
    // no note at all
    let found = rank(None, None, saved(None), Some(Doubt::Of(1)), true);
    assert_eq!((found.doubt, found.sound().next().unwrap().source), (Some(Doubt::Of(1)), Source::CrashNotes));
}

#[test]
fn two_notes_of_a_cpu_check_each_other() {
    let two = |first: Claim, second: (u64, u64)| {
        rank(Some(first), Some(claim(second.0, second.1, Source::SecondNote, None)), None, None, true)
    };
    let good = claim(5, 6, Source::Note, None);
    let found = two(good, (5, 6));
    assert_eq!((found.doubt, found.claims.len(), found.claims[0].regs), (None, 1, good.regs));
    // which of two values is right nothing tells
    let found = two(good, (5, 7));
    assert_eq!((found.claims[0].regs.by_name("rax"), found.claims[0].regs.pc()), (None, Some(5)));
    let found = two(good, (4, 6));
    assert_eq!((found.doubt, found.claims.len()), (Some(Doubt::Differs), 2));
    let found = two(claim(0, 0, Source::Note, Some(Doubt::Empty)), (5, 6));
    assert_eq!((found.doubt, found.sound().next().unwrap().source), (Some(Doubt::Empty), Source::SecondNote));
}

const TASK: u64 = 512;
/// Where testkit's tables begin, and how many it makes of itself: what is mapped later has those behind.
const TABLES: u64 = testkit::kernel::DIRECT_MAP + 0x300_0000 + 5 * 4096;

/// `elf_prstatus` with these registers, of the kernel.
fn note(pc: u64, sp: u64) -> Vec<u8> {
    let mut note = vec![0; 336];
    for (word, value) in [(16, pc), (17, 0x10), (19, sp), (20, 0x18)] {
        note[112 + word * 8..][..8].copy_from_slice(&value.to_le_bytes());
    }
    note
}

/// A kernel of one CPU that runs its first task, with IRQ stack and exception stacks.
fn kernel() -> Kernel {
    let mut k = Kernel::new();
    k.list_head();
    k.structure(
        "task_struct",
        TASK,
        &[
            ("__state", 24, "u32"),
            ("stack", 32, "*char"),
            ("tasks", 48, "list_head"),
            ("thread_node", 64, "list_head"),
            ("pid", 80, "s32"),
            ("tgid", 84, "s32"),
            ("on_cpu", 88, "s32"),
            ("cpu", 92, "u32"),
            ("comm", 104, "char[16]"),
            ("mm", 120, "*char"),
            ("signal", 128, "*signal_struct"),
        ],
    );
    k.structure("signal_struct", 64, &[("thread_head", 0, "list_head")]);
    k.union("thread_union", 16384, &[("stack", 0, "u64[2048]")]);
    k.structure(
        "cea_exception_stacks",
        0x2000,
        &[("DF_stack", 0, "u8[4096]"), ("NMI_stack", 0x1000, "u8[4096]")],
    );
    k.structure("rq", 64, &[("curr", 8, "*task_struct"), ("idle", 16, "*task_struct")]);
    // a page of its own
    let task = k.variable("init_task", 4096);
    let signal = k.variable("init_signals", 64);
    let stack = k.memory(16384);
    k.word(stack, 0x57ac_6e9d).word(task + 32, stack).half(task + 88, 1);
    k.put(task + 104, b"swapper/0").word(task + 128, signal);
    k.link(task + 48, &[]).link(signal, &[task + 64]);
    let rq = k.per_cpu("runqueues", 64);
    let rq = k.on_cpu(rq, 0);
    k.word(rq + 8, task).word(rq + 16, task);
    let (irq, exceptions) = (k.memory(16384), k.memory(0x2000));
    let at = k.per_cpu("hardirq_stack_ptr", 8);
    k.word(k.on_cpu(at, 0), irq + 16384);
    // a page of its own
    k.per_cpu("padding", 8192);
    let at = k.per_cpu("cea_exception_stacks", 8);
    k.word(k.on_cpu(at, 0), exceptions);
    k.function("do_it", 0x40);
    k
}

/// The start of the first task's stack.
fn stack(k: &Kernel) -> u64 {
    session(k).mem().ptr(VirtAddr(k.at("init_task") + 32)).unwrap().0
}

/// What is found of CPU 0's registers: doubt, what cannot be checked, the remark.
fn found(k: &Kernel, pc: u64, sp: u64) -> (Option<Doubt>, Option<Unchecked>, Option<String>) {
    let mut k = k.clone();
    k.note("CORE", 1, &note(pc, sp));
    let s = session(&k);
    let registers = s.cpu_registers(0);
    assert_eq!(registers.claims.len(), 1);
    (registers.doubt, registers.claims[0].unchecked, registers.remark(0))
}

#[test]
fn a_note_fits_or_does_not_or_cannot_be_told() {
    let k = kernel();
    let (pc, sp) = (k.at("do_it") + 4, stack(&k) + 8000);
    assert_eq!(found(&k, pc, sp), (None, None, None));
    // an address that nothing maps, and one whose page table is not in the dump
    let (wild, mut lost) = (VMALLOC + 0x5000, kernel());
    let page = lost.memory(4096);
    lost.map(wild + 0x1000, page).exclude(TABLES + 2 * 4096);
    let (doubt, unchecked, remark) = found(&k, wild, sp);
    assert_eq!((doubt, unchecked), (Some(Doubt::Pc(VirtAddr(wild))), None));
    assert!(remark.unwrap().contains("are not used: program counter 0xffffc90000005000 is in no code"));
    let (doubt, unchecked, remark) = found(&lost, wild, sp);
    assert_eq!((doubt, unchecked), (None, Some(Unchecked::Pc(VirtAddr(wild)))));
    assert!(remark.unwrap().contains("are used, but cannot be checked: "));
    // where all stacks of the CPU are known, a stack pointer elsewhere is wrong, whatever is mapped there
    for k in [&k, &lost] {
        assert_eq!(found(k, pc, wild).0, Some(Doubt::Sp(VirtAddr(wild))));
    }
    let mut k = kernel();
    let elsewhere = k.memory(4096) + 0x800;
    assert_eq!(found(&k, pc, elsewhere).0, Some(Doubt::Sp(VirtAddr(elsewhere))));
    for lost in [k.on_cpu(k.at("cea_exception_stacks"), 0), k.at("init_task")] {
        let mut k = k.clone();
        k.exclude(lost);
        let (doubt, unchecked, _) = found(&k, pc, elsewhere);
        assert_eq!((doubt, unchecked), (None, Some(Unchecked::Sp(VirtAddr(elsewhere)))));
    }
}

#[test]
fn what_ran_at_the_start_is_code_as_long_as_it_can_run() {
    let mut k = kernel();
    let sp = stack(&k) + 8000;
    let start = k.at("do_it") + 0x1000;
    k.symbol("_sinittext", b'T', start).symbol("_einittext", b'T', start + 0x1000);
    assert_eq!(found(&k, start + 4, sp).0, None);
    k.forbid(start);
    assert_eq!(found(&k, start + 4, sp).0, Some(Doubt::Pc(VirtAddr(start + 4))));
    assert_eq!(found(&k, k.at("do_it"), sp).0, None, "other text is text whatever its page is");
}

#[test]
fn notes_in_each_other_s_places_are_told() {
    let mut k = kernel();
    k.cpus(2);
    let other = k.memory(16384);
    let at = k.at("hardirq_stack_ptr");
    k.word(k.on_cpu(at, 1), other + 16384);
    let (pc, own) = (k.at("do_it"), stack(&k) + 8000);
    k.note("CORE", 1, &note(pc, other + 800)).note("CORE", 1, &note(pc, own));
    let s = session(&k);
    let (first, second) = (s.cpu_registers(0), s.cpu_registers(1));
    assert_eq!((first.stood_for, second.stood_for), (Some(1), Some(0)));
    assert_eq!(s.cpu_regs(0).and_then(|r| r.sp()), Some(own));
    let want = "the dump's note of CPU 0 stands in the place of CPU 1's: it is used for CPU 0";
    assert_eq!(first.remark(0).as_deref(), Some(want));
}

/// A crash kernel has one CPU, and its note is any of the machine's; the others have stacks at the same addresses.
#[test]
fn a_note_goes_to_the_kernel_that_it_fits() {
    let mut k = kernel();
    let (pc, own, nmi) = (k.at("do_it") + 4, stack(&k) + 8000, 0x1800);
    let nmi = session(&k).mem().ptr(VirtAddr(k.on_cpu(k.at("cea_exception_stacks"), 0))).unwrap().0 + nmi;
    // tables of another kernel, which has other memory at all addresses of text
    let (root, below) = (k.memory(4096), k.memory(4096));
    let phys = |at: u64| at - testkit::kernel::DIRECT_MAP;
    k.word(root + 511 * 8, phys(below) | 0x63);
    for entry in [510, 511] {
        k.word(below + entry * 8, 0xc000_0000 | 0xe3);
    }
    let other = phys(root);
    let notes = [
        ("CORE", 1, note(VMALLOC + 0x5000, nmi), note(pc, own)),
        ("QEMU", 0, qemu_note(pc, nmi, other), qemu_note(pc, own, 0)),
    ];
    for (name, kind, foreign, ours) in notes {
        for swapped in [false, true] {
            let mut k = k.clone();
            let both = if swapped { [&ours, &foreign] } else { [&foreign, &ours] };
            for one in both {
                k.note(name, kind, one);
            }
            let s = session(&k);
            assert_eq!(s.cpu_regs(0).and_then(|r| r.sp()), Some(own), "{name} {swapped}");
            assert_eq!(s.cpu_registers(0).remark(0), None, "{name} {swapped}");
        }
    }
    let found = session(k.note("QEMU", 0, &qemu_note(pc, own, other)));
    assert_eq!(found.cpu_registers(0).doubt, Some(Doubt::OtherKernel));
}

/// A call of `to` at this offset of `from`: the return address.
fn call(k: &mut Kernel, from: u64, offset: u64, to: u64) -> u64 {
    let back = from + offset + 5;
    let far = u32::try_from(to.wrapping_sub(back) & u64::from(u32::MAX)).unwrap();
    k.put(from + offset, &[0xe8]).put(from + offset + 1, &far.to_le_bytes());
    back
}

/// A kernel whose first task panicked in `outer`, and is in `do_it` now: where the stack pointers of `do_it`, `panic`,
/// `middle` and `outer` are, and return addresses in the last three.
fn panicked() -> (Kernel, [u64; 4], [u64; 3]) {
    let mut k = kernel();
    let names = [("panic", 0x100), ("middle", 0x200), ("outer", 0x300), ("after", 0x400)];
    let [panic, middle, outer, _] = names.map(|(name, at)| k.function(name, at));
    let inner = k.at("do_it");
    k.put(panic, &[0x48, 0x83, 0xec, 0x18]);
    let back =
        [call(&mut k, panic, 4, inner), call(&mut k, middle, 0, panic), call(&mut k, outer, 0, middle)];
    let top = stack(&k) + 16384 - 176;
    let sp = [top - 48, top - 40, top - 8, top];
    for (slot, pc) in [(top - 48, back[0]), (top - 16, back[1]), (top - 8, back[2])] {
        k.word(slot, pc);
    }
    let at = k.variable("panic_cpu", 4);
    k.half(at, 0);
    (k, sp, back)
}

/// The frames of the first task, by function, and what is said of CPU 0.
fn frames(k: &Kernel) -> (Vec<String>, Option<String>) {
    let s = session(k);
    let bt = s.backtrace(s.tasks().on_cpu(0).unwrap());
    assert_eq!(bt.remark, s.cpu_registers(0).remark(0), "all commands say the same");
    let name = |f: &unwind::Frame| s.locate(f.lookup()).unwrap().symbol.name.to_owned();
    (bt.unwound.frames.iter().map(name).collect(), bt.remark)
}

#[test]
fn registers_that_leave_a_panic_out_are_told_and_not_used() {
    let (k, sp, back) = panicked();
    let inner = k.at("do_it") + 4;
    let with = |notes: &[(&str, u32, Vec<u8>)]| {
        let mut k = k.clone();
        for (name, kind, note) in notes {
            k.note(name, *kind, note);
        }
        frames(&k)
    };
    let whole = ["do_it", "panic", "middle", "outer"];
    assert_eq!(with(&[("CORE", 1, note(inner, sp[0]))]), (whole.map(str::to_owned).to_vec(), None));
    assert_eq!(
        with(&[("CORE", 1, note(back[0], sp[1]))]),
        (whole[1..].iter().map(|n| (*n).to_owned()).collect(), None)
    );
    for (pc, sp) in [(inner, sp[2]), (back[1], sp[2]), (back[2], sp[3])] {
        let (qemu, core) = (("QEMU", 0, qemu_note(pc, sp, 0)), ("CORE", 1, note(pc, sp)));
        let (frames, remark) = with(&[core.clone(), qemu]);
        assert_eq!(frames, whole[1..], "{pc:#x} {sp:#x}");
        assert!(remark.unwrap().contains("their frames leave out the call in panic at 0x"));
        // the kernel's own note has where the crash began, which can be in a frame further out
        let (frames, remark) = with(&[core]);
        assert_eq!(
            (frames, remark.is_some()),
            (whole[1..].iter().map(|n| (*n).to_owned()).collect(), pc != back[1])
        );
    }
}

#[test]
fn of_two_copies_the_one_with_the_whole_stack_is_used() {
    let (k, sp, back) = panicked();
    let good = (k.at("do_it") + 4, sp[0]);
    let whole = ["do_it", "panic", "middle", "outer"];
    for bad in [(good.0, sp[2]), (back[2], sp[3])] {
        for (first, second, used) in [(bad, good, "the second is used"), (good, bad, "the first is used")] {
            let mut k = k.clone();
            k.note("CORE", 1, &note(second.0, second.1)).note("QEMU", 0, &qemu_note(first.0, first.1, 0));
            let (frames, remark) = frames(&k);
            assert_eq!(frames, whole, "{bad:x?}");
            assert!(remark.unwrap().contains(used), "{bad:x?}");
        }
    }
}

#[test]
fn the_call_that_frames_without_registers_begin_at_is_a_guess() {
    let mut k = kernel();
    let [middle, outer] = [("middle", 0x200), ("outer", 0x300)].map(|(name, size)| k.function(name, size));
    let inner = k.at("do_it");
    let back = [call(&mut k, middle, 0, inner), call(&mut k, outer, 0, middle)];
    let top = stack(&k) + 16384 - 176;
    k.word(top - 16, back[0]).word(top - 8, back[1]);
    let guesses = |k: &Kernel| {
        let s = session(k);
        let bt = s.backtrace(s.tasks().on_cpu(0).unwrap());
        assert_eq!(bt.start, crate::stack::backtrace::Start::Stack);
        bt.unwound.frames.iter().map(|f| (f.pc.0, f.how.is_guess())).collect::<Vec<_>>()
    };
    assert_eq!(guesses(&k), [(back[0], true), (back[1], false)]);
    // with a part of the stack missing that can hold the frames in use, all are
    k.exclude(stack(&k) + 8192);
    assert_eq!(guesses(&k), [(back[0], true), (back[1], true)]);
}
