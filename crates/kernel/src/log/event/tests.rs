//! The kernel's messages, from 3.10 on, and what is made of them.

use super::*;

fn of(text: &str) -> Event {
    let lines: Vec<&str> = text.lines().collect();
    find(&lines).unwrap()
}

fn named(function: &str, offset: u64, module: Option<&str>) -> Option<Named> {
    Some((function.to_owned(), offset, module.map(str::to_owned)))
}

/// First lines of oopses, by release.
#[test]
fn oopses_by_their_first_line() {
    for (line, want) in [
        ("kernel BUG at drivers/virtio/virtio_ring.c:550!", Class::Bug),
        ("BUG: unable to handle kernel NULL pointer dereference at 0000000000000008", Class::NullPointer),
        ("BUG: unable to handle kernel NULL pointer dereference at           (null)", Class::NullPointer),
        ("BUG: kernel NULL pointer dereference, address: 0000000000000018", Class::NullPointer),
        ("BUG: unable to handle kernel paging request at ffffc90000001000", Class::PageFault),
        ("BUG: unable to handle kernel paging request at 00007f5f5d604000", Class::UserAddress),
        ("BUG: unable to handle page fault for address: ffffc90000001000", Class::PageFault),
        ("BUG: unable to handle page fault for address: 0000000000001018", Class::NullPointer),
        ("kernel tried to execute NX-protected page - exploit attempt? (uid: 0)", Class::WildJump),
        ("unable to execute userspace code (SMEP?) (uid: 0)", Class::WildJump),
        ("general protection fault: 0000 [#1] SMP", Class::GeneralProtection),
        (
            "general protection fault, probably for non-canonical address 0xdead000000000108: 0000 [#1] SMP NOPTI",
            Class::GeneralProtection,
        ),
        (
            "Oops: general protection fault, probably for non-canonical address 0xdead000000000108: 0000 [#1] SMP",
            Class::GeneralProtection,
        ),
        ("general protection: 0000 [#1] SMP", Class::GeneralProtection),
        ("stack segment: 0000 [#1] SMP", Class::GeneralProtection),
        ("divide error: 0000 [#1] SMP", Class::Divide),
        ("Oops: divide error: 0000 [#1] PREEMPT SMP NOPTI", Class::Divide),
        ("invalid opcode: 0000 [#1] SMP", Class::InvalidOpcode),
        ("Oops: invalid opcode: 0000 [#1] SMP NOPTI", Class::InvalidOpcode),
        ("PANIC: double fault, error_code: 0x0", Class::DoubleFault),
        ("traps: PANIC: double fault, error_code: 0x0", Class::DoubleFault),
        ("double fault: 0000 [#1] SMP", Class::DoubleFault),
        (
            "BUG: stack guard page was hit at 00000000c1ae3f8f (stack is 0000000051c5ac28..00000000e1ac2f1d)",
            Class::StackOverflow,
        ),
        (
            "traps: BUG: TASK stack guard page was hit at ffffc90000683ff8 (stack is ffffc90000684000..x)",
            Class::StackOverflow,
        ),
        ("BUG: IRQ stack guard page was hit at ffffc90000683ff8 (stack is x..y)", Class::StackOverflow),
        ("BUG: NMI stack guard page was hit at ffffc90000683ff8 (stack is x..y)", Class::StackOverflow),
        ("kernel stack overflow (double-fault): 0000 [#1] SMP", Class::StackOverflow),
        ("stack guard page: 0000 [#1] PREEMPT SMP", Class::StackOverflow),
        ("Oops: stack guard page: 0000 [#1] PREEMPT SMP", Class::StackOverflow),
        ("CFI failure at do_it+0x12/0x30 (target: evil+0x0/0x10; expected type: 0x12345678)", Class::Cfi),
        ("traps: Missing ENDBR: do_it+0x0/0x30", Class::Cfi),
        ("int3: 0000 [#1] SMP", Class::Exception),
        ("Oops: alignment check: 0000 [#1] SMP", Class::Exception),
        ("segment not present: 0018 [#1] SMP", Class::Exception),
        ("Bad pagetable: 000d [#1] SMP", Class::PageCorruption),
    ] {
        assert_eq!(of(line).class, want, "{line}");
        assert_eq!(of(&format!("{line}\nKernel panic - not syncing: Fatal exception")).class, want, "{line}");
        let panic = "Kernel panic - not syncing: Fatal exception in interrupt";
        assert_eq!(of(&format!("{line}\n{panic}")).class, want, "{line}");
    }
}

