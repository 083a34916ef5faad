//! `mod`: the loaded modules.

use crate::{CommandError, Cx, Example, Run};
use debuginfo::find::Finder;
use kernel::Fetch;
use kernel::Session;
use kernel::module::Module;
use kernel::module::taint;
use report::{Cell, Line, Record, Report, Role};
use std::path::Path;

/// `mod`.
#[derive(Debug)]
pub(crate) struct Mod;

/// The arguments of `mod`.
#[derive(clap::Args)]
pub(crate) struct ModArgs {
    /// Load the debugging data of a module
    #[arg(short = 's', value_name = "MODULE [OBJFILE]", num_args = 1..=2, action = clap::ArgAction::Set)]
    load: Vec<String>,
    /// Forget the debugging data of a module
    #[arg(short = 'd', value_name = "MODULE")]
    delete: Option<String>,
    /// Load the debugging data of all modules
    #[arg(short = 'S', value_name = "DIRECTORY", num_args = 0..=1, default_missing_value = "")]
    load_all: Option<String>,
    /// Forget the debugging data of all modules
    #[arg(short = 'D')]
    delete_all: bool,
    /// Show the modules that taint the kernel, and how
    #[arg(short = 't')]
    taints: bool,
    /// crash: read all debugging data at once; here the answers are the same
    #[arg(short = 'r')]
    readnow: bool,
    /// Read the list of modules again: for live systems only
    #[arg(short = 'R')]
    reinit: bool,
    /// crash: load symbols in an older way; here the answers are the same
    #[arg(short = 'o')]
    old: bool,
    /// Show the sections of each module, as the kernel placed them
    #[arg(short = 'g')]
    sections: bool,
}

impl Run for Mod {
    type Args = ModArgs;
    fn name(&self) -> &'static str {
        "mod"
    }
    fn about(&self) -> &'static str {
        "module information and loading of symbols and debugging data"
    }
    fn details(&self) -> &'static str {
        "Shows the loaded modules: the address of struct module, name, base address, size, and the file whose \
         debugging data is in use. The symbols and, where the kernel has BTF, the types of modules come from the \
         dump itself and need no file; a file adds lines, local variables and inlined calls. Files that lie where \
         distributions put them are found and checked by build id without being asked for; where the dump tells \
         no build id, by the places of their symbols."
    }
    fn debug_files(&self, words: &[String]) -> Fetch {
        // what is to be loaded may have to be fetched
        let loads = words.iter().any(|word| word.starts_with("-s") || word.starts_with("-S"));
        if loads { Fetch::Always } else { Fetch::Lacking }
    }
    fn examples(&self) -> &'static [Example] {
        const {
            &[
                Example::new("mod", "all modules"),
                Example::new("mod -S", "load the debugging data of all modules"),
                Example::new("mod -s virtio_ring /tmp/virtio_ring.ko", "load one from a file"),
                Example::new("mod -t", "modules that taint the kernel"),
                Example::new("mod -g", "modules with the addresses of their sections"),
            ]
        }
    }
    fn run(&self, cx: &mut Cx<'_>, args: &ModArgs) -> Result<Report, CommandError> {
        let s = cx.session()?;
        let mut report = Report::new("mod");
        if let Some(e) = s.modules_problem() {
            report.lacking(e.is_loss(), format!("mod: the list of modules is not whole: {e}"));
        }
        if let Some(e) = s.misnamed_module() {
            report.lacking(e.is_loss(), format!("mod: {e}"));
        }
        if args.reinit {
            return Err(CommandError::failed("-R: the modules of a dump do not change"));
        }
        for (given, letter) in [(args.readnow, 'r'), (args.old, 'o')] {
            if given {
                report.info(format!(
                    "mod: -{letter}: nothing to do: debugging data is read where it is needed"
                ));
            }
        }
        if args.taints {
            taints(s, &mut report);
            return Ok(report);
        }
        if args.delete_all {
            s.modules().iter().for_each(|m| s.unload_module_file(m));
            return Ok(report);
        }
        if let Some(name) = &args.delete {
            s.unload_module_file(named(s, name)?);
            return Ok(report);
        }
        if args.load.len() > 1 || args.load_all.as_ref().is_some_and(|dir| !dir.is_empty()) {
            cx.may_name_files()?;
        }
        let mut loading = args.load.iter();
        if let Some(name) = loading.next() {
            let m = named(s, name)?;
            let problem = match loading.next() {
                Some(path) => {
                    s.load_named_module_file(m, Path::new(path)).err().map(|e| (e.to_string(), Vec::new()))
                }
                None => found(s, m),
            };
            if let Some((why, below)) = problem {
                return Err(CommandError::explained(why, below));
            }
            list(s, &[m], args.sections, &mut report);
            return Ok(report);
        }
        let all: Vec<&Module> = s.modules().iter().collect();
        if let Some(dir) = &args.load_all {
            for m in &all {
                cx.cancel.check()?;
                let problem = match dir.as_str() {
                    "" => found(s, m),
                    dir => in_folder(s, m, dir),
                };
                if let Some((why, below)) = problem {
                    report.error(format!("mod: {why}"));
                    below.into_iter().for_each(|line| report.info(line));
                }
            }
        }
        list(s, &all, args.sections, &mut report);
        Ok(report)
    }
}

