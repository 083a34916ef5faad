//! The peers, the questions, and how each program is asked.
//!
//! crash is Debian sid's, in a root of its own under the user's cache folder (bookworm's is too old for current
//! kernels); drgn is PyPI's, in a virtual environment beside it. Both are set up once. Where that fails (no network, not
//! root), the bench goes on without.

use std::fs;
use std::path::{Path, PathBuf};

use super::version;
use crate::corpus;
use crate::run::{At as _, Error, command, output, say};
use crate::setup;

/// Stands for the dump's folder, as each program sees it.
pub(crate) const HERE: &str = "{here}";

/// A question, in each program's words; empty for a drgn that has none.
#[derive(Clone, Copy)]
pub(crate) struct Question {
    pub(crate) what: &'static str,
    pub(crate) crashlens: &'static str,
    pub(crate) crash: &'static str,
    pub(crate) drgn: &'static str,
    /// Asked of the generated dump too.
    pub(crate) giant: bool,
    /// How often it is asked in one session.
    pub(crate) times: usize,
}

/// What else is asked: fresh, and what it costs once more in an open session.
const fn also(line: &'static str, drgn: &'static str) -> Question {
    Question { what: line, crashlens: line, crash: line, drgn, giant: false, times: 1 }
}

/// Commands about the whole machine, and what only crashlens has.
pub(crate) const ALSO: &[Question] = &[
    also("kmem -s", "for c in for_each_slab_cache(prog): print(c.name.string_(), slab_cache_usage(c))"),
    also("kmem -S kmalloc-64", ""),
    also("kmem -i", ""),
    also("kmem -p", ""),
    also(
        "foreach files",
        "for t in for_each_task(prog):\n  try:\n    for n, f in for_each_file(t): print(n, d_path(f.f_path))\n  except Exception as \
         e: print(e)",
    ),
    also("foreach vm", ""),
    also("net", ""),
    also("irq", ""),
    also("timer", ""),
    also("runq", ""),
    also("mount", "for m in for_each_mount(prog): print(mount_src(m), mount_dst(m))"),
    also("swap", ""),
    also("ipcs", ""),
    also("dev -d", ""),
    Question { crash: "", ..also("stacks", "") },
    Question { crash: "", ..also("locks", "") },
    Question { crash: "", ..also("inflight", "") },
    Question { crash: "", ..also("wq -a", "") },
    Question { crash: "", ..also("meminfo", "") },
    Question { crash: "", ..also("dentries", "") },
    Question { crash: "", ..also("pstack -a", "") },
];

