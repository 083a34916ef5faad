//! A whole answer of one command line, for those who do not show it as it comes.

use crate::{CommandError, Cx, Settings};
use base::Cancel;
use kernel::Layers;
use report::{Item, Report};
use std::ops::ControlFlow;

/// Runs a command and hands over its answer: the parts that it shows as they come, then what it gives in the end. False where
/// `take` wanted no more of it.
///
/// # Errors
/// See [`crate::run`].
pub fn parts(
    layers: Option<&Layers>,
    settings: &mut Settings,
    cancel: &Cancel,
    words: &[String],
    take: &mut dyn FnMut(&Report) -> ControlFlow<()>,
) -> Result<bool, CommandError> {
    let mut is_cut = false;
    let mut sink = |part: &Report| {
        let flow = take(part);
        is_cut |= flow.is_break();
        flow
    };
    match crate::run(&mut Cx::new(layers, settings, cancel, &mut sink), words) {
        Ok(report) => Ok(!is_cut && take(&report).is_continue()),
        // nobody wanted the rest, so that the command was stopped
        Err(CommandError::Cancelled(_)) if is_cut => Ok(false),
        Err(e) => Err(e),
    }
}

/// Runs a command; its whole answer is one report of at most about `most` items. False where it has more.
///
/// # Errors
/// See [`crate::run`].
pub fn whole(
    layers: Option<&Layers>,
    settings: &mut Settings,
    cancel: &Cancel,
    words: &[String],
    most: usize,
) -> Result<(Report, bool), CommandError> {
    let mut all: Vec<Item> = Vec::new();
    let mut name = words.first().cloned().unwrap_or_default().into();
    let is_whole = parts(layers, settings, cancel, words, &mut |part| {
        name = part.command.clone();
        all.extend_from_slice(&part.body.items);
        if all.len() > most { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    let mut report = Report::new(name);
    report.body.items = all;
    Ok((report, is_whole))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(line: &str, most: usize) -> Result<(usize, bool), CommandError> {
        let (mut settings, cancel) = (Settings::default(), Cancel::new());
        let (report, is_whole) = whole(None, &mut settings, &cancel, &crate::split_words(line), most)?;
        assert_eq!(report.command, "btop");
        Ok((report.body.items.len(), is_whole))
    }

    #[test]
    fn what_came_before_the_end_is_a_part_of_the_answer() {
        let one = lines("btop 1000", 1000).unwrap().0;
        assert_eq!(lines("repeat --count 5 btop 1000", 1000).unwrap(), (5 * one, true));
        let (cut, is_whole) = lines("repeat --count 1000000000 btop 1000", 10).unwrap();
        assert!(!is_whole && (11..=10 + one).contains(&cut), "{cut}");
    }

    #[test]
    fn an_error_is_one_also_behind_a_part() {
        let (mut settings, cancel) = (Settings::default(), Cancel::new());
        let words = crate::split_words("btop zz");
        assert!(whole(None, &mut settings, &cancel, &words, 10).is_err());
    }
}
