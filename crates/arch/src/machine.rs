//! Which machine a dump is of: what its headers, notes and VMCOREINFO claim, and the kernel's own words in memory. Each
//! is evidence; none is believed against the memory itself.

use crate::space::Translation;
use base::{PAGE_SIZE, PhysAddr, PhysRead, RawNote, VmcoreInfo, cstr};

/// The name of a machine, as `uname -m` prints it, and who says so.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Claim {
    /// `x86_64`, `aarch64`, `riscv64` ...
    pub machine: String,
    /// `ELF e_machine 183`, `the header's utsname` ...
    pub by: String,
}

impl Claim {
    fn new(machine: &str, by: impl Into<String>) -> Self {
        Self { machine: machine.to_owned(), by: by.into() }
    }

    /// True where crashlens reads kernels of this machine.
    #[must_use]
    pub fn is_read(&self) -> bool {
        crate::by_name(&self.machine).is_some()
    }
}

/// `e_machine`, with the name of the 64-bit machine and of the 32-bit one (ELF specification, `include/uapi/linux/elf-em.h`).
const ELF_MACHINES: [(u16, &str, &str); 17] = [
    (2, "sparc", "sparc"),
    (3, "i686", "i686"),
    (4, "m68k", "m68k"),
    (8, "mips64", "mips"),
    (15, "parisc64", "parisc"),
    (20, "ppc", "ppc"),
    (21, "ppc64", "ppc64"),
    (22, "s390x", "s390"),
    (40, "arm", "arm"),
    (42, "sh", "sh"),
    (43, "sparc64", "sparc64"),
    (50, "ia64", "ia64"),
    (62, "x86_64", "x86_64"),
    (183, "aarch64", "aarch64"),
    (243, "riscv64", "riscv32"),
    (258, "loongarch64", "loongarch32"),
    (0x9026, "alpha", "alpha"),
];

/// Other names that `uname -m` prints (`UTS_MACHINE` of each architecture, with its variants).
const OTHER_NAMES: [&str; 28] = [
    "aarch64_be",
    "arc",
    "arceb",
    "armv4tl",
    "armv5tel",
    "armv5tejl",
    "armv6l",
    "armv7l",
    "armv7b",
    "armv7m",
    "armv8l",
    "csky",
    "hexagon",
    "i386",
    "i486",
    "i586",
    "microblaze",
    "mips64el",
    "nios2",
    "openrisc",
    "ppc64le",
    "ppcle",
    "sh2",
    "sh2a",
    "sh3",
    "sh4",
    "sh4a",
    "xtensa",
];

/// True for a name that some Linux gives its machine: any other one is damaged, or of a machine that nobody knew.
#[must_use]
pub fn is_machine(name: &str) -> bool {
    ELF_MACHINES.iter().any(|(_, wide, narrow)| [wide, narrow].contains(&&name))
        || OTHER_NAMES.contains(&name)
}

/// What the kernel calls an architecture (its folder below arch/) that `uname -m` calls by this name.
#[must_use]
pub fn kernel_name(machine: &str) -> &str {
    if machine == "aarch64" { "arm64" } else { machine }
}

/// What only the VMCOREINFO of one machine has (each one's `arch_crash_save_vmcoreinfo`).
const INFO_KEYS: [(&str, &str); 12] = [
    ("NUMBER(kimage_voffset)", "aarch64"),
    ("NUMBER(PHYS_OFFSET)", "aarch64"),
    ("NUMBER(KERNELPACMASK)", "aarch64"),
    ("NUMBER(phys_base)", "x86_64"),
    ("NUMBER(pgtable_l5_enabled)", "x86_64"),
    ("SYMBOL(init_top_pgt)", "x86_64"),
    ("SYMBOL(init_level4_pgt)", "x86_64"),
    ("NUMBER(phys_ram_base)", "riscv64"),
    ("NUMBER(KERNEL_LINK_ADDR)", "riscv64"),
    ("SYMBOL(lowcore_ptr)", "s390x"),
    ("SYMBOL(cpu_pgd)", "ppc64"),
    ("NUMBER(RADIX_MMU)", "ppc64"),
];