/// Reports that the machine lives with, and the panic that says that it does not.
#[test]
fn reports_count_only_where_a_panic_names_them() {
    for (line, panic, want) in [
        ("BUG: soft lockup - CPU#0 stuck for 22s! [cat:77]", "softlockup: hung tasks", Class::SoftLockup),
        (
            "watchdog: BUG: soft lockup - CPU#1 stuck for 26s! [kworker/1:2:77]",
            "softlockup: hung tasks",
            Class::SoftLockup,
        ),
        (
            "NMI watchdog: BUG: soft lockup - CPU#1 stuck for 26s! [cat:77]",
            "softlockup: hung tasks",
            Class::SoftLockup,
        ),
        ("Watchdog detected hard LOCKUP on cpu 1", "Hard LOCKUP", Class::HardLockup),
        ("NMI watchdog: Watchdog detected hard LOCKUP on cpu 1", "Hard LOCKUP", Class::HardLockup),
        ("watchdog: CPU0: Watchdog detected hard LOCKUP on cpu 1", "Hard LOCKUP", Class::HardLockup),
        ("INFO: task dd:77 blocked for more than 120 seconds.", "hung_task: blocked tasks", Class::HungTask),
        (
            "INFO: rcu_sched self-detected stall on CPU { 1}  (t=60002 jiffies g=1 c=2 q=3)",
            "RCU Stall",
            Class::RcuStall,
        ),
        ("rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:", "RCU Stall", Class::RcuStall),
        (
            "rcu: INFO: rcu_preempt detected expedited stalls on CPUs/tasks: { 1-.... } 21 jiffies",
            "RCU Stall",
            Class::RcuStall,
        ),
        ("BUG: scheduling while atomic: cat/77/0x00000002", "scheduling while atomic", Class::Atomic),
        (
            "BUG: scheduling while atomic: cat/77/0x00000002",
            "scheduling while atomic: panic_on_warn set ...",
            Class::Atomic,
        ),
        ("BUG: KASAN: use-after-free in f+0x1/0x2 [m]", "KASAN: panic_on_warn set ...", Class::Sanitizer),
        ("BUG: KFENCE: out-of-bounds read in f+0x1/0x2", "KFENCE: panic_on_warn set ...", Class::Sanitizer),
        ("UBSAN: shift-out-of-bounds in drivers/a.c:12:3", "UBSAN: panic_on_warn set ...", Class::Ubsan),
        ("WARNING: at kernel/a.c:12 f+0x1/0x2()", "panic_on_warn set ...", Class::Warning),
        ("WARNING: CPU: 0 PID: 1 at kernel/a.c:12 f+0x1/0x2 [m]", "panic_on_warn set ...", Class::Warning),
        (
            "WARNING: kernel/a.c:12 at f+0x1/0x2 [m], CPU#0: cat/77",
            "kernel: panic_on_warn set ...",
            Class::Warning,
        ),
        (
            "mce: [Hardware Error]: CPU 0: Machine Check Exception: 5 Bank 4: be00000000800400",
            "Fatal machine check on current CPU",
            Class::MachineCheck,
        ),
        (
            "[Hardware Error]: CPU 0: Machine Check Exception: 5 Bank 4: be00000000800400",
            "Fatal Machine check",
            Class::MachineCheck,
        ),
        (
            "{1}[Hardware Error]: Hardware error from APEI Generic Hardware Error Source: 0",
            "Fatal hardware error!",
            Class::MachineCheck,
        ),
        (
            "EDAC MC0: 1 UE memory read error on CPU_SrcID#0_Ha#0_Chan#0_DIMM#0 (channel:0 slot:0 page:0x1)",
            "UE memory read error on CPU_SrcID#0_Ha#0_Chan#0_DIMM#0 (channel:0 slot:0 page:0x1)",
            Class::MachineCheck,
        ),
        (
            "NMI: IOCK error (debug interrupt?) for reason 71 on CPU 0.",
            "NMI IOCK error: Not continuing",
            Class::Nmi,
        ),
        ("Uhhuh. NMI received for unknown reason 3d on CPU 0.", "NMI: Not continuing", Class::Nmi),
        (
            "BUG: workqueue lockup - pool cpus=1 node=0 flags=0x0 nice=0 stuck for 33s!",
            "workqueue: 2 stall(s) exceeded threshold 1",
            Class::HungTask,
        ),
    ] {
        assert!(find(&[line]).is_none(), "{line}");
        let e = of(&format!("{line}\nKernel panic - not syncing: {panic}"));
        assert_eq!((e.class, e.line.as_str()), (want, line), "{line}");
        // words of nobody: the report is told, and not as the cause
        let e = of(&format!("{line}\nKernel panic - not syncing: my driver gave up"));
        assert_eq!((e.class, e.earlier.len()), (Class::Panic, 1), "{line}");
    }
}

