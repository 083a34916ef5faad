//! What crashlens says of what is mistyped, of addresses that are nowhere, and of files that are damaged or another's:
//! a clear error, and the session goes on as it was. On the shipped sample; module files come from the corpus.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::print_stderr, reason = "a test says what it left out")]

use std::fs;
use std::path::{Path, PathBuf};

use crashlens_truth::program::{run, texts};
use crashlens_truth::{Case, corpus};

const SAMPLE: &str = "samples/virtio-bug.kdump";

/// What each line prints, complaints included.
fn shown(files: &[PathBuf], lines: &[&str]) -> Vec<String> {
    let lines: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
    let dump = std::iter::once(PathBuf::from(SAMPLE));
    texts(&[], &dump.chain(files.iter().cloned()).collect::<Vec<_>>(), &lines).unwrap()
}

/// Each line and what must be in its answer, which ends within its lines.
fn check(pairs: &[(&str, &[&str])]) {
    let lines: Vec<&str> = pairs.iter().map(|(line, _)| *line).collect();
    for ((line, wanted), answer) in pairs.iter().zip(shown(&[], &lines)) {
        for text in *wanted {
            assert!(answer.contains(text), "{line}: {text:?} is not in:\n{answer}");
        }
        assert!(answer.lines().count() < 12, "{line}:\n{answer}");
    }
}

#[test]
fn mistyped_names_get_those_that_are_near() {
    check(&[
        (
            "struct task_strct",
            &["struct: invalid data structure reference: task_strct (did you mean task_struct"],
        ),
        ("task_struct.commm init_task", &["no member named \"commm\"; did you mean comm?"]),
        ("struct task_struct.sse.load init_task", &["no member named \"sse\"; did you mean se"]),
        ("p jifies", &["p: no symbol \"jifies\"; did you mean jiffies", "\n  jifies\n  ^^^^^^"]),
        ("p init_tsk.pid", &["did you mean init_task"]),
        ("p vring_interupt", &["did you mean vring_interrupt"]),
        ("p sizeof(struct lst_head)", &["did you mean list_head"]),
        ("dis vfs_raed", &["no symbol \"vfs_raed\"; did you mean vfs_read"]),
        ("dis virtqueue_ad_split", &["did you mean virtqueue_add_split?"]),
        ("sym vfs_raed", &["vfs_read"]),
        ("whatis task_strct", &["did you mean task_struct"]),
        ("list -o modul.list modules", &["invalid -o argument: modul.list"]),
        (
            "list module.list -s modul.name -H modules",
            &["invalid structure name: modul (did you mean module"],
        ),
        ("tree -t rbtre nosuch", &["tree: no symbol \"nosuch\"\n  nosuch\n  ^^^^^^"]),
        ("waitq kaudit_wait", &["waitq: cannot resolve \"kaudit_wait\""]),
        ("strct task_struct", &["command not found: strct (did you mean struct"]),
        ("p zzqqx", &["p: no symbol \"zzqqx\"\n"]),
    ]);
}

#[test]
fn errors_point_at_the_token() {
    check(&[
        ("p 1 +", &["expected an expression, found the end", "\n  1 +\n     ^"]),
        ("p (1 + 2", &["expected ')', found the end", "\n  (1 + 2\n        ^"]),
        ("p 1 2", &["\n  1 2\n    ^"]),
        ("p init_task.nosuch + 1", &["\n  init_task.nosuch + 1\n            ^^^^^^"]),
        ("p init_task.pid = 5", &["a dump cannot be written to"]),
        ("p 09", &["bad number '09'"]),
        ("p 5 / 0", &["division by zero"]),
        ("p \"abc", &["unterminated string"]),
        ("p 1 @@ 2", &["\n  1 @@ 2\n"]),
        ("p *5.5", &["unary * cannot be applied to double"]),
        ("p init_task.pid->x", &["init_task.pid->x\n"]),
        ("struct task_struct.se..load init_task", &["struct: expected the name of a member"]),
        ("struct task_struct.rlim[ init_task", &["expected an index"]),
    ]);
}

#[test]
fn addresses_that_are_nowhere_are_told() {
    check(&[
        ("struct list_head 0", &["struct: invalid kernel virtual address: 0: ", "not mapped"]),
        (
            "struct list_head ffff000000000000",
            &["invalid kernel virtual address: ffff000000000000: ", "not mapped"],
        ),
        ("struct list_head -u 10", &["invalid user virtual address: 10"]),
        ("p *(struct list_head *)0", &["p: *(struct list_head *)0: address 0x0: not mapped"]),
        ("p ((struct task_struct *)8)->pid", &["not mapped"]),
        ("dis 0", &["<not mapped>"]),
        ("rd 0", &["not mapped"]),
        ("list 0", &["list: invalid kernel virtual address: 0"]),
        ("tree 10", &["tree: invalid start argument: 10"]),
        ("search -s 5 -e 3 1", &["search: invalid kernel virtual address: 5"]),
        ("struct task_struct 99999", &["struct: invalid kernel virtual address: 99999"]),
        ("frame 99", &["no frame 99: there are 0 to "]),
        ("p runqueues:77", &["p: "]),
        ("p $nosuch", &["no register $nosuch"]),
        ("p $999", &["history has no value $999"]),
    ]);
}

