//! System V IPC, beside `/proc/sysvipc`.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Differences, different_maps};
use crate::{Answers, Case};

/// A facility: its file in `/proc/sysvipc`, its list in the answer, and what is compared: the guest's word, the answer's, and how the guest
/// writes it.
struct Facility {
    file: &'static str,
    list: &'static str,
    members: &'static [(&'static str, &'static str, Written)],
}

#[derive(Clone, Copy)]
enum Written {
    /// A decimal number, as the answer has it.
    Plain,
    /// A signed number of 32 bits, in hex in the answer.
    Key,
    /// In octal, of which the answer has the permissions.
    Mode,
    /// In bytes, of which the answer has pages. Since 6.7 (a08c7193e4f1) a kernel takes the usual pages of a segment for huge
    /// ones and says more than the segment's size.
    Pages,
}

/// Pages in a huge page.
const HUGE: i64 = 512;

const FACILITIES: &[Facility] = &[
    Facility {
        file: "shm",
        list: "shared_memory",
        members: &[
            ("key", "key", Written::Key),
            ("shmid", "shmid", Written::Plain),
            ("perms", "perms", Written::Mode),
            ("uid", "uid", Written::Plain),
            ("size", "bytes", Written::Plain),
            ("nattch", "nattch", Written::Plain),
            ("rss", "pages_resident", Written::Pages),
            ("swap", "pages_swapped", Written::Pages),
        ],
    },
    Facility {
        file: "sem",
        list: "semaphores",
        members: &[
            ("key", "key", Written::Key),
            ("semid", "semid", Written::Plain),
            ("perms", "perms", Written::Mode),
            ("uid", "uid", Written::Plain),
            ("nsems", "nsems", Written::Plain),
        ],
    },
    Facility {
        file: "msg",
        list: "message_queues",
        members: &[
            ("key", "key", Written::Key),
            ("msqid", "msqid", Written::Plain),
            ("perms", "perms", Written::Mode),
            ("uid", "uid", Written::Plain),
            ("cbytes", "used_bytes", Written::Plain),
            ("qnum", "messages", Written::Plain),
        ],
    },
];

/// Every object of each facility, with all that `/proc/sysvipc` says of it; no others.
///
/// # Errors
/// crashlens did not answer.
pub fn ipc(case: &Case, answers: &Answers) -> Result<Differences, String> {
    let mut differences = namespace(case, answers, "sysvipc", "ipcs -Msq")?;
    // of the task that has a namespace of its own
    if case.truth.task_in_own_ipc().is_some() {
        differences.extend(namespace(case, answers, "sysvipc.other", "ipcs -n")?);
    }
    Ok(differences)
}

/// The objects of one namespace.
fn namespace(case: &Case, answers: &Answers, folder: &str, line: &str) -> Result<Differences, String> {
    let mut differences = Differences::new();
    for facility in FACILITIES {
        let file = format!("{folder}/{}", facility.file);
        let Some((heads, rows)) = case.truth.sections.get(&file).and_then(|lines| lines.split_first()) else {
            continue; // a kernel without it
        };
        let heads: Vec<&str> = heads.split_whitespace().collect();
        let wanted = rows.iter().enumerate().map(|(n, row)| (n, said(facility, &heads, row))).collect();
        let shown = answers.list(line, facility.list)?;
        let found: BTreeMap<usize, Vec<String>> =
            shown.iter().enumerate().map(|(n, object)| (n, answered(facility, object))).collect();
        let different = different_maps(&found, &wanted);
        differences.extend(different.into_iter().map(|text| format!("{file}: {text}")));
    }
    Ok(differences)
}

/// A line of the guest's, as the answer would have it.
fn said(facility: &Facility, heads: &[&str], row: &str) -> Vec<String> {
    let words: Vec<&str> = row.split_whitespace().collect();
    let word = |name: &str| {
        let column = heads.iter().position(|head| *head == name);
        column.and_then(|column| words.get(column)).copied().unwrap_or("none")
    };
    let members = facility.members.iter().map(|(name, _, written)| {
        let own = word(name);
        let number: i64 = match written {
            Written::Mode => i64::from_str_radix(own, 8).map_or(-1, |mode| mode & 0o777),
            _ => own.parse().unwrap_or(-1),
        };
        match written {
            Written::Key => format!("{:#x}", number as u32),
            Written::Pages => {
                let size = word("size").parse().unwrap_or(i64::MAX);
                let pages = number / 4096;
                (if pages > size / 4096 + 1 { pages / HUGE } else { pages }).to_string()
            }
            Written::Plain | Written::Mode => number.to_string(),
        }
    });
    members.collect()
}

fn answered(facility: &Facility, object: &Value) -> Vec<String> {
    let members = facility.members.iter().map(|(_, name, _)| match object.get(name) {
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => "none".to_owned(),
    });
    members.collect()
}
