//! `files`, `fuser` and `mount` on kernels that are made from tables.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs, reason = "a test")]

mod asked;

use asked::{answer, ask, try_ask};
use testkit::kernel::{Files, Kernel};

/// A kernel whose first task has files open.
fn made(in_list: bool) -> (Kernel, Files) {
    let mut k = Kernel::new();
    let more = [("fs", 96, "*fs_struct"), ("files", 104, "*files_struct"), ("nsproxy", 112, "*nsproxy")];
    let (tasks, _) = k.tasks(2, 4096, 256, &more);
    k.structure("mm_struct", 64, &[("pgd", 0, "*void")]);
    let files = k.files(tasks[0], in_list);
    (k, files)
}

#[test]
fn files_are_told_as_crash_lays_them_out() {
    let (k, made) = made(true);
    let text = ask(&k, "files 1");
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[1], "ROOT: /    CWD: /var");
    assert_eq!(lines[2], " FD       FILE            DENTRY           INODE       TYPE PATH");
    let row = |fd: u64, file: usize, n: usize, rest: &str| {
        format!("{fd:3} {:x} {:x} {:x} {rest}", made.files[file], made.dentries[n], made.inodes[n])
    };
    assert_eq!(lines[3], row(0, 0, 4, "FIFO pipe:[104]"));
    assert_eq!(lines[4], row(3, 1, 3, "REG  /var/x.log"));
    let text = ask(&k, "files -c 1");
    assert_eq!(text.lines().nth(2).unwrap(), " FD      INODE          I_MAPPING     NRPAGES TYPE PATH");
    let want =
        format!("  3 {:x} {:x}       2 REG  /var/x.log", made.inodes[3], made.inodes[3] + Files::MAPPING);
    assert_eq!(text.lines().nth(4).unwrap(), want);
    // what refers to a path, a descriptor, an address; nothing of what does not
    for (reference, found) in [
        ("x.log", Some(3)),
        ("3", Some(3)),
        (&*format!("{:x}", made.files[0]), Some(0)),
        (&*format!("{:x}", made.inodes[3] + Files::MAPPING), Some(3)),
        ("FIFO", Some(0)),
        ("nothing", None),
    ] {
        let text = ask(&k, &format!("files -R {reference} 1"));
        let rows: Vec<&str> = text.lines().skip(3).filter(|l| !l.is_empty()).collect();
        let fds: Vec<u64> = rows.iter().map(|row| row[..3].trim().parse().unwrap()).collect();
        assert_eq!(fds, found.into_iter().collect::<Vec<u64>>(), "{reference}: {text}");
    }
    assert!(ask(&k, "files -R / 1").contains("ROOT: /"));
    assert!(ask(&k, "foreach files -R x.log").contains("/var/x.log"));
    // the other task has none
    assert!(
        ask(&k, "files 2").contains("task 2 has no root and working directory any more"),
        "{}",
        ask(&k, "files 2")
    );
    assert!(try_ask(&k, "files -c -d 1").unwrap_err().contains("stand alone"));
}

#[test]
fn a_deleted_file_is_told_so_and_a_dentry_alone() {
    let (mut k, made) = made(true);
    let line = format!("files -d {:x}", made.dentries[3]);
    assert!(ask(&k, &line).ends_with(&format!("{:x} REG  /x.log\n", made.sbs[1])), "{}", ask(&k, &line));
    k.set(made.dentries[3], "dentry", "d_hash.pprev", 0);
    assert!(ask(&k, "files 1").contains("REG  /var/x.log (deleted)"));
    assert!(ask(&k, "fuser /var/x.log").contains("fd"), "by its old path");
    k.set(made.dentries[3], "dentry", "d_inode", 0);
    assert!(ask(&k, &line).contains("<(none)>"), "{}", ask(&k, &line));
    assert!(try_ask(&k, &format!("files -d {:x}", made.mounts[0])).unwrap_err().contains("is no dentry"));
}

