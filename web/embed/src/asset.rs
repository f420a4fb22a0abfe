//! One file of the page.

use crate::coding::Coding;

/// A file, in all forms there are of it.
#[derive(Debug)]
pub(crate) struct Asset {
    /// From the page's root, without a slash at the front.
    pub(crate) path: &'static str,
    /// Hex, of the uncompressed bytes.
    pub(crate) hash: &'static str,
    pub(crate) raw: &'static [u8],
    pub(crate) brotli: Option<&'static [u8]>,
    pub(crate) gzip: Option<&'static [u8]>,
}

/// Files whose name holds a hash of their content never change.
const FOR_EVER: &str = "public, max-age=31536000, immutable";

/// Others are kept and asked after each time.
const ASK_FIRST: &str = "no-cache";

impl Asset {
    pub(crate) fn form(&self, coding: Coding) -> Option<&'static [u8]> {
        match coding {
            Coding::Identity => Some(self.raw),
            Coding::Gzip => self.gzip,
            Coding::Brotli => self.brotli,
        }
    }

    /// Another tag for each form, as RFC 9110 §8.8.3.3 asks for.
    pub(crate) fn tag(&self, coding: Coding) -> String {
        match coding.name() {
            None => format!("\"{}\"", self.hash),
            Some(name) => format!("\"{}-{name}\"", self.hash),
        }
    }

    pub(crate) fn content_type(&self) -> &'static str {
        let (_, extension) = self.path.rsplit_once('.').unwrap_or_default();
        match extension {
            "html" => "text/html; charset=utf-8",
            "js" | "mjs" => "text/javascript; charset=utf-8",
            "css" => "text/css; charset=utf-8",
            "wasm" => "application/wasm",
            "json" | "map" => "application/json",
            "webmanifest" => "application/manifest+json",
            "svg" => "image/svg+xml",
            "png" => "image/png",
            "ico" => "image/x-icon",
            "woff2" => "font/woff2",
            "txt" => "text/plain; charset=utf-8",
            _ => "application/octet-stream",
        }
    }

    pub(crate) fn cache_control(&self) -> &'static str {
        if self.path.starts_with("assets/") && is_hashed(self.path) { FOR_EVER } else { ASK_FIRST }
    }
}

/// Whether a name ends in a dash and eight characters of a hash, before its extension. Eight small letters may be a
/// word: such a file is merely asked after.
fn is_hashed(path: &str) -> bool {
    let stem = path.rsplit_once('.').map_or(path, |(stem, _)| stem).as_bytes();
    let Some((before, hash)) = stem.len().checked_sub(8).map(|at| stem.split_at(at)) else { return false };
    let in_hash = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    before.ends_with(b"-") && hash.iter().all(in_hash) && !hash.iter().all(u8::is_ascii_lowercase)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(path: &'static str) -> Asset {
        Asset { path, hash: "ab", raw: b"", brotli: None, gzip: None }
    }

    #[test]
    fn rv10_each_kind_of_file_has_its_type() {
        for (path, kind) in [
            ("index.html", "text/html; charset=utf-8"),
            ("sw.js", "text/javascript; charset=utf-8"),
            ("assets/index-B1c2D3e4.css", "text/css; charset=utf-8"),
            ("assets/symbolon_web_bg-B1c2D3e4.wasm", "application/wasm"),
            ("manifest.webmanifest", "application/manifest+json"),
            ("icon.svg", "image/svg+xml"),
            ("icon-192.png", "image/png"),
            ("data.json", "application/json"),
            ("LICENSE", "application/octet-stream"),
        ] {
            assert_eq!(named(path).content_type(), kind, "{path}");
        }
    }

    #[test]
    fn rv10_only_names_with_a_hash_are_kept_for_ever() {
        for path in ["assets/index-B1c2D3e4.js", "assets/a-_-cdefg9.wasm", "assets/x.y-00000000.css"] {
            assert_eq!(named(path).cache_control(), FOR_EVER, "{path}");
        }
        for path in [
            "index.html",
            "sw.js",
            "manifest.webmanifest",
            "index-B1c2D3e4.js",
            "assets/index.js",
            "assets/logo-portrait.svg",
            "assets/B1c2D3e4.js",
            "assets/a-1.js",
        ] {
            assert_eq!(named(path).cache_control(), ASK_FIRST, "{path}");
        }
    }
}
