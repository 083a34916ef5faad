//! The zoo's module, built against a kernel's headers, and the first file system that loads it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::corpus::apt::Suite;
use crate::corpus::kernel::{self, Kernel};
use crate::corpus::root::Root;
use crate::run::{At as _, Error, command, output, shell};

/// The module's files.
const SOURCES: &[(&str, &str)] = &[
    ("Kbuild", include_str!("module/Kbuild")),
    ("zoo.h", include_str!("module/zoo.h")),
    ("main.c", include_str!("module/main.c")),
    ("asserts.c", include_str!("module/asserts.c")),
    ("memory.c", include_str!("module/memory.c")),
    ("lists.c", include_str!("module/lists.c")),
    ("context.c", include_str!("module/context.c")),
    ("locks.c", include_str!("module/locks.c")),
    ("stalls.c", include_str!("module/stalls.c")),
    ("resources.c", include_str!("module/resources.c")),
    ("checks.c", include_str!("module/checks.c")),
    ("faults.c", include_str!("module/faults.c")),
    ("hangs.c", include_str!("module/hangs.c")),
    ("atomics.c", include_str!("module/atomics.c")),
    ("indices.c", include_str!("module/indices.c")),
    ("parcels.c", include_str!("module/parcels.c")),
];

const INIT: &str = include_str!("init");
const PROGRAM: &str = include_str!("guest.c");

/// What a guest of the zoo needs.
pub(crate) struct Guest {
    /// First file system, with the module.
    pub initrd: PathBuf,
    /// The module with debug information.
    pub module: PathBuf,
    /// The kernel's configuration.
    pub config: String,
}

/// Builds the module if its source has changed, and the first file system. Where the machine's compiler cannot build for
/// this kernel, a root folder of its suite is made for it.
pub(crate) fn prepare(
    kernel: &Kernel,
    own_tools: bool,
    suite: impl FnOnce() -> Result<Suite, Error>,
) -> Result<Guest, Error> {
    let root = kernel.dir.join("zoo");
    // Its files are known to the debug information as `zoo/NAME.c`.
    let folder = root.join("zoo");
    let module = root.join("zoo.ko");
    let tools = match own_tools {
        true => None,
        false => Some(Root::prepare(&kernel.dir.join("tools"), &kernel.release, suite)?),
    };
    if !(module.exists() && same_sources(&folder)) {
        if root.exists() {
            fs::remove_dir_all(&root).at(&root)?;
        }
        fs::create_dir_all(&folder).at(&folder)?;
        for (name, text) in SOURCES {
            let file = folder.join(name);
            fs::write(&file, text).at(&file)?;
        }
        let built = folder.join("zoo.ko");
        if let Some(tools) = &tools {
            tools.make(&folder, "zoo")?;
        } else {
            kernel::make(&kernel.dir, &kernel.release, &folder, &root)?;
            kernel::with_types(&kernel.dir, &kernel.release, &built)?;
        }
        fs::rename(&built, &module).at(&built)?;
    }
    let initrd = root.join("initrd");
    pack(&root, &module, &initrd)?;
    let sources = tools.map_or_else(|| kernel.dir.join("usr/src"), |tools| tools.sources());
    Ok(Guest { initrd, module, config: kernel::config(&sources, &kernel.release)? })
}

fn same_sources(folder: &Path) -> bool {
    SOURCES.iter().all(|(name, text)| fs::read_to_string(folder.join(name)).is_ok_and(|found| found == *text))
}

