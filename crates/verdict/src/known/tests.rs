//! Tests of the table of known issues and of what ships in it.

use super::*;
use crate::Class;
use crate::model::Place;

/// A death of which nothing is known.
const fn nothing() -> Seen<'static> {
    Seen {
        class: Class::Unknown,
        place: None,
        condition: None,
        message: "",
        release: "",
        build: "",
        stack: &[],
    }
}

#[test]
fn what_ships_can_be_read_and_says_where_it_was_checked() {
    let all = load(None).0;
    assert!(!all.is_empty());
    for e in &all {
        assert!(!e.id.is_empty() && !e.explanation.is_empty() && !e.checked.is_empty(), "{e:?}");
        assert!(e.commit.is_empty() || (e.commit.len() == 12 && !e.title.is_empty()), "{e:?}");
        assert!(!e.class.is_empty(), "{e:?}");
        assert!(!e.function.is_empty() || !e.stack.is_empty() || !e.message.is_empty(), "{e:?}");
    }
    for e in &all {
        let classes: Vec<&str> = crate::Class::ALL.iter().map(|c| c.slug()).collect();
        assert!(e.class.all().iter().all(|c| classes.contains(&c.as_str())), "{e:?}");
        let releases: Vec<Vec<u64>> = e.stable.split_whitespace().map(version).collect();
        assert!(releases.iter().all(|r| r.len() >= 3) && releases.is_sorted(), "{e:?}");
        assert!(e.from.is_empty() || e.before.is_empty() || version(&e.from) < version(&e.before), "{e:?}");
        assert!(e.before.is_empty() || releases.iter().all(|r| *r < version(&e.before)), "{e:?}");
        assert!(e.before.is_empty() || e.fixed.is_empty() || e.before == e.fixed, "{e:?}");
    }
    let mut ids: Vec<&str> = all.iter().map(|e| e.id.as_str()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), all.len());
}

#[test]
fn deaths_of_the_records_are_recognised_and_their_neighbours_are_not() {
    let all = load(None).0;
    // class, function and its callers, release, the entry
    for (class, stack, release, want) in [
        (Class::NullPointer, "tcp_rearm_rto tcp_send_loss_probe", "5.4.0-174-generic", "tcp-rearm-rto-empty"),
        (Class::NullPointer, "tcp_rearm_rto tcp_send_loss_probe", "5.4.285", ""),
        (Class::Bug, "napi_enable igb_up igb_io_resume report_resume", "5.10.200", "igb-resume-up"),
        (Class::Bug, "napi_enable igb_up igb_io_resume report_resume", "5.10.187", ""),
        (Class::Bug, "napi_enable igb_up igb_open", "5.10.200", ""),
        (
            Class::PageFault,
            "_raw_spin_lock_irqsave try_to_wake_up rq_qos_wake_function",
            "6.8",
            "rq-qos-wake-race",
        ),
        (Class::PageFault, "_raw_spin_lock_irqsave try_to_wake_up autoremove_wake_function", "6.8", ""),
        (
            Class::SoftLockup,
            "console_unlock dump_task mem_cgroup_scan_tasks dump_header oom_kill_process",
            "4.18.0-553.el8",
            "memcg-oom-many-tasks",
        ),
        (
            Class::SoftLockup,
            "xas_create xa_store kvm_vm_set_mem_attributes kvm_vm_ioctl",
            "6.14.3",
            "kvm-memory-attributes",
        ),
        (
            Class::HungTask,
            "kvm_clear_async_pf_completion_queue kvm_put_kvm async_pf_execute",
            "5.14.0-427.el9",
            "kvm-async-pf-flush",
        ),
        (Class::GeneralProtection, "__ipv6_get_lladdr mld_newpack add_grhead", "5.15.19", "mld-lladdr"),
        (Class::Divide, "padata_mt_helper process_one_work", "6.10.0", "padata-no-chunk"),
        (Class::NullPointer, "padata_mt_helper process_one_work", "6.10.0", ""),
        (
            Class::ListCorruption,
            "__list_del_entry_valid_or_report origin_postsuspend dm_suspend",
            "6.8.0",
            "dm-internal-resume",
        ),
        (Class::ListCorruption, "__list_del_entry_valid_or_report list_del process_one_work", "6.8.0", ""),
    ] {
        let stack: Vec<String> = stack.split(' ').map(String::from).collect();
        let place = Place { function: stack[0].clone(), ..Place::default() };
        let seen = Seen { class, place: Some(&place), release, stack: &stack, ..nothing() };
        let one = |e: &Entry| !matching(std::slice::from_ref(e), &seen).is_empty();
        let told: Vec<&str> = all.iter().filter(|e| one(e)).map(|e| e.id.as_str()).collect();
        assert_eq!(told, if want.is_empty() { vec![] } else { vec![want] }, "{stack:?} {release}");
    }
}

