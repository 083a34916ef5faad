//! The guest's first file system and its disk.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::kernel::{Kernel, Module};
use crate::run::{At as _, Error, command, fresh, output, shell};

pub(crate) const INIT: &str = include_str!("guest/init");
const PROGRAMS: &str = include_str!("guest/guest.c");
const TRACERS: &str = include_str!("guest/tracers.c");

/// What a guest boots from.
pub(crate) struct Guest {
    /// First file system with the modules of the package.
    pub initrd: PathBuf,
    /// The same with the rebuilt module.
    pub initrd_bug: PathBuf,
    /// ext4, holding a kernel and a first file system for the crash kernel.
    pub disk: PathBuf,
}

/// What the first file system is made with.
pub(crate) struct Tools {
    /// The compiler of the guest's machine.
    pub compiler: &'static str,
    /// A static busybox of that machine.
    pub busybox: PathBuf,
    /// kexec goes along, which is the building machine's own.
    pub kexec: bool,
}

impl Tools {
    /// For guests of the same machine.
    pub(crate) fn of_this_machine() -> Result<Self, Error> {
        let which = output(&mut command("bash", ["-c", "command -v busybox"]))?;
        Ok(Self { compiler: "gcc", busybox: which.trim().into(), kexec: true })
    }
}

/// Makes the guest of a kernel; cheap enough to be made in every run, so that it is never out of date.
pub(crate) fn prepare(kernel: &Kernel, tools: &Tools) -> Result<Guest, Error> {
    let dir = kernel.dir.join("guest");
    fresh(&dir)?;
    for (name, text) in [("guest", PROGRAMS), ("tracers", TRACERS)] {
        let source = dir.join(format!("{name}.c"));
        fs::write(&source, text).at(&source)?;
        let built = dir.join(name);
        output(command(tools.compiler, ["-O2", "-static", "-pthread", "-w", "-o"]).arg(built).arg(&source))?;
    }

    let initrd = dir.join("initrd");
    pack(&dir, "root", tools, &kernel.modules, &initrd)?;
    let initrd_bug = dir.join("initrd-bug");
    if let Some(buggy) = &kernel.buggy {
        let modules: Vec<Module> = kernel
            .modules
            .iter()
            .map(|m| if m.name == buggy.name { buggy.clone() } else { m.clone() })
            .collect();
        pack(&dir, "root-bug", tools, &modules, &initrd_bug)?;
    }

    let content = dir.join("content");
    fs::create_dir_all(&content).at(&content)?;
    fs::copy(kernel.image(), content.join("vmlinuz")).at(kernel.image())?;
    fs::copy(&initrd, content.join("initrd")).at(&initrd)?;
    let disk = dir.join("disk.img");
    output(command("mke2fs", ["-q", "-t", "ext4", "-d"]).arg(&content).arg(&disk).arg("256M"))?;
    Ok(Guest { initrd, initrd_bug, disk })
}

fn pack(dir: &Path, root: &str, tools: &Tools, modules: &[Module], archive: &Path) -> Result<(), Error> {
    let root = &dir.join(root);
    for folder in ["bin", "proc", "sys", "dev", "tmp", "mnt", "mods"] {
        fs::create_dir_all(root.join(folder)).at(root)?;
    }
    fs::copy(&tools.busybox, root.join("bin/busybox")).at(&tools.busybox)?;
    let programs = ["workload", "scatter", "symbols"].map(|name| ("guest", name));
    for (program, name) in programs.into_iter().chain([("tracers", "tracers")]) {
        let file = root.join("bin").join(name);
        fs::hard_link(dir.join(program), &file).at(&file)?;
    }
    let mut order = String::new();
    for module in modules {
        let to = root.join("mods").join(format!("{}.ko", module.name));
        unpacked(&module.loaded, &to)?;
        order += &format!("{}.ko\n", module.name);
    }
    fs::write(root.join("mods/order"), order).at(root)?;
    let init = root.join("init");
    fs::write(&init, INIT).at(&init)?;
    fs::set_permissions(&init, fs::Permissions::from_mode(0o755)).at(&init)?;
    // kexec is no static program: its libraries go along.
    let kexec = "root=$1; kexec=$(PATH=$PATH:/sbin:/usr/sbin command -v kexec); cp \"$kexec\" \"$root/bin/\"
        for lib in $(ldd \"$kexec\" | grep -o '/[^ ]*'); do mkdir -p \"$root$(dirname \"$lib\")\"; cp -L \"$lib\" \"$root$lib\"; done";
    if tools.kexec {
        shell(kexec, [root])?;
    }
    let script = "cd \"$1\"; find . | LC_ALL=C sort | cpio --quiet -o -H newc -R 0:0 | gzip -1 > \"$2\"";
    shell(script, [root, archive])?;
    Ok(())
}

/// Copies a module, decompressed.
fn unpacked(from: &Path, to: &Path) -> Result<(), Error> {
    match from.extension().and_then(|ext| ext.to_str()) {
        Some("xz") => shell("xz -dc \"$1\" > \"$2\"", [from, to]).map(drop),
        Some("zst") => shell("zstd -q -dc \"$1\" > \"$2\"", [from, to]).map(drop),
        Some("gz") => shell("gzip -dc \"$1\" > \"$2\"", [from, to]).map(drop),
        _ => fs::copy(from, to).at(from).map(drop),
    }
}
