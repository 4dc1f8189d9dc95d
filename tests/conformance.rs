//! What RFC 6455 asks of a server's end of a socket, byte by byte, against the echo server that is made of the
//! live server's own reader and writer. `make autobahn` asks more; this needs no network.

#![allow(clippy::expect_used, clippy::panic, clippy::pedantic, reason = "tests")]

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

/// How long anything may take before a test fails.
const DEADLINE: Duration = Duration::from_secs(20);
/// The largest message here.
const LARGEST: usize = 1024 * 1024;

const CONTINUATION: u8 = 0x0;
const TEXT: u8 = 0x1;
const BINARY: u8 = 0x2;
const CLOSE: u8 = 0x8;
const PING: u8 = 0x9;
const PONG: u8 = 0xa;
const FINAL: u8 = 0x80;

/// A client that sends any bytes whatever.
struct Client {
    tcp: TcpStream,
}

/// A frame as a client sends it: masked, whatever it says.
fn frame(first_byte: u8, payload: &[u8]) -> Vec<u8> {
    const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
    let mut frame = vec![first_byte];
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(short @ ..=125), _) => frame.push(0x80 | short),
        (_, Ok(medium)) => {
            frame.push(0x80 | 126);
            frame.extend_from_slice(&medium.to_be_bytes());
        }
        _ => {
            frame.push(0x80 | 127);
            frame.extend_from_slice(&(payload.len() as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(&MASK);
    frame.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

fn closing(code: u16, reason: &[u8]) -> Vec<u8> {
    [&code.to_be_bytes(), reason].concat()
}

impl Client {
    async fn new() -> Self {
        Self::with(TcpSocket::new_v4().expect("a socket")).await
    }

    /// A client whose kernel takes only a little that it has not read.
    async fn narrow() -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.set_recv_buffer_size(32 * 1024).expect("a small buffer");
        Self::with(socket).await
    }

    async fn with(socket: TcpSocket) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        tokio::spawn(relive::ws::echo::serve(listener, LARGEST));
        let mut tcp = socket.connect(address).await.expect("connected");
        tcp.set_nodelay(true).expect("a socket");
        let request = format!(
            "GET / HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        tcp.write_all(request.as_bytes()).await.expect("sent");
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            answer.push(tcp.read_u8().await.expect("an answer"));
        }
        let answer = String::from_utf8(answer).expect("a text").to_lowercase();
        assert!(answer.starts_with("http/1.1 101"), "{answer}");
        // RFC 6455, 1.3
        assert!(answer.contains("s3pplmbitxaq9kygzzhzrbk+xoo="), "{answer}");
        Self { tcp }
    }

    async fn send(&mut self, first_byte: u8, payload: &[u8]) {
        self.send_bytes(&frame(first_byte, payload)).await;
    }

    /// The server may hang up before it has read all.
    async fn send_bytes(&mut self, bytes: &[u8]) {
        let _ = self.tcp.write_all(bytes).await;
    }

    async fn read(&mut self) -> (u8, Vec<u8>) {
        let frame = async {
            let (first, second) = (self.tcp.read_u8().await.expect("a frame"), self.tcp.read_u8().await.expect("one"));
            let length = match second {
                126 => u64::from(self.tcp.read_u16().await.expect("a length")),
                127 => self.tcp.read_u64().await.expect("a length"),
                short => u64::from(short),
            };
            let mut payload = vec![0; usize::try_from(length).expect("a length")];
            self.tcp.read_exact(&mut payload).await.expect("a payload");
            assert_eq!(first & 0xf0, FINAL, "fragmented, or with reserved bits");
            (first & 0x0f, payload)
        };
        tokio::time::timeout(DEADLINE, frame).await.expect("a frame in time")
    }

    async fn expect(&mut self, opcode: u8, payload: &[u8]) {
        let (got, bytes) = self.read().await;
        assert!((got, &*bytes) == (opcode, payload), "{got:#x} of {} bytes", bytes.len());
    }

    /// The server closes with this code, and hangs up.
    async fn expect_close(&mut self, code: u16, what: &str) {
        let (opcode, payload) = self.read().await;
        assert_eq!(opcode, CLOSE, "{what}");
        let got = payload.first_chunk().map(|code| u16::from_be_bytes(*code));
        assert_eq!(got, Some(code), "{what}: {}", String::from_utf8_lossy(&payload));
        self.expect_end(what).await;
    }

    async fn expect_end(&mut self, what: &str) {
        let end = tokio::time::timeout(DEADLINE, self.tcp.read_u8()).await.expect("an end in time");
        assert_eq!(end.err().map(|error| error.kind()), Some(std::io::ErrorKind::UnexpectedEof), "{what}");
    }

    /// The connection is as usable as ever.
    async fn settle(&mut self) {
        self.send(FINAL | PING, b"still there?").await;
        self.expect(PONG, b"still there?").await;
    }
}

#[tokio::test]
async fn messages_of_all_lengths_come_back() {
    let mut client = Client::new().await;
    for length in [0, 1, 125, 126, 127, 128, 65_535, 65_536, LARGEST] {
        for opcode in [TEXT, BINARY] {
            let payload = vec![b'*'; length];
            client.send(FINAL | opcode, &payload).await;
            client.expect(opcode, &payload).await;
        }
    }
}

#[tokio::test]
async fn pings_come_back_in_order_and_pongs_are_ignored() {
    let mut client = Client::new().await;
    for payload in [&b""[..], b"hello", &[0, 0xff, 0xfe, 0xfd], &[0xfe; 125]] {
        client.send(FINAL | PING, payload).await;
        client.expect(PONG, payload).await;
    }
    client.send(FINAL | PONG, b"nobody asked").await;
    let pings: Vec<u8> = (0..10_u8).flat_map(|number| frame(FINAL | PING, &[number])).collect();
    client.send_bytes(&pings).await;
    for number in 0..10 {
        client.expect(PONG, &[number]).await;
    }
}

#[tokio::test]
async fn pings_between_fragments_are_answered_at_once() {
    let mut client = Client::new().await;
    for opcode in [TEXT, BINARY] {
        client.send(opcode, b"one ").await;
        client.send(FINAL | PING, b"1").await;
        client.expect(PONG, b"1").await;
        client.send(CONTINUATION, b"").await;
        client.send(CONTINUATION, b"two ").await;
        client.send(FINAL | PING, b"2").await;
        client.expect(PONG, b"2").await;
        client.send(FINAL | CONTINUATION, b"three").await;
        client.expect(opcode, b"one two three").await;
    }
}

#[tokio::test]
async fn frames_may_come_in_pieces_of_any_length() {
    let text = "Hello-µ@ßöäüàá-\u{20ac}\u{10ffff}".repeat(20);
    let bytes: Vec<u8> = [
        frame(TEXT, &text.as_bytes()[..9]),
        frame(FINAL | PING, b"between"),
        frame(FINAL | CONTINUATION, &text.as_bytes()[9..]),
    ]
    .concat();
    for piece in [1, 2, 3, 7, 64, 1_000] {
        let mut client = Client::new().await;
        for piece in bytes.chunks(piece) {
            client.send_bytes(piece).await;
            tokio::task::yield_now().await;
        }
        client.expect(PONG, b"between").await;
        client.expect(TEXT, text.as_bytes()).await;
    }
}

#[tokio::test]
async fn what_is_no_frame_ends_the_connection() {
    let overlong: Vec<u8> = frame(FINAL | PING, &[0; 126]);
    let mut cases = vec![
        ("unmasked", vec![FINAL | TEXT, 1, b'x']),
        ("a fragmented ping", frame(PING, b"")),
        ("a fragmented close", frame(CLOSE, b"")),
        ("an overlong ping", overlong),
        ("an overlong close", frame(FINAL | CLOSE, &closing(1000, &[b'x'; 124]))),
        ("a continuation of nothing", frame(CONTINUATION, b"x")),
        ("the end of nothing", frame(FINAL | CONTINUATION, b"x")),
        ("text within text", [frame(TEXT, b"a"), frame(FINAL | TEXT, b"b")].concat()),
        ("binary within text", [frame(TEXT, b"a"), frame(BINARY, b"b")].concat()),
    ];
    cases.extend((1..8).map(|bits| ("reserved bits", frame(FINAL | (bits << 4) | TEXT, b"x"))));
    cases.extend((1..8).map(|bits| ("reserved bits of a ping", frame(FINAL | (bits << 4) | PING, b"x"))));
    cases.extend([3, 4, 5, 6, 7, 0xb, 0xc, 0xd, 0xe, 0xf].map(|opcode| ("an opcode", frame(FINAL | opcode, b"x"))));
    for (what, bytes) in cases {
        let mut client = Client::new().await;
        // What came before is answered.
        client.send(FINAL | TEXT, b"before").await;
        client.expect(TEXT, b"before").await;
        client.send_bytes(&bytes).await;
        client.send(FINAL | TEXT, b"after").await;
        client.expect_close(1002, what).await;
    }
}

#[tokio::test]
async fn text_is_utf_8_wherever_it_is_cut() {
    let text = "κόσμε-\u{20ac}-\u{10ffff}".as_bytes();
    let mut client = Client::new().await;
    for cut in 0..=text.len() {
        client.send(TEXT, &text[..cut]).await;
        client.send(FINAL | CONTINUATION, &text[cut..]).await;
        client.expect(TEXT, text).await;
    }
    // Byte by byte.
    for (place, byte) in text.iter().enumerate() {
        let opcode = if place == 0 { TEXT } else { CONTINUATION };
        client.send(opcode, &[*byte]).await;
    }
    client.send(FINAL | CONTINUATION, b"").await;
    client.expect(TEXT, text).await;
}

#[tokio::test]
async fn invalid_text_ends_the_connection() {
    for bytes in [
        &b"\x80"[..],
        b"\xbf",
        b"hello\xc0\xaf",
        b"\xc3\x28",
        b"\xc3",
        b"\xe2\x82",
        b"\xe0\x80\xaf",
        b"\xed\xa0\x80",
        b"\xed\xa0\x80\xed\xb0\x80",
        b"\xf0\x80\x80\xaf",
        b"\xf4\x90\x80\x80",
        b"\xf8\x88\x80\x80\x80",
        b"\xfe",
        b"\xff",
    ] {
        let mut client = Client::new().await;
        client.send(FINAL | TEXT, bytes).await;
        client.expect_close(1007, &format!("{bytes:?}")).await;
        let mut client = Client::new().await;
        client.send(TEXT, b"valid so far ").await;
        client.send(FINAL | CONTINUATION, bytes).await;
        client.expect_close(1007, &format!("{bytes:?}, fragmented")).await;
        // As bytes they are welcome.
        let mut client = Client::new().await;
        client.send(FINAL | BINARY, bytes).await;
        client.expect(BINARY, bytes).await;
    }
}

/// It is not waited for the end of a message that can be none any more.
#[tokio::test]
async fn invalid_text_ends_the_connection_at_its_fragment() {
    let mut client = Client::new().await;
    client.send(TEXT, "κόσμε".as_bytes()).await;
    client.settle().await;
    client.send(CONTINUATION, b"\xf4\x90\x80\x80").await;
    client.expect_close(1007, "a fragment").await;
}

#[tokio::test]
async fn closes_are_answered_with_their_code() {
    for (sent, answer) in [
        (vec![], None),
        (closing(1000, b""), Some(1000)),
        (closing(1000, b"done"), Some(1000)),
        (closing(1000, &[b'x'; 123]), Some(1000)),
        (closing(1001, b""), Some(1001)),
        (closing(1002, b""), Some(1002)),
        (closing(1003, b""), Some(1003)),
        (closing(1007, b""), Some(1007)),
        (closing(1011, b""), Some(1011)),
        (closing(3000, b""), Some(3000)),
        (closing(3999, b""), Some(3999)),
        (closing(4000, b""), Some(4000)),
        (closing(4999, b""), Some(4999)),
    ] {
        let mut client = Client::new().await;
        client.send(FINAL | CLOSE, &sent).await;
        client.send(FINAL | PING, b"too late").await;
        let (opcode, payload) = client.read().await;
        assert_eq!(opcode, CLOSE);
        assert_eq!(payload.first_chunk().map(|code| u16::from_be_bytes(*code)), answer);
        client.expect_end("after the close").await;
    }
}

#[tokio::test]
async fn closes_that_are_none_are_protocol_errors() {
    let mut cases: Vec<Vec<u8>> = [0, 999, 1004, 1005, 1006, 1014, 1015, 1016, 1100, 2000, 2999, 5000, 65_535]
        .into_iter()
        .map(|code| closing(code, b""))
        .collect();
    cases.push(vec![3]);
    for payload in cases {
        let mut client = Client::new().await;
        client.send(FINAL | CLOSE, &payload).await;
        client.expect_close(1002, &format!("{payload:?}")).await;
    }
    let mut client = Client::new().await;
    client.send(FINAL | CLOSE, &closing(1000, b"\xce\xba\xed\xa0\x80")).await;
    client.expect_close(1007, "a reason that is no text").await;
}

#[tokio::test]
async fn what_is_too_large_ends_the_connection_before_it_has_come() {
    let mut client = Client::new().await;
    client.send_bytes(&[FINAL | TEXT, 0xff, 0, 0, 0, 0, 0, 0x10, 0, 1, 0, 0, 0, 0]).await;
    let (opcode, error) = client.read().await;
    assert_eq!((opcode, String::from_utf8_lossy(&error).contains("too_large")), (TEXT, true));
    client.expect_close(1009, "a frame").await;
    let mut client = Client::new().await;
    client.send(BINARY, &vec![0; LARGEST]).await;
    client.settle().await;
    client.send(FINAL | CONTINUATION, b"x").await;
    let _ = client.read().await;
    client.expect_close(1009, "fragments").await;
    // Of half a frame nothing comes back, and nobody else is disturbed.
    let mut client = Client::new().await;
    client.send_bytes(&frame(FINAL | TEXT, b"hello")[..8]).await;
    drop(client);
    Client::new().await.settle().await;
}

/// Answers are not lost, whatever the client takes of them and when. Some still wait for it when the server
/// reads that it closes.
#[tokio::test]
async fn a_client_that_reads_late_gets_all_answers_before_the_close() {
    let mut client = Client::narrow().await;
    let (payload, number) = (vec![b'x'; 64 * 1024], 100);
    let (mut read, mut write) = client.tcp.split();
    let send = async {
        for _ in 0..number {
            write.write_all(&frame(FINAL | BINARY, &payload)).await.expect("sent");
        }
        write.write_all(&frame(FINAL | CLOSE, &closing(1000, b""))).await.expect("sent");
    };
    // So much does not fit between the two: the server stops reading until something is taken.
    let mut all = Vec::new();
    let receive = async {
        tokio::task::yield_now().await;
        read.read_to_end(&mut all).await.expect("to the end");
    };
    tokio::time::timeout(DEADLINE, async { tokio::join!(send, receive) }).await.expect("an end in time");
    assert_eq!(all.len(), number * (payload.len() + 10) + 4);
    assert_eq!(all[all.len() - 4..], [FINAL | CLOSE, 2, 3, 232]);
}
