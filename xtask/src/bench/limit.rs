//! How near a search of all memory is to what the machine can do at best: the same bytes copied from the page cache, or
//! unpacked, by all cores and nothing else.
//!
//! A search is a fresh process, from start to exit, so its start counts against it.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;

use super::giant::{self, Packed};
use super::measure;
use crate::run::{At as _, Error, other, say};

/// Bytes that a thread copies at a time.
const CHUNK: u64 = 1 << 20;
/// Pages that a thread unpacks at a time.
const PAGES: usize = 256;
/// Bytes of a page.
const PAGE: usize = 4096;

/// A dump to search, and what the limit is.
struct Search {
    file: &'static str,
    limit: &'static str,
}

const SEARCHES: &[Search] = &[
    Search { file: "virtio-bug/dump.elf", limit: "copied" },
    Search { file: "sysrq-kdump/zlib-all.kdump", limit: "unpacked (zlib)" },
];

/// The table, of the dumps of a series that are there.
pub(super) fn part(program: &str, series: &Path, runs: usize) -> Result<String, Error> {
    let mut text = String::from("## `search -k deadbeef` and the limit of the cores\n\n");
    text.push_str(
        "| dump | MiB | limit | at best ms | search ms | of the limit |\n|---|---:|---|---:|---:|---:|\n",
    );
    for search in SEARCHES {
        let path = series.join(search.file);
        if !path.exists() {
            continue;
        }
        let line = ["-s", "--no-search", "-c", "search -k deadbeef"].map(str::to_owned);
        let line: Vec<String> =
            std::iter::once(program.to_owned()).chain(line).chain([path.display().to_string()]).collect();
        let (mut best, mut searched, mut bytes) = (Vec::new(), Vec::new(), 0);
        for turn in 0..=runs {
            let started = Instant::now();
            bytes = if search.limit == "copied" { copy(&path)? } else { unpack(&path)? };
            let limit = started.elapsed().as_secs_f64();
            let usage = measure::in_own_process(&line)?;
            if turn > 0 {
                best.push(limit);
                searched.push(usage.wall);
            }
        }
        let middle = |mut list: Vec<f64>| {
            list.sort_by(f64::total_cmp);
            list.get(list.len() / 2).copied().unwrap_or_default()
        };
        let (best, searched) = (middle(best), middle(searched));
        let _ = writeln!(
            text,
            "| `{}` | {} | {} | {:.1} | {:.1} | {:.0} % |",
            search.file,
            bytes >> 20,
            search.limit,
            best * 1e3,
            searched * 1e3,
            best / searched * 100.0
        );
        say(format_args!("measured: the limit of {}", search.file));
    }
    text.push('\n');
    Ok(text)
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

/// Copies a file out of the page cache; returns its size.
fn copy(path: &Path) -> Result<u64, Error> {
    let file = File::open(path).at(path)?;
    let size = file.metadata().at(path)?.len();
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
    if done { Ok(size) } else { other(format!("{}: cannot be read", path.display())) }
}

/// Unpacks all pages of a kdump file; returns their bytes.
fn unpack(path: &Path) -> Result<u64, Error> {
    let file = fs::read(path).at(path)?;
    let Some(pages) = giant::packed(&file) else { return other(format!("{}: no kdump", path.display())) };
    let unpacked = AtomicU64::new(0);
    let done = on_all_cores(|next| {
        let mut unpacker = libdeflater::Decompressor::new();
        let mut page = [0; PAGE];
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed) * PAGES;
            let Some(mine) = pages.get(at..pages.len().min(at + PAGES)).filter(|mine| !mine.is_empty())
            else {
                return Some(());
            };
            for Packed { bytes, zlib } in mine {
                if *zlib {
                    unpacker.zlib_decompress(bytes, &mut page).ok()?;
                } else {
                    page.get_mut(..bytes.len())?.copy_from_slice(bytes);
                }
                std::hint::black_box(&page);
            }
            unpacked.fetch_add((mine.len() * PAGE) as u64, Ordering::Relaxed);
        }
    });
    if done {
        Ok(unpacked.into_inner())
    } else {
        other(format!("{}: a page does not unpack", path.display()))
    }
}
