//! Answers whole requests.

use bytes::Bytes;
use http::header::{
    ACCEPT_ENCODING, ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue,
    IF_NONE_MATCH,
};
use http::{Method, Request, Response, StatusCode};

use crate::answer::{EVERYWHERE, TEXT, answer};

/// Where the page asks what it was served by.
pub const CONFIG: &str = "/config.json";

/// Answers a request; `config` is the JSON at [`CONFIG`], which is never kept.
pub fn respond<B>(request: &Request<B>, config: &str) -> Response<Bytes> {
    if request.method() != Method::GET && request.method() != Method::HEAD {
        let mut response = say(StatusCode::METHOD_NOT_ALLOWED, "Only GET and HEAD are answered here.\n");
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    let mut response = if request.uri().path() == CONFIG {
        whole(StatusCode::OK, "application/json", Bytes::copy_from_slice(config.as_bytes()))
    } else {
        file(request)
    };
    if request.method() == Method::HEAD {
        *response.body_mut() = Bytes::new();
    }
    response
}

/// A short word to a person, with the headers that all answers have.
pub fn say(status: StatusCode, words: &'static str) -> Response<Bytes> {
    whole(status, TEXT, Bytes::from_static(words.as_bytes()))
}

fn whole(status: StatusCode, kind: &'static str, body: Bytes) -> Response<Bytes> {
    let mut headers = HeaderMap::new();
    for (name, value) in EVERYWHERE {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

fn file<B>(request: &Request<B>) -> Response<Bytes> {
    let accepted = listed(request.headers(), ACCEPT_ENCODING);
    let known = listed(request.headers(), IF_NONE_MATCH);
    let answer = answer(request.uri().path(), accepted.as_deref(), known.as_deref());
    let mut response = Response::new(Bytes::from_static(answer.body));
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::NOT_FOUND);
    for (name, value) in answer.headers {
        // Every value is plain ASCII.
        if let Ok(value) = HeaderValue::from_str(&value) {
            response.headers_mut().insert(HeaderName::from_static(name), value);
        }
    }
    response
}

/// A header that may be given in several lines. What is no text is left out.
fn listed(headers: &HeaderMap, name: HeaderName) -> Option<String> {
    let lines: Vec<&str> = headers.get_all(name).iter().filter_map(|line| line.to_str().ok()).collect();
    (!lines.is_empty()).then(|| lines.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(method: Method, path: &str) -> Request<()> {
        Request::builder().method(method).uri(path).body(()).unwrap()
    }

    #[test]
    fn rv10_the_configuration_is_the_callers_and_never_kept() {
        let got = respond(&request(Method::GET, CONFIG), r#"{"rendezvous":true}"#);
        assert_eq!((got.status(), got.body().as_ref()), (StatusCode::OK, &br#"{"rendezvous":true}"#[..]));
        assert_eq!(got.headers()[CONTENT_TYPE], "application/json");
        assert_eq!(got.headers()[CACHE_CONTROL], "no-store");
        assert_eq!(got.headers()["x-content-type-options"], "nosniff");
    }

    #[test]
    fn rv10_a_head_is_a_get_without_the_body() {
        for path in ["/", CONFIG, "/nowhere"] {
            let (get, head) =
                (respond(&request(Method::GET, path), "{}"), respond(&request(Method::HEAD, path), "{}"));
            assert_eq!((get.status(), get.headers()), (head.status(), head.headers()), "{path}");
            assert!(head.body().is_empty() && !get.body().is_empty());
            assert_eq!(get.headers()[CONTENT_LENGTH], get.body().len().to_string().as_str());
        }
    }

    #[test]
    fn rv10_other_methods_are_not_allowed() {
        for method in [Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS, Method::TRACE] {
            let got = respond(&request(method, "/"), "{}");
            assert_eq!(got.status(), StatusCode::METHOD_NOT_ALLOWED);
            assert_eq!(got.headers()[ALLOW], "GET, HEAD");
        }
    }

    #[test]
    fn rv10_a_tag_in_the_second_of_two_lines_counts() {
        let tag = answer("/", None, None).header("etag").unwrap().to_owned();
        let mut request = request(Method::GET, "/");
        request.headers_mut().append(IF_NONE_MATCH, HeaderValue::from_static("\"other\""));
        request.headers_mut().append(IF_NONE_MATCH, HeaderValue::from_str(&tag).unwrap());
        assert_eq!(respond(&request, "{}").status(), StatusCode::NOT_MODIFIED);
    }
}
