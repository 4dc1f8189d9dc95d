//! The stream of an upgraded connection: TCP, or TLS on TCP.
//!
//! Writing never waits and never queues, in both cases. A TLS record that was begun has to be sent as a
//! whole, so what the kernel does not accept of one is kept: at most one record for each connection, and
//! nothing while the client reads. Frames that do not fit stay with the caller, in the clear and shared.

use std::fmt;
use std::io::{self, ErrorKind, IoSlice, Read as _, Write as _};
use std::task::{Context, Poll};

use parking_lot::Mutex;
use rustls::ServerConnection;
use tokio::net::TcpStream;

/// Bytes that are encrypted at a time: what a TLS record holds at most.
const RECORD: usize = 16 * 1024;

/// A client's stream.
pub struct Transport {
    tcp: TcpStream,
    /// Locked to encrypt or decrypt, and for a non-blocking `read` or `write`; never across an await. Boxed:
    /// without TLS a connection should not be larger for it.
    tls: Option<Box<Mutex<ServerConnection>>>,
}

impl Transport {
    pub(super) fn plain(tcp: TcpStream) -> Self {
        Self { tcp, tls: None }
    }

    /// `connection` has completed its handshake on `tcp`.
    pub(super) fn encrypted(tcp: TcpStream, connection: ServerConnection) -> Self {
        Self { tcp, tls: Some(Box::new(Mutex::new(connection))) }
    }

    /// The stream below, to wait for.
    pub(super) fn tcp(&self) -> &TcpStream {
        &self.tcp
    }

    /// Reads what has arrived; 0 at the end.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::WouldBlock`] if nothing has, and what `read` or TLS reports.
    pub(super) fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match &self.tls {
            None => self.tcp.try_read(buffer),
            Some(tls) => decrypt(&mut tls.lock(), &self.tcp, buffer),
        }
    }

    /// Writes as much as the kernel accepts now, and at most one record more. Returns the number of bytes that
    /// the caller need not keep; [`Transport::try_flush`] tells whether they have been written.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::WouldBlock`] if nothing was accepted, and what `write` reports.
    pub(super) fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        match &self.tls {
            None => self.tcp.try_write(bytes),
            Some(tls) => encrypt(&mut tls.lock(), &self.tcp, bytes),
        }
    }

    /// Writes the rest of a record.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::WouldBlock`] if the kernel does not accept all of it, and what `write` reports.
    pub(super) fn try_flush(&self) -> io::Result<()> {
        self.tls.as_ref().map_or(Ok(()), |tls| flush(&mut tls.lock(), &self.tcp))
    }

    /// Waits until something can be read, or the end is known.
    pub(super) fn poll_arrival(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        // What has come right after the request for the upgrade is read already, and no more of it need arrive.
        if self.tls.as_ref().is_some_and(|tls| !tls.lock().wants_read()) {
            return Poll::Ready(Ok(()));
        }
        self.tcp.poll_read_ready(context)
    }

    /// Ends the writing half, after what was written.
    pub(super) fn shutdown(&self) {
        if let Some(tls) = &self.tls {
            let mut tls = tls.lock();
            tls.send_close_notify();
            // Best effort: the client is leaving.
            let _ = flush(&mut tls, &self.tcp);
        }
        let _ = socket2::SockRef::from(&self.tcp).shutdown(std::net::Shutdown::Write);
    }
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transport").field("tcp", &self.tcp).field("is_encrypted", &self.tls.is_some()).finish()
    }
}

fn decrypt(tls: &mut ServerConnection, tcp: &TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match tls.reader().read(buffer) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            read => return read,
        }
        tls.read_tls(&mut Kernel(tcp))?;
        if let Err(error) = tls.process_new_packets() {
            // The client should learn why, if it can.
            let _ = flush(tls, tcp);
            return Err(io::Error::new(ErrorKind::InvalidData, error));
        }
    }
}

fn encrypt(tls: &mut ServerConnection, tcp: &TcpStream, bytes: &[u8]) -> io::Result<usize> {
    flush(tls, tcp)?;
    let mut taken = 0;
    for record in bytes.chunks(RECORD) {
        taken += tls.writer().write(record)?;
        match flush(tls, tcp) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) => return Err(error),
        }
    }
    Ok(taken)
}

fn flush(tls: &mut ServerConnection, tcp: &TcpStream) -> io::Result<()> {
    while tls.wants_write() {
        if tls.write_tls(&mut Kernel(tcp))? == 0 {
            return Err(ErrorKind::WriteZero.into());
        }
    }
    Ok(())
}

/// Reads and writes that do not wait, in the form that TLS expects.
struct Kernel<'a>(&'a TcpStream);

impl io::Read for Kernel<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(buffer)
    }
}

impl io::Write for Kernel<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.try_write_vectored(slices)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
