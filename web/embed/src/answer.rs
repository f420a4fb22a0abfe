//! Status, headers and body to a path.

use std::borrow::Cow;

use crate::TABLE;
use crate::asset::Asset;
use crate::coding::{self, Coding};

/// What is sent with everything.
///
/// Scripts and styles are the page's own; `wasm-unsafe-eval` lets it compile the core, and editors place their cursors
/// by `style` attributes. It connects to the rendezvous servers of rooms, which may be anywhere, and to nothing else by
/// HTTP. Frames, forms and a foreign base have no use.
pub(crate) const EVERYWHERE: [(&str, &str); 6] = [
    (
        "content-security-policy",
        "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; style-src-attr 'unsafe-inline'; \
         img-src 'self' data: blob:; media-src 'self' blob:; connect-src 'self' ws: wss:; worker-src 'self'; \
         manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    ("x-content-type-options", "nosniff"),
    // The secret of a ticket is in the fragment, which is in no referrer; the room's server need not be either.
    ("referrer-policy", "no-referrer"),
    // A camera reads QR codes.
    (
        "permissions-policy",
        "camera=(self), microphone=(), geolocation=(), display-capture=(), payment=(), usb=()",
    ),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
];

pub(crate) const TEXT: &str = "text/plain; charset=utf-8";

/// An answer to a GET. To a HEAD it is the same without the body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status: 200, 304 or 404.
    pub status: u16,
    /// Names in small letters; each once.
    pub headers: Vec<(&'static str, Cow<'static, str>)>,
    /// Lives as long as the program.
    pub body: &'static [u8],
}

/// Answers a GET for a path, given these headers of the request.
pub fn answer(path: &str, accept_encoding: Option<&str>, if_none_match: Option<&str>) -> Answer {
    find(TABLE, path).map_or_else(nothing, |asset| serve(asset, accept_encoding, if_none_match))
}

