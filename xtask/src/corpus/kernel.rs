//! A kernel unpacked from its packages, its modules in the order of loading, and a module rebuilt with a bug.

use std::fs;
use std::path::{Path, PathBuf};

use super::apt::{KernelPackages, Suite};
use super::cases::Series;
use crate::run::{At as _, Error, command, fresh, limited, other, output, say, shell};

/// Modules the guest wants; what they depend on is loaded too. Those a kernel has built in are passed over.
const WANTED: &[&str] = &["qemu_fw_cfg", "virtio_pci", "virtio_blk", "crc32c_generic", "ext4"];

/// A kernel on disk.
pub(crate) struct Kernel {
    /// As `uname -r` says.
    pub release: String,
    /// What Debian calls the build.
    pub version: String,
    /// Where it is unpacked.
    pub dir: PathBuf,
    /// The modules in the order of loading: name, file as loaded, file with debug information.
    pub modules: Vec<Module>,
    /// The rebuilt module with the bug.
    pub buggy: Option<Module>,
}

/// A module's files.
#[derive(Clone)]
pub(crate) struct Module {
    /// Name in `/proc/modules`.
    pub name: String,
    /// What the guest loads.
    pub loaded: PathBuf,
    /// The same with debug information.
    pub debug: PathBuf,
}

impl Kernel {
    /// The boot image.
    pub(crate) fn image(&self) -> PathBuf {
        let modules = self.dir.join("lib/modules").join(&self.release);
        let boot = self.dir.join("boot").join(format!("vmlinuz-{}", self.release));
        // Since 7.x it lies with the modules.
        let places = [modules.join("vmlinuz"), modules.join("vmlinuz.unsigned")];
        places.into_iter().find(|path| path.exists()).unwrap_or(boot)
    }

    /// The ELF file with debug information.
    pub(crate) fn vmlinux(&self) -> PathBuf {
        self.dir.join("vmlinux")
    }
}

/// Gets the newest kernel of a series, or the one that an earlier run got.
pub(crate) fn prepare(
    cache: &Path,
    series: &Series,
    suite: impl FnOnce() -> Result<Suite, Error>,
) -> Result<Kernel, Error> {
    let dir = cache.join("kernels").join(series.name);
    let marker = dir.join("done");
    if let Ok(text) = fs::read_to_string(&marker)
        && let [release, version] = text.lines().collect::<Vec<_>>().as_slice()
    {
        return assemble(&dir, series, release, version);
    }
    let suite = suite()?;
    let mut last = None;
    for packages in suite.kernels(series.prefix)? {
        say(format_args!("{}: getting Linux {} ({})", series.name, packages.release, packages.version));
        fresh(&dir)?;
        let built = unpack(&dir, &suite, &packages).and_then(|()| match series.modules {
            true => build_bug(&dir, &suite, &packages.release),
            false => Ok(()),
        });
        match built {
            Ok(()) => {
                fs::write(&marker, format!("{}\n{}\n", packages.release, packages.version)).at(&marker)?;
                return assemble(&dir, series, &packages.release, &packages.version);
            }
            Err(error) => {
                say(format_args!("{}: not this one: {error}", series.name));
                last = Some(error);
            }
        }
    }
    Err(last.unwrap_or(Error::Other(format!("no cloud kernel {}* with debug symbols", series.prefix))))
}

/// Unpacks the image, and of the debug package the kernel and the modules that are loaded: the rest is gigabytes.
fn unpack(dir: &Path, suite: &Suite, packages: &KernelPackages) -> Result<(), Error> {
    let debs = dir.join("debs");
    let debug = format!("linux-image-{}-dbg", packages.release);
    let debug_debs = suite.download(&[&debug], &dir.join("debug"))?;
    let images: Vec<&str> = packages.images.iter().map(String::as_str).collect();
    for deb in suite.download(&images, &debs)? {
        output(command("dpkg-deb", ["-x"]).arg(&deb).arg(dir))?;
    }
    if !dir.join("lib").exists() {
        std::os::unix::fs::symlink("usr/lib", dir.join("lib")).at(dir)?;
    }
    output(command("depmod", ["-b"]).arg(dir).arg(&packages.release))?;
    let mut wanted = vec!["*/vmlinux*".to_owned()];
    wanted.extend(
        load_order(dir, &packages.release)?
            .iter()
            .map(|(name, _)| format!("*/{}.ko*", name.replace('_', "[-_]"))),
    );
    for deb in &debug_debs {
        let script = "deb=$1 dir=$2; shift 2; dpkg-deb --fsys-tarfile \"$deb\" | tar -x -C \"$dir\" --wildcards \"$@\"";
        let mut args = vec![deb.display().to_string(), dir.display().to_string()];
        args.extend(wanted.iter().cloned());
        // A module may have no debug file (tar then fails at the end): the kernel itself is looked for below.
        let _ = shell(script, &args);
    }
    let mut found = Vec::new();
    walk(dir, &mut |path| {
        if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("vmlinux"))
            && !path.is_symlink()
        {
            found.push(path.to_owned());
        }
    })?;
    let Some(vmlinux) = found.into_iter().find(|path| path.metadata().is_ok_and(|meta| meta.len() > 1 << 26))
    else {
        return other(format!("{debug} holds no vmlinux"));
    };
    fs::rename(&vmlinux, dir.join("vmlinux")).at(&vmlinux)?;
    fs::remove_dir_all(&debs).at(&debs)?;
    fs::remove_dir_all(dir.join("debug")).at(dir)
}

