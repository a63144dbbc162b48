//! Lays the sources over each other: a later scalar replaces, a list is appended to, a map merged.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use super::key::{self, Key, Support};
use super::runtime::{Definition, Unsupported};
use super::schema::Setting;

/// What all sources together say.
#[derive(Clone, Debug, Default)]
pub(crate) struct Settings {
    by_path: BTreeMap<&'static str, Merged>,
    definitions: BTreeMap<&'static str, Vec<Definition>>,
    unsupported: Vec<Unsupported>,
}

#[derive(Clone, Debug)]
struct Merged {
    /// Who had the last word.
    origin: String,
    setting: Setting,
}

impl Settings {
    /// Lay `settings` over what there is.
    pub(crate) fn add(&mut self, origin: &str, settings: Vec<(&'static Key, Setting)>) {
        for (key, setting) in settings {
            self.note_unsupported(origin, key, &setting);
            if let Setting::Blocks(blocks) = setting {
                let definition = |value| Definition { origin: origin.to_owned(), value };
                let definitions = self.definitions.entry(key.path).or_default();
                definitions.extend(blocks.into_iter().map(definition));
                continue;
            }
            let setting = match self.by_path.remove(key.path) {
                Some(before) => over(before.setting, setting),
                None => setting,
            };
            self.by_path.insert(key.path, Merged { origin: origin.to_owned(), setting });
        }
    }

    /// Who had the last word about `path`.
    pub(crate) fn origin(&self, path: &str) -> &str {
        self.by_path.get(path).map_or("the defaults", |it| it.origin.as_str())
    }

    pub(crate) fn flag(&self, path: &str) -> Option<bool> {
        let Setting::Bool(flag) = self.setting(path)? else { panic!("{path} is no flag") };
        Some(*flag)
    }

    pub(crate) fn int(&self, path: &str) -> Option<i64> {
        let Setting::Int(int) = self.setting(path)? else { panic!("{path} is no number") };
        Some(*int)
    }

    pub(crate) fn text(&self, path: &str) -> Option<&str> {
        let Setting::Text(text) = self.setting(path)? else { panic!("{path} is no text") };
        Some(text)
    }

    /// Like [`text`](Self::text), but an empty text says nothing.
    pub(crate) fn some_text(&self, path: &str) -> Option<&str> {
        self.text(path).filter(|it| !it.is_empty())
    }

    pub(crate) fn span(&self, path: &str) -> Option<Duration> {
        let Setting::Duration(span) = self.setting(path)? else { panic!("{path} is no duration") };
        Some(*span)
    }

    pub(crate) fn texts(&self, path: &str) -> Vec<String> {
        let Some(setting) = self.setting(path) else { return Vec::new() };
        let Setting::Texts(texts) = setting else { panic!("{path} is no list") };
        texts.clone()
    }

    pub(crate) fn text_map(&self, path: &str) -> BTreeMap<String, String> {
        let Some(setting) = self.setting(path) else { return BTreeMap::new() };
        let Setting::TextMap(map) = setting else { panic!("{path} is no map of texts") };
        map.clone()
    }

    pub(crate) fn span_map(&self, path: &str) -> BTreeMap<String, Duration> {
        let Some(setting) = self.setting(path) else { return BTreeMap::new() };
        let Setting::DurationMap(map) = setting else { panic!("{path} is no map of durations") };
        map.clone()
    }

    pub(crate) fn definitions(&self, path: &str) -> &[Definition] {
        self.definitions.get(path).map_or(&[], Vec::as_slice)
    }

    pub(crate) fn unsupported(&self) -> &[Unsupported] {
        &self.unsupported
    }

    /// The keys that a running agent does not hear again, and what they say.
    pub(crate) fn fixed(&self) -> BTreeMap<&'static str, Setting> {
        let is_fixed =
            |path: &&str| key::find(path).is_some_and(|it| it.support == Support::Honoured);
        let fixed = self.by_path.iter().filter(|(path, _)| is_fixed(path));
        fixed.map(|(path, it)| (*path, it.setting.clone())).collect()
    }

