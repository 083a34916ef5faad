//! Lines run without a dump, their bytes looked at.

use crate::output::Output;
use crate::{Format, Options, Shell};
use commands::Settings;

fn shell(format: Format) -> Shell<'static> {
    Shell::new(None, Settings::default(), Options { format, ..Options::default() })
}

fn answer(shell: &mut Shell<'_>, line: &str) -> (bool, String) {
    let mut out = Output::memory();
    let ok = shell.line(line, &mut out).is_good();
    (ok, out.into_text())
}

#[test]
fn a_line_is_answered() {
    let mut shell = shell(Format::Text);
    assert_eq!(answer(&mut shell, "btop 512a000"), (true, "512a000: 512a\n".to_owned()));
    assert_eq!(answer(&mut shell, "# nothing"), (true, String::new()));
    assert_eq!(answer(&mut shell, "nosuch"), (false, String::new()));
    assert_eq!(answer(&mut shell, "ps"), (false, String::new()));
}

#[test]
fn output_goes_where_the_line_says() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("out put");
    let mut shell = shell(Format::Text);
    for line in [format!("btop 1000 > \"{}\"", file.display()), format!("btop 2000 >> '{}'", file.display())]
    {
        assert_eq!(answer(&mut shell, &line), (true, String::new()), "{line}");
    }
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "1000: 1\n2000: 2\n");
    let piped = format!("btop 3000 | tr 3 x > '{}'", file.display());
    assert_eq!(answer(&mut shell, &piped), (true, String::new()));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "x000: x\n");
    assert!(!answer(&mut shell, "btop 1000 > /nosuch/file").0);
    // an error is no part of the answer: the file gets it only where that is wanted
    let failing = format!("btop zz > '{}'", file.display());
    assert!(!answer(&mut shell, &failing).0);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "");
    assert!(answer(&mut shell, "set error redirect").0);
    assert!(!answer(&mut shell, &failing).0);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "btop: invalid address: \"zz\"\n");
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let mut shell = shell(Format::Text);
    let (ok, _) = answer(&mut shell, "repeat --count 100000 ascii | head -1 > /dev/null");
    assert!(ok);
    assert!(!shell.settings.quit);
}

#[test]
fn files_of_lines_and_of_arguments() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("lines");
    std::fs::write(&file, "btop 1000\n# comment\nalias pp ptob\npp 2\nexit\nbtop 3000\n").unwrap();
    let mut shell1 = shell(Format::Text);
    let (ok, text) = answer(&mut shell1, &format!("< {}", file.display()));
    assert!(ok && shell1.settings.quit);
    assert_eq!(text, "1000: 1\nORIGIN   ALIAS    COMMAND\nrcfile   pp       ptob\n2: 2000\n");

    std::fs::write(&file, "1000\n2000 3000\n").unwrap();
    let mut shell2 = shell(Format::Text);
    let (ok, text) = answer(&mut shell2, &format!("btop < {}", file.display()));
    assert!(ok);
    assert_eq!(text, "1000: 1\n2000: 2\n3000: 3\n");
}

#[test]
fn a_file_that_names_itself_ends() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("loop");
    std::fs::write(&file, format!("< {}\n", file.display())).unwrap();
    assert!(!answer(&mut shell(Format::Text), &format!("< {}", file.display())).0);
}

#[test]
fn json_is_a_line_for_each_command_also_for_failures() {
    let mut shell = shell(Format::Json);
    for line in ["btop 1000", "help", "set -v", "alias", "eval 1 +", "nosuch", "bt -Z", "eval -b 5"] {
        let (_, text) = answer(&mut shell, line);
        assert_eq!(text.lines().count(), 1, "{line}: {text}");
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["schema"], "crashlens/1");
        assert!(value["data"].is_object() != value["error"].is_string(), "{line}");
    }
}

#[test]
fn errors_go_where_they_are_wanted() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("errors");
    let mut shell = shell(Format::Text);
    assert!(answer(&mut shell, &format!("set error {}", file.display())).0);
    assert!(!answer(&mut shell, "nosuch").0);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "crashlens: command not found: nosuch\n");
}

