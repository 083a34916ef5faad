use super::*;
use std::fs;
use tempfile::TempDir;
use testkit::dump::DumpSpec;
use testkit::kernel::Kernel;

fn options(files: &[PathBuf]) -> OpenOptions {
    OpenOptions { files: files.to_vec(), no_search: true, ..OpenOptions::default() }
}

/// A file in a folder, which is made.
fn put(root: &TempDir, name: &str, bytes: &[u8]) -> PathBuf {
    let path = root.path().join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, bytes).unwrap();
    path
}

fn refused(files: &[PathBuf]) -> String {
    Image::open(&options(files)).map(|image| image.name()).unwrap_err().to_string()
}

/// A list of symbols as System.map has it.
const SYMBOLS: &str = "ffffffff81000000 T _text\nffffffff81000000 T _stext\nffffffff81000100 T do_it\n\
                       ffffffff82000000 D linux_banner\n";

#[test]
fn files_are_told_apart_by_what_they_hold_in_any_order() {
    let root = TempDir::new().unwrap();
    let dump = put(&root, "a", &Kernel::new().elf());
    let symbols = put(&root, "b", SYMBOLS.as_bytes());
    for files in [[&dump, &symbols], [&symbols, &dump]] {
        let image = Image::open(&options(&files.map(Clone::clone))).unwrap();
        assert_eq!((&image.dump_paths, &image.system_map), (&vec![dump.clone()], &Some(symbols.clone())));
        assert!(image.has_kernel_file() && !image.has_module_files());
        assert_eq!(image.folders, [root.path()]);
    }
    let lone = refused(std::slice::from_ref(&symbols));
    assert_eq!(lone, "a System.map is no dump: name the dump as well");
    assert_eq!(refused(&[]), "no dump file was named");
    let twice = refused(&[dump.clone(), symbols.clone(), put(&root, "c", SYMBOLS.as_bytes())]);
    assert!(twice.contains("two lists of symbols; name one"), "{twice}");
    let none = refused(&[root.path().join("nothing")]);
    assert!(none.ends_with("nothing: no such file"), "{none}");
    let other = refused(&[put(&root, "d", b"#!/bin/sh\necho\n")]);
    assert!(other.contains("crashlens reads ELF and kdump-compressed dumps"), "{other}");
    // a dump that is open already, and another one among the files beside it
    let open = Dump::from_bytes(vec![Kernel::new().elf()]).unwrap();
    let second = Image::of(open, &options(std::slice::from_ref(&dump))).unwrap_err().to_string();
    assert!(second.ends_with("a second dump"), "{second}");
}

#[test]
fn a_folder_stands_for_the_one_dump_in_it_or_below_it() {
    let root = TempDir::new().unwrap();
    let bytes = Kernel::new().elf();
    let crash = root.path().join("crash");
    let first = put(&root, "crash/2026-01-01/vmcore", &bytes);
    put(&root, "crash/2026-01-01/vmcore-dmesg.txt", b"[    0.000000] Linux version 6.1.0\n");
    let image = Image::open(&options(std::slice::from_ref(&crash))).unwrap();
    assert_eq!(
        (image.name(), image.folders.clone()),
        (first.display().to_string(), vec![first.parent().unwrap().into()])
    );
    let second = put(&root, "crash/2026-02-01/vmcore", &bytes);
    let several = refused(std::slice::from_ref(&crash));
    let want = format!("is a directory with 2 dumps: {}, {}; name one", second.display(), first.display());
    assert!(several.contains(&want), "the newest first: {several}");
    let empty = refused(&[root.path().join("crash/2026-01-01/..").join("2026-03-01")]);
    assert!(empty.ends_with("no such file"), "{empty}");
    let none = root.path().join("none");
    fs::create_dir(&none).unwrap();
    assert!(refused(&[none]).ends_with("is a directory; name the dump file in it"));
}

