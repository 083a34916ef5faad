//! The memories that `search` goes through.

use super::SearchArgs;
use crate::show::tasks;
use crate::show::values;
use crate::{CommandError, Cx};
use arch::{PageTables, UserMap};
use base::{FaultKind, GRANULE, PhysAddr, PhysRead, VirtAddr, VirtRead};
use kernel::scan::{Run, Scanned};
use kernel::{Image, Session};
use std::sync::atomic::{AtomicU64, Ordering};

/// A memory.
pub(super) enum Memory<'s> {
    /// `direct`: where the direct map begins, where it is searched.
    Kernel {
        s: &'s Session,
        direct: Option<VirtAddr>,
        mapped: bool,
    },
    User {
        s: &'s Session,
        map: Box<UserMap>,
    },
    Physical {
        image: &'s Image,
    },
}

impl<'s> Memory<'s> {
    pub(super) fn chosen(cx: &Cx<'s>, args: &SearchArgs) -> Result<Self, CommandError> {
        let several = usize::from(args.user)
            + usize::from(args.physical)
            + usize::from(args.kernel || args.direct || args.mapped);
        if several > 1 || (args.direct && args.mapped) {
            return Err(CommandError::argument("-k, -K, -V, -u and -p are mutually exclusive"));
        }
        if args.physical {
            return Ok(Self::Physical { image: cx.image()? });
        }
        let s = cx.session()?;
        if !args.user {
            let direct = match args.mapped {
                true => None,
                false => Some(kernel::mm::slab::direct_map_base(s).map_err(|e| {
                    let why = "where the kernel maps all memory is not known";
                    CommandError::failed(format_args!("{why}: {e}; \"search -p\" searches all memory"))
                })?),
            };
            return Ok(Self::Kernel { s, direct, mapped: !args.direct });
        }
        let task = tasks::context(cx)?;
        if task.mm == Some(VirtAddr(0)) {
            let why = format!(
                "the context, task {} ({}), has no user memory; \"set PID\" chooses another",
                task.pid, task.comm
            );
            return Err(CommandError::failed(why));
        }
        let map = kernel::mm::address_space::user_memory(s, task).map_err(CommandError::failed)?;
        Ok(Self::User { s, map: Box::new(map) })
    }

