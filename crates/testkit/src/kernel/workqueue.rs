//! Workqueues of a generated kernel, with their pools and workers.

use super::Kernel;

/// What was made.
#[derive(Clone, Debug)]
pub struct Workqueues {
    /// The `worker_pool`s: number 0 of CPU 0, and number 4 of no CPU.
    pub pools: [u64; 2],
    /// The `worker`s: in pool 0 a busy one and an idle one, in pool 4 the rescuer of the second workqueue.
    pub workers: [u64; 3],
    /// The `workqueue_struct`s `events` and `writeback`.
    pub queues: [u64; 2],
    /// The `pool_workqueue`s of both, in pool 0 and in pool 4.
    pub pwqs: [u64; 2],
    /// `work_struct`s: the one that runs, the one that its worker does next, two that wait for a worker, one that is held back, one
    /// whose time has not come.
    pub works: [u64; 6],
    /// The functions of these works, `do_0` to `do_5`.
    pub functions: [u64; 6],
}

impl Kernel {
    /// Two workqueues and two pools on a kernel with [`Self::timers`]. `age` is `old` (workers in an IDR, no clock of a pool),
    /// `list` (workers in a list, a clock) or `new` (and when a work began; a rescuer's mark in the list of what waits).
    pub fn workqueues(&mut self, age: &str) -> Workqueues {
        let timers = self.timers("bases");
        self.workqueue_structs(age);
        self.idr("xarray");
        let (tasks, _) = self.tasks(3, 4096, 4096, &[]);
        let pools = [4096, 4096].map(|len| self.memory(len));
        let workers = [4096, 4096, 4096].map(|len| self.memory(len));
        let queues = [4096, 4096].map(|len| self.memory(len));
        let pwqs = [4096, 4096].map(|len| self.memory(len));
        let works = [4096; 6].map(|len| self.memory(len));
        let mut functions = [0; 6];
        for (n, at) in (0..).zip(&mut functions) {
            *at = self.function(&format!("do_{n}"), 0x2000 + n * 0x40);
        }
        for (at, function) in works.into_iter().zip(functions) {
            self.set(at, "work_struct", "func", function);
        }
        let table = self.variable("worker_pool_idr", 64);
        self.fill_idr(table, &[(0, pools[0]), (4, pools[1])]);
        let attrs = [0_u64, 0xffff_ffec].map(|nice| {
            let at = self.object("workqueue_attrs");
            self.set(at, "workqueue_attrs", "nice", nice);
            at
        });
        let own = [workers[..2].to_vec(), workers[2..].to_vec()];
        for (n, at) in pools.into_iter().enumerate() {
            let (id, cpu, count, idle) = [(0, 0, 2, 1), (4, u64::from(u32::MAX), 0, 0)][n];
            for (member, value) in [("id", id), ("cpu", cpu), ("nr_workers", count), ("nr_idle", idle)] {
                self.set(at, "worker_pool", member, value);
            }
            self.set(at, "worker_pool", "attrs", attrs[n]);
            if age == "old" {
                let ids: Vec<(u64, u64)> = (0..).zip(own[n].iter().copied().filter(|_| n == 0)).collect();
                self.fill_idr(at + self.offset("worker_pool", "worker_idr"), &ids);
            } else {
                let nodes: Vec<u64> = own[n].iter().map(|at| at + self.offset("worker", "node")).collect();
                self.link(at + self.offset("worker_pool", "workers"), &nodes);
                // 250 ticks before now
                let clock = if age == "new" { "last_progress_ts" } else { "watchdog_ts" };
                self.set(at, "worker_pool", clock, 4_296_291_038 - 250);
            }
        }
        for (n, at) in workers.into_iter().enumerate() {
            let pool = pools[usize::from(n == 2)];
            self.set(at, "worker", "pool", pool).set(at, "worker", "id", [0, 1, 7][n]);
            let scheduled = at + self.offset("worker", "scheduled");
            self.set(at, "worker", "task", tasks[n]).link(scheduled, &[]);
            self.set_text(at, "worker", "desc", ["events", "writeback", "writeback"][n]);
        }
        for (n, name) in ["events", "writeback"].into_iter().enumerate() {
            let (at, pwq) = (queues[n], pwqs[n]);
            self.set_text(at, "workqueue_struct", "name", name);
            self.set(at, "workqueue_struct", "flags", [0, 2][n]);
            self.set(at, "workqueue_struct", "saved_max_active", 256);
            self.link(
                at + self.offset("workqueue_struct", "pwqs"),
                &[pwq + self.offset("pool_workqueue", "pwqs_node")],
            );
            self.set(pwq, "pool_workqueue", "pool", pools[n]).set(pwq, "pool_workqueue", "wq", at);
            self.set(pwq, "pool_workqueue", "nr_active", [3, 1][n]);
            let flights = pwq + self.offset("pool_workqueue", "nr_in_flight");
            self.half(flights, 2).half(flights + 4, 1);
        }
        let head = self.variable("workqueues", 16);
        self.link(head, &queues.map(|at| at + self.offset("workqueue_struct", "list")));
        self.set(queues[1], "workqueue_struct", "rescuer", workers[2]).set(
            workers[2],
            "worker",
            "rescue_wq",
            queues[1],
        );
        self.workqueue_works(age, &pools, &workers, &pwqs, &works);
        self.workqueue_timer(timers.head, timers.all[0], queues[1], works[5], functions[5]);
        Workqueues { pools, workers, queues, pwqs, works, functions }
    }

