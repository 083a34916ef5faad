//! From the command line to the files that are opened.

use crate::cli::{Cli, Kaslr};
use crate::failure::Failure;
use base::Cancel;
use debuginfo::find::Watch;
use kernel::{Fetch, Layers, OpenOptions};
use shell::say;

/// Why the exit code is that of an answer which may lack something, whatever the answer says of it.
pub(crate) fn say_losses(cli: &Cli, layers: &Layers) {
    let name = cli.name();
    layers.image().losses().iter().for_each(|why| say(&format!("{name}: warning: {why}")));
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
    let mut options = OpenOptions::default();
    options.files.clone_from(&cli.files);
    options.force = cli.force;
    options.kaslr = match cli.kaslr {
        Some(Kaslr::Offset(offset)) => Some(offset),
        Some(Kaslr::Auto) | None => None,
    };
    options.no_search = cli.no_search;
    options.ignore_btf = cli.ignore_btf;
    options.debug_dirs.clone_from(&cli.debug_dirs);
    options.no_modules = cli.no_modules;
    options.no_slab_caches = cli.no_kmem_cache;
    options.source_dirs.clone_from(&cli.source_dirs);
    options.no_debuginfod = cli.no_debuginfod;
    options.fetch = fetch;
    options.kernel = cli.kernel;
    options.vmcoreinfo.clone_from(&cli.vmcoreinfo);
    options.zero_excluded = cli.zero_excluded;
    options.cpus = cli.crash.cpus;
    options.active_only = cli.crash.active;
    options.no_notes = cli.crash.no_elf_notes;
    options.watch = Watch { progress: shell::progress(!cli.silent), cancel: cancel.clone() };
    options
}

/// Files and folders that options name are there.
pub(crate) fn named_files(cli: &Cli) -> Result<(), Failure> {
    if let Some(file) = cli.debug_dirs.iter().find(|path| path.is_file()) {
        let file = file.display();
        return Err(Failure::Usage(format!(
            "--mod {file}: is a file, and --mod takes a folder; a module's file goes behind the dump: crashlens DUMP {file}"
        )));
    }
    let gone = cli.debug_dirs.iter().find(|path| !path.is_dir()).map(|path| ("--mod", path, "folder"));
    let gone = gone.or_else(|| {
        cli.source_dirs.iter().find(|path| !path.exists()).map(|path| ("--src", path, "folder or file"))
    });
    // the order of -i and -c is kept; a file that is not there is told before the first of them runs
    let gone =
        gone.or_else(|| cli.input.iter().find(|path| !path.exists()).map(|path| ("--input", path, "file")));
    match gone {
        Some((option, path, what)) => {
            Err(Failure::Failed(format!("{option} {}: no such {what}", path.display())))
        }
        None => Ok(()),
    }
}
