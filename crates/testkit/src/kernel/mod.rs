//! A tiny kernel made of tables: the structs of a release, its variables, its objects in memory. Every shape that a release
//! ever had can be a test without that kernel. It is x86-64's, or arm64's with pages of any size.
//!
//! The dump has page tables (image, direct map, `vmemmap`), the banner, VMCOREINFO, kallsyms and BTF, so
//! `kernel::Session::open` opens it as any other.
//!
//! ```
//! use testkit::kernel::Kernel;
//! let mut k = Kernel::new();
//! k.structure("list_head", 16, &[("next", 0, "*list_head"), ("prev", 8, "*list_head")]);
//! k.structure("thing", 32, &[("id", 0, "u32"), ("kind", 4, "u32:0:3"), ("list", 8, "list_head"), ("name", 24, "*char")]);
//! let head = k.variable("things", 16); // a symbol, with 16 bytes of memory
//! let thing = k.object("thing"); // zeroed memory of the direct map
//! k.set(thing, "thing", "id", 7);
//! k.set(thing, "thing", "kind", 5); // a bit-field of three bits
//! let name = k.text("seven");
//! k.set(thing, "thing", "name", name);
//! k.link(head, &[thing + k.offset("thing", "list")]);
//! let file = k.file(); // deleted when dropped; an opened dump can still be read
//! // Session::open(&OpenOptions { files: vec![file.path().into()], no_search: true, ..OpenOptions::default() })
//! assert!(std::fs::metadata(file.path()).unwrap().len() > 0x1000);
//! ```

#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::expect_used,
    reason = "builders for tests: a wrong table is a bug of the test"
)]

mod btf;
mod dcache;
mod files;
mod idr;
mod ipc;
mod irq;
mod kallsyms;
mod machine;
mod memory;
mod net;
mod runq;
mod signal;
mod tasks;
mod timer;
mod types;
mod workqueue;

pub use files::Files;
pub use ipc::Ipc;
pub use irq::Irqs;
pub use net::Net;
pub use runq::RunQueues;
pub use timer::{HrTimers, Timers};
pub use types::Member;
pub use workqueue::Workqueues;

use crate::dump::DumpSpec;
use machine::Machine;
use memory::Ram;
use std::collections::BTreeMap;
use types::TypeTable;

/// Where the image of x86-64 is linked and loaded: `_text`.
pub const TEXT: u64 = 0xffff_ffff_8100_0000;
/// Where all memory is mapped on x86-64.
pub const DIRECT_MAP: u64 = 0xffff_8880_0000_0000;
/// Where the array of `struct page` is on x86-64.
pub const VMEMMAP: u64 = 0xffff_ea00_0000_0000;
/// Where vmalloc's range begins on x86-64.
pub const VMALLOC: u64 = 0xffff_c900_0000_0000;

/// Bytes of the image: text, data, the kernel's own tables.
const IMAGE: u64 = 16 << 20;
/// Offsets in the image.
const TEXT_LEN: u64 = 0x1_0000;
const SWAPPER: u64 = TEXT_LEN;
const PER_CPU: u64 = 0x2_0000;
const PER_CPU_LEN: u64 = 0x2_0000;
const DATA: u64 = PER_CPU + PER_CPU_LEN;
const DATA_END: u64 = 0x20_0000;
/// Physical addresses, from where memory begins.
const IMAGE_PHYS: u64 = 0x100_0000;
const CPU_AREAS: u64 = 0x200_0000;
const TABLES: u64 = 0x300_0000;
const OBJECTS: u64 = 0x400_0000;
const PAGES: u64 = 0x800_0000;
const PAGES_LEN: u64 = 0x40_0000;
/// Bytes of the pages that dumps are made of.
const PAGE: u64 = 4096;

/// A kernel and its memory. Methods panic on what makes no sense: a wrong table is a bug of the test.
#[derive(Clone, Debug)]
pub struct Kernel {
    machine: Machine,
    ram: Ram,
    types: TypeTable,
    symbols: BTreeMap<(u64, String), u8>,
    info: String,
    banner: String,
    next_data: u64,
    next_per_cpu: u64,
    next_object: u64,
    cpus: u32,
    with_btf: bool,
    names_variables: bool,
    notes: Vec<(String, u32, Vec<u8>)>,
    moved: u64,
}

impl Default for Kernel {
    fn default() -> Self {
        Self::new()
    }
}

