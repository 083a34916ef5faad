//! `cargo xtask test`: everything that decides whether a change is good, in the order in which it fails fast.

use std::time::Instant;

use crate::bench::Peers;
use crate::corpus::Part;
use crate::run::{Error, command, installed, live, other, output, root, say};
use crate::{clients, corpus, dist, fuzz, package, python, setup, tidy};

/// Arguments of `test`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Leaves out what needs root, QEMU or minutes: only formatting, lints, tidy and the hermetic tests.
    #[arg(long)]
    fast: bool,
    /// Also makes the packages and the wheel, and lets programs of others use what crashlens gives.
    #[arg(long)]
    handed_out: bool,
    /// Runs only the steps with this in their names; may be given again.
    #[arg(long, value_name = "STEP")]
    only: Vec<String>,
    /// Seconds for each fuzz target.
    #[arg(long, default_value_t = 3)]
    fuzz_seconds: u32,
}

/// The crate whose tests need the corpus.
const TRUTH: &str = "crashlens-truth";

/// A step: its name, and what it does.
type Step<'a> = (&'a str, Box<dyn Fn() -> Result<(), Error> + 'a>);

/// Runs the steps.
pub(crate) fn run(args: &Args) -> Result<(), Error> {
    let mut steps: Vec<Step<'_>> = vec![
        ("format", Box::new(format)),
        (
            "clippy",
            Box::new(|| {
                cargo(&["clippy", "--workspace", "--all-targets", "--keep-going", "--", "-D", "warnings"])
            }),
        ),
        ("tidy", Box::new(tidy::check)),
        ("each architecture alone", Box::new(each_architecture_alone)),
        ("hermetic tests", Box::new(|| cargo(&["test", "--workspace", "--exclude", TRUTH]))),
        ("the library from its packages", Box::new(package::check)),
        ("program", Box::new(|| cargo(&["build", "--release", "--package", "crashlens-cli"]))),
        (
            "tests on the shipped sample",
            Box::new(|| {
                truth(&["sample", "bad_input", "damaged", "smoke", "schema"], &[("CRASHLENS_CORPUS", "none")])
            }),
        ),
    ];
    if !args.fast {
        steps.push(("fuzz targets", Box::new(|| fuzz::smoke(args.fuzz_seconds))));
        steps.push(("setup", Box::new(|| setup::install(false))));
        steps.push(("corpus", Box::new(|| corpus::quick(Part::Corpus))));
        steps.push(("truth tests on the corpus", Box::new(on_the_corpus)));
        steps.push(("beside crash, pahole and drgn", Box::new(beside_the_peers)));
        steps.push(("zoo", Box::new(|| corpus::quick(Part::Zoo))));
        steps.push(("arm64", Box::new(|| corpus::quick(Part::Arm64))));
        steps.push(("truth tests on arm64", Box::new(|| truth(&["arm64"], REQUIRED))));
        steps.push((
            "truth tests on the zoo",
            Box::new(|| truth(&["zoo", "objects", "limits", "logs", "packs"], REQUIRED)),
        ));
    }
    if args.handed_out {
        steps.push(("missing pages in the zoo", Box::new(missing_in_the_zoo)));
        steps.push(("packages", Box::new(dist::tested)));
        steps.push(("clients: tools and page", Box::new(|| clients::run(&clients::Args::default()))));
        steps.push(("wheel", Box::new(|| python::run(&python::Args::default()))));
    }
    let is_wanted = |name: &str| args.only.is_empty() || args.only.iter().any(|part| name.contains(part));
    steps.retain(|(name, _)| is_wanted(name));
    if steps.is_empty() {
        return other(format!("no step has {} in its name", args.only.join(" or ")));
    }
    let started = Instant::now();
    for (name, step) in &steps {
        let at = Instant::now();
        say(format_args!("==> {name}"));
        step()?;
        say(format_args!("    {name}: good, {:.0} s", at.elapsed().as_secs_f64()));
    }
    say(format_args!("all {} steps are good, {:.0} s", steps.len(), started.elapsed().as_secs_f64()));
    Ok(())
}

/// `rustfmt` and `clippy` may be missing from a minimal toolchain.
fn format() -> Result<(), Error> {
    let there = |tool: &str| output(&mut command("cargo", [tool, "--version"])).is_ok();
    if !(there("fmt") && there("clippy")) && installed("rustup") {
        live(&mut command("rustup", ["component", "add", "rustfmt", "clippy"]))?;
    }
    cargo(&["fmt", "--all", "--check"])?;
    cargo(&["fmt", "--all", "--check", "--manifest-path", "fuzz/Cargo.toml"])
}

fn cargo(args: &[&str]) -> Result<(), Error> {
    live(command("cargo", args).current_dir(root()))
}

/// The architectures that can be built in, by their features.
const ARCHITECTURES: [&str; 2] = ["x86_64", "arm64"];

/// The workspace builds with each architecture alone, and that one's tests pass.
fn each_architecture_alone() -> Result<(), Error> {
    ARCHITECTURES.iter().try_for_each(|name| {
        let alone = ["--no-default-features", "--features", *name];
        cargo(&[&["check", "--workspace", "--exclude", TRUTH][..], &alone].concat())?;
        cargo(&[&["test", "--package", "crashlens-arch", "--lib"][..], &alone].concat())
    })
}

/// No corpus is a failure.
const REQUIRED: &[(&str, &str)] = &[("CRASHLENS_CORPUS", "required")];

fn on_the_corpus() -> Result<(), Error> {
    truth(&["corpus", "story", "stacks", "modules", "bad_input", "smoke", "schema"], REQUIRED)
}

/// Deaths whose place is not the function that found the damage: what their verdicts say with pages left out.
fn missing_in_the_zoo() -> Result<(), Error> {
    const WAYS: [&str; 6] =
        ["list-del-twice", "refcount-under", "slab-double-free", "slab-redzone", "usercopy", "fortify"];
    let zoo = corpus::cache()?.join("zoo/6.1");
    let dumps = WAYS.iter().map(|way| zoo.join(way).join("dump")).filter(|dump| dump.exists());
    let dumps: Vec<String> = dumps.map(|dump| dump.display().to_string()).collect();
    if dumps.is_empty() {
        return other(format!("{}: none of {} is there", zoo.display(), WAYS.join(", ")));
    }
    let line = ["test", "--package", "crashlens-commands", "--test", "missing", "what_is"];
    let mut cargo = command("cargo", line);
    cargo.env("CRASHLENS_DUMPS", dumps.join(":")).env("CRASHLENS_SEEDS", "60");
    live(cargo.current_dir(root()))
}

/// Where the peers cannot be set up (a mirror without sid, no right to mount), this is said, and the rest still decides.
fn beside_the_peers() -> Result<(), Error> {
    let peers = if Peers::prepare().complete() { "required" } else { "none" };
    truth(&["crash", "types", "compat"], &[REQUIRED, &[("CRASHLENS_PEERS", peers)]].concat())
}

/// Tests of the crate `truth`, with what they are told.
fn truth(tests: &[&str], environment: &[(&str, &str)]) -> Result<(), Error> {
    let mut cargo = command("cargo", ["test", "--package", TRUTH]);
    cargo.args(tests.iter().flat_map(|test| ["--test", test])).envs(environment.iter().copied());
    live(cargo.current_dir(root()))
}
