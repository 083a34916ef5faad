//! The table of formats. A format is told by the first bytes of its file.

mod disks;
mod elf;
mod foreign;
mod kdump;
mod lime;
mod log;
mod raw;
mod sign;

use crate::DumpError;
use crate::dump::Opened;
use crate::image::Image;

pub use log::LOG;

pub(crate) use elf::Kind as ElfKind;
pub(crate) use foreign::is_symbol_list;

/// How many bytes of a file a probe sees.
pub(crate) const PROBE_LEN: usize = 8192;

/// What a probe sees of a file.
pub(crate) struct Start<'a> {
    /// Its first [`PROBE_LEN`] bytes, fewer where it is shorter.
    pub(crate) bytes: &'a [u8],
    /// Its length.
    pub(crate) len: u64,
    /// True when it is what a flattened stream stands for.
    pub(crate) flattened: bool,
    /// True when the user said where in memory the file begins (`FILE@ADDR`).
    pub(crate) placed: bool,
    /// Reads more of it: how many bytes came.
    pub(crate) read: &'a dyn Fn(u64, &mut [u8]) -> usize,
}

/// A dump format: a row of [`FORMATS`].
pub(crate) trait Format: Sync {
    /// A short name, for messages.
    fn name(&self) -> &'static str;
    /// True when the file is of this format, however broken the rest of it is.
    fn probe(&self, start: &Start<'_>) -> bool;
    /// True where a magic tells the format: no chance makes a file begin so.
    fn has_magic(&self) -> bool {
        true
    }
    /// Opens the files, at least one and all of this format.
    fn open(&self, images: Vec<Image>) -> Result<Opened, DumpError>;
}

/// All formats, in the order in which they are asked. `raw` claims anything that could be RAM: last.
pub(crate) const FORMATS: &[&dyn Format] = &[&kdump::Kdump, &elf::Elf, &lime::Lime, &log::Log, &raw::Raw];

/// The first bytes of a file.
pub(crate) fn start(image: &Image) -> Result<Vec<u8>, DumpError> {
    let mut bytes = vec![0; PROBE_LEN];
    let n =
        image.read_at(0, &mut bytes).map_err(|source| DumpError::Io { path: image.path().into(), source })?;
    bytes.truncate(n);
    Ok(bytes)
}

/// What a file is by its content.
pub(crate) enum Told {
    /// A dump.
    Format(&'static dyn Format),
    /// A file of another kind: what it is, and what to do with it.
    Foreign(&'static str, &'static str),
    /// Nothing that is known.
    Nothing,
}

/// What a file is by its content.
pub(crate) fn tell(start: &Start<'_>) -> Told {
    if let Some((what, advice)) = foreign::name(start) {
        return Told::Foreign(what, advice);
    }
    FORMATS.iter().find(|f| f.probe(start)).map_or(Told::Nothing, |format| Told::Format(*format))
}

/// Opens a dump of one or more files.
pub(crate) fn open(images: Vec<Image>) -> Result<Opened, DumpError> {
    let mut format: Option<&'static dyn Format> = None;
    let first = images.first().map(|i| i.path().to_path_buf()).ok_or(DumpError::NoFiles)?;
    for image in &images {
        let bytes = start(image)?;
        let placed = image.placed_at();
        let start = Start {
            bytes: &bytes,
            len: image.len(),
            flattened: image.is_flattened(),
            placed: placed.is_some(),
            read: &|at, buf| image.read_at(at, buf).unwrap_or(0),
        };
        let told = match placed {
            // a piece of memory can begin with anything
            Some(_) if raw::Raw.probe(&start) => &raw::Raw as &'static dyn Format,
            _ => match tell(&start) {
                Told::Format(format) => format,
                Told::Foreign(what, advice) => {
                    return Err(DumpError::Foreign { path: image.path().into(), what: what.into(), advice });
                }
                Told::Nothing => return Err(unknown(image, &start)),
            },
        };
        if images.len() > 1
            && told.name() == elf::Elf.name()
            && let Some(foreign) = elf::foreign_core(image)
        {
            return Err(foreign);
        }
        match format {
            Some(f) if f.name() != told.name() => {
                let why = format!("one is {}, the other {}", f.name(), told.name());
                return Err(DumpError::NotOneSet { path: image.path().into(), first, why });
            }
            _ => format = Some(told),
        }
    }
    let of_stream = |image: &Image| image.header_warning().into_iter().chain(image.warning().cloned());
    let mut warnings: Vec<_> = images.iter().flat_map(of_stream).collect();
    let flattened = images.iter().any(Image::is_flattened);
    let mut opened = format.ok_or(DumpError::NoFiles)?.open(images)?;
    if flattened {
        opened.format.push_str(", flattened");
    }
    opened.facts.warnings.append(&mut warnings);
    Ok(opened)
}

/// Why a file of no kind that is known is no dump.
fn unknown(image: &Image, start: &Start<'_>) -> DumpError {
    DumpError::NotADump {
        path: image.path().into(),
        start: start.bytes.iter().take(8).copied().collect(),
        why: match image.known(0, start.bytes.len() as u64) {
            0 if image.is_flattened() => {
                "for which the flattened stream has no record: the header of the dump is lost; copy it again"
                    .into()
            }
            _ => raw::why_not(start),
        },
    }
}

/// For formats that are one file: the only image.
pub(crate) fn single(mut images: Vec<Image>, format: &str) -> Result<Image, DumpError> {
    let first = images.first().map(|i| i.path().to_path_buf()).ok_or(DumpError::NoFiles)?;
    match (images.pop(), images.is_empty()) {
        (Some(image), true) => Ok(image),
        (Some(image), false) => Err(DumpError::NotOneSet {
            path: image.path().into(),
            first,
            why: format!("{format} is never split: give one file"),
        }),
        (None, _) => Err(DumpError::NoFiles),
    }
}
