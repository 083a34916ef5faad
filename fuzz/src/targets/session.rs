//! The kernel in a dump, damaged where it matters: the shipped sample with words of its tasks,
//! lists, log and tables overwritten, and a command run on it.

use super::{Target, outcome};
use base::{Bytes, Cancel, PAGE_SIZE, Pfn, PhysAddr, PhysRead, VirtAddr};
use commands::{Cx, Settings};
use kernel::{Layers, OpenOptions, Session};
use std::collections::BTreeMap;
use std::fs::File;
use std::ops::ControlFlow;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use testkit::dump::DumpSpec;

/// This file's row of the table.
pub(crate) const TARGETS: &[Target] =
    &[Target { name: "session", about: "a command on a kernel with damaged words", seeds, run }];

/// What is run; an input's first byte chooses.
const COMMANDS: &[&str] = &[
    "bt",
    "bt -a",
    "bt -f 1",
    "bt -F",
    "bt -e",
    "bt -t",
    "bt -T",
    "foreach bt",
    "ps",
    "ps -m",
    "ps -p 1",
    "ps -t",
    "ps -l",
    "ps -a 1",
    "ps -g",
    "ps -r",
    "ps -S",
    "ps -y",
    "log",
    "log -T",
    "log -d",
    "mod",
    "mod -t",
    "mod -g",
    "sym -l",
    "sym -m virtio_ring",
    "sym virtqueue_add_sgs",
    "sys",
    "sys -i",
    "sys config",
    "sys -c",
    "info",
    "task 1",
    "foreach user vtop 400000",
    "vtop init_task",
    "p runqueues:a",
    "struct task_struct init_task",
    "rd -s init_task 256",
    "rd -S init_task 256",
    "set -c 1",
];

/// Kernel objects whose words are worth damaging.
const SYMBOLS: &[&str] = &[
    "init_task",
    "prb",
    "printk_rb_static",
    "log_buf",
    "log_buf_len",
    "modules",
    "init_uts_ns",
    "tk_core",
    "contig_page_data",
    "node_data",
    "__per_cpu_offset",
    "__cpu_online_mask",
    "__cpu_possible_mask",
    "runqueues",
    "crash_notes",
    "init_mm",
    "kallsyms_num_syms",
    "kallsyms_names",
    "kallsyms_markers",
    "kallsyms_token_table",
    "kallsyms_token_index",
    "kallsyms_offsets",
    "kallsyms_relative_base",
    "__start_BTF",
    "__start_orc_unwind",
    "__start_orc_unwind_ip",
    "orc_lookup",
    "sys_call_table",
    "kernel_config_data",
    "vmap_area_list",
    "page_offset_base",
    "vmemmap_base",
    "mem_section",
    "totalram_pages",
    "linux_banner",
    "init_pid_ns",
    "pcpu_hot",
    "cpu_tss_rw",
    "swapper_pg_dir",
    "init_top_pgt",
];

/// The sample as a file of plain pages, which can be patched.
pub(super) struct Sample {
    pub(super) path: PathBuf,
    file: File,
    /// Where in the file each page is.
    pages: BTreeMap<u64, u64>,
    /// Where the objects are: virtual, and physical pages by 4 KiB of each.
    objects: Vec<(VirtAddr, Vec<Option<PhysAddr>>)>,
}

/// Pages of an object that may be damaged.
const SPAN: u64 = 4;

pub(super) fn sample() -> &'static Sample {
    static SAMPLE: OnceLock<Sample> = OnceLock::new();
    SAMPLE.get_or_init(|| make().unwrap_or_else(|e| panic!("the sample cannot be used: {e}")))
}

