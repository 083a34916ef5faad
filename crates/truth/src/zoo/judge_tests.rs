//! Verdicts made up for the purpose, and what they are worth.

use serde_json::json;

use super::*;
use crate::zoo::{Line, Told};

fn truth(class: &str, expression: &str, values: &[(&str, &str)]) -> Truth {
    Truth {
        series: "6.1".into(),
        way: "x".into(),
        typed: true,
        class: vec![class.into()],
        places: vec![
            Told { function: "helper".into(), offset: 0x20, exact: true, module: None },
            Told { function: "ring_place".into(), offset: 0x66, exact: false, module: Some("zoo".into()) },
        ],
        mark: Some(Line {
            file: "zoo/a.c".into(),
            lines: vec![64],
            function: "ring_place".into(),
            expression: Some(expression.into()),
        }),
        printed: None,
        values: values.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect(),
        facts: Vec::new(),
    }
}

fn bug() -> Truth {
    truth("bug", "r->used > r->size", &[("r->used", "0x26"), ("r->size", "0x20")])
}

fn condition_of(text: &str, operands: &[(&str, &str)]) -> Value {
    let rows: Vec<Value> =
        operands.iter().map(|(name, value)| json!({"name": name, "text": value})).collect();
    json!({"class": "bug", "condition": {"text": text, "operands": rows}})
}

#[test]
fn a_condition_is_right_in_either_order_and_with_another_base() {
    for (text, operands) in [
        ("BUG_ON(r->used > r->size)", [("r->used", "38"), ("r->size", "32")]),
        ("BUG_ON(r->size < r->used)", [("r->used", "38"), ("r->size", "32")]),
        (
            "BUG_ON(((struct ring *)q)->size < q->used)",
            [("q->used", "38"), ("((struct ring *)q)->size", "32")],
        ),
    ] {
        let said = condition_of(text, &operands);
        assert_eq!(judge(&bug(), &said, State::Modules).cause, Outcome::Right, "{text}");
    }
}

#[test]
fn a_wrong_condition_is_found() {
    for (text, operands) in [
        ("BUG_ON(r->used < r->size)", [("r->used", "38"), ("r->size", "32")]),
        ("BUG_ON(r->used > r->size)", [("r->used", "39"), ("r->size", "32")]),
        ("BUG_ON(r->size < more + r->old)", [("more + r->old", "37"), ("r->size", "32")]),
        ("BUG_ON(r->head > r->size)", [("r->head", "38"), ("r->size", "32")]),
        ("BUG_ON(r->used > r->size)", [("r->used", "38"), ("r->size", "64")]),
    ] {
        let said = condition_of(text, &operands);
        let cause = judge(&bug(), &said, State::Alone).cause;
        assert!(matches!(cause, Outcome::Wrong(_)), "{text} {operands:?}: {cause:?}");
    }
}

#[test]
fn an_error_number_is_told_with_the_pointer_s_value() {
    let truth = truth("bug", "IS_ERR(r->private)", &[("r->private", "0xffffffffffffffed")]);
    let cause = |text: &str, name: &str, value: &str, named: bool| {
        let state = if named { State::Modules } else { State::Alone };
        judge(&Truth { typed: named, ..truth_of(&truth) }, &condition_of(text, &[(name, value)]), state).cause
    };
    let error = "ffffffffffffffed (-19)";
    assert_eq!(cause("BUG_ON(IS_ERR(r->private))", "r->private", error, true), Outcome::Right);
    assert_eq!(cause("BUG_ON(IS_ERR(*(arg1 + 0x38)))", "*(arg1 + 0x38)", error, false), Outcome::Right);
    for (text, name, value) in [
        ("BUG_ON(IS_ERR(*(arg1 + 0x38)))", "*(arg1 + 0x38)", error),
        ("BUG_ON(r->private != 0)", "r->private", error),
        ("BUG_ON(IS_ERR(r->private))", "r->private", "ffffffffffffffee (-18)"),
    ] {
        assert_ne!(cause(text, name, value, true), Outcome::Right, "{text} {value}");
    }
}

/// The same truth again.
fn truth_of(of: &Truth) -> Truth {
    let values: Vec<(&str, &str)> = of.values.iter().map(|(name, value)| (&**name, &**value)).collect();
    truth(&of.class[0], of.mark.as_ref().unwrap().expression.as_ref().unwrap(), &values)
}

#[test]
fn what_is_missing_is_unknown() {
    let cause = |said: &Value, truth: &Truth| judge(truth, said, State::Alone).cause;
    assert!(matches!(cause(&json!({"class": "bug"}), &bug()), Outcome::Unknown(_)));
    let register = condition_of("BUG_ON(r->size < %eax)", &[("%eax", "38"), ("r->size", "32")]);
    assert!(matches!(cause(&register, &bug()), Outcome::Unknown(_)));
    let untyped = Truth { typed: false, ..bug() };
    assert_eq!(cause(&register, &untyped), Outcome::Right);
    let negative = truth("bug", "error < 0", &[("error", "0xffffff92")]);
    let weaker = condition_of("BUG_ON(error != 0)", &[("error", "-110")]);
    assert!(matches!(cause(&weaker, &negative), Outcome::Unknown(_)));
    let other = condition_of("BUG_ON(error != 0)", &[("error", "5")]);
    assert!(matches!(cause(&other, &negative), Outcome::Wrong(_)));
    // the code's own comparison of a field's byte
    let byte = condition_of("BUG_ON(*(arg1 + 0x20) > 167)", &[("*(arg1 + 0x20)", "168")]);
    let field = truth("bug", "c->priority > 20", &[("c->priority", "21")]);
    assert!(matches!(cause(&byte, &field), Outcome::Wrong(_)));
    assert!(matches!(cause(&byte, &Truth { typed: false, ..field }), Outcome::Unknown(_)));
    let mut gone = condition_of("BUG_ON(r->used > r->size)", &[("r->size", "32")]);
    let row = json!({"name": "r->used", "text": {"absent": "gone"}});
    gone["condition"]["operands"].as_array_mut().unwrap().push(row);
    assert!(matches!(cause(&gone, &bug()), Outcome::Unknown(_)));
    let both = truth("bug", "d->users == 0 && d->state > 2", &[("d->users", "0"), ("d->state", "5")]);
    let half = condition_of("BUG_ON(d->state > 2)", &[("d->state", "5")]);
    assert!(matches!(cause(&half, &both), Outcome::Unknown(_)));
    let whole = condition_of("BUG_ON(!d->users && d->state >= 3)", &[("d->state", "5"), ("d->users", "0")]);
    assert_eq!(cause(&whole, &both), Outcome::Right);
}

