//! The page and the folder: of a real dump, of bad ones, of one whose names are hostile; and what is left out of them.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs, reason = "a test")]

use base::Cancel;
use dossier::{Book, Class, collect, folder, page};
use kernel::{Layers, OpenOptions};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use testkit::kernel::Kernel;

fn sample() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../samples/virtio-bug.kdump")
}

fn layers(file: &Path) -> Result<Layers, kernel::KernelError> {
    let mut options = OpenOptions::default();
    options.files = vec![file.to_owned()];
    (options.no_search, options.no_debuginfod) = (true, true);
    Layers::open(options)
}

fn book(file: &Path, leave_out: &[Class]) -> Book {
    match layers(file) {
        Ok(layers) => collect(&layers, &Cancel::new(), leave_out, false).unwrap(),
        Err(e) => Book::unreadable(&file.display().to_string(), &e.to_string(), leave_out),
    }
}

fn html(book: &Book) -> String {
    let mut out = Vec::new();
    page(book, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

/// The values of an attribute.
fn attributes<'p>(page: &'p str, name: &str) -> Vec<&'p str> {
    let begin = format!(" {name}=\"");
    page.split(begin.as_str()).skip(1).map(|rest| rest.split_once('"').unwrap().0).collect()
}

/// What holds of every page.
fn check(page: &str) {
    assert!(page.starts_with("<!doctype html>") && page.ends_with("</html>\n"));
    assert_eq!(page.matches("<script").count(), 1, "one script, and it is ours");
    assert!(page.contains("default-src 'none'"));
    let ids = attributes(page, "id");
    let known: BTreeSet<&str> = ids.iter().copied().collect();
    assert_eq!(known.len(), ids.len(), "an id stands once");
    for link in attributes(page, "href") {
        let to = link.strip_prefix('#').unwrap_or_else(|| panic!("a link to elsewhere: {link}"));
        assert!(known.contains(to), "{link} leads nowhere");
    }
    let body = page.split_once("</style>").unwrap().1.split_once("<script>").unwrap().0;
    body.split('<').skip(1).for_each(check_tag);
    let is_seen = |c: char| c == '\n' || c == '\t' || !report::acts(c);
    assert!(page.chars().all(is_seen), "a character that does something");
}

/// A tag is one of ours, and does nothing. Where it ends a text begins, in which no `>` stands.
fn check_tag(from: &str) {
    const OURS: &str = " a body button code dd details div dl dt figcaption figure footer h1 h2 h3 head header input label li main \
                        nav option output p path pre rect section select span summary svg table tbody td text th thead time \
                        title tr ul ";
    let (tag, text) = from.split_once('>').unwrap_or_else(|| panic!("no end of a tag: {from}"));
    let name = tag.trim_start_matches('/').split([' ', '/']).next().unwrap();
    assert!(OURS.contains(&format!(" {name} ")), "<{tag}>");
    let outside: String = tag.split('"').step_by(2).collect();
    for word in [" on", "src", "style", "http", "xlink", "srcdoc"] {
        assert!(!outside.contains(word), "<{tag}>");
    }
    assert!(!text.contains('>'), "{text}");
}

#[test]
fn the_page_of_the_sample_has_all_its_parts() {
    let page = html(&book(&sample(), &[]));
    check(&page);
    for part in [
        "kernel BUG: assertion failed in ",
        "drivers/virtio/virtio_ring.c:550",
        "crashbox",
        "known by: decoded",
        "data-picture=\"timeline\"",
        "data-picture=\"cpus\"",
        "data-picture=\"memory\"",
        "data-picture=\"slab\"",
        "data-picture=\"stacks\"",
        "id=\"fatal\"",
        "QEMU Standard PC",
        "/mnt/disk",
    ] {
        assert!(page.contains(part), "{part}");
    }
    assert!(page.len() < 3_000_000, "{} bytes", page.len());
    assert_eq!(page, html(&book(&sample(), &[])), "the same dump gives the same page");
}

#[test]
fn an_address_leads_to_the_row_that_is_about_it() {
    let page = html(&book(&sample(), &[]));
    let scatter = "a-ff1aa6bd027f0000";
    assert!(page.contains(&format!("<tr id=\"{scatter}\">")));
    assert!(page.matches(&format!("href=\"#{scatter}\"")).count() > 3);
}