#[test]
fn reports_that_are_told_and_never_the_cause_by_themselves() {
    for line in [
        "BUG kmalloc-64 (Tainted: G    B      ): Poison overwritten",
        "BUG kmalloc-64 (Not tainted): Redzone overwritten",
        "BUG: Bad page state in process cat  pfn:12345",
        "BUG: Bad page map in process cat  pte:8000000012345067 pmd:12345067",
        "BUG: Bad rss-counter state mm:00000000c1ae3f8f type:MM_ANONPAGES val:1",
        "slab error in cache_free_debugcheck(): cache `size-64': double free, or memory outside object was overwritten",
        "Slab corruption (kmalloc-64): start=ffff880012345678, len=64",
        "BUG: spinlock bad magic on CPU#0, cat/77",
        "WARNING: possible circular locking dependency detected",
        "[ INFO: possible circular locking dependency detected ]",
        "WARNING: HARDIRQ-safe -> HARDIRQ-unsafe lock order detected",
        "WARNING: possible irq lock inversion dependency detected",
        "WARNING: leaver/49 still has locks held!",
        "WARNING: suspicious RCU usage",
        "BUG: sleeping function called from invalid context at mm/slab.h:494",
    ] {
        assert!(find(&[line]).is_none(), "{line}");
        let e = of(&format!("{line}\nkernel BUG at a.c:1!"));
        assert_eq!(
            (e.class, e.earlier.as_slice()),
            (Class::Bug, [Earlier { at: 0, line: line.to_owned(), is_oops: false, who: None }].as_slice()),
            "{line}"
        );
    }
}

#[test]
fn the_end_of_an_oops_whose_words_are_lost() {
    let e = of("Kernel panic - not syncing: Fatal exception in interrupt");
    assert!(e.class == Class::Panic && e.ends_an_oops());
    assert!(!of("Kernel panic - not syncing: my driver gave up").ends_an_oops());
    assert!(!of("kernel BUG at a.c:1!\nKernel panic - not syncing: Fatal exception").ends_an_oops());
}

#[test]
fn what_is_no_sign_of_trouble() {
    for line in [
        "mce: [Hardware Error]: Machine check events logged",
        "watchdog: CPU0: nothing",
        "rcu: INFO: Stall ended before state dump start",
        "INFO: lockdep is turned off.",
        "WARNING: The file system is old",
        "cat[77]: segfault at 0 ip 0000000000400544 sp 00007ffd error 4 in cat",
        "traps: cat[77] general protection fault ip:400544 sp:7ffd error:0 in cat",
        "Linux version 6.1",
        "BUG in the firmware (we go on): no",
        "EDAC MC0: 1 CE memory read error on CPU_SrcID#0_Ha#0_Chan#0_DIMM#0 (channel:0 slot:0 page:0x1)",
        "pcieport 0000:00:03.0: AER: Corrected error received: 0000:00:03.0",
    ] {
        assert!(find(&[line, "Kernel panic - not syncing: x"]).unwrap().earlier.is_empty(), "{line}");
    }
}

#[test]
fn panics_by_their_words() {
    for (text, want) in [
        ("Attempted to kill init! exitcode=0x00000700", Class::InitKilled),
        ("VFS: Unable to mount root fs on unknown-block(0,0)", Class::NoRoot),
        ("No working init found.  Try passing init= option to kernel.", Class::NoRoot),
        ("No init found.  Try passing init= option to kernel.", Class::NoRoot),
        ("Requested init /sbin/nope failed (error -2).", Class::NoRoot),
        ("Out of memory: system-wide panic_on_oom is enabled", Class::OutOfMemory),
        ("Out of memory: compulsory panic_on_oom is enabled", Class::OutOfMemory),
        ("Out of memory and no killable processes...", Class::OutOfMemory),
        ("System is deadlocked on memory", Class::OutOfMemory),
        ("stack-protector: Kernel stack is corrupted in: foo+0x1/0x2", Class::StackProtector),
        ("stack-protector: Kernel stack is corrupted in: ffffffffa0001234", Class::StackProtector),
        ("corrupted stack end detected inside scheduler", Class::StackOverflow),
        ("low stack detected by irq handler - check messages", Class::StackOverflow),
        ("sysrq triggered crash", Class::Sysrq),
        ("softlockup: hung tasks", Class::SoftLockup),
        ("Watchdog detected hard LOCKUP on cpu 3", Class::HardLockup),
        ("An NMI occurred. Depending on your system the reason for the NMI is logged", Class::Nmi),
        ("watchdog pretimeout event", Class::Watchdog),
        ("Software Watchdog Timer expired", Class::Watchdog),
        ("Watchdog pre-timeout", Class::Watchdog),
        ("EDAC MC0: UE page 0x1234, offset 0x0, grain 8, row 1, labels \"DIMM_A1\": x", Class::MachineCheck),
        (
            "UE memory read error on CPU_SrcID#0_Ha#0_Chan#0_DIMM#0 (channel:0 slot:0 page:0x1)",
            Class::MachineCheck,
        ),
        ("EDAC: PCI Parity Error", Class::MachineCheck),
        ("Timeout: Not all CPUs entered broadcast exception handler", Class::MachineCheck),
        ("Timeout: Not all CPUs entered the machine check", Class::MachineCheck),
        ("Memory error not recovered", Class::MachineCheck),
        ("AER: fatal error of 0000:00:03.0", Class::MachineCheck),
        ("my driver gave up", Class::Panic),
    ] {
        let e = of(&format!("Kernel panic - not syncing: {text}"));
        assert_eq!((e.class, plain(&e.line)), (want, text), "{text}");
    }
}

