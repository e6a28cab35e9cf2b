//! The published form of a result against real ones: nothing in them that it does not name, nothing missing.

use clap::Parser;
use forebay_loadtest::load::{Options, measure};
use serde_json::Value;

use crate::fake::{self, Fault};

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    options: Options,
}

const SCHEMA: &str = include_str!("../../../docs/load-result.schema.json");

/// The part of JSON Schema that the published form is written in; what it does not know, it refuses.
fn check(root: &Value, schema: &Value, value: &Value, at: &str, wrong: &mut Vec<String>) {
    const KNOWN: [&str; 12] = [
        "$ref",
        "type",
        "properties",
        "required",
        "additionalProperties",
        "items",
        "enum",
        "description",
        "const",
        "minItems",
        "maxItems",
        "title",
    ];
    for word in schema.as_object().into_iter().flat_map(|schema| schema.keys()) {
        let at_root = ["$schema", "$id", "$defs"].contains(&word.as_str()) && at == "$";
        assert!(KNOWN.contains(&word.as_str()) || at_root, "{at}: the test does not know {word}");
    }
    if let Some(name) = schema["$ref"].as_str() {
        let name = name.strip_prefix("#/$defs/").expect("a reference within the file");
        return check(root, &root["$defs"][name], value, at, wrong);
    }
    let types: Vec<&str> = match &schema["type"] {
        Value::String(one) => vec![one],
        Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
        _ => panic!("{at}: a type is needed"),
    };
    let is = |name: &str| match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_u64() || value.is_i64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        other => panic!("{at}: no type {other}"),
    };
    if !types.iter().any(|name| is(name)) {
        wrong.push(format!("{at}: {value} is not {types:?}"));
    }
    if let Some(allowed) = schema["enum"].as_array()
        && !allowed.contains(value)
    {
        wrong.push(format!("{at}: {value} is none of {allowed:?}"));
    }
    if schema.get("const").is_some_and(|only| only != value) {
        wrong.push(format!("{at}: {value} is not {}", schema["const"]));
    }
    for required in schema["required"].as_array().into_iter().flatten() {
        let name = required.as_str().expect("a name");
        if value.is_object() && value.get(name).is_none() {
            wrong.push(format!("{at}: {name} is missing"));
        }
    }
    for (name, inner) in value.as_object().into_iter().flatten() {
        let below = format!("{at}.{name}");
        match (schema["properties"].get(name), &schema["additionalProperties"]) {
            (Some(schema), _) => check(root, schema, inner, &below, wrong),
            (None, rest @ Value::Object(_)) => check(root, rest, inner, &below, wrong),
            (None, _) => wrong.push(format!("{below}: not in the published form")),
        }
    }
    for (n, inner) in value.as_array().into_iter().flatten().enumerate() {
        check(root, &schema["items"], inner, &format!("{at}[{n}]"), wrong);
    }
}

fn wrong(document: &Value) -> Vec<String> {
    let schema: Value = serde_json::from_str(SCHEMA).expect("the schema is JSON");
    let mut wrong = Vec::new();
    check(&schema, &schema, document, "$", &mut wrong);
    wrong
}

#[tokio::test]
async fn real_results_have_the_published_form_and_others_do_not() {
    let directory = tempfile::tempdir().unwrap();
    let before = directory.path().join("before.json");
    let mut documents = Vec::new();
    for (fault, more) in [(Fault::None, ""), (Fault::Oversells, "--baseline")] {
        let address = fake::start(20, fault).await;
        let more =
            if more.is_empty() { String::new() } else { format!("{more} {}", before.display()) };
        let line = format!(
            "load open-spike --target http://{address} --admin http://{address} --sale demo --buyers 60 \
             --rate 500/s --threshold errors<1% {more}"
        );
        let options = Line::parse_from(line.split_whitespace()).options;
        let document = serde_json::to_value(measure(&options).await.unwrap().document).unwrap();
        std::fs::write(&before, document.to_string()).unwrap();
        documents.push(document);
    }
    for document in &documents {
        assert_eq!(wrong(document), [] as [String; 0]);
    }
    let mut bad = documents.remove(1);
    bad["rates"]["answers"] = "many".into();
    bad["more"] = 1.into();
    bad.as_object_mut().unwrap().remove("seed");
    assert_eq!(wrong(&bad).len(), 3, "{:?}", wrong(&bad));
}