#[test]
fn the_pages_of_a_file_are_listed_counted_and_saved() {
    let (mut k, made) = made(true);
    let inode = made.inodes[3];
    let text = ask(&k, &format!("files -p {inode:x}"));
    let rows: Vec<&str> = text.lines().collect();
    assert_eq!(rows[..2], ["     INODE        NRPAGES", &format!("{inode:x}        2")]);
    assert!(
        rows[4].starts_with(&format!("{:x} ", made.pages[0])) && rows[4].ends_with("0  2 8 uptodate"),
        "{text}"
    );
    assert!(
        rows[5].starts_with(&format!("{:x} ", made.pages[1])) && rows[5].ends_with("2  2 8 uptodate"),
        "{text}"
    );
    let folder = std::env::temp_dir().join(format!("crashlens-saved-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("x");
    let line = format!("files --save {inode:x} {}", path.display());
    assert!(ask(&k, &line).contains("6144 of 10240 bytes written"), "{}", ask(&k, &line));
    let bytes = std::fs::read(&path).unwrap();
    assert_eq!((bytes.len(), bytes[0], bytes[4096], bytes[8192], bytes[10239]), (10240, b'a', 0, b'b', b'b'));
    let holes = std::fs::read_to_string(folder.join("x.holes")).unwrap();
    assert_eq!(holes, "0x1000-0x2000 not in the page cache\n");
    // a page that is still being read has nothing of the file
    k.set(made.pages[1], "page", "flags", 0);
    assert!(ask(&k, &line).contains("hole 0x2000-0x2800: in the page cache, and not read from the disk yet"));
    std::fs::remove_dir_all(&folder).unwrap();
    k.exclude(made.pages[1] & !4095);
    let report = answer(&k, &format!("files -p {inode:x}")).unwrap();
    assert!(ask(&k, &format!("files -p {inode:x}")).contains("the pages are not whole"), "{report:?}");
}

#[test]
fn pages_are_counted_by_node() {
    let (mut k, made) = made(true);
    k.structure("pglist_data", 64, &[("node_start_pfn", 0, "u64"), ("node_spanned_pages", 8, "u64")]);
    let node = k.variable("contig_page_data", 64);
    k.word(node + 8, 1 << 20);
    let text = ask(&k, &format!("files -n {:x}", made.inodes[3]));
    assert!(text.ends_with("     NODE           PAGES\n      0                 2\n"), "{text}");
    k.word(node + 8, 1);
    let text = ask(&k, &format!("files -n {:x}", made.inodes[3]));
    assert!(text.contains("of which node 2 more pages are is not known"), "{text}");
}

#[test]
fn what_is_mounted_in_a_list_and_in_a_tree() {
    for in_list in [true, false] {
        let (mut k, made) = made(in_list);
        let head = "     MOUNT           SUPERBLK     TYPE   DEVNAME   DIRNAME\n";
        let rows = [
            format!("{:x} {:x} rootfs rootfs    /\n", made.mounts[0], made.sbs[0]),
            format!("{:x} {:x} ext4   /dev/vda  /var\n", made.mounts[1], made.sbs[1]),
        ];
        assert_eq!(ask(&k, "mount"), format!("{head}{}{}", rows[0], rows[1]), "{in_list}");
        assert_eq!(ask(&k, "mount -n 1"), ask(&k, "mount"));
        let words = ["/dev/vda".to_owned(), "/var".to_owned()];
        let numbers = [made.mounts[1], made.mounts[1] + 64, made.sbs[1], made.dentries[3], made.inodes[3]];
        for word in words.into_iter().chain(numbers.map(|at| format!("{at:x}"))) {
            assert_eq!(ask(&k, &format!("mount {word}")), format!("{head}{}", rows[1]), "{word}");
        }
        assert!(try_ask(&k, "mount /nowhere").unwrap_err().contains("nothing that is mounted has"));
        let open = ask(&k, "mount -f /var");
        assert!(open.contains("OPEN FILES") && open.contains("REG  /var/x.log"), "{open}");
        assert!(ask(&k, "mount -i /var").contains("No dirty inodes found"));
        k.set(made.inodes[3], "inode", "i_state", 4);
        let text = ask(&k, "mount -i /var");
        assert!(text.contains(&format!("DIRTY INODES\n{:x}\n", made.inodes[3])), "{text}");
        // since 6.12 the bits have names, and other places
        k.enumeration(
            "inode_state_flags_t",
            &[("I_DIRTY_SYNC", 8), ("I_DIRTY_DATASYNC", 16), ("I_DIRTY_PAGES", 32)],
        );
        assert!(ask(&k, "mount -i /var").contains("No dirty inodes found"));
        // one that is lost
        k.exclude(made.mounts[1]);
        let report = answer(&k, "mount").unwrap();
        let text = ask(&k, "mount");
        assert!(text.contains("the mounts are not whole") || text.contains('?'), "{in_list}: {text}");
        assert!(!report.failed());
    }
}

#[test]
fn a_reader_of_the_list_is_no_mount() {
    let (mut k, made) = made(true);
    k.set(made.mounts[1], "mount", "mnt.mnt_sb", 0).set(
        made.mounts[1],
        "mount",
        "mnt.mnt_flags",
        0x1000_0000,
    );
    k.set(made.namespace, "mnt_namespace", "mounts", 1);
    let text = ask(&k, "mount");
    assert_eq!(text.lines().count(), 2, "{text}");
}

#[test]
fn who_uses_a_file() {
    let (k, made) = made(true);
    let head = " PID         TASK        COMM             USAGE\n";
    let text = ask(&k, "fuser /var/x.log");
    assert!(text.contains(head) && text.trim_end().ends_with("\"made\"           fd"), "{text}");
    assert_eq!(ask(&k, &format!("fuser {:x}", made.inodes[3])), text);
    assert!(ask(&k, "fuser /").contains("root"));
    assert!(ask(&k, "fuser /var").trim_end().ends_with("cwd"));
    assert!(ask(&k, "fuser /none").ends_with("No users of /none found\n"));
    assert!(
        try_ask(&k, "fuser x.log").unwrap_err().contains("neither a full path nor the address of an inode")
    );
}

#[test]
fn what_is_missing_is_no_closed_file() {
    let (whole, made) = made(true);
    let lost = |at: u64| {
        let mut k = whole.clone();
        k.exclude(at);
        k
    };
    assert!(ask(&lost(made.table), "files 1").contains("the open files are not whole"));
    assert!(!ask(&lost(made.table), "files 1").contains("No open files"));
    assert!(ask(&lost(made.table), "fuser /var/x.log").contains("not whole"));
    let text = ask(&lost(made.files[1]), "files 1");
    assert!(text.contains(&format!("  3 {:x} ", made.files[1])) && text.contains("<?>"), "{text}");
    assert!(text.contains("<path not readable>"), "{text}");
    let mut k = whole.clone();
    k.without_btf();
    assert!(ask(&k, "files 1").contains("could not be inferred"), "{}", ask(&k, "files 1"));
    let why = try_ask(&k, "mount -n 1").unwrap_err();
    assert!(why.contains("could not be inferred"), "{why}");
}

#[test]
fn dentries_are_counted_and_listed() {
    for is_new in [true, false] {
        let (mut k, made) = made(true);
        let [gone, reader] = k.dcache(&made, is_new);
        let [root, var, mounted, log, _] = made.dentries;
        let text = ask(&k, "dentries");
        let row = |n: usize, counts: [u64; 3], kind: &str, id: &str| {
            let [all, negative, unused] = counts;
            format!("{:x} {all:>8} {negative:>8} {unused:>8}  {kind:11} {id}", made.sbs[n])
        };
        let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
        assert_eq!(lines[1], row(0, [2, 0, 2], "rootfs", "").trim_end(), "{text}");
        assert_eq!(lines[2], row(1, [3, 1, 2], "ext4", "vda"), "{text}");
        let sum =
            "The kernel counts 7 dentries, 2 of them unused, 1 of these negative; 5 are in directories.";
        assert!(text.contains(sum), "{text}");
        let rows = |line: &str| -> Vec<String> {
            ask(&k, line).lines().skip(1).map(|line| line.trim_end().to_owned()).collect()
        };
        let own =
            |at: u64, inode: u64, users: u64, path: &str| format!("{at:x} {inode:>16x} {users:>6}  {path}");
        let names = [
            own(mounted, made.inodes[2], 0, "/"),
            own(log, made.inodes[3], 1, "/x.log"),
            own(gone, 0, 0, "/gone"),
        ];
        for below in ["/var".to_owned(), format!("{:x}", made.sbs[1]), format!("{mounted:x}")] {
            assert_eq!(
                rows(&format!("dentries {below}")),
                names,
                "{below}: a reader's place {reader:x} is no name"
            );
        }
        assert_eq!(
            rows("dentries /"),
            [own(root, made.inodes[0], 0, "/"), own(var, made.inodes[1], 0, "/var")]
        );
        assert_eq!(rows("dentries /var/x.log"), [own(log, made.inodes[3], 1, "x.log")]);
        assert_eq!(rows("dentries -n /var"), [names[2].clone()]);
        assert_eq!(rows("dentries -u /var"), [names[0].clone(), names[2].clone()]);
        assert!(ask(&k, "dentries -n").contains("/gone"));
        let top = format!("{mounted:x}        2        1  /");
        for line in ["dentries -t 1", "dentries -t 5 /var"] {
            assert_eq!(rows(line).join("|"), top, "{line}");
        }
        for (line, why) in [
            ("dentries /var/none", "none is not in the cache of names"),
            ("dentries zz", "not a path and not an address"),
            ("dentries -t 1 -n", "cannot be used with"),
        ] {
            let got = try_ask(&k, line);
            assert!(got.as_ref().is_err_and(|e| e.contains(why)), "{line}: {got:?}");
        }
    }
}

#[test]
fn dentries_that_are_lost_are_told() {
    for is_new in [true, false] {
        let (mut k, made) = made(true);
        let [gone, _] = k.dcache(&made, is_new);
        let mut lost = k.clone();
        lost.exclude(gone);
        for line in ["dentries", "dentries /var", "dentries -t 3"] {
            assert!(answer(&lost, line).unwrap().is_incomplete(), "{line} {is_new}");
        }
        assert!(ask(&lost, "dentries").contains("at least"), "{}", ask(&lost, "dentries"));
        assert!(try_ask(&lost, "dentries /var/gone").is_err());
        // a directory that has itself, and a name of another directory
        let mut lies = k.clone();
        lies.set(gone, "dentry", "d_parent", made.dentries[0]);
        assert!(ask(&lies, "dentries /var").contains("and says"), "{}", ask(&lies, "dentries /var"));
        let (child, children) = if is_new { (72, 64) } else { (80, 64) };
        let mut circle = k.clone();
        circle.word(gone + children, gone + child).word(gone + child + 8, gone + children);
        assert!(answer(&circle, "dentries /var").unwrap().is_incomplete());
        k.without_btf();
        assert!(try_ask(&k, "dentries").is_err());
    }
}
