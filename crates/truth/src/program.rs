//! Running crashlens.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use serde_json::Value;

use crate::{Case, State, peers};

/// How long a run may take, in seconds; far more than any needs.
const LIMIT: &str = "120";

/// The root of the repository.
#[must_use]
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_owned()
}

/// The program, built if need be.
///
/// # Errors
/// It does not build.
pub fn program() -> Result<PathBuf, String> {
    static PROGRAM: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    PROGRAM
        .get_or_init(|| match std::env::var_os("CRASHLENS_BIN") {
            Some(path) => Ok(path.into()),
            None => build(),
        })
        .clone()
}

fn build() -> Result<PathBuf, String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(cargo);
    // what cargo tells this test about its own crate would make some build scripts run again, and all that uses them
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if name.starts_with("CARGO_MANIFEST_") || name.starts_with("CARGO_PKG_") {
            build.env_remove(&*name);
        }
    }
    build.args(["build", "--release", "--package", "crashlens-cli", "--message-format", "json"]);
    let out = build.current_dir(root()).output().map_err(|e| format!("cargo: {e}"))?;
    let messages = String::from_utf8_lossy(&out.stdout);
    let path = messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|message| message.pointer("/target/name").is_some_and(|name| name == "crashlens"))
        .find_map(|message| Some(PathBuf::from(message.get("executable")?.as_str()?)));
    path.ok_or_else(|| format!("crashlens does not build: {}", String::from_utf8_lossy(&out.stderr)))
}

/// Runs crashlens with these arguments, in the root of the repository, and returns exit code, output and complaints.
///
/// # Errors
/// It cannot be started, or was ended by a signal or by the time limit.
pub fn run(args: &[String]) -> Result<(i32, String, String), String> {
    run_by(&[], args)
}

/// crashlens without arguments yet, bounded in time (then its exit code is 124), in the root of the repository, and
/// without the user's own settings and debug files, which must not change what the tests see.
///
/// # Errors
/// It does not build.
pub fn command() -> Result<Command, String> {
    command_by(&[])
}

/// The same by way of another program, which is given ours and its arguments.
fn command_by(way: &[&str]) -> Result<Command, String> {
    let mut command = Command::new("timeout");
    command.arg(LIMIT).args(way).arg(program()?).current_dir(root()).stdin(Stdio::null());
    command.env("HOME", "/nonexistent").env("TZ", "UTC").env("LC_ALL", "C").env_remove("DEBUGINFOD_URLS");
    Ok(command)
}

/// True where a program that filters pages wrote one of the files.
fn is_filtered(args: &[String]) -> bool {
    args.iter().any(|arg| arg.contains(".kdump"))
}

/// As [`run`], whatever the exit code says of the answers.
///
/// # Errors
/// It cannot be started, or was ended by a signal or by the time limit.
pub fn run_whatever(args: &[String]) -> Result<(i32, String, String), String> {
    let out = command()?.args(args).output().map_err(|e| format!("timeout: {e}"))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    match out.status.code() {
        Some(code @ 0..=4) => Ok((code, text(&out.stdout), text(&out.stderr))),
        code => Err(format!("crashlens: {code:?}: {}", text(&out.stderr))),
    }
}

fn run_by(way: &[&str], args: &[String]) -> Result<(i32, String, String), String> {
    let out = command_by(way)?.args(args).output().map_err(|e| format!("timeout: {e}"))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    match out.status.code() {
        Some(124) => Err(format!("crashlens {}: no end after {LIMIT} s", args.join(" "))),
        // 4: the dump lost a part of the answer, as one that a filter does not fit that is older than the kernel
        Some(4) if !is_filtered(args) => Err(format!(
            "crashlens {}: a part is lost of a whole dump: {}",
            args.join(" "),
            text(&out.stdout)
        )),
        Some(code @ (0 | 1 | 4)) => Ok((code, text(&out.stdout), text(&out.stderr))),
        _ => Err(format!("crashlens {}: {}: {}", args.join(" "), out.status, text(&out.stderr))),
    }
}