#[test]
fn patterns() {
    for (pattern, text, want) in [
        ("", "x", true),
        ("virtqueue_add*", "virtqueue_add_split", true),
        ("virtqueue_add", "virtqueue_add_split", false),
        ("total_sg > *vring.num", "total_sg > vq->split.vring.num", true),
        ("total_sg > *vring.num", "total_sg > vq->split.vring.size", false),
        ("a*b*c", "a-b-c", true),
        ("a*b*c", "a-c", false),
    ] {
        assert_eq!(fits(pattern, text), want, "{pattern} {text}");
    }
}

#[test]
fn a_stable_release_with_the_fix_does_not_match() {
    let stable = "5.10.121 5.15.46";
    for (release, want) in [
        ("5.10.120", false),
        ("5.10.121-amd64", true),
        ("5.15.45", false),
        ("5.15.100", true),
        ("5.16.3", false),
        ("4.19.300", false),
    ] {
        assert_eq!(Release::of(release, "").has_fix(stable), want, "{release}");
    }
    assert!(version("3.10.0-1127.el7.x86_64") < version("3.10.0-1160"));
    assert!(version("3.10.0-1127.el7.x86_64") >= version("3.10.0-1"));
    assert!(version("3.10.108") >= version("3.10.0-1160"));
}

#[test]
fn what_came_to_a_stable_series_is_not_in_its_earlier_releases() {
    let come = |from: &str, release: &str| Release::of(release, "").has_come(from);
    for (release, want) in [
        ("5.10.23", false),
        ("5.10.24-amd64", true),
        ("5.10.200", true),
        ("5.11.6", false),
        ("5.11.7", true),
        ("5.4.300", false),
        ("5.12.0", true),
        ("5.13.4", true),
        ("5.10.0", false),
        ("5.10.0-20-amd64", true), // which 5.10 that is, nobody knows
        ("5.12.0-3-amd64", true),
        ("5.4.0-174-generic", false),
    ] {
        assert_eq!(come("5.10.24 5.11.7 5.12", release), want, "{release}");
    }
    assert!(
        come("", "2.6.32") && come("5.10", "5.10.3") && !come("5.10", "5.9.3") && come("4.9.194", "4.14.1")
    );
    assert!(come("3.10.0-1", "3.10.0-1127.el7") && !come("3.10.0-1", "3.9.4"));
    assert!(!come("3.10.0-1160", "3.10.0-1127.el7") && come("3.10.0-1160", "3.10.0-1160.el7"));
}

#[test]
fn the_build_tells_the_release_that_a_distribution_counts_anew() {
    for (name, build, numbers, anew) in [
        (
            "6.1.0-56-cloud-amd64",
            "#1 SMP PREEMPT_DYNAMIC Debian 6.1.192-1 (2026-11-16)",
            vec![6, 1, 192, 1],
            false,
        ),
        ("5.15.0-67-generic", "#74-Ubuntu SMP Wed Feb 22 14:14:39 UTC 2023", vec![5, 15, 0, 67], true),
        ("3.10.0-1127.el7.x86_64", "#1 SMP Tue Mar 31 23:36:51 UTC 2020", vec![3, 10, 0, 1127], true),
        ("6.12.0-rc5+", "#273 SMP", vec![6, 12, 0], false),
        ("5.10.201-191.748.amzn2.x86_64", "#1 SMP 5.10.300", vec![5, 10, 201, 191, 748], false),
        ("5.14.0-427.el9.x86_64", "#1 SMP gcc 5.13.7 5.14.0-1", vec![5, 14, 0, 427], true),
    ] {
        let release = Release::of(name, build);
        assert_eq!((release.numbers, release.counted_anew), (numbers, anew), "{name}");
    }
    let entries = parse(
        "x.toml",
        "[[known]]\nid = 'a'\nfunction = 'f'\nexplanation = 'why'\nbefore = '6.2'\n\
        stable = '5.15.90 6.1.100'\nfixed = '6.2'",
    )
    .unwrap();
    let told = |release: &str, build: &str| {
        let place = Place { function: "f".into(), ..Place::default() };
        let seen = Seen { place: Some(&place), release, build, ..nothing() };
        matching(&entries, &seen).pop().map(|s| s.text())
    };
    assert_eq!(told("6.1.0-56-cloud-amd64", "Debian 6.1.192-1"), None);
    assert_eq!(
        told("6.1.0-9-amd64", "Debian 6.1.67-1").unwrap(),
        "may be: why, since 6.2 (5.15.90, 6.1.100)"
    );
    assert!(
        told("5.15.0-67-generic", "#74-Ubuntu").unwrap().ends_with("its distribution's number does not tell")
    );
    assert!(told("5.14.21-150500.55.19-default", "").unwrap().ends_with("number does not tell"));
    assert_eq!(told("5.15.91", ""), None);
}

