//! Files of a generated kernel: a tree with two mounts, open files of its first task, pages of one file.

use super::Kernel;

/// What is there. Each object is in a page of its own.
#[derive(Clone, Debug)]
pub struct Files {
    /// `struct mount`s: of `/` (rootfs), and of `/var` (ext4 on `/dev/vda`).
    pub mounts: [u64; 2],
    /// Their super blocks.
    pub sbs: [u64; 2],
    /// The mount namespace.
    pub namespace: u64,
    /// Dentries: `/`, `/var`, the root of what is mounted there, `/var/x.log`, a pipe.
    pub dentries: [u64; 5],
    /// The inodes of the same.
    pub inodes: [u64; 5],
    /// `struct file`s: 0 is the pipe, 3 is `/var/x.log`.
    pub files: [u64; 2],
    /// The pointers to them.
    pub table: u64,
    /// The `struct page`s of `/var/x.log`: page 0 and page 2 of three.
    pub pages: [u64; 2],
}

impl Files {
    /// Bytes of `/var/x.log`: two pages and a half.
    pub const LENGTH: u64 = 2 * 4096 + 2048;
    /// Where an inode has its `address_space`.
    pub const MAPPING: u64 = 64;
}

impl Kernel {
    /// A tree of files, of which the task has two open. It is to be made by [`Kernel::tasks`] with members `fs`, `files` and
    /// `nsproxy`. The mounts are in a list (to 6.7), or in a tree.
    pub fn files(&mut self, task: u64, in_list: bool) -> Files {
        self.file_structs(in_list);
        let page = |k: &mut Self| k.memory(4096);
        let sbs = [(); 2].map(|()| page(self));
        for (sb, kind, id) in [(sbs[0], "rootfs", ""), (sbs[1], "ext4", "vda")] {
            let (of, name) = (page(self), self.text(kind));
            self.set(of, "file_system_type", "name", name).set(sb, "super_block", "s_type", of);
            self.set_text(sb, "super_block", "s_id", id);
        }
        let inodes = [(); 5].map(|()| page(self));
        let of = [sbs[0], sbs[0], sbs[1], sbs[1], sbs[0]];
        let modes = [0o040_755, 0o040_755, 0o040_755, 0o100_644, 0o010_600];
        for (n, inode) in (0_u64..).zip(inodes) {
            self.set(inode, "inode", "i_mapping", inode + Files::MAPPING).set(
                inode,
                "inode",
                "i_ino",
                100 + n,
            );
            self.set(inode, "inode", "i_sb", of[n as usize]).set(inode, "inode", "i_mode", modes[n as usize]);
        }
        for sb in sbs {
            let own = (0..4).filter(|n| of[*n] == sb).map(|n| inodes[n] + 32).collect::<Vec<_>>();
            self.link(sb + 64, &own);
        }
        let dentries = [(); 5].map(|()| page(self));
        let [root, var, mounted, log, pipe] = dentries;
        let named = [
            (root, root, "/"),
            (var, root, "var"),
            (mounted, mounted, "/"),
            (log, mounted, "x.log"),
            (pipe, pipe, ""),
        ];
        for (n, (at, parent, name)) in named.into_iter().enumerate() {
            let text = self.text(name);
            self.set(at, "dentry", "d_parent", parent).set(at, "dentry", "d_name.name", text);
            self.set(at, "dentry", "d_name.len", name.len() as u64).set(at, "dentry", "d_inode", inodes[n]);
            self.set(at, "dentry", "d_sb", of[n]).set(at, "dentry", "d_hash.pprev", at);
        }
        let (ops, dname) = (page(self), self.function("pipefs_dname", 0x800));
        self.set(ops, "dentry_operations", "d_dname", dname).set(pipe, "dentry", "d_op", ops);
        let (mounts, namespace) = self.mounts_of(in_list, (sbs, dentries));
        let pages = self.pages_of(inodes[3]);
        let files = [(); 2].map(|()| page(self));
        for (file, dentry, inode, mnt) in
            [(files[0], pipe, inodes[4], mounts[0]), (files[1], log, inodes[3], mounts[1])]
        {
            self.set(file, "file", "f_path.dentry", dentry).set(file, "file", "f_path.mnt", mnt + 64);
            self.set(file, "file", "f_inode", inode);
        }
        let [table, fdt, own, fs, proxy] = [(); 5].map(|()| page(self));
        self.word(table, files[0]).word(table + 24, files[1]);
        self.set(fdt, "fdtable", "max_fds", 64).set(fdt, "fdtable", "fd", table);
        self.set(own, "files_struct", "fdt", fdt);
        for (name, mnt, dentry) in [("root", mounts[0], root), ("pwd", mounts[1], mounted)] {
            self.set(fs, "fs_struct", &format!("{name}.mnt"), mnt + 64);
            self.set(fs, "fs_struct", &format!("{name}.dentry"), dentry);
        }
        self.set(proxy, "nsproxy", "mnt_ns", namespace);
        self.set(task, "task_struct", "fs", fs).set(task, "task_struct", "files", own);
        self.set(task, "task_struct", "nsproxy", proxy);
        Files { mounts, sbs, namespace, dentries, inodes, files, table, pages }
    }

