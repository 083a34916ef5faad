//! Opening in layers, on generated kernels.

use super::*;
use base::{Cancel, Progress, VirtAddr};
use debuginfo::find::Watch;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use testkit::dump::DumpSpec;
use testkit::kernel::Kernel;

fn options(path: &Path) -> OpenOptions {
    OpenOptions { files: vec![path.into()], no_search: true, ..OpenOptions::default() }
}

fn file(spec: &DumpSpec) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), spec.elf()).unwrap();
    file
}

/// A kernel that calls itself by this machine's name.
fn kernel(machine: &str) -> Kernel {
    let mut k = Kernel::new();
    let mut name = vec![0; 390];
    for (n, text) in ["Linux", "box", "6.1.0-test", "#1 SMP", machine].iter().enumerate() {
        name[n * 65..n * 65 + text.len()].copy_from_slice(text.as_bytes());
    }
    let at = k.variable("init_uts_ns", 400);
    k.put(at, &name).info(&format!("SYMBOL(init_uts_ns)={at:x}")).info("OFFSET(uts_namespace.name)=0");
    k.function("do_it", 0x40);
    k
}

/// VMCOREINFO of the same kernel, loaded elsewhere by another boot.
fn of_another_boot(k: &Kernel) -> String {
    let dump = dump::Dump::from_bytes(vec![k.spec().elf()]).unwrap();
    let text = String::from_utf8(dump.vmcoreinfo().unwrap().to_vec()).unwrap();
    let moved = |line: &str| match line.split_once(")=") {
        Some((name, at)) if name.starts_with("SYMBOL") => {
            format!("{name})={:x}\n", u64::from_str_radix(at, 16).unwrap() + 0x1240_0000)
        }
        _ => format!("{line}\n"),
    };
    text.lines().map(moved).collect::<String>().replace("KERNELOFFSET=0", "KERNELOFFSET=12400000")
}

#[test]
fn vmcoreinfo_of_another_boot_is_dropped_with_a_note() {
    let k = kernel("x86_64");
    let other = of_another_boot(&k);
    let dump = file(&k.spec().without_notes().vmcoreinfo(&other));
    let layers = Layers::open(options(dump.path())).unwrap();
    assert!(!crate::vmcoreinfo_fits(layers.image()));
    let s = layers.session().unwrap();
    assert_eq!(s.symbol("do_it"), Some(VirtAddr(k.at("do_it"))));
    let news = layers.news();
    assert!(news.iter().any(|w| w.starts_with("VMCOREINFO does not fit the kernel in memory")), "{news:?}");
    assert!(layers.news().is_empty(), "told once");

    let good = file(&k.spec());
    let layers = Layers::open(options(good.path())).unwrap();
    assert!(crate::vmcoreinfo_fits(layers.image()) && layers.session().is_ok() && layers.news().is_empty());
    assert_eq!(layers.machine().unwrap().boot.how, arch::How::VmcoreInfo);
}

/// The same in a dump whose filter left out the pages that would contradict it: they can tell nothing, and memory shows
/// where the kernel is.
#[test]
fn vmcoreinfo_of_another_boot_is_dropped_where_its_pages_are_left_out() {
    let k = kernel("x86_64");
    // the head of the image as that boot would have had it; all of it in one header, behind so few pages that are there, would
    // be more than a filter leaves out, and no memory
    let first = (0x100_0000 + 0x1240_0000) >> 12;
    let spec = (first..first + 0x100).fold(k.spec().without_notes(), |spec, pfn| spec.excluded(pfn));
    let spec = spec.vmcoreinfo(&of_another_boot(&k));
    for bytes in [spec.elf(), spec.kdump(testkit::dump::Packing::Zlib)] {
        let dump = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(dump.path(), bytes).unwrap();
        let layers = Layers::open(options(dump.path())).unwrap();
        let s = layers.session().unwrap();
        assert_eq!(s.symbol("do_it"), Some(VirtAddr(k.at("do_it"))));
        assert_eq!(s.kaslr_offset(), Some(0));
        let news = layers.news();
        let word = "the pages that it names are not in the dump, and memory has a kernel elsewhere";
        assert!(news.iter().any(|told| told.contains("VMCOREINFO") && told.contains(word)), "{news:?}");
    }
}

