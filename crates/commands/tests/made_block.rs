//! `inflight` on kernels that are made from tables.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs, reason = "a test")]

mod asked;
mod block;

use asked::{answer, ask, try_ask};
use block::{numbered, requests};
use testkit::kernel::Kernel;

/// The same with what requests say of themselves: number 3 has two parts, the second of which ends with what lies on the stack
/// of task 1. A second has 250 ticks.
fn told_requests(k: &mut Kernel, queue: u64) -> [u64; 2] {
    let (_, stacks) = k.old_tasks(2);
    k.enumeration("req_op", &[("REQ_OP_READ", 0), ("REQ_OP_WRITE", 1)]);
    for member in [
        ("__data_len", 20, "u32"),
        ("__sector", 24, "u64"),
        ("bio", 32, "*bio"),
        ("start_time_ns", 40, "u64"),
        ("deadline", 48, "u64"),
        ("timeout", 56, "u32"),
        ("end_io_data", 64, "*void"),
        ("internal_tag", 72, "s32"),
    ] {
        k.member("request", member);
    }
    k.structure("bvec_iter", 16, &[("bi_sector", 0, "u64"), ("bi_size", 8, "u32")]);
    let bio = [
        ("bi_next", 0, "*bio"),
        ("bi_iter", 8, "bvec_iter"),
        ("bi_end_io", 24, "*void"),
        ("bi_private", 32, "*void"),
    ];
    k.structure("bio", 64, &bio);
    k.structure("clocksource", 16, &[("mult", 0, "u32"), ("shift", 4, "u32")]);
    let (clock, jiffies) = (k.variable("clocksource_jiffies", 16), k.variable("jiffies", 8));
    k.half(clock, 4_000_000 << 8).half(clock + 4, 8).word(jiffies, 10_000);
    let (first, second, end) = (k.memory(64), k.memory(64), k.function("submit_bio_wait_endio", 0x700));
    k.set(first, "bio", "bi_next", second).set(first, "bio", "bi_iter.bi_sector", 800);
    k.set(second, "bio", "bi_end_io", end).set(second, "bio", "bi_private", stacks[0] + 2048);
    k.set(second, "bio", "bi_iter.bi_size", 512);
    let mut word = [0_u64; 2];
    // the array of the first hardware queue
    let array = read(k, queue + 16);
    let tags = read(k, read(k, array) + 8);
    for (n, tag) in [3_u64, 33].into_iter().enumerate() {
        word[n] = read(k, read(k, tags + 272) + tag * 8);
    }
    let [three, other] = word;
    k.set(three, "request", "__sector", 800)
        .set(three, "request", "__data_len", 8192)
        .set(three, "request", "bio", first);
    // given 1000 ticks ago
    k.set(three, "request", "deadline", 16_500).set(three, "request", "timeout", 7500);
    k.set(other, "request", "__sector", u64::MAX).set(other, "request", "state", 0);
    word
}

/// A word of a kernel's memory.
fn read(k: &Kernel, at: u64) -> u64 {
    let text = ask(k, &format!("rd {at:x}"));
    u64::from_str_radix(text.split_whitespace().nth(1).unwrap(), 16).unwrap()
}

#[test]
fn requests_in_flight_say_what_they_are_and_who_waits() {
    let (mut k, [_, disk, queue]) = numbered(true);
    requests(&mut k, queue, false, &[3, 33]);
    let [three, other] = told_requests(&mut k, queue);
    let text = ask(&k, "inflight -b");
    let head = format!(
        "DISK: sda        NUMBER: 8:0      GENDISK: {disk:x}  REQUEST_QUEUE: {queue:x}  REQUESTS: 2\n"
    );
    assert!(text.starts_with(&head), "{text}");
    let row = |at: u64, cells: [&str; 5]| {
        let [sector, bytes, stage, age, driver] = cells;
        format!("  {at:x}  {:12} {sector:>12} {bytes:>9}  {stage:8}  {age:>16}  {driver:>16}\n", "WRITE")
    };
    assert!(text.contains(&row(three, ["800", "8192", "driver", "<->", "0 00:00:04.000"])), "{text}");
    assert!(text.contains(&row(other, ["<->", "0", "queued", "<->", "<->"])), "{text}");
    assert!(text.contains("SECTOR: 0  BYTES: 512  END: submit_bio_wait_endio\n"), "{text}");
    assert!(text.contains("    WAITS: PID: 1       TASK: "), "{text}");
    assert_eq!(text.matches("WAITS").count(), 1, "{text}");
    assert_eq!(ask(&k, "inflight sda").matches("  driver ").count(), 1);
    assert!(!ask(&k, "inflight").contains("BIO: "));
    assert!(try_ask(&k, "inflight sdb").unwrap_err().contains("no disk has the name sdb"));
    // parts that lead back, and a request that is lost
    let mut circle = k.clone();
    let first = read(&k, three + 32);
    circle.word(first, first);
    assert!(ask(&circle, "inflight").contains("twice, or has no end"), "{}", ask(&circle, "inflight"));
    k.exclude(read(&k, queue + 16));
    assert!(answer(&k, "inflight").unwrap().is_incomplete());
    let (mut k, [_, _, queue]) = numbered(true);
    requests(&mut k, queue, false, &[]);
    k.old_tasks(1);
    assert!(ask(&k, "inflight").contains("no request of a disk is under way"));
    assert!(ask(&k, "inflight -a").contains("DISK: sda"));
}
