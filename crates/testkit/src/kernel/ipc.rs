//! System V IPC of a generated kernel.

use super::Kernel;

/// The objects of a namespace; each is in a page of its own.
#[derive(Clone, Debug)]
pub struct Ipc {
    /// `init_ipc_ns`.
    pub namespace: u64,
    /// Two `shmid_kernel`s, with the ids of [`Ipc::IDS`]: 64 KiB, of which a page is in memory and two are in swap; and two
    /// huge pages of 2 MiB.
    pub segments: [u64; 2],
    /// The inode of the first segment's file.
    pub inode: u64,
    /// A `sem_array` of three semaphores.
    pub array: u64,
    /// A `msg_queue` with a message of 8 bytes.
    pub queue: u64,
    /// The nodes of the segments' table.
    pub nodes: Vec<u64>,
}

impl Ipc {
    /// The ids of the segments; those of the other objects are 0. A sequence number is above 15 bits of the slot.
    pub const IDS: [u64; 2] = [0, 2 << 15 | 70];
    /// Bytes of an `ipc_ids`, and where it has its table.
    const TABLE: (u64, u64) = (96, 16);
    /// Where each object has its perm.
    const PERM: u64 = 64;
}

impl Kernel {
    /// A namespace with objects of all three facilities, in tables of an age ([`Kernel::idr`]). The tasks, which
    /// [`Kernel::tasks`] made with a member `nsproxy`, are in it, the idle task too. An object's key is `0x80001234`, its uid
    /// 33, its mode 640 with both bits of segments.
    pub fn ipc(&mut self, age: &str, tasks: &[u64]) -> Ipc {
        self.idr(age);
        self.ipc_structs();
        let namespace = self.variable("init_ipc_ns", 3 * Ipc::TABLE.0);
        let proxy = self.object("nsproxy");
        self.set(proxy, "nsproxy", "ipc_ns", namespace);
        let init = self.at("init_task");
        for task in tasks.iter().copied().chain([init]) {
            self.set(task, "task_struct", "nsproxy", proxy);
        }
        let [first, second, array, queue] = [(); 4].map(|()| self.memory(4096));
        let segments = [first, second];
        for (at, id) in [(first, Ipc::IDS[0]), (second, Ipc::IDS[1]), (array, 0), (queue, 0)] {
            for (name, value) in [("id", id), ("key", 0x8000_1234), ("uid.val", 33), ("mode", 0o3640)] {
                self.set(at + Ipc::PERM, "kern_ipc_perm", name, value);
            }
        }
        for (at, bytes) in [(first, 65536), (second, 4 << 20)] {
            self.set(at, "shmid_kernel", "shm_segsz", bytes).set(at, "shmid_kernel", "shm_nattch", 5);
        }
        self.set(array, "sem_array", "sem_nsems", 3);
        self.set(queue, "msg_queue", "q_cbytes", 8).set(queue, "msg_queue", "q_qnum", 1);
        self.ipc_table(namespace, &[array]);
        self.ipc_table(namespace + Ipc::TABLE.0, &[queue]);
        let nodes = self.ipc_table(namespace + 2 * Ipc::TABLE.0, &segments);
        let inode = self.ipc_files(age, segments);
        Ipc { namespace, segments, inode, array, queue, nodes }
    }

    /// The table of a facility; the nodes of its IDR.
    fn ipc_table(&mut self, ids: u64, objects: &[u64]) -> Vec<u64> {
        let slots = Ipc::IDS.map(|id| id & 0x7fff);
        let items: Vec<(u64, u64)> = slots.into_iter().zip(objects.iter().map(|at| at + Ipc::PERM)).collect();
        self.set(ids, "ipc_ids", "in_use", items.len() as u64);
        self.fill_idr(ids + Ipc::TABLE.1, &items)
    }

    fn ipc_structs(&mut self) {
        self.structure("kuid_t", 4, &[("val", 0, "u32")]);
        let perm = [
            ("deleted", 4, "bool"),
            ("id", 8, "s32"),
            ("key", 12, "s32"),
            ("uid", 16, "kuid_t"),
            ("mode", 32, "u16"),
        ];
        self.structure("kern_ipc_perm", 64, &perm);
        self.structure("nsproxy", 64, &[("ipc_ns", 16, "*ipc_namespace")]);
        self.structure("ipc_namespace", 3 * Ipc::TABLE.0, &[("ids", 0, "ipc_ids[3]")]);
        let (size, table) = Ipc::TABLE;
        self.structure("ipc_ids", size, &[("in_use", 0, "s32"), ("ipcs_idr", table, "idr")]);
        let own = Ipc::PERM;
        let segment = [
            ("shm_perm", own, "kern_ipc_perm"),
            ("shm_file", 128, "*file"),
            ("shm_nattch", 136, "u64"),
            ("shm_segsz", 144, "u64"),
        ];
        self.structure("shmid_kernel", 256, &segment);
        self.structure("sem_array", 256, &[("sem_perm", own, "kern_ipc_perm"), ("sem_nsems", 184, "s32")]);
        let queue = [("q_perm", own, "kern_ipc_perm"), ("q_cbytes", 152, "u64"), ("q_qnum", 160, "u64")];
        self.structure("msg_queue", 256, &queue);
    }

    /// The files of the segments, of tmpfs and of hugetlbfs; the first one's inode.
    fn ipc_files(&mut self, age: &str, segments: [u64; 2]) -> u64 {
        let tree = if age == "xarray" { "xarray" } else { "radix_tree_root" };
        if age == "layers" {
            self.structure(tree, 16, &[("rnode", 8, "*void")]);
        }
        self.structure("file", 64, &[("f_inode", 8, "*inode")]);
        self.structure("address_space", 64, &[("i_pages", 0, tree), ("nrpages", 48, "u64")]);
        let inode = [("i_sb", 0, "*super_block"), ("i_mapping", 8, "*void"), ("i_data", 16, "address_space")];
        self.structure("inode", 128, &inode);
        let sb = [("s_blocksize", 0, "u64"), ("s_type", 8, "*file_system_type")];
        self.structure("super_block", 64, &sb);
        self.structure("file_system_type", 16, &[("name", 0, "*char")]);
        self.structure("shmem_inode_info", 256, &[("swapped", 8, "u64"), ("vfs_inode", 64, "inode")]);
        let inodes = [(segments[0], "tmpfs", 4096, 1), (segments[1], "hugetlbfs", 2 << 20, 1024)].map(
            |(segment, kind, block, pages)| {
                let [file, sb, of] =
                    ["file", "super_block", "file_system_type"].map(|name| self.object(name));
                let (info, name) = (self.memory(4096), self.text(kind));
                let inode = info + 64;
                self.set(of, "file_system_type", "name", name);
                self.set(sb, "super_block", "s_blocksize", block).set(sb, "super_block", "s_type", of);
                self.set(inode, "inode", "i_sb", sb).set(inode, "inode", "i_mapping", inode + 16);
                self.set(inode, "inode", "i_data.nrpages", pages);
                self.set(info, "shmem_inode_info", "swapped", 2);
                self.set(file, "file", "f_inode", inode).set(segment, "shmid_kernel", "shm_file", file);
                inode
            },
        );
        if age != "layers" {
            // the tree of a file's pages is what the IDR is made of
            self.fill_idr(inodes[1] + 16, &[(0, 0x1000), (1, 0x2000)]);
        }
        inodes[0]
    }
}
