use super::*;

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
    Claim { regs, source, doubt }
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
