//! What a value of JSON may be, as it was seen; it only grows.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{TABLES, VALUES};

/// The member that any object may have.
const NOTES: &str = "notes";

/// What a value may be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shape {
    /// `null`, `boolean`, `integer`, `number`, `string`, `array`, `object`.
    types: Vec<String>,
    /// It may be absent, with a reason.
    absent: bool,
    /// Of an object: its members.
    members: BTreeMap<String, Shape>,
    /// Of an object that is a table: what each of its values may be.
    table: Option<Box<Shape>>,
    /// Of an array: what each of its items may be.
    items: Option<Box<Shape>>,
    /// Of any shape: a value of C.
    any: bool,
}

impl Shape {
    /// Adds what a value is.
    pub fn learn(&mut self, value: &Value) {
        if self.any {
            return;
        }
        match value {
            Value::Object(object) if is_absent(object) => self.absent = true,
            Value::Object(object) => {
                self.add("object");
                if is_symbol(object) {
                    self.add("string");
                }
                for (key, value) in object.iter().filter(|(key, _)| *key != NOTES) {
                    let member = self.members.entry(key.clone()).or_default();
                    if VALUES.contains(&key.as_str()) {
                        *member = Self { any: true, ..Self::default() };
                        continue;
                    }
                    match (value, TABLES.contains(&key.as_str())) {
                        (Value::Object(table), true) if !is_absent(table) => member.learn_table(table),
                        _ => member.learn(value),
                    }
                }
            }
            Value::Array(items) => {
                self.add("array");
                let shape = self.items.get_or_insert_with(Box::default);
                items.iter().for_each(|item| shape.learn(item));
            }
            Value::Null => self.add("null"),
            Value::Bool(_) => self.add("boolean"),
            Value::Number(n) => self.add(if n.is_f64() { "number" } else { "integer" }),
            Value::String(_) => self.add("string"),
        }
    }

    /// Adds the members of an object of which each may be of any shape.
    pub fn learn_head(&mut self, value: &Value) {
        self.add("object");
        for key in value.as_object().iter().flat_map(|object| object.keys()) {
            self.members.entry(key.clone()).or_default().any = true;
        }
    }

    fn learn_table(&mut self, table: &Map<String, Value>) {
        self.add("object");
        self.members.clear();
        let shape = self.table.get_or_insert_with(Box::default);
        table.values().for_each(|value| shape.learn(value));
    }

    /// A value of one piece may be missing, or be nothing, in any dump, whether or not one was seen that is so.
    fn add(&mut self, kind: &str) {
        if kind != "object" && kind != "array" {
            self.absent = true;
            self.add_one("null");
        }
        self.add_one(kind);
    }

    fn add_one(&mut self, kind: &str) {
        if !self.types.iter().any(|known| known == kind) {
            self.types.push(kind.to_owned());
            self.types.sort();
        }
    }

    /// As a schema.
    #[must_use]
    pub fn schema(&self) -> Value {
        if self.any {
            return json!({});
        }
        let mut own = Map::new();
        match self.types.as_slice() {
            [] => {}
            [one] => drop(own.insert("type".into(), json!(one))),
            several => drop(own.insert("type".into(), json!(several))),
        }
        if self.types.iter().any(|kind| kind == "object") {
            let mut members: Map<String, Value> =
                self.members.iter().map(|(key, shape)| (key.clone(), shape.schema())).collect();
            members.insert(NOTES.into(), json!({ "$ref": "#/$defs/notes" }));
            own.insert("properties".into(), Value::Object(members));
            let others = self.table.as_ref().map_or(Value::Bool(false), |table| table.schema());
            own.insert("additionalProperties".into(), others);
        }
        if let Some(items) = &self.items {
            own.insert("items".into(), items.schema());
        }
        let absent = json!({ "$ref": "#/$defs/absent" });
        match (self.absent, self.types.is_empty()) {
            (true, true) => absent,
            (true, false) => json!({ "anyOf": [Value::Object(own), absent] }),
            (false, _) => Value::Object(own),
        }
    }

    /// From a schema that [`Self::schema`] wrote.
    #[must_use]
    pub fn of_schema(schema: &Value) -> Self {
        let is_ref = |value: &Value| value.get("$ref").is_some();
        let own = match schema.get("anyOf").and_then(Value::as_array) {
            Some(all) => all.iter().find(|one| !is_ref(one)).unwrap_or(&Value::Null),
            None => schema,
        };
        let absent = is_ref(schema) || schema.get("anyOf").is_some();
        let mut out = Self { absent, ..Self::default() };
        if is_ref(own) {
            return out;
        }
        match own.get("type") {
            Some(Value::String(one)) => out.add(one),
            Some(Value::Array(all)) => all.iter().filter_map(Value::as_str).for_each(|kind| out.add(kind)),
            // an empty list's items have none either, and are learnt when one comes
            _ => out.any = !absent && own.as_object().is_some_and(Map::is_empty),
        }
        if let Some(members) = own.get("properties").and_then(Value::as_object) {
            let members = members.iter().filter(|(key, _)| *key != NOTES);
            out.members = members.map(|(key, value)| (key.clone(), Self::of_schema(value))).collect();
        }
        out.table = own
            .get("additionalProperties")
            .filter(|table| table.is_object())
            .map(|t| Box::new(Self::of_schema(t)));
        out.items = own.get("items").map(|items| Box::new(Self::of_items(items)));
        out
    }

    /// The same of what may not have been seen yet: an answer, items of a list that was always empty.
    #[must_use]
    pub fn of_items(schema: &Value) -> Self {
        let shape = Self::of_schema(schema);
        if shape.any { Self::default() } else { shape }
    }
}

/// `{"name": …, "offset": …}`: where no symbol covers an address, the address stands there.
fn is_symbol(object: &Map<String, Value>) -> bool {
    ["name", "offset"].iter().all(|key| object.contains_key(*key))
        && object.keys().all(|key| ["name", "offset", "size", "module"].contains(&key.as_str()))
}

/// `{"absent": …}`, perhaps with `at_least`.
fn is_absent(object: &Map<String, Value>) -> bool {
    object.get("absent").is_some_and(Value::is_string)
        && object.keys().all(|key| key == "absent" || key == "at_least")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shape_grows_and_is_the_same_after_it_was_written() {
        let mut shape = Shape::default();
        for value in [
            json!({"n": 1, "rows": [], "at": "0x1"}),
            json!({"n": {"absent": "why"}, "rows": [{"x": true}, {"x": null, "y": 1.5}], "counts": {"cpu0": 1}}),
        ] {
            shape.learn(&value);
            assert_eq!(Shape::of_schema(&shape.schema()), shape, "{}", shape.schema());
        }
        let schema = shape.schema();
        let n = json!({"anyOf": [{"type": ["integer", "null"]}, {"$ref": "#/$defs/absent"}]});
        assert_eq!(schema.pointer("/properties/n"), Some(&n));
        assert_eq!(schema.pointer("/properties/counts/additionalProperties"), Some(&n));
        assert_eq!(
            schema.pointer("/properties/rows/items/properties/x/anyOf/0/type"),
            Some(&json!(["boolean", "null"]))
        );
        assert_eq!(schema.pointer("/properties/rows/items/additionalProperties"), Some(&json!(false)));
        assert_eq!(schema.pointer("/properties/notes/$ref"), Some(&json!("#/$defs/notes")));
    }
}
