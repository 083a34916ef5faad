//! Rules of Rust files.

use super::Finding;

/// Lines after which a file asks for a reason.
pub(crate) const LONG: usize = 600;

/// The one file that may say `unsafe`: it maps files.
const UNSAFE: &str = "crates/base/src/map.rs";

/// Where text may be written to the person: the front ends, the tasks, the fuzz driver.
/// `truth` is tests through and through: it says what it left out.
const PRINTERS: &[&str] =
    &["crates/render/", "crates/shell/", "crates/cli/", "crates/truth/", "xtask/", "fuzz/"];

/// Where machines are known: the crate of architectures, and what makes dumps of them.
const KNOW_MACHINES: [&str; 5] = ["crates/arch/", "crates/testkit/", "crates/truth/", "xtask/", "fuzz/"];

/// What a rule is: from a path and a text to the lines (from 1; 0 is the whole file) that break it, and why.
pub(crate) type Rule = fn(&str, &str) -> Vec<(usize, &'static str)>;

/// The rules.
pub(crate) const RULES: &[Rule] = &[
    header,
    no_unsafe,
    no_print,
    one_door,
    layers_keep_their_words,
    bindings_are_the_kernel_s,
    halves_are_arch_s,
    pages_are_the_kernel_s,
    registers_are_arch_s,
    errors_can_grow,
];

/// Applies some rules.
pub(crate) fn check(rules: &[Rule], path: &str, text: &str) -> Vec<Finding> {
    let found = rules.iter().flat_map(|rule| rule(path, text));
    found
        .map(|(line, what)| match line {
            0 => Finding::new(path, what),
            line => Finding::new(format!("{path}:{line}"), what),
        })
        .collect()
}

/// A file that is long; its tests are not counted.
pub(crate) fn long(path: &str, text: &str) -> Option<Finding> {
    let lines = code(text).count();
    (lines > LONG)
        .then(|| Finding::new(path, format!("{lines} lines: a reader sees a whole idea on two screens")))
}

/// A module starts with what it is for; the name of a module of tests says it.
fn header(path: &str, text: &str) -> Vec<(usize, &'static str)> {
    let first = text.lines().find(|line| !line.trim().is_empty());
    let tests = path.ends_with("/tests.rs") || path.ends_with("_tests.rs");
    if tests || first.is_some_and(|line| line.starts_with("//!")) {
        return Vec::new();
    }
    vec![(0, "starts without `//!`: purpose, source of the facts, invariants")]
}

fn no_unsafe(path: &str, text: &str) -> Vec<(usize, &'static str)> {
    let says = |line: &str| {
        line.match_indices("unsafe").any(|(at, word)| {
            let before = line.get(..at).and_then(|text| text.chars().next_back());
            let after = line.get(at.saturating_add(word.len())..).unwrap_or_default().trim_start();
            let keyword =
                ["{", "fn ", "impl ", "trait ", "extern "].iter().any(|next| after.starts_with(next));
            keyword && !before.is_some_and(|c| c.is_alphanumeric() || "_`\"".contains(c))
        })
    };
    match path {
        UNSAFE => Vec::new(),
        _ => lines(code(text), says, "unsafe: only the file that maps files may say it"),
    }
}

fn no_print(path: &str, text: &str) -> Vec<(usize, &'static str)> {
    if PRINTERS.iter().any(|place| path.starts_with(place)) || !is_library(path) {
        return Vec::new();
    }
    let says = |line: &str| {
        ["println!(", "eprintln!(", "print!(", "eprint!(", "dbg!("].iter().any(|name| {
            line.match_indices(name).any(|(at, _)| {
                !line
                    .get(..at)
                    .and_then(|t| t.chars().next_back())
                    .is_some_and(|c| c.is_alphanumeric() || c == '_')
            })
        })
    };
    lines(code(text), says, "prints: only render, shell and the program do; answer with data")
}

/// What is written to a terminal goes through `shell`, which writes clean text only: a dump holds control characters.
fn one_door(path: &str, text: &str) -> Vec<(usize, &'static str)> {
    // what `mcp` writes is read by a program, as JSON
    let own = ["crates/shell/", "crates/mcp/", "crates/truth/", "xtask/", "fuzz/"];
    if own.iter().any(|place| path.starts_with(place)) || !is_library(path) {
        return Vec::new();
    }
    let says = |line: &str| ["io::stdout()", "io::stderr()"].iter().any(|stream| line.contains(stream));
    lines(
        code(text),
        says,
        "writes past shell, which escapes what a terminal would obey: shell::say, shell::print",
    )
}

/// Dump formats are named in `dump`, architectures in `arch`.
fn layers_keep_their_words(path: &str, text: &str) -> Vec<(usize, &'static str)> {
    let own = ["crates/arch/", "crates/dump/", "xtask/"].iter().any(|place| path.starts_with(place));
    if own || !is_library(path) {
        return Vec::new();
    }
    let says = |line: &str| line.contains("dump::formats") || line.contains("arch::x86_64");
    lines(
        code(text),
        says,
        "names a format or an architecture: go through the table of the crate that has them",
    )
}

/// Structs of the kernel are bound in `kernel`, one owner a fact.
fn bindings_are_the_kernel_s(path: &str, text: &str) -> Vec<(usize, &'static str)> {
    let own = path.starts_with("crates/kernel/") || path.starts_with("xtask/");
    if own || !is_library(path) {
        return Vec::new();
    }
    lines(
        code(text),
        |line| line.contains("bind! {"),
        "binds a struct of the kernel: that is a fact of the kernel crate",
    )
}

/// Which half an address lies in is told by `Arch::is_kernel`, of a word of no known machine by `VirtAddr::in_upper_half`.
/// The sign of a number is `is_negative()`.
fn halves_are_arch_s(path: &str, text: &str) -> Vec<(usize, &'static str)> {
    const SPELLINGS: [&str; 9] = [
        ">> 63",
        "<< 63",
        "0x8000_0000_0000_0000",
        "as i64) < 0",
        "as i64) >= 0",
        "cast_signed() < 0",
        "cast_signed() >= 0",
        "leading_zeros() == 0",
        "leading_zeros() > 0",
    ];
    if KNOW_MACHINES.iter().any(|place| path.starts_with(place))
        || path == "crates/base/src/addr.rs"
        || !is_library(path)
    {
        return Vec::new();
    }
    lines(
        code(text),
        |line| SPELLINGS.iter().any(|spelling| line.contains(spelling)),
        "tells the kernel's half by a bit: Arch::is_kernel, VirtAddr::in_upper_half; of a number is_negative()",
    )
}

/// How large a kernel's pages are its page tables tell. Above `base`, in which dumps are read by frames, memory is read in
/// steps of `GRANULE`.
fn pages_are_the_kernel_s(path: &str, text: &str) -> Vec<(usize, &'static str)> {
    const ABOVE: [&str; 8] =
        ["kernel", "verdict", "commands", "inspect", "crashlens", "cexpr", "unwind", "debuginfo"];
    if !ABOVE.iter().any(|name| path.starts_with(&format!("crates/{name}/"))) || !is_library(path) {
        return Vec::new();
    }
    let named = |line: &str| {
        ["PAGE_SIZE", "PAGE_SHIFT", "PAGE_MASK"].iter().any(|name| {
            line.match_indices(name).any(|(at, _)| {
                let before = line.get(..at).and_then(|text| text.chars().next_back());
                !before.is_some_and(|c| c.is_alphanumeric() || "_\"`".contains(c))
            })
        })
    };
    let shifted = |line: &str| {
        // `1 << 12` is a number like others
        line.contains(">> 12")
            || line.match_indices("<< 12").any(|(at, _)| !line.get(..at).unwrap_or("").ends_with("1 "))
    };
    let masked = |line: &str| ["& 0xfff)", "& !0xfff", "| 0xfff"].iter().any(|mask| line.contains(mask));
    lines(
        code(text),
        |line| named(line) || shifted(line) || masked(line),
        "has a page of one size: Session::page_size, page_shift; GRANULE for steps of reading",
    )
}

/// The registers of x86-64 by their names.
fn registers_are_arch_s(path: &str, text: &str) -> Vec<(usize, &'static str)> {
    const NAMES: [&str; 30] = [
        "rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "rsp", "rip", "r8", "r9", "r08", "r09", "r10",
        "r11", "r12", "r13", "r14", "r15", "eflags", "rflags", "orig_rax", "cr0", "cr2", "cr3", "cr4", "gs",
        "gs_base", "fs_base", "RIP",
    ];
    if KNOW_MACHINES.iter().any(|place| path.starts_with(place)) || !is_library(path) {
        return Vec::new();
    }
    // the name alone, as AT&T has it, or as an oops begins with it
    let says = |line: &str| {
        line.split('"').skip(1).step_by(2).any(|quoted| {
            let name = quoted.trim_end_matches([':', ' ']).trim_start_matches('%');
            NAMES.contains(&name)
                || NAMES.iter().any(|own| quoted.starts_with(&format!("{}: ", own.to_uppercase())))
        })
    };
    lines(code(text), says, "names a register of x86-64: the roles of registers are in arch")
}

/// The crates that the library `crashlens` rests on.
const BELOW_THE_LIBRARY: [&str; 13] = [
    "arch",
    "base",
    "cexpr",
    "commands",
    "crashlens",
    "debuginfo",
    "dump",
    "inspect",
    "kernel",
    "render",
    "report",
    "unwind",
    "verdict",
];

/// A new error or option of the library breaks no program that uses it.
fn errors_can_grow(path: &str, text: &str) -> Vec<(usize, &'static str)> {
    let of_the_library =
        BELOW_THE_LIBRARY.iter().any(|name| path.starts_with(&format!("crates/{name}/src/")));
    if !of_the_library || !is_library(path) {
        return Vec::new();
    }
    let mut open = false;
    let mut found = Vec::new();
    for (number, line) in code(text).enumerate() {
        let name = line
            .strip_prefix("pub enum ")
            .or_else(|| line.strip_prefix("pub struct "))
            .and_then(|rest| rest.strip_suffix(" {"));
        match name {
            _ if line.starts_with("#[") => open |= line.contains("non_exhaustive"),
            Some(name) if !open && (name.ends_with("Error") || name.ends_with("Options")) => {
                found.push((number + 1, "an error or options that cannot grow: #[non_exhaustive]"));
            }
            _ => open = false,
        }
    }
    found
}

/// Code that others build on: not tests, examples or build scripts.
fn is_library(path: &str) -> bool {
    let apart = ["/tests/", "/examples/", "/benches/"].iter().any(|folder| path.contains(folder));
    !apart && !path.ends_with("/tests.rs") && !path.ends_with("_tests.rs")
}

/// The lines that break a rule; comments do not count.
fn lines<'a>(
    code: impl Iterator<Item = &'a str>,
    says: impl Fn(&str) -> bool,
    what: &'static str,
) -> Vec<(usize, &'static str)> {
    code.enumerate()
        .filter(|(_, line)| !line.trim_start().starts_with("//") && says(line))
        .map(|(number, _)| (number + 1, what))
        .collect()
}

