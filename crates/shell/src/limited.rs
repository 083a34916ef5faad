//! What a limit of time or memory makes of a command: an error, or an answer that says that it is not whole.

use commands::CommandError;
use report::Report;

/// The error of a command that a limit stopped, or that was not begun.
pub(crate) fn error(words: &[String], why: String) -> CommandError {
    let name = words.first().map_or("", String::as_str);
    CommandError::failed(why).lost_if(true).named(name)
}

/// The result of a command during which the limit was reached that `why` names.
pub(crate) fn settled(
    result: Result<Report, CommandError>,
    words: &[String],
    why: Option<&str>,
) -> Result<Report, CommandError> {
    match (result, why) {
        (Err(CommandError::Cancelled(_)), Some(why)) => Err(error(words, why.to_owned())),
        // it says itself what is not there
        (Ok(report), Some(_)) if report.is_incomplete() => Ok(report),
        (Ok(mut report), Some(why)) => {
            report.missing(format!("{}: {why}: what came after it is not there", report.command));
            Ok(report)
        }
        (result, _) => result,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base::Cancelled;

    #[test]
    fn what_a_limit_stopped_says_so_and_is_not_whole() {
        let words = ["ps".to_owned()];
        let stopped = settled(Err(CommandError::Cancelled(Cancelled)), &words, Some("the time is up"));
        let stopped = stopped.unwrap_err();
        assert!(stopped.is_loss());
        assert_eq!(stopped.lines(), ["ps: the time is up"]);
        let answered = settled(Ok(Report::new("ps")), &words, Some("the time is up")).unwrap();
        assert!(answered.is_incomplete());
        // Ctrl-C is none
        let by_hand = settled(Err(CommandError::Cancelled(Cancelled)), &words, None);
        assert!(matches!(by_hand, Err(CommandError::Cancelled(_))));
        assert!(!settled(Ok(Report::new("ps")), &words, None).unwrap().is_incomplete());
    }
}
