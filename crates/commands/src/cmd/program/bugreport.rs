//! `bugreport`: what is needed to look into a wrong answer, without the dump.
//!
//! Invariant: nothing of a user is in it. Host names, addresses of networks and absolute paths of the answers are
//! replaced; what is in the memory of processes is not asked for.

use crate::engine::dispatch;
use crate::{CommandError, Cx, Example, Layer, Run};
use kernel::Fetch;
use report::{Cell, Item, Line, Record, Report};
use std::net::{Ipv4Addr, Ipv6Addr};

/// The command.
#[derive(Debug)]
pub(crate) struct BugReport;

/// No arguments.
#[derive(clap::Args)]
pub(crate) struct BugReportArgs {}

/// What is asked, under which name it stands.
const PARTS: &[(&str, &[&str])] = &[("info", &["info"]), ("verdict", &["verdict", "-v"])];

impl Run for BugReport {
    type Args = BugReportArgs;
    fn name(&self) -> &'static str {
        "bugreport"
    }
    fn about(&self) -> &'static str {
        "what to send with a report of a wrong answer"
    }
    fn details(&self) -> &'static str {
        "Shows the versions of crashlens and of the kernel, what info says of the dump, and the verdict with its evidence. \
         Names of hosts, addresses of networks and absolute paths are left out, and nothing of the memory of processes is \
         shown; names of tasks, modules and functions stay. Read it before you send it. Into a file: \
         crashlens --json bugreport vmcore > bugreport.json"
    }
    fn debug_files(&self, _words: &[String]) -> Fetch {
        Fetch::Lacking
    }
    fn names_no_place(&self) -> bool {
        true
    }
    fn examples(&self) -> &'static [Example] {
        const { &[Example::new("bugreport", "what a report of a wrong answer needs")] }
    }
    fn needs(&self, _args: &BugReportArgs) -> Layer {
        Layer::Image
    }
    fn run(&self, cx: &mut Cx<'_>, _args: &BugReportArgs) -> Result<Report, CommandError> {
        let mut report = Report::new("bugreport");
        let version = Line::new().text("crashlens ").field("version", env!("CARGO_PKG_VERSION"));
        let built = version.text(" for ").field("machine", std::env::consts::ARCH);
        report.line(built.text(" ").field("system", std::env::consts::OS));
        let hidden = hidden(cx);
        for (key, line) in PARTS {
            let words: Vec<String> = line.iter().map(|word| (*word).to_owned()).collect();
            report.blank();
            // a part that cannot be had is what the report may be about
            let part = match cx.inside(|cx| dispatch::run(cx, &words)) {
                Ok(part) => part.body,
                Err(CommandError::Cancelled(stopped)) => return Err(stopped.into()),
                Err(e) => {
                    let mut failed = Record::new();
                    e.lines().into_iter().for_each(|line| failed.line(Line::new().field("error", line)));
                    failed
                }
            };
            report.record(*key, clean(part, &hidden));
        }
        Ok(report)
    }
}

