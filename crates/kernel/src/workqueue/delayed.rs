//! Works whose time has not come (`struct delayed_work`): timers on each CPU that give them to their workqueue.

use super::pool::Work;
use crate::error::{KernelError, Result};
use crate::session::Session;
use crate::time::timer;

bind! {
    /// `struct delayed_work`
    struct DelayedWork("delayed_work") { work: "work", timer: "timer", queue: "wq" }
}

/// A work whose time has not come.
#[derive(Clone, Debug)]
pub struct Delayed {
    /// The work.
    pub work: Work,
    /// The tick at which it is given to its workqueue.
    pub expires: u64,
    /// The CPU whose timer does that.
    pub cpu: u32,
}

/// Works whose time has not come, the one that is due first leading, and why there may be others.
#[derive(Clone, Debug, Default)]
pub struct AllDelayed {
    /// The kernel's counter of ticks.
    pub now: u64,
    /// The works.
    pub all: Vec<Delayed>,
    /// Why there may be others.
    pub problems: Vec<KernelError>,
}

/// All works whose time has not come.
///
/// # Errors
/// The kernel's symbols or types do not know them.
pub fn delayed(s: &Session) -> Result<AllDelayed> {
    let (b, mem) = (s.bind::<DelayedWork>(), s.mem());
    let gives = s.need_symbol("delayed_work_timer_fn")?;
    b.timer.offset()?;
    let mut out = AllDelayed { now: timer::jiffies(s)?, ..AllDelayed::default() };
    for &cpu in &s.cpus().possible {
        let bases = match timer::bases(s, cpu, out.now) {
            Ok(bases) => bases,
            Err(e) if e.is_of_all() => return Err(e),
            Err(e) => {
                out.problems.push(e);
                continue;
            }
        };
        for base in bases {
            out.problems.extend(base.problems);
            for timer in base.timers {
                match timer.function {
                    Ok(function) if function == gives => {
                        let at = b.timer.container(timer.at)?;
                        let work = b.work.at(at)?;
                        let work = Work {
                            at: work,
                            function: super::function(s, work),
                            queue: b.queue.ptr(mem, at),
                        };
                        out.all.push(Delayed { work, expires: timer.expires, cpu });
                    }
                    Ok(_) => {}
                    Err(e) => out.problems.push(e),
                }
            }
        }
    }
    let now = out.now;
    out.all.sort_by_key(|delayed| delayed.expires.wrapping_sub(now).cast_signed());
    Ok(out)
}