#[test]
fn bad_dumps_give_a_page_that_says_so() {
    let whole = std::fs::read(sample()).unwrap();
    let dir = tempfile::tempdir().unwrap();
    for (name, bytes) in [
        ("half", &whole[..whole.len() / 2]),
        ("header", &whole[..8192]),
        ("block", &whole[..4096]),
        ("little", &whole[..100]),
        ("none", &[]),
    ] {
        let file = dir.path().join(name);
        std::fs::write(&file, bytes).unwrap();
        for leave_out in [&[][..], &Class::ALL] {
            let book = book(&file, leave_out);
            let page = html(&book);
            check(&page);
            assert!(!book.is_whole(), "{name}");
            assert!(page.contains("does not hold all that a whole answer needs"), "{name}");
            let missing = page.split_once("<section id=\"missing\">").unwrap().1;
            assert!(missing.contains("<li>"), "{name}");
        }
    }
}

#[test]
fn hostile_names_are_text() {
    let mut k = Kernel::new();
    let (tasks, _) = k.old_tasks(4);
    for (task, name) in
        tasks.iter().zip(["<script>x()</s", "\"><img src=x", "\u{1b}]0;x\u{7}'&lt;", "</title><b>"])
    {
        k.set_text(*task, "task_struct", "comm", name);
    }
    let file = k.file();
    let page = html(&book(file.path(), &[]));
    check(&page);
    assert!(page.contains("&lt;script&gt;x()"), "the name is shown");
    assert!(page.contains("\\x1b]0;x\\x07"));
    let dir = tempfile::tempdir().unwrap();
    folder(&book(file.path(), &[]), dir.path()).unwrap();
    for entry in std::fs::read_dir(dir.path()).unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        assert!(!text.contains(['\u{1b}', '\u{7}']));
    }
}

#[test]
fn the_folder_of_what_is_no_dump_says_why() {
    let dir = tempfile::tempdir().unwrap();
    folder(&Book::unreadable("empty", "the file is empty", &[]), dir.path()).unwrap();
    let list = std::fs::read_to_string(dir.path().join("README.txt")).unwrap();
    assert!(list.contains("What is missing:\n  the file is empty\n") && !list.contains("nothing"), "{list}");
}

#[test]
fn the_folder_has_text_and_json_of_each_part() {
    let dir = tempfile::tempdir().unwrap();
    folder(&book(&sample(), &[]), dir.path()).unwrap();
    let read = |name: &str| std::fs::read_to_string(dir.path().join(name)).unwrap();
    let list = read("README.txt");
    assert!(list.contains("04-verdict  Verdict  (verdict -v)"), "{list}");
    assert!(read("04-verdict.txt").starts_with("VERDICT "));
    assert!(
        read("04-verdict.json")
            .starts_with("{\"schema\":\"crashlens/1\",\"command\":\"verdict\",\"args\":[\"-v\"]")
    );
    let files = std::fs::read_dir(dir.path()).unwrap().count();
    assert_eq!(files % 2, 1, "two of each, and the list");
}

/// A text as it can stand in a file: itself, in hex, in base64 (three ways to begin), in UTF-16.
fn shapes(text: &str) -> Vec<Vec<u8>> {
    let hex: String = text.bytes().map(|byte| format!("{byte:02x}")).collect();
    let wide: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let mut out = vec![text.as_bytes().to_vec(), hex.to_uppercase().into_bytes(), hex.into_bytes(), wide];
    for skip in 0..3 {
        let padded = [vec![0; skip], text.as_bytes().to_vec()].concat();
        // the signs that depend on the text alone
        let signs = base64(&padded);
        let from = (skip * 8).div_ceil(6);
        out.push(signs.as_bytes()[from..padded.len() * 8 / 6].to_vec());
    }
    out
}

fn base64(bytes: &[u8]) -> String {
    const SIGNS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let bits: Vec<u8> = bytes.iter().flat_map(|byte| (0..8).rev().map(move |n| byte >> n & 1)).collect();
    let six = |bits: &[u8]| {
        SIGNS[bits.iter().fold(0_usize, |n, bit| n << 1 | usize::from(*bit)) << (6 - bits.len())]
    };
    bits.chunks(6).map(|bits| char::from(six(bits))).collect()
}

fn holds(all: &[Vec<u8>], text: &str) -> bool {
    let found = |shape: &Vec<u8>| all.iter().any(|file| file.windows(shape.len()).any(|part| part == shape));
    shapes(text).iter().any(found)
}

