//! Signals of a generated kernel.

use super::Kernel;

impl Kernel {
    /// Tasks 1 and 2, of which the first blocks signal 12, which is queued for it alone; 64 is queued twice for its process
    /// of three threads, and 1 is sent to it without a queue. Signal 1 is ignored, at 12 `0x401000` is called with 10 blocked.
    /// The address of the first `task_struct` and of the `sigqueue`s.
    pub fn signals(&mut self) -> (u64, [u64; 3]) {
        let more = [
            ("signal", 96, "*signal_struct"),
            ("sighand", 104, "*sighand_struct"),
            ("blocked", 112, "sigset_t"),
            ("pending", 120, "sigpending"),
        ];
        let (tasks, _) = self.tasks(2, 4096, 256, &more);
        self.structure("mm_struct", 64, &[("pgd", 0, "*void")]);
        self.structure("sigset_t", 8, &[("sig", 0, "u64[1]")]);
        self.structure("sigpending", 24, &[("list", 0, "list_head"), ("signal", 16, "sigset_t")]);
        let signal = [("nr_threads", 8, "s32"), ("shared_pending", 16, "sigpending")];
        self.structure("signal_struct", 64, &signal);
        let action = [
            ("sa_handler", 0, "*void"),
            ("sa_flags", 8, "u64"),
            ("sa_restorer", 16, "*void"),
            ("sa_mask", 24, "sigset_t"),
        ];
        self.structure("sigaction", 32, &action);
        self.structure("k_sigaction", 32, &[("sa", 0, "sigaction")]);
        self.structure("sighand_struct", 8 + 64 * 32, &[("action", 8, "k_sigaction[64]")]);
        self.structure(
            "siginfo_fields",
            12,
            &[("si_signo", 0, "s32"), ("si_errno", 4, "s32"), ("si_code", 8, "s32")],
        );
        self.structure("kernel_siginfo", 48, &[("", 0, "siginfo_fields")]);
        self.structure(
            "sigqueue",
            80,
            &[("list", 0, "list_head"), ("flags", 16, "s32"), ("info", 24, "kernel_siginfo")],
        );
        for task in &tasks {
            let (signal, sighand) = (self.object("signal_struct"), self.object("sighand_struct"));
            self.set(*task, "task_struct", "signal", signal).set(*task, "task_struct", "sighand", sighand);
            self.set(signal, "signal_struct", "nr_threads", 3);
            self.link(task + 120, &[]).link(signal + 16, &[]);
            self.word(sighand + 8, 1);
            let twelfth = sighand + 8 + 11 * 32;
            self.word(twelfth, 0x40_1000).word(twelfth + 8, 0x1400_0004).word(twelfth + 24, 0x200);
        }
        let queued = [12, 64, 64].map(|number| {
            let at = self.memory(128);
            self.half(at + 24, number);
            at
        });
        let task = tasks[0];
        let mut read = [0; 8];
        self.ram.read(task + 96, &mut read);
        let signal = u64::from_le_bytes(read);
        self.word(task + 112, 1 << 11).word(task + 136, 1 << 11).link(task + 120, &queued[..1]);
        self.word(signal + 32, 1 << 63 | 1).link(signal + 16, &queued[1..]);
        (task, queued)
    }
}