fn make() -> Result<Sample, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let from = dump::open(&[root.join("../samples/virtio-bug.kdump")]).map_err(|e| e.to_string())?;
    let folder = root.join("artifacts/session");
    std::fs::create_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let path = folder.join("sample.elf");
    let pages = plain_elf(&from, &path).map_err(|e| format!("{}: {e}", path.display()))?;
    let session = Session::open(&options(&path)).map_err(|e| e.to_string())?;
    let mut starts: Vec<VirtAddr> = SYMBOLS.iter().filter_map(|s| session.symbol(s)).collect();
    let pointed: Vec<VirtAddr> =
        ["prb", "modules"].iter().filter_map(|s| session.mem().ptr(session.symbol(s)?).ok()).collect();
    starts.extend(pointed);
    for task in &session.tasks().all {
        starts.push(task.at);
        // the words of the task that point: its stack, mm, signal and others' tasks
        let words = session.mem().bytes(task.at, 0x1000).unwrap_or_default();
        let numbers = words.chunks_exact(8).filter_map(|w| Some(u64::from_le_bytes(w.try_into().ok()?)));
        starts.extend(numbers.filter(|w| *w > 0xff00_0000_0000_0000 && w % 8 == 0).take(64).map(VirtAddr));
    }
    starts.sort();
    starts.dedup();
    starts.truncate(usize::from(u16::MAX));
    let objects = starts
        .into_iter()
        .map(|at| {
            let phys = |i: u64| session.map().translate(page(at.add(i * PAGE_SIZE))).ok().map(|t| t.0);
            (at, (0..SPAN).map(phys).collect())
        })
        .collect();
    let file = File::options().write(true).read(true).open(&path).map_err(|e| e.to_string())?;
    Ok(Sample { path, file, pages, objects })
}

const fn page(at: VirtAddr) -> VirtAddr {
    VirtAddr(at.0 / PAGE_SIZE * PAGE_SIZE)
}

pub(super) fn options(path: &Path) -> OpenOptions {
    let mut options = OpenOptions::default();
    options.files = vec![path.to_owned()];
    options.no_search = true;
    options
}

/// Writes the dump as an ELF core of plain pages; where each page went.
fn plain_elf(from: &dump::Dump, path: &Path) -> std::io::Result<BTreeMap<u64, u64>> {
    let mut spec = DumpSpec::x86_64();
    for note in from.notes() {
        spec = spec.note(&String::from_utf8_lossy(&note.name), note.kind, &note.desc);
    }
    let mut bytes = [0; PAGE_SIZE as usize];
    let mut next = from.next_present(Pfn(0));
    while let Some(pfn) = next {
        if from.read_phys(pfn.addr(), &mut bytes).is_ok() {
            spec = spec.page(pfn.0, &bytes);
        }
        next = from.next_present(Pfn(pfn.0 + 1));
    }
    let elf = spec.elf();
    std::fs::write(path, &elf)?;
    let header = Bytes::new(&elf);
    let mut pages = BTreeMap::new();
    for i in 0..usize::from(header.u16_at(56).unwrap_or(0)) {
        let field = |at: usize| header.u64_at(64 + 56 * i + at).unwrap_or(0);
        if header.u32_at(64 + 56 * i).is_ok_and(|kind| kind == 1) {
            let (offset, phys, len) = (field(8), field(24), field(32));
            pages.extend((0..len / PAGE_SIZE).map(|n| (phys / PAGE_SIZE + n, offset + n * PAGE_SIZE)));
        }
    }
    Ok(pages)
}

impl Sample {
    /// Where in the file a word of an object is; `from` counts objects.
    fn place(&self, from: u16, offset: u64) -> Option<u64> {
        let (at, pages) = self.objects.get(usize::from(from) % self.objects.len().max(1))?;
        let into = at.0 % PAGE_SIZE + offset;
        let phys = (*pages.get((into / PAGE_SIZE) as usize)?)?;
        Some(self.pages.get(&(phys.0 / PAGE_SIZE))? + into % PAGE_SIZE)
    }

    /// Where in the file a physical address is.
    pub(super) fn in_file(&self, at: PhysAddr) -> Option<u64> {
        Some(self.pages.get(&(at.0 / PAGE_SIZE))? + at.0 % PAGE_SIZE)
    }

