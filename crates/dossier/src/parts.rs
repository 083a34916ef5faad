//! The parts of a dossier, in their order: each is one command, whose report the page shows.

/// How the page shows a part, beside or in place of the report's text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum View {
    /// The report's text.
    Text,
    /// The report's text, folded.
    Folded,
    /// For other parts' pictures and for the head: the folder has it, the page has no section.
    Source,
    /// Statements whose evidence folds open.
    Verdict,
    /// Messages with levels and a search.
    Log,
    /// A table of one list of the report, which can be filtered and sorted.
    Table(&'static Table),
}

/// A list of a report as a table.
#[derive(PartialEq, Eq, Debug)]
pub(crate) struct Table {
    /// The list's name.
    pub(crate) list: &'static str,
    /// Columns: name in JSON, head.
    pub(crate) columns: &'static [(&'static str, &'static str)],
    /// The columns whose addresses have their place here.
    pub(crate) places: &'static [&'static str],
}

/// A part.
#[derive(PartialEq, Eq, Debug)]
pub(crate) struct Spec {
    /// Its place in the page, and its file's name.
    pub(crate) id: &'static str,
    /// Its head.
    pub(crate) title: &'static str,
    /// The command; [`PLACE`] stands for the address that the verdict blames.
    pub(crate) line: &'static str,
    pub(crate) view: View,
}

/// In a line: the address that the verdict blames.
pub(crate) const PLACE: &str = "PLACE";

const fn part(id: &'static str, title: &'static str, line: &'static str, view: View) -> Spec {
    Spec { id, title, line, view }
}

const TASKS: Table = Table {
    list: "tasks",
    columns: &[
        ("pid", "PID"),
        ("ppid", "Parent"),
        ("cpu", "CPU"),
        ("state", "State"),
        ("command", "Name"),
        ("mem_percent", "Memory %"),
        ("vsz_kb", "Size KB"),
        ("rss_kb", "Resident KB"),
        ("task", "task_struct"),
    ],
    places: &["task"],
};

const MODULES: Table = Table {
    list: "modules",
    columns: &[
        ("name", "Name"),
        ("taints", "Taints"),
        ("state", "State"),
        ("size", "Bytes"),
        ("base", "Base"),
        ("module", "struct module"),
    ],
    places: &["module", "base"],
};

const MOUNTS: Table = Table {
    list: "mounts",
    columns: &[
        ("directory", "Directory"),
        ("type", "Type"),
        ("device", "Device"),
        ("mount", "mount"),
        ("superblock", "super_block"),
    ],
    places: &["mount", "superblock"],
};

const DEVICES: Table = Table {
    list: "devices",
    columns: &[
        ("name", "Name"),
        ("addresses", "Addresses"),
        ("hardware", "Hardware"),
        ("mtu", "MTU"),
        ("flags", "Flags"),
        ("net_device", "net_device"),
    ],
    places: &["net_device"],
};

const DISKS: Table = Table {
    list: "disks",
    columns: &[
        ("name", "Name"),
        ("total", "In flight"),
        ("read", "Reads"),
        ("write", "Writes"),
        ("in_driver", "In the driver"),
        ("gendisk", "gendisk"),
        ("request_queue", "request_queue"),
    ],
    places: &["gendisk", "request_queue"],
};

const CACHES: Table = Table {
    list: "caches",
    columns: &[
        ("name", "Name"),
        ("object_size", "Object bytes"),
        ("allocated", "In use"),
        ("total", "Objects"),
        ("slabs", "Slabs"),
        ("slab_size", "Slab bytes"),
        ("cache", "kmem_cache"),
    ],
    places: &["cache"],
};

/// All parts.
pub(crate) const PARTS: &[Spec] = &[
    part("machine", "Machine", "sys", View::Folded),
    part("dump", "Dump", "info", View::Folded),
    part("hardware", "Hardware", "sys -i", View::Folded),
    part("verdict", "Verdict", "verdict -v", View::Verdict),
    part("stack", "Fatal stack", "bt -l --locals", View::Text),
    part("code", "Code up to the place", "dis -r PLACE", View::Folded),
    part("log", "Log", "log", View::Log),
    part("cpus", "CPUs", "bt -a", View::Folded),
    part("run-queues", "Run queues", "runq", View::Folded),
    part("groups", "Task groups", "runq -g", View::Folded),
    part("memory", "Memory", "kmem -i", View::Text),
    part("slab", "Slab caches", "kmem -s", View::Table(&CACHES)),
    part("waits", "Who waits for whom", "locks", View::Text),
    part("tasks", "Tasks", "ps", View::Table(&TASKS)),
    part("last-run", "When tasks ran last", "ps -m", View::Source),
    part("started", "When tasks started", "ps -t", View::Source),
    part("stacks", "Equal stacks", "stacks", View::Folded),
    part("modules", "Modules", "mod", View::Table(&MODULES)),
    part("taints", "Taints", "sys -t", View::Text),
    part("mounts", "Mounts", "mount", View::Table(&MOUNTS)),
    part("network", "Network", "net", View::Table(&DEVICES)),
    part("disks", "Disks, with I/O in flight", "dev -d", View::Table(&DISKS)),
    part("interrupts", "Interrupts", "irq -s", View::Folded),
    part("timers", "Timers", "timer", View::Folded),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_commands_with_names_of_their_own() {
        let mut ids: Vec<&str> = PARTS.iter().map(|part| part.id).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), PARTS.len());
        for part in PARTS {
            let words = commands::split_words(&part.line.replace(PLACE, "0"));
            let command = commands::find(&words[0]).unwrap_or_else(|| panic!("{}", part.line));
            command.parse(words[1..].to_vec()).unwrap_or_else(|e| panic!("{}: {e}", part.line));
            assert!(part.id.chars().all(|c| c.is_ascii_lowercase() || c == '-'));
        }
    }
}
