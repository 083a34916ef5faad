//! The last words of a process that cannot wait for its own work.

use crate::output::print_error_json;
use crate::say::say;

/// The last words of a process that has to end now, whatever its other threads hold: on standard error, or as a line of
/// JSON on standard output.
pub fn last_words(text: &str, json: bool) {
    let text = text.to_owned();
    let said = std::thread::spawn(move || match json {
        true => print_error_json(&text),
        false => say(&text),
    });
    // a thread that writes to a reader who does not read holds the stream
    for _ in 0..20 {
        if said.is_finished() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}
