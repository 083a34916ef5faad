//! What is left out of texts as kernels write them, and what stays.
#![allow(clippy::unwrap_used, reason = "a test")]

use super::*;

fn scrub(names: &[(&str, &str)]) -> Scrub {
    let names = names.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
    let threads = BTreeSet::from(["kworker/0:1".to_owned(), "jbd2/vda-8".to_owned()]);
    Scrub::new(&Class::ALL.into_iter().collect(), names, threads)
}

fn left(scrub: &Scrub, text: &str) -> String {
    scrub.text(text, &mut |_| {})
}

#[test]
fn every_rule_is_one() {
    for rule in RULES {
        Regex::new(rule.pattern).unwrap_or_else(|e| panic!("{}: {e}", rule.pattern));
    }
}

#[test]
fn what_is_of_the_machine_goes_and_what_is_of_the_death_stays() {
    let scrub = scrub(&[("db7", "[host]"), ("oracle", "process-1"), ("init", "process-2")]);
    for (text, out) in [
        (
            "kernel BUG at drivers/virtio/virtio_ring.c:550!",
            "kernel BUG at drivers/virtio/virtio_ring.c:550!",
        ),
        (
            "RIP: 0010:virtqueue_add_split+0x3d4/0x5b0 [virtio_ring]",
            "RIP: 0010:virtqueue_add_split+0x3d4/0x5b0 [virtio_ring]",
        ),
        (
            "CPU: 1 PID: 261 Comm: oracle Tainted: G           OE",
            "CPU: 1 PID: 261 Comm: process-1 Tainted: G           OE",
        ),
        ("CPU: 1 PID: 9 Comm: kworker/0:1 Not tainted", "CPU: 1 PID: 9 Comm: kworker/0:1 Not tainted"),
        ("CPU: 1 PID: 9 Comm: gone Not tainted", "CPU: 1 PID: 9 Comm: [process] Not tainted"),
        ("RDX: ff1aa6bd13f33c00 RSI: 0000000000000080", "RDX: [address] RSI: [address]"),
        ("Command line: root=UUID=1 password=hunter2", "Command line: [command line]"),
        (
            "eth0: link up, 10.0.0.17 (52:54:00:12:34:56)",
            "eth0: link up, [network address] ([network address])",
        ),
        ("fe80::5054:ff:fe12:3456 on eth0", "[network address] on eth0"),
        ("of /srv/alice/a.txt, O_DIRECT", "of [path], O_DIRECT"),
        (
            "</TASK> and </IRQ> end a trace, </srv/x> does not",
            "</TASK> and </IRQ> end a trace, <[path]> does not",
        ),
        (
            "db7 is db77's friend, oracle_x is not oracle; DB7 is the same",
            "[host] is db77's friend, oracle_x is not process-1; [host] is the same",
        ),
        ("Code: 48 8b 05 00", "Code: [code]"),
        ("ext4 uuid 0b1c2d3e-0000-1111-2222-333344445555", "ext4 uuid [uuid]"),
        ("Call Trace: schedule+0x5a/0xe0 12:34:56", "Call Trace: schedule+0x5a/0xe0 12:34:56"),
        ("mem auto-init: stack:all(zero), crng init done", "mem auto-init: stack:all(zero), crng init done"),
        (
            "Kernel panic - not syncing: Attempted to kill init!",
            "Kernel panic - not syncing: Attempted to kill init!",
        ),
        ("IOAPIC[0]: apic_id 0, version 32", "IOAPIC[0]: apic_id 0, version 32"),
        (
            "Serial: 8250/16550 driver, 4 ports, IRQ sharing enabled",
            "Serial: 8250/16550 driver, 4 ports, IRQ sharing enabled",
        ),
        ("pci 0000:00:03.0: BAR 1: assigned", "pci 0000:00:03.0: BAR 1: assigned"),
        (
            "EXT4-fs (dm-0): mounted filesystem with ordered data mode",
            "EXT4-fs (dm-0): mounted filesystem with ordered data mode",
        ),
        (
            "rcu: INFO: rcu_preempt self-detected stall on CPU",
            "rcu: INFO: rcu_preempt self-detected stall on CPU",
        ),
    ] {
        let mut count = 0;
        assert_eq!(scrub.text(text, &mut |_| count += 1), out);
        assert_eq!(count > 0, text != out, "{text}");
    }
}

