//! The network of a generated kernel: a namespace with two devices, neighbours, and sockets.

use super::Kernel;

/// What is there. Each object is in a page of its own.
#[derive(Clone, Debug)]
pub struct Net {
    /// `init_net`.
    pub namespace: u64,
    /// `struct net_device`s: `lo` with 127.0.0.1/8 and ::1/128, `eth0` with 10.0.2.15/24 and no address of IPv6.
    pub devices: [u64; 2],
    /// The first `in_ifaddr`s of both.
    pub addresses: [u64; 2],
    /// `struct neighbour`s of `eth0`: 10.0.2.2 (reachable), fe80::2 (stale).
    pub neighbours: [u64; 2],
    /// `struct socket`s: TCP that listens, TCP, UDP of IPv6, AF_UNIX at `/tmp/x`.
    pub sockets: [u64; 4],
    /// Their `struct sock`s.
    pub socks: [u64; 4],
    /// The `struct file`s of those.
    pub files: [u64; 4],
}

impl Kernel {
    /// A network. Its sockets are the open files 3 to 6 of a table with room for 64, which the task (made by [`Kernel::tasks`]
    /// with members `files` and `nsproxy`) has. `old` has neighbours in chains of pointers (to 6.12).
    pub fn net(&mut self, task: u64, old: bool) -> Net {
        self.net_structs(old);
        let namespace = self.variable("init_net", 64);
        let devices = [(); 2].map(|()| self.memory(4096));
        let links = devices.map(|at| at + 32);
        self.link(namespace + 16, &links);
        for (at, name, kind) in [(devices[0], "lo", 772), (devices[1], "eth0", 1)] {
            self.set_text(at, "net_device", "name", name).set(at, "net_device", "type", kind);
            self.set(at, "net_device", "addr_len", 6).set(at, "net_device", "nd_net.net", namespace);
            let hardware = self.memory(32);
            self.put(hardware, &[0x52, 0x54, 0, 0x12, 0x34, 0x56]).set(
                at,
                "net_device",
                "dev_addr",
                hardware,
            );
        }
        let addresses = self.net_addresses(devices);
        let neighbours = self.net_neighbours(devices[1], old);
        let (sockets, socks, files) = self.net_sockets(namespace, task);
        let proxy = self.memory(4096);
        self.set(proxy, "nsproxy", "net_ns", namespace).set(task, "task_struct", "nsproxy", proxy);
        Net { namespace, devices, addresses, neighbours, sockets, socks, files }
    }

    fn net_addresses(&mut self, devices: [u64; 2]) -> [u64; 2] {
        let own = [([127, 0, 0, 1], 8), ([10, 0, 2, 15], 24)];
        let mut out = [0; 2];
        for (n, device) in devices.into_iter().enumerate() {
            let (of, address) = (self.memory(4096), self.memory(4096));
            let (bytes, prefix) = own[n];
            self.put(address + 8, &bytes).put(address + 12, &bytes);
            self.set(address, "in_ifaddr", "ifa_prefixlen", prefix);
            self.set(of, "in_device", "dev", device).set(of, "in_device", "ifa_list", address);
            self.set(device, "net_device", "ip_ptr", of);
            out[n] = address;
        }
        let (of, address) = (self.memory(4096), self.memory(4096));
        self.put(address, &std::net::Ipv6Addr::LOCALHOST.octets());
        self.set(address, "inet6_ifaddr", "prefix_len", 128).set(of, "inet6_dev", "dev", devices[0]);
        self.link(of + 8, &[address + 32]).set(devices[0], "net_device", "ip6_ptr", of);
        out
    }

    fn net_neighbours(&mut self, device: u64, old: bool) -> [u64; 2] {
        let keys = [
            vec![10, 0, 2, 2],
            "fe80::2"
                .parse::<std::net::Ipv6Addr>()
                .unwrap_or(std::net::Ipv6Addr::UNSPECIFIED)
                .octets()
                .to_vec(),
        ];
        let mut out = [0; 2];
        for (n, (name, state)) in [("arp_tbl", 2), ("nd_tbl", 4)].into_iter().enumerate() {
            let (table, hash, heads, at) =
                (self.variable(name, 64), self.memory(4096), self.memory(4096), self.memory(4096));
            self.set(table, "neigh_table", "key_len", keys[n].len() as u64).set(
                table,
                "neigh_table",
                "nht",
                hash,
            );
            self.set(hash, "neigh_hash_table", "hash_shift", 2);
            self.set(hash, "neigh_hash_table", if old { "hash_buckets" } else { "hash_heads" }, heads);
            self.word(heads + 3 * 8, if old { at } else { at + 16 });
            self.set(at, "neighbour", "tbl", table).set(at, "neighbour", "dev", device);
            self.set(at, "neighbour", "nud_state", state).put(at + 64, &[0x52, 0x55, 10, 0, 2, 2]);
            self.put(at + 128, &keys[n]);
            out[n] = at;
        }
        out
    }

