//! The module files below some folders, by the name that the kernel gives them.

use crate::elf::{ObjectFile, module_own_name};
use rustc_hash::FxHashMap;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// Folders below folders that are followed.
const MAX_DEPTH: usize = 16;
/// Entries that are looked at in all.
const MAX_ENTRIES: usize = 400_000;

/// Files that are opened for their own names, at most.
const MAX_OPENED: usize = 4096;

/// Module names (with `_`) to files, those with debug information first.
#[derive(Debug, Default)]
pub(super) struct ModuleIndex {
    files: FxHashMap<String, Vec<PathBuf>>,
    /// The same by the names that files have in them, of those that are called otherwise.
    renamed: OnceLock<FxHashMap<String, Vec<PathBuf>>>,
    /// The folder at which the search ended, as too much lies below all.
    ended_at: Option<PathBuf>,
    /// The folder of the first file that was not opened for its own name, as too many were.
    unopened: OnceLock<PathBuf>,
}

impl ModuleIndex {
    pub(super) fn read(dirs: impl Iterator<Item = PathBuf>) -> Self {
        Self::bounded(dirs, MAX_ENTRIES)
    }

    fn bounded(dirs: impl Iterator<Item = PathBuf>, mut left: usize) -> Self {
        let mut index = Self::default();
        for dir in dirs {
            index.visit(&dir, 0, &mut left);
        }
        index
    }

    /// Symbolic links to folders (`build`, `source`) are not followed.
    fn visit(&mut self, dir: &Path, depth: usize, left: &mut usize) {
        let Ok(entries) = std::fs::read_dir(dir) else { return };
        for entry in entries.flatten() {
            if *left == 0 {
                self.ended_at.get_or_insert_with(|| dir.to_owned());
                return;
            }
            *left -= 1;
            let Ok(kind) = entry.file_type() else { continue };
            if kind.is_dir() && depth < MAX_DEPTH {
                self.visit(&entry.path(), depth + 1, left);
            } else if let Some(name) = entry.file_name().to_str().and_then(module_name) {
                self.files.entry(name).or_default().push(entry.path());
            }
        }
    }

    /// Where the search ended before it had seen all, and why.
    pub(super) fn unsearched(&self) -> impl Iterator<Item = (PathBuf, String)> {
        let ended = self.ended_at.iter().map(|dir| {
            (
                dir.clone(),
                format!("not searched to its end: more than {MAX_ENTRIES} files lie below the folders"),
            )
        });
        let unopened = self.unopened.get().map(|dir| {
            (dir.clone(), format!("only {MAX_OPENED} module files were opened for the names in them: a renamed file may be missed"))
        });
        ended.chain(unopened)
    }

    pub(super) fn files(&self, name: &str) -> impl Iterator<Item = &PathBuf> {
        self.files.get(&name.replace('-', "_")).into_iter().flatten()
    }

    /// The files below these folders that are a module of this name by what is in them, and are called otherwise. Packed ones
    /// are told by their names alone.
    pub(super) fn renamed(&self, name: &str, dirs: &[PathBuf]) -> impl Iterator<Item = &PathBuf> {
        let renamed = self.renamed.get_or_init(|| {
            let within = |path: &PathBuf| dirs.iter().any(|dir| path.starts_with(dir));
            let is_plain = |path: &PathBuf| path.extension().is_some_and(|e| e == "ko" || e == "debug");
            let all =
                self.files.iter().flat_map(|(called, files)| files.iter().map(move |file| (called, file)));
            let mut out: FxHashMap<String, Vec<PathBuf>> = FxHashMap::default();
            let plain = all.filter(|(_, path)| within(path) && is_plain(path));
            for (n, (called, path)) in plain.enumerate() {
                if n >= MAX_OPENED {
                    self.unopened.get_or_init(|| path.parent().unwrap_or(path).to_owned());
                    break;
                }
                let own = ObjectFile::open(path).ok().and_then(|object| module_own_name(&object));
                if let Some(own) = own.filter(|own| own != called) {
                    out.entry(own).or_default().push(path.clone());
                }
            }
            out
        });
        renamed.get(&name.replace('-', "_")).into_iter().flatten()
    }
}

/// `virtio-ring.ko.debug.xz` is the module `virtio_ring`.
pub(super) fn module_name(file: &str) -> Option<String> {
    let file = [".xz", ".zst", ".gz", ".bz2"].iter().find_map(|e| file.strip_suffix(e)).unwrap_or(file);
    let file = file.strip_suffix(".debug").unwrap_or(file);
    Some(file.strip_suffix(".ko")?.replace('-', "_"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn module_names() {
        assert_eq!(module_name("virtio-ring.ko.debug.xz").as_deref(), Some("virtio_ring"));
        assert_eq!(module_name("e1000e.ko").as_deref(), Some("e1000e"));
        assert_eq!(module_name("modules.dep"), None);
    }

    #[test]
    fn an_end_before_all_was_seen_is_told() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["a.ko", "b.ko", "c.ko"] {
            std::fs::write(dir.path().join(name), "").unwrap();
        }
        let of = |bound| ModuleIndex::bounded(std::iter::once(dir.path().to_owned()), bound);
        assert_eq!(of(3).unsearched().count(), 0);
        let cut = of(2);
        assert_eq!(["a", "b", "c"].iter().filter(|name| cut.files(name).count() == 1).count(), 2);
        let (at, why) = cut.unsearched().next().unwrap();
        assert_eq!(at, dir.path());
        assert!(why.starts_with("not searched to its end"), "{why}");
    }
}
