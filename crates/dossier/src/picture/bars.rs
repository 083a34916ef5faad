//! Bars: what has memory, and which slab caches are large.

use super::{Rect, WIDTH, begin, cut, end, rect, words};
use crate::page::all;
use render::Page;
use serde_json::Value;
use std::io;

/// A share of something.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Share {
    name: String,
    value: u64,
    class: &'static str,
}

fn share(name: &str, value: u64, class: &'static str) -> Share {
    Share { name: name.to_owned(), value, class }
}

/// One bar: what it is of, the whole, its shares.
type Bar = (&'static str, u64, Vec<Share>);

/// What has the memory, in pages; shares of a bar make up its whole. A bar of which a number is missing is not drawn.
fn memory_bars(data: &Value) -> Vec<Bar> {
    let of = |path: &str| data.pointer(path).and_then(Value::as_u64);
    let memory = || {
        let (total, free) = (of("/memory/total")?, of("/memory/free")?);
        let parts = [of("/memory/cached")?, of("/memory/buffers")?, of("/memory/slab")?];
        let known = parts.iter().try_fold(free, |sum, part| sum.checked_add(*part))?;
        // they can be of different moments, and then are no parts of one whole
        let rest = total.checked_sub(known)?;
        let [cached, buffers, slab] = parts;
        let shares = vec![
            share("other use", rest, "c1"),
            share("slab", slab, "c2"),
            share("cached files", cached, "c3"),
            share("buffers", buffers, "c4"),
            share("free", free, "c0"),
        ];
        Some(("Memory", total, shares))
    };
    let of_two = |name: &'static str, total: &str, used: &dyn Fn(u64) -> Option<u64>| {
        let total = of(total).filter(|total| *total > 0)?;
        let used = used(total)?;
        let free = total.checked_sub(used)?;
        Some((name, total, vec![share("used", used, "c1"), share("free", free, "c0")]))
    };
    let huge = of_two("Huge pages", "/huge_pages/total", &|total| total.checked_sub(of("/huge_pages/free")?));
    let swap = of_two("Swap", "/swap/total", &|_| of("/swap/used"));
    [memory(), huge, swap].into_iter().flatten().collect()
}

/// Memory as bars.
pub(super) fn memory(data: &Value, p: &mut Page<'_>) -> io::Result<()> {
    let bars = memory_bars(data);
    if bars.is_empty() {
        return Ok(());
    }
    let about = "What has the memory, in pages; bars are as long as their shares of each whole.";
    begin("memory", about, bars.len() as f64 * 46.0 + 6.0, p)?;
    for (n, (name, total, shares)) in bars.iter().enumerate() {
        let y = n as f64 * 46.0;
        words(0.0, y + 22.0, "label", name, p)?;
        let mut x = 100.0;
        for share in shares {
            let width = if *total == 0 { 0.0 } else { share.value as f64 / *total as f64 * (WIDTH - 100.0) };
            let percent = share.value as f64 * 100.0 / (*total).max(1) as f64;
            let title = format!("{}: {} pages, {percent:.1} %", share.name, share.value);
            rect(Rect { x, y: y + 4.0, width, height: 28.0 }, share.class, share.value.into(), &title, p)?;
            words(
                x + 4.0,
                y + 22.0,
                "inside",
                &cut(&format!("{} {percent:.0} %", share.name), width - 6.0),
                p,
            )?;
            x += width;
        }
    }
    end(about, p)
}

/// How many caches are drawn; the others are one bar.
const CACHES: usize = 20;

/// The largest caches by the bytes of their slabs, and all others together.
fn caches(data: &Value) -> Vec<Share> {
    let bytes = |cache: &Value| {
        let of = |key: &str| cache.get(key).and_then(Value::as_u64);
        of("slabs")?.checked_mul(of("slab_size")?)
    };
    let name = |cache: &Value| cache.get("name").and_then(Value::as_str).unwrap_or("?").to_owned();
    let mut out: Vec<Share> = all(data, "caches")
        .iter()
        .filter_map(|cache| Some(Share { name: name(cache), value: bytes(cache)?, class: "c2" }))
        .filter(|share| share.value > 0)
        .collect();
    out.sort_by_key(|share| std::cmp::Reverse(share.value));
    let others: u64 = out.iter().skip(CACHES).fold(0, |sum, share| sum.saturating_add(share.value));
    let count = out.len().saturating_sub(CACHES);
    out.truncate(CACHES);
    if count > 0 {
        out.push(Share { name: format!("{count} others"), value: others, class: "c0" });
    }
    out
}

/// Slab caches as bars.
pub(super) fn slab(data: &Value, p: &mut Page<'_>) -> io::Result<()> {
    let shares = caches(data);
    let Some(largest) = shares.iter().map(|share| share.value).max() else { return Ok(()) };
    let about = "The largest slab caches, by the bytes of their slabs.";
    begin("slab", about, shares.len() as f64 * 20.0 + 6.0, p)?;
    for (n, share) in shares.iter().enumerate() {
        let y = n as f64 * 20.0;
        let width = share.value as f64 / largest.max(1) as f64 * 640.0;
        let title = format!("{}: {} bytes", share.name, share.value);
        words(0.0, y + 14.0, "label", &cut(&share.name, 230.0), p)?;
        rect(Rect { x: 240.0, y: y + 2.0, width, height: 15.0 }, share.class, share.value.into(), &title, p)?;
        words(246.0 + width, y + 14.0, "label", &commands::memory(share.value), p)?;
    }
    end(about, p)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn shares_make_up_the_whole() {
        let data = json!({"memory": {"total": 100, "free": 40, "cached": 20, "buffers": 1, "slab": 9},
            "huge_pages": {"total": 0, "free": 0}, "swap": {"total": 10, "used": 4, "free": 6}});
        let bars = memory_bars(&data);
        assert_eq!(bars.len(), 2);
        for (_, total, shares) in &bars {
            assert_eq!(shares.iter().map(|share| share.value).sum::<u64>(), *total);
        }
        // what is missing is not drawn as nothing
        let lost =
            json!({"memory": {"total": 100, "free": {"absent": "x"}, "cached": 20, "buffers": 1, "slab": 9}});
        assert_eq!(memory_bars(&lost), []);
        let more = json!({"memory": {"total": 10, "free": 40, "cached": 20, "buffers": 1, "slab": 9}});
        assert_eq!(memory_bars(&more), []);
    }

    #[test]
    fn caches_add_up_to_the_commands() {
        let all: Vec<Value> =
            (1..=30).map(|n| json!({"name": format!("c{n}"), "slabs": n, "slab_size": 4096})).collect();
        let shares = caches(&json!({"caches": all}));
        assert_eq!(shares.len(), CACHES + 1);
        assert_eq!(shares.iter().map(|share| share.value).sum::<u64>(), (1..=30).sum::<u64>() * 4096);
        assert_eq!(shares[0].name, "c30");
    }
}
