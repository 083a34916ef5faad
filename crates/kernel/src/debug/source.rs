//! The text of the kernel's source, for the lines that debug information names.

use crate::machine::system;
use crate::session::{Fact, Session};
use debuginfo::find::Sources;
pub use debuginfo::find::{Effort, SourceText};
use std::path::Path;
use std::sync::Arc;

impl Session {
    /// The text of a source file, by its name in debug information (`SourceLine::file`); or a sentence that says
    /// why there is none, and what to do. Each file is read once a session.
    ///
    /// # Errors
    /// A sentence for the user: no file of this name was found, or it cannot be read.
    pub fn source_text(&self, file: &str, effort: Effort) -> Result<Arc<SourceText>, String> {
        match &self.fact::<Trees>().0 {
            Some(sources) => sources.find(file, effort),
            None => Err("the places of source text are being looked for".to_owned()),
        }
    }
}

/// Where source text is looked for.
#[derive(Default)]
struct Trees(Option<Sources>);

impl Fact for Trees {
    const STAYS: bool = true;
    fn read(s: &Session) -> Self {
        let options = s.opened();
        let release = options.release().unwrap_or_default();
        let version = system::version(s).unwrap_or_default();
        let all = Sources::new(options.source_dirs.clone(), &release, &version, options.watch.clone());
        Self(Some(if options.no_search {
            all
        } else {
            all.with_system(Path::new("/")).with_servers(options.servers.clone(), options.build_id.clone())
        }))
    }
}