    fn setting(&self, path: &str) -> Option<&Setting> {
        debug_assert!(key::find(path).is_some_and(|it| it.path == path), "no such key: {path}");
        self.by_path.get(path).map(|it| &it.setting)
    }

    fn note_unsupported(&mut self, origin: &str, key: &Key, setting: &Setting) {
        let security = match key.support {
            Support::Honoured | Support::Reloaded | Support::Moot => return,
            Support::Ignored => false,
            Support::Unguarded => true,
        };
        // Who switches something off that is not there gets what they want.
        if !asks_for_nothing(setting) {
            let (origin, key) = (origin.to_owned(), key.path.to_owned());
            self.unsupported.push(Unsupported { origin, key, security });
        }
    }
}

fn over(before: Setting, after: Setting) -> Setting {
    match (before, after) {
        (Setting::Texts(mut all), Setting::Texts(more)) => {
            all.extend(more);
            Setting::Texts(all)
        }
        (Setting::TextMap(mut all), Setting::TextMap(more)) => {
            all.extend(more);
            Setting::TextMap(all)
        }
        (Setting::DurationMap(mut all), Setting::DurationMap(more)) => {
            all.extend(more);
            Setting::DurationMap(all)
        }
        (_, after) => after,
    }
}

fn asks_for_nothing(setting: &Setting) -> bool {
    match setting {
        Setting::Bool(it) => !it,
        Setting::Int(it) => *it <= 0,
        Setting::Float(it) => *it <= 0.0,
        Setting::Text(it) => it.is_empty(),
        Setting::Duration(it) => it.is_zero(),
        Setting::Texts(it) => it.is_empty(),
        Setting::TextMap(it) => it.is_empty(),
        Setting::DurationMap(it) => it.is_empty(),
        Setting::Blocks(it) => it.is_empty(),
        Setting::Raw(it) => is_hollow(it),
    }
}

fn is_hollow(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(it) => !it,
        Value::Number(it) => it.as_f64().is_some_and(|it| it <= 0.0),
        Value::String(it) => it.is_empty(),
        Value::Array(it) => it.iter().all(is_hollow),
        Value::Object(it) => it.values().all(is_hollow),
    }
}

#[cfg(test)]
fn merged(sources: &[Value]) -> Settings {
    let mut settings = Settings::default();
    for (n, source) in sources.iter().enumerate() {
        settings.add(&n.to_string(), super::schema::read(source.clone()).unwrap());
    }
    settings
}

#[test]
fn later_wins_lists_append_and_maps_merge() {
    let settings = merged(&[
        serde_json::json!({
            "node_name": "a", "retry_join": ["x"], "node_meta": { "rack": "1", "row": "1" },
            "service": { "name": "web" },
        }),
        serde_json::json!({
            "node_name": "b", "retry_join": ["y"], "node_meta": { "rack": "2" },
            "service": [{ "name": "db" }], "ports": { "http": 1 },
        }),
    ]);
    assert_eq!((settings.text("node_name"), settings.origin("node_name")), (Some("b"), "1"));
    assert_eq!(settings.texts("retry_join"), ["x", "y"]);
    let meta = settings.text_map("node_meta").into_iter().collect::<Vec<_>>();
    assert_eq!(meta, [("rack".into(), "2".into()), ("row".into(), "1".into())]);
    let origins: Vec<_> = settings.definitions("service").iter().map(|it| &it.origin).collect();
    assert_eq!(origins, ["0", "1"]);
    assert_eq!((settings.int("ports.http"), settings.int("ports.dns")), (Some(1), None));
}

#[test]
fn what_is_not_supported_is_remembered_unless_it_asks_for_nothing() {
    let settings = merged(&[serde_json::json!({
        "acl": { "enabled": true, "down_policy": "" }, "connect": { "enabled": false },
        "disable_update_check": true, "ports": { "https": -1, "grpc": 8502 },
    })]);
    let unsupported: Vec<_> =
        settings.unsupported().iter().map(|it| (it.key.as_str(), it.security)).collect();
    assert_eq!(unsupported, [("acl.enabled", true), ("ports.grpc", false)]);
}