/// The page and all files of the folder.
fn outputs(book: &Book) -> Vec<Vec<u8>> {
    let dir = tempfile::tempdir().unwrap();
    folder(book, dir.path()).unwrap();
    let files =
        std::fs::read_dir(dir.path()).unwrap().map(|entry| std::fs::read(entry.unwrap().path()).unwrap());
    std::iter::once(html(book).into_bytes()).chain(files).collect()
}

/// What the sample's guest is: its host, what it ran, its files, its command line.
const OF_THE_MACHINE: &[&str] = &[
    "crashbox",
    "scatter",
    "job-sleep",
    "/mnt/disk",
    "127.0.0.1",
    "how=bug",
    "console=ttyS0",
    "ff1aa6bd027f0000",
    "ff1aa6bd13f33c00",
    "virtio-bug.kdump",
];

#[test]
fn what_is_of_the_machine_is_left_out_and_what_is_of_the_death_stays() {
    let whole = outputs(&book(&sample(), &[]));
    let left = book(&sample(), &Class::ALL);
    let left_out = outputs(&left);
    for text in OF_THE_MACHINE {
        assert!(holds(&whole, text), "{text} is there without --redact");
        assert!(!holds(&left_out, text), "{text} is there with it");
    }
    let page = html(&left);
    check(&page);
    // what is seen of it: links end within words
    let page: String =
        page.split('<').map(|part| part.split_once('>').map_or(part, |(_, text)| text)).collect();
    for text in [
        "kernel BUG: assertion failed in",
        "virtqueue_add_sgs",
        "drivers/virtio/virtio_ring.c:550",
        "kernel BUG at drivers/virtio/virtio_ring.c:550!",
        "BUG_ON(total_sg &gt; ",
        "bug:virtqueue_add_split:virtqueue_add_sgs:virtblk_add_req:virtio_queue_rq",
        "6.1.0-56-cloud-amd64",
        // a known issue is our own text
        "44ed8089e991 (&quot;scsi: virtio: Reduce BUG if",
        "Left out of this report on request",
        "addresses of memory",
    ] {
        assert!(page.contains(text), "{text} survives");
    }
}

#[test]
fn classes_are_left_out_one_by_one() {
    let names = outputs(&book(&sample(), &[Class::Names]));
    assert!(!holds(&names, "crashbox") && holds(&names, "ff1aa6bd027f0000"));
    let addresses = outputs(&book(&sample(), &[Class::Addresses]));
    assert!(holds(&addresses, "crashbox") && !holds(&addresses, "ff1aa6bd027f0000"));
}

/// Names of tasks, mounts, network devices of a made kernel, each of them a canary.
#[test]
fn no_canary_of_a_made_kernel_passes() {
    let mut k = Kernel::new();
    let (tasks, _) = k.old_tasks(3);
    k.set_text(tasks[1], "task_struct", "comm", "canary-comm");
    let file = k.file();
    let all = outputs(&book(file.path(), &[]));
    assert!(holds(&all, "canary-comm"));
    let left = outputs(&book(file.path(), &Class::ALL));
    assert!(!holds(&left, "canary"));
    let name = file.path().file_name().unwrap().to_str().unwrap();
    assert!(!holds(&left, name), "the dump's own name");
}

/// A limit that is reached leaves what is known by then; with names to be left out nothing that could have one.
#[test]
fn a_limit_leaves_what_is_known_and_no_name() {
    let layers = layers(&sample()).unwrap();
    let ended = Cancel::new();
    ended.end("the time limit of 1s was reached");
    let book = collect(&layers, &ended, &Class::ALL, true).unwrap();
    let told = html(&book);
    check(&told);
    assert!(!book.is_whole());
    assert!(
        told.contains("the time limit of 1s was reached before it was known which names are to be left out")
    );
    for name in ["virtio-bug", "virtqueue"] {
        assert!(!told.contains(name), "{name}");
    }
    let plain = html(&collect(&layers, &ended, &[], true).unwrap());
    check(&plain);
    assert!(plain.contains("log: the time limit of 1s was reached"));
    // Ctrl-C is no limit
    let stopped = Cancel::new();
    stopped.cancel();
    assert!(collect(&layers, &stopped, &Class::ALL, true).is_err());
}
