//! Who is whose child, by members of kernel structs that the program binds itself: `cargo run --example bound -- vmcore`
#![allow(clippy::print_stdout)]

use crashlens::{Dump, Error, bind};

bind! {
    /// `struct task_struct`: the process that waits for it, and what all its threads share.
    struct Task("task_struct") { parent: "real_parent", signal: "signal" }
}
bind! {
    /// `struct signal_struct`
    struct Signal("signal_struct") { threads: "nr_threads" }
}

fn main() -> Result<(), Error> {
    let dump = Dump::open(std::env::args().skip(1))?;
    let s = dump.session()?;
    let (task, signal) = (s.bind::<Task>(), s.bind::<Signal>());
    for process in s.tasks().all.iter().filter(|task| task.is_leader()) {
        let parent = task.parent.ptr(s.mem(), process.at)?;
        let parent = s.tasks().all.iter().find(|other| other.at == parent);
        let parent = parent.map_or_else(|| "?".to_owned(), |task| task.pid.to_string());
        let threads = signal.threads.int(s.mem(), task.signal.ptr(s.mem(), process.at)?)?;
        let word = if threads == 1 { "thread" } else { "threads" };
        println!("{} {}: parent {parent}, {threads} {word}", process.pid, process.comm);
    }
    Ok(())
}