impl Kernel {
    /// A kernel of x86-64 and one CPU, without types and objects.
    #[must_use]
    pub fn new() -> Self {
        let mut k = Self::of(machine::X86_64);
        for (name, base) in
            [("page_offset_base", DIRECT_MAP), ("vmemmap_base", VMEMMAP), ("vmalloc_base", VMALLOC)]
        {
            let at = k.variable(name, 8);
            k.word(at, base);
        }
        k
    }

    /// A kernel of arm64 with pages of `1 << page` bytes (12, 14, 16) and addresses of so many bits: 48, 52, and 39 of 4 KiB
    /// pages, 47 of 16 KiB pages. Its memory begins at 1 GiB.
    #[must_use]
    pub fn arm64(page: u32, bits: u32) -> Self {
        Self::of(machine::arm64(page, bits))
    }

    fn of(machine: Machine) -> Self {
        let text = machine.text;
        let mut k = Self {
            ram: Ram::new(machine.mode, SWAPPER + IMAGE_PHYS, TABLES),
            types: TypeTable::default(),
            symbols: BTreeMap::new(),
            info: String::new(),
            banner: "Linux version 6.1.0-test (made by testkit) #1 SMP".into(),
            next_data: text + DATA,
            next_per_cpu: text + PER_CPU,
            next_object: OBJECTS,
            cpus: 0,
            with_btf: true,
            names_variables: true,
            notes: Vec::new(),
            moved: machine.memory,
            machine,
        };
        k.ram.map_all(text, IMAGE_PHYS, IMAGE);
        k.ram.map_all(machine.direct_map, 0, 1 << 30);
        k.ram.map_all(machine.vmemmap, PAGES, PAGES_LEN);
        for (name, kind, at) in [
            ("_text", b'T', text),
            ("_stext", b'T', text),
            ("_etext", b'T', text + TEXT_LEN),
            ("swapper_pg_dir", b'D', text + SWAPPER),
            ("__per_cpu_start", b'D', text + PER_CPU),
            ("__per_cpu_end", b'D', text + PER_CPU + PER_CPU_LEN),
            ("_end", b'B', text + IMAGE),
        ] {
            k.symbol(name, kind, at);
        }
        k.variable("__per_cpu_offset", 64 * 8);
        k.variable("__cpu_possible_mask", 8);
        k.variable("__cpu_present_mask", 8);
        k.variable("__cpu_online_mask", 8);
        k.variable("nr_cpu_ids", 4);
        k.cpus(1);
        k
    }

    /// Where the image begins: `_text`.
    #[must_use]
    pub const fn image(&self) -> u64 {
        self.machine.text
    }

    /// Where vmalloc's range begins.
    #[must_use]
    pub const fn vmalloc(&self) -> u64 {
        self.machine.vmalloc
    }

    /// Bytes of a page.
    #[must_use]
    pub const fn page_size(&self) -> u64 {
        1 << self.machine.mode.page()
    }

    /// The physical address of an address of the direct map.
    #[must_use]
    pub const fn phys(&self, at: u64) -> u64 {
        at - self.machine.direct_map + self.machine.memory
    }

    /// Without BTF, as kernels were until 5.x.
    pub const fn without_btf(&mut self) -> &mut Self {
        self.with_btf = false;
        self
    }

    /// Without `CONFIG_KALLSYMS_ALL`: the table has functions alone, and the dump no VMCOREINFO note. The kernel has its
    /// own copy of that in memory, where a variable points to it.
    pub const fn functions_alone(&mut self) -> &mut Self {
        self.names_variables = false;
        self
    }

    /// The kernel's banner; its third word is the release.
    pub fn banner(&mut self, text: &str) -> &mut Self {
        self.banner = text.into();
        self
    }

    /// So many CPUs (64 at most), all of them online. Say it before per-CPU variables are written.
    pub fn cpus(&mut self, count: u32) -> &mut Self {
        assert!((1..=64).contains(&count));
        self.cpus = count;
        let mask = u64::MAX >> (64 - count);
        for name in ["__cpu_possible_mask", "__cpu_present_mask", "__cpu_online_mask"] {
            self.word(self.at(name), mask);
        }
        self.half(self.at("nr_cpu_ids"), count);
        for cpu in 0..count {
            let at = self.at("__per_cpu_offset") + u64::from(cpu) * 8;
            self.word(at, self.per_cpu_offset(cpu));
        }
        for cpu in 0..u64::from(count) {
            self.fill(self.machine.direct_map + CPU_AREAS + cpu * PER_CPU_LEN, PER_CPU_LEN);
        }
        self
    }

