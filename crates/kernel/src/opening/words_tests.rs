//! Words in the memory of machines that are not read.

use super::PIECE;
use crate::{Layers, OpenOptions};
use testkit::dump::{DumpSpec, Packing, Target};

const INFO: &str = "OSRELEASE=6.9.0-test\nBUILD-ID=0123456789abcdef0123456789abcdef01234567\nPAGESIZE=4096\n\
    SYMBOL(init_uts_ns)=800\nSYMBOL(_stext)=100000\nOFFSET(page.flags)=0\nSIZE(page)=64\nNUMBER(PG_lru)=5\n\
    CRASHTIME=1700000001\n";
const LINES: [&str; 6] = [
    "Linux version 6.9.0-test (gcc) #1 SMP",
    "Command line: root=/dev/sda1",
    "a second line",
    "Unable to handle kernel paging request",
    "Oops: 0001",
    "Kernel panic - not syncing: Fatal exception",
];

/// printk's ring as a machine has it: the id of a descriptor, then text, filled to whole longs.
fn ring(target: Target) -> Vec<u8> {
    let size = if target.wide { 8 } else { 4 };
    let mut out = Vec::new();
    for (n, line) in (0..).zip(LINES) {
        // ids begin below their end
        let id =
            (u64::MAX >> (66 - 8 * size)).wrapping_add(n).wrapping_sub(20) & (u64::MAX >> (66 - 8 * size));
        let bytes = if target.big_endian {
            id.to_be_bytes()[8 - size..].to_vec()
        } else {
            id.to_le_bytes()[..size].to_vec()
        };
        out.extend(bytes);
        out.extend(line.bytes());
        out.resize(out.len().next_multiple_of(size), 0);
    }
    out
}

fn layers(file: &[u8]) -> (tempfile::NamedTempFile, Layers) {
    let dump = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(dump.path(), file).unwrap();
    let files = vec![dump.path().to_owned()];
    let layers = Layers::open(OpenOptions { files, no_search: true, ..OpenOptions::default() }).unwrap();
    (dump, layers)
}

#[test]
fn memory_of_any_machine_says_its_release_vmcoreinfo_and_log() {
    for target in Target::OTHERS {
        let spec = DumpSpec::of(target).release("").page(3, &[7; 64]);
        let spec = spec.bytes(0x5_5040, INFO.as_bytes()).bytes(0x5_5040 + INFO.len() as u64, &[0; 64]);
        // the banner alone, as it lies in the image, and the log
        let spec =
            spec.bytes(0x2_0000, LINES[0].as_bytes()).bytes(0x8_0100, &ring(target)).page(0x90, &[0; 8]);
        for file in [spec.elf(), spec.kdump(Packing::Zlib)] {
            let (_file, layers) = layers(&file);
            assert!(layers.session().is_err(), "{}", target.name);
            let words = layers.words();
            assert_eq!(words.release.as_deref(), Some("6.9.0-test"), "{}", target.name);
            assert_eq!(words.info.get("CRASHTIME"), Some("1700000001"), "{}", target.name);
            let texts: Vec<&str> = words.log.as_ref().unwrap().records.iter().map(|r| &*r.text).collect();
            assert_eq!(texts, LINES, "{}", target.name);
        }
    }
}

/// Records of 3.5 to 5.9 and the text before those, of machines that are not read; the ring's own test is above.
#[test]
fn logs_of_older_kernels_are_told_by_their_shape() {
    for target in Target::OTHERS.into_iter().chain([Target::X86_64]) {
        let number = |n: usize, size: usize| match target.big_endian {
            true => n.to_be_bytes()[8 - size..].to_vec(),
            false => n.to_le_bytes()[..size].to_vec(),
        };
        let mut records = Vec::new();
        for (n, line) in LINES.iter().enumerate() {
            let len = (16 + line.len()).next_multiple_of(8);
            let at = records.len();
            records.extend(number(n * 5000, 8));
            records.extend([number(len, 2), number(line.len(), 2), vec![0; 4]].concat());
            records.extend(line.bytes());
            records.resize(at + len, 0);
        }
        let text: String = LINES.iter().map(|line| format!("<6>[    0.000005] {line}\n")).collect();
        for (bytes, time) in [(records.as_slice(), 5000), (text.as_bytes(), 5000)] {
            // at the front of a run of memory, and inside one
            for at in [0x8_0000, 0x8_0100] {
                let spec = DumpSpec::of(target).release("").bytes(0x2_0000, LINES[0].as_bytes());
                let spec = spec.bytes(at, bytes).bytes(at + bytes.len() as u64, &[0; 64]);
                let (_file, layers) = layers(&spec.elf());
                let log = layers.words().log.as_ref();
                let log = log.unwrap_or_else(|| panic!("{} {time} {at:#x}", target.name));
                let texts: Vec<&str> = log.records.iter().map(|r| &*r.text).collect();
                assert_eq!(texts, LINES, "{}", target.name);
                assert_eq!((log.records[1].ts_nsec, log.as_text), (Some(time), false), "{}", target.name);
            }
        }
    }
}

