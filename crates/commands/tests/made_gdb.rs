//! gdb's forms that scripts use, on a kernel that is made from tables.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs, reason = "a test")]

#[allow(dead_code, reason = "what is asked in one session is not asked by it")]
mod asked;

use base::Cancel;
use commands::{Cx, Settings};
use report::Report;
use std::ops::ControlFlow;
use testkit::kernel::Kernel;

/// What a user sees of several lines in one session; of one that fails, why.
fn session(k: &Kernel, lines: &[&str]) -> Vec<String> {
    let file = k.file();
    let layers = asked::layers(file.path());
    let (mut settings, cancel) = (Settings::default(), Cancel::new());
    let mut sink = |_: &Report| ControlFlow::Continue(());
    let mut cx = Cx::new(Some(&layers), &mut settings, &cancel, &mut sink);
    let mut answer = |line: &&str| match commands::run(&mut cx, &commands::split_words(line)) {
        Ok(report) => {
            let mut out = Vec::new();
            render::text(&report, render::Colour::Plain, &mut out).unwrap();
            String::from_utf8(out).unwrap().trim_end().to_owned()
        }
        Err(e) => e.to_string(),
    };
    lines.iter().map(&mut answer).collect()
}

/// A kernel with a variable `table` of 64 bytes, and a string.
fn made() -> (Kernel, u64, u64) {
    let mut k = Kernel::new();
    k.old_tasks(2);
    k.structure(
        "made",
        64,
        &[("count", 0, "s32"), ("name", 4, "char[12]"), ("text", 16, "*char"), ("next", 24, "*made")],
    );
    let at = k.variable("table", 64);
    k.variable_of("table", "made");
    let text = k.text("hello \"you\"");
    k.set(at, "made", "count", u64::MAX).set_text(at, "made", "name", "made").set(at, "made", "text", text);
    k.set(at, "made", "next", at);
    (k, at, text)
}

#[test]
fn variables_of_one_s_own_live_as_long_as_the_session() {
    let (k, at, _) = made();
    let said = session(
        &k,
        &[
            "set $n = 6 * 7",
            "p $n",
            "set $n = $n + 1",
            "output $n",
            &format!("set $t = (struct made *)0x{at:x}"),
            "p $t->count",
            "p -d $t->next == $t",
            "gdb set $m=-5",
            "p $m",
            "set var $z = 1",
            "p $z + $n",
            "p $none",
            "set $rip = 5",
            "set $x",
            "set $2x = 1",
            "set $x = nosuchname",
        ],
    );
    assert_eq!(&said[..5], ["", "$1 = 42", "", "43", ""], "{said:?}");
    assert_eq!(&said[5..11], ["$2 = -1", "$3 = 1", "", "$4 = -5", "", "$5 = 44"], "{said:?}");
    assert!(said[11].contains("no register $none"), "{said:?}");
    assert!(said[12].contains("$rip is a register"), "{said:?}");
    for line in [&said[13], &said[14]] {
        assert!(line.contains("set $NAME = EXPRESSION"), "{line}");
    }
    assert!(said[15].contains("nosuchname"), "{said:?}");
}

#[test]
fn x_shows_memory_as_gdb_does_and_goes_on() {
    let (k, at, text) = made();
    let first = format!("{:#x} <table>:", at);
    let said = session(
        &k,
        &[
            &format!("x/2xw 0x{at:x}"),
            "x",
            "p $_",
            "p $__",
            &format!("x/1dw 0x{at:x}"),
            &format!("x/4cb 0x{:x}", at + 4),
            &format!("x/s 0x{text:x}"),
            "x",
            &format!("x /2ub 0x{at:x}"),
            &format!("x/tb 0x{:x}", at + 4),
            &format!("x/oh 0x{at:x}"),
            &format!("x/a 0x{:x}", at + 24),
            "x/xg &table",
            "x/3q 0",
            "x/2xg 0x10",
            &format!("x/2s 0x{text:x}"),
            "p $_",
        ],
    );
    assert_eq!(said[0], format!("{first}\t0xffffffff\t0x6564616d"), "{said:?}");
    assert_eq!(said[1], format!("{:#x} <table+8>:\t0x00000000", at + 8));
    assert!(said[2].contains(&format!("{:#x}", at + 8)) && said[3] == "$2 = 0", "{said:?}");
    assert_eq!(said[4], format!("{first}\t-1"));
    assert_eq!(said[5], format!("{:#x} <table+4>:\t109 'm'\t97 'a'\t100 'd'\t101 'e'", at + 4));
    assert!(said[6].ends_with("\t\"hello \\\"you\\\"\""), "{said:?}");
    assert!(said[7].starts_with(&format!("{:#x}", text + 12)), "{said:?}");
    assert_eq!(said[8], format!("{first}\t255\t255"));
    assert!(said[9].ends_with("\t01101101") && said[10].ends_with("\t0177777"), "{said:?}");
    assert!(said[11].ends_with(&format!("\t{at:#x} <table>")), "{said:?}");
    assert_eq!(said[12], format!("{first}\t0x6564616dffffffff"));
    assert!(said[13].contains("there are the formats"), "{said:?}");
    assert!(said[14].contains("Cannot access memory"), "{said:?}");
    // the last of the two strings is the last place
    assert!(said[16].contains(&format!("{:#x}", text + 12)), "{said:?}");
}