#[test]
fn a_bug_with_its_oops() {
    let e = of("virtio_blk virtio0: hello\n\
        kernel BUG at drivers/virtio/virtio_ring.c:550!\n\
        invalid opcode: 0000 [#1] PREEMPT SMP NOPTI\n\
        CPU: 0 PID: 130 Comm: dio Tainted: G           OE      6.1.0\n\
        Hardware name: QEMU Standard PC (i440FX + PIIX, 1996), BIOS 1.16\n\
        RIP: 0010:virtqueue_add_split+0x3d4/0x6f0 [virtio_ring]\n\
        RSP: 0018:ff38d7e3404c3688 EFLAGS: 00000087\n\
        RAX: 0000000000000a20 RBX: 0000000000000080 RCX: 0000000000000001\n\
        CR2: 00007f5f5d604000 CR3: 00000000024ec000 CR4: 0000000000751eb0\n\
        Call Trace:\n <TASK>\n virtqueue_add_sgs+0xb2/0xd0 [virtio_ring]\n ? foo+0x1/0x2\n vfs_read+0x1/0x2\n\
        RIP: 0033:0x437fbd\n\
        RAX: ffffffffffffffda RBX: 0000000000000003 RCX: 0000000000437fbd\n\
        ---[ end trace 0 ]---\n\
        Kernel panic - not syncing: Fatal exception");
    assert_eq!((e.class, e.later.as_ref()), (Class::Bug, None));
    assert_eq!(e.oops.rip, named("virtqueue_add_split", 0x3d4, Some("virtio_ring")));
    assert_eq!((e.oops.cpu, e.oops.pid, e.oops.comm.as_deref()), (Some(0), Some(130), Some("dio")));
    assert!(e.oops.registers.contains(&("rbx".into(), 0x80)));
    assert!(e.oops.registers.contains(&("rsp".into(), 0xff38_d7e3_404c_3688)));
    assert_eq!(e.oops.trace().collect::<Vec<_>>(), ["virtqueue_add_sgs", "vfs_read"]);
    assert_eq!(
        (e.oops.said.file.as_deref(), e.oops.said.line),
        (Some("drivers/virtio/virtio_ring.c"), Some(550))
    );
    assert!(e.oops.hardware.as_deref().is_some_and(|h| h.starts_with("QEMU Standard PC")));
}

/// Of a record of hardware errors the line that says what failed, not the last of its details.
#[test]
fn a_record_of_a_hardware_error_is_named_by_its_first_line() {
    let record = "{1}[Hardware Error]: Hardware error from APEI Generic Hardware Error Source: 0\n\
        {1}[Hardware Error]: event severity: fatal\n{1}[Hardware Error]:   section_type: PCIe error\n\
        {1}[Hardware Error]:   device_id: 0000:00:03.0\n";
    let panic = "Kernel panic - not syncing: Fatal hardware error!";
    let e = of(&format!("{record}{panic}"));
    assert_eq!((e.class, e.at), (Class::MachineCheck, 0), "{}", e.line);
    // its first lines are lost
    let details = record.lines().skip(1).collect::<Vec<_>>().join("\n");
    let e = of(&format!("{details}\n{panic}"));
    assert_eq!((e.class, e.line.as_str()), (Class::MachineCheck, panic));
    let check = "mce: [Hardware Error]: CPU 0: Machine Check Exception: 5 Bank 4: be00000000800400\n\
        mce: [Hardware Error]: TSC 0 ADDR fe\nKernel panic - not syncing: Fatal machine check";
    assert_eq!(of(check).at, 0);
}

