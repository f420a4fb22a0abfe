//! The HTTP request that becomes a WebSocket (RFC 6455 §4.2).

use axum::body::Body;
use axum::http::header::{
    CONNECTION, HeaderMap, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use axum::http::{HeaderValue, Method, Request, Response, StatusCode, Version};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest as _, Sha1};

/// What every server appends to a client's key.
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

const VERSION: HeaderValue = HeaderValue::from_static("13");

/// The answer to a request: 101 if it may become a WebSocket, and otherwise why not. No subprotocol and no extension is
/// agreed to.
pub(crate) fn answer<B>(request: &Request<B>) -> Response<Body> {
    let headers = request.headers();
    if request.version() != Version::HTTP_11
        || request.method() != Method::GET
        || !names(headers, CONNECTION, "upgrade")
        || !names(headers, UPGRADE, "websocket")
    {
        return refusal(StatusCode::BAD_REQUEST, "this is a WebSocket; connect with ws:// or wss://\n");
    }
    if headers.get(SEC_WEBSOCKET_VERSION) != Some(&VERSION) {
        let mut response =
            refusal(StatusCode::UPGRADE_REQUIRED, "this server speaks version 13 of WebSocket\n");
        response.headers_mut().insert(SEC_WEBSOCKET_VERSION, VERSION);
        return response;
    }
    let Some(accept) = headers.get(SEC_WEBSOCKET_KEY).and_then(accept) else {
        return refusal(StatusCode::BAD_REQUEST, "Sec-WebSocket-Key is not 16 bytes in base64\n");
    };
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    response
}

fn accept(key: &HeaderValue) -> Option<HeaderValue> {
    let mut bytes = [0; 18];
    let Ok(16) = STANDARD.decode_slice(key.as_bytes(), &mut bytes) else { return None };
    let hash = Sha1::new().chain_update(key.as_bytes()).chain_update(GUID).finalize();
    HeaderValue::try_from(STANDARD.encode(hash)).ok()
}

/// Whether the header's list has this word.
fn names(headers: &HeaderMap, name: axum::http::HeaderName, word: &str) -> bool {
    let values = headers.get_all(name);
    values
        .iter()
        .filter_map(|value| value.to_str().ok())
        .any(|value| value.split(',').any(|item| item.trim().eq_ignore_ascii_case(word)))
}

fn refusal(status: StatusCode, why: &'static str) -> Response<Body> {
    let mut response = Response::new(Body::from(why));
    *response.status_mut() = status;
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(headers: &[(&str, &str)]) -> Request<()> {
        let mut builder = Request::builder().uri("/ws");
        for (name, value) in headers {
            builder = builder.header(*name, *value);
        }
        builder.body(()).unwrap()
    }

    const GOOD: [(&str, &str); 4] = [
        ("connection", "keep-alive, Upgrade"),
        ("upgrade", "WebSocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];

    #[test]
    fn ws_the_example_of_the_rfc_is_answered_as_there() {
        let response = answer(&request(&GOOD));
        assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
        assert_eq!(response.headers()["sec-websocket-accept"], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn ws_a_request_that_lacks_something_is_told_what() {
        let without = |n: usize| {
            let mut headers = GOOD.to_vec();
            headers.remove(n);
            answer(&request(&headers)).status().as_u16()
        };
        assert_eq!([0, 1, 2, 3].map(without), [400, 400, 426, 400]);
        let with = |n: usize, value| {
            let mut headers = GOOD;
            headers[n].1 = value;
            answer(&request(&headers))
        };
        assert_eq!(with(2, "8").headers()["sec-websocket-version"], "13");
        assert_eq!(with(3, "c2hvcnQ=").status(), StatusCode::BAD_REQUEST);
        assert_eq!(with(3, "dGhlIHNhbXBsZSBub25jZQ").status(), StatusCode::BAD_REQUEST);
    }
}