#[test]
fn printf_prints_by_a_format() {
    let (k, at, _) = made();
    let said = session(
        &k,
        &[
            "printf \"%s: %d, %#x | %5u%%\\n\", table.name, table.count, 255, 7",
            "printf \"%s and %ps\\n\", table.text, &table",
            "printf \"no more\"",
            "printf \"%d %d\", 1",
            "printf \"%s\", 1",
            "printf %d",
            "gdb printf \"%d\\t%c\\n\", 1 + 2, 65",
            "printf \"%.2f %g %d\\n\", 1.5, 3, 2.9",
            "printf \"%d\\n\", 1, 2",
        ],
    );
    assert_eq!(
        &said[..3],
        ["made: -1, 0xff |     7%", "hello \"you\" and table", "no more"],
        "{said:?} {at:x}"
    );
    assert!(said[3].contains("too few arguments") && said[4].contains("the string at 0x1"), "{said:?}");
    assert!(said[5].contains("a format in quotes comes first"), "{said:?}");
    assert_eq!(&said[6..8], ["3\tA", "1.50 3 2"]);
    assert!(said[8].contains("printf: too many arguments"), "{said:?}");
}

/// The kernel's own table gives letters by segments: `jiffies` of 7.2 stands there as code.
#[test]
fn data_is_data_whatever_the_table_calls_it() {
    let (mut k, at, _) = made();
    k.symbol("table", b'T', at);
    let said = session(&k, &["p table.count", "whatis table"]);
    assert!(said[0].ends_with("= -1") && said[1].contains("struct made table"), "{said:?}");
}

#[test]
fn x_shows_fractions_and_what_lies_before() {
    let (mut k, at, text) = made();
    k.word(at + 32, 1.5_f64.to_bits()).word(at + 40, (-0.1_f64).to_bits()).half(at + 48, 2.5_f32.to_bits());
    let said = session(
        &k,
        &[
            &format!("x/2fg 0x{:x}", at + 32),
            &format!("x/fw 0x{:x}", at + 48),
            &format!("x/-2xg 0x{:x}", at + 48),
            "x/-1xg",
            &format!("x/-1s 0x{:x}", text + 12),
            "x/-1i 0x10",
            "x/-3xg 0x10",
            "ptype nosuch",
            "x/2i nosuch",
        ],
    );
    assert!(said[0].ends_with(":\t1.5\t-0.10000000000000001"), "{said:?}");
    assert!(said[1].ends_with(":\t2.5"), "{said:?}");
    let head = format!("0x{:x} <table+32>:", at + 32);
    assert_eq!(said[2], format!("{head}\t0x{:016x}\t0x{:016x}", 1.5_f64.to_bits(), (-0.1_f64).to_bits()));
    assert_eq!(said[3], format!("0x{:x} <table+24>:\t0x{at:016x}", at + 24));
    assert!(said[4].ends_with("\"hello \\\"you\\\"\""), "{said:?}");
    assert!(
        said[5].contains("dis -r ADDRESS") && said[6].contains("so much does not lie before"),
        "{said:?}"
    );
    assert!(said[7].starts_with("ptype: no symbol") && said[8].starts_with("x: "), "{said:?}");
}

#[test]
fn types_settings_and_macros() {
    let (k, ..) = made();
    let said = session(
        &k,
        &[
            "info types ^mad",
            "whatis --types nothing_has_this",
            "ptype /o struct made",
            "macro expand PAGE_SIZE",
            "info macro X",
            "set print elements 4",
            "set print array on",
            "set print pretty on",
            "set print union off",
            "set print nosuch on",
            "set pagination off",
            "info types (",
            "info scope table",
        ],
    );
    assert!(said[0].ends_with("\nstruct made;"), "{said:?}");
    assert!(said[1].contains("no type has such a name"), "{said:?}");
    assert!(said[2].starts_with("/* offset      |    size */  type = struct made {\n"), "{said:?}");
    assert!(said[2].contains("\n/*     24      |       8 */    struct made *next;\n"), "{said:?}");
    assert!(said[2].ends_with(" */\n                             }"), "{said:?}");
    assert!(
        said[3].contains("no vmlinux is given that could tell macros")
            && said[4] == format!("info {}", said[3]),
        "{said:?}"
    );
    assert_eq!(&said[5..8], ["print_max: 4", "print_array: on", "print pretty: as it is"], "{said:?}");
    assert!(
        said[8].contains("it cannot be changed here") && said[9].contains("there is no such setting"),
        "{said:?}"
    );
    assert!(
        said[10].contains("there is no gdb inside") && said[11].contains("invalid expression"),
        "{said:?}"
    );
    assert!(said[12].contains("is no code"), "{said:?}");
}

#[test]
fn help_tells_what_was_found_out() {
    let (k, ..) = made();
    let all = "aBbcdDefgHhkKlLmMnNoOprsStTvVxz";
    let lines: Vec<String> = all.chars().map(|letter| format!("help -{letter}")).collect();
    let said = session(&k, &lines.iter().map(String::as_str).collect::<Vec<_>>());
    let of = |letter: char| &said[all.find(letter).unwrap()];
    assert!(of('m').contains("architecture: x86_64") && of('m').contains("page size: 4096"), "{}", of('m'));
    assert!(of('t').contains("tasks: 3") && of('T').contains("COMM"), "{}", of('t'));
    assert!(of('r').contains("CPU 0:") && of('o').contains("kernel BTF: "), "{} {}", of('r'), of('o'));
    assert!(of('v').contains("print_max: 256") && of('z').contains("-k -K"), "{}", of('v'));
    assert!(of('g').contains("crashlens has none of them"), "{}", of('g'));
    assert!(session(&k, &["help -q"])[0].contains("invalid option -- 'q'"));
}
