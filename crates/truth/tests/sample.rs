//! The shipped sample, which needs no corpus: its guest's truth, every command's examples, and snapshots of what a
//! user sees. `UPDATE_SNAPSHOTS=1 cargo test -p crashlens-truth` writes the snapshots anew; review the difference.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::PathBuf;

use crashlens_truth::aspects::{self, Aspect};
use crashlens_truth::{Answers, Case, State, program};

const SAMPLE: &str = "samples/virtio-bug.kdump";

fn case() -> Case {
    let dir = program::root().join("samples");
    Case::read("sample", &dir, &dir.join("virtio-bug.truth.json")).unwrap()
}

/// What a command prints, warnings included.
fn shown(line: &str) -> String {
    let args = ["-s", "--no-search", "--no-pager", "-c", line, SAMPLE].map(str::to_owned);
    let (_, out, complaints) = program::run(&args).unwrap();
    out + &complaints
}

/// Compares what a command prints with `tests/snapshots/NAME.txt`.
fn check(name: &str, line: &str) {
    let path = program::root().join("crates/truth/tests/snapshots").join(format!("{name}.txt"));
    let found = format!("$ {line}\n{}", shown(line));
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, &found).unwrap();
    }
    let wanted = fs::read_to_string(&path).unwrap_or_default();
    let different = wanted.lines().zip(found.lines()).find(|(wanted, found)| wanted != found);
    assert!(
        wanted == found,
        "{line}: not as in {}\nfirst difference: {different:?}\nnow:\n{found}",
        path.display()
    );
}

#[test]
fn the_sample_says_what_its_guest_said() {
    let case = case();
    let dump = vec![PathBuf::from(SAMPLE)];
    let answers = Answers::about(&case, &dump, State::Alone).unwrap();
    let all: [(&str, Aspect); 26] = [
        ("system", aspects::system),
        ("log", aspects::log),
        ("modules", aspects::modules),
        ("tasks", aspects::tasks),
        ("ipc", aspects::ipc),
        ("signals", aspects::signals),
        ("policies", aspects::policies),
        ("queues", aspects::queues),
        ("irq", aspects::irq),
        ("timers", aspects::timers),
        ("machine", aspects::machine),
        ("spaces", aspects::memory::spaces),
        ("memory", aspects::memory::kernel),
        ("slabs", aspects::memory::slabs),
        ("files", aspects::files),
        ("mounts", aspects::mounts),
        ("devices", aspects::devices),
        ("net", aspects::net),
        ("stacks", aspects::stacks),
        ("wq", aspects::wq),
        ("meminfo", aspects::meminfo),
        ("inflight", aspects::inflight),
        ("dentries", aspects::dentries),
        ("symbols", aspects::symbols),
        ("crash", aspects::crash),
        ("sleepers", aspects::sleepers),
    ];
    for (name, aspect) in all {
        assert_eq!(aspect(&case, &answers).unwrap(), Vec::<String>::new(), "{name}");
    }
}

/// Lines whose answers depend on who asks, where, or when, or that write files.
const NOT_KEPT: &[&str] = &[
    "help",
    "gcore",
    "trace dump",
    "debuginfo",
    "bugreport",
    "echo",
    "repeat",
    "define",
    "document",
    "exit",
    "q",
    "quit",
    "rd -r",
    "mod -s",
    "mod -S",
    "!",
    "kdump",
    "set -v",
    "log > ",
];
/// Lines of an answer that a page shows, and characters of each.
const SHOWN: (usize, usize) = (8, 110);

/// What the pages of commands show as the outputs of their examples is what the program says of the sample.
#[test]
fn the_outputs_of_examples_are_the_programs() {
    let path = program::root().join("crates/commands/src/engine/outputs.txt");
    let mut found = String::new();
    let lines = crashlens_truth::schema::examples().unwrap();
    let kept = |line: &&String| {
        !line.contains("--save")
            && !NOT_KEPT.iter().any(|start| line.starts_with(start))
            && !line.contains(['>', '|'])
    };
    let lines: Vec<String> = lines.iter().filter(kept).cloned().collect();
    // each command's examples in one session of their own: some change what the next ones are about
    for own in lines.chunk_by(|one, next| one.split(' ').next() == next.split(' ').next()) {
        let answers = program::texts(&[], &[PathBuf::from(SAMPLE)], own).unwrap();
        for (line, answer) in own.iter().zip(answers) {
            let is_error = answer.starts_with(&format!("{}: ", line.split(' ').next().unwrap_or_default()));
            // what says that there is nothing looks like an error
            if (is_error && line != "locks")
                || answer.trim().is_empty()
                || answer.lines().any(|line| line.starts_with("==> "))
            {
                continue;
            }
            found.push_str(&format!("==> {line}\n"));
            let all: Vec<&str> = answer.lines().collect();
            for one in all.iter().take(SHOWN.0) {
                let cut: String = one.chars().take(SHOWN.1).collect();
                let dots = if cut.len() < one.len() { "..." } else { "" };
                found.push_str(&format!("{}{dots}\n", cut.trim_end()));
            }
            if all.len() > SHOWN.0 {
                found.push_str("...\n");
            }
        }
    }
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        fs::write(&path, &found).unwrap();
    }
    let wanted = fs::read_to_string(&path).unwrap_or_default();
    let different = wanted.lines().zip(found.lines()).find(|(wanted, found)| wanted != found);
    assert!(
        wanted == found,
        "UPDATE_SNAPSHOTS=1 writes what the pages show anew; first difference: {different:?}"
    );
}

