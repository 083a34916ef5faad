//! `kmem`: the kernel's memory.

mod address;
mod counts;
mod free;
mod info;
mod layout;
mod nodes;
mod objects;
mod pages;
mod roots;
mod slabs;

use crate::{CommandError, Cx, Example, Run};
use kernel::Fetch;
use report::Report;

/// The command.
#[derive(Debug)]
pub(crate) struct Kmem;

/// The arguments of `kmem`.
#[derive(clap::Args)]
pub(crate) struct KmemArgs {
    /// Show the lists of free pages of each zone, and count them
    #[arg(short = 'f')]
    free: bool,
    /// The same, with the page that each free block begins with
    #[arg(short = 'F')]
    free_pages: bool,
    /// Show what memory is used for; with -i=shared also how many pages have several users
    #[arg(short = 'i', value_name = "shared", num_args = 0..=1, require_equals = true, default_missing_value = "")]
    info: Option<String>,
    /// Show the areas that vmalloc() and its like have mapped
    #[arg(short = 'v')]
    vmalloc: bool,
    /// Show the kernel's counts of pages and events
    #[arg(short = 'V')]
    counts: bool,
    /// Show the zones: their watermarks and counts
    #[arg(short = 'z')]
    zones: bool,
    /// Show what is added to the address of a per-CPU symbol for each CPU
    #[arg(short = 'o')]
    offsets: bool,
    /// Show the pools of huge pages
    #[arg(short = 'h')]
    huge: bool,
    /// Show the slab caches, those of some names or addresses, or the cache, slab and object that hold an address
    #[arg(short = 's')]
    slabs: bool,
    /// The same with all slabs and objects, of an address with all objects of its slab; -S=1,3-5 shows what these CPUs keep
    #[arg(short = 'S', value_name = "CPUS", num_args = 0..=1, require_equals = true, default_missing_value = "")]
    all_slabs: Option<String>,
    /// Show the caches that have others for groups of processes, with the sums of both
    #[arg(short = 'r')]
    roots: bool,
    /// With -s, -S and -r: pass over the caches of these names
    #[arg(short = 'I', value_name = "NAME[,NAME...]")]
    ignored: Vec<String>,
    /// Show the nodes, zones, sections and blocks of memory
    #[arg(short = 'n')]
    nodes: bool,
    /// Show the struct page of each page, or those of addresses
    #[arg(short = 'p')]
    pages: bool,
    /// The same, but only these members
    #[arg(short = 'm', value_name = "MEMBER[,MEMBER...]")]
    members: Vec<String>,
    /// Verify the size of the page cache by the kernel's table of it, which no kernel since 2.6 has
    #[arg(short = 'c')]
    cache: bool,
    /// The same, with all its pages
    #[arg(short = 'C')]
    cache_pages: bool,
    /// The addresses are physical
    #[arg(short = 'P')]
    physical: bool,
    /// Show the flags of pages, or which of them a value has
    #[arg(short = 'g')]
    flags: bool,
    /// Addresses; names of caches or "list" with -s and -S; flags with -g
    #[arg(value_name = "ADDRESS | NAME | FLAGS", num_args = 0..)]
    words: Vec<String>,
}

impl Run for Kmem {
    type Args = KmemArgs;
    fn name(&self) -> &'static str {
        "kmem"
    }
    fn about(&self) -> &'static str {
        "kernel memory"
    }
    fn details(&self) -> &'static str {
        "Shows how the kernel uses its memory; one of the options says what of it. Sizes are in pages where no unit stands \
         behind them. Of slab caches TOTAL are the objects that the slabs have room for; ALLOCATED those that \
         are neither in a slab's own list of free ones nor kept free by a CPU or node (/proc/slabinfo counts the latter as used). \
         -f counts the blocks in the lists of free pages and holds them against the zone's own counts. -V has sums \
         over all CPUs; what a CPU has not yet added to a sum is not in it, as in /proc/vmstat. An address with -v is one that is \
         mapped there, or a physical one. Without any option an address is told: its symbol, module or per-CPU variable, the task \
         whose task_struct or stack it is in, the CPU whose IRQ or exception stack it is in, the area of vmalloc, the slab object with its state, the block of free pages, and \
         its page. An address that is none of the kernel's is a physical one."
    }
    fn debug_files(&self, _words: &[String]) -> Fetch {
        Fetch::Lacking
    }
    fn examples(&self) -> &'static [Example] {
        const {
            &[
                Example::new("kmem -i", "what memory is used for"),
                Example::new("kmem -f", "free pages by the size of their blocks"),
                Example::new("kmem -z", "the zones"),
                Example::new("kmem -V", "counts of pages and events"),
                Example::new("kmem -v", "what vmalloc() has mapped"),
                Example::new("kmem -h", "huge pages"),
                Example::new("kmem -o", "per-CPU offsets"),
                Example::new("kmem -s", "the slab caches"),
                Example::new("kmem -S kmalloc-64", "the slabs and objects of a cache"),
                Example::new("kmem -s -I kmalloc-64,kmalloc-96", "all caches but some"),
                Example::new("kmem -n", "nodes and sections of memory"),
                Example::new("kmem -p 1000", "the struct page of an address"),
                Example::new("kmem -m lru,flags 1000", "members of it"),
                Example::new("kmem init_task", "what an address is"),
                Example::new("kmem -P 1000", "what a physical address is"),
                Example::new("kmem -g 4080", "what page flags mean"),
            ]
        }
    }
    fn run(&self, cx: &mut Cx<'_>, args: &KmemArgs) -> Result<Report, CommandError> {
        let s = cx.session()?;
        args.is_sound()?;
        let mut report = Report::new("kmem");
        let words = args.words.as_slice();
        match () {
            () if args.info.is_some() => info::show(s, args.info.as_deref(), &mut report)?,
            () if args.free && !words.is_empty() => address::free_at(s, words, args.physical, &mut report)?,
            () if args.nodes => nodes::show(s, &mut report)?,
            () if args.pages => pages::show(cx, s, args, &mut report)?,
            () if !args.members.is_empty() => pages::members(cx, s, args, &args.members, &mut report)?,
            () if args.roots => roots::show(cx, s, args, &mut report)?,
            () if args.cache || args.cache_pages => return Err(CommandError::failed(NO_TABLE)),
            () if args.free || args.free_pages => free::show(cx, s, args.free_pages, &mut report)?,
            () if args.counts => counts::all(s, &mut report)?,
            () if args.zones => counts::zones(s, &mut report)?,
            () if args.vmalloc => layout::vmalloc(cx, s, words, &mut report)?,
            () if args.offsets => layout::offsets(cx, s, &mut report),
            () if args.huge => layout::huge(s, &mut report)?,
            () if args.slabs || args.all_slabs.is_some() => slabs::show(cx, s, args, &mut report)?,
            () if args.flags => layout::flags(s, words, &mut report)?,
            () if words.is_empty() => {
                return Err(CommandError::argument(
                    "an option says what to show, or an address what it is about",
                ));
            }
            () => address::show(cx, s, words, args.physical, &mut report)?,
        }
        Ok(report)
    }
}

