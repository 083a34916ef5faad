//! Run queues of a generated kernel.

use super::Kernel;

/// What was made.
#[derive(Clone, Debug)]
pub struct RunQueues {
    /// The `rq`s of both CPUs.
    pub rqs: [u64; 2],
    /// The tasks 1 to 6.
    pub tasks: Vec<u64>,
    /// `root_task_group`, then `web`, `web/inner` and `slow`.
    pub groups: [u64; 4],
    /// The `cfs_rq`s of these groups on CPU 0.
    pub queues: [u64; 4],
    /// The `sched_dl_entity` of no task.
    pub server: u64,
}

/// Bytes of a `task_struct`, and where it has its entities.
const TASK: u64 = 512;
const SE: u64 = 96;
const RT: u64 = 160;
const DL: u64 = 192;
/// Bytes of a `cfs_rq` and of a `task_group`.
const QUEUE: u64 = 64;
const GROUP: u64 = 128;

impl Kernel {
    /// Two CPUs, of which the second is idle. CPU 0 runs task 1, of the group `web`, in which task 2 waits; task 3 is in no
    /// group, and sleeps with lag; task 4 is in `slow`, which is throttled; task 5 is real-time, of priority 3; task 6 has a
    /// deadline, behind time that is kept for others. `web/inner` is empty.
    ///
    /// `age` is `old` (plain trees), `cached` (since 4.14) or `percpu` (7.2: each CPU has its own part of a group); in `limbo`
    /// (6.18) task 4 was taken out of its tree, and `flat` has all fair tasks in one.
    pub fn run_queues(&mut self, age: &str) -> RunQueues {
        self.cpus(2);
        self.runq_structs(age);
        let more = [
            ("se", SE, "sched_entity"),
            ("rt", RT, "sched_rt_entity"),
            ("dl", DL, "sched_dl_entity"),
            ("prio", 240, "s32"),
            ("policy", 244, "u32"),
            ("cpu", 248, "u32"),
            ("throttle_node", 256, "list_head"),
            ("sched_info", 272, "sched_info"),
        ];
        self.structure("sched_info", 8, &[("last_arrival", 0, "u64")]);
        let (tasks, _) = self.tasks(6, 4096, TASK, &more);
        if age != "limbo" {
            self.without("task_struct", "throttle_node");
        }
        let at = self.per_cpu("runqueues", 400);
        let rqs = [0, 1].map(|cpu| self.on_cpu(at, cpu));
        let swapper = [self.at("init_task"), self.object("task_struct")];
        self.set_text(swapper[1], "task_struct", "comm", "swapper/1").link(swapper[1] + 64, &[]);
        self.set(swapper[1], "task_struct", "cpu", 1);
        for (rq, cpu) in rqs.into_iter().zip([0, 1]) {
            self.set(rq, "rq", "idle", swapper[cpu as usize]).set(rq, "rq", "cpu", cpu);
            self.set(rq, "rq", "clock", 5_000_000_000 + cpu * 1_000_000_000);
            let lists = rq + 64 + 16;
            (0..16).for_each(|n| _ = self.link(lists + n * 16, &[]));
        }
        self.set(rqs[0], "rq", "curr", tasks[0]).set(rqs[1], "rq", "curr", swapper[1]);
        for (n, task) in tasks.iter().enumerate() {
            self.set(*task, "task_struct", "prio", 120 + n as u64);
            self.set(*task, "task_struct", "sched_info.last_arrival", 4_000_000_000 + n as u64);
        }
        self.set(tasks[4], "task_struct", "prio", 3).set(tasks[4], "task_struct", "policy", 1);
        self.set(tasks[5], "task_struct", "prio", u64::MAX).set(tasks[5], "task_struct", "policy", 6);
        let (groups, queues) = self.task_groups(age, rqs);
        self.fair_tasks(age, &tasks, rqs[0], queues);
        self.link(rqs[0] + 64 + 16 + 3 * 16, &[tasks[4] + RT]);
        let server = self.object("sched_dl_entity");
        self.set(server, "sched_dl_entity", "dl_server", 1);
        self.word(rqs[0] + 352, tasks[5] + DL).word(tasks[5] + DL + 16, server);
        RunQueues { rqs, tasks, groups, queues, server }
    }

