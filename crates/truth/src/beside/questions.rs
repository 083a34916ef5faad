//! What both programs are asked about a case.

use std::path::PathBuf;

use serde_json::Value;

use crate::{Answers, Case};

/// What an answer is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// Stacks.
    Frames,
    /// Tasks.
    Tasks,
    /// Symbols.
    Symbols,
    /// The machine, its log and modules.
    System,
    /// Memory and its translation.
    Memory,
}

const FRAMES: &[&str] = &[
    "foreach bt -sx",
    "bt",
    "bt -a",
    "bt -p",
    "bt -e",
    "bt -E",
    "bt -c 0",
    "bt -s",
    "bt -sd",
    "bt -n idle -a",
    "bt -t PID",
    "bt -T PID",
    "bt -r PID",
    "bt -f PID",
    "bt -F PID",
    "bt -FF PID",
    "bt -e PID",
    "bt -g PID",
    "bt -o PID",
    "bt -R schedule PID",
    "bt -R panic PID",
    "foreach IN bt",
    "foreach active bt",
    "foreach UN bt -l",
    "foreach kernel bt -R kthread",
    "bt 1 2 PID",
];

const TASKS: &[&str] = &[
    "ps",
    "ps -s",
    "ps -k",
    "ps -u",
    "ps -G",
    "ps -A",
    "ps -S",
    "ps -H",
    "ps -p",
    "ps -c",
    "ps -t",
    "ps -l",
    "ps -m",
    "ps -a",
    "ps -g",
    "ps -r",
    "ps -y 0",
    "ps -y NORMAL,fifo",
    "ps -y 3",
    "ps -l -C all",
    "ps -m -C 0",
    "ps PID",
    "ps -p PID",
    "ps -c 2",
    "ps -t PID",
    "ps -g PID",
    "ps -r PID",
    "ps -a PID",
    "ps -us",
    "ps -ks",
    "ps 'kwork.*'",
    "ps init",
    "set",
    "task PID",
    "task -x PID",
    "task -R comm,pid,se.on_rq PID",
    "foreach ps",
    "foreach kernel ps",
    "foreach user ps",
    "foreach RU ps",
    "foreach gleader ps",
    "foreach 'kwork.*' ps",
    "foreach active ps",
    "foreach set",
    "foreach task -R comm,pid",
    "files 1",
    "foreach files -R console",
    "foreach 1 2 PID ps -t",
    "foreach init task -R exit_state,exit_code",
    "sig PID",
    "sig -g PID",
    "sig -l",
    "sig -s 800A000000000201",
    "foreach user sig",
    "runq",
    "runq -t",
    "runq -T",
    "runq -m",
    "runq -g",
    "runq -c 0",
];

const SYMBOLS: &[&str] = &[
    "sym -l",
    "sym -M",
    "sym -q virtqueue",
    "sym -q _sys_",
    "sym -np schedule",
    "sym -p init_task",
    "sym -n jiffies",
    "sym schedule",
    "sym init_task",
    "sym linux_banner panic",
];

const SYSTEM: &[&str] = &[
    "sys",
    "sys -t",
    "sys -i",
    "sys -c",
    "sys -c open",
    "sys -c 59",
    "log",
    "log -m",
    "log -d",
    "log -t",
    "log -T",
    "log -c",
    "log -mtd",
    "log -a",
    "log -s",
    "mod",
    "mod -t",
    "ipcs",
    "ipcs -m",
    "ipcs -M",
    "ipcs -s",
    "ipcs -q",
    "ipcs -sq",
    "ipcs 0",
    "ipcs -M 0",
    "ipcs -q 0",
    "ipcs -n PID",
    "ipcs -M -n TASK",
    "irq",
    "irq 1",
    "irq -u",
    "irq -d",
    "irq -b",
    "irq -a",
    "irq -s",
    "irq -s -c 0",
    "timer",
    "timer -C 0",
    "timer -r",
    "timer -r -C 0",
    "mach -m",
    "mach -c",
    "mach -cx",
    "mount",
    "mount -n PID",
    "fuser /tmp/job.data",
    "fuser /dev/null",
    "net",
    "net -n PID",
    "net -N 1041236234",
    // plain `dev` is not asked: of a major with several disks crash names another one
    "dev -i",
];

const MEMORY: &[&str] = &[
    "rd linux_banner 16",
    "rd -a linux_banner",
    "rd -8 linux_banner 40",
    "rd -16 linux_banner 40",
    "rd -32 linux_banner 40",
    "rd -64 linux_banner 40",
    "rd -s init_task 64",
    "rd -S TASK 128",
    "rd -SS TASK 128",
    "rd -x init_task 16",
    "rd -d init_task 16",
    "rd -D init_task 16",
    "rd -8 -d linux_banner 20",
    "rd -16 -D linux_banner 20",
    "rd -32 -d linux_banner 20",
    "rd -N -32 linux_banner 4",
    "rd -N -16 linux_banner 4",
    "rd -R linux_banner 4",
    "rd -o 8 linux_banner 4",
    "rd -p PHYS 16",
    "rd -8 -p PHYS 16",
    "rd BANNER -e BANNEREND",
    "rd -f 0 8",
    "rd jiffies",
    "rd -a linux_banner 20",
    "rd -a saved_command_line",
    "vtop BANNER",
    "vtop TASK",
    "vtop -k TASK",
    "vtop MODULE",
    "vtop -c PID USER",
    "vtop -u -c PID USER",
    "vtop -c PID TASK",
    "vtop 0",
    "ptov PHYS",
    "ptov 30:a",
    "ptov 30:0",
    "pte 8000000004867163",
    "pte 0",
    "btop BANNER",
    "ptob 1000",
    "vm PID",
    "kmem -s",
    "kmem -v",
    "kmem -o",
    "kmem -h",
    "kmem -p 1000",
    "kmem -g 4080",
    "kmem -S mnt_cache",
    "kmem -p a0000",
    "kmem -s TASK",
    "kmem -S CACHE",
];