#[test]
fn functions_of_the_stack_are_in_order() {
    let stack: Vec<String> = ["a", "b.isra.0", "c_x", "b"].map(String::from).to_vec();
    for (pattern, want) in
        [("b", true), ("a c_*", true), ("b c_x b", true), ("c_x a", false), ("b b b", false), ("c_", false)]
    {
        assert_eq!(leads(pattern, &stack), want, "{pattern}");
    }
}

#[test]
fn a_bad_line_is_told_with_its_number() {
    for (text, want) in [
        ("# c\n[[known]]\nid = 5\n", "x.toml:3: invalid type: integer `5`, expected a string"),
        ("[[known]]\nid = 'a'\nidd = 'b'\n", "x.toml:3: unknown field `idd`, expected"),
        ("[[known]]\nid = \"a\n", "x.toml:2: "),
        ("[[knwon]]\nid = 'a'\n", "x.toml:1: unknown field `knwon`, expected `known`"),
    ] {
        let e = parse("x.toml", text).unwrap_err().to_string();
        assert!(e.starts_with(want), "{e}");
    }
    assert!(version("6.1.0-56-cloud") >= version("4.14"));
}

#[test]
fn all_of_toml_may_be_used() {
    let text =
        "[[known]]\nid = 'a' # why\ncondition = [\n  \"x > *\",\n  'arg1 > 3',\n]\n\n[[known]]\nid = \"b\"\n";
    let all = parse("x.toml", text).unwrap();
    assert_eq!(all.iter().map(|e| e.id.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(all[0].condition.all(), ["x > *", "arg1 > 3"]);
    assert!(all[1].condition.is_empty());
    assert_eq!(parse("x.toml", "").unwrap(), []);
}

#[test]
fn classes_and_functions_may_be_several_and_the_stack_counts() {
    let text = "[[known]]\nid = 'a'\nclass = ['general-protection', 'page-fault']\nfunction = ['f', 'g_*']\n\
                stack = 'caller'\nexplanation = 'why'";
    let entries = parse("x.toml", text).unwrap();
    let told = |class, function: &str, stack: &[&str]| {
        let place = Place { function: function.into(), ..Place::default() };
        let stack: Vec<String> = stack.iter().map(|f| (*f).to_owned()).collect();
        let seen = Seen { class, place: Some(&place), release: "6.1", stack: &stack, ..nothing() };
        !matching(&entries, &seen).is_empty()
    };
    assert!(told(Class::GeneralProtection, "f", &["f", "caller"]));
    assert!(told(Class::PageFault, "g_x.isra.0", &["g_x.isra.0", "h", "caller.constprop.0"]));
    assert!(!told(Class::NullPointer, "f", &["f", "caller"]), "another class");
    assert!(!told(Class::PageFault, "g", &["g", "caller"]), "another function");
    assert!(!told(Class::PageFault, "f", &["f", "h"]), "another caller");
    assert!(!told(Class::PageFault, "f", &[]), "no stack");
}

#[test]
fn a_condition_without_names_is_told_as_the_source_has_it() {
    let text = "[[known]]\nid = 'a'\nfunction = 'f'\ncondition = ['total > *num', 'arg3 > *(arg1 + *)']\n\
                source = 'BUG_ON(total > q->num)'\nexplanation = 'why'";
    let entries = parse("x.toml", text).unwrap();
    let told = |condition: &str| {
        let place = Place { function: "f".into(), ..Place::default() };
        let condition = cexpr::parse(condition, &|_| false).ok();
        let seen = Seen { place: Some(&place), condition: condition.as_ref(), release: "6.1", ..nothing() };
        matching(&entries, &seen).iter().map(|s| s.text()).collect::<Vec<_>>()
    };
    assert_eq!(told("arg3 > *(arg1 + 0x38)"), ["BUG_ON(total > q->num) in the source: why"]);
    assert_eq!(told("total > q->num"), ["why"]);
    assert_eq!(told("arg2 > *(arg1 + 0x38)"), [""; 0]);
    assert!(has_unnamed("*(arg1+8)") && !has_unnamed("argc > args") && !has_unnamed("larg1 == arg1x"));
}

/// The compiler may put the function that asserts into any that calls it.
#[test]
fn an_assertion_is_known_by_its_file_where_its_function_was_inlined() {
    let all = load(None).0;
    let condition = cexpr::Expr::words("total_sg > vq->split.vring.num".to_owned());
    let told = |function: &str, file: Option<&str>| {
        let place = Place { function: function.into(), file: file.map(Into::into), ..Place::default() };
        let seen = Seen {
            class: Class::Bug,
            place: Some(&place),
            condition: Some(&condition),
            release: "6.1.0",
            ..nothing()
        };
        matching(&all, &seen).len()
    };
    assert_eq!(told("virtqueue_add_split", None), 1);
    assert_eq!(told("virtio_queue_all", Some("./drivers/virtio/virtio_ring.c")), 1);
    assert_eq!(told("virtio_queue_all", Some("drivers/virtio/virtio_mmio.c")), 0);
    assert_eq!(told("virtio_queue_all", None), 0);
}
