//! `wq` on kernels that are made from tables: its layout, its data, what is missing.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs, reason = "a test")]

mod asked;

use asked::{answer, ask, try_ask};
use testkit::kernel::{Kernel, Workqueues};

fn made(age: &str) -> (Kernel, Workqueues) {
    let mut k = Kernel::new();
    let made = k.workqueues(age);
    (k, made)
}

/// The lines of an answer, without blanks at their ends.
fn lines(text: &str) -> Vec<&str> {
    text.lines().map(str::trim_end).collect()
}

#[test]
fn wq_shows_what_runs_and_waits() {
    let (k, made) = made("new");
    let text = ask(&k, "wq");
    let all = lines(&text);
    let work =
        |n: usize, queue: &str| format!("WORK: {:x}  WORKQUEUE: {queue:16}  FUNCTION: do_{n}", made.works[n]);
    let want = [
        format!("POOL: 0    WORKER_POOL: {:x}  CPU: 0       NICE: 0    WORKERS: 2  IDLE: 1", made.pools[0]),
        format!("  WORKER: {:x}  PID: 1       RU  COMMAND: \"made\"", made.workers[0]),
        format!("    {}  for 0 00:00:04.000", work(0, "events")),
        format!("    then {}", work(1, "events")),
        "  PENDING (the pool began no work for 0 00:00:01.000):".to_owned(),
        format!("    {}", work(2, "events")),
        format!("    {}", work(3, "events")),
        "  INACTIVE:".to_owned(),
        format!("    {}", work(4, "events")),
    ];
    assert_eq!(all, want, "{text}");
    assert!(ask(&k, "wq writeback").contains("no work runs or waits"));
    assert_eq!(ask(&k, "wq events"), text);
    assert!(try_ask(&k, "wq nothing").unwrap_err().contains("no workqueue has the name nothing"));
}

#[test]
fn wq_shows_workers_that_do_nothing_and_rescuers() {
    for age in ["old", "list"] {
        let (k, made) = made(age);
        let text = ask(&k, "wq -a");
        assert!(
            text.contains(&format!(
                "\n\nPOOL: 4    WORKER_POOL: {:x}  CPU: unbound NICE: -20",
                made.pools[1]
            )),
            "{text}"
        );
        let idle =
            format!("  WORKER: {:x}  PID: 2       RU  COMMAND: \"made\"  last: writeback\n", made.workers[1]);
        assert!(text.contains(&idle), "{text}");
        assert!(text.contains("rescuer of writeback"), "{text}");
        // no clock says since when
        assert!(!text.contains("  for 0 "), "{text}");
        assert_eq!(text.contains("PENDING ("), age == "list", "{text}");
        let helps = text.contains(&format!("WORK: {:x}", made.works[5]));
        assert_eq!(helps, age == "old", "{text}");
    }
}

#[test]
fn wq_shows_workqueues_and_what_is_due() {
    let (k, made) = made("list");
    let text = ask(&k, "wq -w");
    let all = lines(&text);
    let row = |n: usize, active: u64, inactive: u64, name: &str| {
        format!("{:x}  256 {active:>6} {:>9} {inactive:>8}  {name}", made.queues[n], 3)
    };
    assert_eq!(all[1], row(0, 3, 1, "events"), "{text}");
    assert_eq!(all[2], format!("{} UNBOUND", row(1, 1, 0, &format!("{:25}", "writeback"))), "{text}");
    assert_eq!(lines(&ask(&k, "wq -w writeback")).len(), 2);
    let text = ask(&k, "wq -d");
    let want = format!(
        "  0    0 00:00:02.000  WORK: {:x}  WORKQUEUE: writeback         FUNCTION: do_5",
        made.works[5]
    );
    assert_eq!(lines(&text)[1], want, "{text}");
    assert_eq!(lines(&ask(&k, "wq -d events")).len(), 1, "the heading");
    // all parts in one answer
    let text = ask(&k, "wq -a -d -w");
    assert!(["POOL: 0", "DUE  WORK", "MAX ACTIVE"].iter().all(|part| text.contains(part)), "{text}");
}

#[test]
fn wq_never_takes_what_is_missing_for_none() {
    let (k, made) = made("list");
    for at in [made.pools[0], made.workers[1], made.queues[1], made.pwqs[0], made.works[3]] {
        let mut lost = k.clone();
        lost.exclude(at);
        let report = answer(&lost, "wq -a -w").unwrap();
        assert!(report.is_incomplete(), "{at:x}: {report:?}");
    }
    let mut lost = k.clone();
    lost.exclude(made.workers[1]);
    let text = ask(&lost, "wq");
    assert!(
        text.contains("the workers and works of pool 0 (1 of 2 workers are known) are not whole"),
        "{text}"
    );
    // a name that may be the one that is lost
    let mut lost = k.clone();
    lost.exclude(made.queues[1]);
    assert!(try_ask(&lost, "wq writeback").is_err());
    let mut k = k;
    k.without_btf();
    assert!(try_ask(&k, "wq").is_err() && try_ask(&k, "wq -d").is_err());
}