#[test]
fn vmcoreinfo_of_a_file_takes_the_place_of_the_dump_s() {
    let k = kernel("x86_64");
    let dump = file(&k.spec().without_notes().vmcoreinfo(&of_another_boot(&k)));
    let whole = dump::Dump::from_bytes(vec![k.spec().elf()]).unwrap();
    let text = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(text.path(), whole.vmcoreinfo().unwrap()).unwrap();
    let given = OpenOptions { vmcoreinfo: Some(text.path().into()), ..options(dump.path()) };
    let layers = Layers::open(given).unwrap();
    assert_eq!(layers.machine().unwrap().boot.how, arch::How::VmcoreInfo);
    assert!(layers.news().is_empty());
    let none = OpenOptions { vmcoreinfo: Some(dump.path().with_extension("none")), ..options(dump.path()) };
    assert!(Layers::open(none).unwrap_err().to_string().contains("no such file"));
    let words = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(words.path(), b"nothing").unwrap();
    let bad = OpenOptions { vmcoreinfo: Some(words.path().into()), ..options(dump.path()) };
    assert!(Layers::open(bad).unwrap_err().to_string().contains("no text of VMCOREINFO"));
}

/// Opens the bytes, and holds what is told against one sentence.
fn opens_and_tells(bytes: &[u8], word: &str) {
    let dump = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(dump.path(), bytes).unwrap();
    let layers = Layers::open(options(dump.path())).unwrap();
    let s = layers.session().unwrap_or_else(|e| panic!("{word}: {e}"));
    assert!(s.symbol("do_it").is_some(), "{word}");
    let news = layers.news();
    assert_eq!(news.iter().filter(|told| told.contains(word)).count(), 1, "{word}: {news:?}");
}

#[test]
fn another_machine_s_name_in_memory_is_outvoted_by_tables_and_headers() {
    for name in ["aarch64", "mips", "s390x"] {
        let word = format!(
            "the kernel calls its machine {name}, but its page tables are those of x86_64, and so says"
        );
        let k = kernel(name);
        for spec in [k.spec(), k.spec().without_notes()] {
            opens_and_tells(&spec.elf(), &word);
        }
        // no header says anything: functions that only such kernels have do
        let mut k = kernel(name);
        k.function("asm_exc_page_fault", 0x80);
        opens_and_tells(&k.spec().without_notes().raw(16 << 20), &word);
    }
}

#[test]
fn another_machine_s_name_that_nothing_contradicts_is_believed() {
    let dump = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(dump.path(), kernel("aarch64").spec().without_notes().raw(16 << 20)).unwrap();
    let layers = Layers::open(options(dump.path())).unwrap();
    let error = layers.session().unwrap_err();
    assert!(error.is_without_kernel(), "{error}");
    assert!(error.to_string().contains("of a kernel of x86_64, which calls itself one of arm64"), "{error}");
}

