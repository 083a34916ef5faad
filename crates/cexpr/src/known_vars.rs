//! The declared types of kernel variables, for dumps whose types (BTF) name none but per-CPU ones.
//!
//! Each is spelled as the kernel declares it, and kept only where the declaration has been the same
//! since 3.10 or is told apart by the type's own name; one whose type changed over the years is not
//! here. Source: the declarations in the kernel's headers, by name.

use crate::eval::typename::parse_type_name;
use crate::scope::Scope;
use debuginfo::types::{Type, TypeRef};

/// A variable and its declared type.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KnownVar {
    /// The variable.
    pub name: &'static str,
    /// Its type in C.
    pub ty: &'static str,
}

const fn var(name: &'static str, ty: &'static str) -> KnownVar {
    KnownVar { name, ty }
}

/// The table, sorted by name.
pub const KNOWN_VARS: &[KnownVar] = &[
    var("__cpu_active_mask", "struct cpumask"),
    var("__cpu_online_mask", "struct cpumask"),
    var("__cpu_possible_mask", "struct cpumask"),
    var("__cpu_present_mask", "struct cpumask"),
    var("__per_cpu_offset", "unsigned long[]"),
    var("_totalram_pages", "atomic_long_t"),
    var("boot_command_line", "char[]"),
    var("boot_cpu_data", "struct cpuinfo_x86"),
    var("cgrp_dfl_root", "struct cgroup_root"),
    var("console_drivers", "struct console *"),
    var("console_list", "struct hlist_head"),
    var("contig_page_data", "struct pglist_data"),
    var("cpu_info", "struct cpuinfo_x86"),
    var("cpu_khz", "unsigned int"),
    var("cpu_tlbstate", "struct tlb_state"),
    var("crash_kexec_post_notifiers", "bool"),
    var("crash_notes", "note_buf_t *"),
    var("crashing_cpu", "int"),
    var("current_task", "struct task_struct *"),
    var("dev_base_head", "struct list_head"),
    var("file_systems", "struct file_system_type *"),
    var("fpu_fpregs_owner_ctx", "struct fpu *"),
    var("high_memory", "void *"),
    var("hrtimer_bases", "struct hrtimer_cpu_base"),
    var("idt_table", "gate_desc[]"),
    var("init_cgroup_ns", "struct cgroup_namespace"),
    var("init_cred", "struct cred"),
    var("init_css_set", "struct css_set"),
    var("init_files", "struct files_struct"),
    var("init_fs", "struct fs_struct"),
    var("init_ipc_ns", "struct ipc_namespace"),
    var("init_level4_pgt", "pgd_t[]"),
    var("init_mm", "struct mm_struct"),
    var("init_net", "struct net"),
    var("init_nsproxy", "struct nsproxy"),
    var("init_pid_ns", "struct pid_namespace"),
    var("init_sighand", "struct sighand_struct"),
    var("init_signals", "struct signal_struct"),
    var("init_task", "struct task_struct"),
    var("init_time_ns", "struct time_namespace"),
    var("init_top_pgt", "pgd_t[]"),
    var("init_user_ns", "struct user_namespace"),
    var("init_uts_ns", "struct uts_namespace"),
    var("iomem_resource", "struct resource"),
    var("ioport_resource", "struct resource"),
    var("irq_stat", "irq_cpustat_t"),
    var("jiffies", "volatile unsigned long"),
    var("jiffies_64", "u64"),
    var("kernel_cpustat", "struct kernel_cpustat"),
    var("kexec_crash_image", "struct kimage *"),
    var("ksoftirqd", "struct task_struct *"),
    var("kstat", "struct kernel_stat"),
    var("linux_banner", "const char[]"),
    var("linux_proc_banner", "const char[]"),
    var("log_buf", "char *"),
    var("loops_per_jiffy", "unsigned long"),
    var("machine_id", "char[]"),
    var("max_low_pfn", "unsigned long"),
    var("max_pfn", "unsigned long"),
    var("max_possible_pfn", "unsigned long long"),
    var("mem_map", "struct page *"),
    var("min_low_pfn", "unsigned long"),
    var("modules", "struct list_head"),
    var("net_namespace_list", "struct list_head"),
    var("node_data", "struct pglist_data *[]"),
    var("nr_cpu_ids", "unsigned int"),
    var("nr_irqs", "int"),
    var("nr_threads", "int"),
    var("oops_in_progress", "int"),
    var("page_offset_base", "unsigned long"),
    var("panic_cpu", "atomic_t"),
    var("panic_notifier_list", "struct atomic_notifier_head"),
    var("panic_on_oops", "int"),
    var("panic_on_warn", "int"),
    var("panic_timeout", "int"),
    var("pci_root_buses", "struct list_head"),
    var("phys_base", "unsigned long"),
    var("prb", "struct printk_ringbuffer *"),
    var("process_counts", "unsigned long"),
    var("rcu_data", "struct rcu_data"),
    var("root_task_group", "struct task_group"),
    var("root_user", "struct user_struct"),
    var("runqueues", "struct rq"),
    var("saved_command_line", "char *"),
    var("slab_caches", "struct list_head"),
    var("softnet_data", "struct softnet_data"),
    var("super_blocks", "struct list_head"),
    var("swapper_pg_dir", "pgd_t[]"),
    var("sys_call_table", "const sys_call_ptr_t[]"),
    var("system_state", "enum system_states"),
    var("system_wq", "struct workqueue_struct *"),
    var("tainted_mask", "unsigned long"),
    var("tasklist_lock", "rwlock_t"),
    var("tcp_hashinfo", "struct inet_hashinfo"),
    var("tick_cpu_device", "struct tick_device"),
    var("total_forks", "unsigned long"),
    var("tsc_khz", "unsigned int"),
    var("tty_drivers", "struct list_head"),
    var("vmalloc_base", "unsigned long"),
    var("vmap_area_list", "struct list_head"),
    var("vmcoreinfo_data", "unsigned char *"),
    var("vmemmap_base", "unsigned long"),
    var("vmlist", "struct vm_struct *"),
    var("workqueues", "struct list_head"),
];

/// The declared type of a kernel variable, where the table has it and the dump's types have its type.
#[must_use]
pub fn known_type(scope: &dyn Scope, name: &str) -> Option<TypeRef> {
    let at = KNOWN_VARS.binary_search_by(|v| v.name.cmp(name)).ok()?;
    let text = KNOWN_VARS.get(at)?.ty;
    let ty = parse_type_name(scope, text).ok()?;
    let types = scope.types();
    // a struct of which the types have only the name would be no help
    match *types.resolve(ty).ok()?.1 {
        Type::Compound { declaration: true, .. } | Type::Enum { declaration: true, .. } => None,
        _ => Some(ty),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted() {
        assert!(KNOWN_VARS.is_sorted_by(|a, b| a.name < b.name));
    }
}
