//! Tasks of a generated kernel.

use super::Kernel;

impl Kernel {
    /// `struct list_head`.
    pub fn list_head(&mut self) -> &mut Self {
        self.structure("list_head", 16, &[("next", 0, "*list_head"), ("prev", 8, "*list_head")])
    }

    /// Tasks 1 to `count`, whose `thread_info`s are at the low ends of their stacks, as before 4.9; the addresses of their
    /// `task_struct`s and of their stacks. When a task ran last is a page behind all else that is known of it.
    pub fn old_tasks(&mut self, count: u64) -> (Vec<u64>, Vec<u64>) {
        let info = [("task", 0, "*task_struct"), ("flags", 8, "u32"), ("cpu", 16, "u32")];
        self.structure("thread_info", 32, &info);
        self.structure("mm_struct", 64, &[("pgd", 0, "*void")]);
        self.structure("sched_info", 8, &[("last_arrival", 0, "u64")]);
        let (tasks, stacks) = self.tasks(count, 4096, 8192, &[("sched_info", 4096, "sched_info")]);
        for (at, stack) in tasks.iter().zip(&stacks) {
            self.word(*stack, *at);
        }
        (tasks, stacks)
    }

    /// Tasks 1 to `count` with stacks of so many bytes; the addresses of their `task_struct`s and of their stacks. The struct
    /// has `size` bytes, and `more` members behind the first 88 bytes. `mm_struct` is for the caller to make.
    pub fn tasks(
        &mut self,
        count: u64,
        stack: u64,
        size: u64,
        more: &[(&str, u64, &str)],
    ) -> (Vec<u64>, Vec<u64>) {
        self.list_head();
        let task = [
            ("pid", 0, "s32"),
            ("tgid", 4, "s32"),
            ("comm", 8, "char[16]"),
            ("tasks", 24, "list_head"),
            ("stack", 40, "*void"),
            ("state", 48, "u64"),
            ("exit_state", 56, "u64"),
            ("thread_group", 64, "list_head"),
            ("mm", 80, "*mm_struct"),
        ];
        self.structure("task_struct", size, &[&task, more].concat());
        let init = self.variable("init_task", size);
        self.set_text(init, "task_struct", "comm", "swapper/0").link(init + 64, &[]);
        let (mut tasks, mut stacks) = (Vec::new(), Vec::new());
        for n in 1..=count {
            let (at, stack) = (self.object("task_struct"), self.memory(stack));
            self.set(at, "task_struct", "pid", n).set(at, "task_struct", "tgid", n);
            self.set_text(at, "task_struct", "comm", "made").set(at, "task_struct", "stack", stack);
            self.link(at + 64, &[]);
            tasks.push(at);
            stacks.push(stack);
        }
        let links: Vec<u64> = tasks.iter().map(|at| at + 24).collect();
        self.link(init + 24, &links);
        (tasks, stacks)
    }
}
