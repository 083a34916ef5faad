//! Lines that are asked of kernels made from tables.

use base::Cancel;
use commands::{CommandError, Cx, Settings};
use kernel::{Layers, OpenOptions};
use report::Report;
use std::ops::ControlFlow;
use std::path::Path;
use testkit::kernel::Kernel;

/// What a user sees.
pub(crate) fn ask(k: &Kernel, line: &str) -> String {
    try_ask(k, line).unwrap()
}

/// What a user sees, or the error.
pub(crate) fn try_ask(k: &Kernel, line: &str) -> Result<String, String> {
    let report = answer(k, line).map_err(|e| e.to_string())?;
    let mut out = Vec::new();
    render::text(&report, render::Colour::Plain, &mut out).unwrap();
    Ok(String::from_utf8(out).unwrap())
}

/// A dump, opened without looking for other files.
pub(crate) fn layers(file: &Path) -> Layers {
    let mut options = OpenOptions::default();
    options.files = vec![file.to_owned()];
    options.no_search = true;
    Layers::open(options).unwrap()
}

/// The answer itself.
pub(crate) fn answer(k: &Kernel, line: &str) -> Result<Report, CommandError> {
    let file = k.file();
    let layers = layers(file.path());
    let (mut settings, cancel) = (Settings::default(), Cancel::new());
    let mut sink = |_: &Report| ControlFlow::Continue(());
    let mut cx = Cx::new(Some(&layers), &mut settings, &cancel, &mut sink);
    commands::run(&mut cx, &commands::split_words(line))
}