    fn mounts_of(&mut self, in_list: bool, (sbs, dentries): ([u64; 2], [u64; 5])) -> ([u64; 2], u64) {
        let [root, var, mounted, ..] = dentries;
        let (mounts, namespace) = ([(); 2].map(|()| self.memory(4096)), self.memory(4096));
        let placed = [(mounts[0], root, root, "rootfs"), (mounts[0], var, mounted, "/dev/vda")];
        for (n, (at, (parent, point, own, device))) in mounts.into_iter().zip(placed).enumerate() {
            let device = self.text(device);
            self.set(at, "mount", "mnt_parent", parent).set(at, "mount", "mnt_mountpoint", point);
            self.set(at, "mount", "mnt.mnt_root", own).set(at, "mount", "mnt.mnt_sb", sbs[n]);
            self.set(at, "mount", "mnt_devname", device);
        }
        if in_list {
            let links = mounts.map(|at| at + 128);
            self.link(namespace + 8, &links);
            self.set(namespace, "mnt_namespace", "mounts", 2);
        } else {
            // the second is right of the first
            self.set(namespace, "mnt_namespace", "mounts.rb_node", mounts[0] + 128);
            self.word(mounts[0] + 128 + 8, mounts[1] + 128);
            self.set(namespace, "mnt_namespace", "nr_mounts", 2);
        }
        (mounts, namespace)
    }

    /// Pages of a file in the direct map's first frames, with their content.
    fn pages_of(&mut self, inode: u64) -> [u64; 2] {
        let frames = [self.memory(4096), self.memory(4096)];
        let pages = frames.map(|at| self.page(self.pfn(at)));
        for (n, (page, frame)) in pages.into_iter().zip(frames).enumerate() {
            self.put(frame, &[b'a' + n as u8; 4096]);
            self.set(page, "page", "mapping", inode + Files::MAPPING).set(
                page,
                "page",
                "index",
                n as u64 * 2,
            );
            self.set(page, "page", "_refcount", 2).set(page, "page", "flags", 1 << 3);
        }
        self.fill_idr(inode + Files::MAPPING, &[(0, pages[0]), (2, pages[1])]);
        self.set(inode, "inode", "i_data.nrpages", 2).set(inode, "inode", "i_size", Files::LENGTH);
        pages
    }

    fn file_structs(&mut self, in_list: bool) {
        self.idr("xarray");
        self.enumeration(
            "pageflags",
            &[("PG_locked", 0), ("PG_uptodate", 3), ("PG_head", 6), ("__NR_PAGEFLAGS", 20)],
        );
        let page =
            [("flags", 0, "u64"), ("mapping", 24, "*void"), ("index", 32, "u64"), ("_refcount", 52, "s32")];
        self.structure("page", 64, &page);
        self.structure("path", 16, &[("mnt", 0, "*vfsmount"), ("dentry", 8, "*dentry")]);
        self.structure("qstr", 16, &[("len", 4, "u32"), ("name", 8, "*char")]);
        self.structure("hlist_bl_node", 16, &[("next", 0, "*void"), ("pprev", 8, "*void")]);
        let dentry = [
            ("d_hash", 0, "hlist_bl_node"),
            ("d_parent", 16, "*dentry"),
            ("d_name", 24, "qstr"),
            ("d_inode", 40, "*inode"),
            ("d_op", 48, "*dentry_operations"),
            ("d_sb", 56, "*super_block"),
        ];
        self.structure("dentry", 128, &dentry);
        self.structure("dentry_operations", 64, &[("d_dname", 32, "*void")]);
        self.structure(
            "vfsmount",
            32,
            &[("mnt_root", 0, "*dentry"), ("mnt_sb", 8, "*super_block"), ("mnt_flags", 16, "s32")],
        );
        let mount = [
            ("mnt_parent", 16, "*mount"),
            ("mnt_mountpoint", 24, "*dentry"),
            ("mnt", 64, "vfsmount"),
            ("mnt_devname", 112, "*char"),
        ];
        self.structure("mount", 256, &mount);
        self.structure("rb_node", 24, &[("rb_right", 8, "*rb_node"), ("rb_left", 16, "*rb_node")]);
        self.structure("rb_root", 8, &[("rb_node", 0, "*rb_node")]);
        if in_list {
            self.member("mount", ("mnt_list", 128, "list_head"));
            self.structure("mnt_namespace", 64, &[("list", 8, "list_head"), ("mounts", 40, "u32")]);
        } else {
            self.member("mount", ("mnt_node", 128, "rb_node"));
            self.structure("mnt_namespace", 64, &[("mounts", 8, "rb_root"), ("nr_mounts", 40, "u32")]);
        }
        let sb =
            [("s_type", 0, "*file_system_type"), ("s_id", 16, "char[32]"), ("s_inodes", 64, "list_head")];
        self.structure("super_block", 256, &sb);
        self.structure("file_system_type", 16, &[("name", 0, "*char")]);
        self.structure("address_space", 64, &[("i_pages", 0, "xarray"), ("nrpages", 48, "u64")]);
        let inode = [
            ("i_mode", 0, "u16"),
            ("i_sb", 8, "*super_block"),
            ("i_mapping", 16, "*address_space"),
            ("i_ino", 24, "u64"),
            ("i_sb_list", 32, "list_head"),
            ("i_size", 48, "s64"),
            ("i_state", 56, "u64"),
            ("i_data", Files::MAPPING, "address_space"),
        ];
        self.structure("inode", 256, &inode);
        self.structure(
            "file",
            64,
            &[("f_path", 16, "path"), ("f_inode", 32, "*inode"), ("f_flags", 40, "u32")],
        );
        self.structure("fs_struct", 64, &[("root", 16, "path"), ("pwd", 32, "path")]);
        self.structure("files_struct", 64, &[("fdt", 32, "*fdtable")]);
        self.structure("fdtable", 32, &[("max_fds", 0, "u32"), ("fd", 8, "**file")]);
        self.structure("nsproxy", 64, &[("mnt_ns", 24, "*mnt_namespace"), ("net_ns", 40, "*net")]);
    }
}