/// Bytes of `NT_PRSTATUS` on machines that no other shares them with.
const STATUS_SIZES: [(usize, &str); 5] =
    [(392, "aarch64"), (376, "riscv64"), (504, "ppc64"), (144, "i686"), (148, "arm")];

/// Everything that the headers claim, the surest first. `wide` is false for headers of a 32-bit class.
#[must_use]
pub fn claims(
    e_machine: Option<u16>,
    wide: bool,
    utsname: Option<&str>,
    info: &VmcoreInfo,
    notes: &[RawNote],
) -> Vec<Claim> {
    let mut out = Vec::new();
    // EM_NONE says nothing
    if let Some(number) = e_machine.filter(|number| *number != 0) {
        let known = ELF_MACHINES.iter().find(|(n, ..)| *n == number);
        let name = known.map(|(_, long, short)| if wide { *long } else { *short });
        let unknown = format!("e_machine {number}");
        out.push(Claim::new(name.unwrap_or(&unknown), format!("ELF e_machine {number}")));
    }
    // QEMU writes "Unknown" for all machines but x86
    if let Some(name) = utsname.filter(|n| !n.is_empty() && *n != "Unknown") {
        out.push(Claim::new(name, "the header's utsname"));
    }
    if let Some((key, machine)) = claimed_by(info) {
        out.push(Claim::new(machine, format!("{key} in VMCOREINFO")));
    }
    let by_note = |note: &RawNote| {
        let size = note.desc.len();
        let status = STATUS_SIZES.iter().find(|(len, _)| note.is("CORE") && note.kind == 1 && *len == size);
        status.map(|(_, machine)| Claim::new(machine, format!("CPU notes of {size} bytes")))
    };
    let by_notes = notes.iter().find_map(by_note);
    out.extend(by_notes.filter(|claim| !is_size_damaged(claim, &out)));
    out
}

/// Whether the size of the CPU notes, which is a number of one header, is contradicted by what else names the machine: by two
/// that agree, or by one of another word size.
fn is_size_damaged(by_notes: &Claim, others: &[Claim]) -> bool {
    let known: Vec<&str> =
        others.iter().map(|claim| &*claim.machine).filter(|name| is_machine(name)).collect();
    let Some(first) = known.first().filter(|first| known.iter().all(|name| name == *first)) else {
        return false;
    };
    let is_narrow = |name: &str| NARROW.contains(&name);
    *first != by_notes.machine && (known.len() > 1 || is_narrow(first) != is_narrow(&by_notes.machine))
}

/// Machines of 32 bits among those that the size of a note names.
const NARROW: [&str; 2] = ["i686", "arm"];

/// The line of VMCOREINFO that only one machine's has, and that machine.
pub(crate) fn claimed_by(info: &VmcoreInfo) -> Option<(&'static str, &'static str)> {
    INFO_KEYS.iter().copied().find(|(key, _)| info.get(key).is_some())
}

/// What a kernel calls itself, from the `struct new_utsname` that it keeps.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OwnName {
    /// `6.1.0-56-cloud-amd64`
    pub release: String,
    /// `x86_64`
    pub machine: String,
}

/// Bytes of a field of `struct new_utsname`.
const FIELD: usize = 65;
/// Bytes of the fields up to `machine`, with it.
const NAME_LEN: usize = 5 * FIELD;
/// How it begins: `sysname`, filled with zeros.
const SYSNAME: &[u8] = b"Linux\0\0\0\0\0\0\0\0\0\0\0";

impl OwnName {
    /// Reads a `struct new_utsname`; `None` where the bytes are none.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let field = |n: usize| {
            let text = cstr(bytes.get(n * FIELD..(n + 1) * FIELD)?);
            let plain = !text.is_empty() && text.iter().all(|b| b.is_ascii_graphic());
            plain.then(|| String::from_utf8_lossy(text).into_owned())
        };
        let (release, machine) = (field(2)?, field(4)?);
        let numbered = release.starts_with(|c: char| c.is_ascii_digit()) && release.contains('.');
        (bytes.starts_with(SYSNAME) && numbered).then_some(Self { release, machine })
    }
}

