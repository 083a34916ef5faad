//! From the command line to the files that are opened.

use crate::cli::{Cli, Kaslr};
use crate::failure::Failure;
use base::Cancel;
use debuginfo::find::Watch;
use kernel::{Fetch, Layers, OpenOptions};
use shell::say;

/// Why the exit code is that of an answer which may lack something, whatever the answer says of it.
pub(crate) fn say_losses(layers: &Layers) {
    layers.image().losses().iter().for_each(|why| say(&format!("crashlens: warning: {why}")));
}

/// Who names a kernel is answered of that one or not at all.
pub(crate) fn chosen_kernel(cli: &Cli, layers: &Layers) -> Result<(), Failure> {
    if cli.kernel.is_none() {
        return Ok(());
    }
    layers.session().map(|_| ()).map_err(|e| Failure::of_dump(e.clone()))
}

/// How the files of the command line are opened.
pub(crate) fn open_options(cli: &Cli, cancel: &Cancel, fetch: Fetch) -> OpenOptions {
    OpenOptions {
        files: cli.files.clone(),
        force: cli.force,
        kaslr: match cli.kaslr {
            Some(Kaslr::Offset(offset)) => Some(offset),
            Some(Kaslr::Auto) | None => None,
        },
        no_search: cli.no_search,
        ignore_btf: cli.ignore_btf,
        debug_dirs: cli.debug_dirs.clone(),
        no_modules: cli.no_modules,
        no_slab_caches: cli.no_kmem_cache,
        source_dirs: cli.source_dirs.clone(),
        no_debuginfod: cli.no_debuginfod,
        fetch,
        kernel: cli.kernel,
        vmcoreinfo: cli.vmcoreinfo.clone(),
        cpus: cli.crash.cpus,
        active_only: cli.crash.active,
        no_notes: cli.crash.no_elf_notes,
        watch: Watch { progress: shell::progress(!cli.silent), cancel: cancel.clone() },
        workspace: None,
        veil: None,
    }
}
