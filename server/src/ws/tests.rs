//! The cases of RFC 6455 that the Autobahn suite asks about, as a table; and a second opinion by another implementation.

use proptest::prelude::*;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Control, Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::frame::{Frame, FrameHeader};
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocket, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error as WsError, Message};

use super::header::mask;
use super::*;

const LONGEST: usize = 70_000;

/// What an event is, without what it borrows.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Seen {
    Text(String),
    Ping(Vec<u8>),
    Pong,
    Close(Option<u16>),
}

/// What comes of `bytes` that arrive in pieces: events, and how it went wrong if it did.
fn decode(bytes: &[u8], pieces: impl IntoIterator<Item = usize>) -> (Vec<Seen>, Option<Malformed>) {
    let mut decoder = Decoder::new(LONGEST);
    let mut seen = Vec::new();
    let mut rest = bytes;
    let mut pieces = pieces.into_iter();
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(pieces.next().unwrap_or(rest.len()).clamp(1, rest.len()));
        rest = after;
        let mut piece = piece.to_vec();
        let mut input = piece.as_mut_slice();
        loop {
            let event = match decoder.next(&mut input) {
                Ok(None) => break,
                Ok(Some(Event::Text(text))) => Seen::Text(text.to_owned()),
                Ok(Some(Event::Ping(payload))) => Seen::Ping(payload.to_vec()),
                Ok(Some(Event::Pong)) => Seen::Pong,
                Ok(Some(Event::Close(code))) => Seen::Close(code),
                Err(malformed) => return (seen, Some(malformed)),
            };
            let over = matches!(event, Seen::Close(_));
            seen.push(event);
            if over {
                return (seen, None);
            }
        }
        assert!(decoder.kept() <= 2 * LONGEST + 64);
    }
    if decoder.kept() > 0 {
        // What was kept is a frame or a message that has not ended.
        assert!(decoder.next(&mut Default::default()).is_ok_and(|event| event.is_none()));
    }
    (seen, None)
}

/// A client's frame.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let key = [0x37, 0xfa, 0x21, 0x3d];
    let mut payload = payload.to_vec();
    let length = match payload.len() {
        short @ 0..126 => vec![0x80 | short as u8],
        wide @ 126..65_536 => [&[0xfe][..], &(wide as u16).to_be_bytes()].concat(),
        wide => [&[0xff][..], &(wide as u64).to_be_bytes()].concat(),
    };
    mask(&mut payload, key);
    [&[first][..], &length, &key, &payload].concat()
}

fn text(text: &str) -> Seen {
    Seen::Text(text.into())
}

const TEXT: u8 = 0x81;
const TEXT_BEGINS: u8 = 0x01;
const CONTINUES: u8 = 0x00;
const ENDS: u8 = 0x80;
const CLOSE: u8 = 0x88;
const PING: u8 = 0x89;
const PONG: u8 = 0x8a;

