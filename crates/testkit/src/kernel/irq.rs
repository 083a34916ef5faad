//! Interrupt lines of a generated kernel.

use super::Kernel;

/// What was made.
#[derive(Clone, Debug)]
pub struct Irqs {
    /// The `irq_desc`s of the lines 0, 1 and 3.
    pub descs: [u64; 3],
    /// Both `irqaction`s of line 3; the second has no name.
    pub actions: [u64; 2],
}

impl Kernel {
    /// Two CPUs and lines 0, 1 and 3 of five: a timer on both CPUs, one that nobody handles on CPU 0, two handlers on CPU 1.
    /// They are in a table of this kind: `radix`, `xarray`, `maple`, `array`. Masks of CPUs are behind pointers or not, and
    /// counts are in a `struct irqstat` or not. Two kinds of deferred work, and a table of gates whose third is set.
    pub fn irqs(&mut self, table: &str, is_pointer: bool, is_stat: bool) -> Irqs {
        self.cpus(2);
        self.irq_structs(is_pointer, is_stat);
        let count = self.variable("nr_irqs", 4);
        self.half(count, 5);
        let size = self.size("irq_desc");
        let descs = match table {
            "array" => {
                let all = self.variable("irq_desc", size * 5);
                // those that are not used say their numbers as well
                for n in [2, 4] {
                    self.set(all + n * size, "irq_desc", "irq_data.irq", n);
                }
                [0, 1, 3].map(|n| all + n * size)
            }
            _ => [(); 3].map(|()| self.object("irq_desc")),
        };
        let chip = self.object("irq_chip");
        let (chip_name, flow) = (self.text("IO-APIC"), self.text("fasteoi"));
        self.set(chip, "irq_chip", "name", chip_name);
        let names = ["timer", "usb"].map(|name| self.text(name));
        let actions = [(); 3].map(|()| self.object("irqaction"));
        self.set(actions[0], "irqaction", "name", names[0]).set(actions[1], "irqaction", "name", names[1]);
        self.set(actions[1], "irqaction", "next", actions[2]);
        let told = [(0, actions[0], 3, [5, 0]), (1, 0, 1, [0, 0]), (3, actions[1], 2, [7, 1 << 20])];
        for (at, (number, action, mask, counts)) in descs.into_iter().zip(told) {
            let own = self.per_cpu_memory(16);
            for (cpu, count) in (0..).zip(counts) {
                let at = self.on_cpu(own, cpu);
                self.half(at, count);
            }
            self.set(at, "irq_desc", "irq_data.irq", number).set(at, "irq_desc", "action", action);
            self.set(at, "irq_desc", "kstat_irqs", own);
            let bits = match is_pointer {
                true => {
                    let bits = self.memory(8);
                    self.set(at, "irq_desc", "irq_common_data.affinity", bits);
                    bits
                }
                false => at + self.offset("irq_desc", "irq_common_data.affinity"),
            };
            self.word(bits, mask);
            if number != 1 {
                self.set(at, "irq_desc", "irq_data.chip", chip).set(at, "irq_desc", "name", flow);
            }
        }
        self.irq_table(table, [(0, descs[0]), (1, descs[1]), (3, descs[2])]);
        self.entries_of_irqs();
        Irqs { descs, actions: [actions[1], actions[2]] }
    }

    fn irq_structs(&mut self, is_pointer: bool, is_stat: bool) {
        self.list_head();
        self.structure("irq_chip", 16, &[("name", 8, "*char")]);
        self.structure("irq_data", 32, &[("irq", 4, "u32"), ("chip", 24, "*irq_chip")]);
        self.structure("cpumask", 1024, &[("bits", 0, "u64[128]")]);
        let affinity = ("affinity", 8, if is_pointer { "*cpumask" } else { "cpumask[1]" });
        self.structure("irq_common_data", 16 + 1024, &[affinity]);
        self.structure("irqstat", 8, &[("cnt", 0, "u32"), ("ref", 4, "u32")]);
        if !is_stat {
            self.without("irqstat", "cnt");
        }
        let desc = [
            ("irq_common_data", 0, "irq_common_data"),
            ("irq_data", 1040, "irq_data"),
            ("kstat_irqs", 1072, if is_stat { "*irqstat" } else { "*u32" }),
            ("action", 1080, "*irqaction"),
            ("name", 1088, "*char"),
        ];
        self.structure("irq_desc", 1096, &desc);
        let action = [
            ("handler", 0, "*void"),
            ("next", 24, "*irqaction"),
            ("thread", 32, "*void"),
            ("name", 64, "*char"),
        ];
        self.structure("irqaction", 128, &action);
    }

    fn irq_table(&mut self, table: &str, all: [(u64, u64); 3]) {
        match table {
            "radix" => {
                self.structure("radix_tree_node", 64, &[("shift", 0, "u8"), ("slots", 8, "*void[4]")]);
                self.structure("radix_tree_root", 16, &[("gfp_mask", 0, "u32"), ("rnode", 8, "*void")]);
                let (tree, node) = (self.variable("irq_desc_tree", 16), self.object("radix_tree_node"));
                self.word(tree + 8, node | 1);
                all.iter().for_each(|(n, at)| _ = self.word(node + 8 + n * 8, *at));
            }
            "xarray" => {
                self.structure("xa_node", 64, &[("shift", 0, "u8"), ("slots", 8, "*void[4]")]);
                self.structure("xarray", 16, &[("xa_flags", 4, "u32"), ("xa_head", 8, "*void")]);
                let (tree, node) = (self.variable("irq_desc_tree", 16), self.object("xa_node"));
                self.word(tree + 8, node | 2);
                all.iter().for_each(|(n, at)| _ = self.word(node + 8 + n * 8, *at));
            }
            "maple" => {
                self.structure("maple_range_64", 256, &[("pivot", 8, "u64[15]"), ("slot", 128, "*void[16]")]);
                self.structure("maple_node", 256, &[("parent", 0, "*void"), ("slot", 8, "*void[31]")]);
                self.structure("maple_tree", 16, &[("ma_flags", 4, "u32"), ("ma_root", 8, "*void")]);
                let (tree, leaf) = (self.variable("sparse_irqs", 16), self.memory(256));
                self.word(tree + 8, leaf | 1 << 3 | 2);
                for (slot, (last, value)) in
                    (0_u64..).zip([(0, all[0].1), (1, all[1].1), (2, 0), (3, all[2].1), (u64::MAX, 0)])
                {
                    self.word(leaf + 8 + slot * 8, last).word(leaf + 128 + slot * 8, value);
                }
            }
            _ => {}
        }
    }

    fn entries_of_irqs(&mut self) {
        let timers = self.function("do_timers", 0x800);
        self.structure("softirq_action", 8, &[("action", 0, "*void")]);
        self.enumeration("softirqs", &[("HI_SOFTIRQ", 0), ("TIMER_SOFTIRQ", 1), ("NR_SOFTIRQS", 2)]);
        let (table, names) = (self.variable("softirq_vec", 16), self.variable("softirq_to_name", 16));
        self.word(table + 8, timers);
        for (n, name) in (0_u64..).zip(["HI", "TIMER"]) {
            let text = self.text(name);
            self.word(names + n * 8, text);
        }
        let gates = self.variable("idt_table", 256 * 16);
        let low = timers & 0xffff | 0x10 << 16 | 0x8e << 40 | (timers >> 16 & 0xffff) << 48;
        self.word(gates + 32, low).word(gates + 40, timers >> 32);
    }
}