/// Looks for what a kernel calls itself in memory that is gone through: its `struct new_utsname`; where none is found, the
/// header of its image, which some machines keep in memory, and its banner.
#[derive(Default)]
pub struct NameSearch {
    own: Option<OwnName>,
    /// The machine, by an image's header or a banner's compiler; the release by a banner.
    machine: Option<&'static str>,
    release: Option<String>,
}

/// What stands at an offset in the first page of a kernel's image (Documentation/arch/arm64/booting.rst,
/// Documentation/arch/riscv/boot-image-header.rst).
const IMAGE_HEADERS: [(usize, &[u8], &str); 2] =
    [(0x38, b"ARM\x64", "aarch64"), (0x30, b"RISCV\0\0\0RSC\x05", "riscv64")];

/// How a kernel's banner begins (init/version.c); the release follows.
pub const BANNER: &[u8] = b"Linux version ";

/// Where banners begin in these bytes: what a format or another text has behind the same words is none.
pub fn banners(bytes: &[u8]) -> impl Iterator<Item = usize> {
    memchr::memmem::find_iter(bytes, BANNER)
        .filter(|n| bytes.get(n + BANNER.len()).is_some_and(u8::is_ascii_digit))
}

/// True where one of these pages has a banner in its first `most` bytes.
pub(crate) fn has_banner(pages: impl Iterator<Item = Translation>, phys: &dyn PhysRead, most: u64) -> bool {
    let mut buf = Vec::new();
    for page in pages {
        let len = page.page_size.min(most) as usize;
        let bytes = match phys.borrow_phys(page.phys, len) {
            Some(bytes) => bytes,
            None => {
                buf.resize(len, 0);
                for (n, part) in (0..).zip(buf.chunks_mut(PAGE_SIZE as usize)) {
                    if phys.read_phys(page.phys.add(n * PAGE_SIZE), part).is_err() {
                        part.fill(0);
                    }
                }
                &buf
            }
        };
        if banners(bytes).next().is_some() {
            return true;
        }
    }
    false
}

impl NameSearch {
    /// Looks at the bytes of memory from `at` on. Once a name is found, no more are looked at.
    pub fn look(&mut self, at: PhysAddr, bytes: &[u8], phys: &dyn PhysRead) {
        if self.own.is_some() {
            return;
        }
        self.own = starts(bytes, SYSNAME).find_map(|n| match bytes.get(n..n + NAME_LEN) {
            Some(whole) => OwnName::read(whole),
            // it goes on behind these bytes
            None => {
                let mut name = [0; NAME_LEN];
                phys.read_phys(at.add(n as u64), &mut name).ok()?;
                OwnName::read(&name)
            }
        });
        if self.machine.is_none() {
            self.machine = bytes.chunks(PAGE_SIZE as usize).find_map(image_header);
        }
        if self.release.is_none() {
            let found = memchr::memmem::find_iter(bytes, BANNER).find_map(|n| banner(bytes.get(n..)?));
            if let Some((release, compiler)) = found {
                (self.release, self.machine) = (Some(release), self.machine.or(compiler));
            }
        }
    }

    /// What was found: with an empty release where only an image's header was.
    #[must_use]
    pub fn found(self) -> Option<OwnName> {
        let by_words = |machine: &str| OwnName {
            release: self.release.unwrap_or_default(),
            machine: machine.to_owned(),
        };
        self.own.or_else(|| self.machine.map(by_words))
    }
}

/// Where `wanted` begins in the bytes, and where it may begin in their last ones and go on behind them.
fn starts<'a>(bytes: &'a [u8], wanted: &'a [u8]) -> impl Iterator<Item = usize> + 'a {
    let last = bytes.len().saturating_sub(wanted.len().saturating_sub(1));
    let cut = (last..bytes.len()).filter(move |n| bytes.get(*n..).is_some_and(|end| wanted.starts_with(end)));
    memchr::memmem::find_iter(bytes, wanted).chain(cut)
}