#[test]
fn an_oops_of_arm64() {
    let e = of("Unable to handle kernel NULL pointer dereference at virtual address 0000000000000000\n\
        Mem abort info:\n  ESR = 0x0000000096000006\n  EC = 0x25: DABT (current EL), IL = 32 bits\n\
        Internal error: Oops: 0000000096000006 [#1] SMP\n\
        Modules linked in: dying(OE) virtio_blk\n\
        CPU: 1 PID: 261 Comm: sh Tainted: G           OE      6.1.0\n\
        Hardware name: linux,dummy-virt (DT)\n\
        pc : check_order+0xc/0x2c [dying]\n\
        lr : next_order+0x1c/0x30 [dying]\n\
        Call trace:\n check_order+0xc/0x2c [dying]\n way_module+0x18/0x24 [dying]\n\
        Code: 9400010a aa1e03e9 d503201f aa0003e1 (b9400000)\n\
        ---[ end trace 0 ]---\n\
        Kernel panic - not syncing: Oops: Fatal exception");
    assert_eq!((e.class, e.oops.address), (Class::NullPointer, Some(0)));
    let at = |line: &str| {
        let e = of(&format!("{line}\nKernel panic - not syncing: Oops: Fatal exception"));
        (e.class, e.oops.address)
    };
    assert_eq!(
        at("Unable to handle kernel paging request at virtual address dead000000000122"),
        (Class::PageFault, Some(0xdead_0000_0000_0122))
    );
    assert_eq!(
        at("Unable to handle kernel NULL pointer dereference at virtual address").0,
        Class::NullPointer
    );
    assert_eq!(e.oops.rip, named("check_order", 0xc, Some("dying")));
    assert_eq!((e.oops.cpu, e.oops.pid, e.oops.comm.as_deref()), (Some(1), Some(261), Some("sh")));
    assert_eq!(e.oops.trace().collect::<Vec<_>>(), ["check_order", "way_module"]);
}

#[test]
fn an_oops_of_3_10() {
    let e = of("BUG: unable to handle kernel NULL pointer dereference at 0000000000000028\n\
        IP: [<ffffffffa04f8b2e>] chain_tail+0x1e/0x60 [broken]\n\
        PGD 3a5c1067 PUD 3a4a3067 PMD 0 \n\
        Oops: 0002 [#1] SMP \n\
        Modules linked in: broken(OF) virtio_net\n\
        CPU: 1 PID: 2211 Comm: Web Content Tainted: GF          O--------------   3.10.0-123.el7.x86_64 #1\n\
        Hardware name: Bochs Bochs, BIOS Bochs 01/01/2011\n\
        task: ffff88003a6c0000 ti: ffff88003a5d4000 task.ti: ffff88003a5d4000\n\
        RIP: 0010:[<ffffffffa04f8b2e>]  [<ffffffffa04f8b2e>] chain_tail+0x1e/0x60 [broken]\n\
        RSP: 0018:ffff88003a5d5e58  EFLAGS: 00010286\n\
        RAX: 0000000000000000 RBX: ffff88003c1d2c00 RCX: 0000000000000000\n\
        CR2: 0000000000000028 CR3: 000000003a5c2000 CR4: 00000000000006e0\n\
        Stack:\n ffff88003a5d5e78 ffffffffa04f8c01\n\
        Call Trace:\n [<ffffffffa04f8c01>] broken_write+0x41/0x90 [broken]\n [<ffffffff811af6f0>] ? vfs_write+0x1/0x1e0\n\
         [<ffffffff811afcdd>] vfs_write+0xbd/0x1e0\n <IRQ>  [<ffffffff811b0728>] SyS_write+0x58/0xb0\n\
        Code: 00 00\n\
        RIP  [<ffffffffa04f8b2e>] chain_tail+0x1e/0x60 [broken]\n RSP <ffff88003a5d5e58>\n\
        CR2: 0000000000000028\n---[ end trace 1 ]---\nKernel panic - not syncing: Fatal exception");
    assert_eq!((e.class, e.oops.address, e.oops.error_code), (Class::NullPointer, Some(0x28), Some(2)));
    assert_eq!(e.oops.rip, named("chain_tail", 0x1e, Some("broken")));
    assert_eq!(e.oops.pc, Some(0xffff_ffff_a04f_8b2e));
    assert_eq!((e.oops.cpu, e.oops.pid, e.oops.comm.as_deref()), (Some(1), Some(2211), Some("Web Content")));
    assert_eq!(e.oops.trace().collect::<Vec<_>>(), ["broken_write", "vfs_write", "SyS_write"]);
}

#[test]
fn a_name_on_the_line_after_its_address() {
    let e = of("BUG: unable to handle kernel NULL pointer dereference at           (null)\n\
        RIP: 0010:[<ffffffffa04f8b2e>] \n [<ffffffffa04f8b2e>] f+0x1e/0x60 [broken]");
    assert_eq!(
        (e.oops.rip, e.oops.pc, e.oops.address),
        (named("f", 0x1e, Some("broken")), Some(0xffff_ffff_a04f_8b2e), Some(0))
    );
}

