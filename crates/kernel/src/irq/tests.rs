//! Interrupt lines of generated kernels, in each of the tables that they were in.

use super::desc::{self, Line};
use super::{gates, softirq};
use crate::error::KernelError;
use crate::testing::session;
use testkit::kernel::Kernel;

/// What a line is: number, names, counts of both CPUs, CPUs it may interrupt.
type Told = (u64, Vec<Option<String>>, [u64; 2], Vec<u32>);

fn told(k: &Kernel) -> (Vec<Told>, Vec<String>) {
    let s = session(k);
    let lines = desc::lines(&s).unwrap();
    let made = lines.all.iter().filter(|line| [0, 1, 3, 9].contains(&line.number));
    let of = |line: &Line| {
        let names = line.actions.iter().map(|action| action.name.clone().unwrap()).collect();
        let counts = [0, 1].map(|cpu| desc::count_on(&s, line, cpu).unwrap());
        (line.number, names, counts, desc::affinity(&s, line).unwrap())
    };
    (made.map(of).collect(), lines.problems.iter().map(ToString::to_string).collect())
}

#[test]
fn lines_in_every_kind_of_table_with_masks_and_counts_of_both_kinds() {
    for (table, is_pointer, is_stat) in
        [("radix", false, false), ("maple", true, true), ("array", false, true), ("xarray", true, false)]
    {
        let mut k = Kernel::new();
        k.irqs(table, is_pointer, is_stat);
        let (lines, problems) = told(&k);
        let name = |text: &str| Some(text.to_owned());
        assert!(problems.is_empty(), "{table}: {problems:?}");
        assert_eq!(lines[0], (0, vec![name("timer")], [5, 0], vec![0, 1]), "{table}");
        assert_eq!(lines[1], (1, vec![], [0, 0], vec![0]), "{table}");
        assert_eq!(lines[2], (3, vec![name("usb"), None], [7, 1 << 20], vec![1]), "{table}");
        let s = session(&k);
        let all = desc::lines(&s).unwrap();
        assert_eq!(all.count.clone().unwrap().unwrap(), 5);
        let third = all.all.iter().find(|line| line.number == 3).unwrap();
        let names = desc::names(&s, third);
        assert_eq!((names.chip.unwrap(), names.flow.unwrap()), (name("IO-APIC"), name("fasteoi")));
        let names = desc::names(&s, &all.all[1]);
        assert_eq!((names.chip.unwrap(), names.flow.unwrap()), (None, None));
    }
}

#[test]
fn a_descriptor_of_another_line_is_none() {
    let mut k = Kernel::new();
    let made = k.irqs("radix", true, true);
    k.set(made.descs[2], "irq_desc", "irq_data.irq", 9);
    let (lines, problems) = told(&k);
    assert_eq!((lines.len(), problems.len()), (2, 1));
}

#[test]
fn a_chain_of_handlers_that_has_no_end_says_so() {
    let mut k = Kernel::new();
    let made = k.irqs("maple", true, true);
    let [first, second] = made.actions;
    k.set(second, "irqaction", "next", first);
    let s = session(&k);
    let line = &desc::lines(&s).unwrap().all[2];
    assert_eq!(line.actions.len(), 2);
    assert!(line.problem.as_ref().unwrap().is_loss());
}

#[test]
fn an_impossible_number_of_lines_is_none() {
    let mut k = Kernel::new();
    k.irqs("radix", false, false);
    k.half(k.at("nr_irqs"), u32::MAX);
    let s = session(&k);
    assert!(desc::lines(&s).unwrap().count.clone().unwrap().unwrap_err().is_loss());
}

#[test]
fn deferred_work_and_gates() {
    let mut k = Kernel::new();
    k.irqs("radix", false, false);
    let s = session(&k);
    let all = softirq::softirqs(&s).unwrap();
    let shown: Vec<(u64, u64, String)> =
        all.into_iter().map(|one| (one.number, one.action.unwrap().0, one.name.unwrap())).collect();
    let action = s.symbol("do_timers").unwrap().0;
    assert_eq!(shown, [(0, 0, "HI".to_owned()), (1, action, "TIMER".to_owned())]);
    let gates = gates::gates(&s).unwrap();
    assert_eq!(gates.len(), 256);
    assert_eq!(gates[2].unwrap().unwrap().0, action);
    assert_eq!(gates[3].unwrap(), None);
}

#[test]
fn arm64_has_no_gates() {
    let s = session(&Kernel::arm64(12, 48));
    assert!(matches!(super::gates::gates(&s), Err(KernelError::NotBuilt(_))));
}