fn pack(dir: &Path, module: &Path, archive: &Path) -> Result<(), Error> {
    let root = dir.join("root");
    if root.exists() {
        fs::remove_dir_all(&root).at(&root)?;
    }
    for folder in ["bin", "proc", "sys", "dev", "tmp"] {
        fs::create_dir_all(root.join(folder)).at(&root)?;
    }
    let source = dir.join("guest.c");
    fs::write(&source, PROGRAM).at(&source)?;
    let program = root.join("bin/zoo");
    output(command("gcc", ["-O2", "-static", "-w", "-o"]).arg(&program).arg(&source))?;
    let which = output(&mut command("bash", ["-c", "command -v busybox"]))?;
    fs::copy(which.trim(), root.join("bin/busybox")).at(which.trim())?;
    output(command("strip", ["--strip-debug", "-o"]).arg(root.join("zoo.ko")).arg(module))?;
    let init = root.join("init");
    fs::write(&init, INIT).at(&init)?;
    fs::set_permissions(&init, fs::Permissions::from_mode(0o755)).at(&init)?;
    let script = "cd \"$1\"; find . | LC_ALL=C sort | cpio --quiet -o -H newc -R 0:0 | gzip -1 > \"$2\"";
    shell(script, [root.as_path(), archive])?;
    fs::remove_dir_all(&root).at(&root)
}

/// A line of the module's source that is marked `ZOO name: expression`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    /// File as the debug information has it.
    pub file: String,
    /// Lines: a loop has several.
    pub lines: Vec<usize>,
    /// The function of the source it stands in.
    pub function: String,
    /// True where that function is inlined into others.
    pub inlined: bool,
    /// What fails there.
    pub expression: Option<String>,
}

/// Finds a mark.
pub(crate) fn mark(name: &str) -> Option<Mark> {
    SOURCES.iter().find_map(|(file, text)| mark_in(file, text, name))
}

fn mark_in(file: &str, text: &str, name: &str) -> Option<Mark> {
    let mut head = "";
    let mut mark: Option<Mark> = None;
    for (at, line) in text.lines().enumerate() {
        // A function starts in the first column, and so does nothing else that has a parenthesis and no semicolon.
        if line.starts_with(|c: char| c.is_ascii_alphabetic()) && line.contains('(') && !line.contains(';') {
            head = line;
        }
        let Some((_, rest)) = line.split_once("/* ZOO ") else { continue };
        let inside = rest.split_once(" */").map_or(rest, |(inside, _)| inside);
        let (found, expression) = match inside.split_once(": ") {
            Some((found, expression)) => (found, Some(expression.to_owned())),
            None => (inside, None),
        };
        if found == name {
            let line = at.saturating_add(1);
            if let Some(mark) = &mut mark {
                mark.lines.push(line);
                continue;
            }
            let before = head.split('(').next().unwrap_or_default();
            let function = before.rsplit([' ', '*']).next().unwrap_or_default();
            mark = Some(Mark {
                file: format!("zoo/{file}"),
                lines: vec![line],
                function: function.to_owned(),
                inlined: head.contains("inline ") && !head.contains("noinline"),
                expression,
            });
        }
    }
    mark
}

#[cfg(test)]
mod tests {
    use super::super::ways::{NOWHERE, WAYS};
    use super::*;

    #[test]
    fn every_mark_of_the_table_is_in_the_source() {
        for way in WAYS.iter().filter(|way| !way.mark.is_empty() && way.mark != NOWHERE) {
            let found = mark(way.mark).unwrap_or_else(|| panic!("{}", way.mark));
            assert!(!found.function.is_empty() && found.lines[0] > 10, "{found:?}");
        }
        let found = mark("bug-inline").unwrap();
        assert_eq!((found.function.as_str(), found.inlined), ("check_generation", true));
        assert_eq!(found.expression.as_deref(), Some("command->tag != generation"));
        assert!(!mark("bug-chain").unwrap().inlined);
        assert_eq!(mark("loop").unwrap().lines.len(), 2);
        assert_eq!(mark("absent"), None);
    }

    #[test]
    fn the_module_knows_every_way() {
        for way in WAYS {
            use super::super::ways::How;
            if matches!(way.how, How::Write | How::Both | How::Ioctl | How::Unload) {
                let row = format!("{{ \"{}\", ", way.asked);
                assert!(SOURCES.iter().any(|(_, text)| text.contains(&row)), "{}", way.name);
            }
        }
    }

    #[test]
    fn every_source_is_built() {
        let kbuild = SOURCES[0].1;
        for (name, _) in SOURCES.iter().filter(|(name, _)| name.ends_with(".c")) {
            assert!(kbuild.contains(&name.replace(".c", ".o")), "{name}");
        }
    }
}
