//! How near a search of all memory is to what the machine can do at best.
//!
//! The best is a program that does nothing but hand all memory of the dump to as many threads as there are cores: it
//! copies it out of the page cache, or unpacks it, and looks at nothing. It is measured as a search is, as a fresh
//! process from start to exit, in turn with it, and per byte: a search of kernel memory looks at the kernel's image and
//! at what vmalloc maps a second time, at another address. A page that many descriptors share is unpacked once.

use std::fmt::Write as _;
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use super::giant::{self, Packed};
use super::measure;
use super::this_program;
use crate::run::{At as _, Error, command, other, output, root, say};

/// Bytes that a thread reads at a time: with more, they leave the core's cache before they are looked at.
const CHUNK: u64 = 128 << 10;
/// Pages that a thread unpacks at a time.
const PAGES: usize = 256;
/// Bytes of a page.
const PAGE: usize = 4096;
/// More than any of these dumps has in front of its pages.
const HEAD: u64 = 64 << 20;

const ZLIB: u32 = 1;
const LZO: u32 = 2;
const ZSTD: u32 = 0x20;

/// A dump to search, and what the limit is.
const SEARCHES: &[(&str, &str)] = &[
    ("virtio-bug/dump.elf", "copied"),
    ("sysrq-kdump/zlib-all.kdump", "unpacked (zlib)"),
    ("sysrq-kdump/zlib.kdump", "unpacked (zlib)"),
    ("sysrq-kdump/zstd.kdump", "unpacked (zstd)"),
    ("sysrq-kdump/lzo.kdump", "unpacked (LZO)"),
    ("sysrq-kdump/plain.kdump", "copied"),
];

/// The table, of the dumps of a series that are there.
pub(super) fn part(program: &str, series: &Path, runs: usize) -> Result<String, Error> {
    let mut text = String::from("## `search -k deadbeef` and the limit of the cores\n\n");
    text.push_str("| dump | MiB searched | limit | at best ms | search ms | of the limit |\n");
    text.push_str("|---|---:|---|---:|---:|---:|\n");
    // with its decoders built as the searcher's are
    let built = root().join("target/release/xtask");
    let copier = if built.exists() { built } else { this_program()? }.display().to_string();
    for (file, limit) in SEARCHES {
        let path = series.join(file);
        if !path.exists() {
            continue;
        }
        let name = path.display().to_string();
        let own = |words: &[&str], last: &str| -> Vec<String> {
            words.iter().copied().chain([last]).map(str::to_owned).collect()
        };
        let search = own(&[program, "-s", "--no-search", "-c", "search -k deadbeef"], &name);
        let best = own(&[&copier, "bench", "--limit"], &name);
        let (searched, reached) = (searched(program, &name)?, number(&best)?);
        let (mut times, mut limits) = (Vec::new(), Vec::new());
        for turn in 0..=runs {
            let (limit, time) = (measure::in_own_process(&best)?, measure::in_own_process(&search)?);
            if turn > 0 {
                limits.push(limit.wall * searched as f64 / reached as f64);
                times.push(time.wall);
            }
        }
        let middle = |mut list: Vec<f64>| {
            list.sort_by(f64::total_cmp);
            list.get(list.len() / 2).copied().unwrap_or_default()
        };
        let (limit_time, time) = (middle(limits), middle(times));
        let _ = writeln!(
            text,
            "| `{file}` | {} | {limit} | {:.1} | {:.1} | {:.0} % |",
            searched >> 20,
            limit_time * 1e3,
            time * 1e3,
            limit_time / time * 100.0
        );
        say(format_args!("measured: the limit of {file}"));
    }
    text.push_str(
        "\nAt best: a program that copies or unpacks as many bytes with as many threads and looks at none, a fresh \
         process as the search is.\n\n",
    );
    Ok(text)
}

/// What a program's last line says.
fn number(line: &[String]) -> Result<u64, Error> {
    let Some((program, args)) = line.split_first() else { return other("no program") };
    let text = output(&mut command(program, args))?;
    let number = text.lines().last().and_then(|line| line.trim().parse().ok());
    number.filter(|&n| n > 0).ok_or_else(|| Error::Other(format!("no number of bytes in {text:?}")))
}

