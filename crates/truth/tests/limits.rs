//! `verdict` under limits, on ten deaths: what is said at 10, 25 and 50 % of the need, in time and in memory, is a part of
//! what the full run says, and is marked.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::time::{Duration, Instant};

use crashlens_truth::State;
use crashlens_truth::program::run_whatever;
use crashlens_truth::zoo::{ZooCase, zoo};
use serde_json::Value;

/// Deaths that are asked.
const DEATHS: usize = 10;

/// One run: exit code, the line of JSON, how long it took.
fn ask(case: &ZooCase, options: &[String]) -> (i32, Value, Duration) {
    let files = case.files(State::Alone).into_iter().map(|file| file.display().to_string());
    let first = ["--json", "--no-search"].map(str::to_owned);
    let args: Vec<String> =
        first.into_iter().chain(options.iter().cloned()).chain(["verdict".to_owned()]).chain(files).collect();
    let began = Instant::now();
    let (code, out, err) = run_whatever(&args).unwrap();
    let answer = serde_json::from_str(out.trim()).unwrap_or_else(|e| panic!("{e}: {out}{err}"));
    (code, answer, began.elapsed())
}

/// True where all that `part` says is said by `whole`; what is about the answer itself aside.
fn is_part(part: &Value, whole: &Value) -> bool {
    match (part, whole) {
        (Value::Object(part), Value::Object(whole)) => part
            .iter()
            .filter(|(key, _)| !matches!(key.as_str(), "partial" | "notes" | "lacks"))
            .all(|(key, value)| whole.get(key).is_some_and(|whole| is_part(value, whole))),
        (Value::Array(part), Value::Array(whole)) => {
            part.iter().all(|value| whole.iter().any(|whole| is_part(value, whole)))
        }
        (part, whole) => part == whole,
    }
}

#[test]
fn what_is_known_by_then_is_a_part_of_the_whole() {
    let cases = zoo().unwrap();
    let (mut partial, mut nothing, mut whole_runs) = (0, 0, 0);
    for case in cases.iter().take(DEATHS) {
        let (_, whole, need) = ask(case, &[]);
        let whole = whole.get("data").unwrap();
        for percent in [10, 25, 50] {
            let time = need.as_millis() * percent / 100;
            // a dump of some hundred MB is read with some ten MB
            let memory = 40 * percent / 100;
            for limit in [
                ["--time-limit".to_owned(), format!("{time}ms")],
                ["--memory-limit".to_owned(), format!("{memory}M")],
            ] {
                let (code, answer, _) = ask(case, &limit);
                match answer.get("data") {
                    None => {
                        assert_eq!(code, 4, "{} {limit:?}: {answer}", case.name);
                        assert!(answer["error"].as_str().unwrap().contains("limit of"), "{answer}");
                        nothing += 1;
                    }
                    Some(data) if data.get("partial").is_some() => {
                        assert!(matches!(code, 3 | 4), "{} {limit:?}: {code}", case.name);
                        assert!(
                            is_part(data, whole),
                            "{} {limit:?}: {data}\nis no part of\n{whole}",
                            case.name
                        );
                        partial += 1;
                    }
                    Some(data) => {
                        assert_eq!(data, whole, "{} {limit:?}", case.name);
                        whole_runs += 1;
                    }
                }
            }
        }
    }
    println!(
        "{partial} partial answers, {nothing} errors, {whole_runs} whole answers, of {} deaths",
        cases.len().min(DEATHS)
    );
}
