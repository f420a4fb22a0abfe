//! What a peer's descriptions and candidates must look like before `webrtc` sees them, and ours before peers do.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use webrtc::peer_connection::RTCIceCandidateInit;

/// A description of one data channel takes 1 to 2 KiB, and a candidate about 100 bytes.
const MAX_DESCRIPTION: usize = 16 * 1024;
/// Each is paired with each address of ours, and each pair is pinged.
pub(super) const MAX_CANDIDATES: usize = 32;
const MAX_CANDIDATE: usize = 1024;

/// `RTCIceCandidateInit` as browsers write it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct CandidateInit {
    candidate: String,
    sdp_mid: Option<String>,
    #[serde(rename = "sdpMLineIndex")]
    sdp_m_line_index: Option<u16>,
}

/// A description's lines, whatever their ends.
fn attributes<'a>(sdp: &'a str, prefix: &'a str) -> impl Iterator<Item = &'a str> {
    sdp.lines().filter_map(move |line| line.trim_end().strip_prefix(prefix))
}

/// Whether a peer's description is of a reasonable size and of one data channel only.
pub(super) fn acceptable(sdp: &str) -> bool {
    let media: Vec<&str> = attributes(sdp, "m=").take(2).collect();
    sdp.len() <= MAX_DESCRIPTION
        && matches!(media.as_slice(), [one] if one.starts_with("application "))
        && attributes(sdp, "a=candidate:").count() <= MAX_CANDIDATES
}

/// A peer's candidate, if `webrtc` may have it: UDP, at an IP address that one peer can have.
///
/// Names (also `.local` ones, with multicast DNS off) would make this peer look them up, and a passive TCP candidate
/// would make it open a connection.
pub(super) fn candidate(json: &str) -> Option<RTCIceCandidateInit> {
    if json.len() > MAX_CANDIDATE {
        return None;
    }
    let init: CandidateInit = serde_json::from_str(json).ok()?;
    let fields: Vec<&str> = init.candidate.split_ascii_whitespace().collect();
    let [_foundation, "1", protocol, _priority, address, port, "typ", _kind, ..] = fields.as_slice() else {
        return None;
    };
    let address: IpAddr = address.parse().ok()?;
    let port: u16 = port.parse().ok()?;
    if !protocol.eq_ignore_ascii_case("udp")
        || address.is_multicast()
        || address.is_unspecified()
        || port == 0
    {
        return None;
    }
    Some(RTCIceCandidateInit {
        candidate: init.candidate,
        sdp_mid: init.sdp_mid,
        sdp_mline_index: init.sdp_m_line_index,
        ..RTCIceCandidateInit::default()
    })
}

/// A description of ours without the candidates of a second component, which `webrtc` lists and nobody uses.
pub(super) fn trimmed(sdp: &str) -> String {
    let second = |line: &str| {
        line.strip_prefix("a=candidate:").is_some_and(|line| line.split(' ').nth(1) == Some("2"))
    };
    sdp.split_inclusive('\n').filter(|line| !second(line)).collect()
}

/// A candidate of ours as JSON. `webrtc` gives an empty `sdpMid`, which browsers refuse; the description has the right
/// one.
pub(super) fn candidate_json(candidate: String, description: &str) -> Option<String> {
    let init = CandidateInit {
        candidate,
        sdp_mid: attributes(description, "a=mid:").next().map(str::to_owned),
        sdp_m_line_index: Some(0),
    };
    serde_json::to_string(&init).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_udp_candidates_at_addresses_pass() {
        let json = |line: &str| format!(r#"{{"candidate":"{line}","sdpMid":"0","sdpMLineIndex":0}}"#);
        for good in [
            "candidate:1 1 udp 2130706431 127.0.0.1 5000 typ host",
            "candidate:1 1 UDP 2130706431 2001:db8::1 5000 typ srflx raddr 10.0.0.1 rport 9 generation 0 ufrag ab",
        ] {
            assert!(candidate(&json(good)).is_some(), "{good}");
        }
        for bad in [
            "",
            "candidate:",
            "candidate:1 1 tcp 1 127.0.0.1 9 typ host tcptype passive",
            "candidate:1 1 udp 1 example.org 5000 typ host",
            "candidate:1 1 udp 1 0e1ac1c8.local 5000 typ host",
            "candidate:1 1 udp 1 224.0.0.251 5353 typ host",
            "candidate:1 1 udp 1 0.0.0.0 5000 typ host",
            "candidate:1 1 udp 1 127.0.0.1 0 typ host",
            "candidate:1 2 udp 1 127.0.0.1 5000 typ host",
            "candidate:1 1 udp 1 127.0.0.1 70000 typ host",
        ] {
            assert!(candidate(&json(bad)).is_none(), "{bad}");
        }
        let long = format!("candidate:{} 1 udp 1 127.0.0.1 5000 typ host", "1".repeat(MAX_CANDIDATE));
        assert!(candidate(&json(&long)).is_none());
        assert!(candidate("not json").is_none());
    }

    #[test]
    fn only_descriptions_of_one_data_channel_pass() {
        let head = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n";
        let data = "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n";
        let line = "a=candidate:1 1 udp 1 127.0.0.1 5000 typ host\r\n";
        assert!(acceptable(&format!("{head}{data}{}", line.repeat(MAX_CANDIDATES))));
        assert!(!acceptable(head));
        assert!(!acceptable(&format!("{head}{data}{data}")));
        assert!(!acceptable(&format!("{head}m=audio 9 UDP/TLS/RTP/SAVPF 111\r\n")));
        assert!(!acceptable(&format!("{head}{data}{}", line.repeat(MAX_CANDIDATES + 1))));
        assert!(!acceptable(&format!("{head}{data}{}", "a=x\r\n".repeat(MAX_DESCRIPTION / 5))));
    }

    #[test]
    fn our_descriptions_list_each_candidate_once() {
        let sdp = "m=application\r\na=candidate:1 1 udp 5 ::1 7 typ host\r\na=candidate:1 2 udp 5 ::1 7 typ host\r\n";
        assert_eq!(trimmed(sdp), "m=application\r\na=candidate:1 1 udp 5 ::1 7 typ host\r\n");
    }

    #[test]
    fn our_candidates_name_the_media_section_of_the_description() {
        let json =
            candidate_json("candidate:1 1 udp 1 127.0.0.1 5000 typ host".to_owned(), "v=0\r\na=mid:data\r\n");
        let json: serde_json::Value = serde_json::from_str(&json.unwrap()).unwrap();
        assert_eq!(json["sdpMid"], "data");
        assert_eq!(json["sdpMLineIndex"], 0);
    }
}
