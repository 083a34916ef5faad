//! Which debug files a dump needs: the kernel's, and those of its modules; where they are, or were looked for.

use crate::error::KernelError;
use crate::module::Module;
use crate::session::Session;
use debuginfo::elf::{ObjectFile, Section};
use debuginfo::find::{Outcome, Tried};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Whose debug file it is.
#[derive(Clone, Copy, Debug)]
pub enum Of<'s> {
    /// The kernel's own.
    Kernel,
    /// A module's.
    Module(&'s Module),
}

/// A debug file that answers about this dump need.
#[derive(Clone, Debug)]
pub struct Need<'s> {
    /// Whose.
    pub of: Of<'s>,
    /// `None` where the dump does not tell it.
    pub build_id: Option<Vec<u8>>,
    /// Why it could not be read.
    pub unread: Option<KernelError>,
    /// The file that is at hand, or the pack that holds it.
    pub path: Option<PathBuf>,
    /// True where the file at hand has debug information, and not only symbols.
    pub is_whole: bool,
    /// Where it was looked for, and how each place fared.
    pub tried: Vec<Tried>,
}

impl Need<'_> {
    /// `vmlinux`, or the module's name.
    #[must_use]
    pub fn name(&self) -> &str {
        match self.of {
            Of::Kernel => "vmlinux",
            Of::Module(m) => &m.name,
        }
    }
}

fn has_dwarf(file: &ObjectFile) -> bool {
    file.header(".debug_info").is_some_and(|section: &Section| !section.is_nobits())
}

fn is_whole(path: &Path) -> bool {
    ObjectFile::open(path).is_ok_and(|file| has_dwarf(&file))
}

impl Session {
    /// The kernel's debug file. Nothing is unpacked and no server asked.
    #[must_use]
    pub fn kernel_need(&self) -> Need<'static> {
        let file = self.kernel_file();
        Need {
            of: Of::Kernel,
            build_id: self.build_id().map(<[u8]>::to_vec),
            unread: None,
            path: file.map(|file| file.path().to_owned()),
            is_whole: file.is_some_and(|file| has_dwarf(file)),
            tried: self.kernel_file_tried(),
        }
    }

    /// A module's debug file. Nothing is unpacked and no server asked.
    #[must_use]
    pub fn module_need<'m>(&self, m: &'m Module) -> Need<'m> {
        let (build_id, unread) = match self.told_build_id(m) {
            Ok(told) => (told, None),
            Err(e) => (None, Some(e)),
        };
        let (mut path, mut tried) = (self.module_file_at_hand(m), Vec::new());
        let mut whole = path.as_deref().is_some_and(is_whole);
        if let (Some(finder), Some(id)) = (self.opened().finder.as_ref(), &build_id) {
            if !whole && let Some(pack) = finder.pack_with(id) {
                (path, whole) = (Some(pack), true);
            }
            if path.is_none() {
                tried = finder.module_at_hand(&m.name, Some(id)).tried;
            }
        }
        if path.is_none() && build_id.is_none() {
            let refused = self.module_files_refused(m).into_iter();
            let told =
                |why: String| Tried { path: PathBuf::from(&m.name), outcome: Outcome::Unreadable(why) };
            tried.extend(refused.map(told));
        }
        Need { of: Of::Module(m), build_id, unread, path, is_whole: whole, tried }
    }

    /// The file with the debug information of the kernel or of a module, opened: out of packs and packages too. No server is
    /// asked.
    #[must_use]
    pub fn debug_object(&self, of: Of<'_>) -> Option<Arc<ObjectFile>> {
        let file = match of {
            Of::Kernel => self.kernel_file().cloned(),
            Of::Module(m) => match self.module_debug_loaded(m) {
                Some(file) => Some(Arc::clone(&file.object)),
                None => self.module_object(m).map(Arc::new),
            },
        };
        file.filter(|file| has_dwarf(file))
    }
}
