//! `spec/registry.toml` against the constants and lists of the code, both ways.

use std::collections::BTreeSet;
use std::path::Path;

use errbar_codec::Registry;
use errbar_format::{DType, frame, limits, record};
use toml::{Table, Value};

/// The registry as programs read it.
pub const FILE: &str = "spec/registry.toml";

/// One list of the registry in words, an item each.
type Words = BTreeSet<String>;

macro_rules! limits {
    ($($name:ident)*) => {
        Words::from([$(format!("name={} value={}", stringify!($name), limits::$name)),*])
    };
}

/// What the code says under a key of the registry.
fn in_code() -> Vec<(&'static str, Words)> {
    let stages = Registry::core();
    let stage = |name: &str, version: u16| format!("name={name} version={version} page=stages/{name}.md");
    let dtype = |t: &DType| format!("code={} name={} size={} word={}", t.code(), t.name(), t.size(), t.word());
    let bit = |flag: u64| flag.trailing_zeros();
    vec![
        ("frame_kinds", frame::kind::ALL.iter().map(|(code, name)| format!("code={code} name={name}")).collect()),
        ("flags", Words::from([format!("bit={} name=ANCILLARY", bit(frame::ANCILLARY.into()))])),
        ("features", record::feature::ALL.iter().map(|&(flag, name)| format!("bit={} name={name} required=true", bit(flag))).collect()),
        ("dtypes", DType::ALL.iter().map(dtype).collect()),
        (
            "limits",
            limits!(MAX_RECORD MAX_PAYLOAD MAX_BLOCK MAX_PAGE PAGE_TARGET MAX_PATH MAX_DIMS MAX_BOUNDS MAX_TRANSFORMS MAX_PARAMS MAX_NAME MAX_INLINE
                MAX_FILTERS MAX_DIGITS MAX_TEXTS MAX_ROWS MAX_LEVEL MAX_DOCUMENT),
        ),
        ("quantizers", stages.quantizers().iter().map(|s| stage(s.name(), s.version())).collect()),
        ("transforms", stages.transforms().iter().map(|s| stage(s.name(), s.version())).collect()),
        ("coders", stages.coders().iter().map(|s| stage(s.name(), s.version())).collect()),
        ("filters", record::Filter::NAMES.iter().zip(0..).map(|(name, code)| format!("code={code} name={name}")).collect()),
        ("extensions", record::extension::ALL.iter().map(|(tag, record)| format!("name={tag} record={record}")).collect()),
        ("formats", dissectors().map(|name| format!("name={name} page=formats/{name}.md")).collect()),
    ]
}

/// Names of all dissectors; `raw` is made by a policy and stands in no list, some are made by a header
/// beside the file.
fn dissectors() -> impl Iterator<Item = &'static str> {
    errbar_dissect::dissectors().iter().map(|dissector| dissector.name()).chain(["raw"]).chain(errbar_dissect::DESCRIBED_FORMATS)
}

/// A number, flag or text as text.
fn word(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Integer(number) => Some(number.to_string()),
        Value::Boolean(flag) => Some(flag.to_string()),
        _ => None,
    }
}

/// A list's items in words: the fields in this order, whatever the file's.
fn words(list: &Value, fields: &[&str]) -> Option<Words> {
    let item = |item: &Value| {
        let named: Option<Vec<String>> = fields.iter().map(|field| Some(format!("{field}={}", word(item.get(field)?)?))).collect();
        named.map(|named| named.join(" "))
    };
    list.as_array()?.iter().map(item).collect()
}

/// The names of the fields in words such as `code=1 name=HEAD`.
fn fields(words: &Words) -> Vec<&str> {
    words.first().into_iter().flat_map(|first| first.split(' ')).filter_map(|word| word.split('=').next()).collect()
}

