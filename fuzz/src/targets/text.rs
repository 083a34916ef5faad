//! What is text: expressions, command lines, VMCOREINFO; and the registers in notes.

use super::{Target, outcome};
use base::VmcoreInfo;
use std::mem::discriminant;

/// This file's rows of the table.
pub(crate) const TARGETS: &[Target] = &[
    Target { name: "expr", about: "an expression, type name or member path", seeds: expr_seeds, run: expr },
    Target { name: "line", about: "a command line", seeds: line_seeds, run: line },
    Target { name: "vmcoreinfo", about: "the text of VMCOREINFO", seeds: info_seeds, run: info },
    Target { name: "known", about: "a file of known issues", seeds: known_seeds, run: known },
    Target { name: "notes", about: "registers in a CPU's note", seeds: notes_seeds, run: notes },
];

fn lines(all: &[&str]) -> Vec<Vec<u8>> {
    all.iter().map(|l| l.as_bytes().to_vec()).collect()
}

fn expr_seeds() -> Vec<Vec<u8>> {
    lines(&[
        "1 + 2 * (3 - 4) / 5 % 6 << 7 >> 8 & 9 | 10 ^ 11",
        "sizeof(unsigned long) == 8 && !0 || ~0ULL >= -1 ? 'a' : \"text\"",
        "((char *)$sp)[4]@8",
        "*(long *)0x1000, (unsigned char)300, (int (*)(void))16",
        "min(1, max(2u, 3)) + BIT(3) + GENMASK(7, 4) + 1.5e3 * 0x1p4",
        "container_of(p, struct object, link)->value.text[3]",
        "struct list_head *(*[4])(int, const char *)",
        "task_struct.se.run_node,comm->pid[0]",
        "&((struct page *)0)->flags + 0777 - 0b101",
    ])
}

fn expr(bytes: &[u8]) -> u64 {
    cexpr::fuzz_expr(bytes);
    0
}

fn line_seeds() -> Vec<Vec<u8>> {
    lines(&[
        "bt -a | grep 'a b' > file",
        "p (1 < 2) >> 3 >> file",
        "ps -p < list | sort -n",
        "< script > out",
        "!ls | wc",
        "| less",
        "rd \"a | b\" 'c > d' # not a comment",
        "foreach 'kworker/.*' bt | tee x",
        "search -t \"a\\\"b\" \\| 3",
    ])
}

fn line(bytes: &[u8]) -> u64 {
    let Ok(text) = std::str::from_utf8(bytes) else { return 0 };
    let words = commands::split_words(text);
    words.iter().for_each(|w| {
        let _ = std::hint::black_box(commands::unquoted(w));
    });
    let parsed = commands::parse_line(text, &|name| name.len() % 2 == 0);
    match parsed {
        Ok(action) => outcome((discriminant(&action), words.len().min(16))),
        Err(e) => outcome(discriminant(&e)),
    }
}

fn info_seeds() -> Vec<Vec<u8>> {
    lines(&["OSRELEASE=6.1.0\nBUILD-ID=00ff\nPAGESIZE=4096\nSYMBOL(init_uts_ns)=ffffffff82000000\n\
         OFFSET(page.flags)=0\nSIZE(page)=64\nLENGTH(zone.free_area)=11\nNUMBER(phys_base)=-4096\n\
         NUMBER(pgtable_l5_enabled)=1\nKERNELOFFSET=1f000000\nCRASHTIME=1700000000\n"])
}

fn info(bytes: &[u8]) -> u64 {
    let info = VmcoreInfo::parse(bytes);
    let numbers = (info.symbol("init_uts_ns"), info.offset("page.flags"), info.number("phys_base"));
    let sizes = (info.size("page"), info.length("zone.free_area"), info.kernel_offset());
    let some = |n: bool| u8::from(n);
    std::hint::black_box((info.iter().count(), info.text().len()));
    outcome([
        some(numbers.0.is_some()),
        some(numbers.1.is_some()),
        some(numbers.2.is_some()),
        some(sizes.0.is_some()),
        some(sizes.1.is_some()),
        some(sizes.2.is_some()),
    ])
}

fn known_seeds() -> Vec<Vec<u8>> {
    lines(&[
        "# a comment\n[[known]]\nid = \"a\"\nclass = \"BUG\"\nfunction = \"f\"\ncondition = \"a > \\\"b\\\"\"\n\
         explanation = \"why\"\nfixed = \"4.14\"\n\n[[known]]\nid=\"b\"\nmessage = \"m\\\\n\"\n",
    ])
}

fn known(bytes: &[u8]) -> u64 {
    outcome(std::str::from_utf8(bytes).ok().map(verdict::fuzz_known))
}

fn notes_seeds() -> Vec<Vec<u8>> {
    // prstatus, and QEMU's version and size before the registers
    let mut qemu = [1_u32.to_le_bytes(), 440_u32.to_le_bytes()].concat();
    qemu.extend((0..432_u32).map(|i| i as u8));
    vec![(0..336_u32).map(|i| i as u8).collect(), qemu, vec![0; 336]]
}

fn notes(bytes: &[u8]) -> u64 {
    arch::fuzz_notes(bytes);
    0
}
