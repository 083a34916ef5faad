//! How reports of the kernel look (arch/x86/kernel/{dumpstack,process_64}.c).

use super::X86_64;
use crate::capability::{OopsForm, OopsPlace};

/// What stands before a place in the kernel: `__KERNEL_CS`, the kernel's segment under Xen; until 4.9 `IP:` of faults too.
const KERNEL: [&str; 3] = ["RIP: 0010:", "RIP: e030:", "IP: "];
/// The segments of programs, of 64 and 32 bits.
const USER: [&str; 2] = ["RIP: 0033:", "RIP: 002b:"];
/// How the lines of registers begin.
const REGISTERS: [&str; 7] = ["RAX: ", "RDX: ", "RBP: ", "R10: ", "R13: ", "RSP: ", "CR2: "];

impl OopsForm for X86_64 {
    /// `RIP: 0010:virtqueue_add_split+0x3d4/0x6f0 [virtio_ring]`
    fn place<'t>(&self, line: &'t str) -> Option<OopsPlace<'t>> {
        if let Some(place) = KERNEL.iter().find_map(|words| line.strip_prefix(words)) {
            return Some(OopsPlace::Kernel(place));
        }
        USER.iter().any(|words| line.starts_with(words)).then_some(OopsPlace::User)
    }
    /// `RSP: 0018:ffff888000000000 EFLAGS: 00010246`
    fn sp<'t>(&self, line: &'t str) -> Option<&'t str> {
        line.split_once("RSP: ")?.1.split_once(':').map(|(_, sp)| sp)
    }
    /// `RAX: 0000000000000a20 RBX: …` and `RSP: 0018:ff38… EFLAGS: 00000087`
    fn registers(&self, line: &str) -> Vec<(String, u64)> {
        let mut out = Vec::new();
        if !REGISTERS.iter().any(|words| line.starts_with(words)) {
            return out;
        }
        let mut words = line.split_whitespace();
        while let (Some(name), Some(value)) = (words.next(), words.next()) {
            let Some(name) = name.strip_suffix(':') else { break };
            let value = value.rsplit(':').next().unwrap_or(value);
            if value.len() < 8 {
                continue;
            }
            let name = match name {
                "R08" => "r8".to_owned(),
                "R09" => "r9".to_owned(),
                name => name.to_ascii_lowercase(),
            };
            out.extend(u64::from_str_radix(value, 16).ok().map(|value| (name, value)));
        }
        out
    }
    fn fault_register(&self) -> Option<&'static str> {
        Some("cr2")
    }
    /// `RIP 10:<ffffffff81086e16> {native_safe_halt+0x6/0x10}`; behind `!INEXACT!` it is not where it happened.
    fn machine_check_place<'t>(&self, line: &'t str) -> Option<&'t str> {
        line.strip_prefix("RIP ").filter(|l| !l.starts_with('!'))?.split_once('{')?.1.split('}').next()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_an_oops() {
        let kernel = |line| match X86_64.place(line) {
            Some(OopsPlace::Kernel(place)) => Some(place),
            _ => None,
        };
        assert_eq!(kernel("RIP: 0010:vfs_read+0x3/0x6"), Some("vfs_read+0x3/0x6"));
        assert_eq!(kernel("IP: [<ffffffff8143e2f6>] f+0x1/0x2"), Some("[<ffffffff8143e2f6>] f+0x1/0x2"));
        assert_eq!(X86_64.place("RIP: 0033:0x7f5b1a"), Some(OopsPlace::User));
        assert_eq!(X86_64.place("CPU: 0 PID: 1"), None);
        let registers = X86_64.registers("RSP: 0018:ff38d7e3404c3688 EFLAGS: 00000087");
        assert_eq!(registers, [("rsp".into(), 0xff38_d7e3_404c_3688), ("eflags".into(), 0x87)]);
        let registers = X86_64.registers("RBP: 0000000000000001 R08: 0000000000000002 R09: 0000000000000003");
        assert_eq!(registers, [("rbp".into(), 1), ("r8".into(), 2), ("r9".into(), 3)]);
        assert_eq!(X86_64.registers("Code: 0f 0b"), []);
        let place = X86_64.machine_check_place("RIP 10:<ffffffff81086e16> {native_safe_halt+0x6/0x10}");
        assert_eq!(place, Some("native_safe_halt+0x6/0x10"));
        assert_eq!(X86_64.machine_check_place("RIP !INEXACT! 10:<ffffffff81086e16> {f+0x6/0x10}"), None);
    }
}
