//! Functions that say how a death was carried out, found or waited for, and not where it came from: they are
//! passed over where a function is to be blamed, and in signatures.

use debuginfo::symtab::base_name;
use kernel::log::event::Class;

/// What dying goes through.
const DYING: &[&str] = &[
    "machine_kexec",
    "native_machine_crash_shutdown",
    "machine_crash_shutdown",
    "__crash_kexec",
    "crash_kexec",
    "panic",
    "vpanic",
    "nmi_panic",
    "check_panic_on_warn",
    "oops_end",
    "die",
    "die_addr",
    "__die",
    "do_trap",
    "do_trap_no_signal",
    "do_error_trap",
    "handle_bug",
    "handle_invalid_op",
    "no_context",
    "__bad_area_nosemaphore",
    "bad_area_nosemaphore",
    "bad_area",
    "__bad_area",
    "bad_area_access_error",
    "page_fault_oops",
    "kernelmode_fixup_or_oops",
    "__do_page_fault",
    "do_page_fault",
    "do_kern_addr_fault",
    "do_user_addr_fault",
    "do_invalid_op",
    "do_general_protection",
    "do_divide_error",
    "do_double_fault",
    "do_stack_segment",
    "dump_stack",
    "dump_stack_lvl",
    "__dump_stack",
    "show_stack",
    "handle_stack_overflow",
    "emergency_restart",
    "__stack_chk_fail",
    "page_fault",
    "async_page_fault",
    "invalid_op",
    "general_protection",
    "divide_error",
    "double_fault",
    "error_entry",
    "error_exit",
    "exc_page_fault",
    "exc_invalid_op",
    "exc_general_protection",
    "exc_divide_error",
    "exc_double_fault",
    "crash_nmi_callback",
    "stop_this_cpu",
    "nmi_handle",
    "default_do_nmi",
    "do_nmi",
    "exc_nmi",
    "nmi",
    "end_repeat_nmi",
    "first_nmi",
    "sysvec_reboot",
    "__sysvec_reboot",
    "reboot_interrupt",
    "smp_reboot_interrupt",
];

/// What takes a lock that spins.
const SPINNING: &[&str] = &[
    "native_queued_spin_lock_slowpath",
    "queued_spin_lock_slowpath",
    "__pv_queued_spin_lock_slowpath",
    "resilient_queued_spin_lock_slowpath",
    "resilient_tas_spin_lock",
    "queued_read_lock_slowpath",
    "queued_write_lock_slowpath",
    "virt_spin_lock",
    "__write_lock_failed",
    "__read_lock_failed",
    "__ticket_spin_lock",
    "ticket_spin_lock",
    "do_raw_spin_lock",
    "kvm_wait",
    "pv_wait_head_or_lock",
    "pv_wait_node",
    "kvm_lock_spinning",
    "xen_lock_spinning",
    "osq_lock",
    "mutex_spin_on_owner",
    "mutex_optimistic_spin",
    "rwsem_optimistic_spin",
    "rwsem_spin_on_owner",
];

