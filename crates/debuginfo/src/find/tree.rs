//! The module files below some folders, by the name that the kernel gives them.

use rustc_hash::FxHashMap;
use std::path::{Path, PathBuf};

/// Folders below folders that are followed.
const MAX_DEPTH: usize = 16;
/// Entries that are looked at in all.
const MAX_ENTRIES: usize = 400_000;

/// Module names (with `_`) to files, those with debug information first.
#[derive(Debug, Default)]
pub(super) struct ModuleIndex {
    files: FxHashMap<String, Vec<PathBuf>>,
}

impl ModuleIndex {
    pub(super) fn read(dirs: impl Iterator<Item = PathBuf>) -> Self {
        let mut index = Self::default();
        let mut left = MAX_ENTRIES;
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

    pub(super) fn files(&self, name: &str) -> impl Iterator<Item = &PathBuf> {
        self.files.get(&name.replace('-', "_")).into_iter().flatten()
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
}