#[test]
fn sys() {
    check("sys", "sys");
}

#[test]
fn sys_t() {
    check("sys-t", "sys -t");
}

#[test]
fn bt() {
    check("bt", "bt");
}

#[test]
fn bt_of_a_sleeper_with_offsets() {
    check("bt-s-1", "bt -s 1");
}

#[test]
fn bt_of_all_active_tasks() {
    check("bt-a", "bt -a");
}

#[test]
fn log_tail() {
    check("log-tail", "log | tail -40");
}

#[test]
fn ps() {
    check("ps", "ps");
}

#[test]
fn ps_with_policies() {
    check("ps-Y", "ps -Y -I");
}

#[test]
fn files() {
    check("files", "files 106");
}

#[test]
fn wq() {
    check("wq-a", "wq -a");
}

#[test]
fn meminfo() {
    check("meminfo", "meminfo");
}

#[test]
fn inflight() {
    check("inflight", "inflight -b");
}

#[test]
fn dentries() {
    check("dentries", "dentries");
}

#[test]
fn dev() {
    check("dev", "dev");
}

#[test]
fn dev_d() {
    check("dev-d", "dev -d");
}

#[test]
fn dev_p() {
    check("dev-p", "dev -p");
}

#[test]
fn net() {
    check("net-s", "net -s 106");
}

#[test]
fn bpf() {
    check("bpf", "bpf -PM -t");
}

#[test]
fn mount() {
    check("mount", "mount");
}

#[test]
fn ipcs() {
    check("ipcs", "ipcs -Msq");
}

#[test]
fn vm() {
    check("vm", "vm 1");
}

#[test]
fn kmem() {
    check("kmem-i", "kmem -i");
    check("kmem-f", "kmem -f");
    check("kmem-z", "kmem -z");
    check("kmem-s", "kmem -s");
}

#[test]
fn sig() {
    check("sig", "sig 106");
}

#[test]
fn runq_g() {
    check("runq-g", "runq -g");
}

#[test]
fn irq_s() {
    check("irq-s", "irq -s");
}

#[test]
fn irq_a() {
    check("irq-a", "irq -a");
}

#[test]
fn timer() {
    check("timer", "timer");
}

#[test]
fn timer_r() {
    check("timer-r", "timer -r -C 0");
}

#[test]
fn mach() {
    check("mach", "mach");
}

#[test]
fn mach_m() {
    check("mach-m", "mach -m");
}

#[test]
fn stacks() {
    check("stacks", "stacks");
}

#[test]
fn modules() {
    check("mod", "mod");
}

#[test]
fn sym() {
    check("sym", "sym schedule virtqueue_add_sgs linux_banner");
}

#[test]
fn rd() {
    check("rd", "rd linux_banner 8");
}

#[test]
fn vtop() {
    check("vtop", "vtop linux_banner");
}

#[test]
fn the_verdict_has_the_condition_with_its_values() {
    let text = shown("verdict");
    for wanted in
        ["BUG", "virtqueue_add_split+0x3d4", "BUG_ON(total_sg > ", "= 128 ", "= 64 ", "scatter[261]"]
    {
        assert!(text.contains(wanted), "no {wanted:?} in {text}");
    }
}

#[test]
fn verdict() {
    check("verdict", "verdict");
}

#[test]
fn verdict_of_the_banner() {
    check("verdict-b", "verdict -b");
}

#[test]
fn info() {
    check("info", "info | head -17");
}

#[test]
fn foreach() {
    check("foreach", "foreach UN bt");
}

#[test]
fn members_of_a_struct() {
    check("struct", "struct task_struct.pid,comm,flags init_task");
}

#[test]
fn expressions() {
    check("p", "p init_task.comm");
}

#[test]
fn the_readme_shows_what_is_printed() {
    let readme = fs::read_to_string(program::root().join("README.md")).unwrap();
    for line in ["verdict", "sys", "bt"] {
        assert!(readme.contains(&shown(line)), "README.md does not show the present output of `{line}`");
    }
}