/// A buffer that was written more than once: new messages, what is left of an old one, and the old ones behind.
#[test]
fn a_log_whose_first_message_was_written_over_is_found() {
    for target in Target::OTHERS.into_iter().chain([Target::X86_64]) {
        let number = |n: usize, size: usize| match target.big_endian {
            true => n.to_be_bytes()[8 - size..].to_vec(),
            false => n.to_le_bytes()[..size].to_vec(),
        };
        let text = |n: usize| format!("message {n} of the machine{}", ".".repeat(n % 7));
        for (header, align) in [(16, 4), (16, 8), (24, 8)] {
            let record = |n: usize| {
                let text = text(n);
                let len = (header + text.len()).next_multiple_of(align);
                let mut out = number(n * 1_000_000, 8);
                out.extend([number(len, 2), number(text.len(), 2), vec![0; 4]].concat());
                out.resize(header, 3);
                out.extend(text.bytes());
                out.resize(len, 0);
                out
            };
            let all = |range: std::ops::Range<usize>| range.flat_map(record).collect::<Vec<u8>>();
            // how many are new, how many old ones are behind them, and what is left of one between
            for (new, old, rest) in [(20, 300, 24), (20, 30, 0), (5000, 40, 8), (0, 40, 0)] {
                let left = record(9)[record(9).len() - rest..].to_vec();
                let bytes =
                    [all(1000 + old..1000 + old + new), left, all(1000..1000 + old), vec![0; 32]].concat();
                // at the front of a run of memory, and across pieces
                for at in [0x8_0000, 0x10_0000 + PIECE as u64 - 0x804] {
                    let spec = DumpSpec::of(target).release("").bytes(0x2_0000, LINES[0].as_bytes());
                    let spec =
                        spec.bytes(0x10_0000, &[1; 0x1000]).bytes(at, &bytes).bytes(0x20_0000, &[1; 64]);
                    let (_file, layers) = layers(&spec.elf());
                    let log = layers.log_in_memory();
                    let log = log.unwrap_or_else(|| panic!("{} {header} {new} {at:#x}", target.name));
                    let texts: Vec<&str> = log.records.iter().map(|r| &*r.text).collect();
                    let want: Vec<String> = (1000..1000 + old + new).map(text).collect();
                    assert_eq!(texts, want, "{} {header} {new} {at:#x}", target.name);
                    assert_eq!((log.records[1].ts_nsec, log.hole), (Some(1_001_000_000), Some(0)));
                }
            }
        }
    }
}