    /// What runs and what waits.
    fn workqueue_works(
        &mut self,
        age: &str,
        pools: &[u64; 2],
        workers: &[u64; 3],
        pwqs: &[u64; 2],
        works: &[u64; 6],
    ) {
        let entry = |k: &Self, at: u64| at + k.offset("work_struct", "entry");
        for (work, pwq) in [(0, 0), (1, 0), (2, 0), (3, 0), (4, 0)] {
            self.set(works[work], "work_struct", "data", pwqs[pwq] | 5);
        }
        let function = self.at("do_0");
        self.set(workers[0], "worker", "current_work", works[0]).set(
            workers[0],
            "worker",
            "current_func",
            function,
        );
        self.set(workers[0], "worker", "current_pwq", pwqs[0]);
        self.link(workers[0] + self.offset("worker", "scheduled"), &[entry(self, works[1])]);
        let mut waiting = vec![entry(self, works[2]), entry(self, works[3])];
        if age == "new" {
            self.set(workers[0], "worker", "current_start", 4_296_291_038 - 1000);
            let cursor = pwqs[0] + self.offset("pool_workqueue", "mayday_cursor");
            let function = self.function("mayday_cursor_func", 0x2800);
            self.set(cursor, "work_struct", "data", pwqs[0] | 7).set(cursor, "work_struct", "func", function);
            waiting.insert(1, entry(self, cursor));
        }
        let list = |k: &Self, n: usize| pools[n] + k.offset("worker_pool", "worklist");
        let lists = [0, 1].map(|n| list(self, n));
        self.link(lists[0], &waiting).link(lists[1], &[]);
        let held = if age == "old" { "delayed_works" } else { "inactive_works" };
        self.link(pwqs[0] + self.offset("pool_workqueue", held), &[entry(self, works[4])]);
        self.link(pwqs[1] + self.offset("pool_workqueue", held), &[]);
        let (head, node) = (pools[0] + self.offset("worker_pool", "busy_hash") + 8, workers[0]);
        self.word(head, node).word(node + 8, head);
        if age == "old" {
            // a rescuer is in no table; it helps
            let head = pools[1] + self.offset("worker_pool", "busy_hash");
            self.word(head, workers[2]).word(workers[2] + 8, head);
            self.set(workers[2], "worker", "current_work", works[5]);
            let function = self.at("do_5");
            self.set(workers[2], "worker", "current_func", function).set(
                workers[2],
                "worker",
                "current_pwq",
                pwqs[1],
            );
        }
    }