impl KmemArgs {
    /// One option says what to show, and words stand with those that take some.
    fn is_sound(&self) -> Result<(), CommandError> {
        let chosen = [
            ("-i", self.info.is_some(), false),
            ("-f", self.free, true),
            ("-F", self.free_pages, false),
            ("-v", self.vmalloc, true),
            ("-V", self.counts, false),
            ("-z", self.zones, false),
            ("-o", self.offsets, false),
            ("-h", self.huge, false),
            ("-s", self.slabs, true),
            ("-S", self.all_slabs.is_some(), true),
            ("-r", self.roots, true),
            ("-n", self.nodes, false),
            ("-p", self.pages, true),
            ("-m", !self.members.is_empty(), true),
            ("-c", self.cache, true),
            ("-C", self.cache_pages, true),
            ("-g", self.flags, true),
        ];
        if !self.ignored.is_empty() && !self.slabs && self.all_slabs.is_none() && !self.roots {
            return Err(CommandError::argument("-I is about -s, -S and -r"));
        }
        let mut chosen = chosen.into_iter().filter(|(_, is_given, _)| *is_given);
        let first = chosen.next();
        if let (Some((one, ..)), Some((two, ..))) = (first, chosen.next()) {
            return Err(CommandError::argument(format_args!("{one} and {two} are mutually exclusive")));
        }
        if let (Some((name, _, false)), Some(word)) = (first, self.words.first()) {
            return Err(CommandError::argument(format_args!("{word}: {name} takes no argument")));
        }
        let takes_addresses = first.is_none_or(|(name, ..)| ["-f", "-p", "-m"].contains(&name));
        if self.physical && (self.words.is_empty() || !takes_addresses) {
            return Err(CommandError::argument(
                "-P is about the addresses behind -f, -p, -m or no other option",
            ));
        }
        Ok(())
    }
}

/// Why there is no answer to `-c` and `-C`.
const NO_TABLE: &str =
    "this kernel has no page_hash_table: each file has its own pages (NR_FILE_PAGES of kmem -V counts them)";

/// So many pages in KB, MB or GB, as crash writes it.
fn size(pages: u64, page_size: u64) -> String {
    let kib = u128::from(pages) * u128::from(page_size) / 1024;
    let tenths = |unit: u128, name: &str| {
        // rounded to the nearest tenth, a half to the even one
        let (whole, rest) = (kib * 10 / unit, kib * 10 % unit);
        let up = rest * 2 > unit || (rest * 2 == unit && whole % 2 == 1);
        let all = whole + u128::from(up);
        match all % 10 {
            0 => format!("{} {name}", all / 10),
            tenth => format!("{}.{tenth} {name}", all / 10),
        }
    };
    match kib {
        0 => "0".to_owned(),
        _ if kib >= 1 << 20 => tenths(1 << 20, "GB"),
        _ if kib >= 1 << 10 => tenths(1 << 10, "MB"),
        _ => format!("{kib} KB"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_in_the_largest_unit() {
        let of = |pages| size(pages, 4096);
        assert_eq!((of(0), of(1), of(255)), ("0".into(), "4 KB".into(), "1020 KB".into()));
        assert_eq!((of(256), of(208_962)), ("1 MB".into(), "816.3 MB".into()));
        assert_eq!((of(524_288), of(1_974_231)), ("2 GB".into(), "7.5 GB".into()));
    }
}
