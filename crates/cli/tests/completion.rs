//! The completion script, as bash runs it. Needs no dump.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test")]

use std::process::Command;

/// What bash offers for the last of these words.
fn offered(words: &[&str]) -> Vec<String> {
    let script = Command::new(env!("CARGO_BIN_EXE_crashlens"))
        .args(["--generate-completion", "bash"])
        .output()
        .unwrap();
    let script = String::from_utf8(script.stdout).unwrap();
    let (last, before) = (words.last().unwrap(), words[words.len() - 2]);
    let run = format!(
        "{script}\nCOMP_WORDS=({}); COMP_CWORD={}; _crashlens crashlens '{last}' '{before}'; printf '%s\\n' \"${{COMPREPLY[@]}}\"",
        words.iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join(" "),
        words.len() - 1
    );
    let out = Command::new("bash").args(["--norc", "-c", &run]).output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn bash_offers_commands_options_and_the_options_of_a_command() {
    assert_eq!(offered(&["crashlens", "verd"]), ["verdict"]);
    assert_eq!(offered(&["crashlens", "--fail-f"]), ["--fail-fast"]);
    assert_eq!(offered(&["crashlens", "verdict", "--evid"]), ["--evidence"]);
    let of_bt = offered(&["crashlens", "bt", "-"]);
    assert!(of_bt.iter().any(|option| option == "-a"), "{of_bt:?}");
    assert!(!of_bt.iter().any(|option| option == "--evidence"), "{of_bt:?}");
}
