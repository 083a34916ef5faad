//! What the files on a command line are, before any is opened: so that a word of a command that is a file's name as well
//! (`sym jiffies`, where a file `jiffies` lies) is not taken for the dump.

use debuginfo::find::{is_package, is_packed_file};
use dump::{Probe, looks_like_dump};
use std::path::Path;

/// What a word names.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FileKind {
    /// A dump by its content, a packed file that may hold one, or a folder.
    Dump,
    /// What goes with a dump: a kernel, a module, a package, a list of symbols.
    Companion,
    /// A file whose content shows no kind: a raw image, or something else; also a log, which may lie beside the dump.
    Other,
}

/// What a word names, by content; `None` where there is no such file.
#[must_use]
pub fn file_kind(path: &Path) -> Option<FileKind> {
    if path.is_dir() {
        return Some(FileKind::Dump);
    }
    if is_package(path) {
        return Some(FileKind::Companion);
    }
    if is_packed_file(path) {
        // what is in it is known when it is unpacked
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let debug = name.contains(".ko") || name.starts_with("vmlinu") || name.contains(".debug");
        return Some(if debug { FileKind::Companion } else { FileKind::Dump });
    }
    match looks_like_dump(path) {
        // `FILE@ADDRESS` says what it is
        Ok(Probe::Dump(_)) if !path.exists() => Some(FileKind::Dump),
        Ok(Probe::Dump(RAW | dump::LOG)) => Some(FileKind::Other),
        Ok(Probe::Dump(_)) => Some(FileKind::Dump),
        Ok(Probe::Vmlinux | Probe::Module | Probe::Symbols) => Some(FileKind::Companion),
        Ok(Probe::Unknown(_)) => Some(FileKind::Other),
        Err(_) => path.exists().then_some(FileKind::Other),
    }
}

/// The format that has no magic.
const RAW: &str = "raw RAM image";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_told_by_content() {
        let folder = tempfile::tempdir().unwrap();
        let put = |name: &str, bytes: &[u8]| {
            let path = folder.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            path
        };
        assert_eq!(file_kind(&put("jiffies", b"some text\n")), Some(FileKind::Other));
        assert_eq!(file_kind(&put("raw", &[0; 8192])), Some(FileKind::Other));
        assert_eq!(file_kind(&put("dump.gz", b"\x1f\x8b\x08\0\0\0\0\0")), Some(FileKind::Dump));
        assert_eq!(file_kind(&put("a.ko.gz", b"\x1f\x8b\x08\0\0\0\0\0")), Some(FileKind::Companion));
        assert_eq!(file_kind(&put("a.deb", b"!<arch>\n")), Some(FileKind::Companion));
        assert_eq!(file_kind(folder.path()), Some(FileKind::Dump));
        assert_eq!(file_kind(&folder.path().join("nosuch")), None);
        let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../samples/virtio-bug.kdump");
        assert_eq!(file_kind(&sample), Some(FileKind::Dump));
    }
}
