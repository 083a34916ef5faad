//! Commands on arm64 kernels that are made from tables: pages of 4, 16 and 64 KiB, addresses of 39 to 52 bits.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs, reason = "a test")]
#![allow(clippy::print_stderr, reason = "a test says what it left out")]

mod asked;

use asked::{ask, try_ask};
use testkit::kernel::Kernel;

/// Bits of a page's size and of an address, and the names of the levels.
const MODES: [(u32, u32, &[&str]); 8] = [
    (12, 39, &["PGD", "PMD", "PTE"]),
    (12, 48, &["PGD", "PUD", "PMD", "PTE"]),
    (12, 52, &["PGD", "P4D", "PUD", "PMD", "PTE"]),
    (14, 47, &["PGD", "PMD", "PTE"]),
    (14, 48, &["PGD", "PUD", "PMD", "PTE"]),
    (14, 52, &["PGD", "PUD", "PMD", "PTE"]),
    (16, 48, &["PGD", "PMD", "PTE"]),
    (16, 52, &["PGD", "PMD", "PTE"]),
];

/// The modes that this build can read: none where it has no arm64.
fn modes() -> &'static [(u32, u32, &'static [&'static str])] {
    if arch::by_name("aarch64").is_none() {
        eprintln!("left out: this build of crashlens has no arm64");
        return &[];
    }
    &MODES
}

/// A line's words.
fn line<'t>(text: &'t str, begin: &str) -> Vec<&'t str> {
    let found = text.lines().find(|line| line.trim_start().starts_with(begin));
    found.unwrap_or_else(|| panic!("no line begins with {begin}: {text}")).split_whitespace().collect()
}

struct Made {
    k: Kernel,
    /// A page of memory with a word in it.
    page: u64,
    /// The tables of process 1.
    tables: u64,
}

/// A kernel of one CPU with tasks 1 to 3, of which the first is a process of three pages, two of them in memory.
fn kernel(page: u32, bits: u32) -> Made {
    let mut k = Kernel::arm64(page, bits);
    k.structure("page", 64, &[("flags", 0, "u64")]);
    k.structure("mm_rss_stat", 32, &[("count", 0, "u64[4]")]);
    let mm_members = [("pgd", 0, "*void"), ("total_vm", 8, "u64"), ("rss_stat", 16, "mm_rss_stat")];
    k.structure("mm_struct", 64, &mm_members);
    let (tasks, _) = k.tasks(3, 16 << 10, 128, &[]);
    let (mm, tables) = (k.object("mm_struct"), k.user_tables());
    k.set(mm, "mm_struct", "pgd", tables).set(mm, "mm_struct", "total_vm", 3).word(mm + 16, 2);
    k.set(tasks[0], "task_struct", "mm", mm);
    let size = k.page_size();
    let page = k.memory(size);
    k.word(page + 0x128, 0x1122_3344_5566_7788);
    Made { k, page, tables }
}

#[test]
fn kernels_of_every_page_size_open_and_say_what_they_are() {
    for (page, bits, levels) in modes() {
        let Made { k, .. } = kernel(*page, *bits);
        let text = ask(&k, "info");
        let size = if *page == 12 { String::new() } else { format!(" of {} KiB", k.page_size() >> 10) };
        let paging = format!("{} levels{size}, tables at ", levels.len());
        assert!(text.contains(&paging), "{page} {bits}: {text}");
        assert!(text.contains("by VMCOREINFO") && text.contains("6.1.0-test"), "{page} {bits}: {text}");
        assert!(line(&text, "CPUS:").contains(&"1"), "{page} {bits}: {text}");
        assert!(text.contains("NOT READ YET: values in code of this machine"), "{page} {bits}: {text}");
    }
}

/// The size of a page is what `ps` counts in, and tasks are where their list leads.
#[test]
fn ps_counts_in_the_kernels_own_pages() {
    for (page, bits, _) in modes() {
        let Made { k, .. } = kernel(*page, *bits);
        let text = ask(&k, "ps");
        assert_eq!(
            text.lines().filter(|line| line.ends_with(" made") || line.ends_with("[made]")).count(),
            3,
            "{text}"
        );
        let kib = k.page_size() >> 10;
        let text = ask(&k, "ps 1");
        let sizes = format!("<?> {} {} made", 3 * kib, 2 * kib);
        let first = text.lines().last().unwrap().split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(first.starts_with("? 1 ") && first.ends_with(&sizes), "{page} {bits}: {text}");
    }
}

