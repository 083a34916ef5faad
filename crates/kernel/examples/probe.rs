//! Developer's look at a dump: what the kernel crate finds, with times.
#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]
use kernel::{OpenOptions, Session};
use std::time::Instant;

fn main() {
    let files: Vec<_> = std::env::args().skip(1).map(Into::into).collect();
    let t = Instant::now();
    let mut options = OpenOptions::default();
    options.files = files;
    options.no_search = true;
    options.ignore_btf = std::env::var_os("NO_BTF").is_some();
    let s = Session::open(&options).unwrap();
    println!("open {:?} {:?}", t.elapsed(), s.boot());
    println!(
        "symbols {} from {} {:?} {:?}",
        s.kernel_symbols().table.len(),
        s.kernel_symbols().from,
        s.kernel_symbols().problem,
        t.elapsed()
    );
    println!("types {:?} {:?}", s.type_problems(), t.elapsed());
    println!("{:?} {:?}", kernel::machine::system::utsname(&s), t.elapsed());
    println!(
        "{:?} {:?} {:?}",
        s.cpus(),
        kernel::machine::system::clocks(&s),
        kernel::machine::system::memory_bytes(&s)
    );
    println!(
        "load {:?} khz {:?}",
        kernel::machine::system::load_average(&s),
        kernel::machine::system::cpu_khz(&s)
    );
    let tasks = s.tasks();
    println!("{} tasks {:?} {:?}", tasks.all.len(), tasks.problems, t.elapsed());
    for k in tasks.all.iter().filter(|t| t.active) {
        println!("  {k:?}");
    }
    println!("{:?} {:?}", s.modules_problem(), t.elapsed());
    for m in s.modules() {
        println!(
            "  {} {:#x} {} {:?}",
            m.name,
            m.base(),
            m.size(),
            kernel::module::sections(&s, m.at).map(|v| v.len())
        );
    }
    println!("{} module symbols {:?}", s.module_symbols().len(), t.elapsed());
    match s.log() {
        Ok(log) => println!(
            "{} log records, lost {} {:?} last {:?}; {:?} {:?}",
            log.records.len(),
            log.lost,
            log.stopped,
            log.records.last(),
            s.panic_text(),
            t.elapsed()
        ),
        Err(e) => println!("log: {e}"),
    }
    for k in tasks.all.iter().filter(|t| t.active || t.pid == 1) {
        let bt = s.backtrace(k);
        println!("PID {} {:?} {}", k.pid, bt.start, bt.unwound.stopped);
        for (n, f) in bt.unwound.frames.iter().enumerate() {
            let l = s.locate(f.lookup());
            println!(
                " #{n} [{:x}] {} at {:x} {:?} {}",
                f.slot.unwrap_or(f.sp),
                l.map_or("?", |l| l.symbol.name),
                f.pc,
                f.how,
                f.saved.as_ref().map_or(String::new(), |r| format!("{:x?}", r.regs.pc()))
            );
        }
    }
    println!("bt {:?}", t.elapsed());
    for m in s.modules() {
        println!("  {} types {:?}", m.name, s.load_module_types(m));
    }
    println!("{:?}", t.elapsed());
}