fn image_header(page: &[u8]) -> Option<&'static str> {
    let is =
        |(at, magic, _): &&(usize, &[u8], &str)| page.get(*at..).is_some_and(|rest| rest.starts_with(magic));
    IMAGE_HEADERS.iter().find(is).map(|(.., machine)| *machine)
}

/// The release in a banner, and the machine that its compiler is for, where it says that.
fn banner(bytes: &[u8]) -> Option<(String, Option<&'static str>)> {
    const LONGEST: usize = 512;
    let text = bytes.get(..bytes.len().min(LONGEST))?;
    let line =
        text.split(|b| *b == b'\n' || *b == 0).next().and_then(|line| std::str::from_utf8(line).ok())?;
    let release = line.get(BANNER.len()..)?.split_whitespace().next()?;
    let numbered = release.starts_with(|c: char| c.is_ascii_digit()) && release.contains('.');
    let long = ELF_MACHINES.iter().map(|(_, long, _)| *long);
    let compiler =
        long.into_iter().find(|machine| line.contains(&format!("{machine}-")) && line.contains("-linux"));
    numbered.then(|| (release.to_owned(), compiler))
}

#[cfg(test)]
mod tests {
    use super::*;
    use base::{Missing, PhysRange};

    #[test]
    fn headers_name_their_machines() {
        let none = VmcoreInfo::default();
        let told = |claims: Vec<Claim>| claims.into_iter().map(|c| (c.machine, c.by)).collect::<Vec<_>>();
        let s = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        assert_eq!(told(claims(Some(183), true, None, &none, &[])), [s("aarch64", "ELF e_machine 183")]);
        assert_eq!(told(claims(Some(243), false, None, &none, &[])), [s("riscv32", "ELF e_machine 243")]);
        assert_eq!(
            told(claims(Some(999), true, None, &none, &[])),
            [s("e_machine 999", "ELF e_machine 999")]
        );
        assert_eq!(told(claims(None, true, Some("s390x"), &none, &[])), [s("s390x", "the header's utsname")]);
        assert_eq!(told(claims(None, true, Some(""), &none, &[])), []);
        let info = VmcoreInfo::parse(b"OSRELEASE=6.1\nNUMBER(PHYS_OFFSET)=0x40000000\n");
        let note = RawNote { name: b"CORE".to_vec(), kind: 1, desc: vec![0; 376] };
        let mixed = told(claims(Some(62), true, None, &info, &[note]));
        let want = [
            s("x86_64", "ELF e_machine 62"),
            s("aarch64", "NUMBER(PHYS_OFFSET) in VMCOREINFO"),
            s("riscv64", "CPU notes of 376 bytes"),
        ];
        assert_eq!(mixed, want);
    }

    #[test]
    fn a_damaged_size_of_a_cpu_note_names_no_machine() {
        let none = VmcoreInfo::default();
        let info = VmcoreInfo::parse(b"OSRELEASE=6.1\nNUMBER(PHYS_OFFSET)=0x40000000\n");
        let told = |e_machine: Option<u16>, name: Option<&str>, info: &VmcoreInfo, size: usize| {
            let note = RawNote { name: b"CORE".to_vec(), kind: 1, desc: vec![0; size] };
            let claims = claims(e_machine, true, name, info, &[note]);
            claims.into_iter().map(|c| c.machine).collect::<Vec<_>>()
        };
        // the size of another machine's, and that of one of other words
        assert_eq!(told(Some(183), None, &info, 376), ["aarch64"; 2]);
        assert_eq!(told(Some(183), None, &none, 144), ["aarch64"]);
        assert_eq!(told(None, Some("aarch64"), &none, 148), ["aarch64"]);
        assert_eq!(told(Some(3), None, &none, 392), ["i686"]);
        // nothing says more than the notes do
        assert_eq!(told(Some(0), None, &none, 144), ["i686"]);
        assert_eq!(told(Some(62), None, &none, 392), ["x86_64", "aarch64"]);
        assert_eq!(told(None, Some("x86_6t"), &none, 144), ["x86_6t", "i686"]);
    }