/// What stands in only one of registry and code, a line each.
pub fn compare(registry: &Table) -> Vec<String> {
    let mut problems = Vec::new();
    for (key, code) in in_code() {
        let Some(listed) = registry.get(key).and_then(|list| words(list, &fields(&code))) else {
            problems.push(format!("{FILE}: '{key}' is missing, or one of its items lacks a field of: {}", fields(&code).join(", ")));
            continue;
        };
        problems.extend(listed.difference(&code).map(|item| format!("{FILE}: {key}: {item} is not in the code")));
        problems.extend(code.difference(&listed).map(|item| format!("{FILE}: {key}: the code has {item}")));
    }
    problems.extend(constants(registry));
    problems
}

/// The numbers in the registry's `format` table.
fn constants(registry: &Table) -> Vec<String> {
    let hex: String = frame::SYNC.iter().map(|byte| format!("{byte:02x}")).collect();
    let tail = crate::example::archive().frames.last().map_or(0, |(_, prefix)| prefix.frame_len());
    let expected = [
        ("sync", hex),
        ("prefix_len", frame::PREFIX_LEN.to_string()),
        ("record_version", record::RECORD_VERSION.to_string()),
        ("tail_frame_len", tail.to_string()),
    ];
    let found = |key: &str| registry.get("format").and_then(|format| format.get(key)).and_then(word);
    let differs = expected.iter().filter(|(key, value)| found(key).as_ref() != Some(value));
    differs.map(|(key, value)| format!("{FILE}: format.{key} is not {value}")).collect()
}

/// Pages that are missing, and pages of what does not exist.
pub fn pages(registry: &Table) -> Vec<String> {
    let of = |keys: &[&str]| -> BTreeSet<String> {
        let lists = keys.iter().filter_map(|key| registry.get(*key)?.as_array());
        lists.flatten().filter_map(|item| Some(item.get("page")?.as_str()?.to_owned())).collect()
    };
    let mut problems = Vec::new();
    for (folder, keys) in [("stages", &["quantizers", "transforms", "coders"][..]), ("formats", &["formats"])] {
        let listed = of(keys);
        problems
            .extend(listed.iter().filter(|page| !Path::new("spec").join(page).is_file()).map(|page| format!("spec/{page}: no such page")));
        let there = std::fs::read_dir(Path::new("spec").join(folder)).into_iter().flatten().flatten();
        let there = there.map(|item| format!("{folder}/{}", item.file_name().to_string_lossy()));
        problems
            .extend(there.filter(|page| page.ends_with(".md") && !listed.contains(page)).map(|page| format!("spec/{page}: not in {FILE}")));
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sound() -> Table {
        let item = |item: &String| {
            let fields = item.split(' ').filter_map(|word| word.split_once('='));
            let value = |text: &str| match (text.parse(), text) {
                (Ok(number), _) => Value::Integer(number),
                (_, "true") => Value::Boolean(true),
                _ => Value::String(text.to_owned()),
            };
            Value::Table(fields.map(|(key, text)| (key.to_owned(), value(text))).collect())
        };
        let mut table: Table =
            in_code().iter().map(|(key, code)| ((*key).to_owned(), Value::Array(code.iter().map(item).collect()))).collect();
        let format =
            [("sync", "894542410d0a1a0a".into()), ("prefix_len", 48.into()), ("record_version", 1.into()), ("tail_frame_len", 272.into())];
        table.insert("format".into(), Value::Table(format.map(|(key, value)| (key.to_owned(), value)).into_iter().collect()));
        table
    }

    #[test]
    fn both_directions_are_compared() {
        assert_eq!(compare(&sound()), Vec::<String>::new());
        for key in ["frame_kinds", "dtypes", "limits", "coders", "formats", "features", "extensions"] {
            let mut less = sound();
            less.get_mut(key).and_then(Value::as_array_mut).expect("a list").pop();
            assert_eq!(compare(&less).len(), 1, "{key}");
            let mut more = sound();
            let list = more.get_mut(key).and_then(Value::as_array_mut).expect("a list");
            let mut extra = list[0].clone();
            extra.as_table_mut().expect("a table").insert("name".into(), "another".into());
            list.push(extra);
            assert_eq!(compare(&more).len(), 1, "{key}");
            more.remove(key);
            assert_eq!(compare(&more).len(), 1, "{key}");
        }
    }
}