/// What takes a lock that sleeps, or waits for something.
const WAITING: &[&str] = &[
    "schedule",
    "__schedule",
    // arm64: where a task that does not run stands
    "__switch_to",
    "schedule_preempt_disabled",
    "io_schedule",
    "__switch_to_asm",
    "context_switch",
    "schedule_idle",
    "preempt_schedule",
    "preempt_schedule_common",
    "preempt_schedule_irq",
    "preempt_schedule_thunk",
    "preempt_schedule_notrace",
    "__cond_resched",
    "_cond_resched",
    "schedule_debug",
    "__schedule_bug",
    "___might_sleep",
    "__might_sleep",
    "__might_resched",
    "__wait_for_common",
    "wait_for_common",
    "do_wait_for_common",
    "wait_for_common_io",
    "bit_wait",
    "bit_wait_io",
    "bit_wait_timeout",
    "out_of_line_wait_on_bit",
    "out_of_line_wait_on_bit_lock",
    "wake_bit_function",
    "sleep_on_page",
    "sleep_on_page_killable",
    "sleep_on_buffer",
    "prepare_to_wait",
    "prepare_to_wait_event",
    "finish_wait",
    "synchronize_rcu",
    "synchronize_sched",
    "__wait_rcu_gp",
    "wait_rcu_gp",
    "synchronize_rcu_normal",
    "synchronize_rcu_expedited",
    "__synchronize_srcu",
    "synchronize_srcu",
    "do_nanosleep",
    "msleep",
    "msleep_interruptible",
    "usleep_range",
    "usleep_range_state",
    "io_schedule_timeout",
    "flush_work",
    "__flush_work",
    "flush_workqueue",
    "__flush_workqueue",
    "cancel_work_sync",
    "__cancel_work_sync",
    "__cancel_work_timer",
    "__cancel_delayed_work_sync",
    "cancel_delayed_work_sync",
    "flush_delayed_work",
    "schedule_rtlock",
    "thread_return",
    "call_rwsem_down_read_failed",
    "call_rwsem_down_write_failed",
    "wait_woken",
];

/// Beginnings of the names of functions that take locks, sleep or wait.
const WAITING_FAMILIES: &[&str] = &[
    "_raw_spin_lock",
    "_raw_spin_trylock",
    "_raw_read_lock",
    "_raw_write_lock",
    "_spin_lock",
    "__raw_spin_lock",
    "__mutex_",
    "mutex_lock",
    "ww_mutex_lock",
    "__ww_mutex_lock",
    "__down",
    "down_",
    "rwsem_",
    "__rwsem",
    "rt_mutex_",
    "__rt_mutex",
    "rt_spin_lock",
    "rt_read_lock",
    "rt_write_lock",
    "rtlock_",
    "rwbase_",
    "__rwbase_",
    "percpu_down_",
    "__percpu_down_",
    "percpu_rwsem_wait",
    "schedule_timeout",
    "schedule_hrtimeout",
    "wait_for_completion",
    "__wait_on_bit",
    "folio_wait_",
    "__folio_lock",
    "wait_on_page_",
    "__lock_page",
    "__wait_on_buffer",
    "__lock_buffer",
    "__wait_on_freeing_inode",
];

/// What finds and tells of trouble.
const FINDING: &[&str] = &[
    "__warn",
    "warn_slowpath_fmt",
    "warn_slowpath_null",
    "warn_slowpath_common",
    "warn_slowpath_fmt_taint",
    "__warn_printk",
    "report_bug",
    "__report_bug",
    "fixup_bug",
    "__WARN_trap",
    "watchdog_timer_fn",
    "watchdog_overflow_callback",
    "watchdog_hardlockup_check",
    "watchdog_check_hardlockup_other_cpu",
    "watchdog_buddy_check_hardlockup",
    "is_hardlockup",
    "__perf_event_overflow",
    "perf_event_overflow",
    "intel_pmu_handle_irq",
    "handle_pmi_common",
    "x86_pmu_handle_irq",
    "amd_pmu_handle_irq",
    "perf_event_nmi_handler",
    "print_cpu_stall",
    "check_cpu_stall",
    "rcu_pending",
    "rcu_check_callbacks",
    "rcu_sched_clock_irq",
    "panic_on_rcu_stall",
    "print_other_cpu_stall",
    "print_report",
    "end_report",
    "print_address_description",
    "check_memory_region",
    "__check_region",
    "object_err",
    "slab_err",
    "slab_bug",
    "slab_fix",
    "print_trailer",
    "check_bytes_and_report",
    "check_object",
    "on_freelist",
    "alloc_debug_processing",
    "free_debug_processing",
    "slab_pad_check",
    "bad_page",
    "refcount_warn_saturate",
    "refcount_error_report",
    "fortify_panic",
    "__fortify_panic",
    "__fortify_report",
    "usercopy_abort",
    "usercopy_warn",
    "__check_object_size",
    "__check_heap_object",
    "report_usercopy",
    "handle_overflow",
    "add_taint",
    "check_slab",
    "free_page_is_bad",
    "check_free_page_bad",
    "check_new_page_bad",
    "val_to_string",
    "ubsan_epilogue",
    "ubsan_prologue",
    "report_cfi_failure",
    "handle_cfi_failure",
];

