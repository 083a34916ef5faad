//! Answers of `verdict` of several versions of its JSON, by what they mean.
//!
//! Version 2 calls an operand's value in C's spelling `value` and its bytes `number`; version 3 calls them `text` and
//! `value`. Version 2 leaves out an expression that is none in C, 3 has `null`. Instructions stand beside the condition in
//! 2, and within it in 3. What only 3 has (the kind of a cause, where a value is, what a statement is about) is not
//! compared with 2.

use serde_json::{Map, Value, json};

/// Two answers as they can be compared: as they are, or, where they are verdicts of different versions, what both have.
pub(super) fn alike(line: &str, old: Value, new: Value) -> (Value, Value) {
    let version = |data: &Value| data.get("schema").and_then(Value::as_u64);
    match line.split(' ').next() {
        Some("verdict") if version(&old) != version(&new) => (meaning(&old), meaning(&new)),
        _ => (old, new),
    }
}

/// Class, place, each expression with its value, each statement with its evidence.
fn meaning(data: &Value) -> Value {
    let mut out = Map::new();
    for key in ["class", "determined", "headline", "place", "signature", "source", "objects", "undetermined"]
    {
        out.extend(data.get(key).map(|value| (key.to_owned(), value.clone())));
    }
    for key in ["condition", "access"] {
        let Some(cause) = data.get(key).filter(|cause| !cause.is_null()) else { continue };
        out.insert(key.to_owned(), self::cause(cause));
        let code = cause.get("code").or_else(|| data.get("code"));
        out.extend(code.map(|code| ("code".to_owned(), code.clone())));
    }
    for key in ["context", "module", "waits", "related", "history", "known", "evidence"] {
        let rows = data.get(key).and_then(Value::as_array).into_iter().flatten();
        let rows: Vec<Value> = rows.map(|row| some(row, &["text", "how", "commands"])).collect();
        out.insert(key.to_owned(), Value::Array(rows));
    }
    // `verdict -b`
    for key in ["values", "condition", "access"] {
        out.extend(data.get(key).filter(|v| v.is_string()).map(|value| (key.to_owned(), value.clone())));
    }
    Value::Object(out)
}

/// The members of these names.
fn some(row: &Value, keys: &[&str]) -> Value {
    keys.iter().filter_map(|key| Some(((*key).to_owned(), row.get(*key)?.clone()))).collect()
}

/// A condition or an access.
fn cause(cause: &Value) -> Value {
    let rows = cause.get("operands").and_then(Value::as_array).into_iter().flatten().map(operand);
    json!({
        "text": cause.get("text"),
        "how": cause.get("how"),
        "confirmed": cause.get("confirmed"),
        "operands": rows.collect::<Vec<_>>(),
    })
}

/// An operand, as version 3 names its members.
fn operand(row: &Value) -> Value {
    let is_old = row.get("text").is_none();
    let (text, value) = if is_old { ("value", "number") } else { ("text", "value") };
    let absent = |value: Option<&Value>| value.is_none_or(|value| value.is_null() || value.is_object());
    let number = row.get(value).filter(|value| !absent(Some(value)));
    json!({
        "name": row.get("name"),
        "expr": row.get("expr"),
        "text": row.get(text).filter(|text| !absent(Some(text))),
        "value": number,
        "where": row.get("where"),
        "how": row.get("how"),
        "commands": row.get("commands"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_versions_of_one_verdict_are_alike() {
        let old = json!({
            "schema": 2, "class": "bug", "code": [{"text": "+1 cmp"}],
            "condition": {"text": "BUG_ON(a > 3)", "how": "dwarf", "confirmed": true, "expr": "a > 3", "operands": [
                {"name": "a", "value": "4", "where": "%rax", "expr": "a", "number": "0x4", "how": "dwarf", "commands": []},
                {"name": "b", "value": {"absent": "gone"}, "where": "", "how": "dwarf", "commands": []},
            ]},
            "waits": [{"text": "dd[7] waits", "how": "decoded", "commands": ["bt 7"]}],
        });
        let new = json!({
            "schema": 3, "class": "bug", "cause": "assertion",
            "condition": {"text": "BUG_ON(a > 3)", "how": "dwarf", "confirmed": true, "expr": "a > 3", "operands": [
                {"name": "a", "text": "4", "where": "%rax", "expr": "a", "value": "0x4", "at": {"frame": 3}, "how": "dwarf", "commands": []},
                {"name": "b", "text": {"absent": "gone"}, "where": "", "expr": null, "value": {"absent": "gone"}, "how": "dwarf", "commands": []},
            ], "code": [{"text": "+1 cmp"}]},
            "waits": [{"text": "dd[7] waits", "kind": "waits", "subject": "dd[7]", "how": "decoded", "commands": ["bt 7"]}],
        });
        let (one, other) = alike("verdict -v", old.clone(), new.clone());
        assert_eq!(one, other);
        let mut changed = new;
        changed["condition"]["operands"][0]["value"] = json!("0x5");
        let (one, other) = alike("verdict", old.clone(), changed);
        assert_ne!(one, other);
        assert_eq!(alike("sys", old.clone(), json!(1)), (old, json!(1)), "other commands are left alone");
    }
}
