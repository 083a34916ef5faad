//! `sig`, `runq`, `irq`, `timer` and `mach` on kernels that are made from tables: their layout, their data, what is missing.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs, reason = "a test")]

mod asked;

use asked::{answer, ask, try_ask};
use report::Report;
use testkit::kernel::Kernel;

/// What a script sees.
fn json(report: &Report) -> String {
    let mut out = Vec::new();
    render::json(report, render::Source::default(), &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

/// The lines of an answer, without blanks at their ends.
fn lines(text: &str) -> Vec<&str> {
    text.lines().map(str::trim_end).collect()
}

#[test]
fn sig_shows_what_a_process_does_and_what_waits() {
    let mut k = Kernel::new();
    let (task, queued) = k.signals();
    let text = ask(&k, "sig 1");
    let all = lines(&text);
    assert!(all[0].starts_with(&format!("PID: 1        TASK: {task:x}  CPU: ")), "{text}");
    assert!(all[1].starts_with("SIGNAL_STRUCT: ") && all[1].ends_with("  NR_THREADS: 3"), "{text}");
    assert_eq!(all[2], " SIG    SIGACTION        HANDLER       MASK       FLAGS");
    assert!(all[3].starts_with(" [1] ffff") && all[3].ends_with("    SIG_IGN 0000000000000000 0"), "{text}");
    assert!(all[4].ends_with("    SIG_DFL 0000000000000000 0"), "{text}");
    assert!(all[14].starts_with("[12] ffff"), "{text}");
    assert!(
        all[14].ends_with("     401000 0000000000000200 14000004 (SA_RESTORER|SA_SIGINFO|SA_RESTART)"),
        "{text}"
    );
    let tail: Vec<String> = vec![
        "SIGPENDING: yes".into(),
        "   BLOCKED: 0000000000000800".into(),
        "PRIVATE_PENDING".into(),
        "    SIGNAL: 0000000000000800".into(),
        "  SIGQUEUE:  SIG  SIGINFO".into(),
        format!("              12  {:x}", queued[0] + 24),
        "SHARED_PENDING".into(),
        "    SIGNAL: 8000000000000001".into(),
        "  SIGQUEUE:  SIG  SIGINFO".into(),
        format!("              64  {:x}", queued[1] + 24),
        format!("              64  {:x}", queued[2] + 24),
        String::new(),
    ];
    assert_eq!(all[67..], tail);
    // the other process has none
    let text = ask(&k, "sig 2");
    assert!(text.contains("SIGPENDING: no") && text.matches("SIGQUEUE: (empty)").count() == 2, "{text}");
    let data = json(&answer(&k, "sig 1").unwrap());
    assert!(data.contains(r#""blocked":"0x800","private":{"signal":"0x800""#), "{data}");
    assert_eq!(ask(&k, "foreach 1 2 sig").matches("SIGNAL_STRUCT").count(), 2);
}

#[test]
fn sig_shows_a_process_thread_by_thread() {
    let mut k = Kernel::new();
    let (task, _) = k.signals();
    // task 2 is a thread of process 1
    let second = k.offset("task_struct", "tgid");
    let s = ask(&k, "set 2");
    let at = s.split("TASK: ").nth(1).unwrap().split_whitespace().next().unwrap();
    let at = u64::from_str_radix(at, 16).unwrap();
    k.half(at + second, 1);
    let text = ask(&k, "sig -g 2");
    assert!(text.starts_with(&format!("PID: 1        TASK: {task:x}")), "{text}");
    assert_eq!((text.matches("SIGNAL_STRUCT").count(), text.matches("\n  PID: ").count()), (1, 2), "{text}");
    assert!(text.contains("\n  SIGPENDING: yes\n     BLOCKED: 0000000000000800\n"), "{text}");
    // for each task only the first thread's
    assert_eq!(ask(&k, "foreach sig -g").matches("SIGNAL_STRUCT").count(), 1);
}

#[test]
fn sig_translates_without_a_dump_what_is_no_task() {
    let k = Kernel::new();
    assert_eq!(ask(&k, "sig -s 800A000000000201"), "SIGHUP SIGUSR1 SIGRTMAX-14 SIGRTMAX-12 SIGRTMAX\n");
    assert_eq!(ask(&k, "sig -s 0"), "(none)\n");
    let all = ask(&k, "sig -s ffffffffffffffff");
    assert!(all.lines().count() == 8 && all.lines().all(|line| line.len() <= 80), "{all}");
    let names = ask(&k, "sig -l");
    let wanted = [" [1] SIGHUP", "[17] SIGCHLD/SIGCLD", "[32] SIGRTMIN", "[64] SIGRTMAX"];
    assert!(wanted.iter().all(|line| names.lines().any(|shown| shown == *line)), "{names}");
    assert_eq!(names.lines().count(), 64);
    assert!(try_ask(&k, "sig -s zz").unwrap_err().contains("not a number in hex: zz"));
    let mut k = Kernel::new();
    k.signals();
    assert!(try_ask(&k, "sig 77").unwrap_err().contains("invalid task or pid value: 77"));
}

#[test]
fn sig_never_takes_what_is_missing_for_none() {
    let mut k = Kernel::new();
    let (_, queued) = k.signals();
    let mut lost = k.clone();
    // its own page, so that nothing else goes with it
    let far = lost.memory(4096);
    lost.word(queued[1], far).exclude(far);
    let report = answer(&lost, "sig 1").unwrap();
    assert!(report.is_incomplete() && json(&report).contains("other signals may be queued"), "{report:?}");
    k.without_btf();
    assert!(try_ask(&k, "sig 1").is_err());
}

const FAIR: &str = "\"made\"";

#[test]
fn runq_shows_each_class() {
    for age in ["old", "cached", "percpu", "limbo", "flat"] {
        let mut k = Kernel::new();
        let made = k.run_queues(age);
        let at = |n: usize| made.tasks[n - 1];
        let rq = made.rqs[0];
        let task = |n: usize| format!("PID: {n}      TASK: {:x}  COMMAND: {FAIR}", at(n));
        let mut want = vec![
            format!("CPU 0 RUNQUEUE: {rq:x}"),
            format!("  CURRENT: {}", task(1)),
            format!("  RT PRIO_ARRAY: {:x}", rq + 64),
            format!("     [  3] {}", task(5)),
            format!("  DL RB_ROOT: {:x}", rq + 352),
            format!("     [ -1] SCHED_DL_ENTITY: {:x}  (time kept for tasks of another class)", made.server),
            format!("     [ -1] {}", task(6)),
            format!("  CFS RB_ROOT: {rq:x}"),
            format!("     [121] {}", task(2)),
            format!("     [122] {} [DELAYED]", task(3)),
            String::new(),
            format!("CPU 1 RUNQUEUE: {:x}", made.rqs[1]),
        ];
        if age == "flat" {
            want.swap(8, 9);
        }
        let text = ask(&k, "runq");
        assert_eq!(lines(&text)[..12], want, "{age}: {text}");
        let second = lines(&text)[12..].to_vec();
        assert!(
            second[0].contains("CURRENT: PID: 0      TASK: ") && second[0].contains("swapper/1"),
            "{text}"
        );
        assert_eq!(second[2], "     [no tasks queued]", "{text}");
        assert_eq!((second[4], second.len()), ("     [no tasks queued]", 5), "{text}");
        assert_eq!(ask(&k, "runq -c 1").lines().count(), 6);
    }
    let mut k = Kernel::new();
    k.run_queues("cached");
    let data = json(&answer(&k, "runq").unwrap());
    assert!(
        data.contains(r#""cfs":[{"prio":121,"pid":2,"#) && data.contains(r#""sched_delayed":true"#),
        "{data}"
    );
    assert!(try_ask(&k, "runq -c 9").unwrap_err().contains("invalid cpu specification: 9"));
}

#[test]
fn ps_shows_policies_and_leaves_idle_tasks_out() {
    let mut k = Kernel::new();
    let made = k.run_queues("cached");
    let row = |n: usize, mark: &str, cpu: u32, rest: &str| {
        format!("{mark} {n:>7}       ? {cpu:>3}  {:x}  {rest}  made", made.tasks[n - 1])
    };
    let text = ask(&k, "ps -YI");
    let all = lines(&text);
    assert_eq!(all[0], "      PID    PPID  CPU       TASK        POLICY       PRIO  COMM", "{text}");
    assert_eq!(all[1], row(1, ">", 0, "NORMAL        120"), "{text}");
    assert_eq!(all[5], row(5, " ", 0, "FIFO            3"), "{text}");
    assert_eq!(all[6], row(6, " ", 0, "DEADLINE       -1"), "{text}");
    assert_eq!(all.len(), 7, "{text}");
    // the idle tasks of both CPUs, and no line of heads
    assert_eq!(ask(&k, "ps -YH").lines().count(), 8);
    assert_eq!(ask(&k, "ps -I").lines().count(), 7);
    assert_eq!(ask(&k, "ps -y FIFO -Y").lines().count(), 2);
    let far = k.memory(4096);
    k.word(made.rqs[0], far);
    k.without("task_struct", "policy");
    assert!(try_ask(&k, "ps -Y").unwrap_err().contains("no member policy"));
}

#[test]
fn runq_shows_groups_within_each_other() {
    for age in ["old", "cached", "percpu", "limbo", "flat"] {
        let mut k = Kernel::new();
        let made = k.run_queues(age);
        let task = |prio: u64, n: usize| {
            format!("[{prio:>3}] PID: {n}      TASK: {:x}  COMMAND: {FAIR}", made.tasks[n - 1])
        };
        let group = |n: usize| format!("TASK_GROUP: {:x}  CFS_RQ: {:x}", made.groups[n], made.queues[n]);
        let text = ask(&k, "runq -g -c 0");
        let mut want = vec![
            "CPU 0".to_owned(),
            format!("  CURRENT: PID: 1      TASK: {:x}  COMMAND: {FAIR}", made.tasks[0]),
            format!("  ROOT_TASK_GROUP: {:x}  RT_RQ: {:x}", made.groups[0], made.rqs[0] + 64),
            format!("     {}", task(3, 5)),
            format!("  ROOT_TASK_GROUP: {:x}  CFS_RQ: {:x}", made.groups[0], made.rqs[0]),
            format!("     {}  <web>", group(1)),
            format!("        {} [CURRENT]", task(120, 1)),
            format!("        {}", task(121, 2)),
            format!("     {} [DELAYED]", task(122, 3)),
            format!("     {}  <slow> (THROTTLED)", group(3)),
            format!("        {}", task(123, 4)),
        ];
        if age == "flat" {
            // what waits in one tree for all stands with its group all the same
            let (web, delayed) = (want.remove(5), want.remove(7));
            want.insert(5, delayed);
            want.insert(6, web);
        }
        assert_eq!(lines(&text), want, "{age}: {text}");
    }
}

#[test]
fn runq_shows_clocks_and_for_how_long_tasks_run() {
    let mut k = Kernel::new();
    let made = k.run_queues("cached");
    let text = ask(&k, "runq -t");
    let all = lines(&text);
    assert_eq!(all[0], " CPU 0: 5000000000");
    assert_eq!(
        all[1],
        format!("        4000000000  PID: 1      TASK: {:x}  COMMAND: \"made\"", made.tasks[0])
    );
    assert_eq!(all[2], " CPU 1: 6000000000");
    assert!(all[3].starts_with("        0000000000  PID: 0 "), "{text}");
    assert_eq!(ask(&k, "runq -T"), "  CPU 1: 0.00 secs\n  CPU 0: 1.00 secs\n");
    let text = ask(&k, "runq -m");
    let want = format!(" CPU 0: [0 00:00:01.000]  PID: 1      TASK: {:x}  COMMAND: \"made\"", made.tasks[0]);
    assert_eq!(lines(&text)[0], want, "{text}");
}

#[test]
fn runq_never_takes_what_is_missing_for_none() {
    let mut k = Kernel::new();
    let made = k.run_queues("cached");
    let far = k.memory(4096);
    k.word(made.tasks[2] + 96 + 8, far + 96).exclude(far);
    for line in ["runq", "runq -g"] {
        let report = answer(&k, line).unwrap();
        assert!(report.is_incomplete(), "{line}: {report:?}");
        assert!(ask(&k, line).contains("the tasks of the fair class of CPU 0 are not all known"), "{line}");
    }
    // a queue that cannot be read is not one without tasks
    let mut k = Kernel::new();
    let made = k.run_queues("cached");
    let empty = |k: &Kernel| ask(k, "runq -g -c 1").matches("[no tasks queued]").count();
    assert_eq!(empty(&k), 1);
    let far = k.memory(4096);
    k.word(made.rqs[1], far).exclude(far);
    assert_eq!(empty(&k), 0, "{}", ask(&k, "runq -g -c 1"));
    assert!(answer(&k, "runq -g -c 1").unwrap().is_incomplete());
    // a group whose queue stands in itself
    let mut k = Kernel::new();
    let made = k.run_queues("cached");
    let of_web = k.object("sched_entity");
    k.set(of_web, "sched_entity", "my_q", made.queues[1]).word(made.tasks[1] + 96 + 8, of_web);
    for line in ["runq", "runq -g"] {
        let report = answer(&k, line).unwrap();
        assert!(report.is_incomplete(), "{line}: {report:?}");
    }
    k.without_btf();
    assert!(try_ask(&k, "runq").is_err() && try_ask(&k, "runq -g").is_err());
}

#[test]
fn irq_shows_lines_with_their_handlers() {
    for table in ["radix", "maple"] {
        let mut k = Kernel::new();
        let made = k.irqs(table, table == "maple", table == "maple");
        let text = ask(&k, "irq");
        let all = lines(&text);
        assert_eq!(all[0], " IRQ   IRQ_DESC/_DATA      IRQACTION      NAME");
        assert!(all[1].starts_with(&format!("  0   {:x}  ffff", made.descs[0])), "{text}");
        assert!(all[1].ends_with("  \"timer\""), "{text}");
        assert_eq!(all[2], format!("  1   {:x}      (unused)", made.descs[1]));
        assert_eq!(all[3], "  2       (unused)          (unused)");
        assert_eq!(all[4], format!("  3   {:x}  {:x}  \"usb\"", made.descs[2], made.actions[0]));
        assert_eq!(all[5], format!("{}{:x}", " ".repeat(24), made.actions[1]));
        assert_eq!(all.len(), 7, "five numbers, one with two handlers: {text}");
        assert_eq!(ask(&k, "irq -u").lines().count(), 4, "{table}");
        assert_eq!(lines(&ask(&k, "irq 3"))[1..], all[4..6], "{table}");
        assert!(try_ask(&k, "irq 5").unwrap_err().contains("invalid IRQ value: 5  (4 max)"));
        let affinity = ask(&k, "irq -a");
        assert_eq!(
            lines(&affinity),
            [
                "IRQ NAME                 AFFINITY",
                "  0 timer                0-1",
                "  3 usb                  1"
            ],
            "{table}"
        );
        let counts = ask(&k, "irq -s");
        let want = [
            "           CPU0       CPU1",
            "  0:          5          0  IO-APIC-fasteoi  timer",
            "  3:          7    1048576  IO-APIC-fasteoi  usb",
        ];
        assert_eq!(lines(&counts), want, "{table}: {counts}");
        assert_eq!(lines(&ask(&k, "irq -s -c 1"))[1], "  0:          0  IO-APIC-fasteoi  timer");
        let deferred = ask(&k, "irq -b");
        assert!(deferred.lines().count() == 2 && deferred.contains("  <do_timers>"), "{deferred}");
        let gates = ask(&k, "irq -d");
        assert!(gates.contains("  [2] do_timers\n  [3] <not set>\n"), "{gates}");
        assert_eq!(gates.lines().count(), 256);
    }
}

#[test]
fn irq_never_takes_what_is_missing_for_none() {
    let mut k = Kernel::new();
    let made = k.irqs("radix", true, true);
    assert!(try_ask(&k, "irq -c 0").unwrap_err().contains("-c chooses CPUs for -s"));
    k.set(made.actions[0], "irqaction", "next", 0x1000);
    let report = answer(&k, "irq -u").unwrap();
    assert!(report.is_incomplete() && ask(&k, "irq").contains("the handlers of line 3 are not all known"));
    k.exclude(made.descs[0]);
    let report = answer(&k, "irq").unwrap();
    assert!(report.is_incomplete() && ask(&k, "irq").contains("the interrupt lines are not all known"));
    k.without_btf();
    assert!(try_ask(&k, "irq").is_err());
}

#[test]
fn timer_shows_wheels_of_every_age() {
    let mut k = Kernel::new();
    let made = k.timers("bases");
    let text = ask(&k, "timer -C 0");
    let all = lines(&text);
    let base = k.on_cpu(k.at("timer_bases"), 0);
    let row = |expires: &str, tte: &str, n: usize| {
        format!("  {expires}  {tte}  {:x}  {:x}  <process_timeout>", made.all[n], made.function)
    };
    let want = [
        "JIFFIES".to_owned(),
        "4296291038".to_owned(),
        String::new(),
        format!("TIMER_BASES[0][BASE_LOCAL]: {base:x}"),
        "  EXPIRES        TTE     TIMER_LIST     FUNCTION".to_owned(),
        row("4296291035", " -3", 1),
        row("4296291043", "  5", 0),
        format!("TIMER_BASES[0][BASE_GLOBAL]: {:x}", base + 128),
        "  EXPIRES        TTE     TIMER_LIST     FUNCTION".to_owned(),
        "  (none)".to_owned(),
        format!("TIMER_BASES[0][BASE_DEF]: {:x}", base + 256),
        "  EXPIRES        TTE       TIMER_LIST     FUNCTION".to_owned(),
        row("4296292038", " 1000", 2),
    ];
    assert_eq!(all, want, "{text}");
    assert_eq!(ask(&k, "timer").matches("TIMER_BASES").count(), 6);
    for age in ["hash", "list"] {
        let mut k = Kernel::new();
        k.timers(age);
        let text = ask(&k, "timer");
        assert!(text.contains("TVEC_BASES[0]: ") && text.contains("TVEC_BASES[1]: "), "{text}");
        assert_eq!(
            (text.matches("<process_timeout>").count(), text.matches("(none)").count()),
            (3, 1),
            "{text}"
        );
    }
    k.word(made.all[1], made.all[0]);
    let report = answer(&k, "timer").unwrap();
    assert!(report.is_incomplete() && ask(&k, "timer").contains("the timers of CPU 0 are not all known"));
    k.without_btf();
    assert!(try_ask(&k, "timer").is_err());
}

#[test]
fn timer_shows_clocks_of_every_age() {
    for age in ["cached", "kinds", "head"] {
        let mut k = Kernel::new();
        let made = k.hrtimers(age);
        let text = ask(&k, "timer -r -C 0");
        let all = lines(&text);
        let names = if age == "kinds" {
            ["HRTIMER_BASE_MONOTONIC", "HRTIMER_BASE_REALTIME"]
        } else {
            ["ktime_get", "ktime_get_real"]
        };
        let row = |n: usize, soft: &str, tte: &str| {
            let expires = soft.trim().parse::<u64>().unwrap() + 50;
            format!(
                "  {soft}  {expires:>11}  {tte}  {:x}  {:x}  <hrtimer_wakeup>",
                made.all[n],
                k.at("hrtimer_wakeup")
            )
        };
        let want = [
            format!("CPU: 0  HRTIMER_CPU_BASE: {:x}", made.clocks[0] - 64),
            format!("  CLOCK: 0  HRTIMER_CLOCK_BASE: {:x}  [{}]", made.clocks[0], names[0]),
            "      CURRENT".to_owned(),
            "  10000000000".to_owned(),
            "  SOFTEXPIRES      EXPIRES         TTE  HRTIMER           FUNCTION".to_owned(),
            row(1, " 9000000000", "-999999950"),
            row(0, "12000000000", "2000000050"),
            row(2, "13000000000", "3000000050"),
            String::new(),
            format!("  CLOCK: 1  HRTIMER_CLOCK_BASE: {:x}  [{}]", made.clocks[1], names[1]),
            "  (empty)".to_owned(),
        ];
        assert_eq!(all, want, "{age}: {text}");
        k.set(made.all[0], "hrtimer", "base", made.clocks[1]);
        assert!(answer(&k, "timer -r").unwrap().is_incomplete(), "{age}");
    }
}

#[test]
fn mach_shows_the_firmware_s_map() {
    for (name, is_pointer) in [("e820_table", true), ("e820", true), ("e820", false)] {
        let mut k = Kernel::new();
        let (table, entry) =
            if name == "e820" { ("e820map", "e820entry") } else { ("e820_table", "e820_entry") };
        let (count, entries) = if name == "e820" { ("nr_map", "map") } else { ("nr_entries", "entries") };
        k.structure(entry, 20, &[("addr", 0, "u64"), ("size", 8, "u64"), ("type", 16, "u32")]);
        k.structure(table, 4 + 20 * 8, &[(count, 0, "u32"), (entries, 4, &format!("{entry}[8]"))]);
        let own = if is_pointer {
            let (pointer, own) = (k.variable(name, 8), k.memory(256));
            k.word(pointer, own);
            own
        } else {
            k.variable(name, 256)
        };
        k.half(own, 3);
        for (n, (start, size, kind)) in
            [(0, 0x9_fc00, 1), (0xf_0000, 0x1_0000, 2), (1 << 32, 1 << 30, 13)].into_iter().enumerate()
        {
            let at = own + 4 + n as u64 * 20;
            k.word(at, start).word(at + 8, size).half(at + 16, kind);
        }
        let text = ask(&k, "mach -m");
        let want = [
            "      PHYSICAL ADDRESS RANGE         TYPE",
            "0000000000000000 - 000000000009fc00  E820_RAM",
            "00000000000f0000 - 0000000000100000  E820_RESERVED",
            "0000000100000000 - 0000000140000000  type 13",
        ];
        assert_eq!(lines(&text), want, "{name} {is_pointer}");
        k.half(own, 9);
        assert!(answer(&k, "mach -m").unwrap_err().is_loss());
    }
    let mut k = Kernel::new();
    assert!(try_ask(&k, "mach -m").is_err());
    assert!(try_ask(&k, "mach -o").unwrap_err().contains("only ppc64 machines have OPAL firmware"));
    assert!(try_ask(&k, "mach -cxd").is_err());
    k.structure("clocksource", 16, &[("mult", 0, "u32"), ("shift", 4, "u32")]);
    let clock = k.variable("clocksource_jiffies", 16);
    k.half(clock, 4_000_000 << 8).half(clock + 4, 8);
    let text = ask(&k, "mach");
    assert!(text.contains("                    HZ: 250\n") && text.contains("PAGE SIZE: 4096\n"), "{text}");
    assert!(text.contains("   KERNEL VIRTUAL BASE: ffff888000000000\n"), "{text}");
}

#[test]
fn mach_shows_processors() {
    let mut k = Kernel::new();
    k.cpus(2);
    k.structure("cpuinfo_x86", 16, &[("x86", 0, "u8"), ("x86_model_id", 4, "char[8]")]);
    let info = k.per_cpu("cpu_info", 16);
    for cpu in 0..2 {
        let at = k.on_cpu(info, cpu);
        k.put(at, &[17 + cpu as u8]).put(at + 4, b"QEMU\0");
    }
    let text = ask(&k, "mach -c");
    assert!(text.starts_with("CPU 0:\nstruct cpuinfo_x86 {\n") && text.contains("\n\nCPU 1:\n"), "{text}");
    assert!(text.contains("x86 = 17") && text.contains("x86 = 18"), "{text}");
    assert!(ask(&k, "mach -cx").contains("x86 = 0x11"));
}
