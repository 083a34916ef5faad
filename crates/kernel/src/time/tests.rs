//! Timers of generated kernels, of every age.

use super::hrtimer::{self, ClockName};
use super::timer;
use crate::testing::session;
use testkit::kernel::Kernel;

#[test]
fn wheels_of_every_age() {
    for (age, names, own) in [
        ("bases", vec!["BASE_LOCAL", "BASE_GLOBAL", "BASE_DEF"], [2, 0, 1].as_slice()),
        ("two", vec!["BASE_STD", "BASE_DEF"], &[2, 1]),
        ("hash", vec![], &[3]),
        ("list", vec![], &[3]),
    ] {
        let mut k = Kernel::new();
        let made = k.timers(age);
        let s = session(&k);
        let now = timer::jiffies(&s).unwrap();
        let bases = timer::bases(&s, 0, now).unwrap();
        assert_eq!(bases.iter().filter_map(|base| base.name).collect::<Vec<_>>(), names, "{age}");
        assert_eq!(bases.iter().map(|base| base.timers.len()).collect::<Vec<_>>(), own, "{age}");
        assert!(bases.iter().all(|base| base.problems.is_empty()), "{age}: {bases:?}");
        let all: Vec<u64> = bases.iter().flat_map(|base| &base.timers).map(|timer| timer.at.0).collect();
        assert_eq!(all, [made.all[1], made.all[0], made.all[2]], "{age}: the one that is due first leads");
        assert_eq!(bases[0].timers[0].expires, now - 3);
        assert_eq!(bases[0].timers[0].function.clone().unwrap().0, made.function);
        // the other CPU has none
        let other = timer::bases(&s, 1, now).unwrap();
        assert!(
            other.iter().all(|base| base.timers.is_empty() && base.problems.is_empty()),
            "{age}: {other:?}"
        );
    }
}

#[test]
fn lists_of_timers_that_are_damaged_say_so() {
    for age in ["bases", "list"] {
        let mut k = Kernel::new();
        let made = k.timers(age);
        for next in [made.all[0], 0x1000, 0xffff_f000_0000_0000] {
            k.word(made.all[1], next);
            let s = session(&k);
            let bases = timer::bases(&s, 0, timer::jiffies(&s).unwrap()).unwrap();
            let found: usize = bases.iter().map(|base| base.timers.len()).sum();
            let problems: usize = bases.iter().map(|base| base.problems.len()).sum();
            assert!(found >= 3 && problems > 0, "{age} {next:#x}: {bases:?}");
        }
    }
    // a base that is another CPU's
    let mut k = Kernel::new();
    k.timers("bases");
    let at = k.on_cpu(k.at("timer_bases"), 1);
    k.half(at + 8, 7);
    let s = session(&k);
    let bases = timer::bases(&s, 1, timer::jiffies(&s).unwrap()).unwrap();
    assert!(bases[0].problems[0].to_string().contains("it is of CPU 1"), "{bases:?}");
}

#[test]
fn clocks_of_every_age() {
    for age in ["cached", "kinds", "head"] {
        let mut k = Kernel::new();
        let made = k.hrtimers(age);
        let s = session(&k);
        let found = hrtimer::clocks(&s, 0).unwrap();
        let [first, second] = found.all.as_slice() else { panic!("{age}: {found:?}") };
        let shown: Vec<(u64, i64, i64)> = first.timers.iter().map(|t| (t.at.0, t.soft, t.expires)).collect();
        let second_of = |n: i64| (n * 1_000_000_000, n * 1_000_000_000 + 50);
        let want = [(made.all[1], 9), (made.all[0], 12), (made.all[2], 13)];
        assert_eq!(shown, want.map(|(at, n)| (at, second_of(n).0, second_of(n).1)), "{age}");
        assert!(second.timers.is_empty() && second.problems.is_empty(), "{age}");
        assert_eq!((first.at.0, second.at.0), (made.clocks[0], made.clocks[1]));
        assert_eq!((first.offset.clone().unwrap(), second.offset.clone().unwrap()), (0, 100));
        let want = match age {
            "kinds" => ClockName::Kind("HRTIMER_BASE_REALTIME".to_owned()),
            _ => ClockName::Function(s.symbol("ktime_get_real").unwrap()),
        };
        assert_eq!(second.name, Some(want), "{age}");
        assert_eq!(crate::machine::system::monotonic_nsec(&s).unwrap(), 10_000_000_000);
    }
}

#[test]
fn a_timer_in_the_tree_of_another_clock_is_damage() {
    let mut k = Kernel::new();
    let made = k.hrtimers("cached");
    k.set(made.all[2], "hrtimer", "base", made.clocks[1]);
    let s = session(&k);
    let first = hrtimer::clocks(&s, 0).unwrap().all.remove(0);
    assert_eq!((first.timers.len(), first.problems.len()), (2, 1));
    // a circle
    k.word(made.all[1] + 16, made.all[0]);
    let first = hrtimer::clocks(&session(&k), 0).unwrap().all.remove(0);
    assert!(first.problems.len() > 1, "{first:?}");
}
