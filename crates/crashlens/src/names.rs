//! Names from the dump for the Tab key.

use kernel::Session;
use shell::Completer;

/// Looks names up in a session.
pub(crate) struct Names<'s>(pub(crate) &'s Session);

impl Completer for Names<'_> {
    fn symbols(&self, _prefix: &str, _max: usize) -> Vec<String> {
        let _session = self.0;
        Vec::new()
    }
    fn types(&self, _prefix: &str, _max: usize) -> Vec<String> {
        Vec::new()
    }
    fn members(&self, _of: &str, _prefix: &str) -> Vec<String> {
        Vec::new()
    }
}