/// What is replaced wherever it stands, by what: names of the machine, and folders of the dump's files.
type Hidden = [(String, &'static str)];

fn hidden(cx: &Cx<'_>) -> Vec<(String, &'static str)> {
    let mut hosts = Vec::new();
    let mut out = Vec::new();
    if let Ok(image) = cx.image() {
        hosts.extend(image.dump.facts().utsname.as_ref().map(|names| names.nodename.clone()));
        let folders =
            image.dump_names.iter().filter_map(|name| Some((format!("{}/", name.rsplit_once('/')?.0), "")));
        out.extend(folders.filter(|(folder, _)| folder != "/"));
    }
    if let Some(s) = cx.session_if_open() {
        hosts.extend(kernel::machine::system::utsname(s).ok().map(|names| names.nodename));
    }
    hosts.retain(|name| name.len() > 2 && name != "(none)" && name != "localhost");
    out.extend(hosts.into_iter().map(|host| (host, "(host)")));
    out.sort_by_key(|(word, _)| std::cmp::Reverse(word.len()));
    out
}

fn clean(record: Record, hidden: &Hidden) -> Record {
    let items = record.items.into_iter().map(|item| match item {
        Item::Line(mut line) => {
            for span in &mut line.0 {
                match span {
                    report::Span::Field(field) => {
                        field.cell = clean_cell(std::mem::replace(&mut field.cell, Cell::Null), hidden)
                    }
                    report::Span::Text(text, _) => *text = clean_text(text, hidden).into(),
                }
            }
            Item::Line(line)
        }
        Item::Record(key, inner) => Item::Record(key, clean(inner, hidden)),
        Item::List(mut list) => {
            list.items = list.items.into_iter().map(|inner| clean(inner, hidden)).collect();
            Item::List(list)
        }
        Item::Hidden(key, cell) => Item::Hidden(key, clean_cell(cell, hidden)),
        Item::Note(mut note) => {
            note.text = clean_text(&note.text, hidden);
            Item::Note(note)
        }
        Item::Blank => Item::Blank,
    });
    Record { items: items.collect() }
}

fn clean_cell(cell: Cell, hidden: &Hidden) -> Cell {
    match cell {
        Cell::Str(text) => clean_text(&text, hidden).into(),
        Cell::Many(cells, between) => {
            Cell::Many(cells.into_iter().map(|cell| clean_cell(cell, hidden)).collect(), between)
        }
        Cell::Shown(value, text) => {
            Cell::Shown(Box::new(clean_cell(*value, hidden)), clean_text(&text, hidden))
        }
        Cell::Absent { short, reason, lost } => {
            Cell::Absent { short, reason: clean_text(&reason, hidden), lost }
        }
        Cell::AtLeast { least, reason, lost } => {
            Cell::AtLeast { least, reason: clean_text(&reason, hidden), lost }
        }
        other => other,
    }
}

/// A text without what names a machine or a person: word by word, so that what stands around it stays.
fn clean_text(text: &str, hidden: &Hidden) -> String {
    let mut text = text.to_owned();
    for (word, instead) in hidden {
        text = text.replace(word.as_str(), instead);
    }
    let is_word = |c: char| c.is_alphanumeric() || "/._-~+:@%".contains(c);
    let mut out = String::with_capacity(text.len());
    let mut word = String::new();
    for c in text.chars() {
        if is_word(c) {
            word.push(c);
            continue;
        }
        out.push_str(&clean_word(&word));
        word.clear();
        out.push(c);
    }
    out + &clean_word(&word)
}

fn clean_word(word: &str) -> String {
    if is_network_address(word) {
        return "(address)".to_owned();
    }
    // `file:/a/b` is a path behind a name
    let (name, path) = match word.find(":/") {
        Some(colon) => word.split_at(colon.saturating_add(1)),
        None => ("", word),
    };
    // `/`, `/dev` and the kernel's own relative paths name nobody
    let is_path =
        path.starts_with('/') && path.len() > 1 && !path.starts_with("/dev/") && !path.starts_with("/proc/");
    if is_path || path.starts_with("~/") { format!("{name}(path)") } else { word.to_owned() }
}

/// An address of IPv4 (with or without port), of IPv6 (with or without zone), of a network card; each also with the length
/// of its network behind it.
fn is_network_address(word: &str) -> bool {
    let word = word.trim_end_matches(['.', ',']);
    let address = word.split(['/', '%']).next().unwrap_or_default();
    let v4 = address.split(':').next().unwrap_or_default();
    // `::` alone is no machine's address
    let is_v6 = address.trim_end_matches(':').len() > 1
        && (address.parse::<Ipv6Addr>().is_ok() || address.trim_end_matches(':').parse::<Ipv6Addr>().is_ok());
    let octets: Vec<&str> = address.split([':', '-']).collect();
    let is_octet = |part: &&str| part.len() == 2 && part.bytes().all(|b| b.is_ascii_hexdigit());
    v4.parse::<Ipv4Addr>().is_ok() || is_v6 || (octets.len() >= 6 && octets.iter().all(is_octet))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_names_a_machine_or_a_person_is_replaced_and_the_rest_stays() {
        let hidden = [("db7.example.org".to_owned(), "(host)"), ("cases/acme/".to_owned(), "")];
        for (text, clean) in [
            ("read(fd=3) of /srv/secret/plan.txt, O_DIRECT", "read(fd=3) of (path), O_DIRECT"),
            ("of /dev/vda", "of /dev/vda"),
            ("drivers/virtio/virtio_ring.c:550", "drivers/virtio/virtio_ring.c:550"),
            ("cases/acme/vmcore", "vmcore"),
            ("NODE db7.example.org up", "NODE (host) up"),
            ("to 192.168.7.1:2049 failed", "to (address) failed"),
            ("link 52:54:00:12:34:56 is up", "link (address) is up"),
            ("fe80:0:0:0:1:2:3:4 x", "(address) x"),
            ("fe80::5054:ff:fe12:3456%eth0 and ::1, 2001:db8::/32", "(address) and (address), (address)"),
            (
                "link fe80::1: up; Fn::d and std::fmt 10:11:12",
                "link (address) up; Fn::d and std::fmt 10:11:12",
            ),
            ("10.0.0.0/8 at host:/export/home, file:///srv/a", "(address) at host:(path), file:(path)"),
            ("version 1.2.3.400", "version 1.2.3.400"),
            ("6.1.0-56-cloud-amd64 10:11", "6.1.0-56-cloud-amd64 10:11"),
            ("BUG_ON(a / b > c)", "BUG_ON(a / b > c)"),
            ("rip ffffffff81000000", "rip ffffffff81000000"),
        ] {
            assert_eq!(clean_text(text, &hidden), clean, "{text}");
        }
    }

    #[test]
    fn every_part_of_a_report_is_cleaned() {
        let mut inner = Record::new();
        inner.line(Line::new().field("path", "/secret/a").text(" at /secret/b"));
        inner.hidden("all", Cell::Many(vec!["/secret/c".into(), Cell::Int(1)], ", "));
        inner.warning("/secret/d");
        let mut record = Record::new();
        record.list("rows", vec![inner]);
        let clean = format!("{:?}", clean(record, &[]));
        assert!(!clean.contains("secret"), "{clean}");
    }
}
