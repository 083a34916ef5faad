//! Files from dying machines and from strangers, given to the program as a user would: a message
//! that names the file, the reason and what to do, and exit code 1, or a marked partial answer.
//! Never a panic, and within a few seconds and a bounded address space.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test")]

mod damage;

use damage::{Answer, Folder, plain_sample, run, sample, word_at};
use testkit::dump::{DumpSpec, PAGE, Packing, Target, flatten, note};

/// What reads most of a dump.
const BROAD: &[&str] = &["sys", "bt -a", "ps", "log", "mod", "vtop init_task", "rd linux_banner 8"];

/// A machine of a few pages that has no kernel in it.
fn spec() -> DumpSpec {
    let spec = DumpSpec::x86_64().vmcoreinfo("OSRELEASE=6.1.0-test\nPAGESIZE=4096\n").excluded(4);
    (5..20).fold(spec, |s, pfn| s.page(pfn, &pfn.to_le_bytes().repeat(512)))
}

#[track_caller]
fn refused(name: &str, bytes: &[u8], words: &[&str]) {
    let folder = Folder::new();
    let path = folder.file(name, bytes);
    let answer = run(&[&path], BROAD);
    answer.refused(&path, words);
}

/// Refused as a whole or by each command, always with the file's name.
#[track_caller]
fn failed(name: &str, bytes: &[u8]) {
    let folder = Folder::new();
    let path = folder.file(name, bytes);
    let answer = run(&[&path], BROAD);
    answer.survived();
    assert_eq!((answer.code, answer.stdout.as_str()), (Some(1), ""), "{}", answer.all());
    assert!(answer.stderr.lines().all(|line| line.contains(&path)), "{}", answer.all());
}

/// Each command that needs a kernel says that there is none, in which file, and what works all the same; that works.
#[track_caller]
fn without_kernel(name: &str, bytes: &[u8]) {
    let folder = Folder::new();
    let path = folder.file(name, bytes);
    let answer = run(&[&path], BROAD);
    answer.survived();
    assert_eq!((answer.code, answer.stdout.as_str()), (Some(1), ""), "{}", answer.all());
    assert_eq!(answer.stderr.lines().count(), BROAD.len(), "{}", answer.all());
    for (line, command) in answer.stderr.lines().zip(BROAD) {
        let command = command.split(' ').next().unwrap();
        assert!(
            line.starts_with(&format!("{command}: {path}: no kernel was found in this dump: ")),
            "{line}"
        );
        // but for the one that just found that it does not
        let own = if command == "log" { "" } else { " log," };
        let rest = format!("what needs no kernel works: info,{own} rd -p, rd -f, search -p");
        assert!(line.ends_with(&rest), "{line}");
    }
    let answer = run(&[&path], &["info", "rd -p 5000 2", "rd -8 -f 0 4", "search -p 6000"]);
    assert_eq!(answer.code, Some(0), "{}", answer.all());
    assert!(answer.stdout.contains("6.1.0-test"), "{}", answer.all());
}

