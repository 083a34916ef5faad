//! A session over the text of a log: it has no memory, and what the log names is placed at addresses, so that all that asks for
//! symbols, lines and frames works as it does over a dump.
//!
//! **Invariant:** a function that the log names is placed where one of its name and size is, or by itself; never at another.

use crate::error::{KernelError, Result};
use crate::log::event;
use crate::log::printk::{self, Log, LogRecord};
use crate::log::text;
use crate::module::made::MadeCode;
use crate::module::symbols::{LoggedFunctions, ModuleSymbols};
use crate::module::{Module, ModuleMemory, Modules, taint};
use crate::opening::image::Image;
use crate::opening::logged::{APART, Function, Logged, MODULES, UNPLACED, in_table};
use crate::opening::machine::Machine;
use crate::opening::open::Opened;
use crate::opening::options::OpenOptions;
use crate::session::Session;
use arch::{ARCHES, Arch, Boot};
use base::VirtAddr;
use debuginfo::elf::{ObjectFile, SymbolKind, SymbolSection, module_own_name};
use debuginfo::symtab::{SymbolTable, SymbolTableBuilder};
use rustc_hash::FxHashMap;
use std::sync::Arc;

/// How the first line of a boot begins.
const BANNER: &str = "Linux version ";
/// More functions than the reports of one boot name.
const MAX_FUNCTIONS: usize = 1 << 16;
/// More bytes than any function has.
const LONGEST: u64 = 16 << 20;
/// Where code is put that is in no file: made at run time, or of another build.
const MADE: u64 = UNPLACED + 0x7000_0000;
/// Where the room for all that is placed ends.
const END: u64 = UNPLACED + 0x8000_0000;

/// What the text of a log came to.
#[derive(Debug)]
pub(crate) struct LogText {
    /// Its messages.
    pub(crate) log: Log,
    /// What it tells of its kernel.
    logged: Arc<Logged>,
    /// What the user ought to know of it.
    warning: Option<String>,
}

impl LogText {
    /// Reads a text. Of several boots the last counts in which the machine died, else the last; told with a warning.
    pub(crate) fn read(text: &[u8]) -> Self {
        let mut log = text::messages(text);
        let starts =
            log.records.iter().enumerate().filter(|(_, r)| r.text.starts_with(BANNER)).map(|(n, _)| n);
        let mut bounds: Vec<usize> = std::iter::once(0).chain(starts).chain([log.records.len()]).collect();
        bounds.dedup();
        let boots: Vec<std::ops::Range<usize>> =
            bounds.windows(2).filter_map(|pair| Some(*pair.first()?..*pair.get(1)?)).collect();
        let died = |boot: &std::ops::Range<usize>| {
            let records = log.records.get(boot.clone()).unwrap_or_default();
            event::find(&texts(records)).is_some()
        };
        let dead = boots.iter().rposition(died);
        let chosen = dead.or_else(|| boots.len().checked_sub(1)).unwrap_or(0);
        let warning = (boots.len() > 1).then(|| {
            let which = match dead {
                Some(_) => "the last in which the machine died",
                None => "the last; the machine died in none of them",
            };
            format!("the log has {} boots: this is number {}, {which}", boots.len(), chosen.saturating_add(1))
        });
        if let Some(boot) = boots.get(chosen) {
            log.records.truncate(boot.end);
            log.records.drain(..boot.start);
        }
        let lines = texts(&log.records);
        let banner = lines.iter().find(|line| line.starts_with(BANNER)).map(|line| line.trim().to_owned());
        let release = banner.as_deref().and_then(|b| b.strip_prefix(BANNER)?.split_whitespace().next());
        let release = release.map(str::to_owned).or_else(|| lines.iter().find_map(|line| release_of(line)));
        let functions = functions(&lines);
        let linked = linked(&lines);
        let logged = Logged { banner, release, offset: offset(&lines), functions, linked };
        Self { logged: Arc::new(logged), log, warning }
    }

    fn lines(&self) -> Vec<&str> {
        texts(&self.log.records)
    }

