//! The text of the kernel's source, for the lines that debug information names.

use crate::machine::system;
use crate::session::Session;
use debuginfo::find::Sources;
pub use debuginfo::find::{Effort, SourceText};
use std::path::Path;
use std::sync::Arc;

impl Session {
    /// The text of a source file, by its name in debug information (`SourceLine::file`); or a sentence that says
    /// why there is none, and what to do. Each file is read once a session.
    pub fn source_text(&self, file: &str, effort: Effort) -> Result<Arc<SourceText>, String> {
        self.sources().find(file, effort)
    }

    fn sources(&self) -> &Sources {
        self.keep(&self.sources, || {
            let options = self.opened();
            let release = options.release().unwrap_or_default();
            let version = system::utsname(self).map(|u| u.version).unwrap_or_default();
            let all = Sources::new(options.source_dirs.clone(), &release, &version, options.watch.clone());
            if options.no_search {
                return all;
            }
            all.with_system(Path::new("/")).with_servers(options.servers.clone(), options.build_id.clone())
        })
    }
}
