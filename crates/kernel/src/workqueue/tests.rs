//! Pools, workqueues and what waits, on generated kernels.

use super::delayed::delayed;
use super::pool::{Pools, Work, pools};
use super::queue::queues;
use crate::session::Session;
use crate::testing::session;
use base::VirtAddr;
use testkit::kernel::{Kernel, Workqueues};

const AGES: [&str; 3] = ["old", "list", "new"];

fn made(age: &str) -> (Kernel, Workqueues) {
    let mut k = Kernel::new();
    let made = k.workqueues(age);
    (k, made)
}

fn found(k: &Kernel) -> (Session, Pools) {
    let s = session(k);
    let pools = pools(&s).unwrap();
    (s, pools)
}

fn ats(works: &[Work]) -> Vec<u64> {
    works.iter().map(|work| work.at.0).collect()
}

#[test]
fn pools_of_every_age_have_their_workers_and_works() {
    for age in AGES {
        let (k, made) = made(age);
        let (_, found) = found(&k);
        let [first, second] = found.all.as_slice() else { panic!("{age}: {found:?}") };
        assert!(
            found.problems.is_empty() && first.problems.is_empty() && second.problems.is_empty(),
            "{age}: {found:?}"
        );
        assert_eq!(
            (first.at.0, first.id, first.cpu.clone().unwrap(), first.nice.clone().unwrap()),
            (made.pools[0], 0, 0, 0)
        );
        assert_eq!(
            (second.id, second.cpu.clone().unwrap(), second.nice.clone().unwrap()),
            (4, -1, -20),
            "{age}"
        );
        assert_eq!((first.count.clone().unwrap(), first.idle.clone().unwrap()), (2, 1));
        let [busy, idle] = first.workers.as_slice() else { panic!("{age}: {first:?}") };
        assert_eq!([busy.at.0, idle.at.0], made.workers[..2], "{age}");
        let running = busy.running.clone().unwrap().unwrap();
        assert_eq!(running.work.at.0, made.works[0]);
        assert_eq!(running.work.function.unwrap().0, made.functions[0]);
        assert_eq!(running.work.queue.unwrap().0, made.queues[0]);
        let started = running.started.map(|tick| tick.unwrap());
        assert_eq!(started, (age == "new").then_some(4_296_291_038 - 1000), "{age}");
        assert_eq!(ats(&busy.scheduled), [made.works[1]], "{age}");
        assert_eq!(
            (idle.running.clone().unwrap().is_none(), idle.desc.clone().unwrap()),
            (true, "writeback".into())
        );
        assert_eq!(
            ats(&first.pending),
            [made.works[2], made.works[3]],
            "{age}: what marks a place is no work"
        );
        assert_eq!(second.workers.len(), 1, "{age}: the rescuer");
        assert_eq!(second.workers[0].rescues.clone().unwrap().0, made.queues[1]);
        assert_eq!(first.progress.is_some(), age != "old");
    }
}

#[test]
fn workqueues_of_every_age_know_what_they_hold_back() {
    for age in AGES {
        let (k, made) = made(age);
        let found = queues(&session(&k)).unwrap();
        let [events, writeback] = found.all.as_slice() else { panic!("{age}: {found:?}") };
        assert_eq!([events.name.clone().unwrap(), writeback.name.clone().unwrap()], ["events", "writeback"]);
        assert!(events.problems.is_empty() && found.problems.is_empty(), "{events:?}");
        let [share] = events.shares.as_slice() else { panic!("{events:?}") };
        assert_eq!((share.at.0, share.pool.clone().unwrap().0), (made.pwqs[0], made.pools[0]));
        assert_eq!((share.active.clone().unwrap(), share.in_flight.clone().unwrap()), (3, 3));
        assert_eq!(ats(&share.inactive), [made.works[4]], "{age}");
        assert_eq!((events.most.clone().unwrap(), writeback.flags.clone().unwrap()), (256, 2));
        assert!(events.rescuer.clone().unwrap().is_none());
        assert_eq!(writeback.rescuer.clone().unwrap().unwrap().at.0, made.workers[2]);
    }
}

#[test]
fn works_whose_time_has_not_come_are_timers() {
    let (k, made) = made("list");
    let found = delayed(&session(&k)).unwrap();
    let [one] = found.all.as_slice() else { panic!("{found:?}") };
    assert_eq!((one.work.at.0, one.expires - found.now, one.cpu), (made.works[5], 500, 0));
    assert_eq!(one.work.function.clone().unwrap().0, made.functions[5]);
    assert_eq!(one.work.queue.clone().unwrap().0, made.queues[1]);
    assert!(found.problems.is_empty());
}

#[test]
fn what_is_lost_or_lies_is_told() {
    let (k, made) = made("list");
    let mut lost = k.clone();
    lost.exclude(made.workers[1]);
    let (_, pools) = found(&lost);
    assert_eq!(pools.all[0].workers.len(), 1);
    assert!(pools.all[0].problems.iter().any(|e| e.is_loss()), "{pools:?}");
    // a work that is of another pool's list, a worker that says another pool, a pool that says another number
    let mut lies = k.clone();
    lies.set(made.works[3], "work_struct", "data", 5);
    let (_, pools) = found(&lies);
    assert_eq!(ats(&pools.all[0].pending), [made.works[2], made.works[3]]);
    assert!(pools.all[0].pending[1].queue.is_err(), "a function, and no workqueue");
    lies.set(made.works[3], "work_struct", "func", 0x10);
    let (_, pools) = found(&lies);
    assert_eq!(ats(&pools.all[0].pending), [made.works[2]], "neither");
    assert_eq!(pools.all[0].problems.len(), 2, "{pools:?}");
    let mut lies = k.clone();
    lies.set(made.workers[1], "worker", "pool", made.pools[1]);
    assert_eq!(found(&lies).1.all[0].problems.len(), 2);
    let mut lies = k.clone();
    lies.set(made.pools[1], "worker_pool", "id", 5);
    let (_, pools) = found(&lies);
    assert_eq!((pools.all.len(), pools.problems.len()), (1, 1));
    // a pool_workqueue that is another workqueue's
    let mut lies = k.clone();
    lies.set(made.pwqs[1], "pool_workqueue", "wq", made.queues[0]);
    let all = queues(&session(&lies)).unwrap().all;
    assert!(all[1].shares.is_empty() && !all[1].problems.is_empty());
    // a list that leads back
    let mut circle = k.clone();
    let entry = made.works[3] + 8;
    circle.word(entry, entry);
    assert!(!found(&circle).1.all[0].problems.is_empty());
    let mut k = k;
    k.without_btf();
    let s = session(&k);
    assert!(pools_fail(&s) && queues(&s).is_err() && delayed(&s).is_err());
}

fn pools_fail(s: &Session) -> bool {
    pools(s).is_err()
}

#[test]
fn work_has_a_function() {
    let (mut k, made) = made("list");
    let work = VirtAddr(made.works[2]);
    assert_eq!(super::function(&session(&k), work).unwrap().0, made.functions[2]);
    k.exclude(work.0);
    assert!(super::function(&session(&k), work).is_err());
}