#[test]
fn the_odd_one_of_those_that_know_the_release_is_told() {
    use crate::machine::system::release;
    const SOUND: &str = "6.1.0-test";
    // the kernel's own name, VMCOREINFO's, what is said
    let cases: [(&str, &str, &str); 4] = [
        (SOUND, SOUND, ""),
        ("5.4.0-odd", SOUND, "init_uts_ns says \"5.4.0-odd\", its banner, VMCOREINFO's OSRELEASE say"),
        ("\u{fffd}.1.0", SOUND, "what differs is damaged"),
        (SOUND, "4.4.0-odd", "VMCOREINFO's OSRELEASE says \"4.4.0-odd\", init_uts_ns, its banner say"),
    ];
    for (own, told, word) in cases {
        let mut k = Kernel::new();
        let mut name = vec![0; 390];
        for (n, text) in ["Linux", "box", own, "#1 SMP", "x86_64"].iter().enumerate() {
            name[n * 65..n * 65 + text.len()].copy_from_slice(text.as_bytes());
        }
        let at = k.variable("init_uts_ns", 400);
        k.put(at, &name).info(&format!("SYMBOL(init_uts_ns)={at:x}"));
        let whole = dump::Dump::from_bytes(vec![k.spec().elf()]).unwrap();
        let info = String::from_utf8(whole.vmcoreinfo().unwrap().to_vec()).unwrap();
        let info = info.replace(&format!("OSRELEASE={SOUND}"), &format!("OSRELEASE={told}"));
        let dump = file(&k.spec().without_notes().vmcoreinfo(&info));
        let layers = Layers::open(options(dump.path())).unwrap();
        let s = layers.session().unwrap();
        let news = layers.news();
        let said: Vec<_> = news.iter().filter(|told| told.starts_with("the kernel's release:")).collect();
        assert_eq!(said.len(), usize::from(!word.is_empty()), "{news:?}");
        assert!(said.iter().all(|told| told.contains(word)), "{word}: {news:?}");
        assert_eq!((release(s).as_deref(), s.opened().release().as_deref()), (Some(SOUND), Some(SOUND)));
    }
}

/// One damaged letter in a name of the machine: no machine is called so, and memory tells which it is.
#[test]
fn a_damaged_name_of_the_machine_is_said_and_refuses_nothing() {
    let opens = opens_and_tells;
    for name in ["x86_6t", "y86_64", "x86_6"] {
        let k = kernel(name);
        opens(&k.spec().elf(), &format!("the kernel calls its machine {name}, which none is"));
        opens(
            &k.spec().without_notes().elf(),
            &format!("the kernel calls its machine {name}, which none is"),
        );
        let sound = kernel("x86_64");
        for spec in [sound.spec(), sound.spec().without_notes()] {
            let mut bytes = spec.kdump(testkit::dump::Packing::Zlib);
            let at = bytes.windows(7).position(|w| w == b"x86_64\0").unwrap();
            bytes[at..at + 7].fill(0);
            bytes[at..at + name.len()].copy_from_slice(name.as_bytes());
            opens(&bytes, &format!("utsname names the machine {name}; memory has a kernel of x86_64"));
        }
    }
}

#[test]
fn a_kernel_that_is_not_there_has_only_its_name() {
    for machine in ["aarch64", "s390x", "x86_64"] {
        let mut name = vec![0; 390];
        for (n, text) in ["Linux", "box", "6.9.0-test", "#1 SMP", machine].iter().enumerate() {
            name[n * 65..n * 65 + text.len()].copy_from_slice(text.as_bytes());
        }
        let dump = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(dump.path(), DumpSpec::x86_64().bytes(0x4_5678, &name).raw(1 << 20)).unwrap();
        let layers = Layers::open(options(dump.path())).unwrap();
        let error = layers.machine().unwrap_err().to_string();
        let want = match machine {
            "s390x" => "architecture s390x (the name of Linux 6.9.0-test in memory)",
            _ => "no kernel was found in this dump",
        };
        assert!(error.contains(want) && error.contains("6.9.0-test"), "{error}");
        assert_eq!(layers.words().release.as_deref(), Some("6.9.0-test"));
        let mut word = [0; 5];
        layers.image().phys().read_phys(base::PhysAddr(0x4_5678), &mut word).unwrap();
        assert_eq!(&word, b"Linux");
    }
}

