//! `debuginfo pack`.

use super::{note_modules, row};
use crate::{CommandError, Cx};
use debuginfo::elf::ObjectFile;
use debuginfo::find::hex;
use debuginfo::pack::{self, EXTENSION, Kind, PackError};
use kernel::Session;
use kernel::debug::{Need, Of};
use report::{Cell, Line, Report, Role};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A file to pack.
type File = (Kind, String, Arc<ObjectFile>);

pub(super) fn run(cx: &Cx<'_>, s: &Session, output: Option<&str>) -> Result<Report, CommandError> {
    cx.may_name_files()?;
    let kernel = s.kernel_need();
    let whole = s.debug_object(Of::Kernel).ok_or_else(|| no_kernel(s, &kernel))?;
    // the file is the dump's by its own id where the dump does not tell one
    let id = whole.build_id().map(hex);
    let id = id.ok_or_else(|| CommandError::failed("the vmlinux has no build id to be known by"))?;
    if s.opened().build != kernel::Build::Own {
        return Err(CommandError::failed(format_args!(
            "the vmlinux ({id}) is not the dump's: it is used by force"
        )));
    }
    let path = place(output, &id);
    let shown = path.display().to_string();
    cx.may_write(&shown)?;
    let mut report = Report::new("debuginfo");
    let mut files: Vec<File> = vec![(Kind::Vmlinux, "vmlinux".to_owned(), whole)];
    let mut rows = vec![row(&kernel, Cell::from(own_path(s, &kernel)))];
    for m in s.modules() {
        cx.cancel.check()?;
        let need = s.module_need(m);
        match s.debug_object(Of::Module(m)) {
            Some(file) if file.build_id().is_some() => {
                rows.push(row(&need, Cell::from(file.path().display().to_string())));
                files.push((Kind::Module, m.name.clone(), file));
            }
            Some(_) => report
                .warning(format!("debuginfo: module {} is not packed: its file has no build id", m.name)),
            None => {
                report.warning(format!("debuginfo: module {} is not packed: its file is not there", m.name))
            }
        }
    }
    for file in common(s, &files)? {
        files.push(file);
    }
    let list: Vec<(Kind, String, &ObjectFile)> =
        files.iter().map(|(kind, name, file)| (*kind, name.clone(), &**file)).collect();
    let release = s.opened().release().unwrap_or_default();
    let packed = pack::write(&path, &release, &list, &s.opened().watch).map_err(|e| match e {
        PackError::Cancelled => CommandError::Cancelled(base::Cancelled),
        e => CommandError::failed(e.to_string()),
    })?;
    report.line(super::heading());
    report.list("files", rows);
    report.blank();
    let line = Line::new().field("pack", shown).role(Role::Path).text(": ");
    let line = line.field("packed", mib(packed.packed)).text(" for ").field("whole", mib(packed.whole));
    report.line(line.text(" of debug files, ").field("read", mib(packed.read)).text(" of them read"));
    note_modules(s, &mut report);
    Ok(report)
}

fn own_path(s: &Session, need: &Need<'_>) -> String {
    need.path.as_ref().map(|path| s.opened().machine.image.shown(path)).unwrap_or_default()
}

fn no_kernel(s: &Session, need: &Need<'_>) -> CommandError {
    let id = need.build_id.as_deref().map_or_else(|| "not known".to_owned(), hex);
    match &need.path {
        Some(_) => CommandError::failed(format_args!(
            "{}: has symbols and no debug information (build id {id}): a pack needs it",
            own_path(s, need)
        )),
        None => CommandError::failed(format_args!(
            "the kernel's vmlinux is not there (build id {id}): name it behind the dump, or try debuginfo fetch"
        )),
    }
}

/// Where the pack is written: a folder has packs by their build ids, where fetch --from looks for them.
fn place(output: Option<&str>, id: &str) -> PathBuf {
    let name = format!("{id}.{EXTENSION}");
    match output {
        None => PathBuf::from(name),
        Some(dir) if Path::new(dir).is_dir() => Path::new(dir).join(name),
        Some(file) => PathBuf::from(file),
    }
}

/// The files in which dwz keeps what others have in common, each once.
fn common(s: &Session, files: &[File]) -> Result<Vec<File>, CommandError> {
    let elsewhere = |name: &str, id: &[u8]| s.opened().finder.as_ref()?.supplement(name, id);
    let mut out: Vec<File> = Vec::new();
    for (_, _, file) in files {
        let part = debuginfo::dwarf::common_part(file, &elsewhere)
            .map_err(|e| CommandError::failed(e.to_string()))?;
        if let Some((name, part)) = part
            && !out.iter().any(|(_, _, known)| known.build_id() == part.build_id())
        {
            out.push((Kind::Common, name, part));
        }
    }
    Ok(out)
}

/// Bytes, shown in MiB.
fn mib(bytes: u64) -> Cell {
    let tenths = bytes.saturating_mul(10) >> 20;
    Cell::shown(bytes, format!("{}.{} MiB", tenths / 10, tenths % 10))
}