#[test]
fn memory_is_read_through_blocks_and_pages() {
    for (page, bits, _) in modes() {
        let Made { mut k, page: at, .. } = kernel(*page, *bits);
        // far from the image, a page of vmalloc's that ends where the next is not mapped
        let mapped = k.vmalloc() + 5 * k.page_size();
        k.map(mapped, at);
        for at in [at, mapped] {
            let text = ask(&k, &format!("rd {:x}", at + 0x128));
            assert_eq!(text.split_whitespace().nth(1), Some("1122334455667788"), "{page} {bits}: {text}");
        }
    }
}

/// Each level is an entry of its own table, the last one is of the page, and the offset is what the page's size leaves.
#[test]
fn vtop_walks_the_levels_of_the_mode() {
    for (page, bits, levels) in modes() {
        let Made { mut k, page: at, tables } = kernel(*page, *bits);
        let mapped = k.vmalloc() + 7 * k.page_size();
        k.map(mapped, at);
        let far = 0x0012_3456_7000 & !(k.page_size() - 1);
        k.map_user(tables, far, at);
        let phys = k.phys(at);
        // the last byte of the page and the first one behind it
        let last = k.page_size() - 8;
        for (line_of, virt) in [
            (format!("vtop {:x}", mapped + last), mapped + last),
            (format!("vtop -c 1 {:x}", far + last), far + last),
        ] {
            let text = ask(&k, &line_of);
            let first = line(&text, &format!("{virt:x}"));
            assert_eq!(first, [format!("{virt:x}"), format!("{:x}", phys + last)], "{page} {bits}: {text}");
            let told: Vec<&str> = text
                .lines()
                .filter(|line| line.contains(" => ") || line.trim_start().starts_with("PAGE DIRECTORY"))
                .map(|line| line.trim_start().split([':', ' ']).next().unwrap())
                .collect();
            assert_eq!(told.len(), levels.len(), "{page} {bits}: {text}");
            assert_eq!(told[1..], levels[1..], "{page} {bits}: {text}");
            assert_eq!(
                line(&text, "PAGE: "),
                ["PAGE:".to_owned(), format!("{phys:x}")],
                "{page} {bits}: {text}"
            );
        }
        let text = ask(&k, &format!("vtop -c 1 {:x}", far + k.page_size()));
        assert!(!text.contains(" PAGE: "), "{page} {bits}: {text}");
        // all memory is mapped in blocks where those fit
        let text = ask(&k, &format!("vtop {:x}", at + 0x128));
        assert_eq!(line(&text, &format!("{:x}", at + 0x128))[1], format!("{:x}", phys + 0x128), "{text}");
    }
}

/// A page that a filter left out is missing as a whole, its neighbours are there.
#[test]
fn a_page_that_is_left_out_is_of_the_kernels_size() {
    for (page, bits, _) in modes() {
        let Made { mut k, .. } = kernel(*page, *bits);
        let size = k.page_size();
        let gone = k.memory(2 * size);
        k.word(gone, 7).word(gone + size, 0x1234).exclude(gone);
        for at in [gone, gone + size - 8] {
            let error = try_ask(&k, &format!("rd {at:x}")).unwrap_err();
            assert!(error.contains("page excluded by the dump filter"), "{page} {bits}: {error}");
        }
        let text = ask(&k, &format!("rd {:x}", gone + size));
        assert!(text.contains("0000000000001234"), "{page} {bits}: {text}");
    }
}

/// Where no instruction can be that is said, and nothing is decoded.
#[test]
fn dis_of_addresses_that_have_no_instruction() {
    for (page, bits, _) in modes() {
        let k = kernel(*page, *bits).k;
        assert!(ask(&k, "dis 0").contains("<not mapped>"), "{page} {bits}");
        for by in 1..4 {
            let why = try_ask(&k, &format!("dis {:x}", k.image() + by)).unwrap_err();
            assert!(why.contains("in the middle of an instruction"), "{page} {bits}: {why}");
        }
    }
}
