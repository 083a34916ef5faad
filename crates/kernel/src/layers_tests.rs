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
    assert!(news.iter().any(|w| w.starts_with("VMCOREINFO is of another boot")), "{news:?}");
    assert!(layers.news().is_empty(), "told once");

    let good = file(&k.spec());
    let layers = Layers::open(options(good.path())).unwrap();
    assert!(crate::vmcoreinfo_fits(layers.image()) && layers.session().is_ok() && layers.news().is_empty());
    assert_eq!(layers.machine().unwrap().boot.how, arch::How::VmcoreInfo);
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

#[test]
fn the_kernel_s_own_name_outweighs_the_headers() {
    // the headers say x86-64, with VMCOREINFO and without
    let k = kernel("aarch64");
    for spec in [k.spec(), k.spec().without_notes()] {
        let dump = file(&spec);
        let layers = Layers::open(options(dump.path())).unwrap();
        let error = layers.session().unwrap_err();
        assert!(error.is_without_kernel(), "{error}");
        assert!(
            error.to_string().contains("architecture arm64 (the kernel's own name in memory)"),
            "{error}"
        );
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
            "aarch64" => "architecture arm64 (the name of Linux 6.9.0-test in memory)",
            "s390x" => "architecture s390x (the name of Linux 6.9.0-test in memory)",
            _ => "no kernel was found in this dump",
        };
        assert!(error.contains(want) && error.contains("6.9.0-test"), "{error}");
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