    /// Overwrites bytes within a page; what they were.
    pub(super) fn overwrite(&self, at: u64, with: &[u8]) -> Option<Vec<u8>> {
        let mut old = vec![0; with.len()];
        self.file.read_exact_at(&mut old, at).ok()?;
        self.file.write_all_at(with, at).ok()?;
        Some(old)
    }

    /// Overwrites a word; what it was.
    fn patch(&self, at: u64, with: [u8; 8]) -> Option<[u8; 8]> {
        let mut old = [0; 8];
        self.file.read_exact_at(&mut old, at).ok()?;
        self.file.write_all_at(&with, at).ok()?;
        Some(old)
    }
}

/// A byte for the command, then records of 8 bytes: object, word in it, kind of value, value.
fn seeds() -> Vec<Vec<u8>> {
    // made before the first run, whose time is watched
    let _ = sample();
    let commands = 0..COMMANDS.len() as u8;
    commands
        .flat_map(|command| {
            let seed = u16::from(command).wrapping_mul(40503);
            let record = |i: u16| {
                let [object, word, value] =
                    [seed.wrapping_add(i.wrapping_mul(7919)), (seed ^ (i * 31)) % 512, seed.wrapping_mul(i)];
                [&object.to_le_bytes()[..], &word.to_le_bytes(), &i.to_le_bytes(), &value.to_le_bytes()]
                    .concat()
            };
            [0, 3, 12].map(|count| {
                let mut input = vec![command];
                (0..count).for_each(|i| input.extend(record(i)));
                input
            })
        })
        .collect()
}

fn run(input: &[u8]) -> u64 {
    let sample = sample();
    let Some((command, patches)) = input.split_first() else { return 0 };
    let line = COMMANDS.get(usize::from(*command) % COMMANDS.len()).copied().unwrap_or("sys");
    let mut undo = Vec::new();
    for record in patches.chunks_exact(8).take(64) {
        let field = |i: usize| Bytes::new(record).u16_at(2 * i).unwrap_or(0);
        let (object, word, kind, value) = (field(0), field(1), field(2), field(3));
        let Some(at) = sample.place(object, u64::from(word) % 2048 * 8) else { continue };
        let value = match kind % 6 {
            0 => u64::from(value),
            1 => u64::from(value) << 48 | 0xffff,
            2 => 1_u64.checked_shl(u32::from(value % 65)).unwrap_or(0).wrapping_sub(1),
            // a pointer to something that exists: lists that run in circles, and into each other
            3 | 4 => sample
                .objects
                .get(usize::from(value) % sample.objects.len().max(1))
                .map_or(0, |o| o.0.0 + u64::from(kind / 6) % 512 * 8),
            _ => u64::from(value).wrapping_mul(0x9e37_79b9_7f4a_7c15),
        };
        undo.extend(sample.patch(at, value.to_le_bytes()).map(|old| (at, old)));
    }
    let result = answer(&sample.path, line);
    for (at, old) in undo.into_iter().rev() {
        sample.patch(at, old);
    }
    outcome((line, result))
}

/// Runs the command; how it ended, coarsely.
pub(super) fn answer(path: &Path, line: &str) -> u32 {
    let Ok(layers) = Layers::open(options(path)) else { return 0 };
    let (mut settings, cancel, mut lines) = (Settings::default(), Cancel::new(), 0_usize);
    let mut sink = |report: &report::Report| {
        lines += shown(report);
        ControlFlow::Continue(())
    };
    let mut cx = Cx::new(Some(&layers), &mut settings, &cancel, &mut sink);
    match commands::run(&mut cx, &commands::split_words(line)) {
        Ok(report) => lines += shown(&report),
        Err(_) => return 1,
    }
    2 + lines.checked_ilog2().unwrap_or(0)
}

/// How many lines it is for a reader.
fn shown(report: &report::Report) -> usize {
    let mut text = Vec::new();
    let _ = render::text(report, render::Colour::Plain, &mut text);
    text.iter().filter(|b| **b == b'\n').count()
}