    /// The architecture that the log's reports look like, else the one that the banner names, else the first.
    fn arch(&self) -> Option<&'static Arch> {
        let lines = self.lines();
        let count = |arch: &&Arch| {
            let form = arch.oops();
            let is_own = |line: &&&str| {
                let line = line.trim_start();
                form.place(line).is_some() || !form.registers(line).is_empty()
            };
            lines.iter().filter(is_own).count()
        };
        let seen = ARCHES.iter().copied().map(|arch| (count(&arch), arch)).filter(|(n, _)| *n > 0);
        let named = || {
            let banner = self.logged.banner.as_deref()?;
            ARCHES.iter().copied().find(|arch| banner.contains(arch.name()))
        };
        seen.max_by_key(|(n, _)| *n).map(|(_, arch)| arch).or_else(named).or_else(|| ARCHES.first().copied())
    }

    /// The machine of the log: no memory, no registers but those that it names.
    pub(crate) fn machine(&self, image: Arc<Image>, options: &OpenOptions) -> Result<Machine> {
        let none = || KernelError::NoKernel { dump: image.name(), why: "this build reads no machine".into() };
        let arch = self.arch().ok_or_else(none)?;
        let offset = options.kaslr.or(self.logged.offset);
        let boot = Boot::without_memory(arch, offset).ok_or_else(none)?;
        let warnings = self.warning.iter().cloned().collect();
        Ok(Machine::of_log(image, boot, Arc::clone(&self.logged), warnings))
    }
}

fn texts(records: &[LogRecord]) -> Vec<&str> {
    records.iter().filter(|r| r.facility == 0).map(|r| r.text.as_str()).collect()
}

/// How far KASLR moved the image, as a panic logs it: `Kernel Offset: 0x2d200000 from 0xffffffff81000000`.
fn offset(lines: &[&str]) -> Option<u64> {
    let said = lines.iter().rev().find_map(|line| line.trim().strip_prefix("Kernel Offset: "))?;
    let word = said.split_whitespace().next()?;
    if word == "disabled" { Some(0) } else { u64::from_str_radix(word.strip_prefix("0x")?, 16).ok() }
}

/// `CPU: 1 PID: 103 Comm: sh Tainted: G           OE      6.1.0-57-cloud-amd64 #1`: what stands before the build's number.
fn release_of(line: &str) -> Option<String> {
    let line = line.trim_start();
    if !line.starts_with("CPU: ") && !line.starts_with("Pid: ") {
        return None;
    }
    let release = line.split_once(" #")?.0.split_whitespace().next_back()?;
    release.starts_with(|c: char| c.is_ascii_digit()).then(|| release.to_owned())
}

/// `Modules linked in: a zoo(OE) b(-) [last unloaded: x]`: each with the mask of its taints.
fn linked(lines: &[&str]) -> Vec<(String, u64)> {
    let one = |(name, letters): (&str, &str)| {
        let set = taint::FLAGS.iter().filter(|(_, letter, _)| letters.contains(*letter));
        (name.to_owned(), set.fold(0, |mask, (bit, ..)| mask | 1 << bit))
    };
    let last = lines.iter().rev().find_map(|line| event::modules_linked(line));
    last.unwrap_or_default().into_iter().map(one).collect()
}

/// The functions that lines name with their sizes, each once.
fn functions(lines: &[&str]) -> Vec<Function> {
    let mut known = rustc_hash::FxHashSet::default();
    let mut out = Vec::new();
    for ((name, offset, module), size) in lines.iter().flat_map(|line| event::functions(line)) {
        let function = (module, name, size);
        if size == 0 || size > LONGEST || offset > size || known.contains(&function) {
            continue;
        }
        known.insert(function.clone());
        out.push(function);
        if out.len() >= MAX_FUNCTIONS {
            break;
        }
    }
    out
}

impl Session {
    /// True where addresses of this session are those of the machine: of a log that does not tell how far KASLR moved the
    /// image they are its own.
    #[must_use]
    pub fn is_placed(&self, at: VirtAddr) -> bool {
        !self.is_log() || !(UNPLACED..END).contains(&at.0)
    }
}

/// Gives a session the facts that its log tells in place of memory.
pub(crate) fn give(session: &mut Session, read: &LogText) {
    let mut placed = Placed::default();
    placed.kernel(&read.logged, &session.kernel_symbols().table);
    placed.modules(&read.logged, session.opened());
    let Placed { places, modules, module_symbols, made, .. } = placed;
    session.give(printk::Read::given(read.log.clone()));
    session.give(Modules::of(modules, None));
    session.give(ModuleSymbols::given(module_symbols.build()));
    session.give(MadeCode::given(made.build()));
    session.give(LoggedFunctions::given(places));
}

/// What is made of a log's functions.
#[derive(Default)]
struct Placed {
    places: FxHashMap<Function, u64>,
    modules: Vec<Module>,
    module_symbols: SymbolTableBuilder,
    made: SymbolTableBuilder,
    /// Bytes of code of no file.
    made_bytes: u64,
}

impl Placed {
    /// The kernel's own functions: by its table, else as code that is in no file.
    fn kernel(&mut self, logged: &Logged, table: &SymbolTable) {
        for function in logged.functions.iter().filter(|(module, ..)| module.is_none()) {
            let (_, name, size) = function;
            if let Some(at) = in_table(table, name, *size).or_else(|| self.made(name, *size)) {
                self.places.insert(function.clone(), at);
            }
        }
    }

