//! Every stack of every dump: frames go on to where the kernel's stacks end, and none of them is a guess.

use crashlens_truth::{corpus, program};
use serde_json::Value;

/// Where the stacks of kernel threads and of idle tasks end: code that nothing called.
const BOTTOMS: [&str; 4] =
    ["ret_from_fork", "secondary_startup_64", "common_startup_64", "x86_64_start_kernel"];

#[test]
fn every_stack_is_unwound_to_its_end() {
    let cases = corpus().unwrap();
    if cases.is_empty() {
        eprintln!("no corpus: no stack was unwound; `cargo xtask corpus` builds it");
    }
    let mut wrong = Vec::new();
    for case in &cases {
        for files in case.dumps() {
            let mut args: Vec<String> =
                ["--json", "--no-search", "-c", "foreach bt"].map(String::from).into();
            args.extend(files.iter().map(|file| file.display().to_string()));
            let (_, out, complaints) = program::run(&args).unwrap();
            let mut stacks = Vec::new();
            for line in out.lines() {
                collect(&serde_json::from_str(line).unwrap_or(Value::Null), &mut stacks);
            }
            let at = format!("{} {}", case.name, files.first().unwrap().display());
            if stacks.len() < 20 {
                wrong.push(format!("{at}: {} stacks: {complaints}", stacks.len()));
            }
            wrong.extend(stacks.iter().filter_map(|stack| Some(format!("{at}: {}", fault(stack)?))));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The backtraces in a report, wherever they stand.
fn collect(value: &Value, out: &mut Vec<Value>) {
    match value {
        Value::Object(fields) if fields.contains_key("stopped") && fields.contains_key("start") => {
            out.push(value.clone());
        }
        Value::Object(fields) => fields.values().for_each(|v| collect(v, out)),
        Value::Array(all) => all.iter().for_each(|v| collect(v, out)),
        _ => {}
    }
}

/// What is wrong with a stack.
fn fault(stack: &Value) -> Option<String> {
    let text = |v: &Value, name: &str| v.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let frames = stack.get("frames").and_then(Value::as_array).cloned().unwrap_or_default();
    let name = |frame: &Value| text(frame.get("function").unwrap_or(&Value::Null), "name");
    let last = frames.last().map(name).unwrap_or_default();
    let why = match text(stack, "stopped").as_str() {
        "entered from user mode" => None,
        "end of stack" if BOTTOMS.iter().any(|bottom| last.starts_with(bottom)) => None,
        "end of stack" => Some(format!("ends in {last}")),
        other => Some(other.to_owned()),
    };
    // what ran without registers in the dump begins somewhere on its stack
    let is_searched = text(stack, "start") == "lowest return address on the stack";
    let guess = frames.iter().find(|f| !is_searched && text(f, "how") == "Scan");
    let guessed = guess.map(|f| format!("{} is a guess", name(f)));
    let why = why.or(guessed)?;
    Some(format!("{} {}: {why}", stack.get("pid").unwrap_or(&Value::Null), text(stack, "command")))
}