/// A file's lines up to its module of tests. One that stands in a file of its own ends nothing.
pub(super) fn code(text: &str) -> impl Iterator<Item = &str> {
    let tests = text.match_indices("#[cfg(test)]\nmod ").find(|(at, found)| {
        let rest = text.get(at.saturating_add(found.len())..).unwrap_or_default();
        (*at == 0 || text.get(..*at).is_some_and(|before| before.ends_with('\n')))
            && rest.lines().next().is_some_and(|line| line.contains('{'))
    });
    text.get(..tests.map_or(text.len(), |(at, _)| at)).unwrap_or(text).lines()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> Vec<String> {
        let all: Vec<Rule> = RULES.to_vec();
        check(&all, path, &format!("//! What it is.\n{text}")).iter().map(|f| f.at.clone()).collect()
    }

    #[test]
    fn headers_are_asked_for() {
        assert_eq!(check(RULES, "crates/a/src/b.rs", "//! What it is.\n"), []);
        assert_eq!(check(RULES, "crates/a/src/b.rs", "use x;\n//! late").len(), 1);
        assert_eq!(check(RULES, "crates/a/src/b.rs", "").len(), 1);
    }

    #[test]
    fn unsafe_is_found_outside_its_file() {
        let text = "fn f() {\n    unsafe { g() }\n}";
        assert_eq!(found("crates/a/src/b.rs", text), ["crates/a/src/b.rs:3"]);
        assert!(found(UNSAFE, text).is_empty());
        assert!(
            found("crates/a/src/b.rs", "// unsafe { is a word }\nlet not_unsafe = \"unsafe {\";").is_empty()
        );
        assert_eq!(found("crates/a/src/b.rs", "unsafe fn f() {}").len(), 1);
    }

    #[test]
    fn prints_are_found_where_nobody_prints() {
        let text = "    println!(\"x\");";
        assert_eq!(found("crates/kernel/src/a.rs", text), ["crates/kernel/src/a.rs:2"]);
        for path in [
            "crates/render/src/a.rs",
            "crates/truth/src/a.rs",
            "crates/kernel/examples/a.rs",
            "crates/kernel/tests/a.rs",
        ] {
            assert!(found(path, text).is_empty(), "{path}");
        }
        assert!(found("crates/kernel/src/a.rs", "my_println!(x)").is_empty());
        assert!(
            found("crates/kernel/src/a.rs", &format!("#[cfg(test)]\nmod tests {{\n{text}\n}}")).is_empty()
        );
    }

    #[test]
    fn streams_are_opened_where_text_is_made_clean() {
        let text = "    std::io::stderr().lock();";
        assert_eq!(found("crates/cli/src/main.rs", text), ["crates/cli/src/main.rs:2"]);
        assert!(found("crates/shell/src/say.rs", text).is_empty());
        assert!(found("crates/cli/tests/cli.rs", text).is_empty());
    }

    #[test]
    fn layers_keep_their_words_to_themselves() {
        assert_eq!(found("crates/kernel/src/a.rs", "use arch::x86_64::Paging;").len(), 1);
        assert_eq!(found("crates/commands/src/a.rs", "dump::formats::kdump::open()").len(), 1);
        assert!(found("crates/arch/src/a.rs", "use arch::x86_64::Paging;").is_empty());
    }

    #[test]
    fn bindings_stand_in_the_kernel_crate() {
        assert_eq!(found("crates/commands/src/a.rs", "kernel::bind! {").len(), 1);
        for file in ["calls.rs", "locks.rs", "memory.rs", "waits.rs"] {
            assert_eq!(found(&format!("crates/verdict/src/{file}"), "bind! {").len(), 1);
        }
        assert!(found("crates/kernel/src/locking/mod.rs", "bind! {").is_empty());
        assert!(found("crates/commands/src/a.rs", "// bind! {").is_empty());
    }

    #[test]
    fn an_address_s_half_is_told_in_arch() {
        for line in
            ["if at.0 >> 63 == 1 {", "VirtAddr(1 << 63)", "(at.0 as i64) < 0", "at.0.cast_signed() < 0"]
        {
            assert_eq!(found("crates/kernel/src/a.rs", line).len(), 1, "{line}");
            for path in ["crates/arch/src/a.rs", "crates/base/src/addr.rs", "crates/kernel/src/a_tests.rs"] {
                assert!(found(path, line).is_empty(), "{path}: {line}");
            }
            assert!(
                found("crates/kernel/src/a.rs", &format!("#[cfg(test)]\nmod tests {{ {line}")).is_empty()
            );
        }
        assert!(found("crates/kernel/src/a.rs", "seconds.cast_signed().is_negative()").is_empty());
        let behind = "#[cfg(test)]\nmod tests;\nif at.0 >> 63 == 1 {";
        assert_eq!(found("crates/kernel/src/a.rs", behind).len(), 1, "tests in another file end no code");
    }

    #[test]
    fn pages_have_the_size_that_the_kernel_has() {
        for line in ["n * base::PAGE_SIZE", "phys >> PAGE_SHIFT", "pfn << 12", "at.0 >> 12", "at.0 & !0xfff"]
        {
            assert_eq!(found("crates/kernel/src/a.rs", line).len(), 1, "{line}");
            assert!(found("crates/arch/src/a.rs", line).is_empty(), "{line}");
            assert!(found("crates/dump/src/a.rs", line).is_empty(), "{line}");
        }
        for line in ["size >= 1 << 12", "\"PAGE_SIZE\" => None,", "n * GRANULE", "s.page_size()"] {
            assert!(found("crates/kernel/src/a.rs", line).is_empty(), "{line}");
        }
    }

    #[test]
    fn registers_are_named_in_arch() {
        for line in ["set.number(\"rdi\")", "text.strip_prefix(\"RIP: 0010:\")", "\"%gs\" => 1,"] {
            assert_eq!(found("crates/commands/src/a.rs", line).len(), 1, "{line}");
            assert!(found("crates/arch/src/x86_64/a.rs", line).is_empty(), "{line}");
        }
        assert!(found("crates/kernel/src/a.rs", "sp: \"thread.sp\" | \"thread.rsp\",").is_empty());
    }

    #[test]
    fn long_files_are_named_and_their_tests_do_not_count() {
        let text = "//! x\n".repeat(LONG);
        assert_eq!(long("a.rs", &text), None);
        assert_eq!(long("a.rs", &format!("{text}#[cfg(test)]\nmod tests {{\n{text}}}")), None);
        assert!(long("a.rs", &format!("{text}more\n")).is_some());
    }

    #[test]
    fn errors_and_options_can_grow() {
        let of = |path, text: &str| found(path, text).len();
        let error = "/// Why not.\n#[derive(Debug)]\npub enum ThingError {\n}\n";
        assert_eq!(found("crates/kernel/src/a.rs", error), ["crates/kernel/src/a.rs:4"]);
        assert_eq!(of("crates/kernel/src/a.rs", &error.replace("#[d", "#[non_exhaustive]\n#[d")), 0);
        assert_eq!(
            of("crates/kernel/src/a.rs", "#[non_exhaustive]\npub enum A {\n}\npub struct Options {\n}\n"),
            1
        );
        assert_eq!(of("crates/shell/src/a.rs", error), 0, "no part of the library");
    }
}
