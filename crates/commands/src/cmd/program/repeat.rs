//! `repeat`: a command over and over, until it is stopped.

use crate::{CommandError, Cx, Example, Layer, Run, Writes};
use kernel::Fetch;
use report::Report;
use std::time::{Duration, Instant};

/// `repeat`.
#[derive(Debug)]
pub(crate) struct Repeat;

/// The arguments of `repeat`.
#[derive(clap::Args)]
pub(crate) struct RepeatArgs {
    /// Pause between runs; also written -SECONDS
    #[arg(long, value_name = "SECONDS")]
    seconds: Option<f64>,
    /// Stop after N runs
    #[arg(long, value_name = "N")]
    count: Option<u64>,
    /// The command and its arguments
    #[arg(value_name = "COMMAND", num_args = 1.., required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<String>,
}

impl Run for Repeat {
    type Args = RepeatArgs;
    fn name(&self) -> &'static str {
        "repeat"
    }
    fn about(&self) -> &'static str {
        "repeat a command"
    }
    fn details(&self) -> &'static str {
        "Runs a command again and again until Ctrl-C, or until --count runs. A dump does not change, so that \
         this serves scripts written for live kernels."
    }
    fn debug_files(&self, words: &[String]) -> Fetch {
        // its options stand before the command
        words
            .iter()
            .position(|word| crate::find(word).is_some())
            .map_or(Fetch::Always, |at| crate::words_debug_files(words.get(at..).unwrap_or_default()))
    }
    fn writes(&self, args: &RepeatArgs) -> Writes {
        crate::words_write(&args.command)
    }
    fn examples(&self) -> &'static [Example] {
        const {
            &[
                Example::new("repeat -1 p jiffies", "once a second"),
                Example { line: "repeat --count 2 btop 1000", about: "twice", output: "1000: 1" },
            ]
        }
    }
    fn normalise(&self, mut words: Vec<String>) -> Vec<String> {
        if let Some(first) = words.first_mut()
            && let Some(seconds) = first.strip_prefix('-')
            && seconds.parse::<f64>().is_ok()
        {
            *first = format!("--seconds={seconds}");
        }
        words
    }
    fn needs(&self, _args: &RepeatArgs) -> Layer {
        Layer::Nothing
    }
    fn run(&self, cx: &mut Cx<'_>, args: &RepeatArgs) -> Result<Report, CommandError> {
        let pause = args.seconds.unwrap_or(0.0);
        let pause = Duration::try_from_secs_f64(pause)
            .map_err(|_| CommandError::argument(format_args!("no pause: {pause} seconds")))?;
        let mut left = args.count.unwrap_or(u64::MAX);
        loop {
            let report = crate::run(cx, &args.command)?;
            left = left.saturating_sub(1);
            if left == 0 || cx.settings.quit {
                return Ok(report);
            }
            cx.emit(&report)?;
            wait(cx, pause)?;
        }
    }
}

/// Sleeps in short steps, so that Ctrl-C is heard.
fn wait(cx: &Cx<'_>, pause: Duration) -> Result<(), CommandError> {
    let end = Instant::now().checked_add(pause);
    loop {
        cx.cancel.check()?;
        let left = end.map_or(Duration::MAX, |end| end.saturating_duration_since(Instant::now()));
        if left.is_zero() {
            return Ok(());
        }
        std::thread::sleep(left.min(Duration::from_millis(50)));
    }
}
