//! Who holds the lock that most tasks wait for, and what does that task do? `cargo run --example holder -- vmcore`
#![allow(clippy::print_stdout)]

use crashlens::{Dump, Error, Lock, Task};
use std::collections::BTreeMap;

fn main() -> Result<(), Error> {
    let dump = Dump::open(std::env::args().skip(1))?;
    let mut waiters: BTreeMap<u64, (Lock, Vec<Task>)> = BTreeMap::new();
    for task in dump.tasks()? {
        if let Some(lock) = task.waits_for()? {
            waiters.entry(lock.address).or_insert_with(|| (lock, Vec::new())).1.push(task);
        }
    }
    let Some((lock, tasks)) = waiters.into_values().max_by_key(|(_, tasks)| tasks.len()) else {
        println!("no task waits for a lock");
        return Ok(());
    };
    println!("{} tasks wait for the {} at {:#x}:", tasks.len(), lock.kind, lock.address);
    for task in &tasks {
        println!("  {task}");
    }
    let Some(holder) = lock.owner else {
        println!("who has it is not known");
        return Ok(());
    };
    println!("{holder} has it, and is here:");
    for frame in holder.backtrace()?.frames {
        println!("  {frame}");
    }
    if let Some(other) = holder.waits_for()? {
        println!("it waits itself, for the {} at {:#x}", other.kind, other.address);
    }
    Ok(())
}
