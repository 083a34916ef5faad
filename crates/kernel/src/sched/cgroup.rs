//! The cgroup that a task is in, in the hierarchy that all controllers may share (version 2; kernel/cgroup/cgroup.c).

use crate::error::{KernelError, Result};
use crate::sched::group::{Cgroup, KernfsNode, MAX_DEPTH, MAX_NAME};
use crate::sched::task::{Task, TaskStruct};
use crate::session::Session;

bind! {
    /// `struct css_set`
    struct CssSet("css_set") { default: "dfl_cgrp" } // since 3.16
}

/// Letters of a container's id, and of its short form.
const ID: usize = 64;
const SHORT: usize = 12;

/// The path of a task's cgroup from the root, which is `/`.
///
/// # Errors
/// It is not in the dump, or this kernel names no such hierarchy.
pub fn path(s: &Session, task: &Task) -> Result<String> {
    let (mem, b, of_node) = (s.mem(), s.bind::<Cgroup>(), s.bind::<KernfsNode>());
    let set = s.bind::<TaskStruct>().cgroups.ptr(mem, task.at)?;
    if set.is_null() {
        return Err(KernelError::GivenUp { pid: task.pid, what: "cgroups" });
    }
    let mut node = b.node.ptr(mem, s.bind::<CssSet>().default.ptr(mem, set)?)?;
    let damaged = |at, why: &str| KernelError::Damaged { what: "kernfs_node", at, why: why.into() };
    let mut names: Vec<String> = Vec::new();
    for _ in 0..MAX_DEPTH {
        let parent = of_node.parent.ptr(mem, node)?;
        if parent.is_null() {
            names.reverse();
            return Ok(format!("/{}", names.join("/")));
        }
        let name = of_node.name.string(mem, node, MAX_NAME)?;
        if name.is_empty() || name.contains('/') {
            return Err(damaged(node, "its name is none"));
        }
        names.push(name);
        node = parent;
    }
    Err(damaged(node, "its parents have no end"))
}

/// The container that the last part of a cgroup's path names with an id, in the short form that its tools show:
/// `docker-ID.scope`, `cri-containerd-ID.scope`, `libpod-ID.scope`, `/docker/ID`.
#[must_use]
pub fn container(path: &str) -> Option<&str> {
    let is_id = |part: &&str| {
        part.len() == ID && part.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    };
    path.split(['/', '-', '.', ':']).rev().find(is_id)?.get(..SHORT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::session;
    use testkit::kernel::Kernel;

    /// A kernel with a process in `/machine.slice/NAME`, with the address of the inner node.
    fn kernel(name: &str) -> (Kernel, u64) {
        let mut k = Kernel::new();
        k.structure("kernfs_node", 32, &[("name", 0, "*char"), ("__parent", 8, "*kernfs_node")]);
        k.structure("cgroup", 16, &[("kn", 8, "*kernfs_node")]);
        k.structure("css_set", 16, &[("dfl_cgrp", 8, "*cgroup")]);
        let (tasks, _) = k.tasks(2, 4096, 256, &[("cgroups", 128, "*css_set")]);
        let (set, cgroup) = (k.object("css_set"), k.object("cgroup"));
        let mut parent = 0;
        for part in ["", "machine.slice", name] {
            let text = k.variable("text", 128);
            k.put(text, part.as_bytes());
            let node = k.object("kernfs_node");
            k.set(node, "kernfs_node", "name", text).set(node, "kernfs_node", "__parent", parent);
            parent = node;
        }
        k.set(cgroup, "cgroup", "kn", parent).set(set, "css_set", "dfl_cgrp", cgroup);
        k.set(tasks[0], "task_struct", "cgroups", set);
        (k, parent)
    }

    fn of(k: &Kernel, pid: i32) -> Result<String> {
        let s = session(k);
        let task = s.tasks().all.iter().find(|task| task.pid == pid).unwrap();
        path(&s, task)
    }

    #[test]
    fn a_path_leads_from_the_root() {
        let (k, _) = kernel("a.scope");
        assert_eq!(of(&k, 1).unwrap(), "/machine.slice/a.scope");
        assert!(matches!(of(&k, 2), Err(KernelError::GivenUp { pid: 2, .. })));
    }

    #[test]
    fn a_path_without_an_end_is_damage() {
        let (mut k, node) = kernel("a.scope");
        k.set(node, "kernfs_node", "__parent", node);
        assert!(matches!(of(&k, 1), Err(KernelError::Damaged { what: "kernfs_node", .. })));
        let (k, _) = kernel("");
        assert!(matches!(of(&k, 1), Err(KernelError::Damaged { .. })));
    }

    #[test]
    fn containers_have_an_id() {
        let id = "0123456789abcdef".repeat(4);
        for path in [
            format!("/system.slice/docker-{id}.scope"),
            format!("/docker/{id}"),
            format!("/kubepods.slice/kubepods-pod7.slice/cri-containerd-{id}.scope/init"),
            format!("/machine.slice/libpod-{id}.scope/container"),
        ] {
            assert_eq!(container(&path), Some("0123456789ab"), "{path}");
        }
        assert_eq!(container("/system.slice/ssh.service"), None);
        assert_eq!(container(&format!("/x/{}", &id[1..])), None);
        assert_eq!(container(&format!("/x/{}", id.to_uppercase())), None);
    }
}
