//! The cache of names of a generated kernel that has [`Kernel::files`].

use super::{Files, Kernel};

impl Kernel {
    /// Links the dentries of files into their directories, in lists or (since 6.8) in hash lists, and their super blocks into the
    /// kernel's list; the addresses of two dentries more in `/var`: of a name `gone` that no file has, and a reader's place.
    pub fn dcache(&mut self, files: &Files, is_new: bool) -> [u64; 2] {
        self.structure("lockref", 8, &[("count", 4, "s32")]);
        self.member("dentry", ("d_lockref", 96, "lockref"));
        if is_new {
            self.structure("hlist_node", 16, &[("next", 0, "*hlist_node"), ("pprev", 8, "*void")]);
            self.structure("hlist_head", 8, &[("first", 0, "*hlist_node")]);
            self.member("dentry", ("d_children", 64, "hlist_head"))
                .member("dentry", ("d_sib", 72, "hlist_node"));
        } else {
            self.member("dentry", ("d_subdirs", 64, "list_head"))
                .member("dentry", ("d_child", 80, "list_head"));
        }
        self.member("super_block", ("s_list", 80, "list_head"));
        self.member("super_block", ("s_root", 96, "*dentry"));
        let [root, var, mounted, log, pipe] = files.dentries;
        let more = ["gone", if is_new { "/" } else { "." }].map(|name| {
            let (at, text) = (self.memory(4096), self.text(name));
            self.set(at, "dentry", "d_parent", mounted).set(at, "dentry", "d_name.name", text);
            self.set(at, "dentry", "d_name.len", name.len() as u64).set(at, "dentry", "d_sb", files.sbs[1]);
            at
        });
        self.set(log, "dentry", "d_lockref.count", 1);
        for (directory, inside) in [
            (root, vec![var]),
            (mounted, vec![log, more[1], more[0]]),
            (var, vec![]),
            (log, vec![]),
            (more[0], vec![]),
            (pipe, vec![]),
        ] {
            if is_new {
                let mut from = directory + 64;
                for at in inside {
                    self.word(from, at + 72).word(at + 80, from);
                    from = at + 72;
                }
            } else {
                let links: Vec<u64> = inside.iter().map(|at| at + 80).collect();
                self.link(directory + 64, &links);
            }
        }
        for (sb, root) in files.sbs.into_iter().zip([root, mounted]) {
            self.set(sb, "super_block", "s_root", root);
        }
        let head = self.variable("super_blocks", 16);
        self.link(head, &files.sbs.map(|sb| sb + 80));
        for (name, count) in [("nr_dentry", 7), ("nr_dentry_unused", 2), ("nr_dentry_negative", 1)] {
            let at = self.per_cpu(name, 8);
            let own = self.on_cpu(at, 0);
            self.word(own, count);
        }
        more
    }
}