#[test]
fn page_faults_by_address_and_code() {
    for (line, code, want) in [
        ("BUG: kernel NULL pointer dereference, address: 0000000000000018", "0x0000", Class::NullPointer),
        ("BUG: unable to handle page fault for address: ffffc90000001000", "0x0000", Class::PageFault),
        ("BUG: unable to handle page fault for address: ffffffff81000000", "0x0003", Class::ReadOnlyWrite),
        ("BUG: unable to handle page fault for address: 00007f5f5d604000", "0x0001", Class::UserAddress),
        ("BUG: unable to handle page fault for address: ffff888004000000", "0x0011", Class::WildJump),
    ] {
        let e =
            of(&format!("{line}\n#PF: supervisor read access in kernel mode\n#PF: error_code({code}) - x"));
        assert_eq!(e.class, want, "{line}");
    }
    let e =
        of("BUG: unable to handle page fault for address: ffffffff81000000\nOops: Oops: 0003 [#1] SMP NOPTI");
    assert_eq!((e.class, e.oops.error_code), (Class::ReadOnlyWrite, Some(3)));
}

#[test]
fn a_jump_to_nowhere_has_its_target() {
    for (text, at) in [
        ("RIP: 0010:0x0\nCode: Unable to access opcode bytes at 0xffffffffffffffd6.", 0),
        ("RIP: 0010:          (null)", 0),
        ("RIP: 0010:[<0000000000000000>]  [<          (null)>]           (null)", 0),
        ("RIP: 0010:0xffff888004000000", 0xffff_8880_0400_0000),
    ] {
        let e = of(&format!(
            "BUG: kernel NULL pointer dereference, address: 0000000000000000\n\
            #PF: supervisor instruction fetch in kernel mode\n#PF: error_code(0x0010) - not-present page\n{text}"
        ));
        assert_eq!((e.class, e.oops.wild, e.oops.rip), (Class::WildJump, Some(at), None), "{text}");
    }
}

#[test]
fn what_a_report_says_more_tellingly_than_its_first_line() {
    let cut = "------------[ cut here ]------------";
    for (text, class, line) in [
        (
            format!("list_del corruption. prev->next should be ffff, but was 0\n{cut}\nkernel BUG at lib/list_debug.c:53!\nRIP: 0010:f+0x1/0x2"),
            Class::ListCorruption,
            "list_del corruption",
        ),
        (
            format!("{cut}\nWARNING: at lib/list_debug.c:59 __list_del_entry+0xa1/0xd0()\nlist_del corruption. prev->next should be x\nModules linked in:\nKernel panic - not syncing: panic_on_warn set ..."),
            Class::ListCorruption,
            "list_del corruption",
        ),
        (
            format!("{cut}\nrefcount_t: underflow; use-after-free.\nWARNING: CPU: 1 PID: 77 at lib/refcount.c:28 refcount_warn_saturate+0xba/0x110\nModules linked in: m\nKernel panic - not syncing: panic_on_warn set ..."),
            Class::Refcount,
            "refcount_t: underflow",
        ),
        (
            format!("usercopy: Kernel memory overwrite attempt detected to SLUB object 'kmalloc-64' (offset 0, size 80)!\n{cut}\nkernel BUG at mm/usercopy.c:102!"),
            Class::Overflow,
            "usercopy: Kernel memory overwrite",
        ),
        (
            format!("detected buffer overflow in memcpy\n{cut}\nkernel BUG at lib/string_helpers.c:1027!"),
            Class::Overflow,
            "detected buffer overflow",
        ),
        (
            format!("{cut}\nstrnlen: detected buffer overflow: 9 byte read of buffer size 8\nWARNING: CPU: 1 PID: 7 at lib/string_helpers.c:1029 __fortify_report+0x45/0x50\nCPU: 1\n{cut}\nkernel BUG at lib/string_helpers.c:1039!"),
            Class::Overflow,
            "strnlen: detected",
        ),
        (
            "SysRq : Trigger a crash\nBUG: unable to handle kernel NULL pointer dereference at           (null)".to_owned(),
            Class::Sysrq,
            "BUG: unable",
        ),
        (
            "BUG: unable to handle kernel paging request at ffff880012345678\nIP: [<ffffffff81000000>] f+0x1/0x2\nThread overran stack, or stack corrupted\nOops: 0000 [#1] SMP".to_owned(),
            Class::StackOverflow,
            "BUG: unable",
        ),
    ] {
        let e = of(&text);
        assert_eq!(e.class, class, "{text}");
        assert!(e.line.starts_with(line), "{text}: {}", e.line);
    }
}

