//! Which form of a file a client gets (RFC 9110 §12.5.3).

/// A content coding, from the least to the most wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Coding {
    Identity,
    Gzip,
    Brotli,
}

impl Coding {
    /// Its name in `Content-Encoding`.
    pub(crate) fn name(self) -> Option<&'static str> {
        match self {
            Self::Identity => None,
            Self::Gzip => Some("gzip"),
            Self::Brotli => Some("br"),
        }
    }
}

/// The best there is of what the client accepts; plain bytes if it accepts nothing that there is.
pub(crate) fn choose(accepted: Option<&str>, there_is: impl Fn(Coding) -> bool) -> Coding {
    let accepted = accepted.unwrap_or_default();
    let mut best = (Coding::Identity, weight(accepted, "identity").or(weight(accepted, "*")).unwrap_or(0));
    for (coding, names) in [(Coding::Gzip, ["gzip", "x-gzip"]), (Coding::Brotli, ["br", "br"])] {
        let listed = names.into_iter().find_map(|name| weight(accepted, name));
        let weight = listed.or_else(|| weight(accepted, "*")).unwrap_or(0);
        // Among equals the smaller form; a weight of nothing is a refusal.
        if weight > 0 && weight >= best.1 && there_is(coding) {
            best = (coding, weight);
        }
    }
    best.0
}

/// The weight of a coding that is listed, in thousandths. A weight that cannot be read is none.
fn weight(accepted: &str, name: &str) -> Option<u16> {
    accepted.split(',').find_map(|item| {
        let (coding, parameters) = item.split_once(';').unwrap_or((item, "q=1"));
        if !coding.trim().eq_ignore_ascii_case(name) {
            return None;
        }
        let (key, value) = parameters.split_once('=')?;
        let weight: f32 = value.trim().parse().ok()?;
        let fits = key.trim().eq_ignore_ascii_case("q") && (0.0..=1.0).contains(&weight);
        Some(if fits { (weight * 1000.0) as u16 } else { 0 })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use Coding::{Brotli, Gzip, Identity};

    #[test]
    fn rv10_the_client_says_which_coding_it_takes() {
        for (accepted, chosen) in [
            (None, Identity),
            (Some(""), Identity),
            (Some("gzip, deflate, br, zstd"), Brotli),
            (Some("br"), Brotli),
            (Some("GZIP"), Gzip),
            (Some("x-gzip"), Gzip),
            (Some("gzip, deflate"), Gzip),
            (Some("*"), Brotli),
            (Some("*;q=0"), Identity),
            (Some("br;q=0, *"), Gzip),
            (Some("br;q=0,gzip;q=0"), Identity),
            (Some("br;q=0.5, gzip;q=0.8"), Gzip),
            (Some("br ; q=0.8 , gzip;q=0.8"), Brotli),
            (Some("identity, br;q=0.5"), Identity),
            (Some("identity;q=0, gzip;q=0.001"), Gzip),
            (Some("identity;q=0"), Identity),
            (Some("br;q=2, gzip"), Gzip),
            (Some("br;q=x, gzip"), Gzip),
            (Some("br;q=NaN"), Identity),
            (Some("brr, gz"), Identity),
            (Some(",;,=;q,;;q=1"), Identity),
        ] {
            assert_eq!(choose(accepted, |_| true), chosen, "{accepted:?}");
        }
    }

    #[test]
    fn rv10_a_form_that_is_not_there_is_not_chosen() {
        assert_eq!(choose(Some("br, gzip"), |coding| coding != Brotli), Gzip);
        assert_eq!(choose(Some("br, gzip"), |coding| coding == Identity), Identity);
        assert_eq!(choose(Some("br, identity;q=0"), |coding| coding == Identity), Identity);
    }
}
