//! Damaged files, and the program run on them within limits.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use testkit::dump::DumpSpec;

/// Seconds for one run; it takes less than one on a machine that has nothing else to do.
const TIME: &str = "60";
/// KiB of address space for one run: maps of the file are in it.
const SPACE: u64 = 3 << 20;

/// The shipped dump.
pub(crate) fn sample() -> Vec<u8> {
    std::fs::read(sample_path()).unwrap()
}

fn sample_path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../samples/virtio-bug.kdump")
}

/// The shipped dump as an ELF core of plain pages, changed by `change`.
pub(crate) fn plain_sample(change: impl FnOnce(DumpSpec) -> DumpSpec) -> Vec<u8> {
    let from = dump::open(&[sample_path()]).unwrap();
    let spec = DumpSpec::copy_of(testkit::dump::Target::X86_64, from.notes(), &from);
    change(spec).elf()
}

/// A folder that goes away.
pub(crate) struct Folder(tempfile::TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }
    pub(crate) fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().unwrap().to_owned()
    }
    pub(crate) fn file(&self, name: &str, bytes: &[u8]) -> String {
        let path = self.path(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }
}

/// What the program said.
pub(crate) struct Answer {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs commands on files, from the dump alone.
pub(crate) fn run(files: &[&str], commands: &[&str]) -> Answer {
    // the shell sets the limit and is replaced by timeout, which is outside of it in effect
    let limited = format!("ulimit -v {SPACE} && exec timeout {TIME} \"$0\" \"$@\"");
    let home = tempfile::tempdir().unwrap();
    let mut command = Command::new("sh");
    command.args(["-c", &limited, env!("CARGO_BIN_EXE_crashlens"), "-s", "--no-search"]);
    for line in commands {
        command.args(["-c", line]);
    }
    let out = command.args(files).env("HOME", home.path()).stdin(Stdio::null()).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Answer { code: out.status.code(), stdout: text(&out.stdout), stderr: text(&out.stderr) }
}

impl Answer {
    /// Everything said.
    pub(crate) fn all(&self) -> String {
        format!("exit {:?}\n{}{}", self.code, self.stdout, self.stderr)
    }

    /// It ended by itself, in time.
    #[track_caller]
    pub(crate) fn survived(&self) {
        assert!(matches!(self.code, Some(0..=4)), "{}", self.all());
        assert!(!self.stderr.contains("panicked"), "{}", self.all());
        assert!(self.all().len() < 64 << 20, "{} bytes were printed", self.all().len());
    }

    /// Exit code 1 and one message that names the file and has these words.
    #[track_caller]
    pub(crate) fn refused(&self, file: &str, words: &[&str]) {
        self.survived();
        assert_eq!((self.code, self.stdout.as_str()), (Some(1), ""), "{}", self.all());
        let message = self.stderr.strip_prefix("crashlens: ").unwrap_or_default();
        for word in [file].iter().chain(words) {
            assert!(message.contains(word), "no {word:?} in {}", self.all());
        }
        assert_eq!(message.trim_end().lines().count(), 1, "{}", self.all());
    }
}

/// A hexadecimal number in the output of a command: the first word behind `after` in a line that has
/// it, up to `before`.
#[track_caller]
pub(crate) fn word_at(dump: &str, command: &str, after: &str, before: &str) -> u64 {
    let answer = run(&[dump], &[command]);
    let number = |line: &str| {
        let (_, rest) = line.split_once(after)?;
        let word = match before {
            "" => rest.split_whitespace().next()?,
            before => rest.trim_start().split(before).next()?,
        };
        u64::from_str_radix(word.trim().trim_start_matches("0x"), 16).ok()
    };
    let found = answer.stdout.lines().find_map(number);
    found.unwrap_or_else(|| panic!("{command}: no number behind {after:?}: {}", answer.all()))
}

/// An ELF program with nothing but a build id.
pub(crate) fn tiny_vmlinux(id: &[u8; 20]) -> Vec<u8> {
    let note = testkit::dump::note("GNU", 3, id);
    let names = b"\0.note.gnu.build-id\0.shstrtab\0";
    let (note_at, names_at) = (0x100, 0x200);
    let mut out = vec![0; 0x300];
    let mut put = |at: usize, bytes: &[u8]| out[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, b"\x7fELF\x02\x01\x01");
    put(16, &2_u16.to_le_bytes());
    put(18, &62_u16.to_le_bytes());
    put(20, &1_u32.to_le_bytes());
    put(40, &0x240_u64.to_le_bytes());
    put(52, &64_u16.to_le_bytes());
    put(54, &56_u16.to_le_bytes());
    put(58, &64_u16.to_le_bytes());
    put(60, &3_u16.to_le_bytes());
    put(62, &2_u16.to_le_bytes());
    put(note_at, &note);
    put(names_at, names);
    for (section, name, kind, at, len) in
        [(1, 1_u32, 7_u32, note_at, note.len()), (2, 20, 3, names_at, names.len())]
    {
        let header = 0x240 + 64 * section;
        put(header, &name.to_le_bytes());
        put(header + 4, &kind.to_le_bytes());
        put(header + 24, &(at as u64).to_le_bytes());
        put(header + 32, &(len as u64).to_le_bytes());
        put(header + 48, &4_u64.to_le_bytes());
    }
    out
}
