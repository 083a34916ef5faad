//! Titles held to those that syzkaller expects of its own logs, where a copy of it lies: `CRASHLENS_SYZKALLER=FOLDER` (its
//! `pkg/report/testdata/linux/report`).
#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs, reason = "a test")]

/// The share of titles that have to be equal, in percent.
const GOAL: usize = 90;

#[test]
fn titles_are_those_of_syzkaller() {
    let Some(folder) = std::env::var_os("CRASHLENS_SYZKALLER") else { return };
    let (mut equal, mut whole, mut all) = (0, 0, 0);
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    for file in files.iter().filter(|file| file.is_file()) {
        let text = String::from_utf8_lossy(&std::fs::read(file).unwrap()).into_owned();
        let (head, log) = text.split_once("\n\n").unwrap_or(("", &text));
        let log = log.split_once("REPORT:\n").map_or(log, |(log, _)| log);
        let value = |key: &str| head.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_default();
        let report = verdict::syz::report(log);
        let title = report.as_ref().map_or("", |report| report.title.as_str());
        let is_corrupted = report.as_ref().is_some_and(|report| report.corrupted.is_some());
        all += 1;
        whole += usize::from(is_corrupted == (value("CORRUPTED: ") == "Y"));
        if title == value("TITLE: ") {
            equal += 1;
        } else {
            println!("{}: {} | {title}", file.file_name().unwrap().display(), value("TITLE: "));
        }
    }
    println!("{equal} of {all} titles are equal; of {whole} it is told alike whether they are whole");
    assert!(all > 0 && equal * 100 >= all * GOAL);
}