/// The modules wanted and what they depend on, in the order of loading, from depmod's list.
fn load_order(dir: &Path, release: &str) -> Result<Vec<(String, PathBuf)>, Error> {
    let base = dir.join("lib/modules").join(release);
    let list = base.join("modules.dep");
    let text = fs::read_to_string(&list).at(&list)?;
    let mut order: Vec<(String, PathBuf)> = Vec::new();
    for wanted in WANTED {
        let Some((first, needs)) = text
            .lines()
            .filter_map(|line| line.split_once(':'))
            .find(|(file, _)| module_name(file) == *wanted)
        else {
            continue;
        };
        for file in needs.split_whitespace().rev().chain([first]) {
            let name = module_name(file);
            if order.iter().all(|(known, _)| *known != name) {
                order.push((name, base.join(file)));
            }
        }
    }
    Ok(order)
}

/// The module's name as the kernel has it, from its file name.
fn module_name(file: &str) -> String {
    let last = file.rsplit('/').next().unwrap_or(file);
    last.split(".ko").next().unwrap_or(last).replace('-', "_")
}

pub(super) fn assemble(dir: &Path, series: &Series, release: &str, version: &str) -> Result<Kernel, Error> {
    let mut files = Vec::new();
    for part in ["usr/lib/debug", "lib/debug"] {
        if dir.join(part).exists() {
            walk(&dir.join(part), &mut |path| files.push(path.to_owned()))?;
        }
    }
    let modules: Vec<Module> = load_order(dir, release)?
        .into_iter()
        .map(|(name, loaded)| {
            let debug = files.iter().find(|file| module_name(&file.to_string_lossy()) == name);
            Module { debug: debug.unwrap_or(&loaded).clone(), name, loaded }
        })
        .collect();
    let buggy = series.modules.then(|| {
        let bug = bug_of(&modules);
        Module {
            name: bug.module.into(),
            loaded: dir.join(format!("bug/{}.ko", bug.module)),
            debug: dir.join("bug").join(bug.path).join(format!("{}.ko", bug.module)),
        }
    });
    Ok(Kernel { release: release.into(), version: version.into(), dir: dir.to_owned(), modules, buggy })
}

/// A bug, put into the source of a module.
struct Bug {
    module: &'static str,
    /// Folder of its source.
    path: &'static str,
    /// The function it goes into.
    function: &'static str,
    /// The statement it goes in front of.
    before: &'static str,
    /// What goes there.
    assertion: &'static str,
}

/// The assertion that older kernels had: a request with more segments than the ring is long. It is legal when indirect
/// descriptors are used, so the assertion fails under a real load.
const RING: Bug = Bug {
    module: "virtio_ring",
    path: "drivers/virtio",
    function: "int virtqueue_add_split(",
    before: "head = vq->free_head;",
    assertion: "BUG_ON(total_sg > vq->split.vring.num);",
};

/// The same, one function up, for kernels that have virtio_ring built in.
const BLOCK: Bug = Bug {
    module: "virtio_blk",
    path: "drivers/block",
    function: "int virtblk_add_req(",
    before: "return virtqueue_add_sgs(",
    assertion: "BUG_ON(vbr->sg_table.nents > virtqueue_get_vring_size(vq));",
};

fn bug_of(modules: &[Module]) -> &'static Bug {
    if modules.iter().any(|module| module.name == RING.module) { &RING } else { &BLOCK }
}

/// Builds the module with the bug, out of tree, against the kernel's headers.
fn build_bug(dir: &Path, suite: &Suite, release: &str) -> Result<(), Error> {
    let in_order = load_order(dir, release)?;
    let bug = if in_order.iter().any(|(name, _)| name == RING.module) { &RING } else { &BLOCK };
    let debs = dir.join("debs");
    let headers = format!("linux-headers-{release}");
    let mut names = suite.depends(&headers, "linux-")?;
    names.retain(|name| !name.starts_with("linux-compiler"));
    names.push(headers.clone());
    let series: String = release.split('.').take(2).collect::<Vec<_>>().join(".");
    let source = format!("linux-source-{series}");
    names.push(source.clone());
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    for deb in suite.download(&names, &debs)? {
        output(command("dpkg-deb", ["-x"]).arg(&deb).arg(dir))?;
    }
    let src = dir.join("usr/src");
    let root = dir.join("bug");
    fs::create_dir_all(&root).at(&root)?;
    let archive = src.join(format!("{source}.tar.xz"));
    let script = "tar -xJf \"$1\" -C \"$2\" --strip-components=1 --wildcards \"*/$3/$4.c\"";
    shell(script, [archive.as_os_str(), root.as_os_str(), bug.path.as_ref(), bug.module.as_ref()])?;
    let folder = root.join(bug.path);
    let file = folder.join(format!("{}.c", bug.module));
    let text = fs::read_to_string(&file).at(&file)?;
    fs::write(&file, with_bug(&text, bug)?).at(&file)?;
    fs::write(folder.join("Makefile"), format!("obj-m := {}.o\n", bug.module)).at(&folder)?;

    make(dir, release, &folder, &root)?;
    let built = folder.join(format!("{}.ko", bug.module));
    with_types(dir, release, &built)?;
    output(
        command("strip", ["--strip-debug", "-o"]).arg(root.join(format!("{}.ko", bug.module))).arg(&built),
    )?;
    fs::remove_dir_all(&debs).at(&debs)?;
    fs::remove_file(&archive).at(&archive)?;
    Ok(())
}