#[test]
fn a_report_of_long_ago_is_not_the_bug_of_today() {
    let e = of("list_del corruption. prev->next should be ffff, but was 0\na\nb\nc\nd\ne\nf\n\
        ------------[ cut here ]------------\nkernel BUG at a.c:53!");
    assert_eq!((e.class, e.earlier.len()), (Class::Bug, 1));
}

#[test]
fn warnings_name_their_place_and_words() {
    let panic = "Kernel panic - not syncing: kernel: panic_on_warn set ...";
    for (text, module, message) in [
        (
            "[ cut here ]\nWARNING: at drivers/a.c:12 f+0x1/0x2 [m]()\nthe lock is gone\nModules linked in:",
            Some("m"),
            Some("the lock is gone"),
        ),
        (
            "[ cut here ]\nWARNING: CPU: 0 PID: 1 at drivers/a.c:12 f+0x1/0x2()\nModules linked in:",
            None,
            None,
        ),
        (
            "[ cut here ]\nthe lock is gone\nWARNING: CPU: 0 PID: 1 at drivers/a.c:12 f+0x1/0x2 [m]\nModules linked in:",
            Some("m"),
            Some("the lock is gone"),
        ),
        // what another CPU printed there
        (
            "[ cut here ]\nWARNING: CPU: 0 PID: 1 at drivers/a.c:12 f+0x1/0x2\nusb 1-1: gone\nRIP: 0010:f+0x1/0x2",
            None,
            None,
        ),
        (
            "[ cut here ]\nthe lock is gone\nWARNING: drivers/a.c:12 at f+0x1/0x2 [m], CPU#0: cat/77\nModules linked in:",
            Some("m"),
            Some("the lock is gone"),
        ),
    ] {
        let e = of(&format!("{text}\n{panic}"));
        assert_eq!((e.class, e.message.as_deref()), (Class::Warning, message), "{text}");
        let said = &e.oops.said;
        assert_eq!((said.file.as_deref(), said.line), (Some("drivers/a.c"), Some(12)), "{text}");
        assert_eq!(said.function, named("f", 1, module), "{text}");
    }
}

#[test]
fn places_that_messages_name() {
    for (line, panic, file, function) in [
        (
            "BUG: KASAN: slab-out-of-bounds in zap+0x1/0x2 [m]",
            "KASAN: panic_on_warn set ...",
            None,
            named("zap", 1, Some("m")),
        ),
        (
            "BUG: KFENCE: use-after-free read in zap+0x1/0x2",
            "KFENCE: panic_on_warn set ...",
            None,
            named("zap", 1, None),
        ),
        (
            "UBSAN: array-index-out-of-bounds in drivers/a.c:12:3",
            "UBSAN: panic_on_warn set ...",
            Some("drivers/a.c"),
            None,
        ),
        (
            "UBSAN: Undefined behaviour in drivers/a.c:12:3",
            "UBSAN: panic_on_warn set ...",
            Some("drivers/a.c"),
            None,
        ),
    ] {
        let e = of(&format!("{line}\nKernel panic - not syncing: {panic}"));
        assert_eq!((e.oops.said.file.as_deref(), &e.oops.said.function), (file, &function), "{line}");
        assert_eq!(e.oops.said.line, file.map(|_| 12), "{line}");
    }
    let e = of("Kernel panic - not syncing: stack-protector: Kernel stack is corrupted in: zap+0x1/0x2 [m]");
    assert_eq!(e.oops.rip, named("zap", 1, Some("m")));
}