/// What crashlens prints to each of several command lines in one run, complaints among it; `options` come first.
///
/// # Errors
/// Those of [`run`], and answers of another number than the questions.
pub fn texts(options: &[&str], files: &[PathBuf], lines: &[String]) -> Result<Vec<String>, String> {
    let options = ["-s", "--no-search", "--no-pager"].iter().chain(options).map(|word| (*word).to_owned());
    let mut args: Vec<String> = options.collect();
    for line in lines {
        args.extend(["-c".to_owned(), line.clone(), "-c".to_owned(), peers::mark()]);
    }
    args.extend(files.iter().map(|file| file.display().to_string()));
    let (_, out, _) = run_by(&["sh", "-c", r#"exec "$@" 2>&1"#, "sh"], &args)?;
    let answers = peers::split(&out);
    if answers.len() != lines.len() {
        return Err(format!("{} answers to {} commands: {out}", answers.len(), lines.len()));
    }
    Ok(answers)
}

/// What is asked about queues, interrupts, timers and the machine.
const MACHINE: [&str; 18] = [
    "runq",
    "runq -g",
    "irq -s",
    "irq -b",
    "irq -a",
    "timer -r",
    "mach",
    "mach -c",
    "mach -m",
    "stacks",
    "wq -a",
    "wq -w",
    "wq -d",
    "meminfo",
    "pstack -a",
    "inflight -a",
    "dentries",
    "dentries /mnt/disk",
];

/// What crashlens answered to each of several command lines, as JSON.
#[derive(Debug)]
pub struct Answers {
    /// Command lines and answers.
    all: Vec<(String, Value)>,
}

impl Answers {
    /// Asks about a dump.
    ///
    /// # Errors
    /// [`run`]'s, and answers that are no JSON or of another number than the questions.
    pub fn ask(files: &[PathBuf], lines: &[String]) -> Result<Self, String> {
        Self::ask_with(&[], files, lines)
    }

    /// The same with options of the program's.
    ///
    /// # Errors
    /// Those of [`Self::ask`].
    pub fn ask_with(options: &[&str], files: &[PathBuf], lines: &[String]) -> Result<Self, String> {
        let options = ["--json", "--no-search"].iter().chain(options).map(|word| (*word).to_owned());
        let mut args: Vec<String> = options.collect();
        for line in lines {
            args.extend(["-c".to_owned(), line.clone()]);
        }
        args.extend(files.iter().map(|file| file.display().to_string()));
        let (_, out, complaints) = run(&args)?;
        let answers: Vec<Value> = out
            .lines()
            .map(|line| serde_json::from_str(line).map_err(|e| format!("{e} in {line}")))
            .collect::<Result<_, _>>()?;
        if answers.len() != lines.len() {
            return Err(format!("{} answers to {} commands: {out}{complaints}", answers.len(), lines.len()));
        }
        Ok(Self { all: lines.iter().cloned().zip(answers).collect() })
    }

    /// Everything the aspects read, about one dump of a case in one state.
    ///
    /// # Errors
    /// Those of [`Self::ask`].
    pub fn about(case: &Case, dump: &[PathBuf], state: State) -> Result<Self, String> {
        let files: Vec<PathBuf> = dump.iter().cloned().chain(case.debug_files(state)).collect();
        let samples = case.truth.kallsyms.samples.iter().map(|symbol| symbol.name.as_str());
        // a return address behind the last call of a function, as 3.10 and arm64 name it: by the next function
        let stacks = case.truth.stacks.iter().flat_map(|stack| &stack.frames);
        let trace = case.truth.death().into_iter().flat_map(|report| &report.trace).map(|frame| &frame.place);
        let next = stacks.chain(trace).filter(|place| place.offset == 0);
        let next: BTreeSet<&str> = next.map(|place| place.symbol.as_str()).collect();
        let symbols: Vec<&str> = samples.filter(|name| !crate::truth::is_label(name)).chain(next).collect();
        let lines = [
            "sys",
            "log",
            "mod",
            "ps",
            "ps -Y",
            "ipcs -Msq",
            "foreach files",
            "mount",
            "bt -s",
            "dev",
            "dev -i",
            "dev -d",
            "net",
            "net -a",
            "foreach net -s",
        ];
        let lines = lines.map(str::to_owned).into_iter();
        let memory = ["foreach user gleader vm", "kmem -i", "kmem -f", "kmem -z", "kmem -s"];
        let lines = lines.chain(memory.map(str::to_owned));
        let other = case.truth.task_in_own_ipc().map(|pid| format!("ipcs -n {pid} -Msq"));
        let processes: Vec<String> = case.truth.signals().keys().map(ToString::to_string).collect();
        let signals = format!("sig {}", processes.join(" "));
        let machine = MACHINE.iter().map(|line| (*line).to_owned());
        let traced = case.truth.sections.contains_key("trace.made");
        let traced = traced.then(|| "trace show -i made".to_owned());
        let lines = lines
            .chain(machine)
            .chain(traced)
            .chain(other)
            .chain([signals, format!("sym {}", symbols.join(" "))]);
        let lines: Vec<String> = lines.collect();
        let mut answers = Self::ask(&files, &lines)?;
        let pids: Vec<String> = answers
            .list("ps", "tasks")?
            .iter()
            .filter_map(|task| task.get("pid")?.as_i64())
            .filter(|pid| *pid > 0)
            .map(|pid| pid.to_string())
            .collect();
        let all = format!("bt -s {}", pids.join(" "));
        let tasks = Self::ask(&files, &[all])?;
        answers.all.extend(tasks.all.into_iter().map(|(_, answer)| ("all stacks".to_owned(), answer)));
        Ok(answers)
    }

    /// The data of the answer to the line that starts so.
    ///
    /// # Errors
    /// There is no such line, or crashlens answered with an error.
    pub fn data(&self, line: &str) -> Result<&Value, String> {
        let found =
            self.all.iter().find(|(asked, _)| asked == line || asked.starts_with(&format!("{line} ")));
        let (_, answer) = found.ok_or_else(|| format!("`{line}` was not asked"))?;
        match answer.get("error") {
            Some(error) => Err(format!("{line}: {error}")),
            None => answer.get("data").ok_or_else(|| format!("{line}: no data")),
        }
    }

    /// A list in the answer to a line.
    ///
    /// # Errors
    /// Those of [`Self::data`], and that there is no such list.
    pub fn list(&self, line: &str, member: &str) -> Result<&Vec<Value>, String> {
        let list = self.data(line)?.get(member).and_then(Value::as_array);
        list.ok_or_else(|| format!("{line}: no list `{member}`"))
    }
}