/// Every command that needs a kernel names the machine; memory, headers and what the headers say of the kernel are there.
#[test]
fn machines_that_are_not_read_are_named() {
    const TEXT: &str = "OSRELEASE=6.1.0-other\nBUILD-ID=00ff11\nCRASHTIME=1700000000\n";
    for target in Target::OTHERS {
        // each page full of its number, as this machine writes its words
        let word = |n: u64| match (target.wide, target.big_endian) {
            (true, false) => n.to_le_bytes().to_vec(),
            (true, true) => n.to_be_bytes().to_vec(),
            (false, false) => (n as u32).to_le_bytes().to_vec(),
            (false, true) => (n as u32).to_be_bytes().to_vec(),
        };
        let spec = (5..20).fold(DumpSpec::of(target).vmcoreinfo(TEXT).release("6.1.0-other"), |s, pfn| {
            s.page(pfn, &word(pfn).repeat(PAGE / word(pfn).len()))
        });
        let (nine, half) = if target.wide {
            ("9000:  0000000000000009 ", "0000 0000 0000 0009")
        } else {
            ("9000:  00000009 ", "0000 0009 0000 0009")
        };
        let half = if target.big_endian {
            half
        } else if target.wide {
            "0009 0000 0000 0000"
        } else {
            "0009 0000 0009 0000"
        };
        let name = if target.name == "aarch64" { "arm64" } else { target.name };
        for (file, by) in [
            (spec.elf(), format!("ELF e_machine {}", target.e_machine)),
            (spec.kdump(Packing::Zlib), "the header's utsname".to_owned()),
        ] {
            let folder = Folder::new();
            let path = folder.file("other", &file);
            let answer = run(&[&path], &["sys", "bt -a"]);
            let named = name.trim_end_matches("le");
            // one whose kernels are read has none here
            let says = match name {
                "arm64" => format!("no kernel was found in this dump: {named} by {by}"),
                _ => format!("this dump is of the architecture {named}"),
            };
            assert_eq!((answer.code, &*answer.stdout), (Some(1), ""), "{}", answer.all());
            for line in answer.stderr.lines() {
                assert!(line.contains(&format!("{path}: {says}")) && line.contains(&by), "{says}: {line}");
            }
            let answer = run(
                &[&path],
                &[
                    "info",
                    "rd -p 9000 1",
                    "rd -16 -p 9000 4",
                    "rd -8 -f 0 4",
                    "search -p 6",
                    "search -p -h -x 1 8",
                ],
            );
            assert_eq!(answer.code, Some(0), "{}", answer.all());
            for part in ["6.1.0-other", "00ff11", nine, half, "6000: 6 ", ":  8 "] {
                assert!(answer.stdout.contains(part), "no {part}: {}", answer.all());
            }
            for (option, want) in
                [("--osrelease", "6.1.0-other\n"), ("--build-id", "00ff11\n"), ("-t", "2023")]
            {
                let answer = run(&[option, &path], &[]);
                assert!(answer.code == Some(0) && answer.stdout.contains(want), "{option}: {}", answer.all());
            }
        }
    }
}

/// Cut to a part of its length, without VMCOREINFO: it tells its header and that it is cut.
#[test]
fn a_cut_dump_tells_its_header() {
    let folder = Folder::new();
    let whole = (5..200).fold(DumpSpec::x86_64(), |s, pfn| s.page(pfn, &[pfn as u8; PAGE]));
    for (name, file) in [("elf", whole.elf()), ("kdump", whole.kdump(Packing::Plain))] {
        let path = folder.file(name, &file[..file.len() * 6 / 10]);
        let answer = run(&[&path], &["info", "rd -p 5000 1"]);
        // 4: answered, and the dump is not complete
        assert_eq!(answer.code, Some(4), "{}", answer.all());
        if name == "kdump" {
            for option in ["-t", "--osrelease"] {
                assert_eq!(run(&[option, &path], &[]).code, Some(4), "{option}");
            }
            // nothing but the header and a part of the bitmap; then without a time
            let [_, bitmap, _] = whole.kdump_layout();
            let mut bytes = file[..bitmap + 8].to_vec();
            let path = folder.file("header", &bytes);
            let answer = run(&[&path], &["info"]);
            assert_eq!(answer.code, Some(4), "{}", answer.all());
            for part in ["6.1.0-test", "2023", "the dump is not complete", ", 0 KB held"] {
                assert!(answer.all().contains(part), "no {part}: {}", answer.all());
            }
            put(&mut bytes, 408, &[0; 8]);
            let path = folder.file("timeless", &bytes);
            let answer = run(&[&path], &["info"]);
            assert!(
                answer.stdout.contains("WRITTEN: <not known>") && !answer.stdout.contains("1970"),
                "{}",
                answer.all()
            );
            assert_eq!(run(&["-t", &path], &[]).code, Some(1));
            continue;
        }
        for part in ["the dump is not complete", "file is truncated", "0505050505050505"] {
            assert!(answer.all().contains(part), "no {part}: {}", answer.all());
        }
    }
}

fn put(file: &mut [u8], at: usize, bytes: &[u8]) {
    file[at..at + bytes.len()].copy_from_slice(bytes);
}

#[test]
fn what_is_no_dump() {
    refused("empty", b"", &["empty", "never written"]);
    refused("text", b"#!/bin/sh\necho hello\n", &["not a kernel dump", "crashlens reads"]);
    refused("zeros", &[0; 9000], &["not a kernel dump", "crashlens reads"]);
    refused("magic", &[&b"KDUMP  !"[..], &[0; 9000]].concat(), &["not a kernel dump"]);
    refused("dump.gz", b"\x1f\x8b\x08\0\0\0\0\0\0\x03", &[]);
    refused("dump.xz", b"\xfd7zXZ\0\0\x04\xe6\xd6", &[]);
    refused("dump.zst", b"\x28\xb5\x2f\xfd\x24\0", &[]);
}

