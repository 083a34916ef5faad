//! Modules' debug files on every series of the corpus: loaded, refused, given up, taken out of a package.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]
#![expect(clippy::print_stderr, reason = "a test says what it left out")]

use std::io::Write;
use std::path::{Path, PathBuf};

use crashlens_truth::{Case, State, corpus, program};

/// A folder that is gone after the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("crashlens-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A case of each series that has the debug files of two modules at least.
fn cases() -> Vec<Case> {
    let mut out: Vec<Case> = Vec::new();
    for case in corpus().unwrap() {
        let series = |c: &Case| c.name.split('/').next().unwrap_or_default().to_owned();
        if modules(&case).len() >= 2 && !out.iter().any(|c| series(c) == series(&case)) {
            out.push(case);
        }
    }
    if out.is_empty() {
        eprintln!("no corpus: nothing was compared; `cargo xtask corpus` builds it");
    }
    out
}

fn modules(case: &Case) -> Vec<PathBuf> {
    let all = case.debug_files(State::Modules);
    all.into_iter().filter(|p| p.extension().is_some_and(|e| e == "ko")).collect()
}

/// The name that the kernel gives the module of a file.
fn name(file: &Path) -> String {
    file.file_stem().unwrap().to_string_lossy().replace('-', "_")
}

/// The answers to some lines, and the complaints.
fn ask(cache: &Path, files: &[&Path], lines: &[String]) -> (String, String) {
    let mut command = program::command().unwrap();
    command.args(["-s", "--no-search", "--no-pager"]);
    lines.iter().for_each(|line| {
        command.args(["-c", line]);
    });
    let out = command.args(files).env("XDG_CACHE_HOME", cache).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&out.stdout), text(&out.stderr))
}

/// The lines of `mod` that show a module with a file.
fn loaded<'a>(out: &'a str, file: &str) -> Vec<&'a str> {
    out.lines().filter(|l| l.contains(file)).collect()
}

#[test]
fn files_are_loaded_refused_and_given_up() {
    for case in cases() {
        let folder = Folder::new("mod");
        let all = modules(&case);
        let (mine, other) = (&all[0], &all[1]);
        let dump = &case.dumps()[0][0];
        let cut = folder.0.join("cut.ko");
        let bytes = std::fs::read(mine).unwrap();
        std::fs::write(&cut, &bytes[..bytes.len() / 2]).unwrap();
        let load = |file: &Path| format!("mod -s {} {}", name(mine), file.display());
        let dump_files = [dump.as_path()];
        let id = |out: &str| out.lines().find_map(|l| l.split("build id ").nth(1)).map(str::to_owned);

        let (out, err) = ask(&folder.0, &dump_files, &[load(other), load(&cut), "mod".into()]);
        let said = id(&err).unwrap_or_else(|| panic!("{}: {err}", case.name));
        // both ids: the file's, and that of the module in the dump
        let ids: Vec<&str> = said.split([' ', ',', ':']).filter(|w| w.len() == 40).collect();
        assert_eq!(ids.len(), 2, "{}: {err}", case.name);
        assert!(err.contains("cut.ko"), "{}: {err}", case.name);
        assert!(loaded(&out, ".ko").is_empty(), "{}: {out}", case.name);

        let lines = [load(mine), load(other), "mod".into(), format!("mod -d {}", name(mine)), "mod".into()];
        let (out, _) = ask(&folder.0, &dump_files, &lines);
        // once by -s, once in the list after the refused one, not after -d
        assert_eq!(loaded(&out, &mine.display().to_string()).len(), 2, "{}: {out}", case.name);

        // what was given up is found again where it was named at the start
        let lines = [format!("mod -s {}", name(mine)), "mod -D".into(), format!("mod -s {}", name(mine))];
        let (out, err) = ask(&folder.0, &[dump, mine], &lines);
        assert_eq!(loaded(&out, &mine.display().to_string()).len(), 2, "{}: {out}{err}", case.name);

        // the dump tells where the sections are: the text in the module's memory
        let (out, err) =
            ask(&folder.0, &dump_files, &[format!("mod -g -s {} {}", name(mine), mine.display())]);
        let hex = |word: Option<&str>| word.and_then(|w| u64::from_str_radix(w, 16).ok());
        let text = out.lines().find(|l| l.trim_end().ends_with(" .text"));
        let text = hex(text.and_then(|l| l.split_whitespace().next()));
        let listed = out.lines().find(|l| l.contains(&mine.display().to_string())).unwrap_or_default();
        let words: Vec<&str> = listed.split_whitespace().collect();
        let base = hex(words.get(2).copied());
        let size = words.get(3).and_then(|w| w.parse::<u64>().ok());
        let inside =
            text.zip(base).zip(size).is_some_and(|((text, base), size)| text.wrapping_sub(base) < size);
        assert!(inside, "{}: {out}{err}", case.name);
    }
}

/// A Debian package of files.
fn package(path: &Path, files: &[PathBuf]) {
    let mut tar = Vec::new();
    for file in files {
        let bytes = std::fs::read(file).unwrap();
        let name = format!("./usr/lib/debug/lib/modules/x/{}", file.file_name().unwrap().to_string_lossy());
        let mut head = [0_u8; 512];
        head[..name.len()].copy_from_slice(name.as_bytes());
        head[124..135].copy_from_slice(format!("{:011o}", bytes.len()).as_bytes());
        head[156] = b'0';
        head[257..263].copy_from_slice(b"ustar\0");
        tar.extend_from_slice(&head);
        tar.extend_from_slice(&bytes);
        tar.resize(tar.len().next_multiple_of(512), 0);
    }
    tar.resize(tar.len() + 1024, 0);
    let mut out = b"!<arch>\n".to_vec();
    writeln!(out, "{:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`", "data.tar", 0, 0, 0, 0, tar.len()).unwrap();
    out.extend_from_slice(&tar);
    std::fs::write(path, out).unwrap();
}

#[test]
fn files_in_a_package_are_as_good_as_files() {
    for case in cases() {
        let folder = Folder::new("package");
        let all = modules(&case);
        let deb = folder.0.join("modules.deb");
        package(&deb, &all);
        let dump = &case.dumps()[0][0];
        let vmlinux = case.dir.join("vmlinux");
        let lines = ["foreach bt -l".to_owned()];
        let files: Vec<&Path> =
            [dump.as_path(), &vmlinux].into_iter().chain(all.iter().map(PathBuf::as_path)).collect();
        let (plain, _) = ask(&folder.0, &files, &lines);
        let (packed, err) = ask(&folder.0, &[dump, &vmlinux, &deb], &lines);
        assert_eq!(plain, packed, "{}: {err}", case.name);
        assert!(plain.contains(".c: "), "{}: {plain}", case.name);
        let (listed, err) = ask(&folder.0, &[dump, &deb], &["mod -S".to_owned()]);
        assert_eq!(loaded(&listed, "/debuginfo").len(), all.len(), "{}: {listed}{err}", case.name);
    }
}
