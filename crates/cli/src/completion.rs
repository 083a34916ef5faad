//! The completion scripts of bash, zsh and fish: the program's options, its commands, and the options of each.

use crate::cli::Cli;
use clap::{Command, CommandFactory};
use clap_complete::Shell;

/// The script of a shell.
pub(crate) fn script(shell: Shell) -> String {
    let mut out = Vec::new();
    clap_complete::generate(shell, &mut whole(), "crashlens", &mut out);
    String::from_utf8_lossy(&out).into_owned()
}

/// The program with its commands as a shell sees them: a command is the first word, its options stand behind it.
fn whole() -> Command {
    // names are parts of the names of a script's functions
    let is_word = |name: &str| name.chars().all(|c| c.is_ascii_alphanumeric());
    let own = commands::COMMANDS.iter().filter(|command| is_word(command.name()));
    let commands = own.map(|command| {
        let about = command.about();
        command.clap().name(command.name()).about(about)
    });
    Cli::command().disable_help_subcommand(true).subcommands(commands).subcommands(crate::verbs::all())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_know_commands_and_their_options() {
        whole().debug_assert();
        for verb in crate::verbs::all() {
            assert!(
                script(Shell::Bash).contains(&format!("crashlens,{})", verb.get_name())),
                "{}",
                verb.get_name()
            );
        }
        for (shell, parts) in [
            (Shell::Bash, &["crashlens,verdict)", "--evidence"][..]),
            (Shell::Zsh, &["(verdict)", "--evidence", "'verdict:what killed the machine'"]),
            (Shell::Fish, &["-a \"verdict\" -d 'what killed the machine'", "-l evidence"]),
        ] {
            let script = script(shell);
            parts.iter().for_each(|part| assert!(script.contains(part), "{shell}: {part}"));
        }
    }
}
