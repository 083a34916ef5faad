//! `tree`: the entries of a red-black tree, an XArray, a radix tree or a maple tree, with members of each.

use crate::show::entries::{self, Entries};
use crate::show::tasks;
use crate::show::values;
use crate::{CommandError, Cx, Example, Reason, Run};
use base::VirtAddr;
use kernel::Fetch;
use kernel::containers::maple::{self, Seen};
use kernel::containers::rbtree::{self, Order};
use kernel::containers::xarray;
use kernel::{KernelError, Session};
use report::{Cell, Line, Record, Report};
use std::fmt::Write as _;

/// The command.
#[derive(Debug)]
pub(crate) struct Tree;

/// The types of trees.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    RedBlack,
    /// XArrays and radix trees: a kernel has one or the other, and its shape says which.
    XArray,
    Maple,
}

/// What is asked.
struct Ask<'a> {
    s: &'a Session,
    show: Entries<'a>,
    start: VirtAddr,
    /// `-N`: the start is a node.
    node: bool,
    /// `-p`
    position: bool,
}

/// The arguments of `tree`.
#[derive(clap::Args)]
pub(crate) struct TreeArgs {
    #[command(flatten)]
    entries: entries::Options,
    /// rbtree (as without -t), radix, xarray or maple
    #[arg(short = 't', value_name = "TYPE")]
    kind: Option<String>,
    /// Where START has the root: STRUCT.MEMBER, or bytes
    #[arg(short = 'r', value_name = "OFFSET")]
    root: Option<String>,
    /// Where each entry has its rb_node: STRUCT.MEMBER, or bytes
    #[arg(short = 'o', value_name = "OFFSET")]
    offset: Option<String>,
    /// Red-black trees: ascending, instead of from the root down
    #[arg(short = 'l')]
    linear: bool,
    /// The way from the root to each entry
    #[arg(short = 'p')]
    position: bool,
    /// Maple trees: every node
    #[arg(short = 'v')]
    nodes: bool,
    /// START is a node
    #[arg(short = 'N')]
    node: bool,
    /// Where the tree is
    #[arg(value_name = "START")]
    start: String,
}

impl Run for Tree {
    type Args = TreeArgs;
    fn name(&self) -> &'static str {
        "tree"
    }
    fn about(&self) -> &'static str {
        "display radix tree, XArray, red-black tree or maple tree"
    }
    fn details(&self) -> &'static str {
        "START is the address of the root (rb_root, xarray, radix_tree_root, maple_tree), or with -r of a struct that \
         holds it, or with -N of a node. The types are rbtree, radix, xarray and maple; their first letters are \
         enough (rb, ra, x, m); radix and xarray are what the kernel at hand has. Damaged nodes are told behind \
         the entries that were found."
    }
    fn debug_files(&self, _words: &[String]) -> Fetch {
        Fetch::Lacking
    }
    fn examples(&self) -> &'static [Example] {
        const {
            &[
                Example::new("tree -t rbtree -o vmap_area.rb_node vmap_area_root", "the areas of vmalloc"),
                Example::new(
                    "tree -t rbtree -p -l -o vmap_area.rb_node -s vmap_area.va_start,va_end vmap_area_root",
                    "ascending, with their place and members",
                ),
                Example::new(
                    "tree -t xarray -p irq_desc_tree -s irq_desc.depth",
                    "interrupts, to kernel 6.4",
                ),
                Example::new("tree -t maple -s irq_desc.depth sparse_irqs", "interrupts, from kernel 6.5 on"),
                Example::new(
                    "tree -t maple -r mm_struct.mm_mt ff1a4b5e01053600 -p",
                    "the mappings of a process",
                ),
                Example::new("tree -t maple -v ff1a4b5e01053600", "every node"),
            ]
        }
    }
    fn run(&self, cx: &mut Cx<'_>, args: &TreeArgs) -> Result<Report, CommandError> {
        let s = cx.session()?;
        let show = Entries::new(cx, s, "tree", &args.entries)?;
        let kind = kind(args.kind.as_deref().unwrap_or("rbtree"))?;
        let (name, plural) = match kind {
            Kind::RedBlack => ("rbtree", "rbtrees"),
            Kind::XArray => ("xarray", "Xarrays"),
            Kind::Maple => ("maple", "maple trees"),
        };
        let not = |option: &str| {
            Err(CommandError::argument(format_args!("{option} option is not applicable to {plural}")))
        };
        if kind != Kind::RedBlack && args.linear {
            return not("-l");
        }
        if kind != Kind::RedBlack && args.offset.is_some() {
            return not("-o");
        }
        if kind != Kind::Maple && args.nodes {
            return not("-v");
        }
        if args.node && args.root.is_some() {
            return Err(CommandError::argument("-r and -N options are mutually exclusive"));
        }
        let place = args.start.as_str();
        let invalid = || CommandError::failed(format_args!("invalid start argument: {place}"));
        let start = match values::address(cx, s, place) {
            Ok(at) if s.arch().is_kernel(at) => at,
            Ok(_) => return Err(invalid()),
            Err(e) => return Err(e),
        };
        let root = args.root.as_deref().map(|w| show.offset("-r", w)).transpose()?.unwrap_or(0);
        let offset = args.offset.as_deref().map(|w| show.offset("-o", w)).transpose()?.unwrap_or(0);
        let ask = Ask { s, show, start: start.add(root), node: args.node, position: args.position };
        let mut report = Report::new("tree");
        report.hidden("type", name);
        match kind {
            Kind::RedBlack => ask.red_black(cx, offset, args.linear, &mut report)?,
            Kind::XArray => ask.xarray(cx, &mut report)?,
            Kind::Maple => ask.maple(cx, args.nodes, &mut report)?,
        }
        Ok(report)
    }
}