/// The same of a ring's text (5.10), of which the first messages were written over.
#[test]
fn a_ring_whose_first_message_was_written_over_is_found() {
    for target in Target::OTHERS.into_iter().chain([Target::X86_64]) {
        let size = if target.wide { 8 } else { 4 };
        let text = |n: u64| format!("message {n} of the machine{}", &" abcdef"[..n as usize % 7]);
        let block = |n: u64| {
            let id = n + 0xf_0000;
            let mut out = if target.big_endian {
                id.to_be_bytes()[8 - size..].to_vec()
            } else {
                id.to_le_bytes()[..size].to_vec()
            };
            out.extend(text(n).bytes().chain([0]));
            out.resize(out.len().next_multiple_of(size), 0);
            out
        };
        let all = |range: std::ops::Range<u64>| range.flat_map(block).collect::<Vec<u8>>();
        for (new, old) in [(20, 300), (5000, 40), (0, 40)] {
            let left = &block(9)[size..];
            let bytes = [&all(1000 + old..1000 + old + new), left, &all(1000..1000 + old), &[0; 32]].concat();
            for at in [0x8_0000, 0x10_0000 + PIECE as u64 - 0x808] {
                let spec = DumpSpec::of(target).release("").bytes(0x2_0000, LINES[0].as_bytes());
                let spec = spec.bytes(0x10_0000, &[1; 0x1000]).bytes(at, &bytes).bytes(0x20_0000, &[1; 64]);
                let (_file, layers) = layers(&spec.elf());
                let log = layers.log_in_memory();
                let log = log.unwrap_or_else(|| panic!("{} {new} {at:#x}", target.name));
                let texts: Vec<&str> = log.records.iter().map(|r| &*r.text).collect();
                let want: Vec<String> = (1000..1000 + old + new).map(text).collect();
                assert_eq!(texts, want, "{} {new} {at:#x}", target.name);
                assert_eq!((log.as_text, log.hole), (true, Some(0)));
            }
        }
    }
}

/// Nothing but the banner in the image, and texts that no header stands before.
#[test]
fn memory_without_a_log_has_none() {
    let text = "a message as a file has it\n".repeat(400);
    let spec = DumpSpec::of(Target::OTHERS[0]).release("").bytes(0x2_0000, LINES[0].as_bytes());
    let (_file, layers) = layers(&spec.bytes(0x8_0000, text.as_bytes()).elf());
    assert!(layers.log_in_memory().is_none());
}

#[test]
fn of_two_texts_that_differ_none_is_told() {
    let other = INFO.replace("6.9.0-test", "5.10.0-other");
    let spec = DumpSpec::of(Target::OTHERS[1]).release("");
    let spec = spec.bytes(0x5_5040, INFO.as_bytes()).page(0x60, other.as_bytes()).page(0x70, &[0; 8]);
    let (_file, layers) = layers(&spec.elf());
    assert!(layers.words().info.is_empty() && layers.words().log.is_none());
}

/// One text that lies across two pieces of memory, and a copy that lacks the line which the crash appended.
#[test]
fn vmcoreinfo_in_two_pieces_and_in_two_copies_is_one() {
    let filled = 0x10_0000;
    let shorter = INFO.trim_end().rsplit_once('\n').unwrap().0;
    let at = filled + PIECE as u64 - INFO.len() as u64 / 2;
    let spec = DumpSpec::of(Target::OTHERS[0]).release("").bytes(filled, &vec![1; 0x6_0000]);
    let spec = spec.bytes(at, INFO.as_bytes()).bytes(at + INFO.len() as u64, &[0]);
    let spec = spec.bytes(0x15_0000, shorter.as_bytes()).bytes(0x15_0000 + shorter.len() as u64, &[0]);
    let (_file, layers) = layers(&spec.elf());
    let words = layers.words();
    assert_eq!(words.info.get("CRASHTIME"), Some("1700000001"));
    assert_eq!(words.info.iter().count(), INFO.lines().count());
}

/// A buffer of text, as before 3.5, whose first messages were written over.
#[test]
fn text_without_a_banner_is_a_log_of_any_machine() {
    for target in Target::OTHERS {
        let lines: String = (20..60).map(|n| format!("<6>[{n:5}.000000] message {n}\n")).collect();
        let mut text = lines.into_bytes();
        text.rotate_left(333);
        let spec =
            DumpSpec::of(target).release("").page(0x80, &[7; 64]).bytes(0x8_0100, &text).page(0x90, &[0; 8]);
        let (_file, layers) = layers(&spec.elf());
        let log = super::log_by_shape(layers.image(), &debuginfo::find::Watch::default()).unwrap();
        let told: Vec<String> = log.records.iter().map(|r| r.text.clone()).collect();
        let wanted: Vec<String> = (20..60).map(|n| format!("message {n}")).collect();
        assert_eq!((told, log.hole), (wanted, Some(0)), "{}", target.name);
    }
}
