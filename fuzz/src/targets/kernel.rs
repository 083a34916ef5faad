//! Tables in a kernel's memory: the printk ring (the shipped sample's own, whose descriptors, infos and text an input
//! replaces), the record buffer that kernels had before it, and the table of BUG and WARN in all its layouts.

use super::session::{Sample, answer, options, sample};
use super::{Target, outcome};
use base::{Bytes, Fault, FaultKind, PAGE_SIZE, VirtAddr, VirtRead};
use kernel::Session;
use kernel::log::printk::{RecordBuffer, read_records};
use std::sync::OnceLock;

/// This file's rows of the table.
pub(crate) const TARGETS: &[Target] = &[
    Target { name: "printk-ring", about: "the lockless ring of printk", seeds: ring_seeds, run: ring },
    Target { name: "log-buf", about: "the record buffer of 3.5 to 5.9", seeds: record_seeds, run: records },
    Target { name: "bug-table", about: "the table of BUG and WARN", seeds: bug_seeds, run: bugs },
];

/// Parts of the ring: `struct printk_ringbuffer`, then the first descriptors, infos and bytes of text.
const PARTS: [usize; 4] = [128, 48 * 24, 48 * 88, 4096];

/// Where the parts are: virtual addresses, and places in the sample's file by page.
struct Ring {
    parts: Vec<Vec<(u64, usize)>>,
    seed: Vec<u8>,
}

fn ring_of_sample() -> &'static Ring {
    static RING: OnceLock<Ring> = OnceLock::new();
    RING.get_or_init(|| find_ring(sample()).expect("the sample has a ring"))
}

fn find_ring(sample: &Sample) -> Option<Ring> {
    let session = Session::open(&options(&sample.path)).ok()?;
    let mem = session.mem();
    let ring = mem.ptr(session.symbol("prb")?).ok()?;
    let at = |path: &[&str]| -> Option<VirtAddr> {
        let types = session.types();
        let mut ty = types.find(debuginfo::types::Space::Struct, "printk_ringbuffer").into_iter().next()?;
        let mut at = ring;
        for name in path {
            let found = types.member(ty, name).ok()??;
            at = at.add(found.offset());
            ty = found.ty;
        }
        mem.ptr(at).ok()
    };
    let starts =
        [ring, at(&["desc_ring", "descs"])?, at(&["desc_ring", "infos"])?, at(&["text_data_ring", "data"])?];
    let mut seed = Vec::new();
    let mut parts = Vec::new();
    for (start, len) in starts.into_iter().zip(PARTS) {
        seed.extend(mem.bytes(start, len).ok()?);
        let mut places = Vec::new();
        let mut done = 0;
        while done < len {
            let at = start.add(done as u64);
            let within = (PAGE_SIZE - at.page_offset()) as usize;
            let take = within.min(len - done);
            places.push((sample.in_file(session.map().translate(at).ok()?.0)?, take));
            done += take;
        }
        parts.push(places);
    }
    Some(Ring { parts, seed })
}

fn ring_seeds() -> Vec<Vec<u8>> {
    let whole = ring_of_sample().seed.clone();
    let mut full = whole.clone();
    // no number of the header is one that can be
    full[..PARTS[0]].fill(0xff);
    vec![whole, full]
}

fn ring(bytes: &[u8]) -> u64 {
    let (sample, ring) = (sample(), ring_of_sample());
    let mut rest = bytes;
    let mut undo = Vec::new();
    for &(at, len) in ring.parts.iter().flatten() {
        let (part, behind) = rest.split_at(len.min(rest.len()));
        undo.extend(sample.overwrite(at, part).map(|old| (at, old)));
        rest = behind;
    }
    let found = ["log", "log -d"].map(|line| answer(&sample.path, line));
    for (at, old) in undo.into_iter().rev() {
        sample.overwrite(at, &old);
    }
    outcome(found)
}

/// The bytes as memory from an address on.
struct Memory<'a>(&'a [u8]);

const START: VirtAddr = VirtAddr(0xffff_8880_0100_0000);

impl VirtRead for Memory<'_> {
    fn read(&self, at: VirtAddr, buf: &mut [u8]) -> Result<(), Fault> {
        let from = usize::try_from(at.0.wrapping_sub(START.0)).ok().and_then(|from| self.0.get(from..));
        let part = from.and_then(|part| part.get(..buf.len()));
        buf.copy_from_slice(part.ok_or(Fault::new(at, FaultKind::NotMapped("PTE")))?);
        Ok(())
    }
}

/// The bytes before the buffer: where the first and the next record are, the size of a header, and where its members are.
const HEAD: usize = 8;

/// Records that fill a buffer, one that says the rest is unused, and what was written over the oldest.
fn record_seeds() -> Vec<Vec<u8>> {
    let record = |seq: u64, text: &str, dict: &str| -> Vec<u8> {
        let len = (16 + text.len() + dict.len()).next_multiple_of(8);
        let mut bytes = (seq * 1_000_000).to_le_bytes().to_vec();
        for number in [len, text.len(), dict.len()] {
            bytes.extend((number as u16).to_le_bytes());
        }
        bytes.extend([0, 0xc6]);
        bytes.extend(text.bytes().chain(dict.bytes()));
        bytes.resize(len, 0);
        bytes
    };
    let all: Vec<u8> =
        (0..40).flat_map(|n| record(n, "usb 1-1: new device", "SUBSYSTEM=usb\0DEVICE=c1:2")).collect();
    let head = |first: u16, next: usize| {
        let mut head = [first.to_le_bytes(), (next as u16).to_le_bytes()].concat();
        head.extend([16, 0, 0, 0]);
        head
    };
    let mut wrapped = all.clone();
    wrapped.extend([0; 16]);
    vec![[head(0, all.len()), all.clone()].concat(), [head(64, 64), wrapped].concat()]
}

fn records(bytes: &[u8]) -> u64 {
    let Some((head, memory)) = bytes.split_at_checked(HEAD) else { return 0 };
    let field = |at| u64::from(Bytes::new(head).u16_at(at).unwrap_or(0));
    let shift = u64::from(head[5] & 3);
    let buffer = RecordBuffer {
        at: START,
        len: memory.len() as u64 + u64::from(head[6]),
        first: field(0),
        next: field(2),
        header: u64::from(head[4]),
        members: RecordBuffer::MEMBERS.map(|at| at + shift),
    };
    let log = read_records(&Memory(memory), &buffer);
    assert!(log.records.len() * 8 <= memory.len() + 8, "each record takes room of its own");
    outcome((
        log.records.len().min(64),
        log.stopped.is_some(),
        log.records.iter().any(|r| !r.dict.is_empty()),
    ))
}

/// Code that traps, a path, and entries of 12 bytes that lead to both.
fn bug_seeds() -> Vec<Vec<u8>> {
    let entries = 16_i32;
    let (code, name) = (entries * 12, entries * 12 + 65);
    let mut bytes = Vec::new();
    for n in 0..entries {
        bytes.extend((code + 4 * n - 12 * n).to_le_bytes());
        bytes.extend((name - 12 * n - 4).to_le_bytes());
        bytes.extend([n as u8, 1, (n & 1) as u8, 0]);
    }
    bytes.extend([0x0f, 0x0b, 0x90, 0x90].repeat(entries as usize));
    bytes.extend(b"\0drivers/virtio/virtio_ring.c\0");
    vec![bytes]
}

fn bugs(bytes: &[u8]) -> u64 {
    let bytes = bytes.get(..bytes.len().min(1 << 16)).unwrap_or_default();
    outcome(verdict::fuzz_bug_table(bytes))
}