/// Where a kernel's headers are unpacked.
fn headers(dir: &Path, release: &str) -> PathBuf {
    dir.join("usr/src").join(format!("linux-headers-{release}"))
}

/// A kernel's configuration, from its unpacked headers.
pub(crate) fn config(sources: &Path, release: &str) -> Result<String, Error> {
    let path = sources.join(format!("linux-headers-{release}")).join(".config");
    fs::read_to_string(&path).at(&path)
}

/// Builds the modules of a folder against the unpacked headers; `root` is what is cut off its files' names.
pub(crate) fn make(dir: &Path, release: &str, folder: &Path, root: &Path) -> Result<(), Error> {
    make_by(dir, release, folder, root, &["CC=gcc"])
}

/// The same with other words for `make` about the compiler.
pub(super) fn make_by(
    dir: &Path,
    release: &str,
    folder: &Path,
    root: &Path,
    compiler: &[&str],
) -> Result<(), Error> {
    let src = dir.join("usr/src");
    let build = headers(dir, release);
    // The headers name each other by where they would be installed.
    for path in [build.join("Makefile"), build.join(".kernelvariables")] {
        if let Ok(text) = fs::read_to_string(&path) {
            fs::write(&path, text.replace(" /usr/src/", &format!(" {}/", src.display()))).at(&path)?;
        }
    }
    let flags = format!(
        "KCFLAGS=-ffile-prefix-map={}/= -ffile-prefix-map={}=/usr/src",
        root.display(),
        src.display()
    );
    let (build, folder) = (build.display().to_string(), format!("M={}", folder.display()));
    let args = ["-C", &build, &folder, &flags, "modules"];
    limited(600, "make", args.iter().chain(compiler)).map(drop)
}

/// Gives a module its types, which a build without a vmlinux in the headers leaves out, if the kernel reads them.
pub(crate) fn with_types(dir: &Path, release: &str, built: &Path) -> Result<(), Error> {
    if config(&dir.join("usr/src"), release)?.contains("CONFIG_DEBUG_INFO_BTF_MODULES=y") {
        output(
            command("pahole", ["-J", "--btf_gen_floats", "--btf_base"]).arg(dir.join("vmlinux")).arg(built),
        )?;
    }
    Ok(())
}

/// The source with the assertion in front of the bug's place.
fn with_bug(source: &str, bug: &Bug) -> Result<String, Error> {
    let found = source.find(bug.function).and_then(|start| {
        let within = source.get(start..)?.find(bug.before)?;
        source.split_at_checked(start.saturating_add(within))
    });
    match found {
        Some((before, after)) => Ok(format!("{before}{}\n\n\t{after}", bug.assertion)),
        None => other(format!("{}.c has no `{}` in {}", bug.module, bug.before, bug.function)),
    }
}

fn walk(dir: &Path, each: &mut dyn FnMut(&Path)) -> Result<(), Error> {
    for entry in fs::read_dir(dir).at(dir)? {
        let entry = entry.at(dir)?;
        if entry.file_type().at(dir)?.is_dir() {
            walk(&entry.path(), each)?;
        } else {
            each(&entry.path());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn module_names_are_the_kernels() {
        assert_eq!(module_name("kernel/lib/crc-t10dif.ko.xz"), "crc_t10dif");
        assert_eq!(module_name("ext4.ko"), "ext4");
    }

    #[test]
    fn the_bug_goes_into_the_right_function() {
        let source = "head = vq->free_head;\nstatic inline int virtqueue_add_split(int a)\n{\n\thead = vq->free_head;\n}\n";
        let bug = with_bug(source, &RING).unwrap();
        assert!(bug.starts_with("head = vq->free_head;"));
        assert!(bug.contains("{\n\tBUG_ON(total_sg > vq->split.vring.num);\n\n\thead = vq->free_head;"));
        assert!(with_bug("nothing", &RING).is_err());
        assert!(with_bug(source, &BLOCK).is_err());
    }
}
