//! How large a number of JSON may be.

/// The smallest whole number that rounds to infinity as a double: 2¹⁰²⁴ − 2⁹⁷⁰.
const INFINITE: &[u8; 309] = b"\
    1797693134862315807937289714053034150799341327100378269361737789804449682927647509466490179775872070963\
    3028641669288791094655554785194040263065748867150582068190890200070838367627385484581771153176447573027\
    0069855571366959622842914819860834936475292719074168444365510704342711559699508093042880177904174497792";

/// Whether a number, written as JSON has it, is one that a double can come near. As `str::parse::<f64>` has it, whose
/// tables a download is better off without.
pub(crate) fn is_finite(number: &str) -> bool {
    let number = number.as_bytes();
    let split = number.iter().position(|byte| matches!(byte, b'e' | b'E')).unwrap_or(number.len());
    let (mantissa, exponent) = number.split_at(split);
    // The value is 0.d₁d₂d₃… × 10^point, with d₁ > 0.
    let digits = mantissa.iter().filter(|byte| byte.is_ascii_digit());
    let whole =
        mantissa.iter().take_while(|byte| **byte != b'.').filter(|byte| byte.is_ascii_digit()).count();
    let zeros = digits.clone().take_while(|digit| **digit == b'0').count();
    let mut digits = digits.skip(zeros);
    if digits.clone().next().is_none() {
        return true;
    }
    let point = (whole as i64 - zeros as i64).saturating_add(power(exponent));
    let limit = INFINITE.len() as i64;
    if point != limit {
        return point < limit;
    }
    let smaller =
        INFINITE.iter().map(|limit| digits.next().unwrap_or(&b'0').cmp(limit)).find(|order| order.is_ne());
    smaller.is_some_and(std::cmp::Ordering::is_lt)
}

/// The exponent, its letter in front; one that is beyond all numbers is about as large.
fn power(exponent: &[u8]) -> i64 {
    let digits = exponent.iter().filter(|byte| byte.is_ascii_digit());
    let power =
        digits.fold(0i64, |power, digit| power.saturating_mul(10).saturating_add(i64::from(digit - b'0')));
    if exponent.contains(&b'-') { -power } else { power }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn agrees(number: &str) -> bool {
        is_finite(number) == number.parse::<f64>().unwrap().is_finite()
    }

    #[test]
    fn the_largest_double_is_finite_and_what_rounds_beyond_it_is_not() {
        let limit = std::str::from_utf8(INFINITE).unwrap();
        let (below, above) = (format!("{}91", &limit[..307]), format!("{}93", &limit[..307]));
        assert!(!is_finite(limit) && is_finite(&below) && !is_finite(&above));
        for number in [limit, &below, &above] {
            for zeros in [0, 1, 400] {
                let (head, tail) = number.split_at(100);
                for written in [
                    format!("-{number}.{}", "0".repeat(zeros + 1)),
                    format!("{head}.{tail}{}e209", "0".repeat(zeros)),
                    format!("0.{}{number}E+{}", "0".repeat(zeros), zeros + 309),
                    format!("{number}{}e-{zeros}", "0".repeat(zeros)),
                    format!("{number}.{}1", "0".repeat(zeros)),
                ] {
                    assert!(agrees(&written), "{written}");
                }
            }
        }
        for number in [
            "0",
            "-0.0e999",
            "0e99999999999999999999",
            "1e99999999999999999999",
            "1e-99999999999999999999",
            "1.7976931348623157e308",
            "1.7976931348623158e308",
            "1.7976931348623159e308",
            "0.0001e312",
            "0.0001e313",
        ] {
            assert!(agrees(number), "{number}");
        }
    }

    proptest! {
        #[test]
        fn any_number_is_finite_if_std_says_so(
            number in "-?(0|[1-9][0-9]{0,30})([.][0-9]{1,30})?([eE][+-]?(3[0-3][0-9]|2[89][0-9]|[0-9]{1,3}))?",
        ) {
            prop_assert!(agrees(&number), "{}", number);
        }
    }
}