#[test]
fn ws_messages_fragments_and_control_frames_arrive_however_the_bytes_are_cut() {
    let long = "é".repeat(35_000);
    let close = |code: u16, reason: &[u8]| [&code.to_be_bytes()[..], reason].concat();
    let cases: Vec<(Vec<Vec<u8>>, Vec<Seen>)> = vec![
        // 1: lengths at which the header changes.
        (vec![frame(TEXT, b"")], vec![text("")]),
        (vec![frame(TEXT, &[b'*'; 125])], vec![text(&"*".repeat(125))]),
        (vec![frame(TEXT, &[b'*'; 126])], vec![text(&"*".repeat(126))]),
        (vec![frame(TEXT, &[b'*'; 65_535])], vec![text(&"*".repeat(65_535))]),
        (vec![frame(TEXT, long.as_bytes())], vec![text(&long)]),
        // 2: pings and pongs.
        (vec![frame(PING, b"")], vec![Seen::Ping(vec![])]),
        (vec![frame(PING, &[0xfe; 125])], vec![Seen::Ping(vec![0xfe; 125])]),
        (vec![frame(PONG, b"unasked"), frame(TEXT, b"x")], vec![Seen::Pong, text("x")]),
        // 5: fragments, with control frames between them.
        (
            vec![
                frame(TEXT_BEGINS, b"one"),
                frame(CONTINUES, b"two"),
                frame(ENDS, b"three"),
                frame(TEXT, b"4"),
            ],
            vec![text("onetwothree"), text("4")],
        ),
        (
            vec![
                frame(TEXT_BEGINS, b"a"),
                frame(PING, b"p"),
                frame(CONTINUES, b""),
                frame(PONG, b""),
                frame(ENDS, b"b"),
            ],
            vec![Seen::Ping(b"p".to_vec()), Seen::Pong, text("ab")],
        ),
        (vec![frame(TEXT_BEGINS, b""), frame(CONTINUES, b""), frame(ENDS, b"")], vec![text("")]),
        // 6: a character cut by the end of a fragment.
        (
            vec![frame(TEXT_BEGINS, "κόσ".as_bytes().split_at(5).0), frame(ENDS, &"κόσμε".as_bytes()[5..])],
            vec![text("κόσμε")],
        ),
        (
            vec![
                frame(TEXT_BEGINS, b"\xf0"),
                frame(CONTINUES, b"\x9f"),
                frame(CONTINUES, b"\x98"),
                frame(ENDS, b"\x80"),
            ],
            vec![text("😀")],
        ),
        (vec![frame(TEXT, "\u{0}\u{fffe}\u{10ffff}".as_bytes())], vec![text("\u{0}\u{fffe}\u{10ffff}")]),
        // 7: closes; nothing after one counts.
        (vec![frame(CLOSE, b""), frame(TEXT, b"x")], vec![Seen::Close(None)]),
        (vec![frame(CLOSE, &close(1000, b"bye")), frame(PING, b"")], vec![Seen::Close(Some(1000))]),
        (vec![frame(CLOSE, &close(4999, &[b'*'; 123]))], vec![Seen::Close(Some(4999))]),
        (vec![frame(TEXT_BEGINS, b"x"), frame(CLOSE, &close(1001, b""))], vec![Seen::Close(Some(1001))]),
        // Unfinished.
        (vec![frame(TEXT_BEGINS, b"x")], vec![]),
        (vec![frame(PING, b"1"), frame(TEXT, b"abc")[..8].to_vec()], vec![Seen::Ping(b"1".to_vec())]),
    ];
    for (frames, expected) in cases {
        let bytes = frames.concat();
        for size in [1, 2, 3, 7, 4096, bytes.len()] {
            let (seen, malformed) = decode(&bytes, std::iter::repeat(size));
            assert_eq!(
                (seen == expected, malformed),
                (true, None),
                "{:?}… by {size}",
                &bytes[..8.min(bytes.len())]
            );
        }
    }
}