    /// The physical memory behind.
    pub(super) fn phys(&self) -> &'s dyn PhysRead {
        match self {
            Self::Kernel { s, .. } | Self::User { s, .. } => s.phys(),
            Self::Physical { image } => image.phys(),
        }
    }

    /// First and last address to search, from `-s`, `-e` and `-l`.
    pub(super) fn range(&self, cx: &Cx<'_>, args: &SearchArgs) -> Result<(VirtAddr, u64), CommandError> {
        let at = |word: &Option<String>| -> Result<Option<VirtAddr>, CommandError> {
            let Some(word) = word else { return Ok(None) };
            let plain = crate::engine::number::hex(word).map(VirtAddr);
            let at = match (plain, self) {
                (Some(at), _) => at,
                (None, _) => values::address(cx, cx.session()?, word)?,
            };
            self.fits(at)?;
            Ok(Some(at))
        };
        let (from, to) = self.bounds();
        let start = at(&args.start)?.unwrap_or(VirtAddr(from));
        let mut last = to;
        if let Some(end) = at(&args.end)? {
            if end < start {
                let why = format!("ending address {:x} is below starting address {:x}", end.0, start.0);
                return Err(CommandError::failed(why));
            }
            last = end.0.saturating_sub(1);
        }
        if let Some(word) = args.length.as_deref() {
            if args.end.is_some() {
                return Err(CommandError::argument("-e and -l are mutually exclusive"));
            }
            let len =
                word.parse::<u64>().ok().or_else(|| crate::engine::number::hex(word)).filter(|&n| n > 0);
            let len = len.ok_or_else(|| CommandError::argument(format_args!("invalid length: {word}")))?;
            last = start.0.saturating_add(len - 1).min(to);
        }
        Ok((start, last))
    }

    fn fits(&self, at: VirtAddr) -> Result<(), CommandError> {
        let (kind, ok) = match self {
            Self::Kernel { s, .. } => ("kernel virtual", s.arch().is_kernel(at)),
            Self::User { s, .. } => ("user virtual", !s.arch().is_kernel(at)),
            Self::Physical { .. } => return Ok(()),
        };
        if ok {
            Ok(())
        } else {
            Err(CommandError::failed(format_args!("invalid {kind} address: {:x}", at.0)))
        }
    }

    /// First and last address.
    fn bounds(&self) -> (u64, u64) {
        match self {
            Self::Kernel { s, .. } => (s.boot().tables.kernel_half().0, u64::MAX),
            Self::User { .. } => (0, u64::MAX >> 1),
            Self::Physical { .. } => (0, u64::MAX),
        }
    }

    /// All of it, ascending; bytes whose page tables are missing are counted.
    pub(super) fn runs<'a>(&'a self, lost: &'a Lost) -> Box<dyn Iterator<Item = Run> + 'a> {
        let phys = self.phys();
        match self {
            Self::Physical { .. } => Box::new(phys.ranges().iter().map(|r| Run {
                virt: VirtAddr(r.start.0),
                phys: r.start,
                len: r.len(),
            })),
            Self::User { s, map } => {
                let end = s.arch().layout.user_end(map.tables());
                Box::new(mapped(*map.tables(), phys, VirtAddr(0), end, lost))
            }
            Self::Kernel { s, direct, mapped: others } => {
                let direct_map = direct.iter().flat_map(move |base| {
                    let run = move |r: &base::PhysRange| Run {
                        virt: base.add(r.start.0),
                        phys: r.start,
                        len: r.len(),
                    };
                    phys.ranges().iter().map(run)
                });
                let ranges = kernel_ranges(s, direct.is_some(), *others);
                let tables = *s.map().tables();
                let parts = move |(from, to)| mapped(tables, phys, from, to, lost);
                Box::new(direct_map.chain(ranges.into_iter().flat_map(parts)))
            }
        }
    }

    /// Bytes of a range that are memory of the machine, as far as that can be told, and that no run has: the dump does not
    /// hold them.
    pub(super) fn absent(&self, start: u64, last: u64, done: &Scanned) -> u64 {
        let found = done.bytes.saturating_add(done.missing).saturating_add(done.holes);
        let (tables, phys) = match self {
            // any physical address may be memory
            Self::Physical { .. } => return (last - start).saturating_add(1).saturating_sub(found),
            // its runs are what its tables map
            Self::User { .. } => return 0,
            // of a part of the kernel's memory what lies outside is not meant
            Self::Kernel { direct: None, .. } | Self::Kernel { mapped: false, .. } => return 0,
            Self::Kernel { s, .. } => (*s.map().tables(), s.phys()),
        };
        let lost = Lost::new(VirtAddr(start), last);
        let runs = mapped(tables, phys, VirtAddr(start), VirtAddr(last.saturating_add(1)), &lost);
        runs.map(|run| run.len).fold(0, u64::saturating_add).saturating_sub(found)
    }

    /// Why a range has nothing to search.
    pub(super) fn nothing(&self) -> &'static str {
        match self {
            Self::Physical { .. } => "the dump holds nothing of the range",
            Self::User { .. } => "the process has nothing mapped in the range",
            Self::Kernel { direct: None, .. } | Self::Kernel { mapped: false, .. } => {
                "the range has nothing of the part of the kernel's memory that the option chooses"
            }
            Self::Kernel { .. } => "the kernel has nothing mapped in the range",
        }
    }

    /// About how many bytes lie in a range, for the progress; 0 where only a walk could tell.
    pub(super) fn size(&self, start: u64, last: u64) -> u64 {
        let ranges = self.phys().ranges().iter();
        let base = match self {
            Self::Physical { .. } => 0,
            Self::Kernel { direct: Some(base), .. } => base.0,
            _ => return 0,
        };
        let run = |r: &base::PhysRange| Run {
            virt: VirtAddr(base.wrapping_add(r.start.0)),
            phys: r.start,
            len: r.len(),
        };
        ranges.filter_map(|r| run(r).within(start, last)).map(|r| r.len).sum()
    }

    /// Bytes from `at` on, as many of `len` as are there.
    pub(super) fn bytes(&self, at: VirtAddr, len: usize) -> Vec<u8> {
        let mut out = vec![0; len];
        let gap = match self {
            Self::Physical { image } => {
                image.phys().read_phys(PhysAddr(at.0), &mut out).err().map(|m| m.at.0)
            }
            Self::User { map, .. } => map.read(at, &mut out).err().map(|f| f.at.0),
            Self::Kernel { s, .. } => s.mem().read(at, &mut out).err().map(|f| f.at.0),
        };
        if let Some(gap) = gap {
            // before the first byte that is missing all are right
            out.truncate(usize::try_from(gap.saturating_sub(at.0)).unwrap_or(len));
        }
        out
    }
}

