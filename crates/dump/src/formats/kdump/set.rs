//! The files of one dump: one file, or the parts of a split set in the order of their page frames
//! (`makedumpfile --split`: every part has all bitmaps, and descriptors and pages of its frames).

use super::header::Header;
use super::pages::File;
use crate::image::Image;
use crate::{DumpError, Gap, Part, Warning};
use std::path::Path;

/// Seconds between the times of the files of one set at most: each is written to its end before another can be begun.
const MAX_APART: u64 = 3600;

/// The files, and the frames that each is asked for.
pub(crate) struct Set {
    /// First frame, one past the last, file; ascending and disjoint.
    parts: Vec<(u64, u64, File)>,
    /// Of one of the files nothing tells which frames it has.
    is_lost: bool,
}

impl Set {
    /// Checks that the files belong together; what is missing becomes warnings.
    pub(crate) fn new(files: Vec<File>, warnings: &mut Vec<Warning>) -> Result<(Self, Vec<Part>), DumpError> {
        let first = files.first().map(|file| (file.image.path().to_path_buf(), file.header.clone()));
        let (first_path, first) = first.ok_or(DumpError::NoFiles)?;
        if let ([_], None) = (files.as_slice(), first.split) {
            let max = first.max_mapnr;
            let parts = files.into_iter().map(|file| (0, max, file)).collect();
            return Ok((Self { parts, is_lost: false }, Vec::new()));
        }
        all_parts(&files)?;
        for file in &files {
            same_dump(&file.image, &file.header, &first_path, &first)?;
        }
        // frames of a file that nothing tells are those that no other has
        let (lost, known): (Vec<File>, Vec<File>) =
            files.into_iter().partition(|file| file.header.split == Some((0, 0)));
        let is_lost = !lost.is_empty();
        let range = |file: File| {
            let (start, end) = file.header.split?;
            Some((start, end.min(file.header.max_mapnr), file))
        };
        let mut parts: Vec<_> = known.into_iter().filter_map(range).collect();
        if parts.is_empty() {
            parts.extend(lost.into_iter().map(|file| (0, 0, file)));
        }
        // of two copies of a part the longer one: the other may have been cut
        parts.sort_by_key(|(start, end, file)| (*start, *end, std::cmp::Reverse(file.image.len())));
        let named = parts
            .iter()
            .map(|(s, e, f)| Part { path: f.image.path().into(), start_pfn: *s, end_pfn: *e })
            .collect();
        let mut covered = 0;
        let mut last = None;
        let mut overlaps = Vec::new();
        let mut missing = |start_pfn, end_pfn| {
            if !is_lost {
                warnings.push(Warning::PartMissing { start_pfn, end_pfn });
            }
        };
        for (start, end, file) in &mut parts {
            if *start > covered {
                missing(covered, *start);
            } else if last == Some((*start, *end)) {
                overlaps.push(Warning::PartOverlap { start_pfn: *start, end_pfn: *end });
                *start = *end;
                continue;
            } else if *start < covered && *start < *end {
                // where a part's pages lie follows from its first frame: with a wrong one all of them are others'
                let why = format!(
                    "page frames {start:#x}-{:#x} are in another of the files too: a header is damaged, or they are of \
                     two sets",
                    covered.min(*end)
                );
                return Err(DumpError::NotOneSet { path: file.image.path().into(), first: first_path, why });
            }
            last = Some((*start, *end));
            covered = covered.max(*end);
        }
        if covered < first.max_mapnr {
            missing(covered, first.max_mapnr);
        }
        warnings.extend(overlaps);
        // of parts that have no frames one serves to tell what the others have
        if parts.iter().any(|(start, end, _)| start < end) {
            parts.retain(|(start, end, _)| start < end);
        }
        Ok((Self { parts, is_lost }, named))
    }

    /// The file that is asked for a frame; else any other, each of which has the bitmaps of the whole dump.
    pub(crate) fn any(&self, pfn: u64) -> Option<&File> {
        self.file(pfn).or_else(|| self.parts.first().map(|(.., file)| file))
    }

    /// Why a frame that no file is asked for is not there.
    pub(crate) fn elsewhere(&self, pfn: u64) -> Gap {
        match self.any(pfn).and_then(|file| file.present(pfn)) {
            Some(true) if self.is_lost => Gap::Corrupt,
            Some(true) => Gap::NotGiven,
            Some(false) => Gap::Excluded,
            None => Gap::Absent,
        }
    }

    /// The file that is asked for a frame.
    pub(crate) fn file(&self, pfn: u64) -> Option<&File> {
        Some(self.file_to(pfn)?.0)
    }

    /// The file that is asked for a frame, and one past the last frame that it is asked for.
    pub(crate) fn file_to(&self, pfn: u64) -> Option<(&File, u64)> {
        let next = self.parts.partition_point(|&(start, ..)| start <= pfn);
        let (_, end, file) = self.parts.get(next.checked_sub(1)?)?;
        (pfn < *end).then_some((file, *end))
    }

    /// Every file with its frames.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &(u64, u64, File)> {
        self.parts.iter()
    }
}

/// Several files must all be parts; what is whole is opened alone.
fn all_parts(files: &[File]) -> Result<(), DumpError> {
    let Some(whole) = files.iter().find(|file| file.header.split.is_none()) else { return Ok(()) };
    let Some(other) = files.iter().find(|file| !std::ptr::eq(*file, whole)) else { return Ok(()) };
    let (image, header, whole) = (&other.image, &other.header, &whole.image);
    let why = match header.split {
        Some((start, end)) => format!(
            "{} is a part of a split set (page frames {start:#x}-{end:#x}), {} is a whole dump; give either the whole one \
             alone or all parts",
            image.path().display(),
            whole.path().display()
        ),
        None if image.path() == whole.path() => "it is given twice".into(),
        None => "both are whole dumps; only the files of a split set (makedumpfile --split) can be opened together".into(),
    };
    Err(DumpError::NotOneSet { path: image.path().into(), first: whole.path().into(), why })
}

/// A part must have the first one's identity.
fn same_dump(image: &Image, header: &Header, first_path: &Path, first: &Header) -> Result<(), DumpError> {
    let no =
        |why: String| Err(DumpError::NotOneSet { path: image.path().into(), first: first_path.into(), why });
    if header.utsname != first.utsname {
        return no(format!("their kernels are {} and {}", header.utsname.release, first.utsname.release));
    }
    if header.max_mapnr != first.max_mapnr || header.block_size != first.block_size {
        return no(format!(
            "their machines have {:#x} and {:#x} page frames of {} and {} bytes",
            header.max_mapnr, first.max_mapnr, header.block_size, first.block_size
        ));
    }
    // each file is written by a process of its own, which may look at the clock for itself
    let apart = header.timestamp.sec.abs_diff(first.timestamp.sec);
    if apart > MAX_APART {
        return no(format!("they were written {apart} seconds apart"));
    }
    Ok(())
}
