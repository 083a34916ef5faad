//! How the parts of a verdict read.

use super::*;
use crate::model::{
    Act, Allocator, Context, Counter, For, Headline, Known, LostOwner, Met, Place as CodePlace, Stuck, Who,
};
use base::VirtAddr;
use kernel::log::event::{Class, Subject};
use kernel::mm::kfence::{Guarded, Place, State};

#[test]
fn how_the_first_process_ended() {
    let exit = |code| Context::Exit(code).to_string();
    assert_eq!(exit(0x700), "the first process exited with status 7");
    assert_eq!(exit(0x0b), "the first process was killed by signal 11 (SIGSEGV)");
    assert_eq!(exit(0x8b), "the first process was killed by signal 11 (SIGSEGV)");
    assert_eq!(exit(0x02), "the first process was killed by signal 2");
}

#[test]
fn subjects() {
    let subject =
        |cpu, comm: Option<&str>, pid, seconds| Subject { cpu, comm: comm.map(str::to_owned), pid, seconds };
    let words = stall::subject;
    assert_eq!(words(Class::SoftLockup, &subject(Some(1), Some("cat"), Some(7), Some(26))), "CPU 1, 26 s");
    assert_eq!(
        words(Class::HungTask, &subject(None, Some("dd"), Some(77), Some(120))),
        "dd[77], more than 120 s"
    );
    assert_eq!(words(Class::HardLockup, &subject(Some(2), None, None, None)), "CPU 2");
    assert_eq!(words(Class::RcuStall, &Subject::default()), "");
}

#[test]
fn sizes() {
    assert_eq!((memory::size(5 << 20), memory::size(8192)), ("5 MiB".to_owned(), "8 KiB".to_owned()));
}

#[test]
fn how_much_memory_there_is_says_which_figure_it_is() {
    use crate::model::Memory;
    let total = |present, managed| Memory::Total { present, managed }.to_string();
    assert_eq!(
        total(Some(512 << 20), Some(469 << 20)),
        "memory: 469 MiB that the kernel hands out (MemTotal), of 512 MiB that the machine has"
    );
    assert_eq!(total(None, Some(469 << 20)), "memory: 469 MiB that the kernel hands out (MemTotal)");
    assert_eq!(
        total(Some(512 << 20), None),
        "memory: 512 MiB that the machine has; how much of it the kernel hands out is not known"
    );
}

#[test]
fn who_is_stuck() {
    let who = crate::model::Who { comm: "dd".into(), pid: 7 };
    let stuck = |count, at_least| Stuck::Tasks { who: who.clone(), seconds: 40, count, at_least }.to_string();
    assert_eq!(stuck(1, false), "dd[7] is stuck for 40 s");
    assert_eq!(stuck(1, true), "at least 1 tasks are stuck, dd[7] for 40 s");
    assert_eq!(stuck(3, false), "3 tasks are stuck, dd[7] for 40 s");
}

#[test]
fn an_owner_that_may_be_none_is_told_with_both_readings() {
    let lock = |lost| {
        let owner = Some(Who { comm: "sleep".into(), pid: 106 });
        let kind = kernel::locking::Kind::Mutex;
        let (name, at) = ("&of->lock".to_owned(), 0xff22_d65d_0267_2408);
        For::Lock { kind, name, at, owner, readers: false, last: false, lost }.to_string()
    };
    let begin = " for mutex &of->lock (ff22d65d02672408), ";
    assert_eq!(lock(LostOwner::No), format!("{begin}held by sleep[106]"));
    assert_eq!(lock(LostOwner::Ended), format!("{begin}held by sleep[106], which has exited"));
    for lost in [LostOwner::Younger, LostOwner::Unproven] {
        let said = lock(lost);
        assert!(
            !said.contains("held by") && said.contains("sleep[106]") && said.contains("exited"),
            "{said}"
        );
    }
}