/// Stops the first work of this name, in its midst.
struct StopAt(&'static str, Cancel, AtomicBool);

impl Progress for StopAt {
    fn step(&self, what: &str, _: u64, _: u64) {
        if what == self.0 && !self.2.swap(true, Ordering::Relaxed) {
            self.1.cancel();
        }
    }
}

#[test]
fn what_was_stopped_is_done_again_for_the_next_command() {
    let what = "looking for the kernel in memory";
    let k = kernel("x86_64");
    let dump = file(&k.spec().without_notes());
    let cancel = Cancel::new();
    let progress = Arc::new(StopAt(what, cancel.clone(), AtomicBool::new(false)));
    let watch = Watch { progress, cancel: cancel.clone() };
    let layers = Layers::open(OpenOptions { watch, ..options(dump.path()) }).unwrap();
    let error = layers.session().unwrap_err();
    assert!(matches!(error, KernelError::Stopped(_)), "{what}: {error}");
    assert!(layers.session().is_err(), "the same command has the same answer");
    cancel.reset();
    assert_eq!(layers.session().unwrap().symbol("do_it"), Some(VirtAddr(k.at("do_it"))), "{what}");
}

#[test]
fn facts_that_a_stop_disturbed_are_read_again() {
    let k = kernel("x86_64");
    let dump = file(&k.spec());
    let cancel = Cancel::new();
    let watch = Watch { cancel: cancel.clone(), ..Watch::default() };
    let layers = Layers::open(OpenOptions { watch, ..options(dump.path()) }).unwrap();
    let s = layers.session().unwrap();
    cancel.cancel();
    let (symbols, cpus) = (s.kernel_symbols(), s.cpus());
    assert!(std::ptr::eq(symbols, s.kernel_symbols()));
    cancel.reset();
    assert!(!std::ptr::eq(symbols, s.kernel_symbols()) && !std::ptr::eq(cpus, s.cpus()));
    assert_eq!(s.symbol("do_it"), Some(VirtAddr(k.at("do_it"))));
    let whole = s.kernel_symbols();
    cancel.cancel();
    cancel.reset();
    assert!(std::ptr::eq(whole, s.kernel_symbols()), "what was whole is kept");
}

/// The text of a kernel's VMCOREINFO with one line changed.
fn with_line(k: &Kernel, key: &str, value: &str) -> String {
    let whole = dump::Dump::from_bytes(vec![k.spec().elf()]).unwrap();
    let text = String::from_utf8(whole.vmcoreinfo().unwrap().to_vec()).unwrap();
    assert!(text.contains(&format!("{key}=")), "{key}");
    let line = |line: &str| match line.split_once('=') {
        Some((own, old)) if own == key => match value.strip_prefix('+') {
            Some(by) => {
                format!("{key}={:x}\n", u64::from_str_radix(old, 16).unwrap() + by.parse::<u64>().unwrap())
            }
            None => format!("{key}={value}\n"),
        },
        _ => format!("{line}\n"),
    };
    text.lines().map(line).collect()
}

/// A kernel that has everything that VMCOREINFO can be held against.
fn with_evidence() -> Kernel {
    let mut k = kernel("x86_64");
    let thing = k.variable("thing", 8);
    k.word(thing, 77);
    let names = k.at("init_uts_ns");
    k.info(&format!("SYMBOL(thing)={thing:x}")).info(&format!("SYMBOL(init_uts_ns)={names:x}"));
    k.info("BUILD-ID=0102030405060708090a0b0c0d0e0f1011121314")
        .info("OFFSET(page.lru)=8")
        .info("CRASHTIME=1700000000");
    let mut note = Vec::new();
    for word in [4_u32, 20, 3] {
        note.extend(word.to_le_bytes());
    }
    note.extend(b"GNU\0");
    note.extend(1..=20_u8);
    let notes = k.variable("__start_notes", note.len() as u64);
    k.put(notes, &note).symbol("__stop_notes", b'D', notes + note.len() as u64);
    let (data, page) = (k.variable("vmcoreinfo_data", 8), k.memory(4096));
    let whole = dump::Dump::from_bytes(vec![k.spec().elf()]).unwrap();
    k.word(data, page).put(page, whole.vmcoreinfo().unwrap());
    k
}

#[test]
fn a_wrong_line_of_vmcoreinfo_is_dropped_by_name_and_costs_nothing() {
    let k = with_evidence();
    let names = k.at("init_uts_ns");
    let moved = format!("{:x}", names + 64);
    for (key, value) in [
        ("SYMBOL(thing)", "ffffffff81030000"),
        ("SYMBOL(thing)", "nonsense"),
        ("SYMBOL(init_uts_ns)", moved.as_str()),
        ("SYMBOL(kallsyms_names)", "ffffffff81400000"),
        ("SYMBOL(kallsyms_addresses)", "+8"),
        ("SYMBOL(kallsyms_token_table)", "ffffffff81000000"),
        ("SYMBOL(_stext)", "ffffffff81600000"),
        ("OSRELEASE", "9.9.9-other"),
        ("BUILD-ID", "ff02030405060708090a0b0c0d0e0f1011121314"),
        ("KERNELOFFSET", "12400000"),
        ("KERNELOFFSET", "junk"),
        ("OFFSET(page.lru)", "64"),
        ("CRASHTIME", "1"),
    ] {
        let dump = file(&k.spec().without_notes().vmcoreinfo(&with_line(&k, key, value)));
        let layers = Layers::open(options(dump.path())).unwrap();
        let s = layers.session().unwrap();
        let what = format!("{key}={value}");
        assert_eq!(s.boot().how, arch::How::VmcoreInfo, "{what}");
        for name in ["thing", "init_uts_ns", "do_it", "_stext"] {
            assert_eq!(s.symbol(name), Some(VirtAddr(k.at(name))), "{what}: {name}");
        }
        assert_eq!(crate::machine::system::release(s).as_deref(), Some("6.1.0-test"), "{what}");
        assert_eq!(
            s.build_id().map(crate::hex).as_deref(),
            Some("0102030405060708090a0b0c0d0e0f1011121314"),
            "{what}"
        );
        assert_eq!(s.kaslr_offset(), Some(0), "{what}");
        let told = s.vmcoreinfo();
        for (key, right) in [("OFFSET(page.lru)", "8"), ("CRASHTIME", "1700000000")] {
            assert!(told.get(key).is_none_or(|value| value == right), "{what}: {key}");
        }
        assert_eq!(told.get(key), None, "{what}");
        let news = layers.news();
        assert!(news.iter().any(|n| n.contains(key)), "{what}: {news:?}");
        assert_eq!(news.len(), 1, "{what}: {news:?}");
    }
    let good = file(&k.spec());
    let layers = Layers::open(options(good.path())).unwrap();
    let s = layers.session().unwrap();
    assert_eq!(
        (s.vmcoreinfo().offset("page.lru"), s.symbol("thing")),
        (Some(8), Some(VirtAddr(k.at("thing"))))
    );
    assert!(layers.news().is_empty());
}

#[test]
fn a_kernel_linked_elsewhere_keeps_its_offset_where_its_loader_confirms_it() {
    let mut k = kernel("x86_64");
    let at = k.variable("boot_params", 4096);
    k.word(at + 0x258, 0x80_0000);
    let dump = file(&k.spec().without_notes().vmcoreinfo(&with_line(&k, "KERNELOFFSET", "800000")));
    let layers = Layers::open(options(dump.path())).unwrap();
    assert_eq!(layers.session().unwrap().kaslr_offset(), Some(0x80_0000));
    assert!(layers.news().is_empty());
}

/// A kernel that died at 0, and the crash kernel that it started a GiB further on; or the other way round.
fn two_kernels(crash_kernel_first: bool) -> [Kernel; 2] {
    let mut died = kernel("x86_64");
    let (cpu, area) = (died.variable("crashing_cpu", 4), died.variable("crashk_res", 64));
    died.half(cpu, 1).function("died", 0x80);
    let own = died.variable("elfcorehdr_addr", 8);
    died.word(own, u64::MAX);
    let mut crash = kernel("x86_64");
    let headers = crash.variable("elfcorehdr_addr", 8);
    crash.word(headers, 0x1234_5000).function("captures", 0x80);
    let start = if crash_kernel_first { 0 } else { 1 << 30 };
    died.word(area, start).word(area + 8, start + 0x3fff_ffff);
    if crash_kernel_first {
        died.moved(1 << 30)
    } else {
        crash.moved(1 << 30)
    };
    [died, crash]
}

#[test]
fn the_kernel_that_died_comes_before_the_crash_kernel_that_it_started() {
    for crash_kernel_first in [false, true] {
        let [died, crash] = two_kernels(crash_kernel_first);
        let both = |top: &Kernel, below: &Kernel| top.spec_onto(below.spec().without_notes());
        for (spec, by) in
            [(both(&died, &crash), "VMCOREINFO"), (both(&died, &crash).without_notes(), "a search")]
        {
            let what = format!("{crash_kernel_first} {by}");
            let dump = file(&spec);
            let layers = Layers::open(options(dump.path())).unwrap();
            let s = layers.session().unwrap();
            assert!(s.symbol("died").is_some() && s.symbol("captures").is_none(), "{what}");
            assert_eq!(s.kernels().len(), 2, "{what}");
            let news = layers.news();
            assert!(
                news.iter().any(|n| n.contains("holds 2 kernels: kernel 1 at physical address")),
                "{what}: {news:?}"
            );
            let second = OpenOptions { kernel: Some(2), ..options(dump.path()) };
            let layers = Layers::open(second).unwrap();
            let s = layers.session().unwrap();
            assert!(s.symbol("captures").is_some() && s.symbol("died").is_none(), "{what}");
            assert!(layers.news().iter().any(|n| n.contains("this is kernel 2")), "{what}");
            let third = OpenOptions { kernel: Some(3), ..options(dump.path()) };
            let error = Layers::open(third).unwrap().session().unwrap_err().to_string();
            assert!(error.contains("--kernel 3: this dump has: kernel 1"), "{what}: {error}");
        }
        // the headers are about the crash kernel alone
        let dump = file(&both(&crash, &died));
        let layers = Layers::open(options(dump.path())).unwrap();
        let s = layers.session().unwrap();
        assert!(s.symbol("captures").is_some() && s.vmcoreinfo().symbol("_stext").is_some());
        assert!(layers.news().iter().any(|n| n.starts_with("this is a crash kernel")), "{:?}", layers.news());
        let first = OpenOptions { kernel: Some(1), ..options(dump.path()) };
        assert!(Layers::open(first).unwrap().session().unwrap().symbol("died").is_some());
    }
}

/// A hypervisor's dump of a machine on which all CPUs run the crash kernel: nothing but memory knows of the one that died.
#[test]
fn the_kernel_that_died_is_found_where_every_cpu_runs_the_crash_kernel() {
    for crash_kernel_first in [false, true] {
        for cpus in [1, 2] {
            let [mut died, mut crash] = two_kernels(crash_kernel_first);
            died.cpus(cpus);
            crash.cpus(cpus);
            let moved = if crash_kernel_first { 0 } else { 1 << 30 };
            let root = crash.at("swapper_pg_dir") - testkit::kernel::TEXT + 0x100_0000 + moved;
            let both = died.spec_onto(crash.spec().without_notes()).without_notes();
            let pc = crash.at("captures") + 4;
            let with_notes = (0..cpus).fold(both, |spec, cpu| {
                let sp = testkit::kernel::DIRECT_MAP + 0x500_0000 + 0x4000 * u64::from(cpu);
                spec.note("QEMU", 0, &crate::testing::qemu_note(pc, sp, root))
            });
            let dump = file(&with_notes);
            let layers = Layers::open(options(dump.path())).unwrap();
            let s = layers.session().unwrap();
            assert!(s.symbol("died").is_some() && s.symbol("captures").is_none());
            let news = layers.news();
            assert!(
                news.iter().any(|n| n.contains("holds 2 kernels") && n.contains("--kernel N")),
                "{news:?}"
            );
            for cpu in 0..cpus {
                assert!(s.cpu_regs(cpu).is_none(), "{cpu}: another kernel's registers");
                let remark = s.cpu_registers(cpu).remark(cpu).unwrap();
                assert!(remark.contains("another kernel's"), "{remark}");
            }
            let second = OpenOptions { kernel: Some(2), ..options(dump.path()) };
            let layers = Layers::open(second).unwrap();
            let s = layers.session().unwrap();
            assert!(s.symbol("captures").is_some() && s.symbol("died").is_none());
            assert_eq!(s.cpu_registers(0).doubt, None, "its own");
        }
    }
}

#[test]
fn one_kernel_is_one() {
    let [died, _] = two_kernels(false);
    let dump = file(&died.spec());
    let layers = Layers::open(options(dump.path())).unwrap();
    assert_eq!(layers.session().unwrap().kernels().len(), 1);
    assert!(layers.news().is_empty());
}

#[test]
fn of_two_notes_of_vmcoreinfo_the_one_that_fits_counts() {
    let k = kernel("x86_64");
    let whole = dump::Dump::from_bytes(vec![k.spec().elf()]).unwrap();
    let good = whole.vmcoreinfo().unwrap().to_vec();
    let other = of_another_boot(&k);
    for notes in [[other.as_bytes(), &good], [&good, other.as_bytes()]] {
        let spec = notes.iter().fold(k.spec().without_notes(), |spec, text| spec.note("VMCOREINFO", 0, text));
        let dump = file(&spec);
        let layers = Layers::open(options(dump.path())).unwrap();
        let machine = layers.machine().unwrap();
        assert_eq!((machine.boot.how, machine.info_is_given()), (arch::How::VmcoreInfo, true));
        assert_eq!(layers.session().unwrap().symbol("do_it"), Some(VirtAddr(k.at("do_it"))));
        let told = layers.news();
        let word = "the dump has 2 notes of VMCOREINFO, which differ: number ";
        assert!(told.len() == 1 && told[0].contains(word) && told[0].contains("fits"), "{told:?}");
    }
}

#[test]
fn a_file_of_vmcoreinfo_that_does_not_fit_gives_way_to_the_dump_s_own() {
    let k = kernel("x86_64");
    let dump = file(&k.spec());
    let given = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(given.path(), of_another_boot(&k)).unwrap();
    let options = OpenOptions { vmcoreinfo: Some(given.path().into()), ..options(dump.path()) };
    let layers = Layers::open(options).unwrap();
    let machine = layers.machine().unwrap();
    assert_eq!((machine.boot.how, machine.info_is_given()), (arch::How::VmcoreInfo, true));
    assert_ne!(machine.info.text(), layers.image().info.text());
    assert_eq!(layers.session().unwrap().symbol("do_it"), Some(VirtAddr(k.at("do_it"))));
    assert!(layers.news().iter().any(|told| told.contains("the dump's own is used")), "{:?}", layers.news());
}

#[test]
fn of_two_notes_with_the_same_text_nothing_is_said() {
    let k = kernel("x86_64");
    let whole = dump::Dump::from_bytes(vec![k.spec().elf()]).unwrap();
    let text = whole.vmcoreinfo().unwrap().to_vec();
    let spec = k.spec().note("VMCOREINFO", 0, &text);
    let dump = file(&spec);
    let layers = Layers::open(options(dump.path())).unwrap();
    assert!(layers.session().is_ok() && layers.news().is_empty());
}
