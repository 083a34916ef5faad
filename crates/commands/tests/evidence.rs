//! What a dump says of itself is evidence, not truth: with random bytes changed in the CPUs' notes, in VMCOREINFO and in
//! the headers, every command and `verdict` give the whole dump's cells or absent ones, and a dump is refused only where
//! its format cannot be read any more.
//!
//! `CRASHLENS_SEEDS=1000` runs so many seeds instead of 50, `CRASHLENS_FIRST=N` from that one on; `CRASHLENS_SEED=N` runs that
//! one, and shows what it changes. `CRASHLENS_DUMPS=A:B` takes these dumps instead of the sample.
#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "a test")]
#![allow(clippy::indexing_slicing, missing_docs, dead_code, reason = "a test")]

mod lies;
mod property;

use kernel::Layers;
use property::{Answer, Draw, compare};
use serde_json::Value;
use std::fs;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Mutex;

/// What nothing else in a dump can contradict, and `info` shows with its source: the mark by which the writer says that it
/// ran out of room (`status` of a kdump header, `e_flags` of an ELF header).
const ITS_WORD: &str = "sys: .incomplete: true and not false";

/// Lines that are asked of every damaged dump.
const ALWAYS: &[&str] = &["sys", "ps", "bt", "bt -a", "mod", "set", "log", "verdict -v"];

/// A dump's file that is changed and opened again and again.
struct Scratch {
    path: PathBuf,
    bytes: Vec<u8>,
    parts: Parts,
}

/// Bytes to put into a file, each run with its place.
type Changes = Vec<(usize, Vec<u8>)>;

/// A field of a header: its place, and whether the file can be read without it.
type Field = (Range<usize>, bool);

/// Fields of `disk_dump_header` and `kdump_sub_header` (a block further on), by where they begin: those without which
/// nothing of the file can be found, and the others.
const KDUMP_PLACES: &[usize] = &[0, 8, 428, 432, 436, 440, BLOCK + 96];
const KDUMP_OTHERS: &[usize] = &[
    12,
    77,
    142,
    207,
    272,
    337,
    402,
    408,
    416,
    424,
    444,
    448,
    452,
    456,
    460,
    BLOCK,
    BLOCK + 8,
    BLOCK + 12,
    BLOCK + 16,
    BLOCK + 24,
    BLOCK + 32,
    BLOCK + 40,
    BLOCK + 48,
    BLOCK + 56,
    BLOCK + 64,
    BLOCK + 72,
    BLOCK + 80,
    BLOCK + 88,
];
const KDUMP_ENDS: &[usize] = &[464, BLOCK + 104];
const BLOCK: usize = 4096;
/// The same of the ELF header; and the fields of a program header.
const ELF_PLACES: &[usize] = &[0];
const ELF_OTHERS: &[usize] = &[4, 5, 6, 7, 16, 18, 20, 24, 32, 40, 48, 52, 54, 56, 58];
const ELF_ENDS: &[usize] = &[64];
const PHDR: &[usize] = &[0, 4, 8, 16, 24, 32, 40, 48];

/// The fields that begin at these places, each up to where the next begins.
fn fields(places: &[usize], others: &[usize], ends: &[usize]) -> Vec<Field> {
    let mut all: Vec<usize> = [places, others, ends].concat();
    all.sort_unstable();
    let end = |at: usize| all.iter().copied().find(|next| *next > at).unwrap();
    let of = |at: &usize, is_other: bool| (*at..end(*at), is_other);
    places.iter().map(|at| of(at, false)).chain(others.iter().map(|at| of(at, true))).collect()
}

/// Where what a dump says of itself lies in its file.
struct Parts {
    headers: Vec<Field>,
    vmcoreinfo: Range<usize>,
    /// The descriptors of the CPUs' notes.
    cpus: Vec<Range<usize>>,
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

fn u32_at(bytes: &[u8], at: usize) -> usize {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize
}

fn u64_at(bytes: &[u8], at: usize) -> usize {
    usize::try_from(u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())).unwrap()
}

/// The notes in a part of a file: their names, and where their descriptors are.
fn notes(bytes: &[u8], within: Range<usize>) -> Vec<(String, Range<usize>)> {
    let mut out = Vec::new();
    let mut at = within.start;
    while at + 12 <= within.end && u32_at(bytes, at) != 0 {
        let (name, desc) = (u32_at(bytes, at), u32_at(bytes, at + 4));
        let start = at + 12 + name.next_multiple_of(4);
        let text = String::from_utf8_lossy(&bytes[at + 12..at + 11 + name]).into_owned();
        out.push((text, start..start + desc));
        at = start + desc.next_multiple_of(4);
    }
    out
}

