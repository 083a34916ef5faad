//! Variables that no symbol names, by the functions that use them: a kernel without `CONFIG_KALLSYMS_ALL` names its functions
//! alone, and their code has the addresses of its variables.
//!
//! A rule names functions that use a variable, in any release, and what memory must look like there. The address that most
//! of them have, and that looks so, is it; where two do, none is.

use super::{Fact, Memo, Session};
use base::VirtAddr;
use rustc_hash::{FxHashMap, FxHashSet};

/// What is known of a variable beside its users.
#[derive(Clone, Copy)]
enum Looks {
    /// `struct list_head`: both neighbours lead back.
    List,
    /// The same, of which one of both neighbours leads back.
    BrokenList,
    /// A pointer to a `struct kset`, which begins with a list.
    Kset,
    /// `struct mod_tree_root`: a sequence count, two trees of the same modules, and the range in which they lie.
    ModTree,
    /// `__per_cpu_offset`: distances of whole pages, another one for each CPU.
    PerCpuOffsets,
    /// A variable of which each CPU has a copy.
    PerCpu,
    /// The mask of the CPUs that can be: the first ones, without a gap.
    AllCpus,
    /// A mask of some of those CPUs.
    SomeCpus,
    /// `tk_core`: a sequence count, and a `struct timekeeper`, which begins with a clock source and its mask.
    Timekeeper,
    /// So many words, none above a number; its users refer to nothing that lies lower.
    Words(u64, u64),
}

/// A variable and its users.
struct Rule {
    name: &'static str,
    users: &'static [&'static str],
    /// Functions that do not use it, and much else that its users do.
    others: &'static [&'static str],
    looks: Looks,
}