    /// In place of a timer in the list at `head`, the one of a work whose time has not come.
    fn workqueue_timer(&mut self, head: u64, old: u64, queue: u64, work: u64, function: u64) {
        let gives = self.function("delayed_work_timer_fn", 0x2840);
        let timer = work + self.offset("delayed_work", "timer");
        let mut raw = [0; 8];
        self.ram.read(old, &mut raw);
        let next = u64::from_le_bytes(raw);
        self.word(head, timer).word(timer, next).word(timer + 8, head).word(next + 8, timer);
        self.set(timer, "timer_list", "expires", 4_296_291_038 + 500).set(
            timer,
            "timer_list",
            "function",
            gives,
        );
        self.set(work, "delayed_work", "wq", queue).set(work, "work_struct", "func", function);
    }

    fn workqueue_structs(&mut self, age: &str) {
        let (is_old, is_new) = (age == "old", age == "new");
        self.structure(
            "work_struct",
            32,
            &[("data", 0, "u64"), ("entry", 8, "list_head"), ("func", 24, "*void")],
        );
        let delayed = [
            ("work", 0, "work_struct"),
            ("timer", 32, "timer_list"),
            ("wq", 80, "*workqueue_struct"),
            ("cpu", 88, "s32"),
        ];
        self.structure("delayed_work", 96, &delayed);
        self.structure("workqueue_attrs", 16, &[("nice", 0, "s32"), ("cpumask", 8, "*void")]);
        let mut pool = vec![
            ("cpu", 4, "s32"),
            ("id", 8, "s32"),
            ("flags", 12, "u32"),
            ("worklist", 16, "list_head"),
            ("nr_workers", 32, "s32"),
            ("nr_idle", 36, "s32"),
            ("busy_hash", 40, "hlist_head[4]"),
            ("attrs", 80, "*workqueue_attrs"),
        ];
        match is_old {
            true => pool.push(("worker_idr", 128, "idr")),
            false => pool.extend([("workers", 96, "list_head"), ("watchdog_ts", 112, "u64")]),
        }
        self.structure("worker_pool", 192, &pool);
        let worker = [
            ("hentry", 0, "hlist_node"),
            ("current_work", 16, "*work_struct"),
            ("current_func", 24, "*void"),
            ("current_pwq", 32, "*pool_workqueue"),
            ("scheduled", 40, "list_head"),
            ("task", 56, "*task_struct"),
            ("pool", 64, "*worker_pool"),
            ("node", 72, "list_head"),
            ("id", 100, "s32"),
            ("desc", 104, "char[24]"),
            ("rescue_wq", 128, "*workqueue_struct"),
        ];
        self.structure("worker", 160, &worker);
        let held = if is_old { "delayed_works" } else { "inactive_works" };
        let pwq = [
            ("pool", 0, "*worker_pool"),
            ("wq", 8, "*workqueue_struct"),
            ("nr_in_flight", 24, "s32[15]"),
            ("nr_active", 88, "s32"),
            (held, 96, "list_head"),
            ("pwqs_node", 112, "list_head"),
        ];
        self.structure("pool_workqueue", 256, &pwq);
        let queue = [
            ("pwqs", 0, "list_head"),
            ("list", 16, "list_head"),
            ("rescuer", 32, "*worker"),
            ("saved_max_active", 40, "s32"),
            ("name", 48, "char[24]"),
            ("flags", 72, "u32"),
        ];
        self.structure("workqueue_struct", 128, &queue);
        if is_new {
            self.without("worker_pool", "watchdog_ts")
                .member("worker_pool", ("last_progress_ts", 112, "u64"));
            self.member("worker", ("current_start", 136, "u64"));
            self.member("pool_workqueue", ("mayday_cursor", 128, "work_struct"));
        }
        self.enumeration("wq_flags", &[("WQ_UNBOUND", 2), ("WQ_FREEZABLE", 4)]);
        let clock = self.variable("clocksource_jiffies", 16);
        self.structure("clocksource", 16, &[("mult", 0, "u32"), ("shift", 4, "u32")]);
        self.half(clock, 4_000_000 << 8).half(clock + 4, 8);
    }
}