fn kind(word: &str) -> Result<Kind, CommandError> {
    let is = |whole: &str, least: usize| word.len() >= least && whole.starts_with(word);
    if is("rbtree", 2) {
        Ok(Kind::RedBlack)
    } else if is("radix", 2) || is("xarray", 1) {
        Ok(Kind::XArray)
    } else if is("maple", 1) {
        Ok(Kind::Maple)
    } else {
        Err(CommandError::argument(format_args!(
            "invalid tree type: {word}; there are rbtree, radix, xarray and maple"
        )))
    }
}

fn failed(e: impl Into<Reason>) -> CommandError {
    CommandError::failed(e)
}

/// What could not be read, behind what was.
fn problems<'e>(report: &mut Report, all: impl IntoIterator<Item = &'e KernelError>) {
    const SHOWN: usize = 16;
    let mut all = all.into_iter();
    let is_lost = |e: &KernelError| e.is_missing() || e.is_loss();
    for e in all.by_ref().take(SHOWN) {
        report.lacking_or_error(is_lost(e), format!("tree: {e}"));
    }
    let more: Vec<bool> = all.map(is_lost).collect();
    if !more.is_empty() {
        let is_loss = more.iter().all(|lost| *lost);
        report.lacking_or_error(is_loss, format!("tree: {} more damaged nodes", more.len()));
    }
}

