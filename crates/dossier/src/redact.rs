//! What is left out of a dossier that goes to others: by class, in the reports themselves, so that page, text and JSON agree.
//!
//! A value is judged by what it is: an address, a register, bytes by the type of their cell, names by the key that they stand
//! under. In text (log lines, sentences of the verdict) known names are replaced wherever they stand, and what looks like an
//! address, a path or a quoted text is. **Invariant:** of the log only what the kernel itself wrote stays; what processes wrote
//! into it is left out whole.

mod rules;
mod scrub;

use crate::book::{Book, Part, data};
use crate::class::{Class, Redacted};
use crate::page::all;
use kernel::Layers;
use report::{Cell, Item, Line, Record, Span};
use scrub::Scrub;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// What is to be left out of one dump's dossier.
pub(crate) struct Secrets {
    classes: BTreeSet<Class>,
    scrub: Scrub,
    /// The numbers of the messages that processes wrote; `None` where that is not known.
    by_users: Option<BTreeSet<u64>>,
    redacted: Redacted,
}

/// Keys whose value is a name, in any part.
const NAMES: &[&str] = &[
    "nodename",
    "domainname",
    "addresses",
    "networks",
    "peers",
    "hardware",
    "directory",
    "dumpfile",
    "kernel",
    "object_file",
    "dump",
    "files",
    "device",
    "path",
];

/// Keys whose value says which death it is; nothing in it is of the machine.
const KEPT: &[&str] = &["signature", "build_id", "release", "version", "class", "taints", "tainted"];

/// The parts that tell which names there are.
pub(crate) const SOURCES: &[&str] = &["hardware", "log", "tasks", "mounts", "network"];

/// Leaves out everything: what is to be left out was not known to its end.
pub(crate) fn leave_all_out(book: &mut Book, classes: &[Class], why: &str) {
    for part in &mut book.parts {
        let line = part.words.first().map_or("", String::as_str);
        part.answer =
            Err(format!("{line}: left out: {why} before it was known which names are to be left out"));
        (part.data, part.lost) = (Value::Null, true);
    }
    // a place that the verdict blames is an address
    book.parts.retain(|part| !part.spec.line.contains(crate::parts::PLACE));
    book.warnings.clear();
    book.fatal.clear();
    book.dump = "DUMP".to_owned();
    book.redacted = Some(Redacted::none(classes));
}

impl Secrets {
    /// Finds the names of a dump.
    pub(crate) fn of(book: &Book, layers: &Layers, classes: &[Class]) -> Self {
        let classes: BTreeSet<Class> = classes.iter().copied().collect();
        let session = layers.session().ok();
        let log = session.and_then(|s| s.log().ok()).filter(|log| !log.as_text);
        let by_users = log.map(|log| {
            log.records.iter().filter(|record| record.facility != 0).filter_map(|record| record.seq).collect()
        });
        let names = if classes.contains(&Class::Names) { names(book, layers) } else { BTreeMap::new() };
        let mut scrub = Scrub::new(&classes, names, threads(book, true));
        if classes.contains(&Class::Names) {
            let kernels = log.into_iter().flat_map(|log| &log.records).filter(|record| record.facility == 0);
            scrub.learn(kernels.map(|record| record.text.as_str()));
        }
        let all: Vec<Class> = classes.iter().copied().collect();
        Self { scrub, classes, by_users, redacted: Redacted::none(&all) }
    }

    /// Leaves it out.
    pub(crate) fn leave_out(mut self, book: &mut Book, layers: &Layers) {
        self.scrub = self.scrub.keeping(own_texts(book, layers));
        for part in &mut book.parts {
            self.part(part);
        }
        book.warnings = book.warnings.iter().map(|text| self.text(text)).collect();
        if self.has(Class::Names) {
            book.dump = "DUMP".to_owned();
        }
        book.redacted = Some(self.redacted);
    }

    fn has(&self, class: Class) -> bool {
        self.classes.contains(&class)
    }

    fn part(&mut self, part: &mut Part) {
        let is_log = part.spec.id == "log";
        if is_log && self.has(Class::UserData) && self.by_users.is_none() {
            self.redacted.count(Class::UserData);
            let why = "left out: this log does not tell what the kernel wrote and what processes did";
            part.answer = Err(why.to_owned());
        }
        part.words = part.words.iter().map(|word| self.text(word)).collect();
        match &mut part.answer {
            Ok(report) => {
                if is_log {
                    self.messages(&mut report.body);
                }
                self.record(&mut report.body);
            }
            Err(why) => *why = self.text(why),
        }
        part.data = part.answer.as_ref().map(data).unwrap_or_default();
    }