fn named<'s>(s: &'s Session, name: &str) -> Result<&'s Module, CommandError> {
    let found = s.modules().iter().find(|m| m.name == *name);
    found.ok_or_else(|| CommandError::failed(crate::show::values::not_loaded(s, name)))
}

/// Why a file was not loaded, and which files were refused.
type Problem = (String, Vec<String>);

/// Loads a module's debugging data from where it is named or usually lies; why not, where it is not there.
fn found(s: &Session, m: &Module) -> Option<Problem> {
    match s.find_module_file(m) {
        Some(_) => None,
        None => {
            let refused = s.module_files_refused(m).into_iter().map(|why| format!("  {why}")).collect();
            Some((format!("cannot find or load object file for {} module", m.name), refused))
        }
    }
}

/// The same from a folder and those below it.
fn in_folder(s: &Session, m: &Module, dir: &str) -> Option<Problem> {
    let release = s.opened().release().unwrap_or_default();
    let finder = Finder::named(&release).with_dir(Path::new(dir)).with_watch(s.opened().watch.clone());
    let file = finder.module_among(&m.name, s.module_build_id(m).as_deref(), &|| s.module_build_ids()).found;
    match file.map(|f| s.load_module_file(m, &f.path)) {
        Some(Ok(_)) => None,
        Some(Err(e)) => Some((e.to_string(), Vec::new())),
        None => Some((format!("cannot find or load object file for {} module", m.name), Vec::new())),
    }
}

fn list(s: &Session, all: &[&Module], sections: bool, report: &mut Report) {
    let mut all = all.to_vec();
    all.sort_by_key(|m| m.base());
    if all.is_empty() && s.modules_problem().is_none() {
        report.text("no modules are loaded");
        report.list("modules", Vec::new());
        return;
    }
    let names = all.iter().map(|m| m.name.len()).max().unwrap_or(0).max(4);
    let sizes = all.iter().map(|m| m.size().to_string().len()).max().unwrap_or(0).max(4);
    // since 6.4 a module has several runs of memory, of which the text's is shown
    let base = if all.iter().any(|m| m.memory.len() > 1) { "   TEXT_BASE    " } else { "      BASE      " };
    let head = format!("     MODULE       {:names$}  {base}  {:>sizes$}  OBJECT FILE", "NAME", "SIZE");
    report.line(Line::heading(head));
    let rows = all.iter().map(|m| {
        let mut row = row(s, m, names, sizes);
        if sections {
            place_sections(s, m, &mut row);
        }
        row
    });
    report.list("modules", rows.collect());
}