/// Counts the bytes of a range whose page tables are missing: whether anything is mapped there is not known.
pub(super) struct Lost {
    start: VirtAddr,
    last: u64,
    bytes: AtomicU64,
}

impl Lost {
    pub(super) const fn new(start: VirtAddr, last: u64) -> Self {
        Self { start, last, bytes: AtomicU64::new(0) }
    }
    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }
    fn add(&self, at: VirtAddr, len: u64) {
        let part = Run { virt: at, phys: PhysAddr(0), len }.within(self.start.0, self.last);
        let len = part.map_or(0, |part| part.len);
        self.bytes.store(self.bytes().saturating_add(len), Ordering::Relaxed);
    }
}

/// What the page tables map of the kernel's half beside the direct map, ascending.
fn kernel_ranges(s: &Session, image: bool, others: bool) -> Vec<(VirtAddr, VirtAddr)> {
    let mut out = Vec::new();
    let [text, end] = s.kernel_places();
    let [map, map_end, modules_end] = s.arch().layout.image_range();
    if others {
        below_image(s, text, map, &mut out);
    }
    let end = end.unwrap_or(map_end);
    if image {
        out.push((text.unwrap_or(map), end));
    }
    if others {
        out.push((end.add(GRANULE - 1).page_base(), modules_end));
    }
    out
}

/// What lies between the direct map and the image at `text`, which lies in the range that begins at `map`.
fn below_image(s: &Session, text: Option<VirtAddr>, map: VirtAddr, out: &mut Vec<(VirtAddr, VirtAddr)>) {
    let last = || s.phys().ranges().last().map_or(0, |range| range.end.0);
    match s.vmalloc_range() {
        Ok(None) => out.push((map, text.unwrap_or(map))),
        Ok(Some((start, size))) => match kernel::mm::slab::vmemmap_base(s) {
            Ok(pages) => {
                let end = start.0.saturating_add(size);
                out.push((start, VirtAddr(end.min(pages.0.max(start.0)))));
                // struct page is 64 bytes, more with debug options
                out.push((pages, pages.add((last() >> s.page_shift()).saturating_mul(128))));
            }
            // it is somewhere below the image
            Err(_) => out.push((start, map.max(start))),
        },
        // where it begins is lost: somewhere behind the direct map
        Err(_) => {
            if let Ok(direct) = kernel::mm::slab::direct_map_base(s) {
                let behind = direct.add(last());
                out.push((behind, map.max(behind)));
            }
        }
    }
}

/// Mapped pages as runs.
fn mapped<'a>(
    tables: PageTables,
    phys: &'a dyn PhysRead,
    start: VirtAddr,
    end: VirtAddr,
    lost: &'a Lost,
) -> impl Iterator<Item = Run> + 'a {
    tables.mapped(phys, start, end).and_lost().filter_map(move |(at, t)| {
        let t = match t {
            Ok(t) => t,
            Err(len) => {
                lost.add(at, len.min(end.0.wrapping_sub(at.0)));
                return None;
            }
        };
        let len = t.page_size - (at.0 & (t.page_size - 1));
        Run { virt: at, phys: t.phys, len }.within(start.0, end.0.checked_sub(1)?)
    })
}

/// The pages of a few kernel addresses, and how many bytes are in pages whose table is missing.
pub(super) fn translated(s: &Session, start: VirtAddr, end: VirtAddr) -> (Vec<Run>, u64) {
    let (mut out, mut lost) = (Vec::new(), 0);
    let mut at = start;
    while at < end {
        let len = (GRANULE - at.page_offset()).min(end.0 - at.0);
        match s.map().translate(at) {
            Ok((phys, _)) => out.push(Run { virt: at, phys, len }),
            Err(fault) if matches!(fault.kind, FaultKind::Table(_)) => lost += len,
            Err(_) => {}
        }
        at = at.add(len);
    }
    (out, lost)
}
