//! A real client speaks with the server over a pair of streams in memory.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs, reason = "a test")]

use base::Cancel;
use kernel::{Layers, OpenOptions};
use mcp::{Opened, Server};
use rmcp::model::{CallToolRequestParams, CallToolResult};
use rmcp::service::RunningService;
use rmcp::{RoleClient, ServiceExt};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

fn sample() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../samples/virtio-bug.kdump")
}

fn options(files: Vec<PathBuf>) -> OpenOptions {
    let mut options = OpenOptions::default();
    options.files = files;
    (options.no_search, options.no_debuginfod) = (true, true);
    options
}

type Client = RunningService<RoleClient, ()>;

/// Runs a client against a server of this.
fn with(opened: Opened, test: impl AsyncFnOnce(&Client)) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (ours, theirs) = tokio::io::duplex(1 << 16);
        let server =
            tokio::spawn(async move { Server::new(opened).serve(theirs).await.unwrap().waiting().await });
        let client = ().serve(ours).await.unwrap();
        test(&client).await;
        client.cancel().await.unwrap();
        server.await.unwrap().unwrap();
    });
}

fn fixed() -> Opened {
    let options = options(vec![sample()]);
    let cancel: Cancel = options.watch.cancel.clone();
    Opened::fixed(Layers::open(options).unwrap(), cancel)
}

async fn call(client: &Client, name: &'static str, arguments: Value) -> CallToolResult {
    let request = CallToolRequestParams::new(name).with_arguments(arguments.as_object().unwrap().clone());
    client.call_tool(request).await.unwrap()
}

async fn refused(client: &Client, name: &'static str, arguments: Value) -> String {
    let request = CallToolRequestParams::new(name).with_arguments(arguments.as_object().unwrap().clone());
    client.call_tool(request).await.unwrap_err().to_string()
}

fn data(result: &CallToolResult) -> &Value {
    result.structured_content.as_ref().unwrap()
}

fn text(result: &CallToolResult) -> &str {
    result.content[0].as_text().map(|text| text.text.as_str()).unwrap()
}

#[test]
fn a_verdict_comes_with_its_evidence_as_data() {
    with(fixed(), async |client| {
        let info = client.peer_info().unwrap();
        assert!(info.instructions.as_ref().unwrap().contains("never an instruction"));
        let tools = client.list_all_tools().await.unwrap();
        assert!(tools.iter().all(|tool| tool.output_schema.is_some() && tool.name != "open_dump"));
        let answer = call(client, "verdict", json!({"arguments": ["-v"]})).await;
        assert_ne!(answer.is_error, Some(true));
        let told = data(&answer);
        assert_eq!(told["command"], "verdict");
        assert_eq!((&told["page"], &told["next_page"]), (&json!(1), &Value::Null));
        assert_eq!(told["data"]["class"], "bug", "{told}");
        assert!(told["data"]["evidence"].as_array().is_some_and(|rows| !rows.is_empty()));
        assert!(told["data"]["signature"].is_string());
        assert!(text(&answer).starts_with("VERDICT"));
    });
}

#[test]
fn long_answers_come_in_pages_that_hold_all_of_them() {
    with(fixed(), async |client| {
        let first = call(client, "log", json!({})).await;
        let pages = data(&first)["pages"].as_u64().unwrap();
        assert!(pages > 1, "{pages}");
        let mut joined = String::new();
        let mut rows = 0;
        for page in 1..=pages {
            let part = call(client, "log", json!({"page": page})).await;
            let size =
                part.structured_content.as_ref().unwrap()["data"].to_string().len().max(text(&part).len());
            assert!(size <= 24 << 10, "page {page}: {size}");
            joined += text(&part);
            rows += data(&part)["data"]["messages"].as_array().map_or(0, Vec::len);
        }
        let whole = crashlens(&["log"]);
        assert_eq!(joined, whole);
        // a message can have several lines
        assert_eq!(rows, whole.lines().filter(|line| line.starts_with('[')).count());
        let beyond = call(client, "log", json!({"page": pages + 1})).await;
        assert_eq!(beyond.is_error, Some(true));
        let data_alone = call(client, "log", json!({"format": "data", "page": pages})).await;
        assert!(data_alone.content.is_empty());
    });
}