    fn per_cpu_offset(&self, cpu: u32) -> u64 {
        assert!(cpu < self.cpus, "there is no CPU {cpu}");
        (self.machine.direct_map + CPU_AREAS + u64::from(cpu) * PER_CPU_LEN)
            .wrapping_sub(self.machine.text + PER_CPU)
    }

    /// Declares a struct: its size, and for each member name, offset in bytes and type. The type is a word such as `u32`,
    /// `s64`, `char`, `bool`, or a struct's name; `*TYPE` is a pointer, `TYPE[N]` an array (`*TYPE[N]` one of pointers), `u32:FIRST:WIDTH` a bit-field
    /// whose first bit is counted from the offset. A member without name is an anonymous struct: its members count as
    /// the outer struct's. Structs may be named before they are declared; declaring one again replaces it.
    pub fn structure(&mut self, name: &str, size: u64, members: &[Member<'_>]) -> &mut Self {
        self.types.compound(name, size, members, false);
        self
    }

    /// Declares a union.
    pub fn union(&mut self, name: &str, size: u64, members: &[Member<'_>]) -> &mut Self {
        self.types.compound(name, size, members, true);
        self
    }

    /// Adds a member to a struct, or gives it another place and type.
    pub fn member(&mut self, of: &str, member: Member<'_>) -> &mut Self {
        self.types.add_member(of, member);
        self
    }

    /// Takes a member out of a struct.
    pub fn without(&mut self, of: &str, member: &str) -> &mut Self {
        self.types.remove_member(of, member);
        self
    }

    /// Declares an enumeration of 4 bytes.
    pub fn enumeration(&mut self, name: &str, values: &[(&str, i32)]) -> &mut Self {
        self.types.enumeration(name, values);
        self
    }

    /// Says of which type a variable is, as the types of a kernel do of each CPU's own variables.
    pub fn variable_of(&mut self, name: &str, ty: &str) -> &mut Self {
        self.types.variable(name, ty);
        self
    }

    /// Bytes from the start of a struct to a member, or to a member of a member (`a.b`).
    #[must_use]
    pub fn offset(&self, of: &str, path: &str) -> u64 {
        self.types.place(of, path).offset
    }

    /// Bytes of a struct.
    #[must_use]
    pub fn size(&self, of: &str) -> u64 {
        self.types.size(of)
    }

    /// A symbol that needs no memory; `kind` is the letter of `nm`.
    pub fn symbol(&mut self, name: &str, kind: u8, at: u64) -> &mut Self {
        self.symbols.insert((at, name.into()), kind);
        self
    }

    /// A function's symbol, `offset` bytes into the text.
    pub fn function(&mut self, name: &str, offset: u64) -> u64 {
        assert!(offset < TEXT_LEN);
        let at = self.machine.text + offset;
        self.fill(at, 1);
        self.symbol(name, b'T', at);
        at
    }

    /// A variable of so many zeroed bytes, and its address.
    pub fn variable(&mut self, name: &str, len: u64) -> u64 {
        let at = self.next_data;
        self.next_data = (at + len.max(1)).next_multiple_of(16);
        assert!(self.next_data <= self.machine.text + DATA_END, "no more room for variables");
        self.fill(at, len);
        self.symbol(name, b'D', at);
        at
    }

    /// The address of a symbol.
    #[must_use]
    pub fn at(&self, name: &str) -> u64 {
        let found = self.symbols.keys().find(|(_, n)| n == name);
        found.unwrap_or_else(|| panic!("there is no symbol {name}")).0
    }

    /// A per-CPU variable of so many bytes: its address before a CPU's offset is added.
    pub fn per_cpu(&mut self, name: &str, len: u64) -> u64 {
        let at = self.per_cpu_memory(len);
        self.symbol(name, b'D', at);
        at
    }

    /// What `alloc_percpu` gives: so many bytes on each CPU, without a symbol.
    pub fn per_cpu_memory(&mut self, len: u64) -> u64 {
        let at = self.next_per_cpu;
        self.next_per_cpu = (at + len.max(1)).next_multiple_of(16);
        assert!(
            self.next_per_cpu <= self.machine.text + PER_CPU + PER_CPU_LEN,
            "no more room for per-CPU variables"
        );
        at
    }

    /// The copy of a per-CPU address that a CPU has.
    #[must_use]
    pub fn on_cpu(&self, at: u64, cpu: u32) -> u64 {
        at.wrapping_add(self.per_cpu_offset(cpu))
    }

    /// So many zeroed bytes of the direct map, aligned as they are large (to a page at most).
    pub fn memory(&mut self, len: u64) -> u64 {
        let align = len.max(16).next_power_of_two().min(self.page_size());
        let at = self.next_object.next_multiple_of(align);
        self.next_object = at + len;
        assert!(self.next_object <= PAGES, "no more memory");
        self.fill(self.machine.direct_map + at, len);
        self.machine.direct_map + at
    }

    /// The memory of one struct.
    pub fn object(&mut self, of: &str) -> u64 {
        self.memory(self.size(of))
    }

    /// A string and its NUL.
    pub fn text(&mut self, text: &str) -> u64 {
        let at = self.memory(text.len() as u64 + 1);
        self.put(at, text.as_bytes());
        at
    }

    /// The page frame of an address of the direct map.
    #[must_use]
    pub fn pfn(&self, at: u64) -> u64 {
        self.phys(at) / self.page_size()
    }

    /// The `struct page` of a page frame: 64 bytes, zeroed where nothing was written.
    pub fn page(&mut self, pfn: u64) -> u64 {
        let offset = (pfn - self.machine.memory / self.page_size()) * 64;
        let at = self.machine.vmemmap + offset;
        assert!(offset < PAGES_LEN, "no page {pfn:#x} in this machine");
        self.fill(at, 64);
        at
    }

    /// Writes bytes at a virtual address.
    pub fn put(&mut self, at: u64, bytes: &[u8]) -> &mut Self {
        self.ram.write(at, bytes);
        self
    }

    /// Writes 64 bits.
    pub fn word(&mut self, at: u64, value: u64) -> &mut Self {
        self.put(at, &value.to_le_bytes())
    }

    /// Writes 32 bits.
    pub fn half(&mut self, at: u64, value: u32) -> &mut Self {
        self.put(at, &value.to_le_bytes())
    }

    /// Writes a number or pointer into a member, as wide as its type; bit-fields too.
    pub fn set(&mut self, at: u64, of: &str, path: &str, value: u64) -> &mut Self {
        let place = self.types.place(of, path);
        let at = at + place.offset;
        let Some((first, width)) = place.bits else {
            let len = usize::try_from(place.size.min(8)).unwrap_or(8);
            return self.put(at, &value.to_le_bytes()[..len]);
        };
        let mut old = [0; 8];
        self.ram.read(at, &mut old);
        let mask = (u64::MAX >> (64 - width)) << first;
        let new = (u64::from_le_bytes(old) & !mask) | ((value << first) & mask);
        self.word(at, new)
    }

    /// Writes text into a `char` array member.
    pub fn set_text(&mut self, at: u64, of: &str, path: &str, text: &str) -> &mut Self {
        let at = at + self.offset(of, path);
        self.put(at, text.as_bytes())
    }

    /// Makes a list (`struct list_head`) of a head and its entries' heads, in this order.
    pub fn link(&mut self, head: u64, entries: &[u64]) -> &mut Self {
        let ring: Vec<u64> = [head].into_iter().chain(entries.iter().copied()).collect();
        for (n, &at) in ring.iter().enumerate() {
            let next = ring[(n + 1) % ring.len()];
            self.word(at, next).word(next + 8, at);
        }
        self
    }

    /// Maps a page of the kernel's address space (vmalloc, modules) to a page of the direct map.
    pub fn map(&mut self, virt: u64, at: u64) -> &mut Self {
        self.ram.map(virt, at - self.machine.direct_map, self.machine.mode.page());
        self
    }

    /// The topmost table of a process, without entries: memory of the direct map.
    pub fn user_tables(&mut self) -> u64 {
        let bytes = self.machine.mode.root_len().max(16);
        self.memory(bytes.next_multiple_of(self.page_size()))
    }

    /// Maps a page of a process to a page of the direct map, in the tables that begin at `root`.
    pub fn map_user(&mut self, root: u64, virt: u64, at: u64) -> &mut Self {
        let mode = self.machine.mode;
        let mut table = root;
        for (shift, bits) in mode.levels {
            let slot = table + machine::Mode::slot(virt, *shift, *bits);
            if *shift == mode.page() {
                return self.word(slot, self.phys(at) | mode.user);
            }
            let mut entry = [0; 8];
            self.ram.read(slot, &mut entry);
            let next = match u64::from_le_bytes(entry) {
                0 => {
                    let next = self.memory(self.page_size());
                    self.word(slot, self.phys(next) | mode.user_table);
                    next
                }
                entry => mode.address(entry) - self.machine.memory + self.machine.direct_map,
            };
            table = next;
        }
        unreachable!("the last level returns")
    }

    /// Takes a symbol out of the kernel's table, as a page of the table does that is not in the dump.
    pub fn lose(&mut self, name: &str) -> &mut Self {
        self.symbols.retain(|(_, known), _| known != name);
        self
    }

    /// Marks the page that maps an address, of whatever size, as one in which the kernel runs no code.
    pub fn forbid(&mut self, at: u64) -> &mut Self {
        self.ram.forbid(at);
        self
    }

    /// Leaves the page of an address out of the dump, as a filter does.
    pub fn exclude(&mut self, at: u64) -> &mut Self {
        self.ram.exclude(at);
        self
    }

    /// Loads the kernel so many bytes further on in physical memory: whole GiB.
    pub fn moved(&mut self, by: u64) -> &mut Self {
        assert_eq!(by % (1 << 30), 0, "memory is mapped in pages of 1 GiB");
        assert_eq!(self.machine.memory, 0, "a machine whose memory begins elsewhere has its place");
        self.moved = by;
        self
    }

    /// Another line of VMCOREINFO.
    pub fn info(&mut self, line: &str) -> &mut Self {
        self.info.push_str(line);
        self.info.push('\n');
        self
    }

    /// Another note.
    pub fn note(&mut self, name: &str, kind: u32, desc: &[u8]) -> &mut Self {
        self.notes.push((name.into(), kind, desc.into()));
        self
    }

    /// All of it, to be written in any format.
    #[must_use]
    pub fn spec(&self) -> DumpSpec {
        self.spec_onto(DumpSpec::of(self.machine.target))
    }

    /// This kernel's memory, VMCOREINFO and notes added to what is there: another kernel, perhaps.
    #[must_use]
    pub fn spec_onto(&self, spec: DumpSpec) -> DumpSpec {
        let mut k = self.clone();
        let banner = k.banner.clone() + "\n\0";
        let at = k.variable("linux_banner", banner.len() as u64);
        k.put(at, banner.as_bytes());
        let mut next = k.machine.text + DATA_END;
        if k.with_btf {
            let blob = k.types.btf();
            k.put(next, &blob);
            k.symbol("__start_BTF", b'D', next).symbol("__stop_BTF", b'D', next + blob.len() as u64);
            next = (next + blob.len() as u64).next_multiple_of(PAGE);
        }
        let own_info = (!k.names_variables).then(|| (k.variable("vmcoreinfo_data", 8), k.memory(PAGE)));
        if !k.names_variables {
            k.symbols.retain(|_, kind| matches!(kind, b'T' | b't'));
        }
        let tables = kallsyms::tables(&k.symbols, next);
        k.put(next, &tables.bytes);
        assert!(next + (tables.bytes.len() as u64) < k.machine.text + IMAGE, "no more room in the image");
        let release = k.banner.split_whitespace().nth(2).unwrap_or("6.1.0-test").to_owned();
        let text = k.machine.text;
        let mut info = format!(
            "OSRELEASE={release}\nPAGESIZE={}\nKERNELOFFSET=0\nSYMBOL(swapper_pg_dir)={:x}\nSYMBOL(_stext)={text:x}\n{}",
            k.page_size(),
            text + SWAPPER,
            k.machine.info(IMAGE_PHYS, k.moved),
        );
        for (name, at) in tables.labels {
            info += &format!("SYMBOL({name})={at:x}\n");
        }
        info += &k.info;
        let mut spec = spec.release(&release);
        match own_info {
            Some((pointer, at)) => {
                k.word(pointer, at).put(at, info.as_bytes());
            }
            None => spec = spec.vmcoreinfo(&info),
        }
        for (name, kind, desc) in &k.notes {
            spec = spec.note(name, *kind, desc);
        }
        k.ram.moved(k.moved).into_spec(spec)
    }

    /// The dump as an ELF file, deleted when it is dropped.
    ///
    /// # Panics
    /// When the file cannot be written.
    #[must_use]
    pub fn file(&self) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().expect("a file for the dump");
        std::fs::write(file.path(), self.elf()).expect("the dump is written");
        file
    }

    /// The dump as an ELF file's bytes.
    #[must_use]
    pub fn elf(&self) -> Vec<u8> {
        self.spec().elf()
    }

    /// Makes zeroed pages under a range, where there are none.
    fn fill(&mut self, at: u64, len: u64) {
        self.ram.fill(at, len);
    }
}
