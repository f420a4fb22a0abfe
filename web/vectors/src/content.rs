//! What is in a document, as JSON that is the same for the same content whichever library holds it. The JavaScript half
//! is in `web/test/support/content.mjs`.

use serde_json::{Map as Object, Value, json};
use yrs::types::text::YChange;
use yrs::types::xml::XmlOut;
use yrs::{Any, Array as _, Map as _, Number, Out, ReadTxn, Text, Xml as _, XmlFragment};

pub(crate) fn out(out: &Out, txn: &impl ReadTxn) -> Value {
    match out {
        Out::Any(any) => value(any),
        Out::YText(of) => json!({ "text": text(of, txn) }),
        Out::YArray(list) => {
            let list: Vec<Value> = list.iter(txn).map(|of| self::out(&of, txn)).collect();
            json!({ "array": list })
        }
        Out::YMap(map) => json!({ "map": members(map.iter(txn), txn) }),
        Out::YXmlElement(of) => {
            json!({ "element": of.tag().as_ref(), "attributes": members(of.attributes(txn), txn), "children": children(of, txn) })
        }
        Out::YXmlFragment(of) => json!({ "fragment": children(of, txn) }),
        Out::YXmlText(of) => json!({ "text": text(of, txn), "attributes": members(of.attributes(txn), txn) }),
        Out::YDoc(_) | Out::UndefinedRef(_) => Value::Null,
    }
}

fn members<'a>(entries: impl Iterator<Item = (&'a str, Out)>, txn: &impl ReadTxn) -> Value {
    entries.map(|(key, of)| (key.to_owned(), out(&of, txn))).collect::<Object<_, _>>().into()
}

fn children(of: &impl XmlFragment, txn: &impl ReadTxn) -> Vec<Value> {
    let node = |node| match node {
        XmlOut::Element(of) => Out::YXmlElement(of),
        XmlOut::Fragment(of) => Out::YXmlFragment(of),
        XmlOut::Text(of) => Out::YXmlText(of),
    };
    of.children(txn).map(|child| out(&node(child), txn)).collect()
}

/// Stretches of text and embedded values, each with its formats.
fn text(of: &impl Text, txn: &impl ReadTxn) -> Value {
    let mut parts: Vec<(Value, Value)> = Vec::new();
    for part in of.diff(txn, YChange::identity) {
        let formats: Object<String, Value> = part
            .attributes
            .iter()
            .flat_map(|formats| formats.iter())
            .filter(|(_, of)| !matches!(of, Any::Null))
            .map(|(key, of)| (key.to_string(), value(of)))
            .collect();
        let formats = Value::from(formats);
        match (&part.insert, parts.last_mut()) {
            (Out::Any(Any::String(more)), Some((Value::String(text), same))) if *same == formats => {
                text.push_str(more);
            }
            (Out::Any(Any::String(text)), _) => parts.push((text.as_ref().into(), formats)),
            (Out::Any(any), _) => parts.push((json!({ "embed": value(any) }), formats)),
            (of, _) => parts.push((out(of, txn), formats)),
        }
    }
    parts.into_iter().map(|(insert, formats)| json!([insert, formats])).collect()
}

fn value(any: &Any) -> Value {
    match any {
        Any::Null => Value::Null,
        Any::Undefined => json!({ "undefined": true }),
        Any::Bool(of) => (*of).into(),
        Any::Number(number) => json!({ "number": bits(*number) }),
        Any::String(text) => text.as_ref().into(),
        Any::Buffer(bytes) => json!({ "bytes": hex(bytes) }),
        Any::Array(list) => json!({ "list": list.iter().map(value).collect::<Vec<_>>() }),
        Any::Map(map) => {
            let members: Object<_, _> = map.iter().map(|(key, of)| (key.clone(), value(of))).collect();
            json!({ "object": members })
        }
    }
}

/// The same text for the same number in every language. To `yrs` a bigint is a whole number like others, and there is
/// one zero.
fn bits(number: Number) -> String {
    let number = match number {
        Number::Int(whole) => whole as f64,
        Number::Float(number) => number,
    };
    match number {
        0.0 => "0".into(),
        number if number.is_nan() => "NaN".into(),
        number => format!("{:016x}", number.to_bits()),
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}