impl Parts {
    /// Of a kdump-compressed dump: `disk_dump_header` and, a block further on, `kdump_sub_header`.
    fn of_kdump(bytes: &[u8]) -> Self {
        let notes_at = u64_at(bytes, BLOCK + 48);
        let notes = notes(bytes, notes_at..notes_at + u64_at(bytes, BLOCK + 56));
        Self::new(fields(KDUMP_PLACES, KDUMP_OTHERS, KDUMP_ENDS), &notes)
    }

    /// Of an ELF core: its header and the program headers.
    fn of_elf(bytes: &[u8]) -> Self {
        let table = u64_at(bytes, 32);
        let count = u32_at(bytes, 56) & 0xffff;
        let headers = (0..count).map(|n| table + n * 56..table + n * 56 + 56).collect::<Vec<_>>();
        let own = headers.iter().find(|h| u32_at(bytes, h.start) == 4).unwrap().start;
        let at = u64_at(bytes, own + 8);
        let notes = notes(bytes, at..at + u64_at(bytes, own + 32));
        let mut all = fields(ELF_PLACES, ELF_OTHERS, ELF_ENDS);
        for header in &headers {
            let begins: Vec<usize> = PHDR.iter().map(|at| header.start + at).collect();
            all.extend(fields(&[], &begins, &[header.end]));
        }
        Self::new(all, &notes)
    }

    fn new(headers: Vec<Field>, notes: &[(String, Range<usize>)]) -> Self {
        let of = |name: &str| notes.iter().filter(|n| n.0 == name).map(|n| n.1.clone()).collect::<Vec<_>>();
        let vmcoreinfo = of("VMCOREINFO").first().cloned().unwrap();
        let cpus = of("CORE");
        assert!(!cpus.is_empty(), "no note of a CPU");
        Self { headers, vmcoreinfo, cpus }
    }
}

impl Scratch {
    /// The sample in its own format.
    fn kdump(name: &str) -> Self {
        let bytes = fs::read(property::sample()).unwrap();
        let parts = Parts::of_kdump(&bytes);
        Self::new(name, bytes, parts)
    }

    /// The sample as an ELF core of plain pages.
    fn elf(name: &str) -> Self {
        let from = dump::open(&[property::sample()]).unwrap();
        let spec = testkit::dump::DumpSpec::copy_of(testkit::dump::Target::X86_64, from.notes(), &from);
        let bytes = spec.placed(0xffff_8880_0000_0000).elf();
        let parts = Parts::of_elf(&bytes);
        Self::new(name, bytes, parts)
    }

    fn new(name: &str, bytes: Vec<u8>, parts: Parts) -> Self {
        let path = Self::place(name);
        fs::write(&path, &bytes).unwrap();
        Self { path, bytes, parts }
    }

    fn place(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("crashlens-evidence-{}-{name}", std::process::id()))
    }

    /// A copy of any ELF or kdump-compressed dump. What it says of itself lies in its front.
    fn of_file(name: &str, from: &std::path::Path) -> Self {
        const FRONT: u64 = 16 << 20;
        let path = Self::place(name);
        fs::copy(from, &path).unwrap();
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(
            &mut std::io::Read::take(fs::File::open(from).unwrap(), FRONT),
            &mut bytes,
        )
        .unwrap();
        let parts = if bytes.starts_with(b"KDUMP") { Parts::of_kdump(&bytes) } else { Parts::of_elf(&bytes) };
        Self { path, bytes, parts }
    }

    /// The dumps that are damaged: those that `CRASHLENS_DUMPS` names, with `:` between them, else the sample twice.
    fn all(thread: &str) -> Vec<Self> {
        match std::env::var("CRASHLENS_DUMPS") {
            Ok(paths) => {
                let each = paths.split(':').enumerate();
                each.map(|(n, path)| Self::of_file(&format!("{thread}-{n}"), path.as_ref())).collect()
            }
            Err(_) => vec![Self::kdump(&format!("{thread}.kdump")), Self::elf(&format!("{thread}.elf"))],
        }
    }

    /// Opens the file with bytes changed, asks, and puts the bytes back.
    fn with<T>(&self, changes: &[(usize, Vec<u8>)], ask: impl FnOnce(kernel::Result<Layers>) -> T) -> T {
        use std::os::unix::fs::FileExt as _;
        let file = fs::OpenOptions::new().write(true).open(&self.path).unwrap();
        for (at, bytes) in changes {
            file.write_all_at(bytes, *at as u64).unwrap();
        }
        let answer = ask(Layers::open(property::options(std::slice::from_ref(&self.path))));
        for (at, bytes) in changes {
            file.write_all_at(&self.bytes[*at..at + bytes.len()], *at as u64).unwrap();
        }
        answer
    }

    fn answers(&self, lines: &[&str]) -> Vec<Answer> {
        self.with(&[], |dump| {
            let dump = dump.unwrap();
            lines.iter().map(|line| property::ask(&dump, line)).collect()
        })
    }
}