/// Beginnings of the names of functions that find trouble.
const FINDING_FAMILIES: &[&str] = &[
    "kasan_",
    "__kasan_",
    "__asan_",
    "kfence_",
    "__kfence",
    "ubsan_",
    "__ubsan_",
    "kmsan_",
    "__msan_",
    "__list_add_valid",
    "__list_del_entry_valid",
];

/// What an assertion of a file system, driver or language that failed calls: it prints, and dies.
const ASSERTING: &[&str] = &[
    "assfail",          // XFS
    "asswarn",          // XFS
    "assertfail",       // Btrfs until 5.x
    "btrfs_assertfail", // Btrfs
    "gfs2_assert_i",    // GFS2
    "gfs2_assert_withdraw_i",
    "gfs2_lm_withdraw",
    "gfs2_withdraw",
    "lbug_with_loc", // Lustre
    "libcfs_assertion_failed",
    "spl_panic", // ZFS
    "spl_dumpstack",
    "rust_begin_unwind",
    "rust_helper_BUG",
];

/// What gives and takes memory, where damage of it is found.
const ALLOCATING: &[&str] = &[
    "free_to_partial_list",
    "__slab_free",
    "slab_free",
    "kfree",
    "kmem_cache_free",
    "___slab_alloc",
    "__slab_alloc",
    "get_partial_node",
    "get_any_partial",
    "new_slab",
    "allocate_slab",
    "free_pages_prepare",
    "free_unref_page",
    "free_unref_page_prepare",
    "free_unref_page_commit",
    "free_pcppages_bulk",
    "__free_one_page",
    "__free_pages_ok",
    "__free_pages",
    "free_pages",
    "get_page_from_freelist",
    "prep_new_page",
    "post_alloc_hook",
    "rmqueue",
    "alloc_pages",
    "alloc_pages_mpol",
    "alloc_pages_noprof",
    "discard_slab",
    "__free_slab",
    "free_the_page",
    "free_frozen_pages",
    "__free_frozen_pages",
    "___free_pages",
    "do_slab_free",
];
/// Beginnings of the names of such functions.
const ALLOCATING_FAMILIES: &[&str] = &[
    "__alloc_pages",
    "alloc_pages_",
    "kmem_cache_alloc",
    "__kmem_cache_",
    "__kmalloc",
    "kmalloc_",
    "kzalloc",
];

/// What only passes time.
const DELAYING: &[&str] = &[
    "delay_tsc",
    "delay_loop",
    "delay_halt",
    "delay_halt_tpause",
    "delay_halt_mwaitx",
    "delay_mwaitx",
    "__delay",
    "__udelay",
    "__ndelay",
    "__const_udelay",
    "mdelay",
    "native_pause",
    "cpu_relax",
    "rep_nop",
];

/// What an idle CPU is in.
const IDLING: &[&str] = &[
    "default_idle",
    "default_idle_call",
    "do_idle",
    "cpu_idle",
    "cpu_idle_loop",
    "cpu_idle_poll",
    "cpu_startup_entry",
    "arch_cpu_idle",
    "cpu_do_idle",
    "native_safe_halt",
    "pv_native_safe_halt",
    "xen_safe_halt",
    "native_halt",
    "amd_e400_idle",
    "mwait_idle",
    "mwait_idle_with_hints",
    "poll_idle",
    "call_cpuidle",
    "call_cpuidle_s2idle",
    "cpuidle_idle_call",
    "cpuidle_not_available",
    "menu_select",
    "menu_reflect",
    "teo_select",
    "haltpoll_cpu_idle",
    "play_dead",
    "play_dead_common",
    "arch_cpu_idle_dead",
    "native_play_dead",
    "hlt_play_dead",
    "mwait_play_dead",
    "tdx_safe_halt",
    "tdx_halt",
];
/// Beginnings of the names of such functions.
const IDLING_FAMILIES: &[&str] = &[
    "cpuidle_enter",
    "cpuidle_select",
    "intel_idle",
    "acpi_idle_",
    "acpi_processor_ffh_cstate",
    "tick_nohz_idle_",
    "psci_enter_",
];

