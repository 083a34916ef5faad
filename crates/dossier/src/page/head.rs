//! The beginning of the page: its style and policy, the list of sections, the facts at a glance; and its end.

use crate::book::Book;
use crate::page::{Links, ORDER, plain, rows};
use crate::parts::PARTS;
use render::{Clean, Page};
use serde_json::Value;
use std::io;

/// The page's only script.
const SCRIPT: &str = include_str!("script.js");
const STYLE: &str = include_str!("style.css");

/// What the browser is to allow: this script (SHA-256) and this style, and nothing from anywhere.
const POLICY: &str = "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; \
                      script-src 'sha256-mXmbYDPB/smwb4oKnBNcY8nG+XPErxvSeaO0VU8YshE='; base-uri 'none'; form-action 'none'\">";

/// The page up to its body.
pub(crate) fn begin(book: &Book, p: &mut Page<'_>) -> io::Result<()> {
    p.own("<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">")?;
    p.own(POLICY)?;
    p.own("<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\"><meta name=\"referrer\" content=\"no-referrer\"><title>")?;
    plain(&title(book), p)?;
    p.own("</title><style>")?;
    p.own(STYLE)?;
    p.own("</style></head>\n<body>\n")
}

pub(crate) fn end(p: &mut Page<'_>) -> io::Result<()> {
    p.own("<footer>Made by crashlens ")?;
    p.own(env!("CARGO_PKG_VERSION"))?;
    p.own(". Everything here was read from the dump; the page loads nothing.</footer>\n<script>")?;
    p.own(SCRIPT)?;
    p.own("</script></body></html>\n")
}

/// What died, and on which machine.
fn title(book: &Book) -> String {
    let of = |part: &str, key: &str| book.data(part).get(key).and_then(Value::as_str).map(ToOwned::to_owned);
    let headline = of("verdict", "headline").or_else(|| of("machine", "cause"));
    let headline = headline.unwrap_or_else(|| "a dump that does not tell what died".to_owned());
    match of("machine", "nodename") {
        Some(host) => format!("{headline} · {host}"),
        None => headline,
    }
}

/// The list of sections.
pub(crate) fn contents(book: &Book, p: &mut Page<'_>) -> io::Result<()> {
    p.own("<nav aria-label=\"Sections\"><ul>")?;
    for (id, extra) in ORDER {
        let part = PARTS.iter().find(|part| part.id == *id);
        let title = match (part, *id) {
            (Some(part), _) => part.title,
            (None, "timeline") => "Timeline",
            (None, _) => "Process tree",
        };
        if extra.is_none() && book.part(id).is_none() {
            continue;
        }
        entry(id, title, p)?;
    }
    entry("missing", "What is missing", p)?;
    entry("symbols", "Symbols", p)?;
    p.own("</ul></nav>\n")
}

fn entry(id: &'static str, title: &'static str, p: &mut Page<'_>) -> io::Result<()> {
    p.own("<li><a href=\"#")?;
    p.own(id)?;
    p.own("\">")?;
    p.own(title)?;
    p.own("</a></li>")
}

/// The facts at a glance: name in the data of `sys`, head.
const FACTS: &[(&str, &str)] = &[
    ("nodename", "Host"),
    ("release", "Kernel"),
    ("version", "Build"),
    ("machine", "Machine"),
    ("cpus", "CPUs"),
    ("tasks", "Tasks"),
    ("tainted", "Taints"),
    ("load_average", "Load"),
];

/// The head of the page.
pub(crate) fn facts(book: &Book, links: &mut Links, p: &mut Page<'_>) -> io::Result<()> {
    p.own("<header><h1>")?;
    links.text(&Clean::of(title(book)), p)?;
    p.own("</h1>")?;
    if let Some(source) = source(book.data("verdict")) {
        p.own("<p class=\"path\">")?;
        plain(&source, p)?;
        p.own("</p>")?;
    }
    let sys = book.data("machine");
    p.own("<dl>")?;
    for (key, head) in FACTS {
        if let Some(value) = sys.get(*key).filter(|value| !value.is_null()) {
            fact(head, p, |p| rows::value(value, links, p))?;
        }
    }
    if let Some(seconds) = sys.get("date").and_then(Value::as_i64) {
        fact("Died", p, |p| plain(&commands::date(seconds), p))?;
    }
    if let Some(seconds) = sys.get("uptime_seconds").and_then(Value::as_u64) {
        fact("Up", p, |p| plain(&commands::duration(seconds), p))?;
    }
    if let Some(bytes) = sys.get("memory_bytes").and_then(Value::as_u64) {
        fact("Memory", p, |p| plain(&commands::memory(bytes), p))?;
    }
    if let Some(name) = product(book) {
        fact("Hardware", p, |p| plain(&name, p))?;
    }
    fact("Dump", p, |p| plain(&book.dump, p))?;
    if let Some(format) = book.data("dump").pointer("/dump/format") {
        fact("Format", p, |p| rows::value(format, links, p))?;
    }
    fact("Read by", p, |p| plain(concat!("crashlens ", env!("CARGO_PKG_VERSION")), p))?;
    p.own("</dl>")?;
    left_out(book, p)?;
    if !book.is_whole() {
        p.own("<p class=\"warn\">This dump does not hold all that a whole answer needs: <a href=\"#missing\">what is missing</a>.</p>")?;
    }
    p.own("</header>\n")
}

fn left_out(book: &Book, p: &mut Page<'_>) -> io::Result<()> {
    let Some(redacted) = &book.redacted else { return Ok(()) };
    p.own("<div class=\"redacted\"><p>Left out of this report on request:</p><ul>")?;
    for line in redacted.lines() {
        p.own("<li>")?;
        plain(&line, p)?;
        p.own("</li>")?;
    }
    p.own("</ul></div>")
}

fn fact(
    head: &'static str,
    p: &mut Page<'_>,
    value: impl FnOnce(&mut Page<'_>) -> io::Result<()>,
) -> io::Result<()> {
    p.own("<div><dt>")?;
    p.own(head)?;
    p.own("</dt><dd>")?;
    value(p)?;
    p.own("</dd></div>")
}

/// `drivers/virtio/virtio_ring.c:550`
fn source(verdict: &Value) -> Option<String> {
    let file = verdict.pointer("/place/file")?.as_str()?;
    let line = verdict.pointer("/place/line").and_then(Value::as_u64);
    Some(line.map_or_else(|| file.to_owned(), |line| format!("{file}:{line}")))
}

/// The machine's vendor and name.
fn product(book: &Book) -> Option<String> {
    let rows = book.data("hardware").get("dmi")?.as_array()?;
    let of = |name: &str| {
        let row = rows.iter().find(|row| row.get("name").and_then(Value::as_str) == Some(name))?;
        row.get("text")?.as_str().filter(|text| !text.is_empty())
    };
    let words: Vec<&str> = [of("DMI_SYS_VENDOR"), of("DMI_PRODUCT_NAME")].into_iter().flatten().collect();
    (!words.is_empty()).then(|| words.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use sha2::{Digest, Sha256};

    fn base64(bytes: &[u8]) -> String {
        const SIGNS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let mut out = String::new();
        for part in bytes.chunks(3) {
            let bits =
                part.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - part.len()));
            for n in 0..4 {
                let sign = SIGNS[(bits >> (18 - 6 * n) & 63) as usize];
                out.push(if n > part.len() { '=' } else { sign.into() });
            }
        }
        out
    }

    /// A script that was changed needs its hash here, or the browser refuses it.
    #[test]
    fn the_policy_allows_this_script_alone() {
        let hash = base64(&Sha256::digest(SCRIPT));
        assert!(POLICY.contains(&format!("'sha256-{hash}'")), "the script's hash is {hash}");
        assert!(POLICY.contains("default-src 'none'"));
    }

    #[test]
    fn script_and_style_refer_to_nothing() {
        for text in [SCRIPT, STYLE] {
            for word in [
                "http:",
                "https:",
                "//",
                "url(",
                "@import",
                "fetch(",
                "XMLHttp",
                "import(",
                "eval(",
                "innerHTML",
                "WebSocket",
            ] {
                let text: String = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
                assert!(!text.contains(word), "{word}");
            }
        }
    }
}
