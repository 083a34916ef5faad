//! `gcore` on a kernel that is made from tables: every byte of the core is the process's, or no byte is there.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs, reason = "a test")]

mod asked;

use asked::{answer, ask, try_ask};
use testkit::kernel::Kernel;

const STACK: u64 = 16384;

/// A process of two threads, with five mappings.
struct Process {
    k: Kernel,
    tasks: Vec<u64>,
    stacks: Vec<u64>,
    /// The page that is mapped at 0x502000.
    page: u64,
    fpu: u64,
    mm: u64,
    /// The last mapping.
    last: u64,
}

fn process() -> Process {
    let mut k = Kernel::new();
    k.list_head();
    let more = [
        ("fs", 96, "*fs_struct"),
        ("files", 104, "*files_struct"),
        ("nsproxy", 112, "*nsproxy"),
        ("signal", 120, "*signal_struct"),
        ("flags", 128, "u32"),
        ("static_prio", 132, "s32"),
        ("real_cred", 136, "*cred"),
        ("last_siginfo", 144, "*void"),
        ("pending", 152, "sigpending"),
        ("blocked", 176, "u64"),
        ("utime", 184, "u64"),
        ("stime", 192, "u64"),
        ("start_time", 200, "u64"),
        ("real_parent", 208, "*task_struct"),
        ("thread", 256, "thread_struct"),
    ];
    k.structure("fpu", 64, &[("fpstate", 8, "*fpstate")]).structure(
        "fpstate",
        1024,
        &[("regs", 64, "u64[72]")],
    );
    let thread = [
        ("fsbase", 0, "u64"),
        ("gsbase", 8, "u64"),
        ("ds", 16, "u16"),
        ("es", 18, "u16"),
        ("fsindex", 20, "u16"),
        ("gsindex", 22, "u16"),
        ("fpu", 64, "fpu"),
    ];
    k.structure("thread_struct", 128, &thread).structure("thread_union", STACK, &[("stack", 0, "u64[2048]")]);
    k.structure("sigpending", 24, &[("list", 0, "list_head"), ("signal", 16, "u64")]);
    let (tasks, stacks) = k.tasks(2, STACK, 512, &more);
    k.structure("cpuinfo_x86", 128, &[("x86_capability", 16, "u32[20]")]);
    let cpu = k.variable("boot_cpu_data", 128);
    k.half(cpu + 16 + 16, 1 << 26);
    let signal = [("cutime", 0, "u64"), ("cstime", 8, "u64"), ("pids", 16, "*pid[4]")];
    k.structure("signal_struct", 64, &signal).structure("cred", 32, &[("uid", 8, "u32"), ("gid", 12, "u32")]);
    k.structure("upid", 16, &[("nr", 0, "s32"), ("ns", 8, "u64")]);
    k.structure("pid", 64, &[("tasks", 0, "u64[4]"), ("numbers", 32, "upid")]);
    k.enumeration("pid_type", &[("PIDTYPE_PID", 0), ("PIDTYPE_PGID", 2), ("PIDTYPE_SID", 3)]);
    let mm_struct = [
        ("pgd", 0, "*void"),
        ("mmap", 8, "*vm_area_struct"),
        ("arg_start", 16, "u64"),
        ("arg_end", 24, "u64"),
        ("saved_auxv", 32, "u64[8]"),
    ];
    k.structure("mm_struct", 128, &mm_struct);
    let vma = [
        ("vm_start", 0, "u64"),
        ("vm_end", 8, "u64"),
        ("vm_next", 16, "*vm_area_struct"),
        ("vm_flags", 24, "u64"),
        ("vm_file", 32, "*file"),
        ("vm_pgoff", 40, "u64"),
        ("vm_ops", 48, "*void"),
        ("anon_vma", 56, "*void"),
        ("vm_private_data", 64, "*void"),
    ];
    k.structure("vm_area_struct", 72, &vma);
    let files = k.files(tasks[0], true);
    k.member("inode", ("i_nlink", 4, "u32"));
    let (mm, root) = (k.object("mm_struct"), k.user_tables());
    let file = files.files[1];
    let all = [
        // start, end, flags, file, page of the file, operations, pages of its own
        (0x40_0000, 0x40_3000, 0x75, file, 0, 1, 1),
        (0x50_0000, 0x50_4000, 0x73, 0, 0, 0, 1),
        (0x60_0000, 0x70_0000, 0x73, 0, 0, 0, 0),
        (0x80_0000, 0x80_2000, 0x71, file, 1, 1, 0),
        (0x90_0000, 0x90_1000, 0x75, 0, 0, 1, 0),
        (0xa0_0000, 0xa0_1000, 0x400_0073, 0, 0, 0, 1),
    ];
    let vmas = all.map(|_| k.object("vm_area_struct"));
    k.word(mm, root).word(mm + 8, vmas[0]);
    for (n, (start, end, flags, file, page, ops, own)) in all.into_iter().enumerate() {
        let next = vmas.get(n + 1).copied().unwrap_or(0);
        for (at, word) in (0..).zip([start, end, next, flags, file, page, ops * vmas[0], own * vmas[0]]) {
            k.word(vmas[n] + at * 8, word);
        }
    }
    let pages = [0x40_1000_u64, 0x50_0000, 0x50_2000, 0xa0_0000].map(|at| (at, k.memory(4096)));
    for (n, (at, page)) in pages.into_iter().enumerate() {
        k.map_user(root, at, page).put(page, &[b'1' + n as u8; 4096]);
    }
    k.put(pages[1].1 + 16, b"made\0-v\0");
    k.set(mm, "mm_struct", "arg_start", 0x50_0010).set(mm, "mm_struct", "arg_end", 0x50_0018);
    for (n, word) in [6, 4096, 3, 0x40_0040, 0, 0, 9, 9].into_iter().enumerate() {
        k.word(mm + 32 + n as u64 * 8, word);
    }
    let (signal, cred, fpu) = (k.object("signal_struct"), k.object("cred"), k.object("fpstate"));
    let first = k.at("init_task");
    k.set(first, "task_struct", "signal", signal).set(first, "task_struct", "real_parent", first);
    k.set(cred, "cred", "uid", 1000).set(cred, "cred", "gid", 100);
    k.word(signal, 3_000_002_000).word(signal + 8, 4_000_000_000);
    for (slot, number) in [(2, 77), (3, 66)] {
        let pid = k.object("pid");
        k.half(pid + 32, number).word(signal + 16 + slot * 8, pid);
    }
    // FCW, then XMM0; XSTATE_BV has both parts
    k.put(fpu + 64, &[0x7f, 2]).put(fpu + 64 + 160, &[0xee; 16]).word(fpu + 64 + 512, 3);
    for (n, task) in (0_u64..).zip(&tasks) {
        k.set(*task, "task_struct", "tgid", 1).set(*task, "task_struct", "mm", mm);
        k.set(*task, "task_struct", "signal", signal).set(*task, "task_struct", "real_cred", cred);
        k.set(*task, "task_struct", "real_parent", first);
        k.set(*task, "task_struct", "static_prio", 115).set(*task, "task_struct", "state", 1);
        k.set(*task, "task_struct", "blocked", 0x800).link(*task + 152, &[]);
        k.set(*task, "task_struct", "utime", 1_500_000_000 + n).set(
            *task,
            "task_struct",
            "stime",
            2_000_000_000,
        );
        k.set(*task, "task_struct", "thread.fsbase", 0x7000 + n).set(
            *task,
            "task_struct",
            "thread.fpu.fpstate",
            fpu,
        );
        let regs = stacks[n as usize] + STACK - 168;
        for word in 0..16 {
            k.word(regs + word * 8, 0x100 * (n + 1) + word);
        }
        // rip, cs, eflags, rsp, ss
        for (at, word) in (16..).zip([0x40_1234, 0x33, 0x246, 0x50_0100 + n, 0x2b]) {
            k.word(regs + at * 8, word);
        }
    }
    Process { k, tasks, stacks, page: pages[2].1, fpu, mm, last: vmas[5] }
}

