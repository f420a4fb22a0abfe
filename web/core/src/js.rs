//! Values for JavaScript: objects made of named members, and errors with a code.

use js_sys::{Array, Error, Object, Reflect, Uint8Array};
use symbolon_core::node::VerbError;
use wasm_bindgen::JsValue;

/// An object with these members; those that are `undefined` are left out.
pub(crate) fn object<const N: usize>(members: [(&str, JsValue); N]) -> JsValue {
    of_members(&members)
}

fn of_members(members: &[(&str, JsValue)]) -> JsValue {
    let object = Object::new();
    for (name, value) in members {
        if !value.is_undefined() {
            // Fails on frozen objects and proxies only.
            let _ = Reflect::set(&object, &(*name).into(), value);
        }
    }
    object.into()
}

pub(crate) fn text(value: impl ToString) -> JsValue {
    JsValue::from(value.to_string())
}

pub(crate) fn optional(value: Option<impl ToString>) -> JsValue {
    value.map_or(JsValue::UNDEFINED, text)
}

/// A number of at most 53 bits.
pub(crate) fn number(value: u64) -> JsValue {
    JsValue::from(value as f64)
}

pub(crate) fn bytes(value: &[u8]) -> JsValue {
    Uint8Array::from(value).into()
}

pub(crate) fn list(values: impl IntoIterator<Item = JsValue>) -> JsValue {
    let list = Array::new();
    for value in values {
        list.push(&value);
    }
    list.into()
}

/// An `Error` with a property `code`.
pub(crate) fn error(code: &str, message: &str) -> JsValue {
    let error = Error::new(message);
    let _ = Reflect::set(&error, &"code".into(), &code.into());
    error.into()
}

pub(crate) fn refused(why: VerbError) -> JsValue {
    error(why.code(), &why.to_string())
}

pub(crate) fn invalid(what: &str) -> JsValue {
    error("invalid_request", what)
}