impl Ask<'_> {
    fn red_black(
        &self,
        cx: &Cx<'_>,
        offset: u64,
        linear: bool,
        report: &mut Report,
    ) -> Result<(), CommandError> {
        let mem = self.s.mem();
        // rb_root.rb_node is its only member; rb_root_cached begins with an rb_root
        let top = if self.node { self.start } else { mem.ptr(self.start).map_err(failed)? };
        let layout = rbtree::Layout::of(&self.s.bind::<rbtree::RbNode>());
        let nodes = rbtree::nodes(mem, layout, top, if linear { Order::Linear } else { Order::Root });
        let mut records = Vec::with_capacity(nodes.all.len());
        for node in &nodes.all {
            cx.cancel.check()?;
            let at = node.at.sub(offset);
            let mut record = entries::head(at);
            if self.position {
                let mut path = "root".to_owned();
                node.path.iter().for_each(|&right| path.push_str(if right { "/r" } else { "/l" }));
                record.line(Line::new().text("  position: ").field("position", path));
            }
            self.show.show(at, &mut record);
            records.push(record);
        }
        report.list("entries", records);
        problems(report, &nodes.problems);
        Ok(())
    }

    /// The entry's address, its index and position, its members.
    fn entry(&self, value: u64, index: u64, path: &[u8], kind: Kind) -> Record {
        let mut record = entries::head(VirtAddr(value));
        if self.position {
            let mut position = if path.is_empty() { "direct/0".to_owned() } else { "root".to_owned() };
            path.iter().for_each(|slot| {
                let _ = write!(position, "/{slot}");
            });
            // crash heeds -x here for maple trees only
            let hex = kind == Kind::Maple && self.show.hex();
            let index = if hex { Cell::hex_digits(index, 0) } else { Cell::from(index) };
            let line = Line::new().text("  index: ").field("index", index);
            record.line(line.text("  position: ").field("position", position));
        } else {
            record.hidden("index", index);
        }
        // a value entry is a number, not a pointer: there is nothing behind it
        if !self.show.is_empty() && self.s.arch().is_kernel(VirtAddr(value)) {
            self.show.show(VirtAddr(value), &mut record);
        }
        record
    }

    fn xarray(&self, cx: &Cx<'_>, report: &mut Report) -> Result<(), CommandError> {
        let layout = xarray::Layout::of(self.s).map_err(failed)?;
        let head = if self.node {
            // crash takes the pointer with its marks or without
            self.start.0 & !3 | if layout.marks == xarray::Marks::XArray { 2 } else { 1 }
        } else {
            xarray::head(self.s, self.start).map_err(failed)?
        };
        let found = xarray::entries(self.s.mem(), layout, head);
        let mut records = Vec::with_capacity(found.all.len());
        for e in &found.all {
            cx.cancel.check()?;
            records.push(self.entry(e.value, e.index, &e.path, Kind::XArray));
        }
        report.list("entries", records);
        problems(report, &found.problems);
        Ok(())
    }

    fn maple(&self, cx: &Cx<'_>, nodes: bool, report: &mut Report) -> Result<(), CommandError> {
        let (root, flags) = if self.node {
            (self.start.0, Ok(0))
        } else {
            maple::root(self.s, self.start).map_err(failed)?
        };
        let mut records = Vec::new();
        let mut count = 0_u64;
        if nodes && !self.node {
            // MT_FLAGS_HEIGHT_MASK 0x7c from bit 2
            let (said, height, flags) = match flags {
                Ok(flags) => (format!("{flags:X}"), Cell::from(flags >> 2 & 0x1f), Cell::from(flags)),
                Err(e) => {
                    let absent = || tasks::unknown("?", &e);
                    ("?".to_owned(), absent(), absent())
                }
            };
            let line = Line::new().text("maple_tree(").field("tree", Cell::Addr(self.start.0));
            let line = line.text(format!(") flags {said}, height "));
            let line = line.field("height", height).text(" root ").field("root", Cell::hex(root));
            report.line(line);
            report.hidden("flags", flags);
            report.blank();
        }
        let mut depth = 0;
        let problem = maple::walk(self.s, root, &mut |seen| {
            match seen {
                Seen::Node(node) => {
                    depth = node.depth;
                    if nodes {
                        records.push(node_line(node, self.show.hex()));
                    }
                }
                Seen::Slot(e, path) => {
                    if nodes {
                        let indent = "  ".repeat(path.len());
                        let value = Cell::hex(e.value.0);
                        let number = |n| index_text(n, self.show.hex());
                        let range = if e.first == e.last {
                            format!("{indent}{}: ", number(e.first))
                        } else {
                            format!("{indent}{}-{}: ", number(e.first), number(e.last))
                        };
                        let mut record = Record::of(Line::new().text(range).field("entry", value));
                        record.hidden("first", e.first);
                        record.hidden("last", e.last);
                        records.push(record);
                    }
                    // a place that is kept for an entry to come has none, as in an XArray
                    if !nodes && !e.value.is_null() && e.value.0 != maple::RESERVED {
                        count += 1;
                        let mut record = self.entry(e.value.0, count, path, Kind::Maple);
                        record.hidden("first", e.first);
                        record.hidden("last", e.last);
                        records.push(record);
                    }
                }
            }
            !cx.cancel.is_cancelled()
        });
        cx.cancel.check()?;
        report.list(if nodes { "nodes" } else { "entries" }, records);
        problems(report, &problem);
        Ok(())
    }
}

/// `0-140112331583487: node 0xffff9034c01e8800 depth 1 type 1 parent 0x... contents: SLOT PIVOT SLOT ...`, as
/// the kernel's own mt_dump writes it.
fn node_line(node: &maple::Node, hex: bool) -> Record {
    let mut contents = String::new();
    let _ = node.gaps.iter().try_for_each(|gap| write!(contents, "{} ", index_text(*gap, hex)));
    if let Some((end, gap)) = node.meta {
        let _ = write!(contents, "| {end:02X} {gap:02X}| ");
    }
    for (n, slot) in node.slots.iter().enumerate() {
        let slot = if *slot == 0 { "(nil)".to_owned() } else { format!("{slot:#x}") };
        let _ = match node.pivots.get(n) {
            Some(pivot) => write!(contents, "{slot} {} ", index_text(*pivot, hex)),
            None => write!(contents, "{slot} "),
        };
    }
    let line = Line::of("  ".repeat(node.depth as usize)).text(format!(
        "{}-{}",
        index_text(node.first, hex),
        index_text(node.last, hex)
    ));
    let line =
        line.text(": node ").field("node", Cell::hex(node.at.0)).text(" depth ").field("depth", node.depth);
    let line =
        line.text(" type ").field("type", node.kind).text(" parent ").field("parent", Cell::hex(node.parent));
    let mut record = Record::of(line.text(" contents: ").field("contents", contents.trim_end().to_owned()));
    record.hidden("first", node.first);
    record.hidden("last", node.last);
    record
}

/// An index, as the radix has it.
fn index_text(n: u64, hex: bool) -> String {
    if hex { format!("{n:x}") } else { n.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_may_be_short() {
        assert_eq!(kind("rb").unwrap(), Kind::RedBlack);
        assert_eq!(kind("ra").unwrap(), Kind::XArray);
        assert_eq!(kind("x").unwrap(), Kind::XArray);
        assert_eq!(kind("maple").unwrap(), Kind::Maple);
        assert!(kind("r").unwrap_err().to_string().contains("invalid tree type: r;"));
        assert!(kind("foo").is_err());
    }
}
