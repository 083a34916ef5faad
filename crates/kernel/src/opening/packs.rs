//! Packs that were named beside a dump. What a pack holds its index says: one of another build is refused before anything of it is
//! unpacked.

use crate::error::{KernelError, Result};
use crate::opening::open::unhex;
use crate::opening::options::OpenOptions;
use base::VmcoreInfo;
use debuginfo::find::{cache_dir, hex};
use debuginfo::pack::{Pack, PackError};
use std::path::{Path, PathBuf};

/// The kernel's file of a pack, unpacked, and its name in the pack: with it the pack is known to be of the dump's build or not, as a
/// vmlinux is. `info` is what the dump's headers say.
pub(crate) fn kernel_of(
    path: &Path,
    info: &VmcoreInfo,
    options: &OpenOptions,
) -> Result<Option<(PathBuf, String)>> {
    let failed = |e: PackError| match e {
        PackError::Cancelled => KernelError::Stopped("unpacking"),
        e => KernelError::Open(e.to_string()),
    };
    let pack = Pack::open(path).map_err(failed)?;
    let Some(entry) = pack.vmlinux() else { return Ok(None) };
    if let Some(told) = info.get("BUILD-ID").and_then(unhex)
        && told != entry.build_id
        && !options.force
    {
        let path = PathBuf::from(format!("{} ({})", path.display(), entry.name));
        return Err(KernelError::WrongBuild { path, file: hex(&entry.build_id), dump: hex(&told) });
    }
    let place = pack.unpack(entry, &cache_dir(), &options.watch).map_err(failed)?;
    Ok(Some((place, entry.name.clone())))
}
