//! The examples of docs/book: every block that is marked `console` is run against the sample.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test")]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

fn book() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/book/src")
}

/// A command and the lines that are to come.
struct Example {
    place: String,
    line: String,
    output: Vec<String>,
}

/// The examples of a chapter.
fn examples(path: &Path) -> Vec<Example> {
    let text = std::fs::read_to_string(path).unwrap();
    let name = path.file_name().unwrap().to_string_lossy().into_owned();
    let mut out: Vec<Example> = Vec::new();
    let mut inside = false;
    for (n, line) in text.lines().enumerate() {
        match (inside, line) {
            (false, "```console") => inside = true,
            (true, "```") => inside = false,
            (true, line) => match line.strip_prefix("$ ") {
                Some(command) => out.push(Example {
                    place: format!("{name}:{}", n + 1),
                    line: command.to_owned(),
                    output: Vec::new(),
                }),
                None => out.last_mut().unwrap().output.push(line.trim_end().to_owned()),
            },
            (false, _) => {}
        }
    }
    out
}

/// What a reader sees who types the line in a folder with the dump.
fn seen(line: &str, folder: &Path) -> Vec<String> {
    let path = format!("{}:{}", folder.join("bin").display(), std::env::var("PATH").unwrap());
    let out = Command::new("sh")
        .args(["-c", line])
        .env("PATH", path)
        .env("HOME", folder)
        .env("TZ", "UTC")
        .env_remove("DEBUGINFOD_URLS")
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    String::from_utf8_lossy(&out.stdout).lines().map(|line| line.trim_end().to_owned()).collect()
}

/// True where the lines are those that are wanted; `…` stands for any number of them.
fn fits(wanted: &[String], lines: &[String]) -> bool {
    match wanted.split_first() {
        None => lines.is_empty(),
        Some((any, rest)) if any == "…" => (0..=lines.len()).any(|at| fits(rest, &lines[at..])),
        Some((one, rest)) => lines.first() == Some(one) && fits(rest, &lines[1..]),
    }
}

#[test]
fn every_example_gives_what_the_book_says() {
    let folder = tempfile::tempdir().unwrap();
    let bin = folder.path().join("bin");
    std::fs::create_dir(&bin).unwrap();
    for name in ["crashlens", "crash"] {
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_crashlens"), bin.join(name)).unwrap();
    }
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../samples/virtio-bug.kdump");
    std::fs::copy(sample, folder.path().join("vmcore")).unwrap();
    let mut chapters: Vec<PathBuf> = std::fs::read_dir(book()).unwrap().map(|e| e.unwrap().path()).collect();
    chapters.sort();
    let all: Vec<Example> = chapters.iter().flat_map(|chapter| examples(chapter)).collect();
    assert!(all.len() >= 15, "{}", all.len());
    let mut wrong = String::new();
    for example in &all {
        let lines = seen(&example.line, folder.path());
        if !fits(&example.output, &lines) {
            let shown: Vec<&str> = lines.iter().take(30).map(String::as_str).collect();
            wrong.push_str(&format!("{}: $ {}\n{}\n\n", example.place, example.line, shown.join("\n")));
        }
    }
    assert!(wrong.is_empty(), "not as in the book:\n{wrong}");
}

/// The summary names every chapter, and no other; links between pages lead somewhere.
#[test]
fn the_summary_and_the_links_are_whole() {
    let summary = std::fs::read_to_string(book().join("SUMMARY.md")).unwrap();
    for entry in std::fs::read_dir(book()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        assert!(name == "SUMMARY.md" || summary.contains(&format!("({name})")), "{name}");
        let text = std::fs::read_to_string(&path).unwrap().replace('\n', " ");
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            assert!(link.starts_with("http") || book().join(link).exists(), "{name}: {link}");
        }
    }
}