const fn rule(name: &'static str, looks: Looks, users: &'static [&'static str]) -> Rule {
    Rule { name, users, others: &[], looks }
}

const RULES: &[Rule] = &[
    rule(
        "modules",
        Looks::List,
        &["print_modules", "m_start", "find_module_all", "module_kallsyms_lookup_name", "module_get_kallsym"],
    ),
    rule("btf_modules", Looks::List, &["btf_try_get_module", "btf_get_module_btf", "btf_module_notify"]),
    rule(
        "module_kset",
        Looks::Kset,
        &[
            "lookup_or_create_module_kobject",
            "locate_module_kobject",
            "mod_sysfs_setup",
            "mod_sysfs_init",
            "module_add_driver",
            "param_sysfs_init",
        ],
    ),
    rule(
        "mod_tree",
        Looks::ModTree,
        &["__module_address", "mod_tree_insert", "mod_tree_remove", "mod_tree_remove_init"],
    ),
    rule("slab_caches", Looks::List, &["slab_start", "slab_next", "s_start", "kmem_cache_create_usercopy"]),
    rule(
        "__per_cpu_offset",
        Looks::PerCpuOffsets,
        &["idle_cpu", "task_curr", "cpu_curr_snapshot", "per_cpu_ptr_to_phys", "nr_running"],
    ),
    rule("runqueues", Looks::PerCpu, &["idle_cpu", "task_curr", "cpu_curr_snapshot", "nr_running"]),
    rule("irq_stack_ptr", Looks::PerCpu, &["call_on_irq_stack", "irq_stack_entry"]),
    rule("__cpu_possible_mask", Looks::AllCpus, &["init_cpu_possible"]),
    Rule {
        others: &["init_cpu_possible"],
        ..rule("__cpu_present_mask", Looks::SomeCpus, &["init_cpu_present"])
    },
    Rule {
        others: &["init_cpu_possible", "init_cpu_present"],
        ..rule("__cpu_online_mask", Looks::SomeCpus, &["init_cpu_online", "set_cpu_online"])
    },
    rule("tk_core", Looks::Timekeeper, &["ktime_get", "ktime_get_ts64", "ktime_get_real_ts64"]),
    rule("jiffies_64", Looks::Words(1, u64::MAX), &["do_timer"]),
    // a load of a million, in units of 1/2048
    rule("avenrun", Looks::Words(3, 1 << 31), &["get_avenrun"]),
    rule("tainted_mask", Looks::Words(1, (1 << 32) - 1), &["get_taint"]),
];

/// Code of one function that is looked at.
const MOST_CODE: u64 = 64 << 10;

/// What was found of each variable that was asked for.
#[derive(Default)]
pub(super) struct Variables(Memo<&'static str, Option<VirtAddr>>);

impl Fact for Variables {
    const STAYS: bool = true;
    fn read(_: &Session) -> Self {
        Self::default()
    }
}

impl Variables {
    /// A variable of this name, where there is a rule for it. `None` also where its users do not lead to one place.
    pub(super) fn find(&self, s: &Session, name: &str) -> Option<VirtAddr> {
        let rule = RULES.iter().find(|rule| rule.name == name)?;
        self.0.get(s, rule.name, || by_users(s, rule))
    }
}

/// The address that most users of a variable have and that looks like it. A list whose head is damaged looks like none:
/// then it is what leads to it from one side, or the only place to which all users lead.
fn by_users(s: &Session, rule: &Rule) -> Option<VirtAddr> {
    most_have(s, rule).or_else(|| match rule.looks {
        Looks::List => most_have(s, &Rule { looks: Looks::BrokenList, others: rule.others, ..*rule })
            .or_else(|| all_have(s, rule)),
        _ => None,
    })
}

/// So many users have to agree where nothing else speaks for a variable.
const AGREE: usize = 3;

/// The only place in the kernel's data to which all users lead and of which one pointer at least can be a list's.
fn all_have(s: &Session, rule: &Rule) -> Option<VirtAddr> {
    let there = rule.users.iter().filter(|user| s.kernel_symbols().table.addr(user).is_some());
    let mut all = there.map(|user| s.referenced_by(user).into_iter().collect::<FxHashSet<_>>());
    let (mut common, mut users) = (all.next()?, 1_usize);
    for one in all {
        common.retain(|at| one.contains(at));
        users = users.saturating_add(1);
    }
    // what cannot be read can be one
    let may_link = |at: VirtAddr| s.mem().ptr(at).map_or(true, |to| s.arch().is_kernel(to));
    let mut common = common.into_iter().filter(|at| may_link(*at) || may_link(at.add(8)));
    common.next().filter(|_| users >= AGREE && common.next().is_none())
}

fn most_have(s: &Session, rule: &Rule) -> Option<VirtAddr> {
    let mut votes: FxHashMap<VirtAddr, usize> = FxHashMap::default();
    let others: Vec<VirtAddr> = rule.others.iter().flat_map(|other| s.referenced_by(other)).collect();
    for user in rule.users {
        let all: Vec<VirtAddr> =
            s.referenced_by(user).into_iter().filter(|at| !others.contains(at)).collect();
        let all: FxHashSet<VirtAddr> = match rule.looks {
            Looks::Words(..) => {
                all.into_iter().min().filter(|at| looks_like(s, *at, rule.looks)).into_iter().collect()
            }
            _ => all.into_iter().filter(|at| looks_like(s, *at, rule.looks)).collect(),
        };
        for at in all {
            let count = votes.entry(at).or_default();
            *count = count.saturating_add(1);
        }
    }
    let most = votes.values().copied().max()?;
    let mut best = votes.into_iter().filter(|(_, count)| *count == most).map(|(at, _)| at);
    let first = best.next()?;
    best.next().is_none().then_some(first)
}

impl Session {
    /// The variables in the kernel's image that the code of a function of the kernel refers to.
    pub(crate) fn referenced_by(&self, function: &str) -> Vec<VirtAddr> {
        let table = &self.kernel_symbols().table;
        let mut out = Vec::new();
        for symbol in table.named(function).filter(|symbol| symbol.is_text()) {
            let Some(len) = table.span(symbol.id).filter(|len| *len <= MOST_CODE) else { continue };
            let Ok(code) = self.mem().bytes(symbol.addr, len as usize) else { continue };
            let all = self.arch().references().referenced(symbol.addr, &code);
            out.extend(all.into_iter().filter(|at| is_data(self, *at)));
        }
        out
    }
}

/// True behind the kernel's text, where its data can be.
fn is_data(s: &Session, at: VirtAddr) -> bool {
    let start = s.boot().text.unwrap_or(s.boot().image.start);
    let known_text =
        s.kernel_symbols().table.at(at).is_some_and(|(symbol, _)| symbol.is_text() && s.is_image_text(at));
    at >= start && at.0.wrapping_sub(start.0) < crate::opening::IMAGE_SEARCHED && !known_text
}

fn looks_like(s: &Session, at: VirtAddr, looks: Looks) -> bool {
    let mem = s.mem();
    let is_kernel = |at: VirtAddr| s.arch().is_kernel(at) && at.0.is_multiple_of(8);
    let word = |at: VirtAddr| mem.u64(at).ok();
    match looks {
        Looks::List | Looks::BrokenList => {
            // `next` has its pointer back in the second word, `prev` in the first
            let leads_back = |(link, back): (u64, u64)| {
                let other = word(at.add(link)).map(VirtAddr).filter(|other| is_kernel(*other));
                other.is_some_and(|other| word(other.add(back)) == Some(at.0))
            };
            let mut both = [(0, 8), (8, 0)].into_iter();
            if matches!(looks, Looks::List) { both.all(leads_back) } else { both.any(leads_back) }
        }
        Looks::Kset => {
            let set = word(at).map(VirtAddr).filter(|set| is_kernel(*set));
            set.is_some_and(|set| looks_like(s, set, Looks::List))
        }
        Looks::ModTree => {
            // what a sequence count has behind it depends on the kernel's configuration
            const COUNT_MOST: u64 = 64;
            let root = |at: VirtAddr| {
                let node = word(at).map(VirtAddr).filter(|node| is_kernel(*node))?;
                // a root has no parent; its lowest bit is its colour
                word(node).filter(|parent| parent & !1 == 0).map(|_| node)
            };
            (8..=COUNT_MOST).step_by(8).any(|count| {
                let [one, other] = [0, 8].map(|n| root(at.add(count).add(n)));
                let [start, end] = [16, 24].map(|n| word(at.add(count).add(n)).unwrap_or(0));
                one.zip(other).is_some_and(|(one, other)| one != other)
                    && s.arch().is_kernel(VirtAddr(start))
                    && start < end
                    && end - start < crate::opening::IMAGE_SPAN << 2
            })
        }
        Looks::PerCpuOffsets => {
            let first = word(at).unwrap_or(0);
            let second = word(at.add(8)).unwrap_or(0);
            let is_distance = |word: u64| word != 0 && word.is_multiple_of(0x1000);
            is_distance(first) && first != second && (second == 0 || is_distance(second))
        }
        Looks::PerCpu => {
            let first = s.symbol("__per_cpu_offset").filter(|table| *table != at).and_then(word);
            first.is_some_and(|offset| is_kernel(at.add(offset)) && word(at.add(offset)).is_some())
        }
        Looks::AllCpus => word(at).is_some_and(|mask| mask != 0 && mask & mask.wrapping_add(1) == 0),
        Looks::SomeCpus => {
            let all = s.symbol("__cpu_possible_mask").filter(|all| *all != at).and_then(word);
            word(at).zip(all).is_some_and(|(mask, all)| mask != 0 && mask & !all == 0)
        }
        Looks::Timekeeper => {
            let clock = word(at.add(8)).map(VirtAddr);
            let mask = word(at.add(16)).unwrap_or(0);
            at.0.is_multiple_of(64)
                && clock.is_some_and(is_kernel)
                && mask != 0
                && mask & mask.wrapping_add(1) == 0
        }
        Looks::Words(count, most) => (0..count).all(|n| word(at.add(n * 8)).is_some_and(|word| word <= most)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::session;
    use testkit::kernel::Kernel;

    /// `mov $variable,%rdi`, one for each, and `ret`.
    fn uses(k: &mut Kernel, function: &str, offset: u64, variables: &[u64]) {
        let at = k.function(function, offset);
        let mut code = Vec::new();
        for variable in variables {
            code.extend([0x48, 0xc7, 0xc7]);
            code.extend((*variable as u32).to_le_bytes());
        }
        code.push(0xc3);
        k.put(at, &code);
    }

    /// Two lists, of which most users of `modules` have the first.
    fn with_lists(users: &[(&str, &[usize])]) -> (Kernel, [u64; 2]) {
        let mut k = Kernel::new();
        let lists = ["first", "second"].map(|name| k.variable(name, 16));
        for list in lists {
            let entry = k.memory(16);
            k.link(list, &[entry]);
        }
        let text = k.variable("text", 64);
        k.put(text, b"no list");
        for (n, (user, used)) in (0_u64..).zip(users) {
            let mut all: Vec<u64> = used.iter().map(|n| lists[*n]).collect();
            all.push(text);
            uses(&mut k, user, 0x800 + 0x40 * n, &all);
        }
        k.function("after_all", 0x800 + 0x40 * users.len() as u64);
        (k, lists)
    }

    #[test]
    fn a_variable_is_where_most_of_its_users_have_it() {
        let (mut k, [first, second]) =
            with_lists(&[("print_modules", &[1, 0]), ("m_start", &[0]), ("find_module_all", &[0])]);
        // one that has a symbol is there
        k.functions_alone();
        let s = session(&k);
        assert_eq!((s.symbol("modules"), s.symbol("btf_modules")), (Some(VirtAddr(first)), None));
        assert_ne!(first, second);
        // its users have two, and nothing tells which
        let (mut k, _) = with_lists(&[("print_modules", &[1, 0]), ("m_start", &[0, 1])]);
        k.functions_alone();
        assert_eq!(session(&k).symbol("modules"), None);
    }

    /// What is wrong with a list is told by who walks it; so it has to be found.
    #[test]
    fn a_damaged_list_is_found_as_well() {
        for broken in [&[0][..], &[8], &[0, 8]] {
            let (mut k, [first, second]) =
                with_lists(&[("print_modules", &[1, 0]), ("m_start", &[0]), ("find_module_all", &[0])]);
            k.word(second, 0x4141_4141_4141_4141).word(second + 8, 0);
            for offset in broken {
                k.word(first + offset, 0x4141_4141_4141_4141);
            }
            k.functions_alone();
            let found = session(&k).symbol("modules");
            // all refer to a text as well, where both ends are lost
            assert_eq!(found == Some(VirtAddr(first)), broken.len() == 1, "{broken:?}: {found:?}");
        }
    }

    /// The only place that all users have is a list's head only where it can be one.
    #[test]
    fn a_place_that_links_nothing_is_no_list() {
        let users = ["print_modules", "m_start", "find_module_all"].map(|user| (user, &[][..]));
        for (words, is_found) in [
            ([0x4141_4141_4141_4141, 0], false),
            ([u64::from_le_bytes(*b"no list\0"), 0], false),
            ([0x4141_4141_4141_4141, 0xffff_8880_0000_0000], true),
            ([0xffff_8880_0000_0000, 0], true),
        ] {
            let (mut k, _) = with_lists(&users);
            let place = k.at("text");
            k.word(place, words[0]).word(place + 8, words[1]).functions_alone();
            let found = session(&k).symbol("modules");
            assert_eq!(found, Some(VirtAddr(place)).filter(|_| is_found), "{words:x?}");
        }
    }

    #[test]
    fn where_variables_have_names_none_is_looked_for() {
        let (k, _) = with_lists(&[("m_start", &[0])]);
        assert_eq!(session(&k).symbol("modules"), None);
    }

    #[test]
    fn btf_is_found_without_the_symbols_around_it() {
        let mut k = Kernel::new();
        k.structure("task_struct", 64, &[("pid", 0x10, "s32")]).functions_alone();
        let s = session(&k);
        let found = s.types().find(debuginfo::types::Space::Struct, "task_struct");
        assert_eq!(found.len(), 1, "{:?}", s.type_problems());
    }
}