#[test]
fn an_error_changes_nothing() {
    let lines = ["p jiffies", "p nosuch", "frame 99", "struct nosuch", "mod -s nosuch", "p $1", "set"];
    let first = shown(&[], &["p jiffies", "set"]);
    let all = shown(&[], &lines);
    assert_eq!(all[0], first[0]);
    assert_eq!(all[5].replace("$2 = ", ""), first[0].replace("jiffies = $1 = ", ""));
    assert_eq!(all[6], first[1]);
}

/// A file of the test's own, gone with it.
struct Temp(PathBuf);

impl Temp {
    fn new(name: &str, bytes: &[u8]) -> Self {
        let path = std::env::temp_dir().join(format!("crashlens-bad-{}-{name}", std::process::id()));
        fs::write(&path, bytes).unwrap();
        Self(path)
    }
}

impl Drop for Temp {
    fn drop(&mut self) {
        // It was only for this test.
        let _ = fs::remove_file(&self.0);
    }
}

/// An ELF file with nothing but its magic and what is given.
fn elf(rest: &[u8]) -> Vec<u8> {
    [b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0", rest].concat()
}

#[test]
fn damaged_module_files_are_refused_and_symbols_stay() {
    let before = &shown(&[], &["sym vring_interrupt"])[0];
    for (name, bytes) in [
        ("empty.ko", Vec::new()),
        ("text.ko", b"this is no module\n".to_vec()),
        ("magic.ko", elf(&[])),
        ("header.ko", elf(&[1, 0, 62, 0, 1, 0, 0, 0])),
        ("wild.ko", elf(&[0xff; 600])),
        ("packed.ko.xz", b"\xfd7zXZ\0broken".to_vec()),
        ("packed.ko.zst", b"\x28\xb5\x2f\xfdbroken".to_vec()),
        ("packed.ko.gz", b"\x1f\x8bbroken".to_vec()),
    ] {
        let file = Temp::new(name, &bytes);
        let load = format!("mod -s virtio_ring {}", file.0.display());
        let all = shown(&[], &[&load, "sym vring_interrupt", "p vring_interrupt"]);
        assert!(all[0].starts_with("mod: "), "{name}: {}", all[0]);
        assert_eq!(&all[1], before, "{name}");
        assert!(all[2].contains("<vring_interrupt>"), "{name}: {}", all[2]);
    }
}

#[test]
fn a_damaged_vmlinux_is_told_and_the_dump_answers() {
    for (name, bytes) in [("vmlinux-magic", elf(&[])), ("vmlinux-wild", elf(&[0xee; 4000]))] {
        let file = Temp::new(name, &bytes);
        let args = ["-s", "--no-search", "-c", "sym schedule", SAMPLE].map(str::to_owned);
        let args: Vec<String> = args.into_iter().chain([file.0.display().to_string()]).collect();
        let (code, out, complaints) = run(&args).unwrap();
        let all = format!("{out}{complaints}");
        assert!(all.contains(name), "the file is named: {all}");
        assert!(code != 0 || out.contains("schedule"), "{all}");
    }
}

/// The corpus case of this name, or a word that it is not there.
fn case(name: &str) -> Option<Case> {
    let found = corpus().unwrap().into_iter().find(|case| case.name == name);
    if found.is_none() {
        eprintln!("no corpus case {name}: not compared");
    }
    found
}

#[test]
fn a_module_file_of_another_build_is_refused() {
    let (Some(ours), Some(other)) = (case("6.1/virtio-bug"), case("5.10/virtio-bug")) else { return };
    let module = |case: &Case| {
        let files = fs::read_dir(case.dir.join("modules")).unwrap();
        let is = |path: &Path| {
            path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("virtio_ring"))
        };
        files.map(|file| file.unwrap().path()).find(|path| is(path)).unwrap()
    };
    let load = |case: &Case| format!("mod -s virtio_ring {}", module(case).display());
    let lines = [&load(&other), "sym vring_interrupt", &load(&ours), "sym vring_interrupt"];
    let lines: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
    let all = texts(&[], &[ours.dir.join("dump.elf")], &lines).unwrap();
    assert!(all[0].starts_with("mod: ") && all[0].contains("build"), "{}", all[0]);
    let without = texts(&[], &[ours.dir.join("dump.elf")], &["sym vring_interrupt".to_owned()]).unwrap();
    assert_eq!(all[1], without[0]);
    assert!(!all[2].starts_with("mod: ") && all[2].contains("virtio_ring"), "{}", all[2]);
    assert!(all[3].contains("vring_interrupt"), "{}", all[3]);
}
