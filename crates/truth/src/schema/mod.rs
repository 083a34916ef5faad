//! A JSON Schema for each command: what its answers hold, member by member.
//!
//! A command's report is built by its code and declared nowhere else, so the schema is taken from the reports themselves:
//! every example of every command is asked of every dump at hand, and what comes is added to the shape that the file in
//! `docs/schema` has. A shape only grows: members and types are added, none is taken away, which is the promise of
//! docs/JSON.md. The tests ask the same and hold each answer to the file; a member that it does not name is a failure.

mod shape;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{fs, io};

use serde_json::{Value, json};
pub use shape::Shape;

use crate::program;

/// Commands whose answers hold C values: their members are named by the kernel's types, and are of any shape.
const OF_TYPES: &[&str] = &["*", "struct", "union", "p", "list", "tree", "task", "foreach", "repeat"];

/// Members that are tables, keyed by what the dump holds (CPUs, variables, fields of VMCOREINFO).
pub(crate) const TABLES: &[&str] = &[
    "counts",
    "registers",
    "vm_zone_stat",
    "vm_node_stat",
    "vm_numa_stat",
    "vm_numa_event",
    "vm_event_states",
    "vm_stat",
];

/// Members that are values of C.
pub(crate) const VALUES: &[&str] = &["value", "vm_area_struct", "mm_struct", "cpuinfo_x86"];

/// The folder of the schemas.
#[must_use]
pub fn folder() -> PathBuf {
    program::root().join("docs/schema")
}

/// A command's name as a file's.
fn file_name(command: &str) -> String {
    format!("{}.json", if command == "*" { "star" } else { command })
}

/// The shapes of all commands.
#[derive(Debug, Default)]
pub struct Schemas {
    all: BTreeMap<String, Shape>,
}

impl Schemas {
    /// Those in a folder.
    ///
    /// # Errors
    /// A file that cannot be read, or is no schema of ours.
    pub fn read(folder: &Path) -> Result<Self, String> {
        let mut all = BTreeMap::new();
        let entries = match fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(e) => return Err(format!("{}: {e}", folder.display())),
        };
        for path in entries.flatten().map(|entry| entry.path()) {
            let why = |e: &dyn std::fmt::Display| format!("{}: {e}", path.display());
            let text = fs::read_to_string(&path).map_err(|e| why(&e))?;
            let schema: Value = serde_json::from_str(&text).map_err(|e| why(&e))?;
            let name = schema.pointer("/properties/command/const").and_then(Value::as_str);
            let data = schema.pointer("/properties/data").ok_or_else(|| why(&"no schema of a command"))?;
            all.insert(name.ok_or_else(|| why(&"no command's name"))?.to_owned(), Shape::of_items(data));
        }
        Ok(Self { all })
    }

    /// Adds what an answer holds.
    pub fn learn(&mut self, answer: &Value) {
        let Some(command) = answer["command"].as_str() else { return };
        // a command that only failed so far has a schema too
        let shape = self.all.entry(command.to_owned()).or_default();
        match answer.get("data") {
            Some(data) if OF_TYPES.contains(&command) => shape.learn_head(data),
            Some(data) => shape.learn(data),
            None => {}
        }
    }

    /// Writes them.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn write(&self, folder: &Path) -> Result<(), String> {
        let why = |e: io::Error| format!("{}: {e}", folder.display());
        fs::create_dir_all(folder).map_err(why)?;
        for (command, shape) in &self.all {
            let text = serde_json::to_string_pretty(&whole(command, shape)).map_err(|e| e.to_string())?;
            fs::write(folder.join(file_name(command)), text + "\n").map_err(why)?;
        }
        Ok(())
    }

    /// The commands that have one.
    pub fn commands(&self) -> impl Iterator<Item = &str> {
        self.all.keys().map(String::as_str)
    }
}

/// The schema of a command's whole line.
fn whole(command: &str, shape: &Shape) -> Value {
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": format!("crashlens --json: {command}"),
        "type": "object",
        "properties": {
            "schema": { "const": "crashlens/1" },
            "command": { "const": command },
            "args": { "type": "array", "items": { "type": "string" } },
            "dump": { "type": ["string", "null"] },
            "data": shape.schema(),
            "error": { "type": "string" },
        },
        "required": ["schema", "command", "args", "dump"],
        "oneOf": [{ "required": ["data"] }, { "required": ["error"] }],
        "additionalProperties": false,
        "$defs": {
            "absent": {
                "description": "a value that could not be read, and why",
                "type": "object",
                "properties": { "absent": { "type": "string" }, "at_least": {} },
                "required": ["absent"],
                "additionalProperties": false,
            },
            "notes": {
                "description": "what is to be known beside the values",
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {
                        "kind": { "enum": ["info", "warning", "error"] },
                        "text": { "type": "string" },
                    },
                    "required": ["kind", "text"],
                    "additionalProperties": false,
                },
            },
        },
    })
}