/// The core as its readers see it.
struct Core {
    bytes: Vec<u8>,
    /// Address, offset, bytes in the file and in memory.
    loads: Vec<[u64; 4]>,
    /// Types and contents.
    notes: Vec<(u32, Vec<u8>)>,
}

fn word(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
}

fn half(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}

impl Core {
    fn read(path: &std::path::Path) -> Self {
        let bytes = std::fs::read(path).unwrap();
        assert_eq!((&bytes[..5], bytes[16], bytes[18]), (&b"\x7fELF\x02"[..], 4, 62));
        let (headers, count) = (word(&bytes, 32) as usize, half(&bytes, 56) as usize & 0xffff);
        let (mut loads, mut notes) = (Vec::new(), Vec::new());
        for at in (0..count).map(|n| headers + n * 56) {
            let words = [16, 8, 32, 40].map(|offset| word(&bytes, at + offset));
            if half(&bytes, at) == 1 {
                loads.push(words);
                continue;
            }
            let own = &bytes[words[1] as usize..][..words[2] as usize];
            let mut next = 0;
            while next < own.len() {
                let (len, kind) = (half(own, next + 4) as usize, half(own, next + 8));
                assert_eq!(&own[next + 12..next + 20], b"CORE\0\0\0\0");
                notes.push((kind, own[next + 20..next + 20 + len].to_vec()));
                next += 20 + len.next_multiple_of(4);
            }
        }
        Self { bytes, loads, notes }
    }