/// Messages as the kernel's sources write them, with names in their places.
const MESSAGES: &[(&str, &str)] = &[
    // lockups, hung tasks, reports
    (
        "watchdog: BUG: soft lockup - CPU#1 stuck for 22s! [Web Xanary:44]",
        "watchdog: BUG: soft lockup - CPU#1 stuck for 22s! [[process]:44]",
    ),
    (
        "watchdog: BUG: soft lockup - CPU#1 stuck for 22s! [kworker/7:2:44]",
        "watchdog: BUG: soft lockup - CPU#1 stuck for 22s! [kworker/7:2:44]",
    ),
    (
        "INFO: task my xanary:44 blocked for more than 120 seconds.",
        "INFO: task [process]:44 blocked for more than 120 seconds.",
    ),
    (
        "task:xanary          state:D stack:0     pid:44    ppid:1      flags:0x00000002",
        "task:[process]          state:D stack:0     pid:44    ppid:1      flags:0x00000002",
    ),
    (
        "xanary          D ffff88003d7f3c80     0    44      1 0x00000080",
        "[process]          D [address]     0    44      1 0x00000080",
    ),
    (
        "CPU: 1 UID: 1000 PID: 261 Comm: a xanary b Kdump: loaded Not tainted 6.12.1 #1",
        "CPU: 1 UID: 1000 PID: 261 Comm: [process] Kdump: loaded Not tainted 6.12.1 #1",
    ),
    (
        "BUG: scheduling while atomic: xanary/44/0x00000002",
        "BUG: scheduling while atomic: [process]/44/0x00000002",
    ),
    (
        "in_atomic(): 1, irqs_disabled(): 0, non_block: 0, pid: 44, name: xa nary",
        "in_atomic(): 1, irqs_disabled(): 0, non_block: 0, pid: 44, name: [process]",
    ),
    (
        "BUG: using smp_processor_id() in preemptible [00000000] code: xanary/44",
        "BUG: using smp_processor_id() in preemptible [00000000] code: [process]/44",
    ),
    (
        "Read of size 8 at addr ffff888003b4a7c0 by task xanary/44",
        "Read of size 8 at addr [address] by task [process]/44",
    ),
    ("xanary/44 is trying to acquire lock:", "[process]/44 is trying to acquire lock:"),
    ("2 locks held by xanary/44:", "2 locks held by [process]/44:"),
    (
        "BUG: Bad page state in process xanary  pfn:12345",
        "BUG: Bad page state in process [process]  pfn:12345",
    ),
    ("note: xanary[44] exited with irqs disabled", "note: [process][44] exited with irqs disabled"),
    (
        "Process xanary (pid: 44, threadinfo ffff880012345678, task ffff880012345678)",
        "Process [process] (pid: 44, threadinfo [address], task [address])",
    ),
    (
        "x86/split lock detection: #AC: xanary/44 took a split_lock trap at address: 0x401130",
        "x86/split lock detection: #AC: [process]/44 took a split_lock trap at address: [address]",
    ),
    // memory
    (
        "xanary job invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0",
        "[process] invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0",
    ),
    (
        "oom-kill:constraint=CONSTRAINT_NONE,nodemask=(null),cpuset=xanary,mems_allowed=0,global_oom,task_memcg=/user.slice/xanary.service,task=xa,nary,pid=44,uid=0",
        "oom-kill:constraint=CONSTRAINT_NONE,nodemask=(null),cpuset=[path],mems_allowed=0,global_oom,task_memcg=[path],task=[process],pid=44,uid=0",
    ),
    (
        "Out of memory: Killed process 44 (xana)ry) total-vm:1kB, anon-rss:2kB",
        "Out of memory: Killed process 44 ([process]) total-vm:1kB, anon-rss:2kB",
    ),
    (
        "Out of memory: Kill process 44 (xanary) score 900 or sacrifice child",
        "Out of memory: Kill process 44 ([process]) score 900 or sacrifice child",
    ),
    (
        "oom_reaper: reaped process 44 (xanary), now anon-rss:0kB",
        "oom_reaper: reaped process 44 ([process]), now anon-rss:0kB",
    ),
    (
        "[     44]     0    44     1234      567    12345        0             0 xa nary",
        "[     44]     0    44     1234      567    12345        0             0 [process]",
    ),
    (
        "xanary: page allocation failure: order:4, mode:0xcc0(GFP_KERNEL), nodemask=(null),cpuset=/,mems_allowed=0",
        "[process]: page allocation failure: order:4, mode:0xcc0(GFP_KERNEL), nodemask=(null),cpuset=[path],mems_allowed=0",
    ),
    // signals and traps
    (
        "xanary[44]: segfault at 0 ip 00007f0000001000 sp 00007ffc00000000 error 4 in libxanary.so[7f0000000000+2000] likely on CPU 0 (core 0, socket 0)",
        "[process][44]: segfault at 0 ip [address] sp [address] error 4 in [path][[address]+2000] likely on CPU 0 (core 0, socket 0)",
    ),
    (
        "traps: xa nary[44] general protection fault ip:7f0000001000 sp:7ffc00000000 error:0 in xanary[400000+1000]",
        "traps: [process][44] general protection fault ip:[address] sp:[address] error:0 in [path][400000+1000]",
    ),
    (
        "traps: xanary[44] trap invalid opcode ip:401136 sp:7ffc00000000 error:0 in xanary[401000+1000]",
        "traps: [process][44] trap invalid opcode ip:401136 sp:[address] error:0 in [path][401000+1000]",
    ),
    (
        "before: [   12.345678] traps: xanary[44] trap divide error ip:401136 sp:7ffc00000000 error:0",
        "before: [   12.345678] traps: [process][44] trap divide error ip:401136 sp:[address] error:0",
    ),
    (
        "before: [   12.345678] xanary[44]: segfault at 0 ip 0000000000000000",
        "before: [   12.345678] [process][44]: segfault at 0 ip [address]",
    ),
    ("xanary: potentially unexpected fatal signal 11.", "[process]: potentially unexpected fatal signal 11."),
    (
        "xanary[44]: unhandled exception: DABT (lower EL), ESR 0x92000006, level 2 translation fault in xanary[400000+1000]",
        "[process][44]: unhandled exception: DABT (lower EL), ESR [address], level 2 translation fault in [path][400000+1000]",
    ),
    // what a process did
    ("xa nary (44): drop_caches: 3", "[process] (44): drop_caches: 3"),
    (
        "mmap: xanary (44) uses deprecated remap_file_pages() syscall.",
        "mmap: [process] (44) uses deprecated remap_file_pages() syscall.",
    ),
    (
        "random: xanary: uninitialized urandom read (16 bytes read)",
        "random: [process]: uninitialized urandom read (16 bytes read)",
    ),
    (
        "warning: `xanary' uses 32-bit capabilities (legacy support in use)",
        "warning: `[text]' uses 32-bit capabilities (legacy support in use)",
    ),
    ("process 'opt/xanary' started with executable stack", "process '[text]' started with executable stack"),
    (
        "Lockdown: xanary: /dev/mem,kmem,port is restricted; see man kernel_lockdown.7",
        "Lockdown: [process]: [path],kmem,port is restricted; see man kernel_lockdown.7",
    ),
    ("xanary: attempt to access beyond end of device", "[process]: attempt to access beyond end of device"),
    (
        "program xanary is using a deprecated SCSI ioctl, please convert it to SG_IO",
        "program [process] is using a deprecated SCSI ioctl, please convert it to SG_IO",
    ),
    (
        "ptrace attach of \"xanary\"[44] was attempted by \"xanary -x\"[45]",
        "ptrace attach of \"[text]\"[44] was attempted by \"[text]\"[45]",
    ),
    // file systems
    (
        "EXT4-fs error (device dm-0): ext4_lookup:1234: inode #2: comm xa nary: deleted inode referenced: 12",
        "EXT4-fs error (device dm-0): ext4_lookup:1234: inode #2: comm [process]: deleted inode referenced: 12",
    ),
    (
        "XFS: xanary(44) possible memory allocation deadlock size 65552 in kmem_alloc (mode:0x250)",
        "XFS: [process](44) possible memory allocation deadlock size 65552 in kmem_alloc (mode:0x250)",
    ),
    (
        "BTRFS: device label xanary devid 1 transid 7 /dev/sdb scanned by xanary-udev (456)",
        "BTRFS: device label [name] devid 1 transid 7 [path] scanned by [process] (456)",
    ),
    (
        "BTRFS: device fsid 0b1c2d3e-0000-1111-2222-333344445555 devid 1 transid 7 /dev/xanary",
        "BTRFS: device fsid [uuid] devid 1 transid 7 [path]",
    ),
    (
        "gfs2: fsid=xanary:fs.0: Joined cluster. Now mounting FS...",
        "gfs2: fsid=[name].0: Joined cluster. Now mounting FS...",
    ),
    (
        "UDF-fs: INFO Mounting volume 'XANARY', timestamp 2020/01/01 00:00 (1000)",
        "UDF-fs: INFO Mounting volume '[name]', timestamp 2020/01/01 00:00 (1000)",
    ),
    // other machines
    ("nfs: server xanary not responding, still trying", "nfs: server [host] not responding, still trying"),
    ("nfs: server xanary.lan OK", "nfs: server [host] OK"),
    ("lockd: server xanary not responding, timed out", "lockd: server [host] not responding, timed out"),
    (
        "NFS: state manager: lease expired failed on NFSv4 server xanary with error 5",
        "NFS: state manager: lease expired failed on NFSv4 server [host] with error 5",
    ),
    (
        "CIFS VFS: Server xanary has not responded in 120 seconds. Reconnecting...",
        "CIFS VFS: Server [host] has not responded in 120 seconds. Reconnecting...",
    ),
    (
        r"CIFS: VFS: \\xanary has not responded in 180 seconds. Reconnecting...",
        "CIFS: VFS: [path] has not responded in 180 seconds. Reconnecting...",
    ),
    (r"CIFS: Attempting to mount \\xanary\xanary$", "CIFS: Attempting to mount [path]"),
    ("CIFS: Attempting to mount //xanary/share", "CIFS: Attempting to mount [path]"),
    ("NFS: xanary:/export/home is stale", "NFS: [path] is stale"),
    (
        "     host=xanary, domain=xanary.lan, nis-domain=(none)",
        "     host=[name], domain=[name], nis-domain=[name]",
    ),
    ("scsi host3: iqn.2004-01.lan.xanary:disk1 logged in", "scsi host3: [name] logged in"),
    ("Linux version 6.1.0 (root@xanary) (gcc 12) #1 SMP", "Linux version 6.1.0 ([user]) (gcc 12) #1 SMP"),
    ("see gate.xanary.example.com for it", "see [host] for it"),
    ("route to 2001:db8:0:7::/64 is gone", "route to [network address]/64 is gone"),
    ("ib0: gid 80:00:00:48:fe:80:00:00:00:00:00:00:52:54:00:12:34:56:78:9a", "ib0: gid [network address]"),
    (
        "ll header: 00000000: ff ff ff ff ff ff 52 54 00 12 34 56 08 06        ......RT..4V..",
        "ll header: 00000000: [bytes]",
    ),
    (
        "xanary-drop: IN=eth0 OUT= MAC=52:54:00:12:34:56:52:54:00:12:34:57:08:00 SRC=10.0.0.1 DST=10.0.0.2 LEN=60",
        "[text]IN=eth0 OUT= MAC=[network address] SRC=[network address] DST=[network address] LEN=60",
    ),
    ("usb 1-1: SerialNumber: XANARY4C53", "usb 1-1: SerialNumber: [serial number]"),
    ("input: Xanary's Mouse as /devices/virtual/input3", "input: [name] as [path]"),
    (
        "Killed process 44 (xanary)\nxanary[44]: segfault at 0",
        "Killed process 44 ([process])\n[process][44]: segfault at 0",
    ),
];