/// How many bytes a search of that dump looks at, by its own account.
fn searched(program: &str, dump: &str) -> Result<u64, Error> {
    let words = ["--json", "-s", "--no-search", "-c", "search -k deadbeef", dump];
    let text = output(&mut command(program, words))?;
    let answer = text.lines().last().and_then(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let bytes = answer.as_ref().and_then(|answer| answer.get("data")?.get("bytes")?.as_u64());
    bytes
        .filter(|&n| n > 0)
        .ok_or_else(|| Error::Other(format!("{dump}: the search says no number of bytes")))
}

/// Hands all memory of a dump to the cores; how many bytes that were.
pub(super) fn reach(path: &Path) -> Result<u64, Error> {
    let file = File::open(path).at(path)?;
    let size = file.metadata().at(path)?.len();
    let mut magic = [0; 8];
    file.read_exact_at(&mut magic, 0).at(path)?;
    let done = if &magic == b"KDUMP   " {
        let mut head = vec![0; usize::try_from(HEAD.min(size)).unwrap_or_default()];
        file.read_exact_at(head.get_mut(..PAGE).unwrap_or_default(), 0).at(path)?;
        let len = giant::end_of_head(&head).map_or(head.len(), |end| end.min(head.len()));
        file.read_exact_at(head.get_mut(..len).unwrap_or_default(), 0).at(path)?;
        giant::packed(&head).and_then(|pages| unpack(&file, &pages))
    } else {
        copy(&file, size)
    };
    done.map_or_else(|| other(format!("{}: cannot be read", path.display())), Ok)
}

/// Runs `work` on every core, each with a number to take what is next.
fn on_all_cores(work: impl Fn(&AtomicUsize) -> Option<()> + Sync) -> bool {
    let next = AtomicUsize::new(0);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..cores).map(|_| scope.spawn(|| work(&next).is_some())).collect();
        threads.into_iter().all(|thread| thread.join().unwrap_or(false))
    })
}

fn copy(file: &File, size: u64) -> Option<u64> {
    let done = on_all_cores(|next| {
        let mut buffer = vec![0; usize::try_from(CHUNK).ok()?];
        loop {
            let at = (next.fetch_add(1, Ordering::Relaxed) as u64) * CHUNK;
            if at >= size {
                return Some(());
            }
            let part = buffer.get_mut(..usize::try_from(CHUNK.min(size - at)).ok()?)?;
            file.read_exact_at(part, at).ok()?;
            std::hint::black_box(&part);
        }
    });
    done.then_some(size)
}

fn unpack(file: &File, pages: &[Packed]) -> Option<u64> {
    let unpacked = AtomicU64::new(0);
    let done = on_all_cores(|next| {
        let mut unpacker = Unpacker::new()?;
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed) * PAGES;
            let Some(mine) = pages.get(at..pages.len().min(at + PAGES)).filter(|mine| !mine.is_empty())
            else {
                return Some(());
            };
            mine.iter().try_for_each(|page| unpacker.page(file, *page))?;
            unpacked.fetch_add((mine.len() * PAGE) as u64, Ordering::Relaxed);
        }
    });
    done.then(|| unpacked.into_inner())
}

/// What a thread has: the bytes of the file that it read last, and its decoders.
struct Unpacker {
    window: Vec<u8>,
    at: u64,
    /// The page that stands apart from its neighbours in memory: one of zeros, for all of these.
    apart: Option<Packed>,
    page: [u8; PAGE],
    zlib: libdeflater::Decompressor,
    zstd: zstd::bulk::Decompressor<'static>,
}

impl Unpacker {
    fn new() -> Option<Self> {
        Some(Self {
            window: Vec::new(),
            at: 0,
            apart: None,
            page: [0; PAGE],
            zlib: libdeflater::Decompressor::new(),
            zstd: zstd::bulk::Decompressor::new().ok()?,
        })
    }

    fn page(&mut self, file: &File, page: Packed) -> Option<()> {
        if self.apart == Some(page) {
            // as a search would have to: nothing is unpacked, but there are bytes to look at
            std::hint::black_box(&self.page.clone());
            return Some(());
        }
        if page.offset < self.at {
            let mut packed = vec![0; page.size];
            file.read_exact_at(&mut packed, page.offset).ok()?;
            self.apart = Some(page);
            return self.unpack(page, &packed);
        }
        let held = |at: u64, window: &[u8]| {
            let from = usize::try_from(page.offset.checked_sub(at)?).ok()?;
            Some(from..from.checked_add(page.size).filter(|&end| end <= window.len())?)
        };
        if held(self.at, &self.window).is_none() {
            self.window.resize(usize::try_from(CHUNK).ok()?, 0);
            let mut have = 0;
            while have < page.size {
                let rest = self.window.get_mut(have..)?;
                have += file.read_at(rest, page.offset + have as u64).ok().filter(|&n| n > 0)?;
            }
            self.window.truncate(have);
            self.at = page.offset;
        }
        let window = std::mem::take(&mut self.window);
        let done = held(self.at, &window).and_then(|part| self.unpack(page, window.get(part)?));
        self.window = window;
        done
    }

    fn unpack(&mut self, page: Packed, packed: &[u8]) -> Option<()> {
        match page.flags {
            0 => self.page.get_mut(..packed.len())?.copy_from_slice(packed),
            ZLIB => _ = self.zlib.zlib_decompress(packed, &mut self.page).ok()?,
            LZO => _ = lzokay::decompress::decompress(packed, &mut self.page).ok()?,
            ZSTD => _ = self.zstd.decompress_to_buffer(packed, self.page.as_mut_slice()).ok()?,
            // snappy: no tool on Debian packs so
            _ => return None,
        }
        std::hint::black_box(&self.page);
        Some(())
    }
}
