//! The network, beside `/proc/net`.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use serde_json::Value;

use super::{Differences, different_maps, restless};
use crate::{Answers, Case};

fn text(value: &Value, member: &str) -> String {
    match value.get(member) {
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => "none".to_owned(),
    }
}

/// Every device and neighbour, and every socket that a process has, with its ends, state and queues.
///
/// # Errors
/// crashlens did not answer.
pub fn net(case: &Case, answers: &Answers) -> Result<Differences, String> {
    let section = |name: &str| case.truth.sections.get(name).map(Vec::as_slice).unwrap_or_default();
    let mut differences = Differences::new();
    let wanted: BTreeSet<String> = section("net/dev")
        .iter()
        .filter_map(|line| Some(line.split_once(':')?.0.trim().to_owned()))
        .collect();
    let shown = answers.list("net", "devices")?;
    let found: BTreeSet<String> = shown.iter().map(|one| text(one, "name")).collect();
    if !wanted.is_empty() && found != wanted {
        differences.push(format!("devices {found:?}, the guest says {wanted:?}"));
    }
    let neighbours = answers.list("net -a", "neighbours")?;
    for line in section("net/arp").iter().skip(1) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [address, _, _, hardware, _, device] = words[..] else { continue };
        let is = |one: &Value| {
            [("address", address), ("hardware", hardware), ("device", device)]
                .iter()
                .all(|(name, w)| text(one, name) == *w)
        };
        if !neighbours.iter().any(is) {
            differences.push(format!("no neighbour {address} {hardware} {device}"));
        }
    }
    let sockets = sockets(case, answers)?;
    for file in ["net/tcp", "net/tcp6", "net/udp", "net/udp6"] {
        let rows = section(file).iter().skip(1).filter_map(|line| row(line));
        let wanted: BTreeMap<u64, String> = rows.filter(|(inode, _)| sockets.contains_key(inode)).collect();
        let found =
            sockets.iter().filter(|(inode, _)| wanted.contains_key(inode)).map(|(n, one)| (*n, said(one)));
        differences.extend(
            different_maps(&found.collect(), &wanted).into_iter().map(|line| format!("{file}: {line}")),
        );
        // each has to be somebody's
        let is_tcp = file.contains("tcp");
        let lost =
            section(file).iter().skip(1).filter_map(|line| row(line)).filter(|(n, _)| *n != 0 && is_tcp);
        differences.extend(
            lost.filter(|(n, _)| !sockets.contains_key(n))
                .map(|(n, one)| format!("{file}: no socket {n}: {one}")),
        );
    }
    for line in section("net/unix").iter().skip(1) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let Some((kind, inode)) = words.get(4).zip(words.get(6).and_then(|word| word.parse::<u64>().ok()))
        else {
            continue;
        };
        let Some(one) = sockets.get(&inode) else { continue };
        let kind = match *kind {
            "0001" => "STREAM",
            "0002" => "DGRAM",
            _ => "SEQPACKET",
        };
        let wanted = (kind, words.get(7).copied().unwrap_or("none"));
        let found = (text(one, "type"), text(one, "path"));
        if (found.0.as_str(), found.1.as_str()) != wanted {
            differences.push(format!("net/unix {inode}: {found:?}, the guest says {wanted:?}"));
        }
    }
    Ok(differences)
}

/// The sockets of processes that did not change, by their inodes.
fn sockets<'a>(case: &Case, answers: &'a Answers) -> Result<BTreeMap<u64, &'a Value>, String> {
    let restless = restless(&case.truth);
    let mut out = BTreeMap::new();
    let list = |value: &'a Value, name: &str| value.get(name).and_then(Value::as_array).into_iter().flatten();
    for each in answers.list("foreach net -s", "tasks")? {
        for task in list(each, "tasks") {
            let pid = task.get("pid").and_then(Value::as_i64).unwrap_or(-1);
            let own = list(task, "sockets").filter(|_| !restless.contains(&pid));
            out.extend(own.filter_map(|one| Some((one.get("inode")?.as_u64()?, one))));
        }
    }
    Ok(out)
}

/// What the answer says of a socket of IPv4 or IPv6.
fn said(one: &Value) -> String {
    ["source", "destination", "state", "send_queue", "receive_queue"].map(|name| text(one, name)).join(" ")
}

/// A line of `/proc/net/tcp` or its like: the inode, and the same in the answer's words.
fn row(line: &str) -> Option<(u64, String)> {
    const STATES: [&str; 12] = [
        "",
        "ESTABLISHED",
        "SYN_SENT",
        "SYN_RECV",
        "FIN_WAIT1",
        "FIN_WAIT2",
        "TIME_WAIT",
        "CLOSE",
        "CLOSE_WAIT",
        "LAST_ACK",
        "LISTEN",
        "CLOSING",
    ];
    let words: Vec<&str> = line.split_whitespace().collect();
    let state = usize::from_str_radix(words.get(3)?, 16).ok()?;
    let (send, receive) = words.get(4)?.split_once(':')?;
    let queue = |word: &str| u64::from_str_radix(word, 16).ok();
    let ends = [end(words.get(1)?)?, end(words.get(2)?)?];
    let said = format!("{} {} {} {} {}", ends[0], ends[1], STATES.get(state)?, queue(send)?, queue(receive)?);
    Some((words.get(9)?.parse().ok()?, said))
}

/// `0100007F:1092`: words of the machine's order, and a port.
fn end(word: &str) -> Option<SocketAddr> {
    let (address, port) = word.split_once(':')?;
    let part = |n: usize| u32::from_str_radix(address.get(n * 8..n * 8 + 8)?, 16).ok().map(u32::to_le_bytes);
    let address = match address.len() {
        8 => IpAddr::V4(Ipv4Addr::from(part(0)?)),
        _ => {
            let parts = [part(0)?, part(1)?, part(2)?, part(3)?].concat();
            IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(parts).ok()?))
        }
    };
    Some(SocketAddr::new(address, u16::from_str_radix(port, 16).ok()?))
}
