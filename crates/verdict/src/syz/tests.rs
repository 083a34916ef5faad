//! Titles of reports as kernels write them, files to blame, maintainers.
#![allow(clippy::unwrap_used, reason = "a test")]

use super::*;

const BUG: &str = "\
[   11.2] ------------[ cut here ]------------
[   11.2] kernel BUG at drivers/virtio/virtio_ring.c:550!
[   11.2] invalid opcode: 0000 [#1] PREEMPT SMP NOPTI
[   11.2] CPU: 1 PID: 261 Comm: x Tainted: G           OE
[   11.2] RIP: 0010:virtqueue_add_split+0x3d4/0x5b0 [virtio_ring]
[   11.2] Code: 00 00
[   11.2] Call Trace:
[   11.2]  <TASK>
[   11.2]  ? __die_body.cold+0x1a/0x1f
[   11.2]  virtqueue_add_sgs+0x81/0xa0 [virtio_ring]
[   11.2]  virtblk_add_req+0xd0/0x160 [virtio_blk]
[   11.2]  </TASK>
[   11.2] ---[ end trace 0000000000000000 ]---
";

#[test]
fn a_bug_has_the_function_that_failed() {
    let report = report(BUG).unwrap();
    assert_eq!((report.title.as_str(), &report.corrupted), ("kernel BUG in virtqueue_add_split", &None));
    assert_eq!(guilty_file(&report, &report.lines).as_deref(), Some("drivers/virtio/virtio_ring.c"));
    assert!(!report.lines.iter().any(|line| line.contains("cut here") || line.contains("__die_body")));
}

#[test]
fn a_text_without_a_report_has_no_title() {
    assert_eq!(report("[    0.0] Linux version 6.1\n[    0.1] systemd[1]: started\n"), None);
    assert_eq!(report(""), None);
}

#[test]
fn other_writers_are_left_out() {
    let text = "\
[    1.0][   T77] BUG: kernel NULL pointer dereference, address: 0000000000000010
[    1.0][    C0] RIP: 0010:not_this+0x1/0x2
[    1.0][   T77] RIP: 0010:this_one+0x1/0x2
[    1.0][   T77] Call Trace:
[    1.0][   T77]  caller+0x1/0x2
[    1.0][   T77]  more+0x1/0x2
";
    let report = report(text).unwrap();
    assert_eq!(report.title, "BUG: unable to handle kernel NULL pointer dereference in this_one");
}

#[test]
fn what_differs_between_machines_is_not_in_a_title() {
    for (text, title) in [
        (
            "Kernel panic - not syncing: lost 0xffff888012345678 at a.c:17 on CPU#3",
            "kernel panic: lost ADDR at a.c:LINE on CPU",
        ),
        ("Kernel panic - not syncing: a 12 and 13 of fun+0x10/0x20", "kernel panic: a NUM and NUM of fun"),
    ] {
        assert_eq!(report(text).unwrap().title, title);
    }
}

#[test]
fn a_report_that_is_cut_says_so() {
    let cut = report("[    1.0] BUG: kernel NULL pointer dereference, address: 0\n").unwrap();
    assert_eq!(cut.title, "BUG: unable to handle kernel NULL pointer dereference in corrupted");
    assert!(cut.corrupted.is_some());
}

#[test]
fn a_file_has_its_maintainers() {
    let all = Maintainers::parse(
        "Maintainers List\n----\n\nVIRTIO CORE\nM:\t\"A\" <a@x.org>\nR:\tB <b@x.org>\nL:\tvirt@lists.dev (moderated)\nF:\tdrivers/virtio/\n\
         X:\tdrivers/virtio/virtio_mem.c\n\nBLOCK\nM:\tC <c@x.org>\nF:\tdrivers/block/virtio_*\n\nNAMES\nM:\tD <d@x.org>\nN:\tring\n\n\
         THE REST\nL:\tlinux-kernel@x.org\nF:\t*\nF:\t*/\n",
    );
    let sections = |file: &str| maintainers(&all, file).into_iter().map(|m| m.section).collect::<Vec<_>>();
    assert_eq!(sections("drivers/virtio/virtio_ring.c"), ["VIRTIO CORE", "NAMES", "THE REST"]);
    assert_eq!(sections("drivers/virtio/virtio_mem.c"), ["THE REST"]);
    assert_eq!(sections("drivers/block/virtio_blk.c"), ["BLOCK", "THE REST"]);
    assert_eq!(sections("drivers/block/virtio_x/a.c"), ["THE REST"]);
    let first = maintainers(&all, "drivers/virtio/virtio.c").swap_remove(0);
    assert_eq!(first.maintainers, ["\"A\" <a@x.org>"]);
    assert_eq!(
        (first.reviewers, first.lists),
        (vec!["B <b@x.org>".to_owned()], vec!["virt@lists.dev".to_owned()])
    );
}