    fn net_sockets(&mut self, namespace: u64, task: u64) -> ([u64; 4], [u64; 4], [u64; 4]) {
        let [table, fdt, own] = [(); 3].map(|()| self.memory(4096));
        self.set(fdt, "fdtable", "max_fds", 64).set(fdt, "fdtable", "fd", table);
        self.set(own, "files_struct", "fdt", fdt).set(task, "task_struct", "files", own);
        let (mut sockets, mut socks, mut files) = ([0; 4], [0; 4], [0; 4]);
        // family, type, protocol, state
        let shapes = [(2, 1, 6, 10), (2, 1, 6, 1), (10, 2, 17, 7), (1, 1, 0, 1)];
        for (n, (family, kind, protocol, state)) in shapes.into_iter().enumerate() {
            let [socket, sock, file, inode] = [(); 4].map(|()| self.memory(4096));
            self.set(inode, "inode", "i_mode", 0o140_777).set(inode, "inode", "i_ino", 500 + n as u64);
            self.set(file, "file", "f_inode", inode).set(file, "file", "private_data", socket);
            self.set(socket, "socket", "type", kind)
                .set(socket, "socket", "file", file)
                .set(socket, "socket", "sk", sock);
            for (name, value) in [("skc_family", family), ("skc_state", state), ("skc_net.net", namespace)] {
                self.set(sock, "sock", &format!("__sk_common.{name}"), value);
            }
            self.set(sock, "sock", "sk_type", kind).set(sock, "sock", "sk_protocol", protocol);
            self.set(sock, "sock", "sk_wmem_alloc.refs.counter", 1);
            self.word(table + 24 + n as u64 * 8, file);
            (sockets[n], socks[n], files[n]) = (socket, sock, file);
        }
        let ports = |k: &mut Self, sock: u64, own: u16, other: u16| {
            k.put(sock + 192, &own.to_be_bytes()).put(sock + 8, &other.to_be_bytes());
        };
        ports(self, socks[0], 22, 0);
        ports(self, socks[1], 22, 40000);
        ports(self, socks[2], 53, 0);
        self.put(socks[1] + 12, &[127, 0, 0, 1]).put(socks[1] + 16, &[10, 0, 2, 2]);
        self.put(socks[2] + 32, &std::net::Ipv6Addr::LOCALHOST.octets());
        self.set(socks[0], "sock", "sk_ack_backlog", 3);
        for (name, value) in
            [("rcv_nxt", 5), ("copied_seq", 0xffff_fff0), ("write_seq", 100), ("snd_una", 90)]
        {
            self.set(socks[1], "tcp_sock", name, value);
        }
        self.set(socks[2], "sock", "sk_rmem_alloc.counter", 768).set(
            socks[2],
            "udp_sock",
            "forward_deficit",
            256,
        );
        let address = self.memory(4096);
        self.set(address, "unix_address", "len", 9).put(address + 10, b"/tmp/x\0");
        self.set(socks[3], "unix_sock", "addr", address);
        (sockets, socks, files)
    }

