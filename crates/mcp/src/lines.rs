//! Lines of JSON-RPC, before the protocol's library sees them: what is no JSON, or no message, gets the error that JSON-RPC 2.0
//! (section 5.1) has for it. The library passes such lines over, and its client would wait.
//!
//! **Invariant:** a line of answer is written whole, whoever writes it.

use serde_json::{Value, json};
use std::io;
use tokio::io::{
    AsyncBufRead, AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _,
    BufReader, DuplexStream,
};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// A request longer than this is refused: calls are words.
const LONGEST: u64 = 1 << 20;
/// Bytes between the tasks that carry lines.
const BUFFER: usize = 1 << 16;

/// The errors of JSON-RPC that are told here.
const PARSE_ERROR: i32 = -32700;
const INVALID_REQUEST: i32 = -32600;

/// The streams for the protocol's library, and the task that writes; it ends when both streams were closed.
pub(crate) fn checked(
    input: impl AsyncRead + Send + Unpin + 'static,
    output: impl AsyncWrite + Send + Unpin + 'static,
) -> ((DuplexStream, DuplexStream), tokio::task::JoinHandle<io::Result<()>>) {
    let (requests, from_us) = tokio::io::duplex(BUFFER);
    let (answers, to_us) = tokio::io::duplex(BUFFER);
    let (send, lines) = unbounded_channel();
    tokio::spawn(read(input, from_us, send.clone()));
    tokio::spawn(carry(to_us, send));
    ((requests, answers), tokio::spawn(write(lines, output)))
}

/// Hands on what is a message, and answers what is none.
async fn read(
    input: impl AsyncRead + Unpin,
    mut on: DuplexStream,
    answer: UnboundedSender<Vec<u8>>,
) -> io::Result<()> {
    let mut input = BufReader::new(input);
    loop {
        let mut line = Vec::new();
        if (&mut input).take(LONGEST).read_until(b'\n', &mut line).await? == 0 {
            return Ok(());
        }
        if !line.ends_with(b"\n") && line.len() as u64 == LONGEST {
            rest_of_line(&mut input).await?;
            let why = format!("a request of more than {LONGEST} bytes");
            let _ = answer.send(error(INVALID_REQUEST, &why, &Value::Null));
            continue;
        }
        match fault(&line) {
            None => on.write_all(&line).await?,
            // nobody may read any more; the streams tell it
            Some(why) => drop(answer.send(why)),
        }
    }
}

async fn rest_of_line(input: &mut (impl AsyncBufRead + Unpin)) -> io::Result<()> {
    loop {
        let some = input.fill_buf().await?;
        let (len, end) = (some.len(), some.iter().position(|byte| *byte == b'\n'));
        if len == 0 {
            return Ok(());
        }
        input.consume(end.map_or(len, |at| at.saturating_add(1)));
        if end.is_some() {
            return Ok(());
        }
    }
}

/// The library's answers, line by line.
async fn carry(from: DuplexStream, on: UnboundedSender<Vec<u8>>) -> io::Result<()> {
    let mut from = BufReader::new(from);
    loop {
        let mut line = Vec::new();
        if from.read_until(b'\n', &mut line).await? == 0 || on.send(line).is_err() {
            return Ok(());
        }
    }
}

async fn write(mut lines: UnboundedReceiver<Vec<u8>>, mut output: impl AsyncWrite + Unpin) -> io::Result<()> {
    while let Some(line) = lines.recv().await {
        output.write_all(&line).await?;
        output.flush().await?;
    }
    Ok(())
}

/// The answer to a line that is no message; `None` for one that is, and for a blank one.
fn fault(line: &[u8]) -> Option<Vec<u8>> {
    if line.iter().all(u8::is_ascii_whitespace) {
        return None;
    }
    let message: Value = match serde_json::from_slice(line) {
        Ok(message) => message,
        Err(e) => return Some(error(PARSE_ERROR, &format!("not JSON: {e}"), &Value::Null)),
    };
    let Some(members) = message.as_object() else {
        return Some(error(INVALID_REQUEST, "a message is an object", &Value::Null));
    };
    let id = members.get("id").filter(|id| id.is_string() || id.is_number());
    let why = match (members.get("jsonrpc"), members.get("method"), members.get("id")) {
        (Some(Value::String(version)), ..) if version != "2.0" => "jsonrpc: not \"2.0\"",
        (Some(Value::String(_)), Some(Value::String(_)), given) if given.is_none() || id.is_some() => {
            return None;
        }
        // an answer of the client's
        (Some(Value::String(_)), None, _)
            if id.is_some() && ["result", "error"].iter().any(|key| members.contains_key(*key)) =>
        {
            return None;
        }
        (Some(Value::String(_)), Some(Value::String(_)), _) => "id: neither a string nor a number",
        (Some(Value::String(_)), ..) => "method: there is none",
        _ => "jsonrpc: not \"2.0\"",
    };
    Some(error(INVALID_REQUEST, why, id.unwrap_or(&Value::Null)))
}

fn error(code: i32, why: &str, id: &Value) -> Vec<u8> {
    let message = render::Clean::of(why);
    let mut line =
        json!({"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": message.as_str()}}).to_string();
    line.push('\n');
    line.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(line: &str) -> Option<(i64, Value)> {
        let told: Value = serde_json::from_slice(&fault(line.as_bytes())?).unwrap();
        Some((told["error"]["code"].as_i64().unwrap(), told["id"].clone()))
    }

    #[test]
    fn what_is_no_message_has_the_code_of_the_specification() {
        for (line, want) in [
            ("{not json", (-32700, Value::Null)),
            ("\u{1}", (-32700, Value::Null)),
            ("[1]", (-32600, Value::Null)),
            ("\"x\"", (-32600, Value::Null)),
            (r#"{"jsonrpc":"2.0","id":5}"#, (-32600, json!(5))),
            (r#"{"jsonrpc":"1.0","id":"a","method":"ping"}"#, (-32600, json!("a"))),
            (r#"{"id":6,"method":"ping"}"#, (-32600, json!(6))),
            (r#"{"jsonrpc":"2.0","id":[],"method":"ping"}"#, (-32600, Value::Null)),
        ] {
            assert_eq!(code(line), Some(want), "{line}");
        }
        for line in [
            "",
            " \r\n",
            r#"{"jsonrpc":"2.0","id":6,"method":"ping"}"#,
            r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#,
            r#"{"jsonrpc":"2.0","id":6,"result":{}}"#,
        ] {
            assert_eq!(code(line), None, "{line}");
        }
    }
}
