//! Pictures, drawn as SVG within the page from the data of reports. What is drawn is made by functions of their own, so that its
//! sums can be held against the command's JSON.
//!
//! Each is a few rectangles and words. Crates that draw charts bring colours that do not follow the reader's theme, scripts and
//! ways for text past `render::Page`.

mod bars;
mod flame;
mod lanes;
pub(crate) mod timeline;
mod waits;

use crate::book::Book;
use render::{Clean, Page};
use serde_json::Value;
use std::io;

/// Width of all pictures, in their own units.
const WIDTH: f64 = 1000.0;

/// The picture of a part, where it has one.
pub(crate) fn of(book: &Book, part: &str, p: &mut Page<'_>) -> io::Result<()> {
    let data = book.data(part);
    match part {
        "cpus" => lanes::write(book.data("last-run"), p),
        "memory" => bars::memory(data, p),
        "slab" => bars::slab(data, p),
        "stacks" => flame::write(data, p),
        "waits" => waits::write(book, p),
        _ => Ok(()),
    }
}

/// Begins a picture: its name for those who cannot see it, and its height.
fn begin(name: &'static str, about: &str, height: f64, p: &mut Page<'_>) -> io::Result<()> {
    p.own("<figure class=\"picture\" data-picture=\"")?;
    p.own(name)?;
    p.own("\"><svg role=\"img\" aria-label=\"")?;
    p.html(&Clean::of(about))?;
    p.own("\" viewBox=\"0 0 1000 ")?;
    p.length(height)?;
    p.own("\">\n")
}

fn end(about: &str, p: &mut Page<'_>) -> io::Result<()> {
    p.own("</svg><figcaption>")?;
    p.html(&Clean::of(about))?;
    p.own("</figcaption></figure>\n")
}

/// A rectangle.
#[derive(Clone, Copy)]
struct Rect {
    x: f64,
    y: f64,
    width: f64,
    height: f64,
}

/// A rectangle of a class, with what it stands for as a number, and what is shown above it.
fn rect(at: Rect, class: &'static str, value: i128, title: &str, p: &mut Page<'_>) -> io::Result<()> {
    p.own("<rect class=\"")?;
    p.own(class)?;
    for (name, value) in
        [("\" x=\"", at.x), ("\" y=\"", at.y), ("\" width=\"", at.width), ("\" height=\"", at.height)]
    {
        p.own(name)?;
        p.length(value)?;
    }
    p.own("\" data-value=\"")?;
    p.number(value)?;
    p.own("\"><title>")?;
    p.html(&Clean::of(title))?;
    p.own("</title></rect>\n")
}

/// Words, beginning at a place.
fn words(x: f64, y: f64, class: &'static str, text: &str, p: &mut Page<'_>) -> io::Result<()> {
    p.own("<text class=\"")?;
    p.own(class)?;
    p.own("\" x=\"")?;
    p.length(x)?;
    p.own("\" y=\"")?;
    p.length(y)?;
    p.own("\">")?;
    p.html(&Clean::of(text))?;
    p.own("</text>\n")
}

/// A task by its pid and name; what is not known of it is a question mark, and no number.
fn task(of: &Value) -> String {
    let pid = of.get("pid").and_then(Value::as_u64).map_or_else(|| "?".to_owned(), |pid| pid.to_string());
    format!("{pid} {}", of.get("command").and_then(Value::as_str).unwrap_or("?"))
}

/// As much of a text as so many units hold.
fn cut(text: &str, width: f64) -> String {
    // a letter of the pictures' font takes about this
    let most = (width / 7.3).max(0.0) as usize;
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let kept: String = text.chars().take(most.saturating_sub(1)).collect();
    if kept.is_empty() { kept } else { kept + "…" }
}

/// `12.3 s`, `4 min`
fn time(nsec: f64) -> String {
    let seconds = nsec / 1e9;
    match seconds {
        _ if seconds == 0.0 => "0".to_owned(),
        _ if seconds < 1e-3 => format!("{:.0} µs", seconds * 1e6),
        _ if seconds < 1.0 => format!("{:.0} ms", seconds * 1e3),
        _ if seconds < 120.0 => format!("{seconds:.1} s"),
        _ if seconds < 7200.0 => format!("{:.0} min", seconds / 60.0),
        _ if seconds < 172_800.0 => format!("{:.1} h", seconds / 3600.0),
        _ => format!("{:.1} days", seconds / 86_400.0),
    }
}
