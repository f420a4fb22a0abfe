//! JSON-RPC 2.0 messages (<https://www.jsonrpc.org/specification>), one to a line.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use crate::failure::Failure;

/// Requests in one batch.
const MAX_BATCH: usize = 64;

/// A request, or without `id` a notification.
#[derive(Debug, PartialEq)]
pub(super) struct Request {
    pub(super) id: Option<Value>,
    pub(super) method: String,
    pub(super) params: Value,
}

/// What is on a line. A request may be none; then this is its answer.
#[derive(Debug, PartialEq)]
pub(super) enum Incoming {
    One(Result<Request, Value>),
    Batch(Vec<Result<Request, Value>>),
}

/// Why there is no result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum RpcError {
    /// Not JSON.
    Parse(String),
    /// JSON, and no request.
    Request(String),
    /// No such method.
    Method(String),
    /// Parameters of another kind.
    Params(String),
    /// Everything else.
    Failure(Failure),
}

impl<E: Into<Failure>> From<E> for RpcError {
    fn from(failure: E) -> Self {
        Self::Failure(failure.into())
    }
}

impl RpcError {
    fn to_json(&self) -> Value {
        let (code, message) = match self {
            Self::Parse(message) => (-32700, message),
            Self::Request(message) => (-32600, message),
            Self::Method(method) => (-32601, &format!("there is no method {method:?}")),
            Self::Params(message) => (-32602, message),
            Self::Failure(Failure { code, message }) => {
                return json!({ "code": -32000, "message": message, "data": { "code": code } });
            }
        };
        json!({ "code": code, "message": message })
    }
}

/// Reads a line; an error is the answer to all of it.
pub(super) fn parse(line: &[u8]) -> Result<Incoming, Value> {
    let whole = |error| response(Value::Null, Err(error));
    let value: Value =
        serde_json::from_slice(line).map_err(|error| whole(RpcError::Parse(error.to_string())))?;
    match value {
        Value::Array(requests) if requests.is_empty() => Err(whole(invalid("a batch has a request"))),
        Value::Array(requests) if requests.len() > MAX_BATCH => {
            Err(whole(invalid(&format!("a batch has at most {MAX_BATCH} requests"))))
        }
        Value::Array(requests) => Ok(Incoming::Batch(requests.into_iter().map(request).collect())),
        value => Ok(Incoming::One(request(value))),
    }
}

fn request(value: Value) -> Result<Request, Value> {
    let Value::Object(mut fields) = value else {
        return Err(response(Value::Null, Err(invalid("a request is an object"))));
    };
    let id = fields.remove("id");
    if !matches!(id, None | Some(Value::Null | Value::String(_) | Value::Number(_))) {
        return Err(response(Value::Null, Err(invalid("an id is a string or a number"))));
    }
    let fails = |message| Err(response(id.clone().unwrap_or(Value::Null), Err(invalid(message))));
    if fields.get("jsonrpc").and_then(Value::as_str) != Some("2.0") {
        return fails("a request has \"jsonrpc\":\"2.0\"");
    }
    let Some(Value::String(method)) = fields.remove("method") else {
        return fails("a request has a method, a string");
    };
    let params = fields.remove("params").unwrap_or_else(|| Value::Object(Map::new()));
    Ok(Request { id, method, params })
}

fn invalid(message: &str) -> RpcError {
    RpcError::Request(message.to_owned())
}

/// Reads a method's parameters, which are given by name.
pub(super) fn params<T: DeserializeOwned>(params: Value) -> Result<T, RpcError> {
    if !params.is_object() {
        return Err(RpcError::Params("parameters are given by name, in an object".into()));
    }
    serde_json::from_value(params).map_err(|error| RpcError::Params(error.to_string()))
}

/// The answer to a request.
pub(super) fn response(id: Value, result: Result<Value, RpcError>) -> Value {
    match result {
        Ok(result) => json!({ "jsonrpc": "2.0", "id": id, "result": result }),
        Err(error) => json!({ "jsonrpc": "2.0", "id": id, "error": error.to_json() }),
    }
}

/// A notification from the agent.
pub(super) fn notification(method: &str, params: &impl Serialize) -> Value {
    json!({ "jsonrpc": "2.0", "method": method, "params": params })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(line: &str) -> i64 {
        let answer = match parse(line.as_bytes()) {
            Err(answer) | Ok(Incoming::One(Err(answer))) => answer,
            other => panic!("{other:?}"),
        };
        answer["error"]["code"].as_i64().unwrap()
    }

    #[test]
    fn what_is_no_request_gets_the_code_for_it() {
        for garbage in ["", "{", "\u{0}", "nope", "{\"jsonrpc\":\"2.0\"", &"[".repeat(100_000)] {
            assert_eq!(code(garbage), -32700, "{garbage:.20}");
        }
        for wrong in [
            "1",
            "[]",
            "{}",
            r#"{"jsonrpc":"1.0","method":"id"}"#,
            r#"{"jsonrpc":"2.0","method":1}"#,
            r#"{"jsonrpc":"2.0","method":"id","id":{}}"#,
        ] {
            assert_eq!(code(wrong), -32600, "{wrong}");
        }
        assert_eq!(code(&format!("[{}1]", "1,".repeat(MAX_BATCH))), -32600);
    }

    #[test]
    fn a_request_without_an_id_is_a_notification() {
        let parsed = |line: &str| match parse(line.as_bytes()) {
            Ok(Incoming::One(Ok(request))) => request,
            other => panic!("{other:?}"),
        };
        assert_eq!(parsed(r#"{"jsonrpc":"2.0","method":"m"}"#).id, None);
        assert_eq!(parsed(r#"{"jsonrpc":"2.0","method":"m","id":null}"#).id, Some(Value::Null));
        assert_eq!(parsed(r#"{"jsonrpc":"2.0","method":"m","id":7,"params":{"a":1}}"#).params["a"], 1);
    }
}