/// The questions.
pub(crate) const QUESTIONS: &[Question] = &[
    Question { what: "open and quit", crashlens: "quit", crash: "", drgn: "pass", giant: true, times: 1 },
    Question {
        what: "panic task's backtrace",
        crashlens: "bt",
        crash: "bt",
        drgn: "print(prog.crashed_thread().stack_trace())",
        giant: true,
        times: 1,
    },
    Question {
        what: "the same with lines and inlined frames",
        crashlens: "bt -l",
        crash: "bt -l",
        drgn: "print(prog.crashed_thread().stack_trace())",
        giant: false,
        times: 1,
    },
    Question {
        what: "all tasks' backtraces",
        crashlens: "foreach bt",
        crash: "foreach bt",
        drgn: "for t in for_each_task(prog):\n  print(t.pid.value_())\n  try: print(prog.stack_trace(t))\n  except \
               Exception as e: print(e)",
        giant: true,
        times: 1,
    },
    Question {
        what: "processes",
        crashlens: "ps",
        crash: "ps",
        drgn: "for t in for_each_task(prog): print(t.pid.value_(), t.real_parent.pid.value_(), task_state_to_char(t), \
               t.comm.string_().decode())",
        giant: false,
        times: 1,
    },
    Question {
        what: "log",
        crashlens: "log",
        crash: "log",
        drgn: "print(get_dmesg(prog).decode(errors='replace'))",
        giant: false,
        times: 1,
    },
    Question {
        what: "a struct's layout, `struct -o task_struct`",
        crashlens: "struct -o task_struct",
        crash: "struct -o task_struct",
        drgn: "print(prog.type('struct task_struct'))",
        giant: false,
        times: 1,
    },
    Question {
        what: "a deep expression, `p init_task.nsproxy->uts_ns->name`",
        crashlens: "p init_task.nsproxy->uts_ns->name",
        crash: "p init_task.nsproxy->uts_ns->name",
        drgn: "print(prog['init_task'].nsproxy.uts_ns.name)",
        giant: false,
        times: 1,
    },
    Question {
        what: "a function's code, `dis vfs_read`",
        crashlens: "dis vfs_read",
        crash: "dis vfs_read",
        drgn: "",
        giant: false,
        times: 1,
    },
    Question {
        what: "all modules' debug files, `mod -S`",
        crashlens: "mod -S {here}/modules",
        crash: "mod -S {here}/modules",
        drgn: "",
        giant: false,
        times: 1,
    },
    Question {
        what: "all memory, `search -k deadbeef`",
        crashlens: "search -k deadbeef",
        crash: "search -k deadbeef",
        drgn: "",
        giant: false,
        times: 1,
    },
    Question {
        what: "`verdict` (crash: to its prompt)",
        crashlens: "verdict",
        crash: "",
        drgn: "",
        giant: false,
        times: 1,
    },
];

const DRGN_NAMES: &str = "from drgn.helpers.linux.pid import *\nfrom drgn.helpers.linux.sched import *\n\
                          from drgn.helpers.linux.printk import *\nfrom drgn.helpers.linux.slab import *\n\
                          from drgn.helpers.linux.fs import *\n";

/// What is installed.
#[derive(Default)]
pub(crate) struct Peers {
    /// The root that has crash.
    crash: Option<PathBuf>,
    /// drgn's program.
    drgn: Option<PathBuf>,
}

/// From a question to the words of a command line.
pub(crate) type Asker = Box<dyn Fn(&Question) -> Option<Vec<String>>>;

impl Peers {
    /// Sets them up where they are not; says what could not be.
    pub(crate) fn prepare() -> Self {
        let Ok(base) = corpus::cache().map(|cache| cache.with_file_name("peers")) else {
            return Self::default();
        };
        let found = |name: &str, result: Result<PathBuf, Error>| {
            result.map_err(|error| say(format_args!("without {name}: {error}"))).ok()
        };
        Self { crash: found("crash", crash(&base)), drgn: found("drgn", drgn(&base)) }
    }

    /// The interpreter of drgn's environment, where that was set up.
    pub(crate) fn drgn_python() -> Option<PathBuf> {
        let python = corpus::cache().ok()?.with_file_name("peers").join("venv/bin/python");
        python.exists().then_some(python)
    }

    /// Both are there, and crash starts in its root (which needs the right to mount).
    pub(crate) fn complete(&self) -> bool {
        let Some(root) = &self.crash else { return false };
        let root = root.display().to_string();
        let words = ["-m", "chroot", &root, "sh", "-c", "mount -t proc proc /proc && crash --version"];
        let starts = output(&mut command("unshare", words));
        if let Err(error) = &starts {
            say(format_args!("without crash: {error}"));
        }
        starts.is_ok() && self.drgn.is_some()
    }

    /// A line for each.
    pub(crate) fn versions(&self) -> Vec<String> {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let crash = self.crash.as_ref().and_then(|root| {
            version(&words(&["chroot", &root.display().to_string(), "crash", "--version"]), "crash ")
        });
        let drgn = self
            .drgn
            .as_ref()
            .and_then(|drgn| version(&words(&[&drgn.display().to_string(), "--version"]), "drgn "));
        [crash, drgn].into_iter().flatten().collect()
    }