fn guarded(state: State, place: Place) -> Guarded {
    Guarded {
        number: 7,
        metadata: VirtAddr(0),
        at: VirtAddr(0xffff_8880_0000_1fe0),
        size: 32,
        cache: Some("kmalloc-32".into()),
        state,
        place,
        allocated: None,
        freed: None,
        overwritten: None,
        unread: Vec::new(),
    }
}

fn met(of: Guarded) -> Met {
    Met { of: Allocator::Guarded(of), allocated: None, freed: None }
}

#[test]
fn places_from_a_guarded_object() {
    let words = |state, place| met(guarded(state, place)).to_string();
    let object = "KFENCE object #7 of slab cache kmalloc-32 (32 bytes, ffff888000001fe0)";
    assert_eq!(words(State::Freed, Place::Inside(0)), format!("the freed {object}"));
    assert_eq!(words(State::Freed, Place::Inside(8)), format!("8 bytes into the freed {object}"));
    assert_eq!(words(State::Allocated, Place::Behind(0)), format!("directly behind the allocated {object}"));
    assert_eq!(
        words(State::Allocated, Place::Behind(1)),
        format!("1 byte behind the end of the allocated {object}")
    );
    assert_eq!(words(State::Allocated, Place::Before(2)), format!("2 bytes before the allocated {object}"));
    assert_eq!(words(State::Unused, Place::Inside(0)), "in the page of unused KFENCE object #7");
}

#[test]
fn what_was_written_beside_an_object() {
    let g = guarded(State::Allocated, Place::Inside(0));
    let written = |wrong| met(Guarded { overwritten: Some(wrong), ..g.clone() });
    assert!(written((-3, 0)).to_string().ends_with(", overwritten 3 bytes before its begin: 00"));
    assert!(written((34, 0x78)).to_string().ends_with(", overwritten 2 bytes behind its end: 78"));
    let behind = met(guarded(State::Allocated, Place::Behind(40)));
    let known = Known { met: behind, pointer: 0xffff_8880_0000_2028, past: Vec::new(), commands: Vec::new() };
    assert!(known.to_string().ends_with(", ffff888000002028 is 40 bytes behind its end"));
    assert!(written((34, 0x78)).is_suspect() && !met(g).is_suspect());
    assert!(met(guarded(State::Allocated, Place::Behind(0))).is_suspect());
    assert!(met(guarded(State::Freed, Place::Inside(0))).is_suspect());
}

#[test]
fn durations_in_the_unit_that_fits() {
    let all: Vec<String> = [5, 600, 9000, 700_000].into_iter().map(context::duration).collect();
    assert_eq!(all, ["5 s", "10 min", "2 h", "8 days"]);
}

#[test]
fn indices_and_what_bounds_them() {
    use crate::model::{Bound, Why};
    use cexpr::Expr;
    let array = || Expr::ident("t").arrow("slots");
    let why = |bound| {
        Why::Index { index: Expr::ident("idx"), value: 195_948_557, array: array(), bound }.to_string()
    };
    let counter = Expr::ident("t").arrow("nslots");
    assert_eq!(why(Bound::Member(counter, 128)), "idx is 195948557, and t->nslots is 128");
    assert_eq!(why(Bound::Type(16)), "idx is 195948557, and t->slots has 16 elements");
    assert_eq!(
        why(Bound::Room(170)),
        "idx is 195948557, and the memory of t->slots has room for 170 elements"
    );
    assert_eq!(why(Bound::Unknown), "idx is 195948557");
}

#[test]
fn error_numbers_used_as_pointers() {
    use crate::model::ErrorPointer;
    use cexpr::Expr;
    let said = |from, returned| ErrorPointer { error: "-ENOENT".into(), from, returned }.to_string();
    assert_eq!(said(Expr::call("acc_clk_get", Vec::new()), true), "ERR_PTR(-ENOENT) from acc_clk_get()");
    assert_eq!(said(Expr::ident("p").arrow("clk"), false), "ERR_PTR(-ENOENT) in p->clk");
}

