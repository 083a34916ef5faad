//! Timers of a generated kernel.

use super::Kernel;

/// What was made.
#[derive(Clone, Debug)]
pub struct Timers {
    /// The `timer_list`s: due in 5 ticks, 3 ticks ago, and in 1000.
    pub all: [u64; 3],
    /// The head of the list that the first two are in, on CPU 0.
    pub head: u64,
    /// The function that they call.
    pub function: u64,
}

/// What was made.
#[derive(Clone, Debug)]
pub struct HrTimers {
    /// The `hrtimer`s of CPU 0's first clock, as they are due: 2 s ahead, 1 s behind (of 10 s), 3 s ahead.
    pub all: [u64; 3],
    /// Each of the clocks of CPU 0.
    pub clocks: Vec<u64>,
}

impl Kernel {
    /// Ticks, and timers that count them on the first of two CPUs. `age` is `bases` (three of them on each CPU, since 6.9),
    /// `two` (two of them, without the variable's type), `hash` (`tvec_base` in 4.2 to 4.7) or `list` (before, behind a pointer).
    pub fn timers(&mut self, age: &str) -> Timers {
        const NOW: u64 = 4_296_291_038;
        self.cpus(2);
        self.list_head();
        let jiffies = self.variable("jiffies", 8);
        self.word(jiffies, NOW);
        self.structure("hlist_node", 16, &[("next", 0, "*hlist_node"), ("pprev", 8, "*void")]);
        self.structure("hlist_head", 8, &[("first", 0, "*hlist_node")]);
        let entry = if age == "list" { "list_head" } else { "hlist_node" };
        self.structure(
            "timer_list",
            48,
            &[("entry", 0, entry), ("expires", 16, "u64"), ("function", 24, "*void")],
        );
        let function = self.function("process_timeout", 0x900);
        let all = [NOW + 5, NOW - 3, NOW + 1000].map(|expires| {
            let at = self.object("timer_list");
            self.set(at, "timer_list", "expires", expires).set(at, "timer_list", "function", function);
            at
        });
        let heads = match age {
            "bases" | "two" => self.timer_bases(if age == "bases" { 3 } else { 2 }, age == "bases"),
            _ => self.tvec_bases(age == "hash"),
        };
        let [head, other] = heads;
        if age == "list" {
            self.link(head, &all[..2]).link(other, &all[2..]);
        } else {
            self.word(head, all[0]).word(all[0] + 8, head).word(all[0], all[1]).word(all[1] + 8, all[0]);
            self.word(other, all[2]).word(all[2] + 8, other);
        }
        Timers { all, head, function }
    }

    /// The heads of two lists of CPU 0; with bases, the second is of the last one.
    fn timer_bases(&mut self, count: u64, typed: bool) -> [u64; 2] {
        self.structure("timer_base", 128, &[("cpu", 8, "u32"), ("vectors", 16, "hlist_head[14]")]);
        let at = self.per_cpu("timer_bases", count * 128);
        self.per_cpu("behind_timer_bases", 8);
        if typed {
            self.variable_of("timer_bases", &format!("timer_base[{count}]"));
        }
        for cpu in 0..2 {
            let own = self.on_cpu(at, cpu);
            (0..count).for_each(|n| _ = self.half(own + n * 128 + 8, cpu));
        }
        let own = self.on_cpu(at, 0);
        [own + 16 + 3 * 8, own + (count - 1) * 128 + 16]
    }

    fn tvec_bases(&mut self, is_hash: bool) -> [u64; 2] {
        let (head, size) = if is_hash { ("hlist_head", 8) } else { ("list_head", 16) };
        self.structure("tvec_root", 8 * size, &[("vec", 0, &format!("{head}[8]"))]);
        self.structure("tvec", 4 * size, &[("vec", 0, &format!("{head}[4]"))]);
        let place = |n: u64| 16 + 8 * size + n * 4 * size;
        let members = [
            ("tv1", 16, "tvec_root"),
            ("tv2", place(0), "tvec"),
            ("tv3", place(1), "tvec"),
            ("tv4", place(2), "tvec"),
            ("tv5", place(3), "tvec"),
        ];
        self.structure("tvec_base", place(4), &members);
        let at = self.per_cpu("tvec_bases", if is_hash { place(4) } else { 8 });
        let bases = [0, 1].map(|cpu| match is_hash {
            true => self.on_cpu(at, cpu),
            false => {
                let own =
                    if cpu == 0 { self.variable("boot_tvec_bases", place(4)) } else { self.memory(place(4)) };
                let pointer = self.on_cpu(at, cpu);
                self.word(pointer, own);
                own
            }
        });
        if !is_hash {
            for base in bases {
                for n in 0..8 + 4 * 4 {
                    self.link(base + 16 + n * 16, &[]);
                }
            }
        }
        [bases[0] + 16 + 2 * size, bases[0] + place(3)]
    }

