//! The page that maps another tool's reports to commands names no command that is not there.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs, reason = "a test")]

use std::path::Path;

/// The rows of the table: a module, and the lines that answer.
fn rows() -> Vec<(String, Vec<String>)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/CORELENS.md");
    let text = std::fs::read_to_string(path).unwrap();
    let rows = text.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| module"));
    rows.map(|line| {
        let cells: Vec<&str> = line.split(" | ").map(|cell| cell.trim_matches(['|', ' '])).collect();
        let lines = cells[2].split('`').skip(1).step_by(2).map(str::to_owned).collect();
        (cells[0].to_owned(), lines)
    })
    .collect()
}

#[test]
fn each_module_of_corelens_has_a_command_but_for_eight() {
    let rows = rows();
    assert_eq!(rows.len(), 48);
    let none: Vec<&str> =
        rows.iter().filter(|(_, lines)| lines.is_empty()).map(|(module, _)| module.as_str()).collect();
    assert!(none.len() <= 8, "{none:?}");
    let mut modules: Vec<&String> = rows.iter().map(|(module, _)| module).collect();
    modules.sort();
    modules.dedup();
    assert_eq!(modules.len(), 48, "each once");
    for (module, lines) in &rows {
        for line in lines {
            let name = line.split(' ').next().unwrap();
            assert!(
                commands::COMMANDS.iter().any(|command| command.name() == name),
                "{module}: no command {name}"
            );
        }
    }
}
