//! What examples print of the sample in `samples/`, as the pages of commands show it.
//!
//! `UPDATE_SNAPSHOTS=1 cargo test -p crashlens-truth --test sample` writes the file anew; the same test holds it to what the program
//! says. An answer that depends on who asks, or where, has none.

/// `==> LINE`, and below it what the line prints, cut to a few lines.
const OUTPUTS: &str = include_str!("outputs.txt");

/// What an example prints; nothing where that is not kept.
#[must_use]
pub fn of(line: &str) -> &'static str {
    let mut all = OUTPUTS.split("\n==> ").map(|part| part.strip_prefix("==> ").unwrap_or(part));
    let own = all.find_map(|part| part.split_once('\n').filter(|(head, _)| *head == line));
    own.map_or("", |(_, output)| output.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_output_is_found_by_its_line_alone() {
        assert!(of("sym jiffies").contains("jiffies"), "{}", of("sym jiffies"));
        assert_eq!((of("sym jiffie"), of("")), ("", ""));
        let has_none =
            |command: &&&dyn crate::Command| command.examples().iter().all(|e| of(e.line).is_empty());
        let names = crate::COMMANDS.iter().filter(has_none).map(|command| command.name());
        let without: Vec<&str> = names.filter(|name| !WITHOUT.contains(name)).collect();
        assert_eq!(without, Vec::<&str>::new(), "no example of these has an output");
    }

    /// Commands that leave, write files, wait, are about others, or have nothing to say of the sample.
    const WITHOUT: &[&str] = &[
        "bugreport",
        "debuginfo",
        "define",
        "document",
        "down",
        "echo",
        "exit",
        "extend",
        "gcore",
        "help",
        "q",
        "quit",
        "repeat",
        "sbitmapq",
        "wr",
    ];
}