    /// Messages that go as a whole: what processes wrote, and what the first process was given.
    fn messages(&mut self, body: &mut Record) {
        let by_users = self.by_users.clone().filter(|_| self.has(Class::UserData));
        let lists = body.items.iter_mut().filter_map(|item| match item {
            Item::List(list) => Some(list),
            _ => None,
        });
        let mut given = None;
        for row in lists.flat_map(|list| &mut list.items) {
            let number = row.items.iter().find_map(|item| match item {
                Item::Hidden(key, Cell::Int(n)) if key == "sequence" => u64::try_from(*n).ok(),
                _ => None,
            });
            let text = message(row).unwrap_or_default().to_owned();
            // a message without a number cannot be told apart
            let by_user =
                by_users.as_ref().is_some_and(|all| number.is_none_or(|number| all.contains(&number)));
            given = match text.trim() {
                "with arguments:" => Some(Class::CommandLines),
                "with environment:" => Some(Class::Environment),
                _ => given.filter(|_| text.starts_with("    ")),
            };
            let is_given = text.starts_with("    ") && given.is_some_and(|class| self.has(class));
            let class = if by_user { Some(Class::UserData) } else { given.filter(|_| is_given) };
            if let Some(class) = class {
                self.redacted.count(class);
                let words = if by_user { "a process wrote this" } else { "left out" };
                let text = Cell::absent(words, format!("left out: {}", class.word()));
                let rest = std::mem::take(&mut row.items);
                row.line(Line::new().field("text", text));
                let is_kept =
                    |item: &Item| matches!(item, Item::Hidden(key, _) if key == "sequence" || key == "level");
                row.items.extend(rest.into_iter().filter(is_kept));
            }
        }
    }

    fn record(&mut self, record: &mut Record) {
        for item in &mut record.items {
            match item {
                Item::Line(line) => self.line(line),
                Item::Record(_, inner) => self.record(inner),
                Item::List(list) => list.items.iter_mut().for_each(|row| self.record(row)),
                Item::Hidden(key, cell) => self.cell(key, cell),
                Item::Note(note) => note.text = self.text(&note.text),
                Item::Blank => {}
            }
        }
    }

    fn line(&mut self, line: &mut Line) {
        for span in &mut line.0 {
            match span {
                Span::Text(text, _) => *text = self.text(text).into(),
                Span::Field(field) => self.cell(&field.key, &mut field.cell),
            }
        }
    }

    fn cell(&mut self, key: &str, cell: &mut Cell) {
        if KEPT.contains(&key) {
            return;
        }
        if NAMES.contains(&key) && self.has(Class::Names) && !matches!(cell, Cell::Null) {
            return self.leave(Class::Names, cell);
        }
        match cell {
            Cell::Addr(_) | Cell::Phys(_) if self.has(Class::Addresses) => self.leave(Class::Addresses, cell),
            Cell::Hex { .. } | Cell::Bytes(_) if self.has(Class::UserData) => {
                self.leave(Class::UserData, cell)
            }
            Cell::Hex { value, .. } if *value > u64::from(u32::MAX) && self.has(Class::Addresses) => {
                self.leave(Class::Addresses, cell);
            }
            Cell::Str(text) => *text = self.text(text).into(),
            Cell::Many(cells, _) => cells.iter_mut().for_each(|cell| self.cell(key, cell)),
            Cell::Shown(inner, text) => {
                self.cell(key, inner);
                match &**inner {
                    Cell::Absent { .. } => *cell = (**inner).clone(),
                    _ => *text = self.text(text),
                }
            }
            Cell::Absent { reason, .. } => *reason = self.text(reason),
            Cell::AtLeast { least, reason, .. } => {
                self.cell(key, least);
                *reason = self.text(reason);
            }
            Cell::Addr(_)
            | Cell::Phys(_)
            | Cell::Hex { .. }
            | Cell::Bytes(_)
            | Cell::Int(_)
            | Cell::Size(_)
            | Cell::Float(..)
            | Cell::Bool(_)
            | Cell::Symbol(_)
            | Cell::Null => {}
        }
    }

    fn leave(&mut self, class: Class, cell: &mut Cell) {
        self.redacted.count(class);
        *cell = Cell::absent("left out", format!("left out: {}", class.word()));
    }

    fn text(&mut self, text: &str) -> String {
        self.scrub.text(text, &mut |class| self.redacted.count(class))
    }
}

/// A message's text.
fn message(row: &Record) -> Option<&str> {
    let lines = row.items.iter().filter_map(|item| match item {
        Item::Line(line) => Some(line),
        _ => None,
    });
    let fields = lines.flat_map(Line::fields);
    fields.filter(|field| field.key == "text").find_map(|field| match &field.cell {
        Cell::Str(text) => Some(text.as_ref()),
        Cell::Shown(_, text) => Some(text.as_str()),
        _ => None,
    })
}

/// The names of a part's tasks that are threads of the kernel, or that are not.
fn threads(book: &Book, of_kernel: bool) -> BTreeSet<String> {
    let tasks = all(book.data("tasks"), "tasks");
    let named = tasks.iter().filter(|task| (task.get("kernel") == Some(&Value::Bool(true))) == of_kernel);
    named.filter_map(|task| Some(task.get("command")?.as_str()?.to_owned())).collect()
}

