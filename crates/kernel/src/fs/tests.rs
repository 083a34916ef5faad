//! Paths and open files of a tree that is made: `/` with `var/log`, on which another file system is mounted.

use super::file::open_file;
use super::path::of_file;
use crate::session::Session;
use crate::testing::session;
use base::VirtAddr;
use testkit::kernel::Kernel;

struct Made {
    k: Kernel,
    task: u64,
    /// Dentries, each in a page of its own: `/`, `var`, `log`, the mounted root, `x.log`.
    dentries: [u64; 5],
    mounts: [u64; 2],
    file: u64,
    table: u64,
}

fn made() -> Made {
    let mut k = Kernel::new();
    let (tasks, _) = k.old_tasks(1);
    let task = tasks[0];
    k.member("task_struct", ("files", 96, "*files_struct"));
    k.structure("files_struct", 64, &[("fdt", 32, "*fdtable")]);
    k.structure("fdtable", 32, &[("max_fds", 0, "u32"), ("fd", 8, "**file")]);
    k.structure("path", 16, &[("mnt", 0, "*vfsmount"), ("dentry", 8, "*dentry")]);
    k.structure("file", 64, &[("f_path", 16, "path"), ("f_flags", 40, "u32")]);
    k.structure("qstr", 16, &[("len", 4, "u32"), ("name", 8, "*char")]);
    k.structure("dentry", 64, &[("d_parent", 0, "*dentry"), ("d_name", 16, "qstr")]);
    k.structure("vfsmount", 32, &[("mnt_root", 0, "*dentry"), ("mnt_sb", 8, "*void")]);
    let mount = [("mnt_parent", 0, "*mount"), ("mnt_mountpoint", 8, "*dentry"), ("mnt", 16, "vfsmount")];
    k.structure("mount", 64, &mount);
    let dentries = [(); 5].map(|()| k.memory(4096));
    let [root, var, log, mounted, x] = dentries;
    for (at, parent, name) in [
        (root, root, "/"),
        (var, root, "var"),
        (log, var, "log"),
        (mounted, mounted, "/"),
        (x, mounted, "x.log"),
    ] {
        let text = k.text(name);
        k.set(at, "dentry", "d_parent", parent).set(at, "dentry", "d_name.name", text);
        k.set(at, "dentry", "d_name.len", name.len() as u64);
    }
    let mounts = [k.object("mount"), k.object("mount")];
    for (at, parent, point, top) in [(mounts[0], mounts[0], root, root), (mounts[1], mounts[0], log, mounted)]
    {
        k.set(at, "mount", "mnt_parent", parent).set(at, "mount", "mnt_mountpoint", point);
        k.set(at, "mount", "mnt.mnt_root", top);
    }
    let (file, files, fdt, table) =
        (k.object("file"), k.object("files_struct"), k.object("fdtable"), k.memory(4096));
    k.set(file, "file", "f_path.mnt", mounts[1] + 16).set(file, "file", "f_path.dentry", x);
    k.set(file, "file", "f_flags", 0o42000);
    k.word(table + 8, file).set(fdt, "fdtable", "max_fds", 4).set(fdt, "fdtable", "fd", table);
    k.set(files, "files_struct", "fdt", fdt).set(task, "task_struct", "files", files);
    Made { k, task, dentries, mounts, file, table }
}

impl Made {
    fn path(&self) -> Result<String, String> {
        of_file(&session(&self.k), VirtAddr(self.file)).map_err(|e| e.to_string())
    }
    fn open(&self, fd: u64) -> Result<(String, Vec<&'static str>), String> {
        let s: Session = session(&self.k);
        let task = crate::sched::task::read_task(&s, VirtAddr(self.task)).unwrap();
        open_file(&s, &task, fd).map_err(|e| e.to_string())
    }
}

#[test]
fn a_path_leads_over_the_place_of_its_mount() {
    let mut made = made();
    assert_eq!(made.path().unwrap(), "/var/log/x.log");
    // the root of the mount itself
    let (file, root) = (made.file, made.dentries[3]);
    made.k.set(file, "file", "f_path.dentry", root);
    assert_eq!(made.path().unwrap(), "/var/log");
    let (root, mount) = (made.dentries[0], made.mounts[0] + 16);
    made.k.set(file, "file", "f_path.dentry", root).set(file, "file", "f_path.mnt", mount);
    assert_eq!(made.path().unwrap(), "/");
}

#[test]
fn a_path_with_a_part_that_is_missing_is_none() {
    for part in [1, 2, 4] {
        let mut made = made();
        let at = made.dentries[part];
        made.k.exclude(at);
        assert!(made.path().unwrap_err().contains("excluded"), "{part}");
    }
}

#[test]
fn a_path_that_leads_back_to_itself_has_an_end() {
    let mut made = made();
    let [_, var, log, ..] = made.dentries;
    made.k.set(var, "dentry", "d_parent", log);
    assert!(made.path().unwrap_err().contains("it has no end"));
}

#[test]
fn open_files_by_number() {
    let mut made = made();
    assert_eq!(made.open(1).unwrap(), ("/var/log/x.log".to_owned(), vec!["O_APPEND", "O_DIRECT"]));
    assert!(made.open(0).unwrap_err().contains("file 0 is not open"));
    assert!(made.open(4).unwrap_err().contains("no file 4 of 4"));
    let table = made.table;
    made.k.exclude(table);
    assert!(made.open(0).unwrap_err().contains("excluded"), "what cannot be read is not closed");
}
