//! A WebSocket client that sends any bytes whatever, for frames that no client library makes.

use std::net::SocketAddr;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

use super::DEADLINE;

pub const TEXT: u8 = 0x1;
pub const CONTINUATION: u8 = 0x0;
pub const FINAL: u8 = 0x80;

pub struct RawSocket {
    stream: BufReader<TcpStream>,
}

impl RawSocket {
    pub async fn open(address: SocketAddr, path: &str) -> Self {
        let mut stream = BufReader::new(TcpStream::connect(address).await.expect("connected"));
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.expect("sent");
        let mut line = String::new();
        stream.read_line(&mut line).await.expect("an answer");
        assert!(line.starts_with("HTTP/1.1 101"), "{line}");
        while line != "\r\n" {
            line.clear();
            stream.read_line(&mut line).await.expect("a header");
        }
        Self { stream }
    }

    /// Sends a frame with a mask of zeros, which leaves the payload as it is. The server may hang
    /// up before it has read all of a frame it refuses.
    pub async fn send(&mut self, first_byte: u8, payload: &[u8]) {
        let mut frame = vec![first_byte];
        match u8::try_from(payload.len()) {
            Ok(short @ ..=125) => frame.push(0x80 | short),
            _ => {
                frame.push(0x80 | 127);
                frame.extend_from_slice(&(payload.len() as u64).to_be_bytes());
            }
        }
        frame.extend_from_slice(&[0; 4]);
        frame.extend_from_slice(payload);
        self.send_bytes(&frame).await;
    }

    pub async fn send_bytes(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes).await;
    }

    /// The next frame: its opcode and payload.
    pub async fn read(&mut self) -> (u8, Vec<u8>) {
        let frame = async {
            let [first, second] =
                [self.stream.read_u8().await.expect("a frame"), self.stream.read_u8().await.expect("")];
            let length = match second {
                126 => u64::from(self.stream.read_u16().await.expect("a length")),
                127 => self.stream.read_u64().await.expect("a length"),
                short => u64::from(short),
            };
            let mut payload = vec![0; usize::try_from(length).expect("a length")];
            self.stream.read_exact(&mut payload).await.expect("a payload");
            (first & 0x0f, payload)
        };
        tokio::time::timeout(DEADLINE, frame).await.expect("a frame in time")
    }

    /// The next frame, which must be JSON.
    pub async fn frame(&mut self) -> Value {
        let (opcode, payload) = self.read().await;
        assert_eq!(opcode, TEXT, "{payload:?}");
        serde_json::from_slice(&payload).expect("JSON")
    }

    /// The code in the next frame, which must be a close frame.
    pub async fn close_code(&mut self) -> u16 {
        let (opcode, payload) = self.read().await;
        assert_eq!(opcode, 0x8, "{}", String::from_utf8_lossy(&payload));
        u16::from_be_bytes([payload[0], payload[1]])
    }
}
