//! What is opened, and how.

use crate::opening::workspace::Workspace;
use debuginfo::find::Watch;
use std::path::PathBuf;
use std::sync::Arc;

/// What to open, and how.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct OpenOptions {
    /// The dump (several files for a split one), and perhaps a vmlinux, in any order.
    pub files: Vec<PathBuf>,
    /// Use a vmlinux whose build id differs from the dump's.
    pub force: bool,
    /// How far KASLR moved the kernel, where the user knows it.
    pub kaslr: Option<u64>,
    /// Do not look for debug files that were not named.
    pub no_search: bool,
    /// Behave as for a kernel without BTF: to see what such a dump gives.
    pub ignore_btf: bool,
    /// More folders to look for debug files in.
    pub debug_dirs: Vec<PathBuf>,
    /// As if the kernel had no modules: their list is not read.
    pub no_modules: bool,
    /// As if the kernel had no slab caches: they are not read.
    pub no_slab_caches: bool,
    /// How many CPUs the machine has, where its masks are not to be believed.
    pub cpus: Option<u32>,
    /// Only the tasks that the CPUs ran are known.
    pub active_only: bool,
    /// The CPUs' registers in the dump's notes are not used, but to find the kernel.
    pub no_notes: bool,
    /// Which kernel, where memory holds several: from 1 on.
    pub kernel: Option<usize>,
    /// A file with the text of VMCOREINFO, in place of the dump's.
    pub vmcoreinfo: Option<PathBuf>,
    /// Do not ask debuginfod servers.
    pub no_debuginfod: bool,
    /// What servers may be asked for.
    pub fetch: Fetch,
    /// Trees, archives and packages to look for source text in.
    pub source_dirs: Vec<PathBuf>,
    /// Where long work (unpacking, downloads) says how far it is, and what stops it.
    pub watch: Watch,
    /// Where dumps of one build share what depends on that alone.
    pub workspace: Option<Arc<Workspace>>,
    /// Hides pages of the dump, and notes which are read: for tests.
    pub veil: Option<Arc<dump::Veil>>,
}

/// For what debug files may be fetched: for what the questions that will be asked can gain by them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub enum Fetch {
    /// For nothing: they cannot change the answer.
    Never,
    /// For a kernel that lacks its types (BTF) or the names of its variables.
    Lacking,
    /// For lines, variables and whatever else only they have.
    #[default]
    Always,
}
