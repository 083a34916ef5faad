//! The supplementary file in which dwz keeps what several debug files have in common.
//!
//! Sources: `.gnu_debugaltlink` is a name, a NUL and a build id (GNU's extension of DWARF 2 to 4); `.debug_sup` is
//! section 7.3.6 of DWARF 5: version u16, is_supplementary u8, name, length of the checksum (ULEB128), checksum.
//! Where distributions put the files: `/usr/lib/debug/.dwz/NAME`, and `/usr/lib/debug/.build-id/`.
//!
//! Invariant: a file is taken by its id only, whatever it is called.

use super::DwarfError;
use crate::elf::ObjectFile;
use crate::find::{caches, hex};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where the debug files of a system begin.
const ROOT: &str = "usr/lib/debug";

/// What a file says of its supplement.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Link {
    /// Its name, absolute or from the folder of the file.
    pub(super) name: String,
    /// The build id, or DWARF 5's checksum.
    pub(super) id: Vec<u8>,
    /// DWARF 5's.
    standard: bool,
}

impl Link {
    /// `None` where a file needs none.
    pub(super) fn of(object: &ObjectFile) -> Option<Self> {
        let section = |name| object.section(name).ok().flatten();
        if let Some(bytes) = section(".gnu_debugaltlink") {
            let (name, id) = bytes.split_at_checked(memchr::memchr(0, bytes)?)?;
            let id = id.get(1..)?.to_vec();
            return Some(Self { name: String::from_utf8_lossy(name).into_owned(), id, standard: false });
        }
        let (supplementary, link) = debug_sup(section(".debug_sup")?)?;
        (!supplementary).then_some(link)
    }

    /// True for the file that is meant.
    fn is_of(&self, candidate: &ObjectFile) -> bool {
        if !self.standard {
            return candidate.build_id() == Some(self.id.as_slice());
        }
        let own = candidate.section(".debug_sup").ok().flatten().and_then(debug_sup);
        own.is_some_and(|(supplementary, own)| supplementary && own.id == self.id)
    }

    /// Where it may be, for a file at a path.
    fn places(&self, file: &Path) -> Vec<PathBuf> {
        let real = file.canonicalize();
        let folders = [Some(file), real.as_deref().ok()].into_iter().flatten().filter_map(Path::parent);
        let name = Path::new(&self.name);
        // an absolute name replaces the folder
        let mut out: Vec<PathBuf> = folders.clone().map(|folder| folder.join(name)).collect();
        let base = name.file_name().unwrap_or_default();
        // the tree that the file is in, unpacked anywhere, then the system's
        let trees = folders.flat_map(Path::ancestors).filter(|folder| folder.ends_with(ROOT));
        for tree in trees.map(Path::to_owned).chain([Path::new("/").join(ROOT)]) {
            out.push(tree.join(".dwz").join(base));
            if let (Some(root), Ok(rest)) = (tree.ancestors().nth(3), name.strip_prefix("/")) {
                out.push(root.join(rest));
            }
            if let Some((lead, rest)) = self.id.split_first() {
                let rest = format!("{}.debug", hex(rest));
                out.push(tree.join(".build-id").join(hex(&[*lead])).join(rest));
            }
        }
        out.extend(caches(&self.id));
        let mut seen = Vec::new();
        out.retain(|place| !seen.contains(place) && (seen.push(place.clone()), true).1);
        out
    }

    /// The file, wherever it is on this machine; else as `elsewhere` gets it.
    pub(super) fn find(
        &self,
        object: &ObjectFile,
        elsewhere: &dyn Fn(&str, &[u8]) -> Option<PathBuf>,
    ) -> Result<Arc<ObjectFile>, DwarfError> {
        let places = self.places(object.path());
        let check = |place: &PathBuf| {
            let candidate = ObjectFile::open(place).ok()?;
            self.is_of(&candidate).then(|| Arc::new(candidate))
        };
        let here = places.iter().filter(|place| place.is_file()).find_map(check);
        let found = here.or_else(|| elsewhere(&self.name, &self.id).and_then(|place| check(&place)));
        found.ok_or_else(|| DwarfError::NoSupplement {
            file: object.path().display().to_string(),
            wanted: self.name.clone(),
            id: hex(&self.id),
        })
    }
}

