//! Trees and archives made here.

use super::containers_tests::{deb, packings, tar};
use super::*;
use std::path::{Path, PathBuf};

const FILE: &str = "/build/linux-6.1.9/debian/build/build_amd64/fs/read_write.c";

fn put(path: &Path, text: &str) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

fn sources(named: &[PathBuf], cache: &Path) -> Sources {
    Sources::new(named.to_vec(), "6.1.0-7-amd64", "#1 SMP Debian 6.1.9-2", Watch::default()).with_cache(cache)
}

#[test]
fn lines_of_a_text() {
    let text = SourceText::new("x".into(), b"one\r\ntwo\n\nfour");
    assert_eq!(text.count(), 4);
    assert_eq!([1, 2, 3, 4].map(|n| text.line(n).unwrap()), ["one", "two", "", "four"]);
    assert_eq!((text.line(0), text.line(5)), (None, None));
    assert_eq!(text.lines(3..=9).collect::<Vec<_>>(), [(3, ""), (4, "four")]);
}

#[test]
fn a_tree_by_the_tail_of_the_name() {
    let dir = tempfile::tempdir().unwrap();
    put(&dir.path().join("fs/read_write.c"), "ssize_t vfs_read(\n");
    put(&dir.path().join("init/main.c"), "start_kernel\n");
    let found = sources(&[dir.path().to_owned()], dir.path());
    assert_eq!(found.find(FILE, Effort::Quick).unwrap().line(1), Some("ssize_t vfs_read("));
    // a module's own main.c is not the kernel's
    let error = found.find("/opt/build/module/main.c", Effort::Full).unwrap_err();
    assert!(error.contains("none of the places that --src names"), "{error}");
    let nothing = sources(&[], dir.path()).find(FILE, Effort::Full).unwrap_err();
    assert!(nothing.contains("give --src") && nothing.contains("fs/read_write.c"), "{nothing}");
}

/// An archive as Debian's `linux-source` is one.
fn archive() -> Vec<u8> {
    let big = "int x;\n".repeat(300_000);
    let files = [
        ("linux-source-6.1/Makefile", "# SPDX\nVERSION = 6\nPATCHLEVEL = 1\nSUBLEVEL = 9\nEXTRAVERSION =\n"),
        ("linux-source-6.1/Documentation/fs.rst", "no code"),
        ("linux-source-6.1/drivers/big.c", &big),
        ("linux-source-6.1/fs/read_write.c", "first\nsecond\n"),
        ("linux-source-6.1/tools/fs/read_write.c", "another\n"),
    ];
    tar(&files.map(|(name, text)| (name, text.as_bytes())))
}

#[test]
fn an_archive_is_read_once_and_then_anywhere() {
    for (how, packed) in packings(&archive()) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("linux-source-6.1.tar");
        std::fs::write(&path, packed).unwrap();
        let text = sources(std::slice::from_ref(&path), dir.path()).find(FILE, Effort::Quick).unwrap();
        assert_eq!(text.line(2), Some("second"), "{how}");
        assert!(
            text.from.ends_with("linux-source-6.1.tar: linux-source-6.1/fs/read_write.c"),
            "{}",
            text.from
        );
        // a second session reads what the first one made
        let index = std::fs::read_dir(dir.path().join("source")).unwrap().flatten().map(|e| e.path());
        let index = index.into_iter().find(|p| p.extension().is_some_and(|e| e == "index")).unwrap();
        let listed = std::fs::read_to_string(&index).unwrap();
        assert!(!listed.contains("fs.rst") && listed.contains("drivers/big.c"));
        std::fs::write(&index, listed.replace("fs/read_write.c", "fs/renamed.c")).unwrap();
        let again = sources(&[path], dir.path());
        assert!(
            again.find("fs/renamed.c", Effort::Quick).is_ok() && again.find(FILE, Effort::Quick).is_err()
        );
        assert_eq!(again.find("x/drivers/big.c", Effort::Quick).unwrap().count(), 300_000);
    }
}

#[test]
fn an_archive_in_a_package() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("linux-source-6.1_6.1.9-2_all.deb");
    let inner = packings(&archive()).swap_remove(0).1;
    std::fs::write(&path, deb(&tar(&[("./usr/src/linux-source-6.1.tar.xz", &inner)]))).unwrap();
    assert_eq!(sources(&[path], dir.path()).find(FILE, Effort::Quick).unwrap().line(1), Some("first"));
}