    fn net_structs(&mut self, old: bool) {
        self.structure("net", 64, &[("dev_base_head", 16, "list_head")]);
        self.structure("possible_net_t", 8, &[("net", 0, "*net")]);
        let device = [
            ("name", 0, "char[16]"),
            ("ifindex", 16, "s32"),
            ("mtu", 20, "u32"),
            ("flags", 24, "u32"),
            ("type", 28, "u16"),
            ("addr_len", 30, "u8"),
            ("dev_list", 32, "list_head"),
            ("dev_addr", 48, "*u8"),
            ("nd_net", 56, "possible_net_t"),
            ("ip_ptr", 64, "*in_device"),
            ("ip6_ptr", 72, "*inet6_dev"),
        ];
        self.structure("net_device", 128, &device);
        self.structure("in_device", 64, &[("dev", 0, "*net_device"), ("ifa_list", 8, "*in_ifaddr")]);
        let address = [
            ("ifa_next", 0, "*in_ifaddr"),
            ("ifa_local", 8, "u32"),
            ("ifa_address", 12, "u32"),
            ("ifa_prefixlen", 16, "u8"),
        ];
        self.structure("in_ifaddr", 64, &address);
        self.structure("in6_addr", 16, &[("words", 0, "u32[4]")]);
        self.structure("inet6_dev", 64, &[("dev", 0, "*net_device"), ("addr_list", 8, "list_head")]);
        self.structure(
            "inet6_ifaddr",
            64,
            &[("addr", 0, "in6_addr"), ("prefix_len", 16, "u32"), ("if_list", 32, "list_head")],
        );
        self.structure("neigh_table", 64, &[("key_len", 0, "u32"), ("nht", 8, "*neigh_hash_table")]);
        let heads = if old { ("hash_buckets", 0, "**neighbour") } else { ("hash_heads", 0, "*void") };
        self.structure("neigh_hash_table", 32, &[heads, ("hash_shift", 8, "u32")]);
        self.structure("hlist_node", 16, &[("next", 0, "*hlist_node"), ("pprev", 8, "**hlist_node")]);
        let link = if old { ("next", 16, "*neighbour") } else { ("hash", 16, "hlist_node") };
        let neighbour = [
            link,
            ("tbl", 0, "*neigh_table"),
            ("nud_state", 40, "u8"),
            ("ha", 64, "u8[32]"),
            ("dev", 104, "*net_device"),
            ("primary_key", 128, "u8[0]"),
        ];
        self.structure("neighbour", 128, &neighbour);
        self.net_sock_structs();
    }

    fn net_sock_structs(&mut self) {
        self.structure("file", 64, &[("private_data", 8, "*void"), ("f_inode", 32, "*inode")]);
        self.structure("inode", 64, &[("i_mode", 0, "u16"), ("i_ino", 24, "u64")]);
        self.structure("files_struct", 64, &[("fdt", 32, "*fdtable")]);
        self.structure("fdtable", 32, &[("max_fds", 0, "u32"), ("fd", 8, "**file")]);
        self.structure("nsproxy", 64, &[("net_ns", 40, "*net")]);
        self.structure("socket", 64, &[("type", 4, "s16"), ("file", 16, "*file"), ("sk", 24, "*sock")]);
        let common = [
            ("skc_family", 0, "u16"),
            ("skc_state", 2, "u8"),
            ("skc_dport", 8, "u16"),
            ("skc_rcv_saddr", 12, "u32"),
            ("skc_daddr", 16, "u32"),
            ("skc_net", 24, "possible_net_t"),
            ("skc_v6_rcv_saddr", 32, "in6_addr"),
            ("skc_v6_daddr", 48, "in6_addr"),
        ];
        self.structure("sock_common", 64, &common);
        self.structure("atomic_t", 4, &[("counter", 0, "s32")]);
        self.structure("refcount_t", 4, &[("refs", 0, "atomic_t")]);
        let sock = [
            ("__sk_common", 0, "sock_common"),
            ("sk_type", 64, "u16"),
            ("sk_protocol", 66, "u16"),
            ("sk_rmem_alloc", 68, "atomic_t"),
            ("sk_wmem_alloc", 72, "refcount_t"),
            ("sk_ack_backlog", 76, "u32"),
        ];
        self.structure("sock", 128, &sock);
        self.structure("inet_sock", 256, &[("sk", 0, "sock"), ("inet_sport", 192, "u16")]);
        let tcp = [
            ("rcv_nxt", 256, "u32"),
            ("copied_seq", 260, "u32"),
            ("write_seq", 264, "u32"),
            ("snd_una", 268, "u32"),
        ];
        self.structure("tcp_sock", 512, &tcp);
        self.structure("udp_sock", 512, &[("forward_deficit", 256, "s32")]);
        self.structure("unix_sock", 256, &[("sk", 0, "sock"), ("addr", 128, "*unix_address")]);
        self.structure("unix_address", 16, &[("len", 4, "s32"), ("name", 8, "u8[0]")]);
    }
}
