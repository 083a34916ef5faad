//! Two dumps of one build in two threads: what depends on the build is read once. What an interrupt of one spoilt is read again.
#![allow(clippy::unwrap_used, missing_docs)]

use crashlens::{Dump, Error, Options, Workspace};
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
