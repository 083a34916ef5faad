//! What depends on a kernel's build alone, shared by all dumps of that build.

use debuginfo::btf::Btf;
use rustc_hash::FxHashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// What depends on a kernel's build alone: its types (BTF). Kept by build id, for as long as the workspace lives; a dump
/// whose build id is not known shares nothing.
#[derive(Default)]
pub struct Workspace {
    builds: Mutex<FxHashMap<Vec<u8>, Arc<Shared>>>,
    parsed: AtomicU64,
}

/// What is shared of one build. Who reads it holds the lock, so that others wait for what is read.
#[derive(Default)]
struct Shared(Mutex<Option<(u64, Arc<Btf>)>>);

impl Workspace {
    /// How many builds were read so far.
    #[must_use]
    pub fn builds_parsed(&self) -> u64 {
        self.parsed.load(Ordering::Acquire)
    }

    /// The types of a build, of so many bytes; `read` reads them where no dump of that build has done it. Bytes of another
    /// length are of another kernel, whatever the build id says.
    pub(crate) fn btf<E>(
        &self,
        build_id: &[u8],
        len: u64,
        read: impl FnOnce() -> Result<Btf, E>,
    ) -> Result<Arc<Btf>, E> {
        let shared = {
            let mut builds = self.builds.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(builds.entry(build_id.to_vec()).or_default())
        };
        let mut known = shared.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, btf)) = known.as_ref().filter(|(own, _)| *own == len) {
            return Ok(Arc::clone(btf));
        }
        let btf = Arc::new(read()?);
        self.parsed.fetch_add(1, Ordering::AcqRel);
        known.get_or_insert((len, Arc::clone(&btf)));
        Ok(btf)
    }
}

impl std::fmt::Debug for Workspace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Workspace").field("builds_parsed", &self.builds_parsed()).finish_non_exhaustive()
    }
}