#[test]
fn names_in_messages_are_left_out() {
    let scrub = scrub(&[]);
    let wrong: Vec<(String, &str)> = MESSAGES
        .iter()
        .map(|(text, out)| (left(&scrub, text), *out))
        .filter(|(left, out)| left != out)
        .collect();
    assert_eq!(wrong, []);
}

/// A process that has ended is known by the messages that name it, and then left out of all others.
#[test]
fn names_are_learnt_from_the_log() {
    let mut scrub = scrub(&[("oracle", "process-1")]);
    let log = [
        "CPU: 1 PID: 261 Comm: kworker/9:9 Not tainted",
        "xanary (44): drop_caches: 3",
        "Comm: the Not tainted",
        "Comm: oracle",
    ];
    scrub.learn(log.into_iter());
    assert_eq!(
        left(&scrub, "whatever xanary did, the oracle saw"),
        "whatever process-3 did, the process-1 saw"
    );
    assert_eq!(left(&scrub, "Comm: the Not tainted"), "Comm: process-2 Not tainted");
    for (text, _) in MESSAGES {
        let mut scrub = super::tests::scrub(&[]);
        scrub.learn(std::iter::once(*text));
        assert!(!left(&scrub, text).to_lowercase().contains("xanary"), "{text}");
    }
}