/// True for functions that a CPU with nothing to do is in.
pub(crate) fn is_idling(name: &str) -> bool {
    let name = base_name(name);
    IDLING.contains(&name) || IDLING_FAMILIES.iter().any(|f| name.starts_with(f))
}

/// True for `panic()` itself, under each of its names.
pub(crate) fn is_panic(name: &str) -> bool {
    matches!(base_name(name), "panic" | "vpanic" | "nmi_panic")
}

/// True for functions that dying goes through.
pub(crate) fn is_dying(name: &str) -> bool {
    let name = base_name(name);
    DYING.contains(&name) || name.starts_with("asm_exc_") || name.starts_with("asm_sysvec_reboot")
}

/// True for the functions that end an oops, and panic where the system is told to.
pub(crate) fn is_end_of_oops(name: &str) -> bool {
    matches!(base_name(name), "oops_end" | "oops_exit" | "die" | "make_task_dead")
}

/// True for functions that take a spinning lock, or wait for one.
pub(crate) fn is_spinning(name: &str) -> bool {
    let name = base_name(name);
    SPINNING.contains(&name)
}

/// True for functions that wait for something, or take a lock.
pub(crate) fn is_waiting(name: &str) -> bool {
    let name = base_name(name);
    SPINNING.contains(&name)
        || WAITING.contains(&name)
        || WAITING_FAMILIES.iter().any(|f| name.starts_with(f))
        || matches!(name, "down" | "__down" | "down_interruptible" | "down_killable" | "down_timeout")
}

/// True for functions that only pass time.
pub(crate) fn is_delaying(name: &str) -> bool {
    DELAYING.contains(&base_name(name))
}

/// True for functions that find trouble and tell of it.
pub(crate) fn is_finding(name: &str) -> bool {
    let name = base_name(name);
    FINDING.contains(&name) || FINDING_FAMILIES.iter().any(|f| name.starts_with(f)) || is_asserting(name)
}

/// What a function alone reports that is there to find one kind of damage.
pub(crate) fn finds(name: &str) -> Option<Class> {
    match base_name(name) {
        "__list_add_valid"
        | "__list_add_valid_or_report"
        | "__list_del_entry_valid"
        | "__list_del_entry_valid_or_report" => Some(Class::ListCorruption),
        "refcount_warn_saturate" => Some(Class::Refcount),
        "fortify_panic" | "__fortify_panic" | "usercopy_abort" => Some(Class::Overflow),
        _ => None,
    }
}

/// True for functions that a failed assertion calls.
pub(crate) fn is_asserting(name: &str) -> bool {
    let name = base_name(name);
    // `core::panicking::panic_fmt`, as the compiler spells it
    ASSERTING.contains(&name) || (name.starts_with("_R") && name.contains("9panicking"))
}

/// True for functions that give and take memory.
pub(crate) fn is_allocating(name: &str) -> bool {
    let name = base_name(name);
    ALLOCATING.contains(&name) || ALLOCATING_FAMILIES.iter().any(|f| name.starts_with(f))
}

/// True for functions that are given memory to free: what they find wrong with it is who gave it's.
pub(crate) fn is_freeing(name: &str) -> bool {
    const FREEING: &[&str] = &[
        "__slab_free",
        "do_slab_free",
        "slab_free",
        "kfree",
        "kfree_sensitive",
        "__kmem_cache_free",
        "kmem_cache_free",
        "kmem_cache_free_bulk",
        "free_large_kmalloc",
        "free_nonslab_page",
        "vfree",
        "kvfree",
        "__vunmap",
        "vunmap",
    ];
    FREEING.contains(&base_name(name))
}