#[test]
fn who_found_damage_is_not_told_as_who_did_it() {
    use cexpr::Expr;
    let place = |function: &str, offset, module: Option<&str>| CodePlace {
        function: function.into(),
        offset,
        module: module.map(str::to_owned),
        ..CodePlace::default()
    };
    let said = |class, reporter: Option<CodePlace>, act, counter, said: &str| {
        Headline {
            class,
            hang: false,
            of_log: false,
            place: Some(place("job_end", 0x16, Some("zoo"))),
            reporter,
            act,
            counter,
            subject: None,
            said: Some(said.to_owned()).filter(|said| !said.is_empty()),
            caller: None,
            stuck: None,
            error: None,
        }
        .to_string()
    };
    let check = || Some(place("__list_del_entry_valid", 0x5c, None));
    assert_eq!(
        said(Class::ListCorruption, check(), Some(Act::ListDel), None, "list_del corruption"),
        "list corruption, found by __list_del_entry_valid+0x5c as job_end+0x16 [zoo] removed an entry from a list: \
         list_del corruption"
    );
    assert_eq!(
        said(Class::ListCorruption, check(), None, None, ""),
        "list corruption, found in job_end+0x16 [zoo] by __list_del_entry_valid+0x5c"
    );
    assert_eq!(
        said(Class::SlabCorruption, None, Some(Act::Free), None, "BUG a: Right Redzone overwritten"),
        "slab corruption, found as job_end+0x16 [zoo] freed memory: BUG a: Right Redzone overwritten"
    );
    let count = |was| Some(Counter { expr: Expr::ident("job").arrow("users"), was });
    let check = || Some(place("refcount_warn_saturate", 0x97, None));
    assert_eq!(
        said(Class::Refcount, check(), Some(Act::Take), count(Some(0)), "addition on 0; use-after-free."),
        "reference count error, found by refcount_warn_saturate+0x97 as job_end+0x16 [zoo] took a reference in \
         job->users, which was 0: addition on 0; use-after-free."
    );
    assert_eq!(
        said(Class::Refcount, check(), Some(Act::Drop), count(None), ""),
        "reference count error, found by refcount_warn_saturate+0x97 as job_end+0x16 [zoo] dropped a reference in \
         job->users"
    );
    let allocator = || Some(place("kmem_cache_free", 0x2f7, None));
    assert_eq!(
        said(Class::Bug, allocator(), Some(Act::Free), None, ""),
        "kernel BUG: assertion failed in kmem_cache_free+0x2f7 as job_end+0x16 [zoo] freed memory"
    );
    assert_eq!(
        said(Class::Bug, allocator(), None, None, ""),
        "kernel BUG: assertion failed in job_end+0x16 [zoo], found by kmem_cache_free+0x2f7"
    );
}

#[test]
fn another_oops_is_told_with_its_own_cpu_and_task() {
    use crate::model::History;
    let of = Some(kernel::log::event::Who { cpu: Some(0), pid: Some(9), comm: Some("cat".into()) });
    let said = History::After { at: None, lived: None, line: "kernel BUG at b.c:2!".into(), of };
    assert_eq!(said.to_string(), "after: kernel BUG at b.c:2!, on CPU 0 in cat[9]");
}

#[test]
fn whose_process_it_was() {
    let said = |command: &[&str], inner, cgroup: Option<&str>, container: Option<&str>| {
        Context::Process {
            command: Some(command.iter().map(|word| (*word).to_owned()).collect()),
            inner,
            cgroup: cgroup.map(str::to_owned),
            container: container.map(str::to_owned),
        }
        .to_string()
    };
    assert_eq!(said(&["dd", "if=/dev/vda"], None, None, None), "command line: dd if=/dev/vda");
    assert_eq!(
        said(&["sh", "-c", "echo a; b", ""], Some(7), Some("/docker/0123"), Some("0123")),
        "PID 7 in its namespace; container 0123; cgroup /docker/0123; command line: sh -c \"echo a; b\" \"\""
    );
    let long = said(&["x".repeat(500).as_str()], None, None, None);
    assert_eq!(long.chars().count(), "command line: ".len() + 161);
}