/// What the commands themselves say.
fn crashlens(words: &[&str]) -> String {
    let layers = Layers::open(options(vec![sample()])).unwrap();
    let (mut settings, cancel) = (commands::Settings::default(), Cancel::new());
    let mut sink = |_: &report::Report| std::ops::ControlFlow::Continue(());
    let mut cx = commands::Cx::new(Some(&layers), &mut settings, &cancel, &mut sink);
    let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
    let mut out = Vec::new();
    render::text(&commands::run(&mut cx, &words).unwrap(), render::Colour::Plain, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

/// Words reach the command as they are: nothing is run, nothing is written, nothing is read.
#[test]
fn there_is_no_shell_and_no_file() {
    let folder = std::env::temp_dir().join(format!("crashlens-mcp-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let target = folder.join("made");
    let name = target.to_str().unwrap();
    with(fixed(), async |client| {
        for words in [
            vec!["jiffies", "|", "tee", name],
            vec!["jiffies", ">", name],
            vec![format!("jiffies > {name}").leak() as &str],
            vec![format!("!touch {name}").leak() as &str],
            vec![format!("$(touch {name})").leak() as &str],
        ] {
            let answer = call(client, "sym", json!({"arguments": words})).await;
            assert!(data(&answer)["command"] == "sym" && !target.exists(), "{words:?}");
        }
        for (tool, words) in [
            ("rd", vec!["-p", "-r", name, "1000", "8"]),
            ("dev", vec!["-V", "0", name]),
            ("verdict", vec!["--known", folder.to_str().unwrap()]),
            ("mod", vec!["-s", "virtio_ring", name]),
            ("mod", vec!["-S", folder.to_str().unwrap()]),
        ] {
            let answer = call(client, tool, json!({"arguments": words})).await;
            assert_eq!(answer.is_error, Some(true), "{tool} {words:?}");
        }
        let rd = call(client, "rd", json!({"arguments": ["-p", "-r", name, "1000", "8"]})).await;
        assert!(text(&rd).contains("no file may be named here"), "{}", text(&rd));
        for tool in ["!", "!ls", "sh", "repeat", "exit", "alias", "gdb", "gcore", "open_dump", "log | cat"] {
            assert!(refused(client, tool, json!({})).await.contains("no such tool"), "{tool}");
        }
        assert!(refused(client, "ps", json!({"arguments": "-a"})).await.contains("no array of strings"));
        assert!(refused(client, "ps", json!({"pipe": "cat"})).await.contains("takes no such argument"));
        assert!(refused(client, "ps", json!({"page": 0})).await.contains("no number from 1 on"));
    });
    assert!(std::fs::read_dir(&folder).unwrap().next().is_none());
    std::fs::remove_dir(&folder).unwrap();
}

#[test]
fn a_client_opens_dumps_and_no_other_files() {
    with(Opened::by_client(options(Vec::new())), async |client| {
        let before = call(client, "ps", json!({})).await;
        assert!(
            before.is_error == Some(true) && text(&before).contains("needs an open dump"),
            "{}",
            text(&before)
        );
        assert!(
            text(&call(client, "eval", json!({"arguments": ["1", "+", "1"]})).await).contains("decimal: 2")
        );
        for (file, why) in [
            ("/etc/passwd", "of no dump"),
            ("/etc/passwd@0", "no such file"),
            ("/nosuch", "no such file"),
            ("/etc", "is a folder"),
            ("/dev/null", "is no regular file"),
        ] {
            let answer = call(client, "open_dump", json!({"files": [file]})).await;
            assert!(
                answer.is_error == Some(true) && text(&answer).contains(why),
                "{file}: {}",
                text(&answer)
            );
        }
        let opened = call(client, "open_dump", json!({"files": [sample()]})).await;
        assert_eq!(data(&opened)["command"], "info", "{}", text(&opened));
        assert!(text(&call(client, "verdict", json!({"arguments": ["-b"]})).await).contains("VERDICT"));
        // a file that is none leaves the dump open
        let _ = call(client, "open_dump", json!({"files": ["/etc/passwd"]})).await;
        assert!(text(&call(client, "verdict", json!({"arguments": ["-b"]})).await).contains("VERDICT"));
    });
}

/// Text of the dump that speaks to the assistant stands in the answer's data and nowhere else.
#[test]
fn what_a_log_says_stays_data() {
    let mut k = testkit::kernel::Kernel::new();
    let (tasks, _) = k.old_tasks(3);
    let evil = "ignore your\u{1b}[2J";
    k.set_text(tasks[1], "task_struct", "comm", evil);
    let file = k.file();
    let options = options(vec![file.path().to_owned()]);
    let cancel = options.watch.cancel.clone();
    with(Opened::fixed(Layers::open(options).unwrap(), cancel), async |client| {
        let answer = call(client, "ps", json!({})).await;
        assert!(data(&answer)["data"].to_string().contains("ignore your"), "{}", data(&answer));
        assert!(!text(&answer).contains('\u{1b}') && text(&answer).contains("\\x1b[2J"));
        let told = serde_json::to_string(&client.list_all_tools().await.unwrap()).unwrap();
        assert!(!told.contains("ignore your"));
        let info = client.peer_info().unwrap();
        assert!(!info.instructions.as_ref().unwrap().contains("ignore your"));
    });
}

/// Speaks lines with the server, as a client that sends what it likes.
fn lines(limit: Option<std::time::Duration>, test: impl AsyncFnOnce(&mut Raw)) {
    use tokio::io::AsyncBufReadExt as _;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let ((requests, from), (to, answers)) = (tokio::io::duplex(1 << 16), tokio::io::duplex(1 << 16));
        let server = tokio::spawn(mcp::serve(fixed(), limit, (from, to)));
        let mut raw = Raw { requests, answers: tokio::io::BufReader::new(answers).lines() };
        let begin = json!({"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}});
        raw.ask(&json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": begin}).to_string()).await;
        raw.say(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#).await;
        test(&mut raw).await;
        drop(raw.requests);
        server.await.unwrap().unwrap();
        assert_eq!(raw.answers.next_line().await.unwrap(), None);
    });
}

struct Raw {
    requests: tokio::io::DuplexStream,
    answers: tokio::io::Lines<tokio::io::BufReader<tokio::io::DuplexStream>>,
}

impl Raw {
    async fn say(&mut self, line: &str) {
        use tokio::io::AsyncWriteExt as _;
        self.requests.write_all(format!("{line}\n").as_bytes()).await.unwrap();
    }
    async fn ask(&mut self, line: &str) -> Value {
        self.say(line).await;
        let answer = tokio::time::timeout(std::time::Duration::from_secs(60), self.answers.next_line()).await;
        serde_json::from_str(&answer.unwrap().unwrap().unwrap()).unwrap()
    }
}

/// The codes are those of JSON-RPC 2.0, section 5.1, and of the protocol's page on tools.
#[test]
fn what_is_wrong_has_the_code_of_the_specification() {
    lines(None, async |raw| {
        let long = format!("{{\"x\": \"{}\"}}", "y".repeat(2 << 20));
        for (line, code, id) in [
            ("{not json", -32700, Value::Null),
            (&long, -32600, Value::Null),
            ("[]", -32600, Value::Null),
            (r#"{"jsonrpc":"2.0","id":1}"#, -32600, json!(1)),
            (r#"{"jsonrpc":"2.0","id":2,"method":"no/such"}"#, -32601, json!(2)),
            (r#"{"jsonrpc":"2.0","id":3,"method":"resources/list"}"#, -32601, json!(3)),
            (r#"{"jsonrpc":"2.0","id":4,"method":"tools/call"}"#, -32602, json!(4)),
            (
                r#"{"jsonrpc":"2.0","id":5,"method":"tools/call","params":{"name":"nosuch"}}"#,
                -32602,
                json!(5),
            ),
            (
                r#"{"jsonrpc":"2.0","id":6,"method":"tools/call","params":{"name":"ps","arguments":"-a"}}"#,
                -32602,
                json!(6),
            ),
            (
                r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"ps","arguments":{"arguments":[3]}}}"#,
                -32602,
                json!(7),
            ),
        ] {
            let answer = raw.ask(line).await;
            assert_eq!((&answer["error"]["code"], &answer["id"]), (&json!(code), &id), "{answer}");
            assert_eq!(answer["jsonrpc"], "2.0");
        }
        // a command's own complaint is the tool's answer, and the server goes on
        let call = r#"{"jsonrpc":"2.0","id":"a","method":"tools/call","params":{"name":"ps","arguments":{"arguments":["--no-such"]}}}"#;
        let answer = raw.ask(call).await;
        assert_eq!((&answer["result"]["isError"], &answer["id"]), (&json!(true), &json!("a")), "{answer}");
    });
}

#[test]
fn a_call_that_takes_too_long_is_stopped_and_the_next_is_answered() {
    lines(Some(std::time::Duration::from_millis(300)), async |raw| {
        let long = json!({"arguments": ["-u", "deadbeefdeadbee1", "-s", "ffff800000000000", "-e", "fffffffffffffff0"]});
        let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "search", "arguments": long}});
        let began = std::time::Instant::now();
        let answer = raw.ask(&call.to_string()).await;
        assert!(began.elapsed() < std::time::Duration::from_secs(30));
        let result = &answer["result"];
        assert!(result["isError"] == true || result["structuredContent"]["complete"] == false, "{answer}");
        let next = raw.ask(r#"{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"eval","arguments":{"arguments":["6 * 7"]}}}"#).await;
        assert!(next.to_string().contains("42"), "{next}");
    });
}
