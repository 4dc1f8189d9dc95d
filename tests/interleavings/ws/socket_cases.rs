use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use shuttle::future::{block_on, spawn, yield_now};

use super::frames::{BINARY, frame};
use super::payloads;
use super::socket::{Offer, Socket};
use crate::sync::Transport;
use crate::{explore, join};

/// What a connection's task does for its socket, for ever.
pub(super) async fn attend(socket: Arc<Socket>) {
    loop {
        if socket.is_blocked() {
            // The kernel takes more after a while.
            yield_now().await;
            socket.flush();
        } else {
            socket.wake.notified().await;
        }
    }
}

/// A frame of a length of its own, so that mixed up ones are told apart.
fn numbered(sender: u8, number: u8) -> Bytes {
    let text = [sender * 16 + number; 10];
    frame(BINARY, &text[..usize::from(3 + 2 * sender + number)])
}

fn check(wire: &[u8], senders: u8) {
    let payloads = payloads(wire);
    for payload in &payloads {
        let (sender, number) = (payload[0] / 16, payload[0] % 16);
        assert_eq!(numbered(sender, number)[2..], **payload, "frames are mixed up: {wire:?}");
    }
    for sender in 0..senders {
        let numbers: Vec<u8> = payloads.iter().map(|payload| payload[0]).filter(|byte| byte / 16 == sender).collect();
        assert!(numbers.is_sorted(), "out of order: {numbers:?}");
    }
}

#[test]
fn frames_never_interleave_and_all_that_was_taken_is_written() {
    explore(|| {
        let socket = Arc::new(Socket::new(Transport::default()));
        drop(spawn(attend(Arc::clone(&socket))));
        let accepted = Arc::new(AtomicUsize::new(0));
        // Two send answers; two offer frames, which are not kept where the client is busy.
        let senders = [0, 1, 2, 3].map(|sender: u8| {
            let (socket, accepted) = (Arc::clone(&socket), Arc::clone(&accepted));
            spawn(async move {
                for number in 0..2 {
                    let frame = numbered(sender, number);
                    let bytes = frame.len();
                    let is_taken = if sender < 2 {
                        socket.send(frame);
                        true
                    } else {
                        socket.offer(&frame) == Offer::Taken
                    };
                    if is_taken {
                        accepted.fetch_add(bytes, Ordering::SeqCst);
                    }
                }
            })
        });
        join(senders);
        // Nobody calls any more: if the connection does not know that something waits, this never ends.
        let accepted = accepted.load(Ordering::SeqCst);
        block_on(async {
            while socket.stream().wire().len() < accepted {
                socket.stream().written.notified().await;
            }
        });
        let wire = socket.stream().wire();
        assert_eq!(wire.len(), accepted);
        check(&wire, 4);
        assert_eq!(payloads(&wire).iter().map(|payload| payload.len() + 2).sum::<usize>(), accepted);
        // An offer may have found the client busy just now.
        block_on(async {
            while socket.is_blocked() {
                yield_now().await;
            }
        });
        assert_eq!((socket.waiting_bytes(), socket.stalls_at().is_some()), (0, false));
    });
}