    /// A place for it; none where there is no room below the image of any kernel.
    fn made(&mut self, name: &str, size: u64) -> Option<u64> {
        let at = MADE.saturating_add(self.made_bytes);
        if at.saturating_add(size) > END {
            return None;
        }
        self.made.push(name.as_bytes(), at, size, b't');
        self.made.bound(at..at.saturating_add(size));
        self.made_bytes = self.made_bytes.saturating_add(size).saturating_add(APART);
        Some(at)
    }

    /// The functions of modules: where the file of one has them that was named, else one behind the other.
    fn modules(&mut self, logged: &Logged, opened: &Opened) {
        let mut by_module: FxHashMap<&str, Vec<&Function>> = FxHashMap::default();
        let mut names: Vec<&str> = Vec::new();
        for function in &logged.functions {
            let Some(module) = function.0.as_deref() else { continue };
            let all = by_module.entry(module).or_default();
            if all.is_empty() {
                names.push(module);
            }
            all.push(function);
        }
        let files: Vec<(String, ObjectFile)> = opened
            .module_files
            .iter()
            .filter_map(|path| ObjectFile::open(path).ok())
            .filter_map(|file| Some((module_own_name(&file)?.replace('-', "_"), file)))
            .collect();
        let mut base = MODULES;
        for name in names {
            let functions = by_module.remove(name).unwrap_or_default();
            let own = name.replace('-', "_");
            let file = files.iter().find(|(of, file)| *of == own && has_all(file, &functions));
            self.module_symbols.start_module(name);
            let text = match file {
                Some((_, file)) => self.by_file(file, base, &functions),
                None => self.in_a_row(base, &functions),
            };
            let size = text.div_ceil(APART).saturating_mul(APART);
            self.module_symbols.bound(base..base.saturating_add(size));
            let memory = vec![ModuleMemory { kind: "text", base: VirtAddr(base), size, text: size }];
            self.modules.push(Module {
                at: VirtAddr(base),
                name: name.to_owned(),
                misnamed: None,
                memory,
                init: Vec::new(),
                taints: logged.linked.iter().find(|(of, _)| *of == name).map(|(_, taints)| *taints),
                srcversion: Ok(None),
                state: None,
            });
            base = base.saturating_add(size).saturating_add(APART);
            if base >= MADE {
                break;
            }
        }
    }

    fn in_a_row(&mut self, base: u64, functions: &[&Function]) -> u64 {
        let mut at = base;
        for function in functions {
            self.module_symbols.push(function.1.as_bytes(), at, function.2, b't');
            self.places.insert((*function).clone(), at);
            at = at.saturating_add(function.2);
        }
        at - base
    }

    /// The sections of a module's file one behind the other, with its symbols.
    fn by_file(&mut self, file: &ObjectFile, base: u64, functions: &[&Function]) -> u64 {
        let mut at = base;
        let mut sections = Vec::with_capacity(file.sections().len());
        for section in file.sections() {
            sections.push((at, section.is_exec()));
            if section.is_alloc() {
                let size = section.size().min(MADE - MODULES).div_ceil(APART).saturating_mul(APART);
                at = at.saturating_add(size);
            }
        }
        for symbol in file.symbols() {
            let (SymbolKind::Func | SymbolKind::Object, SymbolSection::Index(n)) =
                (symbol.kind, symbol.section)
            else {
                continue;
            };
            let Some((start, is_exec)) = sections.get(usize::from(n)) else { continue };
            let Some(address) = start.checked_add(symbol.value) else { continue };
            let kind = if *is_exec { b't' } else { b'd' };
            self.module_symbols.push(symbol.name(), address, symbol.size, kind);
            let name = String::from_utf8_lossy(symbol.name());
            for function in functions.iter().filter(|f| f.1 == name && *is_exec) {
                self.places.entry((*function).clone()).or_insert(address);
            }
        }
        at - base
    }
}

/// True where a module's file has each function once, and none is longer than the log says.
fn has_all(file: &ObjectFile, functions: &[&Function]) -> bool {
    let mut sizes: FxHashMap<&[u8], Option<u64>> = FxHashMap::default();
    for symbol in file.symbols().filter(|symbol| symbol.kind == SymbolKind::Func) {
        sizes.entry(symbol.name()).and_modify(|size| *size = None).or_insert(Some(symbol.size));
    }
    functions
        .iter()
        .all(|(_, name, size)| sizes.get(name.as_bytes()).copied().flatten().is_some_and(|own| own <= *size))
}
