//! The JSON Schema of a trace, and the tables of its fields: `docs/trace.schema.json`, `docs/trace-fields.md`.

use std::fmt::Write as _;

use serde_json::{Map, Value};

use super::format::Line;

/// The definitions that are lines, in the order of a trace, and their headings.
const LINES: [(&str, &str); 6] = [
    ("header", "Header"),
    ("reading", "Reading"),
    ("Event", "Event"),
    ("Note", "Notes"),
    ("summary", "Summary"),
    ("footer", "Footer"),
];

/// A part of an event, not of another line.
const CHANGE: &str = "Change";

fn schema() -> Value {
    schemars::schema_for!(Line).to_value()
}

/// The schema of a line, as text with an end of line.
#[must_use]
pub fn text() -> String {
    serde_json::to_string_pretty(&schema()).unwrap_or_default() + "\n"
}

/// The page about the fields, in Markdown.
#[must_use]
pub fn page() -> String {
    let schema = schema();
    let mut page = String::from(
        "# The fields of a trace\n\n\
         <!-- Made from the types in probe-cli/src/: UPDATE_DOCS=1 cargo test -p walkprobe trace::schema -->\n\n\
         What a trace is, and what its lines mean together, is in [trace.md](trace.md). The same as JSON Schema: \
         [trace.schema.json](trace.schema.json), or `walkprobe schema`. An address is a text, `0x` and hexadecimal digits.\n",
    );
    let empty = Map::new();
    let definitions = schema["$defs"].as_object().unwrap_or(&empty);
    for (name, heading) in LINES {
        if let Some(definition) = definitions.get(name) {
            section(&mut page, heading, definition, definitions);
        }
    }
    page.push_str("\n# Parts of lines\n");
    let is_part = |name: &str| name != CHANGE && LINES.iter().all(|(line, _)| *line != name);
    for (name, definition) in definitions.iter().filter(|(name, _)| is_part(name)) {
        section(&mut page, name, definition, definitions);
    }
    page
}

fn section(page: &mut String, heading: &str, of: &Value, definitions: &Map<String, Value>) {
    let _ = write!(page, "\n## {heading}\n\n{}\n", description(of));
    if of["properties"].is_object() {
        table(page, of);
    }
    for variant in variants(of) {
        if variant["$ref"] == format!("#/$defs/{CHANGE}") {
            for change in definitions.get(CHANGE).into_iter().flat_map(variants) {
                kind(page, change, definitions);
            }
        } else if variant["properties"]["kind"].is_object() {
            kind(page, variant, definitions);
        } else {
            let name = variant["const"].as_str().map(|name| format!("`{name}`"));
            let name = name.unwrap_or_else(|| of_type(variant));
            let _ = write!(page, "\n- {name}: {}", description(variant));
        }
    }
    if let Some(names) = of["enum"].as_array() {
        let names: Vec<_> = names.iter().map(Value::to_string).collect();
        let _ = write!(page, "\nOne of {}.", names.join(", "));
    }
    if !page.ends_with('\n') {
        page.push('\n');
    }
}

/// A kind of line among others.
fn kind(page: &mut String, of: &Value, definitions: &Map<String, Value>) {
    let name = of["properties"]["kind"]["const"].as_str().unwrap_or_default();
    let _ = write!(page, "\n### `{name}`\n\n{}\n", description(of));
    table(page, of);
    // A structure in the place of fields.
    let inner = of["$ref"].as_str().and_then(|path| definitions.get(path.rsplit('/').next()?));
    if let Some(inner) = inner {
        table(page, inner);
    }
}

fn variants(of: &Value) -> impl Iterator<Item = &Value> {
    ["oneOf", "anyOf"].into_iter().filter_map(|key| of[key].as_array()).flatten()
}

/// The fields, those first that are always there.
fn table(page: &mut String, of: &Value) {
    let required = of["required"].as_array();
    let is_required = |name: &str| required.is_some_and(|all| all.iter().any(|one| one == name));
    let Some(fields) = of["properties"].as_object() else { return };
    let mut fields: Vec<_> =
        fields.iter().filter(|(_, field)| field["const"].is_null() || fields.len() == 1).collect();
    if fields.iter().all(|(name, _)| *name == "kind") {
        return;
    }
    fields.sort_by_key(|(name, _)| !is_required(name));
    page.push_str("\n| field | is | meaning |\n|---|---|---|\n");
    for (name, field) in fields {
        let absent = if is_required(name) { "" } else { ", may be absent" };
        let meaning = description(field).replace('|', "\\|");
        let _ = writeln!(page, "| `{name}` | {}{absent} | {meaning} |", of_type(field));
    }
}

fn description(of: &Value) -> String {
    of["description"].as_str().unwrap_or_default().replace('\n', " ")
}

/// What a value is, in a few words.
fn of_type(of: &Value) -> String {
    if let Some(path) = of["$ref"].as_str() {
        let name = path.rsplit('/').next().unwrap_or_default();
        return format!("[{name}](#{})", name.to_lowercase());
    }
    if let Some(inner) = variants(of).find(|inner| inner["type"] != "null") {
        return of_type(inner);
    }
    if of["enum"].is_array() {
        return "the name of a probe".to_owned();
    }
    let types = match &of["type"] {
        Value::Array(all) => all.iter().filter_map(Value::as_str).find(|name| *name != "null"),
        one => one.as_str(),
    };
    match types {
        Some("string") if of["pattern"].is_string() => "address".to_owned(),
        Some("string") => "text".to_owned(),
        Some("boolean") => "true or false".to_owned(),
        Some("array") if of["prefixItems"].is_array() => "two addresses".to_owned(),
        Some("array") => format!("list of {}", of_type(&of["items"])),
        Some("object") if of["additionalProperties"].is_object() => {
            format!("by name: {}", of_type(&of["additionalProperties"]))
        }
        Some("object") => {
            let fields = of["properties"].as_object().into_iter().flatten();
            let fields: Vec<_> =
                fields.map(|(name, field)| format!("`{name}`: {}", of_type(field))).collect();
            fields.join(", ")
        }
        Some(other) => other.to_owned(),
        None => "anything".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{page, text};

    fn is_up_to_date(name: &str, made: &str) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(name);
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(&path, made).unwrap();
        }
        let written = std::fs::read_to_string(&path).unwrap_or_default();
        let cure = "UPDATE_DOCS=1 cargo test -p walkprobe trace::schema rewrites it";
        assert!(written == made, "docs/{name} is out of date: {cure}");
    }

    #[test]
    fn the_schema_in_the_documentation_is_that_of_the_types() {
        is_up_to_date("trace.schema.json", &text());
    }

    #[test]
    fn the_tables_in_the_documentation_are_those_of_the_types() {
        is_up_to_date("trace-fields.md", &page());
    }
}
