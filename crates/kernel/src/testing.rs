//! Sessions of generated kernels, and plain memory, for the tests of this crate.

use crate::opening::options::OpenOptions;
use crate::session::Session;
use base::{Fault, FaultKind, VirtAddr, VirtRead};
use testkit::kernel::Kernel;

/// Opens a generated kernel, and looks for nothing beside it.
pub(crate) fn session(kernel: &Kernel) -> Session {
    let dump = dump::Dump::from_bytes(vec![kernel.elf()]).expect("a generated dump opens");
    let options = OpenOptions { no_search: true, ..OpenOptions::default() };
    Session::from_parts(dump, &options).expect("a generated kernel opens")
}

/// Bytes of memory from an address on; nothing else is mapped.
pub(crate) struct Ram {
    start: u64,
    pub(crate) bytes: Vec<u8>,
}

impl Ram {
    /// So many zeroed bytes.
    pub(crate) fn new(start: u64, len: usize) -> Self {
        Self { start, bytes: vec![0; len] }
    }
    pub(crate) fn put(&mut self, at: u64, bytes: &[u8]) {
        let from = (at - self.start) as usize;
        self.bytes[from..from + bytes.len()].copy_from_slice(bytes);
    }
    pub(crate) fn word(&mut self, at: u64, value: u64) {
        self.put(at, &value.to_le_bytes());
    }
}

impl VirtRead for Ram {
    fn read(&self, at: VirtAddr, buf: &mut [u8]) -> Result<(), Fault> {
        let from = usize::try_from(at.0.wrapping_sub(self.start)).unwrap_or(usize::MAX);
        let part = from.checked_add(buf.len()).and_then(|to| self.bytes.get(from..to));
        buf.copy_from_slice(part.ok_or(Fault::new(at, FaultKind::NotMapped("PTE")))?);
        Ok(())
    }
}

mod tests {
    use super::*;
    use crate::containers::list::list;

    bind! {
        struct Thing("thing") { id: "id", kind: "in.kind", list: "list", name: "name", gone: "gone", words: "words" }
    }

    #[test]
    fn a_kernel_made_of_tables_opens() {
        let mut k = Kernel::new();
        k.cpus(3);
        k.list_head();
        k.structure("inner", 8, &[("pad", 0, "u32:0:3"), ("kind", 0, "s32:3:4")]);
        k.structure("outer", 16, &[("", 8, "inner"), ("words", 0, "u16[3]")]);
        k.structure(
            "thing",
            64,
            &[
                ("id", 0, "u32"),
                ("in", 8, "inner"),
                ("", 16, "outer"),
                ("list", 32, "list_head"),
                ("name", 48, "*char"),
            ],
        );
        let head = k.variable("things", 16);
        let all: Vec<u64> = (0..3).map(|_| k.object("thing")).collect();
        for (n, &at) in all.iter().enumerate() {
            let name = k.text(&format!("thing {n}"));
            k.set(at, "thing", "id", n as u64)
                .set(at, "thing", "in.kind", 0xf)
                .set(at, "thing", "name", name);
        }
        let links: Vec<u64> = all.iter().map(|at| at + k.offset("thing", "list")).collect();
        k.link(head, &links);
        let counter = k.per_cpu("counter", 4);
        k.half(k.on_cpu(counter, 2), 22);
        let do_it = k.function("do_it", 0x40);
        let vmalloc = testkit::kernel::VMALLOC + 0x5000;
        let behind = k.memory(4096);
        k.word(behind + 8, 99).map(vmalloc, behind);
        let page = k.page(5);
        k.word(page, 55);

        let s = session(&k);
        let b = s.bind::<Thing>();
        let mem = s.mem();
        let found: Vec<VirtAddr> = list(mem, s.need_symbol("things").unwrap())
            .map(|at| b.list.container(at.unwrap()).unwrap())
            .collect();
        assert_eq!(found.iter().map(|at| at.0).collect::<Vec<_>>(), all);
        assert_eq!(b.id.num(mem, found[2]).unwrap(), 2);
        assert_eq!(b.kind.int(mem, found[2]).unwrap(), -1);
        assert_eq!(b.name.string(mem, found[1], 64).unwrap(), "thing 1");
        assert_eq!((b.words.offset().unwrap(), b.words.size().unwrap()), (16, 6));
        assert!(!b.gone.exists());
        assert_eq!(s.cpus().online.as_deref(), Some(&[0, 1, 2][..]));
        assert_eq!(mem.u32(s.per_cpu("counter", 2).unwrap()).unwrap(), 22);
        assert_eq!(mem.u32(s.per_cpu("counter", 1).unwrap()).unwrap(), 0);
        assert_eq!(s.locate(VirtAddr(do_it + 4)).unwrap().symbol.name, "do_it");
        assert!(s.is_text(VirtAddr(do_it)));
        assert_eq!(mem.u64(VirtAddr(vmalloc + 8)).unwrap(), 99);
        assert_eq!(mem.u64(VirtAddr(page)).unwrap(), 55);
        assert_eq!(s.opened().release().as_deref(), Some("6.1.0-test"));
    }

    #[test]
    fn what_is_left_out_is_missing() {
        let mut k = Kernel::new();
        let at = k.memory(4096);
        k.word(at, 7).exclude(at).without_btf();
        let s = session(&k);
        let fault = s.mem().u64(VirtAddr(at)).unwrap_err();
        assert!(fault.to_string().contains("excluded"), "{fault}");
        assert!(s.kernel_btf().is_none());
    }
}

/// QEMU's note, with these registers and the page tables at `root`.
pub(crate) fn qemu_note(pc: u64, sp: u64, root: u64) -> Vec<u8> {
    let mut note = vec![0; 440];
    let size = note.len() as u32;
    note[..4].copy_from_slice(&1_u32.to_le_bytes());
    note[4..8].copy_from_slice(&size.to_le_bytes());
    let cs = 8 + 18 * 8;
    let paging = 8 + 18 * 8 + 10 * 24;
    for (at, value) in [(8 + 6 * 8, sp), (8 + 16 * 8, pc), (cs, 0x10), (paging, 1 << 31), (paging + 24, root)]
    {
        note[at..][..8].copy_from_slice(&value.to_le_bytes());
    }
    note
}