#[test]
fn an_access_is_held_to_address_and_pointer() {
    let truth = truth("null-pointer", "b->link", &[("b->link", "0x0"), ("address", "0xc")]);
    let said = |text: &str, name: &str, value: &str| json!({"class": "null-pointer", "access": {"text": text, "operands": [{"name": name, "text": value}]}});
    let cause = |said: &Value| judge(&truth, said, State::Alone).cause;
    let text = "read of 4 bytes at 000000000000000c: b->link->speed; b->link is NULL";
    assert_eq!(cause(&said(text, "b->link", "NULL")), Outcome::Right);
    assert_eq!(cause(&said("call of b->link, which is NULL", "b", "12")), Outcome::Right);
    let register = said("read of 4 bytes at 000000000000000c; %rax is NULL", "%rax", "NULL");
    assert!(matches!(cause(&register), Outcome::Unknown(_)));
    let elsewhere = said("read of 4 bytes at 0000000000000010; b->link is NULL", "b->link", "NULL");
    assert!(matches!(cause(&elsewhere), Outcome::Wrong(_)));
    let value = said("read", "b->link", "ff31784242907240");
    let member = self::truth("null-pointer", "b->speed", &[("address", "0xc")]);
    let read = said("read of 4 bytes at 000000000000000c: b->speed; b is NULL", "b", "NULL");
    assert_eq!(judge(&member, &read, State::Alone).cause, Outcome::Right);
    assert!(matches!(cause(&value), Outcome::Wrong(_)));
}

#[test]
fn class_place_and_line_are_compared() {
    let place = |function: &str, offset: u64, module: Option<&str>, line: u64| {
        json!({"class": "bug", "place": {"function": function, "offset": offset, "module": module,
            "file": "zoo/a.c", "line": line}})
    };
    let good = judge(&bug(), &place("ring_place", 0x61, Some("zoo"), 64), State::Modules);
    assert_eq!((good.class, good.place, good.line), (Outcome::Right, Outcome::Right, Outcome::Right));
    let bad = judge(&bug(), &place("ring_place", 0x10, Some("zoo"), 65), State::Modules);
    assert!(matches!((bad.place, bad.line), (Outcome::Wrong(_), Outcome::Wrong(_))));
    assert_eq!(judge(&bug(), &place("helper", 0x20, None, 1), State::Alone).place, Outcome::Right);
    assert!(matches!(judge(&bug(), &place("helper", 0x1f, None, 1), State::Alone).place, Outcome::Wrong(_)));
    let none = judge(&bug(), &json!({"class": "panic"}), State::Modules);
    assert!(matches!(none.class, Outcome::Wrong(_)));
    assert!(matches!((none.place, none.line), (Outcome::Unknown(_), Outcome::Unknown(_))));
    assert_eq!(judge(&bug(), &json!({"class": "bug"}), State::Alone).line, Outcome::NotAsked);
}

#[test]
fn locks_are_held_by_whom_the_truth_says() {
    let mut truth = truth("hung-task", "&to->lock", &[]);
    truth.facts = vec!["waits 100 mutex ff00000000000010".into(), "holds 101 mutex ff00000000000010".into()];
    let said = |owner: u32| {
        let text = format!("a[100] waits for mutex ff00000000000010, held by b[{owner}]");
        json!({"class": "hung-task", "waits": [{"text": text}]})
    };
    assert_eq!(judge(&truth, &said(101), State::Alone).cause, Outcome::Right);
    assert!(matches!(judge(&truth, &said(102), State::Alone).cause, Outcome::Wrong(_)));
    assert!(matches!(judge(&truth, &json!({}), State::Alone).cause, Outcome::Unknown(_)));
}

#[test]
fn the_context_and_the_cache_are_named() {
    let mut truth = truth("out-of-memory", "", &[]);
    truth.facts = vec!["context timer on_timeout".into(), "cache zoo_record".into()];
    let said = json!({"context": [{"text": "timer on_timeout [zoo]"}], "related": [{"text": "slab: zoo_record 80 MiB"}]});
    let judged = judge(&truth, &said, State::Alone);
    assert_eq!((judged.context, judged.cause), (Outcome::Right, Outcome::Right));
    truth.facts = vec!["cache zoo_session".into(), "object ff00000000000010".into()];
    let said = json!({"related": [{"text": "ff00000000000010 is in slab cache kmalloc-64"}]});
    assert!(matches!(judge(&truth, &said, State::Alone).cause, Outcome::Wrong(_)));
}