fn row(s: &Session, m: &Module, names: usize, sizes: usize) -> Record {
    let line = Line::new().field("module", Cell::Addr(m.at.0)).zeros(16).text("  ");
    let name = match &m.misnamed {
        Some(why) if !m.has_name() => crate::show::tasks::unknown(&m.name, why),
        _ => m.name.clone().into(),
    };
    let line = line.field("name", name).left(names).text("  ");
    let line = line.field("base", Cell::Addr(m.base().0)).zeros(16).text("  ");
    let line = line.field("size", m.size()).right(sizes).text("  ");
    let mut row = Record::of(match object_file(s, m) {
        Some(path) => line.field("object_file", path).role(Role::Path),
        None => {
            let kallsyms = s.module_symbols().modules().any(|name| name == m.name);
            line.field("object_file", Cell::Shown(Box::new(Cell::Null), "(not loaded)".into()))
                .text(if kallsyms { "  [CONFIG_KALLSYMS]" } else { "" })
        }
    });
    if let Some(e) = s.symbols_lost_of(m) {
        row.missing(format!("mod: symbols of {} cannot be read: {e}", m.name));
    }
    match &m.srcversion {
        Ok(Some(version)) => row.hidden("srcversion", version.clone()),
        Ok(None) => {}
        Err(e) => row.hidden("srcversion", crate::show::tasks::unknown("not known", e)),
    }
    row.hidden("taints", known(m.taints.map(taint::letters)));
    let state = |state| match state {
        0 => "live",
        1 => "coming",
        2 => "going",
        _ => "unformed",
    };
    row.hidden("state", known(m.state.map(state)));
    row
}

/// What a module's struct says, where that can be read.
fn known<T: Into<Cell>>(value: Option<T>) -> Cell {
    crate::show::tasks::known(
        value,
        "this member of the module's struct is not in the dump, or no type tells where it is",
    )
}

/// The file whose debugging data serves for a module.
fn object_file(s: &Session, m: &Module) -> Option<String> {
    s.module_debug_named(m).map(|file| s.opened().machine.image.shown(file.object.path()))
}

fn place_sections(s: &Session, m: &Module, row: &mut Record) {
    match kernel::module::sections(s, m.at) {
        Ok(list) => {
            let one = |(name, at): (String, base::VirtAddr)| {
                Record::of(
                    Line::new()
                        .text("    ")
                        .field("address", Cell::Addr(at.0))
                        .text("  ")
                        .field("section", name),
                )
            };
            row.list("sections", list.into_iter().map(one).collect());
        }
        Err(e) => row.lacking(e.is_loss(), format!("mod: sections of {}: {e}", m.name)),
    }
}

fn taints(s: &Session, report: &mut Report) {
    let unknown: Vec<&str> =
        s.modules().iter().filter(|m| m.taints.is_none()).map(|m| m.name.as_str()).collect();
    if !unknown.is_empty() {
        let text = format!("mod: what these modules taint is not known: {}", unknown.join(", "));
        report.lacking(kernel::module::tells_taints(s), text);
    }
    let tainting: Vec<(&Module, u64)> = s.modules().iter().filter_map(|m| Some((m, m.taints?))).collect();
    let tainting: Vec<(&Module, u64)> = tainting.into_iter().filter(|(_, taints)| *taints != 0).collect();
    if tainting.is_empty() {
        if !unknown.is_empty() || s.modules_problem().is_some() {
            return;
        }
        report.text("no tainted modules");
        return;
    }
    let names = tainting.iter().map(|(m, _)| m.name.len()).max().unwrap_or(0).max(4);
    report.line(Line::heading(format!("{:names$}  TAINTS", "NAME")));
    let row = |(m, taints): &(&Module, u64)| {
        let line = Line::new().field("name", m.name.clone()).left(names).text("  ");
        Record::of(line.field("taints", taint::letters(*taints)))
    };
    report.list("modules", tainting.iter().map(row).collect());
}