/// Another program cuts the dump while it is open.
#[test]
fn a_dump_that_cannot_be_read_any_more_ends_every_command_with_its_own_code() {
    use std::io::Write as _;
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(&[0x55, 1, 0, 0, 0, 0, 0, 0x55].repeat(1 << 17)).unwrap();
    let mut options = kernel::OpenOptions::default();
    options.files = vec![file.path().into()];
    options.no_search = true;
    let layers = kernel::Layers::open(options).unwrap();
    let mut shell = Shell::new(Some(&layers), Settings::default(), Options::default());
    let mut run = |line: &str| shell.line(line, &mut Output::memory());
    assert_eq!(run("rd -p 80000"), crate::Ended::Good);
    assert_eq!(run("search -p 5500000000000155 -s 80000 -l 16"), crate::Ended::Good);
    file.as_file().set_len(0x1000).unwrap();
    for line in ["rd -p 90000", "search -p 5", "search -c -p nothing", "rd -p 0 1000"] {
        assert_eq!(run(line), crate::Ended::Incomplete, "{line}");
    }
    assert_eq!(run("rd -p 10"), crate::Ended::Good, "what is still there is read");
}

/// Each line's answer; whether all went well.
fn answers(shell: &mut Shell<'_>, lines: &[&str]) -> (bool, String) {
    let mut out = Output::memory();
    let ended = lines.iter().filter(|line| !shell.line(line, &mut out).is_good()).count() == 0;
    (ended, out.into_text())
}

#[test]
fn macros_run_their_lines_with_arguments() {
    let mut shell = shell(Format::Text);
    let define = [
        "define pages",
        "# both",
        "btop $arg0",
        "if $argc > 1",
        "ptob $arg1",
        "else",
        "echo one\\n",
        "end",
        "end",
    ];
    assert_eq!(answers(&mut shell, &define), (true, String::new()));
    assert_eq!(answers(&mut shell, &["pages 1000"]), (true, "1000: 1\none\n".to_owned()));
    assert_eq!(answers(&mut shell, &["pages 1000 2"]), (true, "1000: 1\n2: 2000\n".to_owned()));
    // an argument that is missing, and a line that fails, end it
    assert_eq!(answers(&mut shell, &["pages"]), (false, String::new()));
    assert_eq!(answers(&mut shell, &["pages zz 2"]), (false, String::new()));
    assert_eq!(
        answers(&mut shell, &["document pages", "Pages of an address.", "end"]),
        (true, String::new())
    );
    let (ok, page) = answers(&mut shell, &["help pages"]);
    assert!(ok && page.contains("pages - Pages of an address.") && page.contains("  btop $arg0"), "{page}");
    let (ok, list) = answers(&mut shell, &["define"]);
    assert!(ok && list.contains("pages            Pages of an address."), "{list}");
    // output goes where the line says
    assert!(answers(&mut shell, &["pages 1000 > /dev/null"]).0);
    assert_eq!(answers(&mut shell, &["define ps", "define pages x"]), (false, String::new()));
}

#[test]
fn macros_that_never_end_are_stopped() {
    let mut shell = shell(Format::Text);
    assert!(answers(&mut shell, &["define again", "again", "end"]).0);
    assert!(!answers(&mut shell, &["again"]).0);
    assert!(answers(&mut shell, &["btop 1000"]).0, "the session lives");
    assert!(answers(&mut shell, &["define open", "btop 1000"]).0);
    assert!(!shell.unfinished().is_good());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("lines");
    std::fs::write(&file, "define cut\nbtop 1000\n").unwrap();
    assert!(!answers(&mut shell, &[&format!("< {}", file.display())]).0);
    assert!(answers(&mut shell, &["btop 1000"]).0, "what the file left open is not in the way");
}

/// Whatever fails beside a command is an answer too, and the name is the one that the program was called by.
#[test]
fn what_fails_beside_a_command_is_json_under_the_program_s_name() {
    let folder = tempfile::tempdir().unwrap();
    let cut = folder.path().join("cut");
    std::fs::write(&cut, "define cut\nbtop 1000\n").unwrap();
    let options = Options { format: Format::Json, name: "crash", ..Options::default() };
    let mut shell = Shell::new(None, Settings::default(), options);
    assert_eq!(answers(&mut shell, &["define again", "again", "end"]), (true, String::new()));
    assert_eq!(answers(&mut shell, &["define one", "btop $arg0", "end"]), (true, String::new()));
    let cut = format!("< {}", cut.display());
    for (line, about, why) in [
        ("again", "again", "more than 32 macros"),
        ("one", "one", "$arg0"),
        ("define ps", "define", "ps"),
        (&cut, "define cut", "the lines end before its end"),
        ("< /nosuch/file", "<", "/nosuch/file"),
        ("btop 1000 > /nosuch/file", ">", "/nosuch/file"),
        ("btop 1000 |", "btop", "|"),
    ] {
        let (ok, text) = answer(&mut shell, line);
        assert!(!ok && text.lines().count() == 1, "{line}: {text:?}");
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        let error = value["error"].as_str().unwrap();
        assert_eq!(value["command"], about, "{line}");
        assert!(error.starts_with("crash: ") && error.contains(why), "{line}: {error}");
    }
}