    struct Ram(Vec<u8>, [PhysRange; 1]);
    impl PhysRead for Ram {
        fn read_phys(&self, at: PhysAddr, buf: &mut [u8]) -> Result<(), Missing> {
            let at = at.0 as usize;
            buf.copy_from_slice(&self.0[at..at + buf.len()]);
            Ok(())
        }
        fn ranges(&self) -> &[PhysRange] {
            &self.1
        }
        fn skip_holes(&self, from: PhysAddr) -> Option<PhysAddr> {
            (from < self.1[0].end).then_some(from)
        }
        fn read_stretch(&self, at: PhysAddr, buf: &mut [u8]) -> Result<usize, Missing> {
            let n = buf.len().min((self.1[0].end.0 - at.0) as usize);
            self.read_phys(at, &mut buf[..n])?;
            Ok(n)
        }
    }

    #[test]
    fn a_kernel_s_own_name_is_found_wherever_it_lies() {
        let mut name = vec![0; 390];
        for (n, text) in ["Linux", "box", "6.1.0-9-arm64", "#1 SMP", "aarch64"].iter().enumerate() {
            name[n * FIELD..n * FIELD + text.len()].copy_from_slice(text.as_bytes());
        }
        let want = OwnName { release: "6.1.0-9-arm64".into(), machine: "aarch64".into() };
        for at in [0, 0x1234, (1 << 20) - 100, (2 << 20) - 1, (3 << 20) - 390] {
            let mut bytes = vec![0xff; 3 << 20];
            bytes[0x9000..0x9006].copy_from_slice(b"Linux\0");
            bytes[at..at + 390].copy_from_slice(&name);
            let end = PhysAddr(bytes.len() as u64);
            let ram = Ram(bytes, [PhysRange { start: PhysAddr(0), end }]);
            assert_eq!(search(&ram).as_ref(), Some(&want), "{at:#x}");
        }
        assert_eq!(search(&ram_of(vec![0; 1 << 20])), None);
    }

    fn ram_of(bytes: Vec<u8>) -> Ram {
        let end = PhysAddr(bytes.len() as u64);
        Ram(bytes, [PhysRange { start: PhysAddr(0), end }])
    }

    fn search(ram: &Ram) -> Option<OwnName> {
        let mut names = NameSearch::default();
        for (n, bytes) in (0..).zip(ram.0.chunks(0x4_0000)) {
            names.look(PhysAddr(n * 0x4_0000), bytes, ram);
        }
        names.found()
    }

    #[test]
    fn names_of_machines_are_told_from_damaged_ones() {
        for name in ["x86_64", "aarch64", "i686", "armv7l", "ppc64le", "s390x", "riscv32"] {
            assert!(is_machine(name), "{name}");
        }
        for name in ["", "x86_6t", "x86_65", "aarch6\u{b4}", "X86_64", "linux"] {
            assert!(!is_machine(name), "{name}");
        }
    }

    #[test]
    fn an_image_s_header_and_a_banner_name_a_machine() {
        let mut bytes = vec![0; 1 << 20];
        bytes[0x2_0038..0x2_003c].copy_from_slice(b"ARM\x64");
        let name =
            |release: &str, machine: &str| OwnName { release: release.into(), machine: machine.into() };
        assert_eq!(search(&ram_of(bytes.clone())), Some(name("", "aarch64")));
        let banner =
            b"Linux version 6.9.1 (me@box) (riscv64-linux-gnu-gcc (GCC) 13.2.0, GNU ld 2.41) #1 SMP\n";
        bytes[0x3_0007..0x3_0007 + banner.len()].copy_from_slice(banner);
        assert_eq!(search(&ram_of(bytes.clone())), Some(name("6.9.1", "aarch64")), "the header counts");
        bytes[0x2_0038] = 0;
        assert_eq!(search(&ram_of(bytes)), Some(name("6.9.1", "riscv64")));
        assert_eq!(search(&ram_of(b"Linux version 6.9.1 (gcc-12 (Debian 12.2.0)) #1 SMP\n".to_vec())), None);
        assert_eq!(claims(Some(0), true, Some("Unknown"), &VmcoreInfo::default(), &[]), []);
    }
}
