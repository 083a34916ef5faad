//! `net -s` and `-S`: the sockets that a task has open.

use super::NetArgs;
use crate::engine::{dispatch, number};
use crate::show::problems::not_whole;
use crate::show::tasks::{banner, or_why, unknown};
use crate::{CommandError, Cx};
use kernel::fs::file;
use kernel::net::sock::{self, Socket};
use kernel::sched::task::Task;
use kernel::{KernelError, Session};
use report::{Cell, Line, Record, Role};
use std::net::SocketAddr;

const HEADING: &str =
    "FD      SOCKET            SOCK       FAMILY:TYPE SOURCE-PORT DESTINATION-PORT STATE RECV-Q SEND-Q";

/// A descriptor and its socket.
type Open = (u64, Socket);

/// What there is to show of a task; where it has no socket that was asked for, notes of what is not known of it.
pub(super) fn of_task(
    cx: &mut Cx<'_>,
    s: &Session,
    task: &Task,
    args: &NetArgs,
) -> Result<Result<Record, Record>, CommandError> {
    let mut notes = Record::new();
    let (mut all, mut lost) = (Vec::new(), Vec::new());
    match file::open_files(s, task) {
        Ok(found) => {
            lost = found.problems;
            for open in found.all {
                match sock::of_file(s, open.file) {
                    Ok(found) => all.extend(found.map(|socket| (open.fd, socket))),
                    Err(e) => lost.push(e),
                }
            }
        }
        Err(KernelError::GivenUp { .. }) => {}
        Err(e) => notes.lacking_or_error(e.is_loss(), format!("net: open files of task {}: {e}", task.pid)),
    }
    not_whole(&mut notes, "net", "sockets", &lost);
    if let Some(word) = &args.reference {
        all.retain(|open| is_meant(open, word));
        if all.is_empty() {
            return Ok(Err(notes));
        }
    }
    let mut row = Record::of(banner(task));
    if all.is_empty() && notes.items.is_empty() {
        row.text("No open sockets.");
    }
    if args.dump {
        dumps(cx, &all, args, &mut row)?;
    } else {
        if !all.is_empty() {
            row.line(Line::heading(HEADING));
        }
        row.list("sockets", all.iter().map(line).collect());
    }
    row.items.append(&mut notes.items);
    Ok(Ok(row))
}

fn is_meant((fd, socket): &Open, word: &str) -> bool {
    let is_decimal = word.parse::<u64>().is_ok_and(|n| n == *fd);
    let hex = number::hex(word);
    is_decimal || hex == Some(socket.at.0) || hex == Some(socket.sock.0)
}

/// A name, or the number that has none.
fn named(value: &Result<u64, KernelError>, name: fn(u64) -> Option<&'static str>) -> Cell {
    match value {
        Ok(n) => name(*n).map_or_else(|| Cell::from(n.to_string()), Cell::from),
        Err(e) => unknown("?", e),
    }
}

/// An address and a port as crash writes them.
fn end(end: SocketAddr) -> Cell {
    Cell::shown(end.to_string(), format!("{}-{}", end.ip(), end.port()))
}

fn number_cell(value: &Result<u64, KernelError>) -> Cell {
    or_why(value.as_ref().copied())
}

fn line((fd, socket): &Open) -> Record {
    let line = Line::new().field("fd", *fd).right(2).text(" ");
    let line = line.field("socket", Cell::Addr(socket.at.0)).zeros(16).text(" ");
    let line = match socket.sock.is_null() {
        true => line.field("sock", Cell::absent("(none)", "the socket was closed")),
        false => line.field("sock", Cell::Addr(socket.sock.0)).zeros(16),
    };
    let line = line.text(" ").field("family", named(&socket.family, sock::family_name)).text(":");
    let line = line.field("type", named(&socket.kind, sock::type_name)).text(" ");
    let line = match &socket.ends {
        Some(Ok(ends)) => line
            .text(" ")
            .field("source", end(ends.source))
            .text(" ")
            .field("destination", end(ends.destination))
            .text(" "),
        Some(Err(e)) => line
            .text(" ")
            .field("source", unknown("?", e))
            .text(" ")
            .field("destination", unknown("?", e))
            .text(" "),
        None => line,
    };
    let line = line.field("state", named(&socket.state, sock::state_name));
    let line = match (&socket.receive_queue, &socket.send_queue) {
        (Some(receive), Some(send)) => line
            .text(" ")
            .field("receive_queue", number_cell(receive))
            .text(" ")
            .field("send_queue", number_cell(send)),
        _ => line,
    };
    let line = match &socket.path {
        Some(Ok(path)) if path.is_empty() => line,
        Some(Ok(path)) => line.text(" ").field("path", path.clone()).role(Role::Path),
        Some(Err(e)) => line.text(" ").field("path", unknown("?", e)),
        None => line,
    };
    let mut record = Record::of(line);
    record.hidden("inode", number_cell(&socket.inode));
    record.hidden("protocol", number_cell(&socket.protocol));
    record.hidden(
        "namespace",
        socket.namespace.as_ref().map_or_else(|e| unknown("?", e), |at| Cell::Addr(at.0)),
    );
    record
}

/// Both structs of each socket, as `struct` shows them.
fn dumps(cx: &mut Cx<'_>, all: &[Open], args: &NetArgs, row: &mut Record) -> Result<(), CommandError> {
    let mut out = Vec::new();
    for (n, (fd, socket)) in all.iter().enumerate() {
        let mut one = Record::new();
        if n > 0 {
            one.blank();
        }
        one.line(Line::heading("FD      SOCKET            SOCK"));
        let line = Line::new().field("fd", *fd).right(2).text("  ");
        let line = line.field("socket", Cell::Addr(socket.at.0)).zeros(16).text("  ");
        one.line(line.field("sock", Cell::Addr(socket.sock.0)).zeros(16));
        one.blank();
        let is_inet = matches!(socket.family, Ok(sock::INET | sock::INET6));
        let own = if is_inet { "inet_sock" } else { "sock" };
        for (name, key, at) in [("socket", "socket_contents", socket.at), (own, "sock_contents", socket.sock)]
        {
            if at.is_null() {
                continue;
            }
            let mut words = vec!["struct".to_owned(), name.to_owned(), format!("{at:x}")];
            words.extend(args.hex.then(|| "-x".to_owned()));
            words.extend(args.decimal.then(|| "-d".to_owned()));
            match dispatch::run(cx, &words) {
                Ok(answer) => one.record(key, answer.body),
                Err(e @ CommandError::Cancelled(_)) => return Err(e),
                Err(e) => one.lacking_or_error(e.is_loss(), format!("net: {e}")),
            }
        }
        out.push(one);
    }
    row.list("sockets", out);
    Ok(())
}