#[test]
fn a_debian_source_package_by_its_dsc() {
    let dir = tempfile::tempdir().unwrap();
    let dsc = dir.path().join("linux_6.1.9-2.dsc");
    std::fs::write(&dsc, "Files:\n 0123 77 linux_6.1.9.orig.tar.xz\n 0123 7 linux_6.1.9-2.debian.tar.xz\n")
        .unwrap();
    let error = sources(std::slice::from_ref(&dsc), dir.path()).find(FILE, Effort::Full).unwrap_err();
    assert!(error.contains(".orig.tar is not beside it"), "{error}");
    std::fs::write(dir.path().join("linux_6.1.9.orig.tar.xz"), archive()).unwrap();
    let text = sources(&[dsc], dir.path()).find(FILE, Effort::Full).unwrap();
    assert_eq!(text.line(1), Some("first"));
    // what was compiled had Debian's patches
    let caveat = text.caveat.as_deref().unwrap();
    assert!(caveat.contains("without the patches in linux_6.1.9-2.debian.tar.xz"), "{caveat}");
}

#[test]
fn what_is_installed_counts_where_it_is_of_the_version() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("usr/src/linux-source-6.1.tar.gz");
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, archive()).unwrap();
    let of = |release: &str, version: &str| {
        Sources::new(Vec::new(), release, version, Watch::default())
            .with_system(root.path())
            .with_cache(root.path())
    };
    let right = of("6.1.0-7-amd64", "#1 SMP Debian 6.1.9-2 (2023-01-01)");
    // an archive that nobody named is not unpacked by the way
    assert!(right.find(FILE, Effort::Quick).is_err());
    assert_eq!(right.find(FILE, Effort::Full).unwrap().line(1), Some("first"));
    assert!(right.find(FILE, Effort::Quick).is_ok());
    let other = of("6.1.0-8-amd64", "#1 SMP Debian 6.1.11-1").find(FILE, Effort::Full).unwrap_err();
    assert!(other.contains("is the source of 6.1.9, not of this kernel"), "{other}");
    assert!(of("6.1.9", "").find(FILE, Effort::Full).is_ok());
    assert!(of("6.1.90", "").find(FILE, Effort::Full).is_err());
    assert!(of("6.6.9", "").find(FILE, Effort::Full).is_err());
}

#[test]
fn a_file_that_is_where_its_name_says() {
    let root = tempfile::tempdir().unwrap();
    let file = "/usr/src/debug/kernel-5.14.0-362.el9/linux-5.14.0-362.el9.x86_64/fs/open.c";
    put(&root.path().join(file.trim_start_matches('/')), "do_sys_open\n");
    let all =
        Sources::new(Vec::new(), "5.14.0-362.el9.x86_64", "", Watch::default()).with_system(root.path());
    assert_eq!(all.find(file, Effort::Quick).unwrap().line(1), Some("do_sys_open"));
    assert!(all.find("/builddir/fs/open.c", Effort::Quick).is_ok(), "the tree has the release in its name");
}

#[test]
fn damaged_archives_are_said() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.tar.xz");
    let packed = packings(&archive()).swap_remove(0).1;
    std::fs::write(&path, &packed[..packed.len() / 2]).unwrap();
    let error = sources(std::slice::from_ref(&path), dir.path()).find(FILE, Effort::Full).unwrap_err();
    assert!(error.contains("a.tar.xz"), "{error}");
    std::fs::write(&path, "no archive").unwrap();
    let error = sources(&[path], dir.path()).find(FILE, Effort::Full).unwrap_err();
    assert!(error.contains("neither a folder nor a tar archive"), "{error}");
}

#[test]
fn debuginfod_is_asked_where_source_is_what_is_wanted() {
    let cache = tempfile::tempdir().unwrap();
    let servers = Debuginfod::new(vec!["http://127.0.0.1:1".into()], cache.path().to_owned()).map(Arc::new);
    let all = sources(&[], cache.path()).with_servers(servers.clone(), Some(vec![0xab]));
    let quick = all.find("/usr/src/x.c", Effort::Quick).unwrap_err();
    assert!(!quick.contains("debuginfod:"), "{quick}");
    let full = all.find("/usr/src/x.c", Effort::Full).unwrap_err();
    assert!(full.contains("debuginfod: http://127.0.0.1:1"), "{full}");
    // what another client fetched is there for both
    let dir = cache.path().join("ab");
    std::fs::create_dir_all(&dir).unwrap();
    let hash = "/usr/src/x.c".bytes().fold(5381_u32, |h, b| h.wrapping_mul(33).wrapping_add(u32::from(b)));
    std::fs::write(dir.join(format!("source-{hash:08x}-#usr#src#x.c")), "int x;\n").unwrap();
    assert_eq!(all.find("/usr/src/x.c", Effort::Quick).unwrap().line(1), Some("int x;"));
}
