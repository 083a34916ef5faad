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
}

impl Set {
    /// Checks that the files belong together; what is missing becomes warnings.
    pub(crate) fn new(
        files: Vec<(Image, Header)>,
        warnings: &mut Vec<Warning>,
    ) -> Result<(Self, Vec<Part>), DumpError> {
        let first = files.first().map(|(i, h)| (i.path().to_path_buf(), h.clone()));
        let (first_path, first) = first.ok_or(DumpError::NoFiles)?;
        if let ([_], None) = (files.as_slice(), first.split) {
            let max = first.max_mapnr;
            let parts = files.into_iter().map(|(i, h)| (0, max, File::new(i, h))).collect();
            return Ok((Self { parts }, Vec::new()));
        }
        all_parts(&files)?;
        for (image, header) in &files {
            same_dump(image, header, &first_path, &first)?;
        }
        let mut parts: Vec<_> = files
            .into_iter()
            .filter_map(|(i, h)| h.split.map(|(s, e)| (s, e.min(h.max_mapnr), File::new(i, h))))
            .collect();
        // of two copies of a part the longer one: the other may have been cut
        parts.sort_by_key(|(start, end, file)| (*start, *end, std::cmp::Reverse(file.image.len())));
        let named = parts
            .iter()
            .map(|(s, e, f)| Part { path: f.image.path().into(), start_pfn: *s, end_pfn: *e })
            .collect();
        let mut covered = 0;
        let mut last = None;
        for (start, end, file) in &mut parts {
            if *start > covered {
                warnings.push(Warning::PartMissing { start_pfn: covered, end_pfn: *start });
            } else if last == Some((*start, *end)) {
                warnings.push(Warning::PartOverlap { start_pfn: *start, end_pfn: *end });
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
            warnings.push(Warning::PartMissing { start_pfn: covered, end_pfn: first.max_mapnr });
        }
        // of parts that have no frames one serves to tell what the others have
        if parts.iter().any(|(start, end, _)| start < end) {
            parts.retain(|(start, end, _)| start < end);
        }
        Ok((Self { parts }, named))
    }

    /// The file that is asked for a frame; else any other, each of which has the bitmaps of the whole dump.
    pub(crate) fn any(&self, pfn: u64) -> Option<&File> {
        self.file(pfn).or_else(|| self.parts.first().map(|(.., file)| file))
    }

    /// Why a frame that no file is asked for is not there.
    pub(crate) fn elsewhere(&self, pfn: u64) -> Gap {
        match self.any(pfn).and_then(|file| file.present(pfn)) {
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
fn all_parts(files: &[(Image, Header)]) -> Result<(), DumpError> {
    let Some((whole, _)) = files.iter().find(|(_, header)| header.split.is_none()) else { return Ok(()) };
    let other = |(image, _): &&(Image, Header)| !std::ptr::eq(image, whole);
    let Some((image, header)) = files.iter().find(other) else { return Ok(()) };
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