#[test]
fn what_is_no_file() {
    let folder = Folder::new();
    run(&[&folder.path("missing")], BROAD).refused("missing", &["no such file"]);
    run(&[&folder.path("")], BROAD).refused("", &["is a directory", "name the dump file in it"]);
    let fifo = folder.path("fifo");
    let made = std::process::Command::new("mkfifo").arg(&fifo).status().unwrap();
    assert!(made.success());
    run(&[&fifo], BROAD).refused("fifo", &["not a regular file", "save the stream to a file first"]);
    run(&["/dev/zero"], BROAD).refused("/dev/zero", &["not a regular file"]);
}

#[test]
fn truncated_headers() {
    let (elf, kdump) = (spec().elf(), spec().kdump(Packing::Zlib));
    refused("elf", &elf[..40], &["truncated: the ELF header", "copy the dump again"]);
    let folder = Folder::new();
    let cut = run(&[&folder.file("elf", &elf[..100])], &["info", "bt"]);
    cut.survived();
    for word in ["MACHINE: x86_64  (by ELF e_machine 62)", "0 of its 3 program headers", "copy it again"] {
        assert!(cut.all().contains(word), "{}", cut.all());
    }
    refused("kdump", &kdump[..300], &["truncated: the kdump header", "copy the dump again"]);
    refused("flat", &flatten(&kdump, 512)[..2000], &["truncated", "copy the dump again"]);
}

#[test]
fn a_dump_without_a_kernel() {
    without_kernel("none", &spec().elf());
    without_kernel("kdump", &spec().kdump(Packing::Zstd));
}

#[test]
fn absurd_lengths_and_counts() {
    let elf = spec().elf();
    for (what, at, bytes) in [
        ("e_phoff", 32, &u64::MAX.to_le_bytes()[..]),
        ("e_phnum", 56, &u16::MAX.to_le_bytes()),
        ("e_phentsize", 54, &[1, 0]),
        ("p_filesz", 64 + 56 + 32, &u64::MAX.to_le_bytes()),
        ("p_offset", 64 + 56 + 8, &(u64::MAX - 100).to_le_bytes()),
        ("p_paddr", 64 + 56 + 24, &u64::MAX.to_le_bytes()),
        ("p_memsz", 64 + 56 + 40, &u64::MAX.to_le_bytes()),
    ] {
        let mut bad = elf.clone();
        put(&mut bad, at, bytes);
        failed(what, &bad);
    }
    let kdump = spec().kdump(Packing::Zlib);
    for (what, at, bytes) in [
        ("block_size", 428, &[0xff; 4][..]),
        ("block_size_0", 428, &[0; 4]),
        ("sub_hdr_size", 432, &[0xff; 4]),
        ("bitmap_blocks", 436, &[0xff; 4]),
        ("max_mapnr", 440, &[0xff; 4]),
        ("max_mapnr_64", PAGE + 96, &[0xff; 8]),
        ("offset_note", PAGE + 48, &[0xff; 8]),
        ("size_note", PAGE + 56, &[0xff; 8]),
        ("offset_vmcoreinfo", PAGE + 32, &[0xff; 8]),
        ("size_vmcoreinfo", PAGE + 40, &[0xff; 8]),
    ] {
        let mut bad = kdump.clone();
        put(&mut bad, at, bytes);
        failed(what, &bad);
    }
}

