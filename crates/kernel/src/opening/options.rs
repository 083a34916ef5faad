//! What is opened, and how.

use crate::opening::workspace::Workspace;
use debuginfo::find::Watch;
use std::path::{Path, PathBuf};
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
    /// Pages that the dump's filter left out read as zeros, once the dump is open.
    pub zero_excluded: bool,
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

impl OpenOptions {
    /// All that can change an answer, as the program's options spell it: what was told alike with the same files is answered
    /// alike. Whoever adds an option says here whether it can.
    #[must_use]
    pub fn told(&self) -> Vec<String> {
        let Self {
            files,
            force,
            kaslr,
            no_search,
            ignore_btf,
            debug_dirs,
            no_modules,
            no_slab_caches,
            cpus,
            active_only,
            no_notes,
            kernel,
            vmcoreinfo,
            zero_excluded,
            no_debuginfod,
            fetch,
            source_dirs,
            // who watches and who shares changes no answer
            watch: _,
            workspace: _,
            // of tests
            veil: _,
        } = self;
        let given = [
            ("-f", *force),
            ("--no-search", *no_search),
            ("--ignore-btf", *ignore_btf),
            ("--no_modules", *no_modules),
            ("--no_kmem_cache", *no_slab_caches),
            ("--active", *active_only),
            ("--no_elf_notes", *no_notes),
            ("--zero_excluded", *zero_excluded),
            ("--no-debuginfod", *no_debuginfod || *fetch != Fetch::Always),
        ];
        let given = given.iter().filter(|(_, is)| *is).map(|(word, _)| (*word).to_owned());
        let mut words: Vec<String> = given.collect();
        words.extend(kaslr.map(|offset| format!("--kaslr {offset:#x}")));
        words.extend(cpus.map(|count| format!("--cpus {count}")));
        words.extend(kernel.map(|number| format!("--kernel {number}")));
        let named = |word: &str, path: &Path| format!("{word} {}", path.display());
        words.extend(vmcoreinfo.as_deref().map(|path| named("--vmcoreinfo", path)));
        for (word, paths) in [("--mod", debug_dirs), ("--src", source_dirs), ("with", files)] {
            words.extend(paths.iter().map(|path| named(word, path)));
        }
        words
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changes_answers_is_told() {
        assert_eq!(OpenOptions::default().told(), [""; 0]);
        let with = |change: fn(&mut OpenOptions)| {
            let mut options = OpenOptions::default();
            change(&mut options);
            options.told().join(" ")
        };
        assert_eq!(with(|o| o.no_modules = true), "--no_modules");
        assert_eq!(with(|o| o.no_slab_caches = true), "--no_kmem_cache");
        assert_eq!(with(|o| o.active_only = true), "--active");
        assert_eq!(with(|o| o.no_notes = true), "--no_elf_notes");
        assert_eq!(with(|o| o.zero_excluded = true), "--zero_excluded");
        assert_eq!(with(|o| o.kaslr = Some(0x20_0000)), "--kaslr 0x200000");
        assert_eq!(with(|o| (o.kernel, o.cpus) = (Some(2), Some(4))), "--cpus 4 --kernel 2");
        assert_eq!(with(|o| o.vmcoreinfo = Some("v".into())), "--vmcoreinfo v");
        assert_eq!(with(|o| o.debug_dirs = vec!["a".into(), "b".into()]), "--mod a --mod b");
    }
}