#[test]
fn ws_every_breach_is_seen_and_the_first_one_ends_it() {
    let close = |code: u16| frame(CLOSE, &code.to_be_bytes());
    let begun = || frame(TEXT_BEGINS, b"x");
    let mut cases: Vec<(Vec<u8>, Malformed)> = vec![
        // 2: control frames.
        (frame(PING, &[0; 126]), Malformed::Control),
        (frame(0x09, b""), Malformed::Control),
        (frame(0x08, b""), Malformed::Control),
        // 3 and 4: reserved bits and opcodes.
        (frame(TEXT | 0x40, b""), Malformed::Reserved),
        (frame(PING | 0x10, b""), Malformed::Reserved),
        (frame(0x83, b""), Malformed::Opcode(3)),
        (frame(0x8b, b""), Malformed::Opcode(11)),
        // 5: fragments out of order.
        (frame(ENDS, b"x"), Malformed::ContinuesNothing),
        (frame(CONTINUES, b"x"), Malformed::ContinuesNothing),
        ([begun(), frame(TEXT, b"y")].concat(), Malformed::NotContinued),
        ([begun(), frame(ENDS, b"y"), frame(ENDS, b"z")].concat(), Malformed::ContinuesNothing),
        // 6: texts that are not UTF-8.
        (frame(TEXT, b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited"), Malformed::NotUtf8),
        (frame(TEXT, b"\xc0\x80"), Malformed::NotUtf8),
        (frame(TEXT, b"\xf4\x90\x80\x80"), Malformed::NotUtf8),
        (frame(TEXT, b"cut \xe1\xbd"), Malformed::NotUtf8),
        ([frame(TEXT_BEGINS, b"\xce"), frame(ENDS, b"")].concat(), Malformed::NotUtf8),
        // Seen in its fragment, not at the end of the message.
        (frame(TEXT_BEGINS, b"\xf4\x90"), Malformed::NotUtf8),
        ([frame(TEXT_BEGINS, b"\xf0"), frame(CONTINUES, b"x")].concat(), Malformed::NotUtf8),
        // 7: closes.
        (frame(CLOSE, b"\x03"), Malformed::Close),
        (frame(CLOSE, b"\x03\xe8\xff"), Malformed::NotUtf8),
        // 9: sizes, said by the header alone.
        (frame(TEXT, &[b' '; LONGEST + 1])[..14].to_vec(), Malformed::TooLong),
        ([frame(TEXT_BEGINS, &vec![b' '; LONGEST]), frame(ENDS, b" ")].concat(), Malformed::TooLong),
        // Not asked about there.
        (frame(0x82, b"x"), Malformed::Binary),
        (b"\x81\x02hi".to_vec(), Malformed::Unmasked),
        (b"\x81\xfe\x00\x7d".to_vec(), Malformed::LongLength),
        (b"\x81\xff\x00\x00\x00\x00\x00\x00\xff\xff".to_vec(), Malformed::LongLength),
        (b"\x81\xff\xff\xff\xff\xff\xff\xff\xff\xff\0\0\0\0".to_vec(), Malformed::TooLong),
    ];
    for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535] {
        cases.push((close(code), Malformed::Close));
    }
    for (bytes, expected) in cases {
        // Whatever comes after it changes nothing.
        let bytes = [bytes, frame(TEXT, b"after")].concat();
        for size in [1, 3, bytes.len()] {
            assert_eq!(decode(&bytes, std::iter::repeat(size)).1, Some(expected), "{:?}…", &bytes[..8]);
        }
    }
    for code in [1000, 1001, 1002, 1003, 1007, 1011, 1012, 1014, 3000, 3999, 4000, 4999] {
        assert_eq!(decode(&close(code), [1; 3]), (vec![Seen::Close(Some(code))], None));
    }
}

#[test]
fn ws_what_is_not_there_is_not_kept() {
    let mut decoder = Decoder::new(LONGEST);
    let mut whole = [frame(TEXT, b"one"), frame(PING, b"")].concat();
    let mut input = whole.as_mut_slice();
    while decoder.next(&mut input).unwrap().is_some() {}
    assert_eq!(decoder.kept(), 0);

    // A frame that is only announced takes no memory of its size.
    let mut begun = frame(TEXT, &vec![b' '; LONGEST])[..200].to_vec();
    decoder.next(&mut begun.as_mut_slice()).unwrap();
    assert!((200..1000).contains(&decoder.kept()), "{}", decoder.kept());
    let mut rest = frame(TEXT, &vec![b' '; LONGEST])[200..].to_vec();
    assert!(decoder.next(&mut rest.as_mut_slice()).unwrap().is_some());
    assert!(decoder.next(&mut Default::default()).unwrap().is_none());
    assert_eq!(decoder.kept(), 0);
}

#[test]
fn ws_frames_are_written_with_the_shortest_length() {
    for len in [0, 125, 126, 65_535, 65_536] {
        let mut written = Vec::new();
        encode::text(len, &mut written);
        assert!(written.len() <= encode::LONGEST_HEADER);
        let mut known = Vec::new();
        let header = FrameHeader { opcode: OpCode::Data(Data::Text), ..FrameHeader::default() };
        header.format(len as u64, &mut known).unwrap();
        assert_eq!(written, known);
    }
    let mut written = encode::PING.to_vec();
    encode::pong(b"hi", &mut written);
    encode::close(Some(1001), &mut written);
    encode::close(None, &mut written);
    assert_eq!(written, b"\x89\0\x8a\x02hi\x88\x02\x03\xe9\x88\0");
}

/// What the reference makes of the same bytes.
struct Bytes(std::io::Cursor<Vec<u8>>);

impl std::io::Read for Bytes {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        match self.0.read(buffer)? {
            0 if !buffer.is_empty() => Err(std::io::ErrorKind::WouldBlock.into()),
            read => Ok(read),
        }
    }
}