    /// How drgn is asked about a dump.
    pub(crate) fn drgn(&self, dump: String, vmlinux: String) -> Option<Asker> {
        let drgn = self.drgn.as_ref()?.display().to_string();
        Some(Box::new(move |question| {
            if question.drgn.is_empty() {
                return None;
            }
            // Python reads such a string as Rust writes it
            let code = match question.times {
                1 => format!("{DRGN_NAMES}{}", question.drgn),
                times => format!("{DRGN_NAMES}for again in range({times}): exec({:?})", question.drgn),
            };
            let words = [&drgn, "-q", "--no-default-symbols", "-c", &dump, "-s", &vmlinux, "-e", &code];
            Some(words.iter().map(|word| (*word).to_owned()).collect())
        }))
    }

    /// How crash is asked about a dump in a folder that has its `vmlinux` too.
    pub(crate) fn crash(&self, dir: &Path, dump: &str) -> Option<Asker> {
        let root = self.crash.as_ref()?.clone();
        let (dir, dump) = (dir.display().to_string(), dump.to_owned());
        Some(Box::new(move |question| {
            // what crash has no command for is not asked; where nothing is asked it opens the dump
            if question.crash.is_empty()
                && !question.crashlens.is_empty()
                && ALSO.iter().any(|q| q.what == question.what)
            {
                return None;
            }
            let lines = root.join("tmp/crash-commands");
            let asked = format!("{}\n", question.crash.replace(HERE, "/dumps")).repeat(question.times);
            fs::write(&lines, asked + "quit\n").ok()?;
            let root = root.display().to_string();
            let words = ["unshare", "-m", "bash", "-c", ENTER, "bash", &root, &dir, &dump];
            Some(words.iter().map(|word| (*word).to_owned()).collect())
        }))
    }
}

/// Runs crash in its root, with the dump's folder mounted there; the mounts end with the process.
const ENTER: &str = r#"set -e
mkdir -p "$1/dumps"
mount --bind "$2" "$1/dumps"
mount -t proc proc "$1/proc"
exec chroot "$1" /bin/sh -c 'cd /dumps && exec crash -s -i /tmp/crash-commands vmlinux "$0"' "$3""#;

fn crash(base: &Path) -> Result<PathBuf, Error> {
    debian(base, "sid", "sid", &["crash"])
}

/// A Debian of its own in a folder of `base`, with these packages and no more than it must have.
pub(crate) fn debian(base: &Path, name: &str, suite: &str, packages: &[&str]) -> Result<PathBuf, Error> {
    let root = base.join(name);
    if !root.join("usr/bin/dpkg").exists() {
        setup::install(true)?;
        fs::create_dir_all(base).at(base)?;
        say(format_args!("setting up {name}"));
        let sites =
            output(&mut command("apt-get", ["indextargets", "--format", "$(SITE)", "Created-By: Packages"]))?;
        let Some(mirror) = sites.lines().find(|site| site.contains("debian") && !site.contains("security"))
        else {
            return Err(Error::Other("apt knows no mirror of Debian".into()));
        };
        // under another name until it is whole
        let part = base.join(format!("{name}.part"));
        if part.exists() {
            fs::remove_dir_all(&part).at(&part)?;
        }
        let place = part.display().to_string();
        let include = packages.iter().map(|package| format!("--include={package}"));
        let words = ["--variant=minbase".to_owned()].into_iter().chain(include);
        output(command("debootstrap", words).args([suite, &place, mirror]))?;
        fs::rename(&part, &root).at(&root)?;
    }
    Ok(root)
}

fn drgn(base: &Path) -> Result<PathBuf, Error> {
    let venv = base.join("venv");
    let drgn = venv.join("bin/drgn");
    if !drgn.exists() {
        setup::install(true)?;
        say(format_args!("setting up drgn"));
        let place = venv.display().to_string();
        output(&mut command("python3", ["-m", "venv", &place]))?;
        output(&mut command(&format!("{place}/bin/pip"), ["-q", "install", "drgn"]))?;
    }
    Ok(drgn)
}