    /// The byte that a debugger reads; none where it says that there is none.
    fn byte(&self, at: u64) -> Option<u8> {
        let [start, offset, in_file, _] = self.loads.iter().find(|l| (l[0]..l[0] + l[3]).contains(&at))?;
        let from = at - start;
        Some(if from < *in_file { self.bytes[(offset + from) as usize] } else { 0 })
    }

    fn note(&self, kind: u32) -> Vec<&Vec<u8>> {
        self.notes.iter().filter(|(own, _)| *own == kind).map(|(_, desc)| desc).collect()
    }
}

/// Where a test writes, and no other.
fn folder(name: &str) -> std::path::PathBuf {
    let folder = std::env::temp_dir().join(format!("crashlens-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

#[test]
fn a_core_has_the_process_s_bytes_and_no_others() {
    let mut made = process();
    made.k.exclude(made.page);
    let folder = folder("core");
    let path = folder.join("made.core");
    let text = ask(&made.k, &format!("gcore -o {} 2", path.display()));
    let core = Core::read(&path);
    let holes = std::fs::read_to_string(folder.join("made.core.holes")).unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
    assert!(text.contains(" threads; holes: ") && text.contains("made.core: "), "{text}");
    for (at, byte) in [
        // of the page cache, changed by the process, of the page cache
        (0x40_0000, Some(b'a')),
        (0x40_1fff, Some(b'1')),
        (0x40_2000, Some(b'b')),
        (0x40_3000, None),
        // its own, untouched, left out of the dump, untouched
        (0x50_0000, Some(b'2')),
        (0x50_1000, Some(0)),
        (0x50_2000, None),
        (0x50_2fff, None),
        (0x50_3fff, Some(0)),
        // never written to; in the file alone; in the page cache; a page of the kernel's; not to be dumped
        (0x60_0000, None),
        (0x80_0000, None),
        (0x80_1000, Some(b'b')),
        (0x90_0000, None),
        (0xa0_0000, None),
    ] {
        assert_eq!(core.byte(at), byte, "{at:#x}");
    }
    let wanted = [
        "0x502000-0x503000 page excluded by the dump filter",
        "0x600000-0x700000 never written to",
        "0x800000-0x801000 in its file, and not in the page cache",
        "0x900000-0x901000 no page of it was touched",
        "0xa00000-0xa01000 the process asked for it not to be dumped (MADV_DONTDUMP)",
    ];
    assert_eq!(holes.lines().collect::<Vec<_>>(), wanted);
    assert!(
        wanted.iter().all(|line| text.contains(&format!("hole {}", line.replacen(' ', ": ", 1)))),
        "{text}"
    );
}

/// The mappings of kernel pages that every process has: the vDSO, of which the first page is in its tables, and the data that
/// it reads. Gives the image's data.
fn special(k: &mut Kernel, mm: u64, last: u64) -> u64 {
    k.structure("mm_context_t", 16, &[("vdso_image", 0, "*vdso_image"), ("vdso", 8, "*void")]);
    k.member("mm_struct", ("context", 96, "mm_context_t"));
    k.structure("vdso_image", 16, &[("data", 0, "*void"), ("size", 8, "u64")]);
    k.structure("vm_special_mapping", 16, &[("name", 0, "*char"), ("pages", 8, "**page")]);
    let ops = k.variable("special_mapping_vmops", 8);
    let (image, data) = (k.object("vdso_image"), k.memory(3 * 4096));
    k.put(data, &[b'v'; 4096]).put(data + 4096, &[b'w'; 4096]);
    k.word(image, data).word(image + 8, 2 * 4096).word(mm + 96, image).word(mm + 104, 0xb1_0000);
    let mut from = last;
    for (name, start, pages, flags) in
        [("[vvar]", 0xb0_0000_u64, 2_u64, 0xc04_4411_u64), ("[vdso]", 0xb1_0000, 3, 0x804_0075)]
    {
        let (vma, mapping, name) = (k.object("vm_area_struct"), k.object("vm_special_mapping"), k.text(name));
        k.word(mapping, name).word(from + 16, vma);
        for (at, word) in (0..).zip([start, start + pages * 4096, 0, flags, 0, 0, ops, 0, mapping]) {
            k.word(vma + at * 8, word);
        }
        from = vma;
    }
    data
}

#[test]
fn a_core_has_the_vdso_and_marks_the_data_that_it_reads() {
    let mut made = process();
    let mm = made.mm;
    let data = special(&mut made.k, mm, made.last);
    let folder = folder("vdso");
    let path = folder.join("c");
    let line = format!("gcore -o {} 2", path.display());
    ask(&made.k, &line);
    let core = Core::read(&path);
    let holes = std::fs::read_to_string(folder.join("c.holes")).unwrap();
    let bytes = [0xb1_0000, 0xb1_1fff, 0xb1_2000, 0xb0_0000].map(|at| core.byte(at));
    assert_eq!(bytes, [Some(b'v'), Some(b'w'), None, None]);
    let vvar = "0xb00000-0xb02000 data of the kernel's that the vDSO reads ([vvar]): no core has it";
    let behind = "0xb12000-0xb13000 no page of it was touched";
    assert!(holes.lines().any(|line| line == vvar) && holes.lines().any(|line| line == behind), "{holes}");
    // a page of the image that the dump lost is a hole that says so
    made.k.exclude(data + 4096);
    assert!(ask(&made.k, &line).contains("hole 0xb11000-0xb12000: page excluded by the dump filter"));
    let core = Core::read(&path);
    std::fs::remove_dir_all(&folder).unwrap();
    assert_eq!([0xb1_0000, 0xb1_1000].map(|at| core.byte(at)), [Some(b'v'), None]);
}

#[test]
fn a_core_has_the_registers_of_each_thread_the_named_one_first() {
    let made = process();
    let folder = folder("registers");
    let path = folder.join("c");
    ask(&made.k, &format!("gcore -f 255 -o {} 2", path.display()));
    let core = Core::read(&path);
    std::fs::remove_dir_all(&folder).unwrap();
    assert_eq!(core.byte(0xa0_0000), Some(b'4'));
    let kinds: Vec<u32> = core.notes.iter().map(|(kind, _)| *kind).collect();
    assert_eq!(kinds, [1, 3, 0x5349_4749, 6, 0x4649_4c45, 2, 1, 2]);
    for (n, status) in core.note(1).into_iter().enumerate() {
        assert_eq!(status.len(), 336);
        let other = 1 - n as u64;
        let ids = [32, 40, 44].map(|at| half(status, at));
        assert_eq!(ids, [2 - n as u32, 77, 66]);
        assert_eq!((word(status, 24), word(status, 48), word(status, 56)), (0x800, 1, 500_000));
        assert_eq!((word(status, 80), word(status, 88), word(status, 96)), (3, 2, 4));
        // r15, rip, rsp, fs_base, and that the floating point registers are there
        let own = [0, 16, 19, 21].map(|number| word(status, 112 + number * 8));
        assert_eq!(own, [0x100 * (other + 1), 0x40_1234, 0x50_0100 + other, 0x7000 + other]);
        assert_eq!(half(status, 328), 1);
    }
    let info = core.note(3)[0];
    assert_eq!((info.len(), info[1], info[3] as i8), (136, b'S', -5));
    assert_eq!((half(info, 16), half(info, 20), half(info, 24)), (1000, 100, 2));
    assert_eq!((&info[40..45], &info[56..64]), (&b"made\0"[..], &b"made -v "[..]));
    assert_eq!(core.note(6)[0].len(), 48);
    assert!(core.note(0x5349_4749)[0].iter().all(|b| *b == 0));
    let table = core.note(0x4649_4c45)[0];
    let words: Vec<u64> = (0..8).map(|n| word(table, n * 8)).collect();
    assert_eq!(words, [2, 4096, 0x40_0000, 0x40_3000, 0, 0x80_0000, 0x80_2000, 1]);
    assert_eq!(&table[64..], b"/var/x.log\0/var/x.log\0");
    let floating = core.note(2)[0];
    assert_eq!((floating.len(), floating[0], floating[1], floating[160]), (512, 0x7f, 2, 0xee));
}

#[test]
fn what_a_core_lacks_is_told() {
    let made = process();
    let folder = folder("lacks");
    let line = format!("gcore -o {} 1", folder.join("c").display());
    // the second thread's stack is lost: it is left out, and said so
    let mut k = made.k.clone();
    k.exclude(made.stacks[1] + STACK - 168);
    let report = answer(&k, &line).unwrap();
    assert!(report.is_incomplete(), "{report:?}");
    assert!(ask(&k, &line).contains("thread 2 is not in the core"), "{}", ask(&k, &line));
    // of the first one nothing is in user mode
    let mut k = made.k.clone();
    k.word(made.stacks[0] + STACK - 168 + 17 * 8, 0x10);
    assert!(ask(&k, &line).contains("no registers of user mode lie at its end"));
    // the floating point registers are lost
    let mut k = made.k.clone();
    k.exclude(made.fpu);
    assert!(ask(&k, &line).contains("its floating point registers are not in the core"));
    // a 32-bit program, a thread of the kernel, no such filter
    let mut k = made.k.clone();
    k.word(made.stacks[0] + STACK - 168 + 17 * 8, 0x23);
    assert!(try_ask(&k, &line).unwrap_err().contains("a 32-bit program"));
    let mut k = made.k.clone();
    k.set(made.tasks[0], "task_struct", "mm", 0);
    assert!(try_ask(&k, &line).unwrap_err().contains("task 1 has no user memory"));
    assert!(try_ask(&made.k, "gcore -f 256 1").unwrap_err().contains("256 is no filter"));
    assert!(try_ask(&made.k, "gcore -o x 1 2").unwrap_err().contains("-o names one file"));
    std::fs::remove_dir_all(&folder).unwrap();
}
