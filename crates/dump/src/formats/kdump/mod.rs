//! kdump-compressed files (also called diskdump files): makedumpfile's own format, and QEMU's with
//! `dump-guest-memory -z`, `-l` and `-s`. `header` has the layout and its sources.
//!
//! Invariant: what is read at open does not grow with the dump: no pages, of the descriptors the first and the last few,
//! which tell where the data begin and whether the file was cut, and a bitmap only where it is short (1 MiB: 32 GiB of
//! memory), to see whether it has as many bits as there are descriptors.

mod codec;
mod evidence;
mod frames;
mod header;
mod layout;
mod pages;
mod rank;
mod set;
mod stretch;

use super::{Format, Start};
use crate::cache::PageCache;
use crate::dump::{Backend, Hole, Opened};
use crate::image::Image;
use crate::{Compression, DumpError, Facts, Gap, Warning, notes};
use base::{PAGE_SIZE, Pfn, PhysAddr, PhysRange, RawNote};
use header::{Extent, Header};
use pages::File;
use set::Set;

/// Unpacked pages that are kept, in bytes.
const CACHE_BYTES: u64 = 16 << 20;
/// The smallest block of a kdump file: its first one is the header's.
const FIRST_BLOCK: u64 = 4096;
/// Notes, VMCOREINFO or erase info longer than this are none.
const MAX_TEXT: u64 = 256 << 20;

/// The row of the table.
pub(crate) struct Kdump;

impl Format for Kdump {
    fn name(&self) -> &'static str {
        "kdump-compressed"
    }

    fn probe(&self, start: &Start<'_>) -> bool {
        start.bytes.starts_with(header::MAGIC) || header::is_unsigned(start.bytes)
    }

    fn open(&self, images: Vec<Image>) -> Result<Opened, DumpError> {
        let mut warnings = Vec::new();
        let file_size = images.iter().map(Image::file_len).sum();
        let mut files = read_headers(images)?;
        let several = files.len();
        frames::settle(&mut files, &mut warnings);
        files.iter_mut().for_each(File::hold_against_bitmap);
        for file in &files {
            let own = file.header.warnings.iter().map(|warning| file.named(several, warning.clone()));
            let new: Vec<Warning> = own.filter(|warning| !warnings.contains(warning)).collect();
            warnings.extend(new);
        }
        let texts = Texts::of_all(&files, &mut warnings)?;
        let header = files.first().ok_or(DumpError::NoFiles)?.header.clone();
        let marked = files.iter().any(|file| file.header.incomplete);
        let (set, parts) = Set::new(files, &mut warnings)?;
        let unknown = |file: &File| {
            let own = |warning: &Warning| matches!(warning, Warning::FramesUnknown { path } if *path == *file.image.path());
            warnings.iter().any(own)
        };
        let misfit =
            set.iter().filter(|(.., file)| file.is_shifted && !unknown(file)).map(|(start, end, file)| {
                let (start_pfn, end_pfn) = (*start, *end);
                file.named(several, Warning::BitmapMisfit { start_pfn, end_pfn })
            });
        let misfit: Vec<Warning> = misfit.collect();
        warnings.extend(misfit);
        let mut is_cut = warnings.iter().any(|w| matches!(w.itself(), Warning::FileTruncated { .. }));
        for (.., file) in set.iter() {
            warnings.extend(file.stream_hole().map(|warning| file.named(several, warning)));
            let len = file.image.len();
            if let Some(wanted) = file.end_of_data().filter(|&w| w > len) {
                is_cut = true;
                warnings.push(file.named(several, Warning::FileTruncated { wanted, len }));
            }
        }
        if header.max_mapnr == 0 {
            warnings.push(Warning::NoMemory);
        }
        let compression = peek(&set).or(header.compression).unwrap_or(Compression::None);
        let cut = marked || is_cut || set.iter().any(|(.., file)| file.image.is_flattened());
        let facts = Facts {
            page_size: header.block_size,
            file_size,
            header_version: Some(header.version),
            words: Some(header.layout.words),
            compression: Some(compression),
            dump_level: header.dump_level,
            utsname: Some(header.utsname.clone()),
            timestamp: Some(header.timestamp),
            nr_cpus: Some(header.nr_cpus),
            max_mapnr: Some(header.max_mapnr),
            phys_base: header.phys_base,
            erase_info: texts.erase_info,
            parts,
            warnings,
            ..Facts::default()
        };
        let mut format = format!("kdump-compressed v{} ({compression})", header.version);
        if several > 1 || header.split.is_some() {
            format.push_str(&format!(", {several} of a split set"));
        }
        Ok(Opened {
            backend: Box::new(Memory::new(set, &header, cut)),
            format,
            notes: texts.notes,
            vmcoreinfo: texts.vmcoreinfo,
            facts,
            virt: Vec::new(),
        })
    }
}

