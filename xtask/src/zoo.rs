//! `cargo xtask zoo`: what `verdict` says about every case of the zoo, compared with the truth, as the table of results
//! in docs/VERDICT.md. The comparison is that of the zoo's test (`crates/truth`).

use std::fs;

use crashlens_truth::zoo::{failures, judge_all, table, zoo};

use crate::run::{At as _, Error, other, root, say};

/// Arguments of `zoo`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Says what is not right, and leaves the page as it is. `CRASHLENS_CASES=6.1/` takes some cases only.
    #[arg(long)]
    failures: bool,
}

const PAGE: &str = "docs/VERDICT.md";
const START: &str = "<!-- by cargo xtask zoo -->\n";
const END: &str = "<!-- end -->\n";

/// Judges the zoo.
pub(crate) fn run(args: &Args) -> Result<(), Error> {
    let cases = zoo().map_err(Error::Other)?;
    if cases.is_empty() {
        return other("no zoo: `cargo xtask corpus --zoo` builds it");
    }
    let results = judge_all(&cases);
    let failures = failures(&results);
    for failure in &failures {
        say(format_args!("{failure}"));
    }
    say(format_args!("{} cases, {} statements not right", results.len(), failures.len()));
    if args.failures {
        return Ok(());
    }
    let page = root().join(PAGE);
    let text = fs::read_to_string(&page).at(&page)?;
    match between(&text, &table(&results)) {
        Some(text) => fs::write(&page, text).at(&page),
        None => other(format!("{PAGE} lacks its marks `{}` and `{}`", START.trim(), END.trim())),
    }
}

/// The page with its part between the marks replaced.
fn between(page: &str, part: &str) -> Option<String> {
    let (before, rest) = page.split_once(START)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{START}\n{part}\n{END}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_part_between_the_marks_is_replaced() {
        let page = format!("# a\n{START}old\n{END}# b\n");
        assert_eq!(between(&page, "new").unwrap(), format!("# a\n{START}\nnew\n{END}# b\n"));
        assert_eq!(between("# a", "new"), None);
        let real = fs::read_to_string(root().join(PAGE)).unwrap();
        assert!(between(&real, "new").is_some());
    }
}