/// Every name that is known, and what stands for it.
fn names(book: &Book, layers: &Layers) -> BTreeMap<String, String> {
    let mut out = BTreeMap::new();
    let kernel_threads = threads(book, true);
    for (n, name) in threads(book, false).difference(&kernel_threads).enumerate() {
        out.insert(name.clone(), format!("process-{}", n.saturating_add(1)));
    }
    let mut put = |value: &str, instead: &str| {
        // a word of one or two letters is no name that could be told from others
        if value.len() > 2 {
            out.insert(value.to_owned(), instead.to_owned());
        }
    };
    for name in users(book, layers) {
        put(&name, rules::USER);
    }
    if let Some(names) = layers.session().ok().and_then(|s| kernel::machine::system::utsname(s).ok()) {
        put(&names.nodename, rules::HOST);
        put(names.nodename.split('.').next().unwrap_or_default(), rules::HOST);
        if names.domainname != "(none)" {
            put(&names.domainname, rules::DOMAIN);
        }
    }
    if let Some(names) = &layers.image().dump.facts().utsname {
        put(&names.nodename, rules::HOST);
    }
    for name in &layers.image().dump_names {
        put(name, "DUMP");
    }
    for (part, list, keys, instead) in [
        ("network", "devices", &["addresses", "networks", "peers", "hardware"][..], "[network address]"),
        ("mounts", "mounts", &["directory", "device"][..], rules::PATH),
    ] {
        let rows = all(book.data(part), list);
        for value in rows.iter().flat_map(|row| keys.iter().filter_map(|key| row.get(*key))) {
            for name in strings(value).into_iter().filter(|name| *name != "/") {
                put(name, instead);
                // of what another machine serves: `nas1:/export`, `//nas1/share`
                if part == "mounts"
                    && let Some(host) = host_of(name)
                {
                    put(host, rules::HOST);
                    put(host.split('.').next().unwrap_or_default(), rules::HOST);
                }
            }
        }
    }
    let rows = all(book.data("hardware"), "dmi");
    for row in rows {
        let (name, text) = (row.get("name").and_then(Value::as_str), row.get("text").and_then(Value::as_str));
        if name.is_some_and(|name| ["SERIAL", "ASSET", "UUID"].iter().any(|word| name.contains(word))) {
            put(text.unwrap_or_default(), "[serial number]");
        }
    }
    // file systems without a device are mounted by their type's name
    for common in [
        "rootfs", "proc", "sysfs", "sys", "dev", "tmp", "tmpfs", "devtmpfs", "none", "udev", "cgroup",
        "cgroup2",
    ] {
        out.remove(common);
    }
    out
}

/// The machine in the name of a mount's source.
fn host_of(device: &str) -> Option<&str> {
    let host = match device.strip_prefix("//") {
        Some(rest) => rest.split('/').next()?,
        None => device.split_once(":/").map(|(host, _)| host)?,
    };
    (!host.is_empty() && !host.contains('/')).then_some(host)
}

/// Whose folders paths of the log and of mounts lead to.
fn users(book: &Book, layers: &Layers) -> BTreeSet<String> {
    const HOMES: &[&str] =
        &["home", "Users", "run/user", "media", "var/spool/mail", "var/spool/cron/crontabs"];
    let mounts = all(book.data("mounts"), "mounts");
    let mounts = mounts.iter().filter_map(|row| row.get("directory")).flat_map(strings);
    let log = layers.session().ok().and_then(|s| s.log().ok());
    let lines = log.into_iter().flat_map(|log| &log.records).map(|record| record.text.as_str());
    let mut out = BTreeSet::new();
    for text in mounts.chain(lines) {
        for home in HOMES.iter().map(|home| format!("/{home}/")) {
            for (at, _) in text.match_indices(home.as_str()) {
                let rest = text.get(at.saturating_add(home.len())..).unwrap_or_default();
                let end =
                    rest.find(|c: char| !(c.is_alphanumeric() || "._-@".contains(c))).unwrap_or(rest.len());
                out.extend(rest.get(..end).filter(|name| !name.is_empty()).map(ToOwned::to_owned));
            }
        }
    }
    out
}

/// Sentences and ids that are crashlens' own or the build's: known issues with their commits, and build ids.
fn own_texts(book: &Book, layers: &Layers) -> Vec<String> {
    let known = all(book.data("verdict"), "known");
    let texts = known.iter().filter_map(|row| row.get("text")).flat_map(strings).map(ToOwned::to_owned);
    let build = layers.session().ok().and_then(|s| s.build_id()).map(kernel::hex);
    texts.chain(build).collect()
}

/// All strings of a value.
fn strings(value: &Value) -> Vec<&str> {
    match value {
        Value::String(text) => vec![text],
        Value::Array(all) => all.iter().flat_map(strings).collect(),
        _ => Vec::new(),
    }
}