#[test]
fn names_that_are_words_of_the_kernel_go_where_a_process_is_named() {
    let scrub = scrub(&[("page", "process-1"), ("sh", "process-2"), ("44", "process-3")]);
    assert_eq!(
        left(&scrub, "BUG: unable to handle page fault for 44 sh"),
        "BUG: unable to handle page fault for 44 sh"
    );
    assert_eq!(left(&scrub, "Comm: page Not tainted"), "Comm: process-1 Not tainted");
    // a cell
    assert_eq!((left(&scrub, "sh"), left(&scrub, "page")), ("process-2".to_owned(), "process-1".to_owned()));
}

#[test]
fn our_own_text_stays() {
    let known = "one cause: 44ed8089e991 (\"scsi: virtio: a 'quoted' title\"), since 4.14";
    let scrub = scrub(&[("virtio", "process-1")]).keeping(vec![known.to_owned(), String::new()]);
    assert_eq!(left(&scrub, &format!("KNOWN {known}")), format!("KNOWN {known}"));
    assert_eq!(left(&scrub, &format!("Command line: x {known}")), "Command line: [command line]");
    assert_eq!(left(&scrub, "44ed8089e991 by virtio"), "[address] by process-1");
    assert!(
        !left(&scrub, "\u{e000}0\u{e001}").contains("scsi"),
        "what stands for it cannot be had from outside"
    );
}