/// The sample with its bitmap, its descriptors or its pages damaged.
#[test]
fn a_sample_that_lies_answers_what_it_can() {
    let folder = Folder::new();
    let good = sample();
    let word = |at: usize| u32::from_le_bytes(good[at..at + 4].try_into().unwrap()) as usize;
    let (ram, blocks) = ((1 + word(432)) * PAGE, word(436));
    let (here, descs) = (ram + blocks / 2 * PAGE, ram + blocks * PAGE);

    // every page is said to be there: the descriptors do not suffice
    let mut bad = good.clone();
    bad[here..descs].fill(0xff);
    run(&[&folder.file("bitmap", &bad)], BROAD).survived();

    // no page is said to be there
    let mut bad = good.clone();
    bad[here..descs].fill(0);
    run(&[&folder.file("nothing", &bad)], BROAD).survived();

    // pages unpack to another size: each descriptor's data is that of the next one
    let mut bad = good.clone();
    for i in (0..2000).step_by(3) {
        put(&mut bad, descs + 24 * i + 8, &7_u32.to_le_bytes());
    }
    let answer = run(&[&folder.file("sizes", &bad)], BROAD);
    answer.survived();

    // descriptors that point behind the file, and claim more than memory
    let mut bad = good.clone();
    for i in (0..20_000).step_by(2) {
        put(&mut bad, descs + 24 * i, &(u64::MAX - 3).to_le_bytes());
        put(&mut bad, descs + 24 * i + 8, &u32::MAX.to_le_bytes());
    }
    run(&[&folder.file("offsets", &bad)], BROAD).survived();
}

#[test]
fn a_note_that_overflows_is_left_out_with_a_warning() {
    let folder = Folder::new();
    let good = plain_sample(|spec| spec);
    let at = good.windows(11).position(|w| w == b"VMCOREINFO\0").unwrap() - 12;
    let mut bad = good.clone();
    put(&mut bad, at + 4, &u32::MAX.to_le_bytes());
    let path = folder.file("note", &bad);
    let answer = run(&[&path], BROAD);
    answer.survived();
    assert!(answer.all().contains("note"), "{}", answer.all());
    // without notes at all
    assert!(!note("", 0, b"").is_empty());
}

#[test]
fn truncated_data_is_marked_and_the_rest_answered() {
    let folder = Folder::new();
    let good = sample();
    for percent in [25, 50, 75, 90, 99] {
        let path = folder.file("cut", &good[..good.len() * percent / 100]);
        let answer = run(&[&path], BROAD);
        answer.survived();
        assert!(answer.all().contains("INCOMPLETE"), "{percent}%: {}", answer.all());
        assert!(answer.all().contains("truncated"), "{percent}%: {}", answer.all());
        // what the headers hold is there however little follows
        assert!(answer.stdout.contains("6.1.0-56-cloud-amd64"), "{percent}%: {}", answer.stdout);
    }
}

/// A task of the dumped machine has a name that terminals act on; nothing that shows it lets a byte of it through.
#[test]
fn control_characters_of_the_dumped_machine_stay_text() {
    let folder = Folder::new();
    let whole = folder.file("whole", &plain_sample(|spec| spec));
    let offset = word_at(&whole, "struct -ox task_struct.comm", "[", "]");
    let task = word_at(&whole, "bt", "TASK: ", "");
    let phys = word_at(&whole, &format!("vtop {:x}", task + offset), &format!("{:x}", task + offset), "");
    let name = "\x1b]0;x\x07\n\u{9b}\u{202e}\r\t\0";
    let bad = folder.file("bad", &plain_sample(|spec| spec.bytes(phys, name.as_bytes())));
    let commands = [
        "ps",
        "bt",
        "bt -f",
        "verdict",
        "verdict -v",
        "sys",
        "task",
        "set",
        "ps -t",
        "ps -a",
        "foreach active bt",
        "foreach active set",
        "p ((struct task_struct *)CURRENT)->comm",
        "rd -a CURRENT 16",
        "rd CURRENT 16",
        "struct task_struct.comm,pid CURRENT",
        "list -H task_struct.tasks -s task_struct.comm init_task",
        "nosuch \x1b[1m",
        "files \u{202e}",
        "struct \x1b]0;x\x07",
    ];
    let (at, name_at) = (format!("{task:x}"), format!("{:x}", task + offset));
    let commands =
        commands.map(|line| line.replace("CURRENT", if line.starts_with("rd") { &name_at } else { &at }));
    let commands: Vec<String> = commands.iter().map(|line| line.replace("*)", "*)0x")).collect();
    let commands: Vec<&str> = commands.iter().map(String::as_str).collect();
    for form in ["--color=always", "--json", "--html"] {
        let answer = run(&[form, &bad], &commands);
        answer.survived();
        let acts = |c: &char| *c != '\n' && (c.is_control() || *c == '\u{202e}');
        let passed: Vec<char> = without_colours(&answer.all()).chars().filter(acts).collect();
        assert!(passed.is_empty(), "{form}: {passed:?} in {}", answer.all().escape_debug());
    }
    let shown = run(&[&bad], &["ps"]).stdout;
    assert!(shown.contains("\\x1b]0;x\\x07\\n\\u009b\\u202e\\r\\t"), "{shown}");
    assert_eq!(shown.lines().count(), run(&[&whole], &["ps"]).stdout.lines().count());
}