/// The section as a whole: whether it is of a supplementary file, and what it names.
fn debug_sup(bytes: &[u8]) -> Option<(bool, Link)> {
    let ([5, 0, supplementary], rest) = bytes.split_first_chunk::<3>()? else { return None };
    let (name, rest) = rest.split_at_checked(memchr::memchr(0, rest)?)?;
    // a checksum is short: its length is one byte
    let (length, id) = rest.get(1..)?.split_first()?;
    let id = id.get(..usize::from(*length)).filter(|_| *length < 0x80)?.to_vec();
    let name = String::from_utf8_lossy(name).into_owned();
    Some((*supplementary != 0, Link { name, id, standard: true }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dwarf::tests::elf;

    fn note(id: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        for word in [4, id.len() as u32, 3] {
            out.extend(word.to_le_bytes());
        }
        out.extend(b"GNU\0");
        out.extend(id);
        out
    }

    fn link(name: &str, id: &[u8]) -> Vec<u8> {
        [name.as_bytes(), &[0], id].concat()
    }

    fn standard(supplementary: u8, name: &str, id: &[u8]) -> Vec<u8> {
        [&[5, 0, supplementary], name.as_bytes(), &[0, id.len() as u8], id].concat()
    }

    fn write(dir: &Path, name: &str, sections: &[(&str, Vec<u8>)]) -> ObjectFile {
        let path = dir.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, elf(2, sections)).unwrap();
        ObjectFile::open(&path).unwrap()
    }

    const ID: [u8; 4] = [0xab, 1, 2, 3];

    #[test]
    fn it_is_found_by_its_id_in_all_places() {
        for place in [
            "usr/lib/debug/boot/../.dwz/common",
            "usr/lib/debug/.dwz/common",
            "usr/lib/debug/.build-id/ab/010203.debug",
            "usr/lib/debug/boot/named/common",
        ] {
            let dir = tempfile::tempdir().unwrap();
            let name = if place.contains("named") { "named/common" } else { "/usr/lib/debug/.dwz/common" };
            let file =
                write(dir.path(), "usr/lib/debug/boot/vmlinux", &[(".gnu_debugaltlink", link(name, &ID))]);
            let wanted = Link::of(&file).unwrap();
            assert_eq!((wanted.name.as_str(), &wanted.id[..]), (name, &ID[..]));
            let error = wanted.find(&file, &|_, _| None).unwrap_err().to_string();
            assert!(error.contains("common") && error.contains("ab010203"), "{error}");
            // another build under the name
            write(dir.path(), place, &[(".note.gnu.build-id", note(&[9; 4])), (".debug_info", vec![0])]);
            assert!(wanted.find(&file, &|_, _| None).is_err(), "{place}");
            let wrong = dir.path().join(place);
            assert!(wanted.find(&file, &|_, _| Some(wrong.clone())).is_err(), "{place}");
            write(dir.path(), place, &[(".note.gnu.build-id", note(&ID)), (".debug_info", vec![0])]);
            let found = wanted.find(&file, &|_, _| None).unwrap();
            assert_eq!(found.build_id(), Some(&ID[..]), "{place}");
        }
    }

    #[test]
    fn dwarf_5_has_a_section_for_it() {
        let dir = tempfile::tempdir().unwrap();
        let file = write(dir.path(), "vmlinux", &[(".debug_sup", standard(0, "common", &ID))]);
        let wanted = Link::of(&file).unwrap();
        assert!(wanted.find(&file, &|_, _| None).is_err());
        let common = write(dir.path(), "common", &[(".debug_sup", standard(1, "", &ID))]);
        assert_eq!(Link::of(&common), None, "it needs none itself");
        assert_eq!(wanted.find(&file, &|_, _| None).unwrap().path(), dir.path().join("common"));
        for cut in 0..12 {
            assert!(debug_sup(&standard(0, "common", &ID)[..cut]).is_none());
        }
    }

    #[test]
    fn it_is_got_where_it_is_nowhere() {
        let dir = tempfile::tempdir().unwrap();
        let name = "../../.dwz/common";
        let file = write(dir.path(), "a/vmlinux", &[(".gnu_debugaltlink", link(name, &ID))]);
        let got = write(
            dir.path(),
            "unpacked/debuginfo",
            &[(".note.gnu.build-id", note(&ID)), (".debug_info", vec![0])],
        );
        let elsewhere = |asked: &str, id: &[u8]| {
            assert_eq!((asked, id), (name, &ID[..]));
            Some(got.path().to_owned())
        };
        let found = Link::of(&file).unwrap().find(&file, &elsewhere).unwrap();
        assert_eq!(found.path(), got.path());
    }
}
