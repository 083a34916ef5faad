//! `net` on kernels that are made from tables.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs, reason = "a test")]

mod asked;

use asked::{answer, ask, try_ask};
use testkit::kernel::{Kernel, Net};

fn made(old: bool) -> (Kernel, Net) {
    let mut k = Kernel::new();
    let more = [("files", 104, "*files_struct"), ("nsproxy", 112, "*nsproxy")];
    let (tasks, _) = k.tasks(2, 4096, 256, &more);
    k.structure("mm_struct", 64, &[("pgd", 0, "*void")]);
    let net = k.net(tasks[0], old);
    (k, net)
}

const DEVICES: &str = "   NET_DEVICE     NAME       IP ADDRESS(ES)\n";

#[test]
fn devices_have_the_addresses_of_both_families() {
    let (mut k, made) = made(false);
    let [lo, eth0] = made.devices;
    let want = format!("{DEVICES}{lo:x}  lo         127.0.0.1, ::1\n{eth0:x}  eth0       10.0.2.15\n");
    assert_eq!(ask(&k, "net"), want);
    assert_eq!(ask(&k, "net -n 1"), want);
    assert!(try_ask(&k, "net -n 2").unwrap_err().contains("task 2 has no namespaces any more"));
    // the other end of a line between two
    k.put(made.addresses[1] + 12, &[10, 0, 2, 1]);
    assert_eq!(ask(&k, "net"), want, "the device's own address");
    // addresses that lead in a circle, or are lost
    let mut looped = k.clone();
    looped.set(made.addresses[1], "in_ifaddr", "ifa_next", made.addresses[1]);
    assert!(ask(&looped, "net").contains("the list of its addresses has no end"));
    let mut lost = k.clone();
    lost.exclude(made.addresses[1]);
    let text = ask(&lost, "net");
    assert!(text.contains("eth0       <?>") && text.contains("the addresses are not whole"), "{text}");
    lost.exclude(eth0);
    assert!(ask(&lost, "net").contains("the devices are not whole"));
    k.without_btf();
    assert!(try_ask(&k, "net").unwrap_err().contains("is not known"));
}

#[test]
fn neighbours_of_both_families_and_ages() {
    for old in [true, false] {
        let (mut k, made) = made(old);
        let text = ask(&k, "net -a");
        let want = format!(
            "NEIGHBOUR        IP ADDRESS      HW TYPE    HW ADDRESS         DEVICE  STATE\n\
             {:x} 10.0.2.2        ETHER      52:55:0a:00:02:02  eth0    REACHABLE\n\
             {:x} fe80::2         ETHER      52:55:0a:00:02:02  eth0    STALE\n",
            made.neighbours[0], made.neighbours[1]
        );
        assert_eq!(text, want, "{old}");
        // a chain that leads back
        let link = made.neighbours[0] + 16;
        k.word(link, if old { made.neighbours[0] } else { link });
        let text = ask(&k, "net -a");
        assert!(text.contains("twice") && text.contains("fe80::2"), "{text}");
        k.exclude(made.neighbours[1]);
        assert!(answer(&k, "net -a").unwrap().is_incomplete());
    }
}

#[test]
fn sockets_have_ends_states_and_queues() {
    let (k, made) = made(false);
    let text = ask(&k, "net -s 1");
    let rows: Vec<&str> = text.lines().collect();
    assert!(
        rows[1].starts_with("FD      SOCKET            SOCK       FAMILY:TYPE SOURCE-PORT DESTINATION-PORT")
    );
    let row = |n: usize, rest: &str| format!("{:2} {:x} {:x} {rest}", n + 3, made.sockets[n], made.socks[n]);
    assert_eq!(rows[2], row(0, "INET:STREAM  0.0.0.0-22 0.0.0.0-0 LISTEN 3 0"));
    assert_eq!(rows[3], row(1, "INET:STREAM  127.0.0.1-22 10.0.2.2-40000 ESTABLISHED 21 10"));
    assert_eq!(rows[4], row(2, "INET6:DGRAM  ::1-53 ::-0 CLOSE 512 0"));
    assert_eq!(rows[5], row(3, "UNIX:STREAM ESTABLISHED /tmp/x"));
    for (reference, n) in
        [("4".to_owned(), 1), (format!("{:x}", made.socks[2]), 2), (format!("{:x}", made.sockets[3]), 3)]
    {
        let text = ask(&k, &format!("net -s -R {reference} 1"));
        assert_eq!((text.lines().nth(2).unwrap(), text.lines().count()), (rows[n + 2], 4), "{reference}");
    }
    assert_eq!(ask(&k, "net -s -R 40 1"), "");
    assert!(ask(&k, "net -s 2").contains("No open sockets."));
    assert!(ask(&k, "foreach net -s -R 4").contains(rows[3]));
    assert!(try_ask(&k, "foreach net -a").unwrap_err().contains("of each task there are sockets"));
    let devices = ask(&k, "foreach 1 net");
    assert!(devices.contains("PID: 1 ") && devices.contains("\n   NET_DEVICE "), "{devices}");
}

#[test]
fn sockets_are_dumped_as_structs() {
    let (k, made) = made(false);
    let text = ask(&k, "net -S -R 6 1");
    assert!(text.contains("struct socket {") && text.contains("struct sock {"), "{text}");
    let text = ask(&k, "net -S -x -R 3 1");
    assert!(text.contains("struct inet_sock {") && text.contains("sk_ack_backlog = 0x3"), "{text}");
    let text = ask(&k, "net -S -d -R 3 1");
    assert!(text.contains("sk_ack_backlog = 3"), "{text}");
    for (line, why) in [
        ("net -x", "-S"),
        ("net -s -a", "each about something else"),
        ("net -R 3", "belong to -s and -S"),
        ("net -N 4294967296", "more than 32 bits"),
    ] {
        let got = try_ask(&k, line).unwrap_err();
        assert!(got.contains(why), "{line}: {got}");
    }
    assert_eq!(ask(&k, "net -N 0x0100007f"), "127.0.0.1\n");
    let mut lost = k.clone();
    lost.exclude(made.socks[1]);
    let text = ask(&lost, "net -s 1");
    assert!(text.contains(&format!(" 4 {:x} {:x} <?>:STREAM", made.sockets[1], made.socks[1])), "{text}");
    let mut lost = k.clone();
    lost.set(made.sockets[1], "socket", "file", 0x1234);
    assert!(ask(&lost, "net -s 1").contains("the sockets are not whole"));
}