fn find(table: &'static [Asset], path: &str) -> Option<&'static Asset> {
    let name = path.strip_prefix('/')?;
    let name = if name.is_empty() { "index.html" } else { name };
    table.iter().find(|asset| asset.path == name)
}

fn nothing() -> Answer {
    Answer::new(404, TEXT, "no-cache", b"There is nothing here.\n")
}

fn serve(asset: &'static Asset, accept_encoding: Option<&str>, if_none_match: Option<&str>) -> Answer {
    let coding = coding::choose(accept_encoding, |coding| asset.form(coding).is_some());
    let (coding, body) = asset.form(coding).map_or((Coding::Identity, asset.raw), |body| (coding, body));
    let tag = asset.tag(coding);
    let mut answer = if if_none_match.is_some_and(|known| names(known, &tag)) {
        Answer { status: 304, headers: Vec::new(), body: b"" }.with("cache-control", asset.cache_control())
    } else {
        let answer = Answer::new(200, asset.content_type(), asset.cache_control(), body);
        match coding.name() {
            Some(name) => answer.with("content-encoding", name),
            None => answer,
        }
    };
    answer = answer.with("etag", tag).with("vary", "accept-encoding");
    if answer.status == 304 { answer.guarded() } else { answer }
}

/// Whether `If-None-Match` names this tag (RFC 9110 §13.1.2).
fn names(known: &str, tag: &str) -> bool {
    let mut known = known.split(',').map(str::trim);
    known.any(|known| known == "*" || known.strip_prefix("W/").unwrap_or(known) == tag)
}

impl Answer {
    /// With everything that each answer has that carries something.
    pub(crate) fn new(status: u16, kind: &'static str, cache: &'static str, body: &'static [u8]) -> Self {
        Self { status, headers: Vec::with_capacity(14), body }
            .guarded()
            .with("content-type", kind)
            .with("content-length", body.len().to_string())
            .with("cache-control", cache)
    }

    fn guarded(mut self) -> Self {
        self.headers.extend(EVERYWHERE.map(|(name, value)| (name, Cow::Borrowed(value))));
        self
    }

    fn with(mut self, name: &'static str, value: impl Into<Cow<'static, str>>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find_map(|(named, value)| (*named == name).then_some(value.as_ref()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static PAGE: &[Asset] = &[
        Asset {
            path: "assets/index-B1c2D3e4.js",
            hash: "c0ffee",
            raw: b"let greeting = 'hello';",
            brotli: Some(b"br"),
            gzip: Some(b"gzip"),
        },
        Asset { path: "index.html", hash: "f00d", raw: b"<!doctype html>", brotli: None, gzip: None },
    ];

    fn asked(path: &str, accept: Option<&str>, known: Option<&str>) -> Answer {
        find(PAGE, path).map_or_else(nothing, |asset| serve(asset, accept, known))
    }

    #[test]
    fn rv10_a_file_is_sent_in_the_form_the_client_takes() {
        let script = "/assets/index-B1c2D3e4.js";
        for (accept, coding, body, tag) in [
            (None, None, &b"let greeting = 'hello';"[..], "\"c0ffee\""),
            (Some("gzip"), Some("gzip"), b"gzip", "\"c0ffee-gzip\""),
            (Some("gzip, br"), Some("br"), b"br", "\"c0ffee-br\""),
        ] {
            let answer = asked(script, accept, None);
            assert_eq!((answer.status, answer.body), (200, body));
            assert_eq!(answer.header("content-encoding"), coding);
            assert_eq!(answer.header("content-length"), Some(body.len().to_string().as_str()));
            assert_eq!(answer.header("etag"), Some(tag));
            assert_eq!(answer.header("vary"), Some("accept-encoding"));
            assert_eq!(answer.header("content-type"), Some("text/javascript; charset=utf-8"));
            assert!(answer.header("cache-control").unwrap().contains("immutable"));
        }
        assert_eq!(asked("/", Some("br"), None), asked("/index.html", Some("br"), None));
        assert_eq!(asked("/", Some("br"), None).header("content-encoding"), None);
    }

    #[test]
    fn rv10_what_the_client_has_is_not_sent_again() {
        for known in ["\"f00d\"", "W/\"f00d\"", "\"other\", \"f00d\"", "*", " \"f00d\" "] {
            let answer = asked("/", None, Some(known));
            assert_eq!((answer.status, answer.body), (304, &b""[..]), "{known}");
            assert_eq!(answer.header("etag"), Some("\"f00d\""));
            assert_eq!(answer.header("cache-control"), Some("no-cache"));
            assert_eq!(answer.header("vary"), Some("accept-encoding"));
            assert_eq!(answer.header("content-length"), None);
        }
        for known in ["\"food\"", "f00d", "", "\"f00d-br\""] {
            assert_eq!(asked("/", None, Some(known)).status, 200, "{known}");
        }
        // The tag of another form does not count.
        let script = "/assets/index-B1c2D3e4.js";
        assert_eq!(asked(script, Some("br"), Some("\"c0ffee\"")).status, 200);
        assert_eq!(asked(script, Some("br"), Some("\"c0ffee-br\"")).status, 304);
    }

    #[test]
    fn rv10_every_answer_carries_the_guards_once() {
        for answer in [
            asked("/", None, None),
            asked("/", None, Some("*")),
            asked("/nowhere", None, None),
            asked("/assets/index-B1c2D3e4.js", Some("br"), None),
        ] {
            for (name, _) in EVERYWHERE {
                assert!(answer.header(name).is_some(), "{name} in {answer:?}");
            }
            let mut names: Vec<_> = answer.headers.iter().map(|(name, _)| *name).collect();
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), answer.headers.len());
        }
        let policy = EVERYWHERE[0].1;
        assert!(!policy.contains("http:") && !policy.contains("https:") && !policy.contains(" *"));
        assert_eq!(policy.matches("unsafe-inline").count(), 1);
    }

    #[test]
    fn rv10_no_path_leads_out_of_the_table() {
        for path in [
            "",
            "index.html",
            "//",
            "//index.html",
            "/./index.html",
            "/assets",
            "/assets/",
            "/assets/../index.html",
            "/../../../../etc/passwd",
            "/..%2f..%2fetc/passwd",
            "/index.html/",
            "/index.html\0",
            "/INDEX.HTML",
            "/assets/index-B1c2D3e4.js.br",
        ] {
            let answer = asked(path, None, None);
            assert_eq!(answer.status, 404, "{path}");
            assert_eq!(answer.body, b"There is nothing here.\n");
        }
    }

    #[test]
    fn rv10_this_build_answers_at_its_root() {
        let answer = answer("/", None, None);
        assert_eq!(answer.status, 200);
        let text = std::str::from_utf8(answer.body).unwrap();
        assert_eq!(!crate::BUILT, text.contains("cargo xtask web"));
        assert_eq!(crate::paths().filter(|path| path == "/index.html").count(), 1);
    }
}
