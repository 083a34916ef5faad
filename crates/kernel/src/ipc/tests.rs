//! The objects of a namespace that is made.

use super::util::{Found, Perm, namespace};
use super::{msg, sem, shm};
use crate::session::Session;
use crate::testing::session;
use base::VirtAddr;
use testkit::kernel::{Ipc, Kernel};

/// A kernel with two tasks and the objects; the addresses of the tasks.
fn made(age: &str) -> (Kernel, Ipc, Vec<u64>) {
    let mut k = Kernel::new();
    let (tasks, _) = k.tasks(2, 4096, 256, &[("nsproxy", 96, "*nsproxy")]);
    k.structure("mm_struct", 64, &[("pgd", 0, "*void")]);
    let ipc = k.ipc(age, &tasks);
    (k, ipc, tasks)
}

/// What an object's perm says, as text; `?` for what is not known.
fn shown(perm: &Perm) -> String {
    let all = [&perm.id, &perm.key, &perm.uid, &perm.mode];
    let text = |value: &Result<u64, _>| {
        value.as_ref().map_or_else(|_: &crate::KernelError| "?".to_owned(), |n| format!("{n:x}"))
    };
    all.map(text).join(" ")
}

fn whole<T>(found: Found<T>) -> Vec<T> {
    assert!(found.problems.is_empty(), "{:?}", found.problems);
    found.all
}

fn first(s: &Session) -> VirtAddr {
    namespace(s, None).unwrap()
}

#[test]
fn objects_of_every_age_are_told_with_all_that_they_have() {
    for age in ["layers", "radix", "xarray"] {
        let (k, made, _) = made(age);
        let s = session(&k);
        let namespace = first(&s);
        assert_eq!(namespace.0, made.namespace);
        let segments = whole(shm::segments(&s, namespace).unwrap());
        let at: Vec<u64> = segments.iter().map(|segment| segment.at.0).collect();
        assert_eq!(at, made.segments, "{age}");
        assert_eq!(shown(&segments[0].perm), "0 80001234 21 7a0", "{age}");
        assert_eq!(shown(&segments[1].perm), "10046 80001234 21 7a0", "{age}");
        assert_eq!(
            (*segments[0].bytes.as_ref().unwrap(), *segments[0].attached.as_ref().unwrap()),
            (65536, 5)
        );
        let arrays = whole(sem::arrays(&s, namespace).unwrap());
        assert_eq!((arrays.len(), arrays[0].at.0, *arrays[0].count.as_ref().unwrap()), (1, made.array, 3));
        let queues = whole(msg::queues(&s, namespace).unwrap());
        assert_eq!((queues.len(), queues[0].at.0), (1, made.queue));
        assert_eq!((*queues[0].bytes.as_ref().unwrap(), *queues[0].messages.as_ref().unwrap()), (8, 1));
    }
    assert_eq!(shm::states(0o3640), ["dest", "locked"]);
    assert!(shm::states(0o640).is_empty());
}

#[test]
fn pages_are_in_memory_in_swap_or_huge() {
    for age in ["radix", "xarray"] {
        let (k, made, _) = made(age);
        let s = session(&k);
        let segments = whole(shm::segments(&s, first(&s)).unwrap());
        let of = |n: usize| {
            let pages = shm::pages(&s, &segments[n]);
            (pages.allocated.unwrap(), pages.resident.unwrap(), pages.swapped.unwrap())
        };
        assert_eq!((of(0), of(1)), ((16, 1, 2), (1024, 1024, 0)), "{age}");
        assert_eq!(shm::pages(&s, &segments[0]).inode.unwrap().0, made.inode);
    }
}

#[test]
fn a_task_is_in_a_namespace_or_has_left_it() {
    let (mut k, made, tasks) = made("xarray");
    let (other, proxy) = (k.object("ipc_namespace"), k.object("nsproxy"));
    k.set(proxy, "nsproxy", "ipc_ns", other).set(tasks[1], "task_struct", "nsproxy", proxy);
    let of = |k: &Kernel, n: usize| {
        let s = session(k);
        let task = s.tasks().at(VirtAddr(tasks[n])).unwrap();
        namespace(&s, Some(task)).map(|at| at.0).map_err(|e| e.to_string())
    };
    assert_eq!((of(&k, 0), of(&k, 1)), (Ok(made.namespace), Ok(other)));
    k.set(proxy, "nsproxy", "ipc_ns", 0);
    assert!(of(&k, 1).unwrap_err().contains("its whole page holds zeros"), "a filter left it out");
    let counter = k.memory(8);
    k.word(counter, 1);
    assert_eq!(of(&k, 1).unwrap_err(), "this kernel was built without System V IPC");
    k.set(tasks[1], "task_struct", "nsproxy", 0);
    assert_eq!(of(&k, 1).unwrap_err(), "task 2 has no namespaces any more: it is dead, or about to be");
    // a kernel whose table has no variables: the first namespace is that of the first task
    k.lose("init_ipc_ns");
    assert_eq!(namespace(&session(&k), None).unwrap().0, made.namespace);
}

#[test]
fn what_is_missing_or_no_object_is_told_and_the_rest_stands() {
    let (whole, made, _) = made("xarray");
    let segments = |k: &Kernel| {
        let s = session(k);
        let found = shm::segments(&s, first(&s)).unwrap();
        let all: Vec<String> =
            found.all.iter().map(|one| format!("{:x} {}", one.at.0, shown(&one.perm))).collect();
        (all, found.problems.iter().map(ToString::to_string).collect::<Vec<_>>())
    };
    let changed = |change: &dyn Fn(&mut Kernel)| {
        let mut k = whole.clone();
        change(&mut k);
        segments(&k)
    };
    let [one, two] = made.segments;
    let (good, none) = segments(&whole);
    assert_eq!((good.len(), none.len()), (2, 0));
    // a page of an object
    let found = changed(&|k| _ = k.exclude(two));
    assert_eq!(found, (vec![good[0].clone(), format!("{two:x} ? ? ? ?")], vec![]));
    // another id than its slot's, zeros
    let (all, problems) = changed(&|k| _ = k.set(two, "shmid_kernel", "shm_perm.id", 5));
    assert_eq!(all, good[..1]);
    assert!(problems[0].contains("its id is 5, and it is in slot 70"), "{problems:?}");
    let (all, problems) = changed(&|k| _ = k.put(two, &[0; 4096]));
    assert_eq!(all, good[..1]);
    assert!(problems[0].contains("its whole page holds zeros"), "{problems:?}");
    // an object that is being removed is counted no more
    let removed = |k: &mut Kernel| _ = k.set(one, "shmid_kernel", "shm_perm.deleted", 1);
    let (all, problems) = changed(&removed);
    assert_eq!(all, good[1..]);
    assert!(problems[0].contains("2 are in use, and 1 are there"), "{problems:?}");
    let found = changed(&|k| {
        removed(k);
        k.set(made.namespace + 2 * 96, "ipc_ids", "in_use", 1);
    });
    assert_eq!(found, (good[1..].to_vec(), vec![]));
    // a node of the table
    let (all, problems) = changed(&|k| _ = k.exclude(made.nodes[2]));
    assert_eq!((all, problems.len()), (good[..1].to_vec(), 1));
}

#[test]
fn a_kernel_without_types_says_so() {
    let (mut k, ..) = made("xarray");
    k.without_btf();
    let s = session(&k);
    let why = shm::segments(&s, first(&s)).unwrap_err().to_string();
    assert!(why.contains("struct ipc_ids is not known"), "{why}");
}