/// Every example of every command runs: it answers, or says why this dump has no answer; it never ends the program.
#[test]
fn examples_run() {
    let json = |args: &[&str]| {
        let args: Vec<String> = args.iter().map(|word| (*word).to_owned()).collect();
        let (_, out, complaints) = program::run(&args).unwrap();
        serde_json::from_str::<serde_json::Value>(&out)
            .unwrap_or_else(|e| panic!("{args:?}: {e}: {out}{complaints}"))
    };
    let list = json(&["--json", "help"]);
    let mut lines = Vec::new();
    for command in list["data"]["commands"].as_array().unwrap() {
        let page = json(&["--json", "help", command["name"].as_str().unwrap()]);
        let examples = page["data"]["examples"].as_array().cloned().unwrap_or_default();
        assert!(!examples.is_empty(), "{command} shows no example");
        lines.extend(examples.iter().map(|example| example["line"].as_str().unwrap().to_owned()));
    }
    assert!(lines.len() > 40, "{lines:?}");
    // Input and output of other files are the front end's, with tests of its own, and so are the lines of a macro behind its
    // first; `repeat` would not end; what writes files has tests that write them elsewhere.
    const APART: [&str; 5] = ["repeat", "define", "document", "gcore", "trace dump"];
    let alone = |line: &&String| {
        !line.contains(['<', '>', '!']) && !APART.iter().any(|start| line.starts_with(start))
    };
    let mut args = vec!["-s".to_owned(), "--no-search".to_owned(), "--no-pager".to_owned()];
    for line in lines.iter().filter(alone).filter(|line| !matches!(line.as_str(), "q" | "quit" | "exit")) {
        args.extend(["-c".to_owned(), line.clone()]);
    }
    args.extend(["-c".to_owned(), "eval 41 + 1".to_owned(), SAMPLE.to_owned()]);
    let (_, out, complaints) = program::run(&args).unwrap();
    assert!(out.contains("decimal: 42"), "the last line was not reached: {complaints}");
    assert!(!complaints.contains("command not found"), "{complaints}");
    assert!(!complaints.contains("unexpected argument"), "{complaints}");
}

/// A number as commands print it, in decimal and in hex; other values as they are.
fn spellings(value: &str) -> Vec<String> {
    let value = value.trim_matches('"');
    let number = match value {
        "NULL" => Some(0),
        hex if hex.len() == 16 => u64::from_str_radix(hex, 16).ok(),
        hex if hex.starts_with("0x") => u64::from_str_radix(&hex[2..], 16).ok(),
        decimal => decimal.parse().ok(),
    };
    let mut out = vec![value.to_owned()];
    out.extend(number.iter().flat_map(|n| {
        [
            n.to_string(),
            format!("{n:x}"),
            format!("{n:04x}"),
            format!("{n:08x}"),
            format!("{n:016x}"),
            format!("{n:#x}"),
        ]
    }));
    out
}

/// True where one of the words of an answer is the value.
fn shows(answer: &str, value: &str) -> bool {
    let words: Vec<&str> = answer.split(|c: char| !(c.is_alphanumeric() || "._-/".contains(c))).collect();
    spellings(value).iter().any(|s| words.contains(&s.as_str()))
}

/// The commands that a part of a verdict names as its evidence.
fn evidence(part: &serde_json::Value) -> Vec<String> {
    let commands = part["commands"].as_array().cloned().unwrap_or_default();
    commands.iter().map(|c| c.as_str().unwrap().to_owned()).collect()
}

#[test]
fn what_the_verdict_names_as_evidence_shows_it() {
    let files = [PathBuf::from(SAMPLE)];
    let answers = Answers::ask(&files, &["verdict -v".to_owned()]).unwrap();
    let verdict = answers.data("verdict -v").unwrap().clone();
    // (what is said, the values in it, the commands)
    let mut claims: Vec<(String, Vec<String>, Vec<String>)> = Vec::new();
    for operand in verdict["condition"]["operands"].as_array().unwrap() {
        let value = operand["text"].as_str().unwrap().to_owned();
        claims.push((operand["name"].to_string(), vec![value], evidence(operand)));
    }
    for key in ["related", "evidence", "context", "module"] {
        for statement in verdict[key].as_array().unwrap() {
            let text = statement["text"].as_str().unwrap().to_owned();
            let mut values = Vec::new();
            if let (Some((_, value)), "related") = (text.split_once(" = "), key) {
                values.push(value.to_owned());
            }
            if let Some((_, place)) = text.split_once(" is ").filter(|_| text.starts_with("bug table")) {
                let (file, line) = place.split_once(':').unwrap();
                values.extend([file.to_owned(), line.to_owned()]);
            }
            claims.push((text, values, evidence(statement)));
        }
    }
    assert!(claims.iter().filter(|(_, values, _)| !values.is_empty()).count() > 8, "{claims:#?}");
    for (text, values, commands) in claims {
        assert!(!commands.is_empty(), "no evidence for {text}");
        let answers: Vec<String> = commands
            .iter()
            .map(|line| {
                let args = ["-s", "--no-search", "--no-pager", "-c", line, SAMPLE].map(str::to_owned);
                let (code, out, complaints) = program::run(&args).unwrap();
                assert!(code == 0 && !out.trim().is_empty(), "{line}: {complaints}");
                out
            })
            .collect();
        for value in values {
            assert!(
                answers.iter().any(|a| shows(a, &value)),
                "{value} of {text}: not shown by {commands:?}\n{answers:#?}"
            );
        }
    }
}