impl std::io::Write for Bytes {
    fn write(&mut self, buffer: &[u8]) -> std::io::Result<usize> {
        Ok(buffer.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn known(bytes: Vec<u8>) -> (Vec<Seen>, bool) {
    let config = WebSocketConfig::default().max_message_size(Some(LONGEST)).max_frame_size(Some(LONGEST));
    let mut socket =
        WebSocket::from_raw_socket(Bytes(std::io::Cursor::new(bytes)), Role::Server, Some(config));
    let mut seen = Vec::new();
    loop {
        seen.push(match socket.read() {
            Ok(Message::Text(text)) => Seen::Text(text.as_str().to_owned()),
            Ok(Message::Ping(payload)) => Seen::Ping(payload.to_vec()),
            Ok(Message::Pong(_)) => Seen::Pong,
            Ok(Message::Close(close)) => {
                seen.push(Seen::Close(close.map(|close| close.code.into())));
                return (seen, false);
            }
            Err(WsError::Io(_)) => return (seen, false),
            Ok(Message::Binary(_) | Message::Frame(_)) | Err(_) => return (seen, true),
        });
    }
}

fn any_frame() -> impl Strategy<Value = Vec<u8>> {
    let opcode = prop_oneof![
        8 => prop_oneof![Just(OpCode::Data(Data::Text)), Just(OpCode::Data(Data::Continue))],
        3 => prop_oneof![Just(OpCode::Control(Control::Ping)), Just(OpCode::Control(Control::Pong))],
        1 => Just(OpCode::Control(Control::Reserved(12))),
    ];
    let payload = prop_oneof![
        6 => "[a-zé😀]{0,60}".prop_map(String::into_bytes),
        2 => "[ -~]{120,300}".prop_map(String::into_bytes),
        1 => proptest::collection::vec(any::<u8>(), 0..5),
    ];
    (any::<bool>(), opcode, payload, any::<[u8; 4]>()).prop_map(|(last, opcode, payload, key)| {
        let header = FrameHeader { is_final: last, opcode, mask: Some(key), ..FrameHeader::default() };
        let frame = Frame::from_payload(header, payload.into());
        let mut bytes = Vec::new();
        frame.format(&mut bytes).unwrap();
        bytes
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn ws_another_implementation_reads_the_same(
        frames in proptest::collection::vec(any_frame(), 0..12),
        pieces in proptest::collection::vec(1..40_usize, 0..60),
    ) {
        let bytes = frames.concat();
        let (seen, malformed) = decode(&bytes, pieces);
        let (known, known_malformed) = known(bytes);
        prop_assert_eq!(malformed.is_some(), known_malformed, "{:?} after {:?}", malformed, seen);
        prop_assert_eq!(seen, known);
    }

    #[test]
    fn ws_any_bytes_are_read_without_a_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
        pieces in proptest::collection::vec(1..20_usize, 0..40),
    ) {
        let whole = decode(&bytes, []);
        prop_assert_eq!(decode(&bytes, pieces), whole);
    }
}