/// What no example asks: forms of answers that an option gives.
const MORE: &[&str] = &[
    "* list_head",
    "bt -r",
    "bt -f",
    "bt -F",
    "bt -FF",
    "bt -t",
    "bt -T",
    "bt -e",
    "bt -g",
    "bt -o",
    "bt -v",
    "bt -a",
    "bt -c 0",
    "bt -E",
    "bt -s --locals",
    "bt -l --locals",
    "dis -l schedule",
    "dis -r schedule+20",
    "dev -p",
    "dev -i",
    "dev -d",
    "dev -D",
    "dev -V",
    "dev -v",
    "files -c 1",
    "files -p 1",
    "files -d 1",
    "foreach files -c",
    "fuser /dev/null",
    "help -a",
    "help -b",
    "help -c",
    "help -d",
    "help -e",
    "help -f",
    "help -h",
    "help -i",
    "help -k",
    "help -m",
    "help -n",
    "help -o",
    "help -p",
    "help -r",
    "help -s",
    "help -t",
    "help -v",
    "help -x",
    "help -z",
    "inflight -a",
    "inflight -b",
    "ipcs -M",
    "ipcs -n 1",
    "irq -a",
    "irq -b",
    "irq -d",
    "irq -s",
    "irq -u",
    "irq 0",
    "kmem -i",
    "kmem -f",
    "kmem -F",
    "kmem -c",
    "kmem -C",
    "kmem -p 1000",
    "kmem -m flags",
    "kmem -v",
    "kmem -V",
    "kmem -n",
    "kmem -z",
    "kmem -o",
    "kmem -h",
    "kmem -s",
    "kmem -S mnt_cache",
    "kmem -r",
    "kmem -g",
    "kmem -P 1000",
    "kmem init_task",
    "kmem jiffies",
    "kmem schedule",
    "list -H modules",
    "locks",
    "log -c",
    "log -s",
    "log -m",
    "log -T",
    "log -a",
    "log -d",
    "log -t",
    "mach -m",
    "mach -c",
    "mach -o",
    "mod -t",
    "mount -f",
    "mount -i",
    "mount -n 1",
    "net -a",
    "net -s 1",
    "net -S 1",
    "net -n 1",
    "net -N 1",
    "p runqueues",
    "p jiffies",
    "p init_task.comm",
    "ps -a",
    "ps -c 1",
    "ps -g",
    "ps -l",
    "ps -m",
    "ps -p",
    "ps -r",
    "ps -S",
    "ps -t",
    "ps -y 0",
    "ps -A",
    "ps -H",
    "ps -s",
    "pte 8000000004867163",
    "rd -a linux_banner",
    "rd -s init_task 8",
    "rd -S init_task 64",
    "rd -SS init_task 64",
    "runq -t",
    "runq -T",
    "runq -m",
    "runq -g",
    "runq -c 0",
    "set",
    "set -v",
    "sig -l",
    "sig -g 1",
    "sig -s 800A000000000201",
    "sig 1",
    "stacks -a 5 0",
    "stacks",
    "swap",
    "sym -l",
    "sym -M",
    "sym -m virtio_ring",
    "sym -q virtqueue",
    "sym -n jiffies",
    "sym -p init_task",
    "sym -np schedule",
    "sym linux_banner panic",
    "sys -t",
    "sys -i",
    "sys -c",
    "sys -c open",
    "timer -r",
    "timer -C 0",
    "trace show",
    "tree -t rbtree -o 0 0",
    "verdict -v",
    "vm -p 1",
    "vm -P 0",
    "vm -m 1",
    "vm -v 1",
    "vm -M 0",
    "vm -R 0 1",
    "vm -x 1",
    "vm -f 0",
    "vtop -u -c 1 400000",
    "vtop linux_banner",
    "vtop 0",
    "waitq -a",
    "whatis schedule",
    "wq -w",
    "wq -a",
    "wq -p",
    "x jiffies",
    "x/2i schedule",
    "x/s linux_banner",
    "info line schedule",
    "info types mutex",
    "info scope schedule",
    "bpf -p",
    "bpf -P",
    "bpf -m",
    "bpf -M",
    "sbitmapq",
    "dentries",
    "meminfo",
    "pstack 1",
];

/// The lines that no example has.
pub fn more() -> Vec<String> {
    MORE.iter().map(|line| (*line).to_owned()).collect()
}

/// The example lines of every command, by its own page.
///
/// # Errors
/// Those of [`program::run`].
pub fn examples() -> Result<Vec<String>, String> {
    let ask = |lines: &[String]| -> Result<Vec<Value>, String> {
        let options = ["--json", "--no-search"].iter().map(|word| (*word).to_owned());
        let words = lines.iter().flat_map(|line| ["-c".to_owned(), line.clone()]);
        let (_, out, _) = program::run(&options.chain(words).collect::<Vec<_>>())?;
        out.lines().map(|line| serde_json::from_str(line).map_err(|e| format!("{line}: {e}"))).collect()
    };
    let list = ask(&["help".to_owned()])?;
    let names = list.iter().filter_map(|answer| answer.pointer("/data/commands")?.as_array());
    let names = names.flatten().filter_map(|row| row["name"].as_str());
    let pages: Vec<String> = names.map(|name| format!("help {name}")).collect();
    let pages = ask(&pages)?;
    let rows = pages.iter().filter_map(|page| page.pointer("/data/examples")?.as_array()).flatten();
    let lines = rows.filter_map(|row| row["line"].as_str()).map(str::to_owned);
    // lines that leave, or write files, or wait
    let is_left_out = |line: &String| {
        let first = line.split_whitespace().next().unwrap_or_default();
        matches!(first, "exit" | "q" | "quit" | "repeat" | "gcore" | "define" | "document")
            || line.starts_with("trace dump")
            || line.contains("--save")
            || line.contains("rd -r")
    };
    Ok(lines.filter(|line| !is_left_out(line)).collect())
}

/// The answers to all examples about a dump.
///
/// # Errors
/// Those of [`program::run`], and answers that are no JSON.
pub fn answers(files: &[PathBuf], lines: &[String]) -> Result<Vec<Value>, String> {
    let options = ["--json", "--no-search"].iter().map(|word| (*word).to_owned());
    let words = lines.iter().flat_map(|line| ["-c".to_owned(), line.clone()]);
    let files = files.iter().map(|file| file.display().to_string());
    let args: Vec<String> = options.chain(words).chain(files).collect();
    let (_, out, _) = program::run_whatever(&args)?;
    out.lines().map(|line| serde_json::from_str(line).map_err(|e| format!("{e}: {line}"))).collect()
}