/// Of the allocator's functions: `true` for those that are given memory to free, `false` for those that are asked for some.
pub(crate) fn takes_or_gives(name: &str) -> Option<bool> {
    /// What they go on to where a cache is debugged, and where a CPU has no free object.
    const TAKING: &[&str] = &["free_to_partial_list", "free_debug_processing", "free_consistency_checks"];
    const GIVING: &[&str] = &[
        "alloc_debug_processing",
        "get_partial_node",
        "get_any_partial",
        "new_slab",
        "allocate_slab",
        "___slab_alloc",
        "__slab_alloc",
    ];
    let name = base_name(name);
    if is_freeing(name) || TAKING.contains(&name) {
        return Some(true);
    }
    let of_family =
        ALLOCATING_FAMILIES.iter().any(|family| name.starts_with(family)) && name.contains("alloc");
    (of_family || GIVING.contains(&name)).then_some(false)
}

/// True for functions that copy or set memory for others, where a sanitizer found an access.
pub(crate) fn is_copying(name: &str) -> bool {
    let name = base_name(name).trim_start_matches('_');
    // the version for this processor
    let name = [
        "_orig",
        "_erms",
        "_fsrm",
        "_rep_good",
        "_rep",
        "_unrolled",
        "_string",
        "_nocache",
        "_mc",
        "_fast_string",
    ]
    .iter()
    .find_map(|version| name.strip_suffix(version))
    .unwrap_or(name);
    [
        "memcpy",
        "copy_user_generic",
        "copy_user_enhanced",
        "copy_page",
        "clear_page",
        "rep_movs_alternative",
        "rep_stos_alternative",
        "memchr",
        "memchr_inv",
        "memscan",
        "strchr",
        "strrchr",
        "strncmp",
        "strcasecmp",
        "strncasecmp",
        "strstr",
        "strlcpy",
        "strncat",
        "strlcat",
        "strsep",
        "strspn",
        "strcspn",
        "strpbrk",
        "strim",
        "sized_strscpy",
        "memset",
        "memmove",
        "memcmp",
        "strcpy",
        "strncpy",
        "strscpy",
        "strcat",
        "strlen",
        "strnlen",
        "strcmp",
    ]
    .contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_allocator_takes_or_gives() {
        for name in ["kfree", "kmem_cache_free", "free_to_partial_list.isra.0", "vfree"] {
            assert_eq!(takes_or_gives(name), Some(true), "{name}");
        }
        for name in [
            "kmem_cache_alloc_noprof",
            "__kmalloc_node",
            "kzalloc_noprof",
            "___slab_alloc",
            "get_partial_node",
        ] {
            assert_eq!(takes_or_gives(name), Some(false), "{name}");
        }
        for name in ["__kmem_cache_shutdown", "kmem_cache_destroy", "check_object", "vfs_read"] {
            assert_eq!(takes_or_gives(name), None, "{name}");
        }
    }

    #[test]
    fn families_and_their_compilers_parts() {
        for name in [
            "_raw_spin_lock_irqsave",
            "__mutex_lock.constprop.0",
            "down_write_killable",
            "rwbase_write_lock",
            "__rwbase_read_lock",
            "schedule_timeout",
            "down",
        ] {
            assert!(is_waiting(name), "{name}");
        }
        for name in ["download_firmware", "vfs_read", "rescuer_thread", "scheduler_tick"] {
            assert!(!is_waiting(name), "{name}");
        }
        assert!(is_dying("vpanic") && is_dying("asm_exc_page_fault") && !is_dying("panic_gov_read"));
        assert!(is_idling("intel_idle_irq") && is_idling("do_idle") && !is_idling("idle_worker_timeout"));
        assert!(is_spinning("native_queued_spin_lock_slowpath.part.0"));
        assert!(is_finding("kasan_report") && is_finding("__warn") && !is_finding("warn_me"));
        assert!(is_asserting("_RNvNtCs3yuwAp0waWO_4core9panicking9panic_fmt") && !is_asserting("panic_fmt"));
        assert!(is_finding("assfail") && is_finding("spl_panic"));
        assert!(is_delaying("delay_tsc") && is_copying("__memcpy"));
    }
}