/// The files with their headers: where one's numbers lead nowhere, those of another one of the set may.
fn read_headers(images: Vec<Image>) -> Result<Vec<File>, DumpError> {
    let read: Vec<Result<Header, DumpError>> = images.iter().map(|image| Header::read(image, None)).collect();
    let sound = read.iter().flatten().find(|header| header.is_confirmed).map(|header| header.geometry);
    let files = images.into_iter().zip(read).map(|(image, header)| {
        let is_confirmed = header.as_ref().is_ok_and(|header| header.is_confirmed);
        let header = if is_confirmed { header? } else { Header::read(&image, sound.as_ref()).or(header)? };
        Ok(File::new(image, header))
    });
    files.collect()
}

/// What the sub header points at.
#[derive(Default)]
struct Texts {
    notes: Vec<RawNote>,
    vmcoreinfo: Option<Vec<u8>>,
    erase_info: Option<String>,
}

impl Texts {
    /// What the first file says, and of what it lacks what any other one of the set says.
    fn of_all(files: &[File], warnings: &mut Vec<Warning>) -> Result<Self, DumpError> {
        let mut all = Self::default();
        for file in files {
            let own = Self::read(&file.image, &file.header, warnings)?;
            if all.notes.is_empty() {
                all.notes = own.notes;
            }
            all.vmcoreinfo = all.vmcoreinfo.or(own.vmcoreinfo);
            all.erase_info = all.erase_info.or(own.erase_info);
        }
        Ok(all)
    }

    fn read(image: &Image, header: &Header, warnings: &mut Vec<Warning>) -> Result<Self, DumpError> {
        let raw = read_part(image, "ELF notes", header.notes, warnings)?;
        let notes = notes::parse(&raw, header.layout.words, warnings);
        let pointed = if header.vmcoreinfo.len == 0 {
            None
        } else {
            let text = read_part(image, "VMCOREINFO", header.vmcoreinfo, &mut Vec::new())?;
            let good = notes::is_vmcoreinfo(&text);
            if !good {
                let Extent { offset, len: size } = header.vmcoreinfo;
                warnings.push(Warning::BadVmcoreinfo { offset, size });
            }
            good.then_some(text)
        };
        let erased = read_part(image, "erase info (what makedumpfile erased)", header.erase_info, warnings)?;
        let erased = notes::text(&erased).unwrap_or_else(|()| {
            let Extent { offset, len: size } = header.erase_info;
            warnings.push(Warning::BadEraseInfo { offset, size });
            None
        });
        let erased = erased.or_else(|| notes::erase_info(&notes));
        Ok(Self { vmcoreinfo: pointed.or_else(|| notes::vmcoreinfo(&notes)), notes, erase_info: erased })
    }
}

/// As much of an extent as the file has.
fn read_part(
    image: &Image,
    what: &'static str,
    at: Extent,
    warnings: &mut Vec<Warning>,
) -> Result<Vec<u8>, DumpError> {
    // the header itself is in the first block: nothing else lies there
    if at.len > 0 && at.offset < FIRST_BLOCK {
        warnings.push(Warning::InHeader { what, offset: at.offset, len: at.len });
        return Ok(Vec::new());
    }
    let have = at.len.min(image.len().saturating_sub(at.offset)).min(MAX_TEXT);
    if have < at.len {
        warnings.push(Warning::NotesTruncated { what, offset: at.offset, wanted: at.len, len: image.len() });
    }
    if have == 0 {
        return Ok(Vec::new());
    }
    image.header(what, at.offset, have)
}

/// How the first pages are packed, by their own descriptors: the header can be silent, or damaged.
fn peek(set: &Set) -> Option<Compression> {
    let (.., file) = set.iter().next()?;
    header::compression(file.first_packing()?)
}

struct Memory {
    set: Set,
    /// The file lacks pages that its bitmap promises.
    cut: bool,
    page_len: u64,
    cache: PageCache,
    ranges: Vec<PhysRange>,
}

