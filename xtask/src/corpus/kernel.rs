//! A kernel unpacked from its packages, its modules in the order of loading, and the virtio_ring with the bug.

use std::fs;
use std::path::{Path, PathBuf};

use super::apt::{KernelPackages, Suite};
use super::cases::Series;
use crate::run::{At as _, Error, command, limited, other, output, say, shell};

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
    /// The rebuilt virtio_ring with the bug.
    pub ring: Option<Module>,
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
        self.dir.join("boot").join(format!("vmlinuz-{}", self.release))
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
    let packages = suite.newest_kernel(series.prefix)?;
    say(format_args!("{}: getting Linux {} ({})", series.name, packages.release, packages.version));
    if dir.exists() {
        fs::remove_dir_all(&dir).at(&dir)?;
    }
    fs::create_dir_all(&dir).at(&dir)?;
    unpack(&dir, &suite, &packages)?;
    if series.modules {
        build_ring(&dir, &suite, &packages.release)?;
    }
    fs::write(&marker, format!("{}\n{}\n", packages.release, packages.version)).at(&marker)?;
    assemble(&dir, series, &packages.release, &packages.version)
}

/// Unpacks the image, and of the debug package the kernel and the modules that are loaded: the rest is gigabytes.
fn unpack(dir: &Path, suite: &Suite, packages: &KernelPackages) -> Result<(), Error> {
    let debs = dir.join("debs");
    let debug = format!("linux-image-{}-dbg", packages.release);
    for deb in suite.download(&[&packages.image], &debs)? {
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
    for deb in suite.download(&[&debug], &debs)?.iter().filter(|deb| named(deb, &debug)) {
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
    fs::remove_dir_all(&debs).at(&debs)
}

fn named(deb: &Path, package: &str) -> bool {
    deb.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&format!("{package}_")))
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

fn assemble(dir: &Path, series: &Series, release: &str, version: &str) -> Result<Kernel, Error> {
    let mut files = Vec::new();
    for part in ["usr/lib/debug", "lib/debug"] {
        if dir.join(part).exists() {
            walk(&dir.join(part), &mut |path| files.push(path.to_owned()))?;
        }
    }
    let modules = load_order(dir, release)?
        .into_iter()
        .map(|(name, loaded)| {
            let debug = files.iter().find(|file| module_name(&file.to_string_lossy()) == name);
            Module { debug: debug.unwrap_or(&loaded).clone(), name, loaded }
        })
        .collect();
    let ring = series.modules.then(|| Module {
        name: "virtio_ring".into(),
        loaded: dir.join("ring/virtio_ring.ko"),
        debug: dir.join("ring/drivers/virtio/virtio_ring.ko"),
    });
    Ok(Kernel { release: release.into(), version: version.into(), dir: dir.to_owned(), modules, ring })
}

/// Builds virtio_ring with the assertion that older kernels had, out of tree, against the kernel's headers.
///
/// `vq->split.vring.num` is the length of the ring; a request with more segments than it is legal when indirect
/// descriptors are used, so the assertion is a real bug and fails under a real load.
fn build_ring(dir: &Path, suite: &Suite, release: &str) -> Result<(), Error> {
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
    let ring = dir.join("ring");
    fs::create_dir_all(&ring).at(&ring)?;
    let script = "tar -xJf \"$1\" -C \"$2\" --strip-components=1 --wildcards '*/drivers/virtio/*'";
    shell(script, [&src.join(format!("{source}.tar.xz")), &ring])?;
    let virtio = ring.join("drivers/virtio");
    let file = virtio.join("virtio_ring.c");
    let text = fs::read_to_string(&file).at(&file)?;
    fs::write(&file, with_bug(&text)?).at(&file)?;
    fs::write(virtio.join("Makefile"), "obj-m := virtio_ring.o\n").at(&virtio)?;

    // The headers name each other by where they would be installed.
    for path in [src.join(&headers).join("Makefile"), src.join(&headers).join(".kernelvariables")] {
        if let Ok(text) = fs::read_to_string(&path) {
            fs::write(&path, text.replace(" /usr/src/", &format!(" {}/", src.display()))).at(&path)?;
        }
    }
    let flags = format!(
        "KCFLAGS=-ffile-prefix-map={}/= -ffile-prefix-map={}=/usr/src",
        ring.display(),
        src.display()
    );
    let build = src.join(&headers);
    let args =
        ["-C", &build.display().to_string(), &format!("M={}", virtio.display()), "CC=gcc", &flags, "modules"];
    limited(600, "make", args)?;

    let built = virtio.join("virtio_ring.ko");
    let config = fs::read_to_string(build.join(".config")).at(&build)?;
    if config.contains("CONFIG_DEBUG_INFO_BTF_MODULES=y") {
        // Without a vmlinux in the headers the build leaves the types out.
        output(
            command("pahole", ["-J", "--btf_gen_floats", "--btf_base"]).arg(dir.join("vmlinux")).arg(&built),
        )?;
    }
    output(command("strip", ["--strip-debug", "-o"]).arg(ring.join("virtio_ring.ko")).arg(&built))?;
    fs::remove_dir_all(&debs).at(&debs)?;
    let archive = src.join(format!("{source}.tar.xz"));
    fs::remove_file(&archive).at(&archive)?;
    Ok(())
}

/// The source with the assertion in front of the first use of the split ring's free list.
fn with_bug(source: &str) -> Result<String, Error> {
    let start = source.find("int virtqueue_add_split(").unwrap_or(0);
    let place = "head = vq->free_head;";
    match source.get(start..).and_then(|rest| rest.find(place)) {
        Some(at) => {
            let (before, after) = source.split_at(start.saturating_add(at));
            Ok(format!("{before}BUG_ON(total_sg > vq->split.vring.num);\n\n\t{after}"))
        }
        None => other("virtio_ring.c has no `head = vq->free_head;` in virtqueue_add_split"),
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
    fn the_bug_goes_into_the_split_ring() {
        let source = "head = vq->free_head;\nstatic inline int virtqueue_add_split(int a)\n{\n\thead = vq->free_head;\n}\n";
        let bug = with_bug(source).unwrap();
        assert!(bug.starts_with("head = vq->free_head;"));
        assert!(bug.contains("{\n\tBUG_ON(total_sg > vq->split.vring.num);\n\n\thead = vq->free_head;"));
        assert!(with_bug("nothing").is_err());
    }
}