    fn runq_structs(&mut self, age: &str) {
        self.list_head();
        self.structure("mm_struct", 64, &[("pgd", 0, "*void")]);
        self.structure(
            "rb_node",
            24,
            &[("parent", 0, "u64"), ("rb_right", 8, "*rb_node"), ("rb_left", 16, "*rb_node")],
        );
        self.structure("rb_root", 8, &[("rb_node", 0, "*rb_node")]);
        self.structure("rb_root_cached", 16, &[("rb_root", 0, "rb_root"), ("rb_leftmost", 8, "*rb_node")]);
        let root = if age == "old" { "rb_root" } else { "rb_root_cached" };
        let entity = [
            ("run_node", 0, "rb_node"),
            ("my_q", 24, "*cfs_rq"),
            ("cfs_rq", 32, "*cfs_rq"),
            ("sched_delayed", 40, "u8"),
        ];
        self.structure("sched_entity", 64, &entity);
        let fair = [
            ("tasks_timeline", 0, root),
            ("curr", 16, "*sched_entity"),
            ("tg", 24, "*task_group"),
            ("throttled", 32, "s32"),
            ("throttled_limbo_list", 40, "list_head"),
        ];
        self.structure("cfs_rq", QUEUE, &fair);
        if age != "limbo" {
            self.without("cfs_rq", "throttled_limbo_list");
        }
        self.structure("rt_prio_array", 272, &[("queue", 16, "list_head[16]")]);
        self.structure("rt_rq", 288, &[("active", 0, "rt_prio_array")]);
        self.structure("sched_rt_entity", 32, &[("run_list", 0, "list_head")]);
        self.structure("dl_rq", 16, &[("root", 0, root)]);
        self.structure("sched_dl_entity", 32, &[("rb_node", 0, "rb_node"), ("dl_server", 24, "u32:0:1")]);
        let rq = [
            ("cfs", 0, "cfs_rq"),
            ("rt", 64, "rt_rq"),
            ("dl", 352, "dl_rq"),
            ("curr", 368, "*task_struct"),
            ("idle", 376, "*task_struct"),
            ("clock", 384, "u64"),
            ("nr_running", 392, "u32"),
            ("cpu", 396, "u32"),
        ];
        self.structure("rq", 400, &rq);
        self.structure("kernfs_node", 16, &[("name", 0, "*char"), ("__parent", 8, "*kernfs_node")]);
        self.structure("cgroup", 8, &[("kn", 0, "*kernfs_node")]);
        self.structure("cgroup_subsys_state", 8, &[("cgroup", 0, "*cgroup")]);
        let group = [
            ("cfs_rq", 0, if age == "percpu" { "*cfs_rq" } else { "**cfs_rq" }),
            ("parent", 8, "*task_group"),
            ("siblings", 16, "list_head"),
            ("children", 32, "list_head"),
            ("css", 48, "cgroup_subsys_state"),
        ];
        self.structure("task_group", GROUP, &group);
    }

    /// The groups, and their queues on CPU 0.
    fn task_groups(&mut self, age: &str, rqs: [u64; 2]) -> ([u64; 4], [u64; 4]) {
        let root = self.variable("root_task_group", GROUP);
        let groups = [root, self.object("task_group"), self.object("task_group"), self.object("task_group")];
        let [_, web, inner, slow] = groups;
        for (at, parent, children) in
            [(root, 0, vec![web, slow]), (web, root, vec![inner]), (inner, web, vec![]), (slow, root, vec![])]
        {
            let links: Vec<u64> = children.iter().map(|child| child + 16).collect();
            self.set(at, "task_group", "parent", parent).link(at + 32, &links);
        }
        let mut above = 0;
        for (at, name) in groups.into_iter().zip(["", "web", "inner", "slow"]) {
            let (cgroup, node, text) = (self.object("cgroup"), self.object("kernfs_node"), self.text(name));
            self.set(cgroup, "cgroup", "kn", node).set(node, "kernfs_node", "name", text);
            self.set(node, "kernfs_node", "__parent", above).set(at, "task_group", "css.cgroup", cgroup);
            above = node;
        }
        let mut queues = [0; 4];
        for (n, at) in groups.into_iter().enumerate() {
            let own = if n == 0 {
                rqs
            } else if age == "percpu" {
                let place = self.per_cpu_memory(QUEUE);
                self.set(at, "task_group", "cfs_rq", place);
                [0, 1].map(|cpu| self.on_cpu(place, cpu))
            } else {
                [(); 2].map(|()| self.object("cfs_rq"))
            };
            if age != "percpu" {
                let table = self.memory(16);
                self.word(table, own[0]).word(table + 8, own[1]).set(at, "task_group", "cfs_rq", table);
            }
            for queue in own {
                self.set(queue, "cfs_rq", "tg", at);
                if age == "limbo" {
                    self.link(queue + 40, &[]);
                }
            }
            queues[n] = own[0];
        }
        (groups, queues)
    }

    fn fair_tasks(&mut self, age: &str, tasks: &[u64], rq: u64, queues: [u64; 4]) {
        let [root, web, _, slow] = queues;
        let entities: Vec<u64> = tasks.iter().map(|task| task + SE).collect();
        for (entity, queue) in entities.iter().zip([web, web, root, slow]) {
            self.set(*entity, "sched_entity", "cfs_rq", queue);
        }
        self.set(entities[2], "sched_entity", "sched_delayed", 1).set(slow, "cfs_rq", "throttled", 1);
        if age == "flat" {
            // task 3, and task 2 behind it; what runs is told by the CPU's own queue
            self.set(root, "cfs_rq", "curr", entities[0]);
            self.word(rq, entities[2]).word(entities[2] + 8, entities[1]).word(slow, entities[3]);
            return;
        }
        let of_web = self.object("sched_entity");
        self.set(of_web, "sched_entity", "my_q", web).set(root, "cfs_rq", "curr", of_web);
        self.set(web, "cfs_rq", "curr", entities[0]);
        self.word(rq, entities[2]).word(web, entities[1]);
        match age {
            "limbo" => _ = self.link(slow + 40, &[tasks[3] + 256]),
            _ => _ = self.word(slow, entities[3]),
        }
    }
}
