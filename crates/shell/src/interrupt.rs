//! Ctrl-C: stops the running command; pressed again while that command does not stop, ends the program.

use base::Cancel;

/// The exit code of a program that SIGINT ended, as shells have it.
const INTERRUPTED: i32 = 130;

/// Connects Ctrl-C with the switch. A process has one such connection: later calls change nothing.
pub fn connect(cancel: &Cancel) {
    let cancel = cancel.clone();
    // an error means that a handler is there already
    let _ = ctrlc::set_handler(move || {
        if cancel.is_cancelled() {
            std::process::exit(INTERRUPTED);
        }
        cancel.cancel();
    });
}