impl Memory {
    fn new(set: Set, header: &Header, cut: bool) -> Self {
        let page_len = header.block_size;
        let end = PhysAddr(header.max_mapnr.saturating_mul(page_len));
        let ranges = if end.0 == 0 { Vec::new() } else { vec![PhysRange { start: PhysAddr(0), end }] };
        let stable = set.iter().all(|(.., file)| file.image.is_stable());
        let cache = PageCache::of(stable, page_len as usize, (CACHE_BYTES / page_len) as usize);
        Self { set, cut, page_len, cache, ranges }
    }

    /// Frames of [`PAGE_SIZE`] in a page of the dump.
    fn ratio(&self) -> u64 {
        self.page_len / PAGE_SIZE
    }

    /// The bytes of a page that the cache or the file has whole.
    fn whole(&self, pfn: u64, within: usize, buf: &mut [u8]) -> Result<(), Gap> {
        let Some(file) = self.set.file(pfn) else { return Err(self.set.elsewhere(pfn)) };
        let fill = |page: &mut [u8]| file.unpack(file.desc(pfn)?, page);
        self.cache.with(pfn, fill, |page| {
            if let Some(from) = page.get(within..within.saturating_add(buf.len())) {
                buf.copy_from_slice(from);
            }
        })
    }

    /// What a cut file still has of a page that is stored plainly: how many bytes from `within` on, one at least.
    fn part(&self, pfn: u64, within: u64, buf: &mut [u8]) -> Option<usize> {
        let file = self.set.file(pfn)?;
        let (offset, have) = file.cut_page(pfn)?;
        let left = have.checked_sub(within).filter(|&left| left > 0)?;
        let n = usize::try_from(left).unwrap_or(usize::MAX).min(buf.len());
        file.image.fill(offset.checked_add(within)?, buf.get_mut(..n)?).ok()?;
        Some(n)
    }
}

impl Backend for Memory {
    fn read_front(&self, at: PhysAddr, buf: &mut [u8]) -> Result<usize, Hole> {
        let (pfn, within) = (at.0 / self.page_len, at.0 % self.page_len);
        match self.whole(pfn, within as usize, buf) {
            Ok(()) => Ok(buf.len()),
            Err(Gap::Truncated) => {
                self.part(pfn, within, buf).ok_or_else(|| Hole::of_page(at, Gap::Truncated))
            }
            Err(why) => Err(Hole::of_page(at, why)),
        }
    }

    fn read_stretch(&self, at: PhysAddr, buf: &mut [u8]) -> Result<usize, Hole> {
        let (pfn, within) = (at.0 / self.page_len, at.0 % self.page_len);
        let page_len = self.page_len as usize;
        if within == 0
            && buf.len() >= page_len
            && let Some((file, end)) = self.set.file_to(pfn)
            && let Ok(pages) = stretch::unpack(file, pfn, end, page_len, buf)
        {
            return Ok(pages * page_len);
        }
        let n = buf.len().min((PAGE_SIZE - at.page_offset()) as usize);
        self.read_front(at, buf.get_mut(..n).unwrap_or_default())
    }

    fn ranges(&self) -> &[PhysRange] {
        &self.ranges
    }

    fn present(&self, pfn: Pfn) -> Option<bool> {
        let pfn = pfn.0 / self.ratio();
        self.set.any(pfn)?.present(pfn)
    }

    fn skip_holes(&self, from: PhysAddr) -> Result<Option<PhysAddr>, Gap> {
        let wanted = from.0 / self.page_len;
        for (start, end, file) in self.set.iter().filter(|(_, end, _)| *end > wanted) {
            if let Some(found) = file.next_present(wanted.max(*start))?.filter(|p| p < end) {
                return Ok(found.checked_mul(self.page_len).map(|at| PhysAddr(at.max(from.0))));
            }
        }
        Ok(None)
    }

    fn borrow(&self, at: PhysAddr, len: usize) -> Option<&[u8]> {
        let pfn = at.0 / self.page_len;
        let within = at.0 % self.page_len;
        if within.checked_add(len as u64)? > self.page_len {
            return None;
        }
        let file = self.set.file(pfn)?;
        let desc = file.desc(pfn).ok().filter(|d| d.flags & codec::PACKED == 0)?;
        file.image.borrow(desc.offset.checked_add(within)?, len)
    }

    fn held_bytes(&self) -> u64 {
        let count = |(start, end, file): &(u64, u64, File)| {
            let promised = file.count_before(*end).saturating_sub(file.count_before(*start));
            if self.cut { promised.min(file.count_whole()) } else { promised }
        };
        let read = self.set.iter().filter(|(.., file)| !file.is_shifted);
        read.map(count).sum::<u64>().saturating_mul(self.page_len)
    }
}
