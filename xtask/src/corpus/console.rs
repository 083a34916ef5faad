//! The serial console of a guest, taken apart.
//!
//! It has three kinds of lines: the guest's sections between `@@BEGIN name` and `@@END name`, the kernel's messages
//! with a time stamp in front, and what is left of user space's chatter. After a crash the crash kernel prints on the
//! same line; that is a second life and is cut off.

use std::collections::BTreeMap;

use serde::Serialize;

/// A message of the kernel.
#[derive(Serialize, PartialEq, Eq, Debug)]
pub(crate) struct Message {
    /// Where the line has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub level: Option<u32>,
    /// Seconds since boot as printed.
    pub time: String,
    /// What it says.
    pub text: String,
}

/// A console, taken apart.
pub(crate) struct Console {
    /// The lines of each section.
    pub sections: BTreeMap<String, Vec<String>>,
    /// What the kernel printed outside of them.
    pub messages: Vec<Message>,
}

impl Console {
    /// Takes it apart.
    pub(crate) fn parse(text: &str) -> Self {
        let mut this = Self { sections: BTreeMap::new(), messages: Vec::new() };
        let mut open: Option<String> = None;
        let mut lives = 0_u32;
        for line in text.split('\n').map(|line| line.trim_end_matches('\r')) {
            if let Some(name) = line.strip_prefix("@@BEGIN ") {
                this.sections.insert(name.to_owned(), Vec::new());
                open = Some(name.to_owned());
            } else if line.starts_with("@@END ") {
                open = None;
            } else if let Some(section) = open.as_ref().and_then(|name| this.sections.get_mut(name)) {
                section.push(line.to_owned());
            } else if let Some(message) = message(line) {
                lives = lives.saturating_add(u32::from(message.text.starts_with("Linux version ")));
                if lives > 1 {
                    break;
                }
                this.messages.push(message);
            }
        }
        this
    }

    /// A section's lines.
    pub(crate) fn section(&self, name: &str) -> &[String] {
        self.sections.get(name).map_or(&[], Vec::as_slice)
    }

    /// A section's first line.
    pub(crate) fn first(&self, name: &str) -> String {
        self.section(name).first().cloned().unwrap_or_default()
    }
}

/// `<6>[    1.234567] text`, the level being optional. A message may follow user space's unfinished line.
pub(crate) fn message(line: &str) -> Option<Message> {
    let start = line.match_indices('[').find(|(at, _)| is_stamp(line.get(*at..).unwrap_or_default()))?.0;
    let (before, rest) = line.split_at(start);
    let (stamp, text) = rest.strip_prefix('[')?.split_once(']')?;
    let level = before.strip_prefix('<').and_then(|level| level.strip_suffix('>')?.parse().ok());
    Some(Message {
        level,
        time: stamp.trim().to_owned(),
        text: text.strip_prefix(' ').unwrap_or(text).to_owned(),
    })
}

/// `[    1.234567]`: six digits after the point and nothing but them.
fn is_stamp(text: &str) -> bool {
    let Some((inside, _)) = text.strip_prefix('[').and_then(|rest| rest.split_once(']')) else {
        return false;
    };
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    inside
        .split_once('.')
        .is_some_and(|(whole, part)| digits(whole.trim()) && part.len() == 6 && digits(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_console_is_taken_apart() {
        let text = "SeaBIOS\r\n[    0.000000] Linux version 6.1\r\nwriting...[    1.500000] random: crng\r\n\
            @@BEGIN version\r\nLinux version 6.1 (x)\r\n[not a stamp]\r\n@@END version\r\nread 5 bytes\r\n\
            [    2.000000] Kernel panic - not syncing: x\r\n[    0.000000] Linux version 6.1\r\n[    0.1] second\r\n";
        let console = Console::parse(text);
        assert_eq!(console.section("version"), ["Linux version 6.1 (x)", "[not a stamp]"]);
        let texts: Vec<&str> = console.messages.iter().map(|message| message.text.as_str()).collect();
        assert_eq!(texts, ["Linux version 6.1", "random: crng", "Kernel panic - not syncing: x"]);
        assert!(console.section("absent").is_empty());
    }

    #[test]
    fn messages_have_a_level_and_a_time() {
        let found = message("<12>[  123.456789]  <TASK>").unwrap();
        assert_eq!(found, Message { level: Some(12), time: "123.456789".into(), text: " <TASK>".into() });
        for no in ["", "[ 1.5] x", "[1.123456", "CPU [a.123456] x", "[<0>] f+0x1/0x2"] {
            assert_eq!(message(no), None, "{no}");
        }
    }
}