#[test]
fn a_file_that_is_read_is_not_written() {
    let root = TempDir::new().unwrap();
    let dump = put(&root, "vmcore", &Kernel::new().elf());
    let info = put(&root, "info", b"OSRELEASE=6.1.0-test\nPAGESIZE=4096\n");
    let given = OpenOptions { vmcoreinfo: Some(info.clone()), ..options(std::slice::from_ref(&dump)) };
    let image = Image::open(&given).unwrap();
    assert_eq!(image.info.get("OSRELEASE"), Some("6.1.0-test"));
    let link = root.path().join("link");
    std::os::unix::fs::symlink(&dump, &link).unwrap();
    let found = put(&root, "found", b"");
    for path in [&dump, &link, &info, &found] {
        let why = image.why_not_written(path, std::slice::from_ref(&found));
        assert!(why.is_some_and(|why| why.contains("is open as the dump or beside it")), "{path:?}");
    }
    assert_eq!(image.why_not_written(&put(&root, "other", b""), &[]), None);
    assert_eq!(image.why_not_written(&root.path().join("new"), &[]), None);
    let bad = OpenOptions { vmcoreinfo: Some(found), ..options(&[dump]) };
    assert!(Image::open(&bad).unwrap_err().to_string().contains("it has no line OSRELEASE="));
}

/// 3 GiB of memory, of which the hole below 4 GiB is left out: what lies behind it follows at once.
#[test]
fn a_hole_is_told_by_what_the_kernel_knows_of_memory_s_end() {
    let root = TempDir::new().unwrap();
    let path = root.path().join("raw");
    let file = fs::File::create(&path).unwrap();
    file.set_len(5 << 30).unwrap();
    let image = |path: &PathBuf| {
        let files = [PathBuf::from(format!("{}@0", path.display()))];
        Image::open(&options(&files)).unwrap()
    };
    let empty = image(&path);
    assert!(empty.is_raw_from_zero() && empty.may_lack_a_hole());
    assert_eq!(
        empty.hole_left_out(6 << 30),
        None,
        "where the hole would be nothing was written: the image has it"
    );
    // a page is looked at in so many places; one of all bytes differs from one of one
    let whole = [1, 2].repeat(1 << 19);
    for at in (3 << 10..4_u64 << 10).map(|mib| mib << 20) {
        std::os::unix::fs::FileExt::write_all_at(&file, &whole[..4096], at).unwrap();
    }
    let full = image(&path);
    assert_eq!(full.hole_left_out(6 << 30), Some(1 << 30));
    assert_eq!(full.hole_left_out(5 << 30), None, "the image has all that the kernel knows");
    assert_eq!(full.hole_left_out((6 << 30) + 4096), None, "no hole of a machine ends within a MiB");
    // a dump that says where its memory lies leaves out nothing
    let elf = put(&root, "elf", &DumpSpec::x86_64().bytes(0x1000, &[1; 4096]).elf());
    let elf = Image::open(&options(&[elf])).unwrap();
    assert!(!elf.is_raw_from_zero() && !elf.may_lack_a_hole());
}

#[test]
fn messages_name_files_as_they_were_given() {
    let packed = |path: &str, archive: &str, member: &str| Given {
        within: Some((archive.into(), member.to_owned())),
        ..Given::plain(path.into())
    };
    let given = [
        packed("/cache/1", "case.tgz", "2026/vmcore"),
        packed("/cache/2", "case.tgz", "2027/vmcore"),
        Given::plain("vmlinux".into()),
    ];
    assert_eq!(name_of(&given, Path::new("/cache/1")), "case.tgz (2026/vmcore)");
    assert_eq!(name_of(&given, Path::new("vmlinux")), "vmlinux");
    assert_eq!(named(&given, "/cache/1: too short"), "case.tgz (2026/vmcore): too short");
    let both: Vec<PathBuf> = ["/cache/1", "/cache/2"].map(PathBuf::from).to_vec();
    let want = "case.tgz: holds 2 dumps: 2026/vmcore, 2027/vmcore; unpack it and name one of them";
    assert_eq!(several(&given, &both).as_deref(), Some(want));
    assert_eq!(several(&given, &both[..1]), None);
    assert_eq!(
        several(&given, &["/cache/1".into(), "vmlinux".into()]),
        None,
        "they came together by the user's will"
    );
    let cut = Given { around: Some(Shortened::Cut), ..packed("/cache/1", "case.tgz", "2026/vmcore") };
    assert!(cut.faults().next().unwrap().contains("cut off behind 2026/vmcore"));
}
