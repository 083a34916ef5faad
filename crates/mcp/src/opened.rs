//! The dump that tools ask: the one that the program was started with, or the one that the client opens.

use base::Cancel;
use kernel::{FileKind, Layers, OpenOptions};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The dump, and how others are opened.
#[derive(Debug)]
pub struct Opened {
    /// How the client's files are opened; `None` where the dump is fixed.
    options: Option<OpenOptions>,
    layers: Option<Arc<Layers>>,
    cancel: Cancel,
}

impl Opened {
    /// A dump that was opened already: the client can open no other. `cancel` is the switch that it was opened with.
    #[must_use]
    pub fn fixed(layers: Layers, cancel: Cancel) -> Self {
        Self { options: None, layers: Some(Arc::new(layers)), cancel }
    }
    /// No dump yet: the client opens one, with these options.
    #[must_use]
    pub fn by_client(options: OpenOptions) -> Self {
        let cancel = options.watch.cancel.clone();
        Self { options: Some(options), layers: None, cancel }
    }
    pub(crate) const fn is_fixed(&self) -> bool {
        self.options.is_none()
    }
    pub(crate) fn layers(&self) -> Option<Arc<Layers>> {
        self.layers.clone()
    }
    pub(crate) const fn cancel(&self) -> &Cancel {
        &self.cancel
    }

    /// Opens files in place of what is open.
    ///
    /// # Errors
    /// One is not there, or none of them is a dump. What was open stays.
    pub(crate) fn open(&mut self, files: Vec<String>) -> Result<(), String> {
        let Some(options) = &self.options else {
            return Err("the dump was chosen when the server was started".to_owned());
        };
        if let Some(why) = files.iter().find_map(|file| why_not_opened(Path::new(file))) {
            return Err(why);
        }
        let mut options = options.clone();
        options.files = files.into_iter().map(PathBuf::from).collect();
        let layers = Layers::open(options).map_err(|e| e.to_string())?;
        // what a packed file holds is seen now
        if layers.image().dump.format().starts_with(RAW) {
            return Err(not_raw(&layers.image().dump_names.join(" ")));
        }
        self.layers = Some(Arc::new(layers));
        Ok(())
    }
}

/// How the name of the format begins that any file may be.
const RAW: &str = "raw";

fn not_raw(name: &str) -> String {
    format!("{name}: its content is that of no dump; to serve a raw image, start the server with it")
}

/// Whoever chooses the file is not the user: only what shows that it is a dump, or a kernel's file, is opened. A raw image, which
/// may be any file, is not.
fn why_not_opened(path: &Path) -> Option<String> {
    let name = path.display();
    match kernel::file_kind(path) {
        // `FILE@ADDRESS` is a raw image too
        _ if path.is_dir() => Some(format!("{name}: is a folder; name the dump in it")),
        _ if path.exists() && !path.is_file() => Some(format!("{name}: is no regular file")),
        _ if !path.exists() => Some(format!("{name}: no such file")),
        Some(FileKind::Dump | FileKind::Companion) => None,
        Some(FileKind::Other) | None => Some(not_raw(&name.to_string())),
    }
}