#[test]
fn subjects_of_stalls() {
    let subject =
        |cpu, comm: Option<&str>, pid, seconds| Subject { cpu, comm: comm.map(str::to_owned), pid, seconds };
    for (text, want) in [
        (
            "watchdog: BUG: soft lockup - CPU#1 stuck for 26s! [kworker/1:2:77]",
            subject(Some(1), Some("kworker/1:2"), Some(77), Some(26)),
        ),
        (
            "BUG: soft lockup - CPU#0 stuck for 22s! [cat:77]",
            subject(Some(0), Some("cat"), Some(77), Some(22)),
        ),
        ("BUG: spinlock lockup suspected on CPU#3, cat/77", subject(Some(3), Some("cat"), Some(77), None)),
        (
            "NMI watchdog: Watchdog detected hard LOCKUP on cpu 12dModules linked in: x",
            subject(Some(12), None, None, None),
        ),
        ("watchdog: CPU0: Watchdog detected hard LOCKUP on cpu 1", subject(Some(1), None, None, None)),
        (
            "INFO: task kworker/u4:1:77 blocked for more than 122 seconds.",
            subject(None, Some("kworker/u4:1"), Some(77), Some(122)),
        ),
        (
            "INFO: task dd:77 is blocked in I/O wait for more than 122 seconds.",
            subject(None, Some("dd"), Some(77), Some(122)),
        ),
        (
            "BUG: workqueue lockup - pool cpus=1 node=0 flags=0x0 nice=0 stuck for 33s!",
            subject(Some(1), None, None, Some(33)),
        ),
        (
            "INFO: rcu_sched self-detected stall on CPU { 1}  (t=60002 jiffies g=1 c=2 q=3)",
            subject(Some(1), None, None, None),
        ),
        (
            "rcu: INFO: rcu_sched self-detected stall on CPU\nrcu: \t1-....: (5250 ticks this GP) idle=c2e/1/0x4000000000000002",
            subject(Some(1), None, None, None),
        ),
        (
            "INFO: rcu_sched detected stalls on CPUs/tasks:\n\t3: (1 GPs behind) idle=c2e\n\t1: (5250 ticks this GP) idle=c2e/1/0",
            subject(Some(1), None, None, None),
        ),
        (
            "rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:\nrcu: \tTasks blocked on level-0 rcu_node (CPUs 0-1): P77/1:b..l",
            subject(None, None, Some(77), None),
        ),
    ] {
        let lines: Vec<&str> = text.lines().collect();
        let found = stalls(&lines);
        assert_eq!(found.first().map(|(_, n, s)| (*n, s.clone())), Some((0, Some(want))), "{text}");
    }
}

#[test]
fn others_of_the_same_stall_and_reports_before() {
    let e = of("WARNING: CPU: 0 PID: 1 at a.c:1 f+0x1/0x2\n\
        INFO: task dd:12 blocked for more than 120 seconds.\n\
        INFO: task cp:13 blocked for more than 120 seconds.\n\
        Kernel panic - not syncing: hung_task: blocked tasks");
    assert_eq!(e.subject.and_then(|s| s.pid), Some(13));
    assert_eq!(e.others.iter().filter_map(|s| s.pid).collect::<Vec<_>>(), [12]);
    let line = "WARNING: CPU: 0 PID: 1 at a.c:1 f+0x1/0x2".to_owned();
    assert_eq!(e.earlier, [Earlier { at: 0, line, is_oops: false, who: None }]);
}

#[test]
fn an_oops_that_took_init_along_is_the_cause() {
    let e = of("BUG: kernel NULL pointer dereference, address: 0000000000000000\n\
        Kernel panic - not syncing: Attempted to kill init! exitcode=0x00000009");
    assert_eq!(e.class, Class::NullPointer);
}

#[test]
fn a_quiet_log_has_no_event() {
    assert!(find(&["Linux version 6.1", "BIOS-e820: x"]).is_none());
    assert!(find(&[]).is_none());
}

#[test]
fn the_taints_of_a_report_are_those_before_it() {
    let of = |lines: &[&str]| oops::read(lines, 0).taints;
    let soft = [
        "watchdog: BUG: soft lockup - CPU#0 stuck for 6s! [sh:106]",
        "CPU: 0 PID: 106 Comm: sh Tainted: G      D    OE      6.1.0-57-cloud-amd64 #1  Debian 6.1.192-2",
        "CPU: 0 PID: 106 Comm: sh Tainted: G      D    OEL     6.1.0-57-cloud-amd64 #1  Debian 6.1.192-2",
    ];
    assert_eq!(of(&soft).as_deref(), Some("DOE"));
    let slab = ["BUG zoo_session (Tainted: G           OE     ): Right Redzone overwritten", soft[2]];
    assert_eq!(of(&slab).as_deref(), Some("OE"));
    assert_eq!(of(&["BUG: x", "CPU: 0 PID: 1 Comm: init Not tainted 6.1.0"]).as_deref(), Some(""));
    assert_eq!(of(&["BUG: x", "Tainted: [D]=DIE, [W]=WARN"]), None);
    assert!(Class::SoftLockup.sets_taint('L') && !Class::SoftLockup.sets_taint('D'));
}

#[test]
fn an_oops_of_a_machine_that_lives_is_told_once() {
    let lines = [
        "BUG: kernel NULL pointer dereference, address: 0000000000000040",
        "Oops: 0002 [#1] PREEMPT SMP",
        "CPU: 0 PID: 106 Comm: sh Not tainted 6.1.0",
        "---[ end trace 0000000000000000 ]---",
        "BUG: scheduling while atomic: sh/107/0x00000002",
    ];
    let told: Vec<(usize, Class)> = reports(&lines).into_iter().map(|(at, class, _)| (at, class)).collect();
    assert_eq!(told, [(0, Class::NullPointer), (4, Class::Atomic)]);
}
