//! Two dumps of one build in two threads: what depends on the build is read once. What an interrupt of one spoilt is read again.
#![allow(clippy::unwrap_used, missing_docs)]

use crashlens::{Dump, Error, Kind, Options, Scalar, Workspace, Wrong};
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;

fn sample() -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../samples/virtio-bug.kdump")).unwrap()
}

/// A file whose reads wait, from when that is asked until somebody lets them go on.
#[derive(Clone)]
struct Slow {
    bytes: Arc<Vec<u8>>,
    waits: Arc<AtomicBool>,
    /// The reader waits here twice: to say that it reads, and until it may go on.
    gate: Arc<Barrier>,
}

impl crashlens::ReadAt for Slow {
    fn len(&self) -> u64 {
        self.bytes.len() as u64
    }
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        if self.waits.swap(false, Ordering::AcqRel) {
            self.gate.wait();
            self.gate.wait();
        }
        self.bytes.read_at(offset, buf)
    }
    fn is_stable(&self) -> bool {
        true
    }
}

fn answers(dump: &Dump) -> (usize, String, Vec<String>) {
    let frames = dump.panic_task().unwrap().unwrap().backtrace().unwrap().frames;
    let headline = dump.verdict().unwrap().headline;
    (dump.tasks().unwrap().len(), headline.to_string(), frames.iter().map(ToString::to_string).collect())
}

#[test]
fn an_interrupt_stops_one_dump_and_both_answer() {
    let workspace = Arc::new(Workspace::default());
    let options = Options::new().search(false).workspace(&workspace);
    let plain = Dump::from_bytes(vec![sample()], options.clone()).unwrap();
    let slow = Slow {
        bytes: Arc::new(sample()),
        waits: Arc::new(AtomicBool::new(false)),
        gate: Arc::new(Barrier::new(2)),
    };
    let readers: Vec<(_, Box<dyn crashlens::ReadAt>)> = vec![("slow".into(), Box::new(slow.clone()))];
    let watched = Dump::from_readers(readers, options).unwrap();
    let (first, second) = thread::scope(|scope| {
        let first = scope.spawn(|| answers(&plain));
        let second = scope.spawn(|| {
            slow.waits.store(true, Ordering::Release);
            let stopped = watched.tasks();
            assert!(matches!(stopped, Err(Error::Interrupted)), "{stopped:?}");
            answers(&watched)
        });
        slow.gate.wait();
        watched.interrupt();
        slow.gate.wait();
        (first.join().unwrap(), second.join().unwrap())
    });
    assert_eq!(first, second);
    assert!(first.1.contains("virtqueue_add_split"), "{first:?}");
    assert_eq!(workspace.builds_parsed(), 1);
}

#[test]
fn handles_outlive_what_they_came_from() {
    struct Kept {
        task: crashlens::Task,
        value: crashlens::Value,
    }
    let kept = {
        let dump = Dump::from_bytes(vec![sample()], Options::new().search(false)).unwrap();
        let task = dump.tasks().unwrap().into_iter().find(|task| task.pid() == 1).unwrap();
        Kept { value: task.value().unwrap(), task }
    };
    let pid = thread::spawn(move || {
        assert_eq!(
            kept.value.member("comm").unwrap().text().unwrap().trim_matches('"').split("\\000").next(),
            Some(kept.task.comm())
        );
        kept.value.member("pid").unwrap().number().unwrap()
    });
    assert_eq!(pid.join().unwrap(), 1);
}

#[test]
fn each_question_has_its_answer_or_says_why_not() {
    let dump = Dump::from_bytes(vec![sample()], Options::new().search(false)).unwrap();
    let at = dump.symbol("linux_banner").unwrap().unwrap();
    let mut text = [0; 13];
    dump.read(at, &mut text).unwrap();
    assert_eq!(&text, b"Linux version");
    let found = dump.locate(at + 2).unwrap().unwrap();
    assert_eq!((found.name.as_str(), found.offset, found.module), ("linux_banner", 2, None));
    assert!(matches!(dump.read(0x1000, &mut text), Err(Error::Memory(_))));
    assert!(matches!(dump.read_physical(1 << 50, &mut text), Err(Error::Physical(_))));
    assert_eq!(dump.symbol("no_such_symbol").unwrap(), None);
    let wrong = dump.eval("no_such_symbol + 1").unwrap_err();
    assert!(matches!(&wrong, Error::Expression { text, .. } if text == "no_such_symbol + 1"), "{wrong}");
    assert_eq!(dump.eval("init_task.pid").unwrap().number().unwrap(), 0);
    assert_eq!(dump.command("sys").unwrap().command, "sys");
    assert!(dump.command_json("sys").unwrap().contains("\"release\""));
    assert!(dump.command_json("ps 1").unwrap().contains("\"pid\":1"));
    assert!(matches!(dump.command("nosuchcommand"), Err(Error::Command(_))));
}