/// What a seed changes.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Part {
    CpuNotes,
    VmcoreInfo,
    Headers,
}

/// The bytes that a seed changes in one of these parts.
fn drawn(scratch: &Scratch, of: &[Part], draw: &mut Draw) -> (Part, Changes) {
    let part = of[draw.below(of.len())];
    let spans = match part {
        Part::CpuNotes => scratch.parts.cpus.clone(),
        Part::VmcoreInfo => vec![scratch.parts.vmcoreinfo.clone()],
        // a few fields: of many that are damaged at once, nothing is left to be held against
        Part::Headers => {
            let all = &scratch.parts.headers;
            (0..1 + draw.below(2)).map(|_| all[draw.below(all.len())].0.clone()).collect()
        }
    };
    let count = 1_usize << draw.below(5);
    let change = |draw: &mut Draw| {
        let span = &spans[draw.below(spans.len())];
        let at = span.start + draw.below(span.len());
        let byte = match draw.below(4) {
            0 => 0,
            1 => 0xff,
            _ => u8::try_from(draw.below(256)).unwrap(),
        };
        (at, vec![byte])
    };
    (part, (0..count).map(|_| change(draw)).collect())
}

/// Whether all that is changed are fields without which the file can be read.
fn is_readable(scratch: &Scratch, changes: &Changes) -> bool {
    let of = |at: &usize| scratch.parts.headers.iter().find(|(field, _)| field.contains(at));
    changes.iter().all(|(at, _)| of(at).is_some_and(|(_, other)| *other))
}

/// What is wrong with a seed's answers.
fn run(scratch: &Scratch, whole: &[Answer], of: &[Part], seed: u64) -> Vec<String> {
    let (part, changes) = drawn(scratch, of, &mut Draw::new(seed));
    let mut wrong = scratch.with(&changes, |dump| match dump {
        // whose format cannot be read
        Err(_) if part == Part::Headers && !is_readable(scratch, &changes) => Vec::new(),
        Err(e) => vec![format!("refused: {e}")],
        Ok(dump) => {
            let mut wrong = Vec::new();
            for (line, whole) in ALWAYS.iter().zip(whole) {
                let found = property::ask(&dump, line);
                if let (Err(e), true) = (&found, *line == "sys" && is_readable(scratch, &changes)) {
                    wrong.push(format!("no kernel is found: {e}"));
                }
                let compared = compare::answers(line, whole, &found);
                wrong.extend(compared.wrong.into_iter().map(|w| format!("{line}: {w}")));
            }
            wrong
        }
    });
    if part == Part::Headers {
        wrong.retain(|w| w != ITS_WORD);
    }
    if !wrong.is_empty() {
        let told: Vec<String> = changes.iter().map(|(at, b)| format!("{at:#x}={:02x}", b[0])).collect();
        let name = scratch.path.file_name().unwrap().to_string_lossy().into_owned();
        wrong.insert(0, format!("seed {seed} of {name}, {part:?}: {}", told.join(" ")));
    }
    wrong
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn random_bytes_in_cpu_notes_change_no_answer() {
    hold(&[Part::CpuNotes]);
}

#[test]
fn random_bytes_in_vmcoreinfo_and_headers_change_no_answer() {
    hold(&[Part::VmcoreInfo, Part::Headers]);
}

fn hold(parts: &[Part]) {
    let one = number("CRASHLENS_SEED");
    let first = number("CRASHLENS_FIRST").unwrap_or(1);
    let last = first.saturating_add(number("CRASHLENS_SEEDS").unwrap_or(50)).saturating_sub(1);
    let seeds = one.map_or(first..=last, |seed| seed..=seed);
    let name = parts.len();
    let next = Mutex::new(seeds);
    let wrong = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for n in 0..2 {
            let (next, wrong) = (&next, &wrong);
            scope.spawn(move || {
                let all = Scratch::all(&format!("{n}-{name}"));
                let whole: Vec<Vec<Answer>> = all.iter().map(|scratch| scratch.answers(ALWAYS)).collect();
                loop {
                    let Some(seed) = next.lock().unwrap().next() else { break };
                    let of = Draw::new(seed ^ 0x5eed).below(all.len());
                    let found = run(&all[of], &whole[of], parts, seed);
                    wrong.lock().unwrap().extend(found);
                }
            });
        }
    });
    let wrong = wrong.into_inner().unwrap();
    let heads = wrong.iter().filter(|w| w.starts_with("seed ")).count();
    if one.is_some() {
        eprintln!("{wrong:#?}");
    }
    assert!(wrong.is_empty(), "{heads} seeds are wrong:\n{}", wrong.join("\n"));
}