/// The text without the colours that the program itself puts around it.
fn without_colours(text: &str) -> String {
    let mut parts = text.split("\x1b[");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (code, rest) = part.split_once('m').unwrap_or((part, ""));
        let ours = !code.is_empty() && code.chars().all(|c| c.is_ascii_digit() || c == ';');
        out.push_str(if ours { rest } else { "\x1b" });
    }
    out
}

/// Random bytes, the same in every run.
#[test]
fn flipped_bytes() {
    let folder = Folder::new();
    let good = sample();
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for count in [50, 5000] {
        let mut bad = good.clone();
        for _ in 0..count {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let at = 0x200 + (state >> 20) as usize % (bad.len() - 0x200);
            bad[at] = (state >> 8) as u8;
        }
        run(&[&folder.file("flipped", &bad)], BROAD).survived();
    }
}

/// The list of all tasks is bent back to its first entry instead of to its head.
#[test]
fn a_cyclic_task_list() {
    let folder = Folder::new();
    let whole = folder.file("whole", &plain_sample(|spec| spec));
    let all = run(&[&whole], &["ps -k", "ps -u"]).stdout.lines().count();
    assert!(all > 60, "{all} lines");
    let offset = word_at(&whole, "struct -ox task_struct.tasks", "[", "]");
    let head = word_at(&whole, "sym init_task", "", " ") + offset;
    // the third task's next becomes the second's
    let next = |at: u64| word_at(&whole, &format!("rd {at:x}"), ":", "");
    let (first, second) = (next(head), next(next(head)));
    let third = next(second);
    let phys = word_at(&whole, &format!("vtop {third:x}"), &format!("{third:x}"), "");
    let bad = plain_sample(|spec| spec.bytes(phys, &second.to_le_bytes()));
    assert_ne!(first, second);
    let answer = run(&[&folder.file("cycle", &bad)], BROAD);
    answer.survived();
    // each task behind the bend is found by the list from its other end
    let tasks = run(&[&folder.file("cycle", &bad)], &["ps -k", "ps -u"]);
    let rows = tasks.stdout.lines().filter(|line| !line.contains("is damaged")).count();
    assert_eq!(rows, all, "{}", tasks.all());
    let ps = run(&[&folder.file("cycle", &bad)], &["ps"]);
    assert!(ps.all().contains("comes back"), "{}", ps.all());
}

/// The page with `init_task` is not in the dump.
#[test]
fn an_unreadable_page_under_a_structure() {
    let folder = Folder::new();
    let whole = folder.file("whole", &plain_sample(|spec| spec));
    let at = word_at(&whole, "sym init_task", "", " ");
    let phys = word_at(&whole, "vtop init_task", &format!("{at:x}"), "");
    let bad = plain_sample(|spec| spec.excluded(phys / PAGE as u64));
    let path = folder.file("hole", &bad);
    let answer = run(&[&path], BROAD);
    answer.survived();
    let one = run(&[&path], &["struct task_struct.flags init_task"]);
    one.survived();
    assert_eq!(one.stdout.trim(), "flags = <page excluded>,", "{}", one.all());
    let rd = run(&[&path], &["rd init_task"]);
    assert_eq!(rd.code, Some(4), "{}", rd.all());
    assert!(rd.all().contains("excluded"), "{}", rd.all());
}

/// A kernel file whose build id is another one.
#[test]
fn a_vmlinux_of_another_build() {
    let folder = Folder::new();
    let dump = folder.file("dump", &sample());
    let vmlinux = folder.file("vmlinux", &damage::tiny_vmlinux(&[0xab; 20]));
    let answer = run(&[&dump, &vmlinux], &["sys"]);
    answer.refused(&vmlinux, &["build id", &"ab".repeat(20), "another build", "--force"]);
    let id = run(&[&dump], &["sys"]);
    assert_eq!(id.code, Some(0), "{}", id.all());
    let forced: Answer = run(&["--force", &dump, &vmlinux], &["sys"]);
    forced.survived();
    assert!(forced.stderr.contains("warning"), "{}", forced.all());
}
