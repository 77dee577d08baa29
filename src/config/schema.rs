//! The JSON Schema of the configuration, made from the same types: for editors and for `ringback schema`.

use std::borrow::Cow;

use schemars::generate::SchemaSettings;
use schemars::transform::{RecursiveTransform, Transform as _};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value, json};

use super::secrets::SECRETS;
use super::shape::{Channel, ChannelCommon, Config};
use crate::channel::{email, slack, webhook};
use crate::message::ChannelType;

/// The schema (draft 2020-12) of the file before its variables are replaced: a placeholder is a text, so an editor
/// accepts it where text is expected. Keys that are not known are refused.
pub fn schema() -> Value {
    let mut schema = SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<Config>();
    schema.insert("title".to_owned(), json!("Configuration of ringback"));
    RecursiveTransform(close).transform(&mut schema);
    schema.to_value()
}

/// Refuses unknown keys, and adds the `x_file` of every secret `x`.
fn close(schema: &mut Schema) {
    let Some(object) = schema.as_object_mut() else { return };
    let Some(Value::Object(properties)) = object.get_mut("properties") else { return };
    let mut rules = Vec::new();
    for (_, key) in SECRETS.iter().filter(|(_, key)| properties.contains_key(*key)).copied().collect::<Vec<_>>() {
        let file = format!("{key}_file");
        let description = format!("Path of a file that holds `{key}`, instead of `{key}` itself.");
        rules.push((key, file.clone()));
        properties.insert(file, json!({"type": "string", "description": description}));
    }
    let mut all_of = Vec::new();
    for (key, file) in rules {
        let required = object.get_mut("required").and_then(Value::as_array_mut);
        let before = required.as_ref().map_or(0, |keys| keys.len());
        let after = required.map_or(0, |keys| {
            keys.retain(|name| name != key);
            keys.len()
        });
        all_of.push(if after < before {
            json!({"oneOf": [{"required": [key]}, {"required": [file]}]})
        } else {
            json!({"not": {"required": [key, file]}})
        });
    }
    if !all_of.is_empty() {
        object.insert("allOf".to_owned(), Value::Array(all_of));
    }
    object.entry("additionalProperties").or_insert(Value::Bool(false));
}

/// One closed object for each type, which has the common keys, its own, and `type`.
impl JsonSchema for Channel {
    fn schema_name() -> Cow<'static, str> {
        "Channel".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let types: Vec<Value> = ChannelType::ALL
            .iter()
            .map(|channel_type| {
                let mut object = ChannelCommon::json_schema(generator);
                let own = match channel_type {
                    ChannelType::Email => email::Config::json_schema(generator),
                    ChannelType::Slack => slack::Config::json_schema(generator),
                    ChannelType::Webhook => webhook::Config::json_schema(generator),
                };
                merge(object.ensure_object(), &own, channel_type.as_str());
                object.to_value()
            })
            .collect();
        json_schema!({"description": "A named place to tell it.", "oneOf": types})
    }
}

fn merge(object: &mut Map<String, Value>, own: &Schema, channel_type: &str) {
    if let Some(description) = own.get("description") {
        object.insert("description".to_owned(), description.clone());
    }
    if let (Some(Value::Object(all)), Some(Value::Object(more))) = (object.get_mut("properties"), own.get("properties"))
    {
        all.insert("type".to_owned(), json!({"const": channel_type, "description": "The type of the channel."}));
        all.extend(more.clone());
    }
    // Which of its keys it needs, where they are not the same ones always.
    if let Some(ways) = own.get("anyOf") {
        object.insert("anyOf".to_owned(), ways.clone());
    }
    if let (Some(Value::Array(all)), more) = (object.get_mut("required"), own.get("required")) {
        all.push(json!("type"));
        all.extend(more.and_then(Value::as_array).cloned().unwrap_or_default());
    }
}