/// Words of `elf_prstatus` behind its 112 bytes of head, by register.
const RBP: usize = 4;
const RIP: usize = 16;
const CS: usize = 17;
const RSP: usize = 19;

/// Every named way in which CPU notes are seen to be wrong, and what `bt` says of the panic task's CPU then.
fn damages(scratch: &Scratch) -> Vec<(String, Changes, &'static str)> {
    let cpus = &scratch.parts.cpus;
    let len = cpus[0].len();
    let whole = |n: usize| scratch.bytes[cpus[n].clone()].to_vec();
    let zero = |n: usize| (cpus[n].start, vec![0; len]);
    let word = |n: usize, which: usize, v: u64| (cpus[n].start + 112 + 8 * which, v.to_le_bytes().to_vec());
    let both = |which: usize, v: u64| vec![word(0, which, v), word(1, which, v)];
    let mut out = vec![
        ("all zero".to_owned(), vec![zero(0), zero(1)], "they are all zero"),
        (
            "after a reset".to_owned(),
            [vec![zero(0), zero(1)], both(RIP, 0xfff0), both(CS, 0xf000)].concat(),
            "they are those of a CPU after a reset",
        ),
        ("swapped".to_owned(), vec![(cpus[0].start, whole(1)), (cpus[1].start, whole(0))], ""),
        ("CPU 0's twice".to_owned(), vec![(cpus[1].start, whole(0))], "they are those of CPU 0"),
        ("CPU 1's twice".to_owned(), vec![(cpus[0].start, whole(1))], ""),
        (
            "the crash kernel's".to_owned(),
            [both(RIP, 0xffff_ffff_8c61_7a0b), both(RSP, 0xffff_ffff_8d60_3e98)].concat(),
            "is in no code of this kernel",
        ),
        ("only one, of another CPU".to_owned(), vec![(cpus[1].start - 12, vec![2])], ""),
    ];
    for (name, which, values) in [
        ("program counter", RIP, &[0, 0x44_7b3d, 1 << 63, u64::MAX, 0xffff_ffff_b9e1_7a0b][..]),
        ("stack pointer", RSP, &[0, 0x7ffc_1976_2478, 1 << 63, u64::MAX, 0xffff_ffff_bae0_3e98]),
        ("frame pointer", RBP, &[0, 7]),
        ("code segment", CS, &[0x33, 0, u64::MAX]),
    ] {
        let of = |v: &u64| (format!("{name} {v:#x}"), both(which, *v), "any");
        out.extend(values.iter().map(of));
    }
    out
}

#[test]
fn damaged_notes_cost_no_frame_and_no_word_of_the_verdict() {
    let scratch = Scratch::kdump("notes.kdump");
    let lines = ["bt", "verdict", "info", "sys", "set"];
    let whole = scratch.answers(&lines);
    let whole: Vec<&Value> = whole.iter().map(|a| &a.as_ref().unwrap()[0]).collect();
    let frames = |of: &Value| of["backtraces"][0]["frames"].clone();
    assert_eq!(frames(whole[0]).as_array().map(Vec::len), Some(23), "22, and the one that was interrupted");
    assert_eq!(whole[0]["backtraces"][0]["doubt"], Value::Null);
    for (name, changes, why) in damages(&scratch) {
        let found = scratch.with(&changes, |dump| {
            let dump = dump.unwrap();
            lines.map(|line| property::ask(&dump, line).unwrap().remove(0))
        });
        assert_eq!(frames(&found[0]), frames(whole[0]), "{name}");
        let remark = found[0]["backtraces"][0]["doubt"].as_str().unwrap_or_default();
        // a note that is found in another one's place is used
        let doubt = if remark.contains("stands in the place of CPU") { "" } else { remark };
        assert!(
            why == "any" || (doubt.contains(why) && doubt.is_empty() == why.is_empty()),
            "{name}: {doubt}"
        );
        assert_eq!(name == "swapped", remark != doubt, "{name}: {remark}");
        // all commands say the same of them
        let told = |of: &Value| of.to_string().contains(&serde_json::to_string(remark).unwrap());
        assert!(remark.is_empty() || found[2..].iter().all(told), "{name}: {remark}: {:#?}", &found[2..]);
        // the verdict says what it says, and that the registers are not used
        let unknown = |of: &Value| of["undetermined"].as_array().map_or(0, Vec::len);
        let said = unknown(&found[1]) - unknown(whole[1]);
        assert_eq!(said, usize::from(!doubt.is_empty()), "{name}: {}", found[1]["undetermined"]);
        let without = |of: &Value| {
            let mut of = of.clone();
            of.as_object_mut().unwrap().remove("undetermined");
            of
        };
        assert_eq!(without(&found[1]), without(whole[1]), "{name}");
    }
}