#[test]
fn values_have_types_text_and_bytes() {
    let dump = Dump::from_bytes(vec![sample()], Options::new().search(false)).unwrap();
    let init = dump.eval("init_task").unwrap();
    let comm = init.member("comm").unwrap();
    assert_eq!((init.kind().unwrap(), comm.kind().unwrap()), (Kind::Struct, Kind::Array));
    assert_eq!(comm.string(64).unwrap(), b"swapper/0");
    assert_eq!(comm.string(4).unwrap(), b"swap");
    assert_eq!(comm.bytes().unwrap(), b"swapper/0\0\0\0\0\0\0\0");
    assert_eq!(comm.address_of().unwrap().cast("char *").unwrap().string(64).unwrap(), b"swapper/0");
    assert_eq!(init.member("pid").unwrap().scalar().unwrap(), Scalar::Int(0));
    let task = dump.type_named("struct task_struct").unwrap();
    let at = init.address().unwrap();
    assert_eq!(comm.address().unwrap(), at + task.offset("comm").unwrap());
    assert_eq!(task.at(at).member("comm").unwrap().string(64).unwrap(), b"swapper/0");
    assert!(task.members().unwrap().iter().any(|member| member.name.as_deref() == Some("comm")));
    assert!(task.size().unwrap() > 4096 && task.text().unwrap().contains("comm"));
    assert_eq!(
        (comm.ty().len().unwrap(), comm.ty().inner().unwrap().unwrap().size().unwrap()),
        (Some(16), 1)
    );
    let node = init.member("tasks").unwrap().address_of().unwrap();
    assert_eq!(node.container_of("struct task_struct", "tasks").unwrap().number().unwrap(), i128::from(at));
    // a null pointer's text is missing memory, and is told with its address
    let missing = dump.eval("((struct task_struct *)0)->comm").unwrap().bytes().unwrap_err();
    assert_eq!(missing.missing_at(), Some(task.offset("comm").unwrap()), "{missing}");
    assert!(matches!(init.member("nosuch"), Err(Error::Expression { kind: Wrong::Member, .. })));
    assert!(matches!(dump.type_named("struct nosuch"), Err(Error::Expression { kind: Wrong::Name, .. })));
}

#[test]
fn lists_trees_and_tables_are_walked() {
    let dump = Dump::from_bytes(vec![sample()], Options::new().search(false)).unwrap();
    let leaders: Vec<i32> = dump
        .tasks()
        .unwrap()
        .iter()
        .filter(|t| t.pid() != 0 && t.pid() == t.tgid())
        .map(|t| t.pid())
        .collect();
    let head = dump.eval("init_task.tasks").unwrap();
    let pid = |entry: &crashlens::Entry| entry.value.member("pid").unwrap().number().unwrap() as i32;
    let mut walked: Vec<i32> =
        head.list("struct task_struct", "tasks").unwrap().whole().unwrap().iter().map(pid).collect();
    walked.sort_unstable();
    assert_eq!(walked, leaders);
    let pids = dump.eval("init_pid_ns.idr").unwrap().idr(Some("struct pid")).unwrap();
    assert!(
        pids.problems.is_empty()
            && leaders.iter().all(|pid| pids.entries.iter().any(|e| e.index == *pid as u64))
    );
    // what is no list says so, with what was found
    let no_list = dump.eval("*(struct list_head *)init_task.comm").unwrap();
    let broken = no_list.list("struct task_struct", "tasks").unwrap();
    assert!(!broken.problems.is_empty() && matches!(broken.whole(), Err(Error::Walk(_))));
    let queue = dump.eval("runqueues").unwrap();
    assert_eq!(queue.per_cpu(1).unwrap().member("cpu").unwrap().number().unwrap(), 1);
    assert!(queue.per_cpu(99).is_err());
}

/// What a cut dump has lost is not told as what is not there.
#[test]
fn a_dump_without_its_symbols_says_so() {
    let mut cut = sample();
    cut.truncate(6 << 20);
    let dump = Dump::from_bytes(vec![cut], Options::new().search(false)).unwrap();
    for lost in [dump.symbol("linux_banner").map(|_| ()), dump.locate(0xffff_ffff_8100_0000).map(|_| ())] {
        let why = lost.unwrap_err().to_string();
        assert!(why.contains("is not known: kallsyms is not in the dump"), "{why}");
    }
    assert!(dump.lacks_tasks().unwrap().is_some());
}

#[test]
fn pointers_are_apart_by_elements_of_a_size() {
    let dump = Dump::from_bytes(vec![sample()], Options::new().search(false)).unwrap();
    let at = |text: &str| dump.eval(text).unwrap();
    assert_eq!(at("&init_task + 3").elements_from(&at("&init_task")).unwrap(), 3);
    assert_eq!(at("&init_task.comm[1]").elements_from(&at("init_task.comm + 4")).unwrap(), -3);
    assert_eq!(at("(void *)8").elements_from(&at("(void *)3")).unwrap(), 5);
    assert!(at("&init_task").elements_from(&at("(char *)&init_task")).is_err());
    assert!(at("&init_task").elements_from(&at("init_task.pid")).is_err());
    // a struct that is only declared
    let declared = at("((struct net_device *)&init_task)->dm_private");
    let why = declared.elements_from(&declared).unwrap_err().to_string();
    assert!(why.contains("dm_hw_stat_delta"), "{why}");
    let is_signed = |name: &str| dump.type_named(name).unwrap().is_signed().unwrap();
    assert!(
        is_signed("pid_t")
            && is_signed("enum lru_status") == is_negative(&dump)
            && !is_signed("enum pid_type")
    );
}

fn is_negative(dump: &Dump) -> bool {
    dump.type_named("enum lru_status").unwrap().enumerators().unwrap().iter().any(|(_, value)| *value < 0)
}