/// Lines that change what later ones are about.
const CONTEXT: &[&str] = &["set PID", "set -c 0", "set -p"];

/// The lines, with the words in capitals replaced: a task that sleeps, a page of its memory, addresses.
///
/// # Errors
/// The program does not tell what stands for the words.
pub fn questions(case: &Case, files: &[PathBuf]) -> Result<Vec<(Group, String)>, String> {
    let ask = ["ps", "sym linux_banner init_task", "kmem -s list"].map(str::to_owned);
    let answers = Answers::ask(files, &ask)?;
    let words = words(case, &answers)?;
    let groups = [
        (Group::Frames, FRAMES),
        (Group::Tasks, TASKS),
        (Group::Symbols, SYMBOLS),
        (Group::System, SYSTEM),
        (Group::Memory, MEMORY),
    ];
    let mut out = Vec::new();
    for (group, lines) in groups {
        out.extend(lines.iter().filter_map(|line| Some((group, filled(line, &words)?))));
    }
    // Symbols as the guest listed them, and places within them.
    for symbol in case.truth.kallsyms.samples.iter().filter(|s| "tT".contains(&s.kind)).step_by(7) {
        let at = u64::from_str_radix(symbol.address.trim_start_matches("0x"), 16).unwrap_or_default();
        out.push((Group::Symbols, format!("sym {at:x}")));
        out.push((Group::Symbols, format!("sym {:x}", at + 3)));
    }
    out.extend(case.truth.modules.iter().map(|m| (Group::Symbols, format!("sym -m {}", m.name))));
    if case.truth.case.end == "live" {
        // Without a panic crash begins with the idle task of CPU 0, crashlens with what a CPU was running.
        out.retain(|(_, line)| !["bt", "bt -p", "bt -e", "bt -s", "bt -sd", "set"].contains(&line.as_str()));
        return Ok(out);
    }
    out.extend(CONTEXT.iter().filter_map(|line| Some((Group::Tasks, filled(line, &words)?))));
    Ok(out)
}

type Words = Vec<(&'static str, String)>;

fn words(case: &Case, answers: &Answers) -> Result<Words, String> {
    let tasks = answers.list("ps", "tasks")?;
    let number = |task: &Value, member: &str| task.get(member).and_then(Value::as_i64).unwrap_or(0);
    // A user's process that slept: it does not change while the guest dies.
    let sleeper = case.truth.tasks.iter().find(|task| {
        task.state == "S" && task.pid == task.tgid && task.pid > 1 && task.comm == "tail"
            || task.comm == "job-pipe"
    });
    let sleeper = sleeper.ok_or("the guest has no sleeper")?;
    let shown =
        tasks.iter().find(|task| number(task, "pid") == sleeper.pid).ok_or("the sleeper is missing")?;
    let text = |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut words = vec![
        ("PID", sleeper.pid.to_string()),
        ("TASK", text(shown.get("task")).trim_start_matches("0x").to_owned()),
    ];
    let symbols = answers.list("sym", "symbols")?;
    if let Some(at) = symbols.first().and_then(|symbol| symbol.get("address")?.as_str()) {
        let at = u64::from_str_radix(at.trim_start_matches("0x"), 16).map_err(|e| e.to_string())?;
        words.push(("BANNEREND", format!("{:x}", at + 40)));
        words.push(("BANNER", format!("{at:x}")));
    }
    if let Some(module) = case.truth.modules.first() {
        words.push(("MODULE", module.address.trim_start_matches("0x").to_owned()));
    }
    words.push(("PHYS", "1000000".to_owned()));
    if let Ok(caches) = answers.list("kmem -s list", "caches") {
        let of_name = |cache: &&Value| cache.get("name").and_then(Value::as_str) == Some("mnt_cache");
        let at = caches.iter().find(of_name).map(|cache| text(cache.get("cache")));
        words.extend(at.map(|at| ("CACHE", at.trim_start_matches("0x").to_owned())));
    }
    let map = case.truth.maps.iter().find(|map| map.pid == sleeper.pid && map.flags == "rw-p");
    words.extend(map.map(|map| ("USER", map.start.trim_start_matches("0x").to_owned())));
    Ok(words)
}

/// `None` where a word is not known in this case.
fn filled(line: &str, words: &Words) -> Option<String> {
    let filled: Vec<String> = line
        .split(' ')
        .map(|word| match words.iter().find(|(name, _)| *name == word) {
            Some((_, text)) => Some(text.clone()),
            None if word.len() > 3 && word.chars().all(|c| c.is_ascii_uppercase()) => None,
            None => Some(word.to_owned()),
        })
        .collect::<Option<_>>()?;
    Some(filled.join(" "))
}