/// A program counter in other code than the stack's call leads to is not taken for the innermost frame, on CPUs that did not
/// panic either.
#[test]
fn a_program_counter_in_other_code_is_no_frame() {
    let scratch = Scratch::kdump("counters.kdump");
    let whole = scratch.answers(&["bt -a"]).remove(0).unwrap();
    let told = |of: &Value| of["backtraces"].as_array().unwrap().clone();
    let whole = told(&whole[0]);
    let mut draw = Draw::new(1);
    for _ in 0..24 {
        let at = 0xffff_ffff_b940_0000 + draw.below(0x80_0000) as u64;
        let bytes = at.to_le_bytes().to_vec();
        let changes: Changes =
            scratch.parts.cpus.iter().map(|cpu| (cpu.start + 112 + 8 * RIP, bytes.clone())).collect();
        let found = scratch.with(&changes, |dump| property::ask(&dump.unwrap(), "bt -a").unwrap());
        for (whole, found) in whole.iter().zip(told(&found[0])) {
            assert_eq!(found["frames"], whole["frames"], "{at:#x}");
            assert!(found["doubt"].is_string(), "{at:#x}: {found}");
        }
    }
}

/// What is asked of a dump whose types lie.
const TYPED: &[&str] = &["ps", "bt", "bt 1", "mod", "sys", "log"];

/// Each member that the kernel crate binds, moved by eight bytes in the BTF, changes no answer: a cell is as it was, or
/// absent with a word. `CRASHLENS_SEEDS=1000` moves all instead of some.
#[test]
fn a_member_that_the_types_have_elsewhere_changes_no_answer() {
    let scratch = Scratch::elf("types.elf");
    let btf = lies::Btf::find(&scratch.bytes);
    let whole = scratch.answers(TYPED);
    let found = |of: lies::Bound| Some((btf.member(&of)?, of));
    let all: Vec<(usize, lies::Bound)> = lies::bound().into_iter().filter_map(found).collect();
    assert!(all.len() > 100, "{} members of {} bound", all.len(), lies::bound().len());
    let most = usize::try_from(number("CRASHLENS_SEEDS").unwrap_or(100)).unwrap();
    let only = std::env::var("CRASHLENS_MEMBER").ok();
    let mut draw = Draw::new(number("CRASHLENS_SEED").unwrap_or(1));
    let mut wrong = Vec::new();
    let mut changed = 0;
    for n in 0..most.min(all.len() * 2) {
        let one = if most < all.len() * 2 { draw.below(all.len() * 2) } else { n };
        let (record, of) = &all[one / 2];
        let by = if one % 2 == 0 { 8 } else { -8 };
        if only.as_ref().is_some_and(|only| *only != format!("{}.{}", of.of, of.member)) {
            continue;
        }
        let dump = |dump: kernel::Result<Layers>| {
            let dump = dump.unwrap();
            TYPED.iter().map(|line| property::ask(&dump, line)).collect::<Vec<_>>()
        };
        let answers = scratch.with(&[btf.moved(*record, by)], dump);
        for ((line, whole), found) in TYPED.iter().zip(&whole).zip(&answers) {
            let compared = compare::answers(line, whole, found);
            changed += usize::from(compared.changed);
            let name = format!("{}.{} by {by}: {line}", of.of, of.member);
            wrong.extend(compared.wrong.into_iter().take(3).map(|w| format!("{name}: {w}")));
        }
    }
    assert!(changed > 0, "no answer rests on what was moved");
    assert!(wrong.is_empty(), "{} are wrong:\n{}", wrong.len(), wrong.join("\n"));
}
