//! The file to blame: the first of a report's text that is no header, no library and no helper that everybody calls, or one in a
//! folder below that file's.

use super::Report;
use super::table::{Table, any};
use regex_lite::Regex;
use std::path::Path;
use std::sync::LazyLock;

static FILE: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"([a-zA-Z0-9_\-./]*[a-zA-Z0-9_\-]+\.(?:c|h|rs)):[0-9]+").ok());
static NO_BLAME: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(
        r"(hardirqs|softirqs)\s+last\s+(enabled|disabled)|,\s+at:\s+|^\s*#\d+:|^Register r\d+ information",
    )
    .ok()
});

/// The file to blame of a report; `lines` are its lines, with files where those are known.
#[must_use]
pub fn file(report: &Report, lines: &[String]) -> Option<String> {
    let stalls = report.title.starts_with("INFO: rcu detected stall");
    let interrupts = ["apic_timer_interrupt+0x", "el1h_64_irq+0x", "Exception stack"];
    // a stall's own frames stand below the interrupt that saw it
    let below = interrupts.iter().filter(|_| stalls).find_map(|mark| {
        let at = lines.iter().position(|line| line.contains(mark))?;
        of_lines(lines.get(at..)?)
    });
    below.or_else(|| of_lines(lines))
}

fn of_lines(lines: &[String]) -> Option<String> {
    let table = Table::get();
    let mut first = None;
    let mut guilty: Option<String> = None;
    for line in lines {
        let Some(file) = FILE.as_ref().and_then(|regex| regex.captures(line)).and_then(|found| found.get(1))
        else {
            continue;
        };
        let file = clean(file.as_str());
        first.get_or_insert_with(|| file.clone());
        if any(&table.not_guilty, &file) || NO_BLAME.as_ref().is_some_and(|regex| regex.is_match(line)) {
            continue;
        }
        match &guilty {
            None => guilty = Some(file),
            Some(known) if is_deeper(&file, known) => guilty = Some(file),
            Some(_) => {}
        }
    }
    guilty.or(first)
}

/// True for a file in a folder below that of the other.
fn is_deeper(file: &str, than: &str) -> bool {
    let folder = Path::new(than).parent();
    folder.is_some_and(|folder| {
        let rest = Path::new(file).strip_prefix(folder);
        !folder.as_os_str().is_empty() && rest.is_ok_and(|rest| rest.components().count() > 1)
    })
}

fn clean(path: &str) -> String {
    path.strip_prefix("./").unwrap_or(path).to_owned()
}