    /// Timers that count nanoseconds, on the first of two CPUs at 10 s after it started. `age` is `cached` (5.4, with
    /// functions for names), `kinds` (6.18) or `head` (before 5.4).
    pub fn hrtimers(&mut self, age: &str) -> HrTimers {
        self.cpus(2);
        self.structure(
            "timekeeper",
            64,
            &[
                ("tkr_mono", 0, "tk_read_base"),
                ("xtime_sec", 16, "u64"),
                ("wall_to_monotonic", 24, "timespec64"),
                ("offs_boot", 40, "s64"),
            ],
        );
        self.structure("tk_read_base", 16, &[("shift", 0, "u32"), ("xtime_nsec", 8, "u64")]);
        self.structure("timespec64", 16, &[("tv_sec", 0, "s64"), ("tv_nsec", 8, "s64")]);
        self.structure("tk_data", 72, &[("timekeeper", 8, "timekeeper")]);
        let core = self.variable("tk_core", 72);
        for (name, value) in
            [("xtime_sec", 1_700_000_010), ("wall_to_monotonic.tv_sec", (-1_700_000_000_i64).cast_unsigned())]
        {
            self.set(core + 8, "timekeeper", name, value);
        }
        self.structure(
            "rb_node",
            24,
            &[("parent", 0, "u64"), ("rb_right", 8, "*rb_node"), ("rb_left", 16, "*rb_node")],
        );
        self.structure("rb_root", 8, &[("rb_node", 0, "*rb_node")]);
        self.structure("rb_root_cached", 16, &[("rb_root", 0, "rb_root"), ("rb_leftmost", 8, "*rb_node")]);
        match age {
            "head" => self.structure("timerqueue_head", 16, &[("head", 0, "rb_root"), ("next", 8, "*void")]),
            _ => self.structure("timerqueue_head", 16, &[("rb_root", 0, "rb_root_cached")]),
        };
        self.structure("timerqueue_node", 32, &[("node", 0, "rb_node"), ("expires", 24, "s64")]);
        let timer = [
            ("node", 0, "timerqueue_node"),
            ("_softexpires", 32, "s64"),
            ("function", 40, "*void"),
            ("base", 48, "*hrtimer_clock_base"),
        ];
        self.structure("hrtimer", 64, &timer);
        let clock = [
            ("index", 8, "u32"),
            ("active", 16, "timerqueue_head"),
            ("get_time", 32, "*void"),
            ("offset", 40, "s64"),
        ];
        self.structure("hrtimer_clock_base", 64, &clock);
        if age == "kinds" {
            self.without("hrtimer_clock_base", "get_time");
            self.enumeration(
                "hrtimer_base_type",
                &[("HRTIMER_BASE_MONOTONIC", 0), ("HRTIMER_BASE_REALTIME", 1)],
            );
        }
        self.structure("hrtimer_cpu_base", 192, &[("clock_base", 64, "hrtimer_clock_base[2]")]);
        let at = self.per_cpu("hrtimer_bases", 192);
        let (first, second) = (self.function("ktime_get", 0xa00), self.function("ktime_get_real", 0xa40));
        let function = self.function("hrtimer_wakeup", 0xa80);
        for cpu in 0..2 {
            let own = self.on_cpu(at, cpu) + 64;
            self.set(own + 64, "hrtimer_clock_base", "index", 1).set(
                own + 64,
                "hrtimer_clock_base",
                "offset",
                100,
            );
            if age != "kinds" {
                self.set(own, "hrtimer_clock_base", "get_time", first);
                self.set(own + 64, "hrtimer_clock_base", "get_time", second);
            }
        }
        let own = self.on_cpu(at, 0) + 64;
        let all = [12, 9, 13].map(|second| {
            let at = self.object("hrtimer");
            let nsec = second * 1_000_000_000;
            self.set(at, "hrtimer", "node.expires", nsec + 50).set(at, "hrtimer", "_softexpires", nsec);
            self.set(at, "hrtimer", "function", function).set(at, "hrtimer", "base", own);
            at
        });
        self.word(own + 16, all[0]).word(all[0] + 16, all[1]).word(all[0] + 8, all[2]);
        HrTimers { all, clocks: vec![own, own + 64] }
    }
}
