//! The loop: pick an input, break it, run it, keep it if it did something new: an outcome not seen before, or code
//! that had not run yet.

use crate::coverage::Coverage;
use crate::mutate::{Random, mutate};
use crate::targets::Target;
use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::FileExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// A run of one input that computes for longer is a finding.
pub(crate) const HANG: Duration = Duration::from_secs(10);
/// And one that takes longer than this, as one that waits for itself does; other programs can have the machine.
const STUCK: Duration = Duration::from_secs(120);
/// More memory than this is a finding: the allocation fails and ends the process.
pub(crate) const MEMORY: u64 = 2 << 30;
/// Inputs do not grow beyond this.
const MAX_INPUT: usize = 1 << 20;
/// Inputs kept at most.
const MAX_KEPT: usize = 4096;

/// How long, and from which seed of the random numbers.
pub(crate) struct Options {
    pub(crate) time: Duration,
    pub(crate) seed: u64,
}

/// Fuzzes a target; an error names the input that was found.
pub(crate) fn fuzz(target: &Target, options: &Options) -> Result<(), String> {
    limit_memory();
    let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("artifacts").join(target.name);
    fs::create_dir_all(&dir).map_err(|e| format!("{}: {e}", dir.display()))?;
    // written before each run, so that the input outlives an abort of the process
    let current = Current::new(dir.join("current"))?;
    let started = watch(current.path.clone());
    let mut random = Random::new(options.seed);
    let mut kept = (target.seeds)();
    let mut seen: HashSet<u64> = HashSet::new();
    for seed in &kept {
        seen.insert(one(target, seed, &current, &started)?);
    }
    let mut coverage = Coverage::of_this_process();
    let before = coverage.as_ref().map_or(0, |c| c.regions().0);
    let begin = Instant::now();
    let mut runs = 0_u64;
    while begin.elapsed() < options.time {
        let mut input = random.pick(&kept).cloned().unwrap_or_default();
        let other = random.pick(&kept).cloned().unwrap_or_default();
        mutate(&mut random, &mut input, &other);
        input.truncate(MAX_INPUT);
        let outcome = seen.insert(one(target, &input, &current, &started)?);
        let code = coverage.as_mut().is_some_and(Coverage::grew);
        if (outcome || code) && kept.len() < MAX_KEPT {
            kept.push(input);
        }
        runs += 1;
    }
    let _ = fs::remove_file(&current.path);
    let regions = match coverage.map(|c| c.regions()) {
        Some((reached, all)) => {
            format!("{} more regions of code than the seeds, {reached} of {all} in all", reached - before)
        }
        None => "built without counters of code".to_owned(),
    };
    println!("{}: {runs} inputs, {} outcomes, {regions}; nothing found", target.name, seen.len());
    Ok(())
}

/// Runs files once each.
pub(crate) fn replay(target: &Target, files: &[String]) -> Result<(), String> {
    limit_memory();
    for file in files {
        let input = fs::read(file).map_err(|e| format!("{file}: {e}"))?;
        let begin = Instant::now();
        let outcome = (target.run)(&input);
        println!("{file}: outcome {outcome:#x} after {:?}", begin.elapsed());
    }
    Ok(())
}

/// The file that holds the input of the moment. It stays open: to truncate and write it anew each
/// time would wait for the disk.
struct Current {
    path: PathBuf,
    file: fs::File,
}

impl Current {
    fn new(path: PathBuf) -> Result<Self, String> {
        let file = fs::File::create(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        Ok(Self { path, file })
    }

    fn write(&self, input: &[u8]) -> Result<(), String> {
        let write = || {
            self.file.write_all_at(input, 0)?;
            self.file.set_len(input.len() as u64)
        };
        write().map_err(|e: std::io::Error| format!("{}: {e}", self.path.display()))
    }
}

fn one(target: &Target, input: &[u8], current: &Current, started: &AtomicU64) -> Result<u64, String> {
    current.write(input)?;
    started.store(now(), Ordering::Relaxed);
    let outcome = catch_unwind(AssertUnwindSafe(|| (target.run)(input)));
    started.store(0, Ordering::Relaxed);
    outcome.map_err(|_| keep(&current.path, "panic"))
}

/// Ends the process when an input takes too long.
fn watch(current: PathBuf) -> Arc<AtomicU64> {
    let started = Arc::new(AtomicU64::new(0));
    let seen = Arc::clone(&started);
    std::thread::spawn(move || {
        let (mut began, mut computed) = (0, Duration::ZERO);
        loop {
            std::thread::sleep(Duration::from_millis(500));
            let since = seen.load(Ordering::Relaxed);
            if since != began {
                (began, computed) = (since, cpu_time());
            }
            let stuck = now().saturating_sub(since) > STUCK.as_millis() as u64;
            if since != 0 && (stuck || cpu_time().saturating_sub(computed) > HANG) {
                eprintln!("fuzz: {}", keep(&current, "hang"));
                std::process::exit(1);
            }
        }
    });
    started
}

/// Milliseconds since the process began, never 0.
fn now() -> u64 {
    static BEGIN: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    BEGIN.get_or_init(Instant::now).elapsed().as_millis() as u64 + 1
}

/// What the process has computed so far, on all cores.
fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs() as u32)
}

/// Keeps the current input under the name of its kind and content.
fn keep(current: &Path, what: &str) -> String {
    let bytes = fs::read(current).unwrap_or_default();
    let hash = bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(*b)).wrapping_mul(0x100_0000_01b3));
    let kept = current.with_file_name(format!("{what}-{hash:016x}"));
    match fs::rename(current, &kept) {
        Ok(()) => format!("{what}: the input is {}", kept.display()),
        Err(e) => format!("{what}: the input is {} ({e})", current.display()),
    }
}

fn limit_memory() {
    use rustix::process::{Resource, Rlimit, setrlimit};
    let limit = Rlimit { current: Some(MEMORY), maximum: Some(MEMORY) };
    if let Err(e) = setrlimit(Resource::As, limit) {
        eprintln!("fuzz: memory is not limited: {e}");
    }
}
